//! `csp`: the policy of `[csp]` allows what the pages do. Pure.
//!
//! Only what pages and style sheets state themselves is known. What scripts load is not.

use super::finding::{Material, RawFinding, shortened};
use super::repeats::Repeats;
use crate::config::CspMode;
use crate::next::inline_scripts::Unhashable;
use crate::rules::csp::DIRECTIVES;
use crate::site::survey::MOST_SHARED;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let csp = material.csp;
    if csp.mode == CspMode::Off {
        return Vec::new();
    }
    let own = material
        .host
        .and_then(|host| url::Url::parse(&format!("https://{host}/")).ok());
    let mut code = Repeats::new();
    let mut urls = Repeats::new();
    for file in material
        .files()
        .filter(|file| !csp.is_excluded(file.asset.path.as_str()))
    {
        let Some(facts) = &file.facts.policy else { continue };
        if !csp.policy.may_allow_attributes() {
            for (line, what) in &facts.unhashable {
                code.add(what, &file.asset.path, *line);
            }
        }
        for restricted in &facts.restricted {
            let directive = &*restricted.directive;
            let is_allowed = match &restricted.url {
                None => {
                    csp.policy.allows_own(directive)
                        || own.as_ref().is_some_and(|own| csp.policy.allows(directive, own))
                }
                Some(url) => url::Url::parse(url).is_ok_and(|url| csp.policy.allows(directive, &url)),
            };
            if !is_allowed {
                urls.add(
                    (directive, restricted.url.as_deref().map(origin)),
                    &file.asset.path,
                    restricted.line,
                );
            }
        }
    }
    let mut findings = code.findings(|what| {
        let hint = "browsers don't run it under a policy: move the code into a script, or leave the page out with \
                    `exclude` in [csp]";
        let told = match what {
            Unhashable::Handler(name) => format!("[csp] blocks the code in `{name}`"),
            Unhashable::Url => "[csp] blocks a URL that begins with `javascript:`".to_owned(),
            Unhashable::Drawing => "[csp] blocks a script inside a drawing".to_owned(),
            Unhashable::Frame => "[csp] blocks a script inside `srcdoc`".to_owned(),
        };
        (told, hint.to_owned())
    });
    findings.extend(urls.findings(|(directive, origin)| {
        let default = DIRECTIVES.iter().find(|(name, _)| name == directive);
        let default: Vec<String> = default
            .iter()
            .flat_map(|(_, sources)| sources.iter())
            .filter(|source| **source != "'none'")
            .map(|source| format!("\"{source}\", "))
            .collect();
        let default = if default.is_empty() {
            "\"'self'\", ".to_owned()
        } else {
            default.concat()
        };
        match origin {
            None => (
                format!("[csp] blocks files of the site itself ({directive})"),
                format!("add \"'self'\" to `{directive}` in [csp.directives]"),
            ),
            Some(origin) => (
                format!("[csp] blocks {} ({directive})", shortened(origin)),
                format!("if the page needs it, write `{directive} = [{default}\"{origin}\"]` in [csp.directives]"),
            ),
        }
    }));
    if csp.mode == CspMode::Enforce && material.survey.shared_scripts("").is_none() {
        findings.push(RawFinding::new(
            "",
            format!("pages make more than {MOST_SHARED} different inline scripts with next/script"),
            "a script that the next page makes is blocked after a click: move them into files",
        ));
    }
    let judged = match csp.mode {
        // What broke nothing before may do so now, such as when the policy only reported.
        CspMode::Enforce => RawFinding::always,
        _ => RawFinding::light,
    };
    findings.into_iter().map(judged).collect()
}

/// The part of a URL that a source names: scheme and host, or the scheme alone.
fn origin(url: &str) -> &str {
    let host = url.find("://").map(|at| at + "://".len());
    let end = host.and_then(|host| Some(host + url.get(host..)?.find('/')?));
    end.map_or(url, |end| &url[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    fn found(page: &str, manifest: &str) -> Vec<String> {
        let files = [
            ("index.html", page),
            ("s.css", "@font-face{src:url(https://fonts.example/a.woff2)}"),
        ];
        Export::with_policy(&files, manifest).finds(find)
    }

    #[test]
    fn what_a_policy_blocks_is_found_with_what_to_add() {
        let page = "<script src='//cdn.example/a.js?x'></script>\n<img src='https://i.example/a.png'><img src=/a.png>\n\
                    <a onclick=x href='javascript:y'>a</a><form action='https://f.example/'></form>\n\
                    <iframe src='https://v.example/e'></iframe><object data=/a.svg></object><img src='data:image/png,x'>";
        assert_eq!(
            found(page, "[csp]\nmode = \"enforce\""),
            [
                "index.html:3: [csp] blocks the code in `onclick`",
                "index.html:3: [csp] blocks a URL that begins with `javascript:`",
                "s.css:1: [csp] blocks https://fonts.example (font-src)",
                "index.html:3: [csp] blocks https://f.example (form-action)",
                "index.html:4: [csp] blocks https://v.example (frame-src)",
                "index.html:2: [csp] blocks https://i.example (img-src)",
                "index.html:4: [csp] blocks files of the site itself (object-src)",
                "index.html:1: [csp] blocks https://cdn.example (script-src)",
            ]
        );
    }

    #[test]
    fn what_is_allowed_excluded_or_without_a_policy_is_no_finding() {
        let page = "<script src='https://cdn.example/a.js'></script><a onclick=x>a</a>";
        let allowed = "[csp]\nmode = \"enforce\"\n[csp.directives]\nscript-src = [\"'self'\", \"'unsafe-inline'\", \
                       \"https://cdn.example\"]\nfont-src = [\"https:\"]";
        let excluded = "[csp]\nmode = \"enforce\"\nexclude = [\"*.html\", \"*.css\"]";
        for manifest in ["", "[csp]\nmode = \"off\"", allowed, excluded] {
            assert_eq!(found(page, manifest), [""; 0], "{manifest}");
        }
    }
}
