//! Tests of scans of real folders.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Mutex;
use std::time::Duration;

use globset::{GlobBuilder, GlobSetBuilder};
use tempfile::TempDir;

use super::*;
use crate::model::encoding::Coding;
use crate::model::event::Silent;
use crate::model::path::MAX_DEPTH;
use crate::site::encode::encode;

/// An export in a temporary folder, with a place for the cache next to it.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let site = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir(site.export()).unwrap();
        for (path, bytes) in files {
            site.write(path, bytes);
        }
        site
    }

    fn export(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/digests")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.export().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    fn scan_with(&self, exclude: &[&str], cached: Option<SystemTime>) -> Result<Scan, ScanError> {
        let mut globs = GlobSetBuilder::new();
        for glob in exclude {
            globs.add(GlobBuilder::new(glob).literal_separator(true).build().unwrap());
        }
        let cache = self.cache();
        let options = ScanOptions {
            exclude: &globs.build().unwrap(),
            cache: cached.map(|_| cache.as_path()),
            now: cached.unwrap_or(UNIX),
        };
        scan(&self.export(), &options, &Silent)
    }

    fn scan(&self) -> Result<Scan, ScanError> {
        self.scan_with(&[], None)
    }

    /// Scans with the cache, and returns how many files were not read.
    fn remembered(&self, now: SystemTime) -> u64 {
        self.scan_with(&[], Some(now)).unwrap().remembered
    }

    fn paths(&self) -> Vec<String> {
        self.scan().unwrap().assets.iter().map(|a| a.path.to_string()).collect()
    }

    /// Returns the faults of a scan that must fail with some.
    fn faults(&self) -> Vec<ScanFault> {
        match self.scan() {
            Err(ScanError::Unfit(faults)) => faults.list,
            other => panic!("no faults but {other:?}"),
        }
    }

    fn fault(&self) -> ScanFault {
        let mut faults = self.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }
}

const UNIX: SystemTime = SystemTime::UNIX_EPOCH;

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

