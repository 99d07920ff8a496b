//! The payload of the App Router ("flight"): its rows, and the URLs in them. Pure.
//!
//! A payload is a stream of rows. Most are `<hex id>:<json>\n`, some with a tag before the JSON (`I[…]` imports,
//! `HL[…]` hints). Long texts are `<hex id>:T<hex length>,<bytes>`. Their length counts bytes of UTF-8, and no newline
//! follows them. A wrong length prevents the page from hydrating, so code that changes a text must also change its
//! length here.
//!
//! As in HTML, the element and the attribute that a string would become decide whether it is a URL. A string anywhere
//! else is text.

use std::collections::HashMap;
use std::ops::Range;

use super::json::{self, Event, Object};
use super::{Edits, Position, Reference, TextVisitor, Unclear, css, html};

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// JSON without a tag.
    Json,
    /// A long text, preceded by its length.
    Text,
    /// A hint to fetch something ahead, with the hint's letter.
    Hint(char),
    /// Any other row that ends with its line.
    Line(char),
}

/// One row of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its id, a hexadecimal number. Empty for hints.
    pub id: &'a str,
    /// How it is written.
    pub tag: Tag,
    /// From the first byte of the tag to the end of the content, without the newline.
    pub whole: Range<usize>,
    /// The content: the JSON, or the text.
    pub body: Range<usize>,
}

/// The rows of a payload, in order.
///
/// # Errors
/// [`Unclear::Row`] if the stream does not follow the row format. [`Unclear::Binary`] if a row contains binary data.
pub fn rows(stream: &str) -> Result<Vec<Row<'_>>, Unclear> {
    let bytes = stream.as_bytes();
    let mut rows = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let broken = Unclear::Row { at };
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let colon = at + digits;
        if bytes.get(colon) != Some(&b':') {
            return Err(broken);
        }
        let id = &stream[at..colon];
        let start = colon + 1;
        let (tag, body, next) = match bytes.get(start) {
            Some(b'T') => {
                let body = text_body(stream, start).ok_or(broken)?;
                (Tag::Text, body.clone(), body.end)
            }
            // Typed arrays and byte streams, which contain binary data and not text.
            Some(b'A' | b'O' | b'o' | b'U' | b'S' | b's' | b'L' | b'l' | b'G' | b'g' | b'M' | b'm' | b'V' | b'b') => {
                return Err(Unclear::Binary);
            }
            Some(first) => {
                let length = memchr::memchr(b'\n', &bytes[start..]).ok_or(broken.clone())?;
                let end = start + length;
                let (tag, skip) = match *first {
                    b'H' => match stream[start + 1..end].chars().next() {
                        Some(code) => (Tag::Hint(code), 1 + code.len_utf8()),
                        None => return Err(broken),
                    },
                    letter @ (b'A'..=b'Z' | b'#' | b'r' | b'x') => (Tag::Line(char::from(letter)), 1),
                    _ => (Tag::Json, 0),
                };
                (tag, start + skip..end, end + 1)
            }
            None => return Err(broken),
        };
        rows.push(Row {
            id,
            tag,
            whole: start..body.end,
            body,
        });
        at = next;
    }
    Ok(rows)
}

/// The text after `T<hex length>,` in a row that starts at `start`.
fn text_body(stream: &str, start: usize) -> Option<Range<usize>> {
    let digits = stream.get(start + 1..)?;
    // A length has few digits. Without the limit, each row would search the complete rest for a comma.
    let comma = digits.bytes().take(17).position(|byte| byte == b',')?;
    let length = usize::from_str_radix(&digits[..comma], 16).ok()?;
    let from = start + 1 + comma + 1;
    let to = from.checked_add(length)?;
    stream.get(from..to).map(|_| from..to)
}

