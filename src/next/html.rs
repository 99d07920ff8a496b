//! Finds the URLs, anchors and inline scripts of a page. Pure.
//!
//! Uses a WHATWG tokenizer that reports the positions of its tokens, not a tree. A tree would have to be serialized,
//! and the result would not be the same bytes. This module must not replace anything but the value of an attribute, the
//! text of a `<style>`, and a comment before the first tag.

use std::borrow::Cow;
use std::ops::Range;

use super::tokens::{self, Token, Tokens};
use super::{Edits, Position, Reference, Tag, TextVisitor, Unclear, css, srcset};

/// A script whose text is in the page itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineScript {
    /// Byte range of its text.
    pub range: Range<usize>,
    /// Its `id`.
    pub id: Option<String>,
}

/// The result of walking a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walked {
    /// The changes to the page.
    pub edits: Edits,
    /// Its inline scripts, in order.
    pub scripts: Vec<InlineScript>,
    /// The `href` of its `<base>`, against which relative URLs are resolved.
    pub base: Option<String>,
    /// Byte offset of its last `</body>`.
    pub body_end: Option<usize>,
}

/// Visits all of a page or of a piece of markup. `at` is added to the offsets of references.
pub fn walk(text: &str, at: usize, visit: &mut dyn TextVisitor) -> Walked {
    let mut walk = Walk {
        text,
        at,
        visit,
        tag: String::new(),
        attributes: Vec::new(),
        expects_value: false,
        raw: None,
        at_start: true,
        in_drawing: false,
        walked: Walked::default(),
    };
    tokens::read(text, &mut walk);
    walk.walked
}

/// The attributes that are relevant here. A page has many others, whose values are not even stored.
const ATTRIBUTES: &[&str] = &[
    "action",
    "as",
    "background",
    "content",
    "data",
    "formaction",
    "height",
    "href",
    "hreflang",
    "http-equiv",
    "id",
    "imagesrcset",
    "itemprop",
    "lang",
    "name",
    "nomodule",
    "poster",
    "property",
    "rel",
    "src",
    "srcset",
    "style",
    "width",
    "xlink:href",
];

/// One of [`ATTRIBUTES`], with its value without escapes and the byte range of the value.
struct Attribute<'t> {
    name: &'static str,
    value: Cow<'t, str>,
    range: Range<usize>,
}

/// The kind of text up to the next end tag.
enum Raw {
    Script { id: Option<String> },
    Style,
    Title,
}

struct Walk<'t, 'v> {
    text: &'t str,
    at: usize,
    visit: &'v mut dyn TextVisitor,
    tag: String,
    /// The attributes of the current tag, each once, so there are never more than there are names.
    attributes: Vec<Attribute<'t>>,
    /// Whether the next value belongs to the last of these attributes.
    expects_value: bool,
    raw: Option<Raw>,
    /// Whether no tag has been read yet.
    at_start: bool,
    /// Whether the current tag is inside a drawing, whose `<title>` is not that of the page.
    in_drawing: bool,
    walked: Walked,
}

impl Tokens for Walk<'_, '_> {
    fn token(&mut self, token: Token<'_>, range: Range<usize>) {
        match token {
            Token::OpenStartTag { name } => {
                self.tag.clear();
                self.tag.push_str(&String::from_utf8_lossy(name));
                self.attributes.clear();
                self.raw = None;
                self.at_start = false;
            }
            Token::AttributeName { name } => self.attribute(name, range.end),
            Token::AttributeValue { value } => self.value(value, range),
            Token::CloseStartTag { self_closing } => {
                self.start_tag();
                self.in_drawing |= self.tag == "svg" && !self_closing;
            }
            Token::EndTag { name } => {
                self.raw = None;
                self.in_drawing &= name != b"svg";
                if name == b"body" {
                    self.walked.body_end = Some(range.start);
                }
            }
            Token::Comment { value } if self.at_start => self.first_comment(value, range),
            Token::String { value } => self.raw_text(value, range),
            _ => {}
        }
    }
}

impl Walk<'_, '_> {
    fn attribute(&mut self, name: &[u8], end: usize) {
        let known = ATTRIBUTES.iter().find(|known| known.as_bytes() == name);
        // If a name occurs twice, browsers use the first, and so must the code that finds URLs.
        let new = known.filter(|known| self.attributes.iter().all(|other| other.name != **known));
        self.expects_value = new.is_some();
        if let Some(name) = new {
            self.attributes.push(Attribute {
                name,
                value: Cow::Borrowed(""),
                range: end..end,
            });
        }
    }

