//! The commands that change what a target holds or shows.

use syntax_publish::pipeline;
use syntax_publish::publish::{self, publish};
use syntax_publish::rollback::{self, Destination};
use syntax_publish::session::Session;
use syntax_publish::{prune, publish::Published};

use super::Run;
use crate::cli::args::{Publish, Rollback};
use crate::cli::failure::Failure;
use crate::cli::report::{bytes, count};
use crate::cli::site::{self, Workplace, again};
use crate::cli::{changes, connect, json, timings};

impl Run {
    pub(super) async fn publish(&self, options: Publish) -> Result<u8, Failure> {
        let (workplace, session) = self.open("publish")?;
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
            tool: concat!("syntax-publish ", env!("CARGO_PKG_VERSION")).to_owned(),
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
        let text = || {
            let timings = value.timings.as_deref().map_or_else(String::new, timings::shown);
            changes::published(&published, took, workplace, &self.global) + &timings
        };
        self.screen.summary(&value, text)?;
        Ok(0)
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
            Ok::<(), syntax_publish::error::Error>(())
        };
        if let Err(error) = pruned.await {
            let later = again(&self.global, "prune");
            let text = format!("the release is live, but old ones could not be pruned: {error}; try `{later}` later");
            self.progress.say("warning", &text);
        }
    }

    pub(super) async fn rollback(&self, options: Rollback) -> Result<u8, Failure> {
        let (workplace, session) = self.open("rollback")?;
        let destination = match options.to {
            Some(release) => Destination::Release(release),
            None => Destination::Steps(options.steps),
        };
        let reason = options.hold.as_deref();
        let done = rollback::rollback(session, &destination, reason, None, &*self.progress).await?;
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

fn retention(workplace: &Workplace, dry_run: bool) -> prune::Options {
    prune::Options {
        keep: workplace.config.publish.keep.get(),
        skew: workplace.config.publish.skew,
        dry_run,
    }
}
