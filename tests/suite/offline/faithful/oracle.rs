//! The oracle: compares an export with the finished site, and reports every difference that a browser, a crawler or a
//! service worker could notice. It shares no code with the tool. It depends on only one fact about the tool, how URLs
//! are served: one with `?v=` and sixteen hex digits leads to the copy with that digest, or to the file without it.
//!
//! The oracle requires the following: the elements, attributes and text are the same; each URL leads to the same bytes,
//! and stays absolute or relative; integrity and content security policy match as they did before; the old build ID is
//! gone everywhere or nowhere; each fetched file has one URL; every other byte is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use percent_encoding::percent_decode_str;
use regex_lite::Regex;
use serde_json::Value;
use url::Url;

use super::dom::{Item, items};
use super::fetched;
use super::payload::{Row, pushed, rows};
use crate::support::export::files_below;

/// An export, its finished site, and where that is served.
pub struct Case<'a> {
    pub before: &'a Path,
    pub after: &'a Path,
    /// Scheme and host of the site, if they are known.
    pub origin: Option<&'a str>,
    pub base_path: &'a str,
}

/// A folder as a site.
struct Site {
    files: BTreeMap<String, Vec<u8>>,
}

/// Attributes whose value is a URL.
const URLS: [&str; 14] = [
    "href",
    "src",
    "poster",
    "content",
    "data",
    "action",
    "xlink:href",
    "background",
    "data-src",
    "data-href",
    "manifest",
    "cite",
    "formaction",
    "data-background",
];
/// Attributes whose value is a list of URLs with a size each.
const LISTS: [&str; 3] = ["srcset", "imagesrcset", "data-srcset"];

/// The differences, each with the file that shows it.
pub fn differences(case: &Case<'_>) -> Vec<String> {
    Judge::new(case).judge()
}

struct Judge<'a> {
    case: &'a Case<'a>,
    before: Site,
    after: Site,
    /// The build ID before and after, if they differ.
    ids: Option<(String, String)>,
    found: Vec<String>,
}

impl Site {
    fn read(folder: &Path) -> Self {
        let served = |path: &str| {
            path.split('/')
                .all(|part| !part.starts_with('.') || part == ".well-known")
        };
        let mut files = files_below(folder);
        files.retain(|path, _| served(path));
        Self { files }
    }

    fn ids(&self) -> BTreeSet<String> {
        let id = |path: &String| {
            let folder = path.strip_suffix("/_buildManifest.js")?;
            let (above, id) = folder.rsplit_once('/')?;
            above.ends_with("_next/static").then(|| id.to_owned())
        };
        self.files.keys().filter_map(id).collect()
    }

    /// The file that a path of the site leads to.
    fn find(&self, path: &str, version: Option<&str>) -> Option<&str> {
        let path = percent_decode_str(path).decode_utf8().ok()?;
        let path = path.trim_start_matches('/');
        if let Some(version) = version {
            let (stem, extension) = path.rsplit_once('.')?;
            let copy = format!("_assets/{stem}.{version}.{extension}");
            if let Some((copy, _)) = self.files.get_key_value(&copy) {
                return Some(copy);
            }
        }
        let folder = path.trim_end_matches('/');
        let index = format!("{folder}/index.html");
        [path, &format!("{folder}.html"), index.trim_start_matches('/')]
            .into_iter()
            .find_map(|name| Some(self.files.get_key_value(name)?.0.as_str()))
    }
}

/// The value of `v` in a query, if it is a digest of the tool.
fn version(url: &Url) -> Option<String> {
    let (_, value) = url.query_pairs().find(|(name, _)| name == "v")?;
    let is_digest = value.len() == 16 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then(|| value.into_owned())
}

/// The form of a URL: with a scheme, with only a host, from the root, or relative.
fn form(url: &str) -> u8 {
    let scheme = Regex::new("^[A-Za-z][A-Za-z0-9+.-]*:").expect("a pattern");
    match url.trim_start() {
        url if scheme.is_match(url) => 0,
        url if url.starts_with("//") => 1,
        url if url.starts_with('/') => 2,
        _ => 3,
    }
}

