//! What decides whether a publish prunes when it is done. It is listed while the publish goes on, so that nothing has to
//! be asked after the swap.
//!
//! The listing may be out of date by then: the publish adds what it made itself, and other runs may have published or
//! pruned. It only decides whether to prune now. Prune reads everything again before it deletes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};

use futures_util::future::{BoxFuture, MaybeDone, maybe_done};

use super::Options;
use crate::host::{Kind, Op, Time};
use crate::model::channel::{ChannelName, Slot};
use crate::model::layout;
use crate::model::release::ReleaseId;
use crate::store::flight::Read;
use crate::store::publish::Published;
use crate::store::refusal::done_or_gone;
use crate::store::session::Session;
use crate::store::{Error, channels};

/// The shortest time between two prunes that publishes to a large site start, in seconds.
const SWEEP_EVERY: Time = 24 * 60 * 60;

/// On a site of up to this many files, pruning costs so little that every publish may do it.
const SMALL_SITE: u64 = 2000;

/// The releases and channels of a store, and when it was pruned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    releases: BTreeSet<ReleaseId>,
    /// When each channel was last published to, by the host's clock.
    channels: BTreeMap<ChannelName, Time>,
    /// When prune last deleted what nothing refers to.
    swept: Option<Time>,
}

type Reading<'a> = BoxFuture<'a, Result<Listing, Error>>;

/// A listing that is read while something else goes on.
pub struct ListingAside<'a> {
    /// The session that reads it.
    pub session: &'a Session,
    reading: MaybeDone<Reading<'a>>,
}

/// Publishes, and meanwhile lists the store. A publish that finds nothing to do waits for nothing, and then the store is
/// not listed.
pub async fn list_meanwhile<T>(session: &Session, publish: impl Future<Output = T>) -> (T, ListingAside<'_>) {
    let reading: Reading<'_> = Box::pin(Listing::read(session));
    let mut reading = maybe_done(reading);
    let mut publish = pin!(publish);
    let published = poll_fn(|context| {
        let published = publish.as_mut().poll(context);
        if published.is_pending() {
            let _ = Pin::new(&mut reading).poll(context);
        }
        published
    });
    (published.await, ListingAside { session, reading })
}

impl ListingAside<'_> {
    /// What was listed meanwhile. If that failed, the store is listed again: the connection may have been lost and made
    /// again since then.
    ///
    /// # Errors
    /// Those of [`Listing::read`].
    pub async fn listing(mut self) -> Result<Listing, Error> {
        (&mut self.reading).await;
        match Pin::new(&mut self.reading).take_output() {
            Some(Ok(listing)) => Ok(listing),
            Some(Err(_)) | None => Listing::read(self.session).await,
        }
    }
}

impl Listing {
    /// Lists the store in one flight.
    ///
    /// # Errors
    /// [`Error`] if the connection is lost, or if the host refuses a request.
    pub async fn read(session: &Session) -> Result<Self, Error> {
        let lists = [layout::RELEASES, layout::CHANNELS].map(|folder| Op::List(folder.to_owned()));
        let ops = lists.into_iter().chain([Op::Lstat(layout::SWEPT.to_owned())]);
        let answers = session.flight_aside(ops.collect()).await?;
        done_or_gone(session, &answers).await?;
        let symlinks = |at: usize| {
            let names = answers.get(at).names().unwrap_or_default();
            names.iter().filter(|(_, attr)| attr.kind == Kind::Symlink)
        };
        Ok(Self {
            releases: symlinks(0).filter_map(|(name, _)| name.parse().ok()).collect(),
            channels: symlinks(1)
                .filter_map(|(name, attr)| Some((name.parse().ok()?, attr.mtime)))
                .collect(),
            swept: answers.get(2).attr().map(|attr| attr.mtime),
        })
    }

