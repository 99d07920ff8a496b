//! Files with more hard links than the file system allows. The publish continues with another copy of the same content.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use syntax_publish::host::{Answers, Connect, Host, HostError, Local, Op, Refusal, RefusalKind};

use crate::support::bench::{Command, Content, Encode, How, content, faults_of_live, run, seen};

/// A folder as a host whose file system limits the number of hard links of a file.
#[derive(Clone)]
struct Sparing {
    docroot: PathBuf,
    most: u64,
}

struct Spared {
    local: Local,
    of: Sparing,
}

impl Connect for Sparing {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async {
            let local = Local::open(&self.docroot)?;
            Ok(Box::new(Spared {
                local,
                of: self.clone(),
            }) as Box<dyn Host>)
        })
    }

    fn name(&self) -> String {
        "the host".to_owned()
    }
}

impl Spared {
    fn refuses(&self, op: &Op) -> bool {
        let Op::Link { from, .. } = op else { return false };
        let there = fs::symlink_metadata(self.of.docroot.join(from));
        there.is_ok_and(|file| file.nlink() >= self.of.most)
    }
}

impl Host for Spared {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        Box::pin(async move {
            let mut answers = Answers::new();
            for op in ops {
                if self.refuses(&op) {
                    answers.push(Err(Refusal {
                        kind: RefusalKind::Failed,
                        op: "link".to_owned(),
                        message: "Failure".to_owned(),
                    }));
                } else {
                    answers.extend(self.local.flight(vec![op]).await?);
                }
            }
            Ok(answers)
        })
    }

    fn name(&self) -> String {
        "the host".to_owned()
    }
}

fn how() -> How {
    How {
        encode: Encode::Brotli,
        ..How::default()
    }
}

/// Asserts that the live site is `site`, byte for byte, and has no faults.
async fn is_live(host: &Sparing, site: &Content) {
    assert_eq!(faults_of_live(Box::new(host.clone())).await, []);
    let live = seen(&Local::open(&host.docroot).unwrap()).await.site;
    let plain = |path: &str| Path::new(path).extension().is_none_or(|extension| extension != "br");
    let live: Content = live.into_iter().filter(|(path, _)| plain(path)).collect();
    assert!(live == *site, "what is live is the site");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_links_are_used_up_is_published_from_another_copy() {
    let folder = tempfile::tempdir().unwrap();
    let host = Sparing {
        docroot: folder.path().join("docroot"),
        // The object, the temporary file while it exists, and a link in each of three folders.
        most: 5,
    };
    let mut site = content([
        ("index.html", "home"),
        ("a/shared.txt", "the same"),
        ("b/shared.txt", "the same"),
        ("c/shared.txt", "the same"),
        ("a/own.txt", "a"),
        ("b/own.txt", "b"),
        ("c/own.txt", "c"),
    ]);
    run(Box::new(host.clone()), &Command::Publish(site.clone()), how())
        .await
        .unwrap();
    // Each changed folder links the unchanged file again.
    for (path, text) in [
        ("a/own.txt", "a2"),
        ("b/own.txt", "b2"),
        ("c/own.txt", "c2"),
        ("a/own.txt", "a3"),
    ] {
        site.extend(content([(path, text)]));
        run(Box::new(host.clone()), &Command::Publish(site.clone()), how())
            .await
            .unwrap();
        is_live(&host, &site).await;
    }
}

/// A site that links one file more often than ext4 allows: a payload that is identical for all pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_has_more_names_of_one_file_than_a_file_system_allows() {
    const FOLDERS: usize = 66;
    const NAMES: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let host = Sparing {
        docroot: folder.path().join("docroot"),
        most: 65_000,
    };
    let mut site = Content::new();
    for number in 0..FOLDERS {
        site.insert(format!("d{number}/own.bin"), number.to_string().into_bytes());
        site.extend((0..NAMES).map(|name| (format!("d{number}/{name}.bin"), b"the same".to_vec())));
    }
    run(Box::new(host.clone()), &Command::Publish(site.clone()), how())
        .await
        .unwrap();
    assert_eq!(faults_of_live(Box::new(host.clone())).await, []);
    let mut names: HashMap<u64, usize> = HashMap::new();
    for tree in fs::read_dir(host.docroot.join("trees")).unwrap() {
        for file in fs::read_dir(tree.unwrap().path()).unwrap() {
            let file = fs::symlink_metadata(file.unwrap().path()).unwrap();
            *names.entry(file.ino()).or_default() += usize::from(file.is_file());
        }
    }
    assert_eq!(names.values().sum::<usize>(), site.len());
    assert!(
        names.values().all(|names| *names <= 30_000),
        "each copy has room for later names"
    );
}