/// The URLs of a `srcset`, and the descriptor after each.
pub fn candidates(list: &str) -> Vec<(String, String)> {
    list.split(", ")
        .flat_map(|part| part.split(",\n"))
        .map(|part| part.trim().trim_end_matches(','))
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (url, size) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            (url.to_owned(), size.trim().to_owned())
        })
        .collect()
}

/// Splits CSS into the text between URLs, and the URLs.
pub fn css_pieces(text: &str) -> (Vec<String>, Vec<String>) {
    let pattern = r#"url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]*))\s*\)|@import\s+(?:"([^"]*)"|'([^']*)')"#;
    let pattern = Regex::new(pattern).expect("a pattern");
    let (mut between, mut urls, mut from) = (Vec::new(), Vec::new(), 0);
    for found in pattern.captures_iter(text) {
        let (Some(all), Some(url)) = (found.get(0), (1..=5).find_map(|group| found.get(group))) else {
            continue;
        };
        between.push(text[from..url.start()].to_owned());
        urls.push(url.as_str().to_owned());
        from = url.end();
        debug_assert!(all.end() >= from);
    }
    between.push(text[from..].to_owned());
    (between, urls)
}

pub fn is_element(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}

fn short(text: &str) -> String {
    text.chars().take(90).collect()
}

impl<'a> Judge<'a> {
    fn new(case: &'a Case<'a>) -> Self {
        let (before, after) = (Site::read(case.before), Site::read(case.after));
        let (old, new) = (before.ids(), after.ids());
        let mut gone = old.difference(&new);
        let mut come = new.difference(&old);
        let ids = match (gone.next(), come.next()) {
            (Some(old), Some(new)) => Some((old.clone(), new.clone())),
            _ => None,
        };
        Self {
            case,
            before,
            after,
            ids,
            found: Vec::new(),
        }
    }

    fn judge(mut self) -> Vec<String> {
        let names: Vec<String> = self.before.files.keys().cloned().collect();
        let mut expected = BTreeSet::new();
        for name in &names {
            // The tool makes encodings itself, and `encoding_fault` checks them.
            if is_encoding(&self.before, name) {
                continue;
            }
            let now = self.renamed(name);
            if self.after.files.contains_key(&now) {
                self.compare_files(name, &now);
            } else {
                self.found.push(format!("{name}: is not in the finished site"));
            }
            expected.insert(now);
        }
        self.judge_new_files(&expected);
        self.judge_old_id();
        self.judge_addresses();
        self.found
    }

    /// Replaces the old build ID in a text with the new one.
    fn renamed(&self, text: &str) -> String {
        match &self.ids {
            Some((old, new)) => text
                .replace(old, new)
                .replace(&format!("<!--{}-->", comment(old)), &format!("<!--{}-->", comment(new))),
            None => text.to_owned(),
        }
    }

    fn judge_new_files(&mut self, expected: &BTreeSet<String>) {
        let mut found = Vec::new();
        for (name, bytes) in &self.after.files {
            if expected.contains(name) {
                continue;
            }
            if let Some(fault) = encoding_fault(&self.after, name, bytes) {
                found.extend(fault);
            } else if let Some(digest) = name.starts_with("_assets/").then(|| name.rsplit('.').nth(1)).flatten() {
                let real = blake3::hash(bytes).to_hex();
                if digest.len() != 16 || !real.starts_with(digest) {
                    found.push(format!("{name}: is named after other bytes than its own"));
                }
            } else if !self.is_deployment(name) {
                found.push(format!("{name}: is new"));
            }
        }
        self.found.append(&mut found);
    }

    /// Whether a file names the site's deployment, and the first page names the same one.
    fn is_deployment(&self, name: &str) -> bool {
        let id = name
            .strip_prefix("_deployment/")
            .and_then(|name| name.strip_suffix(".txt"));
        let page = self.before.files.get("index.html");
        id.zip(page).is_some_and(|(id, page)| {
            let said = format!(" data-dpl-id=\"{id}\"");
            memchr::memmem::find(page, said.as_bytes()).is_some()
        })
    }

