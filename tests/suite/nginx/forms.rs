//! Every form of the vhost, as `nginx -t` reads it.

use syntax_publish::nginx::{PageForm, Version, render};
use tempfile::TempDir;

use super::Docroot;
use crate::support::nginx::{LISTEN, complaints};

#[test]
fn nginx_accepts_every_form_without_a_complaint() {
    let keys = certificate();
    let docroot = Docroot::new();
    for form in [PageForm::Flat, PageForm::Folder] {
        for (tls, brotli, listen, minor) in [
            (false, true, Some(LISTEN), 22),
            (false, false, None, 22),
            (true, true, None, 22),
            (true, false, Some("8443"), 22),
            (true, true, None, 28),
        ] {
            let mut vhost = docroot.vhost(form);
            vhost.tls = tls;
            vhost.brotli = brotli;
            vhost.listen = listen.map(str::to_owned);
            vhost.version = Version::new(1, minor, 0);
            // As long as a label may be, and another vhost whose variables must not meet its own.
            vhost.server_name = format!("{}.example.com", "d".repeat(63));
            let mut text = render(&vhost).unwrap();
            vhost.server_name = "a-b.example.com".into();
            text += &render(&vhost).unwrap();
            vhost.server_name = "a.b.example.com".into();
            text += &render(&vhost).unwrap();
            assert_eq!(text.contains("brotli"), brotli);
            assert_eq!(
                text.matches("    http2 on;\n").count(),
                if minor == 28 { 3 } else { 0 }
            );
            // The nginx at hand is older than that directive, and the test has neither
            // IPv6 for sure nor the certificate's place.
            let text: String = text
                .replace("    http2 on;\n", "")
                .lines()
                .filter(|line| !line.contains("listen [::]"))
                .map(|line| match line.split_once("/etc/letsencrypt/live/") {
                    Some((directive, path)) => {
                        let file = path.rsplit('/').next().unwrap();
                        format!("{directive}{}/{file}\n", keys.path().display())
                    }
                    None => format!("{line}\n"),
                })
                .collect();
            let text = format!("server_names_hash_bucket_size 128;\n{text}");
            assert_eq!(
                complaints(&text),
                "",
                "{form:?} {tls} {brotli} {listen:?} {minor}"
            );
        }
    }
}

fn certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-subj", "/CN=localhost", "-days", "2"])
        .args(["-keyout", "privkey.pem", "-out", "fullchain.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    folder
}
