//! The addresses that a redirect rule is for, and its target. Pure.
//!
//! Addresses are percent-encoded, in one canonical spelling ([`spell`]). A visitor may write the digits of an encoded
//! byte in lower case; any other spelling of an address is not matched, by nginx neither. So a `Location` is made only
//! of what the rule says and of parts of an address that [`Address::spelled`] accepts.
//!
//! [`Address::spelled`]: crate::rules::Address::spelled

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::next::url;
use crate::rules::address::{DISGUISES, HARMLESS};
use crate::rules::lines::{is_name, is_of_name};

/// The name of what a splat matches.
const SPLAT: &str = "splat";

/// What the names of a rule stand for.
pub(super) type Named<'n> = BTreeMap<&'n str, &'n str>;

/// The addresses that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Piece>,
    has_splat: bool,
}

/// A part of an address or a target. In an address, each is one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Any text, by its name.
    Name(String),
}

impl Piece {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Text(_) => None,
        }
    }
}

impl Pattern {
    pub(super) fn parse(from: &str) -> Result<Self, String> {
        if from.starts_with("http://") || from.starts_with("https://") {
            return Err("is for another host; a vhost answers for one".to_owned());
        }
        let Some(path) = from.strip_prefix('/') else {
            return Err("has an address that does not start with `/`".to_owned());
        };
        if from.contains('?') {
            return Err("depends on the query, and redirects here depend on the path alone".to_owned());
        }
        if from.contains('#') {
            return Err("has a `#` in its address, and browsers don't send what follows one".to_owned());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut pattern = Self {
            segments: Vec::new(),
            has_splat: false,
        };
        for segment in path.split('/').filter(|_| !path.is_empty()) {
            if pattern.has_splat || (segment.contains('*') && segment != "*") {
                return Err("has a `*` that is not the last segment".to_owned());
            }
            match segment.strip_prefix(':') {
                _ if segment == "*" => pattern.has_splat = true,
                Some(name) if is_name(name) => pattern.segments.push(Piece::Name(name.to_owned())),
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    return Err("has a placeholder that is not a whole segment".to_owned());
                }
                _ => pattern.segments.push(Piece::Text(spell(segment)?)),
            }
        }
        let mut names = pattern.names();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("uses a placeholder twice".to_owned());
        }
        Ok(pattern)
    }

    /// The names, in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        let named = self.segments.iter().filter_map(Piece::name);
        named.chain(self.has_splat.then_some(SPLAT)).collect()
    }

    /// The address, if it is only one.
    pub(super) fn fixed(&self) -> Option<String> {
        self.names().is_empty().then(|| self.filled(&Named::new()))?
    }

    /// The address with these parts in place of the names.
    pub(super) fn filled(&self, named: &Named<'_>) -> Option<String> {
        let mut address = String::new();
        for segment in &self.segments {
            address.push('/');
            address += match segment {
                Piece::Text(text) => text,
                Piece::Name(name) => named.get(&**name)?,
            };
        }
        if self.has_splat {
            let splat = named.get(SPLAT)?.trim_end_matches('/');
            if !splat.is_empty() {
                address.push('/');
                address += splat;
            }
        }
        Some(if address.is_empty() { "/".to_owned() } else { address })
    }

    /// What each name matches in an address, as the visitor spelled it.
    pub(super) fn matched<'s>(&'s self, spelled: &'s str) -> Option<Named<'s>> {
        let mut named = Named::new();
        let mut rest = spelled.strip_suffix('/').unwrap_or(spelled);
        for segment in &self.segments {
            rest = rest.strip_prefix('/')?;
            let (first, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match segment {
                Piece::Text(text) if is_spelling_of(text, first) => {}
                Piece::Name(name) if !first.is_empty() => {
                    named.insert(name, first);
                }
                _ => return None,
            }
            rest = after;
        }
        match rest.strip_prefix('/') {
            Some(splat) if self.has_splat => {
                named.insert(SPLAT, splat);
            }
            None if rest.is_empty() => {}
            _ => return None,
        }
        Some(named)
    }

    /// The addresses as a regular expression, with one group for each name.
    pub(super) fn regex(&self) -> String {
        let mut text = String::from("^");
        for segment in &self.segments {
            text.push('/');
            match segment {
                Piece::Text(literal) => text += &regex_of(literal),
                Piece::Name(_) => text += "([^/]+)",
            }
        }
        if self.has_splat {
            text += "(?:/(.*))?";
        }
        text + "\\z"
    }
}

/// Where a rule leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target(Vec<Piece>);

