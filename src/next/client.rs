//! What pages reveal about the location of their client's files: the base path, an `assetPrefix`, and the deployment
//! that they belong to. Pure.

use super::{Position, Reference, html};

/// The folder that appears in the URLs of every Next.js page and is at the top of the export.
pub(crate) const CLIENT_ASSETS: &str = "/_next/static/";

/// What the URLs of the client's files reveal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The prefix of the site's addresses (`basePath`): empty, or a path with a leading but no trailing slash.
    pub base_path: String,
    /// The path before `/_next/static/`, in the same form. It is the base path, unless the site has an `assetPrefix`
    /// that is a path.
    pub prefix: String,
    /// The value of `?dpl=` in the URLs (`deploymentId`).
    pub deployment_id: Option<String>,
}

impl Client {
    /// The path before `/_next/` if it differs from this base path, or else an empty string.
    #[must_use]
    pub fn asset_prefix(&self, base_path: &str) -> &str {
        if self.prefix == base_path { "" } else { &self.prefix }
    }
}

/// Reads a page's URLs, assuming that the path before `/_next/static/` is the base path. `None` if the page does not
/// name such a file, or names those of another host.
#[must_use]
pub fn of_page(page: &str) -> Option<Client> {
    let mut found = None;
    html::walk(page, 0, &mut |reference: Reference<'_>| {
        if found.is_none() && is_loaded(reference) {
            found = of_url(reference.url);
        }
        None
    });
    found
}

/// Reads a page that names the client's files at another address, which an absolute `assetPrefix` causes. The path of
/// that address is the base path if a URL of the page itself begins with it and leads to an existing file. `is_there`
/// returns whether a path of the site, without its leading slash, exists.
#[must_use]
pub fn behind_prefix(page: &str, is_there: &dyn Fn(&str) -> bool) -> Option<Client> {
    let (mut client, mut own) = (None, Vec::new());
    html::walk(page, 0, &mut |reference: Reference<'_>| {
        if is_path(reference.url) {
            own.push(reference.url.to_owned());
        } else if client.is_none() && is_loaded(reference) {
            let url = url::Url::parse(reference.url).ok();
            client = url.and_then(|url| of_url(&url[url::Position::BeforePath..]));
        }
        None
    });
    let client = client.filter(|client: &Client| !client.base_path.is_empty())?;
    let is_base = |url: &String| leads(url, &client.base_path, is_there) == Some(Leads::Below);
    own.iter().any(is_base).then_some(client)
}

/// Reads a page of another generator: the base path precedes the paths of existing files in the URLs of its scripts and
/// style sheets.
#[must_use]
pub fn before_files(page: &str, is_there: &dyn Fn(&str) -> bool) -> Option<Client> {
    let mut found = None;
    html::walk(page, 0, &mut |reference: Reference<'_>| {
        let path = reference.url.split(['?', '#']).next().unwrap_or_default();
        if found.is_none() && is_loaded(reference) && is_path(path) {
            let mut slashes = path.match_indices('/').map(|(at, _)| at);
            let base = slashes.find(|at| is_there(&path[at + 1..]));
            found = base.map(|at| Client {
                base_path: path[..at].to_owned(),
                prefix: path[..at].to_owned(),
                deployment_id: None,
            });
        }
        None
    });
    found
}

/// Where a page's own addresses lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// To existing files below a path, and nowhere without that path: the path is the base path.
    Below,
    /// To existing files without that path.
    Beside,
}

/// What a page's links and images reveal about the path before `/_next/static/`: a base path also precedes each of
/// them, and an `assetPrefix` precedes none. If any of them shows that the path is the base path, that decides.
#[must_use]
pub fn beside_prefix(page: &str, prefix: &str, is_there: &dyn Fn(&str) -> bool) -> Option<Leads> {
    let mut found = None;
    html::walk(page, 0, &mut |reference: Reference<'_>| {
        let url = reference.url;
        if is_path(url) && !url.contains(CLIENT_ASSETS) && found != Some(Leads::Below) {
            found = leads(url, prefix, is_there).or(found);
        }
        None
    });
    found
}

/// Whether a browser loads the file of a URL as a script or a style sheet.
fn is_loaded(reference: Reference<'_>) -> bool {
    matches!(reference.position, Position::Script | Position::Style)
}

/// Whether a URL is a path of the same host.
fn is_path(url: &str) -> bool {
    url.starts_with('/') && !url.starts_with("//")
}

fn leads(url: &str, base: &str, is_there: &dyn Fn(&str) -> bool) -> Option<Leads> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let below = path
        .strip_prefix(base)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    // Many sites below a base path link to the first page of their host.
    if path == "/" {
        return None;
    }
    if is_there(path.trim_start_matches('/')) {
        return below.is_none().then_some(Leads::Beside);
    }
    // The bare path alone proves nothing, because a page with that name may be at the root.
    let is_below = below.is_some_and(|rest| rest.len() > 1 && is_there(rest.trim_start_matches('/')));
    is_below.then_some(Leads::Below)
}

