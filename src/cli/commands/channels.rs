//! The commands about channels: `publish --channel`, `channels` and `channels remove`. They must not change what
//! visitors of the live site see; `promote` is in `deliver.rs`, because it does.

use syntax_publish::live::visitor;
use syntax_publish::model::channel::{ChannelName, Slot};
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::release::timestamp;
use syntax_publish::site::pipeline::Prepared;
use syntax_publish::store::channels::{self, Channel};
use syntax_publish::store::prune::list_meanwhile;
use syntax_publish::store::{publish, rollback};

use super::Run;
use super::change::shell_behind;
use crate::cli::actions::SummaryInput;
use crate::cli::args::{Publish, again};
use crate::cli::failure::Failure;
use crate::cli::format::table;
use crate::cli::report::when;
use crate::cli::site::Workplace;
use crate::cli::{changes, json, live as looks, pages};

impl Run {
    /// Publishes a preview, and leaves the live site as it is.
    pub(super) async fn publish_to_channel(&self, name: &ChannelName, options: Publish) -> Result<u8, Failure> {
        let (workplace, session) = self.open("publish")?;
        self.progress
            .plainly(&changes::begun(&format!("publishing channel {name} of"), workplace));
        let shell = shell_behind(workplace)?;
        let (prepared, how) = self.prepare_publish(&options).await?;
        let how = publish::Options {
            slot: Slot::Channel(name.clone()),
            refusals: how.refusals.of_preview(),
            purges: false,
            ..how
        };
        let job = publish::Job::new(&prepared.source, &prepared.site, &how);
        let publishing = Box::pin(publish::publish(session, job));
        let (published, listing) = list_meanwhile(session, publishing).await;
        let published = published?;
        let took = self.began.elapsed();
        let timings = options.timings.then(|| self.progress.timings.stages());
        self.finish();
        self.warn_of_shell(workplace, shell).await;
        let is_file = |path: &str| SitePath::new(path).is_ok_and(|path| prepared.site.file(&path).is_some());
        let grouped = pages::grouped(&published.changes, &prepared.rules, &is_file);
        let grouped = grouped.with_titles(&prepared.titles, &prepared.rules);
        self.warn_of(&published.problems);
        let round_trips = session.counts().round_trips();
        let hidden = why_hidden(workplace, name, &prepared).await?;
        let value = json::Publish {
            timings,
            budget: prepared.spent.iter().cloned().chain(published.growth.clone()).collect(),
            channel: Some(name.to_string()),
            url: url(workplace, name),
            shown: hidden.as_ref().map(Option::is_none),
            ..json::Publish::of(&published, round_trips, took)
        };
        let promote = format!("promote {name} --release {}", published.release);
        let promote = again(&self.global, &promote);
        if let Some(actions) = &self.actions {
            let told = SummaryInput {
                value: &value,
                grouped: &grouped,
                target: &workplace.target_name,
                url: value.url.as_deref(),
                commit: how.commit.as_deref(),
                next: &promote,
            };
            actions.published(&told, workplace);
        }
        self.screen.summary(&value, || {
            let text = changes::published_to_channel(&published, &grouped, took, workplace, &self.global);
            let shown = match &value.url {
                Some(url) => format!("preview: {url}/\n"),
                None => "preview: set `domain` in [channels], so that the vhost shows channels\n".to_owned(),
            };
            format!("{text}{shown}promote: {promote}\n")
        })?;
        if let Some(Some(why)) = hidden {
            let nginx = again(&self.global, "nginx");
            self.screen.warn(&format!(
                "the channel is published, but its address does not show it: {why}; `{nginx}` prints the vhost, which shows channels, and *.{} has to lead to the host",
                workplace.config.channels.domain.as_deref().unwrap_or_default()
            ));
        }
        self.tidy_up(workplace, &how.slot, &published, listing).await;
        Ok(0)
    }

    /// Lists the channels.
    pub(super) async fn channels(&self) -> Result<u8, Failure> {
        let (workplace, session) = self.open("channels")?;
        let listed = channels::list(session).await?;
        let value: Vec<json::Channel> = listed.iter().map(|channel| entry(workplace, channel)).collect();
        self.screen.result(&value, || {
            if listed.is_empty() {
                let publish = again(&self.global, "publish --channel NAME");
                return format!("no channels: `{publish}` publishes one\n");
            }
            let heads = ["channel", "published", "release", "commit", "address"];
            let mut rows = vec![heads.map(str::to_owned).to_vec()];
            rows.extend(listed.iter().zip(&value).map(|(channel, entry)| {
                let commit: String = entry.commit.iter().flat_map(|commit| commit.chars().take(10)).collect();
                vec![
                    entry.name.clone(),
                    when(channel.link.since),
                    entry.release.to_string(),
                    printable(&commit),
                    entry.url.clone().unwrap_or_default(),
                ]
            }));
            table(&rows, &[])
        })?;
        Ok(0)
    }

    /// Removes a channel.
    pub(super) async fn remove_channel(&self, name: &ChannelName) -> Result<u8, Failure> {
        let (workplace, session) = self.open("channels")?;
        rollback::remove_channel(session, name).await?;
        self.finish();
        let removed = name.to_string();
        self.screen.summary(&json::RemovedChannel { removed }, || {
            format!("removed channel {name} of {}\n", workplace.target_name)
        })?;
        Ok(0)
    }
}

/// Returns why the origin does not show, under the address of a channel, what was published there; `Some(None)` if it
/// does, and `None` if there is no origin to ask.
async fn why_hidden(
    workplace: &Workplace,
    name: &ChannelName,
    prepared: &Prepared,
) -> Result<Option<Option<String>>, Failure> {
    let domain = workplace.config.channels.domain.as_ref();
    let (Some(domain), Some((origin, _))) = (domain, looks::origin(workplace).await?) else {
        return Ok(None);
    };
    let place = origin.named(&format!("{name}.{domain}"));
    Ok(Some(match visitor::marker(&place, &prepared.rules).await {
        Ok(Some(marker)) if marker.tree == prepared.site.root.to_string() => None,
        Ok(Some(_)) => Some("another release answers there".to_owned()),
        Ok(None) => Some("nothing answers there that says what it serves".to_owned()),
        Err(error) => Some(error.to_string()),
    }))
}

/// Returns the address of a channel; `None` if the vhost shows no channels.
fn url(workplace: &Workplace, name: &ChannelName) -> Option<String> {
    let config = &workplace.config;
    config.channels.url(name, config.site.url.as_ref())
}

fn entry(workplace: &Workplace, channel: &Channel) -> json::Channel {
    let Channel { link, document } = channel;
    let expire = i64::try_from(workplace.config.channels.expire.as_secs()).unwrap_or(i64::MAX);
    let document = document.as_ref();
    json::Channel {
        name: link.name.to_string(),
        release: link.release.clone(),
        since: timestamp(link.since).to_string(),
        expires: timestamp(link.since.saturating_add(expire)).to_string(),
        url: url(workplace, &link.name),
        commit: document.and_then(|document| document.commit.clone()),
        message: document.and_then(|document| document.message.clone()),
        base: document.and_then(|document| document.previous.clone()),
    }
}
