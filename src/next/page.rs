//! A whole page, or a whole payload file: markup and payload together. Pure.

use serde::{Deserialize, Serialize};

use super::{Edits, Unclear, Visit, data, flight, html, push};

/// Which router made a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Router {
    /// The page carries a payload.
    App,
    /// The page carries `__NEXT_DATA__`.
    Pages,
    /// Neither: a page that Next.js did not make, or that has no client.
    None,
}

/// What was found in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What is to be changed.
    pub edits: Edits,
    /// Which router made it.
    pub router: Router,
    /// The `href` of its `<base>`.
    pub base: Option<String>,
}

/// Visits a page: its markup with one visitor, the payload in its scripts with another.
///
/// # Errors
/// [`Unclear`]: the page must stay as it is. Both visitors may have been told of parts of it.
pub fn rewrite(text: &str, markup: &mut dyn Visit, payload: &mut dyn Visit) -> Result<Page, Unclear> {
    let html::Walked {
        mut edits,
        scripts,
        base,
    } = html::walk(text, 0, markup);
    let mut router = Router::None;
    if let Some(pushes) = push::find(text, &scripts)? {
        router = Router::App;
        edits.take_at(0, pushes.edits(&flight::rewrite(&pushes.stream, 0, payload)?));
    }
    for script in scripts
        .iter()
        .filter(|script| script.id.as_deref() == Some(data::SCRIPT_ID))
    {
        router = Router::Pages;
        let inner = data::rewrite_in_page(&text[script.range.clone()], script.range.start, payload)?;
        edits.take_at(script.range.start, inner);
    }
    Ok(Page { edits, router, base })
}

/// Visits a payload file.
///
/// # Errors
/// [`Unclear`]: the file must stay as it is.
pub fn rewrite_payload(text: &str, visit: &mut dyn Visit) -> Result<Edits, Unclear> {
    if let Some(mark) = text.chars().next().filter(|c| matches!(c, '#' | '~')) {
        return Err(Unclear::Marked { mark });
    }
    flight::rewrite(text, 0, visit)
}
