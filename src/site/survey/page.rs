//! What the survey notes of a page and of its payload files. Pure: it must not read files.

use std::collections::BTreeSet;

use super::address::{LeadsTo, lead, resolve};
use super::code::survey_code;
use super::head::{Head, ShownPicture};
use super::picture::is_picture;
use super::{Context, Facts, FaultyUrl, Fragment, Lines, Position};
use crate::next::page::{self, Router};
use crate::next::url::{SiteUrl, Target, is_relative};
use crate::next::{Edits, Reference, Tag, TextVisitor, Unclear, html};

/// The element of a component that Astro's client renders again. Its props are escaped JSON in an attribute; they go to
/// code, so all files that such a page names keep their addresses.
const ISLAND: &str = "<astro-island";

/// Surveys a page.
pub(super) fn survey_page(path: &str, text: &str, context: &Context<'_>) -> Facts {
    let address = context.resolver.page_address(path);
    let base = base_of(text, &address);
    let has_base = base.is_some();
    let address = base.unwrap_or(address);
    let mut markup = Markup {
        notes: UrlNotes::new(&address, text, context),
        head: Head::default(),
        role: Role::Other,
        loads: BTreeSet::new(),
        has_candidates: false,
        fetched: BTreeSet::new(),
        kept: BTreeSet::new(),
    };
    let mut payload = Payload {
        address: &address,
        context,
        fetched: BTreeSet::new(),
        kept: BTreeSet::new(),
        ids: BTreeSet::new(),
        odd: Vec::new(),
        unclassified: 0,
    };
    let read = page::rewrite(text, &mut markup, &mut payload);
    let mut facts = std::mem::take(&mut markup.notes.facts);
    facts.anchors.sort_unstable();
    facts.anchors.dedup();
    facts.unclassified = payload.unclassified;
    facts.odd.append(&mut payload.odd);
    facts.ids = payload.ids.into_iter().collect();
    let words: Vec<&str> = markup.head.title.split_whitespace().collect();
    markup.head.title = words.join(" ");
    facts.loads = markup.loads.into_iter().collect();
    facts.head = Some(Box::new(markup.head));
    match read {
        Ok(page) => {
            facts.router = Some(page.router);
            // Payload files don't state the base of their relative URLs.
            if !has_base {
                let kept = &(&markup.kept | &payload.kept);
                facts.used = agreed(page.router, &markup.fetched, &payload.fetched, kept);
            }
        }
        Err(unclear) => facts.unclear = Some(unclear),
    }
    let all = [markup.fetched, markup.kept, payload.fetched, payload.kept];
    let mut all: BTreeSet<usize> = all.into_iter().flatten().collect();
    if text.contains(ISLAND) {
        all.extend(survey_code(text.replace("&quot;", "\"").as_bytes(), context).kept);
        facts.used.clear();
    }
    let kept = all.into_iter().filter(|index| facts.used.binary_search(index).is_err());
    facts.kept = kept.collect();
    facts
}