#[test]
fn symlinks_that_multiply_a_folder_end_the_walk_and_are_named() {
    let site = Site::new(&[("index.html", b"x"), ("l18/a.html", b"x")]);
    for level in 0..18 {
        for name in ["a", "b"] {
            site.link(&format!("l{level}/{name}"), &format!("../l{}", level + 1));
        }
    }
    let began = std::time::Instant::now();
    let error = site.scan_with(&[], None).unwrap_err().to_string();
    assert!(error.contains("more than 5000 symlinks to folders"), "{error}");
    assert!(error.contains("symlinks repeat one folder"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn every_file_is_found_with_its_digest_and_size_in_order_of_paths() {
    let site = Site::new(&[("b.html", b"two"), ("a/größe $(x).txt", b"one"), ("a.html", b"")]);
    let scan = site.scan().unwrap();
    let found: Vec<_> = scan
        .assets
        .iter()
        .map(|a| (a.path.as_str(), a.digest, a.size))
        .collect();
    assert_eq!(
        found,
        [
            ("a.html", Digest::of(b""), 0),
            ("a/größe $(x).txt", Digest::of(b"one"), 3),
            ("b.html", Digest::of(b"two"), 3),
        ]
    );
    assert_eq!((scan.left_out, scan.followed.len()), (LeftOut::default(), 0));
}

#[test]
fn large_files_have_the_digest_of_their_bytes() {
    let site = Site::new(&[("small", b"x")]);
    let length = usize::try_from(read::LARGE).unwrap() + 12_345;
    let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
    site.write("large", &bytes);
    assert_eq!(site.scan().unwrap().assets[0].digest, Digest::of(&bytes));
    for length in [128 << 10, (128 << 10) + 1, (128 << 10) - 1] {
        site.write("large", &bytes[..length]);
        assert_eq!(site.scan().unwrap().assets[0].digest, Digest::of(&bytes[..length]));
    }
}

#[test]
fn an_export_that_is_not_there_no_folder_or_empty_says_so() {
    let site = Site::new(&[]);
    assert!(matches!(site.scan(), Err(ScanError::Empty { .. })));
    site.write(".env", b"x");
    let empty = site.scan().unwrap_err().to_string();
    assert!(empty.contains("1 dot files"), "{empty}");
    fs::remove_dir_all(site.export()).unwrap();
    assert!(matches!(site.scan(), Err(ScanError::Missing(_))));
    fs::write(site.export(), b"a file").unwrap();
    assert!(matches!(site.scan(), Err(ScanError::NotAFolder(_))));
}

#[test]
fn dot_files_are_left_out_and_counted_but_for_well_known() {
    let site = Site::new(&[
        ("index.html", b"x"),
        (".env", b"x"),
        (".git/objects/1", b"x"),
        (".git/objects/2", b"x"),
        ("docs/.DS_Store", b"x"),
        ("docs/.well-known/x", b"x"),
        (".well-known/security.txt", b"x"),
        (".well-known/.hidden", b"x"),
    ]);
    site.link(".dangling", "nowhere");
    assert_eq!(site.paths(), [".well-known/security.txt", "index.html"]);
    assert_eq!(site.scan().unwrap().left_out.dot_files, 7);
    // Exports made for GitHub Pages have `.nojekyll` at the top; it is not counted.
    site.write(".nojekyll", b"");
    assert_eq!(site.scan().unwrap().left_out.dot_files, 7);
    assert!(
        site.scan()
            .unwrap()
            .assets
            .iter()
            .all(|asset| asset.path.name() != ".nojekyll")
    );
}

#[test]
fn excluded_files_and_folders_are_left_out_and_counted() {
    let site = Site::new(&[
        ("a.html", b"x"),
        ("a.map", b"x"),
        ("js/a.map", b"x"),
        ("drafts/a.html", b"x"),
        ("drafts/b/c.html", b"x"),
    ]);
    site.link("drafts.map", "/etc/passwd");
    let scan = site.scan_with(&["**/*.map", "drafts"], None).unwrap();
    assert_eq!(scan.assets.len(), 1);
    assert_eq!(scan.left_out.excluded, 5);
}

#[test]
fn links_that_stay_inside_are_followed_and_told_of() {
    let site = Site::new(&[("real/a.html", b"a"), ("b.html", b"b")]);
    site.link("alias", "real");
    site.link("docs/c.html", "../b.html");
    assert_eq!(site.paths(), ["alias/a.html", "b.html", "docs/c.html", "real/a.html"]);
    let scan = site.scan().unwrap();
    let followed: Vec<_> = scan
        .followed
        .iter()
        .map(|(path, to)| (path.as_str(), to.to_str().unwrap()))
        .collect();
    assert_eq!(followed, [("alias", "real"), ("docs/c.html", "b.html")]);

    struct Ear(Mutex<Vec<Event>>);
    impl Observer for Ear {
        fn notice(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }
    let ear = Ear(Mutex::default());
    let options = ScanOptions {
        exclude: &GlobSet::empty(),
        cache: None,
        now: UNIX,
    };
    super::scan(&site.export(), &options, &ear).unwrap();
    let events = ear.0.into_inner().unwrap();
    let links = events
        .iter()
        .filter(|e| matches!(e, Event::Noted(Note::SymlinkFollowed { .. })));
    assert_eq!(links.count(), 2);
    let done = |event: &Event| match event {
        Event::Progressed { items, bytes, .. } => (*items, *bytes),
        _ => (0, 0),
    };
    let sum = events.iter().map(done).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert_eq!(sum, (4, 4));
    assert_eq!(events.last(), Some(&Event::StageEnded(Stage::Scan)));
}

#[test]
fn links_that_leave_the_export_are_refused_and_nothing_behind_them_is_read() {
    let site = Site::new(&[("index.html", b"x")]);
    fs::create_dir(site.folder.path().join("outside")).unwrap();
    fs::write(site.folder.path().join("outside/secret"), b"s").unwrap();
    site.link("file", "../outside/secret");
    site.link("folder", "../outside");
    site.link("hop", "folder/secret");
    site.link("host", "/etc/hostname");
    // A sibling whose name starts with the name of the export.
    fs::write(site.folder.path().join("out2"), b"s").unwrap();
    site.link("near", "../out2");
    let faults = site.faults();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["file", "folder", "hop", "host", "near"]);
    assert!(
        faults.iter().all(|f| matches!(f.kind, FaultKind::LeavesExport(_))),
        "{faults:?}"
    );
}

#[test]
fn dangling_links_and_loops_are_named() {
    let site = Site::new(&[("a/index.html", b"x")]);
    site.link("a/up", "..");
    site.link("gone", "nowhere");
    site.link("self", "self");
    let faults = site.faults();
    assert!(matches!(faults[0].kind, FaultKind::Loop), "{faults:?}");
    assert!(
        matches!(&faults[1].kind, FaultKind::Dangling(target) if target == "nowhere"),
        "{faults:?}"
    );
    assert!(matches!(faults[2].kind, FaultKind::Loop), "{faults:?}");
}

#[test]
fn pipes_and_sockets_are_refused_without_waiting_for_them() {
    let site = Site::new(&[("index.html", b"x")]);
    let made = std::process::Command::new("mkfifo")
        .arg(site.at("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.at("sock")).unwrap();
    let faults = site.faults();
    let kinds: Vec<_> = faults.iter().map(|fault| fault.kind.to_string()).collect();
    assert_eq!(kinds, ["it is a named pipe, not a file", "it is a socket, not a file"]);
}

#[test]
fn a_file_swapped_for_a_pipe_or_a_link_is_a_change() {
    let site = Site::new(&[("a", b"x"), ("b", b"x"), ("c", b"x")]);
    let stamp = read::stamp(&site.at("a")).unwrap();
    fs::remove_file(site.at("a")).unwrap();
    assert!(matches!(read::digest(&site.at("a"), &stamp), Err(Broken::Vanished)));
    std::process::Command::new("mkfifo").arg(site.at("a")).status().unwrap();
    assert!(matches!(read::digest(&site.at("a"), &stamp), Err(Broken::Changed)));
    assert!(matches!(read::stamp(&site.at("a")), Err(Broken::Changed)));

    let stamp = read::stamp(&site.at("b")).unwrap();
    fs::remove_file(site.at("b")).unwrap();
    site.link("b", "c");
    assert!(matches!(read::digest(&site.at("b"), &stamp), Err(Broken::Changed)));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let site = Site::new(&[("a", b"before")]);
    let stamp = read::stamp(&site.at("a")).unwrap();
    let opened = read::Opened::open(&site.at("a"), &stamp).unwrap();
    opened.unchanged().unwrap();
    File::options()
        .append(true)
        .open(site.at("a"))
        .unwrap()
        .write_all(b"+")
        .unwrap();
    assert!(matches!(opened.unchanged(), Err(Broken::Changed)));
    assert!(matches!(read::digest(&site.at("a"), &stamp), Err(Broken::Changed)));
    let path = SitePath::new("a").unwrap();
    let error = Faults::default().take(&path, Broken::Changed).unwrap_err();
    assert!(matches!(error, ScanError::Changed(path) if path.as_str() == "a"));
}

#[test]
fn names_that_no_site_can_have_are_all_named_at_once() {
    let site = Site::new(&[("index.html", b"x"), ("a\nb", b"x"), ("\u{202e}lmth.x/y", b"x")]);
    site.write(&format!("{}x", "d/".repeat(MAX_DEPTH + 1)), b"x");
    site.write(&"n".repeat(254), b"x");
    fs::write(site.export().join(std::ffi::OsStr::from_bytes(b"\xff.html")), b"x").unwrap();
    let faults = site.faults();
    assert_eq!(faults.len(), 5, "{faults:?}");
    for fault in &faults {
        let text = fault.to_string();
        assert!(!text.chars().any(crate::model::path::is_unprintable), "{text:?}");
    }
    assert_eq!(
        faults.iter().filter(|f| matches!(f.kind, FaultKind::NotUtf8)).count(),
        1
    );
}

#[test]
fn what_may_not_be_read_is_named() {
    let site = Site::new(&[("index.html", b"x"), ("shut/a", b"x"), ("locked", b"x")]);
    fs::set_permissions(site.at("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(site.at("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(site.at("locked")).is_ok() {
        eprintln!("skipped: to this user nothing is unreadable");
    } else {
        let faults = site.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults.iter().all(|f| matches!(f.kind, FaultKind::Unreadable(_))),
            "{faults:?}"
        );
    }
    fs::set_permissions(site.at("shut"), fs::Permissions::from_mode(0o700)).unwrap();
}

fn encoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    encode(coding, 9, bytes).unwrap().unwrap()
}

#[test]
fn encodings_of_a_file_are_given_with_it() {
    let text = b"to be or not to be ".repeat(50);
    let (br, gz) = (encoded(Coding::Brotli, &text), encoded(Coding::Gzip, &text));
    let site = Site::new(&[
        ("a.js", &text),
        ("a.js.br", &br),
        ("a.js.gz", &gz),
        ("feed.xml.gz", &gz),
        ("empty.css", b""),
    ]);
    assert_eq!(site.paths(), ["a.js", "empty.css", "feed.xml.gz"]);
    let asset = site.scan().unwrap().assets.remove(0);
    let wanted = |bytes: &[u8]| {
        Some(Given {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        })
    };
    assert_eq!(
        (asset.given.get(Coding::Brotli), asset.given.get(Coding::Gzip)),
        (wanted(&br), wanted(&gz))
    );
}

#[test]
fn a_file_that_does_not_decode_to_the_one_beside_it_is_refused() {
    let text = b"to be or not to be ".repeat(50);
    let whole = encoded(Coding::Gzip, &text);
    let other = encoded(Coding::Gzip, &text.to_ascii_uppercase());
    let bomb = encoded(Coding::Gzip, &vec![0; 10 << 20]);
    let twice = whole.repeat(2);
    for bytes in [&b"plain"[..], b"", &other, &bomb, &whole[..40], &twice] {
        let site = Site::new(&[("a.js", &text), ("a.js.gz", bytes)]);
        let fault = site.fault();
        assert_eq!(fault.path, "a.js.gz");
        assert!(
            matches!(&fault.kind, FaultKind::WrongEncoding { of, .. } if of.as_str() == "a.js"),
            "{fault}"
        );
    }
}

#[test]
fn in_a_chain_of_encodings_only_the_first_is_given() {
    let text = b"to be or not to be ".repeat(50);
    let gz = encoded(Coding::Gzip, &text);
    // Compressed data gets no smaller; Brotli stores it.
    let mut br = Vec::new();
    brotli::BrotliCompress(&mut &gz[..], &mut br, &brotli::enc::BrotliEncoderParams::default()).unwrap();
    let site = Site::new(&[("a", &text), ("a.gz", &gz), ("a.gz.br", &br)]);
    assert_eq!(site.paths(), ["a", "a.gz.br"]);
    site.write("a.gz.br", b"something else");
    assert_eq!(site.fault().path, "a.gz.br");
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let site = Site::new(&[("a", b"one"), ("b", b"two")]);
    let first = site.scan_with(&[], Some(later())).unwrap();
    assert_eq!(first.remembered, 0);
    let again = site.scan_with(&[], Some(later())).unwrap();
    assert_eq!(again.remembered, 2);
    assert_eq!(again.assets, first.assets);
    fs::remove_file(site.at("b")).unwrap();
    assert_eq!(site.remembered(later()), 1);
}

#[test]
fn a_changed_file_is_read_again_even_if_its_size_and_time_are_set_back() {
    let site = Site::new(&[("a", b"one"), ("b", b"two")]);
    site.remembered(later());
    let modified = fs::metadata(site.at("a")).unwrap().modified().unwrap();
    site.write("a", b"new");
    File::options()
        .append(true)
        .open(site.at("a"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let scan = site.scan_with(&[], Some(later())).unwrap();
    assert_eq!(scan.remembered, 1);
    assert_eq!(scan.assets[0].digest, Digest::of(b"new"));
}

#[test]
fn a_file_touched_just_before_the_scan_is_not_remembered() {
    let site = Site::new(&[("a", b"one")]);
    let now = SystemTime::now();
    assert_eq!(site.remembered(now), 0);
    assert_eq!(site.remembered(now), 0, "the file's clock may not have moved on");
    assert_eq!(site.remembered(now + Duration::from_secs(60)), 0);
    assert_eq!(site.remembered(now + Duration::from_secs(60)), 1);
}

#[test]
fn a_file_or_a_cache_from_the_future_is_not_trusted() {
    let site = Site::new(&[("a", b"one")]);
    assert_eq!(site.remembered(later()), 0);
    assert_eq!(
        site.remembered(SystemTime::now()),
        0,
        "the cache was written in an hour"
    );
    let far = SystemTime::now() + Duration::from_secs(86_400);
    File::options()
        .append(true)
        .open(site.at("a"))
        .unwrap()
        .set_modified(far)
        .unwrap();
    assert_eq!(site.remembered(later()), 0);
    assert_eq!(site.remembered(later()), 0);
}

#[test]
fn the_cache_may_be_damaged_deleted_or_impossible_to_write() {
    let site = Site::new(&[("a", b"one")]);
    site.remembered(later());
    let file = fs::read_dir(site.cache()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
    fs::write(&file, b"garbage").unwrap();
    assert_eq!(site.remembered(later()), 0);
    assert_eq!(site.remembered(later()), 1, "it was written anew");
    fs::remove_dir_all(site.cache()).unwrap();
    assert_eq!(site.remembered(later()), 0);
    fs::remove_dir_all(site.cache()).unwrap();
    fs::write(site.cache(), b"a file where the folder goes").unwrap();
    assert_eq!(site.remembered(later()), 0);
}

#[test]
fn the_cache_is_written_only_when_something_changed() {
    let site = Site::new(&[("a", b"one")]);
    site.remembered(later());
    let file = fs::read_dir(site.cache()).unwrap().next().unwrap().unwrap().path();
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap());
    let before = inode();
    site.remembered(later());
    assert_eq!(inode(), before);
    site.write("b", b"two");
    site.remembered(later());
    assert_ne!(inode(), before);
}
