//! The inline scripts of a page, as a content security policy sees them. Pure.
//!
//! A browser hashes the text of a script as its parser sees it, so texts are taken from the tokenizer and not from the
//! bytes. Next.js's client makes scripts of its own, too: it runs those of `next/script` when it shows a page, which
//! may be another one than the document whose policy applies. Their texts are in the payload.
//!
//! This module must never miss a script that a browser would run without a policy. One that it reports although it is
//! never run costs a hash.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::json::Event;
use super::tokens::{self, Token, Tokens};
use super::{data, flight, html, json, push};

/// What a policy has to know about a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InlineScripts {
    /// Byte offset at which a new element becomes the first of the head. `None` if the text is only a part of a page.
    pub head: Option<usize>,
    /// The texts of the inline scripts that a browser runs, in order.
    pub texts: Vec<String>,
    /// How many of them, the first ones, are in the head.
    pub in_head: usize,
    /// What no hash allows: byte offset, and what it is.
    pub unhashable: Vec<(usize, Unhashable)>,
    /// URLs that directives of their own restrict: byte offset, directive, URL.
    pub restricted: Vec<(usize, &'static str, String)>,
}

/// Code in a page that no hash of an inline script allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unhashable {
    /// The attribute of this name.
    Handler(String),
    /// A URL that is code.
    Url,
    /// A script inside a drawing, whose text other rules read.
    Drawing,
    /// A script in the document that an attribute contains.
    Frame,
}

/// Reads a page.
#[must_use]
pub fn read(page: &str) -> InlineScripts {
    let mut reading = Reading::default();
    tokens::read(page, &mut reading);
    reading.read.head = reading.read.head.filter(|at| page.is_char_boundary(*at));
    reading.read
}

/// The attributes that are code, without the `on` at their start.
const HANDLERS: &str = "abort afterprint animationcancel animationend animationiteration animationstart auxclick \
    beforecopy beforecut beforeinput beforematch beforepaste beforeprint beforetoggle beforeunload begin blur cancel \
    canplay canplaythrough change click close command contextlost contextmenu contextrestored copy cuechange cut \
    dblclick drag dragend dragenter dragleave dragover dragstart drop durationchange emptied end ended error focus \
    focusin focusout formdata fullscreenchange fullscreenerror gotpointercapture hashchange input invalid keydown \
    keypress keyup languagechange load loadeddata loadedmetadata loadstart lostpointercapture message messageerror \
    mousedown mouseenter mouseleave mousemove mouseout mouseover mouseup mousewheel offline online pagehide pageshow \
    paste pause play playing pointercancel pointerdown pointerenter pointerleave pointermove pointerout pointerover \
    pointerrawupdate pointerup popstate progress ratechange rejectionhandled repeat reset resize scroll scrollend \
    scrollsnapchange scrollsnapchanging search securitypolicyviolation seeked seeking select selectionchange \
    selectstart slotchange stalled storage submit suspend timeupdate toggle touchcancel touchend touchmove \
    touchstart transitioncancel transitionend transitionrun transitionstart unhandledrejection unload volumechange \
    waiting webkitanimationend webkitanimationiteration webkitanimationstart webkittransitionend wheel";

fn is_handler(attribute: &str) -> bool {
    let event = attribute.strip_prefix("on");
    event.is_some_and(|event| HANDLERS.split_ascii_whitespace().any(|known| known == event))
}

/// Whether a browser follows the URL of an attribute as code if it is code.
fn is_followed(tag: &str, attribute: &str) -> bool {
    matches!(
        (tag, attribute),
        ("a" | "area", "href")
            | ("a", "xlink:href")
            | ("iframe" | "frame", "src")
            | ("form", "action")
            | ("button" | "input", "formaction")
    )
}

/// The types of scripts that a browser runs, or reads as instructions. All others are data.
const RUN: [&str; 8] = [
    "module",
    "importmap",
    "speculationrules",
    "application/ecmascript",
    "application/x-ecmascript",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
];

/// Whether a browser runs an inline script of this `type`.
fn is_run(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return true };
    let kind = kind.trim().to_ascii_lowercase();
    kind.is_empty() || RUN.contains(&&*kind) || kind.contains("javascript") || kind == "text/ecmascript"
}

/// The part of the page that is read.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A new element would be the first of the head.
    #[default]
    Start,
    Head,
    Body,
}

