//! TLS: the roots of the system, and what a certificate says of itself.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode as _;

use super::Trust;

/// What a server's certificate says of itself, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Until when it is good, in seconds since 1970.
    pub expires: i64,
    /// Whole days that are left; negative where it has expired.
    pub days_left: i64,
    /// Who signed it.
    pub issuer: String,
    /// Why a browser would not take it; none where one would.
    pub fault: Option<String>,
    /// Whether it is one of Cloudflare's for origins, which its servers take in "Full (strict)" mode, and no browser does.
    pub for_cdn: bool,
}

/// How Cloudflare's certificates for origins name who signed them.
const CDN_ISSUER: &str = "CloudFlare Origin";

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// The roots that the system trusts, or those of the file that `SSL_CERT_FILE` names; and why some could not be read.
fn roots() -> &'static (Arc<RootCertStore>, String) {
    static ROOTS: OnceLock<(Arc<RootCertStore>, String)> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        (Arc::new(store), errors.join("; "))
    })
}

/// How to speak TLS with a server, and where what is wrong with its certificate is noted.
pub(super) fn config(trust: Trust) -> Result<(ClientConfig, Arc<Noted>), String> {
    let (roots, unread) = roots();
    let why = |error: &dyn fmt::Display| {
        if roots.is_empty() {
            format!(
                "this machine has no certificates of authorities to go by (ca-certificates, or SSL_CERT_FILE): {unread}"
            )
        } else {
            error.to_string()
        }
    };
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider()).build();
    let noted = Arc::new(Noted {
        strict: strict.map_err(|error| why(&error))?,
        trust,
        error: Mutex::default(),
    });
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(|error| why(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&noted) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, noted))
}

/// Checks certificates as browsers do; where that is wanted, a fault is noted and the connection goes on.
#[derive(Debug)]
pub(super) struct Noted {
    strict: Arc<WebPkiServerVerifier>,
    trust: Trust,
    error: Mutex<Option<Error>>,
}

impl Noted {
    /// What the certificate says, and what was found wrong with it.
    pub(super) fn certificate(&self, der: &CertificateDer<'_>, name: &ServerName<'_>) -> Option<Certificate> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        let until = parsed.tbs_certificate.validity.not_after.to_unix_duration();
        let expires = i64::try_from(until.as_secs()).unwrap_or(i64::MAX);
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(0);
        let issuer = parsed.tbs_certificate.issuer.to_string();
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Its chain ends with an authority that no browser knows. The name and the days are looked at all the same.
        let for_cdn = error.as_ref().is_some_and(is_unknown_issuer) && issuer.contains(CDN_ISSUER);
        let fault = if for_cdn {
            let fits =
                ParsedCertificate::try_from(der).and_then(|parsed| rustls::client::verify_server_name(&parsed, name));
            fits.err().map(|error| told(&error))
        } else {
            error.as_ref().map(told)
        };
        let fault = fault.or_else(|| (expires < now).then(|| EXPIRED.to_owned()));
        Some(Certificate {
            expires,
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

const EXPIRED: &str = "the certificate has expired";

/// What is wrong with a certificate, in words.
fn told(error: &Error) -> String {
    use CertificateError as Wrong;
    match error {
        Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => EXPIRED.to_owned(),
        Error::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => {
            "the certificate is not valid yet".to_owned()
        }
        Error::InvalidCertificate(Wrong::NotValidForName) => "the certificate is for another name".to_owned(),
        Error::InvalidCertificate(Wrong::NotValidForNameContext { presented, .. }) => {
            format!("the certificate is for another name: {}", presented.join(", "))
        }
        Error::InvalidCertificate(Wrong::UnknownIssuer) => {
            "the certificate is signed by nobody whom browsers trust, or its chain is not sent in full".to_owned()
        }
        Error::InvalidCertificate(Wrong::Revoked) => "the certificate has been revoked".to_owned(),
        other => format!("browsers refuse the certificate: {other}"),
    }
}

impl ServerCertVerifier for Noted {
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
                *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
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

/// How long a handshake may take: a server that accepts and says nothing would hang for ever.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
