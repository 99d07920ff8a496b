//! Reads one table of a parsed TOML document key by key, and records which keys were read.
//!
//! Pure. Every accessor returns the value, or records a problem and returns `None`, so reading continues and the user
//! sees all mistakes in one run. A key that was never read is unknown: there is no second list of keys that could
//! become outdated. Closures passed in by the caller validate the values; this module must not know the meaning of any
//! key.
//!
//! Every accessor also notes what it accepts, so that reading a file describes all files ([`super::schema`]).

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::ProblemList;
use super::shape::Shape;
pub(super) use super::shape::{Expect, expect};
use crate::rules::lines::{Place, RuleLines};

/// The number of characters of a value that an error shows.
const SHOWN: usize = 60;

/// Why a value was refused.
pub(super) enum Refusal {
    /// It has the wrong type.
    Type,
    /// Continues "is the string …, which …".
    Which(String),
    /// Like `Which`, without showing the value: it may be a secret in the wrong place.
    Hidden(&'static str),
}

/// Shorthand for [`Refusal::Which`].
pub(super) fn which<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Which(reason.into()))
}

/// Returns the text if it is fit, or else refuses it.
pub(super) fn owned_if(is_fit: bool, text: &str, reason: &str) -> Result<String, Refusal> {
    if is_fit { Ok(text.to_owned()) } else { which(reason) }
}

/// Returns the value that a word stands for.
pub(super) fn one_of<T: Copy>(words: &[(&str, T)], text: &str, reason: &str) -> Result<T, Refusal> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map_or_else(|| which(reason), |(_, value)| Ok(*value))
}

