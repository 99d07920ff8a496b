//! Derives from the site manifest which sides of the live site to check and what to purge, and formats the results.
//! Must not judge responses: the library does that.

use std::fmt::Write as _;

use serde::Serialize;
use syntax_publish::config::{Origin, TargetKind, WebUrl};
use syntax_publish::host;
use syntax_publish::live::deliver::{DeliveryReport, Need, Probes, PublicSite, SideOutcome};
use syntax_publish::live::http::Endpoint;
use syntax_publish::live::purge::cloudflare::{API, Cloudflare};
use syntax_publish::live::purge::webhook::Webhook;
use syntax_publish::live::purge::{Purge, Token};
use syntax_publish::live::visitor::Visit;
use syntax_publish::live::{Finding, Side, failures, is_fine};
use syntax_publish::model::manifest::{ChangeKind, Changes, is_page};
use syntax_publish::model::path::{SitePath, printable};
use syntax_publish::model::severity::Severity;
use syntax_publish::rules::Rules;
use syntax_publish::rules::marker::{self, Fit};

use super::failure::Failure;
use super::format::count;
use super::site::Workplace;
use super::{connect, screen};

/// Maximum number of other paths that are named after the first of a kind. `--json` contains all.
const NAMED: usize = 4;

/// Returns the endpoint of a URL in the site manifest, and the URL's path.
fn place(url: &WebUrl) -> Option<(Endpoint, String)> {
    Endpoint::of(url.url())
}

/// Starts to connect to the sides that the site manifest wants checked.
pub async fn begin(workplace: &Workplace) -> Result<Probes, Failure> {
    let verify = &workplace.config.verify;
    let Some((site, _)) = workplace.config.site.url.as_ref().and_then(place) else {
        return Ok(Probes::default());
    };
    if workplace.target.access.basic_auth.is_some() {
        // The check has no password, so every answer would be a 401.
        return Ok(Probes::default());
    }
    let visit = |side, place| Visit {
        side,
        place,
        insecure: false,
    };
    let is_local = matches!(workplace.target.kind, TargetKind::Local { .. });
    let origin = origin(workplace).await?;
    let origin = origin.map(|(place, need)| (visit(Side::Origin, place), need));
    let public = verify.public.unwrap_or(!is_local).then(|| visit(Side::Public, site));
    Ok(Probes::begin(origin, public, verify.timeout))
}

/// Returns the origin of the site, under the site's name. `None` if the target has none.
pub async fn origin(workplace: &Workplace) -> Result<Option<(Endpoint, Need)>, Failure> {
    let Some((site, _)) = workplace.config.site.url.as_ref().and_then(place) else {
        return Ok(None);
    };
    Ok(match (&workplace.config.verify.origin, &workplace.target.kind) {
        (Origin::Off, _) | (Origin::OfTarget, TargetKind::Local { .. }) => None,
        (Origin::At(url), _) => place(url).map(|(origin, _)| (site.behind(&origin), Need::Must)),
        (Origin::OfTarget, TargetKind::Sftp(sftp)) => {
            let name = host::real_name(&connect::address(workplace, sftp)?).await;
            let place = Endpoint {
                at: Some((name, site.port)),
                ..site
            };
            Some((place, Need::May))
        }
    })
}

/// Returns the CDNs to purge, from the site manifest. A site without a URL has none.
pub fn purges(workplace: &Workplace) -> Vec<Box<dyn Purge>> {
    let config = &workplace.config;
    let is_local = matches!(workplace.target.kind, TargetKind::Local { .. });
    // A local target is usually a preview that no CDN serves, so it purges only if [verify] sets `origin` or `public`.
    let is_asked = !is_local || matches!(config.verify.origin, Origin::At(_)) || config.verify.public == Some(true);
    if config.site.url.is_none() || !is_asked {
        return Vec::new();
    }
    let mut purges: Vec<Box<dyn Purge>> = Vec::new();
    let token = |name: String| {
        let value = std::env::var(&name).ok().map(|value| value.trim().to_owned());
        Token::new(name, value.filter(|value| !value.is_empty()))
    };
    if let (Some(zone), Some(scope)) = (&config.cloudflare.zone, config.cloudflare.purge) {
        let api = config.cloudflare.api.as_ref().and_then(place);
        let own = || url::Url::parse(API).ok().as_ref().and_then(Endpoint::of);
        let variable = config.cloudflare.token_env.clone();
        let variable = variable.unwrap_or_else(|| "CLOUDFLARE_API_TOKEN".to_owned());
        if let Some((api, path)) = api.or_else(own) {
            purges.push(Box::new(Cloudflare {
                zone: zone.clone(),
                api,
                path: path.trim_end_matches('/').to_owned(),
                scope,
                token: token(variable),
            }));
        }
    }
    if let Some((place, target)) = config.purge.url.as_ref().and_then(place) {
        let token = config.purge.token_env.clone().map(token);
        purges.push(Box::new(Webhook { place, target, token }));
    }
    purges
}

