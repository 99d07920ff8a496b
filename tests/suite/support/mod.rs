//! What the tests share: real servers and clients, and nothing that knows what is right.

pub mod http;
pub mod nginx;
