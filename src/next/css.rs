//! Finds the URLs in a style sheet, or in the declarations of a `style` attribute. Pure.

use std::fmt::Write as _;
use std::ops::Range;

use cssparser::{ParseError, Parser, Token};

use super::{Edits, Position, Reference, TextVisitor, Unclear};

/// What string tokens mean at the parser's position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// Text.
    Text,
    /// URLs in `url("…")`, `src("…")` and `image-set("…" 1x)`.
    Urls,
}

/// What the current at-rule does with a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Import,
    /// Names something and fetches nothing.
    Namespace,
    Other,
}

/// Visits every URL of a style sheet. The edits apply to `text`; `at` is added to the offsets of references.
///
/// # Errors
/// [`Unclear::TooDeep`] if blocks are nested too deeply. Any other malformed CSS is read as browsers read it, which is
/// never an error.
pub fn rewrite(text: &str, at: usize, visit: &mut dyn TextVisitor) -> Result<Edits, Unclear> {
    // Most attributes and many sheets have no URLs, and searching is far cheaper than parsing.
    if !may_hold_urls(text) {
        return Ok(Edits::default());
    }
    let mut walk = Walk {
        text,
        at,
        visit,
        edits: Edits::default(),
    };
    let mut parser = Parser::new(text);
    parser.set_nested_block_limit(LIMIT);
    match walk.block(&mut parser, Strings::Text) {
        Ok(()) => Ok(walk.edits),
        Err(_) => Err(Unclear::TooDeep { limit: LIMIT.into() }),
    }
}

/// Maximum nesting of blocks, because the parser recurses for each of them. Style sheets written by people or bundlers
/// have fewer than ten levels.
const LIMIT: u8 = 64;

/// Whether a text may contain URLs. A URL needs a function's parenthesis, and an import an at sign; everything else
/// about them may be spelled with escapes.
fn may_hold_urls(text: &str) -> bool {
    text.contains('(') || text.contains('@')
}

struct Walk<'t, 'v> {
    text: &'t str,
    at: usize,
    visit: &'v mut dyn TextVisitor,
    edits: Edits,
}

impl<'t> Walk<'t, '_> {
    fn block(&mut self, parser: &mut Parser<'t>, strings: Strings) -> Result<(), ParseError<()>> {
        let mut rule = Rule::Other;
        loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments() else {
                return Ok(());
            };
            match token {
                Token::UnquotedUrl(url) => {
                    let url = url.to_string();
                    let range = start..parser.position().byte_index();
                    self.url(&url, range, rule, |url| format!("url({})", unquoted(url)));
                }
                Token::QuotedString(url) if strings == Strings::Urls || rule == Rule::Import => {
                    let url = url.to_string();
                    let range = start..parser.position().byte_index();
                    let quote = if self.text[start..].starts_with('\'') {
                        '\''
                    } else {
                        '"'
                    };
                    self.url(&url, range, rule, |url| quoted(url, quote));
                }
                Token::AtKeyword(name) => {
                    rule = if name.eq_ignore_ascii_case("import") {
                        Rule::Import
                    } else if name.eq_ignore_ascii_case("namespace") {
                        Rule::Namespace
                    } else {
                        Rule::Other
                    };
                }
                Token::Semicolon => rule = Rule::Other,
                Token::Function(name) => {
                    let inner = if ["url", "src", "image-set", "-webkit-image-set"]
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known))
                    {
                        Strings::Urls
                    } else if strings == Strings::Urls && !name.eq_ignore_ascii_case("type") {
                        strings
                    } else {
                        Strings::Text
                    };
                    self.nested(parser, inner, rule)?;
                }
                Token::CurlyBracketBlock => {
                    rule = Rule::Other;
                    self.nested(parser, Strings::Text, rule)?;
                }
                Token::ParenthesisBlock | Token::SquareBracketBlock => self.nested(parser, Strings::Text, rule)?,
                _ => {}
            }
        }
    }

    fn nested(&mut self, parser: &mut Parser<'t>, strings: Strings, rule: Rule) -> Result<(), ParseError<()>> {
        parser.parse_nested_block(|inner| match (strings, rule) {
            // The string in `@import url("…")` is the import's URL. The string in `@namespace url("…")` is never
            // fetched.
            (Strings::Urls, Rule::Import | Rule::Namespace) => self.only_string(inner, rule),
            _ => self.block(inner, strings),
        })
    }

    fn only_string(&mut self, parser: &mut Parser<'t>, rule: Rule) -> Result<(), ParseError<()>> {
        loop {
            let start = parser.position().byte_index();
            match parser.next_including_whitespace_and_comments() {
                Err(_) => return Ok(()),
                Ok(Token::QuotedString(url)) => {
                    let url = url.to_string();
                    let range = start..parser.position().byte_index();
                    let quote = if self.text[start..].starts_with('\'') {
                        '\''
                    } else {
                        '"'
                    };
                    self.url(&url, range, rule, |url| quoted(url, quote));
                }
                // Skip the block now. Otherwise the parser skips it before the next token, and that token appears to
                // start at the block.
                Ok(
                    Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock,
                ) => parser.parse_nested_block(|inner| {
                    while inner.next().is_ok() {}
                    Ok::<(), ParseError<()>>(())
                })?,
                Ok(_) => {}
            }
        }
    }

    fn url(&mut self, url: &str, range: Range<usize>, rule: Rule, write: impl Fn(&str) -> String) {
        let position = match rule {
            Rule::Import => Position::CssImport,
            Rule::Namespace => return,
            Rule::Other => Position::CssUrl,
        };
        let reference = Reference {
            url,
            position,
            at: self.at + range.start,
        };
        if let Some(new) = self.visit.url(reference) {
            self.edits.replace(range, write(&new));
        }
    }
}

