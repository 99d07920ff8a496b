//! Facts about a page: where its body ends, which content security policies it sets, and which addresses it declares as
//! its own. Pure.
//!
//! Used by the preview, which adds to a page when it serves it, and by the inspection of an export for a new
//! configuration. This module must not change what is published.

use std::convert::Infallible;

use html5gum::emitters::callback::{Callback, CallbackEmitter, CallbackEvent};
use html5gum::{Span, Token, Tokenizer};

/// Facts about a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Byte offset of its last `</body>`, or its length if it has none.
    pub body_end: usize,
    /// Its content security policies, from `<meta http-equiv>`.
    pub policies: Vec<String>,
}

/// Reads a page.
#[must_use]
pub fn read(text: &str) -> Document {
    let mut reading = DocumentReader {
        tag: String::new(),
        attributes: Vec::new(),
        end: None,
        policies: Vec::new(),
    };
    let mut emitter = CallbackEmitter::<_, Infallible, usize>::new(&mut reading);
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(text, emitter).for_each(drop);
    // A tag never starts inside a character. If it did, the end of the page is a safe substitute.
    let end = reading.end.filter(|end| text.is_char_boundary(*end));
    Document {
        body_end: end.unwrap_or(text.len()),
        policies: reading.policies,
    }
}

/// The addresses that the head of a page declares as its own: `rel="canonical"`, `rel="alternate"` and `og:url`.
#[must_use]
pub fn own_addresses(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for Ok(token) in Tokenizer::new(page) {
        let Token::StartTag(tag) = token else { continue };
        let get = |name: &str| {
            let value = tag.attributes.get(name.as_bytes())?;
            std::str::from_utf8(value).ok()
        };
        let address = match &*tag.name.0 {
            b"body" => break,
            b"link" if get("rel").is_some_and(|rel| matches!(rel, "canonical" | "alternate")) => get("href"),
            b"meta" if get("property") == Some("og:url") => get("content"),
            _ => None,
        };
        found.extend(address.map(str::to_owned));
    }
    found
}

struct DocumentReader {
    tag: String,
    attributes: Vec<(String, String)>,
    end: Option<usize>,
    policies: Vec<String>,
}

impl Callback<Infallible, usize> for &mut DocumentReader {
    fn handle_event(&mut self, event: CallbackEvent<'_>, span: Span<usize>) -> Option<Infallible> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = text(name);
                self.attributes.clear();
            }
            CallbackEvent::AttributeName { name } => self.attributes.push((text(name), String::new())),
            CallbackEvent::AttributeValue { value } => {
                if let Some((_, known)) = self.attributes.last_mut() {
                    *known = text(value);
                }
            }
            CallbackEvent::CloseStartTag { .. } if self.tag == "meta" => {
                let get = |name: &str| {
                    self.attributes
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value)
                };
                let is_policy =
                    get("http-equiv").is_some_and(|kind| kind.eq_ignore_ascii_case("content-security-policy"));
                if let Some(policy) = get("content").filter(|_| is_policy) {
                    self.policies.push(policy.clone());
                }
            }
            CallbackEvent::EndTag { name } if name == b"body" => self.end = Some(span.start),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_ends_at_its_last_end_tag_and_not_where_a_text_names_one() {
        for (html, before) in [
            ("<html><body><p>x</p></body></html>", "<html><body><p>x</p>"),
            ("<p>ä</p></BODY >", "<p>ä</p>"),
            ("<script>'</body>'</script>x</body>", "<script>'</body>'</script>x"),
            ("x<!-- </body> -->", "x<!-- </body> -->"),
            ("<textarea></body></textarea>", "<textarea></body></textarea>"),
            ("<p title='</body>'>", "<p title='</body>'>"),
            ("a</body>b</body>c", "a</body>b"),
            ("", ""),
        ] {
            assert_eq!(&html[..read(html).body_end], before, "{html}");
        }
    }

    #[test]
    fn policies_are_those_of_meta_elements() {
        let html = "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src &#39;self&#39;\">\
                    <meta name=description content=x><!-- <meta http-equiv=content-security-policy content=y> -->\
                    <meta content=z http-equiv=content-security-POLICY>";
        assert_eq!(read(html).policies, ["script-src 'self'", "z"]);
    }
}
