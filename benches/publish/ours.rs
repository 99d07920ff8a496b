//! The tool under measurement: a synthetic site, its site manifest, and a host that offers only SFTP, in a chroot if
//! the machine allows it. The host is reached near (loopback) and far (behind the delay).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use syntax_publish::host::{SftpAddress, SftpConnector};
use syntax_publish::store::open;
use syntax_publish::store::session::Session;
use syntax_publish::store::verify::{Depth, verify};

use crate::discard::discard;
use crate::measure::{self, Ran, Watch};
use crate::site::{self, Size};
use crate::support::bench::{How, session};
use crate::support::command::Project;
use crate::support::delay::DelayProxy;
use crate::support::nginx::LISTEN;
use crate::support::sshd::{Jail, Offer, Sshd};

/// The round-trip time of the far line.
pub const RTT: Duration = Duration::from_millis(50);

const NO_PROBES: &str = "[verify]\norigin = false\npublic = false\n";
const UNCHANGED: &str = "[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n";

/// Levels of the encoders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    pub brotli: u8,
    pub gzip: u8,
}

impl Levels {
    /// The default levels of `syntax-publish`.
    pub const BEST: Levels = Levels { brotli: 11, gzip: 9 };
    /// For sites that would take minutes at the default levels.
    pub const QUICK: Levels = Levels { brotli: 5, gzip: 6 };

    pub fn name(self) -> String {
        format!("brotli {}, gzip {}", self.brotli, self.gzip)
    }
}

/// The line to the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Near,
    /// With SSH compression, however short the line is.
    Far,
    /// The far line, without SSH compression.
    Plain,
}

/// A project with a site, and its host.
pub struct Ours {
    pub export: PathBuf,
    pub far: DelayProxy,
    project: Project,
    sshd: Sshd,
    homes: usize,
    levels: Levels,
    trusted: Option<PathBuf>,
}

/// The measurements of one publish.
pub struct Publish {
    pub ran: Ran,
    pub round_trips: f64,
    /// Bytes on the wire; `sent` and `received` are both zero on the near line.
    pub sent: f64,
    pub received: f64,
}

impl Ours {
    /// Writes a site and starts its host; publishes nothing.
    pub fn new(size: Size, levels: Levels) -> Ours {
        Ours::with(levels, Offer::default(), |export| site::write(export, size))
    }

    /// Does the same for any site and for a host that makes the given offer.
    pub fn with(levels: Levels, offer: Offer<'_>, write: impl FnOnce(&Path)) -> Ours {
        let jail = if Jail::Chroot.usable() {
            Jail::Chroot
        } else {
            Jail::Plain
        };
        let sshd = Sshd::offering(jail, offer);
        let far = DelayProxy::start(sshd.port, RTT);
        let project = Project::new();
        let export = project.dir.join("export");
        write(&export);
        let mut ours = Ours {
            export,
            far,
            project,
            sshd,
            homes: 0,
            levels,
            trusted: None,
        };
        ours.write_manifest(levels, "");
        ours
    }

    /// Makes later publishes go to another, empty docroot.
    pub fn write_manifest(&mut self, levels: Levels, docroot_suffix: &str) {
        self.levels = levels;
        self.write_tables("https://bench.example", docroot_suffix, NO_PROBES);
    }

    /// Makes later publishes leave all files as they are, so that encodings that the export brings still belong to them.
    pub fn leave_files_alone(&self) {
        self.write_tables("https://bench.example", "", &format!("{NO_PROBES}{UNCHANGED}"));
    }

    /// Gives the site this URL for later publishes, and turns the live probes after each publish on or off.
    pub fn serve(&mut self, url: &str, looks: bool) {
        self.write_tables(url, "", if looks { "" } else { NO_PROBES });
    }

    /// Makes later publishes require that an authority in this file issued the live site's certificate.
    pub fn trust(&mut self, authorities: PathBuf) {
        self.trusted = Some(authorities);
    }

