//! The cache of facts: a file that is the same as in an earlier survey is not read again, let alone parsed.
//!
//! One file for each export, in a folder that the caller names; safe to delete at any time. What is damaged, of another
//! version, or kept under other settings is not an error and is not used.
//!
//! Two things besides its bytes decide what is noted of a file. One is the rest of the export: whether a link leads
//! anywhere depends on the files that are there. So what a look asked of the paths is kept with its answers, and facts
//! are good only while all answers are the same. The other is the build id: every page has it, and every build has
//! another. So files are compared by a digest that leaves the id out, unless what was noted speaks of it.
//!
//! It must never give facts that a look at the file would not give.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::paths::{Lookup, PathQuestion, Paths};
use super::{Facts, FileKind, Survey};
use crate::model::asset::Asset;
use crate::model::digest::{Digest, Hasher};
use crate::next::build_id;
use crate::site::cache_file::{self, CacheFileWriter};

/// Another form of the file has another number.
const HEADER: &[u8] = b"syntax-publish facts 4\n";

/// To be raised when the same file gets other facts, or is rewritten in another way: a test knows of both.
pub(super) const VERSION: u32 = 5;

/// At most one in so many questions may be one that no note relies on any more.
const TOLERATED: usize = 8;

/// Stands for the build id in the paths that are kept: no path has this character.
const ANY_ID: &str = "\0";

/// The raw bytes of a digest.
type Raw = [u8; 32];

/// What became of a file in the fingerprint stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// All that decided it besides the file's bytes and the settings.
    pub key: Raw,
    /// Whether the old build id still is in it.
    pub has_id: bool,
    /// Digest and length of its new bytes; none where they are the old ones.
    pub result: Option<(Raw, u64)>,
}

/// What is kept of one file. As long as nothing about it changes it is shared by the survey that noted it and all that
/// recall it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CachedFacts {
    /// The digest of its bytes.
    exact: Raw,
    /// The same without the build id.
    neutral: Raw,
    /// Whether the facts name the build id otherwise than as that.
    has_id: bool,
    kind: u8,
    /// With places in [`Book::paths`].
    facts: Arc<Facts>,
    /// Places in [`Book::questions`].
    asked: Arc<[u32]>,
    rewritten: Option<Rewritten>,
}

/// All that is kept.
#[derive(Default)]
struct Book {
    settings: Raw,
    id: Option<String>,
    /// The files of the export, in its order.
    paths: Vec<Arc<str>>,
    /// With places in `paths`.
    questions: Vec<(PathQuestion, Lookup)>,
    /// One for each of `paths`; none of what was not looked at.
    notes: Vec<Option<Arc<CachedFacts>>>,
}

/// What is noted of several files alike, which is kept once: of most payloads the build id is all that is known.
type Shared = (Arc<Facts>, Arc<[u32]>);

/// The front of the file; then come so many [`Shared`] and, for each path, a note or none. One after another, so that
/// nothing is in memory twice.
#[derive(Serialize, Deserialize)]
struct CacheHeader<'a> {
    settings: Raw,
    id: Option<Cow<'a, str>>,
    paths: Cow<'a, [Arc<str>]>,
    questions: Cow<'a, [(PathQuestion, Lookup)]>,
    shared: u32,
}

/// A note as the file has it.
#[derive(Serialize, Deserialize)]
struct WrittenNote {
    exact: Raw,
    /// None where it is `exact`.
    neutral: Option<Raw>,
    has_id: bool,
    kind: u8,
    /// Which of the [`Shared`].
    shared: u32,
    rewritten: Option<Rewritten>,
}

