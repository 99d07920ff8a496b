//! The value types that every other module uses: paths, digests, encodings, trees, releases.
//!
//! Pure. Each value is checked when it is built, so code that receives one need not check it again. Nothing in this
//! folder reads a file, a clock or the network.

pub mod asset;
pub mod cache;
pub mod causes;
pub mod channel;
pub mod digest;
pub mod encoding;
pub mod entries;
pub mod event;
pub mod generator;
pub mod glob;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod path;
pub mod redirect;
pub mod release;
pub mod severity;
pub mod tree;
