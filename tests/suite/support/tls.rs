//! Certificates signed by the test's own certificate authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A certificate authority, and the certificates that it signed.
pub struct Authority {
    folder: TempDir,
}

/// A certificate and its key.
pub struct Signed {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("Test Authority")
    }

    pub fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Self { folder };
        let config = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                      default_md = sha256\npolicy = any\ncopy_extensions = copy\nunique_subject = no\n[any]\ncommonName = supplied\n\
                      [req]\ndistinguished_name = name\n[name]\n";
        fs::write(authority.at("ca.cnf"), config).expect("a file");
        fs::write(authority.at("index"), "").expect("a file");
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            &format!("/CN={name}"),
            "-config",
            "ca.cnf",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]);
        authority
    }

    /// The file for `SSL_CERT_FILE`.
    pub fn file(&self) -> String {
        self.at("ca.pem").to_str().expect("a path").to_owned()
    }

    /// A certificate for a name, valid from and until these days, in openssl's format: `20300101000000Z`.
    pub fn signs(&self, name: &str, from: &str, until: &str) -> Signed {
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.csr",
            "-subj",
            &format!("/CN={name}"),
            "-config",
            "ca.cnf",
            "-addext",
            &format!("subjectAltName=DNS:{name}"),
        ]);
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            "leaf.csr",
            "-out",
            "leaf.pem",
            "-startdate",
            from,
            "-enddate",
            until,
        ]);
        Signed {
            chain: self.at("leaf.pem"),
            key: self.at("leaf.key"),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(self.folder.path())
            .output();
        let output = output.expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Signed {
    /// A printed vhost with this certificate in place of the expected one.
    pub fn put_into(&self, vhost: &str, name: &str) -> String {
        let expected = |file: &str| format!("/etc/letsencrypt/live/{name}/{file}");
        let shown = |path: &Path| path.to_str().expect("a path").to_owned();
        assert!(vhost.contains(&expected("fullchain.pem")), "{vhost}");
        vhost
            .replace(&expected("fullchain.pem"), &shown(&self.chain))
            .replace(&expected("privkey.pem"), &shown(&self.key))
    }
}
