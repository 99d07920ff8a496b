//! Files with the names of secrets. Pure.
//!
//! Files that begin with a dot, such as `.env`, are not part of the site anyway. Only those
//! in `.well-known/` at the top are.

/// A key file in the PKCS #12 format. The ID is that of the published rules.
const PKCS12: &str = "pkcs12-file";
const KEY: &str = "key-file";
const ENVIRONMENT: &str = "env-file";
const CREDENTIALS: &str = "credentials-file";

/// Describes the kind of file that a rule is about.
pub(super) fn what(id: &str) -> Option<&'static str> {
    match id {
        PKCS12 => Some("a bundle of private keys"),
        KEY => Some("a private key"),
        ENVIRONMENT => Some("a file of environment variables"),
        CREDENTIALS => Some("a file of credentials"),
        _ => None,
    }
}

/// Returns the rule for a file's name.
pub(super) fn rule_of(path: &str) -> Option<&'static str> {
    // The names of Next.js's own files come from pages: for example, the data of a page about credentials.
    if path.starts_with("_next/") {
        return None;
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    if ["example", "sample", "template", "dist"]
        .iter()
        .any(|word| name.contains(word))
    {
        return None;
    }
    match (stem, extension) {
        (_, "p12" | "pfx") => Some(PKCS12),
        (_, "pem" | "key" | "ppk" | "jks" | "keystore" | "kdbx")
        | ("id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519", "") => Some(KEY),
        (_, "env") | ("env", "" | "local" | "production" | "development" | "staging" | "test") => Some(ENVIRONMENT),
        ("credentials" | "client_secret" | "service-account" | "service_account", "json")
        | ("htpasswd", "")
        | (_, "htpasswd" | "tfstate") => Some(CREDENTIALS),
        _ => None,
    }
}

/// Whether the content shows that the name means something else: a certificate, a public key or a presentation.
pub(super) fn is_harmless(id: &str, bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let is_zip = bytes.starts_with(b"PK\x03\x04");
    id == KEY && (is_zip || (holds(BEGIN) && !holds(b"PRIVATE KEY")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told() {
        for (path, id) in [
            ("keys/server.pem", KEY),
            ("Server.KEY", KEY),
            ("id_rsa", KEY),
            ("a.p12", PKCS12),
            ("production.env", ENVIRONMENT),
            ("env.local", ENVIRONMENT),
            ("config/credentials.json", CREDENTIALS),
            ("terraform.tfstate", CREDENTIALS),
        ] {
            assert_eq!(rule_of(path), Some(id), "{path}");
            assert!(what(id).is_some());
        }
    }

    #[test]
    fn names_of_other_files_are_left_in_peace() {
        for path in [
            "docs/env.html",
            "env.txt",
            "docs/credentials.html",
            "_next/data/abc/credentials.json",
            "id_rsa.html",
            "id_rsa.pub",
            "example.env",
            "keyboard.js",
            "monkey",
        ] {
            assert_eq!(rule_of(path), None, "{path}");
        }
    }

    #[test]
    fn certificates_public_keys_and_presentations_are_harmless() {
        assert!(is_harmless(KEY, b"-----BEGIN CERTIFICATE-----\nMIID"));
        assert!(is_harmless(KEY, b"-----BEGIN PUBLIC KEY-----\nMIID"));
        assert!(is_harmless(KEY, b"PK\x03\x04..."));
        assert!(!is_harmless(
            KEY,
            b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
        ));
        assert!(!is_harmless(KEY, b"MIIEvQIBADANBg"));
        assert!(!is_harmless(PKCS12, b"-----BEGIN CERTIFICATE-----"));
    }
}
