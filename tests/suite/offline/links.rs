//! Files with more hard links than the file system allows. The publish continues with another copy of the same content.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use syntax_publish::host::{Local, Op, RefusalKind};

use crate::support::bench::{Command, Content, Encode, How, content, faults_of_live, run, seen};
use crate::support::intercept::Intercept;

/// A folder as a host whose file system allows a file `most` hard links.
fn sparing(docroot: &Path, most: u64) -> Intercept {
    let folder = docroot.to_owned();
    Intercept::folder(docroot).refuse(RefusalKind::Failed, move |op| {
        let Op::Link { from, .. } = op else { return false };
        fs::symlink_metadata(folder.join(from)).is_ok_and(|file| file.nlink() >= most)
    })
}

fn how() -> How {
    How {
        encode: Encode::Brotli,
        ..How::default()
    }
}

/// Asserts that the live site is `site`, byte for byte, and has no faults.
async fn is_live(host: &Intercept, docroot: &Path, site: &Content) {
    assert_eq!(faults_of_live(Box::new(host.clone())).await, []);
    let live = seen(&Local::open(docroot).unwrap()).await.site;
    let plain = |path: &str| Path::new(path).extension().is_none_or(|extension| extension != "br");
    let live: Content = live.into_iter().filter(|(path, _)| plain(path)).collect();
    assert!(live == *site, "what is live is the site");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_links_are_used_up_is_published_from_another_copy() {
    let folder = tempfile::tempdir().unwrap();
    let docroot = folder.path().join("docroot");
    // The object, the temporary file while it exists, and a link in each of three folders.
    let host = sparing(&docroot, 5);
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
        is_live(&host, &docroot, &site).await;
    }
}

/// A site that links one file more often than ext4 allows: a payload that is identical for all pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_has_more_names_of_one_file_than_a_file_system_allows() {
    const FOLDERS: usize = 66;
    const NAMES: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let docroot = folder.path().join("docroot");
    let host = sparing(&docroot, 65_000);
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
    for tree in fs::read_dir(docroot.join("trees")).unwrap() {
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
