//! An export or a host that means no good: a clear error or a right result, and never a write or a removal outside the
//! docroot, an end of memory, or an order to the terminal.

mod export;
mod host;
mod protocol;
mod secrets;
