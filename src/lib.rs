//! Publishes a Next.js static export to a plain nginx host.

pub mod check;
pub mod encode;
pub mod event;
pub mod host;
pub mod model;
pub mod scan;
