//! The site manifest (`site-manifest.toml`): parses its text into a validated [`SiteConfig`].
//!
//! Pure: no files, environment, network or clock. Paths stay strings, including a leading `~/` and relative paths. The
//! caller resolves them, because it knows where the file is.
//!
//! It guarantees that the tool can act on a configuration that parsed. Every key is known, of its type and in its
//! range; every glob compiles; the default target exists; nothing in a target can become an option or an expansion on
//! the command line of ssh. All problems are reported together, each with its line, the value found and the values
//! allowed.
//!
//! It must never guess at a misspelt key, clamp a number, or drop a setting silently. What this version does not act on
//! yet ([`NOT_YET`]) gives one warning; the contents of such a table are not read.

mod budget;
mod channels;
mod check;
mod csp;
mod feature;
mod headers;
mod host_key;
mod pattern;
mod problem;
mod redirects;
mod report;
pub mod scaffold;
pub mod schema;
mod section;
mod shape;
mod target;
pub mod template;
#[cfg(test)]
mod tests;
mod url;
mod values;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use toml::de::DeTable;

pub use budget::{Budget, Growth};
pub use channels::Channels;
pub use check::{CHECKS, Check, KnownFindings, Level, Levels};
pub use csp::{Csp, CspMode};
pub use feature::{
    Assets, Cloudflare, Encode, Fingerprint, Next, Nginx, Notify, Origin, PurgeHook, Scope, Sign, Verify, Watch,
};
pub use host_key::HostKey;
pub(crate) use pattern::ends_with_escape;
pub use pattern::{Forbidden, PatternError};
pub use problem::{ConfigError, Problem, Warning};
pub use target::{Compression, SftpTarget, Target, TargetKind};
pub use url::{WebUrl, is_loopback};
pub use values::{compile_globs, parse_duration};

use crate::model::generator::Generator;
use crate::rules::OwnTypes;
use crate::rules::custom_headers::HeaderRule;
use crate::rules::lines::RuleLines;
use crate::rules::redirects::RedirectRule;
use report::ProblemList;
use section::{FromSection, Refusal, Section, expect, owned_if, quoted, suggestion, text, which};
use shape::Shape;
use url::host_name;
use values::{globs, is_name, local_path, percent};

/// Tables, and keys as `table.key`, that this version knows but does not act on. To enable a feature, remove its entry.
pub const NOT_YET: &[&str] = &["dictionary", "indexnow", "sitemap", "check.encodings"];

/// A parsed site manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration, with defaults filled in.
    pub config: SiteConfig,
    /// The settings without effect, by line.
    pub warnings: Vec<Warning>,
}

/// The contents of a site manifest. The tables in [`NOT_YET`] are accepted but not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// `[site]`.
    pub site: Site,
    /// `[publish]`.
    pub publish: Publish,
    /// `[targets]`, by name; always contains `local`.
    pub targets: BTreeMap<String, Target>,
    /// `[next]`.
    pub next: Next,
    /// `[fingerprint]`.
    pub fingerprint: Fingerprint,
    /// `[encode]`.
    pub encode: Encode,
    /// `[check]`.
    pub check: Check,
    /// `[budget]`.
    pub budget: Budget,
    /// `[csp]`.
    pub csp: Csp,
    /// `[verify]`.
    pub verify: Verify,
    /// `[cloudflare]`.
    pub cloudflare: Cloudflare,
    /// `[purge]`.
    pub purge: PurgeHook,
    /// `[notify]`.
    pub notify: Notify,
    /// `[nginx]`.
    pub nginx: Nginx,
    /// `[watch]`.
    pub watch: Watch,
    /// `[sign]`.
    pub sign: Sign,
    /// `[channels]`.
    pub channels: Channels,
    /// `[types]`.
    pub types: OwnTypes,
    /// `[assets]`.
    pub assets: Assets,
    /// `[[redirects]]`, and those of a file next to the site manifest.
    pub redirects: RuleLines<RedirectRule>,
    /// `[[headers]]`, and those of a file next to the site manifest.
    pub headers: RuleLines<HeaderRule>,
}

impl SiteConfig {
    /// The host name that requests for the site carry: the host of its URL, or else the site's name.
    #[must_use]
    pub fn server_name(&self) -> &str {
        match &self.site.url {
            Some(url) => url.host(),
            None => &self.site.name,
        }
    }
}

/// `[site]`: what is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The name used in messages: lower-case letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The public URL.
    pub url: Option<WebUrl>,
    /// Other host names of the site, which lead to the one of its URL.
    pub aliases: Vec<String>,
    /// The folder of the export, which `next build` wrote, relative to the site manifest.
    pub export: String,
    /// The generator of the export. `None`: detect it from the export.
    pub generator: Option<Generator>,
}

