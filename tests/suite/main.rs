//! The one integration test binary, with every test that needs the built command, a server or a browser. One binary is
//! linked only once, and its modules share `support`.
//!
//! A module that needs a server must be named in `server_modules` of `tests/run`, so that the quick run leaves it out.
//! `layout` checks that list and the lists of modules here for completeness.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod architecture;
mod bad_input;
mod browser;
mod check;
mod ci;
mod cli;
mod cli_sftp;
mod clock;
mod command;
mod contention;
mod contract;
mod copied;
mod crashes;
mod crashes_served;
mod cuts;
mod debt;
mod delay;
mod docs;
mod doctor;
mod explored;
mod faithful;
mod format;
mod fuzz;
mod golden;
mod help;
mod hostile;
mod init;
mod known;
mod languages;
mod layout;
mod least_privilege;
mod links;
mod live;
mod memory;
mod nginx;
mod operations;
mod panics;
mod power;
mod preview;
mod publish;
mod races;
mod remembered;
mod repair;
mod resumed;
mod screens;
mod sequences;
mod served_verify;
mod signatures;
mod ssh_failures;
mod sshd;
mod support;
mod swept;
mod verify;
