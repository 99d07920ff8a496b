//! The command `doctor`, which diagnoses the visitor's path and the publishing path. Must not change what is live.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use syntax_publish::config::{Origin as Configured, TargetKind, WebUrl};
use syntax_publish::host::{SftpAddress, real_name};
use syntax_publish::live::doctor::{
    self, CheckResult, DoctorCheck, DoctorContext, PUBLISHERS, Printed, ServedAt, Url, VISITORS,
};
use syntax_publish::live::http::Endpoint;
use syntax_publish::next::client::Client;
use syntax_publish::rules::{Rules, marker};
use syntax_publish::site::pipeline;
use syntax_publish::store::session::Session;

use super::Run;
use crate::cli::connect;
use crate::cli::failure::Failure;
use crate::cli::format::{count, table, with_local_times};
use crate::cli::site::{self, Workplace};

/// Maximum time to read the rules from the export, and for ssh to resolve the alias of a host.
const TO_READ: Duration = Duration::from_secs(1);

impl Run {
    pub(super) async fn doctor(&self, resolver: Option<SocketAddr>) -> Result<u8, Failure> {
        let workplace = self.workplace()?;
        let ssh = connect::sftp(workplace)?;
        let url = workplace.config.site.url.as_ref().and_then(of_url);
        let (origin, rules) = tokio::join!(
            origin(workplace, ssh.as_ref(), url.as_ref()),
            self.rules_in_time(workplace)
        );
        let (rules, is_read) = rules?;
        let patient = DoctorContext {
            origin,
            url,
            aliases: workplace.config.site.aliases.clone(),
            base_path: rules.base_path.clone(),
            printed: Printed {
                hsts: workplace.config.nginx.hsts.map(|hsts| hsts.as_secs()),
                settings: is_read.then(|| marker::settings(&rules)),
                headers: is_read.then_some(rules.headers),
                noindex: workplace.target.access.noindex,
                says_no_address: workplace.config.nginx.one_address.is_none(),
                has_password: workplace.target.access.basic_auth.is_some(),
            },
            session: session_with(workplace)?,
            above: above(workplace).as_ref().map(session_with).transpose()?,
            ssh,
            keep: workplace.config.publish.keep.get() as u64,
            resolver,
        };
        let found = Box::pin(doctor::examine(&patient)).await;
        self.finish();
        let is_short = matches!(workplace.target.kind, TargetKind::Local { .. }) && !self.screen.verbose;
        let text = || with_local_times(&told(&found, is_short));
        self.screen.result(&found, text)?;
        let is_wrong = found.iter().any(|finding| finding.state == CheckResult::Wrong);
        Ok(u8::from(is_wrong))
    }

    /// Returns the rules for requests according to the export, and whether it could be read. If it can't be read in time,
    /// returns the defaults of Next.js.
    pub(super) async fn rules_in_time(&self, workplace: &Workplace) -> Result<(Rules, bool), Failure> {
        workplace.export()?;
        let read = tokio::time::timeout(TO_READ, self.rules_of_export(workplace)).await;
        let rules = read.ok().and_then(Result::ok).flatten();
        let is_read = rules.is_some();
        let rules = rules.unwrap_or_else(|| pipeline::rules(&workplace.config, Client::default(), std::iter::empty()));
        Ok((rules, is_read))
    }
}

fn session_with(workplace: &Workplace) -> Result<Session, Failure> {
    Ok(Session::new(connect::connector(workplace)?, site::owner("doctor")))
}

fn of_url(url: &WebUrl) -> Option<Url> {
    let (place, _) = Endpoint::of(url.url())?;
    Some(Url {
        text: url.as_str().trim_end_matches('/').to_owned(),
        place,
    })
}

/// Returns where the site is served: at the origin in `[verify]`, or otherwise at the target's host.
async fn origin(workplace: &Workplace, ssh: Option<&SftpAddress>, url: Option<&Url>) -> Option<ServedAt> {
    if let Configured::At(at) = &workplace.config.verify.origin {
        return Some(ServedAt {
            place: of_url(at)?.place,
            is_targets: false,
        });
    }
    let (url, ssh) = (url?, ssh?);
    let named = tokio::time::timeout(TO_READ, real_name(ssh)).await;
    Some(ServedAt {
        place: Endpoint {
            name: named.unwrap_or_else(|_| ssh.host.clone()),
            ..url.place.clone()
        },
        is_targets: true,
    })
}

/// Returns the target with the folder above the docroot as its docroot. `None` if a publish creates that folder too.
pub(super) fn above(workplace: &Workplace) -> Option<Workplace> {
    let mut above = workplace.clone();
    let docroot = match &mut above.target.kind {
        TargetKind::Local { docroot } if Path::new(docroot).is_relative() => return None,
        TargetKind::Local { docroot } => docroot,
        TargetKind::Sftp(sftp) => &mut sftp.docroot,
    };
    let parent = Path::new(docroot).parent()?.to_str()?.to_owned();
    *docroot = parent;
    Some(above)
}

/// Formats one line per check, with the fix below it.
fn told(found: &[DoctorCheck], is_short: bool) -> String {
    let number = |checks: &[&DoctorCheck], state| checks.iter().filter(|check| check.state == state).count() as u64;
    let mut text = String::new();
    let mut wrong = 0;
    for (title, names) in [("visitors", &VISITORS[..]), ("publishing", &PUBLISHERS[..])] {
        let checks: Vec<&DoctorCheck> = found.iter().filter(|check| names.contains(&check.check)).collect();
        let wrong_here = number(&checks, CheckResult::Wrong);
        wrong += wrong_here;
        if is_short && wrong_here == 0 {
            // For a local folder, there is almost nothing to diagnose.
            let said = match number(&checks, CheckResult::Fine) {
                0 => "not checked: a local target has no web server".to_owned(),
                fine => format!("ok ({})", count(fine, "check")),
            };
            let _ = writeln!(text, "{title}: {said}");
            continue;
        }
        let _ = writeln!(text, "{title}");
        let row = |check: &&DoctorCheck| {
            let mark = match check.state {
                CheckResult::Fine => "ok",
                CheckResult::Wrong => "WRONG",
                CheckResult::NotAsked => "-",
            };
            vec![format!("  {mark}"), check.check.to_owned(), check.detail.clone()]
        };
        let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
        for (row, check) in table(&rows, &[]).lines().zip(checks) {
            let _ = writeln!(text, "{row}");
            text.extend(check.fix.iter().map(|fix| format!("           fix: {fix}\n")));
        }
    }
    match wrong {
        0 => text + "no problems found\n",
        wrong => text + &format!("{} failed\n", count(wrong, "check")),
    }
}
