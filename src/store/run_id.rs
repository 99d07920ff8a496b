//! Random, unique run IDs. No two runs may ever have the same one.

use crate::model::release::RunId;

/// Returns the ID of a new run.
///
/// If the system can't supply randomness, the ID is made from the time and the process ID.
pub fn run_id() -> RunId {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let mixed = now.as_nanos() ^ (u128::from(std::process::id()) << 64);
        bytes.copy_from_slice(&crate::model::digest::Digest::of(&mixed.to_le_bytes()).as_bytes()[..8]);
    }
    RunId::new(bytes)
}
