//! Infrastructure for the tests: which helper is for what.
//!
//! **To run the command.** [`command`] has `Project`, a folder with a site manifest and a home of its own; `Ran`, what a
//! run printed; `Running`, a run in the background; `small_export`, and the states of folders to compare. [`terminal`]
//! runs the command in a terminal whose screen can be read.
//!
//! **To call the library.** [`bench`] publishes sites in memory through any connector (`run` of a `Command`), and reads
//! what visitors get (`seen`), every name of a store (`names`) and the faults of the live release.
//!
//! **A host.** What a test is about decides which one:
//!
//! | helper | what it is | for |
//! |---|---|---|
//! | [`memory`] | a file system in memory with a clock that a test sets; cheap to copy | thousands of runs from one state; power failures |
//! | [`intercept`] | a wrapper around any connector that records, watches, answers or changes | what is sent, and a host that refuses or lies |
//! | [`faulty`] | a wrapper that fails once, at a planned point and in a planned way | every point of a run (`proofs::crashes`) |
//! | [`sshd`] | a real SSH server, plain or in a chroot | what only OpenSSH shows |
//! | [`delay`] | a line before a server: slow, narrow, cut or silent at an exact byte | real connections that break |
//!
//! **Visitors.** [`nginx`] serves a docroot by the printed vhost, [`http`] asks it exactly what a test says,
//! [`tls`] makes certificates, [`browser`] drives Chromium, [`cdn`] is an edge with the API that purges it, and
//! [`server`] any other service of the web.
//!
//! **A reader's machine.** [`sandbox`] runs the commands of a document in namespaces of their own, root's commands too.
//!
//! **The rest.** [`export`] and [`files`] copy and change folders. [`report`] prints figures of a test that passes.
//!
//! `tests/suite/offline/layout.rs` keeps this list sorted. A helper that only one module needs is in that module.

#![allow(dead_code, reason = "a helper is written once and used by the modules that need it")]

pub mod bench;
pub mod browser;
pub mod cdn;
pub mod command;
pub mod delay;
pub mod export;
pub mod faulty;
pub mod files;
pub mod http;
pub mod intercept;
pub mod memory;
pub mod nginx;
pub mod report;
pub mod sandbox;
pub mod server;
pub mod sshd;
pub mod terminal;
pub mod tls;
