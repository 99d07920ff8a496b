//! The workflow for GitHub Actions. Its own steps are run here, against a real SSH server and a real nginx.
//!
//! The scripts are taken from the file that users copy, so the tests run what users get. The services of a runner are
//! simulated: the checkout and the artifact are copies, `npm run build` leaves a prepared export, and `cargo install`
//! puts the binary of this build where cargo would.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use walkdir::WalkDir;

use crate::support::command::{Project, Ran, Running, Signal, small_export, write};
use crate::support::http::Request;
use crate::support::nginx::{LISTEN, Nginx};
use crate::support::sshd::{Jail, Sshd, is_root};

const WORKFLOW: &str = ".github/workflows/publish.yml";

/// The values that a user fills in, and the file that git keeps next to a checkout.
const SOURCE: &str = "https://git.example.org/syntax-publish";
const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const GIT_CONFIG: &str = "[core]\nbare = false\n";

fn workflow() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(WORKFLOW);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A step that runs a script.
#[derive(Clone, Debug, Default)]
struct Step {
    job: String,
    name: String,
    env: BTreeMap<String, String>,
    script: String,
}

/// The steps that run a script, in the order of the file. They are parsed by indentation.
fn steps() -> Vec<Step> {
    let text = workflow();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let jobs = lines.iter().position(|line| *line == "jobs:").expect("jobs");
    let (mut steps, mut step, mut job, mut block) = (Vec::new(), Step::default(), String::new(), "");
    for line in &lines[jobs + 1..] {
        let indent = line.len() - line.trim_start().len();
        let word = line.trim_start();
        if block == "run" && (indent >= 10 || word.is_empty()) {
            step.script.extend([line.get(10..).unwrap_or_default(), "\n"]);
            continue;
        }
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        if block == "env" && indent == 10 {
            let (name, value) = word.split_once(": ").expect("a variable");
            step.env.insert(name.to_owned(), value.trim().to_owned());
            continue;
        }
        block = "";
        if indent == 2 {
            word.trim_end_matches(':').clone_into(&mut job);
        }
        let begins = indent == 6 && word.starts_with("- ");
        if begins || indent < 6 {
            steps.push(std::mem::take(&mut step));
            step.job.clone_from(&job);
        }
        let key = if begins { &word[2..] } else { word };
        match key.split_once(':') {
            Some(("name", name)) if begins || indent == 8 => name.trim().clone_into(&mut step.name),
            Some(("run", "")) => panic!("{line}"),
            Some(("run", " |")) => block = "run",
            Some(("run", command)) => step.script = format!("{}\n", command.trim()),
            Some(("env", "")) if indent == 8 => block = "env",
            _ => {}
        }
    }
    steps.push(step);
    steps.retain(|step| !step.script.is_empty());
    steps
}

#[test]
fn every_script_of_the_workflow_is_run_by_these_tests() {
    let text = workflow();
    let scripts = text
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("run:") || line.starts_with("- run:"));
    let names: Vec<String> = steps()
        .iter()
        .map(|step| format!("{}: {}", step.job, step.name))
        .collect();
    assert_eq!(scripts.count(), names.len());
    let expected = [
        "build: Build the documentation",
        "check: Install syntax-publish",
        "check: Take the archive",
        "check: Unpack",
        "check: Check",
        "publish: Install syntax-publish",
        "publish: Take the archive",
        "publish: Unpack",
        "publish: Publish",
        "rollback: Install syntax-publish",
        "rollback: Roll back",
    ];
    assert_eq!(names, expected);
}

