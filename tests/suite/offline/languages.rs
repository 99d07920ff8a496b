//! The parsers for the languages of an export, on everything in the fixtures and on hostile input.

use std::path::Path;

use proptest::prelude::*;
use syntax_publish::next::{Edits, Reference, TextVisitor, Unclear, css, data, flight, html, page};
use walkdir::WalkDir;

/// Rewrites everything that may be rewritten to itself, so that the output must be identical to the input.
struct Again {
    urls: usize,
    unclear: Vec<Unclear>,
}

impl Again {
    fn new() -> Self {
        Self {
            urls: 0,
            unclear: Vec::new(),
        }
    }
}

impl TextVisitor for Again {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        self.urls += 1;
        Some(reference.url.to_owned())
    }
    fn build_id(&mut self, id: &str) -> Option<String> {
        Some(id.to_owned())
    }
    fn build_comment(&mut self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }
    fn unclear(&mut self, what: &Unclear) {
        self.unclear.push(what.clone());
    }
}

/// Every text of the committed exports that is written in one of the languages.
fn texts() -> Vec<(String, String)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let exports = ["export", "pages/export", "based/export", "nextra/export"];
    let files = exports.iter().flat_map(|export| WalkDir::new(fixtures.join(export)));
    let texts = files.filter_map(|file| {
        let path = file.unwrap().into_path();
        let text = std::fs::read_to_string(&path).ok()?;
        Some((path.strip_prefix(&fixtures).unwrap().to_str()?.to_owned(), text))
    });
    texts.collect()
}

/// Whether a text is a page's payload, judging by its name and by the page next to it.
fn is_payload(path: &str) -> bool {
    let page = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(path)
        .with_extension("html");
    path.ends_with(".txt") && (path.contains("/__next.") || page.exists())
}

#[test]
fn everything_in_the_fixtures_comes_out_as_it_went_in() {
    let mut counts = [0, 0, 0, 0];
    let mut urls = 0;
    for (path, text) in texts() {
        let mut again = Again::new();
        let edits = if path.ends_with(".html") {
            counts[0] += 1;
            page::rewrite(&text, &mut again, &mut Again::new()).map(|page| page.edits)
        } else if is_payload(&path) {
            counts[1] += 1;
            page::rewrite_payload(&text, &mut again)
        } else if path.ends_with(".css") {
            counts[2] += 1;
            css::rewrite(&text, 0, &mut again)
        } else if path.contains("_next/data/") {
            counts[3] += 1;
            data::rewrite_file(&text, &mut again)
        } else {
            continue;
        };
        let edits = edits.unwrap_or_else(|unclear| panic!("{path}: {unclear}"));
        let differs = edits.iter().find(|(range, new)| text[range.clone()] != **new);
        assert_eq!(differs.map(|(range, new)| (&text[range.clone()], new)), None, "{path}");
        assert_eq!(again.unclear, [], "{path}");
        urls += again.urls;
    }
    assert!(
        counts.iter().all(|count| *count > 2) && urls > 1000,
        "{counts:?} {urls}"
    );
}

/// A row of a payload that contains arbitrary text.
fn row() -> impl Strategy<Value = String> {
    let text = "[a-zß€\n\"\\\\<>&$:,\u{2028}]{0,40}";
    prop_oneof![
        (0..4096_u32, text).prop_map(|(id, text)| format!("{id:x}:T{:x},{text}", text.len())),
        (0..4096_u32, text)
            .prop_map(|(id, text)| format!("{id:x}:{}\n", serde_json::json!({"src": text, "b": [text]}))),
        text.prop_map(|text| format!(":HL{}\n", serde_json::json!([text, "image"]))),
        (0..4096_u32).prop_map(|id| format!("{id:x}:I[1,[],\"\"]\n")),
    ]
}

proptest! {
    #[test]
    fn any_payload_is_read_row_by_row_and_comes_out_as_it_went_in(rows in proptest::collection::vec(row(), 0..12)) {
        let stream = rows.concat();
        prop_assert_eq!(flight::rows(&stream).unwrap().len(), rows.len());
        let edits = flight::rewrite(&stream, 0, &mut Again::new()).unwrap();
        prop_assert_eq!(edits.apply(&stream), stream);
    }

    #[test]
    fn nothing_that_is_read_ends_the_program(text in "(?s)[a-z<>/=\"'!\\-&;{}()\\[\\]:,0-9T$#@ \n\\\\ß]{0,200}") {
        let mut again = Again::new();
        let _ = html::walk(&text, 0, &mut again).edits.apply(&text);
        let applied = |edits: Result<Edits, Unclear>| edits.map(|edits| edits.apply(&text));
        let _ = applied(css::rewrite(&text, 0, &mut again));
        let _ = applied(data::rewrite_file(&text, &mut again));
        let _ = applied(page::rewrite_payload(&text, &mut again));
        let _ = page::rewrite(&text, &mut again, &mut Again::new());
    }
}

/// Repetitive input that invites rescanning. A parser that takes quadratic time would need hours here.
#[test]
fn long_hostile_texts_are_read_once() {
    let many = |text: &str| text.repeat(4_000_000 / text.len());
    for text in [
        many("<"),
        many("<p "),
        many("<p a="),
        many("<p style=\"a:url("),
        many("<!--"),
        many("<script>"),
        many("&"),
        many("<img srcset=\""),
        many("<img srcset=\"a,"),
        many("{\"a\":["),
        many("["),
        many("\\u0000"),
        many("1:T"),
        many("1:T1,"),
        many("1:T0,"),
        many("1:[]\n"),
        many("a{b:url("),
        many("@import "),
        many("("),
        many("/*"),
        many("'"),
        many("\\"),
    ] {
        let mut again = Again::new();
        html::walk(&text, 0, &mut again);
        let _ = css::rewrite(&text, 0, &mut again);
        let _ = data::rewrite_file(&text, &mut again);
        let _ = page::rewrite_payload(&text, &mut again);
    }
}
