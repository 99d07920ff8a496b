//! The redirects of a site: makes the entries of the release. Pure.
//!
//! [`crate::rules::redirects`] decides what a rule means.

use crate::next::page::owners;
use crate::next::url::CLIENT;
use crate::rules::redirects::Table;
use crate::rules::{Address, Outcome, Rules, file_address, languages};

/// Makes the entries of a release that consists of these files, and the addresses of the files. `paths` must be
/// sorted.
#[must_use]
pub fn table(rules: &Rules, paths: &[&str]) -> (Table, Vec<String>) {
    if rules.redirects.rules().is_empty() {
        return (Table::default(), Vec::new());
    }
    let is_file = |path: &str| paths.binary_search(&path).is_ok();
    let is_sought = |path: &&&str| {
        let is_payload = owners(path).iter().any(|page| is_file(page));
        let is_error = languages::is_error_page(path);
        // The client's files, payloads and error pages are not what an old link leads to.
        !path.starts_with(&CLIENT[1..]) && !is_payload && !is_error
    };
    let sought = paths.iter().filter(is_sought);
    let addresses = sought.filter_map(|path| file_address::preferred(rules, path, &is_file));
    let addresses: Vec<String> = addresses.collect();
    let is_answered = |address: &str| {
        let address = Address::parse(address.as_bytes());
        address.is_ok_and(|address| matches!(rules.resolve(&address, &is_file), Outcome::File { .. }))
    };
    let table = rules.redirects.table(&rules.base_path, &addresses, &is_answered);
    (table, addresses)
}
