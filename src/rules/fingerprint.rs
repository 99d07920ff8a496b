//! Fingerprints: the hash of a file in the query of its address, and the copy that the address leads to. Pure.
//!
//! A page references `/images/logo.png?v=<16 hex digits>`. If the site, or a previous release of it, has a copy of that
//! path with that hash, the address leads to the copy, whose content never changes. Otherwise the query is ignored. So
//! an address that the site's own code derives from such a URL (`/images/logo-dark.png?v=…`, `…&w=640`) still finds its
//! file, and an address that was stored elsewhere keeps working.

use super::Address;

/// Number of hex digits in a fingerprint.
pub const LENGTH: usize = 16;

/// Name of the query parameter.
pub const PARAMETER: &str = "v";

/// Extensions of the assets that pages show: images, fonts, audio, video, style sheets.
///
/// Scripts are excluded, because a script may derive the addresses of others from its own.
const PICKED: &[&str] = &[
    "apng", "avif", "bmp", "css", "eot", "flac", "gif", "ico", "jpeg", "jpg", "jxl", "m4a", "m4v", "mov", "mp3", "mp4",
    "oga", "ogg", "ogv", "opus", "otf", "png", "svg", "ttf", "vtt", "wav", "webm", "webp", "woff", "woff2",
];

/// Whether a file gets a fingerprint if the site manifest does not list the files that do.
#[must_use]
pub fn is_picked(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    PICKED.contains(&extension)
}

/// Adds a fingerprint to a URL that has no query yet.
#[must_use]
pub fn added(url: &str, fingerprint: &str) -> String {
    let (path, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    format!("{path}?{PARAMETER}={fingerprint}{fragment}")
}

/// Path of the fingerprinted copy of a file: `images/logo.png` becomes `_assets/images/logo.<fingerprint>.png`. `None`
/// if the file name has no extension of letters and digits, or if a segment of the path starts with a dot.
#[must_use]
pub fn copy_of(folder: &str, path: &str, fingerprint: &str) -> Option<String> {
    let (stem, extension) = path.rsplit_once('.')?;
    let is_plain = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_named = !stem.is_empty() && !stem.ends_with('/') && stem.split('/').all(|segment| !segment.starts_with('.'));
    (is_plain && is_named && is_fingerprint(fingerprint)).then(|| format!("{folder}/{stem}.{fingerprint}.{extension}"))
}

/// Path of the original file and the fingerprint, from a copy's path relative to the folder of the copies.
#[must_use]
pub fn original_of(copy: &str) -> Option<(String, &str)> {
    let (rest, extension) = copy.rsplit_once('.')?;
    let (stem, fingerprint) = rest.rsplit_once('.')?;
    let path = format!("{stem}.{extension}");
    (copy_of("", &path, fingerprint)? == format!("/{copy}")).then_some((path, fingerprint))
}

/// The fingerprint in an address.
#[must_use]
pub fn of_address(address: &Address) -> Option<&str> {
    let value = std::str::from_utf8(address.parameter(PARAMETER)?).ok()?;
    is_fingerprint(value).then_some(value)
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef";

    #[test]
    fn it_goes_before_the_fragment_and_leaves_all_else() {
        assert_eq!(added("/a.png", HASH), "/a.png?v=0123456789abcdef");
        assert_eq!(
            added("https://x.example/s.svg#icon", HASH),
            "https://x.example/s.svg?v=0123456789abcdef#icon"
        );
    }

    #[test]
    fn a_copy_and_its_original_name_each_other() {
        for path in ["logo.png", "images/a b/größe.webp", "x.tar.gz"] {
            let copy = copy_of("_assets", path, HASH).unwrap();
            let below = copy.strip_prefix("_assets/").unwrap();
            assert_eq!(original_of(below), Some((path.to_owned(), HASH)));
        }
        for path in [
            "LICENSE",
            "a/.png",
            ".png",
            "a.p~g",
            "a.",
            ".well-known/a.txt",
            "a/.b/c.txt",
        ] {
            assert_eq!(copy_of("_assets", path, HASH), None, "{path}");
        }
        assert_eq!(copy_of("_assets", "a.png", "0123"), None);
        for other in [
            "logo.png",
            "logo.0123.png",
            "logo.0123456789ABCDEF.png",
            "a/.0123456789abcdef.png",
        ] {
            assert_eq!(original_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_query_is_read_as_nginx_reads_it() {
        let read = |query: &str| {
            let address = Address::parse(format!("/a.png?{query}").as_bytes()).unwrap();
            of_address(&address).map(str::to_owned)
        };
        for query in [
            "v=0123456789abcdef",
            "w=640&v=0123456789abcdef",
            "V=0123456789abcdef&w=1",
        ] {
            assert_eq!(read(query).as_deref(), Some(HASH), "{query}");
        }
        for query in [
            "",
            "v=",
            "v=0123456789abcdeg",
            "v=0123456789abcdef0",
            "v=zzz&v=0123456789abcdef",
            "vv=0123456789abcdef",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