/// Returns the base of a page's relative URLs, if a `<base>` sets it.
pub(super) fn base_of(text: &str, address: &str) -> Option<String> {
    // Few pages have one, and searching for it is far cheaper than parsing the page twice.
    let head = text.find("<body").map_or(text, |body| &text[..body]);
    let may_have_one = head.contains("<base") || head.contains("<BASE");
    let base = may_have_one
        .then(|| html::walk(head, 0, &mut |_: Reference<'_>| None).base)
        .flatten()?;
    if is_relative(&base) {
        let folder = address.rfind('/').map_or("", |slash| &address[..=slash]);
        return Some(format!("{folder}{base}"));
    }
    Some(base)
}

/// Returns the files whose URLs get a fingerprint in a page.
///
/// React renders parts of the page again from the payload. A URL must then be the same in the payload as in the markup,
/// or the browser fetches both. A URL therefore gets a fingerprint only if it is an attribute of an element in both,
/// and nothing else in either: a prop of a component goes to code, which may do anything with it. The data of the Pages
/// Router consists of props only, so it never qualifies. A page without a client has only its markup.
fn agreed(router: Router, markup: &BTreeSet<usize>, payload: &BTreeSet<usize>, kept: &BTreeSet<usize>) -> Vec<usize> {
    let fits = |index: &usize| match router {
        Router::App => payload.contains(index),
        Router::Pages => false,
        Router::None => true,
    };
    let fitting = markup.iter().filter(|index| fits(index) && !kept.contains(index));
    fitting.copied().collect()
}

/// Surveys a payload or data file. Only the build ID is noted, because its URLs are those of its page.
pub(super) fn survey_ids(
    text: &str,
    rewrite: &mut dyn FnMut(&str, &mut dyn TextVisitor) -> Result<Edits, Unclear>,
) -> Facts {
    #[derive(Default)]
    struct Ids(Facts);
    impl TextVisitor for Ids {
        fn build_id(&mut self, id: &str) -> Option<String> {
            self.0.ids.push(id.to_owned());
            None
        }
        fn unclear(&mut self, what: &Unclear) {
            self.0.odd.push(what.clone());
        }
    }
    let mut ids = Ids::default();
    let read = rewrite(text, &mut ids);
    let mut facts = ids.0;
    facts.unclear = read.err();
    facts.ids.sort_unstable();
    facts.ids.dedup();
    facts
}

/// The facts that a text reveals while its URLs are visited.
pub(super) struct UrlNotes<'a> {
    address: &'a str,
    lines: Lines<'a>,
    context: &'a Context<'a>,
    pub(super) facts: Facts,
}

impl<'a> UrlNotes<'a> {
    pub(super) fn new(address: &'a str, text: &'a str, context: &'a Context<'a>) -> Self {
        Self {
            address,
            lines: Lines::new(text.as_bytes()),
            context,
            facts: Facts::default(),
        }
    }

    /// Returns the file that a URL leads to, and the URL's parts. `None` if the URL does not belong to the site, or has
    /// a fault, which is noted.
    pub(super) fn resolve(&mut self, reference: &Reference<'_>) -> Option<(usize, SiteUrl)> {
        match resolve(self.address, reference.url, self.context) {
            Ok(found) => found,
            Err(fault) => {
                self.facts.faulty.push(FaultyUrl {
                    line: self.lines.at(reference.at),
                    url: reference.url.to_owned(),
                    position: reference.position,
                    fault,
                });
                None
            }
        }
    }
}

struct Markup<'a> {
    notes: UrlNotes<'a>,
    /// Files named where a fingerprint is allowed.
    fetched: BTreeSet<usize>,
    /// Files named where a fingerprint is not allowed, and fetched from there.
    kept: BTreeSet<usize>,
    head: Head,
    /// What the current tag is.
    role: Role,
    /// Scripts and style sheets that a browser loads before it shows the page, or at once afterwards.
    loads: BTreeSet<usize>,
    /// Whether the next `<img>` has other pictures to choose from, in a `<source>` before it.
    has_candidates: bool,
}

/// What a tag is, as far as the files that it names are concerned.
enum Role {
    /// A picture that is shown as large as its attributes say.
    Sized,
    /// It only fetches a file, or says what it is for.
    Link,
    /// It fetches a file for later, or one that browsers of today ignore.
    Aside,
    Other,
}

impl Markup<'_> {
    /// Returns the size of an `<img>` that shows one picture, and shows it as large as its attributes say.
    fn shown(&mut self, tag: &Tag<'_>) -> Option<(u32, u32)> {
        let has_candidates = std::mem::take(&mut self.has_candidates) || (tag.get)("srcset").is_some();
        let pixels = |name: &str| (tag.get)(name)?.trim().parse::<u32>().ok();
        Some((pixels("width")?, pixels("height")?)).filter(|_| !has_candidates)
    }
}

