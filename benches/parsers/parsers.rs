//! The measured parsers, each with its hostile shapes.

use std::hint::black_box;

use syntax_publish::config::{Forbidden, Levels};
use syntax_publish::next::url::{Resolver, is_relative};
use syntax_publish::next::{Reference, TextVisitor, css, data, flight, html, page, push, srcset};
use syntax_publish::site::check::Searches;
use syntax_publish::site::survey::TextSearch as _;

use super::shapes::{self, Shape};

/// Records nothing and changes nothing, like the survey of a valid page.
pub struct Quiet;

impl TextVisitor for Quiet {
    fn url(&mut self, _: Reference<'_>) -> Option<String> {
        None
    }
}

/// Renames everything, which is the most expensive case.
pub struct Renaming;

impl TextVisitor for Renaming {
    fn url(&mut self, _: Reference<'_>) -> Option<String> {
        Some("/_assets/images/a.0123456789abcdef.png".to_owned())
    }
    fn build_id(&mut self, _: &str) -> Option<String> {
        Some("0123456789abcdef0123".to_owned())
    }
    fn build_comment(&mut self, _: &str) -> Option<String> {
        Some("0123456789abcdef0123".to_owned())
    }
}

/// A measured parser.
pub struct Parser {
    /// The name of its module.
    pub name: &'static str,
    /// The shapes of its input.
    pub shapes: &'static [Shape],
    /// Reads and rewrites a text.
    pub run: fn(&str),
}

/// All measured parsers.
pub const PARSERS: &[Parser] = &[
    Parser {
        name: "flight",
        shapes: shapes::FLIGHT,
        run: |text| {
            if let Ok(edits) = flight::rewrite(text, 0, &mut Renaming) {
                black_box(edits.apply(text));
            }
        },
    },
    Parser {
        name: "push",
        shapes: shapes::PUSH,
        run: |text| {
            let scripts = html::walk(text, 0, &mut Quiet).scripts;
            if let Ok(Some(pushes)) = push::find(text, &scripts)
                && let Ok(edits) = flight::rewrite(&pushes.stream, 0, &mut Renaming)
            {
                black_box(pushes.edits(&edits).apply(text));
            }
        },
    },
    Parser {
        name: "json, data",
        shapes: shapes::JSON,
        run: |text| {
            if let Ok(edits) = data::rewrite_file(text, &mut Renaming) {
                black_box(edits.apply(text));
            }
        },
    },
    Parser {
        name: "css",
        shapes: shapes::CSS,
        run: |text| {
            if let Ok(edits) = css::rewrite(text, 0, &mut Renaming) {
                black_box(edits.apply(text));
            }
        },
    },
    Parser {
        name: "html",
        shapes: shapes::HTML,
        run: |text| {
            black_box(html::walk(text, 0, &mut Renaming).edits.apply(text));
        },
    },
    Parser {
        name: "srcset",
        shapes: shapes::SRCSET,
        run: |text| {
            black_box(srcset::urls(text));
        },
    },
    Parser {
        name: "url",
        shapes: shapes::URL,
        run: |text| {
            let resolver = Resolver::new(Some("https://docs.example.com"), "/docs");
            for url in text.lines() {
                black_box((resolver.resolve("/docs/usage", url), is_relative(url)));
            }
        },
    },
    Parser {
        name: "secrets",
        shapes: shapes::SECRETS,
        run: |text| {
            let (levels, forbidden) = (Levels::default(), Forbidden::default());
            black_box(Searches::new(&levels, &forbidden).hits("a.txt", text.as_bytes()));
        },
    },
    Parser {
        name: "page",
        shapes: shapes::PAGE,
        run: |text| {
            if let Ok(page) = page::rewrite(text, &mut Renaming, &mut Renaming) {
                black_box(page.edits.apply(text));
            }
        },
    },
];