impl Book {
    fn read(body: &[u8]) -> Option<Self> {
        let (front, mut rest): (CacheHeader<'_>, _) = postcard::take_from_bytes(body).ok()?;
        // A number is only a claim until what it counts has been seen.
        let mut shared: Vec<Shared> = Vec::new();
        for _ in 0..front.shared {
            let known;
            (known, rest) = postcard::take_from_bytes(rest).ok()?;
            shared.push(known);
        }
        let mut notes = Vec::with_capacity(front.paths.len());
        for _ in 0..front.paths.len() {
            let note: Option<WrittenNote>;
            (note, rest) = postcard::take_from_bytes(rest).ok()?;
            let Some(note) = note else {
                notes.push(None);
                continue;
            };
            let (facts, asked) = shared.get(note.shared as usize)?;
            notes.push(Some(Arc::new(CachedFacts {
                exact: note.exact,
                neutral: note.neutral.unwrap_or(note.exact),
                has_id: note.has_id,
                kind: note.kind,
                facts: Arc::clone(facts),
                asked: Arc::clone(asked),
                rewritten: note.rewritten,
            })));
        }
        rest.is_empty().then(|| Self {
            settings: front.settings,
            id: front.id.map(Cow::into_owned),
            paths: front.paths.into_owned(),
            questions: front.questions.into_owned(),
            notes,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) -> postcard::Result<()> {
        let mut sharing = Sharing::default();
        let numbers = self.notes.iter().flatten().map(|note| sharing.number(note));
        let numbers: Vec<u32> = numbers.collect::<postcard::Result<_>>()?;
        let front = CacheHeader {
            settings: self.settings,
            id: self.id.as_deref().map(Cow::Borrowed),
            paths: Cow::Borrowed(&self.paths),
            questions: Cow::Borrowed(&self.questions),
            shared: u32::try_from(sharing.shared.len()).unwrap_or(u32::MAX),
        };
        postcard::to_io(&front, &mut *bytes)?;
        for shared in &sharing.shared {
            postcard::to_io(shared, &mut *bytes)?;
        }
        let mut numbers = numbers.into_iter();
        for note in &self.notes {
            let note = note.as_ref().map(|note| WrittenNote {
                exact: note.exact,
                neutral: (note.neutral != note.exact).then_some(note.neutral),
                has_id: note.has_id,
                kind: note.kind,
                shared: numbers.next().unwrap_or(u32::MAX),
                rewritten: note.rewritten,
            });
            postcard::to_io(&note, &mut *bytes)?;
        }
        Ok(())
    }
}

/// Finds what is noted alike.
#[derive(Default)]
struct Sharing {
    shared: Vec<Shared>,
    /// The number of what was noted, by where it is in memory: what was read alike is one already.
    by_place: HashMap<(*const Facts, *const u32, usize), u32>,
    /// And by the digest of its bytes.
    by_digest: HashMap<Digest, u32>,
}

impl Sharing {
    fn number(&mut self, note: &CachedFacts) -> postcard::Result<u32> {
        let place = (Arc::as_ptr(&note.facts), note.asked.as_ptr(), note.asked.len());
        if let Some(number) = self.by_place.get(&place) {
            return Ok(*number);
        }
        let bytes = postcard::to_stdvec(&(&*note.facts, &*note.asked))?;
        let next = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
        let number = *self.by_digest.entry(Digest::of(&bytes)).or_insert(next);
        if number == next {
            self.shared.push((Arc::clone(&note.facts), Arc::clone(&note.asked)));
        }
        self.by_place.insert(place, number);
        Ok(number)
    }
}

/// What earlier surveys of an export noted.
#[derive(Default)]
pub struct Cache {
    /// None: it is kept in memory alone.
    file: Option<PathBuf>,
    book: Book,
}

impl Cache {
    /// Loads the cache of an export, given its place; an empty one where there is none of use.
    #[must_use]
    pub fn load(folder: &Path, export: &Path) -> Self {
        let export = std::path::absolute(export).unwrap_or_else(|_| export.to_owned());
        let file = cache_file::file_of(folder, &export, "facts");
        let book = cache_file::read(&file)
            .ok()
            .and_then(|bytes| Book::read(cache_file::open(&bytes, HEADER)?));
        Self {
            file: Some(file),
            book: book.unwrap_or_default(),
        }
    }

    /// The file that holds it, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What can be recalled for these files under these settings.
    pub(super) fn recall<'a>(&'a self, settings: Digest, assets: &[Asset], paths: &Paths<'_>) -> Recall<'a> {
        let id = build_id::of_paths(assets.iter().map(|asset| asset.path.as_str()));
        let book = (self.book.settings == *settings.as_bytes()).then_some(&self.book);
        let places: Vec<Option<usize>> = book
            .iter()
            .flat_map(|book| &book.paths)
            .map(|path| paths.file(&unveil(path, id.as_deref())?))
            .collect();
        let mut notes = vec![None; assets.len()];
        for (place, note) in places.iter().zip(book.iter().flat_map(|book| &book.notes)) {
            if let Some(slot) = place.and_then(|place| notes.get_mut(place)) {
                *slot = note.as_ref();
            }
        }
        let place = |at: usize| places.get(at).copied().flatten();
        let mut table = Table::default();
        let (mut holds, mut answers) = (Vec::new(), Vec::new());
        for (question, answer) in book.iter().flat_map(|book| &book.questions) {
            let asked = unveil(question.path(), id.as_deref()).map(|path| question.of(path));
            let found = asked.as_ref().map(|asked| paths.answer(asked));
            holds.push(match (found, answer) {
                (Some(Lookup::File(found)), Lookup::File(at))
                | (Some(Lookup::Otherwise(found)), Lookup::Otherwise(at)) => place(*at) == Some(found),
                (Some(Lookup::Nothing), Lookup::Nothing) | (Some(Lookup::Encoding), Lookup::Encoding) => true,
                _ => false,
            });
            answers.push(found.unwrap_or(Lookup::Nothing));
            table.questions.push(asked.unwrap_or_else(|| question.clone()));
        }
        Recall {
            same_id: book.is_some_and(|book| book.id == id),
            was: book.and_then(|book| book.id.as_deref()),
            settings,
            id,
            notes,
            places,
            holds,
            answers,
            table: Mutex::new(table),
        }
    }

    /// Takes what is known of these files, and of no others, in place of what it held. Whether that is anything new.
    pub fn learn(&mut self, assets: &[Asset], survey: Survey, rewritten: &[Option<Rewritten>]) -> bool {
        let Some(learned) = survey.learned else { return false };
        let (book, is_new) = learned.book(assets, rewritten);
        let is_new =
            is_new || book.settings != self.book.settings || book.id != self.book.id || book.paths != self.book.paths;
        self.book = book;
        is_new
    }

    /// Writes what it holds to its file, if it has one.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut unsealed = CacheFileWriter::new(HEADER, 0);
        self.book.write(unsealed.body()).map_err(io::Error::other)?;
        cache_file::write(file, &unsealed.seal())
    }
}

/// A path with its build id left out; the same text where there is none in it.
fn veil(path: &Arc<str>, id: Option<&str>) -> Arc<str> {
    let veiled = id.and_then(|id| build_id::renamed(path, id, ANY_ID));
    veiled.map_or_else(|| Arc::clone(path), Into::into)
}

/// None where a path has an id and there is none to put into it.
fn unveil(path: &Arc<str>, id: Option<&str>) -> Option<Arc<str>> {
    match build_id::renamed(path, ANY_ID, id.unwrap_or_default()) {
        Some(path) => id.is_some().then(|| path.into()),
        None => Some(Arc::clone(path)),
    }
}

/// The questions that were asked so far.
#[derive(Default)]
struct Table {
    questions: Vec<PathQuestion>,
    /// The number of each; made when the first is added to those of the book, which mostly are all there are.
    numbers: HashMap<PathQuestion, u32>,
}

impl Table {
    fn push(&mut self, question: PathQuestion) -> u32 {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        if self.numbers.is_empty() {
            let known = self.questions.iter().enumerate();
            self.numbers = known.map(|(at, question)| (question.clone(), number(at))).collect();
        }
        let next = number(self.questions.len());
        let number = *self.numbers.entry(question.clone()).or_insert(next);
        if number == next {
            self.questions.push(question);
        }
        number
    }
}

/// What can be recalled in one survey.
pub(super) struct Recall<'a> {
    settings: Digest,
    /// The build id of the export at hand, and that of the one that the notes were made of.
    id: Option<String>,
    was: Option<&'a str>,
    same_id: bool,
    /// The note of each file at hand.
    notes: Vec<Option<&'a Arc<CachedFacts>>>,
    /// Where the paths of the book are now among the assets.
    places: Vec<Option<usize>>,
    /// Whether the answer to each question of the book is still the same, and what it is.
    holds: Vec<bool>,
    answers: Vec<Lookup>,
    table: Mutex<Table>,
}

/// What is to be kept of a file.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    note: Arc<CachedFacts>,
    /// Whether it was recalled of exactly these bytes.
    is_old: bool,
}

