//! What the survey notes of a page and of its payload files. Pure: it must not read files.

use std::collections::BTreeSet;

use super::code::survey_code;
use super::paths::Lookup;
use super::{Context, Facts, FaultyUrl, Fragment, Lines, Position, UrlFault};
use crate::config::is_loopback;
use crate::next::page::{self, Router};
use crate::next::url::{SiteUrl, Target, is_relative};
use crate::next::{Edits, Reference, TextVisitor, Unclear, html};

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
fn base_of(text: &str, address: &str) -> Option<String> {
    // Few pages have one, and searching for it is far cheaper than parsing the page twice.
    let head = text.find("<body").map_or(text, |body| &text[..body]);
    let may_have_one = head.contains("<base") || head.contains("<BASE");
    let base = may_have_one.then(|| html::walk(head, 0, &mut Deaf).base).flatten()?;
    if is_relative(&base) {
        let folder = address.rfind('/').map_or("", |slash| &address[..=slash]);
        return Some(format!("{folder}{base}"));
    }
    Some(base)
}

/// Visitor that ignores everything.
struct Deaf;

impl TextVisitor for Deaf {
    fn url(&mut self, _: Reference<'_>) -> Option<String> {
        None
    }
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
        fn url(&mut self, _: Reference<'_>) -> Option<String> {
            None
        }
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
}

impl TextVisitor for Markup<'_> {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        let (index, url) = self.notes.resolve(&reference)?;
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

/// Whether a host is the reader's own machine.
fn is_local(host: &str) -> bool {
    is_loopback(host) || host.ends_with(".localhost") || host == "0.0.0.0"
}

/// Returns the file that a URL leads to, and the URL's parts. `None` if the URL does not belong to the site.
fn resolve(address: &str, url: &str, context: &Context<'_>) -> Result<Option<(usize, SiteUrl)>, UrlFault> {
    match resolve_own(address, url, context) {
        Err(UrlFault::Missing | UrlFault::Spelled { .. } | UrlFault::OutsideBasePath { .. })
            if is_elsewhere(address, url, context) =>
        {
            Ok(None)
        }
        resolved => resolved,
    }
}

/// Whether something else on the host serves this address.
fn is_elsewhere(address: &str, url: &str, context: &Context<'_>) -> bool {
    let Some(elsewhere) = context.elsewhere else {
        return false;
    };
    match context.beside.resolve(address, url) {
        Target::Site(meant) => elsewhere.is_match(meant.path.trim_end_matches('/')),
        _ => false,
    }
}

fn resolve_own(address: &str, url: &str, context: &Context<'_>) -> Result<Option<(usize, SiteUrl)>, UrlFault> {
    match context.resolver.resolve(address, url) {
        Target::Site(site) => match context.paths.look_up(&site.path) {
            Lookup::File(index) => Ok(Some((index, site))),
            Lookup::Otherwise(index) => Err(UrlFault::Spelled {
                right: context.resolver.page_address(context.paths.path(index)),
            }),
            Lookup::Nothing => Err(UrlFault::Missing),
            Lookup::Encoding => Ok(None),
        },
        Target::Outside => match context.beside.resolve(address, url) {
            Target::Site(meant) => match context.paths.look_up(&meant.path) {
                // The host's own first page is not part of the site, whose first page is at the base path.
                Lookup::File(index) if !meant.path.is_empty() => Err(UrlFault::OutsideBasePath {
                    right: context.resolver.page_address(context.paths.path(index)),
                }),
                _ => Ok(None),
            },
            _ => Ok(None),
        },
        Target::Host(host) if is_local(&host) => Err(UrlFault::Local { host }),
        Target::Malformed => Err(UrlFault::Malformed),
        Target::Host(_) | Target::Nothing => Ok(None),
    }
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
