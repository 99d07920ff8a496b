//! The content security policy of the site: its directives, as a page and as a header state them. Pure.
//!
//! A page allows its inline scripts by their hashes, so each page has a policy of its own, in a `<meta>`. A header is the
//! same for all pages, because the vhost knows no release. So the header, which only reports, allows every inline script.
//! A policy in a `<meta>` can neither report nor restrict who frames the page: the latter is in
//! [`super::headers::SECURITY`].

use data_encoding::BASE64;

/// The header of a policy that reports and blocks nothing.
pub const REPORT_ONLY: &str = "Content-Security-Policy-Report-Only";

/// The directives that a site may set, and what applies if it does not. Without an entry, `default-src` decides.
///
/// React writes `style` attributes, which have no other permission than `'unsafe-inline'`. Search indexes are read by
/// WebAssembly, which can do nothing that scripts can't.
pub const DIRECTIVES: [(&str, &[&str]); 14] = [
    ("default-src", &["'self'"]),
    (SCRIPT, &["'self'", "'wasm-unsafe-eval'"]),
    ("style-src", &["'self'", "'unsafe-inline'"]),
    ("img-src", &["'self'", "data:", "blob:"]),
    ("font-src", &["'self'", "data:"]),
    ("connect-src", &[]),
    ("media-src", &[]),
    ("frame-src", &[]),
    ("child-src", &[]),
    ("worker-src", &["'self'", "blob:"]),
    ("manifest-src", &[]),
    ("object-src", &["'none'"]),
    ("base-uri", &["'self'"]),
    ("form-action", &["'self'"]),
];

/// The directive that gets the hashes.
pub const SCRIPT: &str = "script-src";

const UNSAFE_INLINE: &str = "'unsafe-inline'";

/// The words that stand for something other than an address.
const KEYWORDS: [&str; 8] = [
    "'none'",
    "'self'",
    UNSAFE_INLINE,
    "'unsafe-eval'",
    "'unsafe-hashes'",
    "'wasm-unsafe-eval'",
    "'report-sample'",
    "'inline-speculation-rules'",
];

/// The sources of each directive, in the order of [`DIRECTIVES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    sources: Vec<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        let owned = |(_, sources): (&str, &[&str])| sources.iter().map(|source| (*source).to_owned()).collect();
        Self {
            sources: DIRECTIVES.into_iter().map(owned).collect(),
        }
    }
}

impl Policy {
    /// Sets the sources of one of [`DIRECTIVES`] in place of its default. Returns whether there is such a directive.
    pub fn set(&mut self, directive: &str, sources: Vec<String>) -> bool {
        let index = DIRECTIVES.iter().position(|(name, _)| *name == directive);
        let place = index.and_then(|index| self.sources.get_mut(index));
        place.map(|place| *place = sources).is_some()
    }

