//! The text of a new site manifest. Pure.

use std::fmt::Write as _;

use super::{Choice, DOCROOT, NGINX_ROOT, Project, TargetChoice, check_value};
use crate::config::{self, ConfigError, WebUrl};
use crate::model::path::printable;

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML list of strings.
fn list<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// Lines with aligned comments.
struct Lines(String);

impl Lines {
    fn head(&mut self, table: &str, remark: &str) {
        self.0.push('\n');
        if !remark.is_empty() {
            for line in remark.lines() {
                let _ = writeln!(self.0, "# {line}");
            }
        }
        let _ = writeln!(self.0, "{table}");
    }

    /// A key with a string.
    fn text(&mut self, key: &str, value: &str, remark: &str) {
        self.line(&format!("{key} = {}", quoted(value)), remark);
    }

    fn line(&mut self, line: &str, remark: &str) {
        let _ = match remark {
            "" => writeln!(self.0, "{line}"),
            remark => writeln!(self.0, "{line:<36}  # {remark}"),
        };
    }
}

/// The site manifest for a folder, from what was found and chosen.
///
/// # Errors
/// The problems that the parser reports if a choice is invalid.
pub fn manifest(found: &Project, choice: &Choice) -> Result<String, ConfigError> {
    let mut lines = Lines(String::new());
    if let Some(schema) = &found.schema {
        // Taplo reads this in the first comment alone, and takes the path from the file.
        lines.line(&format!("#:schema {schema}"), "");
    }
    lines.line(
        "# What syntax-publish publishes, and where to. Every key has a default: what is commented out shows it.",
        "",
    );
    site(&mut lines, found, choice);
    next(&mut lines, found);
    publish(&mut lines, choice);
    targets(&mut lines, found, choice);
    lines.head("[nginx]", "");
    lines.line(
        "one-address = true",
        "a page has one address: `/usage.html` leads to `/usage`, and error pages are 404s",
    );
    watch(&mut lines, found);
    config::parse(&lines.0)?;
    Ok(lines.0)
}

/// The source of a value, in parentheses; empty if the user chose a different value.
fn source<T: PartialEq<str>>(known: Option<&super::Sourced<T>>, value: &str) -> String {
    known
        .filter(|known| known.value == *value)
        .map_or_else(String::new, |known| format!(" ({})", known.from))
}

fn site(lines: &mut Lines, found: &Project, choice: &Choice) {
    lines.head("[site]", "");
    let from = source(found.name.as_ref(), &choice.name);
    lines.text("name", &choice.name, &format!("what messages call the site{from}"));
    match &choice.url {
        Some(url) => {
            let from = source(found.url.as_ref(), url);
            lines.text("url", url, &format!("where visitors find it{from}"));
        }
        None => lines.line("# url = \"https://docs.example.com\"", "where visitors find it"),
    }
    let what = format!("what `{}` writes, relative to this file", found.command());
    lines.text("export", &choice.export, &what);
}

fn next(lines: &mut Lines, found: &Project) {
    // The generator refuses whatever the parser refuses, so the build reports it.
    let base = found.base_path();
    if let Some(base) = base.filter(|base| check_value("next", "base-path", &base.value).is_ok()) {
        lines.head("[next]", "");
        lines.text("base-path", &base.value, &base.from);
    }
}

fn publish(lines: &mut Lines, choice: &Choice) {
    let target = match &choice.destination {
        TargetChoice::Local => "local",
        TargetChoice::Host { .. } => "production",
    };
    lines.head("[publish]", "");
    lines.text("target", target, "used unless --target names another");
    lines.line("# keep = 10", "releases that prune keeps");
    lines.line("# skew = \"7d\"", "how long assets of replaced releases stay reachable");
    lines.line(
        "# max-removed = \"30%\"",
        "a publish that removes more pages than this stops",
    );
    if choice.export == "." {
        lines.line(
            "exclude = [\"site-manifest.toml\"]",
            "globs over paths of the export that are left out",
        );
    } else {
        lines.line("# exclude = []", "globs over paths of the export that are left out");
    }
}

