//! Reads what a channel shows, so that a publish can make exactly that the live site.
//!
//! Only reads. A promotion is a publish of a site that is read from the host's own manifests: it makes a release of its
//! own, so that history, rollback and prune need no rule for it. No content is sent, because the trees of the channel's
//! release are there already.

use crate::model::channel::ChannelName;
use crate::model::layout;
use crate::model::manifest::Site;
use crate::model::path::{SitePath, printable};
use crate::model::release::ReleaseDocument;
use crate::site::check::known::{Findings, Reference};
use crate::store::open::{self, StoreSnapshot};
use crate::store::plan::{self, HostFacts};
use crate::store::publish::{self, Replaced};
use crate::store::session::Session;
use crate::store::signing::AllowedSigners;
use crate::store::{Error, StoreError, channels, remote_source};

/// What a channel shows.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// The site.
    pub site: Site,
    /// The document of the channel's release. Its `previous` is the release that was live when the channel was published.
    pub document: ReleaseDocument,
    /// The findings of the channel's release.
    pub findings: Findings,
}

/// Reads what a channel shows. With `signers`, only a release that one of them signed is accepted.
///
/// # Errors
/// [`Error`]; [`Error::NoSuchChannel`] if there is no such channel.
pub async fn read(session: &Session, name: &ChannelName, signers: Option<&AllowedSigners>) -> Result<Promotion, Error> {
    let release = channels::shown(session, name).await?;
    let document = match signers {
        // The bytes that were signed.
        Some(signers) => Some(signers.insist(session, &release).await?),
        None => open::document(session, &release).await?,
    };
    let root = open::root(session, &release).await?;
    let is_shown = |document: &ReleaseDocument| {
        document.id == release && document.channel.as_deref() == Some(name.as_str()) && Some(document.root) == root
    };
    let document = document.filter(is_shown).ok_or_else(|| {
        let path = layout::release_document(&release);
        let detail = "it is missing, or is not about what the channel shows";
        StoreError::damaged(session.host_name(), path, detail)
    })?;
    let site = remote_source::site(session, document.root).await?;
    let mut facts = HostFacts {
        current: Some(release),
        ..HostFacts::default()
    };
    let about_findings = plan::findings_questions(&facts);
    open::ask(session, &mut facts, &about_findings).await?;
    let findings = match facts.live_findings() {
        Reference::Release(findings) => findings,
        Reference::Nothing => Findings::default(),
    };
    Ok(Promotion {
        site,
        document,
        findings,
    })
}

impl Promotion {
    /// Returns the options of the publish that makes this the live site in place of the release that is live now.
    pub fn publishing(&self, live: StoreSnapshot, options: publish::Options) -> publish::Options {
        publish::Options {
            replaces: Some(Replaced(live.store_state.current.clone())),
            findings: Some(self.findings.clone()),
            commit: self.document.commit.clone(),
            message: self.document.message.clone(),
            store_snapshot: Some(live),
            ..options
        }
    }

    /// Refuses if the channel shows another release than the one whose ID begins with `wanted`: it was published to again
    /// after it was looked at.
    ///
    /// # Errors
    /// [`Error::ChannelMoved`].
    pub fn insist_on(&self, channel: &ChannelName, wanted: &str) -> Result<(), Error> {
        let shows = &self.document.id;
        if !wanted.is_empty() && shows.as_str().starts_with(wanted) {
            return Ok(());
        }
        Err(Error::ChannelMoved {
            channel: channel.clone(),
            shows: shows.clone(),
            wanted: printable(wanted),
        })
    }

    /// Refuses if another release went live since the channel was published, because promoting would undo it.
    ///
    /// # Errors
    /// [`Error::LiveMoved`], or why the host can't be asked what it names.
    pub async fn refuse_if_live_moved(
        &self,
        session: &Session,
        channel: &ChannelName,
        live: &StoreSnapshot,
    ) -> Result<(), Error> {
        let root = live.facts.live.get(&SitePath::root()).copied().flatten();
        let live = live.store_state.current.as_ref();
        // Promoting what is live already undoes nothing.
        if self.document.previous.as_ref() == live || root == Some(self.document.root) {
            return Ok(());
        }
        // A release that was pruned can't be compared with.
        let base = match &self.document.previous {
            Some(base) => open::document(session, base).await?.map(|_| base.clone()),
            None => None,
        };
        Err(Error::LiveMoved {
            channel: channel.clone(),
            base,
            live: live.cloned(),
        })
    }
}
