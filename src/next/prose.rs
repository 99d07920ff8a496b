//! What a person reads on a page: its title, its headings and its text. Pure.
//!
//! The text is that of `<main>`, or of `<article>` if there is no `<main>`: what surrounds it is the same on every page
//! and says nothing about this one. This module must not depend on how a page looks, so styles and scripts are ignored.

use std::ops::Range;

use super::tokens::{self, Token, Tokens};

/// What a person reads on a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prose {
    /// The text of its `<title>`.
    pub title: String,
    /// Its headings, in order.
    pub headings: Vec<Heading>,
    /// Its text with its headings. Blocks are separated by spaces.
    pub text: String,
    /// Every `id` of the page, in order.
    pub ids: Vec<String>,
}

/// A heading, `<h1>` to `<h6>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// Its `id`, or that of the first element in it that has one.
    pub id: Option<String>,
    /// Its text.
    pub text: String,
}

/// Elements whose text is not part of what a page says.
const IGNORED: [&str; 10] = [
    "aside", "button", "nav", "noscript", "script", "select", "style", "svg", "template", "textarea",
];

/// Elements that are ignored around the text. In the text they belong to it.
const AROUND: [&str; 2] = ["footer", "header"];

/// Elements that contain the text of a page, the best first.
const INSIDE: [&str; 2] = ["main", "article"];

/// Elements that don't end a word.
const INLINE: [&str; 18] = [
    "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "ins", "kbd", "mark", "s", "small", "span", "strong",
    "u", "wbr",
];

const HEADINGS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];

/// Reads a page.
#[must_use]
pub fn read(page: &str) -> Prose {
    let mut reading = Reading::default();
    tokens::read(page, &mut reading);
    reading.finish()
}

/// The headings and the text of one part of a page.
#[derive(Default)]
struct Part {
    headings: Vec<Heading>,
    text: String,
}

#[derive(Default)]
struct Reading {
    tag: String,
    /// Whether the current attribute is an `id`.
    is_id: bool,
    id: Option<String>,
    title: String,
    in_title: bool,
    /// How many elements of each kind are open.
    ignored: [u32; IGNORED.len()],
    around: [u32; AROUND.len()],
    inside: [u32; INSIDE.len()],
    /// The heading that is open.
    heading: Option<Heading>,
    /// The text of each of [`INSIDE`], and of the complete page.
    parts: [Part; INSIDE.len() + 1],
    ids: Vec<String>,
}

impl Tokens for Reading {
    fn token(&mut self, token: Token<'_>, _: Range<usize>) {
        match token {
            Token::OpenStartTag { name } => {
                self.tag.clear();
                self.tag.push_str(&String::from_utf8_lossy(name));
                self.is_id = false;
                self.id = None;
            }
            Token::AttributeName { name } => self.is_id = name == b"id" && self.id.is_none(),
            Token::AttributeValue { value } if self.is_id => {
                self.id = Some(String::from_utf8_lossy(value).into_owned());
            }
            Token::CloseStartTag { self_closing } => {
                let tag = std::mem::take(&mut self.tag);
                self.start(&tag, self_closing);
                self.tag = tag;
            }
            Token::EndTag { name } => self.end(&String::from_utf8_lossy(name)),
            Token::String { value } => self.string(&String::from_utf8_lossy(value)),
            _ => {}
        }
    }
}

impl Reading {
    fn start(&mut self, tag: &str, self_closing: bool) {
        let id = self.id.take().filter(|id| !id.is_empty());
        self.ids.extend(id.clone());
        // A `/` before the `>` counts in drawings alone.
        if !(self_closing && tag == "svg") {
            self.count(tag, |open| open.saturating_add(1));
        }
        if !INLINE.contains(&tag) {
            self.separate();
        }
        if tag == "title" && self.is_read() && self.title.is_empty() {
            self.in_title = true;
        } else if HEADINGS.contains(&tag) {
            self.end_heading();
            self.heading = self.is_read().then(|| Heading {
                id,
                text: String::new(),
            });
        } else if let Some(heading) = self.heading.as_mut().filter(|heading| heading.id.is_none()) {
            heading.id = id;
        }
    }

    fn end(&mut self, tag: &str) {
        if tag == "title" {
            self.in_title = false;
        }
        if HEADINGS.contains(&tag) {
            self.end_heading();
        }
        if !INLINE.contains(&tag) {
            self.separate();
        }
        self.count(tag, |open| open.saturating_sub(1));
    }