fn targets(lines: &mut Lines, found: &Project, choice: &Choice) {
    let is_local = choice.destination == TargetChoice::Local;
    lines.head(
        "[targets.local]",
        "A folder of this machine, with the same store as on a host, to try it out.",
    );
    lines.line("kind = \"local\"", "");
    // If this folder is itself the export, the docroot goes next to it and not into it.
    let docroot = if choice.export == "." {
        format!("../{}-docroot", choice.name)
    } else {
        "target/docroot".to_owned()
    };
    lines.text("docroot", &docroot, "made by the first publish");

    let own = found.own_host(choice);
    let of_url = choice.url.as_ref().and_then(|url| WebUrl::parse(url).ok());
    let host = match (&choice.destination, own, &of_url) {
        (TargetChoice::Host { host, .. }, ..) => host.clone(),
        (TargetChoice::Local, Some(alias), _) => alias.name.clone(),
        (TargetChoice::Local, None, Some(url)) => url.host().to_owned(),
        (TargetChoice::Local, None, None) => "docs.example.com".to_owned(),
    };
    let alias = found.aliases.iter().find(|alias| alias.name == host);
    let (user, docroot, nginx_root) = match &choice.destination {
        TargetChoice::Host {
            user,
            docroot,
            nginx_root,
            ..
        } => (user.as_ref(), docroot.as_str(), nginx_root.as_str()),
        TargetChoice::Local => (None, DOCROOT, NGINX_ROOT),
    };
    let mut known = String::new();
    if is_local && own.is_none() && !found.aliases.is_empty() {
        let names: Vec<&str> = found.aliases.iter().take(8).map(|alias| &*alias.name).collect();
        known = format!("\nKnown to ssh here: {}.", printable(&names.join(", ")));
    }
    let remark = format!(
        "A host with OpenSSH and nginx. Its account needs SFTP and nothing else: docs/host-setup.md of syntax-publish\n\
         sets it up.{known}"
    );
    let off = if is_local { "# " } else { "" };
    lines.head(&format!("{off}[targets.production]"), &remark);
    let what = match alias.and_then(|alias| alias.host_name.as_ref()) {
        Some(host) => format!("an alias of ssh, for {}", printable(host)),
        None => "a name, an address or an alias of ssh".to_owned(),
    };
    lines.line(&format!("{off}kind = \"sftp\""), "");
    lines.text(&format!("{off}host"), &host, &what);
    match user {
        Some(user) => lines.text(&format!("{off}user"), user, "an account of its own"),
        None => lines.line(
            "# user = \"syntax-publish\"",
            "an account of its own; else ssh's default",
        ),
    }
    lines.line(
        "# identity = \"~/.ssh/id_ed25519\"",
        "the private key; else ssh's default",
    );
    lines.line(
        "# host-key = \"ssh-ed25519 AAAA...\"",
        "from /etc/ssh/ssh_host_ed25519_key.pub on the host: pins it, so CI needs no known-hosts file",
    );
    let (docroot_key, nginx_root_key) = (format!("{off}docroot"), format!("{off}nginx-root"));
    lines.text(&docroot_key, docroot, "as SFTP sees it; made if its parent exists");
    let what = "the same folder as nginx sees it: outside of a chroot";
    lines.text(&nginx_root_key, nginx_root, what);
    lines.line("# nginx-version = \"1.22\"", "what `nginx -v` prints on the host");
}

