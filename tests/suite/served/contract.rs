//! The contract of every host, tested on each kind of host: a local folder, and real SSH servers, plain, in a chroot,
//! and with a restrictive umask. Then the failures that only a connection has: it cannot be made, or it breaks.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use syntax_publish::host::{
    Answer, Answers, Attr, Connect, Handle, Host, HostError, HostErrorKind, Kind, LocalConnector, Op, RefusalKind,
    SftpAddress, SftpConnector, Space,
};

use crate::support::command::open_tempdir;
use crate::support::sshd::{Jail, Offer, Sshd};

type Case = fn(Arc<dyn Host>, PathBuf) -> BoxFuture<'static, ()>;

/// The contract, one function per clause. Each gets a host whose docroot is empty, and the docroot on disk.
macro_rules! cases {
    ($($name:ident,)*) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |host, disk| Box::pin($name(host, disk)))),*];
    };
}

cases![
    an_empty_flight_is_answered_by_nothing,
    the_empty_path_is_the_docroot,
    operations_run_in_order_and_after_failures,
    three_thousand_operations_keep_their_order,
    two_flights_at_once_both_end,
    a_guarded_path_resolves_only_if_its_guard_exists,
    rename_replaces_a_file_and_an_empty_folder_but_no_full_one,
    rename_onto_another_link_of_the_same_file_leaves_both,
    a_folder_moved_away_takes_open_files_along,
    a_link_of_a_symlink_is_a_symlink,
    nothing_is_made_where_something_exists,
    attributes_tell_what_is_there,
    modes_are_set_whatever_the_umask,
    a_file_has_the_time_it_was_finished_with,
    a_list_has_all_names_and_no_dots,
    names_reach_the_disk_as_they_are,
    refusals_tell_missing_from_denied_from_others,
    reading_ends_with_the_file,
    many_reads_in_one_flight_give_their_own_piece,
    content_written_in_any_order_is_whole,
    an_empty_file_is_written,
    bytes_of_one_file_are_copied_into_another,
    unknown_handles_are_refused,
    a_finished_file_takes_no_more,
    an_unfinished_file_can_be_moved_away,
    a_folder_is_not_read_as_a_file,
    a_name_that_is_not_utf_8_is_never_let_through,
    space_is_plausible,
    removing_tells_files_from_folders,
    a_path_is_resolved_through_all_symlinks,
];