/// Visits every URL and the build id of a payload. `at` is the offset that references carry.
///
/// # Errors
/// [`Unclear`] if the payload must stay as it is.
pub fn rewrite(stream: &str, at: usize, visit: &mut dyn TextVisitor) -> Result<Edits, Unclear> {
    let rows = rows(stream)?;
    refuse_offsets(stream, &rows)?;
    let mut edits = Vec::new();
    let mut uses = Uses::of(&rows);
    // The rows that refer to a text determine its use, so texts are handled last.
    for row in &rows {
        let body = &stream[row.body.clone()];
        let mut inner = Vec::new();
        match row.tag {
            Tag::Hint(code) => hint(body, code, at, visit, &mut inner)?,
            Tag::Json => {
                let is_root = row.id == "0";
                json::read(body, &mut |event| {
                    uses.note(&event);
                    match event {
                        Event::Object(object) => {
                            if is_root && object.depth == 0 {
                                build_id(&object, "b", visit, &mut inner, json::quoted);
                            }
                            urls_of(&object, at, visit, &mut inner, json::quoted);
                        }
                        Event::Item { in_element: true, .. } => {}
                        Event::Item { text, .. } | Event::Whole(text) => item(&text.value, at, visit),
                    }
                })?;
            }
            // Imports are not rewritten: they name scripts, which keep their names.
            Tag::Line(_) | Tag::Text => {}
        }
        edits.extend(Edits::of(inner).moved_by(row.body.start));
    }
    for row in rows.iter().filter(|row| row.tag == Tag::Text) {
        let body = &stream[row.body.clone()];
        let inner = match uses.of_text(row.id) {
            Some(Use::Markup) => html::walk(body, at, visit).edits,
            Some(Use::Style) => css::rewrite(body, at, visit)?,
            Some(Use::Mixed) => {
                visit.unclear(&Unclear::SharedText);
                continue;
            }
            Some(Use::Text) | None => continue,
        };
        if !inner.is_empty() {
            // Edit piece by piece, so that a page that cuts its payload within the text still cuts it there.
            let length = inner.apply(body).len();
            edits.push((row.whole.start..row.body.start, format!("T{length:x},")));
            edits.extend(inner.moved_by(row.body.start));
        }
    }
    Ok(Edits::of(edits))
}

/// Edits in the order in which they are found, which is from the inside out.
pub(super) type Found = Vec<(Range<usize>, String)>;

/// How to write a string at a given place.
pub(super) type Quote = fn(&str) -> String;

/// Visits the build id under a key of an object.
pub(super) fn build_id(
    object: &Object<'_, '_>,
    key: &str,
    visit: &mut dyn TextVisitor,
    edits: &mut Found,
    quote: Quote,
) {
    if let Some(id) = object.get(key)
        && let Some(new) = visit.build_id(&id.value)
    {
        edits.push((id.range.clone(), quote(&new)));
    }
}

