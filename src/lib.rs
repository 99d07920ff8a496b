//! Publishes a Next.js static export to a plain nginx host. Releases are atomic, only changes are sent, a rollback is
//! one symlink, and the host needs nothing but SFTP.
//!
//! ```text
//!  export ──scan──survey──check──fingerprint──manifest──┐
//!                                                       plan──encode──sync──swap──verify──prune
//!  host   ──open───questions and answers────────────────┘
//! ```
//!
//! [`site::pipeline`] is the local half and [`store::publish`] the half that involves a host; each reads from top to
//! bottom, in the order of the picture. [`live::deliver`] delivers a release to its visitors: it checks the live site
//! ([`live`]) and purges the CDN in front of it ([`live::purge`]). [`preview::watch`] serves the site in a [`preview`],
//! which answers by [`rules`]. [`model`] contains the values that all other modules use, and [`host`] is the only
//! access to a host. docs/protocol.md has the protocol
//! and the crash table, DESIGN.md the reasons.
//!
//! Architecture invariants, enforced by a test that reads these sources (`tests/suite/offline/architecture`):
//!
//! - `model`, `next`, `rules`, `site::check`, `store::plan` and most of `config` are pure: they access no file, clock,
//!   network or host.
//! - A stage never imports a later one. `store::verify` has no access to what `store::publish` planned.
//! - Nothing in this library prints, exits or reads the environment. Only the command line does.
//! - Only [`store::swap`] moves `current`.

pub mod config;
pub mod host;
pub mod live;
pub mod model;
pub mod next;
pub mod preview;
pub mod rules;
pub mod site;
pub mod store;
