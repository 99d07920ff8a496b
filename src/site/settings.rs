//! Files of the export that are settings of its server and not part of the site.
//!
//! They are read here and never published.

use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::rules::custom_headers;
use crate::rules::redirects::{self, BadLine, Place};
use crate::site::source::{Source, SourceError};

/// The files, which are at the top of the export.
const FILES: [&str; 2] = [redirects::FILE, custom_headers::FILE];

/// A longer file is not read.
const LONGEST: u64 = 16 << 20;

/// Whether a file of the export is a setting of its server and not part of the site.
#[must_use]
pub fn is_setting(path: &SitePath) -> bool {
    FILES.contains(&path.as_str())
}

/// Reads a file of settings; nothing if there is none. A file that is not read at all is one bad line.
///
/// # Errors
/// [`SourceError`] if the file can't be read.
pub fn text(file: &str, assets: &[Asset], source: &dyn Source) -> Result<Result<Option<String>, BadLine>, SourceError> {
    let Some(asset) = assets.iter().find(|asset| asset.path.as_str() == file) else {
        return Ok(Ok(None));
    };
    let refused = |reason: &str| BadLine {
        place: Place {
            file: file.to_owned(),
            line: 1,
        },
        reason: reason.to_owned(),
    };
    if asset.size > LONGEST {
        return Ok(Err(refused(
            "begins a file of more than 16 MiB, of which nothing is read",
        )));
    }
    let text = String::from_utf8(source.read(&asset.path, asset.digest, asset.size)?);
    Ok(text.map(Some).map_err(|_| refused("begins a file that is not UTF-8")))
}