    fn value(&mut self, value: &[u8], range: Range<usize>) {
        if let Some(attribute) = self.attributes.last_mut().filter(|_| self.expects_value) {
            attribute.value = match self.text.get(range.clone()) {
                Some(raw) if raw.as_bytes() == value => Cow::Borrowed(raw),
                _ => Cow::Owned(String::from_utf8_lossy(value).into_owned()),
            };
            attribute.range = range;
        }
    }

    fn start_tag(&mut self) {
        let tag = std::mem::take(&mut self.tag);
        let attributes = std::mem::take(&mut self.attributes);
        let get = |name: &str| {
            let found = attributes.iter().find(|attribute| attribute.name == name);
            found.map(|attribute| attribute.value.as_ref())
        };
        let said = said_by(&tag, &get);
        let first = attributes.first().map_or(0, |attribute| attribute.range.start);
        self.visit.tag(&Tag {
            name: &tag,
            get: &get,
            at: self.at + first,
        });
        for attribute in &attributes {
            let name = attribute.name;
            if name == "id" || (name == "name" && tag == "a") {
                self.visit.anchor(&attribute.value);
            } else if name == "style" {
                self.style_attribute(attribute);
            } else if let Some(position) = position_of(&tag, name, said) {
                if matches!(name, "srcset" | "imagesrcset") {
                    self.srcset(attribute, position);
                } else {
                    self.url(attribute, position);
                }
            } else if tag == "base" && name == "href" && self.walked.base.is_none() {
                self.walked.base = Some(attribute.value.clone().into_owned());
            }
        }
        self.raw = match tag.as_str() {
            "script" => Some(Raw::Script {
                id: get("id").map(str::to_owned),
            }),
            "style" => Some(Raw::Style),
            "title" if !self.in_drawing => Some(Raw::Title),
            _ => None,
        };
        // Reuse the allocations for the next tag.
        self.tag = tag;
        self.attributes = attributes;
    }

    /// Handles the comment before the first tag. Next.js 15 writes the build id there.
    fn first_comment(&mut self, value: &[u8], range: Range<usize>) {
        let inner = range.start + "<!--".len()..range.end.saturating_sub("-->".len());
        let Some(text) = self.text.get(inner.clone()).filter(|text| text.as_bytes() == value) else {
            return;
        };
        if let Some(new) = self.visit.build_comment(text) {
            self.walked.edits.replace(inner, new);
        }
    }

    /// Handles the text of a script, a style or the title. The text of other elements is not relevant here.
    fn raw_text(&mut self, value: &[u8], range: Range<usize>) {
        match &self.raw {
            Some(Raw::Title) => self.visit.title(&String::from_utf8_lossy(value)),
            Some(Raw::Script { id }) => self.walked.scripts.push(InlineScript { range, id: id.clone() }),
            Some(Raw::Style) => {
                let Some(text) = self.text.get(range.clone()) else {
                    return;
                };
                match css::rewrite(text, self.at + range.start, self.visit) {
                    Ok(edits) => self.walked.edits.take_at(range.start, edits),
                    Err(unclear) => self.visit.unclear(&unclear),
                }
            }
            None => {}
        }
    }

    fn url(&mut self, attribute: &Attribute<'_>, position: Position) {
        // Browsers strip white space around a URL.
        let url = attribute.value.trim_matches(|c: char| c.is_ascii_whitespace());
        if url.is_empty() {
            // An empty URL names nothing, and often the tag has no place to put a value.
            return;
        }
        let reference = Reference {
            url,
            position,
            at: self.at + attribute.range.start,
        };
        if let Some(new) = self.visit.url(reference) {
            self.replace(attribute, &new);
        }
    }

    fn srcset(&mut self, attribute: &Attribute<'_>, position: Position) {
        let edits = srcset_edits(&attribute.value, position, self.at + attribute.range.start, self.visit);
        self.replace_parts(attribute, &edits);
    }

    fn style_attribute(&mut self, attribute: &Attribute<'_>) {
        match css::rewrite(&attribute.value, self.at + attribute.range.start, self.visit) {
            Ok(edits) => self.replace_parts(attribute, &edits),
            Err(unclear) => self.visit.unclear(&unclear),
        }
    }

