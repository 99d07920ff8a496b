//! The cache of facts: a file that is the same as in an earlier survey is neither read nor parsed again.
//!
//! There is one cache file per export, in a folder that the caller names. It is safe to delete at any time. A file that
//! is damaged, of another version, or written under other settings is not an error; it is ignored.
//!
//! The facts of a file depend on two things in addition to its bytes. The first is the rest of the export: whether a
//! link leads anywhere depends on which files exist. Every question about paths that came up while the file was read is
//! therefore stored with its answer, and the facts are valid only while all answers are the same. The second is the
//! build ID: it is in every page, and every build has a new one. Files are therefore compared by a digest that leaves
//! out the ID, unless the facts mention it. A file in which only the ID changed is read but not parsed.
//!
//! The cache must never return facts that reading the file would not give.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::paths::{Lookup, PathQuestion, Paths};
use super::{ExportFile, Facts, FileKind, Survey};
use crate::model::asset::Asset;
use crate::model::digest::{Digest, Hasher};
use crate::next::build_id;
use crate::site::cache_file;

/// First line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish facts 6\n";

/// To be raised when the same file yields different facts, or is rewritten differently. A test detects both.
pub(super) const VERSION: u32 = 7;

/// Unused questions are dropped once they make up more than one in this many.
const TOLERATED: usize = 8;

/// Placeholder for the build ID in stored paths. No path contains this character.
const ANY_ID: &str = "\0";

/// Result of the fingerprint stage for one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// Digest of everything that determined the result, except for the file's bytes and the settings.
    pub key: Digest,
    /// Whether the file still contains the old build ID.
    pub has_id: bool,
    /// Digest and length of the new content. `None` if the content did not change.
    pub result: Option<(Digest, u64)>,
}

/// The stored facts of one file. As long as nothing about the file changes, the survey that noted them and all surveys
/// that recall them share one copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CachedFacts {
    /// The digest of its bytes.
    exact: Digest,
    /// The digest of its bytes with the build ID left out.
    neutral: Digest,
    /// Whether the facts mention the build ID other than as the file's own ID, or have another ID.
    has_id: bool,
    kind: u8,
    /// File numbers in them are indices into [`Book::paths`].
    #[serde(skip)]
    facts: Arc<Facts>,
    /// Indices into [`Book::questions`].
    #[serde(skip)]
    asked: Arc<[u32]>,
    rewritten: Option<Rewritten>,
}

/// Facts and questions that several files have in common, stored once: of most payloads only the build ID is noted.
type Shared = (Arc<Facts>, Arc<[u32]>);

/// The complete content of the cache. In the file it is followed by the notes. Each note, if it is not `None`, is
/// followed by the number of its [`Shared`] value, and by that value itself if the number is new. All are read and
/// written one after another, so that nothing is in memory twice.
#[derive(Serialize, Deserialize)]
struct Book {
    settings: Digest,
    id: Option<String>,
    /// The paths of the export's files, in the order of the assets.
    paths: Vec<Arc<str>>,
    /// File numbers in the answers are indices into `paths`.
    questions: Vec<(PathQuestion, Lookup)>,
    /// One for each of `paths`. `None` for a file that was not surveyed.
    #[serde(skip)]
    notes: Vec<Option<Arc<CachedFacts>>>,
}

impl Book {
    fn read(body: &[u8]) -> Option<Self> {
        let (mut book, mut rest): (Self, _) = postcard::take_from_bytes(body).ok()?;
        book.notes.reserve_exact(book.paths.len());
        let mut shared: Vec<Shared> = Vec::new();
        for _ in &book.paths {
            let mut note: Option<CachedFacts>;
            (note, rest) = postcard::take_from_bytes(rest).ok()?;
            if let Some(note) = &mut note {
                let number: usize;
                (number, rest) = postcard::take_from_bytes(rest).ok()?;
                if number == shared.len() {
                    let new;
                    (new, rest) = postcard::take_from_bytes(rest).ok()?;
                    shared.push(new);
                }
                (note.facts, note.asked) = shared.get(number)?.clone();
            }
            book.notes.push(note.map(Arc::new));
        }
        rest.is_empty().then_some(book)
    }