/// The variables of the complete workflow.
fn variables() -> BTreeMap<String, String> {
    let text = workflow();
    let lines = text.lines().skip_while(|line| *line != "env:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    let variable = |line: &str| {
        let (name, value) = line.trim().split_once(": ")?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    lines
        .filter(|line| !line.trim().starts_with('#'))
        .filter_map(variable)
        .collect()
}

#[test]
fn tool_is_installed_before_anything_of_others_is_there() {
    let text = workflow();
    for job in ["check", "publish", "rollback"] {
        let below = text.split_once(&format!("\n  {job}:\n")).expect("a job").1;
        let first = below.lines().find(|line| line.starts_with("      - ")).expect("a step");
        assert_eq!(first, "      - name: Install syntax-publish", "{job}");
    }
}

#[test]
fn actions_are_named_by_their_commits() {
    for workflow in [
        WORKFLOW,
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        ".github/actions/publish/action.yml",
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(workflow);
        let text = fs::read_to_string(file).expect("a workflow");
        let used: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("uses: "))
            .map(|(_, used)| used)
            .collect();
        assert!(!used.is_empty(), "{workflow}");
        for used in used {
            let (commit, release) = used
                .split_once('@')
                .and_then(|(_, at)| at.split_once(" # v"))
                .expect("a commit");
            assert!(
                commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
                "{used}"
            );
            assert!(release.starts_with(|c: char| c.is_ascii_digit()), "{used}");
        }
    }
}

#[test]
fn only_sources_that_the_user_named_are_built() {
    assert_eq!(
        variables().values().map(String::as_str).collect::<Vec<_>>(),
        ["", ""],
        "the workflow names a repository or a commit by itself"
    );
    let text = workflow();
    assert!(
        !text.contains("cargo install --locked syntax-publish"),
        "a name that anybody can register"
    );
    let commit = COMMIT.to_owned();
    for (source, commit) in [
        (String::new(), String::new()),
        (SOURCE.to_owned(), String::new()),
        (String::new(), commit.clone()),
        (SOURCE.to_owned(), "main".to_owned()),
        (SOURCE.to_owned(), format!("{commit} --config x")),
        ("http://git.example.org/x".to_owned(), commit),
    ] {
        let mut ci = Ci::new();
        ci.values.insert("env.SYNTAX_PUBLISH_SOURCE", source.clone());
        ci.values.insert("env.SYNTAX_PUBLISH_COMMIT", commit.clone());
        for job in ["check", "publish", "rollback"] {
            let left = ci.runner(job).step("Install syntax-publish");
            assert_eq!(left.ran.code, 1, "{source} {commit}: {}", left.ran);
            assert!(left.commands()[0].contains("SYNTAX_PUBLISH_COMMIT"), "{}", left.ran);
            assert!(!ci.project.home.join(".cargo/bin").exists());
        }
    }
}

