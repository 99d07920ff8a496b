//! The tables of features around a publish: what each key takes, and its default.
//!
//! Pure. Values are judged here and acted on elsewhere; a table whose feature is missing is read in
//! full all the same, so that a manifest written for a later version is checked by this one.

use std::time::Duration;

use super::section::{Expect, FromSection, Refusal, Section, expect, text, which, whole};
use super::url::WebUrl;
use super::values::{globs, local_path, parse_duration};

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

/// `[next]`: what the build was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Whether the build id is taken out of what is published, so that it changes no file.
    pub stable_build_id: bool,
    /// The path the site lies under: empty, or with a `/` at its front alone. `None`: read it off
    /// the export.
    pub base_path: Option<String>,
}

impl Default for Next {
    fn default() -> Self {
        Self {
            stable_build_id: true,
            base_path: None,
        }
    }
}

impl FromSection for Next {
    fn from_section(section: &Section<'_>) -> Self {
        let allowed = expect("empty, or a path that begins with `/`", r#""/docs""#);
        Self {
            stable_build_id: section
                .read_bool("stable-build-id", "true")
                .unwrap_or(Self::default().stable_build_id),
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
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '?' || c == '#')
    {
        return which("holds a character that no path of a URL has");
    }
    Ok(text.to_owned())
}

/// `[fingerprint]`: which files get a copy with a part of their digest in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Globs of files that do; `None`: those the tool picks, an empty list: none.
    pub include: Option<Vec<String>>,
    /// Globs of files that do not, whatever `include` says.
    pub exclude: Vec<String>,
    /// The one folder at the root of the site that holds the copies.
    pub prefix: String,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self {
            include: None,
            exclude: Vec::new(),
            prefix: "_assets".to_owned(),
        }
    }
}

impl FromSection for Fingerprint {
    fn from_section(section: &Section<'_>) -> Self {
        let default = Self::default();
        let allowed = expect(
            "the name of one folder, of letters, digits, `.`, `_` and `-`",
            r#""_assets""#,
        );
        Self {
            include: globs(section, "include"),
            exclude: globs(section, "exclude").unwrap_or(default.exclude),
            prefix: section
                .read_text("prefix", allowed, folder_name)
                .unwrap_or(default.prefix),
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
    // All below the folder is cached for good, and these have files that are not.
    if matches!(text, "_next" | "pagefind" | "_pagefind") {
        return which("is a folder of Next.js's or of the search's own");
    }
    Ok(text.to_owned())
}

/// `[encode]`: how hard to compress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encode {
    /// Brotli's level, 1 to 11; `None`: no brotli.
    pub brotli: Option<u8>,
    /// gzip's level, 1 to 9; `None`: no gzip.
    pub gzip: Option<u8>,
}

impl Default for Encode {
    fn default() -> Self {
        Self {
            brotli: Some(11),
            gzip: Some(9),
        }
    }
}

impl FromSection for Encode {
    fn from_section(section: &Section<'_>) -> Self {
        let default = Self::default();
        let level = |key, highest: u8, expect| {
            section.read(key, expect, |value| {
                if value.as_bool() == Some(false) {
                    return Ok(None);
                }
                let level = whole(value, 1..=u64::from(highest))?;
                u8::try_from(level).map(Some).map_err(|_| Refusal::Type)
            })
        };
        Self {
            brotli: level("brotli", 11, expect("a level from 1 to 11, or false", "11")).unwrap_or(default.brotli),
            gzip: level("gzip", 9, expect("a level from 1 to 9, or false", "9")).unwrap_or(default.gzip),
        }
    }
}

/// Where to ask the origin directly, past a CDN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// The target's host under the site's name; not at all for a local target.
    #[default]
    OfTarget,
    /// Not at all.
    Off,
    /// Here.
    At(WebUrl),
}

/// `[verify]`: how a publish is checked from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The origin.
    pub origin: Origin,
    /// Whether to ask the public URL; `None`: unless the target is local.
    pub public: Option<bool>,
    /// How long one check may take; never zero.
    pub timeout: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            origin: Origin::default(),
            public: None,
            timeout: Duration::from_secs(30),
        }
    }
}