    /// Checks that a replaced random ID occurs nowhere any more, neither in names nor in contents.
    fn judge_old_id(&mut self) {
        let Some((old, _)) = &self.ids else { return };
        if old.len() < 16 {
            return;
        }
        let marks = [old.clone(), format!("<!--{}-->", comment(old))];
        for (name, bytes) in &self.after.files {
            let text = if name.ends_with(".html") {
                let items = items(&String::from_utf8_lossy(bytes));
                scripts(&items).filter_map(|(_, text)| pushed(text)).collect()
            } else {
                String::new()
            };
            let named = marks.iter().any(|mark| {
                name.contains(mark) || memchr::memmem::find(bytes, mark.as_bytes()).is_some() || text.contains(mark)
            });
            if named {
                self.found.push(format!(
                    "{name}: names the build id {old}, which was replaced elsewhere"
                ));
            }
        }
    }

    /// Checks that no file is fetched with a version from one place and without it from another.
    fn judge_addresses(&mut self) {
        let mut asked: BTreeMap<&str, BTreeMap<bool, &str>> = BTreeMap::new();
        for (name, bytes) in &self.after.files {
            let text = String::from_utf8_lossy(bytes);
            let (base, urls) = match name.rsplit('.').next() {
                Some("html") => {
                    let items = items(&text);
                    let payload: String = scripts(&items).filter_map(|(_, text)| pushed(text)).collect();
                    let mut urls = fetched::of_items(&items);
                    urls.extend(fetched::of_rows(&rows(&payload).unwrap_or_default()));
                    (base_of(&self.address(name), &items), urls)
                }
                Some("txt") => {
                    let page = self.address(&name.replace(".txt", ".html"));
                    (page, fetched::of_rows(&rows(&text).unwrap_or_default()))
                }
                Some("css") => (self.address(name), css_pieces(&text).1),
                _ => continue,
            };
            for url in urls {
                let Some((path, version)) = self.inside(&base, &url) else {
                    continue;
                };
                // A URL with another query is a different URL in any case.
                if version.is_none() && url.contains('?') {
                    continue;
                }
                if let Some(file) = self.after.find(&path, None) {
                    asked.entry(file).or_default().entry(version.is_some()).or_insert(name);
                }
            }
        }
        for (file, by) in asked {
            if let (Some(with), Some(without)) = (by.get(&true), by.get(&false)) {
                self.found.push(format!(
                    "{file}: is fetched with its version from {with} and without from {without}"
                ));
            }
        }
    }

    fn compare_files(&mut self, name: &str, now: &str) {
        let (Some(before), Some(after)) = (self.before.files.get(name), self.after.files.get(now)) else {
            return;
        };
        if before == after {
            return;
        }
        let (Ok(before), Ok(after)) = (String::from_utf8(before.clone()), String::from_utf8(after.clone())) else {
            self.found.push(format!("{name}: its bytes differ"));
            return;
        };
        let untouched = before;
        let before = self.renamed(&untouched);
        // A page may also have a policy that must match the new ID.
        if before == after && !name.ends_with(".html") {
            return;
        }
        let faults = match name.rsplit('.').next() {
            Some("html") => {
                let mut faults = self.compare_pages(name, &before, &after);
                faults.extend(judge_policy(&items(&untouched), &items(&after)));
                faults
            }
            Some("txt") => self.compare_payloads(name, &before, &after),
            Some("css") => self.compare_css(&self.address(name), &self.address(now), &before, &after),
            Some("json") => match (serde_json::from_str(&before), serde_json::from_str(&after)) {
                (Ok(before), Ok(after)) => self.compare_json(&self.address(name), "", &before, &after),
                _ => vec!["its bytes differ".to_owned()],
            },
            _ => vec!["its bytes differ".to_owned()],
        };
        self.found
            .extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }

    /// The URL at which a file is served.
    fn address(&self, name: &str) -> Url {
        let origin = self.case.origin.unwrap_or("https://page.invalid");
        let path = name.strip_suffix(".html").unwrap_or(name);
        let path = match path {
            "index" => "",
            path => path
                .strip_suffix("index")
                .filter(|path| path.ends_with('/'))
                .unwrap_or(path),
        };
        let mut url = Url::parse(origin).expect("an origin");
        url.set_path(&format!("{}/{path}", self.case.base_path));
        url
    }

