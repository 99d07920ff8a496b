//! The one integration test binary, with every test that needs the built command, a server or a browser.
//!
//! `offline` needs no server, `served` needs one, and `proofs` are the proofs that a store stays complete. All share
//! `support`. One binary is compiled and linked once: two would link the same crate and `support` twice.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod offline;
mod proofs;
mod served;
mod support;
