//! The commands that change what a target contains. They must not change what visitors see.

use std::time::Duration;

use syntax_publish::live::notify::Notice;
use syntax_publish::model::channel::Slot;
use syntax_publish::model::path::printable;
use syntax_publish::store::prune::ListingAside;
use syntax_publish::store::publish::Published;
use syntax_publish::store::{Error, prune, rollback, shell_probe};
use tokio::task::JoinHandle;

use super::Run;
use crate::cli::args::again;
use crate::cli::failure::Failure;
use crate::cli::format::{bytes, count};
use crate::cli::site::{self, Workplace};
use crate::cli::{changes, connect, json};

/// The name of the tool in a release document.
pub(super) const TOOL: &str = concat!("syntax-publish ", env!("CARGO_PKG_VERSION"));

/// Maximum time that a finished publish waits for the check of the SSH key, which runs concurrently.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Run {
    /// Warns about a key that allows more than publishing. If the check has not ended by now, it is left to the next
    /// publish.
    pub(super) async fn warn_of_shell(&self, workplace: &Workplace, shell: Option<JoinHandle<Option<bool>>>) {
        let Some(shell) = shell else { return };
        let stop = shell.abort_handle();
        if let Ok(Ok(Some(true))) = tokio::time::timeout(LAST_WAIT, shell).await {
            let host = workplace.place();
            let host = host.split(':').next().unwrap_or_default();
            self.screen.warn(&format!(
                "the SSH key opens a shell on {host}, so anyone who has it can do more than publish; use an SFTP-only account (docs/host-setup.md)"
            ));
        }
        stop.abort();
    }

    /// Prunes after a publish, if that is due. `yields` as in [`prune::Options`]. The publish is done, so a failure is only
    /// a warning. Pruning comes last, because all that was reported so far is true whatever happens to it.
    pub(super) async fn tidy_up(
        &self,
        workplace: &Workplace,
        slot: &Slot,
        published: &Published,
        listing: ListingAside<'_>,
    ) {
        self.note_reported();
        let options = prune::Options {
            yields: !slot.is_live(),
            ..retention(workplace, false)
        };
        let pruned: Result<_, Error> = async {
            if !published.swapped {
                return Ok(prune::Pruned::default());
            }
            let session = listing.session;
            if listing.listing().await?.makes_due(&options, slot, published) {
                prune::prune(session, &options).await
            } else {
                Ok(prune::Pruned::default())
            }
        }
        .await;
        match pruned {
            Ok(pruned) => changes::pruned(pruned).iter().for_each(|text| self.screen.note(text)),
            Err(error) => {
                let later = again(&self.global, "prune");
                let text =
                    format!("the publish is done, but old releases could not be pruned: {error}; try `{later}` later");
                self.progress.say("warning", &text);
            }
        }
    }

    pub(super) async fn hold(&self, reason: &str) -> Result<u8, Failure> {
        let (workplace, session) = self.open("hold")?;
        connect::make_room(workplace)?;
        rollback::hold(session, reason).await?;
        let text = format!("publishing to {} is on hold: {reason}", workplace.target_name);
        self.tell("held", &text, Notice::default()).await;
        self.finish();
        let held = Some(reason.to_owned());
        self.screen.summary(&json::Held { held }, || {
            let (target, resume) = (&workplace.target_name, again(&self.global, "resume"));
            format!("publishing to {target} is on hold; what is live stays live\nundo: {resume}\n")
        })?;
        Ok(0)
    }

    pub(super) async fn resume(&self) -> Result<u8, Failure> {
        let (workplace, session) = self.open("resume")?;
        let held = rollback::resume(session).await?;
        if held.is_some() {
            let text = format!("publishing to {} resumed", workplace.target_name);
            self.tell("resumed", &text, Notice::default()).await;
        }
        self.finish();
        self.screen.summary(&json::Held { held: None }, || {
            let target = &workplace.target_name;
            match held {
                Some(former) => {
                    let reason = printable(&former.reason);
                    format!("publishing to {target} resumed (was on hold: {reason:?})\n")
                }
                None => format!("publishing to {target} was not on hold\n"),
            }
        })?;
        Ok(0)
    }

    pub(super) async fn prune(&self, dry_run: bool) -> Result<u8, Failure> {
        let (workplace, session) = self.open("prune")?;
        let options = retention(workplace, dry_run);
        let pruned = prune::prune(session, &options).await?;
        self.finish();
        let verb = if dry_run { "would delete" } else { "deleted" };
        self.screen.summary(&pruned, || {
            if pruned == prune::Pruned::default() {
                return "nothing to delete\n".to_owned();
            }
            let channels = (pruned.channels > 0).then(|| count(pruned.channels, "channel") + ", ");
            let (channels, releases) = (channels.unwrap_or_default(), count(pruned.releases, "release"));
            let (trees, objects) = (count(pruned.trees, "tree"), count(pruned.objects, "object"));
            format!(
                "{verb} {channels}{releases}, {trees}, {objects}, {}\n",
                bytes(pruned.bytes)
            )
        })?;
        Ok(0)
    }
}

/// Starts a check whether the key opens a shell, which runs concurrently with the publish.
pub(super) fn shell_behind(workplace: &Workplace) -> Result<Option<JoinHandle<Option<bool>>>, Failure> {
    let Some(address) = connect::sftp(workplace)? else {
        return Ok(None);
    };
    let target = format!("{} {:?}", workplace.identity(), address.identity);
    let probe = shell_probe::has_shell(address, site::cache(), target);
    Ok(Some(tokio::spawn(probe)))
}

fn retention(workplace: &Workplace, dry_run: bool) -> prune::Options {
    prune::Options {
        keep: workplace.config.publish.keep.get(),
        skew: workplace.config.publish.skew,
        expire: workplace.config.channels.expire,
        yields: false,
        dry_run,
    }
}
