//! The redirects of a site: makes the entries of the release. Pure.
//!
//! [`crate::rules::redirects`] decides what a rule means.

use crate::next::page::owners;
use crate::next::url::CLIENT;
use crate::rules::redirects::{RedirectRule, Remark, Table, below};
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
    let mut table = rules.redirects.table(&rules.base_path, &addresses, &is_answered);
    let of_build = rules.redirects.rules().iter().filter(|rule| is_of_build(rules, rule));
    table
        .remarks
        .extend(of_build.map(|rule| (rule.place.clone(), Remark::Build)));
    table.remarks.sort_by(|(a, _), (b, _)| a.cmp(b));
    (table, addresses)
}

/// Whether a rule is for addresses at which the vhost looks for no redirect: for one of a file that never changes, or, as a
/// pattern of the vhost, for what Next.js's client asks for.
fn is_of_build(rules: &Rules, rule: &RedirectRule) -> bool {
    let written = rule.fixed().unwrap_or_else(|| rule.written.clone());
    let Some(inner) = below(&rules.base_path, &written) else {
        return false;
    };
    if rule.is_pattern() {
        !rule.is_known_in_advance() && inner.starts_with(CLIENT)
    } else {
        rules.classes.is_pooled(&inner.as_bytes()[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::next::client::Client;
    use crate::rules::Redirects;
    use crate::rules::redirects::parse;

    #[test]
    fn redirects_at_addresses_of_the_build_never_apply() {
        let text = "/_next/static/chunks/old.js /new 301\n/_next/* /new 301\n/_next/data/* /:splat 301\n/_next/page /new 301\n\
                    /a/* /new 301\n/_next/static/chunks/gone.js /new 301\n";
        let never = |base: &str, text: &str| {
            let config = config::parse(&format!("[next]\nbase-path = \"{base}\""))
                .unwrap()
                .config;
            let paths = ["index.html", "new.html"];
            let rules = crate::site::pipeline::rules(&config, Client::default(), paths.iter().copied());
            let rules = Rules {
                redirects: Redirects::new(parse("_redirects", text).0),
                ..rules
            };
            let remarks = table(&rules, &paths).0.remarks.into_iter();
            let never = remarks.filter(|(_, remark)| *remark == Remark::Build);
            never.map(|(place, _)| place.line).collect::<Vec<u32>>()
        };
        assert_eq!(never("", text), [1, 2, 6]);
        assert_eq!(
            never("/b", "/b/_next/static/chunks/old.js /new 301\n/_next/* /new 301\n"),
            [1]
        );
    }
}
