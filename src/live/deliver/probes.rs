//! The two sides of a site to check, the origin and the public URL. Connections to them are established while other
//! work goes on.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::live::http::HttpError;
use crate::live::visitor::{Round, Visit, plain_http};
use crate::live::{Finding, Question, Visitor};

/// Maximum time for a server to accept a connection. It is longer than visitors would wait.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// Maximum time for a server that does not have to be reachable from this machine. If a firewall drops all packets,
/// each publish waits this long.
const TO_TRY: Duration = Duration::from_secs(3);

/// Maximum time for port 80, so that a run does not wait for long if a firewall drops its packets.
const FOR_THE_REDIRECT: Duration = Duration::from_secs(1);

/// What it means if a side can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is a finding.
    Must,
    /// It is only reported, because the side may not be reachable from this machine.
    May,
}

/// A side of the site.
struct ProbeSide {
    need: Need,
    visit: Visit,
    arriving: Option<JoinHandle<Result<Visitor, HttpError>>>,
    arrived: Option<Result<Visitor, HttpError>>,
}

/// The sides to check. Connecting starts when a value is created.
#[derive(Default)]
pub struct Probes {
    origin: Option<ProbeSide>,
    public: Option<ProbeSide>,
}

/// Why a side was not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// The check is not configured.
    NotWanted,
    /// The side can't be reached from this machine, and does not have to be.
    Unreachable(String),
}

/// The outcome for a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SideOutcome {
    /// The side was not checked.
    Not(Skipped),
    /// The side was checked.
    Seen(SideResult),
}

/// What was seen of a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideResult {
    /// Number of questions that were answered.
    pub answered: usize,
    /// Number of questions that were not answered.
    pub unanswered: usize,
    /// Number of questions about files that were answered with the file itself.
    pub served: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The address that the questions were sent to.
    pub address: Option<String>,
    /// Number of days until the certificate expires.
    pub days_left: Option<i64>,
    /// The CDN that answered.
    pub cdn: Option<String>,
    /// Whether the responses can't have been tampered with in transit.
    pub is_trusted: bool,
}

/// A side that is not to be checked, or that can't be.
pub(super) enum Missing {
    NotWanted,
    Unreachable(Need, Box<Finding>),
}

impl Missing {
    /// Returns why the side can't be reached, if that is only reported and is not a finding.
    pub(super) fn unreachable(&self) -> Option<String> {
        match self {
            Self::Unreachable(Need::May, finding) => Some(finding.message()),
            Self::NotWanted | Self::Unreachable(Need::Must, _) => None,
        }
    }

    pub(super) fn told(self) -> SideOutcome {
        match self {
            Self::NotWanted => SideOutcome::Not(Skipped::NotWanted),
            Self::Unreachable(Need::May, finding) => SideOutcome::Not(Skipped::Unreachable(finding.message())),
            Self::Unreachable(Need::Must, finding) => SideOutcome::Seen(SideResult {
                findings: vec![*finding],
                ..SideResult::default()
            }),
        }
    }
}

impl SideOutcome {
    /// Returns what is wrong.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Not(_) => &[],
            Self::Seen(seen) => &seen.findings,
        }
    }
}

impl SideResult {
    pub(super) fn new(visitor: &Visitor, round: Round) -> Self {
        let mut findings = visitor.of_the_connection();
        for finding in &mut findings {
            finding.by_cdn = round.cdn.is_some();
        }
        findings.extend(round.findings);
        let facts = visitor.facts();
        Self {
            answered: round.answered,
            unanswered: round.unanswered,
            served: round.served,
            findings,
            address: Some(facts.peer.to_string()),
            days_left: facts.certificate.as_ref().map(|known| known.days_left),
            cdn: round.cdn,
            is_trusted: visitor.is_trusted(),
        }
    }

    /// Replaces the findings about these questions with those of a later result.
    pub(super) fn replace(&mut self, questions: &[Question], later: Self) {
        let is_asked = |finding: &Finding| finding.question.as_ref().is_some_and(|asked| questions.contains(asked));
        self.findings.retain(|finding| !is_asked(finding));
        self.findings.extend(later.findings.into_iter().filter(is_asked));
    }
}

impl ProbeSide {
    fn new(visit: Visit, need: Need, patience: Duration) -> Self {
        let patience = patience.min(match need {
            Need::Must => TO_CONNECT,
            Need::May => TO_TRY,
        });
        Self {
            need,
            arriving: Some(tokio::spawn(Visitor::arrive(visit.clone(), patience))),
            visit,
            arrived: None,
        }
    }

    async fn visitor(&mut self) -> Result<&mut Visitor, Missing> {
        if let Some(arriving) = self.arriving.take() {
            self.arrived = Some(arriving.await.unwrap_or_else(|error| {
                Err(HttpError::Broken {
                    address: self.visit.place.authority(),
                    detail: format!(
                        "a task of syntax-publish panicked: {}",
                        crate::host::panics::said(error)
                    ),
                })
            }));
        }
        let unreachable = |error: &HttpError| Missing::Unreachable(self.need, Box::new(self.visit.unreachable(error)));
        match &mut self.arrived {
            Some(Ok(visitor)) => Ok(visitor),
            Some(Err(error)) => Err(unreachable(error)),
            None => Err(Missing::NotWanted),
        }
    }
}

impl Drop for ProbeSide {
    fn drop(&mut self) {
        if let Some(arriving) = &self.arriving {
            arriving.abort();
        }
    }
}

impl Probes {
    /// Starts to connect to the sides to check, for at most `patience`.
    #[must_use]
    pub fn begin(origin: Option<(Visit, Need)>, public: Option<Visit>, patience: Duration) -> Self {
        Self {
            origin: origin.map(|(visit, need)| ProbeSide::new(visit, need, patience)),
            public: public.map(|visit| ProbeSide::new(visit, Need::Must, patience)),
        }
    }

    /// Whether there is no side to check.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.origin.is_none() && self.public.is_none()
    }

    pub(super) async fn origin(&mut self) -> Result<&mut Visitor, Missing> {
        match &mut self.origin {
            Some(half) => half.visitor().await,
            None => Err(Missing::NotWanted),
        }
    }

    pub(super) async fn public(&mut self) -> Result<&mut Visitor, Missing> {
        match &mut self.public {
            Some(half) => half.visitor().await,
            None => Err(Missing::NotWanted),
        }
    }
}

/// Checks that plain HTTP redirects to HTTPS, if the site uses HTTPS on the default port.
pub(super) async fn redirect(visit: &Visit, until: Instant) -> Option<Finding> {
    let place = &visit.place;
    if !(place.tls && place.port == 443) {
        return None;
    }
    plain_http(visit, until.min(Instant::now() + FOR_THE_REDIRECT)).await
}