    /// Prints the vhost for the docroot, over TLS.
    pub fn vhost(&self) -> String {
        self.vhost_with(&[])
    }

    /// Prints the vhost with additional options.
    pub fn vhost_with(&self, more: &[&str]) -> String {
        let docroot = self.sshd.docroot.to_str().expect("a path");
        let args = [
            "nginx",
            "--target",
            "near",
            "--listen",
            LISTEN,
            "--nginx-version",
            "1.22",
            "--docroot",
            docroot,
        ];
        self.project.run(&[&args, more].concat()).expect_code(0).stdout
    }

    fn write_tables(&self, url: &str, docroot_suffix: &str, tables: &str) {
        let levels = self.levels;
        let target = |name: &str, port: u16| {
            format!(
                "[targets.{name}]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{}\"\n\
                 identity = \"{}\"\nhost-key = \"{}\"\ndocroot = \"{}{docroot_suffix}\"\n",
                self.sshd.user,
                self.sshd.identity.display(),
                self.sshd.host_key,
                self.sshd.remote_docroot,
            )
        };
        let encode = if levels == Levels::BEST {
            String::new()
        } else {
            format!("[encode]\nbrotli = {}\ngzip = {}\n", levels.brotli, levels.gzip)
        };
        // Nothing is pruned, because the peer keeps everything, too.
        self.project.write_manifest(&format!(
            "[site]\nname = \"bench\"\nurl = \"{url}\"\nexport = \"export\"\n\
             [publish]\nkeep = 1000\n{tables}{encode}{}{}compression = true\n{}compression = false\n",
            target("near", self.sshd.port),
            target("far", self.far.port),
            target("plain", self.far.port),
        ));
    }

    /// Copies the first docroot with everything in it, as if all releases had been published to both.
    pub fn copy_docroot(&self, docroot_suffix: &str) {
        let mut sibling = self.sshd.docroot.clone().into_os_string();
        sibling.push(docroot_suffix);
        let mut copy = measure::command("cp", ["-a", "--"]);
        copy.arg(&self.sshd.docroot).arg(sibling);
        measure::run(copy, Watch::Time);
    }

    /// Discards the docroot with this suffix.
    pub fn discard_docroot(&self, docroot_suffix: &str) {
        let name = self.sshd.docroot.file_name().expect("a docroot has a name").to_owned();
        let mut sibling = name;
        sibling.push(docroot_suffix);
        discard(&self.sshd.root.join(sibling));
    }

    /// Makes a home without caches, as on a machine that has never published before.
    pub fn new_home(&mut self) -> PathBuf {
        self.homes += 1;
        let home = self.project.home.join(self.homes.to_string());
        fs::create_dir(&home).expect("a new home");
        home
    }

    pub fn publish(&self, way: Way, home: &Path, watch: Watch) -> Publish {
        let (publish, said) = self.run(way, home, &["publish"], watch);
        assert_eq!(said["swapped"], true, "it was published: {said}");
        publish
    }

    /// Publishes and also returns the seconds of each stage, by name.
    pub fn publish_timed(&self, way: Way, home: &Path) -> (Publish, BTreeMap<String, f64>) {
        let (publish, said) = self.run(way, home, &["publish", "--timings"], Watch::Time);
        assert_eq!(said["swapped"], true, "it was published: {said}");
        let mut stages = BTreeMap::new();
        for stage in said["timings"].as_array().expect("a list of stages") {
            let name = stage["stage"].as_str().expect("a name").to_owned();
            *stages.entry(name).or_default() += stage["seconds"].as_f64().expect("seconds");
        }
        (publish, stages)
    }

    /// Reads the live release back, byte for byte. Also returns the number of files.
    pub fn verify(&self, way: Way) -> (Publish, u64) {
        let (took, said) = self.run(way, &self.project.home, &["verify", "--deep"], Watch::Memory);
        assert_eq!(said["ok"], true, "it is whole: {said}");
        let verified = Publish {
            round_trips: self.round_trips_of_verify(),
            ..took
        };
        (verified, said["checked"].as_u64().expect("a count"))
    }