    fn write(&self) -> postcard::Result<Vec<u8>> {
        let mut bytes = postcard::to_stdvec(self)?;
        // By the digest of the serialized value.
        let mut numbers: HashMap<Digest, usize> = HashMap::new();
        for note in &self.notes {
            bytes = postcard::to_io(note, bytes)?;
            if let Some(note) = note {
                let shared = postcard::to_stdvec(&(&note.facts, &note.asked))?;
                let new = numbers.len();
                let number = *numbers.entry(Digest::of(&shared)).or_insert(new);
                bytes = postcard::to_io(&number, bytes)?;
                if number == new {
                    bytes.extend(shared);
                }
            }
        }
        Ok(bytes)
    }
}

/// The facts from earlier surveys of an export.
#[derive(Default)]
pub struct Cache {
    /// `None` if the cache is only in memory.
    file: Option<PathBuf>,
    /// `None` if nothing is known yet.
    book: Option<Book>,
}

impl Cache {
    /// Loads the cache of an export, given its path. The cache is empty if there is no usable file.
    #[must_use]
    pub fn load(folder: &Path, export: &Path) -> Self {
        let export = std::path::absolute(export).unwrap_or_else(|_| export.to_owned());
        let file = cache_file::file_of(folder, &export, "facts");
        let book = cache_file::load(&file, HEADER).and_then(|body| Book::read(&body));
        Self { file: Some(file), book }
    }

    /// The path of the cache file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns what can be recalled for these files under these settings.
    pub(super) fn recall<'a>(&'a self, settings: Digest, assets: &[Asset], paths: &Paths<'_>) -> Recall<'a> {
        let id = build_id::of_paths(assets.iter().map(|asset| asset.path.as_str()));
        let book = self.book.as_ref().filter(|book| book.settings == settings);
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
            let is_visit = question.is_visit;
            let asked = unveil(&question.path, id.as_deref()).map(|path| PathQuestion { is_visit, path });
            let found = asked.as_ref().map(|asked| paths.answer(asked));
            holds.push(match (found, answer) {
                (Some(Lookup::File(found)), Lookup::File(at))
                | (Some(Lookup::Otherwise(found)), Lookup::Otherwise(at)) => place(*at) == Some(found),
                (Some(Lookup::Nothing), Lookup::Nothing) | (Some(Lookup::Answered), Lookup::Answered) => true,
                _ => false,
            });
            answers.push(found.unwrap_or(Lookup::Nothing));
            table.questions.push(asked.unwrap_or_else(|| question.clone()));
        }
        Recall {
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

    /// Replaces the content with what is known of these files and of no others. Returns whether any of it is new.
    pub fn learn(&mut self, assets: &[Asset], survey: Survey, rewritten: &[Option<Rewritten>]) -> bool {
        let Some(learned) = survey.learned else { return false };
        let (book, is_new) = learned.book(assets, rewritten);
        let known = (book.settings, &book.id, &book.paths);
        let is_new =
            is_new || (self.book.as_ref()).is_none_or(|former| (former.settings, &former.id, &former.paths) != known);
        self.book = Some(book);
        is_new
    }

    /// Writes the content to the cache file, if there is one.
    ///
    /// # Errors
    /// The error that the system reports.
    pub fn write(&self) -> io::Result<()> {
        let (Some(file), Some(book)) = (&self.file, &self.book) else {
            return Ok(());
        };
        cache_file::save(file, HEADER, &book.write().map_err(io::Error::other)?)
    }
}

/// Replaces the build ID in a path with [`ANY_ID`]. Returns the same text if the path does not contain the ID.
fn veil(path: &Arc<str>, id: Option<&str>) -> Arc<str> {
    let veiled = id.and_then(|id| build_id::renamed(path, id, ANY_ID));
    veiled.map_or_else(|| Arc::clone(path), Into::into)
}

/// Puts the build ID back into a path. `None` if the path needs an ID and there is none.
fn unveil(path: &Arc<str>, id: Option<&str>) -> Option<Arc<str>> {
    match build_id::renamed(path, ANY_ID, id.unwrap_or_default()) {
        Some(path) => id.is_some().then(|| path.into()),
        None => Some(Arc::clone(path)),
    }
}

/// All questions so far: those of the book, then new ones.
#[derive(Default)]
struct Table {
    questions: Vec<PathQuestion>,
    /// The index of each question. Built when the first new question is added, because usually the book already has all
    /// of them.
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

/// What one survey can recall.
pub(super) struct Recall<'a> {
    settings: Digest,
    /// The build ID of the current export, and that of the export that the notes were made from.
    id: Option<String>,
    was: Option<&'a str>,
    /// The note of each current file.
    notes: Vec<Option<&'a Arc<CachedFacts>>>,
    /// For each path of the book, the current index among the assets.
    places: Vec<Option<usize>>,
    /// For each question of the book, whether the answer is still the same, and the current answer.
    holds: Vec<bool>,
    answers: Vec<Lookup>,
    table: Mutex<Table>,
}

/// What to keep of a file.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    note: Arc<CachedFacts>,
    /// Whether it was recalled for exactly these bytes.
    is_old: bool,
}

