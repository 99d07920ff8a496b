//! The `syntax-publish` command: parse, run, exit.
fn main() {}
