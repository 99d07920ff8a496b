//! Checks the documents against the tool: the reference covers everything that users can type or read, and no link is
//! broken.
//!
//! The tool itself lists what must be documented if it can (`--help`, the list of known keys in an error); the rest is
//! read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use syntax_publish::config::{self, CHECKS, Level, NOT_YET, TargetKind};

use crate::support::command::Project;

const NOT_ACTED_ON: &str = "ot acted on yet";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn reference() -> String {
    read("docs/reference.md")
}

/// The text below a heading, up to the next one of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let line = format!("\n{heading}\n");
    let begin = text
        .find(&line)
        .unwrap_or_else(|| panic!("no heading {heading:?} in docs/reference.md"))
        + line.len();
    let level = heading.find(' ').expect("a heading");
    let rest = &text[begin..];
    let ends = (1..=level).filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// Everything that a pattern's first group matches.
fn all(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("a pattern");
    let found = pattern.captures_iter(text);
    found.map(|found| found[1].to_owned()).collect()
}

fn help(project: &Project, command: &[&str]) -> String {
    project.run(&[&["help"], command].concat()).expect_code(0).stdout
}

/// Options and arguments, as `--help` lists them.
fn options(help: &str) -> BTreeSet<String> {
    let mut names = all(r"(?m)^ +(?:-\w, )?(--[a-z-]+)", help);
    names.extend(all(r"(?m)^ +(-\w), --", help));
    names.extend(all(r"(?m)^ +[<\[]([A-Z]+)[>\]] ", help));
    names
}

/// The lines below a heading of `--help`, up to the empty line.
fn listed(help: &str, heading: &str) -> String {
    let begin = help.find(heading).unwrap_or_else(|| panic!("{heading:?} in --help")) + heading.len();
    help[begin..].split("\n\n").next().expect("a part").to_owned()
}

fn assert_mentions(text: &str, names: impl IntoIterator<Item = String>, place: &str) {
    // `--out DIR` mentions `--out`, and `-q` is written alone.
    let missing: Vec<String> = names
        .into_iter()
        .filter(|name| !text.contains(&format!("`{name}`")) && !text.contains(&format!("`{name} ")))
        .collect();
    assert!(missing.is_empty(), "docs/reference.md, {place}: {missing:?} missing");
}

#[test]
fn reference_has_every_command_and_option() {
    let (project, reference) = (Project::new(), reference());
    let main = help(&project, &[]);
    let everywhere = section(&reference, "### Global options");
    assert_mentions(
        everywhere,
        options(&listed(&main, "\nGlobal options:\n")),
        "Global options",
    );
    assert_mentions(everywhere, options(&listed(&main, "\nOptions:\n")), "Global options");
    let commands = all(r"(?m)^  ([a-z]+) ", &listed(&main, "\nCommands:\n"));
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let text = help(&project, &[command]);
        let own = text.split("\nGlobal options:").next().expect("a part");
        let own = options(own).into_iter().filter(|name| name != "-h" && name != "--help");
        let heading = format!("### `{command}`");
        assert_mentions(section(&reference, &heading), own, &heading);
    }
    let documented = all(r"(?m)^### `([a-z]+)`$", section(&reference, "## Commands"));
    assert_eq!(documented, commands, "headings of docs/reference.md, and commands");
}

#[test]
fn examples_in_the_documents_use_options_that_there_are() {
    let project = Project::new();
    let main = help(&project, &[]);
    let commands = all(r"(?m)^  ([a-z]+) ", &listed(&main, "\nCommands:\n"));
    for (file, text) in documents() {
        let lines = text.lines().map(|line| line.trim().trim_start_matches("$ "));
        for line in lines.filter(|line| line.starts_with("syntax-publish ") && !line.starts_with("syntax-publish [")) {
            let line = line
                .split(" #")
                .next()
                .expect("a part")
                .split(" > ")
                .next()
                .expect("a part");
            let command = line.split_whitespace().nth(1).filter(|word| commands.contains(*word));
            let known = help(&project, &command.map_or_else(Vec::new, |command| vec![command]));
            for option in all(r" (--[a-z-]+)", line) {
                assert!(options(&known).contains(&option), "{}: {line}", file.display());
            }
        }
    }
}

/// The known keys of a table, or the known tables: the names that the tool itself lists when it meets an unknown one.
fn known(before: &str) -> BTreeSet<String> {
    let unknown = "zzzzzzzzzzzzzzzzzzzzzzzz";
    let error = config::parse(&format!("{before}\n{unknown} = 1\n")).expect_err("an unknown key");
    let problem = error.problems.iter().find(|problem| problem.key.ends_with(unknown));
    let problem = problem.unwrap_or_else(|| panic!("{error}"));
    let names = problem
        .hint
        .strip_prefix("known here: ")
        .expect("the list of what is known");
    names
        .split(", ")
        .map(|name| name.trim_matches(['[', ']', '"']).to_owned())
        .collect()
}

