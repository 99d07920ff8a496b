//! `[[redirects]]`.
//!
//! Pure. A mistake here is an error of the site manifest. A line of a `_redirects` file that can't be followed is a finding of
//! the check `redirects`.

use super::section::{Refusal, Section, expect, whole};
use super::shape::Shape;
use crate::model::redirect::Status;
use crate::rules::redirects::{DEFAULT_STATUS, RedirectRule};

pub(super) fn rule(section: &Section<'_>) -> Option<RedirectRule> {
    let address = expect("an address that starts with `/`", r#""/old/page""#);
    let target = expect(
        "an address that starts with `/`, or an http or https URL",
        r#""/new/page""#,
    );
    let code = expect("301, 302, 307 or 308", "308");
    let own = |value: &str| Ok(value.to_owned());
    let from = section.read_required("from", address, own);
    let to = section.read_required("to", target, own);
    let codes = Shape::Numbers(Status::ALL.iter().map(|status| status.code()).collect());
    let status = section.read("status", code, codes, |value| {
        let number = whole::<u16>(value, 0..=999)?;
        Status::from_code(&number.to_string()).ok_or(Refusal::Type)
    });
    if section.has("status") && status.is_none() {
        return None;
    }
    // The default of this file is its own, so there is nothing to doubt.
    let status = Some(status.unwrap_or(DEFAULT_STATUS));
    match RedirectRule::new(section.place(), &from?, &to?, status) {
        Ok(rule) => Some(rule),
        Err(reason) => {
            section.problem(
                "from",
                format!("this redirect {reason}"),
                "see `_redirects` in the reference".to_owned(),
            );
            None
        }
    }
}
