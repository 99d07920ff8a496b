//! Whether visitors get what was published: questions to the live site, and what their answers mean.
//!
//! ```text
//!  site, changes ──question──expect──┐
//!                                    judge──finding──verdict
//!  origin, public ──visitor──answer──┘
//! ```
//!
//! What is to be asked, what an answer should be and what it means are functions; [`visitor`] alone touches the network.
//! What should be follows from the rules that the vhost is printed from ([`crate::rules`]) and from digests, so nothing
//! here knows what a web server really does. It must never decide what becomes of a release: it says what it saw.

pub mod address;
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

pub use expect::Expected;
pub use failures::failures;
pub use files::{Files, Former};
pub use finding::{Difference, Finding, Flaw, Side};
pub use question::{Accept, Question, Subject};
pub use verdict::Verdict;
pub use visitor::{Round, Visitor};