impl Target {
    /// Reads a target. Only these names are replaced: a `:` may be part of an address.
    pub(super) fn parse(to: &str, names: &[&str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = to;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let end = after.find(|c: char| !is_of_name(c)).unwrap_or(after.len());
            if c == ':' && names.contains(&&after[..end]) {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Name(after[..end].to_owned()));
                rest = &after[end..];
                continue;
            }
            // `$` would start a variable of nginx's.
            if c.is_ascii() && c != '$' {
                text.push(c);
            } else {
                encode(c, &mut text);
            }
            rest = after;
        }
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        let target = Self(pieces);
        if !target.stays() && authority(to).split('/').next().is_some_and(|host| host.contains('@')) {
            return Err("has a user name before its host".to_owned());
        }
        if !target.stays() && target.may_choose_the_host() {
            return Err("lets the visitor choose the host that it leads to".to_owned());
        }
        Ok(target)
    }

    /// Whether the target is an address of this host.
    fn stays(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with('/'))
    }

    /// Whether a name comes before the path of the URL.
    fn may_choose_the_host(&self) -> bool {
        let Some(Piece::Text(first)) = self.0.first() else {
            return true;
        };
        !authority(first).contains('/') && self.0.len() > 1
    }

    /// The target with these texts in place of the names.
    pub(super) fn filled<'t>(&self, named: &dyn Fn(&str) -> &'t str) -> String {
        let filled = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => &**text,
            Piece::Name(name) => named(name),
        });
        filled.collect()
    }

    /// Whether an address that the target leads to shows which address led there: it has each name once, in its path,
    /// and the splat at its end.
    pub(super) fn is_reversible(&self, names: &[&str]) -> bool {
        let mut used: Vec<&str> = self.names().collect();
        let splat = used.iter().position(|name| *name == SPLAT);
        let is_splat_last = splat.is_none_or(|at| at + 1 == used.len())
            && (splat.is_none() || matches!(self.0.last(), Some(Piece::Name(_))));
        let are_whole = self.0.windows(2).all(|pair| match pair {
            [Piece::Text(before), Piece::Name(_)] => before.ends_with('/'),
            [Piece::Name(_), Piece::Text(after)] => after.starts_with('/'),
            _ => false,
        });
        let in_query = self
            .0
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if text.contains(['?', '#'])));
        used.sort_unstable();
        let mut names = names.to_vec();
        names.sort_unstable();
        self.stays() && is_splat_last && are_whole && !in_query && used == names
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Piece::name)
    }

    /// What the names stand for if the target is this address. The target must be reversible.
    pub(super) fn reversed<'a>(&'a self, address: &'a str) -> Option<Named<'a>> {
        let mut named = Named::new();
        let mut rest = address;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(&**text)?,
                Piece::Name(name) => {
                    let end = if name == SPLAT { None } else { rest.find('/') };
                    let (matched, after) = rest.split_at(end.unwrap_or(rest.len()));
                    if matched.is_empty() && name != SPLAT {
                        return None;
                    }
                    named.insert(name, matched);
                    rest = after;
                }
            }
        }
        // A page in the folder form ends with a slash.
        matches!(rest, "" | "/").then_some(named)
    }

    /// The target with `$1` and so on in place of the names: the path, the query and the fragment.
    pub(super) fn of_groups(&self, names: &[&str]) -> (String, String, String) {
        let groups: Vec<String> = (1..=names.len()).map(|group| format!("${group}")).collect();
        let group = |name: &str| {
            names
                .iter()
                .position(|known| *known == name)
                .map_or("", |at| &*groups[at])
        };
        let target = self.filled(&group);
        let (rest, fragment) = target.split_at(target.find('#').unwrap_or(target.len()));
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        (path.to_owned(), query.to_owned(), fragment.to_owned())
    }
}

/// A URL from its host on.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// A segment in its canonical spelling: what a `Location` may contain as it is, anything else percent-encoded.
pub(super) fn spell(segment: &str) -> Result<String, String> {
    let Some(plain) = url::decoded(segment) else {
        return Err("has an address that is not UTF-8".to_owned());
    };
    if plain.contains(['/', '\\']) || plain.chars().any(crate::model::path::is_unprintable) {
        return Err("has an encoded slash, backslash or control character in its address".to_owned());
    }
    if matches!(&*plain, "" | "." | "..") {
        return Err("has an empty, `.` or `..` segment in its address".to_owned());
    }
    let mut spelled = String::new();
    for c in plain.chars() {
        if c.is_ascii_alphanumeric() || (HARMLESS.contains(c) && c != '$') {
            spelled.push(c);
        } else {
            encode(c, &mut spelled);
        }
    }
    debug_assert!(!DISGUISES.iter().any(|disguise| spelled.starts_with(disguise)));
    Ok(spelled)
}

fn encode(c: char, text: &mut String) {
    let mut bytes = [0; 4];
    for byte in c.encode_utf8(&mut bytes).bytes() {
        let _ = write!(text, "%{byte:02X}");
    }
}

/// Whether a visitor's segment is this canonical one: the digits of an encoded byte may be in lower case.
fn is_spelling_of(canonical: &str, segment: &str) -> bool {
    if canonical.len() != segment.len() {
        return false;
    }
    let mut encoded = 0;
    canonical.bytes().zip(segment.bytes()).all(|(ours, theirs)| {
        if encoded > 0 {
            encoded -= 1;
            return ours.eq_ignore_ascii_case(&theirs);
        }
        encoded = if ours == b'%' { 2 } else { 0 };
        ours == theirs
    })
}

/// A regular expression for what [`is_spelling_of`] accepts.
fn regex_of(canonical: &str) -> String {
    let mut text = String::new();
    let mut encoded = 0;
    for c in canonical.chars() {
        if encoded > 0 && c.is_ascii_alphabetic() {
            let _ = write!(text, "[{c}{}]", c.to_ascii_lowercase());
        } else if c.is_ascii_alphanumeric() || "-_~!&',;=:@%".contains(c) {
            text.push(c);
        } else {
            // What is left of the harmless characters: . ( ) * + | ^ [ ]
            text.extend(['\\', c]);
        }
        encoded = if c == '%' { 2 } else { i32::max(encoded - 1, 0) };
    }
    text
}
