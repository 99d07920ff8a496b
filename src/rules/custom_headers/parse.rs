//! Reads `_headers`: an address, and below it the headers of that address, one a line. Pure.

use super::HeaderRule;
use crate::rules::lines::{BadLine, Place, lines};

/// The most rules of a file. nginx compares an address with one after the other.
const MOST: usize = 1000;

/// The line of an address, if there is one, and the header lines below it.
type Block<'t> = (Option<(Place, &'t str)>, Vec<(Place, &'t str)>);

/// Reads a file of headers: the rules in their order, and the lines that can't be followed.
#[must_use]
pub fn parse(file: &str, text: &str) -> (Vec<HeaderRule>, Vec<BadLine>) {
    let (mut rules, mut bad) = (Vec::new(), Vec::new());
    for (address, headers) in blocks(file, text) {
        let mut refuse = |place: Place, reason: String| bad.push(BadLine { place, reason });
        let Some((place, address)) = address else {
            for (place, _) in headers {
                refuse(place, "has no address above it".to_owned());
            }
            continue;
        };
        let rule = if rules.len() < MOST {
            HeaderRule::new(place.clone(), address)
        } else {
            Err(format!("is one rule more than a file may have ({MOST})"))
        };
        match rule {
            // So its headers can't be followed either.
            Err(reason) => refuse(place, reason),
            Ok(_) if headers.is_empty() => {
                refuse(place, "has no headers below it; each address needs its own".to_owned());
            }
            Ok(mut rule) => {
                for (place, line) in headers {
                    if let Err(reason) = header(&mut rule, line) {
                        refuse(place, reason);
                    }
                }
                rules.extend(Some(rule).filter(|rule| !rule.is_empty()));
            }
        }
    }
    (rules, bad)
}

/// The lines of a file, without comments, by their addresses. The first block is what comes before any address.
fn blocks<'t>(file: &'t str, text: &'t str) -> Vec<Block<'t>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut block: Block<'_> = (None, Vec::new());
    for (place, content) in lines(file, text) {
        match content.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            address if is_address(address) => {
                blocks.push(std::mem::replace(&mut block, (Some((place, address)), Vec::new())));
            }
            header => block.1.push((place, header)),
        }
    }
    blocks.push(block);
    blocks
}

/// Whether a line is an address and not a header. Both hosts go by its first characters and not by its indentation.
fn is_address(line: &str) -> bool {
    let scheme = line.split_once("://").map(|(scheme, _)| scheme);
    line.starts_with('/') || scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
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
