//! Creates a site manifest for a folder, from what the folder contains.
//!
//! [`inspect`] reads the folder; everything else is pure. A text is returned only if this tool's own parser accepts it.
//! This module must never write a file: the command line decides where the text goes, and whether to ask the user
//! first.

mod generator_config;
mod inspect;
mod script;
pub mod ssh_config;
mod text;

pub use inspect::{Surroundings, inspect};
pub use text::manifest;

use crate::config::{self, ConfigError, WebUrl};
use crate::model::generator::Generator;
use generator_config::GeneratorConfig;
use script::Setting;
use ssh_config::Alias;

/// A value, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The file that contains it, relative to the folder, or another source.
    pub from: String,
}

impl<T> Sourced<T> {
    fn new(value: T, from: impl Into<String>) -> Self {
        Self {
            value,
            from: from.into(),
        }
    }
}

/// What a folder contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// A name for the site.
    pub name: Option<Sourced<String>>,
    /// The scheme and host of the public URL.
    pub url: Option<Sourced<String>>,
    /// The configuration of the generator; `from` is its file.
    pub config: Option<Sourced<GeneratorConfig>>,
    /// Where the build writes the export, relative to the folder; only if there is a configuration.
    pub destination: Option<String>,
    /// The existing exports, relative to the folder; the one to propose comes first.
    pub exports: Vec<String>,
    /// The site's own build command, if it can be run from the folder.
    pub build: Option<Sourced<Vec<String>>>,
    /// Source folders and files.
    pub sources: Vec<String>,
    /// Hosts in the user's ssh configuration.
    pub aliases: Vec<Alias>,
    /// The schema of the site manifest in an npm package of this tool, relative to the folder.
    pub schema: Option<String>,
}

/// The target to publish to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TargetChoice {
    /// A folder on this machine, to start with.
    #[default]
    Local,
    /// A host.
    Host {
        /// A name, an address or an ssh alias.
        host: String,
        /// The account; `None` for ssh's default.
        user: Option<String>,
        /// The docroot, as SFTP sees it.
        docroot: String,
        /// The docroot, as nginx sees it.
        nginx_root: String,
    },
}

/// The values for a new site manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// `name` of `[site]`.
    pub name: String,
    /// `url` of `[site]`.
    pub url: Option<String>,
    /// `export` of `[site]`.
    pub export: String,
    /// The target to publish to by default.
    pub destination: TargetChoice,
}

/// The docroot of the setup in the documentation, as SFTP sees it.
pub const DOCROOT: &str = "/site";

/// The same folder as nginx sees it, outside the chroot of that setup.
pub const NGINX_ROOT: &str = "/srv/syntax/site";

/// Where `next build` writes an export by default.
pub const OUT: &str = "out";

impl Project {
    /// The export to propose.
    #[must_use]
    pub fn export(&self) -> Option<&str> {
        self.exports.first().map(String::as_str)
    }

    /// The command that writes the export.
    #[must_use]
    pub fn command(&self) -> &'static str {
        let config = self.config.as_ref();
        config.map_or("next build", |config| config.value.form.command)
    }

    /// The file of the configuration.
    #[must_use]
    pub fn config_file(&self) -> Option<&String> {
        self.config.as_ref().map(|config| &config.from)
    }

    /// The base path, and where it was found.
    fn base_path(&self) -> Option<Sourced<String>> {
        let config = self.config.as_ref()?;
        let from = format!("`{}` of {}", config.value.form.base, config.from);
        Some(Sourced::new(config.value.base_path()?, from))
    }

    /// The choice without any questions: the local target, which needs no setup.
    #[must_use]
    pub fn suggested(&self) -> Choice {
        let export = self.export().or(self.destination.as_deref());
        Choice {
            name: self.name.as_ref().map_or("site", |name| &name.value).to_owned(),
            url: self.url.as_ref().map(|url| url.value.clone()),
            export: export.unwrap_or(OUT).to_owned(),
            destination: TargetChoice::Local,
        }
    }

    /// The alias for the site's own host, if there is one.
    #[must_use]
    pub fn own_host(&self, choice: &Choice) -> Option<&Alias> {
        let site = choice.url.as_ref().and_then(|url| WebUrl::parse(url).ok());
        let site = site.as_ref().map(WebUrl::host);
        let is_own =
            |alias: &&Alias| Some(alias.host()) == site || Some(&*alias.name) == site || alias.name == choice.name;
        self.aliases.iter().find(is_own)
    }

    /// Hints for the user before the first publish.
    #[must_use]
    pub fn notes(&self, choice: &Choice) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(Sourced { value, from: file }) = &self.config
            && value.form.generator == Generator::Next
        {
            match &value.output {
                Setting::Is(output) if output == "export" => {}
                Setting::Is(other) => notes.push(format!(
                    "{file} has output: \"{other}\", which makes no folder of files: write output: \"export\""
                )),
                Setting::Absent => notes.push(format!(
                    "{file} has no `output`: without output: \"export\" there is nothing to publish"
                )),
                Setting::Computed => {}
            }
        }
        match (self.export(), self.destination.as_deref()) {
            (Some(export), Some(destination)) if export != destination && export == choice.export => {
                notes.push(format!(
                    "`{}` writes {destination}, which is not there; {export} holds an export, so `export` names it",
                    self.command()
                ));
            }
            (None, _) => notes.push(format!(
                "there is no export in {} yet: build the site first",
                choice.export
            )),
            _ => {}
        }
        if self.exports.len() > 1 {
            let which = match self.export() {
                Some(first) if first != choice.export => String::new(),
                first if first == self.destination.as_deref() => format!("the one that `{}` writes, ", self.command()),
                _ => "the newest, ".to_owned(),
            };
            notes.push(format!(
                "there are {} exports: {}; `export` names {which}{}",
                self.exports.len(),
                self.exports.join(", "),
                choice.export
            ));
        }
        notes
    }
}