impl Learned {
    /// Returns the digest of the file's bytes with the build ID left out.
    pub(super) fn neutral(&self) -> Digest {
        self.note.neutral
    }

    /// Returns what to keep of another file with the same bytes. `other` is what was recalled of that file, and
    /// supplies its rewrite result.
    pub(super) fn of_other(mut self, other: Option<&Self>) -> Self {
        let rewritten = other.and_then(|other| other.note.rewritten);
        if self.note.rewritten != rewritten {
            Arc::make_mut(&mut self.note).rewritten = rewritten;
        }
        self
    }
}

impl Recall<'_> {
    /// Returns the facts of a file that has not changed at all.
    pub(super) fn exact(&self, file: ExportFile<'_>) -> Option<(Arc<Facts>, Learned)> {
        let note = self.note(file)?;
        let is_same = self.was == self.id.as_deref() && note.exact == file.asset.digest;
        is_same.then(|| self.of_note(file.asset, note)).flatten()
    }

    /// Returns the facts of a file in which nothing changed but the build ID.
    pub(super) fn neutral(&self, file: ExportFile<'_>, neutral: Digest) -> Option<(Arc<Facts>, Learned)> {
        let note = self.note(file)?;
        let is = self.id.as_deref();
        if note.neutral != neutral || note.has_id && self.was != is {
            return None;
        }
        let (mut facts, mut learned) = self.of_note(file.asset, note)?;
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

    fn note(&self, file: ExportFile<'_>) -> Option<&Arc<CachedFacts>> {
        let note = self.notes.get(file.index).copied().flatten()?;
        let holds = |number: &u32| self.holds.get(*number as usize).copied().unwrap_or_default();
        (note.kind == file.kind.number() && note.asked.iter().all(holds)).then_some(note)
    }

    fn of_note(&self, asset: &Asset, note: &Arc<CachedFacts>) -> Option<(Arc<Facts>, Learned)> {
        let place = |at: usize| self.places.get(at).copied().flatten();
        let is_old = note.exact == asset.digest;
        let mut note = Arc::clone(note);
        if !note.facts.places().all(|at| place(at) == Some(at)) {
            let facts = Facts::clone(&note.facts).with_places(place)?;
            Arc::make_mut(&mut note).facts = Arc::new(facts);
        }
        if !is_old {
            Arc::make_mut(&mut note).exact = asset.digest;
        }
        Some((Arc::clone(&note.facts), Learned { note, is_old }))
    }

    /// Returns the digest of a file's bytes with the build ID left out.
    pub(super) fn neutral_digest(&self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        let mut pieces = Pieces(&mut hasher);
        match self.id.as_deref() {
            None => pieces.add(bytes, b'.'),
            Some(id) => {
                // Cut at the comment first, so that the pieces are the same whether or not the ID is spelled
                // differently in it.
                let comment = format!("<!--{}-->", build_id::in_comment(id));
                pieces.split(bytes, comment.as_bytes(), b'c', &mut |pieces, piece, mark| {
                    pieces.split(piece, id.as_bytes(), b'i', &mut Pieces::add);
                    pieces.add(&[], mark);
                });
            }
        }
        hasher.finish()
    }

    /// Notes what reading a file revealed.
    pub(super) fn learn(
        &self,
        file: ExportFile<'_>,
        neutral: Digest,
        facts: &Arc<Facts>,
        asked: Vec<PathQuestion>,
    ) -> Learned {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let note = CachedFacts {
            exact: file.asset.digest,
            neutral,
            has_id: self.id.as_deref().is_some_and(|id| facts.mention(id)),
            kind: file.kind.number(),
            facts: Arc::clone(facts),
            asked: asked.into_iter().map(|question| table.push(question)).collect(),
            rewritten: None,
        };
        Learned {
            note: Arc::new(note),
            is_old: false,
        }
    }

    /// Returns everything that was learned, file by file.
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

/// Feeds a hasher such that no two different cuts give the same input.
struct Pieces<'a>(&'a mut Hasher);

