//! From an export folder to a finished site.
//!
//! [`pipeline`] is the story: it reads the export ([`scan`]), notes what each text says ([`survey`]), looks for mistakes
//! ([`check`]), gives assets their fingerprints ([`fingerprint`]), and ends with a manifest and a [`source`] of its bytes.
//! [`encode`] compresses them, and [`plain_folder`] writes them to a folder for `build --out`.
//!
//! This room reads the export and its own caches. It knows no host, and it never writes to the export.

pub(crate) mod cache_file;
pub mod check;
pub mod decode;
pub mod encode;
mod error;
pub mod fingerprint;
pub mod pipeline;
pub mod plain_folder;
pub mod scan;
pub mod source;
pub mod survey;

pub use error::SiteError;
