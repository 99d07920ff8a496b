//! The strings of a JSON text: where they are, and what surrounds them. Pure.
//!
//! This is a separate reader because it must report places and not values: a string is replaced in place, and all other
//! bytes are kept. It reads forward once and keeps its own stack, so neither long nor deep input can exhaust time or
//! the stack.

use std::borrow::Cow;
use std::ops::Range;

use super::Unclear;

/// A string in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Its value.
    pub value: Cow<'a, str>,
    /// Its byte range, including the quotes.
    pub range: Range<usize>,
}

/// An open object or array. A frame refers to the frames around it by their index in the stack, because a copy in each
/// frame would cost the length of a name per level.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame<'a> {
    Object {
        /// The current or the latest key.
        key: Cow<'a, str>,
        /// Index of the object's first member in the list of members of all open objects.
        first: usize,
        /// Whether the object is the props of a React element. The array around it is that element.
        is_props: bool,
        /// Stack index of the nearest element around the object, including the element whose props it is.
        owner: Option<usize>,
        /// Stack index of the object that has this one under one of its keys, directly or inside arrays.
        under: Option<usize>,
    },
    Array {
        index: usize,
        /// Whether the first item is `"$"`: `["$", type, …]` is an element.
        is_element: bool,
        /// The second item, if it is a string.
        name: Option<Cow<'a, str>>,
        owner: Option<usize>,
        under: Option<usize>,
    },
}

/// An object that was read completely.
pub struct Object<'s, 'a> {
    /// Its members whose values are strings.
    pub strings: &'s [(Cow<'a, str>, Text<'a>)],
    /// The type of the React element whose props this object is: a tag's name, or `$L…` for a client component.
    pub element: Option<&'s str>,
    /// The type of the nearest element around the object, including the element whose props it is.
    pub owner: Option<&'s str>,
    /// The key of the member that is this object, or that is the array around it.
    pub under: Option<&'s str>,
    /// The number of objects and arrays around it.
    pub depth: usize,
}

impl Object<'_, '_> {
    /// The string under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Text<'_>> {
        self.strings.iter().find(|(name, _)| name == key).map(|(_, text)| text)
    }
}

/// What the reader has read.
pub enum Event<'s, 'a> {
    /// The end of an object.
    Object(Object<'s, 'a>),
    /// A string in an array.
    Item {
        /// Its index in the array.
        index: usize,
        /// The number of objects and arrays around it.
        depth: usize,
        /// Whether the array is a React element. The string is then its marker, its type or its key.
        in_element: bool,
        /// The string.
        text: &'s Text<'a>,
    },
    /// The complete text is one string.
    Whole(&'s Text<'a>),
}

/// Reads one JSON value, which must be the complete text apart from white space.
///
/// # Errors
/// [`Unclear::Json`] if the text is not valid JSON.
pub fn read<'a>(text: &'a str, visit: &mut dyn FnMut(Event<'_, 'a>)) -> Result<(), Unclear> {
    Reader {
        text,
        at: 0,
        stack: Vec::new(),
        strings: Vec::new(),
    }
    .run(visit)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    stack: Vec<Frame<'a>>,
    /// The string members of all open objects. Those of the innermost object are last.
    strings: Vec<(Cow<'a, str>, Text<'a>)>,
}

