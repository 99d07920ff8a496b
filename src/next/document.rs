//! Facts about a page: where its body ends, which content security policies it sets, and which addresses it declares as
//! its own. Pure.
//!
//! Used by the preview, which adds to a page when it serves it, and by the inspection of an export for a new
//! configuration. This module must not change what is published.

use super::{Tag, TextVisitor, html};

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
    let mut head = Head::default();
    let end = html::walk(text, 0, &mut head).body_end;
    // A tag never starts inside a character. If it did, the end of the page is a safe substitute.
    let end = end.filter(|end| text.is_char_boundary(*end));
    Document {
        body_end: end.unwrap_or(text.len()),
        policies: head.policies,
        own_addresses: head.own_addresses,
    }
}

#[derive(Default)]
struct Head {
    policies: Vec<String>,
    own_addresses: Vec<String>,
    is_over: bool,
}

impl TextVisitor for Head {
    fn tag(&mut self, tag: &Tag<'_>) {
        let get = tag.get;
        self.is_over |= tag.name == "body";
        let address = match tag.name {
            "link" if matches!(get("rel"), Some("canonical" | "alternate")) => get("href"),
            "meta" if get("property") == Some("og:url") => get("content"),
            _ => None,
        };
        let is = |kind: &str| kind.eq_ignore_ascii_case("content-security-policy");
        let is_policy = tag.name == "meta" && get("http-equiv").is_some_and(is);
        let own = |text: &str| text.to_owned();
        self.own_addresses.extend(address.filter(|_| !self.is_over).map(own));
        self.policies.extend(get("content").filter(|_| is_policy).map(own));
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