impl Pieces<'_> {
    fn add(&mut self, piece: &[u8], mark: u8) {
        self.0.update(&(piece.len() as u64).to_le_bytes());
        self.0.update(piece);
        self.0.update(&[mark]);
    }

    /// Splits `bytes` at each `part` and passes the pieces to `take`, each with the mark of what follows it.
    fn split(&mut self, bytes: &[u8], part: &[u8], mark: u8, take: &mut dyn FnMut(&mut Self, &[u8], u8)) {
        let mut rest = bytes;
        while let Some(at) = memchr::memmem::find(rest, part) {
            take(self, &rest[..at], mark);
            rest = &rest[at + part.len()..];
        }
        take(self, rest, b'.');
    }
}

/// What a survey learned that a later one may need.
pub struct AllLearned {
    settings: Digest,
    id: Option<String>,
    questions: Vec<PathQuestion>,
    answers: Vec<Lookup>,
    files: Vec<Option<Learned>>,
}

impl AllLearned {
    /// Returns the result of the fingerprint stage for a file, if it is known for this `key`.
    #[must_use]
    pub fn rewritten(&self, index: usize, key: &Digest) -> Option<Rewritten> {
        let rewritten = self.files.get(index)?.as_ref()?.note.rewritten?;
        (rewritten.key == *key).then_some(rewritten)
    }

    /// Returns what to keep, and whether any of it is new.
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
            question.path = veil(&question.path, id);
        }
        let book = Book {
            settings: self.settings,
            paths: assets.iter().map(|asset| veil(asset.path.shared(), id)).collect(),
            questions,
            notes,
            id: self.id,
        };
        (book, is_new)
    }
}

/// Drops questions that no note relies on, once there are many. All notes then get new indices.
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
    /// Identifies the kind in the file. The page that a payload belongs to follows from its path.
    const fn number(self) -> u8 {
        match self {
            Self::Page => 0,
            Self::Payload(_) => 1,
            Self::Data(_) => 2,
            Self::Style => 3,
            Self::Drawing => 4,
            Self::Other => 5,
            Self::Code => 6,
            Self::Picture => 7,
            Self::Robots => 8,
            Self::Xml => 9,
        }
    }
}

impl Facts {
    /// Returns every index of a file in the facts.
    fn places(&self) -> impl Iterator<Item = usize> {
        let files = self.used.iter().chain(&self.kept).chain(&self.loads).copied();
        let crawl = self.crawl.iter().flat_map(|crawl| crawl.files.iter().copied());
        let pictures = self.pictures.iter().map(|picture| picture.file);
        files
            .chain(self.fragments.iter().map(|fragment| fragment.page))
            .chain(self.head.iter().flat_map(|head| head.places()))
            .chain(crawl)
            .chain(pictures)
    }

    /// Returns the facts with other indices for files. `None` if a file has no new index.
    fn with_places(mut self, mut place: impl FnMut(usize) -> Option<usize>) -> Option<Self> {
        let crawled = self.crawl.as_mut().map(|crawl| &mut crawl.files);
        for files in [&mut self.used, &mut self.kept, &mut self.loads]
            .into_iter()
            .chain(crawled)
        {
            for file in files.iter_mut() {
                *file = place(*file)?;
            }
            files.sort_unstable();
        }
        for fragment in &mut self.fragments {
            fragment.page = place(fragment.page)?;
        }
        for picture in &mut self.pictures {
            picture.file = place(picture.file)?;
        }
        if let Some(head) = &mut self.head {
            head.put_places(&mut place)?;
        }
        Some(self)
    }

    /// Whether the facts mention a build ID other than as the file's own ID, or have another ID.
    fn mention(&self, id: &str) -> bool {
        let mut texts = (self.faulty.iter().map(|faulty| faulty.url.as_str()))
            .chain(self.fragments.iter().map(|fragment| fragment.name.as_str()))
            .chain(self.anchors.iter().map(String::as_str))
            .chain(self.head.iter().flat_map(|head| head.texts()))
            .chain(
                self.crawl
                    .iter()
                    .flat_map(|crawl| crawl.others.iter().map(|named| named.url.as_str())),
            )
            .chain(self.hits.iter().flat_map(|hit| [hit.rule.as_str(), hit.shown.as_str()]));
        texts.any(|text| text.contains(id)) || self.ids.iter().any(|other| other != id)
    }
}
