//! Publishes a Next.js static export to a plain nginx host: atomic releases, only what changed travels, rollback by one
//! symlink, and nothing on the host but SFTP.
//!
//! ```text
//!  export ──scan──survey──check──fingerprint──manifest──┐
//!                                                       plan──encode──sync──swap──verify──prune
//!  host   ──enter──questions and answers────────────────┘
//! ```
//!
//! [`delivery`] sees a release to its visitors: it asks the live site ([`live`]), and purges what stands before it ([`purge`]).
//! [`pipeline`] is the local half, [`publish`] the half that involves a host; each reads from top to bottom as the picture
//! does. [`watch`] shows the site in a [`preview`], which answers by the rules of [`serving`]. [`model`] has the values everything speaks in, [`host`] the only way to a host. DESIGN.md has the protocol, the
//! crash table and the reasons.
//!
//! Architecture invariants, kept by a test that reads these sources:
//!
//! - `model`, `next`, `manifest`, `plan`, `check`, `config`, `serving`, `nginx`, `event` and `error` are pure: no file, clock, network or host.
//! - A stage never imports a later one; `verify` knows nothing of what `publish` planned.
//! - Nothing here prints, exits or reads the environment: that is the command line's.
//! - `current` moves in [`swap`] alone.

pub mod build;
pub mod check;
pub mod config;
pub mod decode;
pub mod delivery;
pub mod doctor;
pub mod encode;
pub mod error;
pub mod event;
pub mod fingerprint;
pub mod host;
pub mod http;
pub mod init;
mod leaving;
pub mod live;
pub mod manifest;
pub mod mend;
pub mod model;
pub mod next;
pub mod nginx;
pub mod notification;
pub mod panics;
pub mod pipeline;
pub mod plan;
pub mod preview;
pub mod prune;
pub mod publish;
pub mod purge;
mod random;
pub mod releases;
pub mod rollback;
pub mod scan;
mod sealed;
pub mod seen;
pub mod serving;
pub mod session;
pub mod shell;
pub mod sign;
pub mod source;
pub mod store;
pub mod survey;
pub mod swap;
pub mod sync;
pub mod verify;
pub mod watch;
pub mod workshop;
