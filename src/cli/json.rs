//! The format of the `--json` output. Scripts depend on it, so fields may be added but must never be renamed.
//!
//! A value of the library whose fields are printed as they are has no type here. Its docs say that `--json` prints it.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::manifest::{Change, ChangeKind, Changes, RedirectChange};
use syntax_publish::model::release::{ReleaseId, timestamp};
use syntax_publish::site::check::Problem;
use syntax_publish::site::check::budget::Spending;
use syntax_publish::site::pipeline::Inspected;
use syntax_publish::store::publish::Published;
use syntax_publish::store::releases;
use syntax_publish::store::signing::Signature;

use super::live::{Delivery, Vhost};
use super::timings::Timing;

/// The output of any command that fails.
#[derive(Serialize)]
pub struct Failed {
    pub error: FailedBody,
}

#[derive(Default, Serialize)]
pub struct FailedBody {
    pub code: String,
    pub message: String,
    pub hint: String,
    /// The live release. Null if nothing is live or the live release is unknown.
    pub live: Option<ReleaseId>,
    /// The findings of the checks, if they are the cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The findings at the live site, if they are the cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<super::live::Answer>,
}

/// The output of `publish` and, with `changes`, of `plan` and `publish --dry-run`.
#[derive(Default, Serialize)]
pub struct Publish {
    pub release: Option<ReleaseId>,
    pub previous: Option<ReleaseId>,
    pub swapped: bool,
    pub files: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub unchanged: u64,
    pub objects_sent: u64,
    pub bytes_sent: u64,
    pub encoded: u64,
    pub round_trips: u64,
    pub seconds: f64,
    /// What visitors get, if that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Whether the installed vhost has what the site needs, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vhost: Option<Vhost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
    /// The redirects that change, of a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<RedirectChange>,
    /// What to do next, if nothing serves the site yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The findings of the checks. Each tells whether the live release has it too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What the limits of the budget are compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<Spending>,
    /// The error if visitors don't get the release, or, for a plan, the reason why a publish would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailedBody>,
    /// The timings, if they were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Vec<Timing>>,
    /// The channel, if this was published to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The channel's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether the origin shows the channel there, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<bool>,
}

/// One entry in the output of `channels`.
#[derive(Serialize)]
pub struct Channel {
    pub name: String,
    pub release: ReleaseId,
    /// When it was last published to.
    pub since: String,
    /// When a prune removes it.
    pub expires: String,
    pub url: Option<String>,
    pub commit: Option<String>,
    pub message: Option<String>,
    /// The release that was live when it was published.
    pub base: Option<ReleaseId>,
}

/// The output of `channels remove`.
#[derive(Serialize)]
pub struct RemovedChannel {
    pub removed: String,
}

impl Publish {
    /// Returns what a publish did. The fields about its delivery are not filled in yet.
    pub fn of(published: &Published, round_trips: u64, took: Duration) -> Self {
        Self {
            release: Some(published.release.clone()),
            previous: published.previous.clone(),
            swapped: published.swapped,
            objects_sent: published.sent.objects,
            bytes_sent: published.sent.bytes,
            encoded: published.sent.encoded,
            round_trips,
            seconds: took.as_secs_f64(),
            problems: published.problems.clone(),
            ..Self::counting(&published.changes, published.files)
        }
    }

    /// Returns the counts of some changes to a site of `files` files. The other fields are not filled in yet.
    pub fn counting(changes: &Changes, files: u64) -> Self {
        let (added, altered) = (changes.count(ChangeKind::Added), changes.count(ChangeKind::Changed));
        Self {
            files,
            added,
            changed: altered,
            removed: changes.count(ChangeKind::Removed),
            unchanged: files.saturating_sub(added + altered),
            ..Self::default()
        }
    }
}

/// The output of `rollback`.
#[derive(Serialize)]
pub struct RolledBack {
    pub release: ReleaseId,
    pub previous: ReleaseId,
    /// What visitors get, if that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The error if visitors don't get the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailedBody>,
}