    /// The path within the site that a URL leads to, and the version that it requests.
    fn inside(&self, base: &Url, url: &str) -> Option<(String, Option<String>)> {
        let url = base.join(url).ok()?;
        if url.origin() != base.origin() && Some(url.origin().ascii_serialization().as_str()) != self.case.origin {
            return None;
        }
        let path = url.path().strip_prefix(self.case.base_path)?;
        (path.is_empty() || path.starts_with('/')).then(|| (path.to_owned(), version(&url)))
    }

    /// The fault of a URL in place of another; `None` if both lead to the same bytes.
    fn compare_urls(&self, base: &Url, before: &str, after: &str) -> Option<String> {
        if before == after {
            return None;
        }
        let what = format!("{} became {}", short(before), short(after));
        if form(before) != form(after) {
            return Some(format!("{what}: written in another way"));
        }
        let (Some((one, asked)), Some((two, version))) = (self.inside(base, before), self.inside(base, after)) else {
            return Some(format!("{what}: leads out of the site"));
        };
        let (Some(one), Some(two)) = (
            self.before.find(&one, asked.as_deref()).map(str::to_owned).or_else(|| {
                // The URL may contain the new ID already, if the complete text was renamed first.
                let (old, new) = self.ids.as_ref()?;
                self.before.find(&one.replace(new, old), None).map(str::to_owned)
            }),
            self.after.find(&two, version.as_deref()),
        ) else {
            return Some(format!("{what}: one of them leads nowhere"));
        };
        if version.is_some() && !two.starts_with("_assets/") {
            return Some(format!("{what}: there is no copy of that version"));
        }
        self.compare_targets(&one, two).map(|why| format!("{what}: {why}"))
    }

    /// Compares the target in the export with the one in the finished site; `None` if they are the same to a visitor.
    fn compare_targets(&self, one: &str, two: &str) -> Option<String> {
        if self.renamed(one) == two {
            // The file comparison covers this pair.
            return None;
        }
        let (before, after) = (self.before.files.get(one)?, self.after.files.get(two)?);
        if before == after {
            return None;
        }
        if let (true, Ok(before), Ok(after)) = (
            one.ends_with(".css") && two.ends_with(".css"),
            std::str::from_utf8(before),
            std::str::from_utf8(after),
        ) {
            let faults = self.compare_css(&self.address(one), &self.address(two), before, after);
            return (!faults.is_empty()).then(|| faults.join("; "));
        }
        Some(format!("{one} and {two} have different bytes"))
    }

    /// Compares style sheets at two URLs.
    fn compare_css(&self, at: &Url, now_at: &Url, before: &str, after: &str) -> Vec<String> {
        let ((one, urls), (two, new_urls)) = (css_pieces(before), css_pieces(after));
        if one != two || urls.len() != new_urls.len() {
            return vec!["its style differs".to_owned()];
        }
        urls.iter()
            .zip(&new_urls)
            .filter_map(|(before, after)| {
                // From another folder the same text leads elsewhere.
                if before == after && at == now_at {
                    return None;
                }
                let absolute = |base: &Url, url: &str| base.join(url).map(String::from).ok();
                let (one, two) = (absolute(at, before), absolute(now_at, after));
                if one == two {
                    return None;
                }
                let (one, two) = (one.unwrap_or_default(), two.unwrap_or_default());
                self.compare_urls(at, &one, &two)
            })
            .collect()
    }

    fn compare_pages(&self, name: &str, before: &str, after: &str) -> Vec<String> {
        let (one, two) = (items(before), items(after));
        let mut faults = self.compare_items(&self.address(name), &one, &two);
        faults.extend(self.judge_integrity(&self.address(name), &two));
        let payload = |items: &[Item]| -> String { scripts(items).filter_map(|(_, text)| pushed(text)).collect() };
        // The complete payload, because the scripts may split an ID in two.
        let (old, new) = (self.renamed(&payload(&one)), payload(&two));
        if !old.is_empty() || !new.is_empty() {
            let found = self.compare_payloads(name, &old, &new);
            faults.extend(found.into_iter().map(|fault| format!("payload: {fault}")));
        }
        faults
    }

