//! `pictures`: a picture is not far larger than it is shown. Pure.
//!
//! Browsers fetch it whole and throw most of it away. A screen may have up to three pixels for each CSS pixel, so only
//! what has more than four times as many in both directions counts, and only a file that is large. A page that does not
//! tell how large it shows a picture, such as a link to it, may need every pixel.

use std::collections::BTreeMap;

use super::finding::{Material, RawFinding};
use crate::model::path::SitePath;
use crate::site::survey::FileKind;

/// How many pixels a picture may have for each CSS pixel, in each direction.
const DENSITY: u32 = 4;

/// Smaller numbers in `width` and `height` are a ratio and not a size: `width="16" height="9"`.
const SMALLEST: u32 = 20;

/// How a picture is used.
struct Use<'a> {
    /// The largest width and height that it is shown with. `None` if it may be shown at any size.
    largest: Option<(u32, u32)>,
    page: &'a SitePath,
}

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut uses: BTreeMap<usize, Use<'_>> = BTreeMap::new();
    for file in material
        .assets
        .iter()
        .zip(&material.survey.kinds)
        .zip(&material.survey.facts)
    {
        let ((asset, kind), facts) = file;
        let shown = facts.pictures.iter().map(|picture| (picture.file, picture.size));
        // Scripts and style sheets show it at any size.
        let is_elsewhere = !matches!(kind, FileKind::Page | FileKind::Payload(_) | FileKind::Data(_));
        let kept = facts.kept.iter().filter(|_| is_elsewhere).map(|file| (*file, None));
        for (file, size) in shown.chain(kept) {
            let size = size.filter(|(width, height)| *width.min(height) >= SMALLEST);
            let found = uses.entry(file).or_insert(Use {
                largest: size,
                page: &asset.path,
            });
            found.largest = found.largest.zip(size).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1)));
        }
    }
    let found = material.files().filter_map(|file| {
        let (width, height) = file.facts.pixels?;
        let Use { largest, page } = uses.get(&file.index)?;
        let (shown_width, shown_height) = (*largest)?;
        // A photograph may be stored on its side.
        let (long, short) = (width.max(height), width.min(height));
        let most = |shown: u32| shown.saturating_mul(DENSITY);
        let fits = long <= most(shown_width.max(shown_height)) || short <= most(shown_width.min(shown_height));
        let size = file.asset.size / 1000;
        (!fits).then(|| {
            RawFinding::new(
                file.asset.path.clone(),
                format!(
                    "this picture has {width} × {height} pixels and {size} kB, and is shown at most as large as \
                     {shown_width} × {shown_height}, as in {page}"
                ),
                format!(
                    "save it with at most {} × {} pixels, and with more only if it is shown larger than that",
                    shown_width.saturating_mul(3),
                    shown_height.saturating_mul(3)
                ),
            )
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    /// The start of a PNG file of this size in pixels, and zeros up to this size in bytes.
    fn picture(width: u32, height: u32, bytes: usize) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        file.extend(width.to_be_bytes());
        file.extend(height.to_be_bytes());
        file.resize(bytes, 0);
        file
    }

    fn found(page: &str, picture: Vec<u8>) -> Vec<String> {
        let files = [("index.html", page.as_bytes().to_vec()), ("a.png", picture)];
        Export::new(&files).finds(find)
    }

    const PAGE: &str = "<link rel=preload as=image href=/a.png><img src=/a.png width=120 height=90>\
                        <img src=a.png width=32 height=24>";

    #[test]
    fn picture_that_is_far_larger_than_shown_is_found() {
        let message = "a.png: this picture has 4000 × 3000 pixels and 900 kB, and is shown at most as large as 120 × 90, as \
                       in index.html";
        assert_eq!(found(PAGE, picture(4000, 3000, 900_000)), [message]);
        let on_its_side = found(PAGE, picture(3000, 4000, 900_000));
        assert_eq!(on_its_side.len(), 1, "{on_its_side:?}");
    }

    #[test]
    fn pictures_that_may_need_their_pixels_are_left_in_peace() {
        for (what, page, picture) in [
            ("a screen of high density", PAGE, picture(480, 360, 900_000)),
            ("one direction alone", PAGE, picture(4000, 360, 900_000)),
            ("a small file", PAGE, picture(4000, 3000, 199_999)),
            ("what is no picture", PAGE, vec![1; 900_000]),
        ] {
            assert_eq!(found(page, picture), [""; 0], "{what}");
        }
        for page in [
            "<img src=/a.png width=4000 height=3000>",
            "<img src=/a.png>",
            "<img src=/a.png width=16 height=9>",
            "<img src=/a.png width=100% height=90>",
            "<img src=/a.png srcset='/a.png 2x' width=120 height=90>",
            "<picture><source srcset=/a.png media='(width > 9em)'><img src=/a.png width=120 height=90></picture>",
            "<a href=/a.png><img src=/a.png width=120 height=90></a>",
            "<img src=/a.png width=120 height=90><div style='background:url(/a.png)'></div>",
            "<meta property=og:image content=/a.png><img src=/a.png width=120 height=90>",
            "<img src=/a.png width=120 height=90><img src=/a.png width=1200 height=900>",
        ] {
            assert_eq!(found(page, picture(4000, 3000, 900_000)), [""; 0], "{page}");
        }
        let files = [
            ("index.html", PAGE.as_bytes().to_vec()),
            ("a.js", b"open('/a.png')".to_vec()),
            ("a.png", picture(4000, 3000, 900_000)),
        ];
        assert_eq!(Export::new(&files).finds(find), [""; 0], "named by a script");
    }
}
