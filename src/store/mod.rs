//! Everything below a docroot: how releases are stored, published, verified and removed.
//!
//! [`publish`] and [`rollback`] are the two main operations. Both [`open`] the store, take its lock in [`staging`], and
//! end in [`swap`], the only module that moves `current`. [`plan`] decides what is missing, and [`sync`] sends it.
//! [`verify`] reads a store without a plan. [`repair`] replaces what is damaged, and [`prune`] deletes what is no
//! longer needed.
//!
//! This is the only module that changes a store. It reaches the host only through [`crate::host::Host`]. It must not
//! depend on the live site or the network.

pub mod attempt_error;
pub mod channels;
pub mod content;
mod error;
pub mod flight;
pub mod former_pages;
pub mod former_releases;
pub mod open;
pub mod pending_purges;
pub mod plan;
pub mod promote;
pub mod prune;
pub mod publish;
mod records;
mod recovery;
mod refusal;
pub mod releases;
pub mod remote_cache;
pub mod remote_source;
pub mod repair;
pub mod rollback;
pub mod round_trip;
pub(crate) mod run_id;
pub mod session;
pub mod shell_probe;
pub mod signing;
pub mod staging;
pub mod swap;
pub mod sync;
pub mod verify;

pub use error::{Error, LockError, SignError, StoreError, StorePath};
