//! The headers of a site's own: reads the files that contain them.
//!
//! [`crate::rules::custom_headers`] decides what a rule means.

use super::settings;
use crate::config::SiteConfig;
use crate::model::asset::Asset;
use crate::rules::CustomHeaders;
use crate::rules::custom_headers::{FILE, parse};
use crate::rules::redirects::BadLine;
use crate::site::source::{Source, SourceError};

/// The header rules of a site and what can't be followed of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteHeaders {
    /// The rules.
    pub headers: CustomHeaders,
    /// Lines that can't be followed.
    pub bad: Vec<BadLine>,
}

/// Reads the header rules of the export, and adds those of the configuration, which apply after them.
///
/// # Errors
/// [`SourceError`] if the file of the export can't be read.
pub fn read(config: &SiteConfig, assets: &[Asset], source: &dyn Source) -> Result<SiteHeaders, SourceError> {
    let (mut rules, mut bad) = match settings::text(FILE, assets, source)? {
        Ok(text) => parse(FILE, &text.unwrap_or_default()),
        Err(line) => (Vec::new(), vec![line]),
    };
    rules.extend(config.headers.rules.iter().cloned());
    bad.extend(config.headers.bad.iter().cloned());
    Ok(SiteHeaders {
        headers: CustomHeaders::new(rules),
        bad,
    })
}
