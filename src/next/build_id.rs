//! The build id: where an export contains it, and the id that replaces it. Pure.
//!
//! Next.js's client compares the id of the open page with the id of a payload. If they differ, it reloads the page,
//! because its code may not fit the payload. So the id must change when the client's code changes, and need not change
//! when only a text does. A digest of the client's code is such an id.
//!
//! The replacement does not parse any format. The new id has the length of the old one and replaces it byte for byte in
//! every file, so the result is an export that `next build` could have written with another random number. Lengths in
//! payloads stay right, and so do service workers, search indexes and formats that did not exist when this was written.
//! This is safe for an id that Next.js generated at random, because no other text is spelled like it. An id that the
//! site chose itself, such as a commit, may also be a text that a page shows. Such an id is replaced only if every
//! mention of it is between the marks that Next.js puts around an id.

use std::collections::BTreeSet;
use std::ops::Range;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;

/// The folder of the client's files.
const STATIC: &str = "_next/static/";
/// The folder of the Pages Router's data.
const DATA: &str = "_next/data/";
/// The folder whose files are named in payloads and style sheets, but never in code without changing the code.
const MEDIA: &str = "_next/static/media/";
/// The file that identifies a folder as that of a build.
const MANIFEST: &str = "/_buildManifest.js";

/// Changes whenever the derivation of the id changes.
const VERSION: &[u8] = b"syntax-publish build id 2\n";

/// The minimum length of an id. A shorter id may be part of a word, and stays as it is.
pub const SHORTEST: usize = 8;

/// The length of the ids that Next.js generates at random.
const RANDOM: usize = 21;

/// The ids of all builds whose files are in the export, from the names of folders.
#[must_use]
pub fn in_paths<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    paths.filter_map(in_path).collect()
}

/// The build id in a path.
#[must_use]
pub fn in_path(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix(STATIC) {
        return rest.strip_suffix(MANIFEST).filter(|id| !id.contains('/'));
    }
    let (id, page) = path.strip_prefix(DATA)?.split_once('/')?;
    page.ends_with(".json").then_some(id)
}

/// The id of an export, from the names of its folders. `None` if there is none, if there are several, or if it is
/// shorter than [`SHORTEST`].
#[must_use]
pub fn of_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut ids = in_paths(paths).into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) if id.len() >= SHORTEST => Some(id.to_owned()),
        _ => None,
    }
}

/// Returns the path with one id replaced by another, if the path contains the old one as the folder of a build.
#[must_use]
pub fn renamed(path: &str, from: &str, to: &str) -> Option<String> {
    [STATIC, DATA].iter().find_map(|folder| {
        let rest = path.strip_prefix(folder)?.strip_prefix(from)?;
        rest.starts_with('/').then(|| format!("{folder}{to}{rest}"))
    })
}

/// The id as it is in the comment of a page: truncated, and without hyphens, because two of them would end the comment.
#[must_use]
pub fn in_comment(id: &str) -> String {
    id.chars()
        .take(IN_COMMENT)
        .map(|c| if c == '-' { '_' } else { c })
        .collect()
}

/// The maximum length of an id in a comment.
const IN_COMMENT: usize = 24;

/// Whether Next.js generated the id at random. No other text is then spelled like it.
#[must_use]
pub fn is_random(id: &str) -> bool {
    id.len() == RANDOM && id.bytes().all(is_of_nanoid)
}

/// Whether a byte may be in a text that Next.js generated at random.
pub(super) const fn is_of_nanoid(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// How a file mentions the build id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mention {
    /// Not at all.
    #[default]
    None,
    /// Only between the marks that Next.js puts around an id.
    Marked,
    /// In other places, too.
    Elsewhere,
}