/// Refuses a payload whose parts are found by byte offsets, because its length can't change.
fn refuse_offsets(stream: &str, rows: &[Row<'_>]) -> Result<(), Unclear> {
    for root in rows.iter().filter(|row| row.id == "0" && row.tag == Tag::Json) {
        let root = stream[root.body.clone()].trim_start();
        if !root.starts_with('{') {
            continue;
        }
        let offsets = match serde_json::from_str::<RootOffsets>(root) {
            Ok(offsets) => offsets,
            // A duplicate key. The offsets can't be read, so there may be one.
            Err(error) if error.is_data() => return Err(Unclear::Offsets { key: "a".to_owned() }),
            // Not JSON. The code that reads the row reports that.
            Err(_) => continue,
        };
        for (key, value) in [("a", offsets.a), ("l", offsets.l)] {
            if let Some(value) = value
                && !is_zero(&value, stream, rows)
            {
                return Err(Unclear::Offsets { key: key.to_owned() });
            }
        }
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct RootOffsets {
    a: Option<serde_json::Value>,
    l: Option<serde_json::Value>,
}

/// Whether a value is zero, nothing, or a promise (`$@<id>`) of either.
fn is_zero(value: &serde_json::Value, stream: &str, rows: &[Row<'_>]) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Number(number) => number.as_u64() == Some(0),
        serde_json::Value::String(text) if text == "$undefined" => true,
        serde_json::Value::String(text) => {
            let Some(id) = text.strip_prefix("$@") else {
                return false;
            };
            let row = rows.iter().find(|row| row.id == id && row.tag == Tag::Json);
            row.is_some_and(|row| matches!(stream[row.body.clone()].trim(), "0" | "null" | "\"$undefined\""))
        }
        _ => false,
    }
}

/// The use of a text row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Markup,
    Style,
    Text,
    /// In more than one way.
    Mixed,
}

/// The uses of text rows, by their ids. A text that no row refers to is plain text.
struct Uses<'a>(HashMap<&'a str, Option<Use>>);

impl<'a> Uses<'a> {
    fn of(rows: &[Row<'a>]) -> Self {
        let texts = rows.iter().filter(|row| row.tag == Tag::Text);
        Self(texts.map(|row| (row.id, None)).collect())
    }

    fn of_text(&self, id: &str) -> Option<Use> {
        self.0.get(id).copied().flatten()
    }

    fn note(&mut self, event: &Event<'_, '_>) {
        if self.0.is_empty() {
            return;
        }
        match event {
            Event::Object(object) => {
                for (key, text) in object.strings {
                    self.refer(&text.value, || use_of(object, key).unwrap_or(Use::Text));
                }
            }
            Event::Item { text, .. } | Event::Whole(text) => self.refer(&text.value, || Use::Text),
        }
    }

    fn refer(&mut self, value: &str, new: impl FnOnce() -> Use) {
        let Some(known) = value.strip_prefix('$').and_then(|id| self.0.get_mut(id)) else {
            return;
        };
        let new = new();
        *known = match *known {
            Some(old) if old != new => Some(Use::Mixed),
            _ => Some(new),
        };
    }
}

/// Whether a member of an object is markup or a style sheet.
fn use_of(object: &Object<'_, '_>, key: &str) -> Option<Use> {
    match (key, object.owner) {
        ("__html", Some("script")) => None,
        ("__html" | "children", Some("style")) => Some(Use::Style),
        ("__html", _) => Some(Use::Markup),
        _ => None,
    }
}

fn hint(body: &str, code: char, at: usize, visit: &mut dyn TextVisitor, edits: &mut Found) -> Result<(), Unclear> {
    // The second item of a preload is its destination, and comes after the URL.
    let mut items: [Option<(String, Range<usize>)>; 2] = [None, None];
    let mut options = Vec::new();
    json::read(body, &mut |event| match event {
        Event::Item {
            index, depth: 1, text, ..
        } => {
            if let Some(place) = items.get_mut(index) {
                *place = Some((text.value.to_string(), text.range.clone()));
            }
        }
        Event::Object(object) => {
            if let Some(set) = object.get("imageSrcSet") {
                let inner = html::srcset_edits(&set.value, Position::Image, at, visit);
                if !inner.is_empty() {
                    options.push((set.range.clone(), json::quoted(&inner.apply(&set.value))));
                }
            }
        }
        Event::Whole(text) => items[0] = Some((text.value.to_string(), text.range.clone())),
        Event::Item { .. } => {}
    })?;
    edits.append(&mut options);
    let [Some((url, range)), second] = items else {
        return Ok(());
    };
    let second = second.map(|(value, _)| value);
    let position = match (code, second.as_deref()) {
        ('S', _) | ('L', Some("style")) => Position::Style,
        ('L', Some("image")) => Position::Image,
        ('L', Some("script")) | ('X' | 'M' | 'm', _) => Position::Script,
        ('L', _) => Position::Preload,
        _ => return Ok(()),
    };
    if let Some(new) = visit.url(Reference {
        url: &url,
        position,
        at,
    }) {
        edits.push((range, json::quoted(&new)));
    }
    Ok(())
}

/// React's names of attributes, with HTML's.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("srcSet", "srcset"),
    ("imageSrcSet", "imagesrcset"),
    ("formAction", "formaction"),
    ("xlinkHref", "xlink:href"),
];

/// Visits the URLs in the members of an object.
pub(super) fn urls_of(
    object: &Object<'_, '_>,
    at: usize,
    visit: &mut dyn TextVisitor,
    edits: &mut Found,
    quote: Quote,
) {
    let get = |name: &str| object.get(name).map(|text| text.value.as_ref());
    let said = object.element.and_then(|tag| html::said_by(tag, &get));
    for (key, text) in object.strings {
        let value = text.value.as_ref();
        let inner = if value.starts_with('$') {
            // A reference to another row, or a value that JSON can't represent.
            continue;
        } else if object.under == Some("style") && object.element.is_none() {
            css::rewrite(value, at, visit)
        } else if let Some(use_) = use_of(object, key) {
            match use_ {
                Use::Style => css::rewrite(value, at, visit),
                Use::Markup | Use::Text | Use::Mixed => Ok(html::walk(value, at, visit).edits),
            }
        } else {
            match position_in(object, key, value, said) {
                Some(position) if key == "srcSet" || key == "imageSrcSet" => {
                    Ok(html::srcset_edits(value, position, at, visit))
                }
                Some(position) => {
                    if let Some(new) = visit.url(Reference {
                        url: value,
                        position,
                        at,
                    }) {
                        edits.push((text.range.clone(), quote(&new)));
                    }
                    continue;
                }
                None => continue,
            }
        };
        match inner {
            Ok(inner) if !inner.is_empty() => edits.push((text.range.clone(), quote(&inner.apply(value)))),
            Ok(_) => {}
            Err(unclear) => visit.unclear(&unclear),
        }
    }
}

/// Visits a string that is a complete value or an item of a list. Its use is not known, so it is never replaced.
fn item(value: &str, at: usize, visit: &mut dyn TextVisitor) {
    if looks_like_a_path(value) {
        visit.url(Reference {
            url: value,
            position: Position::Unknown,
            at,
        });
    }
}

fn looks_like_a_path(value: &str) -> bool {
    value.starts_with('/') && value.len() < 1024 && !value.contains(char::is_whitespace)
}

/// The position of a member of an object, or `None` for text.
fn position_in(object: &Object<'_, '_>, key: &str, value: &str, said: Option<Position>) -> Option<Position> {
    match object.element {
        Some(tag) if !tag.starts_with('$') => {
            let renamed = ATTRIBUTES.iter().find(|(react, _)| *react == key);
            html::position_of(tag, renamed.map_or(key, |(_, html)| html), said)
        }
        // A client component, or the site's own data. Only the component's code determines what becomes of a prop.
        _ if key == "href" => Some(Position::Link),
        _ => {
            let is_text = matches!(key, "children" | "title" | "alt" | "id" | "className" | "value");
            (looks_like_a_path(value) && !is_text).then_some(Position::Unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefixes every URL with a mark, and replaces the build id.
    #[derive(Default)]
    struct Mark {
        seen: Vec<(String, Position)>,
        unclear: Vec<Unclear>,
    }

    impl TextVisitor for Mark {
        fn url(&mut self, reference: Reference<'_>) -> Option<String> {
            self.seen.push((reference.url.to_owned(), reference.position));
            (reference.position != Position::Unknown).then(|| format!("!{}", reference.url))
        }
        fn build_id(&mut self, id: &str) -> Option<String> {
            Some(format!("new-{id}"))
        }
        fn unclear(&mut self, what: &Unclear) {
            self.unclear.push(what.clone());
        }
    }

    fn marked(stream: &str) -> String {
        rewrite(stream, 0, &mut Mark::default()).unwrap().apply(stream)
    }

    #[test]
    fn rows_are_cut_where_react_cuts_them() {
        let stream =
            "1:\"$Sreact.fragment\"\n2:I[1,[\"a\"],\"\"]\n:HL[\"/a.css\",\"style\"]\ne:Tb,a\nä\n0:{}\n3:X\n0:[]\n";
        let stream = stream.replace("e:Tb,a\nä\n0:{}\n", "e:Ta,a\nä\n0:{}\n");
        let rows = rows(&stream).unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.id, row.tag, &stream[row.body.clone()]))
            .collect();
        assert_eq!(
            told,
            [
                ("1", Tag::Json, "\"$Sreact.fragment\""),
                ("2", Tag::Line('I'), "[1,[\"a\"],\"\"]"),
                ("", Tag::Hint('L'), "[\"/a.css\",\"style\"]"),
                ("e", Tag::Text, "a\nä\n0:{}\n"),
                ("3", Tag::Line('X'), ""),
                ("0", Tag::Json, "[]"),
            ]
        );
    }

    #[test]
    fn what_has_no_rows_is_unclear() {
        for stream in [
            "x",
            "1",
            "1:",
            "1:[]",
            "1:T5,abc",
            "1:Tzz,a",
            "1:T1,ä",
            "1:H\n",
            "g:1\n",
            "\n",
            "1:T,a",
            "1:Tffffffffffffffffff,a",
        ] {
            assert!(matches!(rows(stream), Err(Unclear::Row { .. })), "{stream:?}");
        }
        assert_eq!(rows("1:A3,abc"), Err(Unclear::Binary));
        assert_eq!(rows(""), Ok(vec![]));
    }

    #[test]
    fn build_id_is_changed_in_its_own_place_alone() {
        let stream = "1:{\"b\":\"id\"}\n0:{\"P\":null,\"b\":\"id\",\"c\":{\"b\":\"id\"},\"d\":\"id\"}\n";
        assert_eq!(
            marked(stream),
            "1:{\"b\":\"id\"}\n0:{\"P\":null,\"b\":\"new-id\",\"c\":{\"b\":\"id\"},\"d\":\"id\"}\n"
        );
    }

    #[test]
    fn urls_of_elements_are_changed_and_text_is_not() {
        for (json, wanted) in [
            (
                r#"["$","img",null,{"src":"/a","alt":"/a"}]"#,
                r#"["$","img",null,{"src":"!/a","alt":"/a"}]"#,
            ),
            (
                r#"["$","img",null,{"srcSet":"/a 1x, /b 2x"}]"#,
                r#"["$","img",null,{"srcSet":"!/a 1x, !/b 2x"}]"#,
            ),
            (
                r#"["$","code",null,{"children":"/a"}]"#,
                r#"["$","code",null,{"children":"/a"}]"#,
            ),
            (
                r#"["$","p",null,{"children":["/a",["$","b",null,{}]]}]"#,
                r#"["$","p",null,{"children":["/a",["$","b",null,{}]]}]"#,
            ),
            (
                r#"["$","p",null,{"style":{"backgroundImage":"url(/a)"}}]"#,
                r#"["$","p",null,{"style":{"backgroundImage":"url(!/a)"}}]"#,
            ),
            (
                r#"["$","$L4",null,{"src":"/a","href":"/b"}]"#,
                r#"["$","$L4",null,{"src":"/a","href":"!/b"}]"#,
            ),
            (
                r#"["$","meta",null,{"property":"og:image","content":"/a"}]"#,
                r#"["$","meta",null,{"property":"og:image","content":"!/a"}]"#,
            ),
            (
                r#"["$","meta",null,{"content":"/a","name":"description"}]"#,
                r#"["$","meta",null,{"content":"/a","name":"description"}]"#,
            ),
            (
                r#"["$","link",null,{"href":"/a","rel":"stylesheet"}]"#,
                r#"["$","link",null,{"href":"!/a","rel":"stylesheet"}]"#,
            ),
            (
                r#"["$","style",null,{"children":"a{b:url(/a)}"}]"#,
                r#"["$","style",null,{"children":"a{b:url(!/a)}"}]"#,
            ),
            (
                r#"["$","p",null,{"dangerouslySetInnerHTML":{"__html":"<img src='/a'>/a"}}]"#,
                r#"["$","p",null,{"dangerouslySetInnerHTML":{"__html":"<img src='!/a'>/a"}}]"#,
            ),
            (
                r#"["$","script",null,{"dangerouslySetInnerHTML":{"__html":"<img src='/a'>"}}]"#,
                r#"["$","script",null,{"dangerouslySetInnerHTML":{"__html":"<img src='/a'>"}}]"#,
            ),
            (
                r#"["$","use",null,{"xlinkHref":"/a#b"}]"#,
                r#"["$","use",null,{"xlinkHref":"!/a#b"}]"#,
            ),
            (r#"["$","img",null,{"src":"$1f"}]"#, r#"["$","img",null,{"src":"$1f"}]"#),
        ] {
            assert_eq!(marked(&format!("5:{json}\n")), format!("5:{wanted}\n"));
        }
    }

    #[test]
    fn hints_are_changed_by_what_they_fetch() {
        assert_eq!(
            marked(
                ":HL[\"/a.css\",\"style\"]\n:HL[\"/a.png\",\"image\",{\"imageSrcSet\":\"/b 1x\"}]\n:HC[\"/c\",\"\"]\n:HS[\"/d.css\",\"next\"]\n"
            ),
            ":HL[\"!/a.css\",\"style\"]\n:HL[\"!/a.png\",\"image\",{\"imageSrcSet\":\"!/b 1x\"}]\n:HC[\"/c\",\"\"]\n:HS[\"!/d.css\",\"next\"]\n"
        );
    }

    #[test]
    fn long_text_is_changed_with_its_length_where_it_is_markup() {
        let html = "<img src='/ä'>/ä";
        let stream = format!(
            "a:T{:x},{html}b:T{:x},{html}c:T4,a(b)d:[\"$\",\"p\",null,{{\"dangerouslySetInnerHTML\":{{\"__html\":\"$a\"}}}}]\ne:[\"$b\"]\n",
            html.len(),
            html.len()
        );
        let new = marked(&stream);
        assert!(
            new.starts_with(&format!(
                "a:T{:x},<img src='!/ä'>/äb:T{:x},{html}c:T4",
                html.len() + 1,
                html.len()
            )),
            "{new}"
        );
        assert_eq!(rows(&new).unwrap().len(), rows(&stream).unwrap().len());
    }

    #[test]
    fn text_that_is_markup_here_and_text_there_is_left_alone() {
        let stream = "a:Te,<img src='/a'>d:[{\"__html\":\"$a\"},\"$a\"]\n".replace("Te", "Tf");
        let mut mark = Mark::default();
        assert_eq!(rewrite(&stream, 0, &mut mark).unwrap().apply(&stream), stream);
        assert_eq!(mark.unclear, [Unclear::SharedText]);
    }

    #[test]
    fn payload_that_is_read_by_offsets_is_refused() {
        let refused = |root: &str| rewrite(&format!("1:0\n2:128\n0:{root}\n"), 0, &mut Mark::default()).is_err();
        for fine in [
            "{\"l\":0}",
            "{\"a\":null}",
            "{\"l\":\"$undefined\"}",
            "{\"l\":\"$@1\"}",
            "{}",
            "[]",
        ] {
            assert!(!refused(fine), "{fine}");
        }
        for offset in [
            "{\"l\":0,\"l\":5}",
            "{\"l\":5}",
            "{\"a\":\"$@2\"}",
            "{\"a\":\"$@9\"}",
            "{\"l\":\"x\"}",
        ] {
            assert!(refused(offset), "{offset}");
        }
    }

    #[test]
    fn string_of_unknown_use_is_reported_and_kept() {
        let stream = "5:[\"$\",\"$L4\",null,{\"cover\":\"/a.png\",\"title\":\"/b.png\",\"label\":\"no path\"}]\n";
        let mut mark = Mark::default();
        assert_eq!(rewrite(stream, 0, &mut mark).unwrap().apply(stream), stream);
        assert_eq!(mark.seen, [("/a.png".to_owned(), Position::Unknown)]);
    }
}
