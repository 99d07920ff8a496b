//! What the survey notes of a style sheet, and of a drawing. Pure: it must not read files.

use super::page::resolve;
use super::{Context, Facts, FaultyUrl, Lines};
use crate::next::{Position, Reference, TextVisitor, Unclear, css, html};

/// Surveys a style sheet.
pub(super) fn survey_css(path: &str, text: &str, context: &Context<'_>) -> Facts {
    let address = context.resolver.page_address(path);
    let mut sheet = Sheet::new(&address, text, context);
    if let Err(unclear) = css::rewrite(text, 0, &mut sheet) {
        sheet.facts.unclear = Some(unclear);
    }
    sheet.done()
}

/// Surveys a drawing: markup that names other files by `href` or in styles.
pub(super) fn look_at_drawing(path: &str, text: &str, context: &Context<'_>) -> Facts {
    let address = context.resolver.page_address(path);
    let mut sheet = Sheet::new(&address, text, context);
    html::walk(text, 0, &mut sheet);
    sheet.done()
}

struct Sheet<'a> {
    address: &'a str,
    lines: Lines<'a>,
    context: &'a Context<'a>,
    facts: Facts,
}

impl<'a> Sheet<'a> {
    fn new(address: &'a str, text: &'a str, context: &'a Context<'a>) -> Self {
        Self {
            address,
            lines: Lines::new(text.as_bytes()),
            context,
            facts: Facts::default(),
        }
    }

    fn done(mut self) -> Facts {
        self.facts.kept.sort_unstable();
        self.facts.kept.dedup();
        self.facts
    }
}

impl TextVisitor for Sheet<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        // A bare fragment refers to the document itself: a filter or a gradient of a drawing.
        if reference.url.starts_with('#') {
            return None;
        }
        match resolve(self.address, reference.url, self.context) {
            Ok(Some((index, url))) => {
                if url.query.is_none() && reference.position != Position::Link {
                    self.facts.kept.push(index);
                }
            }
            Ok(None) => {}
            Err(fault) => self.facts.faulty.push(FaultyUrl {
                line: self.lines.at(reference.at),
                url: reference.url.to_owned(),
                position: reference.position,
                fault,
            }),
        }
        None
    }

    fn unclear(&mut self, what: &Unclear) {
        self.facts.odd.push(what.clone());
    }
}