/// The text that Next.js writes before and after an id: in the path of the client's files and of the data; in the
/// payload of versions 13 and 14 (first in the root row), of 15.3 to 16.3 and of the Pages Router (`buildId`), and of
/// the other versions (`b`), each as it is and as it is in a script of a page; and in a comment.
const MARKS: &[(&str, &str)] = &[
    ("_next/static/", "/"),
    ("_next/data/", "/"),
    ("\n0:[\"", "\","),
    ("0:[\\\"", "\\\","),
    ("\"buildId\":\"", "\""),
    ("\\\"buildId\\\":\\\"", "\\\""),
    ("\"b\":\"", "\""),
    ("\\\"b\\\":\\\"", "\\\""),
    ("<!--", "-->"),
];

/// The text between two parts of the payload in a page.
pub(super) const SEAM: &[u8] = br#""])</script><script>self.__next_f.push([1,""#;

/// The end and the start of such a part. React may also put markup between them.
const END: &[u8] = br#""])"#;
const START: &[u8] = br#"self.__next_f.push([1,""#;

/// For each mention of an id that is cut by the page's scripts, the pieces of that mention.
///
/// Next.js 13 to 15 writes the payload into the page while rendering it, in parts that may end anywhere.
fn cuts<'a>(bytes: &'a [u8], id: &'a str) -> impl Iterator<Item = Vec<Range<usize>>> + 'a {
    let starts: Vec<usize> = memmem::find_iter(bytes, START).map(|at| at + START.len()).collect();
    let ends = (!starts.is_empty()).then(|| memmem::find_iter(bytes, END));
    ends.into_iter().flatten().filter_map(move |end| {
        let is_first = |first: &usize| bytes[..end].ends_with(&id.as_bytes()[..*first]);
        (1..id.len())
            .filter(is_first)
            .find_map(|first| pieces(bytes, id.as_bytes(), end - first..end, &starts))
    })
}

/// The pieces of a mention whose first piece is `first`, at the end of a part.
fn pieces(bytes: &[u8], id: &[u8], first: Range<usize>, starts: &[usize]) -> Option<Vec<Range<usize>>> {
    let mut rest = id.get(first.len()..)?;
    let mut end = first.end;
    let mut pieces = vec![first];
    while !rest.is_empty() {
        if !bytes.get(end..)?.starts_with(END) {
            return None;
        }
        let start = *starts.get(starts.partition_point(|start| *start <= end))?;
        let same = bytes.get(start..)?.iter().zip(rest).take_while(|(a, b)| a == b).count();
        rest = &rest[same..];
        end = start + same;
        pieces.push(start..end);
    }
    Some(pieces)
}

/// How the content of a file mentions an id.
#[must_use]
pub fn mention(bytes: &[u8], id: &str) -> Mention {
    if cuts(bytes, id).next().is_some() {
        return Mention::Elsewhere;
    }
    let mut mention = Mention::None;
    for at in memmem::find_iter(bytes, id.as_bytes()) {
        let (before, behind) = (&bytes[..at], &bytes[at + id.len()..]);
        let is_marked =
            |(front, back): &(&str, &str)| before.ends_with(front.as_bytes()) && behind.starts_with(back.as_bytes());
        let is_first = before == b"0:[\"" && behind.starts_with(b"\",");
        if !is_first && !MARKS.iter().any(is_marked) {
            return Mention::Elsewhere;
        }
        mention = Mention::Marked;
    }
    let comment = comment(id);
    if mention == Mention::None && memmem::find(bytes, comment.as_bytes()).is_some() {
        return Mention::Marked;
    }
    mention
}

fn comment(id: &str) -> String {
    format!("<!--{}-->", in_comment(id))
}

/// Replaces an id with another of the same length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    from: String,
    to: String,
}

