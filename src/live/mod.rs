//! Checks whether visitors get what was published, by sending requests to the live site and judging the responses.
//!
//! ```text
//!  site, changes ──question──expect────┐
//!                                      judge──finding──verdict
//!  origin, public ──visitor──response──┘
//! ```
//!
//! Choosing the questions, deriving the expected responses and interpreting the actual ones are pure functions. Of the
//! steps above, only [`visitor`] touches the network. The expected responses follow from digests and from the rules
//! that the vhost is printed from ([`crate::rules`]), so nothing here depends on how a particular web server behaves.
//! This module reports what it saw. It must never decide what happens to a release.

pub mod alias;
pub mod cdn;
mod curl;
pub mod deliver;
pub mod doctor;
pub mod expect;
mod failures;
mod files;
pub mod finding;
pub mod http;
mod judge;
pub mod notify;
pub mod purge;
pub mod question;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod visitor;

pub use alias::AliasFault;
pub use expect::Expected;
pub use failures::failures;
pub use files::{Files, Former};
pub use finding::{Difference, Finding, Flaw, Side};
pub use question::{Accept, Question, Subject};
pub use verdict::is_fine;
pub use visitor::{SideResult, Visitor};
