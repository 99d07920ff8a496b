//! The commands that change what a target holds or shows.

use std::time::Duration;

use syntax_publish::error::Error;
use syntax_publish::pipeline;
use syntax_publish::publish::{self, publish};
use syntax_publish::rollback::{self, Destination};
use syntax_publish::session::Session;
use syntax_publish::{prune, publish::Published, shell, store};
use tokio::task::JoinHandle;

use super::Run;
use crate::cli::args::{Publish, Rollback};
use crate::cli::failure::Failure;
use crate::cli::report::{bytes, count};
use crate::cli::site::{self, Workplace, again};
use crate::cli::{changes, connect, json, timings};

/// What a release says that it was made by.
pub(super) const TOOL: &str = concat!("syntax-publish ", env!("CARGO_PKG_VERSION"));

/// How long a publish that is done waits for what it asked beside.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Run {
    pub(super) async fn publish(&self, options: Publish) -> Result<u8, Failure> {
        let (workplace, session) = self.open("publish")?;
        let shell = shell_behind(workplace)?;
        let prepared = self.prepare_and_connect(workplace, session).await?;
        connect::make_room(workplace)?;
        let wants_timings = options.timings;
        let max_removed = workplace.config.publish.max_removed.get();
        let (immutable, allowed) = pipeline::immutable(&workplace.config)?;
        let options = publish::Options {
            immutable,
            allowed,
            commit: workplace.commit(options.commit.as_ref()),
            message: options.message,
            wait: options.wait,
            max_removed: (!options.allow_removals).then_some(max_removed),
            force: options.force,
            tool: TOOL.to_owned(),
            signing: workplace.signing()?,
            seen: site::cache().map(|folder| (folder, workplace.identity())),
        };
        let published = publish(session, &prepared.source, &prepared.site, &options, &*self.progress).await?;
        let took = self.began.elapsed();
        let timings = wants_timings.then(|| self.progress.timings.stages());
        let value = json::Publish {
            release: Some(published.release.clone()),
            previous: published.previous.clone(),
            swapped: published.swapped,
            objects_sent: published.sent.objects,
            bytes_sent: published.sent.bytes,
            encoded: published.sent.encoded,
            round_trips: session.counts().round_trips(),
            seconds: took.as_secs_f64(),
            timings,
            ..json::Publish::counting(&published.changes, published.files)
        };
        self.tidy_up(workplace, session, &published).await;
        self.finish();
        self.warn_of_shell(workplace, shell).await;
        let text = || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            changes::published(&published, took, workplace, &self.global) + &timings
        };
        self.screen.summary(&value, text)?;
        Ok(0)
    }

    /// Tells of a key that could do more than publish. What is not known by now is left to the next publish.
    async fn warn_of_shell(&self, workplace: &Workplace, shell: Option<JoinHandle<Option<bool>>>) {
        let Some(shell) = shell else { return };
        let stop = shell.abort_handle();
        if let Ok(Ok(Some(true))) = tokio::time::timeout(LAST_WAIT, shell).await {
            let host = workplace.place();
            let host = host.split(':').next().unwrap_or_default();
            self.screen.warn(&format!(
                "the key opens a shell on {host}, so whoever has it can do more than publish; give it an account for SFTP alone (docs/host-setup.md)"
            ));
        }
        stop.abort();
    }

    /// Prunes after a publish, where that is due. The site is live already, so a failure is only a warning.
    async fn tidy_up(&self, workplace: &Workplace, session: &Session, published: &Published) {
        if !published.swapped {
            return;
        }
        let options = retention(workplace, false);
        let pruned = async {
            if prune::is_due(session, options.keep, published.files).await? {
                prune::prune(session, &options, &*self.progress).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = pruned.await {
            let later = again(&self.global, "prune");
            let text = format!("the release is live, but old ones could not be pruned: {error}; try `{later}` later");
            self.progress.say("warning", &text);
        }
    }

    pub(super) async fn rollback(&self, options: Rollback) -> Result<u8, Failure> {
        let (workplace, session) = self.open("rollback")?;
        store::check_ground(session).await?;
        let destination = match options.to {
            Some(release) => Destination::Release(release),
            None => Destination::Steps(options.steps),
        };
        let reason = options.hold.as_deref();
        let signing = workplace.signing()?;
        let signers = signing.required().map_err(Error::from)?;
        let done = rollback::rollback(session, &destination, reason, signers, None, &*self.progress).await?;
        self.finish();
        let value = json::RolledBack {
            release: done.release.clone(),
            previous: done.previous.clone(),
        };
        self.screen.summary(&value, || {
            let held = options.hold.as_ref().map_or_else(String::new, |_| {
                format!(
                    "on hold: nothing is published until `{}`\n",
                    again(&self.global, "resume")
                )
            });
            let undo = again(&self.global, &format!("rollback --to {}", done.previous));
            format!(
                "{} is live again on {}, in place of {}\nlive: {}\n{held}undo: {undo}\n",
                done.release,
                workplace.target_name,
                done.previous,
                changes::live(workplace),
            )
        })?;
        Ok(0)
    }

    pub(super) async fn hold(&self, reason: &str) -> Result<u8, Failure> {
        let (workplace, session) = self.open("hold")?;
        store::check_ground(session).await?;
        connect::make_room(workplace)?;
        rollback::hold(session, reason, &*self.progress).await?;
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
        store::check_ground(session).await?;
        let held = rollback::resume(session, &*self.progress).await?;
        self.finish();
        self.screen.summary(&json::Held { held: None }, || {
            let target = &workplace.target_name;
            match held {
                Some(former) => {
                    let reason = syntax_publish::model::path::printable(&former.reason);
                    format!("publishing to {target} goes on; it was on hold for: {reason}\n")
                }
                None => format!("publishing to {target} was not on hold\n"),
            }
        })?;
        Ok(0)
    }

    pub(super) async fn prune(&self, dry_run: bool) -> Result<u8, Failure> {
        let (workplace, session) = self.open("prune")?;
        store::check_ground(session).await?;
        let options = retention(workplace, dry_run);
        let pruned = prune::prune(session, &options, &*self.progress).await?;
        self.finish();
        let value = json::Prune {
            releases: pruned.releases,
            trees: pruned.trees,
            objects: pruned.objects,
            bytes: pruned.bytes,
        };
        let verb = if dry_run { "would delete" } else { "deleted" };
        self.screen.summary(&value, || {
            format!(
                "{verb} {}, {}, {}, {}\n",
                count(pruned.releases, "release"),
                count(pruned.trees, "tree"),
                count(pruned.objects, "object"),
                bytes(pruned.bytes),
            )
        })?;
        Ok(0)
    }
}

/// Asks beside everything else whether the key opens a shell.
fn shell_behind(workplace: &Workplace) -> Result<Option<JoinHandle<Option<bool>>>, Failure> {
    let Some(address) = connect::sftp(workplace)? else {
        return Ok(None);
    };
    let target = format!("{} {:?}", workplace.identity(), address.identity);
    Ok(Some(tokio::spawn(shell::find_out(address, site::cache(), target))))
}

fn retention(workplace: &Workplace, dry_run: bool) -> prune::Options {
    prune::Options {
        keep: workplace.config.publish.keep.get(),
        skew: workplace.config.publish.skew,
        dry_run,
    }
}