fn watch(lines: &mut Lines, found: &Project) {
    let Some(build) = &found.build else {
        return;
    };
    lines.head("[watch]", "");
    lines.line(
        &format!("command = {}", list(&build.value)),
        &format!("the site's own build ({})", build.from),
    );
    if !found.sources.is_empty() {
        lines.line(&format!("paths = {}", list(&found.sources)), "what it is made of");
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator_config::{FORMS, GeneratorConfig};
    use super::super::ssh_config::Alias;
    use super::super::{Choice, Project, Sourced, TargetChoice};
    use super::*;
    use crate::config::TargetKind;

    fn found() -> Project {
        Project {
            name: Some(Sourced::new("docs".to_owned(), "package.json")),
            url: Some(Sourced::new("https://docs.example.com".to_owned(), "public/CNAME")),
            config: Some(Sourced::new(
                GeneratorConfig::read(&FORMS[0], "export default { basePath: '/handbook' }"),
                "next.config.mjs",
            )),
            build: Some(Sourced::new(
                vec!["npm".to_owned(), "run".to_owned(), "build".to_owned()],
                "package.json",
            )),
            sources: vec!["app".to_owned()],
            aliases: vec![Alias {
                name: "box".to_owned(),
                host_name: Some("docs.example.com".to_owned()),
            }],
            ..Project::default()
        }
    }

    #[test]
    fn site_manifest_says_what_was_found_and_where() {
        let found = found();
        let text = manifest(&found, &found.suggested()).unwrap();
        insta::assert_snapshot!(text, @r#"
        # What syntax-publish publishes, and where to. Every key has a default: what is commented out shows it.

        [site]
        name = "docs"                         # what messages call the site (package.json)
        url = "https://docs.example.com"      # where visitors find it (public/CNAME)
        export = "out"                        # what `next build` writes, relative to this file

        [next]
        base-path = "/handbook"               # `basePath` of next.config.mjs

        [publish]
        target = "local"                      # used unless --target names another
        # keep = 10                           # releases that prune keeps
        # skew = "7d"                         # how long assets of replaced releases stay reachable
        # max-removed = "30%"                 # a publish that removes more pages than this stops
        # exclude = []                        # globs over paths of the export that are left out

        # A folder of this machine, with the same store as on a host, to try it out.
        [targets.local]
        kind = "local"
        docroot = "target/docroot"            # made by the first publish

        # A host with OpenSSH and nginx. Its account needs SFTP and nothing else: docs/host-setup.md of syntax-publish
        # sets it up.
        # [targets.production]
        # kind = "sftp"
        # host = "box"                        # an alias of ssh, for docs.example.com
        # user = "syntax-publish"             # an account of its own; else ssh's default
        # identity = "~/.ssh/id_ed25519"      # the private key; else ssh's default
        # host-key = "ssh-ed25519 AAAA..."    # from /etc/ssh/ssh_host_ed25519_key.pub on the host: pins it, so CI needs no known-hosts file
        # docroot = "/site"                   # as SFTP sees it; made if its parent exists
        # nginx-root = "/srv/syntax/site"     # the same folder as nginx sees it: outside of a chroot
        # nginx-version = "1.22"              # what `nginx -v` prints on the host

        [nginx]
        one-address = true                    # a page has one address: `/usage.html` leads to `/usage`, and error pages are 404s

        [watch]
        command = ["npm", "run", "build"]     # the site's own build (package.json)
        paths = ["app"]                       # what it is made of
        "#);
    }

    #[test]
    fn a_chosen_host_is_the_default_target() {
        let found = found();
        let choice = Choice {
            destination: TargetChoice::Host {
                host: "box".to_owned(),
                user: None,
                docroot: "/srv/docs".to_owned(),
                nginx_root: "/srv/docs".to_owned(),
            },
            ..found.suggested()
        };
        let config = config::parse(&manifest(&found, &choice).unwrap()).unwrap().config;
        assert_eq!(config.publish.target, "production");
        assert_eq!(config.targets["production"].nginx_root.as_deref(), Some("/srv/docs"));
        let TargetKind::Sftp(target) = &config.targets["production"].kind else {
            panic!("not sftp");
        };
        assert_eq!(
            (&*target.host, &target.user, &*target.docroot),
            ("box", &None, "/srv/docs")
        );
    }

    #[test]
    fn whatever_is_found_the_text_parses_or_is_not_given_out() {
        for odd in ["\"", "\\", "a\nb", "\u{7}", "größe", "]"] {
            let mut found = found();
            found.sources = vec![odd.to_owned()];
            found.aliases[0].name = odd.to_owned();
            let choice = Choice {
                export: odd.to_owned(),
                ..found.suggested()
            };
            let text = manifest(&found, &choice).unwrap();
            let config = config::parse(&text).unwrap().config;
            assert_eq!(
                (&*config.site.export, &*config.watch.paths),
                (odd, &[odd.to_owned()][..])
            );
        }
        let found = found();
        let choice = Choice {
            name: "No Name".to_owned(),
            ..found.suggested()
        };
        assert!(manifest(&found, &choice).is_err());
    }

    #[test]
    fn lines_that_are_commented_out_are_right_when_the_marks_are_taken_off() {
        let found = Project::default();
        let text = manifest(&found, &found.suggested()).unwrap();
        let all: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") || rest.starts_with('[') => rest,
                _ => line,
            })
            // The placeholder is deliberately not a valid key.
            .filter(|line| !line.starts_with("host-key"))
            .collect();
        let parsed = config::parse(&all.join("\n")).unwrap();
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
        assert!(parsed.config.targets.contains_key("production"));
        assert_eq!(parsed.config.publish, config::parse("").unwrap().config.publish);
    }
}
