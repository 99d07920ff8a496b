//! The base path of an export, read off one of its pages. Pure.

use super::{Position, Reference, Visit, html};

/// The folder whose URLs every page of Next.js names, and that lies at the top of the export.
const CLIENT_ASSETS: &str = "/_next/static/";

/// What stands before `/_next/static/` in the scripts and style sheets of a page: empty, or a path with a slash at its
/// front alone. `None` where the page names none, or names those of another host.
#[must_use]
pub fn of_page(page: &str) -> Option<String> {
    struct Look(Option<String>);
    impl Visit for Look {
        fn url(&mut self, reference: Reference<'_>) -> Option<String> {
            if self.0.is_none() && matches!(reference.position, Position::Script | Position::Style) {
                self.0 = before_client_assets(reference.url);
            }
            None
        }
    }
    let mut look = Look(None);
    html::walk(page, 0, &mut look);
    look.0
}

fn before_client_assets(url: &str) -> Option<String> {
    let is_path = url.starts_with('/') && !url.starts_with("//");
    let before = url.split_once(CLIENT_ASSETS).map(|(before, _)| before)?;
    is_path.then(|| before.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_path_is_what_stands_before_the_client_assets() {
        let page = |url: &str| {
            of_page(&format!(
                "<a href=/x/_next/static/a.js></a><script src=\"{url}\"></script>"
            ))
        };
        assert_eq!(page("/_next/static/chunks/a.js"), Some(String::new()));
        assert_eq!(page("/handbook/_next/static/chunks/a.js"), Some("/handbook".to_owned()));
        assert_eq!(page("/a/b/_next/static/chunks/a.js"), Some("/a/b".to_owned()));
        assert_eq!(page("https://cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(page("//cdn.example.com/_next/static/chunks/a.js"), None);
        assert_eq!(page("/analytics.js"), None);
    }
}