#[derive(Default)]
struct Reading {
    tag: String,
    attribute: String,
    kind: Option<String>,
    has_source: bool,
    part: Part,
    /// Whether the value that follows is that of the first `type`.
    expects_type: bool,
    /// How many drawings are open.
    drawings: usize,
    /// The text of the script that is open.
    script: Option<String>,
    read: InlineScripts,
}

impl Tokens for Reading {
    fn token(&mut self, token: Token<'_>, range: Range<usize>) {
        match token {
            Token::Doctype { .. } if self.part == Part::Start => self.read.head = Some(range.end),
            Token::OpenStartTag { name } => {
                self.tag = String::from_utf8_lossy(name).into_owned();
                self.attribute.clear();
                (self.kind, self.has_source, self.script) = (None, false, None);
            }
            Token::AttributeName { name } => self.attribute(name, range.start),
            Token::AttributeValue { value } => self.value(value, range.start),
            Token::CloseStartTag { self_closing } => self.start_tag(self_closing, range),
            Token::String { value } => self.text(value),
            Token::EndTag { name } => {
                if let Some(script) = self.script.take()
                    && name == b"script"
                {
                    self.read.texts.push(script);
                    self.read.in_head += usize::from(self.part < Part::Body);
                }
                self.drawings -= usize::from(name == b"svg" && self.drawings > 0);
                self.part = self.part.max(if name == b"head" { Part::Body } else { Part::Head });
            }
            _ => {}
        }
    }
}

impl Reading {
    fn text(&mut self, text: &[u8]) {
        if let Some(script) = &mut self.script {
            script.push_str(&String::from_utf8_lossy(text));
            return;
        }
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        if !text.iter().all(u8::is_ascii_whitespace) {
            self.part = self.part.max(Part::Head);
        }
    }

    fn attribute(&mut self, name: &[u8], at: usize) {
        // End tags may have attributes, too, which mean nothing.
        if self.tag.is_empty() {
            return;
        }
        self.attribute = String::from_utf8_lossy(name).into_owned();
        self.expects_type = self.tag == "script" && self.attribute == "type" && self.kind.is_none();
        if self.expects_type {
            self.kind = Some(String::new());
        }
        self.has_source |= matches!(&*self.attribute, "src") && self.tag == "script";
        if is_handler(&self.attribute) {
            self.read
                .unhashable
                .push((at, Unhashable::Handler(self.attribute.clone())));
        }
    }

    fn value(&mut self, value: &[u8], at: usize) {
        let value = String::from_utf8_lossy(value);
        if self.expects_type {
            self.kind = Some(value.into_owned());
        } else if is_followed(&self.tag, &self.attribute) && is_code(&value) {
            self.read.unhashable.push((at, Unhashable::Url));
        } else if self.attribute == "srcdoc" && self.tag == "iframe" && value.to_ascii_lowercase().contains("<script") {
            self.read.unhashable.push((at, Unhashable::Frame));
        } else if let Some(directive) = directive_of(&self.tag, &self.attribute) {
            self.read.restricted.push((at, directive, value.trim().to_owned()));
        }
    }

    fn start_tag(&mut self, self_closing: bool, range: Range<usize>) {
        let is_shell = matches!(&*self.tag, "html" | "head");
        if is_shell && self.part == Part::Start {
            self.read.head = Some(range.end);
        } else if self.tag == "body" {
            self.part = Part::Body;
        } else if !is_shell {
            self.part = self.part.max(Part::Head);
        }
        self.drawings += usize::from(self.tag == "svg" && !self_closing);
        if self.tag == "script" && !self.has_source && is_run(self.kind.as_deref()) {
            if self.drawings > 0 {
                self.read.unhashable.push((range.start, Unhashable::Drawing));
            } else {
                self.script = Some(String::new());
            }
        }
        self.tag.clear();
    }
}

/// The directive for the URL of an attribute, if it is one of those that no position of a URL tells.
fn directive_of(tag: &str, attribute: &str) -> Option<&'static str> {
    match (tag, attribute) {
        ("form", "action") | ("button" | "input", "formaction") => Some("form-action"),
        ("base", "href") => Some("base-uri"),
        ("object", "data") | ("embed", "src") => Some("object-src"),
        _ => None,
    }
}

/// Whether a URL is code that does something, as browsers read it: they skip control characters and spaces in front, and
/// line ends within.
fn is_code(url: &str) -> bool {
    let url = url.trim_start_matches(|c: char| c <= ' ').chars();
    let mut url = url.filter(|c| !matches!(c, '\t' | '\n' | '\r'));
    let scheme: String = url.by_ref().take("javascript:".len()).collect();
    let code: String = url.filter(|c| !c.is_whitespace()).take("void(0);".len() + 1).collect();
    scheme.eq_ignore_ascii_case("javascript:")
        && !matches!(&*code, "" | ";" | "void(0)" | "void(0);" | "void0" | "void0;")
}

