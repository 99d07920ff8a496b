//! The pipeline from an export folder to a finished site.
//!
//! [`pipeline`] runs the stages: it reads the export ([`scan`]), records facts about each text ([`survey`]), looks for
//! mistakes ([`check`]), gives assets their fingerprints ([`fingerprint`]), and ends with a manifest and a [`source`]
//! of its bytes. [`encode`] compresses them, and [`plain_folder`] writes them to a folder for `build --out`.
//!
//! This module reads the export and its own caches. It must not depend on a host, and must never write to the export.

pub mod anchors;
pub mod budget;
pub(crate) mod cache_file;
pub mod check;
pub mod decode;
pub mod encode;
mod error;
pub mod fingerprint;
pub mod growth;
pub mod moved;
pub mod pipeline;
pub mod plain_folder;
pub mod redirects;
pub mod scan;
pub mod settings;
pub mod similar;
pub mod source;
pub mod survey;

pub use error::SiteError;
