//! The schema of the site manifest, judged by a validator that knows nothing of this tool: it agrees with the parser about
//! every site manifest of the repository and about mistakes, and has the keys of the reference.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde_json::Value;
use syntax_publish::config::{self, CHECKS, scaffold, schema};

use crate::support::command::Project;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The schema, ready to judge.
struct Judge {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("schema.json", schema::value()).expect("a schema");
        let index = compiler.compile("schema.json", &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    fn judge(&self, toml: &str) -> Result<(), String> {
        let table: toml::Table = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
        let value = serde_json::to_value(table).expect("a value of JSON");
        let valid = self.schemas.validate(&value, self.index);
        valid.map_err(|error| format!("{error:#}"))
    }
}

/// Every example in the documents, with the file that has it.
fn examples() -> Vec<(PathBuf, String)> {
    let mut files = vec![repository().join("README.md")];
    let docs = fs::read_dir(repository().join("docs")).expect("docs/");
    files.extend(docs.map(|entry| entry.expect("an entry").path()));
    let fence = Regex::new(r"(?ms)^ *```toml\n(.*?)^ *```$").expect("a pattern");
    let mut examples = Vec::new();
    for file in files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(&file).expect("a document");
        examples.extend(
            fence
                .captures_iter(&text)
                .map(|found| (file.clone(), found[1].to_owned())),
        );
    }
    examples
}

#[test]
fn every_site_manifest_of_the_repository_is_valid() {
    let judge = Judge::new();
    let assert_valid = |what: &Path, text: &str| {
        judge
            .judge(text)
            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", what.display()));
    };
    let own = repository().join("site-manifest.toml");
    assert_valid(&own, &fs::read_to_string(&own).expect("the site manifest"));
    let examples = examples();
    assert!(examples.len() > 15, "{}", examples.len());
    for (file, text) in examples {
        // An abridged target lacks what it must have.
        if !text.contains("# …") {
            assert_valid(&file, &text);
        }
    }
    for name in ["site", "pages", "nextra", "generators/docusaurus", "generators/astro"] {
        let folder = repository().join("fixtures").join(name);
        let found = scaffold::inspect(&folder, &scaffold::Surroundings::default());
        let text = scaffold::manifest(&found, &found.suggested()).expect("a site manifest");
        assert_valid(&folder, &text);
        // With what is commented out as well.
        let key = Regex::new(r"(?m)^# (\[|[a-z-]+ = )").expect("a pattern");
        assert_valid(&folder, &key.replace_all(&text, "$1"));
    }
}

#[test]
fn what_the_parser_refuses_by_its_form_is_invalid() {
    let judge = Judge::new();
    let sftp = "[targets.a]\nkind = \"sftp\"\nhost = \"h\"\ndocroot = \"/d\"\n";
    let local = "[targets.a]\nkind = \"local\"\ndocroot = \"d\"\n";
    let wrong = [
        // Types.
        "site = 1",
        "[site]\nname = 1",
        "[site]\naliases = \"a\"",
        "[site]\naliases = [1]",
        "[publish]\nkeep = \"10\"",
        "[publish]\nskew = 7",
        "[next]\nstable-build-id = \"yes\"",
        "[encode]\nbrotli = true",
        "[verify]\norigin = true",
        "[cloudflare]\npurge = 1",
        "[budget]\ntotal = true",
        "[types]\n\"*.a\" = 1",
        "[redirects]\nfrom = \"/a\"",
        "[[headers]]\nfor = \"/a\"\nvalues = { X-A = true }",
        &format!("{sftp}port = \"22\""),
        "csp = true",
        // Unknown names.
        "[sites]\nname = \"a\"",
        "name = \"a\"",
        "[site]\nnames = \"a\"",
        "[check]\nanchor = \"warn\"",
        "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\ncode = 301",
        "[[headers]]\nfor = \"/a\"\nvalues = { X-A = \"a\" }\nvalue = 1",
        &format!("{local}user = \"u\""),
        &format!("{sftp}password = \"p\""),
        // Unknown words.
        "[site]\ngenerator = \"gatsby\"",
        "[check]\nlinks = \"warning\"",
        "[check]\nknown = \"off\"",
        "[budget]\nlevel = \"fatal\"",
        "[cloudflare]\npurge = \"all\"",
        "[notify]\nevents = [\"started\"]",
        "[targets.a]\nkind = \"ftp\"\ndocroot = \"d\"",
        // Numbers.
        "[publish]\nkeep = 0",
        "[publish]\nkeep = 1000001",
        "[encode]\nbrotli = 12",
        "[encode]\ngzip = 0",
        "[watch]\nport = 65536",
        "[budget]\ntotal = -1",
        "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 303",
        &format!("{sftp}port = 0"),
        // What is missing.
        "[targets.a]\nkind = \"local\"",
        "[targets.a]\ndocroot = \"d\"",
        "[targets.a]\nkind = \"sftp\"\ndocroot = \"/d\"",
        "[[redirects]]\nfrom = \"/a\"",
        "[[headers]]\nfor = \"/a\"",
    ];
    for text in wrong {
        assert!(judge.judge(text).is_err(), "the schema accepts {text}");
        assert!(config::parse(text).is_err(), "the parser accepts {text}");
    }
    for right in [
        local,
        sftp,
        "[encode]\nbrotli = false",
        "[cloudflare]\npurge = false",
        "[sitemap]\nany = 1",
    ] {
        judge.judge(right).unwrap_or_else(|error| panic!("{error}\n{right}"));
        config::parse(right).unwrap_or_else(|error| panic!("{error}\n{right}"));
    }
}