impl<'a> Reader<'a> {
    fn run(mut self, visit: &mut dyn FnMut(Event<'_, 'a>)) -> Result<(), Unclear> {
        loop {
            // A value begins here.
            self.skip_space();
            match self.peek() {
                Some(b'{') => {
                    self.open_object();
                    self.skip_space();
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open_array();
                    self.skip_space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => {
                    let text = self.string()?;
                    self.take_string(text, visit);
                }
                Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.literal()?,
                _ => return self.broken(),
            }
            // A value ended here, or an empty object or array is about to end.
            loop {
                self.skip_space();
                match (self.peek(), self.stack.last_mut()) {
                    (None, None) => return Ok(()),
                    (Some(b','), Some(Frame::Array { index, .. })) => {
                        *index += 1;
                        self.at += 1;
                        break;
                    }
                    (Some(b','), Some(Frame::Object { .. })) => {
                        self.at += 1;
                        self.skip_space();
                        self.key()?;
                        break;
                    }
                    (Some(b']'), Some(Frame::Array { .. })) => {
                        self.at += 1;
                        self.stack.pop();
                    }
                    (Some(b'}'), Some(Frame::Object { .. })) => {
                        self.at += 1;
                        self.close_object(visit);
                    }
                    _ => return self.broken(),
                }
            }
        }
    }

    fn broken<T>(&self) -> Result<T, Unclear> {
        Err(Unclear::Json { at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// For a value that starts here: the stack indices of the object that has it under one of its keys, and of the
    /// nearest element around it.
    fn context(&self) -> (Option<usize>, Option<usize>) {
        match self.stack.last() {
            None => (None, None),
            Some(Frame::Object { owner, .. }) => (Some(self.stack.len() - 1), *owner),
            Some(Frame::Array { under, owner, .. }) => (*under, *owner),
        }
    }

    fn open_object(&mut self) {
        let (under, outer) = self.context();
        let is_props = matches!(
            self.stack.last(),
            Some(Frame::Array {
                index: 3,
                is_element: true,
                name: Some(_),
                ..
            })
        );
        self.at += 1;
        self.stack.push(Frame::Object {
            key: Cow::Borrowed(""),
            first: self.strings.len(),
            is_props,
            owner: if is_props {
                self.stack.len().checked_sub(1)
            } else {
                outer
            },
            under,
        });
    }

    fn open_array(&mut self) {
        let (under, owner) = self.context();
        self.at += 1;
        self.stack.push(Frame::Array {
            index: 0,
            is_element: false,
            name: None,
            owner,
            under,
        });
    }

    fn close_object(&mut self, visit: &mut dyn FnMut(Event<'_, 'a>)) {
        let Some(Frame::Object {
            first,
            is_props,
            owner,
            under,
            ..
        }) = self.stack.pop()
        else {
            return;
        };
        let type_of = |element: usize| match self.stack.get(element) {
            Some(Frame::Array { name, .. }) => name.as_deref(),
            _ => None,
        };
        let key_of = |object: usize| match self.stack.get(object) {
            Some(Frame::Object { key, .. }) => Some(key.as_ref()),
            _ => None,
        };
        let owner = owner.and_then(type_of);
        visit(Event::Object(Object {
            strings: &self.strings[first..],
            element: owner.filter(|_| is_props),
            owner,
            under: under.and_then(key_of),
            depth: self.stack.len(),
        }));
        self.strings.truncate(first);
    }

    fn take_string(&mut self, text: Text<'a>, visit: &mut dyn FnMut(Event<'_, 'a>)) {
        let depth = self.stack.len();
        match self.stack.last_mut() {
            None => visit(Event::Whole(&text)),
            Some(Frame::Object { key, .. }) => self.strings.push((std::mem::take(key), text)),
            Some(Frame::Array {
                index,
                is_element,
                name,
                ..
            }) => {
                visit(Event::Item {
                    index: *index,
                    depth,
                    in_element: *is_element,
                    text: &text,
                });
                match *index {
                    0 => *is_element = text.value == "$",
                    1 => *name = Some(text.value),
                    _ => {}
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), Unclear> {
        if self.peek() != Some(b'"') {
            return self.broken();
        }
        let name = self.string()?.value;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.broken();
        }
        self.at += 1;
        if let Some(Frame::Object { key, .. }) = self.stack.last_mut() {
            *key = name;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Text<'a>, Unclear> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        let mut escaped = false;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                return self.broken();
            };
            at += plain;
            match bytes[at] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                _ => return self.broken(),
            }
        }
        let range = start..at + 1;
        let value = if escaped {
            match self.text.get(range.clone()).map(serde_json::from_str::<String>) {
                Some(Ok(value)) => Cow::Owned(value),
                _ => return self.broken(),
            }
        } else {
            Cow::Borrowed(&self.text[start + 1..at])
        };
        self.at = range.end;
        Ok(Text { value, range })
    }

    fn literal(&mut self) -> Result<(), Unclear> {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')))
            .unwrap_or(rest.len());
        let literal = &rest[..length];
        if !matches!(literal, "true" | "false" | "null") && serde_json::from_str::<serde_json::Number>(literal).is_err()
        {
            return self.broken();
        }
        self.at += length;
        Ok(())
    }
}

/// A string as `JSON.stringify` writes it, including the quotes.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A string as Next.js writes it into a script: as JSON, with every character escaped that could end the script.
pub fn quoted_in_script(text: &str) -> String {
    let json = quoted(text);
    if !json.contains(['&', '<', '>', '\u{2028}', '\u{2029}']) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        match c {
            '&' => out.push_str("\\u0026"),
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// Why a string in a script can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InScript {
    /// [`quoted_in_script`] would write the string differently.
    NotExact,
    /// The text does not start with a string.
    NoString,
}

/// Reads the string at the start of a text, written as [`quoted_in_script`] writes it, appends its value to `out`, and
/// returns the length of the literal.
///
/// Reads each byte once. Pages consist mostly of these strings; to read a string, write it again and compare the result
/// would take several passes.
pub fn read_in_script(text: &str, out: &mut String) -> Result<usize, InScript> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return Err(InScript::NoString);
    }
    let mut at = 1;
    loop {
        let rest = &bytes[at..];
        let plain = rest
            .iter()
            .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\' | b'&' | b'<' | b'>'));
        let end = at + plain.ok_or(InScript::NoString)?;
        let run = &text[at..end];
        if !run.is_ascii() && run.contains(['\u{2028}', '\u{2029}']) {
            return Err(InScript::NotExact);
        }
        out.push_str(run);
        match bytes[end] {
            b'"' => return Ok(end + 1),
            b'\\' => {
                let (c, length) = escape(&bytes[end..]).ok_or(InScript::NotExact)?;
                out.push(c);
                at = end + length;
            }
            b'&' | b'<' | b'>' => return Err(InScript::NotExact),
            _ => return Err(InScript::NoString),
        }
    }
}

/// The character of an escape that [`quoted_in_script`] writes, and the length of the escape.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let c = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let digits = bytes.get(2..6)?;
            let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let digits = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(plain))?;
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
            let has_no_shorter =
                c.is_ascii_control() && c != '\u{7f}' && !matches!(c, '\n' | '\t' | '\r' | '\u{8}' | '\u{c}');
            let is_kept_out = matches!(c, '&' | '<' | '>' | '\u{2028}' | '\u{2029}');
            return (has_no_shorter || is_kept_out).then_some((c, 6));
        }
        _ => return None,
    };
    Some((c, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every string in the order in which it is reported, with its surroundings.
    fn told(text: &str) -> Result<Vec<String>, Unclear> {
        let mut told = Vec::new();
        read(text, &mut |event| match event {
            Event::Object(object) => {
                for (key, text) in object.strings {
                    let place = [object.element, object.owner, object.under].map(|part| part.unwrap_or("-"));
                    told.push(format!("{} {}={} @{}", place.join("/"), key, text.value, object.depth));
                }
            }
            Event::Item { index, depth, text, .. } => told.push(format!("[{index}]={} @{depth}", text.value)),
            Event::Whole(text) => told.push(text.value.to_string()),
        })?;
        Ok(told)
    }

    #[test]
    fn strings_are_reported_with_the_element_they_belong_to() {
        let json = r#"["$","img","k",{"src":"/a","style":{"color":"red"},"x":[{"y":"z"}]}]"#;
        assert_eq!(
            told(json).unwrap(),
            [
                "[0]=$ @1",
                "[1]=img @1",
                "[2]=k @1",
                "-/img/style color=red @2",
                "-/img/x y=z @3",
                "img/img/- src=/a @1",
            ]
        );
    }

    #[test]
    fn only_the_fourth_item_of_an_element_is_its_props() {
        let json = r#"[["$","a",null,null,{"b":"1"}],["a","b","c",{"d":"2"}],["$",{"e":"3"},null,{"f":"4"}]]"#;
        assert_eq!(
            told(json)
                .unwrap()
                .into_iter()
                .filter(|text| text.contains('=') && !text.starts_with('['))
                .collect::<Vec<_>>(),
            ["-/-/- b=1 @2", "-/-/- d=2 @2", "-/-/- e=3 @2", "-/-/- f=4 @2"]
        );
    }

    #[test]
    fn ranges_hold_the_literal_and_values_have_no_escapes() {
        let json = r#" {"a\u0062" : "x\"\u00e4\n" } "#;
        let mut seen = Vec::new();
        read(json, &mut |event| {
            if let Event::Object(object) = event {
                let text = object.get("ab").unwrap();
                seen.push((text.value.to_string(), json[text.range.clone()].to_owned()));
            }
        })
        .unwrap();
        assert_eq!(seen, [("x\"ä\n".to_owned(), r#""x\"\u00e4\n""#.to_owned())]);
    }

    #[test]
    fn complete_values_are_read() {
        for json in ["null", "-1.5e+3", "[]", "{}", " [ ] ", "{\"a\":{}}", "[[],{}]"] {
            assert_eq!(told(json), Ok(vec![]), "{json}");
        }
        assert_eq!(told("\"a\"").unwrap(), ["a"]);
    }

    #[test]
    fn what_is_no_json_is_unclear() {
        for json in [
            "",
            "[",
            "{",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1 2]",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "]",
            "1]",
            "[1}",
            "nul",
            "01x",
            "\"a\nb\"",
            "[1]x",
            "{\"a\":1,}",
            "\"\\ä\"",
        ] {
            assert!(matches!(told(json), Err(Unclear::Json { .. })), "{json}");
        }
    }

    #[test]
    fn deep_and_long_texts_take_neither_stack_nor_time() {
        // A name that must be copied to be decoded, with many levels below it.
        let named = format!("{{\"\\n{}\":{}", "a".repeat(500_000), "[".repeat(500_000));
        assert!(told(&named).is_err());
        let deep = "[".repeat(500_000);
        assert!(told(&deep).is_err());
        let closed = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(told(&closed), Ok(vec![]));
        let objects = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
        assert_eq!(told(&objects), Ok(vec![]));
    }

    #[test]
    fn strings_are_written_as_next_writes_them() {
        assert_eq!(quoted("a\"\\\n\u{1}ä</"), r#""a\"\\\n\u0001ä</""#);
        assert_eq!(
            quoted_in_script("<&>\u{2028}\u{2029}ä"),
            r#""\u003c\u0026\u003e\u2028\u2029ä""#
        );
    }

    #[test]
    fn string_of_a_script_is_read_only_where_it_would_be_written_the_same() {
        for text in ["", "a\"\\\n\t\r\u{8}\u{c}\u{1}\u{7f}ä<&>\u{2028}\u{2029}😀", "\\u003c"] {
            let literal = quoted_in_script(text);
            let followed = format!("{literal}])\"");
            let mut out = "before".to_owned();
            assert_eq!(read_in_script(&followed, &mut out), Ok(literal.len()));
            assert_eq!(out, format!("before{text}"));
        }
        for literal in [
            r#""\/""#,
            r#""\u0061""#,
            r#""\u000a""#,
            r#""\u003C""#,
            r#""\u007f""#,
            r#""\ud83d\ude00""#,
            r#""\ud800""#,
            r#""\u+03c""#,
            "\"<\"",
            "\"\u{2028}\"",
        ] {
            assert_eq!(
                read_in_script(literal, &mut String::new()),
                Err(InScript::NotExact),
                "{literal}"
            );
        }
        for literal in ["", "a", "\"a", "\"a\nb\""] {
            assert_eq!(
                read_in_script(literal, &mut String::new()),
                Err(InScript::NoString),
                "{literal}"
            );
        }
    }
}