fn of_url(url: &str) -> Option<Client> {
    let (before, after) = url.split_once(CLIENT_ASSETS).filter(|_| is_path(url))?;
    let query = after.split_once('?').map_or("", |(_, query)| query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let deployment_id = pairs
        .into_iter()
        .find(|(key, _)| key == "dpl")
        .map(|(_, id)| id.into_owned());
    // nginx merges the two slashes that an `assetPrefix` with a trailing slash causes.
    let before = before.trim_end_matches('/').to_owned();
    Some(Client {
        base_path: before.clone(),
        prefix: before,
        deployment_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(url: &str) -> Option<(String, Option<String>)> {
        let page = format!("<a href=/x/_next/static/a.js></a><script src=\"{url}\"></script>");
        of_page(&page).map(|client| (client.base_path, client.deployment_id))
    }

    #[test]
    fn base_path_is_what_precedes_the_client_assets() {
        let base_path = |url: &str| page(url).map(|(base_path, _)| base_path);
        assert_eq!(base_path("/_next/static/chunks/a.js"), Some(String::new()));
        assert_eq!(
            base_path("/handbook/_next/static/chunks/a.js"),
            Some("/handbook".to_owned())
        );
        assert_eq!(base_path("/a/b/_next/static/chunks/a.js"), Some("/a/b".to_owned()));
        assert_eq!(base_path("/docs//_next/static/chunks/a.js"), Some("/docs".to_owned()));
        assert_eq!(base_path("https://cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(base_path("//cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(base_path("/analytics.js"), None);
    }

    #[test]
    fn base_path_of_a_page_whose_client_lies_at_another_address_is_that_of_its_own_urls() {
        let of = |page: &str| {
            let there = |path: &str| matches!(path, "guide" | "favicon.ico" | "docs");
            behind_prefix(page, &there).map(|client| client.base_path)
        };
        let script = "<script src='https://someone.github.io/handbook/_next/static/chunks/a.js'></script>";
        let with = |markup: &str| of(&format!("{script}{markup}"));
        assert_eq!(with("<a href='/handbook/guide'>").as_deref(), Some("/handbook"));
        assert_eq!(
            with("<link rel=icon href='/handbook/favicon.ico?x'>").as_deref(),
            Some("/handbook")
        );
        // A CDN with a folder for this site, whose pages are at the root.
        assert_eq!(with("<a href='/guide'><a href='/handbook'>"), None);
        assert_eq!(with("<a href='/handbook/nowhere'>"), None);
        assert_eq!(of("<a href='/handbook/guide'>"), None);
        let cdn = "<script src='https://cdn.acme.dev/_next/static/chunks/a.js'></script><a href='/guide'>";
        assert_eq!(of(cdn), None);
    }

    #[test]
    fn base_path_of_another_generator_is_what_precedes_existing_files() {
        let there = |path: &str| matches!(path, "assets/app.js" | "assets/style.css" | "docs/app.js");
        let of = |page: &str| before_files(page, &there).map(|client| client.base_path);
        assert_eq!(
            of("<script src='/docs/v1/assets/app.js?x'></script>").as_deref(),
            Some("/docs/v1")
        );
        assert_eq!(
            of("<link rel=stylesheet href='/assets/style.css'>").as_deref(),
            Some("")
        );
        assert_eq!(of("<script src='/docs/app.js'></script>").as_deref(), Some(""));
        for silent in [
            "<a href='/docs/assets/app.js'>",
            "<script src='/docs/other.js'></script>",
            "<script src='https://cdn.acme.dev/docs/assets/app.js'></script>",
            "<script src='assets/app.js'></script>",
        ] {
            assert_eq!(of(silent), None, "{silent}");
        }
    }

    #[test]
    fn prefix_that_no_address_of_the_site_has_is_none_of_its_base_path() {
        let there = |path: &str| matches!(path, "" | "guide" | "img/a.png" | "blog");
        let of = |page: &str| beside_prefix(page, "/blog", &there);
        assert_eq!(of("<a href='/blog/guide'>"), Some(Leads::Below));
        assert_eq!(of("<img src='/blog/img/a.png'>"), Some(Leads::Below));
        assert_eq!(of("<a href='/guide?x#y'>"), Some(Leads::Beside));
        // An image URL that lacks the base path.
        assert_eq!(of("<img src='/img/a.png'><a href='/blog/guide'>"), Some(Leads::Below));
        assert_eq!(of("<a href='/blog/guide'><img src='/img/a.png'>"), Some(Leads::Below));
        for silent in [
            "/",
            "/blog",
            "/blog/nowhere",
            "/nowhere",
            "guide",
            "//host/guide",
            "https://host/guide",
        ] {
            assert_eq!(of(&format!("<a href='{silent}'>")), None, "{silent}");
        }
        assert_eq!(of("<script src='/blog/_next/static/a.js'></script>"), None);
    }

    #[test]
    fn deployment_is_read_off_the_query() {
        let id = |url: &str| page(url).and_then(|(_, id)| id);
        assert_eq!(id("/_next/static/chunks/a.js?dpl=v%201"), Some("v 1".to_owned()));
        assert_eq!(id("/_next/static/chunks/a.js?v=1"), None);
        assert_eq!(id("/_next/static/chunks/a.js"), None);
    }
}
