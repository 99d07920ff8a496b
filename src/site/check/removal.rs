//! `max-removed`: a publish that removes much of the site is more often a broken build than intended. Pure.

/// The least number of live pages for this check. On a smaller site each page is a large share.
pub const SMALLEST: u64 = 10;

/// Whether removing `removed_pages` of `live_pages` is more than `limit_percent` of them.
#[must_use]
pub fn removes_too_much(live_pages: u64, removed_pages: u64, limit_percent: u8) -> bool {
    // Integers of 128 bits: they can't overflow, and no rounding can move a share across the limit.
    let removed = u128::from(removed_pages) * 100;
    let allowed = u128::from(live_pages) * u128::from(limit_percent);
    live_pages >= SMALLEST && removed > allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_is_too_much_and_the_share_itself_is_not() {
        assert!(!removes_too_much(10, 3, 30));
        assert!(removes_too_much(10, 4, 30));
        assert!(!removes_too_much(333, 99, 30));
        assert!(removes_too_much(333, 100, 30));
        assert!(removes_too_much(u64::MAX, u64::MAX, 99));
    }

    #[test]
    fn the_ends_of_the_scale_mean_none_and_all() {
        assert!(removes_too_much(10, 1, 0));
        assert!(!removes_too_much(10, 0, 0));
        assert!(!removes_too_much(10, 10, 100));
    }

    #[test]
    fn small_and_new_sites_are_not_asked_about() {
        assert!(!removes_too_much(9, 9, 30));
        assert!(!removes_too_much(0, 0, 30));
    }
}
