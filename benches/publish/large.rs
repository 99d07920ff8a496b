//! Measures one large file over lines of several lengths, compared with programs that only copy it.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::measure::{self, Row, Table, Watch, command};
use crate::ours::{Levels, Ours, Way};
use crate::scenarios::{Extent, say};
use crate::site::{self, PAGES_A_SECTION};
use crate::support::delay::DelayProxy;
use crate::support::sshd::Offer;

/// Publishes the file, and immediately afterwards copies it with each peer over the same line.
pub fn large(extent: Extent, table: &mut Table) {
    let (rounds, mebibytes, lines) = match extent {
        Extent::Quick => (1, 10, vec![(50, Way::Far)]),
        Extent::Full => (
            5,
            100,
            vec![(0, Way::Far), (0, Way::Plain), (50, Way::Far), (150, Way::Far)],
        ),
    };
    let mut ours = Ours::with(Levels::QUICK, Offer::default(), |export| {
        site::write_in_sections(export, PAGES_A_SECTION, PAGES_A_SECTION);
        site::write_noise(&export.join("film.mp4"), mebibytes);
    });
    let home = ours.new_home();
    ours.publish(Way::Near, &home, Watch::Time);
    let mut revision = 0;
    for (milliseconds, way) in lines {
        ours.far = DelayProxy::start(ours.port(), Duration::from_millis(milliseconds));
        ours.write_manifest(Levels::QUICK, "");
        let mut all = Row::new("syntax-publish, all that a publish does");
        let mut alone = Row::new("its sending alone (stage sync: read, hashed, sent, flushed)");
        let mut peers = PEERS.map(|peer| {
            (
                Row::new(peer.name()),
                Row::new(format!("{}, without connecting", peer.name())),
            )
        });
        for round in 0..rounds {
            say(&format!(
                "{mebibytes} MiB at RTT {milliseconds} ms: {} of {rounds}",
                round + 1
            ));
            revision += 1;
            renew(&ours.export.join("film.mp4"), revision);
            let (publish, stages) = ours.publish_timed(way, &home);
            let sync = stages.get("sync").copied().expect("it was sent ahead");
            let connecting = ours.connecting();
            all.add(&publish);
            alone.time.push(sync);
            alone.against.push(sync / publish.ran.seconds);
            for (peer, (whole, less)) in PEERS.iter().zip(&mut peers) {
                let (seconds, sent) = peer.copy(&ours);
                whole.time.push(seconds);
                whole.sent.push(sent);
                whole.against.push(seconds / publish.ran.seconds);
                less.time.push(seconds - connecting);
                less.against.push((seconds - connecting) / sync);
            }
        }
        let said = match way {
            Way::Plain => ", compression = false",
            Way::Far => ", compression = true",
            Way::Near => "",
        };
        table.group(&format!(
            "one new file of {mebibytes} MiB, RTT {milliseconds} ms{said}; \"without connecting\" is divided by the sending alone"
        ));
        table.push(&all);
        table.push(&alone);
        for (whole, less) in &peers {
            table.push(whole);
            table.push(less);
        }
    }
}

/// Overwrites eight bytes near the beginning of the noise, which makes it a different file that must be sent
/// completely.
fn renew(path: &Path, revision: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("a large file");
    file.write_all_at(&revision.to_le_bytes(), 8)
        .expect("a large file to be written");
}

/// A program that people copy a file with. Compression is off because it only costs time for such a file.
#[derive(Clone, Copy)]
enum Peer {
    Sftp,
    /// Waits for the disk, as a publish does.
    SftpFlushed,
    Scp,
}

const PEERS: [Peer; 3] = [Peer::Sftp, Peer::SftpFlushed, Peer::Scp];

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Peer::Sftp => "sftp put",
            Peer::SftpFlushed => "sftp put -f, which waits for the disk",
            Peer::Scp => "scp",
        }
    }

    /// Copies the film to the host over the far line and removes it there. Returns seconds and bytes sent.
    fn copy(self, ours: &Ours) -> (f64, f64) {
        let (folder, remote) = ours.roots();
        let file = ours.export.join("film.mp4");
        let options = ours.ssh_options(ours.far.port);
        let mut batch = tempfile::NamedTempFile::new().expect("a file for a batch");
        let copy = match self {
            Peer::Scp => {
                let mut scp = command("scp", ["-q"]);
                scp.args(options).arg(&file).arg(format!("127.0.0.1:{remote}/film"));
                scp
            }
            Peer::Sftp | Peer::SftpFlushed => {
                let flush = if matches!(self, Peer::Sftp) { "" } else { "-f " };
                writeln!(batch, "put {flush}{} {remote}/film", file.display()).expect("a batch to be written");
                let mut sftp = command("sftp", ["-q"]);
                sftp.args(options).arg("-b").arg(batch.path()).arg("127.0.0.1");
                sftp
            }
        };
        let before = ours.far.bytes_up();
        let ran = measure::run(copy, Watch::Time);
        let sent = crate::ours::lossy(ours.far.bytes_up() - before);
        let copied = folder.join("film");
        let (here, there) = (fs::metadata(&file), fs::metadata(&copied));
        assert_eq!(
            here.expect("the film").len(),
            there.expect("its copy").len(),
            "all of it arrived"
        );
        fs::remove_file(copied).expect("the copy to be removed");
        (ran.seconds, sent)
    }
}