impl TextVisitor for Markup<'_> {
    fn tag(&mut self, tag: &Tag<'_>) {
        self.role = match tag.name {
            "link" if (tag.get)("rel").is_some_and(|rel| rel.to_ascii_lowercase().contains("prefetch")) => Role::Aside,
            "script" if (tag.get)("nomodule").is_some() => Role::Aside,
            "link" => Role::Link,
            _ => Role::Other,
        };
        match tag.name {
            "source" => self.has_candidates |= (tag.get)("srcset").is_some(),
            "img" => {
                if let Some(size) = self.shown(tag)
                    && let Some(url) = (tag.get)("src")
                    && let LeadsTo::File(file) = lead(self.notes.address, url.trim(), self.notes.context)
                    && is_picture(self.notes.context.paths.path(file))
                {
                    self.role = Role::Sized;
                    self.notes.facts.pictures.push(ShownPicture { file, size: Some(size) });
                }
            }
            _ => {
                let notes = &mut self.notes;
                self.head.note(tag, notes.address, &mut notes.lines, notes.context);
            }
        }
    }

    fn title(&mut self, text: &str) {
        self.head.title.push_str(text);
    }

    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let (index, url) = self.notes.resolve(&reference)?;
        if matches!(self.role, Role::Other) && is_picture(self.notes.context.paths.path(index)) {
            let file = ShownPicture {
                file: index,
                size: None,
            };
            self.notes.facts.pictures.push(file);
        }
        if matches!(reference.position, Position::Script | Position::Style) && !matches!(self.role, Role::Aside) {
            self.loads.insert(index);
        }
        if reference.position == Position::Link {
            let notes = &mut self.notes;
            let is_page = notes.context.paths.path(index).ends_with(".html");
            if let Some(name) = url.fragment.as_deref().map(place).filter(|name| is_page && is_id(name)) {
                notes.facts.fragments.push(Fragment {
                    line: notes.lines.at(reference.at),
                    page: index,
                    name: name.to_owned(),
                });
            }
        } else if url.query.is_none() {
            if reference.position.takes_fingerprint() {
                self.fetched.insert(index);
            } else if matches!(reference.position, Position::CssUrl | Position::CssImport) {
                self.kept.insert(index);
            }
        }
        None
    }

    fn anchor(&mut self, name: &str) {
        self.notes.facts.anchors.push(name.to_owned());
    }

    fn unclear(&mut self, what: &Unclear) {
        self.notes.facts.odd.push(what.clone());
    }
}

/// Returns a fragment without its directive: `part:~:text=x` refers to the place `part`.
fn place(fragment: &str) -> &str {
    fragment.split(":~:").next().unwrap_or_default()
}

/// Whether a fragment refers to an `id`. `#` and `#top` lead to the top of any page; `#/…` and `#!…` are read by
/// scripts.
fn is_id(place: &str) -> bool {
    !place.is_empty() && !place.eq_ignore_ascii_case("top") && !place.starts_with(['/', '!'])
}

struct Payload<'a> {
    address: &'a str,
    context: &'a Context<'a>,
    fetched: BTreeSet<usize>,
    kept: BTreeSet<usize>,
    ids: BTreeSet<String>,
    odd: Vec<Unclear>,
    unclassified: u32,
}

impl TextVisitor for Payload<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        if !reference.position.is_fetched() && reference.position != Position::Unknown {
            return None;
        }
        let Target::Site(url) = self.context.resolver.resolve(self.address, reference.url) else {
            return None;
        };
        let index = self.context.paths.file(&url.path)?;
        self.unclassified += u32::from(reference.position == Position::Unknown);
        if url.query.is_none() {
            if reference.position.takes_fingerprint() {
                self.fetched.insert(index);
            } else if reference.position != Position::Card {
                self.kept.insert(index);
            }
        }
        None
    }

    fn build_id(&mut self, id: &str) -> Option<String> {
        self.ids.insert(id.to_owned());
        None
    }

    fn unclear(&mut self, what: &Unclear) {
        self.odd.push(what.clone());
    }
}
