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

use super::alias::AliasFault;
use super::finding::{Finding, Flaw, Side};
use super::question::{Accept, Question, Subject};
use super::{Files, cdn, curl, expect, judge};
use crate::live::http::{self, Connection, Endpoint, HttpError, Protocol, Request, Response, Trust};
use crate::model::manifest::is_page;
use crate::rules::Rules;
use crate::rules::headers::CLIENT_DEPLOYMENT;
use crate::rules::marker::{self, Fit, Marker};

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

/// Maximum time for port 80, so that a run does not wait for long if a firewall drops its packets.
const FOR_THE_REDIRECT: Duration = Duration::from_secs(1);
/// Maximum time for a request that has a connection of its own.
const FOR_ONE: Duration = Duration::from_secs(2);

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
    /// See [`SideResult::is_trusted`]: whether that is so for each connection so far.
    is_trusted: bool,
    connections: Vec<Connection>,
}

/// What was seen of a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideResult {
    /// Number of questions that were answered.
    pub answered: usize,
    /// Number of questions that were not answered in time.
    pub unanswered: usize,
    /// Number of questions about pages that were answered with the page itself, even if something else is wrong with
    /// the response. Other files may be those of another site of the host: `robots.txt`, chunks of the framework.
    pub served: usize,
    /// What is wrong: first with the connection, then in the order of the questions.
    pub findings: Vec<Finding>,
    /// The address that the questions were sent to.
    pub address: Option<String>,
    /// Number of days until the certificate expires.
    pub days_left: Option<i64>,
    /// The CDN's name for itself, if a CDN answered.
    pub cdn: Option<String>,
    /// Whether the responses can't have been tampered with in transit. An attacker who can change responses can make
    /// any release look broken, so untrusted responses never lead to a rollback.
    pub is_trusted: bool,
}

impl SideResult {
    /// Replaces the findings about these questions with those of a later result.
    pub(super) fn replace(&mut self, questions: &[Question], later: Self) {
        let is_asked = |finding: &Finding| finding.question.as_ref().is_some_and(|asked| questions.contains(asked));
        self.findings.retain(|finding| !is_asked(finding));
        self.findings.extend(later.findings.into_iter().filter(is_asked));
    }
}

/// What the responses are judged against.
#[derive(Clone, Copy)]
pub struct Expectations<'a> {
    /// The rules of the vhost.
    pub rules: &'a Rules,
    /// The files of the release.
    pub files: &'a dyn Files,
    /// The files of the previous release.
    pub former: Option<&'a dyn Files>,
}

impl Visit {
    /// Returns a finding, with the command that repeats the request.
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

    /// Checks that plain HTTP redirects to HTTPS, if the site uses HTTPS on the default port. `None` if it does, or if
    /// nothing answers on port 80.
    pub(super) async fn redirect(&self, until: Instant) -> Option<Finding> {
        if !(self.place.tls && self.place.port == 443) {
            return None;
        }
        let plain = Self {
            side: self.side,
            place: self.place.plain(),
            insecure: false,
        };
        let until = until.min(Instant::now() + FOR_THE_REDIRECT);
        let (answer, _) = ask_alone(&plain.place, "/", until).await.ok()?;
        let leads = (300..400).contains(&answer.status)
            && answer.header("location").is_some_and(|to| to.starts_with("https://"));
        (!leads).then(|| plain.finding(None, Flaw::NotRedirected(answer.status), Some(&answer)))
    }

    /// Checks that another name of the site leads from the address of a question to `site`, the site's URL without a
    /// path. `None` if it does.
    pub(super) async fn alias(&self, name: &str, question: &Question, site: &str, until: Instant) -> Option<Finding> {
        let question = Question {
            accept: Accept::Browser,
            head: false,
            ..question.clone()
        };
        let other = Self {
            side: self.side,
            place: self.place.named(name),
            insecure: false,
        };
        let fault = alias(&other.place, &question.target, site, until).await?;
        if self.insecure && matches!(fault, AliasFault::Certificate(_)) {
            // The site's own certificate is at fault, and is a finding already.
            return None;
        }
        let name = name.to_owned();
        Some(other.finding(Some(&question), Flaw::Alias { name, fault }, None))
    }
}

/// Asks a server which vhost answers there for the site, and compares that with what the site needs. `is_whole` is as in
/// [`Fit::of`].
///
/// # Errors
/// [`HttpError`].
pub async fn vhost(place: &Endpoint, rules: &Rules, is_whole: bool) -> Result<Fit, HttpError> {
    Ok(Fit::of(marker(place, rules).await?.as_ref(), rules, is_whole))
}

/// Asks a server which vhost answers there for the site, and what it serves. `None` if the vhost does not say.
///
/// # Errors
/// [`HttpError`].
pub async fn marker(place: &Endpoint, rules: &Rules) -> Result<Option<Marker>, HttpError> {
    let until = Instant::now() + FOR_ONE;
    let (answer, _) = ask_alone(place, &format!("{}{}", rules.base_path, marker::ADDRESS), until).await?;
    if answer.status >= 500 {
        return Err(HttpError::Broken {
            address: place.authority(),
            detail: format!("it answers {}", answer.status),
        });
    }
    let text = std::str::from_utf8(&answer.body).ok().filter(|_| answer.status == 200);
    Ok(text.and_then(Marker::parse))
}