    /// Replaces parts of a value. The other parts keep their escapes.
    fn replace_parts(&mut self, attribute: &Attribute<'_>, edits: &Edits) {
        if edits.is_empty() {
            return;
        }
        let raw = self.text.get(attribute.range.clone()).unwrap_or_default();
        if raw != attribute.value && escaped(&attribute.value) != raw {
            self.visit.unclear(&Unclear::Attribute {
                at: self.at + attribute.range.start,
            });
            return;
        }
        self.replace(attribute, &edits.apply(&attribute.value));
    }

    fn replace(&mut self, attribute: &Attribute<'_>, value: &str) {
        let before = attribute.range.start.checked_sub(1);
        let quote = before.and_then(|at| self.text.as_bytes().get(at)).copied();
        let plain = |c: char| !c.is_ascii_whitespace() && !matches!(c, '"' | '\'' | '=' | '<' | '>' | '`' | '&');
        let text = match quote {
            Some(b'"' | b'\'') => {
                let raw = self.text.get(attribute.range.clone()).unwrap_or_default();
                // A value without escapes gets only the escapes that it needs.
                if raw.contains('&') || value.contains(['&', '"', '\'', '\r']) {
                    escaped(value)
                } else {
                    value.to_owned()
                }
            }
            _ if !value.is_empty() && value.chars().all(plain) => value.to_owned(),
            _ => format!("\"{}\"", escaped(value)),
        };
        self.walked.edits.replace(attribute.range.clone(), text);
    }
}

/// The edits to the value of a `srcset`.
pub(super) fn srcset_edits(value: &str, position: Position, at: usize, visit: &mut dyn TextVisitor) -> Edits {
    let mut edits = Edits::default();
    for range in srcset::urls(value) {
        let url = &value[range.clone()];
        if let Some(new) = visit.url(Reference { url, position, at }) {
            edits.replace(range, new);
        }
    }
    edits
}

/// What a browser does with the URL in an attribute, or `None` if the attribute has none. `said` comes from
/// [`said_by`].
///
/// The same rules apply to the payload's elements, after React's attribute names are mapped to HTML's.
pub(super) fn position_of(tag: &str, name: &str, said: Option<Position>) -> Option<Position> {
    Some(match (tag, name) {
        ("a" | "area", "href") | ("form", "action") | ("button" | "input", "formaction") => Position::Link,
        ("img" | "input" | "image" | "feimage", "src")
        | ("img" | "source", "srcset")
        | ("video", "poster")
        | ("link", "imagesrcset")
        | ("image" | "use" | "feimage", "href" | "xlink:href")
        | ("body" | "table" | "td" | "th", "background") => Position::Image,
        ("video" | "audio" | "source" | "track", "src") => Position::Media,
        ("iframe" | "frame" | "embed", "src") | ("object", "data") => Position::Frame,
        ("script", "src") => Position::Script,
        ("link", "href") | ("meta", "content") => return said,
        _ => return None,
    })
}

/// The use of the URL in a `<link>` or `<meta>`, from its other attributes, which `get` returns. `None` for other tags.
///
/// Called once per tag and not once per attribute, because a tag may have any number of attributes.
pub(super) fn said_by<'a>(tag: &str, get: &dyn Fn(&str) -> Option<&'a str>) -> Option<Position> {
    match tag {
        "link" => of_link(get("rel").unwrap_or_default(), get("as").unwrap_or_default()),
        "meta" => of_meta(get("property").or_else(|| get("name")).or_else(|| get("itemprop"))?),
        _ => None,
    }
}

fn of_link(rel: &str, fetched_as: &str) -> Option<Position> {
    let is = |wanted: &str| {
        rel.split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case(wanted))
    };
    Some(if is("stylesheet") {
        Position::Style
    } else if is("icon") || is("apple-touch-icon") || is("apple-touch-icon-precomposed") || is("mask-icon") {
        Position::Icon
    } else if is("modulepreload") {
        Position::Script
    } else if is("preload") || is("prefetch") {
        match fetched_as {
            "image" => Position::Image,
            "script" => Position::Script,
            "style" => Position::Style,
            "document" => Position::Link,
            _ => Position::Preload,
        }
    } else if is("manifest") {
        Position::WebManifest
    } else if is("dns-prefetch") || is("preconnect") {
        return None;
    } else {
        Position::Link
    })
}