impl Renaming {
    /// Returns a renaming from one id to another. They must have the same length, because payloads and archives count
    /// bytes.
    #[must_use]
    pub fn new(from: &str, to: &str) -> Option<Self> {
        let is_change = from.len() == to.len() && from != to && from.len() >= SHORTEST;
        is_change.then(|| Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    /// The new id.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// Returns the bytes with the new id, or `None` if they don't contain the old one.
    #[must_use]
    pub fn apply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut new = None;
        for (from, to) in [
            (self.from.clone(), self.to.clone()),
            (comment(&self.from), comment(&self.to)),
        ] {
            overwrite(bytes, &mut new, from.as_bytes(), to.as_bytes());
        }
        for pieces in cuts(bytes, &self.from) {
            let new = new.get_or_insert_with(|| bytes.to_vec());
            let mut id = self.to.bytes();
            for (place, byte) in pieces.into_iter().flatten().zip(&mut id) {
                if let Some(old) = new.get_mut(place) {
                    *old = byte;
                }
            }
        }
        new
    }

    /// Returns the path with the new id, or `None` if it doesn't contain the old one. An id that the site chose is
    /// replaced only if it is the folder of a build.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<String> {
        if is_random(&self.from) {
            return path.contains(&self.from).then(|| path.replace(&self.from, &self.to));
        }
        renamed(path, &self.from, &self.to)
    }
}

/// Overwrites each occurrence of a text with another of the same length. `new` is allocated when the first one is
/// found.
pub fn overwrite(bytes: &[u8], new: &mut Option<Vec<u8>>, from: &[u8], to: &[u8]) {
    debug_assert_eq!(from.len(), to.len());
    for at in memmem::find_iter(bytes, from) {
        let new = new.get_or_insert_with(|| bytes.to_vec());
        if let Some(place) = new.get_mut(at..at + to.len()) {
            place.copy_from_slice(to);
        }
    }
}

/// Whether a file counts as the client's code, from which the id is derived: scripts, WebAssembly and style sheets
/// below `_next/static`.
///
/// Images and fonts don't count, because the code that uses them names them. Source maps don't count, because no page
/// loads them. A search index doesn't count, because it is data (Nextra 2 and 3 write one there, and the order of its
/// keys varies between builds).
#[must_use]
pub fn is_code(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    path.starts_with(STATIC) && !path.starts_with(MEDIA) && matches!(extension, "js" | "mjs" | "cjs" | "css" | "wasm")
}

/// The digest of a file's bytes with the id blanked out.
#[must_use]
pub fn digest_without(bytes: &[u8], id: &str) -> Digest {
    let mut blank = None;
    overwrite(bytes, &mut blank, id.as_bytes(), &vec![0; id.len()]);
    Digest::of(blank.as_deref().unwrap_or(bytes))
}

/// Derives the id from the client's code, with the length of the old id. `code` is the files for which [`is_code`] is
/// true, each with the digest of its bytes without the old id.
#[must_use]
pub fn stable<'a>(code: impl Iterator<Item = (&'a str, Digest)>, old: &str) -> String {
    let mut lines: Vec<String> = code
        .map(|(path, digest)| format!("{digest} {}\n", path.replace(old, "")))
        .collect();
    lines.sort_unstable();
    let all = [VERSION, lines.concat().as_bytes()].concat();
    spelled(Digest::of(&all), old.len())
}

/// Letters and digits that can never spell `ad`, which an ad blocker would match, nor two hyphens, which would end a
/// comment.
const ALPHABET: &[u8] = b"0123456789BCDEFGHIJKLMNOPQRSTUVWXYZbcdefghijklmnopqrstuvwxyz";

