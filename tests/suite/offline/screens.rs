//! What a command leaves on the terminal when it ends: its result, and nothing of its progress.

use std::fs;
use std::process::Command;

use crate::support::command::{Project, small_export, write};
use crate::support::terminal::Terminal;

/// A project whose export takes a moment to encode.
fn project() -> Project {
    let project = Project::new();
    let out = project.dir.join("out");
    small_export(&out);
    for page in 0..60 {
        let words: Vec<String> = (0..2000).map(|word| (word * (page + 7)).to_string()).collect();
        let words = words.join(" ");
        write(
            &out.join(format!("docs/page-{page}.html")),
            format!("<!DOCTYPE html><p>{words}"),
        );
    }
    project.write_manifest("[site]\nname = \"demo\"\n");
    project
}

/// Runs the command in a terminal of 80 columns, with standard output redirected to a file. Returns the exit code, what
/// is left on the screen, and everything that was ever drawn.
fn run(project: &Project, args: &[&str]) -> (u32, String, String) {
    let command = project.command();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" > \"$HOME/stdout\"", "sh"])
        .arg(command.get_program())
        .args(args)
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(&project.dir);
    let mut terminal = Terminal::sized(&shell, 24, 80);
    let code = terminal.wait();
    terminal.until_ended();
    (code, terminal.screen(), terminal.raw())
}

#[test]
fn nothing_of_the_progress_is_left_when_a_command_ends() {
    let project = project();
    let (code, screen, raw) = run(&project, &["publish"]);
    assert!(
        raw.contains("encoding") && raw.contains(" of "),
        "bars were drawn:\n{raw}"
    );
    assert_eq!(
        (code, screen.as_str()),
        (0, "publishing demo to local (target/docroot)")
    );
    write(&project.dir.join("out/docs/page-1.html"), "<!DOCTYPE html><p>new");
    for (args, left) in [
        (&["plan"][..], ""),
        (&["publish"], "publishing demo to local (target/docroot)"),
        (&["publish"], "publishing demo to local (target/docroot)"),
        (&["publish", "--force"], "publishing demo to local (target/docroot)"),
        (&["rollback"], ""),
        (&["status"], ""),
        (&["releases"], ""),
        (&["diff"], ""),
        (&["verify", "--deep"], ""),
        (&["check"], ""),
        (&["build", "--out", "dist"], ""),
        (&["prune"], ""),
        (&["hold", "moving"], ""),
        (&["resume"], ""),
        (&["nginx"], ""),
    ] {
        let (code, screen, _) = run(&project, args);
        assert_eq!((code, screen.as_str()), (0, left), "{args:?}");
        assert!(fs::metadata(project.home.join("stdout")).unwrap().len() > 0, "{args:?}");
    }
}

#[test]
fn nothing_of_the_progress_is_left_when_a_command_fails() {
    let project = project();
    write(
        &project.dir.join("out/docs/page-1.html"),
        "<!DOCTYPE html><a href=\"/gone\">",
    );
    let manifest = project.dir.join("site-manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    write(&manifest, format!("{text}\n[check]\nknown = \"error\"\n"));
    let said = project.run(&["publish"]).expect_code(3).stderr;
    let (code, screen, _) = run(&project, &["publish"]);
    assert_eq!(code, 3);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&screen), words(&said));
}

#[test]
fn a_publish_names_site_and_target_first_and_a_site_manifest_that_lies_elsewhere() {
    let project = project();
    let below = project.dir.join("app/docs");
    fs::create_dir_all(&below).unwrap();
    let ran = project
        .command()
        .arg("publish")
        .current_dir(&below)
        .output()
        .expect("a run");
    let manifest = project.dir.join("site-manifest.toml");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = |bytes: &[u8]| text(bytes).lines().next().map(str::to_owned);
    let root = project.dir.join("target/docroot");
    assert_eq!(
        first(&ran.stderr),
        Some(format!(
            "publishing demo ({}) to local ({})",
            manifest.display(),
            root.display()
        )),
    );
    let said = first(&ran.stdout).unwrap_or_default();
    let begin = format!("published demo ({}) to local: ", manifest.display());
    assert!(said.starts_with(&begin), "{said}");

    let ran = project.run(&["publish", "--quiet"]).expect_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = project.run(&["publish", "--json"]).expect_code(0);
    assert_eq!(ran.json()["swapped"], false);
    assert_eq!(ran.stderr, "publishing demo to local (target/docroot)\n");
}

#[test]
fn releases_with_long_messages_fit_a_terminal_of_80_columns() {
    let project = project();
    let message = "A message of more than eighty columns, which somebody wrote to say all that there was to say";
    project.run(&["publish", "-m", message]).expect_code(0);
    write(&project.dir.join("out/docs/page-1.html"), "<!DOCTYPE html><p>new");
    let commit = "0123456789012345678901234567890123456789";
    project
        .run(&["publish", "-m", message, "--commit", commit])
        .expect_code(0);
    let mut command = project.command();
    command.arg("releases");
    for columns in [80, 200] {
        let mut terminal = Terminal::sized(&command, 24, columns);
        assert_eq!(terminal.wait(), 0);
        terminal.until_ended();
        let screen = terminal.screen();
        // A line that does not fit would wrap into the next line.
        assert_eq!(screen.lines().count(), 4, "{screen}");
        assert_eq!(screen.matches(" just now ").count(), 2, "{screen}");
        assert_eq!(screen.matches("A message of").count(), 2, "{screen}");
        assert_eq!(
            screen.matches(message).count(),
            if columns == 80 { 0 } else { 2 },
            "{screen}"
        );
    }
}