/// The output of `hold` and `resume`: why publishing is on hold now.
#[derive(Serialize)]
pub struct Held {
    pub held: Option<String>,
}

/// One entry in the output of `releases`.
#[derive(Serialize)]
pub struct Release {
    pub id: ReleaseId,
    pub created: Option<String>,
    pub current: bool,
    pub files: Option<u64>,
    pub bytes: Option<u64>,
    pub root: Option<Digest>,
    pub commit: Option<String>,
    pub message: Option<String>,
    pub channel: Option<String>,
}

impl From<&releases::Listed> for Release {
    fn from(listed: &releases::Listed) -> Self {
        let document = listed.document.as_ref();
        Self {
            id: listed.id.clone(),
            created: document.map(|document| document.created.clone()),
            current: listed.current,
            files: document.map(|document| document.files),
            bytes: document.map(|document| document.bytes),
            root: document.map(|document| document.root),
            commit: document.and_then(|document| document.commit.clone()),
            message: document.and_then(|document| document.message.clone()),
            channel: document.and_then(|document| document.channel.clone()),
        }
    }
}

/// The output of `status`.
#[derive(Serialize)]
pub struct Status {
    pub release: Option<ReleaseId>,
    pub since: Option<String>,
    pub commit: Option<String>,
    pub message: Option<String>,
    /// The user and machine that published the release.
    pub who: Option<String>,
    /// The name of the target; `place` is where it is.
    pub target: String,
    pub place: String,
    pub files: Option<u64>,
    pub releases: u64,
    pub bytes_stored: u64,
    pub held: Option<HeldBy>,
    pub lock: Option<Lock>,
    pub pool: u64,
    /// The result of the last check of the live site. Null if there was none.
    pub delivery: Option<Noted>,
    /// Whether the installed vhost has what the site needs. Null if the target has no origin.
    pub vhost: Option<Vhost>,
}

/// The result of the last check of the live site.
#[derive(Serialize)]
pub struct Noted {
    /// The release that was checked.
    pub release: Option<ReleaseId>,
    pub at: Option<String>,
    /// Null if the origin was not checked, and likewise for `public`.
    pub origin: Option<bool>,
    pub public: Option<bool>,
    pub problems: u64,
    pub first: Option<String>,
    /// Whether a CDN still has to be purged.
    pub owed: bool,
}

/// Why publishing is on hold, since when, and the user who put it on hold.
#[derive(Serialize)]
pub struct HeldBy {
    pub reason: String,
    pub who: String,
    pub since: String,
}

/// The lock, and the run that has it.
#[derive(Serialize)]
pub struct Lock {
    pub name: String,
    pub who: Option<String>,
    pub what: Option<String>,
    pub since: Option<String>,
}

impl Status {
    /// Returns the status of a target at a place.
    pub fn of(status: &releases::Status, target: &str, place: String, vhost: Option<Vhost>) -> Self {
        let time = |seconds| timestamp(seconds).to_string();
        let document = status.document.as_ref();
        let owner = status.lock.as_ref().and_then(|lock| lock.owner.as_ref());
        let lock = status.lock.as_ref().map(|lock| Lock {
            name: lock.name.clone(),
            who: owner.map(|owner| owner.who.clone()),
            what: owner.map(|owner| owner.what.clone()),
            since: owner.map(|owner| time(owner.since)),
        });
        Self {
            release: status.release.clone(),
            since: status.since.map(time),
            commit: document.and_then(|document| document.commit.clone()),
            message: document.and_then(|document| document.message.clone()),
            who: document.map(|document| document.who.clone()),
            target: target.to_owned(),
            place,
            files: document.map(|document| document.files),
            releases: status.releases,
            bytes_stored: status.bytes_stored,
            held: status.hold.as_ref().map(|hold| HeldBy {
                reason: hold.reason.clone(),
                who: hold.who.clone(),
                since: time(hold.since),
            }),
            lock,
            pool: status.pool,
            delivery: status.delivery.as_ref().map(|known| Noted {
                release: known.release.clone(),
                at: known.release.as_ref().map(|_| time(known.at)),
                origin: known.origin,
                public: known.public,
                problems: known.problems,
                first: known.first.clone(),
                owed: known.is_owing(),
            }),
            vhost,
        }
    }
}

