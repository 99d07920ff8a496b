//! Facts about a page: where its body ends, which content security policies it sets, and which addresses it declares as
//! its own. Pure.
//!
//! Used by the preview, which adds to a page when it serves it, and by the inspection of an export for a new
//! configuration. This module must not change what is published.

use std::ops::Range;

use super::tokens::{self, Token, Tokens};

/// Facts about a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Byte offset of its last `</body>`, or its length if it has none.
    pub body_end: usize,
    /// Its content security policies, from `<meta http-equiv>`.
    pub policies: Vec<String>,
    /// The addresses that its head declares as its own: `rel="canonical"`, `rel="alternate"` and `og:url`.
    pub own_addresses: Vec<String>,
}

/// Reads a page.
#[must_use]
pub fn read(text: &str) -> Document {
    let mut reading = DocumentReader::default();
    tokens::read(text, &mut reading);
    // A tag never starts inside a character. If it did, the end of the page is a safe substitute.
    let end = reading.end.filter(|end| text.is_char_boundary(*end));
    Document {
        body_end: end.unwrap_or(text.len()),
        ..reading.document
    }
}

#[derive(Default)]
struct DocumentReader {
    tag: String,
    attributes: Vec<(String, String)>,
    in_body: bool,
    end: Option<usize>,
    document: Document,
}

impl Tokens for DocumentReader {
    fn token(&mut self, token: Token<'_>, range: Range<usize>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match token {
            Token::OpenStartTag { name } => {
                self.tag = text(name);
                self.attributes.clear();
            }
            Token::AttributeName { name } => self.attributes.push((text(name), String::new())),
            Token::AttributeValue { value } => {
                if let Some((_, known)) = self.attributes.last_mut() {
                    *known = text(value);
                }
            }
            Token::CloseStartTag { .. } => self.start_tag(),
            Token::EndTag { name } if name == b"body" => self.end = Some(range.start),
            _ => {}
        }
    }
}

impl DocumentReader {
    fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let (_, value) = attributes.find(|(known, _)| known == name)?;
        Some(value)
    }

    fn start_tag(&mut self) {
        self.in_body |= self.tag == "body";
        let address = match &*self.tag {
            "link" if matches!(self.get("rel"), Some("canonical" | "alternate")) => self.get("href"),
            "meta" if self.get("property") == Some("og:url") => self.get("content"),
            _ => None,
        };
        let address = address.filter(|_| !self.in_body).map(str::to_owned);
        let kind = self.get("http-equiv").filter(|_| self.tag == "meta");
        let is_policy = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("content-security-policy"));
        let policy = self.get("content").filter(|_| is_policy).map(str::to_owned);
        self.document.own_addresses.extend(address);
        self.document.policies.extend(policy);
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
