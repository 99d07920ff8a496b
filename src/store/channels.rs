//! Channels: previews beside the live site. Only reads them; `rollback` removes one.
//!
//! A publish to a channel is a publish like any other (`publish`), with another symlink at its end. This module must
//! never touch a release: prune deletes those that no channel leads to any more.

use std::time::Duration;

use crate::host::{Kind, Op, Time};
use crate::model::channel::{ChannelName, Slot};
use crate::model::layout;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::store::flight::Read;
use crate::store::refusal::done_or_gone;
use crate::store::session::Session;
use crate::store::{Error, open};

/// A channel's symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLink {
    /// The name of the channel.
    pub name: ChannelName,
    /// The release that it shows.
    pub release: ReleaseId,
    /// When it was last published to, by the host's clock.
    pub since: Time,
}

/// Whether a channel's last publish was longer ago than a channel stays.
pub fn is_expired(since: Time, now: Time, expire: Duration) -> bool {
    let expire = Time::try_from(expire.as_secs()).unwrap_or(Time::MAX);
    now.saturating_sub(since) > expire
}

/// A channel, with what is known of its release.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// The symlink.
    pub link: ChannelLink,
    /// The release's document; `None` if that is missing or damaged.
    pub document: Option<ReleaseDocument>,
}

/// Reads the symlinks of all channels, by name. What is not a channel's symlink is left out.
///
/// # Errors
/// [`Error`] if the connection is lost, or if the host refuses to show a channel: prune would take its release away.
pub async fn links(session: &Session) -> Result<Vec<ChannelLink>, Error> {
    let listed = session.ask(Op::List(layout::CHANNELS.to_owned())).await?;
    // A store of before channels has no such folder.
    done_or_gone(session, [&listed]).await?;
    let names = listed.names().unwrap_or_default().iter();
    let mut named: Vec<(ChannelName, Time)> = names
        .filter(|(_, attr)| attr.kind == Kind::Symlink)
        .filter_map(|(name, attr)| Some((name.parse().ok()?, attr.mtime)))
        .collect();
    named.sort_unstable();
    let ask = named.iter().map(|(name, _)| Op::ReadLink(layout::channel(name)));
    let answers = session.flight(ask.collect()).await?;
    done_or_gone(session, &answers).await?;
    let links = named.into_iter().zip(&answers).filter_map(|((name, since), answer)| {
        let slot = Slot::Channel(name.clone());
        let release = layout::read_slot(&slot, &answer.text()?)?;
        Some(ChannelLink { name, release, since })
    });
    Ok(links.collect())
}

/// Lists all channels, the last published first.
///
/// # Errors
/// [`Error`].
pub async fn list(session: &Session) -> Result<Vec<Channel>, Error> {
    if !open::read_state(session).await?.exists {
        return Ok(Vec::new());
    }
    let mut links = links(session).await?;
    links.sort_by_key(|link| std::cmp::Reverse(link.since));
    let ids: Vec<ReleaseId> = links.iter().map(|link| link.release.clone()).collect();
    let documents = open::documents(session, &ids).await?;
    let channels = links.into_iter().zip(documents);
    Ok(channels.map(|(link, document)| Channel { link, document }).collect())
}

/// Returns the release that a channel shows.
///
/// # Errors
/// [`Error::NoSuchChannel`], with the channels that there are.
pub async fn shown(session: &Session, name: &ChannelName) -> Result<ReleaseId, Error> {
    let links = links(session).await?;
    match links.iter().find(|link| link.name == *name) {
        Some(link) => Ok(link.release.clone()),
        None => Err(Error::NoSuchChannel {
            wanted: name.clone(),
            there: links.into_iter().map(|link| link.name).collect(),
        }),
    }
}