    /// The policy of a page, whose inline scripts have these hashes, such as `sha256-…`.
    #[must_use]
    pub fn of_page<'a>(&self, hashes: impl Iterator<Item = &'a str>) -> String {
        let hashes: Vec<String> = hashes.map(|hash| format!("'{hash}'")).collect();
        self.text(&hashes)
    }

    /// The policy of the header that reports.
    #[must_use]
    pub fn of_header(&self, report_uri: Option<&str>) -> String {
        // Beside a hash, `'unsafe-inline'` does not count.
        let mut policy = self.clone();
        policy
            .sources
            .iter_mut()
            .for_each(|sources| sources.retain(|source| !is_hash(source)));
        let text = policy.text(&[UNSAFE_INLINE.to_owned()]);
        match report_uri {
            Some(uri) => format!("{text}; report-uri {uri}"),
            None => text,
        }
    }

    fn text(&self, scripts: &[String]) -> String {
        let mut directives = Vec::new();
        for ((name, _), sources) in DIRECTIVES.iter().zip(&self.sources) {
            // Browsers ignore `'unsafe-inline'` beside a hash.
            let takes_hashes = *name == SCRIPT && !sources.iter().any(|source| source == UNSAFE_INLINE);
            let added = if takes_hashes { scripts } else { &[] };
            // `'none'` counts only if it is alone.
            let all: Vec<&str> = sources.iter().chain(added).map(String::as_str).collect();
            let is_alone = all.len() == 1;
            let all: Vec<&str> = all
                .into_iter()
                .filter(|source| is_alone || *source != "'none'")
                .collect();
            if !all.is_empty() {
                directives.push(format!("{name} {}", all.join(" ")));
            }
        }
        directives.join("; ")
    }

    /// The sources that decide about a directive: its own, or those that it falls back to.
    fn effective(&self, directive: &str) -> &[String] {
        let own = |wanted: &str| {
            let index = DIRECTIVES.iter().position(|(name, _)| *name == wanted)?;
            self.sources.get(index).filter(|sources| !sources.is_empty())
        };
        let chain: &[&str] = match directive {
            "frame-src" => &["frame-src", "child-src", "default-src"],
            // Navigation does not fall back.
            "base-uri" | "form-action" => &[directive],
            _ => &[directive, "default-src"],
        };
        chain.iter().find_map(|name| own(name)).map_or(&[], Vec::as_slice)
    }

    /// Whether code in attributes may be allowed: the policy can't tell which.
    #[must_use]
    pub fn may_allow_attributes(&self) -> bool {
        let is_wide = |source: &String| matches!(&**source, UNSAFE_INLINE | "'unsafe-hashes'");
        self.effective(SCRIPT).iter().any(is_wide)
    }

    /// Whether files of the site itself are allowed.
    #[must_use]
    pub fn allows_own(&self, directive: &str) -> bool {
        let sources = self.effective(directive);
        sources
            .iter()
            .any(|source| matches!(&**source, "'self'" | "*" | "https:"))
            || (sources.is_empty() && matches!(directive, "base-uri" | "form-action"))
    }

    /// Whether an absolute URL of another host is allowed.
    #[must_use]
    pub fn allows(&self, directive: &str, url: &url::Url) -> bool {
        let sources = self.effective(directive);
        if sources.is_empty() {
            return matches!(directive, "base-uri" | "form-action");
        }
        sources.iter().any(|source| matches(source, url))
    }
}

/// Whether a source is the hash of a script or of a style.
#[must_use]
pub fn is_hash(source: &str) -> bool {
    ["'sha256-", "'sha384-", "'sha512-"]
        .iter()
        .any(|start| source.starts_with(start))
}

/// Whether a source of a policy matches an absolute URL, as the standard says.
fn matches(source: &str, url: &url::Url) -> bool {
    let source = &*source.to_ascii_lowercase();
    let is_network = matches!(url.scheme(), "http" | "https" | "ws" | "wss");
    if source == "*" {
        return is_network;
    }
    if let Some(scheme) = source.strip_suffix(':') {
        return url.scheme() == scheme || (scheme == "http" && url.scheme() == "https");
    }
    let (scheme, rest) = match source.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, source),
    };
    // A source without a scheme has that of the page, or a safer one.
    let fits_scheme = match scheme {
        Some(scheme) => url.scheme() == scheme || (scheme == "http" && url.scheme() == "https"),
        None => matches!(url.scheme(), "https" | "wss"),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let found = url.host_str().unwrap_or_default();
    let fits_host = match host.strip_prefix('*') {
        Some(domain) => found.ends_with(domain) && found.len() > domain.len(),
        None => found.eq_ignore_ascii_case(host),
    };
    let found_port = url.port_or_known_default();
    let fits_port = match port {
        Some("*") => true,
        Some(port) => port.parse().ok() == found_port,
        None => url.port().is_none(),
    };
    let fits_path = path.is_empty()
        || if path.ends_with('/') {
            url.path().starts_with(path)
        } else {
            url.path() == path
        };
    fits_scheme && fits_host && fits_port && fits_path
}

