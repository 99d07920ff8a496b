//! Infrastructure for the tests: a real SSH server, a line with a delay, a browser, a project to run the binary in.

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
pub mod server;
pub mod sshd;
pub mod terminal;
pub mod tls;
