//! Maps a URL in a page to the file of the site that it names, and back. Pure.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// What a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A path of this site.
    Site(SiteUrl),
    /// A path on this host that is not below the base path.
    Outside,
    /// Another host, with its name.
    Host(String),
    /// Nothing that is fetched from a host: `data:`, `mailto:`, `javascript:`, an empty text.
    Nothing,
    /// The text is not a URL.
    Malformed,
}

/// A URL of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUrl {
    /// The path below the base path, decoded, without its leading slash. A trailing slash is kept.
    pub path: String,
    /// The text after `?`.
    pub query: Option<String>,
    /// The text after `#`, decoded.
    pub fragment: Option<String>,
}

/// Resolves the URLs of a site.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// The site's own address, or one that no page can name.
    origin: Option<Url>,
    base_path: String,
    /// The asset prefix with `/_next/` at its end, or `None` if there is no such prefix.
    client: Option<String>,
}

/// The folder of the client's files, which follows an asset prefix.
pub const CLIENT: &str = "/_next/";

/// Stands in for the address of a site that has none. `.invalid` is reserved, so no real site has it.
const NO_ORIGIN: &str = "https://site.invalid/";

impl Resolver {
    /// Returns a resolver for a site at an address, of which only the scheme, host and port count, and below a base
    /// path, which is empty or has a leading slash.
    #[must_use]
    pub fn new(origin: Option<&str>, base_path: &str) -> Self {
        let own = origin.and_then(|origin| Url::parse(origin).ok());
        let origin = own.or_else(|| Url::parse(NO_ORIGIN).ok());
        Self {
            origin: origin.and_then(|origin| origin.join("/").ok()),
            base_path: base_path.trim_end_matches('/').to_owned(),
            client: None,
        }
    }

    /// Makes the resolver accept the client's files after this path (an `assetPrefix`) as well, if the path is not
    /// empty.
    #[must_use]
    pub fn with_asset_prefix(self, prefix: &str) -> Self {
        let client = (!prefix.is_empty()).then(|| format!("{prefix}{CLIENT}"));
        Self { client, ..self }
    }

    /// The base path: empty, or with a leading but no trailing slash.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The address of a file of the site as the address of a page: `usage.html` becomes `/usage`.
    #[must_use]
    pub fn page_address(&self, path: &str) -> String {
        let address = match path.strip_suffix(".html") {
            Some("index") => "",
            Some(page) => page
                .strip_suffix("index")
                .filter(|folder| folder.ends_with('/'))
                .unwrap_or(page),
            None => path,
        };
        format!("{}/{}", self.base_path, encoded(address))
    }

    /// Resolves a URL in a document at this address, which must come from [`Self::page_address`].
    #[must_use]
    pub fn resolve(&self, document: &str, url: &str) -> Target {
        if url.is_empty() {
            return Target::Nothing;
        }
        // Most URLs are plain paths, and it is slow to parse each of them again in every page.
        if let Some(path) = plain_path(url) {
            return self.own(path, None, None);
        }
        let Some(origin) = &self.origin else {
            return Target::Malformed;
        };
        let Ok(url) = origin.join(document).and_then(|document| document.join(url)) else {
            return Target::Malformed;
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Target::Nothing;
        }
        // A page may name its own site with either scheme.
        if (url.host_str(), url.port()) != (origin.host_str(), origin.port()) {
            return url
                .host_str()
                .map_or(Target::Malformed, |host| Target::Host(host.to_owned()));
        }
        self.own(url.path(), url.query(), url.fragment())
    }

    fn own(&self, path: &str, query: Option<&str>, fragment: Option<&str>) -> Target {
        let path = merged(path);
        let client = self.client.as_ref().filter(|client| path.starts_with(client.as_str()));
        let below = match client {
            Some(client) => path.get(client.len() - CLIENT.len()..),
            None => path.strip_prefix(self.base_path.as_str()),
        };
        let Some(below) = below else {
            return Target::Outside;
        };
        let below = match below.strip_prefix('/') {
            Some(below) => below,
            None if below.is_empty() => "",
            None => return Target::Outside,
        };
        let Some(path) = decoded(below) else {
            return Target::Malformed;
        };
        Target::Site(SiteUrl {
            path,
            query: query.map(str::to_owned),
            // If the fragment does not decode, browsers look for the raw text.
            fragment: fragment.map(|text| decoded(text).unwrap_or_else(|| text.to_owned())),
        })
    }
}

/// A path with repeated slashes merged into one, as nginx looks it up.
fn merged(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut last = None;
    let kept = path.chars().filter(|c| last.replace(*c) != Some('/') || *c != '/');
    kept.collect::<String>().into()
}

