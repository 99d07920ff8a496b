//! A complete host of the test's own, on an unused address of this machine: DNS, certificate, nginx on the usual ports,
//! an SSH server, and a site that was published there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::dns::Dns;
use crate::support::command::{Project, small_export};
use crate::support::nginx::Nginx;
use crate::support::sshd::{Jail, Offer, Sshd};

/// The name of the site.
pub const NAME: &str = "docs.test";

pub struct World {
    pub project: Project,
    pub sshd: Sshd,
    pub dns: Dns,
    pub nginx: Option<Nginx>,
    /// The host.
    pub address: Ipv4Addr,
    /// The authority's certificate, and those that it signed.
    pub certificates: TempDir,
}

/// A change of the printed vhost, the check that finds it, and words of what that check says.
pub struct VhostFault<'a> {
    pub what: &'a str,
    pub change: fn(String) -> String,
    pub check: &'a str,
    pub words: &'a str,
}

/// A vhost without the first block that begins with these words.
pub fn without_block(vhost: &str, first: &str) -> String {
    let begin = vhost.find(first).expect("a block of the vhost");
    let end = begin + vhost[begin..].find("    }\n").expect("its end") + 6;
    format!("{}{}", &vhost[..begin], &vhost[end..])
}

/// An address of this machine that no other test uses.
pub fn free_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// A host with nothing published and no web server yet.
    pub fn bare(offer: Offer<'_>) -> World {
        let address = free_address();
        let extra = format!("{}\nListenAddress {address}\n", offer.extra_config);
        let sshd = Sshd::offering(
            Jail::Chroot,
            Offer {
                extra_config: &extra,
                ..offer
            },
        );
        let project = Project::new();
        small_export(&project.dir.join("out"));
        let dns = Dns::start();
        dns.set(NAME, &[&address.to_string()]);
        let world = World {
            project,
            sshd,
            dns,
            nginx: None,
            address,
            certificates: certificates(),
        };
        world.manifest(|text| text);
        world
    }

    /// A host without faults.
    pub fn healthy() -> World {
        let mut world = Self::bare(Offer::default());
        world.project.run(&["--json"]).expect_code(0);
        world.serve(|vhost| vhost);
        world
    }

    /// A name in the docroot.
    pub fn at(&self, name: &str) -> PathBuf {
        self.sshd.docroot.join(name)
    }

    /// Writes the site manifest, changed by a function.
    pub fn manifest(&self, change: impl Fn(String) -> String) {
        let text = format!(
            "[site]\nurl = \"https://{NAME}\"\n[verify]\norigin = false\npublic = false\n[publish]\ntarget = \"web\"\n[encode]\nbrotli = 5\n[targets.web]\nkind = \"sftp\"\n\
             host = \"{}\"\nuser = \"{}\"\nport = {}\nidentity = \"{}\"\nhost-key = \"{}\"\ndocroot = \"{}\"\n",
            self.address,
            self.sshd.user,
            self.sshd.port,
            self.sshd.identity.display(),
            self.sshd.host_key,
            self.sshd.remote_docroot,
        );
        self.project.write_manifest(&change(text));
    }

    /// Gives the site another name, which leads to this host.
    pub fn has_alias(&self) {
        let url = format!("url = \"https://{NAME}\"\n");
        self.manifest(|text| text.replace(&url, &format!("{url}aliases = [\"www.{NAME}\"]\n")));
        self.dns.set(&format!("www.{NAME}"), &[&self.address.to_string()]);
    }

    /// The vhost that is printed for the site, listening on the host's own address.
    pub fn vhost(&self, more: &[&str]) -> String {
        let docroot = self.sshd.docroot.to_str().expect("a path");
        let words = ["nginx", "--nginx-version", "1.22", "--docroot", docroot];
        let printed = self.project.run(&[&words, more].concat()).expect_code(0).stdout;
        let lines = printed.lines().filter(|line| !line.contains("listen [::]"));
        let text: Vec<String> = lines
            .map(|line| line.replace("listen ", &format!("listen {}:", self.address)))
            .collect();
        let own = format!("/etc/letsencrypt/live/{NAME}");
        text.join("\n")
            .replace(&own, &self.certificates.path().join("good").to_string_lossy())
    }

    /// Serves the site with the printed vhost, changed by a function.
    pub fn serve(&mut self, change: impl Fn(String) -> String) {
        let vhost = change(self.vhost(&[]));
        self.serve_this(&vhost);
    }

    /// Serves the site with each changed vhost in turn, and fails unless the doctor finds that change and nothing else.
    #[track_caller]
    pub fn finds_in_vhost(&mut self, faults: &[VhostFault<'_>]) {
        for fault in faults {
            self.serve(fault.change);
            self.examine().assert(fault.what, &[fault.check], fault.words);
        }
    }

    pub fn serve_this(&mut self, vhost: &str) {
        // The ports must be free again first.
        self.nginx = None;
        self.nginx = Some(Nginx::at(SocketAddr::from((self.address, 443)), vhost));
    }

    /// Replaces the valid certificate in the vhost with another one.
    pub fn certificate(&self, vhost: &str, which: &str) -> String {
        let path = |which: &str| self.certificates.path().join(which).to_string_lossy().into_owned();
        vhost.replace(&path("good"), &path(which))
    }

    /// Runs the doctor and returns its findings.
    pub fn examine(&self) -> Found {
        self.examine_as(&self.certificates.path().join("ca.pem"), &self.dns.address.to_string())
    }

    pub fn examine_as(&self, authorities: &Path, resolver: &str) -> Found {
        let authorities = authorities.to_str().expect("a path");
        let ran = self.project.run_env(
            &["doctor", "--json", "--resolver", resolver],
            &[("SSL_CERT_FILE", authorities)],
        );
        let found = Found {
            checks: ran.json().as_array().expect("a list").clone(),
        };
        assert_eq!(ran.code, i32::from(!found.wrong().is_empty()), "{ran}");
        found
    }
}

