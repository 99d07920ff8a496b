//! Hosts that deliberately give wrong answers. Whatever a host answers, every command must end, and no operation may
//! name a path outside the docroot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syntax_publish::host::{Answer, Attr, Kind, Op, Refusal};
use syntax_publish::model::layout;
use syntax_publish::store::Error;
use syntax_publish::store::open;
use syntax_publish::store::prune;
use syntax_publish::store::publish::{Job, publish};
use syntax_publish::store::releases;
use syntax_publish::store::repair::Repair;
use syntax_publish::store::rollback::{self, Destination};
use syntax_publish::store::session::Session;
use syntax_publish::store::signing::Signing;
use syntax_publish::store::verify::{Depth, verify};

use crate::offline::verify::{Place, publishing, session};
use crate::support::intercept::Intercept;

/// Replaces one answer with another.
type Lie = fn(&Op, Result<Answer, Refusal>) -> Result<Answer, Refusal>;

/// A host that lies, and the operations it was asked for outside of its docroot.
struct Lying {
    connect: Intercept,
    outside: Arc<Mutex<Vec<String>>>,
}

impl Lying {
    fn new(docroot: &Path, lie: Lie) -> Lying {
        let outside = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&outside);
        let note = move |ops: &[Op]| {
            let leaving = ops.iter().filter(|op| paths(op).iter().any(|path| leaves(path)));
            noted.lock().unwrap().extend(leaving.map(ToString::to_string));
        };
        Lying {
            connect: Intercept::folder(docroot).watch(note).change(lie),
            outside,
        }
    }
}

/// The paths of an operation, relative to the docroot.
fn paths(op: &Op) -> Vec<&str> {
    match op {
        Op::Lstat(path)
        | Op::Stat(path)
        | Op::ReadLink(path)
        | Op::Resolve(path)
        | Op::List(path)
        | Op::Space(path)
        | Op::MakeFolder(path)
        | Op::RemoveFile(path)
        | Op::RemoveFolder(path)
        | Op::Create(path)
        | Op::Open(path) => vec![path],
        Op::Symlink { at, .. } => vec![at],
        Op::Link { from, to } | Op::Rename { from, to } => vec![from, to],
        Op::Read { .. } | Op::Write { .. } | Op::Copy { .. } | Op::Finish { .. } | Op::Close(_) => Vec::new(),
    }
}

/// Whether a path leaves the docroot, or ends at something that does not belong to the store.
fn leaves(path: &str) -> bool {
    let mut stack: Vec<&str> = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." {
            if stack.pop().is_none() {
                return true;
            }
            // A guard path goes through a symlink into `trees/`, and its `..` components start there.
        } else {
            stack.push(segment);
        }
    }
    let ours = |name: &str| layout::FOLDERS.contains(&name) || layout::NAMES.contains(&name);
    path.contains('\0') || stack.first().is_some_and(|first| !ours(first))
}

#[test]
fn what_leaves_the_docroot_is_known_from_what_does_not() {
    for path in [
        "",
        "objects/ab/x",
        "trees/x/../../lock/r/t/1",
        "lock/r/../../immutable/a",
        "current",
    ] {
        assert!(!leaves(path), "{path}");
    }
    for path in [
        "..",
        "../x",
        "trees/../../x",
        "objects/../../etc/passwd",
        "etc/passwd",
        "releases/../x",
    ] {
        assert!(leaves(path), "{path}");
    }
}

const HUGE: Attr = Attr {
    kind: Kind::File,
    size: u64::MAX,
    mtime: i64::MAX,
    mode: u32::MAX,
    uid: u32::MAX,
};

/// Names that a host may list to mislead a tool.
const NAMES: [&str; 10] = [
    "..",
    ".",
    "",
    "../../etc",
    "a/b",
    "/etc/passwd",
    "\u{1b}[2J",
    "20260101-000000-000000",
    "0000000000000000",
    "20260101-000000-000000.json",
];

fn named(kind: Kind) -> Answer {
    let attr = |size| Attr { kind, size, ..HUGE };
    Answer::Names(NAMES.iter().map(|name| ((*name).to_owned(), attr(7))).collect())
}

