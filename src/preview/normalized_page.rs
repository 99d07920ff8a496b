//! A page or payload without the parts that may change while its reader sees the same page: the URLs of its style
//! sheets, which a browser can swap, and the build ID, which is not visible. Pure.
//!
//! Two files with equal normalized forms are otherwise identical, byte for byte. A file that cannot be parsed exactly
//! has no normalized form.

use crate::model::digest::Digest;
use crate::next::{Position, Reference, TextVisitor, data, page};

/// A normalized file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedPage {
    /// The digest of everything else in the file.
    pub rest: Digest,
    /// The URLs of style sheets, in document order.
    pub styles: Vec<String>,
}

/// Normalizes a file. `None` if it cannot be parsed exactly, or if its path is not that of a page, payload or data
/// file.
#[must_use]
pub fn normalize(path: &str, text: &str) -> Option<NormalizedPage> {
    let mut visit = Blanks::default();
    let edits = match path.rsplit_once('.')?.1 {
        "html" | "htm" => {
            let mut payload = Blanks::default();
            let edits = page::rewrite(text, &mut visit, &mut payload).ok()?.edits;
            visit.styles.append(&mut payload.styles);
            edits
        }
        "txt" => page::rewrite_payload(text, &mut visit).ok()?,
        "json" => data::rewrite_file(text, &mut visit).ok()?,
        _ => return None,
    };
    Some(NormalizedPage {
        rest: Digest::of(edits.apply(text).as_bytes()),
        styles: visit.styles,
    })
}

/// Replaces every such URL and build ID with a constant.
#[derive(Default)]
struct Blanks {
    styles: Vec<String>,
}

impl TextVisitor for Blanks {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        (reference.position == Position::Style).then(|| {
            self.styles.push(reference.url.to_owned());
            "/style".to_owned()
        })
    }

    fn build_id(&mut self, _: &str) -> Option<String> {
        Some("id".to_owned())
    }

    fn build_comment(&mut self, text: &str) -> Option<String> {
        // Next.js 15 writes the build ID as a comment of this form. A comment of words is kept.
        let is_id = text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_id.then(|| "id".to_owned())
    }
}

/// Returns the style sheets that were replaced, each old one once, or `None` if the files differ in anything else.
#[must_use]
pub fn restyled(old: &NormalizedPage, new: &NormalizedPage) -> Option<Vec<(String, String)>> {
    if old.rest != new.rest || old.styles.len() != new.styles.len() {
        return None;
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (from, to) in old.styles.iter().zip(&new.styles).filter(|(from, to)| from != to) {
        match pairs.iter().find(|(known, _)| known == from) {
            None => pairs.push((from.clone(), to.clone())),
            Some((_, known)) if known == to => {}
            // One style sheet was replaced by two.
            Some(_) => return None,
        }
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(style: &str, id: &str, text: &str) -> String {
        format!(
            "<!DOCTYPE html><!--{id}--><head><link rel=\"stylesheet\" href=\"{style}\"/></head><body><p>{text}</p>\
             <script>(self.__next_f=self.__next_f||[]).push([0])</script><script>self.__next_f.push([1,\"1:HL[\\\"{style}\\\",\
             \\\"style\\\"]\\n0:{{\\\"b\\\":\\\"{id}\\\",\\\"f\\\":[]}}\\n\"])</script></body>"
        )
    }

    fn seen(text: &str) -> NormalizedPage {
        normalize("a.html", text).unwrap()
    }

    #[test]
    fn another_style_sheet_and_another_build_are_the_same_page() {
        let old = seen(&page("/a.css", "aaaaaaaaaaaa", "x"));
        assert_eq!(old.styles, ["/a.css", "/a.css"]);
        let new = seen(&page("/b.css", "bbbbbbbbbbbb", "x"));
        assert_eq!(
            restyled(&old, &new),
            Some(vec![("/a.css".to_owned(), "/b.css".to_owned())])
        );
        assert_eq!(restyled(&old, &old), Some(Vec::new()));
    }

    #[test]
    fn another_word_is_another_page() {
        let old = seen(&page("/a.css", "aaaaaaaaaaaa", "x"));
        let new = seen(&page("/b.css", "aaaaaaaaaaaa", "y"));
        assert_eq!(restyled(&old, &new), None);
        // Text that mentions a style sheet is text.
        let told = |style: &str| seen(&format!("<link rel=stylesheet href=/a.css><p>{style}</p>"));
        assert_eq!(restyled(&told("/a.css"), &told("/b.css")), None);
    }

    #[test]
    fn a_sheet_that_became_two_is_another_page() {
        let sheets = |one: &str, two: &str| {
            seen(&format!(
                "<link rel=stylesheet href={one}><link rel=stylesheet href={two}>"
            ))
        };
        assert_eq!(restyled(&sheets("/a.css", "/a.css"), &sheets("/b.css", "/c.css")), None);
        assert_eq!(
            restyled(&sheets("/a.css", "/b.css"), &sheets("/a.css", "/c.css")),
            Some(vec![("/b.css".to_owned(), "/c.css".to_owned())])
        );
    }

    #[test]
    fn what_is_neither_page_nor_payload_is_equal_to_nothing() {
        assert_eq!(normalize("a.png", ""), None);
        assert_eq!(normalize("a.txt", "no payload at all"), None);
    }
}