/// The output of `diff`.
#[derive(Serialize)]
pub struct Diff {
    pub from: ReleaseId,
    pub to: ReleaseId,
    pub changes: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<RedirectChange>,
}

/// The output of `verify`.
#[derive(Serialize)]
pub struct Verify {
    pub release: ReleaseId,
    pub ok: bool,
    pub checked: u64,
    pub problems: Vec<Broken>,
    /// What visitors get, with `--live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// What was repaired, with `--repair`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended: Option<Vec<Broken>>,
    /// The signature, if it was to be checked and is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// One problem that `verify` found.
#[derive(Serialize)]
pub struct Broken {
    pub path: String,
    pub problem: String,
}

/// The output of `check`.
#[derive(Serialize)]
pub struct Check<'a> {
    pub ok: bool,
    #[serde(flatten)]
    pub found: &'a Inspected,
}

/// The output of `init`.
#[derive(Serialize)]
pub struct Init {
    pub file: String,
    pub name: String,
    pub url: Option<String>,
    pub export: String,
    pub target: String,
    /// What the user should know before the first publish.
    pub notes: Vec<String>,
}

/// One line in the output of `watch`, with the name of the variant as its `event`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Watched {
    Listening {
        url: String,
    },
    Waiting {
        export: String,
    },
    Ready {
        url: String,
        files: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        changed: Option<usize>,
        root: Digest,
        seconds: f64,
        problems: Vec<Problem>,
    },
    Unchanged {
        seconds: f64,
    },
    Unsettled {
        reason: String,
    },
    Building,
    Output {
        line: String,
    },
    Built {
        seconds: f64,
    },
    Failed {
        error: FailedBody,
    },
}

/// Returns the output of a command that prints a text, under the command's name: `nginx`, `completions`, `man`.
pub fn text(name: &str, text: &str) -> Value {
    serde_json::json!({ name: text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syntax_publish::live::doctor::{CheckResult, DoctorCheck};
    use syntax_publish::model::severity::Severity;
    use syntax_publish::site::check::Known;

    #[test]
    fn values_of_the_library_are_printed_with_the_documented_fields() {
        let mut problem = Problem {
            path: "a/b.html".to_owned(),
            line: None,
            severity: Severity::Warning,
            check: "links",
            message: "m".to_owned(),
            hint: "h".to_owned(),
            fault: Some("f".to_owned()),
            always: true,
            known: None,
        };
        let text = |problem: &Problem| serde_json::to_string(problem).unwrap();
        let rest = r#""severity":"warning","check":"links","message":"m","hint":"h""#;
        assert_eq!(text(&problem), format!(r#"{{"path":"a/b.html",{rest},"known":false}}"#));
        problem.line = Some(7);
        problem.known = Some(Known::Accepted);
        let begin = format!(r#"{{"path":"a/b.html","line":7,{rest},"known":true"#);
        assert_eq!(text(&problem), format!("{begin}}}"));
        problem.known = Some(Known::Since("r-1".parse().unwrap()));
        assert_eq!(text(&problem), format!(r#"{begin},"since":"r-1"}}"#));
        for (state, ok) in [
            (CheckResult::Fine, "true"),
            (CheckResult::Wrong, "false"),
            (CheckResult::NotAsked, "null"),
        ] {
            let check = DoctorCheck {
                check: "name",
                state,
                detail: "d".to_owned(),
                fix: None,
            };
            let expected = format!(r#"{{"check":"name","ok":{ok},"detail":"d","fix":null}}"#);
            assert_eq!(serde_json::to_string(&check).unwrap(), expected);
        }
    }
}