/// Converts a text to a valid site name, as similar as possible; `None` if nothing of it is left.
#[must_use]
pub fn name_of(text: &str) -> Option<String> {
    // A scoped package: `@example/docs`.
    let text = text.rsplit('/').next().unwrap_or_default();
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_';
    let plain = text.to_lowercase().replace(is_odd, "-");
    let name = plain.trim_matches(['-', '.', '_']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The scheme and host of a URL that could be the public site; `None` for this machine, a reserved name or a code host.
#[must_use]
pub fn site_of(address: &str, code_host: Option<&str>) -> Option<String> {
    const CODE_HOSTS: [&str; 6] = [
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "npmjs.com",
        "www.npmjs.com",
    ];
    let (scheme, rest) = address.trim().split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let origin = format!("{}://{}", scheme.to_ascii_lowercase(), &rest[..end]);
    let url = WebUrl::parse(&origin).ok()?;
    let host = url.host();
    let is_own = host == "localhost" || host.starts_with("127.") || host == "[::1]" || is_reserved(host);
    let is_code = CODE_HOSTS.contains(&host) || code_host == Some(host);
    (!is_own && !is_code).then_some(origin)
}

/// Whether a name is reserved for documentation and tests (RFC 2606, RFC 6761), so that it can't be a site.
fn is_reserved(host: &str) -> bool {
    const NAMES: [&str; 7] = [
        "example.com",
        "example.net",
        "example.org",
        "example",
        "invalid",
        "localhost",
        "test",
    ];
    let is_below = |name: &&str| {
        host.strip_suffix(*name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    NAMES.iter().any(is_below)
}

/// Validates one value of a site manifest with the parser, so that a user who typed it gets the error immediately.
///
/// # Errors
/// The problems of the value.
pub fn check_value(table: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    let line = |key: &str, value: &str| format!("{key} = {}\n", text::quoted(value));
    let mut lines = format!("[{table}]\n{}", line(key, value));
    if table.starts_with("targets.") {
        // The required keys of a target.
        let needed = [("kind", "sftp"), ("host", "x"), ("docroot", DOCROOT)];
        lines.extend(
            needed
                .iter()
                .filter(|(other, _)| *other != key)
                .map(|(other, filler)| line(other, filler)),
        );
    }
    config::parse(&lines).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_people_call_things() {
        for (text, name) in [
            ("@acme/Docs Site", Some("docs-site")),
            ("syntax", Some("syntax")),
            ("größe", Some("gr--e")),
            ("_x_", Some("x")),
            ("...", None),
            ("", None),
        ] {
            let made = name_of(text);
            assert_eq!(made.as_deref(), name, "{text}");
            assert!(
                made.is_none_or(|name| check_value("site", "name", &name).is_ok()),
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_of_code_hosts_and_of_this_machine_are_no_site() {
        let of = |address: &str| site_of(address, Some("git.example.com"));
        assert_eq!(
            of("https://Docs.acme.dev/a?b#c").as_deref(),
            Some("https://Docs.acme.dev")
        );
        assert_eq!(
            of("http://docs.acme.dev:8080").as_deref(),
            Some("http://docs.acme.dev:8080")
        );
        for none in [
            "https://github.com/a/b#readme",
            "https://git.example.com/a",
            "http://localhost:3000",
            "https://example.com",
            "https://docs.example.org",
            "https://site.test",
            "http://127.0.0.1/",
            "docs.example.com",
            "ftp://x.example.com",
            "https://",
            "",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn the_alias_of_the_sites_own_host_is_found() {
        let alias = |name: &str, host: &str| Alias {
            name: name.to_owned(),
            host_name: Some(host.to_owned()),
        };
        let found = Project {
            aliases: vec![alias("other", "192.0.2.1"), alias("box", "docs.example.com")],
            url: Some(Sourced::new("https://docs.example.com".to_owned(), "x")),
            ..Project::default()
        };
        assert_eq!(
            found.own_host(&found.suggested()).map(|alias| &*alias.name),
            Some("box")
        );
        assert_eq!(
            found.own_host(&Choice {
                url: None,
                ..found.suggested()
            }),
            None
        );
    }
}
