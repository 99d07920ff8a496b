//! The rules as header lines that a server without rules can send: for each line a list of choices, the first of which
//! applies. Pure.
//!
//! Values that an address may get together are in different lines, because a line has one value. So a line has values
//! for addresses that have none in common, and a site has about as many lines as names of headers.

use super::{AddressPattern, CustomHeaders, HeaderRule};

/// A header line. It is left out of an answer if its value is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine<'r> {
    /// The name of the header.
    pub name: &'r str,
    /// The values by address; the first that applies counts.
    pub choices: Vec<Choice<'r>>,
    /// The value of every other address; empty for none.
    pub default: &'r str,
}

/// The value of a header line for some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'r> {
    /// The addresses.
    pub path: &'r AddressPattern,
    /// Addresses of `path` that it is not for, each with exceptions for which it is after all.
    pub unless: Vec<(&'r AddressPattern, Vec<&'r AddressPattern>)>,
    /// The value; empty for no header.
    pub value: &'r str,
    /// The rule that it is from.
    pub rule: &'r HeaderRule,
}

impl CustomHeaders {
    /// The header lines of every name that a rule changes. `defaults` are the names and values that an answer has without
    /// rules.
    #[must_use]
    pub fn lines<'r>(&'r self, defaults: &[(&'r str, &'r str)]) -> Vec<HeaderLine<'r>> {
        let mut names: Vec<&str> = Vec::new();
        let of_rules = self.rules.iter().flat_map(HeaderRule::names);
        for name in defaults.iter().map(|(name, _)| *name).chain(of_rules) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name);
            }
        }
        let default = |name: &str| defaults.iter().find(|(known, _)| *known == name);
        names
            .into_iter()
            .flat_map(|name| self.lines_of(name, default(name).map(|(_, value)| *value)))
            .collect()
    }

    /// The lines of one name; none if no rule changes it.
    fn lines_of<'r>(&'r self, name: &'r str, default: Option<&'r str>) -> Vec<HeaderLine<'r>> {
        let is_about = |rule: &&HeaderRule| rule.names().any(|changed| changed.eq_ignore_ascii_case(name));
        let rules: Vec<&HeaderRule> = self.rules.iter().filter(is_about).collect();
        if rules.is_empty() {
            return Vec::new();
        }
        let mut sent: Vec<Sent<'_>> = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for value in rule.values(name) {
                let together = |other: &&Sent<'_>| other.rule.path.may_overlap(&rule.path);
                if sent.iter().any(|other| other.at == at && other.value == value) {
                    continue;
                }
                // Behind every line that an address may have before this value.
                let others = sent.iter().filter(together).filter(|other| other.value != value);
                let line = others.map(|other| other.line + 1).max().unwrap_or(0);
                sent.push(Sent { rule, at, value, line });
            }
        }
        let removers = |path: &AddressPattern, at: usize| -> Vec<&'r AddressPattern> {
            let later = rules.iter().skip(at + 1).filter(|rule| rule.removes(name));
            later
                .map(|rule| &rule.path)
                .filter(|other| other.may_overlap(path))
                .collect()
        };
        let count = sent.iter().map(|sent| sent.line + 1).max().unwrap_or(0);
        let count = count.max(usize::from(default.is_some()));
        let line = |_| HeaderLine {
            name,
            choices: Vec::new(),
            default: "",
        };
        let mut lines: Vec<HeaderLine<'r>> = (0..count).map(line).collect();
        for (index, one) in sent.iter().enumerate() {
            let removed = removers(&one.rule.path, one.at)
                .into_iter()
                .map(|path| (path, Vec::new()));
            // The same value of an earlier rule, unless it was removed since.
            let repeated = sent[..index].iter().filter(|earlier| {
                earlier.value == one.value && earlier.line != one.line && earlier.rule.path.may_overlap(&one.rule.path)
            });
            let repeated = repeated.map(|earlier| (&earlier.rule.path, removers(&earlier.rule.path, earlier.at)));
            lines[one.line].choices.push(Choice {
                path: &one.rule.path,
                unless: removed.chain(repeated).collect(),
                value: one.value,
                rule: one.rule,
            });
        }
        if let (Some(default), Some(first)) = (default, lines.first_mut()) {
            first.default = default;
            for rule in rules {
                let is_decided = |choice: &Choice<'_>| choice.unless.is_empty() && choice.path == &rule.path;
                if !first.choices.iter().any(is_decided) {
                    first.choices.push(Choice {
                        path: &rule.path,
                        unless: Vec::new(),
                        value: "",
                        rule,
                    });
                }
            }
        }
        lines
    }
}

/// A value that a rule sends.
struct Sent<'r> {
    rule: &'r HeaderRule,
    /// The rule's place among those of the name.
    at: usize,
    value: &'r str,
    /// The line that sends it.
    line: usize,
}
