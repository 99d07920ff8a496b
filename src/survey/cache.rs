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

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::found::{Found, Paths, Question};
use super::{Facts, Kind, Survey};
use crate::model::asset::Asset;
use crate::model::digest::{Digest, Hasher};
use crate::next::build_id;
use crate::sealed::{self, Unsealed};

/// Another form of the file has another number.
const HEADER: &[u8] = b"syntax-publish facts 1\n";

/// To be raised when the same file gets other facts, or is rewritten in another way: a test knows of both.
pub(super) const VERSION: u32 = 2;

/// An id that is shorter may stand anywhere by chance, and is not left out of the comparison.
const SHORTEST_ID: usize = 8;

/// Stands for the build id in the paths that are kept: no path has this character.
const ANY_ID: &str = "\0";

/// The raw bytes of a digest.
type Raw = [u8; 32];

/// What became of a file in the fingerprint stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// All that decided it besides the file's bytes and the settings.
    pub key: Raw,
    /// Whether the old build id still stands in it.
    pub has_id: bool,
    /// Digest and length of its new bytes; none where they are the old ones.
    pub result: Option<(Raw, u64)>,
}

/// What is kept of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The digest of its bytes.
    exact: Raw,
    /// The same without the build id.
    neutral: Raw,
    /// Whether the facts name the build id otherwise than as that.
    has_id: bool,
    kind: u8,
    /// With places in [`Book::paths`] where there are places among the assets otherwise.
    facts: Facts,
    /// Places in [`Book::questions`].
    asked: Vec<u32>,
    rewritten: Option<Rewritten>,
}

/// All that is kept.
#[derive(Default, Serialize, Deserialize)]
struct Book {
    settings: Raw,
    id: Option<String>,
    paths: Vec<String>,
    questions: Vec<(Question, Answer)>,
    /// By path, sorted.
    notes: Vec<(String, Note)>,
}

/// As [`Found`], with a place in [`Book::paths`].
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    File(u32),
    Otherwise(u32),
    Nothing,
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
        let name = Digest::of(export.as_os_str().as_encoded_bytes());
        let file = folder.join(format!("{}.facts", name.short(32)));
        let book = sealed::read(&file)
            .ok()
            .and_then(|bytes| postcard::from_bytes(sealed::open(&bytes, HEADER)?).ok());
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
        let id = id_of(assets);
        let book = (self.book.settings == *settings.as_bytes()).then_some(&self.book);
        let unveiled = |path: &str| unveil(path, id.as_deref());
        let places: Vec<Option<usize>> = book
            .iter()
            .flat_map(|book| &book.paths)
            .map(|path| paths.file(&unveiled(path)?))
            .collect();
        let place = |at: &u32| places.get(*at as usize).copied().flatten();
        let mut table = Table::default();
        let mut holds = Vec::new();
        for (question, answer) in book.iter().flat_map(|book| &book.questions) {
            let asked = unveiled(question.path()).map(|path| question.of(path));
            let same = asked.as_ref().is_some_and(|asked| match (paths.answer(asked), answer) {
                (Found::File(found), Answer::File(at)) | (Found::Otherwise(found), Answer::Otherwise(at)) => {
                    place(at) == Some(found)
                }
                (Found::Nothing, Answer::Nothing) => true,
                _ => false,
            });
            holds.push(same);
            table.push(asked.unwrap_or_else(|| question.clone()));
        }
        Recall {
            book,
            settings,
            same_id: book.is_some_and(|book| book.id == id),
            id,
            places,
            holds,
            table: Mutex::new(table),
        }
    }

    /// Takes what is known of these files, and of no others, in place of what it held. Whether that is anything new.
    pub fn learn(&mut self, assets: &[Asset], survey: Survey, rewritten: &[Option<Rewritten>]) -> bool {
        let Survey {
            kinds, facts, learned, ..
        } = survey;
        let Some(learned) = learned else { return false };
        let (book, is_new) = learned.book(assets, &kinds, facts, rewritten);
        let is_new = is_new
            || book.settings != self.book.settings
            || book.id != self.book.id
            || book.notes.len() != self.book.notes.len();
        self.book = book;
        is_new
    }

    /// Writes what it holds to its file, if it has one.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut unsealed = Unsealed::new(HEADER, 0);
        postcard::to_io(&self.book, unsealed.body()).map_err(io::Error::other)?;
        sealed::write(file, &unsealed.seal())
    }
}