#[test]
fn reference_has_every_key_of_the_site_manifest() {
    let reference = reference();
    let manifest = section(&reference, "## Site manifest");
    let free = section(&reference, "### Tables whose keys are not fixed");
    let tables = known("");
    assert!(tables.contains("publish"), "{tables:?}");
    for table in &tables {
        if free.contains(&format!("`[{table}]`")) || free.contains(&format!("`[[{table}]]`")) {
            continue;
        }
        if table == "targets" {
            let text = section(manifest, "### `[targets.NAME]`");
            for kind in ["local", "sftp"] {
                let keys = known(&format!("[targets.x]\nkind = \"{kind}\""));
                assert!(keys.contains("docroot"), "{keys:?}");
                assert_mentions(text, keys, "[targets.NAME]");
            }
            continue;
        }
        // Files, and lists of tables.
        if ["headers", "redirects"].contains(&&**table) {
            let heading = format!("### `_{table}` and `[[{table}]]`");
            assert_mentions(section(manifest, &heading), known(&format!("[[{table}]]")), &heading);
            continue;
        }
        let heading = format!("### `[{table}]`");
        // The keys of this table are globs.
        if table == "types" {
            assert!(!section(manifest, &heading).is_empty());
            continue;
        }
        assert_mentions(section(manifest, &heading), known(&format!("[{table}]")), &heading);
    }
}

#[test]
fn reference_marks_what_is_not_acted_on_and_nothing_else() {
    let reference = reference();
    let expected: BTreeSet<String> = NOT_YET.iter().map(|name| (*name).to_owned()).collect();
    let mut marked = BTreeSet::new();
    let manifest = section(&reference, "## Site manifest");
    for heading in all(r"(?m)^### `\[([a-z]+)\]`$", manifest) {
        let text = section(manifest, &format!("### `[{heading}]`"));
        if text.trim_start().starts_with(&format!("*N{NOT_ACTED_ON}.*")) {
            marked.insert(heading);
            continue;
        }
        for line in text.lines().filter(|line| line.contains(NOT_ACTED_ON)) {
            let key = all(r"^\| `([a-z0-9-]+)`", line);
            marked.extend(key.into_iter().map(|key| format!("{heading}.{key}")));
        }
    }
    let free = section(manifest, "### Tables whose keys are not fixed");
    assert!(free.contains(NOT_ACTED_ON));
    marked.extend(all(r"`\[+([a-z]+)\]+`", free));
    assert_eq!(marked, expected);
}

#[test]
fn reference_has_the_default_level_of_each_check() {
    let reference = reference();
    for (check, level) in CHECKS {
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Off => "off",
        };
        let row = format!("| `{check}` | `\"{level}\"` |");
        assert!(reference.contains(&row), "{row}");
    }
}

/// The body of a function in a source file.
fn body(source: &str, name: &str) -> String {
    let text = read(source);
    let begin = text
        .find(&format!("fn {name}("))
        .unwrap_or_else(|| panic!("fn {name} in {source}"));
    let end = text[begin + 1..].find("\n    }\n").into_iter();
    let end = end.chain(text[begin + 1..].find("\n}\n")).min().expect("the end of it");
    text[begin..=begin + end].to_owned()
}

