//! The command `doctor`, which diagnoses the visitor's path and the publishing path. Must not change what is live.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use syntax_publish::config::{Origin as Configured, TargetKind, WebUrl};
use syntax_publish::host::{SftpAddress, real_name};
use syntax_publish::live::doctor::{
    self, CheckResult, DoctorCheck, DoctorContext, PUBLISHERS, ServedAt, Url, VISITORS,
};
use syntax_publish::live::http::Endpoint;
use syntax_publish::next::client::Client;
use syntax_publish::rules::Rules;
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
        let ssh = match &workplace.target.kind {
            TargetKind::Local { .. } => None,
            TargetKind::Sftp(sftp) => Some(connect::address(workplace, sftp)?),
        };
        let url = workplace.config.site.url.as_ref().and_then(of_url);
        let (origin, rules) = tokio::join!(
            origin(workplace, ssh.as_ref(), url.as_ref()),
            self.rules_of_export(workplace)
        );
        let patient = DoctorContext {
            origin,
            url,
            base_path: rules?.base_path,
            hsts: workplace.config.nginx.hsts.map(|hsts| hsts.as_secs()),
            session: Session::new(connect::connector(workplace)?, site::owner("doctor")),
            above: above(workplace)
                .map(|above| connect::connector(&above))
                .transpose()?
                .map(|connector| Session::new(connector, site::owner("doctor"))),
            ssh,
            keep: workplace.config.publish.keep.get() as u64,
            resolver,
        };
        let found = Box::pin(doctor::examine(&patient)).await;
        self.finish();
        let is_short = matches!(workplace.target.kind, TargetKind::Local { .. }) && !self.screen.verbose;
        self.screen
            .result(&found, || with_local_times(&told(&found, is_short)))?;
        Ok(u8::from(
            found.iter().any(|finding| finding.state == CheckResult::Wrong),
        ))
    }

    /// Returns the rules for requests according to the export. If it can't be read in time, returns the defaults of
    /// Next.js.
    async fn rules_of_export(&self, workplace: &Workplace) -> Result<Rules, Failure> {
        let (config, export, cache) = (workplace.config.clone(), workplace.export()?, site::cache());
        let reading = self.aside(move |progress| pipeline::served(&config, &export, cache.as_deref(), progress));
        match tokio::time::timeout(TO_READ, reading).await {
            Ok(Ok(rules)) => Ok(rules),
            _ => Ok(pipeline::rules(
                &workplace.config,
                Client::default(),
                std::iter::empty(),
            )),
        }
    }
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
    let mut text = String::new();
    for (title, checks) in [("visitors", &VISITORS[..]), ("publishing", &PUBLISHERS[..])] {
        let of_it: Vec<&DoctorCheck> = found.iter().filter(|finding| checks.contains(&finding.check)).collect();
        if is_short && of_it.iter().all(|finding| finding.state != CheckResult::Wrong) {
            // For a local folder, there is almost nothing to diagnose.
            let fine = of_it
                .iter()
                .filter(|finding| finding.state == CheckResult::Fine)
                .count() as u64;
            let said = match fine {
                0 => "not checked: a local target has no web server".to_owned(),
                fine => format!("ok ({})", count(fine, "check")),
            };
            text = format!("{text}{title}: {said}\n");
            continue;
        }
        text = format!("{text}{title}\n");
        let rows: Vec<Vec<String>> = of_it
            .iter()
            .map(|finding| {
                let mark = match finding.state {
                    CheckResult::Fine => "ok",
                    CheckResult::Wrong => "WRONG",
                    CheckResult::NotAsked => "-",
                };
                vec![format!("  {mark}"), finding.check.to_owned(), finding.detail.clone()]
            })
            .collect();
        for (row, finding) in table(&rows, &[]).lines().zip(of_it) {
            text = format!("{text}{row}\n");
            if let Some(fix) = &finding.fix {
                text = format!("{text}           fix: {fix}\n");
            }
        }
    }
    let wrong = found
        .iter()
        .filter(|finding| finding.state == CheckResult::Wrong)
        .count() as u64;
    let last = match wrong {
        0 => "no problems found".to_owned(),
        wrong => format!("{} failed", count(wrong, "check")),
    };
    format!("{text}{last}\n")
}