/// Returns what is needed to check and purge the site.
pub fn public_site(workplace: &Workplace, rules: Rules) -> PublicSite {
    let config = &workplace.config;
    let base = config.site.url.as_ref().and_then(place);
    let names = config.site.aliases.iter();
    PublicSite {
        rules,
        aliases: base
            .iter()
            .flat_map(|(place, _)| names.clone().map(|name| place.named(name)))
            .collect(),
        base: base.map(|(place, _)| place.url("")),
        site: config.site.name.clone(),
        timeout: config.verify.timeout,
        purges: purges(workplace),
    }
}

/// The result of a delivery, for scripts.
#[derive(Serialize)]
pub struct Delivery {
    pub ok: bool,
    pub origin: SideSeen,
    pub public: SideSeen,
    pub problems: Vec<Answer>,
    pub purged: Vec<Purged>,
    /// Number of changed files that were not requested because there are too many.
    pub left_out: usize,
    pub seconds: f64,
}

/// The result for one side.
#[derive(Default, Serialize)]
pub struct SideSeen {
    /// Null if the side was not checked.
    pub ok: Option<bool>,
    pub answered: usize,
    pub unanswered: usize,
    pub address: Option<String>,
    pub certificate_days: Option<i64>,
    pub cdn: Option<String>,
    /// Why the side could not be checked.
    pub skipped: Option<String>,
}

