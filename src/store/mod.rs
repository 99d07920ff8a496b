//! Everything below a docroot: how releases are kept, published, verified and removed.
//!
//! [`publish`] and [`rollback`] are the two stories. Both [`open`] the store, take its lock in [`staging`], and end in
//! [`swap`], the only place that moves `current`. [`plan`] decides what is missing, [`sync`] sends it. [`verify`] reads a
//! store without the plan; [`repair`] and [`prune`] put it in order.
//!
//! This is the only room that changes a store. It reaches the host through [`crate::host::Host`] alone, and knows
//! nothing of visitors or the network.

mod error;
pub mod flight;
pub mod open;
pub mod pending_purges;
pub mod plan;
pub mod prune;
pub mod publish;
mod recovery;
mod refusal;
pub mod releases;
pub mod remote_cache;
pub mod repair;
pub mod rollback;
pub(crate) mod run_id;
pub mod session;
pub mod shell_probe;
pub mod signing;
pub mod staging;
pub mod swap;
pub mod sync;
pub mod verify;

pub use error::{Error, LockError, SignError, StoreError, StorePath};