impl Learned {
    /// The digest of the file's bytes with the build id left out.
    pub(super) fn neutral(&self) -> Digest {
        Digest::from_bytes(self.note.neutral)
    }

    /// The same for a file that something else became of, by what is known of that one.
    pub(super) fn of_other(mut self, other: Option<&Self>) -> Self {
        let rewritten = other.and_then(|other| other.note.rewritten);
        if self.note.rewritten != rewritten {
            Arc::make_mut(&mut self.note).rewritten = rewritten;
        }
        self
    }
}

impl Recall<'_> {
    /// The facts of a file that has not changed at all, given its place among the assets.
    pub(super) fn exact(&self, index: usize, asset: &Asset, kind: FileKind) -> Option<(Arc<Facts>, Learned)> {
        let note = self.note(index, kind)?;
        (self.same_id && note.exact == *asset.digest.as_bytes())
            .then(|| self.of_note(asset, note))
            .flatten()
    }

    /// The facts of a file in which nothing changed but the build id.
    pub(super) fn neutral(
        &self,
        index: usize,
        asset: &Asset,
        kind: FileKind,
        neutral: Digest,
    ) -> Option<(Arc<Facts>, Learned)> {
        let note = self.note(index, kind)?;
        if note.neutral != *neutral.as_bytes() || note.has_id && !self.same_id {
            return None;
        }
        let (mut facts, mut learned) = self.of_note(asset, note)?;
        let is = self.id.as_deref();
        if self.was != is {
            for id in &mut Arc::make_mut(&mut facts).ids {
                if let Some(is) = is
                    && self.was == Some(id)
                {
                    is.clone_into(id);
                }
            }
            let note = Arc::make_mut(&mut learned.note);
            note.facts = Arc::clone(&facts);
            note.rewritten = note.rewritten.filter(|rewritten| !rewritten.has_id);
        }
        Some((facts, learned))
    }

    fn note(&self, index: usize, kind: FileKind) -> Option<&Arc<CachedFacts>> {
        let note = self.notes.get(index).copied().flatten()?;
        let holds = |number: &u32| self.holds.get(*number as usize).copied().unwrap_or_default();
        (note.kind == kind.number() && note.asked.iter().all(holds)).then_some(note)
    }

    fn of_note(&self, asset: &Asset, note: &Arc<CachedFacts>) -> Option<(Arc<Facts>, Learned)> {
        let place = |at: usize| self.places.get(at).copied().flatten();
        let is_old = note.exact == *asset.digest.as_bytes();
        let mut note = Arc::clone(note);
        if !note.facts.places().all(|at| place(at) == Some(at)) {
            let facts = Facts::clone(&note.facts).with_places(place)?;
            Arc::make_mut(&mut note).facts = Arc::new(facts);
        }
        if !is_old {
            Arc::make_mut(&mut note).exact = *asset.digest.as_bytes();
        }
        Some((Arc::clone(&note.facts), Learned { note, is_old }))
    }

    /// The digest of a file's bytes with the build id left out.
    pub(super) fn neutral_digest(&self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        let mut pieces = Pieces(&mut hasher);
        match self.id.as_deref() {
            None => pieces.add(bytes, b'.'),
            Some(id) => {
                // Cut in the same way whether or not the id is spelled otherwise in a comment.
                let comment = format!("<!--{}-->", build_id::in_comment(id));
                pieces.split(bytes, comment.as_bytes(), b'c', &mut |pieces, piece, mark| {
                    pieces.split(piece, id.as_bytes(), b'i', &mut Pieces::add);
                    pieces.add(&[], mark);
                });
            }
        }
        hasher.finish()
    }

    /// Notes what was learned of a file by looking at it.
    pub(super) fn learn(
        &self,
        asset: &Asset,
        kind: FileKind,
        neutral: Digest,
        facts: &Arc<Facts>,
        asked: Vec<PathQuestion>,
    ) -> Learned {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let note = CachedFacts {
            exact: *asset.digest.as_bytes(),
            neutral: *neutral.as_bytes(),
            has_id: self.id.as_deref().is_some_and(|id| facts.mention(id)),
            kind: kind.number(),
            facts: Arc::clone(facts),
            asked: asked.into_iter().map(|question| table.push(question)).collect(),
            rewritten: None,
        };
        Learned {
            note: Arc::new(note),
            is_old: false,
        }
    }

    /// All that was learned, file by file.
    pub(super) fn finish(self, files: Vec<Option<Learned>>, paths: &Paths<'_>) -> AllLearned {
        let questions = self
            .table
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .questions;
        let mut answers = self.answers;
        let new = questions.iter().skip(answers.len());
        answers.extend(new.map(|question| paths.answer(question)));
        AllLearned {
            settings: self.settings,
            id: self.id,
            questions,
            answers,
            files,
        }
    }
}

