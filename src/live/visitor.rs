//! Asks a site as a visitor does: one connection, or a few where it speaks HTTP/1.1 only, and many questions in flight.
//!
//! Touches the network through [`crate::live::http`]. It judges each answer as it comes and keeps none, so a large site costs no
//! memory. It must never ask anything but what it is given, and never longer than it is told.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::finding::{Finding, Flaw, Side};
use super::question::{Question, Subject};
use super::{Expected, Files, cdn, curl, judge};
use crate::live::http::{self, Connection, Endpoint, HttpError, Protocol, Request, Response, Trust};
use crate::rules::headers::CLIENT_DEPLOYMENT;

/// So many questions are in flight over HTTP/2; nginx takes 128.
const IN_FLIGHT: usize = 64;
/// So many connections are made where each carries one question at a time, as browsers do.
const PARALLEL: usize = 6;
/// What all answers that are read together may hold, in bytes. As much again may wait in the window of HTTP/2.
const MOST_HELD: usize = 8 << 20;
/// Of an answer whose body no one looks at.
const LITTLE: usize = 16 << 10;
/// How often a connection is made again over which not one answer came. One that ends otherwise is made again as often as
/// it takes: nginx ends each after a thousand answers.
const FRUITLESS: usize = 2;
/// When to say that a certificate ends soon. Certificates of 90 days are renewed when 30 are left.
const SOON: i64 = 14;

/// Where and how to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Who is asked.
    pub side: Side,
    /// Where.
    pub place: Endpoint,
    /// Whether the certificate was not in order: who repeats a question must not stumble over it.
    pub insecure: bool,
}

/// Somebody who can ask.
pub struct Visitor {
    visit: Visit,
    facts: http::ConnectionFacts,
    /// Whether each connection so far had a valid certificate, or stayed on this machine.
    is_trusted: bool,
    connections: Vec<Connection>,
}

/// What came of some questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// How many were answered.
    pub answered: usize,
    /// How many were not, in the time there was.
    pub unanswered: usize,
    /// How many files of the site came with their bytes, whatever else may be wrong with the answer.
    pub served: usize,
    /// What is wrong, in the order of the questions.
    pub findings: Vec<Finding>,
    /// What the CDN calls itself, where one answered.
    pub cdn: Option<String>,
}

/// How answers are judged.
pub struct Expectations<'a> {
    /// What the answer to a question should be.
    pub expected: &'a (dyn Fn(&Question) -> Expected + Sync),
    /// The release before.
    pub former: Option<&'a dyn Files>,
}

impl Visit {
    /// A finding, with the request to repeat.
    #[must_use]
    pub fn finding(&self, question: Option<&Question>, flaw: Flaw, answer: Option<&Response>) -> Finding {
        Finding {
            side: self.side,
            question: question.cloned(),
            flaw,
            cached: answer.and_then(cdn::cached),
            by_cdn: answer.is_some_and(cdn::answered),
            repeat: curl::line(&self.place, question, self.insecure),
        }
    }

    /// A finding where no connection came about.
    #[must_use]
    pub fn unreachable(&self, error: &HttpError) -> Finding {
        self.finding(None, Flaw::NoAnswer(error.to_string()), None)
    }
}

