//! The events of notifications, and the template of their body. Pure.

use serde_json::Value;

/// The events that can be sent.
pub const EVENTS: [&str; 6] = ["published", "failed", "taken-back", "rolled-back", "held", "resumed"];

/// The fields that a template can use.
pub const FIELDS: [&str; 11] = [
    "text", "event", "site", "target", "release", "previous", "url", "commit", "who", "error", "hint",
];

/// Replaces the fields of a template. Other braces are part of the JSON.
pub fn fill(template: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let name = behind.split('}').next().unwrap_or_default();
        if FIELDS.contains(&name) && behind.len() > name.len() {
            text.push_str(&value(name));
            rest = &behind[name.len() + 1..];
        } else {
            text.push('{');
            rest = behind;
        }
    }
    text.push_str(rest);
    text
}

/// Whether a template is JSON once it is filled.
///
/// # Errors
/// The reason, as the end of a sentence about the template.
pub fn check_template(template: &str) -> Result<(), &'static str> {
    let filled = fill(template, &|_| "\"a \\\"quoted\\\" text\"".to_owned());
    match serde_json::from_str::<Value>(&filled) {
        Ok(_) => Ok(()),
        Err(_) => Err("is not JSON, with its names put in as strings with their quotes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_that_would_not_be_json_is_refused() {
        assert!(check_template(r#"{"text": {text}}"#).is_ok());
        for bad in [r#"{"text": "{text}"}"#, "{text", "{name}", ""] {
            assert!(check_template(bad).is_err(), "{bad}");
        }
    }
}