/// Feeds a hasher so that no two ways of cutting give the same bytes.
struct Pieces<'a>(&'a mut Hasher);

impl Pieces<'_> {
    fn add(&mut self, piece: &[u8], mark: u8) {
        self.0.update(&(piece.len() as u64).to_le_bytes());
        self.0.update(piece);
        self.0.update(&[mark]);
    }

    /// Gives what stands between the places of `part` to `take`, each with the mark of what follows it.
    fn split(&mut self, bytes: &[u8], part: &[u8], mark: u8, take: &mut dyn FnMut(&mut Self, &[u8], u8)) {
        let mut rest = bytes;
        while let Some(at) = memchr::memmem::find(rest, part) {
            take(self, &rest[..at], mark);
            rest = &rest[at + part.len()..];
        }
        take(self, rest, b'.');
    }
}

/// What a survey learned that a later one may want.
pub struct AllLearned {
    settings: Digest,
    id: Option<String>,
    questions: Vec<PathQuestion>,
    answers: Vec<Lookup>,
    files: Vec<Option<Learned>>,
}

impl AllLearned {
    /// What the fingerprint stage made of a file under the same circumstances, if that is known.
    #[must_use]
    pub fn rewritten(&self, index: usize, key: &Digest) -> Option<Rewritten> {
        let rewritten = self.files.get(index)?.as_ref()?.note.rewritten?;
        (rewritten.key == *key.as_bytes()).then_some(rewritten)
    }