impl FromSection for Site {
    fn from_section(section: &Section<'_>) -> Self {
        let name = expect(
            "a name of lower-case letters, digits, `.`, `_` and `-`, a letter or digit first",
            r#""docs""#,
        );
        let export = expect("the folder that `next build` writes", r#""out""#);
        let generator = expect(
            r#""next", "docusaurus", "astro", "vitepress" or "static""#,
            r#""docusaurus""#,
        );
        let aliases = expect("a list of host names", r#"["www.example.com"]"#);
        Self {
            name: section
                .read_text("name", name, |text| {
                    owned_if(is_name(text, b"._-"), text, "can't be a name")
                })
                .unwrap_or_else(|| "site".to_owned()),
            url: feature::url(section, "url"),
            aliases: section
                .read_list("aliases", aliases, |text| host_name(text, ""))
                .unwrap_or_default(),
            export: section
                .read_text("export", export, local_path)
                .unwrap_or_else(|| "out".to_owned()),
            generator: section.read_word(
                "generator",
                generator,
                &Generator::ALL,
                "is no generator that is known here",
            ),
        }
    }
}

/// `[publish]`: where to publish, and what to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The name of the default target; it is in [`SiteConfig::targets`].
    pub target: String,
    /// How many releases a prune keeps.
    pub keep: NonZeroUsize,
    /// How long immutable files of replaced releases stay reachable.
    pub skew: Duration,
    /// The share of pages, in percent, that a publish may remove without an explicit permission.
    pub max_removed: u8,
    /// Globs of assets that are not published; see [`compile_globs`].
    pub exclude: Vec<String>,
}

const KEEP: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

impl FromSection for Publish {
    fn from_section(section: &Section<'_>) -> Self {
        let target = expect("the name of a target", r#""local""#);
        let keep = expect("a whole number from 1 to 1000000", "10");
        let skew = expect("a number with one of d, h, m, s; or \"0\"", r#""7d""#);
        let removed = expect("a whole percentage from \"0%\" to \"100%\"", r#""30%""#);
        Self {
            target: section
                .read_text("target", target, |text| Ok(text.to_owned()))
                .unwrap_or_else(|| target::EMBEDDED.to_owned()),
            keep: section
                .read_whole("keep", keep, 1..=1_000_000)
                .and_then(NonZeroUsize::new)
                .unwrap_or(KEEP),
            skew: section
                .read_text("skew", skew, |text| parse_duration(text).or_else(which))
                .unwrap_or(Duration::from_hours(7 * 24)),
            max_removed: section.read_text("max-removed", removed, percent).unwrap_or(30),
            exclude: globs(section, "exclude").unwrap_or_default(),
        }
    }
}

/// Parses the text of a site manifest. An empty one is valid: every key has a default.
///
/// # Errors
/// All problems of the text, by line. If it is not TOML, only its syntax errors are reported.
pub fn parse(text: &str) -> Result<Parsed, ConfigError> {
    let report = ProblemList::new(text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    if !syntax_errors.is_empty() {
        return Err(not_toml(report, &syntax_errors));
    }
    let config = read(document.get_ref(), &report);
    let (problems, warnings) = report.into_findings();
    if problems.is_empty() {
        Ok(Parsed { config, warnings })
    } else {
        Err(ConfigError { problems })
    }
}

fn read(document: &DeTable<'_>, report: &ProblemList<'_>) -> SiteConfig {
    let top = Section::top(document, report);
    let targets = top.open("targets");
    let (targets, names) = target::read(targets.as_ref());
    let config = SiteConfig {
        site: top.read_table("site"),
        publish: top.read_table("publish"),
        targets,
        next: top.read_table("next"),
        fingerprint: top.read_table("fingerprint"),
        encode: top.read_table("encode"),
        check: top.read_table("check"),
        budget: top.read_table("budget"),
        csp: top.read_table("csp"),
        verify: top.read_table("verify"),
        cloudflare: top.read_table("cloudflare"),
        purge: top.read_table("purge"),
        notify: top.read_table("notify"),
        nginx: top.read_table("nginx"),
        watch: top.read_table("watch"),
        sign: top.read_table("sign"),
        channels: top.read_table("channels"),
        types: top.open("types").as_ref().map(types).unwrap_or_default(),
        assets: top.read_table("assets"),
        redirects: top.rules("redirects", redirects::rule),
        headers: top.rules("headers", headers::rule),
    };
    for table in ["dictionary", "indexnow", "sitemap"] {
        top.open(table);
    }
    if !names.contains(&config.publish.target) {
        refuse_default_target(&top, &config.publish.target, &names);
    }
    top.close();
    config
}

fn types(section: &Section<'_>) -> OwnTypes {
    let mut types = OwnTypes::default();
    let wanted = expect(
        "a media type behind a glob over paths of the export",
        r#""application/json""#,
    );
    section.each(wanted, Shape::Text, |glob, media_type| {
        let added = types.add(glob, text(media_type)?);
        added.map_err(|bad| Refusal::Which(bad.to_string()))
    });
    types
}

fn refuse_default_target(top: &Section<'_>, target: &str, names: &[String]) {
    let Some(publish) = top.open("publish") else {
        return;
    };
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let all: Vec<String> = known.iter().map(|name| quoted(name)).collect();
    let all = format!("known here: {}", all.join(", "));
    let near = suggestion(target, &known, false);
    let hint = if near == all { all } else { format!("{near} {all}") };
    publish.problem(
        "target",
        format!("\"target\" in [publish] is {}, which names no target", quoted(target)),
        hint,
    );
}

fn not_toml(report: ProblemList<'_>, errors: &[toml::de::Error]) -> ConfigError {
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        let reason: Vec<&str> = error.message().split_whitespace().collect();
        let message = "this is not TOML".to_owned();
        report.problem(offset, String::new(), message, reason.join(" "));
    }
    let (mut problems, _) = report.into_findings();
    // A recovering parser often reports the same mistake twice.
    problems.dedup_by_key(|problem| problem.line);
    ConfigError { problems }
}