    /// Opens a session of the library, which counts what the command does not report.
    pub fn session(&self, way: Way, what: &str) -> Session {
        let port = match way {
            Way::Near => self.sshd.port,
            Way::Far | Way::Plain => self.far.port,
        };
        let address = SftpAddress {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            user: Some(self.sshd.user.clone()),
            identity: Some(self.sshd.identity.clone()),
            host_key: Some(self.sshd.host_key.clone()),
            docroot: self.sshd.remote_docroot.clone(),
            ..SftpAddress::default()
        };
        session(
            Box::new(SftpConnector::new(address).expect("an address")),
            what,
            How::default(),
        )
    }

    /// Runs the tool with these arguments over a line; returns its measurements and the JSON that it printed.
    pub fn run(&self, way: Way, home: &Path, words: &[&str], watch: Watch) -> (Publish, serde_json::Value) {
        let target = match way {
            Way::Near => "near",
            Way::Far => "far",
            Way::Plain => "plain",
        };
        let mut command: Command = self.project.command();
        command
            .args(words)
            .args(["--json", "--quiet", "--target", target])
            .env("HOME", home)
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .envs(self.trusted.iter().map(|file| ("SSL_CERT_FILE", file)));
        let before = (self.far.bytes_up(), self.far.bytes_down());
        let ran = measure::run(command, watch);
        let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one value of JSON");
        let took = Publish {
            round_trips: said["round_trips"].as_f64().unwrap_or_default(),
            sent: lossy(self.far.bytes_up() - before.0),
            received: lossy(self.far.bytes_down() - before.1),
            ran,
        };
        (took, said)
    }

    /// Returns the options with which `ssh`, `sftp` and `scp` reach the host through a port; they read none of the
    /// user's files.
    pub fn ssh_options(&self, port: u16) -> Vec<String> {
        let options = [
            format!("HostKeyAlias=[127.0.0.1]:{}", self.sshd.port),
            format!("UserKnownHostsFile={}", self.sshd.known_hosts.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            format!("User={}", self.sshd.user),
            format!("Port={port}"),
            format!("IdentityFile={}", self.sshd.identity.display()),
        ];
        let line = ["-F".to_owned(), "/dev/null".to_owned()];
        line.into_iter()
            .chain(options.into_iter().flat_map(|option| ["-o".to_owned(), option]))
            .collect()
    }

    /// Connects to SFTP over the far line as a publish does, without any request. Returns seconds.
    pub fn connecting(&self) -> f64 {
        let mut sftp = measure::command("sftp", self.ssh_options(self.far.port));
        sftp.args(["-b", "/dev/null", "127.0.0.1"]);
        measure::run(sftp, Watch::Time).seconds
    }

    /// Returns the folder on disk that contains the docroots, and its path in SFTP.
    pub fn roots(&self) -> (&Path, String) {
        let remote = Path::new(&self.sshd.remote_docroot).parent().expect("a folder");
        (&self.sshd.root, remote.display().to_string())
    }

    /// Returns the docroot on disk.
    pub fn docroot(&self) -> &Path {
        &self.sshd.docroot
    }

    /// Returns the port of the host itself, for another line to it.
    pub fn port(&self) -> u16 {
        self.sshd.port
    }

    /// Counts the round trips of a verify through the library on the near line, because the command does not report
    /// them.
    fn round_trips_of_verify(&self) -> f64 {
        let session = self.session(Way::Near, "verify");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let live = open::read_state(&session)
                .await
                .expect("a store")
                .current
                .expect("a release");
            let verified = verify(&session, &live, Depth::Deep).await.expect("a release");
            assert!(verified.faults.is_empty(), "it is whole");
        });
        lossy(session.counts().round_trips())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        discard(&self.export);
        discard(&self.sshd.root);
    }
}

/// Converts a count to `f64`, which is exact for counts of this size.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub fn lossy(count: u64) -> f64 {
    count as f64
}
