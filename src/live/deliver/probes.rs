//! The two sides that are asked, each connected to while other work goes on.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::live::http::HttpError;
use crate::live::visitor::{Round, Visit, plain_http};
use crate::live::{Finding, Question, Visitor};

/// How long a server may take to accept: longer than any that visitors would wait for.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// How long one may take that need not be reachable from here: a firewall that drops everything costs each publish that much.
const TO_TRY: Duration = Duration::from_secs(3);

/// How long port 80 may take: where a firewall drops it, no one waits for that.
const FOR_THE_REDIRECT: Duration = Duration::from_secs(1);

/// Whether a side is asked that can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// That is a finding.
    Must,
    /// That is only said: no one promised that it can be reached from here.
    May,
}

/// One side.
struct ProbeSide {
    need: Need,
    visit: Visit,
    arriving: Option<JoinHandle<Result<Visitor, HttpError>>>,
    arrived: Option<Result<Visitor, HttpError>>,
}

/// The sides to ask; connecting begins at once.
#[derive(Default)]
pub struct Probes {
    origin: Option<ProbeSide>,
    public: Option<ProbeSide>,
}

/// Why a side was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// No one wants it.
    NotWanted,
    /// It can't be reached from here, and need not be.
    Unreachable(String),
}

/// What came of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SideOutcome {
    /// It was not asked.
    Not(Skipped),
    /// It was.
    Seen(SideResult),
}

/// What was seen of a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideResult {
    /// Questions that were answered.
    pub answered: usize,
    /// Questions that were not.
    pub unanswered: usize,
    /// Questions for files that were answered with their bytes.
    pub served: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The address that was asked.
    pub address: Option<String>,
    /// Days until the certificate ends.
    pub days_left: Option<i64>,
    /// The CDN that answered.
    pub cdn: Option<String>,
    /// Whether no one on the way can have changed what was seen.
    pub is_trusted: bool,
}

/// A side that is not asked, or that can't be.
pub(super) enum Missing {
    NotWanted,
    Unreachable(Need, Box<Finding>),
}

impl Missing {
    /// Why it can't be reached, where that is only said.
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
    /// What is wrong.
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

    /// Puts what a later look found in place of what was found of the same questions.
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
    /// Begins to connect to the sides that are to be asked, for so long.
    #[must_use]
    pub fn begin(origin: Option<(Visit, Need)>, public: Option<Visit>, patience: Duration) -> Self {
        Self {
            origin: origin.map(|(visit, need)| ProbeSide::new(visit, need, patience)),
            public: public.map(|visit| ProbeSide::new(visit, Need::Must, patience)),
        }
    }

    /// Whether nothing is to be asked.
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

/// Whether plain HTTP leads to HTTPS, where the site has its usual ports.
pub(super) async fn redirect(visit: &Visit, until: Instant) -> Option<Finding> {
    let place = &visit.place;
    if !(place.tls && place.port == 443) {
        return None;
    }
    plain_http(visit, until.min(Instant::now() + FOR_THE_REDIRECT)).await
}
