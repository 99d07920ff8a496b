//! The dice: ids that no other run has.

use crate::model::release::RunId;

/// A new run's id.
///
/// Where the system has no randomness to give, the time and the process replace it.
#[must_use]
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