/// The schema of one table, whose name has no dots.
fn table<'s>(schema: &'s Value, name: &str) -> &'s Value {
    let table = &schema["properties"][name];
    match name {
        "targets" => &table["additionalProperties"],
        "redirects" | "headers" => &table["items"],
        _ => table,
    }
}

fn names(properties: &Value) -> BTreeSet<String> {
    let properties = properties.as_object();
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_schema_has_the_keys_of_the_reference_and_no_others() {
    let schema = schema::value();
    let reference = fs::read_to_string(repository().join("docs/reference.md")).expect("the reference");
    let manifest = reference
        .split("\n## ")
        .find(|part| part.starts_with("Site manifest\n"));
    let manifest = manifest.expect("the part about the site manifest");
    let heading = Regex::new(r"`\[+([a-z]+)(?:\.NAME)?\]+`").expect("a pattern");
    let key = Regex::new("`([a-z0-9-]+)`").expect("a pattern");
    let mut tables = BTreeSet::new();
    for part in manifest.split("\n### ").skip(1) {
        let (title, text) = part.split_once('\n').expect("a heading");
        let found = heading.captures(title).map(|found| found[1].to_owned());
        let Some(name) = found else {
            tables.extend(heading.captures_iter(text).map(|found| found[1].to_owned()));
            continue;
        };
        let mut keys = BTreeSet::new();
        let mut is_of_keys = false;
        for line in text.lines() {
            is_of_keys = line.starts_with("| key |") || (is_of_keys && line.starts_with('|'));
            let cell = line.split(" | ").next().filter(|_| is_of_keys).unwrap_or_default();
            keys.extend(key.captures_iter(cell).map(|found| found[1].to_owned()));
        }
        assert_eq!(names(&table(&schema, &name)["properties"]), keys, "[{name}]");
        tables.insert(name);
    }
    assert_eq!(names(&schema["properties"]), tables);
    for name in &tables {
        assert!(
            !schema["properties"][name]["description"]
                .as_str()
                .expect(name)
                .is_empty(),
            "{name}"
        );
        for (key, value) in table(&schema, name)["properties"].as_object().into_iter().flatten() {
            assert!(
                value["description"].as_str().is_some_and(|text| text.len() > 20),
                "{name}.{key}: {value}"
            );
        }
    }
}

#[test]
fn defaults_are_those_that_the_parser_has() {
    let (judge, schema) = (Judge::new(), schema::value());
    let of_none = config::parse("").expect("an empty site manifest").config;
    // Absent, they are decided by other things, which can have this result.
    let decided = ["cloudflare.token-env", "targets.nginx-version"];
    let mut seen = 0;
    for name in names(&schema["properties"]) {
        for (key, value) in table(&schema, &name)["properties"].as_object().into_iter().flatten() {
            let Some(default) = value.get("default") else { continue };
            let header = match &*name {
                "targets" => "[targets.local]\nkind = \"sftp\"\nhost = \"h\"\ndocroot = \"/d\"".to_owned(),
                "redirects" => "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"".to_owned(),
                name => format!("[{name}]"),
            };
            let with = |line: &str| config::parse(&format!("{header}\n{line}\n")).map(|parsed| parsed.config);
            let line = format!("{key} = {default}");
            judge
                .judge(&format!("{header}\n{line}"))
                .unwrap_or_else(|error| panic!("{error}\n{line}"));
            let given = with(&line).unwrap_or_else(|error| panic!("{error}\n{line}"));
            if decided.contains(&&*format!("{name}.{key}")) {
                continue;
            }
            if !["check", "targets", "redirects"].contains(&&*name) {
                assert_eq!(given, of_none, "[{name}] {line}");
            } else if CHECKS.iter().any(|(check, _)| check == key) {
                assert_eq!(given.check.levels.of(key), of_none.check.levels.of(key), "{line}");
            } else {
                assert_eq!(given, with("").expect("a table without the key"), "[{name}] {line}");
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn init_names_the_schema_where_the_package_is_or_will_be() {
    let schema = |project: &Project, folder: &str| {
        let folder = project.dir.join(folder);
        scaffold::inspect(&folder, &scaffold::Surroundings::default()).schema
    };
    let project = Project::new();
    project.write("package.json", r#"{"devDependencies": {"next": "16"}}"#);
    project.write("docs/package.json", r#"{"devDependencies": {"syntax-publish": "1"}}"#);
    assert_eq!(schema(&project, ""), None);
    let own = Some("./node_modules/syntax-publish/schema.json".to_owned());
    assert_eq!(schema(&project, "docs"), own);
    // Installed above, as by the workspaces of npm.
    project.write("node_modules/syntax-publish/schema.json", "{}");
    assert_eq!(schema(&project, ""), own);
    let above = Some("../node_modules/syntax-publish/schema.json".to_owned());
    assert_eq!(schema(&project, "docs"), above);
    let found = scaffold::Project {
        schema: above,
        ..scaffold::Project::default()
    };
    let text = scaffold::manifest(&found, &found.suggested()).expect("a site manifest");
    assert!(
        text.starts_with("#:schema ../node_modules/syntax-publish/schema.json\n# What "),
        "{text}"
    );
}

#[test]
fn the_command_prints_the_schema_with_and_without_json() {
    let project = Project::new();
    let plain = project.run(&["schema"]).expect_code(0);
    assert_eq!(plain.stdout, schema::text());
    assert_eq!(
        project.run(&["schema", "--json"]).expect_code(0).json(),
        schema::value()
    );
}