/// A member of an archive: its name, its type as in tar, its target if it is a link, and its content.
fn member(name: &str, kind: u8, link: &str, text: &str) -> Vec<u8> {
    let mut head = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644 0000000 0000000 ");
    put(124, format!("{:011o}\0", text.len()).as_bytes());
    put(136, b"00000000000\0        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = head.to_vec();
    all.extend(text.as_bytes());
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

#[test]
fn archive_of_the_build_puts_nothing_beside_the_site() {
    const FILE: u8 = b'0';
    const LINK: u8 = b'2';
    let evil = "[watch]\ncommand = [\"evil\"]\n";
    let archives = [
        vec![
            member("rust-toolchain.toml", FILE, "", "[toolchain]\npath = \"/tmp/evil\"\n"),
            member("site-manifest.toml", FILE, "", evil),
            member(".git/config", FILE, "", "[core]\nfsmonitor = evil\n"),
            member(".cargo/config.toml", FILE, "", "[build]\nrustc = \"evil\"\n"),
        ],
        vec![
            member("out", LINK, ".git", ""),
            member("out/config", FILE, "", "[core]\nfsmonitor = evil\n"),
        ],
        vec![member("../site-manifest.toml", FILE, "", evil)],
        vec![
            member("up", LINK, "..", ""),
            member("up/site-manifest.toml", FILE, "", evil),
        ],
        vec![
            member(".", LINK, "..", ""),
            member("./site-manifest.toml", FILE, "", evil),
        ],
    ];
    for (number, members) in archives.into_iter().enumerate() {
        let ci = Ci::new();
        for job in ["check", "publish"] {
            let runner = ci.checked_out(job);
            let artifact = runner.workspace.join("artifact");
            fs::create_dir(&artifact).expect("a folder");
            let mut bytes = members.concat();
            bytes.resize(bytes.len() + 1024, 0);
            fs::write(artifact.join("site.tar"), bytes).expect("an archive");
            // Anything else that such an artifact may contain.
            fs::write(artifact.join("site-manifest.toml"), evil).expect("a file");
            runner.step("Take the archive").ran.expect_code(0);
            let unpacked = runner.step("Unpack");
            let mut names: Vec<String> = fs::read_dir(&runner.workspace)
                .expect("a workspace")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .collect();
            names.sort();
            let expected = [".git", "artifact", "out", "site-manifest.toml", "site.tar"];
            assert_eq!(names, expected, "{number}: {}", unpacked.ran);
            assert!(
                fs::symlink_metadata(runner.workspace.join("out"))
                    .expect("out")
                    .is_dir(),
                "{number}"
            );
            let read = |name: &str| fs::read_to_string(runner.workspace.join(name)).expect("a file");
            assert!(!read("site-manifest.toml").contains("evil"), "{number}");
            assert_eq!(read(".git/config"), GIT_CONFIG, "{number}");
        }
    }
}

#[test]
fn no_script_has_text_substituted_into_it() {
    // GitHub Actions substitutes `${{ … }}` into the script before a shell reads it.
    for step in steps() {
        assert!(!step.script.contains("${{"), "{}: {}", step.job, step.script);
    }
}

/// A repository with a site, the secrets and inputs of its workflow, and runners for its jobs.
struct Ci {
    project: Project,
    sshd: Option<Sshd>,
    values: BTreeMap<&'static str, String>,
    jobs: std::cell::Cell<u32>,
}

/// A runner of one job: its workspace, and the results of its steps.
struct Runner<'a> {
    ci: &'a Ci,
    job: &'static str,
    workspace: PathBuf,
}

/// The results of a step.
struct Left {
    ran: Ran,
    output: String,
    summary: String,
}

impl Ci {
    fn new() -> Ci {
        Self::with(None, String::new())
    }

    fn with_host() -> Ci {
        let sshd = Sshd::start(if is_root() { Jail::Chroot } else { Jail::Plain });
        let target = format!(
            "[targets.production]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\n\
             host-key = \"{}\"\ndocroot = \"{}\"\n",
            sshd.port, sshd.user, sshd.host_key, sshd.remote_docroot
        );
        Self::with(Some(sshd), target)
    }

    fn with(sshd: Option<Sshd>, target: String) -> Ci {
        let project = Project::new();
        small_export(&project.dir.join("export"));
        project.write("repository/site-manifest.toml", target + "[encode]\nbrotli = 5\n");
        let tool = |name: &str, script: String| {
            let file = project.write(format!("bin/{name}"), format!("#!/bin/sh\nset -e\n{script}"));
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("chmod");
        };
        let export = project.dir.join("export");
        let build = format!(
            "[ \"$*\" = ci ] || {{ [ \"$*\" = 'run build' ] && cp -r {} out; }}\n",
            export.display()
        );
        tool("npm", build);
        let install = format!(
            "[ \"$*\" = 'install --locked --git {SOURCE} --rev {COMMIT} syntax-publish' ]\n[ -z \"$(ls -A)\" ]\nmkdir -p \"$HOME/.cargo/bin\"\nln -sf {} \"$HOME/.cargo/bin\"\n",
            env!("CARGO_BIN_EXE_syntax-publish")
        );
        tool("cargo", install);
        let secret = sshd
            .as_ref()
            .map(|sshd| fs::read_to_string(&sshd.identity).expect("the key"));
        let values = BTreeMap::from([
            // As it is pasted into the form.
            ("secrets.PUBLISH_KEY", secret.unwrap_or_default().trim_end().to_owned()),
            ("inputs.rollback", String::new()),
            ("inputs.hold", String::new()),
            ("env.SYNTAX_PUBLISH_SOURCE", SOURCE.to_owned()),
            ("env.SYNTAX_PUBLISH_COMMIT", COMMIT.to_owned()),
        ]);
        Ci {
            project,
            sshd,
            values,
            jobs: std::cell::Cell::new(0),
        }
    }

    /// A fresh machine for a job.
    fn runner(&self, job: &'static str) -> Runner<'_> {
        self.jobs.set(self.jobs.get() + 1);
        let workspace = self.project.dir.join(format!("job{}", self.jobs.get()));
        fs::create_dir(&workspace).expect("a workspace");
        Runner {
            ci: self,
            job,
            workspace,
        }
    }

    /// A machine for a job, with the tool installed and then the repository checked out.
    fn checked_out(&self, job: &'static str) -> Runner<'_> {
        let runner = self.runner(job);
        if job != "build" {
            runner.step("Install syntax-publish").ran.expect_code(0);
        }
        let manifest = "site-manifest.toml";
        fs::copy(
            self.project.dir.join("repository").join(manifest),
            runner.workspace.join(manifest),
        )
        .expect("a checkout");
        write(&runner.workspace.join(".git/config"), GIT_CONFIG);
        runner
    }

    /// Builds the site, and unpacks it on a machine for another job, which has the tool.
    fn built(&self, job: &'static str) -> Runner<'_> {
        let build = self.checked_out("build");
        build.step("Build the documentation").ran.expect_code(0);
        let runner = self.checked_out(job);
        let artifact = runner.workspace.join("artifact");
        fs::create_dir(&artifact).expect("a folder");
        fs::copy(build.workspace.join("site.tar"), artifact.join("site.tar")).expect("an artifact");
        runner.step("Take the archive").ran.expect_code(0);
        runner.step("Unpack").ran.expect_code(0);
        runner
    }

    /// A bash script in a folder, with the variables that every CI has, and the programs of this one.
    fn bash(&self, script: &Path, folder: &Path) -> Command {
        let project = &self.project;
        let path = format!(
            "{}:{}:{}",
            project.dir.join("bin").display(),
            project.home.join(".cargo/bin").display(),
            std::env::var("PATH").expect("PATH")
        );
        let mut command = Command::new("bash");
        command.arg("-e").arg(script).current_dir(folder).env_clear();
        let of_project = project.command();
        command.envs(of_project.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", path).env("CI", "true");
        command
    }

    fn docroot(&self) -> &Path {
        &self.sshd.as_ref().expect("a host").docroot
    }

    /// Serves the published site with the vhost that the command prints for it.
    fn serve(&self, runner: &Runner<'_>) -> Nginx {
        let docroot = self.docroot().to_str().expect("a path");
        let words = ["nginx", "--without-tls", "--listen", LISTEN, "--nginx-version", "1.22"];
        let mut command = self.project.command();
        command
            .current_dir(&runner.workspace)
            .args(words)
            .args(["--target", "production", "--docroot", docroot]);
        Nginx::start(&Running::start(command).wait().expect_code(0).stdout)
    }

    fn edit(&self, text: &str) {
        let page = self.project.dir.join("export/docs/a.html");
        let html = fs::read_to_string(&page).expect("a page");
        let (before, rest) = html.split_once("<p>").expect("a text");
        let (_, after) = rest.split_once("</p>").expect("its end");
        fs::write(&page, format!("{before}<p>{text}</p>{after}")).expect("a page");
    }
}

impl Runner<'_> {
    /// Runs a step as a runner does: with bash, and with the files and variables of GitHub Actions.
    fn spawn(&self, name: &str) -> Running {
        let all = steps();
        let step = all.iter().find(|step| step.job == self.job && step.name == name);
        let step = step.unwrap_or_else(|| panic!("no step {name:?} in the job {}", self.job));
        let script = self.file("script.sh");
        fs::write(&script, &step.script).expect("a script");
        for file in ["output", "summary"] {
            fs::write(self.file(file), "").expect("a file of the runner");
        }
        let mut command = self.ci.bash(&script, &self.workspace);
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
            .env("GITHUB_WORKSPACE", &self.workspace)
            .env("GITHUB_OUTPUT", self.file("output"))
            .env("GITHUB_STEP_SUMMARY", self.file("summary"));
        for name in variables().into_keys() {
            command.env(&name, &self.ci.values[format!("env.{name}").as_str()]);
        }
        for (name, value) in &step.env {
            let key = value.trim_start_matches("${{").trim_end_matches("}}").trim();
            let value = self.ci.values.get(key).unwrap_or_else(|| panic!("{name}: {value}"));
            command.env(name, value);
        }
        Running::start(command)
    }

    fn step(&self, name: &str) -> Left {
        let ran = self.spawn(name).wait();
        let read = |file| fs::read_to_string(self.file(file)).expect("a file of the runner");
        Left {
            ran,
            output: read("output"),
            summary: read("summary"),
        }
    }

    /// A file of the runner, next to the workspace.
    fn file(&self, name: &str) -> PathBuf {
        self.workspace.with_extension(name)
    }

    /// Every file in this machine's workspace and home that contains a private key.
    fn keys(&self) -> Vec<PathBuf> {
        let places = [&self.workspace, &self.ci.project.home];
        let files = places.into_iter().flat_map(WalkDir::new).filter_map(Result::ok);
        files
            .filter(|entry| entry.file_type().is_file())
            .filter(|entry| {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains("PRIVATE KEY")
            })
            .map(walkdir::DirEntry::into_path)
            .collect()
    }
}

impl Left {
    /// The outputs of the step.
    #[track_caller]
    fn outputs(&self) -> (String, String) {
        let value = |name: &str| {
            let found = self
                .output
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found
                .unwrap_or_else(|| panic!("no output {name}\n{}", self.ran))
                .to_owned()
        };
        (value("release"), value("changed"))
    }

    /// The workflow commands in the printed text.
    fn commands(&self) -> Vec<&str> {
        let lines = self.ran.stdout.lines().chain(self.ran.stderr.lines());
        lines.filter(|line| line.starts_with("::")).collect()
    }
}

fn page(nginx: &Nginx) -> String {
    let answer = Request::get("/docs/a").send(nginx.address());
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).expect("a page")
}

#[test]
fn pull_request_is_built_and_checked() {
    let ci = Ci::new();
    let left = ci.built("check").step("Check");
    assert_eq!(left.ran.code, 0, "{}", left.ran);
    assert_eq!(left.summary, "### No problems found in the export\n");
    assert_eq!(left.commands(), Vec::<&str>::new());
}

#[test]
fn pull_request_that_breaks_a_link_fails_and_the_file_is_marked() {
    let ci = Ci::new();
    let page = ci.project.dir.join("export/docs/a.html");
    let html = fs::read_to_string(&page).expect("a page");
    fs::write(&page, html.replace("</main>", "\n<a href=\"/gone\">100%</a></main>")).expect("a page");
    let left = ci.built("check").step("Check");
    assert_eq!(left.ran.code, 3, "{}", left.ran);
    let commands = left.commands();
    let marked = commands.iter().any(|line| {
        line.starts_with("::error file=site-manifest.toml,title=links::docs/a.html:2: ") && line.contains("/gone")
    });
    assert!(marked, "{commands:?}");
    assert!(left.summary.contains("#### 1 error, "), "{}", left.summary);
    assert!(
        left.summary
            .contains("| error | <code>docs/a.html</code> | 2 | links |"),
        "{}",
        left.summary
    );
}

#[test]
fn push_publishes_and_a_rollback_by_hand_goes_back_and_holds() {
    let mut ci = Ci::with_host();
    let runner = ci.built("publish");
    let first = runner.step("Publish");
    assert_eq!(first.ran.code, 0, "{}", first.ran);
    let (release, changed) = first.outputs();
    assert_eq!(changed, "true");
    assert!(
        first.summary.starts_with("### Published to <code>production</code>\n"),
        "{}",
        first.summary
    );
    assert!(
        first.summary.contains("0123456789abcdef0123456789abcdef01234567"),
        "{}",
        first.summary
    );
    assert_eq!(runner.keys(), Vec::<PathBuf>::new());
    let nginx = ci.serve(&runner);
    assert!(page(&nginx).contains("A page about a."));

    ci.edit("Bad.");
    let second = ci.built("publish").step("Publish");
    assert_eq!(second.ran.code, 0, "{}", second.ran);
    let (bad, changed) = second.outputs();
    assert_eq!((changed.as_str(), bad != release), ("true", true));
    let row = format!("| before | <code>{release}</code> |");
    assert!(second.summary.contains(&row), "{}", second.summary);
    assert!(
        second.summary.contains("| changed | <code>/docs/a</code> |"),
        "{}",
        second.summary
    );
    assert!(
        second
            .summary
            .contains("| undo | <code>syntax-publish rollback --target production</code> |"),
        "{}",
        second.summary
    );
    assert!(page(&nginx).contains("Bad."));

    let same = ci.built("publish").step("Publish");
    assert_eq!(same.outputs(), (bad.clone(), "false".to_owned()), "{}", same.ran);

    ci.values.insert("inputs.rollback", "previous".to_owned());
    ci.values
        .insert("inputs.hold", "it's \"bad\"; $(touch pwned)".to_owned());
    let runner = ci.checked_out("rollback");
    let back = runner.step("Roll back");
    assert_eq!(back.ran.code, 0, "{}", back.ran);
    assert_eq!(back.outputs(), (release.clone(), "true".to_owned()));
    assert!(
        back.summary.starts_with("### Rolled back on <code>production</code>\n"),
        "{}",
        back.summary
    );
    assert!(!runner.workspace.join("pwned").exists());
    assert!(page(&nginx).contains("A page about a."));

    let held = ci.built("publish").step("Publish");
    assert_eq!(held.ran.code, 4, "{}", held.ran);
    let commands = held.commands();
    assert!(
        commands[0].starts_with("::error title=syntax-publish::") && commands[0].contains("$(touch pwned)"),
        "{commands:?}"
    );
    assert!(
        held.summary.starts_with("### syntax-publish failed\n"),
        "{}",
        held.summary
    );
    assert!(page(&nginx).contains("A page about a."));
    drop(nginx);

    // A rollback by release ID, too: forward to the newer release again.
    ci.values.insert("inputs.rollback", bad.clone());
    ci.values.insert("inputs.hold", String::new());
    let runner = ci.checked_out("rollback");
    let on = runner.step("Roll back");
    assert_eq!(on.outputs().0, bad, "{}", on.ran);
}

#[test]
fn cancelled_publish_leaves_nothing_that_stops_the_next_one() {
    let ci = Ci::with_host();
    ci.built("publish").step("Publish").ran.expect_code(0);
    for number in 0..4_u64 {
        let text: String = (0..3_000_000_u64)
            .map(|n| char::from(b'a' + u8::try_from(n.wrapping_mul(n + number) % 25).expect("a letter")))
            .collect();
        write(&ci.project.dir.join(format!("export/big{number}.html")), text);
    }
    let runner = ci.built("publish");
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = runner.spawn("Publish");
        let began = Instant::now();
        let count = |folder: &str| fs::read_dir(ci.docroot().join(folder)).map_or(0, Iterator::count);
        while count("work") == 0 {
            assert!(
                running.is_running() && began.elapsed() < Duration::from_secs(60),
                "{}",
                running.stderr()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        running.signal(signal);
        running.wait().expect_code(128 + signal.as_raw());
        assert_eq!((count("work"), count("lock")), (0, 0));
        assert_eq!(runner.keys(), Vec::<PathBuf>::new());
    }
    let again = runner.step("Publish");
    assert_eq!(again.ran.code, 0, "{}", again.ran);
    assert_eq!(again.outputs().1, "true");
    assert!(ci.docroot().join("current/big3.html").is_file());
}

/// The script of a job in the GitLab version, which the workflow contains as a comment.
fn gitlab_script(job: &str) -> String {
    let text = workflow();
    let (_, ours) = text.split_once("# GitLab CI").expect("GitLab's version");
    let lines: Vec<&str> = ours
        .lines()
        .skip(2)
        .map(|line| line.strip_prefix("#   ").unwrap_or_default())
        .collect();
    let mut script = String::new();
    let below = lines.iter().skip_while(|line| !line.starts_with(&format!("{job}:")));
    let body = below
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let is_item = |line: &str| line.trim_start().starts_with("- ");
    let mut body = body
        .skip_while(|line| !job.starts_with('.') && line.trim() != "script:")
        .peekable();
    while let Some(line) = body.next() {
        let Some(item) = line.trim_start().strip_prefix("- ") else {
            continue;
        };
        match item {
            "*tool" => script += &gitlab_script(".tool"),
            "|" => {
                while let Some(line) = body.next_if(|line| !is_item(line)) {
                    script += line.trim_start();
                    script.push('\n');
                }
            }
            command => script.extend([command, "\n"]),
        }
        // The script ends where another key of the job begins.
        if body
            .peek()
            .is_some_and(|next| !is_item(next) && next.trim_end().ends_with(':'))
        {
            break;
        }
    }
    script
}

/// Runs the script of a GitLab job in a project's folder.
fn run_gitlab(ci: &Ci, job: &str, folder: &Path) -> Ran {
    let script = folder.with_extension("sh");
    let end = "\ntrap '[ -z \"$SSH_AGENT_PID\" ] || kill \"$SSH_AGENT_PID\"' EXIT\n";
    fs::write(&script, format!("{end}{}", gitlab_script(job))).unwrap();
    let repository = ci.project.dir.join("repository");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-C"]);
        let output = git.arg(&repository).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    if !repository.join(".git").exists() {
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "x"]);
    }
    let mut command = ci.bash(&script, folder);
    command
        .env("CI_PROJECT_DIR", folder)
        .env("CI_REPOSITORY_URL", &repository)
        .env("CI_COMMIT_SHA", git(&["rev-parse", "HEAD"]))
        .env("PUBLISH_KEY", &ci.values["secrets.PUBLISH_KEY"])
        .env("SYNTAX_PUBLISH_SOURCE", SOURCE)
        .env("SYNTAX_PUBLISH_COMMIT", COMMIT);
    Running::start(command).wait()
}

#[test]
fn gitlabs_jobs_use_nothing_of_the_build_but_its_archive() {
    let ci = Ci::with_host();
    let build = ci.project.dir.join("build");
    fs::create_dir(&build).unwrap();
    run_gitlab(&ci, "build", &build).expect_code(0);

    // The build's artifacts end up in the folder of the job that has the key.
    let folder = ci.project.dir.join("job");
    fs::create_dir(&folder).unwrap();
    fs::copy(build.join("site.tar"), folder.join("site.tar")).unwrap();
    let elsewhere = "[targets.production]\nkind = \"local\"\ndocroot = \"stolen\"\n";
    for (path, text) in [
        ("site-manifest.toml", elsewhere),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"nightly\"\n"),
        (".cargo/config.toml", "[build]\nrustc-wrapper = \"./own\"\n"),
        (".git/config", "[core]\nfsmonitor = ./own\n"),
        ("own", "#!/bin/sh\ntouch stolen\n"),
    ] {
        write(&folder.join(path), text);
    }
    run_gitlab(&ci, "check", &folder).expect_code(0);
    let ran = run_gitlab(&ci, "publish", &folder).expect_code(0);
    assert!(ran.stdout.contains("production"), "{ran}");
    assert!(ci.docroot().join("current/index.html").exists(), "{ran}");
    assert!(!folder.join("stolen").exists(), "{ran}");
}
