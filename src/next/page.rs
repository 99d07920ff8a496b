//! A complete page or payload file: markup and payload together. Pure.

use serde::{Deserialize, Serialize};

use super::{Edits, TextVisitor, Unclear, data, flight, html, push};

/// The router that made a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Router {
    /// The page carries a payload.
    App,
    /// The page carries `__NEXT_DATA__`.
    Pages,
    /// Neither: Next.js did not make the page, or the page has no client.
    None,
}

/// The result of visiting a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The changes to the page.
    pub edits: Edits,
    /// The router that made it.
    pub router: Router,
}

/// Visits a page: its markup with one visitor, the payload in its scripts with another.
///
/// # Errors
/// [`Unclear`] if the page must stay as it is. Both visitors may have received parts of it already.
pub fn rewrite(text: &str, markup: &mut dyn TextVisitor, payload: &mut dyn TextVisitor) -> Result<Page, Unclear> {
    let html::Walked { mut edits, scripts, .. } = html::walk(text, 0, markup);
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
    Ok(Page { edits, router })
}

/// Visits a payload file.
///
/// # Errors
/// [`Unclear`] if the file must stay as it is.
pub fn rewrite_payload(text: &str, visit: &mut dyn TextVisitor) -> Result<Edits, Unclear> {
    if let Some(mark) = text.chars().next().filter(|c| matches!(c, '#' | '~')) {
        return Err(Unclear::Marked { mark });
    }
    flight::rewrite(text, 0, visit)
}
/// The pages that a payload or data file may belong to, by its path, the most likely first. Empty if the file can be
/// neither.
///
/// The payload of `X.html` is `X.txt` or, in pieces, `X/__next.….txt`. The data of the Pages Router is
/// `_next/data/<id>/X.json`.
#[must_use]
pub fn owners(path: &str) -> Vec<String> {
    let Some((stem, extension)) = path.rsplit_once('.') else {
        return Vec::new();
    };
    match extension {
        "txt" => {
            let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
            if name.starts_with("__next.") {
                pages_at(folder)
            } else {
                vec![format!("{stem}.html")]
            }
        }
        "json" => {
            let page = stem.strip_prefix("_next/data/").and_then(|rest| rest.split_once('/'));
            page.map(|(_, page)| pages_at(if page == "index" { "" } else { page }))
                .unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The paths that the page at a path may have, the most likely first.
pub(crate) fn pages_at(path: &str) -> Vec<String> {
    if path.is_empty() {
        vec!["index.html".to_owned()]
    } else {
        vec![format!("{path}.html"), format!("{path}/index.html")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_and_data_files_belong_to_pages_by_their_names() {
        assert_eq!(owners("docs/a.txt"), ["docs/a.html"]);
        assert_eq!(owners("docs/a/__next.docs.txt"), ["docs/a.html", "docs/a/index.html"]);
        assert_eq!(owners("__next._full.txt"), ["index.html"]);
        assert_eq!(
            owners("_next/data/id/docs/a.json"),
            ["docs/a.html", "docs/a/index.html"]
        );
        assert_eq!(owners("_next/data/id/index.json"), ["index.html"]);
        for other in ["docs/a.html", "a", "data.json", "_next/data/x.json", "a.png"] {
            assert_eq!(owners(other), Vec::<String>::new(), "{other}");
        }
    }
}