const LIES: [(&str, Lie); 22] = [
    ("all is done", |_, _| Ok(Answer::Done)),
    ("texts in place of all", |_, answer| {
        answer.map(|_| Answer::Text("x".to_owned()))
    }),
    ("attributes in place of all", |_, answer| {
        answer.map(|_| Answer::Attr(HUGE))
    }),
    ("nothing was refused", |_, answer| Ok(answer.unwrap_or(Answer::Done))),
    ("everything is huge and late", |_, answer| {
        answer.map(|answer| match answer {
            Answer::Attr(attr) => Answer::Attr(Attr {
                size: u64::MAX,
                mtime: i64::MAX,
                ..attr
            }),
            Answer::Names(names) => Answer::Names(
                names
                    .into_iter()
                    .map(|(name, attr)| {
                        (
                            name,
                            Attr {
                                size: u64::MAX,
                                mtime: i64::MAX,
                                ..attr
                            },
                        )
                    })
                    .collect(),
            ),
            other => other,
        })
    }),
    ("everything is from before time", |_, answer| {
        answer.map(|answer| match answer {
            Answer::Attr(attr) => Answer::Attr(Attr {
                size: 0,
                mtime: i64::MIN,
                ..attr
            }),
            other => other,
        })
    }),
    ("everything is a folder", |_, answer| {
        answer.map(|answer| match answer {
            Answer::Attr(attr) => Answer::Attr(Attr {
                kind: Kind::Folder,
                ..attr
            }),
            Answer::Names(names) => Answer::Names(
                names
                    .into_iter()
                    .map(|(name, attr)| {
                        (
                            name,
                            Attr {
                                kind: Kind::Folder,
                                ..attr
                            },
                        )
                    })
                    .collect(),
            ),
            other => other,
        })
    }),
    ("everything is a symlink", |_, answer| {
        answer.map(|answer| match answer {
            Answer::Attr(attr) => Answer::Attr(Attr {
                kind: Kind::Symlink,
                ..attr
            }),
            other => other,
        })
    }),
    ("files without an end", |op, answer| match (op, answer) {
        (Op::Read { length, .. }, Ok(_)) => Ok(Answer::Bytes(vec![b'x'; *length as usize])),
        (_, answer) => answer,
    }),
    ("more than was asked for", |op, answer| match (op, answer) {
        (Op::Read { length, .. }, Ok(_)) => Ok(Answer::Bytes(vec![b'{'; 3 * *length as usize])),
        (_, answer) => answer,
    }),
    ("files of nothing", |op, answer| match (op, answer) {
        (Op::Read { .. }, Ok(_)) => Ok(Answer::Bytes(Vec::new())),
        (_, answer) => answer,
    }),
    ("a file in place of every other", |op, answer| match (op, answer) {
        (Op::Read { .. }, Ok(_)) => Ok(Answer::Bytes(b"{\"format\":1}".to_vec())),
        (_, answer) => answer,
    }),
    ("evil files in every folder", |op, answer| match (op, answer) {
        (Op::List(_), _) => Ok(named(Kind::File)),
        (_, answer) => answer,
    }),
    ("evil folders in every folder", |op, answer| match (op, answer) {
        // The nesting has to end: a path with four slashes lists as empty.
        (Op::List(path), _) if path.matches('/').count() < 4 => Ok(named(Kind::Folder)),
        (Op::List(_), _) => Ok(Answer::Names(Vec::new())),
        (_, answer) => answer,
    }),
    ("evil links in every folder", |op, answer| match (op, answer) {
        (Op::List(_), _) => Ok(named(Kind::Symlink)),
        (_, answer) => answer,
    }),
    ("a hundred thousand names", |op, answer| match (op, answer) {
        (Op::List(_), Ok(_)) => {
            let attr = Attr {
                kind: Kind::Symlink,
                size: 1,
                ..HUGE
            };
            Ok(Answer::Names(
                (0..100_000).map(|n| (format!("{n:020}"), attr)).collect(),
            ))
        }
        (_, answer) => answer,
    }),
    ("links out", |op, answer| match (op, answer) {
        (Op::ReadLink(path), _) if path != layout::FORMAT => Ok(Answer::Text("../../../../etc".to_owned())),
        (_, answer) => answer,
    }),
    ("a current that leads out", |op, answer| match op {
        Op::ReadLink(path) if path == layout::CURRENT => Ok(Answer::Text("releases/../../../etc".to_owned())),
        _ => answer,
    }),
    ("a generation at the end of time", |op, answer| match op {
        Op::ReadLink(path) if path == layout::GENERATION => {
            Ok(Answer::Text(format!("{0}.{0}-0123456789abcdef", i64::MAX)))
        }
        _ => answer,
    }),
    ("texts of a megabyte", |op, answer| match (op, answer) {
        (Op::ReadLink(path), Ok(_)) if path != layout::FORMAT => Ok(Answer::Text("x/".repeat(1 << 19))),
        (_, answer) => answer,
    }),
    ("documents that are each other's past", |op, answer| {
        match (op, answer) {
            (Op::Read { .. }, Ok(Answer::Bytes(bytes))) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let id = text.split("\"id\": \"").nth(1).and_then(|rest| rest.split('"').next());
                match id {
                    Some(id) => {
                        let looped = text.replacen("\"files\"", &format!("\"previous\": \"{id}\", \"files\""), 1);
                        Ok(Answer::Bytes(looped.into_bytes()))
                    }
                    None => Ok(Answer::Bytes(bytes)),
                }
            }
            (_, answer) => answer,
        }
    }),
    ("no room and no end of it", |op, answer| match op {
        Op::Space(_) => Ok(Answer::Space(syntax_publish::host::Space {
            bytes: u64::MAX,
            files: Some(u64::MAX),
            read_only: true,
        })),
        _ => answer,
    }),
];

