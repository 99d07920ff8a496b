//! Releases, and the runs that make them.
//!
//! Pure. The caller provides the time and the random bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// The name of a release: `[0-9a-z-]+`, beginning with the time at which it was made, so that names sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ReleaseId(String);

/// The text can't be the name of a release or a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id (lower-case letters, digits and dashes): {0:?}")]
pub struct NotAnId(pub String);

fn check_id(text: &str) -> Result<(), NotAnId> {
    let right = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-');
    if right {
        Ok(())
    } else {
        Err(NotAnId(text.chars().take(64).collect()))
    }
}

impl ReleaseId {
    /// The id of a release made at `seconds` (since 1970, by the store's clock). `tail` is some hexadecimal digits that
    /// distinguish it from a release made elsewhere in the same second.
    #[must_use]
    pub fn new(seconds: i64, tail: &str) -> Self {
        let stamp = timestamp(seconds);
        Self(format!("{}-{}", stamp.strftime("%Y%m%d-%H%M%S"), tail))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, in seconds since 1970, by the store's clock. `None` if the ID does not begin with a time.
    #[must_use]
    pub fn made(&self) -> Option<i64> {
        let stamp = self.0.get(.."YYYYMMDD-HHMMSS".len())?;
        let made = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", stamp).ok()?;
        Some(jiff::tz::TimeZone::UTC.to_timestamp(made).ok()?.as_second())
    }
}

/// Converts a time of the store to a timestamp, or to the epoch if the time is out of range.
#[must_use]
pub fn timestamp(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

impl FromStr for ReleaseId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        check_id(text).map(|()| Self(text.to_owned()))
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a run, used for exactly one acquisition of the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// Returns a run's id from 8 random bytes.
    #[must_use]
    pub fn new(random: [u8; 8]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(random)))
    }

    /// The first digits, which are enough to distinguish two releases made in the same second.
    #[must_use]
    pub fn tail(&self) -> &str {
        self.0.get(..6).unwrap_or(&self.0)
    }
}

impl FromStr for RunId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        check_id(text).map(|()| Self(text.to_owned()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The owner of a run: the text of the symlink in its staging directory, which other runs read if the lock is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User and machine, as `user@machine`.
    pub who: String,
    /// What the run does: `publish`, `rollback`, `prune` …
    pub what: String,
    /// When the run began, in seconds since 1970, by the run's own clock. For display only.
    pub since: i64,
    /// Whether runs that change the live site need not wait for this one: it publishes to a channel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
}

/// Why publishing is on hold: the text of a symlink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The reason that the user gave.
    pub reason: String,
    /// User and machine.
    pub who: String,
    /// When, in seconds since 1970, by the host's clock.
    pub since: i64,
}

impl Hold {
    /// Parses the text of the symlink. A symlink that was made by hand is also a hold: its complete text is the reason.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            reason: text.to_owned(),
            who: "somebody".to_owned(),
            since: 0,
        })
    }
}

/// The last run that changed the store, and the store's clock: the text of the symlink `generation`.
///
/// The clock is the latest modification time, in seconds, that was given to any file. Later files get later seconds, so
/// a web server whose `ETag` is made from time and size never answers "not modified" for different content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Seconds since 1970.
    pub clock: i64,
    /// The second that the newest release is named after, so that the next release sorts after it.
    pub made: i64,
    /// The run's id.
    pub run: String,
}

/// The upper limit of a clock. SFTP can't set file times after 2106, so a clock near that limit was set maliciously.
const LATEST: i64 = 4_200_000_000;

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{}", self.clock, self.made, self.run)
    }
}

impl FromStr for Generation {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let not = || NotAnId(text.chars().take(64).collect());
        let (times, run) = text.split_once('-').ok_or_else(not)?;
        let (clock, made) = times.split_once('.').ok_or_else(not)?;
        check_id(run)?;
        let second = |text: &str| {
            text.parse()
                .ok()
                .filter(|second| (0..LATEST).contains(second))
                .ok_or_else(not)
        };
        Ok(Self {
            clock: second(clock)?,
            made: second(made)?,
            run: run.to_owned(),
        })
    }
}

/// Facts about a release in addition to its tree. Fields that this version doesn't know are preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseDocument {
    /// The version of this document.
    pub format: u32,
    /// The release.
    pub id: ReleaseId,
    /// The digest of its root tree.
    pub root: Digest,
    /// When it went live, RFC 3339, by the host's clock.
    pub created: String,
    /// Name and version of the tool that made it.
    pub tool: String,
    /// User and machine that published it.
    pub who: String,
    /// The commit it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The message that the user gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The release that was live before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReleaseId>,
    /// Number of public paths.
    pub files: u64,
    /// Bytes of all files, unencoded.
    pub bytes: u64,
    /// The channel that it was published to, or `None` for the live site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Fields that a later version wrote.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_ids_sort_by_time_and_read_back() {
        let early = ReleaseId::new(1_700_000_000, "ffffff");
        let late = ReleaseId::new(1_700_000_001, "000000");
        assert!(early < late);
        assert_eq!(early.as_str().parse(), Ok(early));
        for text in ["", "A", "../x", "a/b", "a b", "ä"] {
            assert!(text.parse::<ReleaseId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_generation_reads_back() {
        let generation = Generation {
            clock: 17,
            made: 12,
            run: "00ff".to_owned(),
        };
        assert_eq!(generation.to_string().parse(), Ok(generation));
        assert!("17".parse::<Generation>().is_err());
    }

    #[test]
    fn unknown_fields_of_a_document_survive() {
        let root = Digest::of(b"");
        let text = format!(
            r#"{{"format":1,"id":"a","root":"{root}","created":"x","tool":"t","who":"w","files":1,"bytes":2,"later":{{"k":[1]}}}}"#
        );
        let document: ReleaseDocument = serde_json::from_str(&text).unwrap();
        let again = serde_json::to_string(&document).unwrap();
        assert!(again.contains(r#""later":{"k":[1]}"#), "{again}");
    }
}
