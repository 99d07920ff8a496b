//! The address at which a vhost says which rules it was printed by, and which tree it serves. Pure.
//!
//! nginx knows where `current` leads at last: to a tree of the store, whose name is its digest. So one small answer proves
//! that this vhost serves this store and this release, and nothing has to lie in the store for it. It must tell nothing
//! else: no path of the host, no release, no commit. The digest is one of bytes that visitors have anyway.

/// Where it is, below the root of the host.
pub const ADDRESS: &str = "/.well-known/syntax-publish";

/// The number of the rules that are printed. It is raised, and `CHANGES` gets a line, with every change of the vhost that
/// somebody could notice; a test beside the vhost sees to it.
pub const RULES: u32 = 6;

/// What came with each number: what a vhost that was printed before does not do.
const CHANGES: [(u32, &str); 5] = [
    (
        2,
        "it does not say which release it serves, so it can't be seen whether it serves this store",
    ),
    (
        3,
        "a chunk of the replaced release that is requested at the moment of a swap may be a 404 once",
    ),
    (
        4,
        "browsers keep source maps and search indexes below `_next/static/chunks` for a year although they change, and a \
         filtered search in an open tab may fail after a publish; some files without an extension have no type",
    ),
    (
        5,
        "pictures and other files with a fingerprint in their address (`?v=…`) are revalidated on each visit, and pages of \
         a previous release get the live release's pictures",
    ),
    (
        6,
        "without brotli, a symlink that was planted in the store serves any file that nginx may read; with a `deploymentId`, each \
         click loads the whole page after a publish",
    ),
];

/// What a vhost says there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The number of the rules that it was printed by.
    pub rules: u32,
    /// The digest of the tree that it serves; empty where `current` leads to none.
    pub tree: String,
}

/// The text of the marker.
#[must_use]
pub fn text(tree: &str) -> String {
    format!("rules {RULES}\ntree {tree}\n")
}

impl Marker {
    /// Reads what a vhost said; none where that is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rules, rest) = text.strip_prefix("rules ")?.split_once('\n')?;
        let tree = rest.strip_prefix("tree ")?.trim_end_matches('\n');
        if !tree.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self {
            rules: rules.parse().ok()?,
            tree: tree.to_owned(),
        })
    }
}

/// What a vhost that was printed by rules of this number does not do; 1 is those before there were numbers.
#[must_use]
pub fn missing(rules: u32) -> Vec<&'static str> {
    let newer = CHANGES.iter().filter(|(number, _)| *number > rules);
    newer.map(|(_, what)| *what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_is_read_as_it_is_written_and_nothing_else_is_one() {
        let marker = Marker::parse(&text("9f31")).unwrap();
        assert_eq!((marker.rules, marker.tree.as_str()), (RULES, "9f31"));
        assert_eq!(Marker::parse(&text("")).unwrap().tree, "");
        for other in [
            "",
            "<!DOCTYPE html>",
            "rules x\ntree a\n",
            "rules 2\n",
            "rules 2\ntree /srv\n",
        ] {
            assert_eq!(Marker::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn older_rules_lack_something_and_these_nothing() {
        assert!((1..RULES).all(|number| !missing(number).is_empty()));
        assert_eq!(missing(RULES), Vec::<&str>::new());
    }
}