    /// Whether a publish that is done should prune: if there are more releases than the retention keeps, or a channel
    /// has expired, and pruning is cheap compared to the publish or was not done for a day. Channels have a release
    /// each.
    pub fn makes_due(mut self, options: &Options, slot: &Slot, published: &Published) -> bool {
        let now = published.release.made();
        if let (Slot::Channel(name), Some(now)) = (slot, now) {
            self.channels.insert(name.clone(), now);
        }
        self.releases.insert(published.release.clone());
        let age = |since: Time| now.map(|now| now.saturating_sub(since));
        let has_rested = self.swept.and_then(age).is_none_or(|age| age > SWEEP_EVERY);
        if published.files > SMALL_SITE && !has_rested {
            return false;
        }
        let has_expired = |since: &Time| now.is_some_and(|now| channels::is_expired(*since, now, options.expire));
        self.channels.values().any(has_expired) || self.releases.len() > options.keep + self.channels.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::manifest::Changes;
    use crate::store::pending_purges::Delivery;
    use crate::store::sync::Sent;

    const NOW: Time = 1_750_000_000;
    const DAY: Time = 24 * 60 * 60;

    fn options(keep: usize) -> Options {
        Options {
            keep,
            skew: Duration::from_secs(1),
            expire: Duration::from_secs(14 * 24 * 60 * 60),
            dry_run: false,
            yields: false,
        }
    }

    fn published(files: u64) -> Published {
        Published {
            release: ReleaseId::new(NOW, "aa"),
            previous: None,
            swapped: true,
            files,
            changes: Changes::default(),
            sent: Sent::default(),
            owed: Delivery::default(),
            changes_known: true,
            problems: Vec::new(),
            growth: None,
        }
    }

    fn listing(releases: i64, channels: &[(&str, Time)], swept: Option<Time>) -> Listing {
        Listing {
            releases: (1..=releases).map(|ago| ReleaseId::new(NOW - ago, "aa")).collect(),
            channels: channels
                .iter()
                .map(|(name, since)| (name.parse().unwrap(), *since))
                .collect(),
            swept,
        }
    }

    #[test]
    fn the_release_that_was_just_made_counts_once_and_channels_have_one_each() {
        let is_due = |listing: Listing, slot: &Slot| listing.makes_due(&options(3), slot, &published(10));
        assert!(!is_due(listing(2, &[], None), &Slot::Live));
        assert!(is_due(listing(3, &[], None), &Slot::Live));
        let mut late = listing(2, &[], None);
        late.releases.insert(published(10).release);
        assert!(!is_due(late, &Slot::Live), "listed after the swap");
        assert!(!is_due(listing(3, &[("draft", NOW - 5)], None), &Slot::Live));
        let draft = Slot::Channel("draft".parse().unwrap());
        assert!(
            !is_due(listing(3, &[], None), &draft),
            "a new channel has a release, too"
        );
        assert!(
            is_due(listing(4, &[("draft", NOW - 5)], None), &draft),
            "what it showed before is one too many"
        );
    }

    #[test]
    fn a_channel_that_expired_is_due_unless_it_was_just_published_to() {
        let old = NOW - 15 * DAY;
        let draft = Slot::Channel("draft".parse().unwrap());
        let is_due = |slot: &Slot| listing(1, &[("draft", old)], None).makes_due(&options(9), slot, &published(10));
        assert!(is_due(&Slot::Live));
        assert!(!is_due(&draft));
    }

    #[test]
    fn a_large_site_is_pruned_once_a_day() {
        let is_due = |swept, files| listing(5, &[], swept).makes_due(&options(3), &Slot::Live, &published(files));
        assert!(is_due(None, SMALL_SITE + 1));
        assert!(is_due(Some(NOW - DAY - 1), SMALL_SITE + 1));
        assert!(!is_due(Some(NOW - DAY), SMALL_SITE + 1));
        assert!(is_due(Some(NOW - DAY), SMALL_SITE));
    }
}
