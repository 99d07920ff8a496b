//! The payload inside a page, which is cut into pieces, each in its own script. Pure.
//!
//! A cut may be anywhere, even inside a row, so the pieces are joined before anything is read, and edits are mapped
//! back to the pieces that they touch. If this module does not understand one of these scripts, it must not change the
//! page.

use std::ops::Range;

use super::html::InlineScript;
use super::json::InScript;
use super::{Edits, Unclear, json};

/// A piece of the payload, and the string literal in the page that contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    literal: Range<usize>,
    /// The byte range in the payload.
    text: Range<usize>,
}

/// The payload of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushes {
    pieces: Vec<Piece>,
    /// All pieces joined.
    pub stream: String,
}

/// Finds the payload in the scripts of a page. `None` if the page has none.
///
/// # Errors
/// [`Unclear`] if a script contains a payload in an unknown form.
pub fn find(page: &str, scripts: &[InlineScript]) -> Result<Option<Pushes>, Unclear> {
    let mut pushes = Pushes {
        pieces: Vec::new(),
        stream: String::new(),
    };
    let mut found = false;
    for script in scripts {
        let Some(text) = page.get(script.range.clone()) else {
            continue;
        };
        if !starts_as_push(text) {
            continue;
        }
        found = true;
        read_script(text, script.range.start, &mut pushes)?;
    }
    Ok(found.then_some(pushes))
}

const FIRST: &str = "(self.__next_f=self.__next_f||[])";
const LATER: &str = "self.__next_f";

fn starts_as_push(text: &str) -> bool {
    text.starts_with(FIRST) || text.starts_with(LATER)
}

/// Reads one script, which is one or several `….push([kind, data])`.
fn read_script(text: &str, start: usize, pushes: &mut Pushes) -> Result<(), Unclear> {
    let unknown = Unclear::Push { at: start };
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let call = rest.strip_prefix(FIRST).or_else(|| rest.strip_prefix(LATER));
        let data = call
            .and_then(|call| call.strip_prefix(".push("))
            .ok_or(unknown.clone())?;
        let from = text.len() - data.len();
        let length = take_argument(data, start + from, pushes)?;
        let end = from + length;
        at = match text.get(end..) {
            Some(rest) if rest.starts_with(");") => end + 2,
            Some(rest) if rest.starts_with(')') => end + 1,
            _ => return Err(unknown),
        };
    }
    Ok(())
}

/// Reads one argument and returns its length. `[0]` begins the payload, `[1,"…"]` is a piece, `[2,…]` is the state of a
/// form, and `[3,"…"]` is binary data.
fn take_argument(data: &str, at: usize, pushes: &mut Pushes) -> Result<usize, Unclear> {
    let unknown = Unclear::Push { at };
    if let Some(literal) = data.strip_prefix("[1,") {
        let start = pushes.stream.len();
        let length = json::read_in_script(literal, &mut pushes.stream).map_err(|fault| match fault {
            InScript::NotExact => Unclear::NotExact { at },
            InScript::NoString => unknown.clone(),
        })?;
        if !literal[length..].starts_with(']') {
            return Err(unknown);
        }
        let from = at + "[1,".len();
        pushes.pieces.push(Piece {
            literal: from..from + length,
            text: start..pushes.stream.len(),
        });
        return Ok("[1,".len() + length + 1);
    }
    // The argument is JSON. The parser determines where it ends.
    let mut values = serde_json::Deserializer::from_str(data).into_iter::<serde::de::IgnoredAny>();
    match (values.next(), data.as_bytes().get(1)) {
        (Some(Ok(_)), Some(b'0' | b'2')) if data.starts_with('[') => Ok(values.byte_offset()),
        (Some(Ok(_)), Some(b'3')) => Err(Unclear::Binary),
        _ => Err(unknown),
    }
}

