//! Every form of the vhost passes `nginx -t`.

use syntax_publish::model::cache::Classes;
use syntax_publish::rules::nginx::{PageForm, Version, render};
use tempfile::TempDir;

use super::{BASES, Docroot};
use crate::support::http::Request;
use crate::support::nginx::{LISTEN, Nginx, complaints};

#[test]
fn nginx_accepts_every_form_without_a_complaint() {
    let keys = certificate();
    let docroot = Docroot::new();
    let forms = [PageForm::Flat, PageForm::Folder];
    for (form, base) in forms.into_iter().flat_map(|form| BASES.map(|base| (form, base))) {
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
            vhost.rules.base_path = base.into();
            vhost.rules.classes = Classes::new("files.v2");
            vhost.rules.deployment_id = Some("dpl_1".into());
            // A label of the maximum length, and other vhosts whose variables must not collide with its own.
            vhost.server_name = format!("{}.example.com", "d".repeat(63));
            let mut text = render(&vhost).unwrap();
            vhost.server_name = "a-b.example.com".into();
            text += &render(&vhost).unwrap();
            vhost.server_name = "a.b.example.com".into();
            text += &render(&vhost).unwrap();
            assert_eq!(text.contains("brotli"), brotli);
            assert_eq!(text.matches("    http2 on;\n").count(), if minor == 28 { 3 } else { 0 });
            // The installed nginx may be older than that directive.
            let text = local(&text.replace("    http2 on;\n", ""), &keys);
            let text = format!("server_names_hash_bucket_size 128;\n{text}");
            assert_eq!(
                complaints(&text),
                "",
                "{form:?} {base:?} {tls} {brotli} {listen:?} {minor}"
            );
        }
    }
}

#[test]
fn plain_http_leads_to_this_name_whatever_the_request_says() {
    let keys = certificate();
    let nginx = Nginx::start(&plain_and_tls(&keys));
    for (target, wanted) in [
        ("/usage?a=b", "https://localhost/usage?a=b"),
        ("/%0d%0aX:1", "https://localhost/%0d%0aX:1"),
        ("//evil.com/", "https://localhost//evil.com/"),
        ("/\\evil.com", "https://localhost/\\evil.com"),
        ("http://evil.com/", "https://localhost/"),
        ("http://evil.com", "https://localhost/"),
        ("http://evil.com?.evil.com", "https://localhost?.evil.com"),
    ] {
        let answer = Request::get(target).header("Host", "evil.com").send(nginx.address());
        assert_eq!(answer.status, 308, "GET {target}");
        assert_eq!(answer.header("location"), Some(wanted), "GET {target}");
        assert_eq!(answer.all("x-content-type-options"), ["nosniff"]);
        assert!(answer.all("strict-transport-security").is_empty());
    }
    for bad in [".evil.com/", "@evil.com/", "evil.com:80"] {
        assert_eq!(Request::get(bad).send(nginx.address()).status, 400, "GET {bad}");
    }
}

#[test]
fn certificate_authority_gets_its_file() {
    let keys = certificate();
    let webroot = tempfile::tempdir().unwrap();
    let challenge = webroot.path().join(".well-known/acme-challenge/token");
    std::fs::create_dir_all(challenge.parent().unwrap()).unwrap();
    std::fs::write(&challenge, "answer").unwrap();
    let text = plain_and_tls(&keys);
    let text = text.replace("root /var/www/html;", &format!("root {};", webroot.path().display()));
    let nginx = Nginx::start(&text);
    let get = |target: &str| Request::get(target).send(nginx.address());
    assert_eq!(get("/.well-known/acme-challenge/token").body, b"answer");
    assert_eq!(get("/.well-known/acme-challenge/other").status, 404);
    for target in ["/usage", "/.well-known/security.txt"] {
        let to = format!("https://localhost{target}");
        assert_eq!(get(target).header("location"), Some(&*to));
    }
}

/// A vhost with TLS, of which a test can reach the plain HTTP part.
fn plain_and_tls(keys: &TempDir) -> String {
    let docroot = Docroot::new();
    let mut vhost = docroot.vhost(PageForm::Flat);
    vhost.tls = true;
    vhost.listen = None;
    let socket = format!("listen unix:{}/tls ssl", keys.path().display());
    local(&render(&vhost).unwrap(), keys)
        .replace("listen 80;", &format!("listen {LISTEN};"))
        .replace("listen 443 ssl", &socket)
}

/// The text without what this machine may lack: IPv6, and the usual location of the certificate.
fn local(text: &str, keys: &TempDir) -> String {
    text.lines()
        .filter(|line| !line.contains("listen [::]"))
        .map(|line| match line.split_once("/etc/letsencrypt/live/") {
            Some((directive, path)) => {
                let file = path.rsplit('/').next().unwrap();
                format!("{directive}{}/{file}\n", keys.path().display())
            }
            None => format!("{line}\n"),
        })
        .collect()
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
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}
