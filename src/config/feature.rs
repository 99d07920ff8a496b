//! The tables of the features around a publish: what each key accepts, and its default.
//!
//! Pure. This module validates values and must not act on them.

use std::time::Duration;

use super::section::{Expect, FromSection, Refusal, Section, expect, one_of, owned_if, text, which, whole};
use super::shape::Shape;
use super::template::{EVENTS, check_template};
use super::url::WebUrl;
use super::values::{argument, globs, local_path, parse_duration};
use crate::model::glob::PathGlob;
use crate::rules::nginx::is_includable;

const URL: Expect = expect(
    "an http or https URL without credentials, query and fragment",
    r#""https://www.example.com""#,
);

pub(super) fn url(section: &Section<'_>, key: &'static str) -> Option<WebUrl> {
    section.read_text(key, URL, web_url)
}

fn web_url(text: &str) -> Result<WebUrl, Refusal> {
    WebUrl::parse(text).or_else(|reason| {
        if text.contains('@') {
            return Err(Refusal::Hidden("is not such a URL, or holds credentials"));
        }
        which(reason)
    })
}

/// `[next]`: settings of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Whether the build ID is removed from the published files, so that a new ID changes no file.
    pub stable_build_id: bool,
    /// The base path of the site: empty, or with a leading `/` and no trailing one. `None`: detect it from the export.
    pub base_path: Option<String>,
}

impl FromSection for Next {
    fn from_section(section: &Section<'_>) -> Self {
        let allowed = expect("empty, or a path that begins with `/`", r#""/docs""#);
        Self {
            stable_build_id: section.read_bool("stable-build-id", "true").unwrap_or(true),
            base_path: section.read_text("base-path", allowed, base_path),
        }
    }
}

fn base_path(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let Some(relative) = text.strip_prefix('/') else {
        return which("does not begin with `/`");
    };
    if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return which("has an empty, `.` or `..` segment");
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '?' || c == '#';
    owned_if(
        !text.contains(is_odd),
        text,
        "holds a character that no path of a URL has",
    )
}

/// `[fingerprint]`: which files get a copy with a part of their digest in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Globs of the files that do. `None`: the default selection; an empty list: no files.
    pub include: Option<Vec<String>>,
    /// Globs of the files that do not, even if `include` matches them.
    pub exclude: Vec<String>,
    /// The folder at the root of the site that contains the copies.
    pub prefix: String,
}

impl FromSection for Fingerprint {
    fn from_section(section: &Section<'_>) -> Self {
        let allowed = expect(
            "the name of one folder, of letters, digits, `.`, `_` and `-`",
            r#""_assets""#,
        );
        Self {
            include: globs(section, "include"),
            exclude: globs(section, "exclude").unwrap_or_default(),
            prefix: section
                .read_text("prefix", allowed, folder_name)
                .unwrap_or_else(|| "_assets".to_owned()),
        }
    }
}

fn folder_name(text: &str) -> Result<String, Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.starts_with('.') {
        return which("is empty or begins with `.`");
    }
    if !text.bytes().all(is_plain) {
        return which("holds other characters");
    }
    // Everything below the folder is cached for good, but these folders also contain files that change.
    let is_free = !matches!(text, "_next" | "pagefind" | "_pagefind");
    owned_if(is_free, text, "is a folder of Next.js's or of the search's own")
}

/// `[assets]`: the files that the site's own build names after their content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assets {
    /// Globs of files that never change under one name, in addition to those that are known.
    pub immutable: Vec<PathGlob>,
}

impl FromSection for Assets {
    fn from_section(section: &Section<'_>) -> Self {
        let allowed = expect(
            "a list of globs of files whose names change with their content",
            r#"["static/js/*.js"]"#,
        );
        let immutable = section.read_list("immutable", allowed, |text| {
            let glob = PathGlob::new(text).map_err(|bad| Refusal::Which(bad.to_string()))?;
            match glob.extension() {
                None => which("does not end with an extension"),
                Some("htm" | "html") => which("is of pages, which keep their names"),
                Some(_) => Ok(glob),
            }
        });
        Self {
            immutable: immutable.unwrap_or_default(),
        }
    }
}

/// `[encode]`: the encodings to make, and their levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encode {
    /// The brotli level, 1 to 11; `None` for no brotli.
    pub brotli: Option<u8>,
    /// The gzip level, 1 to 9; `None` for no gzip.
    pub gzip: Option<u8>,
}

impl FromSection for Encode {
    fn from_section(section: &Section<'_>) -> Self {
        let brotli = expect("a level from 1 to 11, or false", "11");
        let gzip = expect("a level from 1 to 9, or false", "9");
        let level = |key, highest: u8, expect| {
            let range = 1..=i128::from(highest);
            let shape = Shape::Whole(range.clone());
            section.read_or_false(key, expect, shape, |value| whole(value, range))
        };
        Self {
            brotli: level("brotli", 11, brotli).unwrap_or(Some(11)),
            gzip: level("gzip", 9, gzip).unwrap_or(Some(9)),
        }
    }
}

