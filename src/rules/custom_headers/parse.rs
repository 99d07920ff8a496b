//! Reads `_headers`: an address, and below it the headers of that address, one a line. Pure.

use super::HeaderRule;
use crate::rules::lines::{BadLine, Place, lines};

/// The most rules of a file. nginx compares an address with one after the other.
const MOST: usize = 1000;

/// Reads a file of headers: the rules in their order, and the lines that can't be followed.
#[must_use]
pub fn parse(file: &str, text: &str) -> (Vec<HeaderRule>, Vec<BadLine>) {
    let mut reader = Reader {
        rules: Vec::new(),
        bad: Vec::new(),
        current: Current::None,
    };
    for (place, content) in lines(file, text) {
        match content.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            address if is_address(address) => reader.address(place, address),
            header => reader.header(place, header),
        }
    }
    reader.end();
    reader.bad.sort_by_key(|bad| bad.place.line);
    (reader.rules, reader.bad)
}

/// Whether a line is an address and not a header. Both hosts go by its first characters and not by its indentation.
fn is_address(line: &str) -> bool {
    let scheme = line.split_once("://").map(|(scheme, _)| scheme);
    line.starts_with('/') || scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The rule whose headers are being read.
enum Current {
    /// No address came yet.
    None,
    /// The address can't be followed, and so its headers can't.
    Bad,
    /// A rule, and whether a header line came, good or bad.
    Rule(HeaderRule, bool),
}

struct Reader {
    rules: Vec<HeaderRule>,
    bad: Vec<BadLine>,
    current: Current,
}

impl Reader {
    fn address(&mut self, place: Place, address: &str) {
        self.end();
        let rule = if self.rules.len() < MOST {
            HeaderRule::new(place.clone(), address)
        } else {
            Err(format!("is one rule more than a file may have ({MOST})"))
        };
        match rule {
            Ok(rule) => self.current = Current::Rule(rule, false),
            Err(reason) => {
                self.current = Current::Bad;
                self.bad.push(BadLine { place, reason });
            }
        }
    }

    fn header(&mut self, place: Place, line: &str) {
        let result = match &mut self.current {
            Current::Bad => Ok(()),
            Current::None => Err("has no address above it".to_owned()),
            Current::Rule(rule, has_lines) => {
                *has_lines = true;
                header(rule, line)
            }
        };
        if let Err(reason) = result {
            self.bad.push(BadLine { place, reason });
        }
    }

    /// Ends the rule whose headers were read.
    fn end(&mut self) {
        let Current::Rule(rule, has_lines) = std::mem::replace(&mut self.current, Current::None) else {
            return;
        };
        if !has_lines {
            self.bad.push(BadLine {
                place: rule.place,
                reason: "has no headers below it; each address needs its own".to_owned(),
            });
        } else if !rule.is_empty() {
            self.rules.push(rule);
        }
    }
}

fn header(rule: &mut HeaderRule, line: &str) -> Result<(), String> {
    if let Some(name) = line.strip_prefix('!') {
        return rule.remove(name.trim());
    }
    match line.split_once(':') {
        Some((name, value)) => rule.set(name.trim(), value.trim()),
        None => Err("is neither an address, which starts with `/`, nor a header, as in `Name: value`".to_owned()),
    }
}