impl FromSection for Verify {
    fn from_section(section: &Section<'_>) -> Self {
        let default = Self::default();
        let origin = section.read(
            "origin",
            expect("an http or https URL, or false", r#""http://192.0.2.7""#),
            |value| match value.as_bool() {
                Some(false) => Ok(Origin::Off),
                _ => web_url(text(value)?).map(Origin::At),
            },
        );
        let timeout = section.read_text(
            "timeout",
            expect("a duration longer than nothing", r#""30s""#),
            |text| match parse_duration(text) {
                Ok(Duration::ZERO) => which("is zero"),
                other => other.or_else(which),
            },
        );
        Self {
            origin: origin.unwrap_or(default.origin),
            public: section.read_bool("public", "true"),
            timeout: timeout.unwrap_or(default.timeout),
        }
    }
}

/// `[cloudflare]`: the CDN in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    /// The zone, by name or id.
    pub zone: Option<String>,
    /// The environment variable that holds the API token.
    pub token_env: Option<String>,
    /// What to purge after a publish and a rollback; `None`: nothing.
    pub purge: Option<Scope>,
    /// The base URL of the API; `None`: Cloudflare's own.
    pub api: Option<WebUrl>,
}

impl Default for Cloudflare {
    fn default() -> Self {
        Self {
            zone: None,
            token_env: None,
            purge: Some(Scope::Changed),
            api: None,
        }
    }
}

/// What is purged of a CDN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// The URLs of what changed.
    #[default]
    Changed,
    /// All of the zone, other sites in it included.
    Everything,
    /// Everything below the site's host and base path.
    Prefix,
    /// Everything of the site's host.
    Host,
    /// Everything whose answers had the site's name as `Cache-Tag`.
    Tag,
}

const SCOPE: Expect = expect(
    r#"true, false, "changed", "everything", "prefix", "host" or "tag""#,
    r#""changed""#,
);

fn scope(text: &str) -> Result<Scope, Refusal> {
    match text {
        "changed" => Ok(Scope::Changed),
        "everything" => Ok(Scope::Everything),
        "prefix" => Ok(Scope::Prefix),
        "host" => Ok(Scope::Host),
        "tag" => Ok(Scope::Tag),
        _ => which("is nothing that can be purged"),
    }
}

/// `[purge]`: any other CDN, told by a POST.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeHook {
    /// Where to.
    pub url: Option<WebUrl>,
    /// The environment variable that holds a token for it.
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

/// Refuses an address to which a token would go where everybody on the way can read it.
fn refuse_plain(section: &Section<'_>, key: &'static str, url: Option<&WebUrl>) {
    if let Some(url) = url.filter(|url| !url.keeps_secrets()) {
        section.problem(
            key,
            format!("the token would be sent to {url} without encryption, readable by everyone on the way"),
            "write an https URL; http is for this machine alone (127.0.0.1, [::1], localhost)".to_owned(),
        );
    }
}

/// `[notify]`: who is notified of publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// Where to.
    pub url: Option<WebUrl>,
    /// The environment variable that holds the URL, where it is a secret.
    pub url_env: Option<String>,
    /// JSON in which `{name}` stands for a value; `None`: an object with all of them.
    pub template: Option<String>,
    /// What to tell of; `None`: everything.
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
                match super::template::check_template(text) {
                    Ok(()) => Ok(text.to_owned()),
                    Err(reason) => which(reason),
                }
            }),
            events: section.read_list("events", events, |text| {
                if super::template::EVENTS.contains(&text) {
                    Ok(text.to_owned())
                } else {
                    which("is no such event")
                }
            }),
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
        let cloudflare = Self {
            zone: section.read_text("zone", zone, |text| {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                if text.is_empty() || !text.bytes().all(is_plain) {
                    return which("can't be a zone");
                }
                Ok(text.to_owned())
            }),
            token_env: section.read_text("token-env", TOKEN, variable_name),
            purge: section
                .read("purge", SCOPE, |value| match value.as_bool() {
                    Some(true) => Ok(Some(Scope::Changed)),
                    Some(false) => Ok(None),
                    None => scope(text(value)?).map(Some),
                })
                .unwrap_or(Self::default().purge),
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

/// `[nginx]`: what the printed vhost says beside the site itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nginx {
    /// For how long browsers are told to use HTTPS alone (HSTS); `None`: they are not told.
    pub hsts: Option<Duration>,
    /// Files of the host that the vhost includes, for lines of one's own.
    pub include: Option<String>,
    /// Whether it listens on IPv6, too.
    pub ipv6: bool,
}

