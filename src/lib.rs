//! Publishes a Next.js static export to a plain nginx host.

pub mod config;