/// The build id of an export, if it has one that can be told from anything else.
fn id_of(assets: &[Asset]) -> Option<String> {
    let mut ids = build_id::in_paths(assets.iter().map(|asset| asset.path.as_str())).into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) if id.len() >= SHORTEST_ID => Some(id.to_owned()),
        _ => None,
    }
}

fn veil(path: &str, id: Option<&str>) -> String {
    id.and_then(|id| build_id::renamed(path, id, ANY_ID))
        .unwrap_or_else(|| path.to_owned())
}

/// None where a path has an id and there is none to put into it.
fn unveil(path: &str, id: Option<&str>) -> Option<String> {
    match build_id::renamed(path, ANY_ID, id.unwrap_or_default()) {
        Some(path) => id.is_some().then_some(path),
        None => Some(path.to_owned()),
    }
}

/// The questions that were asked so far, each with its number.
#[derive(Default)]
struct Table {
    numbers: HashMap<Question, u32>,
    questions: Vec<Question>,
}

impl Table {
    fn push(&mut self, question: Question) -> u32 {
        let next = u32::try_from(self.questions.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(question.clone()).or_insert(next);
        if number == next {
            self.questions.push(question);
        }
        number
    }
}

/// What can be recalled in one survey.
pub(super) struct Recall<'a> {
    book: Option<&'a Book>,
    settings: Digest,
    /// The build id of the export at hand.
    id: Option<String>,
    /// Whether it is the one that the notes were made with.
    same_id: bool,
    /// Where the paths of the book are now among the assets.
    places: Vec<Option<usize>>,
    /// Whether the answer to each question of the book is still the same.
    holds: Vec<bool>,
    table: Mutex<Table>,
}

/// What is to be kept of a file besides its facts.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    neutral: Raw,
    has_id: bool,
    /// Numbers of questions.
    asked: Vec<u32>,
    rewritten: Option<Rewritten>,
    /// Whether all this was recalled of exactly these bytes.
    is_old: bool,
}

impl Learned {
    /// The digest of the file's bytes with the build id left out.
    pub(super) fn neutral(&self) -> Digest {
        Digest::from_bytes(self.neutral)
    }

    /// What became of the file.
    pub(super) fn rewritten(&self) -> Option<Rewritten> {
        self.rewritten
    }

    /// The same for a file that something else became of.
    pub(super) fn with(self, rewritten: Option<Rewritten>) -> Self {
        Self { rewritten, ..self }
    }
}