/// A table that can be read from the file. If the file has no such table, an empty one is read.
pub(super) trait FromSection {
    fn from_section(section: &Section<'_>) -> Self;
}

/// One table of the file.
pub(super) struct Section<'a> {
    path: String,
    offset: usize,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    report: &'a ProblemList<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn top(table: &'a DeTable<'a>, report: &'a ProblemList<'a>) -> Self {
        Self::at(String::new(), 0, table, report)
    }

    fn at(path: String, offset: usize, table: &'a DeTable<'a>, report: &'a ProblemList<'a>) -> Self {
        Self {
            path,
            offset,
            table,
            asked: RefCell::default(),
            report,
        }
    }

    /// Reads `key`, if it is present. What `shape` does not allow, `convert` has to refuse, and it may refuse more.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        expect: Expect,
        shape: Shape,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        self.note(key, expect, shape);
        let value = self.ask(key)?;
        match convert(value.get_ref()) {
            Ok(read) => Some(read),
            Err(refusal) => {
                self.refuse(key, expect, &refusal, Found { verb: "is", value });
                None
            }
        }
    }

    /// Reads the list at `key`, if it is present. Each refused element is a separate problem.
    pub(super) fn read_list<T>(
        &self,
        key: &'static str,
        expect: Expect,
        convert: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        self.list(key, expect, Shape::Text, convert)
    }

    /// Reads the list of words at `key`, if it is present.
    pub(super) fn read_words(
        &self,
        key: &'static str,
        expect: Expect,
        words: &[&'static str],
        reason: &str,
    ) -> Option<Vec<String>> {
        self.list(key, expect, Shape::Words(words.to_vec()), |text| {
            owned_if(words.contains(&text), text, reason)
        })
    }

    fn list<T>(
        &self,
        key: &'static str,
        expect: Expect,
        of: Shape,
        convert: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        self.note(key, expect, Shape::List(Box::new(of)));
        let value = self.ask(key)?;
        let DeValue::Array(elements) = value.get_ref() else {
            self.refuse(key, expect, &Refusal::Type, Found { verb: "is", value });
            return None;
        };
        let mut read = Vec::with_capacity(elements.len());
        for value in elements {
            match text(value.get_ref()).and_then(&convert) {
                Ok(one) => read.push(one),
                Err(refusal) => self.refuse(key, expect, &refusal, Found { verb: "holds", value }),
            }
        }
        Some(read)
    }

    /// Reads the string at `key`, if it is present.
    pub(super) fn read_text<T>(
        &self,
        key: &'static str,
        expect: Expect,
        convert: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        self.read(key, expect, Shape::Text, |value| text(value).and_then(convert))
    }

    /// Reads the string at the required `key`.
    pub(super) fn read_required<T>(
        &self,
        key: &'static str,
        expect: Expect,
        convert: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        self.require(key, expect);
        self.read_text(key, expect, convert)
    }

    /// Reads the word at `key`, if it is present, as the value that it stands for.
    pub(super) fn read_word<T: Copy>(
        &self,
        key: &'static str,
        expect: Expect,
        words: &[(&'static str, T)],
        reason: &str,
    ) -> Option<T> {
        self.read(key, expect, Shape::words(words), |value| {
            one_of(words, text(value)?, reason)
        })
    }

    /// Reads the whole number at `key`, if it is present. `range` must be one of `T`.
    pub(super) fn read_whole<T: TryFrom<i128>>(
        &self,
        key: &'static str,
        expect: Expect,
        range: RangeInclusive<i128>,
    ) -> Option<T> {
        self.read(key, expect, Shape::Whole(range.clone()), |value| whole(value, range))
    }

    /// Reads the boolean at `key`, if it is present.
    pub(super) fn read_bool(&self, key: &'static str, example: &'static str) -> Option<bool> {
        self.read(key, expect("true or false", example), Shape::Bool, |value| {
            value.as_bool().ok_or(Refusal::Type)
        })
    }

    /// Reads the value at `key`, if it is present. `false` stands for no value.
    pub(super) fn read_or_false<T>(
        &self,
        key: &'static str,
        expect: Expect,
        shape: Shape,
        convert: impl FnOnce(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<Option<T>> {
        let shape = Shape::Either(vec![shape, Shape::False]);
        self.read(key, expect, shape, |value| match value.as_bool() {
            Some(false) => Ok(None),
            _ => convert(value).map(Some),
        })
    }

    /// Reads the table at `key` completely.
    pub(super) fn read_table<T: FromSection>(&self, key: &'static str) -> T {
        let empty = DeTable::new();
        let section = self.open(key);
        let section = section.unwrap_or_else(|| Section::at(self.dotted(key), self.offset, &empty, self.report));
        let read = T::from_section(&section);
        section.close();
        read
    }

    /// The tables of the list at `key`, for the caller to read and close.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        self.report
            .describe(&self.path, |table| table.key(key).shape = Shape::Tables);
        let Some(value) = self.ask_as(key, &format!("[[{key}]]")) else {
            return Vec::new();
        };
        let of_element = |element: &'a Spanned<DeValue<'a>>| match element.get_ref() {
            DeValue::Table(table) => Some(Section::at(self.dotted(key), element.span().start, table, self.report)),
            _ => None,
        };
        let tables = value.get_ref().as_array();
        let tables = tables.and_then(|list| list.iter().map(of_element).collect());
        tables.unwrap_or_else(|| {
            self.not_a_table(key, value, &format!("a list of tables: begin each with [[{key}]]"));
            Vec::new()
        })
    }

    /// Where this table is, as the place of a rule.
    pub(super) fn place(&self) -> Place {
        let line = u32::try_from(self.report.line(self.offset));
        Place::new("site-manifest.toml", line.unwrap_or(u32::MAX))
    }

    /// The rules of the list of tables at `key`.
    pub(super) fn rules<R>(&self, key: &'static str, read: fn(&Self) -> Option<R>) -> RuleLines<R> {
        let rules = self.tables(key).into_iter().filter_map(|section| {
            let rule = read(&section);
            section.close();
            rule
        });
        RuleLines {
            rules: rules.collect(),
            bad: Vec::new(),
        }
    }

    /// Every entry of this table as a table, located at the offset of its name.
    pub(super) fn entries(&self) -> Vec<(String, Section<'a>)> {
        let mut entries = Vec::new();
        self.report
            .describe(&self.path, |table| table.others = Some(Shape::Table));
        for (name, value) in self.table {
            let name_text: &str = name.get_ref();
            let path = self.dotted(name_text);
            match value.get_ref() {
                DeValue::Table(table) => {
                    let section = Section::at(path, name.span().start, table, self.report);
                    entries.push((name_text.to_owned(), section));
                }
                _ => self.report.problem(
                    name.span().start,
                    path.clone(),
                    format!("{} is {}", self.subject(name_text), described(value.get_ref())),
                    format!("it must be a table: begin it with [{path}]"),
                ),
            }
        }
        entries
    }

    /// Passes every entry of this table, whatever its name, to `take`.
    pub(super) fn each(
        &self,
        expect: Expect,
        shape: Shape,
        mut take: impl FnMut(&str, &DeValue<'_>) -> Result<(), Refusal>,
    ) {
        self.report.describe(&self.path, |table| table.others = Some(shape));
        for (name, value) in self.table {
            let name: &str = name.get_ref();
            if let Err(refusal) = take(name, value.get_ref()) {
                self.refuse(name, expect, &refusal, Found { verb: "is", value });
            }
        }
    }

    /// Opens the table at `key`, for the caller to read and close. A table that is not closed may have any keys.
    pub(super) fn open(&self, key: &'static str) -> Option<Section<'a>> {
        self.report
            .describe(&self.path, |table| table.key(key).shape = Shape::Table);
        let value = self.ask_as(key, &format!("[{}]", self.dotted(key)))?;
        if let DeValue::Table(table) = value.get_ref() {
            let offset = self.offset_of(key);
            return Some(Section::at(self.dotted(key), offset, table, self.report));
        }
        self.not_a_table(key, value, &format!("a table: begin it with [{}]", self.dotted(key)));
        None
    }

    /// Records a problem with the value at `key`, or with the table itself if the key is missing.
    pub(super) fn problem(&self, key: &str, message: String, hint: String) {
        let offset = self.table.get(key).map_or(self.offset, |_| self.offset_of(key));
        self.report.problem(offset, self.dotted(key), message, hint);
    }

    /// Records a problem if the required `key` is missing.
    pub(super) fn require(&self, key: &'static str, expect: Expect) {
        self.report
            .describe(&self.path, |table| table.key(key).is_required = true);
        if self.has(key) {
            return;
        }
        self.report.problem(
            self.offset,
            self.dotted(key),
            format!("{} has no {}", self.shown(), quoted(key)),
            format!("add {}, such as {key} = {}", expect.allowed, expect.example),
        );
    }

    /// Whether the file has `key` here, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Refuses `keys` that are known but belong to another kind of table.
    pub(super) fn refuse_keys(&self, keys: &[&'static str], hint: &str) {
        for key in keys {
            if self.has(key) {
                self.asked.borrow_mut().push(key);
                self.problem(
                    key,
                    format!("{} does not belong in {}", quoted(key), self.shown()),
                    hint.to_owned(),
                );
            }
        }
    }

    /// Marks `keys` as known without reading them.
    pub(super) fn skip(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend_from_slice(keys);
    }

    /// The table's name as written in its header.
    pub(super) fn shown(&self) -> String {
        format!("[{}]", self.path)
    }

    /// `key` and the table that contains it, for messages.
    fn subject(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("{} at the top level", quoted(key))
        } else {
            format!("{} in {}", quoted(key), self.shown())
        }
    }

    /// Ends the reading: every key that was not read is unknown.
    pub(super) fn close(self) {
        let asked = self.asked.borrow();
        self.report.describe(&self.path, |table| table.is_closed = true);
        for (key, value) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let tables = self.path.is_empty();
            let message = if tables && is_table(value.get_ref()) {
                format!("unknown table [{}]", bare(name))
            } else {
                format!("unknown key {}", self.subject(name))
            };
            self.report.problem(
                key.span().start,
                self.dotted(name),
                message,
                suggestion(name, &asked, tables),
            );
        }
    }

    /// Notes what `key` accepts.
    fn note(&self, key: &'static str, expect: Expect, shape: Shape) {
        self.report.describe(&self.path, |table| {
            let key = table.key(key);
            (key.expect, key.shape) = (Some(expect), shape);
        });
    }

    fn ask(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.ask_as(key, &self.subject(key))
    }

    /// Finds the value at `key`, and marks the key as known. `shown`: its name in a warning.
    fn ask_as(&self, key: &'static str, shown: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        self.report.note_not_yet(self.offset_of(key), &self.dotted(key), shown);
        Some(value)
    }

    fn not_a_table(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.problem(
            key,
            format!("{} is {}", self.subject(key), described(value.get_ref())),
            format!("it must be {wanted}"),
        );
    }

    fn refuse(&self, key: &str, expect: Expect, refusal: &Refusal, Found { verb, value }: Found<'_>) {
        let subject = self.subject(key);
        let found = described(value.get_ref());
        let message = match refusal {
            Refusal::Type => format!("{subject} {verb} {found}"),
            Refusal::Which(reason) => format!("{subject} {verb} {found}, which {reason}"),
            Refusal::Hidden(reason) => format!("{subject} {verb} a value that {reason}"),
        };
        self.report.problem(
            value.span().start,
            self.dotted(key),
            message,
            format!(
                "it must be {}, such as {} = {}",
                expect.allowed,
                bare(key),
                expect.example
            ),
        );
    }

    fn offset_of(&self, key: &str) -> usize {
        self.table
            .get_key_value(key)
            .map_or(self.offset, |(name, _)| name.span().start)
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() {
            bare(key)
        } else {
            format!("{}.{}", self.path, bare(key))
        }
    }
}

/// What a key is or holds.
struct Found<'v> {
    verb: &'static str,
    value: &'v Spanned<DeValue<'v>>,
}

/// Returns the string, or refuses the type.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Refusal> {
    value.as_str().ok_or(Refusal::Type)
}

/// Returns the whole number, or refuses its type or a value outside `range`, which must be one of `T`.
pub(super) fn whole<T: TryFrom<i128>>(value: &DeValue<'_>, range: RangeInclusive<i128>) -> Result<T, Refusal> {
    let integer = value.as_integer().ok_or(Refusal::Type)?;
    match i128::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if number < *range.start() => which("is too small"),
        Ok(number) if number > *range.end() => which("is too large"),
        Ok(number) => T::try_from(number).map_err(|_| Refusal::Type),
        Err(_) => which("is out of range"),
    }
}

/// `text` in quotes, escaped and shortened.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

fn bare(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.len() <= SHOWN && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => {
            let digits = number.to_string();
            match digits.get(..SHOWN) {
                Some(first) => format!("the number {first}…"),
                None => format!("the number {digits}"),
            }
        }
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(list) => !list.is_empty() && list.iter().all(|element| element.get_ref().is_table()),
        _ => false,
    }
}

/// Suggests the most similar of `known`, or lists all of them if none is similar.
pub(super) fn suggestion(name: &str, known: &[&str], tables: bool) -> String {
    let show = |known: &str| {
        if tables { format!("[{known}]") } else { quoted(known) }
    };
    if let Some(near) = nearest(name, known) {
        return format!("did you mean {}?", show(near));
    }
    let mut all: Vec<&str> = known.to_vec();
    all.sort_unstable();
    all.dedup();
    let all: Vec<String> = all.into_iter().map(show).collect();
    format!("known here: {}", all.join(", "))
}

fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer name is not a typo of a known key, and computing the distance takes quadratic time.
    if name.len() > SHOWN {
        return None;
    }
    let name = name.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= (name.len().max(known.len()) / 3).max(1))
        .map(|(_, known)| known)
}
