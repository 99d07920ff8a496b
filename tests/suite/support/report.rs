//! Figures that a passing test tells: past the test runner, which swallows what is printed otherwise.

use std::io::Write;

pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
