//! Remembers how long a round trip to a target took, so that the next run knows whether the host is near.
//!
//! Touches one file in the cache folder. It must decide nothing but whether SSH compresses: a wrong value costs time and
//! never changes what a run does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::site::cache_file;

/// First line of the file. A new format gets a new number.
const HEADER: &[u8] = b"syntax-publish round trip 1\n";

/// Returns how long a round trip took in the last run that measured one. `target` distinguishes this target from all
/// others.
pub fn remembered(folder: &Path, target: &str) -> Option<Duration> {
    let nanos = cache_file::load(&file_of(folder, target), HEADER)?;
    Some(Duration::from_nanos(u64::from_le_bytes(nanos.try_into().ok()?)))
}

/// Remembers how long a round trip took.
///
/// # Errors
/// I/O errors of the system; the previous value is then still remembered.
pub fn remember(folder: &Path, target: &str, round_trip: Duration) -> io::Result<()> {
    let nanos = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
    cache_file::save(&file_of(folder, target), HEADER, &nanos.to_le_bytes())
}

fn file_of(folder: &Path, target: &str) -> PathBuf {
    cache_file::file_of(folder, Path::new(target), "trip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_the_round_trip_of_its_last_run() {
        let folder = tempfile::tempdir().unwrap();
        let read = |target| remembered(folder.path(), target);
        assert_eq!(read("a"), None);
        for millis in [3, 40] {
            remember(folder.path(), "a", Duration::from_millis(millis)).unwrap();
            assert_eq!(read("a"), Some(Duration::from_millis(millis)));
        }
        assert_eq!(read("b"), None);
        std::fs::write(file_of(folder.path(), "a"), "damaged").unwrap();
        assert_eq!(read("a"), None);
    }
}