    fn compare_items(&self, address: &Url, before: &[Item], after: &[Item]) -> Vec<String> {
        if before.len() != after.len() {
            return vec![format!("{} nodes became {}", before.len(), after.len())];
        }
        let base = base_of(address, before);
        let mut faults = Vec::new();
        let mut within = String::new();
        let mut json = false;
        for (one, two) in before.iter().zip(after) {
            match (one, two) {
                (
                    Item::Open { name, attributes },
                    Item::Open {
                        name: new,
                        attributes: others,
                    },
                ) => {
                    within.clone_from(name);
                    json = attributes
                        .iter()
                        .any(|(name, value)| name == "type" && value.ends_with("json"));
                    let names =
                        |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                    if name != new || names(attributes) != names(others) {
                        faults.push(format!(
                            "{} became {}, or its attributes differ",
                            one.shown(),
                            two.shown()
                        ));
                        continue;
                    }
                    let policy = name == "meta"
                        && attributes.iter().any(|(name, value)| {
                            name == "http-equiv" && value.eq_ignore_ascii_case("content-security-policy")
                        });
                    for ((key, before), (_, after)) in attributes.iter().zip(others) {
                        // Both are checked by what they allow.
                        if key == "integrity" || policy && key == "content" {
                            continue;
                        }
                        let found = self.compare_values(&base, key, before, after);
                        faults.extend(found.into_iter().map(|fault| format!("<{name} {key}>: {fault}")));
                    }
                }
                (Item::Text(before), Item::Text(after)) if within == "script" => {
                    faults.extend(self.compare_scripts(&base, json, before, after));
                }
                (Item::Text(before), Item::Text(after)) if within == "style" => {
                    faults.extend(self.compare_css(&base, &base, before, after));
                }
                _ if one == two => within.clear(),
                _ => faults.push(format!("{} became {}", one.shown(), two.shown())),
            }
        }
        faults
    }

    fn compare_scripts(&self, base: &Url, json: bool, before: &str, after: &str) -> Vec<String> {
        if before == after || pushed(before).is_some() && pushed(after).is_some() {
            // Pushed scripts are compared elsewhere, as one text.
            return Vec::new();
        }
        if json && let (Ok(before), Ok(after)) = (serde_json::from_str(before), serde_json::from_str(after)) {
            return self.compare_json(base, "", &before, &after);
        }
        vec![format!("script {} became {}", short(before), short(after))]
    }

    /// Compares the values of an attribute or a property.
    fn compare_values(&self, base: &Url, key: &str, before: &str, after: &str) -> Vec<String> {
        if before == after {
            return Vec::new();
        }
        let lower = key.to_ascii_lowercase();
        if LISTS.contains(&lower.as_str()) {
            let (one, two) = (candidates(before), candidates(after));
            let sizes = |list: &[(String, String)]| list.iter().map(|(_, size)| size.clone()).collect::<Vec<_>>();
            if sizes(&one) != sizes(&two) {
                return vec![format!("{} became {}", short(before), short(after))];
            }
            return one
                .iter()
                .zip(&two)
                .filter_map(|((before, _), (after, _))| self.compare_urls(base, before, after))
                .collect();
        }
        if before.contains("url(") {
            return self.compare_css(base, base, before, after);
        }
        if URLS.contains(&lower.as_str()) {
            return self.compare_urls(base, before, after).into_iter().collect();
        }
        vec![format!("{} became {}", short(before), short(after))]
    }

    fn compare_payloads(&self, name: &str, before: &str, after: &str) -> Vec<String> {
        let base = self.address(&name.replace(".txt", ".html"));
        let (one, two) = match (rows(before), rows(after)) {
            (Ok(one), Ok(two)) => (one, two),
            // A payload that could not be read before must be unchanged.
            (Err(_), _) => return vec!["a payload that can't be read differs".to_owned()],
            (_, Err(fault)) => return vec![fault],
        };
        if one.len() != two.len() {
            return vec![format!("{} rows became {}", one.len(), two.len())];
        }
        one.iter()
            .zip(&two)
            .flat_map(|(one, two)| match (one, two) {
                _ if one == two => Vec::new(),
                (Row::Text { id, text }, Row::Text { id: other, text: new }) if id == other => {
                    self.compare_items(&base, &items(text), &items(new))
                }
                (
                    Row::Json { id, mark, value },
                    Row::Json {
                        id: other,
                        mark: same,
                        value: new,
                    },
                ) if (id, mark) == (other, same) => {
                    let key = if mark == "HL" { "href" } else { "" };
                    self.compare_json(&base, key, value, new)
                }
                _ => vec![format!("{one:?} became {two:?}")],
            })
            .collect()
    }

