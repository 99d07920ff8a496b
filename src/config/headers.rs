//! `[[headers]]`.
//!
//! Pure. A mistake here is an error of the site manifest. A line of a `_headers` file that can't be followed is a finding of
//! the check `headers`.

use super::section::{Section, expect, text};
use super::shape::Shape;
use crate::rules::custom_headers::HeaderRule;

pub(super) fn rule(section: &Section<'_>) -> Option<HeaderRule> {
    let address = expect("an address that starts with `/`, as in `_headers`", r#""/docs/*""#);
    let value = expect("the value of a header, or false to remove it", r#""noindex""#);
    let table = expect("a table of headers", r#"{ X-Robots-Tag = "noindex" }"#);
    section.require("for", address);
    section.require("values", table);
    let refuse = |table: &Section<'_>, key: &str, reason: String| {
        let hint = "see `[[headers]]` in the reference".to_owned();
        table.problem(key, format!("this rule {reason}"), hint);
    };
    let rule = section.read_text("for", address, |text| {
        let rule = HeaderRule::new(section.place(), text);
        Ok(rule.map_err(|reason| refuse(section, "for", reason)).ok())
    });
    let Some(mut rule) = rule.flatten() else {
        section.skip(&["values"]);
        return None;
    };
    if let Some(values) = section.open("values") {
        values.each(value, Shape::Either(vec![Shape::Text, Shape::False]), |name, found| {
            let result = match found.as_bool() {
                Some(false) => rule.remove(name),
                _ => rule.set(name, text(found)?),
            };
            if let Err(reason) = result {
                refuse(&values, name, reason);
            }
            Ok(())
        });
    }
    (!rule.is_empty()).then_some(rule)
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::rules::CustomHeaders;

    #[test]
    fn tables_are_rules_after_those_of_the_file() {
        let text = "[[headers]]\nfor = \"/docs/*\"\nvalues = { X-Robots-Tag = \"noindex\", X-Frame-Options = false }\n\
                    [[headers]]\nfor = \"/docs/a\"\n[headers.values]\nX-Robots-Tag = \"none\"\n";
        let mut headers = parse(text).unwrap().config.headers;
        assert_eq!(headers.rules.len(), 2);
        assert_eq!(headers.rules[0].place.line, 1);
        headers.put_before(crate::rules::custom_headers::parse(
            "_headers",
            "/*\n  X-Robots-Tag: all\n  Server: a\n",
        ));
        assert_eq!(headers.bad.len(), 1);
        let rules = CustomHeaders::new(headers.rules);
        let values = |name: &str| {
            let mut changed = rules.at(b"/docs/a").into_iter();
            changed
                .find(|changed| changed.name == name)
                .map(|changed| changed.values)
        };
        assert_eq!(values("X-Robots-Tag").unwrap(), ["all", "noindex", "none"]);
        assert_eq!(values("X-Frame-Options").unwrap(), [""; 0]);
    }

    #[test]
    fn a_table_that_cannot_be_followed_is_an_error_with_its_line() {
        let text = "[[headers]]\nfor = \"docs\"\nvalues = { X-A = \"a\" }\n[[headers]]\nvalues = { X-A = \"a\" }\n\
                    [[headers]]\nfor = \"/a\"\n[[headers]]\nfor = \"/b\"\nvalue = 1\n[headers.values]\nCache-Control = \"no-cache\"\n\
                    X-A = true\nX-B = \"a\\nb\"\nX-C = 1\n";
        let errors = parse(text).unwrap_err();
        insta::assert_snapshot!(errors, @r#"
        this rule has an address that does not start with `/`, line 2: see `[[headers]]` in the reference
        [headers] has no "for", line 4: add an address that starts with `/`, as in `_headers`, such as for = "/docs/*"
        [headers] has no "values", line 6: add a table of headers, such as values = { X-Robots-Tag = "noindex" }
        unknown key "value" in [headers], line 10: did you mean "values"?
        this rule sets Cache-Control, but the vhost decides for each file how long it may be kept: for good if its name changes with its content, line 12: see `[[headers]]` in the reference
        "X-A" in [headers.values] is true, line 13: it must be the value of a header, or false to remove it, such as X-A = "noindex"
        this rule gives X-B a value with '\n', but the value of a header has only printable ASCII, line 14: see `[[headers]]` in the reference
        "X-C" in [headers.values] is the number 1, line 15: it must be the value of a header, or false to remove it, such as X-C = "noindex"
        "#);
    }
}