/// Where to send requests directly to the origin, bypassing a CDN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// To the target's host, under the site's name; nowhere if the target is local.
    #[default]
    OfTarget,
    /// Nowhere.
    Off,
    /// To this URL.
    At(WebUrl),
}

/// `[verify]`: how a publish is verified from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The origin.
    pub origin: Origin,
    /// Whether to request the public URL. `None`: only if the target is not local.
    pub public: Option<bool>,
    /// The time limit for one check; never zero.
    pub timeout: Duration,
}

impl FromSection for Verify {
    fn from_section(section: &Section<'_>) -> Self {
        let origin = expect("an http or https URL, or false", r#""http://192.0.2.7""#);
        let origin = section.read_or_false("origin", origin, Shape::Text, |value| web_url(text(value)?));
        let timeout = expect("a duration longer than nothing", r#""30s""#);
        let timeout = section.read_text("timeout", timeout, |text| match parse_duration(text) {
            Ok(Duration::ZERO) => which("is zero"),
            other => other.or_else(which),
        });
        Self {
            origin: origin.map_or(Origin::OfTarget, |url| url.map_or(Origin::Off, Origin::At)),
            public: section.read_bool("public", "true"),
            timeout: timeout.unwrap_or(Duration::from_secs(30)),
        }
    }
}

/// `[cloudflare]`: the CDN in front of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    /// The zone, by name or ID.
    pub zone: Option<String>,
    /// The environment variable that contains the API token.
    pub token_env: Option<String>,
    /// What to purge after a publish and a rollback; `None` for nothing.
    pub purge: Option<Scope>,
    /// The base URL of the API. `None`: that of Cloudflare.
    pub api: Option<WebUrl>,
}

/// The scope of a CDN purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The URLs whose content changed.
    Changed,
    /// The complete zone, including other sites in it.
    Everything,
    /// Everything below the site's host and base path.
    Prefix,
    /// Everything on the site's host.
    Host,
    /// Everything that was served with the site's name as its `Cache-Tag`.
    Tag,
}

const SCOPE: Expect = expect(
    r#"true, false, "changed", "everything", "prefix", "host" or "tag""#,
    r#""changed""#,
);

const SCOPES: [(&str, Scope); 5] = [
    ("changed", Scope::Changed),
    ("everything", Scope::Everything),
    ("prefix", Scope::Prefix),
    ("host", Scope::Host),
    ("tag", Scope::Tag),
];

/// `[purge]`: any other CDN, which is notified with a POST request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeHook {
    /// The URL to notify.
    pub url: Option<WebUrl>,
    /// The environment variable that contains a token for it.
    pub token_env: Option<String>,
}

impl FromSection for PurgeHook {
    fn from_section(section: &Section<'_>) -> Self {
        let hook = Self {
            url: url(section, "url"),
            token_env: section.read_text("token-env", TOKEN, variable_name),
        };
        if hook.token_env.is_some() {
            refuse_plain(section, "url", hook.url.as_ref());
        }
        hook
    }
}

/// Refuses a URL to which a token would be sent unencrypted over the network.
fn refuse_plain(section: &Section<'_>, key: &'static str, url: Option<&WebUrl>) {
    if let Some(url) = url.filter(|url| !url.keeps_secrets()) {
        section.problem(
            key,
            format!("the token would be sent to {url} without encryption, readable by everyone on the way"),
            "write an https URL; http is for this machine alone (127.0.0.1, [::1], localhost)".to_owned(),
        );
    }
}

/// `[notify]`: notifications about publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// The URL to notify.
    pub url: Option<WebUrl>,
    /// The environment variable that contains the URL, if the URL is a secret.
    pub url_env: Option<String>,
    /// JSON in which `{name}` is replaced by a value. `None`: an object with all values.
    pub template: Option<String>,
    /// The events to notify about; `None` for all of them.
    pub events: Option<Vec<String>>,
}

impl FromSection for Notify {
    fn from_section(section: &Section<'_>) -> Self {
        let variable = expect(
            "the name of the environment variable that holds the URL",
            r#""CHAT_HOOK""#,
        );
        let template = expect(
            "JSON in which {text}, {event}, {site}, {target}, {release}, {previous}, {url}, {commit}, {who}, {error} and {hint} become strings",
            r#"'{"text": {text}}'"#,
        );
        let events = expect(
            r#"a list of "published", "failed", "taken-back", "rolled-back", "held" and "resumed""#,
            r#"["failed", "taken-back"]"#,
        );
        Self {
            url: url(section, "url"),
            url_env: section.read_text("url-env", variable, variable_name),
            template: section.read_text("template", template, |text| {
                check_template(text).map(|()| text.to_owned()).or_else(which)
            }),
            events: section.read_words("events", events, &EVENTS, "is no such event"),
        }
    }
}