    /// Compares JSON. It must be the same except for URLs that lead to the same bytes, in places whose values only
    /// become attributes.
    fn compare_json(&self, base: &Url, key: &str, before: &Value, after: &Value) -> Vec<String> {
        match (before, after) {
            _ if before == after => Vec::new(),
            (Value::String(before), Value::String(after)) if key == "__html" => {
                self.compare_items(base, &items(before), &items(after))
            }
            (Value::String(before), Value::String(after)) => self.compare_values(base, key, before, after),
            (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
                let element = one.first().and_then(Value::as_str) == Some("$") && one.len() > 3;
                // A random text of Next.js 15.0 to 15.3 that is never shown.
                let drawn = element && is_render_key(&one[2]) && is_render_key(&two[2]);
                let host = one.get(1).and_then(Value::as_str).is_some_and(is_element);
                if element && !host && one.get(3) != two.get(3) && changes_props(&one[3], &two[3]) {
                    return vec![format!(
                        "a property of the client's component {} changed: {} became {}",
                        one[1],
                        short(&one[3].to_string()),
                        short(&two[3].to_string())
                    )];
                }
                one.iter()
                    .zip(two)
                    .enumerate()
                    .filter(|(index, _)| !(drawn && *index == 2))
                    .flat_map(|(_, (one, two))| self.compare_json(base, key, one, two))
                    .collect()
            }
            (Value::Object(one), Value::Object(two)) if one.keys().eq(two.keys()) => one
                .iter()
                .zip(two.values())
                .flat_map(|((key, one), two)| self.compare_json(base, key, one, two))
                .collect(),
            _ => vec![format!(
                "{} became {}",
                short(&before.to_string()),
                short(&after.to_string())
            )],
        }
    }

    /// Checks that every file that a page covers by `integrity` has matching bytes.
    fn judge_integrity(&self, address: &Url, after: &[Item]) -> Vec<String> {
        let base = base_of(address, after);
        let mut faults = Vec::new();
        for item in after {
            let Item::Open { attributes, .. } = item else { continue };
            let get = |key: &str| {
                attributes
                    .iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value.as_str())
            };
            let (Some(integrity), Some(url)) = (get("integrity"), get("src").or_else(|| get("href"))) else {
                continue;
            };
            let file = self
                .inside(&base, url)
                .and_then(|(path, version)| self.after.find(&path, version.as_deref()));
            if let Some(file) = file
                && let Some(bytes) = self.after.files.get(file)
                && !integrity.split_whitespace().any(|proof| proves(proof, bytes))
            {
                faults.push(format!("the integrity of {url} does not fit"));
            }
        }
        faults
    }
}

/// Whether an element's key is a random one that the server made for this page.
fn is_render_key(key: &Value) -> bool {
    let key = key.as_str().unwrap_or_default();
    let key = key.strip_suffix('v').filter(|key| key.len() == 21).unwrap_or(key);
    key.len() == 21
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether properties of a component differ in more than the elements below it.
fn changes_props(before: &Value, after: &Value) -> bool {
    match (before, after) {
        _ if before == after => false,
        (Value::Object(one), Value::Object(two)) if one.keys().eq(two.keys()) => one
            .iter()
            .zip(two.values())
            .any(|((_, one), two)| changes_props(one, two)),
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            // Elements below are compared as elements.
            let element = one.first().and_then(Value::as_str) == Some("$") && one.len() > 3;
            !element && one.iter().zip(two).any(|(one, two)| changes_props(one, two))
        }
        _ => true,
    }
}

/// The form of an ID in a comment of a page.
fn comment(id: &str) -> String {
    id.replace('-', "_")
}

