//! Tests that start no server and no browser.

pub mod answers;
pub mod architecture;
pub mod channels;
pub mod check;
pub mod command;
pub mod debt;
pub mod delay;
pub mod docs;
pub mod faithful;
pub mod format;
pub mod golden;
pub mod help;
pub mod init;
pub mod known;
pub mod languages;
pub mod layout;
pub mod links;
pub mod memory;
pub mod moved;
pub mod operations;
pub mod panics;
pub mod remembered;
pub mod repair;
pub mod screens;
pub mod signatures;
pub mod verify;
