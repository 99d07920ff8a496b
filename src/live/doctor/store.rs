//! Checks whether the store can take another release, and what is live. Pure.

use super::finding::{Outcome, fine, none_asked, not_asked, wrong};
use super::site::FrontPage;
use crate::host::{Attr, Kind, Space, Time};
use crate::model::layout;
use crate::model::path::printable;
use crate::model::release::{Owner, ReleaseDocument, RunId, timestamp};
use crate::store::StoreError;
use crate::store::open::StoreState;

/// Free space in bytes that any site should have.
const LITTLE: u64 = 64 << 20;

/// Number of further files for which any site should have room.
const FEW: u64 = 2_000;

/// Clock difference in seconds above which releases and locks look noticeably older or newer than they are.
const OFF: i64 = 30;

/// Time in seconds after which the run that holds the lock can't be a normal publish any more.
const LONG: i64 = 3_600;

/// Time in seconds for which publishes may leave more releases than `keep`. On large sites a publish prunes only once a
/// day.
const UNSWEPT: i64 = 2 * 86_400;

/// The folders that nginx does not read.
const PRIVATE: [&str; 5] = [
    layout::LOCK,
    layout::WORK,
    layout::STALE,
    layout::OBJECTS,
    layout::MANIFESTS,
];

/// What was seen of the store.
#[derive(Debug, Clone, Default)]
pub struct StoreFacts {
    /// The attributes of the docroot. `None` if it does not exist.
    pub docroot: Option<Attr>,
    /// The state of the store.
    pub state: StoreState,
    /// Why the store can't be read.
    pub fault: Option<StoreError>,
    /// The folders of the store, with their attributes if they exist.
    pub folders: Vec<(&'static str, Option<Attr>)>,
    /// The symlink `current` itself.
    pub link: Option<Attr>,
    /// Free space on the store's file system.
    pub space: Option<Space>,
    /// The attributes of a temporary staging directory, or why it could not be made. They show which account owns what
    /// a publish makes, and the time of the host's clock.
    pub made: Option<Result<Attr, String>>,
    /// The local time at which the staging directory was made, in seconds since 1970.
    pub now: Time,
    /// The contents of the lock folder.
    pub lock: Vec<(String, Option<Owner>)>,
    /// Whether `current` leads to a tree.
    pub is_whole: bool,
    /// The document of the current release.
    pub document: Option<ReleaseDocument>,
    /// Number of releases in the store.
    pub releases: u64,
    /// Number of releases to keep.
    pub keep: u64,
    /// The digest of the live tree.
    pub tree: Option<String>,
    /// The front page of the live release.
    pub front: Option<FrontPage>,
    /// The path in the site of a file of the build.
    pub asset: Option<String>,
}

impl StoreFacts {
    /// The docroot and the folders in it that exist, with their names as in messages.
    fn folders_there(&self) -> impl Iterator<Item = (&'static str, Attr)> {
        let docroot = self.docroot.map(|attr| (".", attr));
        let folders = self.folders.iter().filter_map(|(name, attr)| Some((*name, (*attr)?)));
        docroot.into_iter().chain(folders)
    }
}

/// Checks everything from `docroot` to `retention`.
pub(super) fn store_checks(seen: &StoreFacts) -> [Outcome; 11] {
    let docroot = docroot(seen);
    if docroot.is_wrong() {
        let mut all = none_asked("see `docroot`");
        all[0] = docroot;
        return all;
    }
    if !seen.state.exists {
        // Nothing was ever published: check the file system, and report everything else in one line.
        let mut all = none_asked("nothing has been published there yet");
        all[0] = docroot;
        all[4] = space(seen);
        all[5] = inodes(seen);
        all[9] = wrong("nothing has been published yet", "publish: `syntax-publish`");
        return all;
    }
    let format = format(seen);
    if format.is_wrong() {
        let mut all = none_asked("see `format`");
        all[0] = docroot;
        all[1] = format;
        return all;
    }
    [
        docroot,
        format,
        owner(seen),
        permissions(seen),
        space(seen),
        inodes(seen),
        clock(seen),
        lock(seen),
        hold(seen),
        release(seen),
        retention(seen),
    ]
}

fn docroot(seen: &StoreFacts) -> Outcome {
    match (&seen.fault, &seen.docroot) {
        (Some(StoreError::NoParent { .. }), _) => wrong(
            "it doesn't exist, and neither does the folder above it",
            "in a chroot `docroot` is a path inside it: /site, not /srv/syntax/site; else make the folder, and give it to the account",
        ),
        (Some(StoreError::NotAStore { names, .. }), _) => wrong(
            format!("holds files that are not of a store: {}", printable(&names.join(", "))),
            "give the target a docroot of its own, empty or missing; nothing in this one was touched",
        ),
        (Some(StoreError::NotAFolder { .. }), _) => wrong("is no folder", "see what it is, and move it away"),
        (_, None) => fine("not there yet: the first publish makes it"),
        (_, Some(_)) if seen.state.exists => fine("holds a store"),
        (_, Some(_)) => fine("empty: the first publish makes the store"),
    }
}

fn format(seen: &StoreFacts) -> Outcome {
    match &seen.fault {
        Some(StoreError::NewerFormat { found, .. }) => wrong(
            format!("of a version that this one does not know: {}", printable(found)),
            "update syntax-publish to the version that published last",
        ),
        Some(StoreError::Damaged { path, .. }) if path == layout::FORMAT => wrong(
            "its mark is damaged",
            format!(
                "if it is this target's own, on the host, in the docroot: ln -sfn {} {}",
                layout::format_text(),
                layout::FORMAT
            ),
        ),
        _ => match seen
            .folders
            .iter()
            .find(|(_, attr)| attr.is_none_or(|attr| attr.kind != Kind::Folder))
        {
            Some((folder, _)) => wrong(
                format!("its folder {folder} is missing or no folder"),
                format!(
                    "on the host, in the docroot: see what happened to {folder}; a missing one is made by the next publish"
                ),
            ),
            None => fine(format!("version {}", layout::VERSION)),
        },
    }
}

fn owner(seen: &StoreFacts) -> Outcome {
    let uid = match &seen.made {
        Some(Ok(made)) => made.uid,
        Some(Err(why)) => {
            return wrong(
                format!("the account may not write in the store: {why}"),
                "give everything to the publishing account: chown -hR USER: DOCROOT; and see that the disk is not mounted read-only",
            );
        }
        None => return not_asked("the publishing account is not known"),
    };
    let link = seen.link.map(|attr| (layout::CURRENT, attr));
    match seen.folders_there().chain(link).find(|(_, attr)| attr.uid != uid) {
        Some((name, attr)) => wrong(
            format!(
                "{name} belongs to uid {}, and the publishing account is uid {uid}",
                attr.uid
            ),
            "give everything to the publishing account: chown -hR USER: DOCROOT",
        ),
        None => fine(format!("everything is owned by the publishing account (uid {uid})")),
    }
}

fn permissions(seen: &StoreFacts) -> Outcome {
    if seen.space.is_some_and(|space| space.read_only) {
        return wrong(
            "the disk is mounted read-only",
            "see `dmesg` on the host, and mount it for writing",
        );
    }
    for (name, attr) in seen.folders_there() {
        if attr.mode & 0o022 != 0 {
            return wrong(
                format!(
                    "others may write in {name} (mode {:o}): they decide what visitors see",
                    attr.mode & 0o7777
                ),
                format!("on the host, in the docroot: chmod go-w {name}"),
            );
        }
        let is_private = PRIVATE.contains(&name);
        if attr.mode & 0o005 != 0o005 && !is_private {
            return wrong(
                format!("nginx can't read {name} (mode {:o})", attr.mode & 0o7777),
                format!("on the host, in the docroot: chmod 755 {name}"),
            );
        }
    }
    fine("nginx may read, and no other account may write")
}

fn space(seen: &StoreFacts) -> Outcome {
    let Some(space) = seen.space else {
        return not_asked("the host does not report it");
    };
    let needed = seen.document.as_ref().map_or(0, |document| document.bytes).max(LITTLE);
    let free = mib(space.bytes);
    if space.bytes < needed {
        wrong(
            format!("{free} free, and a release of this site may need {}", mib(needed)),
            "make room on the host; `syntax-publish prune` deletes old releases, and a smaller `keep` more of them",
        )
    } else {
        fine(format!("{free} free"))
    }
}

fn inodes(seen: &StoreFacts) -> Outcome {
    let Some(files) = seen.space.and_then(|space| space.files) else {
        return not_asked("the file system does not count them");
    };
    // A file, its encodings, and the links of its folder.
    let needed = seen
        .document
        .as_ref()
        .map_or(0, |document| document.files.saturating_mul(3))
        .max(FEW);
    if files < needed {
        wrong(
            format!("room for {files} more files, and a release of this site may need {needed}"),
            "delete many small files on that disk; `syntax-publish prune` deletes old releases",
        )
    } else {
        fine(format!("room for {files} more files"))
    }
}

fn clock(seen: &StoreFacts) -> Outcome {
    let Some(Ok(made)) = &seen.made else {
        return not_asked("no file could be made to compare its time");
    };
    let off = made.mtime - seen.now;
    if off.abs() > OFF {
        let way = if off > 0 { "ahead of" } else { "behind" };
        wrong(
            format!("the host's clock is {} s {way} the one here", off.abs()),
            "let both be set by the network: `timedatectl set-ntp true`",
        )
    } else {
        fine(format!("within {} s of the one here", off.abs().max(1)))
    }
}

fn lock(seen: &StoreFacts) -> Outcome {
    if let Some((stray, _)) = seen.lock.iter().find(|(name, _)| name.parse::<RunId>().is_err()) {
        let stray = printable(stray);
        return wrong(
            format!("jammed: lock/ holds {stray:?}, which no publish put there"),
            format!("see what put lock/{stray} there, and delete it by hand"),
        );
    }
    let Some((_, owner)) = seen.lock.first() else {
        return fine("free");
    };
    let held = owner.as_ref().map_or_else(
        || "held by a run that does not say who it is".to_owned(),
        |owner| {
            format!(
                "held by {} of {}, since {}",
                owner.what,
                owner.who,
                timestamp(owner.since)
            )
        },
    );
    if owner.as_ref().is_some_and(|owner| seen.now - owner.since < LONG) {
        return fine(held);
    }
    wrong(
        held,
        "if that run has died, the next publish takes over the lock; if it hangs, end it where it runs",
    )
}

fn hold(seen: &StoreFacts) -> Outcome {
    match &seen.state.hold {
        None => fine("publishing is not on hold"),
        Some(hold) => wrong(
            format!(
                "on hold since {} by {}: {}",
                timestamp(hold.since),
                printable(&hold.who),
                printable(&hold.reason)
            ),
            "when the reason is gone: `syntax-publish resume`",
        ),
    }
}

fn release(seen: &StoreFacts) -> Outcome {
    if let Some(StoreError::Damaged { path, detail, .. }) = &seen.fault {
        return wrong(
            format!("{path} is damaged: {detail}"),
            "`syntax-publish releases` lists what there is; on the host, in the docroot: ln -sfn releases/RELEASE current",
        );
    }
    match &seen.state.current {
        None => wrong("nothing is live", "publish: `syntax-publish`"),
        Some(live) if !seen.is_whole => wrong(
            format!("`current` names {live}, which is not there: visitors get 404"),
            "`syntax-publish rollback --to RELEASE` makes another one live; `syntax-publish --force` a new one",
        ),
        Some(live) if seen.document.is_none() => wrong(
            format!("the document of {live} is missing or damaged"),
            "`syntax-publish verify` shows what is damaged; `syntax-publish --force` makes a new, intact release",
        ),
        Some(live) => fine(format!("{live} is live")),
    }
}

fn retention(seen: &StoreFacts) -> Outcome {
    let (releases, keep) = (seen.releases, seen.keep);
    let unswept = seen.state.swept.is_none_or(|swept| seen.now - swept > UNSWEPT);
    if releases > keep && unswept && releases > 1 {
        wrong(
            format!("{releases} releases, and `keep` is {keep}: nothing has been pruned for days"),
            "`syntax-publish prune`",
        )
    } else {
        fine(format!("{releases} of {keep} that are kept"))
    }
}

/// Formats a size for people. The sizes that matter here are never small.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::super::PUBLISHERS;
    use super::*;