    fn string(&mut self, text: &str) {
        if !self.is_read() {
            return;
        }
        if self.in_title {
            self.title.push_str(text);
            return;
        }
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
        self.in_parts(|part| part.text.push_str(text));
    }

    /// Changes how many elements of this kind are open.
    fn count(&mut self, tag: &str, change: impl Fn(u32) -> u32) {
        let kinds: [(&[&str], &mut [u32]); 3] = [
            (&IGNORED, &mut self.ignored),
            (&AROUND, &mut self.around),
            (&INSIDE, &mut self.inside),
        ];
        for (names, open) in kinds {
            if let Some(at) = names.iter().position(|name| *name == tag) {
                open[at] = change(open[at]);
            }
        }
    }

    /// Whether a person reads what stands here.
    fn is_read(&self) -> bool {
        let is_inside = self.inside.iter().any(|open| *open > 0);
        let is_around = self.around.iter().any(|open| *open > 0);
        self.ignored.iter().all(|open| *open == 0) && (is_inside || !is_around)
    }

    /// Calls `add` with each part that the current place belongs to.
    fn in_parts(&mut self, mut add: impl FnMut(&mut Part)) {
        for (open, part) in self.inside.iter().chain(&[1]).zip(&mut self.parts) {
            if *open > 0 {
                add(part);
            }
        }
    }

    /// Ends the current word.
    fn separate(&mut self) {
        if let Some(heading) = &mut self.heading {
            heading.text.push(' ');
        }
        self.in_parts(|part| {
            if !part.text.is_empty() && !part.text.ends_with(' ') {
                part.text.push(' ');
            }
        });
    }

    fn end_heading(&mut self) {
        if let Some(mut heading) = self.heading.take() {
            heading.text = collapsed(&heading.text);
            self.in_parts(|part| part.headings.push(heading.clone()));
        }
    }

    fn finish(mut self) -> Prose {
        self.end_heading();
        let [main, article, page] = self.parts;
        let is_used = |part: &Part| !part.text.trim().is_empty();
        let part = [main, article].into_iter().find(is_used).unwrap_or(page);
        Prose {
            title: collapsed(&self.title),
            headings: part.headings,
            text: collapsed(&part.text),
            ids: self.ids,
        }
    }
}

/// The words of a text with one space between them.
fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_page_is_that_of_its_main_part() {
        let page = "<html><head><title>Usage &amp; more</title><style>p{}</style></head><body>\
            <header><a>Docs</a></header><nav>Menu<h2>On this page</h2></nav>\
            <main><header><h1 id=usage>Usage</h1></header><p>Run <b>it</b>.</p><p>Twice<!-- --> more</p>\
            <aside>Ad</aside><svg><title>Arrow</title></svg><button>Copy</button></main>\
            <footer>Imprint</footer><script>var a = 'text'</script></body></html>";
        let prose = read(page);
        assert_eq!(prose.title, "Usage & more");
        assert_eq!(prose.text, "Usage Run it. Twice more");
        assert_eq!(
            prose.headings,
            [Heading {
                id: Some("usage".to_owned()),
                text: "Usage".to_owned()
            }]
        );
    }

    #[test]
    fn without_a_main_part_all_of_it_counts_but_for_what_surrounds_it() {
        for (page, text) in [
            ("<nav>Menu</nav><h1>A</h1>b<footer>c</footer>", "A b"),
            ("<article><footer>c</footer></article>d", "c"),
            ("<main></main><article>b</article>c", "b"),
            ("<p>unclosed<p>text", "unclosed text"),
            ("<svg/>a", "a"),
            ("</nav></main>a", "a"),
            ("", ""),
        ] {
            assert_eq!(read(page).text, text, "{page}");
        }
    }

    #[test]
    fn the_id_of_a_heading_may_be_that_of_an_element_in_it() {
        let headings = |page: &str| -> Vec<(Option<String>, String)> {
            let headings = read(page).headings.into_iter();
            headings.map(|heading| (heading.id, heading.text)).collect()
        };
        let named = |id: &str, text: &str| (Some(id.to_owned()), text.to_owned());
        assert_eq!(
            headings("<h2 id=a>A<a id=b href='#a'></a></h2><h3>B <span id='c&amp;d'></span></h3><h4>C</h4><p id=e>"),
            [named("a", "A"), named("c&d", "B"), (None, "C".to_owned())]
        );
        assert_eq!(read("<p id=x><h2 id=a><b id=''>").ids, ["x", "a"]);
    }
}