/// The start of the script in which Next.js's client finds scripts that it has to run before anything else.
const EARLY: &str = "(self.__next_s=self.__next_s||[]).push(";

/// The scripts that a client makes when it shows a page. Their order has no meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeScripts {
    /// Those that are scripts.
    pub certain: Vec<String>,
    /// Texts inside client components, which are scripts if the component is `next/script`: the payload does not tell.
    pub possible: Vec<String>,
}

/// Returns the texts of scripts that Next.js's client makes when it shows this page, and of those that the Pages Router
/// copies out of its head.
#[must_use]
pub fn made_by_client(page: &str, scripts: &[html::InlineScript], read: &InlineScripts) -> MadeScripts {
    let text = |script: &html::InlineScript| page.get(script.range.clone());
    let mut made = MadeScripts::default();
    if let Ok(Some(pushes)) = push::find(page, scripts) {
        of_payload(&pushes.stream, &mut made);
    }
    for script in scripts {
        let Some(text) = text(script) else { continue };
        if let Some(pushed) = text.strip_prefix(EARLY) {
            let mut values = serde_json::Deserializer::from_str(pushed).into_iter::<serde_json::Value>();
            if let Some(Ok(serde_json::Value::Array(items))) = values.next() {
                made.certain.extend(items.iter().filter_map(of_props));
            }
        } else if script.id.as_deref() == Some(data::SCRIPT_ID)
            && let Ok(data) = serde_json::from_str::<PageData>(text)
        {
            made.certain.extend(data.script_loader.iter().filter_map(of_props));
            made.certain.extend(read.texts.iter().take(read.in_head).cloned());
        }
    }
    made
}

#[derive(Deserialize)]
struct PageData {
    #[serde(rename = "scriptLoader", default)]
    script_loader: Vec<serde_json::Value>,
}

/// The text of a script, by the props of `next/script`.
fn of_props(props: &serde_json::Value) -> Option<String> {
    let html = props.get("dangerouslySetInnerHTML").and_then(|html| html.get("__html"));
    match html.or_else(|| props.get("children"))? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Array(texts) => texts.iter().map(|text| text.as_str()).collect(),
        _ => None,
    }
}

