//! The one integration test binary.

mod nginx;
mod support;
