//! TLS: trust in the system's root certificates, and inspection of the server's certificate.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode as _;

use super::Trust;

/// A server's certificate, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whole days that are left. Negative if the certificate has expired.
    pub days_left: i64,
    /// The issuer.
    pub issuer: String,
    /// Why a browser would reject it. For a Cloudflare origin certificate, why Cloudflare would. `None` if it is valid.
    pub fault: Option<String>,
    /// Whether it is a Cloudflare origin certificate. Cloudflare's servers accept those in "Full (strict)" mode.
    /// Browsers never do.
    pub for_cdn: bool,
}

/// The authorities that sign Cloudflare's origin certificates, as published in its documentation under "Cloudflare
/// Origin CA root certificate". A certificate is recognized by their keys, because their names can be put into any
/// certificate.
const FOR_ORIGINS: [&str; 2] = [
    include_str!("cloudflare_origin_ecc.pem"),
    include_str!("cloudflare_origin_rsa.pem"),
];

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// The root certificates that the system trusts, or those in the file that `SSL_CERT_FILE` names, and the errors for
/// the ones that could not be read.
static ROOTS: LazyLock<(Arc<RootCertStore>, String)> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    (Arc::new(store), errors.join("; "))
});

/// Returns the TLS configuration for a connection, and the object that notes what is wrong with the server's
/// certificate.
pub(super) fn config(trust: Trust) -> Result<(ClientConfig, Arc<CertificateCheck>), String> {
    let (roots, unread) = &*ROOTS;
    let why = |error: &dyn fmt::Display| {
        if roots.is_empty() {
            format!("this machine has no CA certificates (ca-certificates, or SSL_CERT_FILE): {unread}")
        } else {
            error.to_string()
        }
    };
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&PROVIDER)).build();
    let noted = Arc::new(CertificateCheck {
        strict: strict.map_err(|error| why(&error))?,
        for_origins: verifier(&FOR_ORIGINS)?,
        trust,
        noted: OnceLock::new(),
    });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER));
    let builder = builder.with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(|error| why(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&noted) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, noted))
}

/// Returns a verifier that trusts the given authorities, each in PEM format.
fn verifier(authorities: &[&str]) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut store = RootCertStore::empty();
    for authority in authorities {
        let authority = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| error.to_string())?;
        store.add(authority).map_err(|error| error.to_string())?;
    }
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&PROVIDER)).build();
    built.map_err(|error| error.to_string())
}

/// Verifies certificates as browsers do. With [`Trust::Note`] a fault is noted and the handshake goes on.
#[derive(Debug)]
pub(super) struct CertificateCheck {
    strict: Arc<WebPkiServerVerifier>,
    for_origins: Arc<WebPkiServerVerifier>,
    trust: Trust,
    noted: OnceLock<NotedFault>,
}

/// What is wrong with a certificate that browsers reject.
#[derive(Debug, Clone, Default)]
struct NotedFault {
    /// Why a browser would reject it. For a Cloudflare origin certificate, why Cloudflare would, if it would.
    fault: Option<String>,
    /// Whether it is a Cloudflare origin certificate.
    for_cdn: bool,
}

impl CertificateCheck {
    /// Returns the contents of the certificate, and the fault that was noted for it.
    pub(super) fn certificate(&self, der: &CertificateDer<'_>) -> Option<Certificate> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        let until = parsed.tbs_certificate.validity.not_after.to_unix_duration();
        let expires = i64::try_from(until.as_secs()).unwrap_or(i64::MAX);
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(0);
        let issuer = parsed.tbs_certificate.issuer.to_string();
        let NotedFault { fault, for_cdn } = self.noted.get().cloned().unwrap_or_default();
        let fault = fault.or_else(|| (expires < now).then(|| EXPIRED.to_owned()));
        Some(Certificate {
            days_left: (expires - now).div_euclid(86_400),
            issuer,
            fault,
            for_cdn,
        })
    }
}

