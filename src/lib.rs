//! Publishes a Next.js static export to a plain nginx host.

pub mod build;
pub mod check;
pub mod config;
pub mod encode;
pub mod error;
pub mod event;
pub mod host;
mod leaving;
pub mod manifest;
pub mod model;
pub mod nginx;
pub mod pipeline;
pub mod plan;
pub mod prune;
pub mod publish;
mod random;
pub mod releases;
pub mod rollback;
pub mod scan;
pub mod session;
pub mod source;
pub mod store;
pub mod swap;
pub mod sync;
pub mod workshop;