/// The lines of a run.
pub struct Found {
    pub checks: Vec<Value>,
}

impl Found {
    fn with(&self, ok: &Value) -> BTreeSet<&str> {
        let checks = self.checks.iter().filter(|check| check["ok"] == *ok);
        checks.map(|check| check["check"].as_str().expect("a name")).collect()
    }

    pub fn wrong(&self) -> BTreeSet<&str> {
        self.with(&false.into())
    }

    pub fn not_asked(&self) -> BTreeSet<&str> {
        self.with(&Value::Null)
    }

    pub fn line(&self, check: &str) -> &Value {
        let line = self.checks.iter().find(|line| line["check"] == check);
        line.unwrap_or_else(|| panic!("no check {check}"))
    }

    pub fn detail(&self, check: &str) -> &str {
        self.line(check)["detail"].as_str().expect("a text")
    }

    /// Fails unless this check found a fault with these words. Others may have found one too.
    #[track_caller]
    pub fn includes(&self, check: &str, words: &str) {
        assert!(self.wrong().contains(check), "{check}\n{self}");
        assert!(self.detail(check).contains(words), "{check}: {words:?}\n{self}");
    }

    /// Fails unless the fix of this check has these words.
    #[track_caller]
    pub fn is_fixed_by(&self, check: &str, words: &str) {
        let fix = self.line(check)["fix"].as_str().expect("a fix");
        assert!(fix.contains(words), "{check}: {words:?}\n{self}");
    }

    /// Fails unless exactly these checks found a fault, and the first of them contains these words and has a fix.
    #[track_caller]
    pub fn assert(&self, what: &str, wrong: &[&str], words: &str) {
        let expected: BTreeSet<&str> = wrong.iter().copied().collect();
        assert_eq!(self.wrong(), expected, "{what}\n{self}");
        assert!(self.detail(wrong[0]).contains(words), "{what}: {words:?}\n{self}");
        for check in wrong {
            assert!(
                self.line(check)["fix"].as_str().is_some_and(|fix| fix.len() > 5),
                "{what}: no fix\n{self}"
            );
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for line in &self.checks {
            let _ = writeln!(text, "{} {}: {}", line["ok"], line["check"], line["detail"]);
        }
        out.write_str(&text)
    }
}

/// An authority, and folders with a chain and a key each: `good`, `late` (five days left), `other` (for another name).
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |words: &str| {
        let output = Command::new("openssl")
            .current_dir(folder.path())
            .args(words.split(' '))
            .output();
        let output = output.expect("openssl");
        assert!(
            output.status.success(),
            "openssl {words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for authority in ["ca", "stranger"] {
        run(&format!(
            "req -x509 {ec} -days 30 -keyout {authority}.key -out {authority}.pem -subj /CN={authority} \
             -addext basicConstraints=critical,CA:TRUE"
        )
        .replace("  ", " "));
    }
    for (which, name, days) in [("good", NAME, 60), ("late", NAME, 5), ("other", "other.test", 60)] {
        fs::create_dir(folder.path().join(which)).expect("a folder");
        let extensions = format!("subjectAltName=DNS:{name},DNS:www.{name}\nbasicConstraints=critical,CA:FALSE\n");
        fs::write(folder.path().join("extensions"), extensions).expect("a file");
        run(&format!(
            "req -new {ec} -keyout {which}/privkey.pem -out request.pem -subj /CN={name}"
        ));
        run(&format!(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile extensions \
             -out {which}/fullchain.pem"
        )
        .replace("  ", " "));
    }
    folder
}
