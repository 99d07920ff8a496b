//! Files of the export that are settings of its server and not part of the site.
//!
//! They are read here and never published.

use crate::config::SiteConfig;
use crate::model::asset::Asset;
use crate::model::path::SitePath;
use crate::rules::custom_headers::{self, HeaderRule};
use crate::rules::lines::{BadLine, Place, RuleLines};
use crate::rules::redirects::{self, RedirectRule};
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

/// Reads the redirects and the header rules of the export, and adds those of the configuration, which apply after them.
///
/// # Errors
/// [`SourceError`] if a file of the export can't be read.
pub fn read(
    config: &SiteConfig,
    assets: &[Asset],
    source: &dyn Source,
) -> Result<(RuleLines<RedirectRule>, RuleLines<HeaderRule>), SourceError> {
    let (redirects, headers) = (&config.redirects, &config.headers);
    let moved = read_one(redirects::FILE, redirects::parse, redirects, assets, source)?;
    let mut own = read_one(custom_headers::FILE, custom_headers::parse, headers, assets, source)?;
    // First, because what the site says itself of this header counts.
    own.rules.splice(0..0, config.csp.reporting().ok().flatten());
    Ok((moved, own))
}

/// Reads one of the files with `parse`. A file that is not read at all is one bad line.
fn read_one<R: Clone>(
    file: &str,
    parse: impl Fn(&str, &str) -> (Vec<R>, Vec<BadLine>),
    configured: &RuleLines<R>,
    assets: &[Asset],
    source: &dyn Source,
) -> Result<RuleLines<R>, SourceError> {
    let mut all = configured.clone();
    let Some(asset) = assets.iter().find(|asset| asset.path.as_str() == file) else {
        return Ok(all);
    };
    let text = if asset.size > LONGEST {
        Err("begins a file of more than 16 MiB, of which nothing is read")
    } else {
        let bytes = source.read(&asset.path, asset.digest, asset.size)?;
        String::from_utf8(bytes).map_err(|_| "begins a file that is not UTF-8")
    };
    all.put_before(match text {
        Ok(text) => parse(file, &text),
        Err(reason) => {
            let (place, reason) = (Place::new(file, 1), reason.to_owned());
            (Vec::new(), vec![BadLine { place, reason }])
        }
    });
    Ok(all)
}