/// Finds texts in a payload that a client component may run as a script.
fn of_payload(stream: &str, made: &mut MadeScripts) {
    let Ok(rows) = flight::rows(stream) else { return };
    let texts = rows.iter().filter(|row| row.tag == flight::Tag::Text);
    let texts: HashMap<&str, &str> = texts
        .filter_map(|row| Some((row.id, stream.get(row.body.clone())?)))
        .collect();
    // A long text may be named many times.
    let mut named = HashSet::new();
    for row in rows.iter().filter(|row| row.tag == flight::Tag::Json) {
        // What can't be read is the survey's to report.
        let _ = json::read(&stream[row.body.clone()], &mut |event| {
            let Event::Object(object) = event else { return };
            let is_component = |element: Option<&str>| element.is_some_and(|name| name.starts_with('$'));
            let html = object
                .get("__html")
                .filter(|_| object.under == Some("dangerouslySetInnerHTML") && is_component(object.owner));
            // What has an address or a class is shown.
            let is_shown = ["href", "className"].iter().any(|key| object.get(key).is_some());
            let inner = object
                .get("children")
                .filter(|_| is_component(object.element) && !is_shown);
            let Some(found) = html.or(inner) else { return };
            let text = match found.value.strip_prefix('$') {
                None => found.value.to_string(),
                Some(escaped) if escaped.starts_with('$') => escaped.to_owned(),
                Some(id) => match texts.get(id) {
                    Some(text) if named.insert(id.to_owned()) => (*text).to_owned(),
                    _ => return,
                },
            };
            let is_markup = text.trim_start().starts_with('<') && !text.trim_start().starts_with("<!--");
            if is_markup || text.is_empty() {
                return;
            }
            if html.is_some() || object.get("strategy").is_some() {
                made.certain.push(text);
            } else if text.contains(['(', '=', '`', '+', '-', '.']) || text.starts_with("import") {
                made.possible.push(text);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::next::policy;

    #[test]
    fn the_first_place_of_the_head_is_found() {
        for (page, before) in [
            (
                "<!DOCTYPE html><!--id--><html lang=\"a>b\"><head><meta>",
                "<!DOCTYPE html><!--id--><html lang=\"a>b\"><head>",
            ),
            ("<html><title>a</title>", "<html>"),
            ("<!doctype html>\n<p>a", "<!doctype html>"),
            ("<!doctype html>a<html><head>", "<!doctype html>"),
            ("<head\n><script>'<head>'</script><head>", "<head\n>"),
            ("\u{feff}<html><head>", "\u{feff}<html><head>"),
        ] {
            assert_eq!(read(page).head.map(|at| &page[..at]), Some(before), "{page}");
        }
        for part in ["", "<p>a</p>", "a <html><head>", "<!-- <html> -->", "</p><html>"] {
            assert_eq!(read(part).head, None, "{part}");
        }
    }

    #[test]
    fn scripts_that_a_browser_runs_are_found_as_its_parser_reads_them() {
        let page = "<script>a\r\n&amp;</script><script src=x>b</script><script type=application/ld+json>c</script>\
                    <script type=module>d</script><script type=''>e</script><script type=\"Text/JavaScript\">f</script>\
                    <textarea><script>g</script></textarea><script><!--<script>h</script>--></script><script async>i</script>\
                    <template><script>j</script></template><script type=speculationrules>{}</script><script type type=application/json>k</script><script>unfinished";
        let expected = [
            "a\n&amp;",
            "d",
            "e",
            "f",
            "<!--<script>h</script>-->",
            "i",
            "j",
            "{}",
            "k",
        ];
        assert_eq!(read(page).texts, expected);
    }

    #[test]
    fn code_that_no_hash_allows_is_found() {
        let page = "<a onclick=a onlyhere=b href=' java\nscript:c'><svg><script>d</script></svg><p>onload=e</p onload=f>\
                    <a href='javascript:void(0)'>g</a><div href='javascript:h'></div><iframe srcdoc='<script>i</script>'></iframe>";
        let found: Vec<Unhashable> = read(page).unhashable.into_iter().map(|(_, what)| what).collect();
        let expected = [
            Unhashable::Handler("onclick".to_owned()),
            Unhashable::Url,
            Unhashable::Drawing,
            Unhashable::Frame,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn scripts_of_the_client_are_found_where_it_keeps_them() {
        let early = "(self.__next_s=self.__next_s||[]).push([0,{\"children\":\"early()\",\"id\":\"a\"}])";
        let rows = "1:I[1,[],\"\"]\n2:T10,long(),long(),0\\n0:[\\\"$\\\",\\\"$L1\\\",null,{\\\"id\\\":\\\"b\\\",\\\"children\\\":\\\"late()\\\"}]\\n\
                    3:[[\\\"$\\\",\\\"$L1\\\",null,{\\\"dangerouslySetInnerHTML\\\":{\\\"__html\\\":\\\"$2\\\"}}],\
                    [\\\"$\\\",\\\"div\\\",null,{\\\"dangerouslySetInnerHTML\\\":{\\\"__html\\\":\\\"markup()\\\"}}],\
                    [\\\"$\\\",\\\"$L1\\\",null,{\\\"id\\\":\\\"c\\\",\\\"children\\\":\\\"$$(jquery)\\\"}],\
                    [\\\"$\\\",\\\"$L1\\\",null,{\\\"id\\\":\\\"d\\\",\\\"children\\\":\\\"A heading\\\"}],\
                    [\\\"$\\\",\\\"$L1\\\",null,{\\\"href\\\":\\\"/\\\",\\\"children\\\":\\\"a-link()\\\"}],\
                    [\\\"$\\\",\\\"$L1\\\",null,{\\\"children\\\":\\\"without-id()\\\"}]]\\n";
        let rows = rows.replace(
            "1:I[1,[],\"\"]\n2:T10,long(),long(),0\\n",
            "1:I[1,[],\\\"\\\"]\\n2:Tf,long(),long(),0",
        );
        let page = format!(
            "<head><script>head()</script></head><script>{early}</script><script>self.__next_f.push([1,\"{rows}\"])</script>\
             <script id=\"__NEXT_DATA__\" type=\"application/json\">{{\"scriptLoader\":[{{\"id\":\"e\",\"children\":[\"of\",\"Pages()\"]}}]}}</script>"
        );
        let mut made = made_by_client(&page, &policy::scripts(&page), &read(&page));
        made.certain.sort();
        made.possible.sort();
        assert_eq!(made.certain, ["early()", "head()", "long(),long(),0", "ofPages()"]);
        assert_eq!(made.possible, ["$(jquery)", "late()", "without-id()"]);
    }
}
