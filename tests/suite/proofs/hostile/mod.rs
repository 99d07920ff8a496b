//! Malicious exports and hosts. The result must be a clear error or a correct result, and never a write or a removal
//! outside the docroot, exhausted memory, or a control sequence on the terminal.

mod export;
mod host;
mod protocol;
mod secrets;
