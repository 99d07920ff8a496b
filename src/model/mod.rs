//! The values everything else speaks in: paths, digests, encodings, trees, releases.
//!
//! Pure. A value here is checked when it is made, so anyone who holds one need not check again. Nothing in this
//! folder reads a file, a clock or the network.

pub mod asset;
pub mod cache;
pub mod digest;
pub mod encoding;
pub mod entries;
pub mod event;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod path;
pub mod release;
pub mod severity;
pub mod tree;