impl Visitor {
    /// Connects.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn arrive(mut visit: Visit, patience: Duration) -> Result<Self, HttpError> {
        let first = http::connect(&visit.place, Trust::Note, patience).await?;
        let certificate = first.facts().certificate.as_ref();
        visit.insecure = certificate.is_some_and(|known| known.fault.is_some() || known.for_cdn);
        Ok(Self {
            is_trusted: is_trusted(&visit.place, first.facts()),
            facts: first.facts().clone(),
            visit,
            connections: vec![first],
        })
    }

    /// Where and how it asks.
    #[must_use]
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// What is known of the first connection.
    #[must_use]
    pub fn facts(&self) -> &http::ConnectionFacts {
        &self.facts
    }

    /// Whether no one on the way can have changed the answers. Someone who can is able to make any release look broken,
    /// so answers that are not trusted never lead to a rollback.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    fn add(&mut self, connection: Connection) {
        if self.is_trusted && !is_trusted(&self.visit.place, connection.facts()) {
            self.is_trusted = false;
            self.facts.certificate.clone_from(&connection.facts().certificate);
        }
        self.connections.push(connection);
    }

    /// What the connection itself shows: the certificate, the protocol.
    #[must_use]
    pub fn of_the_connection(&self) -> Vec<Finding> {
        let facts = &self.facts;
        let mut flaws = Vec::new();
        if let Some(certificate) = &facts.certificate {
            match &certificate.fault {
                Some(fault) => flaws.push(Flaw::Certificate(fault.clone())),
                None if certificate.for_cdn && self.visit.side == Side::Public => flaws.push(Flaw::Certificate(
                    "the certificate is a Cloudflare origin certificate, which no browser accepts".to_owned(),
                )),
                None if certificate.days_left < SOON => flaws.push(Flaw::CertificateEnds(certificate.days_left)),
                None => {}
            }
            if facts.protocol == Protocol::Http1 {
                flaws.push(Flaw::NoHttp2);
            }
        }
        flaws
            .into_iter()
            .map(|flaw| self.visit.finding(None, flaw, None))
            .collect()
    }

    /// Asks, until all is answered or the time is over.
    pub async fn ask(&mut self, questions: &[Question], expectations: &Expectations<'_>, until: Instant) -> Round {
        let mut round = Round::default();
        let mut found: Vec<(usize, Finding)> = Vec::new();
        let mut pending: Vec<usize> = (0..questions.len()).collect();
        let mut trouble = None;
        let mut fruitless = 0;
        while !pending.is_empty() && fruitless < FRUITLESS {
            if let Err(error) = self.be_connected(pending.len(), until).await {
                trouble = Some(error);
                break;
            }
            let connections = &self.connections;
            let parallel = match self.facts.protocol {
                Protocol::Http2 => IN_FLIGHT,
                Protocol::Http1 => connections.len(),
            };
            let room = &Semaphore::new(MOST_HELD);
            let answers = stream::iter(pending.iter().copied()).map(|at| async move {
                let question = &questions[at];
                let expected = (expectations.expected)(question);
                let most = usize::try_from(judge::most(question, &expected)).unwrap_or(MOST_HELD);
                let share = u32::try_from(most.min(MOST_HELD)).unwrap_or(0);
                let connection = &connections[at % connections.len()];
                let asking = async {
                    // Kept until the answer is judged.
                    let held = room.acquire_many(share).await;
                    (connection.send(&request(question), most).await, held)
                };
                (at, expected, timeout_at(until, asking).await)
            });
            let mut answers = answers.buffer_unordered(parallel.max(1));
            let mut again = Vec::new();
            while let Some((at, expected, answer)) = answers.next().await {
                let (answer, _held) = match answer {
                    Ok((answer, held)) => (Ok(answer), held.ok()),
                    Err(late) => (Err(late), None),
                };
                match answer {
                    Ok(Ok(answer)) => {
                        round.answered += 1;
                        if round.cdn.is_none() && cdn::answered(&answer) {
                            let name = answer.header("server").unwrap_or("a CDN");
                            round.cdn = Some(name.chars().take(100).collect());
                        }
                        let question = &questions[at];
                        let flaws = judge::flaws(self.visit.side, question, &expected, &answer, expectations.former);
                        let is_file = matches!(question.subject, Subject::File(_));
                        if is_file && !flaws.iter().any(Flaw::is_another_answer) {
                            round.served += 1;
                        }
                        found.extend(
                            flaws
                                .into_iter()
                                .map(|flaw| (at, self.visit.finding(Some(question), flaw, Some(&answer)))),
                        );
                    }
                    Ok(Err(error)) => {
                        trouble = Some(error);
                        again.push(at);
                    }
                    Err(_) => {
                        trouble = None;
                        again.push(at);
                    }
                }
            }
            drop(answers);
            fruitless = if again.len() == pending.len() { fruitless + 1 } else { 0 };
            pending = again;
            if pending.is_empty() || Instant::now() >= until {
                break;
            }
            // What broke is of no more use.
            self.connections.clear();
        }
        found.sort_by_key(|(at, _)| *at);
        round.findings = found.into_iter().map(|(_, finding)| finding).collect();
        round.unanswered = pending.len();
        if let Some(first) = pending.first() {
            let why = trouble.map_or_else(|| "no answer came in time".to_owned(), |error| error.to_string());
            let flaw = Flaw::NoAnswer(format!(
                "{} of {} requests were not answered: {why}",
                pending.len(),
                questions.len()
            ));
            round
                .findings
                .push(self.visit.finding(questions.get(*first), flaw, None));
        }
        round
    }

    /// Connections for so many questions.
    async fn be_connected(&mut self, questions: usize, until: Instant) -> Result<(), HttpError> {
        let left = || until.saturating_duration_since(Instant::now());
        if self.connections.is_empty() {
            let first = http::connect(&self.visit.place, Trust::Note, left()).await?;
            self.add(first);
        }
        if self.facts.protocol == Protocol::Http1 {
            let more = PARALLEL.min(questions).saturating_sub(self.connections.len());
            let connecting = (0..more).map(|_| http::connect(&self.visit.place, Trust::Note, left()));
            let made = futures_util::future::join_all(connecting).await;
            made.into_iter().flatten().for_each(|connection| self.add(connection));
        }
        Ok(())
    }
}

