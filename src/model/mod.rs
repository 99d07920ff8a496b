//! The values that every stage speaks of. Pure.

pub mod cache;
pub mod media;
