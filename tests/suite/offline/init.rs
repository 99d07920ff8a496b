//! `init` turns a folder into a working site manifest, and must not overwrite an existing one.

use std::fs;
use std::path::Path;

use regex_lite::Regex;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use syntax_publish::config::{self, SiteConfig, TargetKind};

use super::faithful::generator;
use crate::support::command::{Project, Running, small_export};
use crate::support::export::copy;

fn fixture(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// The site manifest that a run wrote.
fn written(project: &Project) -> SiteConfig {
    let text = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    let parsed = config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    parsed.config
}

/// Writes a site manifest, publishes with it, and checks that a file of the site is in the docroot that it names.
#[track_caller]
fn assert_published(project: &Project, file: &str) {
    project.run(&["init"]).expect_code(0);
    let config = written(project);
    // Only the compression levels are changed, to save time. Other tests cover the default levels.
    let path = project.dir.join("site-manifest.toml");
    let text = fs::read_to_string(&path).expect("a site manifest") + "\n[encode]\nbrotli = 1\ngzip = 1\n";
    fs::write(&path, text).expect("a site manifest");
    let published = project.run(&["--json"]).expect_code(0).json();
    assert!(published["swapped"] == true, "{published}");
    let TargetKind::Local { docroot } = &config.targets["local"].kind else {
        panic!("not local");
    };
    let current = project.dir.join(docroot).join("current");
    assert!(current.join(file).is_file(), "no {file} in {}", current.display());
}

/// Copies a fixture's own files, without installed or built ones.
fn site(project: &Project, name: &str) {
    for entry in fs::read_dir(fixture(name)).expect("a fixture") {
        let entry = entry.expect("an entry");
        if ["node_modules", ".next", "out"]
            .iter()
            .any(|left| entry.file_name() == *left)
        {
            continue;
        }
        let to = project.dir.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

#[test]
fn every_fixture_is_published_by_what_init_writes() {
    for (name, page) in [
        ("pages", "team.html"),
        ("based", "start/index.html"),
        ("nextra", "install.html"),
    ] {
        let project = Project::new();
        site(&project, name);
        assert_published(&project, page);
        assert_eq!(written(&project).site.export, "export", "{name}");
    }
}

#[test]
fn sites_of_other_generators_are_published_by_what_init_writes() {
    for (name, export, page) in [
        ("docusaurus", "build", "guide/index.html"),
        ("astro", "dist", "guide/index.html"),
        ("vitepress", ".vitepress/dist", "guide.html"),
    ] {
        let project = Project::new();
        site(&project, &format!("generators/{name}"));
        copy(&generator(name).build("first"), &project.dir.join(export));
        assert_published(&project, page);
        assert_eq!(written(&project).site.export, export, "{name}");
        let checked = project.run(&["check", "--json"]).expect_code(0).json();
        assert_eq!(checked["problems"], serde_json::json!([]), "{name}");
    }
}

#[test]
fn site_that_was_built_is_published_by_what_init_writes() {
    let project = Project::new();
    site(&project, "site");
    // The output of `next build`: from this run if there is one, otherwise as committed.
    let built = std::env::var_os("SYNTAX_PUBLISH_BUILT_EXPORT").map(std::path::PathBuf::from);
    copy(&built.unwrap_or_else(|| fixture("export")), &project.dir.join("out"));
    assert_published(&project, "docs/getting-started.html");
    let config = written(&project);
    assert_eq!(
        (&*config.site.name, &*config.site.export),
        ("syntax-docs-fixture", "out")
    );
    assert_eq!(
        config.site.url.expect("an address").as_str(),
        "https://syntax.kraite.com"
    );
    assert_eq!(config.watch.command, ["npm", "run", "build"]);
}

#[test]
fn folder_that_is_an_export_itself_is_published_without_the_site_manifest() {
    let project = Project::new();
    small_export(&project.dir);
    assert_published(&project, "docs/a.html");
    let config = written(&project);
    assert_eq!(config.publish.exclude, ["site-manifest.toml"]);
    let plan = project.run(&["plan", "--json"]).expect_code(0).json();
    assert_eq!((&plan["files"], &plan["added"]), (&12.into(), &0.into()), "{plan}");
}

#[test]
fn empty_folder_gets_a_site_manifest_that_says_what_is_missing() {
    let project = Project::new();
    let ran = project.run(&["init"]).expect_code(0);
    insta::assert_snapshot!(project.redact(&ran.to_string()), @r"
    exit 0
    --- stdout
    wrote site-manifest.toml
    name    project                                      from the folder's name
    url     none yet: visitors' address goes into `url`
    export  out
    target  local
    note: there is no export in out yet: build the site first
    next: syntax-publish plan

    --- stderr
    ");
    let ran = project.run(&["check"]);
    assert!(ran.code != 0 && ran.stderr.contains("out"), "{ran}");
}

#[test]
fn answer_as_json_says_what_the_site_manifest_says() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write(
        "package.json",
        r#"{"name": "@acme/docs", "homepage": "https://docs.acme.com/"}"#,
    );
    let ran = project.run(&["init", "--json", "--site", "other.toml"]).expect_code(0);
    let value = serde_json::json!({
        "file": "other.toml",
        "name": "docs",
        "url": "https://docs.acme.com",
        "export": "out",
        "target": "local",
        "notes": [],
    });
    assert_eq!((ran.json(), &*ran.stderr), (value, ""));
    project.run(&["plan", "--site", "other.toml"]).expect_code(0);
}

#[test]
fn site_manifest_that_is_there_is_never_written_over() {
    let project = Project::new();
    project.write_manifest("[site]\nname = \"mine\"\n");
    let ran = project.run(&["init", "--yes", "--json"]).expect_code(2);
    assert_eq!(ran.json()["error"]["code"], "exists", "{ran}");
    assert!(ran.stderr.contains("hint: nothing was changed"), "{ran}");
    assert_eq!(written(&project).site.name, "mine");

    // A dangling symlink is not overwritten either.
    let link = project.dir.join("link.toml");
    std::os::unix::fs::symlink("nowhere", &link).expect("a link");
    project.run(&["init", "--site", "link.toml"]).expect_code(2);
    assert!(!project.dir.join("nowhere").exists());
}

#[test]
fn alias_for_the_host_of_the_site_is_in_the_example() {
    let project = Project::new();
    project.write(
        "package.json",
        r#"{"name": "docs", "homepage": "https://docs.acme.com/"}"#,
    );
    let config = project.home.join(".ssh/config");
    crate::support::command::write(&config, "Host other\nHost box\n  HostName docs.acme.com\n");
    project.run(&["init"]).expect_code(0);
    let text = fs::read_to_string(project.dir.join("site-manifest.toml")).expect("a site manifest");
    assert!(text.contains("\n# host = \"box\" "), "{text}");
    assert_eq!(written(&project).publish.target, "local");
}

#[test]
fn repository_names_a_site_that_nothing_else_names() {
    let project = Project::new();
    for words in [
        &["init", "-q"][..],
        &["remote", "add", "origin", "git@code.acme.com:team/guide.git"],
    ] {
        let git = std::process::Command::new("git")
            .current_dir(&project.dir)
            .args(words)
            .status();
        assert!(git.expect("git").success());
    }
    project.run(&["init"]).expect_code(0);
    assert_eq!(written(&project).site.name, "guide");
}

/// A terminal, and a run that uses it as standard input and standard error.
struct Terminal {
    running: Running,
    ours: fs::File,
}

impl Terminal {
    fn run(project: &Project, args: &[&str]) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("a terminal");
        unlockpt(&ours).expect("a terminal");
        let name = ptsname(&ours, Vec::new())
            .expect("its name")
            .into_string()
            .expect("a path");
        let theirs = fs::File::options()
            .read(true)
            .write(true)
            .open(&name)
            .expect("the other end");
        let mut command = project.command();
        command.args(args);
        // `Running` captures both outputs, but prompts must go to a terminal, so standard error is redirected to it.
        let mut shell = std::process::Command::new("sh");
        shell
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 2>&0")
            .arg(command.get_program());
        shell
            .args(command.get_args())
            .env_clear()
            .current_dir(&project.dir)
            .stdin(theirs);
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let running = Running::start(shell);
        Terminal {
            running,
            ours: fs::File::from(ours),
        }
    }

    /// Types lines, each as the answer to the next prompt.
    fn types(&mut self, lines: &[&str]) {
        use std::io::Write as _;
        for line in lines {
            writeln!(self.ours, "{line}").expect("a line");
        }
    }
}

#[test]
fn on_a_terminal_it_asks_and_an_empty_line_takes_what_was_found() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    project.write("package.json", r#"{"name": "docs"}"#);
    let mut terminal = Terminal::run(&project, &["init"]);
    // The first address is invalid, so `init` prompts again. The second one is valid.
    terminal.types(&[
        "",
        "docs.acme.com",
        "https://docs.acme.com",
        "",
        "box.acme.com",
        "deploy",
        "",
        "",
    ]);
    let ran = terminal.running.wait().expect_code(0);
    assert!(ran.stdout.contains("target  production"), "{ran}");
    let config = written(&project);
    assert_eq!((&*config.site.name, &*config.site.export), ("docs", "out"));
    assert_eq!(config.site.url.expect("an address").as_str(), "https://docs.acme.com");
    let TargetKind::Sftp(target) = &config.targets["production"].kind else {
        panic!("not sftp");
    };
    let user = target.user.as_deref();
    assert_eq!(
        (&*target.host, user, &*target.docroot),
        ("box.acme.com", Some("deploy"), "/site")
    );
    let outside = config.targets["production"].nginx_root.as_deref();
    assert_eq!(outside, Some("/srv/syntax/site"));
}

#[test]
fn on_a_terminal_with_yes_it_asks_nothing() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    let terminal = Terminal::run(&project, &["init", "--yes"]);
    let ran = terminal.running.wait().expect_code(0);
    let name = Regex::new("name +project ").expect("a pattern");
    assert!(name.is_match(&ran.stdout), "{ran}");
}