fn is_unknown_issuer(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer))
}

/// Judges the result of a verification against given authorities. `Some` if one of them signed the certificate. The
/// inner option is the fault that it has nevertheless.
fn signed(checked: Result<ServerCertVerified, Error>) -> Option<Option<Error>> {
    match checked {
        Ok(_) => Some(None),
        Err(
            error @ Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ),
        ) => Some(Some(error)),
        Err(_) => None,
    }
}

const EXPIRED: &str = "the certificate has expired";

/// Describes what is wrong with a certificate.
fn told(error: &Error) -> String {
    let Error::InvalidCertificate(fault) = error else {
        return format!("browsers refuse the certificate: {error}");
    };
    let text = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::NotValidForName => "the certificate is for another name",
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            return format!("the certificate is for another name: {}", names.join(", "));
        }
        CertificateError::UnknownIssuer => {
            "the certificate is not signed by a CA that browsers trust, or its chain is not sent in full"
        }
        CertificateError::Revoked => "the certificate has been revoked",
        other => match &*words(&format!("{other:?}")) {
            "ca used as end entity" => "the certificate is one of a certificate authority, and not of a server",
            words => return format!("browsers refuse the certificate: {words}"),
        },
    };
    text.to_owned()
}

/// Extracts the bare name from a certificate name as rustls formats it: `DnsName("a.example.com")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_matches(['(', ')', '"'])
}

