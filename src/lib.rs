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
//! does. [`watch`] shows the site in a [`preview`], which answers by the rules of [`serving`]. [`model`] has the values everything speaks in, [`host`] the only way to a host. docs/protocol.md has
//! the protocol and the crash table, DESIGN.md the reasons.
//!
//! Architecture invariants, kept by a test that reads these sources:
//!
//! - `model`, `next`, `manifest`, `plan`, `check`, `config`, `serving`, `nginx`, `event` and `error` are pure: no file, clock, network or host.
//! - A stage never imports a later one; `verify` knows nothing of what `publish` planned.
//! - Nothing here prints, exits or reads the environment: that is the command line's.
//! - `current` moves in [`swap`] alone.

pub mod config;
pub mod host;
pub mod live;
pub mod model;
pub mod next;
pub mod preview;
pub mod rules;
pub mod site;
pub mod store;
