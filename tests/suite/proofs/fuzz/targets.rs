//! The fuzzed parsers, and their properties.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use syntax_publish::next::url::{Resolver, Target as Named, encoded, is_relative};
use syntax_publish::next::{
    Edits, Position, Reference, TextVisitor, Unclear, css, data, flight, html, page, push, srcset,
};

/// A parser, and the properties of any text that it gets.
pub struct Target {
    /// The name that selects it, and that of its corpus folder.
    pub name: &'static str,
    /// Returns the violated property, or a number that differs if the parser behaved differently.
    pub run: fn(&str) -> Result<u64, String>,
}

/// All targets: one for each language, and one for each kind of record in a store.
pub const TARGETS: &[Target] = &[
    Target {
        name: "css",
        run: |text| {
            let read: Read<'_> = &|text, notes| css::rewrite(text, 0, notes);
            rewriting_holds(text, read, ODD)
        },
    },
    Target {
        name: "data",
        run: |text| {
            let in_page = |text: &str, notes: &mut Notes| data::rewrite_in_page(text, 0, notes);
            rewriting_holds(text, &in_page, if has_sets(text) { PLAIN } else { ODD })
        },
    },
    Target {
        name: "document",
        run: super::records::document,
    },
    Target {
        name: "flight",
        run: flight,
    },
    Target {
        name: "html",
        run: |text| {
            let walk = |text: &str, notes: &mut Notes| Ok(html::walk(text, 0, notes).edits);
            let traits = rewriting_holds(text, &walk, if has_sets(text) { PLAIN } else { ODD })?;
            scripts_stay(text)?;
            Ok(traits)
        },
    },
    Target {
        name: "json",
        run: json,
    },
    Target {
        name: "manifest",
        run: super::records::manifest,
    },
    Target {
        name: "page",
        run: |text| {
            let read: Read<'_> = &|text, notes| {
                let mut payload = notes.like();
                let page = page::rewrite(text, notes, &mut payload);
                notes.take(payload);
                page.map(|page| page.edits)
            };
            rewriting_holds(text, read, PLAIN)
        },
    },
    Target {
        name: "push",
        run: pushes,
    },
    Target {
        name: "record",
        run: super::records::record,
    },
    Target {
        name: "srcset",
        run: sets,
    },
    Target { name: "url", run: urls },
];

/// The answer of a visitor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// No replacement.
    Nothing,
    /// The existing text.
    Same,
    /// This URL, for every URL.
    All(&'static str),
    /// This URL, for every second URL.
    Half(&'static str),
}

/// A visitor that records its calls.
#[derive(Clone)]
struct Notes {
    answer: Answer,
    urls: Vec<(String, Position)>,
    /// Which of the URLs were to be replaced.
    asked: Vec<bool>,
    ids: Vec<String>,
    comments: Vec<String>,
    unclear: Vec<Unclear>,
}

const ID: &str = "0123456789abcdef0123";

impl Notes {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            urls: Vec::new(),
            asked: Vec::new(),
            ids: Vec::new(),
            comments: Vec::new(),
            unclear: Vec::new(),
        }
    }

    fn like(&self) -> Self {
        Self::new(self.answer)
    }

    fn take(&mut self, mut other: Self) {
        self.urls.append(&mut other.urls);
        self.asked.append(&mut other.asked);
        self.ids.append(&mut other.ids);
        self.comments.append(&mut other.comments);
        self.unclear.append(&mut other.unclear);
    }

    fn id(&self, old: &str) -> Option<String> {
        match self.answer {
            Answer::Nothing => None,
            Answer::Same => Some(old.to_owned()),
            Answer::All(_) | Answer::Half(_) => Some(ID.to_owned()),
        }
    }
}

impl TextVisitor for Notes {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let answer = match self.answer {
            // Like the fingerprint, it leaves a URL of unknown position unchanged.
            _ if reference.position == Position::Unknown => None,
            Answer::Nothing => None,
            Answer::Same => Some(reference.url.to_owned()),
            Answer::All(new) => Some(new.to_owned()),
            Answer::Half(new) => self.urls.len().is_multiple_of(2).then(|| new.to_owned()),
        };
        self.urls.push((reference.url.to_owned(), reference.position));
        self.asked.push(answer.is_some());
        answer
    }
    fn build_id(&mut self, id: &str) -> Option<String> {
        self.ids.push(id.to_owned());
        self.id(id)
    }
    fn build_comment(&mut self, text: &str) -> Option<String> {
        self.comments.push(text.to_owned());
        self.id(text)
    }
    fn unclear(&mut self, what: &Unclear) {
        self.unclear.push(what.clone());
    }
}