/// Turns the library's identifier for a fault into words: `Other(OtherError(CaUsedAsEndEntity))` becomes "ca used as
/// end entity".
fn words(name: &str) -> String {
    let mut names = name
        .rsplit(|c: char| !c.is_ascii_alphanumeric())
        .filter(|name| !name.is_empty());
    let mut text = String::new();
    for c in names.next().unwrap_or_default().chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

impl ServerCertVerifier for CertificateCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let strict = &self.strict;
        match strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if self.trust == Trust::Note => {
                let origins = &self.for_origins;
                let for_cdn = is_unknown_issuer(&error)
                    .then(|| origins.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now))
                    .and_then(signed);
                self.noted.get_or_init(|| NotedFault {
                    for_cdn: for_cdn.is_some(),
                    fault: for_cdn.unwrap_or(Some(error)).as_ref().map(told),
                });
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

/// Time limit for a handshake. Without it, a server that accepts and sends nothing would hang the client forever.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// A test authority with the same name as one of Cloudflare's.
    const NAMESAKE: &str = "\
-----BEGIN CERTIFICATE-----
MIICETCCAbegAwIBAgIUW5YF5jzdpV4+pKp9vrU/tfkzXpowCgYIKoZIzj0EAwIw
VTEZMBcGA1UECgwQQ2xvdWRGbGFyZSwgSW5jLjE4MDYGA1UECwwvQ2xvdWRGbGFy
ZSBPcmlnaW4gU1NMIEVDQyBDZXJ0aWZpY2F0ZSBBdXRob3JpdHkwIBcNMjYxMTI5
MDY0NDI5WhgPMjA1MTA3MjEwNjQ0MjlaMFUxGTAXBgNVBAoMEENsb3VkRmxhcmUs
IEluYy4xODA2BgNVBAsML0Nsb3VkRmxhcmUgT3JpZ2luIFNTTCBFQ0MgQ2VydGlm
aWNhdGUgQXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEy6fnNqoG
Dvbis6sSOrtA7iKpbeHYACyEVz7/NEYLfix1H/gN4ShJFLHCzWNz3g252doXyLtE
DG2jJZNl7mrElKNjMGEwHQYDVR0OBBYEFG+uLiLe0fobX5FgsZkPbPWIKIobMB8G
A1UdIwQYMBaAFG+uLiLe0fobX5FgsZkPbPWIKIobMA8GA1UdEwEB/wQFMAMBAf8w
DgYDVR0PAQH/BAQDAgIEMAoGCCqGSM49BAMCA0gAMEUCIQC8HUctpIxuNTKQlMnf
2p7Gcuohg5mnYik4+EU4F7cBewIgZYVuZFYQ1P0e7zr8uqQtBtFz8bpSVvN4IXYr
DV28a0Q=
-----END CERTIFICATE-----
";

    /// A certificate for docs.example.com, signed by [`NAMESAKE`].
    const SIGNED: &str = "\
-----BEGIN CERTIFICATE-----
MIICBTCCAaugAwIBAgIUD6Tc26MGVQrA/hjr1LPzVK8K5EowCgYIKoZIzj0EAwIw
VTEZMBcGA1UECgwQQ2xvdWRGbGFyZSwgSW5jLjE4MDYGA1UECwwvQ2xvdWRGbGFy
ZSBPcmlnaW4gU1NMIEVDQyBDZXJ0aWZpY2F0ZSBBdXRob3JpdHkwIBcNMjYxMTI5
MDY0NDI5WhgPMjA1MTA3MjEwNjQ0MjlaMCgxJjAkBgNVBAMMHUNsb3VkRmxhcmUg
T3JpZ2luIENlcnRpZmljYXRlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyQk6
ryTQ7aHUqK+q3R82rwHe3RNEJZf2snAYpaoBR5ii1yzayM2ETI6NYiwqMqEQZXhp
WU12VrMOa3BFl9rwuKOBgzCBgDAbBgNVHREEFDASghBkb2NzLmV4YW1wbGUuY29t
MBMGA1UdJQQMMAoGCCsGAQUFBwMBMAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFJ2k
EbAVasU7ZdO+3mZcQ2ozMBU1MB8GA1UdIwQYMBaAFG+uLiLe0fobX5FgsZkPbPWI
KIobMAoGCCqGSM49BAMCA0gAMEUCIQDBZ5baR3gzOGZBFXGSLfD6tmCWxNW8oDoW
87bj/+qIcwIgf733bxRZ+ao4mAhdVlHDeEAgZYiOdWBG/xGuRNxJPrs=
-----END CERTIFICATE-----
";

    /// Verifies [`SIGNED`]. `Some` if one of the authorities signed it. The inner option is its remaining fault.
    fn judged(authorities: &[&str], name: &'static str) -> Option<Option<String>> {
        let leaf = CertificateDer::from_pem_slice(SIGNED.as_bytes()).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let checked = verifier(authorities)
            .unwrap()
            .verify_server_cert(&leaf, &[], &name, &[], now);
        signed(checked).map(|wrong| wrong.as_ref().map(told))
    }

    #[test]
    fn faults_are_said_in_words() {
        assert_eq!(bare(r#"DnsName("a.example.com")"#), "a.example.com");
        assert_eq!(bare("a.example.com"), "a.example.com");
        assert_eq!(words("Other(OtherError(CaUsedAsEndEntity))"), "ca used as end entity");
        assert_eq!(words("BadSignature"), "bad signature");
    }

    #[test]
    fn key_of_an_authority_decides_and_not_its_name() {
        assert_eq!(judged(&[NAMESAKE], "docs.example.com"), Some(None));
        let other = judged(&[NAMESAKE], "example.org");
        assert!(matches!(other, Some(Some(fault)) if fault.contains("for another name")));
        assert_eq!(judged(&FOR_ORIGINS, "docs.example.com"), None);
        assert_eq!(judged(&FOR_ORIGINS, "example.org"), None);
    }

    #[test]
    fn authorities_for_origins_are_those_that_are_published() {
        use x509_cert::der::Encode as _;
        let found = FOR_ORIGINS.map(|pem| {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let read = x509_cert::Certificate::from_der(&der).unwrap().tbs_certificate;
            let key = read.subject_public_key_info.to_der().unwrap();
            (read.subject.to_string().contains("CloudFlare Origin SSL"), key.len())
        });
        assert_eq!(found, [(true, 91), (true, 294)]);
    }
}
