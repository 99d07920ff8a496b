//! Judges whether another name of the site leads to the same address of the site. Pure.

use crate::live::http::Response;
use crate::model::path::printable;

/// Why a visitor who uses another name of the site does not get to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasFault {
    /// The name does not answer.
    NoAnswer(String),
    /// Browsers reject the certificate for the name.
    Certificate(String),
    /// The name answers with this status instead of leading to the site.
    Status(u16),
    /// The name leads there.
    Elsewhere(String),
}

impl AliasFault {
    /// Judges an answer, and the fault of the certificate that came with it. The name should lead to the URL `wanted`.
    pub fn of(answer: &Response, certificate: Option<&str>, wanted: &str) -> Option<Self> {
        match answer.header("location") {
            Some(to) if matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                let elsewhere = (to != wanted).then(|| Self::Elsewhere(to.to_owned()));
                elsewhere.or_else(|| certificate.map(|fault| Self::Certificate(fault.to_owned())))
            }
            _ => Some(Self::Status(answer.status)),
        }
    }

    /// Describes what the name does, as a sentence without its subject.
    pub fn message(&self) -> String {
        match self {
            Self::NoAnswer(why) => format!("can't be reached: {}", printable(why)),
            Self::Certificate(fault) => printable(fault),
            Self::Status(200) => "answers 200 with its own copy instead of leading to the site".to_owned(),
            Self::Status(status) => format!("answers {status} instead of leading to the site"),
            Self::Elsewhere(to) => format!("leads to {} and not to the same address of the site", printable(to)),
        }
    }

    /// What the user can do about it.
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::NoAnswer(_) => {
                "add a DNS record for the name that leads where the site's own leads, or take the name out of `aliases` in [site]"
            }
            Self::Certificate(_) => {
                "get one certificate for all names of the site (the printed vhost has the command), and reload nginx"
            }
            Self::Status(_) | Self::Elsewhere(_) => {
                "print the vhost again with `syntax-publish nginx`, which has a server for the names in `aliases` of [site], and reload nginx; if a CDN is in front, see that it passes the name on and purge it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_same_address_or_is_a_fault() {
        let answer = |status, location: &str| Response {
            status,
            headers: vec![("location".to_owned(), location.to_owned())],
            body: Vec::new(),
        };
        let wanted = "https://docs.example.com/a";
        let of = |status, location| AliasFault::of(&answer(status, location), None, wanted);
        assert_eq!(of(308, wanted), None);
        assert_eq!(of(301, wanted), None);
        let front = "https://docs.example.com/";
        assert_eq!(of(308, front), Some(AliasFault::Elsewhere(front.to_owned())));
        assert_eq!(of(200, wanted), Some(AliasFault::Status(200)));
        let other = AliasFault::of(&answer(308, wanted), Some("it is for another name"), wanted);
        assert!(matches!(other, Some(AliasFault::Certificate(_))));
    }
}