type Read<'r> = &'r dyn Fn(&str, &mut Notes) -> Result<Edits, Unclear>;

/// A URL as [`Resolver::url_of`] writes it, which is valid anywhere.
const PLAIN: &str = "/_assets/images/gr%C3%B6%C3%9Fe%20%281%29.0123456789abcdef.png";
/// A URL of every character with a meaning in one of the languages. It is not valid in a `srcset`.
const ODD: &str = "/a b,&amp;\"'<!--</style></script>-->)(]}\\61 %{;\u{2028}ü\n\tx";

fn has_sets(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("srcset") || text.contains("\\u") || text.contains('&')
}

fn must(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Whatever the visitor answers, only what it names changes, and reading the result gives its answers.
fn rewriting_holds(text: &str, read: Read<'_>, new: &'static str) -> Result<u64, String> {
    let mut plain = Notes::new(Answer::Nothing);
    let edits = match read(text, &mut plain) {
        Ok(edits) => edits,
        Err(unclear) => return Ok(traits(&plain, Some(&unclear))),
    };
    must(edits.is_empty() && edits.apply(text) == text, || {
        "it changes what nobody asked for".to_owned()
    })?;
    for answer in [Answer::Same, Answer::All(new), Answer::Half(new), Answer::All(PLAIN)] {
        let (first, once) = rewritten(text, read, answer)?;
        must(first.urls == plain.urls && first.ids == plain.ids, || {
            "an answer changes what is asked".to_owned()
        })?;
        let (again, twice) = rewritten(&once, read, answer)?;
        read_as_said(&first, &again, answer).map_err(|what| format!("{what}\nfrom {text:?}\nto   {once:?}"))?;
        let stays = twice == once;
        must(stays, || format!("twice is not once:\n{once:?}\n{twice:?}"))?;
    }
    Ok(traits(&plain, None))
}

fn rewritten(text: &str, read: Read<'_>, answer: Answer) -> Result<(Notes, String), String> {
    let mut notes = Notes::new(answer);
    let edits = read(text, &mut notes).map_err(|unclear| format!("not read any more: {unclear}\n{text:?}"))?;
    let mut before = 0;
    for (range, _) in edits.iter() {
        must(range.start >= before && range.start <= range.end, || {
            "edits overlap".to_owned()
        })?;
        must(text.get(range.clone()).is_some(), || {
            format!("no part of the text: {range:?}")
        })?;
        before = range.end;
    }
    let new = edits.apply(text);
    Ok((notes, new))
}

fn read_as_said(first: &Notes, again: &Notes, answer: Answer) -> Result<(), String> {
    must(first.urls.len() == again.urls.len(), || {
        format!("{:?} became {:?}", first.urls, again.urls)
    })?;
    for ((old, asked), new) in first.urls.iter().zip(&first.asked).zip(&again.urls) {
        let wanted = match answer {
            Answer::All(new) | Answer::Half(new) if *asked => new,
            _ => old.0.as_str(),
        };
        // What is reported as unclear stays.
        let may_stay = !first.unclear.is_empty() && new.0 == old.0;
        must(old.1 == new.1 && (new.0 == wanted || may_stay), || {
            format!("{old:?} became {new:?} and not {wanted:?}")
        })?;
    }
    let ids_fit = match answer {
        Answer::All(_) | Answer::Half(_) => again.ids.iter().chain(&again.comments).all(|id| id == ID),
        _ => again.ids == first.ids && again.comments == first.comments,
    };
    must(ids_fit && again.ids.len() == first.ids.len(), || {
        format!("ids {:?} became {:?}", first.ids, again.ids)
    })
}

/// A hash of roughly what a parser did.
fn traits(notes: &Notes, end: Option<&Unclear>) -> u64 {
    let kind = |unclear: &Unclear| std::mem::discriminant(unclear);
    let mut hasher = DefaultHasher::new();
    end.map(kind).hash(&mut hasher);
    let positions: BTreeSet<Position> = notes.urls.iter().map(|(_, position)| *position).collect();
    positions.hash(&mut hasher);
    notes.urls.len().min(12).hash(&mut hasher);
    notes.ids.len().min(2).hash(&mut hasher);
    notes.comments.len().hash(&mut hasher);
    notes.unclear.first().map(kind).hash(&mut hasher);
    hasher.finish()
}

/// The scripts of a page stay the same when the text around them changes.
fn scripts_stay(text: &str) -> Result<(), String> {
    let scripts = |text: &str| -> Vec<(Option<String>, Option<String>)> {
        let walked = html::walk(text, 0, &mut Notes::new(Answer::Nothing));
        let scripts = walked.scripts.into_iter();
        scripts
            .map(|script| (text.get(script.range).map(str::to_owned), script.id))
            .collect()
    };
    let edits = html::walk(text, 0, &mut Notes::new(Answer::All(PLAIN))).edits;
    let (before, after) = (scripts(text), scripts(&edits.apply(text)));
    must(before.iter().all(|(text, _)| text.is_some()), || {
        "a script is no part of the page".to_owned()
    })?;
    must(before == after, || format!("scripts {before:?} became {after:?}"))
}

/// The same as [`rewriting_holds`]. In addition the rows stay the same rows, each with the correct length of its text.
fn flight(text: &str) -> Result<u64, String> {
    let read: Read<'_> = &|text, notes| page::rewrite_payload(text, notes);
    let traits = rewriting_holds(text, read, if has_sets(text) { PLAIN } else { ODD })?;
    let Ok(rows) = flight::rows(text) else {
        return Ok(traits);
    };
    let Ok(edits) = page::rewrite_payload(text, &mut Notes::new(Answer::All(PLAIN))) else {
        return Ok(traits);
    };
    let new = edits.apply(text);
    let new_rows = flight::rows(&new).map_err(|unclear| format!("its rows are lost: {unclear}"))?;
    must(rows.len() == new_rows.len(), || "it has other rows".to_owned())?;
    for (old, now) in rows.iter().zip(&new_rows) {
        must((old.id, old.tag) == (now.id, now.tag), || {
            format!("the row {old:?} became {now:?}")
        })?;
        if now.tag == flight::Tag::Text {
            let written = format!("T{:x},{}", now.body.len(), &new[now.body.clone()]);
            let changed = text[old.body.clone()] != new[now.body.clone()];
            must(!changed || new[now.whole.clone()] == written, || {
                format!("the length of {now:?} is wrong")
            })?;
        }
    }
    Ok(traits)
}

/// JSON is read, and nothing else is. Markup and style sheets in it do not matter here.
fn json(text: &str) -> Result<u64, String> {
    let mut notes = Notes::new(Answer::Nothing);
    let ours = data::rewrite_file(text, &mut notes);
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    match (&ours, &theirs) {
        (Err(_), Ok(_)) => return Err("JSON that is not read".to_owned()),
        // The other parser goes 128 levels deep.
        (Ok(_), Err(error)) if !error.to_string().contains("recursion limit") => {
            return Err(format!("read, and no JSON: {error}"));
        }
        _ => {}
    }
    if let Ok(value) = theirs {
        let edits = data::rewrite_file(text, &mut Notes::new(Answer::Same)).map_err(|unclear| unclear.to_string())?;
        let again = serde_json::from_str::<serde_json::Value>(&edits.apply(text)).map_err(|error| error.to_string())?;
        let sees_inside = text.contains("style") || text.contains("__html") || text.contains("\\u");
        must(sees_inside || value == again, || {
            "answers that change nothing change its value".to_owned()
        })?;
    }
    Ok(traits(&notes, ours.as_ref().err()))
}

/// A payload is read from a page unchanged, wherever it is cut, and so are edits of it.
fn pushes(text: &str) -> Result<u64, String> {
    let mut count = 0;
    for cut in [1, 3, 7, 50, usize::MAX] {
        // A page of a few dozen pieces has all kinds of cuts.
        let cut = cut.max(text.len() / 50);
        let mut page = "<!doctype html><script>(self.__next_f=self.__next_f||[]).push([0])</script>".to_owned();
        let mut piece = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            piece.push(c);
            if piece.len() >= cut || chars.peek().is_none() {
                let literal = serde_json::Value::from(piece.as_str()).to_string();
                let kept_out = ['&', '<', '>', '\u{2028}', '\u{2029}'];
                let safe = kept_out.iter().fold(literal, |literal, c| {
                    literal.replace(*c, &format!("\\u{:04x}", u32::from(*c)))
                });
                page.extend(["<script>self.__next_f.push([1,", &safe, "])</script>"]);
                piece.clear();
            }
        }
        let pushed = stream_holds(&page)?.unwrap_or_default();
        must(pushed == text, || format!("cut after {cut}: {pushed:?}"))?;
    }
    if let Ok(Some(stream)) = stream_holds(text).map_err(|what| format!("as a page: {what}")) {
        count = stream.len().min(40);
    }
    let scripts = html::walk(text, 0, &mut Notes::new(Answer::Nothing)).scripts;
    let end = push::find(text, &scripts).err();
    Ok(traits(&Notes::new(Answer::Nothing), end.as_ref()).wrapping_add(count as u64))
}