fn is_trusted(place: &Endpoint, facts: &http::ConnectionFacts) -> bool {
    match &facts.certificate {
        Some(certificate) => certificate.fault.is_none(),
        // No certificate, or one that can't be read. On this machine nobody is on the way.
        None => !place.tls && place.is_private(),
    }
}

/// The request of a question.
fn request(question: &Question) -> Request {
    Request {
        method: if question.head { "HEAD" } else { "GET" },
        target: question.target.clone(),
        headers: [
            ("accept-encoding", question.accept.header().to_owned()),
            ("accept", "*/*".to_owned()),
        ]
        .into_iter()
        .chain(question.deployment().map(|id| (CLIENT_DEPLOYMENT, id.to_owned())))
        .collect(),
        body: Vec::new(),
    }
}

/// Whether plain HTTP leads to HTTPS, asked of a host that answers on port 80. None where no one does.
pub async fn plain_http(visit: &Visit, until: Instant) -> Option<Finding> {
    let place = Endpoint {
        tls: false,
        port: 80,
        at: visit.place.at.as_ref().map(|(host, _)| (host.clone(), 80)),
        ..visit.place.clone()
    };
    let asking = async {
        let left = until.saturating_duration_since(Instant::now());
        let connection = http::connect(&place, Trust::Note, left).await.ok()?;
        let request = Request {
            target: "/".to_owned(),
            ..Request::default()
        };
        connection.send(&request, LITTLE).await.ok()
    };
    let answer = timeout_at(until, asking).await.ok().flatten()?;
    let leads =
        (300..400).contains(&answer.status) && answer.header("location").is_some_and(|to| to.starts_with("https://"));
    let plain = Visit {
        side: visit.side,
        place,
        insecure: false,
    };
    (!leads).then(|| plain.finding(None, Flaw::NotRedirected(answer.status), Some(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_tls_are_trusted_on_this_machine_alone() {
        let facts = http::ConnectionFacts {
            peer: "192.0.2.7:80".parse().unwrap(),
            protocol: Protocol::Http1,
            certificate: None,
            took: Duration::ZERO,
        };
        for (at, tls, trusted) in [
            ("127.0.0.1", false, true),
            ("localhost", false, true),
            ("::1", false, true),
            ("192.0.2.7", false, false),
            ("pheme.internal", false, false),
            // TLS with a certificate that can't be read.
            ("127.0.0.1", true, false),
        ] {
            let place = Endpoint {
                name: "docs.example.com".to_owned(),
                port: 80,
                tls,
                at: Some((at.to_owned(), 80)),
            };
            assert_eq!(is_trusted(&place, &facts), trusted, "{at}, tls: {tls}");
        }
    }
}
