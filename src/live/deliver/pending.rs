//! What a CDN is owed, and purging it: what differs between what is live and each release that an edge may have something
//! of.
//!
//! A debt is subtracted by what was purged and never cleared by default: what could not be found out or told stays owed.

use std::collections::BTreeSet;

use super::{FOR_PURGING, FOR_THE_LOCK, PublicSite, files_of, note_quietly};
use crate::live::purge::{self, PurgeError, PurgeRequest, Purged};
use crate::model::event::{Event, Note, Observer};
use crate::model::manifest::{Change, Changes, Site};
use crate::model::path::SitePath;
use crate::model::release::ReleaseId;
use crate::store::Error;
use crate::store::open;
use crate::store::pending_purges::{Delivery, Paid};
use crate::store::releases;
use crate::store::session::Session;
use crate::store::staging::Waiting;

/// A release that is live.
pub(super) struct LiveRelease<'a> {
    pub(super) release: &'a ReleaseId,
    /// Its site, where it is at hand; else it is read off the host.
    pub(super) site: Option<&'a Site>,
    /// What it differs in from the release that it replaced, where that is known.
    pub(super) replaced: Option<(&'a ReleaseId, &'a Changes)>,
}

/// What is to be purged, and what that pays of what is owed.
#[derive(Default)]
struct Due {
    wanted: Option<PurgeRequest>,
    pays: Paid,
}

/// Purges what is owed once a release is live. Returns what each CDN was told, and what that paid: nothing, where one of them
/// could not be told.
pub(super) async fn pay(
    session: &Session,
    public_site: &PublicSite,
    live: &LiveRelease<'_>,
    owed: &Delivery,
    observer: &dyn Observer,
) -> (Vec<(String, Result<Purged, PurgeError>)>, Paid) {
    let Due { wanted, pays } = due(session, public_site, live, owed).await;
    let purged = purge_all(public_site, wanted, observer).await;
    let is_paid = purged.iter().all(|(_, purged)| purged.is_ok());
    (purged, if is_paid { pays } else { Paid::default() })
}

/// What differs between the live release and each that a CDN may still have something of.
async fn due(session: &Session, public_site: &PublicSite, live: &LiveRelease<'_>, owed: &Delivery) -> Due {
    let Some(base) = public_site
        .base
        .as_ref()
        .filter(|_| !public_site.purges.is_empty() && owed.is_owing())
    else {
        return Due::default();
    };
    let mut paths: BTreeSet<SitePath> = BTreeSet::new();
    let mut pays = Paid {
        all: owed.owed_all,
        swap: owed.swap.clone(),
        ..Paid::default()
    };
    let mut all = owed.owed_all;
    for former in &owed.owed {
        if let Some((replaced, changes)) = live.replaced
            && replaced == former
        {
            paths.extend(changes.list.iter().flat_map(Change::public_paths));
        } else if former != live.release {
            match releases::diff(session, former, live.release).await {
                Ok(changes) => paths.extend(changes.list.iter().flat_map(Change::public_paths)),
                // It was pruned: no one knows any more what it had.
                Err(Error::NoSuchRelease { .. }) => all = true,
                // Somebody may know another time.
                Err(_) => {
                    all = true;
                    continue;
                }
            }
        }
        pays.owed.push(former.clone());
    }
    match live.site {
        Some(site) if all => paths.extend(site.all_files().map(|(path, _)| path)),
        None if all => match files_of(session, live.release).await {
            Ok(files) => paths.extend(files.into_keys()),
            Err(_) => return Due::default(),
        },
        _ => {}
    }
    let urls = purge::urls(&public_site.rules, base, paths.iter());
    Due {
        wanted: (!urls.is_empty()).then(|| public_site.wanted(urls, live.release)),
        pays,
    }
}

/// Purges what is owed after a release was made live again, and notes what that paid.
pub async fn pay_after_rollback(
    session: &Session,
    public_site: &PublicSite,
    live: &ReleaseId,
    observer: &dyn Observer,
) {
    // What can't be asked now is owed still.
    let Ok(store_state) = open::read_state(session).await else {
        return;
    };
    let again = LiveRelease {
        release: live,
        site: None,
        replaced: None,
    };
    let (_, paid) = pay(session, public_site, &again, &store_state.delivery, observer).await;
    if !paid.is_nothing() {
        let note = Delivery {
            release: Some(live.clone()),
            ..Delivery::default()
        };
        let waiting = Waiting {
            patience: Some(FOR_THE_LOCK),
            observer,
        };
        note_quietly(session, note, &paid, waiting).await;
    }
}

/// Tells every CDN.
async fn purge_all(
    public_site: &PublicSite,
    wanted: Option<PurgeRequest>,
    observer: &dyn Observer,
) -> Vec<(String, Result<Purged, PurgeError>)> {
    let Some(wanted) = wanted else { return Vec::new() };
    let all = public_site.purges.iter().map(|purge| async {
        let purged = purge.purge(&wanted, FOR_PURGING).await;
        if let Err(error) = &purged {
            observer.notice(Event::Noted(Note::NotPurged {
                reason: error.to_string(),
                hint: error.hint(),
            }));
        }
        (purge.name(), purged)
    });
    futures_util::future::join_all(all).await
}
