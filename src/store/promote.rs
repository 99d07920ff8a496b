//! Reads what a channel shows, so that a publish can make exactly that the live site.
//!
//! Only reads. A promotion is a publish of a site that is read from the host's own manifests: it makes a release of its
//! own, so that history, rollback and prune need no rule for it. No content is sent, because the trees of the channel's
//! release are there already.

use crate::model::channel::ChannelName;
use crate::model::layout;
use crate::model::manifest::Site;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::site::check::known::{Findings, Reference};
use crate::store::channels::{self, Channel};
use crate::store::open;
use crate::store::plan::{self, HostFacts};
use crate::store::remote_source;
use crate::store::session::Session;
use crate::store::signing::AllowedSigners;
use crate::store::{Error, StoreError};

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
    let Channel { link, document } = channels::find(session, name).await?;
    let damaged = |path: String| StoreError::damaged(session.host_name(), path, "it is missing or does not read");
    let document = document.ok_or_else(|| damaged(layout::release_document(&link.release)))?;
    if let Some(signers) = signers {
        signers.insist(session, &link.release).await?;
    }
    let site = remote_source::site(session, document.root).await?;
    let mut facts = HostFacts {
        current: Some(link.release),
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
    /// Refuses if another release went live since the channel was published, because promoting would undo it.
    ///
    /// # Errors
    /// [`Error::LiveMoved`].
    pub fn refuse_if_live_moved(&self, channel: &ChannelName, live: Option<&ReleaseId>) -> Result<(), Error> {
        if self.document.previous.as_ref() == live {
            return Ok(());
        }
        Err(Error::LiveMoved {
            channel: channel.clone(),
            base: self.document.previous.clone(),
            live: live.cloned(),
        })
    }
}
