//! The two sides of a site to check, the origin and the public URL. Connections to them are established while other
//! work goes on.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::live::http::HttpError;
use crate::live::visitor::{SideResult, Visit};
use crate::live::{Finding, Flaw, Side, Visitor};

/// Maximum time for a server to accept a connection. It is longer than visitors would wait.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// Maximum time for a server that does not have to be reachable from this machine. If a firewall drops all packets,
/// each publish waits this long.
const TO_TRY: Duration = Duration::from_secs(3);

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

/// The outcome for a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SideOutcome {
    /// The check is not configured.
    #[default]
    NotWanted,
    /// The side can't be reached from this machine, and does not have to be.
    Unreachable(String),
    /// The side was checked.
    Seen(SideResult),
}

impl SideOutcome {
    /// What was seen, if the side was checked.
    pub fn seen(&self) -> Option<&SideResult> {
        match self {
            Self::NotWanted | Self::Unreachable(_) => None,
            Self::Seen(seen) => Some(seen),
        }
    }

    /// Returns what is wrong.
    pub fn findings(&self) -> &[Finding] {
        self.seen().map_or(&[], |seen| &seen.findings)
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

    /// The visitor, once it is connected. If it can't connect, the error is the outcome for the side.
    async fn visitor(&mut self) -> Result<&mut Visitor, Box<SideOutcome>> {
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
        let error = match &mut self.arrived {
            Some(Ok(visitor)) => return Ok(visitor),
            Some(Err(error)) => error.to_string(),
            None => return Err(Box::default()),
        };
        Err(Box::new(match self.need {
            Need::May => SideOutcome::Unreachable(error),
            Need::Must => SideOutcome::Seen(SideResult {
                findings: vec![self.visit.finding(None, Flaw::NoAnswer(error), None)],
                ..SideResult::default()
            }),
        }))
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
    pub fn begin(origin: Option<(Visit, Need)>, public: Option<Visit>, patience: Duration) -> Self {
        Self {
            origin: origin.map(|(visit, need)| ProbeSide::new(visit, need, patience)),
            public: public.map(|visit| ProbeSide::new(visit, Need::Must, patience)),
        }
    }

    /// Whether there is no side to check.
    pub fn is_nothing(&self) -> bool {
        self.origin.is_none() && self.public.is_none()
    }

    /// Whether the public URL is to be checked.
    pub(super) fn has_public(&self) -> bool {
        self.public.is_some()
    }

    pub(super) async fn visitor(&mut self, side: Side) -> Result<&mut Visitor, Box<SideOutcome>> {
        let probe = match side {
            Side::Origin => &mut self.origin,
            Side::Public => &mut self.public,
        };
        match probe {
            Some(probe) => probe.visitor().await,
            None => Err(Box::default()),
        }
    }
}
