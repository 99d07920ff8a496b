//! Places in a page that links lead to, and that are gone from a new build of it. Pure.
//!
//! Only headings count: their ids follow from their texts, so they change with every edit of one. What has an id for a
//! style or a script is no place that visitors keep links to.

use std::collections::HashSet;

use super::similar::nearest;
use crate::next::prose::Prose;

/// A heading that is gone from a page that stays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct GoneAnchor {
    /// The address of the page, with the id after `#`.
    pub from: String,
    /// The same page with the id that is nearest now; `None` if no heading is like it.
    pub to: Option<String>,
    /// How much the two headings are alike, from 0 to 100.
    pub score: u8,
}

/// Returns the headings of a page that a new build of it does not have, in their order.
#[must_use]
pub fn gone(address: &str, old: &Prose, new: &Prose) -> Vec<GoneAnchor> {
    let left: HashSet<&str> = new.ids.iter().map(String::as_str).collect();
    let gone = old.headings.iter().filter_map(|heading| {
        let id = heading.id.as_deref().filter(|id| !left.contains(id))?;
        let nearest = nearest(heading, &new.headings);
        Some(GoneAnchor {
            from: format!("{address}#{id}"),
            to: nearest.map(|(id, _)| format!("{address}#{id}")),
            score: nearest.map_or(0, |(_, score)| score),
        })
    });
    gone.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::next::prose::read;

    #[test]
    fn a_heading_with_another_id_is_gone_and_one_that_is_another_element_now_is_not() {
        let old = read("<h2 id=install>Install</h2><h2 id=faq>Questions</h2><h2 id=top>Top</h2><h2>None</h2><p id=x>");
        let new = read("<h2 id=installation>Installation</h2><div id=top></div><h2>Questions</h2>");
        let gone: Vec<_> = gone("/a", &old, &new)
            .into_iter()
            .map(|gone| (gone.from, gone.to))
            .collect();
        assert_eq!(
            gone,
            [
                ("/a#install".to_owned(), Some("/a#installation".to_owned())),
                ("/a#faq".to_owned(), None)
            ]
        );
    }
}
