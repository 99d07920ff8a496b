//! Reads `_redirects`: one rule a line, its words separated by spaces. Pure.

use super::RedirectRule;
use crate::model::redirect::Status;
use crate::rules::lines::{BadLine, Place, lines};

/// The status of a rule that has none: Netlify's default. Cloudflare Pages has 302, so `check` names such lines.
pub const DEFAULT_STATUS: Status = Status::MovedPermanently;

/// Reads a file of redirects: the rules in their order, and the lines that can't be followed.
#[must_use]
pub fn parse(file: &str, text: &str) -> (Vec<RedirectRule>, Vec<BadLine>) {
    let (mut rules, mut bad) = (Vec::new(), Vec::new());
    for (place, content) in lines(file, text) {
        let words = content.split_whitespace().take_while(|word| !word.starts_with('#'));
        let words: Vec<&str> = words.collect();
        match words[..] {
            [] => {}
            [from, ref rest @ ..] => match rule(from, rest, place.clone()) {
                Ok(rule) => rules.push(rule),
                Err(reason) => bad.push(BadLine { place, reason }),
            },
        }
    }
    (rules, bad)
}

fn rule(from: &str, rest: &[&str], place: Place) -> Result<RedirectRule, String> {
    let is_target = |word: &&str| word.starts_with('/') || word.contains("://");
    let (to, after) = match rest {
        [] => return Err("has no target".to_owned()),
        [to, after @ ..] if is_target(to) => (to, after),
        [word, ..] if word.contains('=') => {
            return Err("depends on the query, and redirects here depend on the path alone".to_owned());
        }
        [word, ..] => {
            return Err(format!(
                "has `{word}` where the target is expected: a path or an http or https URL"
            ));
        }
    };
    let (code, conditions) = match after {
        [code, conditions @ ..] if !code.contains('=') => (Some(*code), conditions),
        conditions => (None, conditions),
    };
    if let [condition, ..] = conditions {
        let name = condition.split('=').next().unwrap_or_default();
        return Err(format!(
            "has the condition `{name}`, and redirects here are the same for every visitor"
        ));
    }
    RedirectRule::new(place, from, to, code.map(status).transpose()?)
}

/// Reads a status.
fn status(code: &str) -> Result<Status, String> {
    if let Some(status) = Status::from_code(code) {
        return Ok(status);
    }
    Err(match code {
        "200" => "is a rewrite (200), which needs a server that does more than serve files".to_owned(),
        forced if forced.ends_with('!') => {
            "is forced (`!`), and a file always comes before a redirect here: remove the file instead".to_owned()
        }
        other => format!("has the status `{other}`, which is not one of 301, 302, 307 and 308"),
    })
}
