//! Answers the API requests of the page script and of the dashboard with JSON values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Preview;
use super::affected::{self, Changes, Evidence, OpenPage, PageAction};
use super::encodings::level;
use super::hub::Trouble;
use super::normalized_page::{self, NormalizedPage};
use super::sizes::{self, Page, PathSet};
use super::snapshot::{Resource, Snapshot};
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};
use crate::next::url::Resolver;

/// Maximum number of files in one request for encoded sizes.
const AT_ONCE: usize = 64;

/// Maximum number of cached encoded sizes.
const KEPT_SIZES: usize = 100_000;

impl Preview {
    /// Returns what an open page has to do to show the site as it is now.
    pub(super) async fn affected(&self, open: OpenPage) -> Value {
        let Some(site) = self.site() else {
            return json!({ "site": null, "do": "nothing" });
        };
        let verdict = self.verdict(&site, &open).await;
        let mut value = serde_json::to_value(&verdict).unwrap_or_default();
        value["site"] = site.site.root.to_string().into();
        value
    }

    async fn verdict(&self, site: &Arc<Snapshot>, open: &OpenPage) -> PageAction {
        let changes = open.site.parse::<Digest>().ok().and_then(|root| self.hub.since(root));
        // The page comes from an earlier run of the preview, or its site is no longer in the history.
        let Some(changes) = changes else {
            return PageAction::Reload;
        };
        let questions = affected::questions(open, &evidence(site, &changes, &HashMap::new(), &is_file(site)));
        for (path, digest) in questions {
            if !self.hub.has_seen(digest)
                && let Some(found) = site.resource(&path)
            {
                self.normalize(site, &found).await;
            }
        }
        let all = changes.values().flat_map(|(old, new)| [*old, *new]).flatten();
        let blinds = self.hub.seen(all);
        affected::action_for(open, &evidence(site, &changes, &blinds, &is_file(site)))
    }

    /// Normalizes a file and caches the result.
    async fn normalize(&self, site: &Arc<Snapshot>, found: &Resource) {
        let (site, found, digest) = (Arc::clone(site), found.clone(), found.file.digest);
        let seen = self.aside(move || Ok(see(&site, &found))).await;
        self.hub.saw(digest, seen.ok().flatten());
    }

    /// Does the same as [`Self::normalize`], in the background.
    pub(super) fn normalize_aside(&self, site: &Arc<Snapshot>, found: &Resource) {
        if self.hub.has_seen(found.file.digest) {
            return;
        }
        let (hub, site, found) = (Arc::clone(&self.hub), Arc::clone(site), found.clone());
        tokio::task::spawn_blocking(move || hub.saw(found.file.digest, see(&site, &found)));
    }

    /// Returns every file of the site.
    pub(super) fn files(&self) -> Value {
        let Some(site) = self.site() else {
            return json!({ "root": null, "files": [] });
        };
        let is_file = is_file(&site);
        let files = site.site.all_files().map(|(path, file)| {
            let level = |coding: Coding| match file.encodings.get(coding) {
                Some(Recipe::Made { level, .. }) => json!(level),
                Some(Recipe::Given { .. }) => json!("given"),
                None => Value::Null,
            };
            json!({
                "path": path.as_str(),
                "kind": sizes::kind(path.as_str(), &file.media_type, &is_file),
                "page": sizes::page_of(path.as_str(), &is_file),
                "bytes": file.size,
                "class": file.cache,
                "type": file.media_type,
                "br": level(Coding::Brotli),
                "gzip": level(Coding::Gzip),
            })
        });
        json!({
            "root": site.site.root.to_string(),
            "name": self.desk.as_deref().and_then(super::TargetApi::site),
            "base": site.rules.base_path,
            "bytes": site.site.bytes,
            "levels": { "br": level(Coding::Brotli), "gzip": level(Coding::Gzip) },
            "files": files.collect::<Vec<_>>(),
        })
    }

    /// Returns all findings of the checks.
    pub(super) fn findings(&self) -> Value {
        self.site().map_or_else(|| json!([]), |site| json!(site.problems))
    }