const TOKEN: Expect = expect(
    "the name of the environment variable that holds the token, never the token itself",
    r#""CLOUDFLARE_API_TOKEN""#,
);

impl FromSection for Cloudflare {
    fn from_section(section: &Section<'_>) -> Self {
        let zone = expect("the name or the id of a zone", r#""example.com""#);
        let scope = Shape::Either(vec![Shape::Bool, Shape::words(&SCOPES)]);
        let cloudflare = Self {
            zone: section.read_text("zone", zone, |text| {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                let is_zone = !text.is_empty() && text.bytes().all(is_plain);
                owned_if(is_zone, text, "can't be a zone")
            }),
            token_env: section.read_text("token-env", TOKEN, variable_name),
            purge: section
                .read("purge", SCOPE, scope, |value| match value.as_bool() {
                    Some(purges) => Ok(purges.then_some(Scope::Changed)),
                    None => one_of(&SCOPES, text(value)?, "is nothing that can be purged").map(Some),
                })
                .unwrap_or(Some(Scope::Changed)),
            api: url(section, "api"),
        };
        refuse_plain(section, "api", cloudflare.api.as_ref());
        cloudflare
    }
}

fn variable_name(text: &str) -> Result<String, Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || !text.bytes().all(is_plain) {
        return Err(Refusal::Hidden(
            "is no variable name of upper-case letters, digits and `_`",
        ));
    }
    Ok(text.to_owned())
}

/// `[nginx]`: settings of the printed vhost that are not about the site itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nginx {
    /// How long browsers must use only HTTPS (HSTS); `None` for no such header.
    pub hsts: Option<Duration>,
    /// Files on the host that the vhost includes, for the user's own lines.
    pub include: Option<String>,
    /// Whether the vhost also listens on IPv6.
    pub ipv6: bool,
    /// Whether a page has one address alone: the paths of its file lead there, and error pages are 404s. `None`, which is
    /// no, if the site manifest does not say.
    pub one_address: Option<bool>,
}

impl FromSection for Nginx {
    fn from_section(section: &Section<'_>) -> Self {
        let hsts = expect("a number with one of d, h, m, s; or false", r#""365d""#);
        let include = expect(
            "an absolute path on the host, which may hold `*`",
            r#""/etc/nginx/docs.example.com.d/*.conf""#,
        );
        Self {
            hsts: section
                .read_or_false("hsts", hsts, Shape::Text, |value| {
                    parse_duration(text(value)?).or_else(which)
                })
                .unwrap_or(Some(Duration::from_hours(365 * 24))),
            include: section.read_text("include", include, |text| {
                let reason = "is not absolute, or holds a character that nginx reads as something else";
                owned_if(is_includable(text), text, reason)
            }),
            ipv6: section.read_bool("ipv6", "true").unwrap_or(true),
            one_address: section.read_bool("one-address", "true"),
        }
    }
}

/// `[watch]`: rebuilding while the site is being edited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// The site's own build command: a program and its arguments. Empty for none.
    pub command: Vec<String>,
    /// The folders and files whose changes start the build, relative to the site manifest.
    pub paths: Vec<String>,
    /// The port of the preview; `None` for any free port.
    pub port: Option<u16>,
}

impl FromSection for Watch {
    fn from_section(section: &Section<'_>) -> Self {
        let command = expect("a list of a program and its arguments", r#"["npm", "run", "build"]"#);
        let paths = expect("a list of paths", r#"["app", "content"]"#);
        let port = expect("a whole number from 1 to 65535", "4000");
        Self {
            command: section.read_list("command", command, argument).unwrap_or_default(),
            paths: section.read_list("paths", paths, local_path).unwrap_or_default(),
            port: section.read_whole("port", port, 1..=65_535),
        }
    }
}

/// `[sign]`: signatures of the release document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sign {
    /// The file of the signing key, or of its public key if an agent has the private one.
    pub key: Option<String>,
    /// The file that lists the accepted signers.
    pub allowed_signers: Option<String>,
    /// Whether a release without a valid signature is refused.
    pub require: bool,
}

impl FromSection for Sign {
    fn from_section(section: &Section<'_>) -> Self {
        let key = expect("the file of a key", r#""~/.ssh/id_ed25519""#);
        let signers = expect("a file of allowed signers", r#"".allowed-signers""#);
        let sign = Self {
            key: section.read_text("key", key, local_path),
            allowed_signers: section.read_text("allowed-signers", signers, local_path),
            require: section.read_bool("require", "true").unwrap_or_default(),
        };
        if sign.require && sign.allowed_signers.is_none() && !section.has("allowed-signers") {
            section.problem(
                "require",
                "\"require\" in [sign] is true, and nothing says whose signatures are accepted".to_owned(),
                r#"add the file that lists them, such as allowed-signers = ".allowed-signers""#.to_owned(),
            );
        }
        sign
    }
}
