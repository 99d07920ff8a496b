//! What a page says of where its client's files lie: the base path, and the deployment they belong to. Pure.

use super::{Position, Reference, Visit, html};

/// The folder whose URLs every page of Next.js names, and that lies at the top of the export.
pub(crate) const CLIENT_ASSETS: &str = "/_next/static/";

/// What the URLs of the client's files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// What stands before `/_next/static/`: empty, or a path with a slash at its front alone (`basePath`).
    pub base_path: String,
    /// What `?dpl=` says behind them (`deploymentId`).
    pub deployment_id: Option<String>,
}

/// Reads it off a page. `None` where the page names no such file, or names those of another host.
#[must_use]
pub fn of_page(page: &str) -> Option<Client> {
    struct Look(Option<Client>);
    impl Visit for Look {
        fn url(&mut self, reference: Reference<'_>) -> Option<String> {
            if self.0.is_none() && matches!(reference.position, Position::Script | Position::Style) {
                self.0 = of_url(reference.url);
            }
            None
        }
    }
    let mut look = Look(None);
    html::walk(page, 0, &mut look);
    look.0
}

fn of_url(url: &str) -> Option<Client> {
    let is_path = url.starts_with('/') && !url.starts_with("//");
    let (before, after) = url.split_once(CLIENT_ASSETS).filter(|_| is_path)?;
    let query = after.split_once('?').map_or("", |(_, query)| query);
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let deployment_id = pairs
        .into_iter()
        .find(|(key, _)| key == "dpl")
        .map(|(_, id)| id.into_owned());
    Some(Client {
        base_path: before.to_owned(),
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
    fn base_path_is_what_stands_before_the_client_assets() {
        let base_path = |url: &str| page(url).map(|(base_path, _)| base_path);
        assert_eq!(base_path("/_next/static/chunks/a.js"), Some(String::new()));
        assert_eq!(
            base_path("/handbook/_next/static/chunks/a.js"),
            Some("/handbook".to_owned())
        );
        assert_eq!(base_path("/a/b/_next/static/chunks/a.js"), Some("/a/b".to_owned()));
        assert_eq!(base_path("https://cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(base_path("//cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(base_path("/analytics.js"), None);
    }

    #[test]
    fn deployment_is_read_off_the_query() {
        let id = |url: &str| page(url).and_then(|(_, id)| id);
        assert_eq!(id("/_next/static/chunks/a.js?dpl=v%201"), Some("v 1".to_owned()));
        assert_eq!(id("/_next/static/chunks/a.js?v=1"), None);
        assert_eq!(id("/_next/static/chunks/a.js"), None);
    }
}