    fn attr(mtime: Time) -> Attr {
        Attr {
            kind: Kind::Folder,
            size: 0,
            mtime,
            mode: 0o755,
            uid: 7,
        }
    }

    /// A store without faults.
    fn seen() -> StoreFacts {
        StoreFacts {
            docroot: Some(attr(0)),
            state: StoreState {
                exists: true,
                ..StoreState::default()
            },
            folders: layout::FOLDERS.map(|folder| (folder, Some(attr(0)))).to_vec(),
            space: Some(Space {
                bytes: 1 << 30,
                files: Some(100_000),
                read_only: false,
            }),
            made: Some(Ok(attr(1_000))),
            now: 1_000,
            keep: 10,
            ..StoreFacts::default()
        }
    }

    fn wrong_ones(seen: &StoreFacts) -> Vec<&'static str> {
        let checks = PUBLISHERS[5..].iter().zip(store_checks(seen));
        let wrong = checks.filter(|(_, outcome)| outcome.is_wrong());
        wrong
            .map(|(check, _)| *check)
            .filter(|check| *check != "release")
            .collect()
    }

    #[test]
    fn disks_and_clocks_are_judged_by_what_a_release_needs() {
        assert_eq!(wrong_ones(&seen()), Vec::<&str>::new());
        let with = |bytes, files, read_only| StoreFacts {
            space: Some(Space {
                bytes,
                files,
                read_only,
            }),
            ..seen()
        };
        assert_eq!(wrong_ones(&with(1 << 20, None, false)), ["space"]);
        assert_eq!(wrong_ones(&with(1 << 30, Some(10), false)), ["inodes"]);
        assert_eq!(wrong_ones(&with(1 << 30, None, true)), ["permissions"]);
        for (time, expected) in [(1_029, vec![]), (1_031, vec!["clock"]), (900, vec!["clock"])] {
            let made = Some(Ok(attr(time)));
            assert_eq!(wrong_ones(&StoreFacts { made, ..seen() }), expected, "{time}");
        }
    }

    #[test]
    fn what_belongs_to_another_account_is_named() {
        let other = Some(Attr { uid: 0, ..attr(0) });
        let message = |seen: &StoreFacts| owner(seen).detail;
        assert_eq!(
            wrong_ones(&StoreFacts {
                docroot: other,
                ..seen()
            }),
            ["owner"]
        );
        let link = StoreFacts { link: other, ..seen() };
        assert_eq!(wrong_ones(&link), ["owner"]);
        assert!(
            message(&link).starts_with("current belongs to uid 0"),
            "{}",
            message(&link)
        );
        let ours = StoreFacts {
            link: Some(attr(0)),
            ..seen()
        };
        assert_eq!(wrong_ones(&ours), Vec::<&str>::new());
    }

    #[test]
    fn lock_of_a_run_that_is_under_way_is_fine() {
        let owner = |since| Owner {
            who: "ci@box".to_owned(),
            what: "publish".to_owned(),
            since,
            yields: false,
        };
        let run = crate::store::run_id::run_id().to_string();
        let with = |since| StoreFacts {
            lock: vec![(run.clone(), Some(owner(since)))],
            now: 10_000,
            made: None,
            ..seen()
        };
        assert_eq!(wrong_ones(&with(9_000)), Vec::<&str>::new());
        assert_eq!(wrong_ones(&with(1_000)), ["lock"]);
    }
}