    /// What is to be kept, and whether any of it is new.
    fn book(self, assets: &[Asset], rewritten: &[Option<Rewritten>]) -> (Book, bool) {
        let id = self.id.as_deref();
        let mut is_new = false;
        let files = self.files.into_iter().enumerate();
        let notes = files.map(|(index, learned)| {
            let Learned { mut note, is_old } = learned?;
            let became = rewritten.get(index).copied().flatten().or(note.rewritten);
            is_new |= !is_old || became != note.rewritten;
            if became != note.rewritten {
                Arc::make_mut(&mut note).rewritten = became;
            }
            Some(note)
        });
        let mut notes: Vec<Option<Arc<CachedFacts>>> = notes.collect();
        let mut questions: Vec<(PathQuestion, Lookup)> = self.questions.into_iter().zip(self.answers).collect();
        drop_unused(&mut questions, &mut notes);
        for (question, _) in &mut questions {
            *question = question.of(veil(question.path(), id));
        }
        let book = Book {
            settings: *self.settings.as_bytes(),
            paths: assets.iter().map(|asset| veil(asset.path.shared(), id)).collect(),
            questions,
            notes,
            id: self.id,
        };
        (book, is_new)
    }
}

/// Forgets questions that no note relies on, once they are many: all notes get other numbers then.
fn drop_unused(questions: &mut Vec<(PathQuestion, Lookup)>, notes: &mut [Option<Arc<CachedFacts>>]) {
    let mut used = vec![false; questions.len()];
    for number in notes.iter().flatten().flat_map(|note| note.asked.iter()) {
        if let Some(used) = used.get_mut(*number as usize) {
            *used = true;
        }
    }
    let kept = used.iter().filter(|used| **used).count();
    if (questions.len() - kept).saturating_mul(TOLERATED) <= questions.len() {
        return;
    }
    let mut next = 0;
    let numbers: Vec<u32> = used
        .iter()
        .map(|used| {
            let number = next;
            next += u32::from(*used);
            number
        })
        .collect();
    let mut used = used.into_iter();
    questions.retain(|_| used.next().unwrap_or_default());
    for note in notes.iter_mut().flatten() {
        let asked = note.asked.iter().filter_map(|number| numbers.get(*number as usize));
        let asked = asked.copied().collect();
        Arc::make_mut(note).asked = asked;
    }
}

impl FileKind {
    /// Tells the kinds apart in the file; what page a payload is of follows from its path.
    const fn number(self) -> u8 {
        match self {
            Self::Page => 0,
            Self::Payload(_) => 1,
            Self::Data(_) => 2,
            Self::Style => 3,
            Self::Drawing => 4,
            Self::Other => 5,
            Self::Code => 6,
        }
    }
}

impl Facts {
    /// Every place of a file in them.
    fn places(&self) -> impl Iterator<Item = usize> {
        let files = self.used.iter().chain(&self.kept).copied();
        files.chain(self.fragments.iter().map(|fragment| fragment.page))
    }

    /// The same with other places for files; none where one has none.
    fn with_places(mut self, mut place: impl FnMut(usize) -> Option<usize>) -> Option<Self> {
        for files in [&mut self.used, &mut self.kept] {
            for file in files.iter_mut() {
                *file = place(*file)?;
            }
            files.sort_unstable();
        }
        for fragment in &mut self.fragments {
            fragment.page = place(fragment.page)?;
        }
        Some(self)
    }

    /// Whether a build id is named in them otherwise than as the id of the file.
    fn mention(&self, id: &str) -> bool {
        let texts = (self.faulty.iter().map(|faulty| faulty.url.as_str()))
            .chain(self.fragments.iter().map(|fragment| fragment.name.as_str()))
            .chain(self.anchors.iter().map(String::as_str))
            .chain(self.hits.iter().flat_map(|hit| [hit.rule.as_str(), hit.shown.as_str()]));
        let mut texts = texts;
        texts.any(|text| text.contains(id)) || self.ids.iter().any(|other| other != id)
    }
}
