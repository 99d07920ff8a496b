//! Publishes a Next.js static export to a plain nginx host.

pub mod config;
pub mod host;
pub mod manifest;
pub mod model;
pub mod nginx;
pub mod plan;
mod random;
pub mod session;
pub mod store;
pub mod workshop;