/// Decodes the percent signs in a name as in a URL. `None` if the result is not valid UTF-8.
#[must_use]
pub fn decoded(name: &str) -> Option<String> {
    let text = percent_decode_str(name).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// Returns the URL if it is only a path and a URL parser would not change it.
fn plain_path(url: &str) -> Option<&str> {
    let rest = url.strip_prefix('/')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~%@+,".contains(&byte);
    let is_plain = !rest.starts_with('/') && rest.bytes().all(is_plain) && !url.contains("/.") && !url.contains("/%2");
    is_plain.then_some(url)
}

/// Whether a URL depends on the address of the document that contains it.
#[must_use]
pub fn is_relative(url: &str) -> bool {
    let has_scheme = || {
        let (scheme, rest) = url.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        // `https:a` without slashes is relative to a page with the same scheme.
        (is_scheme && (!is_web || rest.starts_with(['/', '\\']))).then_some(())
    };
    !url.is_empty() && !url.starts_with(['/', '#', '\\']) && has_scheme().is_none()
}

/// Every character that is not plain in a path, in a style sheet and in a `srcset` alike.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'$')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b':')
    .remove(b'=')
    .remove(b'@')
    .remove(b'_')
    .remove(b'~');

/// Encodes every character of a path that needs it in at least one of those places.
#[must_use]
pub fn encoded(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(path: &str, query: Option<&str>, fragment: Option<&str>) -> Target {
        Target::Site(SiteUrl {
            path: path.to_owned(),
            query: query.map(str::to_owned),
            fragment: fragment.map(str::to_owned),
        })
    }

    #[test]
    fn urls_are_resolved_as_browsers_do() {
        let resolver = Resolver::new(Some("https://docs.example.com/x"), "");
        let at = |url: &str| resolver.resolve("/guides/orders", url);
        assert_eq!(at("/images/a.png"), site("images/a.png", None, None));
        assert_eq!(at("b.png"), site("guides/b.png", None, None));
        assert_eq!(at("./b.png?x=1#y"), site("guides/b.png", Some("x=1"), Some("y")));
        assert_eq!(at("../../c/"), site("c/", None, None));
        assert_eq!(at("#top"), site("guides/orders", None, Some("top")));
        assert_eq!(at("/gr%C3%B6%C3%9Fe"), site("größe", None, None));
        assert_eq!(at("/größe#ä"), site("größe", None, Some("ä")));
        assert_eq!(at("https://docs.example.com/a"), site("a", None, None));
        assert_eq!(at("//docs.example.com/a"), site("a", None, None));
        assert_eq!(at("/"), site("", None, None));
        assert_eq!(at("/a/../b"), site("b", None, None));
        assert_eq!(at("\\a"), site("a", None, None));
        assert_eq!(at("/a//b///c"), site("a/b/c", None, None));
        assert_eq!(at("b//c?x=//"), site("guides/b/c", Some("x=//"), None));
        assert_eq!(at("https://example.com/a"), Target::Host("example.com".to_owned()));
        assert_eq!(at("//example.com/a"), Target::Host("example.com".to_owned()));
        for nothing in [
            "",
            "mailto:a@b.c",
            "data:image/png;base64,AAAA",
            "javascript:void(0)",
            "blob:x",
        ] {
            assert_eq!(at(nothing), Target::Nothing, "{nothing}");
        }
        assert_eq!(at("https://["), Target::Malformed);
        assert_eq!(at("/%ff"), Target::Malformed);
    }

    #[test]
    fn what_depends_on_its_place_is_relative() {
        for url in ["a", "./a", "../a", "?a", ":", "1:a", "a b:c", "https:a", "ä:b"] {
            assert!(is_relative(url), "{url}");
        }
        for url in [
            "",
            "/a",
            "//host/a",
            "#a",
            "\\a",
            "https://host/a",
            "HTTP:/a",
            "data:,x",
            "mailto:a@b.c",
            "a+b:c",
        ] {
            assert!(!is_relative(url), "{url}");
        }
    }

    #[test]
    fn base_path_is_taken_off_and_put_on() {
        let resolver = Resolver::new(None, "/handbook");
        let at = |url: &str| resolver.resolve(&resolver.page_address("usage/index.html"), url);
        assert_eq!(at("/handbook/images/a.png"), site("images/a.png", None, None));
        assert_eq!(at("/handbook"), site("", None, None));
        assert_eq!(at("/handbook//images/a.png"), site("images/a.png", None, None));
        assert_eq!(at("a.png"), site("usage/a.png", None, None));
        assert_eq!(at("/handbooks/a"), Target::Outside);
        assert_eq!(at("/images/a.png"), Target::Outside);
        assert_eq!(
            resolver.page_address("images/ä b.png"),
            "/handbook/images/%C3%A4%20b.png"
        );
    }

    #[test]
    fn files_of_the_client_are_found_behind_the_asset_prefix_and_pages_are_not() {
        let resolver = Resolver::new(None, "/handbook").with_asset_prefix("/blog-static");
        let at = |url: &str| resolver.resolve("/handbook/", url);
        let chunk = site("_next/static/a.js", None, None);
        assert_eq!(at("/blog-static/_next/static/a.js"), chunk);
        assert_eq!(at("/blog-static//_next/static/a.js"), chunk);
        assert_eq!(at("/handbook/_next/static/a.js"), chunk);
        assert_eq!(at("/blog-static/usage"), Target::Outside);
        assert_eq!(at("/blog-static/_nextx"), Target::Outside);
        assert_eq!(at("/_next/static/a.js"), Target::Outside);
    }

    #[test]
    fn pages_have_the_addresses_that_the_server_gives_them() {
        let resolver = Resolver::new(None, "");
        for (path, address) in [
            ("index.html", "/"),
            ("usage.html", "/usage"),
            ("usage/index.html", "/usage/"),
            ("myindex.html", "/myindex"),
            ("a/größe.html", "/a/gr%C3%B6%C3%9Fe"),
            ("a/b.css", "/a/b.css"),
        ] {
            assert_eq!(resolver.page_address(path), address);
        }
    }
}
