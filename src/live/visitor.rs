//! Puts questions to a site as a visitor would: many in flight over one connection, or over a few if the server speaks
//! only HTTP/1.1.
//!
//! Touches the network through [`crate::live::http`]. Each response is judged when it arrives and then dropped, so even
//! a large site costs no memory. The visitor must never send any request but the questions that it is given, or
//! continue after its deadline.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::finding::{Finding, Flaw, Side};
use super::question::{Question, Subject};
use super::{Expected, Files, cdn, curl, judge};
use crate::live::http::{self, Connection, Endpoint, HttpError, Protocol, Request, Response, Trust};
use crate::rules::headers::CLIENT_DEPLOYMENT;

/// Number of questions in flight over HTTP/2. nginx allows 128.
const IN_FLIGHT: usize = 64;
/// Number of connections if each carries one question at a time. Browsers use as many.
const PARALLEL: usize = 6;
/// Maximum total size in bytes of the responses that are in memory at the same time. As much again may wait in the
/// HTTP/2 connection window.
const MOST_HELD: usize = 8 << 20;
/// Maximum number of bytes to read of a response whose body is not used.
const LITTLE: usize = 16 << 10;
/// Number of consecutive attempts without a single response after which the visitor gives up. A connection that breaks
/// after some responses is made again as often as necessary, because nginx closes each after a thousand responses.
const FRUITLESS: usize = 2;
/// Number of days before the end of a certificate from which a warning is given. Certificates that are valid for 90
/// days are renewed when 30 are left.
const SOON: i64 = 14;

/// Where and how to send questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The side of the site that is visited.
    pub side: Side,
    /// The server to connect to.
    pub place: Endpoint,
    /// Whether the certificate is not valid for browsers. The command that repeats a question then has to ignore that.
    pub insecure: bool,
}

/// A visitor that is connected to a site.
pub struct Visitor {
    visit: Visit,
    facts: http::ConnectionFacts,
    /// Whether each connection so far had a valid certificate or stayed on this machine.
    is_trusted: bool,
    connections: Vec<Connection>,
}

/// The result of a list of questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// Number of questions that were answered.
    pub answered: usize,
    /// Number of questions that were not answered in time.
    pub unanswered: usize,
    /// Number of questions about files that were answered with the file itself, even if something else is wrong with
    /// the response.
    pub served: usize,
    /// What is wrong, in the order of the questions.
    pub findings: Vec<Finding>,
    /// The CDN's name for itself, if a CDN answered.
    pub cdn: Option<String>,
}

/// What the responses are judged against.
pub struct Expectations<'a> {
    /// Returns the expected response to a question.
    pub expected: &'a (dyn Fn(&Question) -> Expected + Sync),
    /// The files of the previous release.
    pub former: Option<&'a dyn Files>,
}

impl Visit {
    /// Returns a finding, with the command that repeats the request.
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

    /// Returns the finding for a connection that could not be established.
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

    /// Where and how the visitor sends questions.
    #[must_use]
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// What is known about the first connection.
    #[must_use]
    pub fn facts(&self) -> &http::ConnectionFacts {
        &self.facts
    }

    /// Whether the responses can't have been tampered with in transit. An attacker who can change responses can make
    /// any release look broken, so untrusted responses never lead to a rollback.
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

    /// Returns the findings about the connection itself: its certificate and its protocol.
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

    /// Sends the questions until all are answered or the deadline has passed.
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
                    // Kept until the response is judged.
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
            // Connections that broke can't be used again.
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

    /// Opens the connections for this number of questions.
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
        // There is no certificate, or it can't be parsed. Plain HTTP is trusted if it stays on this machine, where it
        // can't be intercepted.
        None => !place.tls && place.is_private(),
    }
}

/// The HTTP request for a question.
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

/// Checks that plain HTTP redirects to HTTPS. `None` if it does, or if nothing answers on port 80.
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
            // TLS with a certificate that can't be parsed.
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
