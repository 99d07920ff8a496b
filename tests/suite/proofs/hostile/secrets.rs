//! No secret of the publishing machine leaks: not to the screen, not into the store, not into the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use walkdir::WalkDir;

use crate::support::command::{Project, Ran, small_export};

/// Environment variables that various tools read, with planted values.
const PLANTED: [(&str, &str); 6] = [
    ("CLOUDFLARE_API_TOKEN", "planted-token-3f9c1e77"),
    ("GITHUB_TOKEN", "ghp_planted9d8c7b6a5"),
    ("SSH_ASKPASS", "/planted/askpass-5e4d"),
    ("AWS_SECRET_ACCESS_KEY", "planted/aws/0a1b2c3d"),
    ("SYNTAX_PUBLISH_SECRET", "planted-own-77aa66bb"),
    ("NPM_TOKEN", "npm_planted11223344"),
];

/// The lines of a private key. None of them may leak.
fn lines_of(key: &Path) -> Vec<String> {
    let text = fs::read_to_string(key).unwrap();
    text.lines()
        .filter(|line| line.len() > 20 && !line.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

fn assert_silent(what: &str, text: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(text);
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{what} has {secret:?}");
    }
}

#[test]
fn planted_secrets_stand_in_no_output_no_document_and_no_cache() {
    let project = Project::new();
    small_export(&project.dir.join("out"));
    let (key, locked) = (project.home.join("release-key"), project.home.join("locked-key"));
    for (file, passphrase) in [(&key, ""), (&locked, "planted-passphrase-42")] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-C", "", "-N", passphrase, "-f"])
            .arg(file)
            .status();
        assert!(made.unwrap().success());
    }
    let manifest = |key: &Path| {
        format!(
            "[site]\nname = \"demo\"\nurl = \"http://127.0.0.1:9\"\n[verify]\norigin = false\npublic = false\n\
             [sign]\nkey = \"{}\"\n[cloudflare]\nzone = \"0123456789abcdef0123456789abcdef\"\n\
             token-env = \"CLOUDFLARE_API_TOKEN\"\napi = \"http://127.0.0.1:9/client/v4\"\n\
             [targets.far]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = 9\nidentity = \"{}\"\ndocroot = \"/x\"\n",
            key.display(),
            key.display(),
        )
    };
    project.write_manifest(&manifest(&key));
    let mut secrets: Vec<String> = PLANTED.iter().map(|(_, value)| (*value).to_owned()).collect();
    secrets.push("planted-passphrase-42".to_owned());
    secrets.extend(lines_of(&key));
    secrets.extend(lines_of(&locked));
    assert!(secrets.len() > 10, "{}", secrets.len());

    let mut runs: Vec<(String, Ran)> = Vec::new();
    let mut run = |args: &[&str]| runs.push((args.join(" "), project.run_env(args, &PLANTED)));
    for args in [
        &["check", "--json"][..],
        &["plan", "--verbose"],
        &["publish", "--verbose"],
        &["publish", "--force", "--json"],
        &["status", "--json"],
        &["releases"],
        &["verify", "--signature"],
        &["rollback", "--verbose"],
        &["hold", "because"],
        &["publish"],
        &["resume"],
        &["prune"],
        &["nginx"],
        &["publish", "--target", "far", "--verbose"],
        &["status", "--target", "far", "--json"],
        &["publish", "--message", "a message"],
    ] {
        run(args);
    }
    project.write_manifest(&manifest(&locked));
    project.write("out/new.html", "<!DOCTYPE html><p>new");
    runs.push((
        "publish with a locked key".to_owned(),
        project.run_env(&["publish", "-v"], &PLANTED),
    ));
    project.write_manifest("[cloudflare]\ntoken-env = \"planted-token-3f9c1e77\"\n");
    runs.push((
        "a token in place of its variable".to_owned(),
        project.run_env(&["publish"], &PLANTED),
    ));

    let codes: Vec<i32> = runs.iter().map(|(_, ran)| ran.code).collect();
    assert!(
        codes.contains(&0) && codes.contains(&5) && codes.contains(&1) && codes.contains(&2),
        "{codes:?}"
    );
    for (what, ran) in &runs {
        assert_silent(what, ran.stdout.as_bytes(), &secrets);
        assert_silent(what, ran.stderr.as_bytes(), &secrets);
    }
    let mut files = 0;
    for folder in [project.dir.join("target"), project.home.join(".cache")] {
        for entry in WalkDir::new(folder).into_iter().flatten() {
            let path = entry.path();
            let bytes = if entry.path_is_symlink() {
                fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
            } else if entry.file_type().is_file() {
                fs::read(path).unwrap()
            } else {
                continue;
            };
            files += 1;
            assert_silent(&path.display().to_string(), &bytes, &secrets);
        }
    }
    assert!(files > 30, "{files}");
}