/// A store with two releases. Next to the docroot is a folder that must not change.
async fn place() -> Place {
    let place = Place::with_site();
    place.publish().await;
    place.write("docs/a.html", "<!DOCTYPE html><p>changed</p>");
    place.publish().await;
    let beside = place.docroot().parent().unwrap().join("beside");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("etc"), "not yours").unwrap();
    place
}

/// Runs every command that reads from a host or changes it. Only that each of them ends matters.
async fn run_all(place: &Place, lying: &Lying) -> Vec<&'static str> {
    let new = || -> Session { session(lying.connect.clone()) };
    let mut failed = Vec::new();
    let mut note = |what: &'static str, failure: Option<Error>| {
        if let Some(error) = failure {
            assert!(!error.to_string().is_empty());
            failed.push(what);
        }
    };
    note("status", releases::status(&new()).await.err());
    note("releases", releases::list(&new()).await.err());
    let live = open::read_state(&new())
        .await
        .ok()
        .and_then(|entrance| entrance.current);
    if let Some(live) = live {
        let verified = verify(&new(), &live, Depth::Deep).await;
        if let Ok(verified) = &verified {
            let signing = Signing::default();
            let (site, source) = (place.site(), place.source());
            let session = new();
            let repair = Repair {
                session: &session,
                wait: None,
                tool: "test",
                signing: &signing,
            };
            note("repair", repair.from_export(verified, &site, &source).await.err());
            let session = new();
            let repair = Repair {
                session: &session,
                ..repair
            };
            note("repair from the host", repair.from_host(verified).await.err());
        }
        note("verify", verified.err());
        let back = releases::steps_back(&new(), &live, 1).await;
        if let Ok(back) = &back {
            note("diff", releases::diff(&new(), back, &live).await.err());
        }
        note("steps back", back.err());
    }
    let options = prune::Options {
        keep: 1,
        skew: Duration::ZERO,
        expire: Duration::from_hours(14 * 24),
        dry_run: false,
        yields: false,
    };
    note("prune", prune::prune(&new(), &options).await.err());
    let held = rollback::Options {
        hold: Some("x".to_owned()),
        ..rollback::Options::default()
    };
    let back = rollback::rollback(&new(), &Destination::Steps(1), &held).await;
    note("rollback", back.err());
    note("hold", rollback::hold(&new(), "x").await.err());
    note("resume", rollback::resume(&new()).await.err());
    for force in [false, true] {
        let publishing = publish(&new(), Job::new(&place.source(), &place.site(), &publishing(force))).await;
        note("publish", publishing.err());
    }
    failed
}

fn beside(docroot: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = docroot.parent().unwrap().join("beside");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A command that takes longer is hanging. A command may read a gigabyte of names before it gives up.
const PATIENCE: Duration = Duration::from_mins(15);

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_of_a_host_hangs_a_command_or_leads_it_out_of_the_docroot() {
    let healthy = place().await;
    for (what, lie) in LIES {
        let place = healthy.copy();
        fs::create_dir(place.docroot().parent().unwrap().join("beside")).unwrap();
        fs::write(place.docroot().parent().unwrap().join("beside/etc"), "not yours").unwrap();
        let before = beside(&place.docroot());
        let lying = Lying::new(&place.docroot(), lie);
        let all = tokio::time::timeout(PATIENCE, run_all(&place, &lying)).await;
        let failed = all.unwrap_or_else(|_| panic!("{what}: a command does not end"));
        println!("{what}: {} of the commands failed: {}", failed.len(), failed.join(", "));
        assert_eq!(*lying.outside.lock().unwrap(), Vec::<String>::new(), "{what}");
        assert_eq!(beside(&place.docroot()), before, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_lie_fails_nothing() {
    let place = place().await;
    let lying = Lying::new(&place.docroot(), |_, answer| answer);
    assert_eq!(run_all(&place, &lying).await, Vec::<String>::new());
    assert_eq!(*lying.outside.lock().unwrap(), Vec::<String>::new());
}
