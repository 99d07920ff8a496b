//! Computes and sends the pending purges of a CDN: the differences between the live release and each release that an
//! edge may still have files of.
//!
//! A purge is pending until it was sent, and must never be cleared by default. What could not be determined or purged
//! stays pending.

use std::collections::BTreeSet;

use super::{FOR_PURGING, FOR_THE_LOCK, LiveSite, site_of};
use crate::live::purge::{self, PurgeError, Purged};
use crate::model::event::Note;
use crate::model::manifest::{Changes, Site};
use crate::model::path::SitePath;
use crate::model::redirect;
use crate::model::release::ReleaseId;
use crate::store::pending_purges::{Delivery, Pending};
use crate::store::{Error, open, releases};

/// A live release.
pub(super) struct LiveRelease<'a> {
    pub(super) release: &'a ReleaseId,
    /// The site of the release. `None` if it has to be read from the host.
    pub(super) site: Option<&'a Site>,
    /// The release that it replaced and the differences from it, if they are known.
    pub(super) replaced: Option<(&'a ReleaseId, &'a Changes)>,
}

impl<'a> LiveRelease<'a> {
    /// A release of which nothing but its name is known here.
    pub(super) fn on_host(release: &'a ReleaseId) -> Self {
        Self {
            release,
            site: None,
            replaced: None,
        }
    }
}

impl LiveSite<'_> {
    /// Purges what is pending once a release is live. Returns the result for each CDN, and the part of the pending
    /// purges that was done, which is nothing if a CDN could not be purged.
    pub(super) async fn purge(
        &self,
        live: &LiveRelease<'_>,
        pending: &Delivery,
    ) -> (Vec<(String, Result<Purged, PurgeError>)>, Pending) {
        let Some((urls, paid)) = self.urls_to_purge(live, &pending.pending).await else {
            return Default::default();
        };
        let wanted = self.public_site.wanted(urls, live.release);
        let purges = self.public_site.purges.iter().filter(|_| !wanted.urls.is_empty());
        let purging = purges.map(|purge| async {
            let purged = purge.purge(&wanted, FOR_PURGING).await;
            if let Err(error) = &purged {
                self.session.observer().note(Note::NotPurged {
                    reason: error.to_string(),
                    hint: error.hint(),
                });
            }
            (purge.name(), purged)
        });
        let purged = futures_util::future::join_all(purging).await;
        let is_done = purged.iter().all(|(_, purged)| purged.is_ok());
        (purged, if is_done { paid } else { Pending::default() })
    }

    /// Returns the URLs that differ between the live release and each release that a CDN may still have files of, and
    /// the part of the pending purges that is done once they are purged. `None` if there is nothing to purge, or if it
    /// could not be determined.
    async fn urls_to_purge(&self, live: &LiveRelease<'_>, pending: &Pending) -> Option<(Vec<String>, Pending)> {
        let base = self.public_site.base.as_ref()?;
        if self.public_site.purges.is_empty() || pending.is_nothing() {
            return None;
        }
        let mut paths: BTreeSet<SitePath> = BTreeSet::new();
        let mut paid = Pending {
            owed: Vec::new(),
            ..pending.clone()
        };
        let mut all = pending.owed_all;
        for former in &pending.owed {
            if let Some((replaced, changes)) = live.replaced
                && replaced == former
            {
                paths.extend(changes.public_paths());
            } else if former != live.release {
                match releases::diff(self.session, former, live.release).await {
                    Ok(changes) => paths.extend(changes.public_paths()),
                    // The release was pruned, so it is no longer known which files it had.
                    Err(Error::NoSuchRelease { .. }) => all = true,
                    // Another run may be able to read the release, so it stays pending.
                    Err(_) => {
                        all = true;
                        continue;
                    }
                }
            }
            paid.owed.push(former.clone());
        }
        if all {
            let read;
            let site = if let Some(site) = live.site {
                site
            } else {
                read = site_of(self.session, live.release).await.ok()?;
                &read
            };
            let redirects = site.redirects().filter_map(|(address, _)| redirect::path_of(&address));
            paths.extend(site.all_files().map(|(path, _)| path).chain(redirects));
        }
        Some((purge::urls(&self.public_site.rules, base, paths.iter()), paid))
    }

    /// Purges what is pending after a rollback, and records the part that was done.
    pub async fn purge_after_rollback(&self, live: &ReleaseId) {
        // If the state can't be read now, the purges stay pending.
        let Ok(store_state) = open::read_state(self.session).await else {
            return;
        };
        let (_, paid) = self.purge(&LiveRelease::on_host(live), &store_state.delivery).await;
        if !paid.is_nothing() {
            let note = Delivery {
                release: Some(live.clone()),
                ..Delivery::default()
            };
            self.note(note, &paid, Some(FOR_THE_LOCK)).await;
        }
    }
}
