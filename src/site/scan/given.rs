//! Encodings that the export contains: `a.js.br` and `a.js.gz` next to `a.js`.
//!
//! The web server sends such a file in place of the original without checking it. Each one is therefore decoded, and
//! the result is compared by digest. A file that does not decode to the one next to it is a fault and must never become
//! an asset.

use std::path::Path;

use super::fault::{FaultKind, Faults, ScanError};
use super::read::{Broken, Opened};
use super::{HashedFile, keep_good, on_all_cores};
use crate::model::asset::{Asset, Given, GivenEncodings};
use crate::model::encoding::Coding;
use crate::site::decode::{DecodeError, decodes_to};

/// A file that may be an encoding of the one next to it.
struct Pair<'a> {
    encoding: (usize, &'a HashedFile),
    of: (usize, &'a HashedFile),
    coding: Coding,
}

/// Turns files, sorted by path, into assets. Files that are encodings of others are folded into those.
///
/// In a chain, `a`, `a.gz`, `a.gz.br`, each file must decode to the one before it, because the web server treats it as
/// an encoding of that file. `a.gz` is then an encoding and `a.gz.br` a separate asset, because encodings have no
/// encodings.
pub(super) fn pair(root: &Path, files: Vec<HashedFile>, faults: &mut Faults) -> Result<Vec<Asset>, ScanError> {
    let judged = on_all_cores(pairs(&files), |pair| find_fault(root, pair));
    let judged = keep_good(judged, |pair| &pair.encoding.1.found.path, faults)?;
    let mut given = vec![GivenEncodings::default(); files.len()];
    let mut folded = vec![false; files.len()];
    for (pair, verdict) in judged {
        let (encoding, file) = pair.encoding;
        let (of, original) = pair.of;
        if let Some(why) = verdict {
            let of = original.found.path.clone();
            let path = Path::new(file.found.path.as_str());
            faults.add(path, FaultKind::WrongEncoding { of, why });
        } else if !folded[of] {
            // Pairs are sorted by the encoding's path, and an original sorts before its encoding, so `folded[of]` is
            // final.
            folded[encoding] = true;
            let (digest, size) = (file.digest, file.stamp.size);
            given[of].set(pair.coding, Given { digest, size });
        }
    }
    let assets = files.into_iter().zip(given).zip(folded);
    Ok(assets
        .filter(|(_, folded)| !folded)
        .map(|((file, given), _)| Asset {
            path: file.found.path,
            digest: file.digest,
            size: file.stamp.size,
            given,
        })
        .collect())
}

fn pairs<'a>(files: &'a [HashedFile]) -> Vec<Pair<'a>> {
    let beside = |(index, file): (usize, &'a HashedFile)| {
        let path = file.found.path.as_str();
        let (original, coding) = Coding::ALL
            .into_iter()
            .find_map(|coding| Some((coding.original(path)?, coding)))?;
        let of = files
            .binary_search_by(|file| file.found.path.as_str().cmp(original))
            .ok()?;
        Some(Pair {
            encoding: (index, file),
            of: (of, &files[of]),
            coding,
        })
    };
    files.iter().enumerate().filter_map(beside).collect()
}

/// Returns what is wrong with an encoding. `None` if it is correct.
fn find_fault(root: &Path, pair: &Pair<'_>) -> Result<Option<String>, Broken> {
    let (_, encoding) = pair.encoding;
    let (_, original) = pair.of;
    let opened = Opened::open(&encoding.found.file(root), &encoding.stamp)?;
    let size = original.stamp.size;
    let verdict = match decodes_to(pair.coding, &opened, size) {
        Ok((digest, _)) if digest == original.digest => None,
        Ok(_) => Some("it decodes to other bytes".to_owned()),
        Err(DecodeError::TooLong(_)) => Some("it decodes to more bytes than that file has".to_owned()),
        Err(DecodeError::Read(source)) => return Err(source.into()),
        Err(error) => Some(error.to_string()),
    };
    opened.unchanged()?;
    Ok(verdict)
}
