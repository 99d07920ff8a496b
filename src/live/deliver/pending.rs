//! Computes and purges what a CDN is owed: the differences between the live release and each release that an edge may
//! still have files of.
//!
//! A debt is reduced only by what was purged, and must never be cleared by default. What could not be determined or
//! purged stays owed.

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

/// A live release.
pub(super) struct LiveRelease<'a> {
    pub(super) release: &'a ReleaseId,
    /// The site of the release. `None` if it has to be read from the host.
    pub(super) site: Option<&'a Site>,
    /// The release that it replaced and the differences from it, if they are known.
    pub(super) replaced: Option<(&'a ReleaseId, &'a Changes)>,
}

/// A purge to send, and the part of the debt that it pays.
#[derive(Default)]
struct Due {
    wanted: Option<PurgeRequest>,
    pays: Paid,
}

/// Purges what is owed once a release is live. Returns the result for each CDN, and the part of the debt that was paid,
/// which is nothing if a CDN could not be purged.
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

/// Computes the differences between the live release and each release that a CDN may still have files of.
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
                // The release was pruned, so it is no longer known which files it had.
                Err(Error::NoSuchRelease { .. }) => all = true,
                // Another run may be able to read the release, so it stays owed.
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

/// Purges what is owed after a rollback, and records the part of the debt that was paid.
pub async fn pay_after_rollback(
    session: &Session,
    public_site: &PublicSite,
    live: &ReleaseId,
    observer: &dyn Observer,
) {
    // If the state can't be read now, the debt stays.
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

/// Purges all CDNs.
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