fn of_meta(name: &str) -> Option<Position> {
    let name = name.to_ascii_lowercase();
    let is_url = matches!(
        name.as_str(),
        "og:image"
            | "og:image:url"
            | "og:image:secure_url"
            | "og:video"
            | "og:video:url"
            | "og:video:secure_url"
            | "og:audio"
            | "og:audio:url"
            | "og:audio:secure_url"
            | "twitter:image"
            | "twitter:image:src"
            | "twitter:player:stream"
            | "msapplication-tileimage"
            | "msapplication-square70x70logo"
            | "msapplication-square150x150logo"
            | "msapplication-wide310x150logo"
            | "msapplication-square310x310logo"
            | "image"
            | "thumbnailurl"
    );
    match name.as_str() {
        "og:url" | "twitter:url" => Some(Position::Link),
        _ => is_url.then_some(Position::Card),
    }
}

/// A value as React writes it into an attribute.
pub(super) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A literal carriage return would be read as a newline.
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefixes every URL that it visits with a mark.
    #[derive(Default)]
    struct Mark {
        seen: Vec<(String, Position)>,
        anchors: Vec<String>,
        unclear: Vec<Unclear>,
    }

    impl TextVisitor for Mark {
        fn url(&mut self, reference: Reference<'_>) -> Option<String> {
            self.seen.push((reference.url.to_owned(), reference.position));
            Some(format!("!{}", reference.url))
        }
        fn anchor(&mut self, name: &str) {
            self.anchors.push(name.to_owned());
        }
        fn unclear(&mut self, what: &Unclear) {
            self.unclear.push(what.clone());
        }
    }

    fn marked(html: &str) -> String {
        walk(html, 0, &mut Mark::default()).edits.apply(html)
    }

    #[test]
    fn urls_are_changed_where_they_stand_and_nothing_else_is() {
        for (html, wanted) in [
            (
                "<img src=\"/a.png\" alt='/a.png'>",
                "<img src=\"!/a.png\" alt='/a.png'>",
            ),
            ("<IMG\n SRC = '/a.png' >", "<IMG\n SRC = '!/a.png' >"),
            ("<img src=/a.png>", "<img src=!/a.png>"),
            ("<img src=\"/a.png?x=1&amp;y=2\">", "<img src=\"!/a.png?x=1&amp;y=2\">"),
            (
                "<img srcset=\"/a.png 1x, /b.png 2x\">",
                "<img srcset=\"!/a.png 1x, !/b.png 2x\">",
            ),
            (
                "<video poster=/p.jpg src=/v.mp4></video>",
                "<video poster=!/p.jpg src=!/v.mp4></video>",
            ),
            (
                "<link href=/a.css rel=stylesheet>",
                "<link href=!/a.css rel=stylesheet>",
            ),
            ("<use xlink:href='/s.svg#x'/>", "<use xlink:href='!/s.svg#x'/>"),
            (
                "<meta content='/a.png' property='og:image'>",
                "<meta content='!/a.png' property='og:image'>",
            ),
            (
                "<p style=\"background:url(/a.png)\">",
                "<p style=\"background:url(!/a.png)\">",
            ),
            (
                "<p style=\"a:url(&quot;/a&quot;);b:'x'\">",
                "<p style=\"a:url(&quot;/a&quot;);b:'x'\">",
            ),
            (
                "<p style=\"a:url(&quot;/a&quot;)\">",
                "<p style=\"a:url(&quot;!/a&quot;)\">",
            ),
            ("<style>a{b:url(/a.png)}</style>", "<style>a{b:url(!/a.png)}</style>"),
            (
                "<a href='/x'><img src='/y'></a>ä<img src='/z'>",
                "<a href='!/x'><img src='!/y'></a>ä<img src='!/z'>",
            ),
        ] {
            assert_eq!(marked(html), wanted);
        }
    }

    #[test]
    fn of_attributes_of_one_name_the_first_counts_and_empty_ones_name_nothing() {
        assert_eq!(
            marked("<img src=a src=b><link rel=preconnect rel=icon href=c>"),
            "<img src=!a src=b><link rel=preconnect rel=icon href=c>"
        );
        for html in [
            "<img src=\"\">",
            "<img src>",
            "<img src=' '>",
            "<img srcset=''>",
            "<p style=''>",
        ] {
            assert_eq!(marked(html), html);
        }
    }

    #[test]
    fn every_attribute_that_may_hold_a_url_is_looked_at() {
        for (tag, name) in [
            ("form", "action"),
            ("button", "formaction"),
            ("video", "poster"),
            ("link rel=preload as=image", "imagesrcset"),
            ("image", "href"),
            ("image", "xlink:href"),
            ("td", "background"),
            ("object", "data"),
            ("meta itemprop=image", "content"),
        ] {
            let html = format!("<{tag} {name}=/a>");
            assert_eq!(marked(&html), format!("<{tag} {name}=!/a>"));
        }
    }

    #[test]
    fn text_is_never_a_url() {
        for html in [
            "<code>&lt;img src=\"/a.png\"&gt;</code>",
            "<!-- <img src=\"/a.png\"> -->",
            "<script>var a = '<img src=\"/a.png\">';</script>",
            "<textarea><img src=\"/a.png\"></textarea>",
            "<title><img src=\"/a.png\"></title>",
            "<meta name=description content=/a.png>",
            "<img alt=\"/a.png\" data-src=\"/a.png\">",
            "<input value=/a.png>",
            "<p>url(/a.png)</p>",
            "<link rel=preconnect href=https://a.example>",
        ] {
            assert_eq!(marked(html), html);
        }
    }

    #[test]
    fn positions_are_told_apart() {
        let position = |html: &str| {
            let mut mark = Mark::default();
            walk(html, 0, &mut mark);
            mark.seen.first().map(|(_, position)| *position)
        };
        for (html, wanted) in [
            ("<a href=x>", Position::Link),
            ("<link rel=canonical href=x>", Position::Link),
            ("<link rel='shortcut icon' href=x>", Position::Icon),
            ("<link rel=preload as=image href=x>", Position::Image),
            ("<link rel=preload as=font href=x>", Position::Preload),
            ("<link rel=preload as=style href=x>", Position::Style),
            ("<link rel=modulepreload href=x>", Position::Script),
            ("<link rel=manifest href=x>", Position::WebManifest),
            ("<script src=x>", Position::Script),
            ("<iframe src=x>", Position::Frame),
            ("<source src=x>", Position::Media),
            ("<source srcset=x>", Position::Image),
            ("<meta name=twitter:image content=x>", Position::Card),
            ("<meta property=og:url content=x>", Position::Link),
            ("<p style='b:url(x)'>", Position::CssUrl),
        ] {
            assert_eq!(position(html), Some(wanted), "{html}");
        }
    }

    #[test]
    fn anchors_scripts_and_base_are_found() {
        let html =
            "<base href=/b/><p id='a&amp;b'><a name=c></a><script id=d>e</script><script src=f></script><b name=g>";
        let mut mark = Mark::default();
        let walked = walk(html, 0, &mut mark);
        assert_eq!(mark.anchors, ["a&b", "c", "d"]);
        assert_eq!(walked.base.as_deref(), Some("/b/"));
        let scripts: Vec<_> = walked
            .scripts
            .iter()
            .map(|script| (&html[script.range.clone()], script.id.as_deref()))
            .collect();
        assert_eq!(scripts, [("e", Some("d"))]);
    }

    #[test]
    fn attribute_whose_escapes_are_unusual_is_left_alone() {
        let html = "<p style=\"a:url(/a);b:&#39;&auml;\">";
        let mut mark = Mark::default();
        let walked = walk(html, 7, &mut mark);
        assert_eq!(walked.edits.apply(html), html);
        assert_eq!(mark.unclear, [Unclear::Attribute { at: 7 + 10 }]);
    }

    #[test]
    fn comment_before_the_first_tag_may_be_the_build_id() {
        struct Id;
        impl TextVisitor for Id {
            fn url(&mut self, _: Reference<'_>) -> Option<String> {
                None
            }
            fn build_comment(&mut self, text: &str) -> Option<String> {
                (text == "a_b").then(|| "new".to_owned())
            }
        }
        let new = |html: &str| walk(html, 0, &mut Id).edits.apply(html);
        assert_eq!(
            new("<!DOCTYPE html><!--a_b--><p><!--a_b-->"),
            "<!DOCTYPE html><!--new--><p><!--a_b-->"
        );
        assert_eq!(new("<!DOCTYPE html><!--other--><p>"), "<!DOCTYPE html><!--other--><p>");
    }

    #[test]
    fn value_that_needs_quotes_gets_them() {
        struct Odd;
        impl TextVisitor for Odd {
            fn url(&mut self, _: Reference<'_>) -> Option<String> {
                Some("/a b&\"'".to_owned())
            }
        }
        let new = |html: &str| walk(html, 0, &mut Odd).edits.apply(html);
        assert_eq!(new("<img src=x>"), "<img src=\"/a b&amp;&quot;&#x27;\">");
        assert_eq!(new("<img src='x'>"), "<img src='/a b&amp;&quot;&#x27;'>");
    }
}