#[test]
fn reference_has_every_exit_code_and_every_error_code() {
    let reference = reference();
    let exit_codes = section(&reference, "## Exit codes");
    let exit_codes = exit_codes.split("\n### ").next().expect("the table of exit codes");
    let mut numbers: BTreeSet<String> = ["0", "130", "143"].map(str::to_owned).into();
    let mut names: BTreeSet<String> = BTreeSet::from(["usage".to_owned()]);
    let source = "src/cli/failure.rs";
    for function in ["codes", "site_codes", "store_codes", "access_codes"] {
        let body = body(source, function);
        numbers.extend(all(r#"\((\d+), "[a-z-]+"\)"#, &body));
        names.extend(all(r#"\(.+, "([a-z-]+)"\)"#, &body));
    }
    assert!(
        numbers.contains("8") && names.contains("disk-full"),
        "{numbers:?} {names:?}"
    );
    for number in numbers {
        let row = Regex::new(&format!(r"(?m)^\|[^|]*`{number}`[^|]*\|")).expect("a pattern");
        assert!(row.is_match(exit_codes), "exit code {number}");
    }
    assert_mentions(section(&reference, "### Error codes"), names, "Error codes");
}

/// Values of the library that `--json` prints as they are, and the files that define them.
const PRINTED: [(&str, &str); 11] = [
    ("live/doctor/finding.rs", "DoctorCheck"),
    ("model/manifest/mod.rs", "Change"),
    ("site/anchors.rs", "GoneAnchor"),
    ("site/check/budget.rs", "Spending"),
    ("site/check/finding.rs", "Problem"),
    ("site/moved.rs", "Suggestion"),
    ("site/pipeline.rs", "Inspected"),
    ("site/pipeline.rs", "Unread"),
    ("site/plain_folder.rs", "Built"),
    ("store/prune/mod.rs", "Pruned"),
    ("store/signing/mod.rs", "Signature"),
];

/// The names that the fields of a struct have in JSON.
fn json_fields(structure: &str) -> BTreeSet<String> {
    let skipped = Regex::new(r"#\[serde\((?:skip|flatten)\)\]\s+pub").expect("a pattern");
    let renamed = Regex::new(r#"#\[serde\(rename = "([a-z_]+)"\)\]\s+pub [a-z_]+:"#).expect("a pattern");
    let structure = skipped.replace_all(structure, "");
    let structure = renamed.replace_all(&structure, "pub $1:");
    all(r"(?m)^    pub ([a-z_]+):", &structure)
}

#[test]
fn reference_has_every_field_of_json() {
    let reference = reference();
    let mut fields = BTreeSet::new();
    for file in ["json", "live", "timings"] {
        fields.extend(json_fields(&read(format!("src/cli/{file}.rs"))));
    }
    // The events of `watch` are an enum, which serde tags with its name.
    let json = read("src/cli/json.rs");
    let (_, events) = json.split_once("pub enum Watched {").expect("the events");
    fields.extend(all(r"\b([a-z_]+): ", events.split("\n}\n").next().expect("its end")));
    fields.insert("event".to_owned());
    for (file, name) in PRINTED {
        let source = read(Path::new("src").join(file));
        let (_, rest) = source
            .split_once(&format!("pub struct {name} {{"))
            .unwrap_or_else(|| panic!("no {name} in {file}"));
        let of_it = json_fields(rest.split("\n}\n").next().expect("its end"));
        assert!(!of_it.is_empty(), "{name}");
        fields.extend(of_it);
        // What a function of the file writes in place of a field.
        fields.extend(all(r#"serialize_field\("([a-z_]+)""#, &source));
    }
    for name in ["round_trips", "repeat", "cpu_seconds", "change", "ok", "since", "line"] {
        assert!(fields.contains(name), "{name}: {fields:?}");
    }
    assert_mentions(section(&reference, "## JSON output"), fields, "JSON output");
}

/// The documents for users and for future maintainers.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = ["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(PathBuf::from)
        .to_vec();
    for folder in ["docs", "docs/guides"] {
        for entry in fs::read_dir(repository().join(folder)).expect("a folder of documents") {
            let name = entry.expect("a document").file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                files.push(Path::new(folder).join(name));
            }
        }
    }
    files
        .into_iter()
        .map(|file| {
            let text = read(&file);
            (file, text)
        })
        .collect()
}

/// The anchors that a code host generates from a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &String| -> String {
        let kept = heading.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        });
        kept.collect()
    };
    let mut anchors: BTreeSet<String> = all(r"(?m)^#+ (.+)$", text).iter().map(slug).collect();
    anchors.extend(all("<a id=\"([^\"]+)\">", text));
    anchors
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (file, text) in documents() {
        for link in all(r"\]\(([^)\s]+)\)", &text) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().expect("a folder").join(path),
            };
            let full = repository().join(&target);
            assert!(full.exists(), "{}: {link} leads nowhere", file.display());
            if !anchor.is_empty() {
                let there = anchors(&read(&target));
                assert!(there.contains(anchor), "{}: no #{anchor} in {path:?}", file.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} links");
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let readme = read("README.md");
    assert!(readme.contains("`tests/run`") && readme.contains("`cargo run --release`"));
    let mode = fs::metadata(repository().join("tests/run"))
        .expect("tests/run")
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111, "tests/run can be run by everybody");
    // The program that `cargo run` starts, and what it publishes, and where.
    let cargo = read("Cargo.toml");
    assert!(cargo.contains("default-run = \"syntax-publish\"") && repository().join("src/main.rs").is_file());
    let config = config::parse(&read("site-manifest.toml"))
        .expect("the site manifest")
        .config;
    assert_eq!(
        (&*config.site.export, &*config.publish.target),
        ("fixtures/export", "local")
    );
    assert!(repository().join("fixtures/export/index.html").is_file());
    let TargetKind::Local { docroot } = &config.targets["local"].kind else {
        panic!("the target local is not local");
    };
    assert!(readme.contains(&format!("`{docroot}`")), "{docroot}");
}

#[test]
fn the_readme_names_the_compiler_that_is_needed() {
    let oldest = all(r#"(?m)^rust-version = "([^"]+)""#, &read("Cargo.toml"));
    let oldest = oldest.first().expect("rust-version in Cargo.toml");
    assert!(
        read("README.md").contains(&format!("Rust {oldest} or newer")),
        "{oldest}"
    );
}