async fn keep_the_contract(connect: impl AsyncFn(&str) -> (Box<dyn Host>, PathBuf)) {
    let mut broken = Vec::new();
    for (name, case) in CASES {
        let (host, disk) = connect(name).await;
        let made = host
            .flight(vec![Op::MakeFolder(String::new())])
            .await
            .expect("a connection");
        assert!(made[0].is_ok(), "{made:?}");
        if tokio::spawn(case(Arc::from(host), disk)).await.is_err() {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "clauses that don't hold: {broken:#?}");
}

async fn served_keeps_the_contract(jail: Jail, offer: Offer<'_>) {
    if !jail.usable() {
        return;
    }
    let sshd = Sshd::offering(jail, offer);
    keep_the_contract(async |name| {
        let remote = format!("{}-{name}", sshd.remote_docroot);
        let address = SftpAddress {
            docroot: remote,
            ..address(&sshd)
        };
        let disk = sshd.docroot.with_file_name(format!("site-{name}"));
        (
            SftpConnector::new(address)
                .expect("an address")
                .connect()
                .await
                .expect("a connection"),
            disk,
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_folder_keeps_the_contract() {
    let folder = open_tempdir();
    keep_the_contract(async |name| {
        let docroot = folder.path().join(name);
        let connector = LocalConnector {
            docroot: docroot.clone(),
        };
        (connector.connect().await.expect("a folder"), docroot)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_keeps_the_contract() {
    served_keeps_the_contract(Jail::Plain, Offer::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_in_a_chroot_keeps_the_contract() {
    served_keeps_the_contract(Jail::Chroot, Offer::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_with_a_mean_umask_keeps_the_contract() {
    let offer = Offer {
        umask: Some("0077"),
        ..Offer::default()
    };
    served_keeps_the_contract(Jail::Plain, offer).await;
}

// Short helpers for the clauses.

async fn fly(host: &Arc<dyn Host>, ops: Vec<Op>) -> Answers {
    host.flight(ops).await.expect("a connection")
}

async fn all(host: &Arc<dyn Host>, ops: Vec<Op>) -> Vec<Answer> {
    let answers = fly(host, ops).await;
    answers.into_iter().map(|answer| answer.expect("an answer")).collect()
}

async fn one(host: &Arc<dyn Host>, op: Op) -> Answer {
    all(host, vec![op]).await.pop().expect("one answer")
}

async fn refusal(host: &Arc<dyn Host>, op: Op) -> RefusalKind {
    let line = op.to_string();
    let refusal = fly(host, vec![op]).await.pop().expect("one answer");
    let refusal = refusal.expect_err(&line);
    assert_eq!(refusal.op, line);
    assert!(!refusal.message.is_empty());
    refusal.kind
}

async fn attr(host: &Arc<dyn Host>, path: &str) -> Attr {
    match one(host, Op::Lstat(path.to_owned())).await {
        Answer::Attr(attr) => attr,
        other => panic!("{other:?}"),
    }
}

async fn create(host: &Arc<dyn Host>, path: &str) -> Handle {
    match one(host, Op::Create(path.to_owned())).await {
        Answer::Opened(handle) => handle,
        other => panic!("{other:?}"),
    }
}

async fn open(host: &Arc<dyn Host>, path: &str) -> Handle {
    match one(host, Op::Open(path.to_owned())).await {
        Answer::Opened(handle) => handle,
        other => panic!("{other:?}"),
    }
}

async fn list(host: &Arc<dyn Host>, path: &str) -> BTreeMap<String, Attr> {
    match one(host, Op::List(path.to_owned())).await {
        Answer::Names(names) => names.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

const TIME: i64 = 1_700_000_001;

async fn file(host: &Arc<dyn Host>, path: &str, text: &str) {
    let handle = create(host, path).await;
    all(host, vec![write(handle, 0, text.as_bytes()), finish(handle)]).await;
}

fn write(handle: Handle, offset: u64, bytes: &[u8]) -> Op {
    Op::Write {
        handle,
        offset,
        bytes: bytes.to_vec(),
    }
}

fn read(handle: Handle, offset: u64, length: u32) -> Op {
    Op::Read { handle, offset, length }
}

fn finish(handle: Handle) -> Op {
    Op::Finish { handle, mtime: TIME }
}

fn folder(path: &str) -> Op {
    Op::MakeFolder(path.to_owned())
}

fn link(from: &str, to: &str) -> Op {
    Op::Link {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn rename(from: &str, to: &str) -> Op {
    Op::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn symlinked(text: &str, at: &str) -> Op {
    Op::Symlink {
        text: text.to_owned(),
        at: at.to_owned(),
    }
}

fn lstat(path: &str) -> Op {
    Op::Lstat(path.to_owned())
}

/// Bytes that identify their own position.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)).to_le_bytes()[0])
        .collect()
}

// The clauses.

async fn an_empty_flight_is_answered_by_nothing(host: Arc<dyn Host>, _: PathBuf) {
    assert!(fly(&host, vec![]).await.is_empty());
}

async fn the_empty_path_is_the_docroot(host: Arc<dyn Host>, disk: PathBuf) {
    all(&host, vec![folder("a")]).await;
    assert!(disk.join("a").is_dir());
    assert_eq!(attr(&host, "").await.kind, Kind::Folder);
    assert_eq!(list(&host, "").await.into_keys().collect::<Vec<_>>(), ["a"]);
}

async fn operations_run_in_order_and_after_failures(host: Arc<dyn Host>, disk: PathBuf) {
    let ops = vec![
        folder("a"),
        folder("a/b"),
        folder("a"),
        rename("x", "y"),
        rename("a/b", "c"),
        lstat("c"),
        lstat("a/b"),
    ];
    let answers = fly(&host, ops).await;
    let ok: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, true, false, false, true, true, false]);
    assert!(disk.join("c").is_dir());
}

/// Each rename goes through the folder that the previous one moved there: out of order, one fails and so do the rest.
async fn three_thousand_operations_keep_their_order(host: Arc<dyn Host>, disk: PathBuf) {
    let mut ops = vec![folder("0")];
    for n in 1..400 {
        ops.push(folder(&format!("from{n}")));
    }
    ops.extend((0..2200).map(|n| lstat(if n % 2 == 0 { "0" } else { "from1" })));
    for n in 1..400 {
        ops.push(rename(&format!("{}/../from{n}", n - 1), &n.to_string()));
    }
    assert_eq!(ops.len(), 2999);
    ops.push(symlinked("399", "last"));
    all(&host, ops).await;
    assert!(disk.join("last").is_dir());
    // With a gap in the chain, nothing after the gap succeeds.
    let mut ops: Vec<Op> = (1..400)
        .map(|n| rename(&format!("z{}/../{n}", n - 1), &format!("z{n}")))
        .collect();
    ops.insert(0, rename("0", "z0"));
    ops.remove(200);
    let ok = fly(&host, ops).await.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(ok, 200);
}

async fn two_flights_at_once_both_end(host: Arc<dyn Host>, _: PathBuf) {
    let flight = |name: &str| {
        let ops = (0..500).map(|n| folder(&format!("{name}{n}"))).collect();
        let host = Arc::clone(&host);
        async move { all(&host, ops).await.len() }
    };
    assert_eq!(join_all([flight("a"), flight("b")]).await, [500, 500]);
    assert_eq!(list(&host, "").await.len(), 1000);
}

async fn a_guarded_path_resolves_only_if_its_guard_exists(host: Arc<dyn Host>, disk: PathBuf) {
    all(
        &host,
        vec![
            folder("trees"),
            folder("trees/X"),
            folder("deep"),
            folder("deep/here"),
            folder("y"),
        ],
    )
    .await;
    let guarded = |guard: &str, to: &str| rename(&format!("{guard}/../../y"), to);
    assert_eq!(refusal(&host, guarded("trees/Z", "z")).await, RefusalKind::NotFound);
    all(&host, vec![guarded("trees/X", "moved"), rename("moved", "y")]).await;
    // `..` after a symlink is relative to the symlink's target, not to the symlink itself.
    all(
        &host,
        vec![folder("releases"), symlinked("../deep/here", "releases/id")],
    )
    .await;
    all(&host, vec![folder("deep/y2"), rename("releases/id/../y2", "found")]).await;
    assert!(disk.join("found").is_dir());
    all(&host, vec![guarded("releases/id", "away")]).await;
    all(
        &host,
        vec![symlinked("../nowhere", "releases/dangling"), rename("away", "y")],
    )
    .await;
    assert_eq!(
        refusal(&host, guarded("releases/dangling", "z")).await,
        RefusalKind::NotFound
    );
}

async fn rename_replaces_a_file_and_an_empty_folder_but_no_full_one(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "a", "new").await;
    file(&host, "b", "old").await;
    all(&host, vec![rename("a", "b")]).await;
    assert_eq!(fs::read(disk.join("b")).unwrap(), b"new");
    all(
        &host,
        vec![symlinked("b", "c"), symlinked("x", "current"), rename("c", "current")],
    )
    .await;
    assert_eq!(
        one(&host, Op::ReadLink("current".to_owned())).await,
        Answer::Text("b".to_owned())
    );
    all(
        &host,
        vec![folder("d"), folder("d/full"), folder("empty"), rename("d", "empty")],
    )
    .await;
    assert!(disk.join("empty/full").is_dir());
    all(&host, vec![folder("e"), folder("e/other")]).await;
    assert_eq!(refusal(&host, rename("e", "empty")).await, RefusalKind::Failed);
    assert!(disk.join("e/other").is_dir() && disk.join("empty/full").is_dir());
}

async fn rename_onto_another_link_of_the_same_file_leaves_both(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "a", "x").await;
    all(&host, vec![link("a", "b"), rename("a", "b")]).await;
    assert!(disk.join("a").exists() && disk.join("b").exists());
}

async fn a_folder_moved_away_takes_open_files_along(host: Arc<dyn Host>, disk: PathBuf) {
    all(&host, vec![folder("lock")]).await;
    let handle = create(&host, "lock/file").await;
    all(
        &host,
        vec![rename("lock", "stale"), write(handle, 0, b"here"), finish(handle)],
    )
    .await;
    assert_eq!(fs::read(disk.join("stale/file")).unwrap(), b"here");
    assert_eq!(refusal(&host, rename("lock/file", "out")).await, RefusalKind::NotFound);
}

async fn a_link_of_a_symlink_is_a_symlink(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "file", "x").await;
    all(
        &host,
        vec![symlinked("nowhere", "s"), link("s", "t"), link("file", "g")],
    )
    .await;
    assert_eq!(fs::read_link(disk.join("t")).unwrap(), Path::new("nowhere"));
    let inode = |name: &str| fs::symlink_metadata(disk.join(name)).unwrap().ino();
    assert_eq!((inode("s"), inode("file")), (inode("t"), inode("g")));
}

async fn nothing_is_made_where_something_exists(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "file", "kept").await;
    all(&host, vec![folder("folder"), symlinked("nowhere", "dangling")]).await;
    for at in ["file", "folder", "dangling"] {
        for op in [
            link("file", at),
            symlinked("x", at),
            Op::Create(at.to_owned()),
            folder(at),
        ] {
            assert_eq!(refusal(&host, op).await, RefusalKind::Failed, "{at}");
        }
    }
    assert_eq!(fs::read(disk.join("file")).unwrap(), b"kept");
    assert_eq!(attr(&host, "file").await.mode, 0o644);
    assert!(!disk.join("nowhere").exists());
    assert_eq!(fs::read_link(disk.join("dangling")).unwrap(), Path::new("nowhere"));
}

async fn attributes_tell_what_is_there(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "file", "12345").await;
    all(&host, vec![folder("folder"), symlinked("file", "link")]).await;
    let owner = fs::metadata(&disk).unwrap().uid();
    let told = attr(&host, "file").await;
    assert_eq!((told.kind, told.size, told.uid), (Kind::File, 5, owner));
    assert_eq!(attr(&host, "folder").await.kind, Kind::Folder);
    let told = attr(&host, "link").await;
    assert_eq!((told.kind, told.size), (Kind::Symlink, 4));
    match one(&host, Op::Stat("link".to_owned())).await {
        Answer::Attr(told) => assert_eq!((told.kind, told.size), (Kind::File, 5)),
        other => panic!("{other:?}"),
    }
}

async fn modes_are_set_whatever_the_umask(host: Arc<dyn Host>, _: PathBuf) {
    file(&host, "file", "x").await;
    all(&host, vec![folder("folder")]).await;
    assert_eq!(attr(&host, "file").await.mode, 0o644);
    assert_eq!(attr(&host, "folder").await.mode, 0o755);
    assert_eq!(attr(&host, "").await.mode, 0o755);
}

async fn a_file_has_the_time_it_was_finished_with(host: Arc<dyn Host>, disk: PathBuf) {
    for mtime in [0, 1, TIME, 4_000_000_000] {
        let name = format!("at{mtime}");
        let handle = create(&host, &name).await;
        all(&host, vec![write(handle, 0, b"x"), Op::Finish { handle, mtime }]).await;
        assert_eq!(attr(&host, &name).await.mtime, mtime);
        assert_eq!(fs::metadata(disk.join(&name)).unwrap().mtime(), mtime);
    }
}

async fn a_list_has_all_names_and_no_dots(host: Arc<dyn Host>, _: PathBuf) {
    all(&host, vec![folder("folder"), symlinked("nowhere", "link")]).await;
    file(&host, "folder/file", "123").await;
    assert_eq!(
        list(&host, "").await.into_keys().collect::<Vec<_>>(),
        ["folder", "link"]
    );
    assert_eq!(list(&host, "").await["link"].kind, Kind::Symlink);
    assert_eq!(list(&host, "folder").await["file"].size, 3);
    all(&host, vec![folder("wide")]).await;
    assert!(list(&host, "wide").await.is_empty());
    all(&host, (0..2500).map(|n| symlinked("x", &format!("wide/{n}"))).collect()).await;
    assert_eq!(list(&host, "wide").await.len(), 2500);
}

async fn names_reach_the_disk_as_they_are(host: Arc<dyn Host>, disk: PathBuf) {
    let names = [
        "a b",
        "größe.html",
        "\"q\" 'q'",
        "$HOME`x`",
        "back\\slash",
        "-rf",
        "日本",
        "*?[x]",
        "a;b|c&",
        "%2e",
        "~",
    ];
    for name in names {
        file(&host, name, name).await;
        assert_eq!(fs::read(disk.join(name)).unwrap(), name.as_bytes());
        let at = format!("link to {name}");
        all(&host, vec![symlinked(name, &at)]).await;
        assert_eq!(one(&host, Op::ReadLink(at)).await, Answer::Text(name.to_owned()));
    }
    let listed = list(&host, "").await;
    assert!(names.iter().all(|name| listed.contains_key(*name)));
    assert_eq!(listed.len(), 2 * names.len());
}

async fn refusals_tell_missing_from_denied_from_others(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "file", "x").await;
    all(&host, vec![symlinked("loop", "loop")]).await;
    for path in ["missing", "missing/x", "file/x", "loop/x", "file/.."] {
        assert_eq!(refusal(&host, lstat(path)).await, RefusalKind::NotFound, "{path}");
    }
    assert_eq!(refusal(&host, Op::Stat("loop".to_owned())).await, RefusalKind::NotFound);
    assert_eq!(
        refusal(&host, Op::Open("missing".to_owned())).await,
        RefusalKind::NotFound
    );
    assert_eq!(
        refusal(&host, Op::List("missing".to_owned())).await,
        RefusalKind::NotFound
    );
    assert_eq!(refusal(&host, Op::List("file".to_owned())).await, RefusalKind::NotFound);
    assert_eq!(
        refusal(&host, Op::ReadLink("missing".to_owned())).await,
        RefusalKind::NotFound
    );
    assert_eq!(refusal(&host, rename("missing", "x")).await, RefusalKind::NotFound);
    assert_eq!(
        refusal(&host, Op::ReadLink("file".to_owned())).await,
        RefusalKind::Failed
    );
    // Root is never denied access.
    if fs::metadata(&disk).unwrap().uid() != 0 {
        fs::create_dir(disk.join("closed")).unwrap();
        fs::set_permissions(disk.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(refusal(&host, lstat("closed/x")).await, RefusalKind::Denied);
        assert_eq!(
            refusal(&host, Op::Create("closed/x".to_owned())).await,
            RefusalKind::Denied
        );
    }
}

async fn reading_ends_with_the_file(host: Arc<dyn Host>, _: PathBuf) {
    file(&host, "file", "0123456789").await;
    let handle = open(&host, "file").await;
    let ops = vec![
        read(handle, 2, 3),
        read(handle, 8, 100),
        read(handle, 10, 5),
        read(handle, 1000, 5),
        read(handle, 0, 0),
    ];
    let wanted = ["234", "89", "", "", ""].map(|text| Answer::Bytes(text.into()));
    assert_eq!(all(&host, ops).await, wanted);
    all(&host, vec![Op::Close(handle)]).await;
}

async fn many_reads_in_one_flight_give_their_own_piece(host: Arc<dyn Host>, disk: PathBuf) {
    let whole = pattern(300_000);
    let handle = create(&host, "file").await;
    all(&host, vec![write(handle, 0, &whole), finish(handle)]).await;
    assert_eq!(fs::read(disk.join("file")).unwrap(), whole);
    let handle = open(&host, "file").await;
    // The close comes after the reads of the same flight.
    let mut ops: Vec<Op> = (0..300).rev().map(|n| read(handle, n * 1000, 1000)).collect();
    ops.push(read(handle, 0, syntax_publish::host::MAX_READ));
    ops.push(Op::Close(handle));
    let answers = all(&host, ops).await;
    for (n, answer) in (0..300).rev().zip(&answers) {
        assert_eq!(*answer, Answer::Bytes(whole[n * 1000..][..1000].to_vec()));
    }
    assert_eq!(
        answers[300],
        Answer::Bytes(whole[..syntax_publish::host::MAX_READ as usize].to_vec())
    );
}

async fn content_written_in_any_order_is_whole(host: Arc<dyn Host>, disk: PathBuf) {
    let whole = pattern(5_000_000);
    let handle = create(&host, "file").await;
    let mut pieces: Vec<(usize, &[u8])> = whole.chunks(40_000).enumerate().collect();
    pieces.sort_by_key(|(n, _)| (n * 37) % 125);
    let mut ops: Vec<Op> = pieces
        .into_iter()
        .map(|(n, piece)| write(handle, n as u64 * 40_000, piece))
        .collect();
    // More than fits into a packet, over bytes that are already written.
    ops.push(write(handle, 1000, &whole[1000..1_000_000]));
    ops.push(finish(handle));
    ops.push(rename("file", "in place"));
    all(&host, ops).await;
    assert!(fs::read(disk.join("in place")).unwrap() == whole);
    assert_eq!(attr(&host, "in place").await.mtime, TIME);
}

async fn bytes_of_one_file_are_copied_into_another(host: Arc<dyn Host>, disk: PathBuf) {
    assert!(host.copies());
    file(&host, "from", "0123456789").await;
    let (from, to) = (open(&host, "from").await, create(&host, "to").await);
    let copy = |from, offset, length, at| Op::Copy {
        from,
        offset,
        length,
        to,
        at,
    };
    // Copies and writes happen in the order of the flight.
    all(
        &host,
        vec![
            write(to, 0, b"ab"),
            copy(from, 3, 4, 2),
            copy(from, 0, 1, 6),
            write(to, 3, b"x"),
        ],
    )
    .await;
    // A copy fails if there are fewer bytes than requested, or if the source is not open.
    assert_eq!(refusal(&host, copy(from, 8, 3, 20)).await, RefusalKind::Failed);
    assert_eq!(refusal(&host, copy(Handle(999), 0, 1, 0)).await, RefusalKind::Failed);
    all(&host, vec![finish(to), Op::Close(from)]).await;
    let copied = fs::read(disk.join("to")).expect("a file");
    assert!(copied.starts_with(b"ab3x560"), "{copied:?}");
}

async fn an_empty_file_is_written(host: Arc<dyn Host>, disk: PathBuf) {
    let handle = create(&host, "a").await;
    all(&host, vec![finish(handle)]).await;
    let handle = create(&host, "b").await;
    all(&host, vec![write(handle, 0, b""), finish(handle)]).await;
    assert_eq!(fs::read(disk.join("a")).unwrap(), b"");
    assert_eq!(attr(&host, "b").await.size, 0);
}

async fn unknown_handles_are_refused(host: Arc<dyn Host>, _: PathBuf) {
    let none = Handle(1 << 40);
    for op in [read(none, 0, 1), write(none, 0, b"x"), finish(none), Op::Close(none)] {
        assert_eq!(refusal(&host, op).await, RefusalKind::Failed);
    }
}

async fn a_finished_file_takes_no_more(host: Arc<dyn Host>, disk: PathBuf) {
    let handle = create(&host, "file").await;
    let answers = fly(
        &host,
        vec![
            write(handle, 0, b"x"),
            finish(handle),
            write(handle, 1, b"y"),
            finish(handle),
        ],
    )
    .await;
    let ok: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, true, false, false]);
    assert_eq!(fs::read(disk.join("file")).unwrap(), b"x");
}

async fn an_unfinished_file_can_be_moved_away(host: Arc<dyn Host>, disk: PathBuf) {
    let handle = create(&host, "file").await;
    all(&host, vec![write(handle, 0, b"half"), rename("file", "away")]).await;
    assert!(disk.join("away").exists() && !disk.join("file").exists());
    all(&host, vec![Op::Close(handle), Op::RemoveFile("away".to_owned())]).await;
    assert!(list(&host, "").await.is_empty());
}

async fn a_folder_is_not_read_as_a_file(host: Arc<dyn Host>, _: PathBuf) {
    all(&host, vec![folder("folder")]).await;
    // A server may open a folder, but it never reads one.
    let opened = fly(&host, vec![Op::Open("folder".to_owned())]).await;
    if let Ok(Answer::Opened(handle)) = opened[0] {
        let read = Op::Read {
            handle,
            offset: 0,
            length: 100,
        };
        assert_eq!(refusal(&host, read).await, RefusalKind::Failed);
    }
}

/// A host may refuse the operation or close the connection, but it never lets such a name through.
async fn a_name_that_is_not_utf_8_is_never_let_through(host: Arc<dyn Host>, disk: PathBuf) {
    use std::os::unix::ffi::OsStrExt;
    all(&host, vec![folder("folder")]).await;
    let name = std::ffi::OsStr::from_bytes(b"gr\xf6\xdfe");
    fs::write(disk.join("folder").join(name), "").unwrap();
    symlink(name, disk.join("link")).unwrap();
    for op in [Op::List("folder".to_owned()), Op::ReadLink("link".to_owned())] {
        match host.flight(vec![op]).await {
            Ok(answers) => assert!(answers[0].is_err(), "{answers:?}"),
            Err(error) => assert_eq!(error.kind, HostErrorKind::Lost, "{error}"),
        }
    }
}

async fn space_is_plausible(host: Arc<dyn Host>, disk: PathBuf) {
    let Answer::Space(Space {
        bytes,
        files,
        read_only,
    }) = one(&host, Op::Space(String::new())).await
    else {
        panic!("no space");
    };
    let stat = rustix::fs::statvfs(&disk).unwrap();
    let there_is = stat.f_bavail * stat.f_frsize;
    assert!(!read_only);
    // Other processes write meanwhile.
    assert!(bytes.abs_diff(there_is) < 2 << 30, "{bytes} {there_is}");
    assert!(files.is_none_or(|files| files <= stat.f_files));
    assert_eq!(
        refusal(&host, Op::Space("missing".to_owned())).await,
        RefusalKind::NotFound
    );
}

async fn removing_tells_files_from_folders(host: Arc<dyn Host>, disk: PathBuf) {
    file(&host, "file", "x").await;
    all(
        &host,
        vec![folder("folder"), folder("folder/x"), symlinked("folder", "link")],
    )
    .await;
    fly(
        &host,
        vec![
            Op::RemoveFile("folder".to_owned()),
            Op::RemoveFolder("folder".to_owned()),
        ],
    )
    .await;
    fly(
        &host,
        vec![Op::RemoveFolder("link".to_owned()), Op::RemoveFolder("file".to_owned())],
    )
    .await;
    assert!(disk.join("folder/x").exists() && disk.join("link").exists() && disk.join("file").exists());
    all(
        &host,
        ["link", "file"].map(|path| Op::RemoveFile(path.to_owned())).to_vec(),
    )
    .await;
    all(
        &host,
        ["folder/x", "folder"]
            .map(|path| Op::RemoveFolder(path.to_owned()))
            .to_vec(),
    )
    .await;
    assert!(list(&host, "").await.is_empty());
}

async fn a_path_is_resolved_through_all_symlinks(host: Arc<dyn Host>, disk: PathBuf) {
    all(
        &host,
        vec![
            folder("trees"),
            folder("trees/x"),
            folder("releases"),
            symlinked("../trees/x", "releases/id"),
        ],
    )
    .await;
    all(
        &host,
        vec![symlinked("releases/id", "current"), symlinked("nowhere", "dangling")],
    )
    .await;
    let ops = vec![Op::Resolve(String::new()), Op::Resolve("current/.".to_owned())];
    let answers = all(&host, ops).await;
    let [Answer::Text(root), Answer::Text(tree)] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    // In a chroot the host sees only the end of the path.
    assert!(
        disk.canonicalize().unwrap().ends_with(root.trim_start_matches('/')),
        "{root}"
    );
    assert_eq!(*tree, format!("{root}/trees/x"));
    for path in ["missing", "missing/x", "dangling", "trees/missing"] {
        assert_eq!(
            refusal(&host, Op::Resolve(path.to_owned())).await,
            RefusalKind::NotFound,
            "{path}"
        );
    }
}

// Failures that only a connection has.

/// The server's docroot.
pub fn address(sshd: &Sshd) -> SftpAddress {
    SftpAddress {
        host: "127.0.0.1".to_owned(),
        user: Some(sshd.user.clone()),
        port: Some(sshd.port),
        identity: Some(sshd.identity.clone()),
        host_key: Some(sshd.host_key.clone()),
        docroot: sshd.remote_docroot.clone(),
        ..SftpAddress::default()
    }
}

async fn connect(address: SftpAddress) -> Result<Box<dyn Host>, HostError> {
    let host = SftpConnector::new(address).expect("an address").connect().await?;
    // Connecting changes nothing: the caller makes the docroot.
    host.flight(vec![Op::MakeFolder(String::new())]).await?;
    Ok(host)
}

async fn failure(address: SftpAddress) -> HostError {
    connect(address).await.err().expect("no connection")
}

#[tokio::test]
async fn a_host_where_nothing_listens_is_unreachable() {
    let mut sshd = Sshd::start(Jail::Plain);
    sshd.kill();
    let error = failure(address(&sshd)).await;
    assert!(
        matches!(&error, HostError { kind: HostErrorKind::Unreachable, detail, .. } if detail.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let error = failure(SftpAddress {
        host: "no-such-host.invalid".to_owned(),
        docroot: "/".to_owned(),
        ..SftpAddress::default()
    })
    .await;
    assert!(
        matches!(&error, HostError { kind: HostErrorKind::Unreachable, detail, .. } if detail.contains("resolve")),
        "{error}"
    );
}

#[tokio::test]
async fn a_machine_without_ssh_is_explained() {
    let sshd = Sshd::start(Jail::Plain);
    let error = failure(SftpAddress {
        ssh: Some("/nowhere/ssh".into()),
        ..address(&sshd)
    })
    .await;
    assert!(
        matches!(&error, HostError { kind: HostErrorKind::Unreachable, detail, .. } if detail.contains("/nowhere/ssh")),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_that_is_not_authorized_is_refused() {
    let sshd = Sshd::start(Jail::Plain);
    let (other, _) = sshd.new_key("other");
    for identity in [other, sshd.docroot.join("missing")] {
        let error = failure(SftpAddress {
            identity: Some(identity),
            ..address(&sshd)
        })
        .await;
        assert_eq!(error.kind, HostErrorKind::KeyRefused, "{error}");
    }
}

#[tokio::test]
async fn a_host_key_that_is_not_known_is_not_accepted() {
    let sshd = Sshd::start(Jail::Plain);
    let error = failure(SftpAddress {
        host_key: None,
        known_hosts: Some("/dev/null".into()),
        ..address(&sshd)
    })
    .await;
    assert_eq!(error.kind, HostErrorKind::UnknownHostKey, "{error}");
    let known = SftpAddress {
        host_key: None,
        known_hosts: Some(sshd.known_hosts.clone()),
        ..address(&sshd)
    };
    connect(known).await.expect("a known host");
}

#[tokio::test]
async fn another_host_key_than_the_pinned_one_is_not_accepted() {
    let sshd = Sshd::start(Jail::Plain);
    let (_, other) = sshd.new_key("other");
    // A key of a type that the server does not have at all.
    let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY=".to_owned();
    for pinned in [other, ecdsa] {
        let error = failure(SftpAddress {
            host_key: Some(pinned),
            // This file contains the server's real key, and must not be consulted.
            known_hosts: Some(sshd.known_hosts.clone()),
            ..address(&sshd)
        })
        .await;
        assert_eq!(error.kind, HostErrorKind::OtherHostKey, "{error}");
    }
}

#[tokio::test]
async fn a_server_without_sftp_is_distinguished_from_one_that_cannot_be_reached() {
    let sshd = Sshd::start_without_sftp(Jail::Plain);
    let error = failure(address(&sshd)).await;
    assert_eq!(error.kind, HostErrorKind::NoSftp, "{error}");
}

#[tokio::test]
async fn a_shell_that_greets_is_no_sftp() {
    let sshd = Sshd::start_with(Jail::Plain, "ForceCommand /bin/echo Welcome, stranger");
    let error = failure(address(&sshd)).await;
    assert_eq!(error.kind, HostErrorKind::NoSftp, "{error}");
}

#[tokio::test]
async fn a_server_that_lacks_an_extension_is_refused_by_its_name() {
    for name in ["posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com"] {
        let sshd = Sshd::start_denying(Jail::Plain, &[name]);
        let error = failure(address(&sshd)).await;
        assert!(
            matches!(&error, HostError { kind: HostErrorKind::MissingExtension, detail, .. } if detail == name),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_space_or_limits_is_served() {
    let sshd = Sshd::start_denying(Jail::Plain, &["statvfs", "limits"]);
    let host: Arc<dyn Host> = connect(address(&sshd)).await.expect("a connection").into();
    assert_eq!(refusal(&host, Op::Space(String::new())).await, RefusalKind::Failed);
    content_written_in_any_order_is_whole(Arc::clone(&host), sshd.docroot.clone()).await;
    many_reads_in_one_flight_give_their_own_piece(host, sshd.docroot.clone()).await;
}

#[tokio::test]
async fn ssh_ends_with_the_host_that_is_dropped() {
    let sshd = Sshd::start(Jail::Plain);
    let host = connect(address(&sshd)).await.expect("a connection");
    assert_eq!(ssh_processes(sshd.port).len(), 1);
    let flight = host.flight(vec![lstat("x"); 100_000]);
    // A flight that was cancelled half-way does not keep the connection open.
    let _ = tokio::time::timeout(Duration::from_millis(20), flight).await;
    drop(host);
    until(async || ssh_processes(sshd.port).is_empty()).await;
}

#[test]
fn a_host_may_outlive_its_runtime() {
    let sshd = Sshd::start(Jail::Plain);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(connect(address(&sshd))).expect("a connection");
    drop(runtime);
    drop(host);
}

/// Connects and waits to be killed when the test below runs it; run alone, it does nothing.
#[tokio::test]
async fn connect_and_wait() {
    let Ok(line) = std::env::var("SYNTAX_PUBLISH_TEST_ADDRESS") else {
        return;
    };
    let [user, port, identity, host_key, docroot] =
        line.split('\n').collect::<Vec<_>>().try_into().expect("five lines");
    let host: Arc<dyn Host> = connect(SftpAddress {
        host: "127.0.0.1".to_owned(),
        user: Some(user.to_owned()),
        port: Some(port.parse().unwrap()),
        identity: Some(identity.into()),
        host_key: Some(host_key.to_owned()),
        docroot: docroot.to_owned(),
        ..SftpAddress::default()
    })
    .await
    .expect("a connection")
    .into();
    fly(&host, vec![folder("connected")]).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn ssh_ends_with_the_process_that_is_killed() {
    let sshd = Sshd::start(Jail::Plain);
    let port = sshd.port.to_string();
    let identity = sshd.identity.display().to_string();
    let line = [&sshd.user, &port, &identity, &sshd.host_key, &sshd.remote_docroot]
        .map(String::as_str)
        .join("\n");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "served::contract::connect_and_wait"])
        .env("SYNTAX_PUBLISH_TEST_ADDRESS", line)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(async || sshd.docroot.join("connected").exists()).await;
    assert_eq!(ssh_processes(sshd.port).len(), 1);
    process.kill().unwrap();
    process.wait().unwrap();
    until(async || ssh_processes(sshd.port).is_empty()).await;
}

#[tokio::test]
async fn a_users_ssh_configuration_can_neither_break_nor_widen_it() {
    let sshd = Sshd::start(Jail::Plain);
    let folder = open_tempdir();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "Host *
    RemoteCommand touch {mark}
    RequestTTY force
    PermitLocalCommand yes
    LocalCommand touch {mark}
    ForkAfterAuthentication yes
    StdinNull yes
    SessionType none
    ControlMaster auto
    ControlPath {control}
    ControlPersist yes
    LocalForward {control}.local 127.0.0.1:1
    RemoteForward 0 127.0.0.1:1
    DynamicForward 127.0.0.1:1
    ExitOnForwardFailure yes
    ForwardAgent yes
    ForwardX11 yes
    Tunnel yes
    EscapeChar ~
    BatchMode no
    Compression no
    LogLevel QUIET
    StrictHostKeyChecking no
    UserKnownHostsFile {known}
    GlobalKnownHostsFile {known}
    UpdateHostKeys yes
    HostKeyAlias other
    HostKeyAlgorithms ssh-rsa
    NoHostAuthenticationForLocalhost yes
    VisualHostKey yes
    RekeyLimit 64K
    User nobody
    Port 1
",
        mark = at("mark"),
        control = at("control"),
        known = at("known"),
    );
    fs::write(folder.path().join("config"), config).unwrap();
    // ssh reads the configuration in the user's real home, whatever HOME is, so the wrapper passes it explicitly.
    let wrapper = folder.path().join("ssh");
    fs::write(&wrapper, format!("#!/bin/sh\nexec ssh -F '{}' \"$@\"\n", at("config"))).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let configured = SftpAddress {
        ssh: Some(wrapper),
        ..address(&sshd)
    };
    let host: Arc<dyn Host> = connect(configured.clone()).await.expect("a connection").into();
    content_written_in_any_order_is_whole(Arc::clone(&host), sshd.docroot.clone()).await;
    drop(host);
    until(async || ssh_processes(sshd.port).is_empty()).await;
    let (_, other) = sshd.new_key("other");
    let error = failure(SftpAddress {
        host_key: Some(other),
        ..configured
    })
    .await;
    assert_eq!(error.kind, HostErrorKind::OtherHostKey, "{error}");
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["config", "ssh"]);
}

#[tokio::test]
async fn a_file_of_known_hosts_may_have_a_space_in_its_name() {
    let sshd = Sshd::start(Jail::Plain);
    let folder = open_tempdir();
    let known_hosts = folder.path().join("known hosts");
    fs::copy(&sshd.known_hosts, &known_hosts).unwrap();
    let known = SftpAddress {
        host_key: None,
        known_hosts: Some(known_hosts),
        ..address(&sshd)
    };
    connect(known).await.expect("a known host");
}

/// The processes called ssh that were given this port.
fn ssh_processes(port: u16) -> Vec<String> {
    let port = port.to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| {
            let args: Vec<&str> = line.split('\0').collect();
            args[0].ends_with("ssh") && args.windows(2).any(|pair| pair == ["-p", &port])
        })
        .collect()
}

async fn until<F: Future<Output = bool>>(mut happens: impl FnMut() -> F) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !happens().await {
        assert!(Instant::now() < patience, "it doesn't happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
