//! The media type of a file, by its name. Pure.
//!
//! The vhost, the preview server and the manifest all take their types from this module, so a file has the same type
//! wherever it is served. A type never has parameters. The only one that matters, `charset=utf-8`, is added by the
//! server that sends the response, for the types that [`is_text`] accepts.
//!
//! This module must not look at the contents of a file, because nginx doesn't either.

/// The type of a file with no known type.
pub const UNKNOWN: &str = "application/octet-stream";

/// Extension and type, sorted by extension.
///
/// Every type that a documentation site serves is listed here and not left to a crate, because the crate's next version
/// may disagree and a changed type is a changed site.
///
/// Next.js's payloads end in `.txt`. With any type but text, each click becomes a full page load. Pagefind's files are
/// gzip data that its own script unpacks, so they must stay opaque bytes.
const TABLE: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bin", UNKNOWN),
    ("bmp", "image/bmp"),
    ("br", UNKNOWN),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("dmg", UNKNOWN),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("exe", UNKNOWN),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mdx", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pagefind", UNKNOWN),
    ("pdf", "application/pdf"),
    ("pf_filter", UNKNOWN),
    ("pf_fragment", UNKNOWN),
    ("pf_index", UNKNOWN),
    ("pf_meta", UNKNOWN),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("vtt", "text/vtt"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("xsl", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// Compressible types other than text, JSON and XML.
///
/// WOFF, WOFF 2 and the image and media formats in use are compressed already.
const COMPRESSIBLE: &[&str] = &[
    "application/jsonl",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
    "model/gltf-binary",
];

/// Names that Next.js gives to the images that a route generates (`opengraph-image.tsx`). Each is a file without an
/// extension or, if there are several images (`generateImageMetadata`), a folder of such files. A link preview shows no
/// image of an unknown type.
pub const IMAGES: [&str; 4] = ["apple-icon", "icon", "opengraph-image", "twitter-image"];

/// The type of [`IMAGES`].
pub const IMAGE: &str = "image/png";

/// The suffix that may follow a name in [`IMAGES`], as a regular expression: a number in base 36 if the route is in a
/// route group.
pub const MARK: &str = "(?:-[0-9a-z]{1,6})?";

/// Other files without an extension that have a type, by the end of their path, sorted. The files in `.well-known/` are
/// JSON by their standards, `api/search` is the search index of Fumadocs, and the rest are common names of feed routes.
pub const NAMED: &[(&str, &str)] = &[
    (".well-known/matrix/client", "application/json"),
    (".well-known/matrix/server", "application/json"),
    (".well-known/matrix/support", "application/json"),
    (".well-known/oauth-authorization-server", "application/json"),
    (".well-known/openid-configuration", "application/json"),
    (".well-known/webauthn", "application/json"),
    ("api/search", "application/json"),
    ("apple-app-site-association", "application/json"),
    ("atom", "application/atom+xml"),
    ("feed", "application/xml"),
    ("rss", "application/rss+xml"),
];

/// The media type of a file by its name or path: `image/png` for `logo.PNG`.
#[must_use]
pub fn media_type(name: &str) -> &'static str {
    match extension(name) {
        Some(extension) => by_extension(&extension)
            .or_else(|| mime_guess::from_ext(&extension).first_raw())
            .unwrap_or(UNKNOWN),
        None => by_name(name).unwrap_or(UNKNOWN),
    }
}

/// The extension that determines the type, in lower case: the text after the last dot of the last segment.
///
/// As in nginx, a leading dot starts a name and not an extension.
#[must_use]
pub fn extension(name: &str) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => Some(extension.to_ascii_lowercase()),
        _ => None,
    }
}

/// Whether files of this type are worth compressing.
#[must_use]
pub fn compressible(media_type: &str) -> bool {
    is_text(media_type)
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || matches!(
            media_type,
            "application/json" | "application/xml" | "application/javascript"
        )
        || COMPRESSIBLE.binary_search(&media_type).is_ok()
}

/// Whether this type needs `charset=utf-8`.
///
/// JSON is UTF-8 by definition, and an XML file names its own encoding, so neither needs it.
#[must_use]
pub fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
}