/// The base of a page's relative URLs.
fn base_of(address: &Url, items: &[Item]) -> Url {
    let href = items.iter().find_map(|item| match item {
        Item::Open { name, attributes } if name == "base" => {
            attributes.iter().find(|(key, _)| key == "href").map(|(_, value)| value)
        }
        _ => None,
    });
    href.and_then(|href| address.join(href).ok())
        .unwrap_or_else(|| address.clone())
}

/// The scripts of a page, each with its attributes.
fn scripts(items: &[Item]) -> impl Iterator<Item = (&[(String, String)], &str)> {
    items.windows(2).filter_map(|pair| match pair {
        [Item::Open { name, attributes }, Item::Text(text)] if name == "script" => {
            Some((attributes.as_slice(), text.as_str()))
        }
        _ => None,
    })
}

fn digest(algorithm: &str, bytes: &[u8]) -> Option<String> {
    let algorithm = match algorithm {
        "sha256" => &ring::digest::SHA256,
        "sha384" => &ring::digest::SHA384,
        "sha512" => &ring::digest::SHA512,
        _ => return None,
    };
    Some(base64(ring::digest::digest(algorithm, bytes).as_ref()))
}

pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Whether a `sha256-…` value is the digest of these bytes.
fn proves(proof: &str, bytes: &[u8]) -> bool {
    proof
        .split_once('-')
        .is_some_and(|(algorithm, value)| digest(algorithm, bytes).as_deref() == Some(value))
}

/// The policies of a page's `meta`, as words.
fn policies(items: &[Item]) -> Vec<Vec<String>> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Open { name, attributes } if name == "meta" => {
                let get = |key: &str| attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value);
                let is_policy = get("http-equiv")?.eq_ignore_ascii_case("content-security-policy");
                let words = get("content")?
                    .split(|c: char| c.is_whitespace() || c == ';')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect();
                is_policy.then_some(words)
            }
            _ => None,
        })
        .collect()
}

/// Checks that a policy allows the same scripts as before, and is unchanged apart from its digests.
fn judge_policy(before: &[Item], after: &[Item]) -> Vec<String> {
    let (one, two) = (policies(before), policies(after));
    let is_hash = |word: &&String| word.starts_with("'sha");
    let rest = |list: &[Vec<String>]| -> Vec<Vec<String>> {
        list.iter()
            .map(|words| words.iter().filter(|word| !is_hash(word)).cloned().collect())
            .collect()
    };
    if rest(&one) != rest(&two) {
        return vec!["its content security policy says something else".to_owned()];
    }
    let allowed = |list: &[Vec<String>], text: &str| {
        list.iter().all(|words| {
            words
                .iter()
                .filter(is_hash)
                .any(|word| proves(word.trim_matches('\''), text.as_bytes()))
        })
    };
    let verdicts = |list: &[Vec<String>], items: &[Item]| -> Vec<bool> {
        scripts(items).map(|(_, text)| allowed(list, text)).collect()
    };
    let (was, is) = (verdicts(&one, before), verdicts(&two, after));
    if was == is {
        return Vec::new();
    }
    let count = |list: &[bool]| list.iter().filter(|allowed| **allowed).count();
    vec![format!(
        "its content security policy allowed {} of its scripts, and allows {} now",
        count(&was),
        count(&is)
    )]
}

/// Whether a file is an encoding of another file.
fn is_encoding(site: &Site, name: &str) -> bool {
    [".br", ".gz"].iter().any(|ending| {
        name.strip_suffix(ending)
            .is_some_and(|plain| site.files.contains_key(plain))
    })
}

/// For a file that is an encoding of another: the fault in it, if there is one.
fn encoding_fault(site: &Site, name: &str, bytes: &[u8]) -> Option<Option<String>> {
    let (plain, ending) = name.rsplit_once('.')?;
    let plain = site.files.get(plain)?;
    let mut decoded = Vec::new();
    let done = match ending {
        "br" => brotli::Decompressor::new(bytes, 1 << 16).read_to_end(&mut decoded),
        "gz" => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut decoded),
        _ => return None,
    };
    let fits = done.is_ok() && &decoded == plain;
    Some((!fits).then(|| format!("{name}: is not what it encodes")))
}
