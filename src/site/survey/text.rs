//! Which files are likely to be text, judged by their names. Pure: it must not read files.

use crate::model::media::{UNKNOWN, by_extension, extension, media_type};

/// Subtypes of `application/` that are not text.
const BINARY: &[&str] = &[
    "epub+zip",
    "gzip",
    "java-archive",
    "msword",
    "octet-stream",
    "ogg",
    "pdf",
    "vnd.ms-fontobject",
    "wasm",
    "x-7z-compressed",
    "x-bzip2",
    "x-pkcs12",
    "x-tar",
    "x-xz",
    "zip",
    "zstd",
];

/// Whether the name of a file does not reveal its type.
pub(super) fn is_unknown(name: &str) -> bool {
    media_type(name) == UNKNOWN && extension(name).is_none_or(|extension| by_extension(&extension).is_none())
}

/// Whether a file with this name is likely to be text. A name that does not reveal the type counts as likely.
pub(super) fn is_likely(name: &str) -> bool {
    let media = media_type(name);
    if media == UNKNOWN {
        return is_unknown(name);
    }
    match media.split_once('/') {
        Some(("text" | "message", _)) => true,
        Some(("application", subtype)) => {
            let is_office = subtype.starts_with("vnd.") && !subtype.ends_with("+json") && !subtype.ends_with("+xml");
            !is_office && BINARY.binary_search(&subtype).is_err()
        }
        Some((_, subtype)) => subtype.ends_with("+xml") || subtype.ends_with("+json"),
        None => false,
    }
}

/// Whether a file with this name is a picture, a font, sound, film, or compressed. Such a file never contains text of
/// the site verbatim, so searching it would cost a read and find nothing.
pub(super) fn is_packed(name: &str) -> bool {
    const PACKED: &[&str] = &[
        "br",
        "gz",
        "pf_filter",
        "pf_fragment",
        "pf_index",
        "pf_meta",
        "tgz",
        "xz",
        "zip",
        "zst",
    ];
    let media = media_type(name);
    let is_packed = extension(name).is_some_and(|extension| PACKED.contains(&extension.as_str()));
    let is_drawn = media.split_once('/').is_some_and(|(kind, subtype)| {
        matches!(kind, "image" | "audio" | "video" | "font") && !subtype.ends_with("+xml")
    });
    is_packed || is_drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_distinguished_from_other_files_by_their_names() {
        for name in [
            "a.html",
            "a.js",
            "a.json",
            "a.txt",
            "a.svg",
            "a.webmanifest",
            "a.xml",
            "a.js.map",
            "a.sh",
            "a.yml",
            "a.toml",
            "LICENSE",
            "id_rsa",
            "a.neverheardof",
            "a.pem",
            "a.rss",
            "a.gltf",
        ] {
            assert!(is_likely(name), "{name}");
        }
        for name in [
            "a.png",
            "a.woff2",
            "a.pdf",
            "a.zip",
            "a.mp4",
            "a.wasm",
            "a.pf_index",
            "a.docx",
            "a.gz",
            "favicon.ico",
            "a.p12",
            "opengraph-image",
        ] {
            assert!(!is_likely(name), "{name}");
        }
        assert!(BINARY.is_sorted());
    }

    #[test]
    fn pictures_and_archives_have_no_text_as_it_is() {
        for name in ["a.png", "a.woff2", "a.mp4", "favicon.ico", "en.pf_fragment", "a.zip"] {
            assert!(is_packed(name), "{name}");
        }
        for name in [
            "a.svg",
            "a.wasm",
            "a.bin",
            "a.msgpack",
            "search",
            "a.pdf",
            "a.js",
            "a.txt",
        ] {
            assert!(!is_packed(name), "{name}");
        }
    }
}