impl Pushes {
    /// Maps edits of the payload to edits of the page.
    #[must_use]
    pub fn edits(&self, of_stream: &Edits) -> Edits {
        let mut edits = Edits::default();
        let mut changes = of_stream.iter().peekable();
        let last = self.pieces.len().saturating_sub(1);
        for (index, piece) in self.pieces.iter().enumerate() {
            let Range { start, end } = piece.text;
            let mut inner = Edits::default();
            while let Some((range, text)) = changes.peek() {
                // Text that is inserted where two pieces meet goes into the second.
                if range.start >= end && index < last {
                    break;
                }
                // An edit that spans several pieces is written into the first and removed from the others.
                let from = range.start.max(start) - start;
                let to = range.end.min(end) - start;
                let text = if range.start >= start {
                    (*text).to_owned()
                } else {
                    String::new()
                };
                inner.replace(from..to, text);
                if range.end > end {
                    break;
                }
                changes.next();
            }
            if !inner.is_empty() {
                let text = inner.apply(&self.stream[piece.text.clone()]);
                edits.replace(piece.literal.clone(), json::quoted_in_script(&text));
            }
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(pieces: &[&str]) -> (String, Vec<InlineScript>) {
        let mut page = "<html>".to_owned();
        let mut scripts = Vec::new();
        for text in pieces {
            page.push_str("<script>");
            scripts.push(InlineScript {
                range: page.len()..page.len() + text.len(),
                id: None,
            });
            page.push_str(text);
            page.push_str("</script>");
        }
        (page, scripts)
    }

    #[test]
    fn pieces_are_joined_and_edits_come_back_to_them() {
        let (text, scripts) = page(&[
            "(self.__next_f=self.__next_f||[]).push([0])",
            r#"self.__next_f.push([1,"0:\"/a\u003c"])"#,
            "console.log(1)",
            r#"self.__next_f.push([1,"b.png\"\nä"])"#,
            "self.__next_f.push([2,null])",
        ]);
        let pushes = find(&text, &scripts).unwrap().unwrap();
        assert_eq!(pushes.stream, "0:\"/a<b.png\"\nä");
        let mut edits = Edits::default();
        edits.replace(2..12, "\"&new\"".to_owned());
        edits.replace(13..15, "ö".to_owned());
        let new = pushes.edits(&edits).apply(&text);
        assert!(new.contains(r#"push([1,"0:\"\u0026new\""])"#), "{new}");
        assert!(new.contains(r#"push([1,"\nö"])"#), "{new}");
        let again = find(&new, &html_scripts(&new)).unwrap().unwrap();
        assert_eq!(again.stream, edits.apply(&pushes.stream));
        assert_eq!(pushes.edits(&Edits::default()), Edits::default());
    }

    fn html_scripts(text: &str) -> Vec<InlineScript> {
        struct Nothing;
        impl crate::next::TextVisitor for Nothing {
            fn url(&mut self, _: crate::next::Reference<'_>) -> Option<String> {
                None
            }
        }
        crate::next::html::walk(text, 0, &mut Nothing).scripts
    }

    #[test]
    fn several_pushes_in_one_script_are_read() {
        let (text, scripts) = page(&[r#"(self.__next_f=self.__next_f||[]).push([0]);self.__next_f.push([1,"a"])"#]);
        assert_eq!(find(&text, &scripts).unwrap().unwrap().stream, "a");
    }

    #[test]
    fn a_form_that_is_not_understood_is_unclear() {
        let unclear = |script: &str| {
            let (text, scripts) = page(&[script]);
            find(&text, &scripts).unwrap_err()
        };
        assert_eq!(unclear("self.__next_f.push([3,\"AAAA\"])"), Unclear::Binary);
        assert!(matches!(unclear("self.__next_f.push([1,a])"), Unclear::Push { .. }));
        assert!(matches!(unclear("self.__next_f.push([7])"), Unclear::Push { .. }));
        assert!(matches!(
            unclear("self.__next_f.push([1,\"a\"])+1"),
            Unclear::Push { .. }
        ));
        assert!(matches!(unclear("self.__next_f=1"), Unclear::Push { .. }));
        assert!(matches!(
            unclear(r#"self.__next_f.push([1,"\/"])"#),
            Unclear::NotExact { .. }
        ));
    }

    #[test]
    fn other_scripts_are_no_payload() {
        let (text, scripts) = page(&["console.log('self.__next_f.push([1,1])')"]);
        assert_eq!(find(&text, &scripts), Ok(None));
    }
}
