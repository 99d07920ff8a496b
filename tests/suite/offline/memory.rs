//! The host in memory must answer like a local folder, operation for operation.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use syntax_publish::host::{Answer, Host, Kind, Local, Op, Refusal, RefusalKind};

use crate::support::memory::{Disk, Memory};

/// Paths that collide often. Some go up through symlinks and back.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "..", "."]);
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        6 => prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 2..4).prop_map(|parts| parts.join("/")),
        2 => (prop::collection::vec(name, 1..5), prop::sample::select(vec!["a", "b", "c"]))
            // Not out of the docroot, because the real folder's surroundings belong to this machine.
            .prop_filter("stays inside", |(parts, _)| {
                let mut depth = 0;
                parts.iter().all(|part| {
                    depth += match *part { ".." => -1, "." => 0, _ => 1 };
                    depth >= 0
                })
            })
            .prop_map(|(parts, last)| format!("{}/{last}", parts.join("/"))),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let text = prop::sample::select(vec!["a", "b/c", "nowhere", "./a", "c"]).prop_map(str::to_owned);
    prop_oneof![
        1 => path().prop_map(Op::Lstat),
        1 => path().prop_map(Op::Stat),
        1 => path().prop_map(Op::ReadLink),
        1 => path().prop_map(Op::Resolve),
        1 => path().prop_map(Op::List),
        4 => path().prop_map(Op::MakeFolder),
        3 => (text, path()).prop_map(|(text, at)| Op::Symlink { text, at }),
        3 => (path(), path()).prop_map(|(from, to)| Op::Link { from, to }),
        6 => (path(), path()).prop_map(|(from, to)| Op::Rename { from, to }),
        1 => path().prop_map(Op::RemoveFile),
        1 => path().prop_map(Op::RemoveFolder),
        3 => path().prop_map(Op::Create),
        1 => path().prop_map(Op::Open),
    ]
}

/// An answer without what differs by nature: the location of the docroot, sizes of folders, times and owners.
fn told(answer: &Result<Answer, Refusal>, root: &str) -> String {
    let kind = |kind: Kind, size: u64, mode: u32| {
        let size = if kind == Kind::Folder { 0 } else { size };
        format!("{kind:?} {size} {mode:o}")
    };
    match answer {
        Err(refusal) => format!("{:?}", refusal.kind),
        Ok(Answer::Attr(attr)) => kind(attr.kind, attr.size, attr.mode),
        Ok(Answer::Text(text)) => text.replace(root, "[docroot]"),
        Ok(Answer::Names(names)) => {
            let mut lines: Vec<String> = names
                .iter()
                .map(|(name, attr)| format!("{name} {}", kind(attr.kind, attr.size, attr.mode)))
                .collect();
            lines.sort();
            lines.join(", ")
        }
        Ok(Answer::Opened(_)) => "opened".to_owned(),
        Ok(other) => format!("{other:?}"),
    }
}

/// Sends the operations to both hosts, writes to each new file, and compares every answer.
fn compare(ops: &[Op]) {
    let folder = tempfile::tempdir().unwrap();
    let docroot = folder.path().canonicalize().unwrap().join("docroot");
    let (local, memory) = (Local::open(&docroot).unwrap(), Memory::new(Disk::new(1_000_000)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let root = docroot.to_str().unwrap();
    let both = |op: &Op| {
        let one = runtime.block_on(local.flight(vec![op.clone()])).unwrap().remove(0);
        let other = runtime.block_on(memory.flight(vec![op.clone()])).unwrap().remove(0);
        assert_eq!(told(&one, root), told(&other, "/docroot"), "{op}\n{ops:#?}");
        (one, other)
    };
    let _ = both(&Op::MakeFolder(String::new()));
    for (number, op) in ops.iter().enumerate() {
        if let (Ok(Answer::Opened(here)), Ok(Answer::Opened(there))) = both(op)
            && matches!(op, Op::Create(_))
        {
            // The two hosts number their handles differently.
            for (host, handle) in [(&local as &dyn Host, here), (&memory, there)] {
                let bytes = number.to_string().into_bytes();
                let ops = vec![
                    Op::Write {
                        handle,
                        offset: 1,
                        bytes,
                    },
                    Op::Finish { handle, mtime: 12345 },
                    Op::Close(handle),
                ];
                let answers = runtime.block_on(host.flight(ops)).unwrap();
                assert!(answers[0].is_ok() && answers[1].is_ok());
                assert_eq!(answers[2].as_ref().unwrap_err().kind, RefusalKind::Failed);
            }
        }
    }
    let real = walked(&docroot);
    let told = memory.disk().told(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(real, told, "{ops:#?}");
    for one in real.keys() {
        for other in real.keys() {
            let inode = |path: &str| fs::symlink_metadata(docroot.join(path)).unwrap().ino();
            assert_eq!(
                inode(one) == inode(other),
                memory.disk().is_same(one, other),
                "{one} {other}"
            );
        }
    }
}

fn walked(docroot: &std::path::Path) -> std::collections::BTreeMap<String, String> {
    walkdir::WalkDir::new(docroot)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(docroot).unwrap().to_str().unwrap().to_owned();
            let what = if entry.file_type().is_dir() {
                "folder".to_owned()
            } else if entry.file_type().is_symlink() {
                format!("-> {}", fs::read_link(entry.path()).unwrap().display())
            } else {
                fs::read_to_string(entry.path()).unwrap()
            };
            (path, what)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn memory_answers_as_a_folder_does(ops in prop::collection::vec(op(), 1..60)) {
        compare(&ops);
    }
}