fn quoted(url: &str, quote: char) -> String {
    let mut out = String::with_capacity(url.len() + 2);
    out.push(quote);
    for c in url.chars() {
        match c {
            c if c == quote || c == '\\' => {
                out.push('\\');
                out.push(c);
            }
            // An HTML parser finds the end of a `<style>` without regard to CSS strings.
            c if c.is_ascii_control() || c == '<' => {
                let _ = write!(out, "\\{:x} ", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Writes a URL between the parentheses without quotes. With quotes it would be a block, which may exceed the nesting
/// limit.
fn unquoted(url: &str) -> String {
    let is_plain = |c: char| !c.is_ascii_control() && !matches!(c, ' ' | '"' | '\'' | '(' | ')' | '\\' | '<');
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\{:x} ", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefixes every URL with a mark.
    #[derive(Default)]
    struct Mark(Vec<(String, Position)>);

    impl TextVisitor for Mark {
        fn url(&mut self, reference: Reference<'_>) -> Option<String> {
            self.0.push((reference.url.to_owned(), reference.position));
            Some(format!("!{}", reference.url))
        }
    }

    fn marked(css: &str) -> String {
        rewrite(css, 0, &mut Mark::default()).unwrap().apply(css)
    }

    #[test]
    fn urls_are_found_in_every_form_and_the_rest_stays() {
        assert_eq!(
            marked("a{background:url(/a.png) no-repeat,URL( '/b.png' )}"),
            "a{background:url(!/a.png) no-repeat,URL( '!/b.png' )}"
        );
        assert_eq!(marked("a{b:url( /a.png )}"), "a{b:url(!/a.png)}");
        assert_eq!(
            marked("@font-face{src:url(\"a.woff2\") format(\"woff2\")}"),
            "@font-face{src:url(\"!a.woff2\") format(\"woff2\")}"
        );
        assert_eq!(
            marked("a{b:image-set(\"a.png\" 1x type(\"image/png\"),url(b.png) 2x)}"),
            "a{b:image-set(\"!a.png\" 1x type(\"image/png\"),url(!b.png) 2x)}"
        );
        assert_eq!(
            marked("a{b:u\\72l(a.png)}"),
            "a{b:url(!a.png)}",
            "an escape in a name is still the name"
        );
        assert_eq!(marked("background:url(ä.png)"), "background:url(!ä.png)");
        assert_eq!(marked("a{--x:url(a.png)}"), "a{--x:url(!a.png)}");
        assert_eq!(
            marked("@media (min-width:1px){a{b:url(a)}}"),
            "@media (min-width:1px){a{b:url(!a)}}"
        );
    }

    #[test]
    fn imports_are_told_apart_and_namespaces_fetch_nothing() {
        let css = "@import \"a.css\";@import url(b.css) layer(x);@import url('c.css');@namespace url(d);a{b:'e.css'}";
        let mut mark = Mark::default();
        let new = rewrite(css, 0, &mut mark).unwrap().apply(css);
        assert_eq!(
            new,
            "@import \"!a.css\";@import url(!b.css) layer(x);@import url('!c.css');@namespace url(d);a{b:'e.css'}"
        );
        assert!(mark.0.iter().all(|(_, position)| *position == Position::CssImport));
    }

    #[test]
    fn block_in_an_import_is_not_part_of_what_follows() {
        assert_eq!(
            marked("@import url(\"a\" b('c') (d)'e');"),
            "@import url(\"!a\" b('c') (d)'!e');"
        );
    }

    #[test]
    fn text_is_not_a_url() {
        for css in [
            "/* url(/a.png) */a{}",
            "a::before{content:'url(/a.png)'}",
            "a::before{content:\"/a.png\"}",
            "a[href='/a.png']{}",
            "a{b:format('/a.png')}",
        ] {
            assert_eq!(marked(css), css);
        }
    }

    #[test]
    fn escapes_are_read_and_written() {
        let mut mark = Mark::default();
        let css = r#"a{b:url(a\)b.png);c:url("a\"b.png")}"#;
        let new = rewrite(css, 0, &mut mark).unwrap().apply(css);
        assert_eq!(mark.0[0].0, "a)b.png");
        assert_eq!(mark.0[1].0, "a\"b.png");
        let mut again = Mark::default();
        rewrite(&new, 0, &mut again).unwrap();
        assert_eq!(again.0[0].0, "!a)b.png");
        assert_eq!(again.0[1].0, "!a\"b.png");
    }

    #[test]
    fn nesting_has_a_limit_and_no_effect_on_the_stack() {
        let deep = format!("a{{b:{}url(x)", "(".repeat(100_000));
        assert_eq!(
            rewrite(&deep, 0, &mut Mark::default()),
            Err(Unclear::TooDeep { limit: 64 })
        );
    }
}
