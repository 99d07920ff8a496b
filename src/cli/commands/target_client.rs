//! Answers the requests of the preview's dashboard about the target: the commands `plan` and `releases`, without their
//! output. Must not print anything.

use futures_util::future::BoxFuture;
use serde_json::Value;
use syntax_publish::preview::{TargetApi, Trouble};
use syntax_publish::site::SiteError;

use super::Run;
use super::ask::Planned;
use crate::cli::args::{Global, again};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::{changes, hints, json, pages, report};

/// Queries the target that the options select.
pub struct TargetClient {
    global: Global,
}

impl TargetClient {
    pub fn new(global: &Global) -> Self {
        Self { global: global.clone() }
    }

    /// Creates a separate run that prints nothing, because the user is at the browser.
    fn run(&self) -> Run {
        Run::new(self.global.clone(), Screen::silent())
    }

    /// Returns what a publish would change, as text, with at most `most` changes.
    pub async fn plan_in_words(&self, most: usize) -> Result<Vec<(&'static str, String)>, Trouble> {
        let run = self.run();
        let planned = self.planned(&run).await?;
        let workplace = run.workplace().map_err(|failure| self.trouble(&failure))?;
        let text = changes::plan(&planned.value, &planned.grouped, workplace, false, most);
        let notes = planned.notes.into_iter().map(|note| ("note", note));
        let lines = text.lines().map(|line| ("plan", line.to_owned()));
        Ok(notes.chain(lines).collect())
    }

    async fn planned(&self, run: &Run) -> Result<Planned, Trouble> {
        let planned = run.planned("plan", false).await.and_then(Planned::granted);
        planned.map_err(|failure| self.trouble(&failure))
    }

    fn trouble(&self, failure: &Failure) -> Trouble {
        Trouble {
            message: report::message(failure),
            hint: match failure {
                Failure::Site(SiteError::Check(_)) => {
                    let check = again(&self.global, "check");
                    format!("fix the errors: `{check}` lists them, and so does the dashboard under Findings")
                }
                failure => hints::hint(failure, &self.global),
            },
        }
    }
}

impl TargetApi for TargetClient {
    fn site(&self) -> Option<String> {
        let run = self.run();
        run.workplace().ok().map(|workplace| workplace.config.site.name.clone())
    }

    fn plan(&self) -> BoxFuture<'_, Result<Value, Trouble>> {
        Box::pin(async {
            let run = self.run();
            let planned = self.planned(&run).await?;
            let items = planned.grouped.items();
            let items = items.map(|item| serde_json::json!({ "change": pages::mark(item.change), "url": item.url }));
            Ok(serde_json::json!({
                "target": target_name(&run),
                "notes": planned.notes,
                "plan": planned.value,
                "summary": planned.grouped.totals(),
                "items": items.collect::<Vec<_>>(),
            }))
        })
    }

    fn releases(&self) -> BoxFuture<'_, Result<Value, Trouble>> {
        Box::pin(async {
            let run = self.run();
            let listed = run.listed().await.map_err(|failure| self.trouble(&failure))?;
            let releases = listed.iter().map(|listed| {
                let mut value = serde_json::to_value(json::Release::from(listed)).unwrap_or_default();
                value["rollback"] = again(&self.global, &format!("rollback --to {}", listed.id)).into();
                value
            });
            Ok(serde_json::json!({ "target": target_name(&run), "releases": releases.collect::<Vec<_>>() }))
        })
    }
}

fn target_name(run: &Run) -> &str {
    run.workplace().map_or("", |workplace| &workplace.target_name)
}