impl Recall<'_> {
    /// The facts of a file that has not changed at all.
    pub(super) fn exact(&self, asset: &Asset, kind: Kind) -> Option<(Facts, Learned)> {
        let note = self.note(asset, kind)?;
        (self.same_id && note.exact == *asset.digest.as_bytes())
            .then(|| self.of_note(asset, note))
            .flatten()
    }

    /// The facts of a file in which nothing changed but the build id.
    pub(super) fn neutral(&self, asset: &Asset, kind: Kind, neutral: Digest) -> Option<(Facts, Learned)> {
        let note = self.note(asset, kind)?;
        if note.neutral != *neutral.as_bytes() || note.has_id && !self.same_id {
            return None;
        }
        let (mut facts, mut learned) = self.of_note(asset, note)?;
        let (was, is) = (self.book?.id.as_deref(), self.id.as_deref());
        if was != is {
            facts.ids = facts
                .ids
                .into_iter()
                .map(|id| match is {
                    Some(is) if Some(id.as_str()) == was => is.to_owned(),
                    _ => id,
                })
                .collect();
            learned.rewritten = learned.rewritten.filter(|rewritten| !rewritten.has_id);
        }
        Some((facts, learned))
    }

    fn note(&self, asset: &Asset, kind: Kind) -> Option<&Note> {
        let path = veil(asset.path.as_str(), self.id.as_deref());
        let notes = &self.book?.notes;
        let at = notes.binary_search_by(|(other, _)| other.as_str().cmp(&path)).ok()?;
        let (_, note) = notes.get(at)?;
        let holds = |number: &u32| self.holds.get(*number as usize).copied().unwrap_or_default();
        (note.kind == kind.number() && note.asked.iter().all(holds)).then_some(note)
    }

    fn of_note(&self, asset: &Asset, note: &Note) -> Option<(Facts, Learned)> {
        let facts = note
            .facts
            .clone()
            .with_places(|at| self.places.get(at).copied().flatten())?;
        let learned = Learned {
            neutral: note.neutral,
            has_id: note.has_id,
            asked: note.asked.clone(),
            rewritten: note.rewritten,
            is_old: note.exact == *asset.digest.as_bytes(),
        };
        Some((facts, learned))
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
    pub(super) fn learn(&self, neutral: Digest, facts: &Facts, asked: Vec<Question>) -> Learned {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        Learned {
            neutral: *neutral.as_bytes(),
            has_id: self.id.as_deref().is_some_and(|id| facts.mention(id)),
            asked: asked.into_iter().map(|question| table.push(question)).collect(),
            rewritten: None,
            is_old: false,
        }
    }

    /// All that was learned, file by file.
    pub(super) fn finish(self, files: Vec<Option<Learned>>, paths: &Paths<'_>) -> AllLearned {
        let table = self.table.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answers = table.questions.iter().map(|question| paths.answer(question)).collect();
        AllLearned {
            settings: self.settings,
            id: self.id,
            questions: table.questions,
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
    questions: Vec<Question>,
    answers: Vec<Found>,
    files: Vec<Option<Learned>>,
}

impl AllLearned {
    /// What the fingerprint stage made of a file under the same circumstances, if that is known.
    #[must_use]
    pub fn rewritten(&self, index: usize, key: &Digest) -> Option<Rewritten> {
        let rewritten = self.files.get(index)?.as_ref()?.rewritten?;
        (rewritten.key == *key.as_bytes()).then_some(rewritten)
    }

    /// What is to be kept, and whether any of it is new.
    fn book(
        self,
        assets: &[Asset],
        kinds: &[Kind],
        facts: Vec<Facts>,
        rewritten: &[Option<Rewritten>],
    ) -> (Book, bool) {
        let mut book = Book {
            settings: *self.settings.as_bytes(),
            id: self.id.clone(),
            ..Book::default()
        };
        let mut is_new = false;
        let id = self.id.as_deref();
        let mut places: Vec<Option<u32>> = vec![None; assets.len()];
        let mut numbers: Vec<Option<u32>> = vec![None; self.questions.len()];
        let files = assets.iter().zip(kinds).zip(facts).zip(self.files);
        for (index, (((asset, kind), facts), learned)) in files.enumerate() {
            let Some(learned) = learned else { continue };
            let mut place = |at: usize| {
                let place = places.get_mut(at)?;
                if place.is_none() {
                    *place = u32::try_from(book.paths.len()).ok();
                    book.paths.push(veil(assets.get(at)?.path.as_str(), id));
                }
                *place
            };
            let mut asked = Vec::with_capacity(learned.asked.len());
            for old in &learned.asked {
                let (Some(number), Some(question), Some(answer)) = (
                    numbers.get_mut(*old as usize),
                    self.questions.get(*old as usize),
                    self.answers.get(*old as usize),
                ) else {
                    continue;
                };
                if number.is_none() {
                    let answer = match answer {
                        Found::File(at) => place(*at).map(Answer::File),
                        Found::Otherwise(at) => place(*at).map(Answer::Otherwise),
                        Found::Nothing => Some(Answer::Nothing),
                    };
                    *number = u32::try_from(book.questions.len()).ok();
                    let veiled = question.of(veil(question.path(), id));
                    book.questions.push((veiled, answer.unwrap_or(Answer::Nothing)));
                }
                asked.extend(*number);
            }
            let Some(facts) = facts.with_places(|at| place(at).map(|at| at as usize)) else {
                continue;
            };
            let became = rewritten.get(index).copied().flatten().or(learned.rewritten);
            is_new |= !learned.is_old || became != learned.rewritten;
            let note = Note {
                exact: *asset.digest.as_bytes(),
                neutral: learned.neutral,
                has_id: learned.has_id,
                kind: kind.number(),
                facts,
                asked,
                rewritten: became,
            };
            book.notes.push((veil(asset.path.as_str(), id), note));
        }
        book.notes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        (book, is_new)
    }
}

impl Kind {
    /// Tells the kinds apart in the file; what page a payload is of follows from its path.
    const fn number(self) -> u8 {
        match self {
            Self::Page => 0,
            Self::Payload(_) => 1,
            Self::Data(_) => 2,
            Self::Style => 3,
            Self::Drawing => 4,
            Self::Other => 5,
        }
    }
}

impl Facts {
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
