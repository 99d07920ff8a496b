//! `utf8`: pages are UTF-8, as the web server declares them. Pure.
//!
//! In a page with another encoding, every letter beyond ASCII is shown wrong. The web server declares style sheets,
//! drawings and payloads as UTF-8 too, but they mostly contain only ASCII, so for these it is a warning.

use super::finding::{Material, RawFinding};
use crate::site::survey::FileKind;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let found = material.files().filter_map(|file| {
        let line = file.facts.not_utf8?;
        let finding = RawFinding::new(
            file.asset.path.clone(),
            "is sent as UTF-8 and is not: letters beyond ASCII are shown wrong",
            "save its source as UTF-8",
        );
        let finding = finding.at(line);
        Some(if file.kind == FileKind::Page {
            finding
        } else {
            finding.light()
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::severity::Severity;
    use crate::site::check::tests::Export;

    #[test]
    fn a_page_in_another_encoding_is_found_with_its_line() {
        let export = Export::new(&[
            ("index.html", &b"<p>\nGr\xf6\xdfe"[..]),
            ("a.css", b"/* \xf6 */"),
            ("b.png", b"\xff"),
            ("c.html", "Größe".as_bytes()),
        ]);
        let found: Vec<_> = find(export.material())
            .into_iter()
            .map(|finding| (finding.path.clone(), finding.line, finding.severity))
            .collect();
        assert_eq!(
            found,
            [
                ("a.css".to_owned(), Some(1), Some(Severity::Warning)),
                ("index.html".to_owned(), Some(2), None)
            ]
        );
    }
}
