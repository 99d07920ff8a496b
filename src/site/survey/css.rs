//! What the survey notes of a style sheet, and of a drawing. Pure: it must not read files.

use super::page::UrlNotes;
use super::{Context, Facts};
use crate::next::{Position, Reference, TextVisitor, Unclear, css, html};

/// Surveys a style sheet.
pub(super) fn survey_css(path: &str, text: &str, context: &Context<'_>) -> Facts {
    let address = context.resolver.page_address(path);
    let mut sheet = Sheet(UrlNotes::new(&address, text, context));
    if let Err(unclear) = css::rewrite(text, 0, &mut sheet) {
        sheet.0.facts.unclear = Some(unclear);
    }
    sheet.done()
}

/// Surveys a drawing: markup that names other files by `href` or in styles.
pub(super) fn survey_drawing(path: &str, text: &str, context: &Context<'_>) -> Facts {
    let address = context.resolver.page_address(path);
    let mut sheet = Sheet(UrlNotes::new(&address, text, context));
    html::walk(text, 0, &mut sheet);
    sheet.done()
}

struct Sheet<'a>(UrlNotes<'a>);

impl Sheet<'_> {
    fn done(self) -> Facts {
        let mut facts = self.0.facts;
        facts.kept.sort_unstable();
        facts.kept.dedup();
        facts
    }
}

impl TextVisitor for Sheet<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        // A bare fragment refers to the document itself: a filter or a gradient of a drawing.
        if !reference.url.starts_with('#')
            && let Some((index, url)) = self.0.resolve(&reference)
            && url.query.is_none()
            && reference.position != Position::Link
        {
            self.0.facts.kept.push(index);
        }
        None
    }

    fn unclear(&mut self, what: &Unclear) {
        self.0.facts.odd.push(what.clone());
    }
}