/// Whether the installed vhost has what the site needs.
#[derive(Serialize)]
pub struct Vhost {
    /// The name of a [`Fit`], or `not-asked`.
    pub state: &'static str,
    /// What is wrong with it, or why it could not be asked, as a sentence without its subject.
    pub problem: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Vhost {
    /// Returns how a vhost fits. `nginx` is the command that prints it.
    pub fn of(fit: &Fit, nginx: &str) -> Self {
        let problem = fit.problem();
        Self {
            state: fit.name(),
            fix: problem
                .is_some()
                .then(|| format!("print it with `{nginx}`, put it in place of the old one, and reload nginx")),
            problem,
        }
    }

    /// Returns the value for a vhost that could not be asked.
    pub fn not_asked(reason: String) -> Self {
        Self {
            state: "not-asked",
            problem: Some(reason),
            fix: None,
        }
    }
}

/// One finding. The field for its text is called `problem`, as in the output of `verify`.
#[derive(Serialize)]
pub struct Answer {
    pub side: String,
    pub path: String,
    pub severity: Severity,
    pub code: &'static str,
    pub problem: String,
    pub fix: String,
    pub repeat: String,
}

/// The result of a purge.
#[derive(Serialize)]
pub struct Purged {
    pub by: String,
    pub what: Option<String>,
    pub urls: Option<usize>,
    pub requests: Option<u32>,
    pub error: Option<String>,
}

impl From<&Finding> for Answer {
    fn from(finding: &Finding) -> Self {
        Self {
            side: finding.side.to_string(),
            path: finding.path(),
            severity: finding.severity(),
            code: finding.flaw.code(),
            problem: finding.message(),
            fix: finding.fix().to_owned(),
            repeat: finding.repeat.clone(),
        }
    }
}

impl From<&SideOutcome> for SideSeen {
    fn from(asked: &SideOutcome) -> Self {
        let skipped = match asked {
            SideOutcome::Unreachable(why) => Some(why.clone()),
            SideOutcome::NotWanted | SideOutcome::Seen(_) => None,
        };
        let ok = asked.seen().map(|seen| is_fine(&seen.findings));
        let seen = asked.seen().cloned().unwrap_or_default();
        Self {
            ok,
            answered: seen.answered,
            unanswered: seen.unanswered,
            address: seen.address,
            certificate_days: seen.days_left,
            cdn: seen.cdn.map(|cdn| printable(&cdn)),
            skipped,
        }
    }
}

/// Returns the result of a delivery. `None` if neither side was to be checked and nothing was purged.
pub fn seen(report: &DeliveryReport) -> Option<Delivery> {
    let unasked = SideOutcome::NotWanted;
    if report.origin == unasked && report.public == unasked && report.purged.is_empty() {
        return None;
    }
    let purged = report.purged.iter().map(|(by, purged)| {
        let done = purged.as_ref().ok();
        Purged {
            by: by.clone(),
            what: done.map(|purged| purged.what.clone()),
            urls: done.and_then(|purged| purged.urls),
            requests: done.map(|purged| purged.requests),
            error: purged.as_ref().err().map(ToString::to_string),
        }
    });
    Some(Delivery {
        ok: report.is_fine(),
        origin: (&report.origin).into(),
        public: (&report.public).into(),
        problems: report.findings().map(Answer::from).collect(),
        purged: purged.collect(),
        left_out: report.left_out,
        seconds: report.took.as_secs_f64(),
    })
}

/// Whether the site is served: at least one file was returned with the expected content.
pub fn is_served(report: &DeliveryReport) -> bool {
    let sides = [&report.origin, &report.public];
    sides
        .into_iter()
        .filter_map(SideOutcome::seen)
        .any(|seen| seen.served > 0)
}

/// Formats which requests failed: "6 of 108 requests failed, all for /prices (new page)".
pub fn failed(report: &DeliveryReport, changes: &Changes) -> String {
    let sent = |asked: &SideOutcome| asked.seen().map_or(0, |seen| seen.answered + seen.unanswered);
    let remark = |path: &SitePath| {
        let change = changes.list.iter().find(|change| change.path == *path)?;
        Some(match (change.change, is_page(path)) {
            (ChangeKind::Added, true) => "new page",
            (ChangeKind::Added, false) => "new file",
            (ChangeKind::Changed, true) => "changed page",
            (ChangeKind::Changed, false) => "changed file",
            (ChangeKind::Removed, true) => "removed page",
            (ChangeKind::Removed, false) => "removed file",
        })
    };
    let total = sent(&report.origin) + sent(&report.public);
    failures(report.findings(), Some(total), &remark)
}

/// Formats the result in a line: "verified: 24 requests to the origin and 24 to the public URL succeeded". Lines about
/// what was purged come first.
pub fn line(report: &DeliveryReport, changes: &Changes) -> String {
    let told = report.purged.iter().filter_map(|(by, purged)| {
        let purged = purged.as_ref().ok()?;
        Some(format!("purged from {by}: {}\n", purged.what))
    });
    let mut lines: String = told.collect();
    let sides = [(&report.origin, "to the origin"), (&report.public, "to the public URL")];
    let mut asked: Vec<String> = Vec::new();
    for (side, name) in sides {
        let SideOutcome::Seen(seen) = side else { continue };
        let requests = match asked.len() {
            0 => count(seen.answered as u64, "request"),
            _ => seen.answered.to_string(),
        };
        asked.push(format!("{requests} {name}"));
    }
    if !report.is_fine() {
        let _ = writeln!(lines, "not verified: {}", failed(report, changes));
    } else if !asked.is_empty() {
        let _ = writeln!(lines, "verified: {} succeeded", asked.join(" and "));
    }
    lines
}

/// Reports on stderr that the installed vhost lacks what the site needs, with what to do.
pub fn tell_of_vhost(vhost: &Vhost, quiet: bool) {
    if let (Some(problem), Some(fix), false) = (&vhost.problem, &vhost.fix, quiet) {
        screen::say("warning", &format!("the vhost {problem}"));
        screen::say("hint", fix);
    }
}

/// Returns a note about the rules of a site that its vhost alone has. `None` if there are none. `nginx` is the command
/// that prints it.
pub fn rules_of_vhost(rules: &Rules, nginx: &str) -> Option<String> {
    let all = marker::rules_of_vhost(rules);
    (!all.is_empty()).then(|| {
        let all = all.join(", ");
        format!(
            "answered by the vhost alone, not by the release: {all}; after a change of them print it with `{nginx}`"
        )
    })
}

/// Reports what is wrong on stderr, each kind once, with what to do and a command that repeats the request.
pub fn tell<'f>(findings: impl IntoIterator<Item = &'f Finding>, quiet: bool) {
    let mut kinds: Vec<(&Finding, Vec<String>)> = Vec::new();
    for finding in findings {
        if quiet && finding.severity() == Severity::Warning {
            continue;
        }
        let code = finding.flaw.code();
        let known = kinds
            .iter_mut()
            .find(|(first, _)| first.side == finding.side && first.flaw.code() == code);
        match known {
            Some((_, more)) => more.push(finding.path()),
            None => kinds.push((finding, Vec::new())),
        }
    }
    for (first, more) in kinds {
        let (side, path, message) = (first.side, first.path(), first.message());
        let text = format!("{side} {path}: {message}{}", others(&path, more));
        screen::say(first.severity().name(), &text);
        screen::say("hint", first.fix());
        screen::say("repeat", &first.repeat);
    }
}

/// Formats where else the same problem was found: " (and 3 more: /a, /b, …)".
fn others(first: &str, mut more: Vec<String>) -> String {
    if more.is_empty() {
        return String::new();
    }
    let answers = more.len();
    more.retain(|path| path != first);
    more.dedup();
    let named: Vec<&str> = more.iter().take(NAMED).map(String::as_str).collect();
    let rest = if more.len() > NAMED { ", …" } else { "" };
    let colon = if named.is_empty() { "" } else { ": " };
    format!(" (and {answers} more{colon}{}{rest})", named.join(", "))
}
