//! The key of a page's metadata in Next.js 15.0 to 15.3, which is a different random text in each build. Pure.
//!
//! Those versions generate a nanoid for each page that they render (`requestId` in `app-render`) and use it as the
//! React key of the elements in the page's head, so that React creates these elements again on each navigation. The key
//! has no other meaning. It appears in only one kind of place: as the key of the second child of the element whose key
//! is `h`. The first child is `null` or, in a page that was not found, the `meta` that excludes the page from search
//! engines. Next.js 15.4 and later have no such key.
//!
//! A key of the same length that is derived from the page's path works as well, and lets two builds of the same source
//! be identical. Any two pages still have different keys. Only the characters of such a key between these marks are
//! replaced, so no length in the payload changes. The same text anywhere else stays.

use memchr::memmem;

use super::build_id::{SEAM, is_of_nanoid};
use crate::model::digest::Digest;

/// The length of a nanoid.
const LENGTH: usize = 21;

/// The text before the number of the component that has the key.
const MARKS: [&str; 2] = [
    r#""h",{"children":[null,["$","$"#,
    r#""h",{"children":[["$","meta",null,{"name":"robots","content":"noindex"}],["$","$"#,
];

/// Returns the bytes of a page or its payload with a key derived from the path in place of the random one, or `None` if
/// there is no random key. `path` is that of the file; its extension does not count.
#[must_use]
pub fn settled(path: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    // The parts of a payload may end anywhere in a page, so they are joined before the search.
    let seams: Vec<usize> = memmem::find_iter(bytes, SEAM).collect();
    let joined = (!seams.is_empty()).then(|| without(bytes, &seams));
    let text = joined.as_deref().unwrap_or(bytes);
    let places: Vec<usize> = MARKS
        .iter()
        .flat_map(|mark| [("\"", (*mark).to_owned()), ("\\\"", mark.replace('"', "\\\""))])
        .flat_map(|(quote, mark)| keys(text, mark.as_bytes(), quote.as_bytes()))
        .collect();
    if places.is_empty() {
        return None;
    }
    let key = key_of(path);
    let mut new = bytes.to_vec();
    for at in places {
        for (place, byte) in (at..).zip(key.bytes()) {
            // In the joined text, each seam is further left by the lengths of the seams before it.
            let before = (0..seams.len())
                .take_while(|index| seams[*index] - index * SEAM.len() <= place)
                .count();
            if let Some(old) = new.get_mut(place + before * SEAM.len()) {
                *old = byte;
            }
        }
    }
    Some(new)
}

/// Returns the bytes without the seams at these places.
fn without(bytes: &[u8], seams: &[usize]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for seam in seams {
        joined.extend_from_slice(bytes.get(from..*seam).unwrap_or_default());
        from = seam + SEAM.len();
    }
    joined.extend_from_slice(bytes.get(from..).unwrap_or_default());
    joined
}

/// Finds where keys begin after a mark.
fn keys(text: &[u8], mark: &[u8], quote: &[u8]) -> Vec<usize> {
    let between = [quote, b",", quote].concat();
    let key = |at: usize| {
        let at = at + mark.len();
        let rest = text.get(at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let key = rest.get(digits..)?.strip_prefix(&between[..])?;
        let end = key.get(LENGTH..)?;
        let is_closed = end.strip_prefix(b"v").unwrap_or(end).starts_with(quote);
        let is_drawn = key[..LENGTH].iter().all(|byte| is_of_nanoid(*byte));
        (digits > 0 && is_closed && is_drawn).then(|| at + digits + between.len())
    };
    memmem::find_iter(text, mark).filter_map(key).collect()
}

fn key_of(path: &str) -> String {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let mut key = Digest::of(format!("syntax-publish render key 1\n{stem}").as_bytes()).to_string();
    key.truncate(LENGTH);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "uKooyzodQVUyyCN5rEnj1";

    fn payload(key: &str) -> String {
        format!(r#"0:{{"f":[["",["$","$2","h",{{"children":[null,["$","$2","{key}",{{"children":["$La"]}}]]}}]]]}}"#)
    }

    #[test]
    fn page_and_payload_get_the_same_key_of_the_same_length() {
        for suffix in ["", "v"] {
            let before = payload(&format!("{KEY}{suffix}"));
            let page = format!("self.__next_f.push([1,{}])", serde_json::json!(before));
            let text = |path: &str, bytes: &str| String::from_utf8(settled(path, bytes.as_bytes()).unwrap()).unwrap();
            let (payload, page) = (text("docs/a.txt", &before), text("docs/a.html", &page));
            let key = key_of("docs/a.html");
            assert_eq!(payload, before.replace(KEY, &key));
            assert!(page.contains(&key) && !page.contains(KEY), "{page}");
            assert_eq!(payload.len(), before.len());
        }
    }

    #[test]
    fn key_of_a_page_that_was_not_found_is_found() {
        let robots = r#"["$","meta",null,{"name":"robots","content":"noindex"}]"#;
        let before = payload(KEY).replace("[null,", &format!("[{robots},"));
        let after = String::from_utf8(settled("404.html", before.as_bytes()).unwrap()).unwrap();
        assert_eq!(after, before.replace(KEY, &key_of("404.html")));
    }

    #[test]
    fn key_is_found_wherever_the_scripts_of_a_page_cut_the_payload() {
        let whole = serde_json::json!(payload(KEY)).to_string();
        let key = key_of("a.html");
        let seam = std::str::from_utf8(SEAM).unwrap();
        let first = whole.find("children").unwrap();
        for one in first..whole.len() {
            for two in [one, one + 7] {
                let cut = |text: &str| {
                    let two = two.min(text.len());
                    format!("{}{seam}{}{seam}{}", &text[..one], &text[one..two], &text[two..])
                };
                let after = settled("a.html", cut(&whole).as_bytes()).unwrap();
                assert_eq!(String::from_utf8(after).unwrap(), cut(&whole.replace(KEY, &key)));
            }
        }
    }

    #[test]
    fn pages_have_keys_of_their_own() {
        assert_ne!(key_of("a.html"), key_of("b.html"));
        assert_eq!(key_of("a.html"), key_of("a.txt"));
        assert_eq!(key_of("a.html").len(), LENGTH);
    }

    #[test]
    fn text_of_that_form_elsewhere_stays() {
        for text in [
            format!(r#"["$","li","{KEY}",{{"children":"{KEY}"}}]"#),
            format!(r#"["$","$2","g",{{"children":[null,["$","$2","{KEY}",{{}}]]}}]"#),
            payload("twenty characters on"),
            payload("uKooyzodQVUyyCN5rEnj1w"),
            payload("uKooyzodQVUyyCN5rEn"),
            payload(""),
            r#""h",{"children":[null,["$","$"#.to_owned(),
        ] {
            assert_eq!(settled("a.txt", text.as_bytes()), None, "{text}");
        }
    }
}