/// Returns why a text can't be a source.
///
/// # Errors
/// The end of a sentence about the text.
pub fn refused(source: &str) -> Result<(), String> {
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'&' | b'<' | b'>' | b',' | b';' | b'\\');
    if source.is_empty() || !source.bytes().all(is_plain) {
        return Err("is empty or holds a character that no source has".to_owned());
    }
    if let Some(inner) = source.strip_prefix('\'') {
        let hash = inner.strip_suffix('\'').and_then(|inner| inner.split_once('-'));
        let length = hash
            .and_then(|(_, hash)| BASE64.decode(hash.as_bytes()).ok())
            .map(|bytes| bytes.len());
        let is_whole = matches!(
            (hash, length),
            (Some(("sha256", _)), Some(32)) | (Some(("sha384", _)), Some(48)) | (Some(("sha512", _)), Some(64))
        );
        if inner.starts_with("strict-dynamic") {
            return Err("blocks the scripts that a page names itself".to_owned());
        }
        if inner.starts_with("nonce-") {
            return Err("is a nonce, which a static page can't have".to_owned());
        }
        return if is_whole || KEYWORDS.contains(&source) {
            Ok(())
        } else {
            Err("is no keyword of a policy".to_owned())
        };
    }
    if KEYWORDS.iter().any(|keyword| keyword.trim_matches('\'') == source) {
        return Err(format!("needs quotes: \"'{source}'\""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(directive: &str, sources: &[&str]) -> Policy {
        let mut policy = Policy::default();
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        assert!(policy.set(directive, sources), "{directive}");
        policy
    }

    #[test]
    fn a_page_allows_its_own_scripts_and_a_header_all_inline_scripts() {
        let page = Policy::default().of_page(["sha256-a=", "sha256-b="].into_iter());
        insta::assert_snapshot!(page, @"default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'sha256-a=' 'sha256-b='; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'");
        let header = Policy::default().of_header(Some("https://reports.example.com/"));
        assert!(
            header.contains("script-src 'self' 'wasm-unsafe-eval' 'unsafe-inline';"),
            "{header}"
        );
        assert!(
            header.ends_with("; report-uri https://reports.example.com/"),
            "{header}"
        );
    }

    #[test]
    fn none_is_left_out_where_scripts_are_allowed_by_their_hashes() {
        let policy = with("script-src", &["'none'"]);
        assert!(
            policy
                .of_page(["sha256-a="].into_iter())
                .contains("script-src 'sha256-a=';")
        );
        assert!(policy.of_page(std::iter::empty()).contains("script-src 'none';"));
    }

    #[test]
    fn sources_match_as_in_the_standard() {
        let url = |text: &str| url::Url::parse(text).unwrap();
        for (source, address, fits) in [
            ("*", "https://a.example/x", true),
            ("*", "data:text/plain,x", false),
            ("data:", "data:text/plain,x", true),
            ("https:", "https://a.example/", true),
            ("https:", "http://a.example/", false),
            ("http:", "https://a.example/", true),
            ("HTTPS://A.example", "https://a.example/x", true),
            ("a.example", "https://a.example/x", true),
            ("a.example", "http://a.example/x", false),
            ("a.example", "https://b.a.example/x", false),
            ("https://a.example", "https://a.example/x", true),
            ("https://a.example", "https://a.example:8443/x", false),
            ("http://a.example", "https://a.example/x", true),
            ("https://a.example:*", "https://a.example:8443/x", true),
            ("https://a.example:8443", "https://a.example:8443/x", true),
            ("https://*.a.example", "https://b.a.example/x", true),
            ("https://*.a.example", "https://a.example/x", false),
            ("https://a.example/s/", "https://a.example/s/x.js", true),
            ("https://a.example/s.js", "https://a.example/s.js?v=1", true),
            ("https://a.example/s.js", "https://a.example/t.js", false),
            ("'self'", "https://a.example/", false),
        ] {
            let policy = with("img-src", &[source]);
            assert_eq!(policy.allows("img-src", &url(address)), fits, "{source} {address}");
        }
    }

    #[test]
    fn a_directive_without_sources_of_its_own_falls_back() {
        let other = url::Url::parse("https://a.example/").unwrap();
        assert!(with("default-src", &["https:"]).allows("connect-src", &other));
        assert!(with("child-src", &["https:"]).allows("frame-src", &other));
        assert!(!with("default-src", &["https:"]).allows("object-src", &other));
        assert!(!with("default-src", &["https:"]).allows("form-action", &other));
        assert!(with("form-action", &["*"]).allows("form-action", &other));
        assert!(Policy::default().allows_own("script-src") && Policy::default().allows_own("connect-src"));
        assert!(!with("script-src", &["https://a.example"]).allows_own("script-src"));
    }

    #[test]
    fn what_can_be_no_source_is_refused() {
        for source in [
            "'self'",
            "https://a.example",
            "*.example.com",
            "data:",
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='",
            "wss:",
            "*",
        ] {
            assert_eq!(refused(source), Ok(()), "{source}");
        }
        for source in [
            "",
            "self",
            "none",
            "a b",
            "a;b",
            "a,b",
            "'nonce-x'",
            "'slef'",
            "'strict-dynamic'",
            "'sha256-x='",
            "a\"b",
            "ä",
        ] {
            assert!(refused(source).is_err(), "{source}");
        }
    }
}
