//! Notifies others of the result of a publish, through a webhook that takes JSON or the format of a chat system.
//!
//! The notice and its text are pure. Sending it is one request with a short timeout. It must never make a command fail
//! or keep it waiting for long. The URL may be a secret, so it must never appear in a message.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::template::fill;
use crate::live::http::{self, Endpoint, HttpError, Request};

/// Time limit for sending a notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// A notice to send.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Notice {
    /// One of [`EVENTS`](crate::config::template::EVENTS).
    pub event: &'static str,
    /// The complete notice as one sentence, for people.
    pub text: String,
    /// The name of the site.
    pub site: String,
    /// The target.
    pub target: String,
    /// The release in question: the one that is live, or the one that failed.
    pub release: Option<String>,
    /// The previous release.
    pub previous: Option<String>,
    /// The URL of the site.
    pub url: Option<String>,
    /// The commit that the site was built from.
    pub commit: Option<String>,
    /// The user who ran the command.
    pub who: String,
    /// What failed.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Additional fields for programs, such as counts and problems. A template can't use them.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Notice {
    /// The body to send: all fields, or the filled template.
    pub fn body(&self, template: Option<&str>) -> String {
        let all = serde_json::to_value(self).unwrap_or_default();
        let Some(template) = template else {
            return all.to_string();
        };
        // Chat systems refuse the complete message if a string is null.
        fill(template, &|name| {
            Value::String(without_markup(all[name].as_str().unwrap_or_default())).to_string()
        })
    }
}

/// Escapes a text so that a chat shows it literally: without mentions, and without links that hide their target. File
/// names and reasons are written by others, and each chat system has its own markup, so the characters that start
/// markup are replaced by lookalikes.
fn without_markup(text: &str) -> String {
    let text = text.replace("](", "] (");
    let like = |c| match c {
        '<' => '‹',
        '>' => '›',
        '@' => '＠',
        c => c,
    };
    text.chars().map(like).collect()
}

/// Sends a notice.
///
/// # Errors
/// What went wrong. The error does not contain the URL's path, which may be a secret.
pub async fn send(place: &Endpoint, target: &str, body: String) -> Result<(), NotifyError> {
    let request = Request::post(target.to_owned(), body);
    let answer = http::send_once(place, &request, PATIENCE).await?;
    if (200..300).contains(&answer.status) {
        Ok(())
    } else {
        Err(NotifyError::Refused {
            host: place.authority(),
            status: answer.status,
        })
    }
}

/// Why a notice could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// There was no response.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refused the notice.
    #[error("{host} answers {status}")]
    Refused {
        /// The server.
        host: String,
        /// The status.
        status: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::FIELDS;

    fn notice() -> Notice {
        Notice {
            event: "published",
            text: "docs: \"new\" guide".to_owned(),
            site: "docs".to_owned(),
            ..Notice::default()
        }
    }

    #[test]
    fn without_a_template_everything_is_sent_by_name() {
        let body: Value = serde_json::from_str(&notice().body(None)).unwrap();
        assert_eq!(body["event"], "published");
        assert_eq!(body["release"], Value::Null);
        assert_eq!(body.as_object().unwrap().len(), FIELDS.len());
    }

    #[test]
    fn template_gets_strings_with_their_quotes_and_keeps_its_own_braces() {
        let body = notice().body(Some(r#"{"text": {text}, "blocks": [{"a": {}}, {previous}]}"#));
        assert_eq!(body, r#"{"text": "docs: \"new\" guide", "blocks": [{"a": {}}, ""]}"#);
    }

    #[test]
    fn text_of_others_mentions_no_one_in_a_chat_and_hides_no_link() {
        let notice = Notice {
            text: "docs: <!channel> @everyone <https://evil.example|log in> [log in](https://evil.example)".to_owned(),
            error: Some("out/<@U123>.html".to_owned()),
            ..notice()
        };
        let body: Value = serde_json::from_str(&notice.body(Some("{\"text\": {text}, \"e\": {error}}"))).unwrap();
        assert_eq!(
            body["text"],
            "docs: ‹!channel› ＠everyone ‹https://evil.example|log in› [log in] (https://evil.example)"
        );
        assert_eq!(body["e"], "out/‹＠U123›.html");
        // JSON for programs has the original text.
        let body: Value = serde_json::from_str(&notice.body(None)).unwrap();
        assert_eq!(body["error"], "out/<@U123>.html");
    }
}
