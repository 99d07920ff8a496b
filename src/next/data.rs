//! The data of the Pages Router: `__NEXT_DATA__` in a page, and the same props in `_next/data/<id>/….json`. Pure.

use super::flight::{Quote, build_id, urls_of};
use super::json::{self, Event};
use super::{Edits, TextVisitor, Unclear};

/// The `id` of the script that contains a page's data.
pub const SCRIPT_ID: &str = "__NEXT_DATA__";

/// Visits the data in a page: its build id, and the URLs in the props. `at` is the offset that references carry.
///
/// # Errors
/// [`Unclear::Json`] if the data is not valid JSON.
pub fn rewrite_in_page(text: &str, at: usize, visit: &mut dyn TextVisitor) -> Result<Edits, Unclear> {
    rewrite(text, at, visit, json::quoted_in_script)
}

/// Visits a data file.
///
/// # Errors
/// [`Unclear::Json`] if the file is not valid JSON.
pub fn rewrite_file(text: &str, visit: &mut dyn TextVisitor) -> Result<Edits, Unclear> {
    rewrite(text, 0, visit, json::quoted)
}

fn rewrite(text: &str, at: usize, visit: &mut dyn TextVisitor, quote: Quote) -> Result<Edits, Unclear> {
    let mut edits = Vec::new();
    json::read(text, &mut |event| {
        if let Event::Object(object) = event {
            if object.depth == 0 {
                build_id(&object, "buildId", visit, &mut edits, quote);
            }
            urls_of(&object, at, visit, &mut edits, quote);
        }
    })?;
    Ok(Edits::of(edits))
}
