//! What a release consists of: the source package, the list of crates, the digests with their signature, and the package for
//! Debian.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::command::{Project, Ran, Running, small_export};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: &str, args: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).envs(variables.iter().copied());
    Running::start(command).wait()
}

#[test]
fn the_source_package_has_all_that_a_build_reads() {
    let list = run(
        "cargo",
        &["package", "--list", "--allow-dirty", "--locked"],
        root(),
        &[],
    )
    .expect_code(0);
    let packed: Vec<&str> = list.stdout.lines().collect();
    for file in ["build.rs", "Cargo.lock", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(packed.contains(&file), "{file}");
    }
    // Every file below src is packed, and those that `include_str!` names.
    let sources = walkdir::WalkDir::new(root().join("src"));
    for entry in sources
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
    {
        let name = entry.path().strip_prefix(root()).unwrap().to_str().unwrap();
        assert!(packed.contains(&name), "{name}");
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for included in text
            .split("include_str!(\"")
            .skip(1)
            .chain(text.split("include_bytes!(\"").skip(1))
        {
            let file = entry.path().parent().unwrap().join(included.split('"').next().unwrap());
            let file = file.canonicalize().unwrap();
            let included = file.strip_prefix(root()).unwrap().to_str().unwrap();
            // Unit tests read golden files; they are not run from a package.
            let is_read_by_tests = included.starts_with("tests/");
            assert!(is_read_by_tests || packed.contains(&included), "{name}: {included}");
        }
    }
    assert!(!packed.iter().any(|name| {
        ["tests/", "packaging/", "docs/site/"]
            .iter()
            .any(|folder| name.starts_with(folder))
    }));
}

#[test]
fn a_tag_of_another_version_makes_no_release() {
    let workflow = fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    let step = workflow.split_once("- name: The tag is the version\n").unwrap().1;
    let script = step.lines().next().unwrap().trim().strip_prefix("run: ").unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for (tag, code) in [
        (format!("v{version}"), 0),
        (version.to_owned(), 1),
        (format!("v{version}1"), 1),
    ] {
        let variables = [("GITHUB_REF_NAME", tag.as_str())];
        run("bash", &["-ec", script], root(), &variables).expect_code(code);
    }
}

#[test]
fn release_files_are_listed_and_signed() {
    let project = Project::new();
    let out = project.dir.join("release");
    project.write("release/syntax-publish-linux-x64", "a binary");
    run(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "key"],
        &project.dir,
        &[],
    )
    .expect_code(0);
    let key = project.dir.join("key");
    let key = key.to_str().unwrap();
    let script = root().join("packaging/checksums");
    let script = script.to_str().unwrap();
    let sums = || {
        run(script, &[out.to_str().unwrap()], &project.dir, &[("SIGNING_KEY", key)]).expect_code(0);
        fs::read_to_string(out.join("SHA256SUMS")).unwrap()
    };
    let first = sums();
    assert_eq!(first.lines().count(), 2, "{first}");
    assert!(first.contains("  syntax-publish-linux-x64\n") && first.contains("  syntax-publish.cdx.json\n"));
    assert_eq!(sums(), first, "the same files, and other digests");

    let public = fs::read_to_string(project.dir.join("key.pub")).unwrap();
    project.write("signers", format!("release {public}"));
    let verify = "sha256sum -c SHA256SUMS && ssh-keygen -Y verify -f ../signers -I release -n file -s SHA256SUMS.sig < SHA256SUMS";
    run("sh", &["-c", verify], &out, &[]).expect_code(0);
    project.write("release/syntax-publish-linux-x64", "another");
    assert_ne!(run("sh", &["-c", verify], &out, &[]).code, 0);
    project.write("release/SHA256SUMS", first.replace("syntax-publish-linux", "x"));
    assert_ne!(
        run("sh", &["-c", verify.split_once("&& ").unwrap().1], &out, &[]).code,
        0
    );
}

#[test]
fn the_list_of_crates_is_what_is_linked_and_not_what_tests_need() {
    let printed = run("node", &["packaging/sbom.mjs", "."], root(), &[]).expect_code(0);
    let bom: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    let components = bom["components"].as_array().expect("a list");
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for component in components {
        let (name, version) = (
            component["name"].as_str().unwrap(),
            component["version"].as_str().unwrap(),
        );
        assert!(
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
            "{component}"
        );
        let digest = component["hashes"][0]["content"].as_str().expect("a digest");
        assert!(lock.contains(digest), "{component}");
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    // What Cargo.toml names, of both kinds.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = |heading: &str| {
        let below = manifest.split_once(heading).unwrap().1.split("\n\n").next().unwrap();
        let names = below
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name.to_owned());
        names.collect::<Vec<_>>()
    };
    let needed = table("[dependencies]\n");
    assert!(needed.len() > 30);
    for name in &needed {
        assert!(has(name), "{name}");
    }
    for name in ["criterion", "proptest", "vt100", "html5ever"] {
        assert!(!has(name), "{name}");
    }
}

#[test]
#[ignore = "installs a package of Debian, as root; wants cargo-deb and lintian: just deb-test"]
fn the_package_for_debian_is_installed_used_and_removed() {
    let project = Project::new();
    let binary = std::env::var("SYNTAX_PUBLISH_BINARY").expect("SYNTAX_PUBLISH_BINARY, a stripped binary");
    let out = project.dir.join("out");
    let script = root().join("packaging/deb");
    let maintainer = [("DEB_MAINTAINER", "Test <test@example.org>")];
    let made = run(
        script.to_str().unwrap(),
        &[out.to_str().unwrap(), &binary],
        root(),
        &maintainer,
    )
    .expect_code(0);
    let package = made.stdout.lines().last().expect("a package").to_owned();

    let lint = run("lintian", &["--fail-on", "error,warning", &package], &project.dir, &[]);
    assert_eq!((lint.code, lint.stdout.as_str()), (0, ""), "{lint}");

    run("dpkg", &["--install", &package], &project.dir, &[]).expect_code(0);
    small_export(&project.dir.join("export"));
    let example = fs::read_to_string("/usr/share/doc/syntax-publish/examples/site-manifest.toml").unwrap();
    project.write_manifest(&example.replace("fixtures/export", "export"));
    let published = run("/usr/bin/syntax-publish", &["publish", "--json"], &project.dir, &[]);
    let page = run("man", &["--pager=cat", "syntax-publish-publish"], &project.dir, &[]);
    let completed = run(
        "bash",
        &[
            "-c",
            ". /usr/share/bash-completion/completions/syntax-publish && complete -p syntax-publish",
        ],
        &project.dir,
        &[],
    );
    let zsh = Path::new("/usr/share/zsh/vendor-completions/_syntax-publish").is_file();
    let fish = Path::new("/usr/share/fish/vendor_completions.d/syntax-publish.fish").is_file();
    run("dpkg", &["--purge", "syntax-publish"], &project.dir, &[]).expect_code(0);

    assert_eq!(published.expect_code(0).json()["swapped"], true);
    assert!(page.stdout.contains("--channel"), "{page}");
    assert!(completed.expect_code(0).stdout.contains("syntax-publish"));
    assert!(zsh && fish);
    for left in [
        "/usr/bin/syntax-publish",
        "/usr/share/doc/syntax-publish",
        "/usr/share/man/man1/syntax-publish.1.gz",
    ] {
        assert!(!Path::new(left).exists(), "{left}");
    }
}