    /// Returns the encoded sizes of some files, at the levels of the preview; null if a file has no such encoding.
    pub(super) async fn sizes(&self, asked: PathSet) -> Value {
        let Some(site) = self.site() else {
            return json!({ "root": null, "files": [] });
        };
        let mut files = Vec::new();
        for path in asked.paths.iter().take(AT_ONCE) {
            let Some(found) = site.resource(path).filter(|found| found.encoding.is_none()) else {
                continue;
            };
            let br = self.size(&site, &found, Coding::Brotli).await;
            let gzip = self.size(&site, &found, Coding::Gzip).await;
            files.push(json!({ "path": path, "br": br, "gzip": gzip }));
        }
        json!({ "root": site.site.root.to_string(), "files": files })
    }

    async fn size(&self, site: &Arc<Snapshot>, found: &Resource, coding: Coding) -> Option<u64> {
        let recipe = found.file.encodings.get(coding)?;
        let key = (found.file.digest, coding, recipe);
        if let Some(known) = self.lengths.lock().await.get(&key) {
            return *known;
        }
        let encoding = self.encoding(site, found, coding, recipe).await.ok()?;
        let length = encoding.map(|bytes| bytes.len() as u64);
        let mut lengths = self.lengths.lock().await;
        if lengths.len() >= KEPT_SIZES {
            lengths.clear();
        }
        lengths.insert(key, length);
        length
    }

    /// Returns the files that a page makes the browser fetch.
    pub(super) async fn loads(&self, page: Page) -> Value {
        let Some((site, found)) = self
            .site()
            .and_then(|site| Some((Arc::clone(&site), site.resource(&page.path)?)))
        else {
            return json!({ "path": page.path, "files": [] });
        };
        let read = move || {
            let bytes = site.source.read(&found.path, found.file.digest, found.file.size)?;
            let text = String::from_utf8_lossy(&bytes);
            let is_file = |path: &str| site.resource(path).is_some();
            let resolver = Resolver::new(None, &site.rules.base_path).with_asset_prefix(&site.rules.asset_prefix);
            Ok(sizes::named(found.path.as_str(), &text, &resolver, &is_file))
        };
        let files = self.aside(read).await.unwrap_or_default();
        json!({ "path": page.path, "files": files })
    }

    /// Returns what a publish would change.
    pub(super) async fn plan(&self) -> Value {
        self.ask(|desk| desk.plan()).await
    }

    /// Returns the releases of the target.
    pub(super) async fn releases(&self) -> Value {
        self.ask(|desk| desk.releases()).await
    }

    /// Queries the target, one query at a time. Returns the result and the time of the query, in milliseconds since
    /// 1970.
    async fn ask(
        &self,
        ask: impl FnOnce(&dyn super::TargetApi) -> BoxFuture<'_, Result<Value, Trouble>> + Send,
    ) -> Value {
        let _turn = self.at_desk.lock().await;
        let asked = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        let answer = match self.desk.as_deref() {
            Some(desk) => ask(desk).await,
            None => Err(Trouble {
                message: "this preview knows no target".to_owned(),
                hint: "start it with `syntax-publish watch`".to_owned(),
            }),
        };
        match answer {
            Ok(value) => json!({ "asked": asked, "ok": value }),
            Err(trouble) => json!({ "asked": asked, "error": trouble }),
        }
    }
}

/// Whether a site has a file at a path.
fn is_file(site: &Snapshot) -> impl Fn(&str) -> bool {
    |path| site.resource(path).is_some_and(|found| found.encoding.is_none())
}

fn evidence<'a>(
    site: &'a Snapshot,
    changes: &'a Changes,
    blinds: &'a HashMap<Digest, Option<NormalizedPage>>,
    is_file: &'a dyn Fn(&str) -> bool,
) -> Evidence<'a> {
    Evidence {
        rules: &site.rules,
        is_file,
        changes,
        blinds,
    }
}

fn see(site: &Snapshot, found: &Resource) -> Option<NormalizedPage> {
    let bytes = site.source.read(&found.path, found.file.digest, found.file.size).ok()?;
    normalized_page::normalize(found.path.as_str(), std::str::from_utf8(&bytes).ok()?)
}