/// This module's static copy of a media type, if it has one.
#[must_use]
pub fn known(media_type: &str) -> Option<&'static str> {
    let of_tables = TABLE.iter().chain(NAMED).map(|(_, known)| *known);
    of_tables.chain([IMAGE, UNKNOWN]).find(|known| *known == media_type)
}

/// The type of a file without an extension, by its path; see [`IMAGES`] and [`NAMED`].
#[must_use]
pub fn by_name(path: &str) -> Option<&'static str> {
    let mut segments = path.rsplit('/');
    // The file itself, or the folder that contains it.
    if segments.by_ref().take(2).any(is_image) {
        return Some(IMAGE);
    }
    let ends = |end: &str| {
        path.strip_suffix(end)
            .is_some_and(|above| above.is_empty() || above.ends_with('/'))
    };
    let named = NAMED.iter().find(|(end, _)| ends(end));
    named.map(|(_, media_type)| *media_type)
}

fn is_image(name: &str) -> bool {
    let is_mark = |mark: &str| {
        (1..=6).contains(&mark.len()) && mark.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    };
    IMAGES.iter().any(|known| match name.strip_prefix(known) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(is_mark),
        None => false,
    })
}

/// Every extension of the table with its type, sorted by extension.
pub fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().copied()
}

/// The type of an extension in the table. The extension must be in lower case.
#[must_use]
pub fn by_extension(extension: &str) -> Option<&'static str> {
    let at = TABLE.binary_search_by_key(&extension, |(known, _)| known).ok()?;
    Some(TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_without_repeats() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(NAMED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(COMPRESSIBLE.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn type_follows_the_last_extension_of_the_name() {
        for (name, wanted) in [
            ("index.html", "text/html"),
            ("docs/__next._tree.txt", "text/plain"),
            ("logo.PNG", "image/png"),
            ("page.js.map", "application/json"),
            ("manifest.webmanifest", "application/manifest+json"),
            ("pagefind/fragment/en_1.pf_fragment", UNKNOWN),
            ("a.b/c", UNKNOWN),
            (".html", UNKNOWN),
            ("docs/.txt", UNKNOWN),
            ("dot.", UNKNOWN),
            ("LICENSE", UNKNOWN),
            ("docs/opengraph-image", "image/png"),
            ("icon-1ow20b", "image/png"),
            ("(docs)/opengraph-image-9", "image/png"),
            ("icon-largest", UNKNOWN),
            ("icon-Large", UNKNOWN),
            ("icon/small", "image/png"),
            ("docs/opengraph-image-1ow20b/0", "image/png"),
            ("icon/small/x", UNKNOWN),
            (".well-known/webauthn", "application/json"),
            (".well-known/matrix/client", "application/json"),
            ("matrix/client", UNKNOWN),
            (".well-known/apple-app-site-association", "application/json"),
            ("docs/api/search", "application/json"),
            ("myapi/search", UNKNOWN),
            ("blog/feed", "application/xml"),
            ("rss", "application/rss+xml"),
            ("press", UNKNOWN),
            ("größe.svg", "image/svg+xml"),
            ("talk.odp", "application/vnd.oasis.opendocument.presentation"),
            ("x.neverheardof", UNKNOWN),
        ] {
            assert_eq!(media_type(name), wanted, "{name}");
        }
    }

    #[test]
    fn types_carry_no_parameters_and_fit_a_header() {
        let token = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
        for (extension, media_type) in table() {
            let (kind, subtype) = media_type.split_once('/').unwrap();
            assert!(token(extension) && token(kind) && token(subtype), "{extension}");
            assert_eq!(extension, extension.to_ascii_lowercase());
        }
    }

    #[test]
    fn what_is_compressed_already_is_left_alone() {
        for name in ["a.html", "a.txt", "a.js", "a.svg", "a.wasm", "a.ttf", "a.ico", "a.rss"] {
            assert!(compressible(media_type(name)), "{name}");
        }
        for name in ["a.woff2", "a.woff", "a.png", "a.pf_index", "a.zip", "a.mp4", "a.avif"] {
            assert!(!compressible(media_type(name)), "{name}");
        }
    }
}