impl Default for Nginx {
    fn default() -> Self {
        Self {
            hsts: Some(Duration::from_hours(365 * 24)),
            include: None,
            ipv6: true,
        }
    }
}

impl FromSection for Nginx {
    fn from_section(section: &Section<'_>) -> Self {
        let default = Self::default();
        let hsts = expect("a number with one of d, h, m, s; or false", r#""365d""#);
        let include = expect(
            "an absolute path on the host, which may hold `*`",
            r#""/etc/nginx/docs.example.com.d/*.conf""#,
        );
        Self {
            hsts: section
                .read("hsts", hsts, |value| match value.as_bool() {
                    Some(false) => Ok(None),
                    _ => parse_duration(text(value)?).or_else(which).map(Some),
                })
                .unwrap_or(default.hsts),
            include: section.read_text("include", include, |text| {
                if crate::rules::nginx::is_includable(text) {
                    Ok(text.to_owned())
                } else {
                    which("is not absolute, or holds a character that nginx reads as something else")
                }
            }),
            ipv6: section.read_bool("ipv6", "true").unwrap_or(default.ipv6),
        }
    }
}

/// `[watch]`: building while the site is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// The site's own build: a program and its arguments. Empty: none.
    pub command: Vec<String>,
    /// The folders and files whose change starts it, relative to the site manifest.
    pub paths: Vec<String>,
    /// The port to serve the preview on; `None`: any that is free.
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
            port: section.read("port", port, |value| {
                u16::try_from(whole(value, 1..=65_535)?).map_err(|_| Refusal::Type)
            }),
        }
    }
}

fn argument(text: &str) -> Result<String, Refusal> {
    if text.contains('\0') {
        return which("holds a NUL");
    }
    Ok(text.to_owned())
}

/// `[sign]`: signatures over the release document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sign {
    /// The file of the key to sign with; of a public key where an agent has the private one.
    pub key: Option<String>,
    /// The file that lists whose signatures count.
    pub allowed_signers: Option<String>,
    /// Whether a release without a good signature is refused.
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

/// `[csp] mode`: what becomes of the Content-Security-Policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CspMode {
    /// None is made.
    #[default]
    Off,
    /// Browsers report what it would forbid.
    ReportOnly,
    /// Browsers keep to it.
    Enforce,
}

/// `[csp]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Csp {
    /// What becomes of it.
    pub mode: CspMode,
}

impl FromSection for Csp {
    fn from_section(section: &Section<'_>) -> Self {
        let allowed = expect(r#""off", "report-only" or "enforce""#, r#""report-only""#);
        let mode = section.read_text("mode", allowed, |text| match text {
            "off" => Ok(CspMode::Off),
            "report-only" => Ok(CspMode::ReportOnly),
            "enforce" => Ok(CspMode::Enforce),
            _ => which("is no mode"),
        });
        Self {
            mode: mode.unwrap_or_default(),
        }
    }
}

/// `[dictionary]`: compression against the release before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// Whether it is used.
    pub enabled: bool,
}

impl FromSection for Dictionary {
    fn from_section(section: &Section<'_>) -> Self {
        Self {
            enabled: section.read_bool("enabled", "true").unwrap_or_default(),
        }
    }
}