/// Spells a digest with `length` letters and digits.
fn spelled(digest: Digest, length: usize) -> String {
    let letters = u32::try_from(ALPHABET.len()).unwrap_or(u32::MAX);
    let mut id = String::with_capacity(length);
    let mut bytes = *digest.as_bytes();
    while id.len() < length {
        // Long division of the digest by the number of letters, most significant byte first.
        let mut rest = 0_u32;
        for byte in &mut bytes {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / letters).unwrap_or(0);
            rest = value % letters;
        }
        id.push(char::from(ALPHABET[rest as usize]));
        if bytes.iter().all(|byte| *byte == 0) {
            bytes = *Digest::of(id.as_bytes()).as_bytes();
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Ab1cD2-F3gH4iJ5kL6mN7";
    const NEW: &str = "Zy9xW8vU7tS6rQ5pO4nM3";

    #[test]
    fn ids_are_read_off_the_folders_of_a_build() {
        let ids = in_paths(
            [
                "_next/static/abc/_buildManifest.js",
                "_next/static/chunks/a.js",
                "_next/static/chunks/app/_buildManifest.js",
                "_next/data/def/usage.json",
                "_next/data/x.json",
            ]
            .into_iter(),
        );
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["abc", "def"]);
    }

    #[test]
    fn only_the_folder_of_the_build_is_renamed() {
        assert_eq!(
            renamed("_next/static/abc/x.js", "abc", "new").as_deref(),
            Some("_next/static/new/x.js")
        );
        assert_eq!(
            renamed("_next/data/abc/x.json", "abc", "new").as_deref(),
            Some("_next/data/new/x.json")
        );
        for other in [
            "_next/static/abcd/x.js",
            "docs/abc/x.html",
            "_next/static/chunks/abc/x.js",
            "_next/static/abc",
        ] {
            assert_eq!(renamed(other, "abc", "new"), None, "{other}");
        }
    }

    #[test]
    fn comment_has_the_start_of_an_id_without_hyphens() {
        assert_eq!(in_comment("a-b"), "a_b");
        assert_eq!(in_comment("release-2026-11-23-and-more"), "release_2026_11_23_and_m");
    }

    #[test]
    fn a_random_id_is_known_by_its_form() {
        assert!(is_random(OLD) && is_random(NEW));
        for chosen in [
            "3f9c1a7",
            "v1.2.3",
            "release-2026-11-23-x.y",
            "Ab1cD2eF3gH4iJ5kL6mN",
            "",
        ] {
            assert!(!is_random(chosen), "{chosen}");
        }
    }

    #[test]
    fn every_mention_is_replaced_whatever_the_format() {
        let renaming = Renaming::new(OLD, NEW).unwrap();
        let text = format!(
            "<!DOCTYPE html><!--{}-->\0ä{OLD}{OLD}\"/_next/static/{OLD}/x.js",
            in_comment(OLD)
        );
        let new = renaming.apply(text.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(new).unwrap(),
            format!("<!DOCTYPE html><!--{NEW}-->\0ä{NEW}{NEW}\"/_next/static/{NEW}/x.js")
        );
        assert_eq!(renaming.apply(b"nothing of it"), None);
        assert_eq!(renaming.path(&format!("x/{OLD}.json")), Some(format!("x/{NEW}.json")));
        assert_eq!(Renaming::new(OLD, OLD), None);
        assert_eq!(Renaming::new("short", "other"), None);
    }

    #[test]
    fn an_id_that_scripts_cut_is_replaced() {
        let renaming = Renaming::new(OLD, &"n".repeat(OLD.len())).unwrap();
        let plain = std::str::from_utf8(SEAM).unwrap();
        let with_markup = r#""])</script><div hidden id="S:1">x</div><script>$RC("B:1","S:1")</script><script>self.__next_f.push([1,""#;
        let page = |id: &str, seam: &str, cuts: [usize; 2]| {
            let [one, two] = cuts;
            let parts = [&id[..one], &id[one..two], &id[two..]].join(seam);
            format!("<script>self.__next_f.push([1,\"0:{{\\\"b\\\":\\\"{parts}\\\"}}\"])</script>")
        };
        for seam in [plain, with_markup] {
            // Equal positions give one cut. Position 0 cuts before the first letter.
            for one in 0..OLD.len() {
                for two in one.max(1)..OLD.len() {
                    let before = page(OLD, seam, [one, two]);
                    assert_ne!(mention(before.as_bytes(), OLD), Mention::None, "{one} {two}");
                    let after = renaming.apply(before.as_bytes()).unwrap();
                    assert_eq!(String::from_utf8(after).unwrap(), page(renaming.to(), seam, [one, two]));
                }
            }
        }
    }

    #[test]
    fn what_only_begins_like_an_id_before_a_cut_stays() {
        let seam = std::str::from_utf8(SEAM).unwrap();
        let renaming = Renaming::new(OLD, NEW).unwrap();
        for (before, behind) in [
            (&OLD[..5], &OLD[6..]),
            (&OLD[..5], &OLD[5..20]),
            (&OLD[1..5], &OLD[5..]),
            (&OLD[..5], ""),
        ] {
            let page = format!("<script>self.__next_f.push([1,\"{before}{seam}{behind}\"])</script>");
            assert_eq!(mention(page.as_bytes(), OLD), Mention::None, "{page}");
            assert_eq!(renaming.apply(page.as_bytes()), None, "{page}");
        }
    }

    #[test]
    fn a_chosen_id_is_replaced_only_if_all_its_mentions_are_marked() {
        let id = "3f9c1a7b20d4";
        for marked in [
            format!("/_next/static/{id}/_buildManifest.js"),
            format!("/_next/data/{id}/a.json"),
            format!("0:{{\"b\":\"{id}\"}}"),
            format!("0:{{\"buildId\":\"{id}\"}}"),
            format!("push([1,\"0:{{\\\"b\\\":\\\"{id}\\\"}}\"])"),
            format!("0:[\"{id}\",[[]]]"),
            format!("2:I[1]\n0:[\"{id}\",[[]]]"),
            format!("<!DOCTYPE html><!--{id}--><html>"),
        ] {
            assert_eq!(mention(marked.as_bytes(), id), Mention::Marked, "{marked}");
        }
        for other in [
            format!("built from {id}"),
            format!("{{\"commit\":\"{id}\"}}"),
            format!("/static/{id}x/"),
            format!("0:[[\"{id}\",1]]"),
        ] {
            assert!(mention(other.as_bytes(), id) == Mention::Elsewhere, "{other}");
        }
        let both = format!("/_next/static/{id}/ {id}");
        assert_eq!(mention(both.as_bytes(), id), Mention::Elsewhere);
        assert_eq!(mention(b"", id), Mention::None);
        let comment = format!("<!--{}-->", in_comment(OLD));
        assert_eq!(mention(comment.as_bytes(), OLD), Mention::Marked);
    }

    #[test]
    fn id_follows_the_code_and_nothing_else() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let manifest = |id: &str| format!("_next/static/{id}/_buildManifest.js");
        let id = |assets: &[(&str, Digest)], old: &str| {
            let code = assets.iter().copied().filter(|(path, _)| is_code(path));
            stable(code, old)
        };
        let first = id(&[("_next/static/chunks/a.js", one), (&manifest(OLD), two)], OLD);
        assert_eq!(first.len(), OLD.len());
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{first}");
        assert!(!first.to_lowercase().contains("ad"), "{first}");
        let rebuilt = [
            (&*manifest(NEW), two),
            ("_next/static/chunks/a.js", one),
            ("usage.html", two),
            ("_next/static/media/a.png", two),
            ("_next/static/chunks/a.js.map", two),
            ("_next/static/chunks/nextra-data-en-US.json", two),
        ];
        assert_eq!(id(&rebuilt, NEW), first);
        for other in [
            [("_next/static/chunks/a.js", two), (&*manifest(OLD), two)],
            [("_next/static/chunks/b.js", one), (&*manifest(OLD), two)],
        ] {
            assert_ne!(id(&other, OLD), first);
        }
        let long = id(&[("_next/static/chunks/a.js", one)], &"x".repeat(90));
        assert_eq!(long.len(), 90);
    }

    #[test]
    fn code_that_names_the_id_has_a_digest_without_it() {
        let text = |id: &str| format!("fetch('/_next/data/{id}/a.json')");
        assert_eq!(
            digest_without(text(OLD).as_bytes(), OLD),
            digest_without(text(NEW).as_bytes(), NEW)
        );
        assert_eq!(digest_without(b"x", OLD), Digest::of(b"x"));
    }
}