/// Asks another name of the site for an address. It should lead to the same address of `site`, the site's URL without a
/// path. `None` if it does.
pub(super) async fn alias(place: &Endpoint, target: &str, site: &str, until: Instant) -> Option<AliasFault> {
    match ask_alone(place, target, until).await {
        Ok((answer, fault)) => AliasFault::of(&answer, fault.as_deref(), &format!("{site}{target}")),
        Err(error) => Some(AliasFault::NoAnswer(error.to_string())),
    }
}

/// Sends a request over a connection of its own. Also returns what is wrong with the server's certificate.
async fn ask_alone(place: &Endpoint, target: &str, until: Instant) -> Result<(Response, Option<String>), HttpError> {
    let asking = async {
        let connection = http::connect(place, Trust::Note, FOR_ONE).await?;
        let certificate = connection.facts().certificate.as_ref();
        let fault = certificate.and_then(|known| known.fault.clone());
        let request = Request::get(target.to_owned(), &[]);
        Ok((connection.send(&request, LITTLE).await?, fault))
    };
    let late = |_| HttpError::TimedOut {
        address: place.authority(),
    };
    timeout_at(until.min(Instant::now() + FOR_ONE), asking)
        .await
        .map_err(late)?
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
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    fn add(&mut self, connection: Connection) {
        if self.is_trusted && !is_trusted(&self.visit.place, connection.facts()) {
            self.is_trusted = false;
            self.facts.certificate.clone_from(&connection.facts().certificate);
        }
        self.connections.push(connection);
    }

    /// Returns the findings about the connection itself: its certificate and its protocol.
    fn of_the_connection(&self) -> Vec<Flaw> {
        let Some(certificate) = &self.facts.certificate else {
            return Vec::new();
        };
        let flaw = match &certificate.fault {
            Some(fault) => Some(Flaw::Certificate(fault.clone())),
            None if certificate.for_cdn && self.visit.side == Side::Public => Some(Flaw::Certificate(
                "the certificate is a Cloudflare origin certificate, which no browser accepts".to_owned(),
            )),
            None => (certificate.days_left < SOON).then_some(Flaw::CertificateEnds(certificate.days_left)),
        };
        let is_old = self.facts.protocol == Protocol::Http1;
        flaw.into_iter().chain(is_old.then_some(Flaw::NoHttp2)).collect()
    }

    /// Sends the questions until all are answered or the deadline has passed.
    pub async fn ask(&mut self, questions: &[Question], expectations: &Expectations<'_>, until: Instant) -> SideResult {
        let mut seen = SideResult::default();
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
                let expected = expect::expected(expectations.rules, expectations.files, question);
                let most = usize::try_from(judge::most_bytes(question, &expected)).unwrap_or(MOST_HELD);
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
                match answer {
                    Ok((Ok(answer), _held)) => {
                        seen.answered += 1;
                        if seen.cdn.is_none() && cdn::answered(&answer) {
                            let name = answer.header("server").unwrap_or("a CDN");
                            seen.cdn = Some(name.chars().take(100).collect());
                        }
                        let question = &questions[at];
                        let flaws = judge::flaws(self.visit.side, question, &expected, &answer, expectations.former);
                        let is_page = matches!(&question.subject, Subject::File(path) if is_page(path));
                        if is_page && !flaws.iter().any(Flaw::is_another_answer) {
                            seen.served += 1;
                        }
                        let flaws = flaws.into_iter();
                        found.extend(flaws.map(|flaw| (at, self.visit.finding(Some(question), flaw, Some(&answer)))));
                    }
                    Ok((Err(error), _)) => {
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
        let of_the_connection = self.of_the_connection().into_iter().map(|flaw| Finding {
            by_cdn: seen.cdn.is_some(),
            ..self.visit.finding(None, flaw, None)
        });
        seen.findings = of_the_connection
            .chain(found.into_iter().map(|(_, finding)| finding))
            .collect();
        seen.unanswered = pending.len();
        if let Some(first) = pending.first() {
            let why = trouble.map_or_else(|| "no answer came in time".to_owned(), |error| error.to_string());
            let flaw = Flaw::NoAnswer(format!(
                "{} of {} requests were not answered: {why}",
                pending.len(),
                questions.len()
            ));
            seen.findings
                .push(self.visit.finding(questions.get(*first), flaw, None));
        }
        SideResult {
            address: Some(self.facts.peer.to_string()),
            days_left: self.facts.certificate.as_ref().map(|known| known.days_left),
            is_trusted: self.is_trusted,
            ..seen
        }
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
    let accepted = [("accept-encoding", question.accept.header()), ("accept", "*/*")];
    let deployment = question.deployment().map(|id| (CLIENT_DEPLOYMENT, id));
    let headers: Vec<_> = accepted.into_iter().chain(deployment).collect();
    Request {
        method: if question.head { "HEAD" } else { "GET" },
        ..Request::get(question.target.clone(), &headers)
    }
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