/// If a page has a readable payload, edits of the payload are edits of the page. Returns the payload.
fn stream_holds(page: &str) -> Result<Option<String>, String> {
    let find = |page: &str| {
        let scripts = html::walk(page, 0, &mut Notes::new(Answer::Nothing)).scripts;
        push::find(page, &scripts)
    };
    let Ok(Some(pushes)) = find(page) else { return Ok(None) };
    let places: Vec<usize> = pushes.stream.char_indices().map(|(at, _)| at).collect();
    for (step, width, new) in [(1, 1, ""), (5, 3, "<\"ä\\"), (2, 0, "&"), (40, 30, "\u{2028}\n")] {
        let mut edits = Edits::default();
        for (index, from) in places.iter().enumerate().step_by(step) {
            let to = places.get(index + width).copied();
            edits.replace(*from..to.unwrap_or(pushes.stream.len()), new.to_owned());
        }
        edits.replace(pushes.stream.len()..pushes.stream.len(), "end".to_owned());
        let wanted = edits.apply(&pushes.stream);
        if pushes.stream.is_empty() {
            continue;
        }
        let changed = pushes.edits(&edits).apply(page);
        match find(&changed) {
            Ok(Some(again)) => must(again.stream == wanted, || {
                format!("{wanted:?} was written, {:?} is read\n{page:?}", again.stream)
            })?,
            other => return Err(format!("not read any more: {other:?}\n{changed:?}")),
        }
    }
    Ok(Some(pushes.stream))
}

