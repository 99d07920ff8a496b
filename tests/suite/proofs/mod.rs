//! Proofs that a store stays complete: every point at which a run can die, lose power, fail or meet another run.
//!
//! They need no server. Their short sizes run every day, and the long ones with `--include-ignored` (`just soak`).

pub mod contention;
pub mod crashes;
pub mod explored;
pub mod fuzz;
pub mod hostile;
pub mod power;
pub mod sequences;
pub mod swept;