/// The parts are URLs, in order, without the characters that end a URL. If one is replaced, the replacement is read
/// back.
fn sets(text: &str) -> Result<u64, String> {
    let ranges = srcset::urls(text);
    let mut before = 0;
    let mut edits = Edits::default();
    for range in &ranges {
        let url = text.get(range.clone()).ok_or("no part of the text")?;
        must(range.start >= before && !url.is_empty(), || "out of order".to_owned())?;
        must(!url.contains(|c: char| c.is_ascii_whitespace()), || {
            format!("white space in {url:?}")
        })?;
        must(!url.starts_with(',') && !url.ends_with(','), || {
            format!("a comma around {url:?}")
        })?;
        edits.replace(range.clone(), PLAIN.to_owned());
        before = range.end;
    }
    let new = edits.apply(text);
    let again = srcset::urls(&new);
    must(
        again.len() == ranges.len() && again.iter().all(|range| &new[range.clone()] == PLAIN),
        || format!("{new:?} is read otherwise"),
    )?;
    Ok(ranges.len().min(40) as u64 * 2 + u64::from(text.contains('(')))
}

/// For each line, the fast and the slow code give the same name, and a path can be recovered from its URL.
fn urls(text: &str) -> Result<u64, String> {
    let mut hasher = DefaultHasher::new();
    for (origin, base) in [(Some("https://docs.example.com"), "/docs"), (None, "")] {
        let resolver = Resolver::new(origin, base);
        for url in text.lines() {
            let named = resolver.resolve("/docs/usage/a", url);
            std::mem::discriminant(&named).hash(&mut hasher);
            // A URL with a fragment takes the slow code for all URLs.
            if !url.is_empty() && !url.contains('#') && url.trim_matches(|c: char| c <= ' ') == url {
                let slow = resolver.resolve("/docs/usage/a", &format!("{url}#x"));
                let without = |named: &Named| match named {
                    Named::Site(site) => Ok((site.path.clone(), site.query.clone())),
                    other => Err(other.clone()),
                };
                must(without(&slow) == without(&named), || {
                    format!("{url:?} names {named:?}, and with a fragment {slow:?}")
                })?;
            }
            if !is_relative(url) && !url.starts_with('#') {
                let elsewhere = resolver.resolve("/b", url);
                must(elsewhere == named, || {
                    format!("{url:?} is not relative, and names {named:?} or {elsewhere:?}")
                })?;
            }
            let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
            if url.split('/').all(is_name) && !url.contains('\t') && !url.contains('\r') {
                let named = resolver.resolve("/docs/usage/a", &format!("{}/{}", resolver.base_path(), encoded(url)));
                let is_it = matches!(&named, Named::Site(site) if site.path == url && site.query.is_none() && site.fragment.is_none());
                must(is_it, || format!("the URL of {url:?} names {named:?}"))?;
            }
        }
    }
    Ok(hasher.finish())
}
