//! The action for GitHub: its own steps are run as a runner runs them, against a real SSH server.
//!
//! The variables of a step are read from `action.yml`, so an input that reaches no step is found. What GitHub offers is
//! simulated: the files and variables of a runner, the events, the releases and the comments of a pull request.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use walkdir::WalkDir;

use crate::support::command::{Project, Ran, Running, Signal, small_export};
use crate::support::server::{Received, Reply, Server};
use crate::support::sshd::{Jail, Sshd, is_root};

const FOLDER: &str = ".github/actions/publish";
const BASE: &str = "/docs";
const KEY_IS: &str = "PRIVATE KEY";

fn action() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join("action.yml")).expect("the action")
}

/// The lines between two lines of `text`, the first of which ends with `from`.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let below = text.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
    below.split_once(to).map_or(below, |(part, _)| part)
}

/// The inputs of the action with their defaults.
fn inputs() -> BTreeMap<String, String> {
    let text = action();
    let mut inputs = BTreeMap::new();
    let mut name = String::new();
    for line in between(&text, "\ninputs:\n", "\noutputs:\n").lines() {
        if let Some(default) = line.strip_prefix("    default: ") {
            inputs.insert(name.clone(), default.trim_matches('"').to_owned());
        } else if !line.starts_with("    ") && line.ends_with(':') {
            line.trim().trim_end_matches(':').clone_into(&mut name);
            inputs.insert(name.clone(), String::new());
        }
    }
    inputs
}

/// The variables of a step, as names of inputs.
fn variables(step: &str) -> BTreeMap<String, String> {
    let text = action();
    let step = between(&text, &format!("    - name: {step}\n"), "\n    - ");
    let variables = between(step, "      env:\n", "      run:").lines().map(|line| {
        let (name, value) = line.trim().split_once(": ${{ inputs.").expect("an input");
        (name.to_owned(), value.trim_end_matches(" }}").to_owned())
    });
    variables.collect()
}

type Comments = Arc<Mutex<Vec<String>>>;

/// A repository on GitHub, a host, and runners for the jobs.
struct World {
    project: Project,
    sshd: Sshd,
    github: Server,
    comments: Comments,
    inputs: BTreeMap<String, String>,
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// The releases, and the comments of pull request 12, of which the first hundred are those of others.
fn answer(received: &Received, binary: &[u8], comments: &Comments) -> Reply {
    let mut comments = comments.lock().unwrap();
    let name = format!("syntax-publish-{}", platform());
    let as_json = |value: Value| Reply::new(200, value.to_string());
    match (received.method.as_str(), received.target.as_str()) {
        ("GET", "/releases/v0.1.0/SHA256SUMS") => {
            Reply::new(200, format!("{}  other\n{}  {name}\n", "0".repeat(64), sha256(binary)))
        }
        ("GET", "/releases/v0.1.1/SHA256SUMS") => Reply::new(200, format!("{}  {name}\n", "0".repeat(64))),
        ("GET", target) if target.ends_with(&name) && !target.contains("v0.9") => Reply::new(200, binary),
        (method, target) if target.starts_with("/api/") => {
            assert_eq!(received.header("authorization"), Some("Bearer t0ken"));
            let body = || received.json()["body"].as_str().expect("a text").to_owned();
            let page =
                |number: &str| target == format!("/api/repos/me{BASE}/issues/12/comments?per_page=100&page={number}");
            if method == "GET" && page("1") {
                as_json(vec![json!({ "id": 1, "body": "Nice. <!-- syntax-publish" }); 100].into())
            } else if method == "GET" && page("2") {
                let own = comments.iter().map(|body| json!({ "id": 2, "body": body }));
                as_json(own.collect())
            } else if method == "POST" && target == format!("/api/repos/me{BASE}/issues/12/comments") {
                comments.push(body());
                as_json(json!({}))
            } else if method == "PATCH" && target == format!("/api/repos/me{BASE}/issues/comments/2") {
                comments[0] = body();
                as_json(json!({}))
            } else {
                Reply::new(403, "{}")
            }
        }
        _ => Reply::new(404, ""),
    }
}

/// As Node.js names this platform.
fn platform() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let cpu = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("{os}-{cpu}")
}

impl World {
    fn new() -> World {
        Self::releasing(fs::read(env!("CARGO_BIN_EXE_syntax-publish")).expect("the binary"))
    }

    fn releasing(binary: Vec<u8>) -> World {
        let sshd = Sshd::start(if is_root() { Jail::Chroot } else { Jail::Plain });
        let project = Project::new();
        small_export(&project.dir.join("repository/site/out"));
        let manifest = format!(
            "[site]\nexport = \"out\"\n[encode]\nbrotli = 5\n[channels]\ndomain = \"preview.example.org\"\n\
             [targets.production]\nkind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\n\
             host-key = \"{}\"\ndocroot = \"{}\"\n",
            sshd.port, sshd.user, sshd.host_key, sshd.remote_docroot
        );
        project.write("repository/site/site-manifest.toml", manifest);
        let comments = Comments::default();
        let kept = Arc::clone(&comments);
        let github = Server::start(move |received| answer(received, &binary, &kept));
        let mut inputs = inputs();
        for (name, value) in [
            ("version", "0.1.0".to_owned()),
            ("releases", format!("http://{}/releases", github.address)),
            ("working-directory", "site".to_owned()),
            ("target", "production".to_owned()),
            // As it is pasted into the form.
            (
                "ssh-key",
                fs::read_to_string(&sshd.identity)
                    .expect("the key")
                    .trim_end()
                    .to_owned(),
            ),
            ("token", "t0ken".to_owned()),
        ] {
            assert!(inputs.insert(name.to_owned(), value).is_some(), "{name}");
        }
        World {
            project,
            sshd,
            github,
            comments,
            inputs,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.project.dir.join(name)
    }

    /// Starts a step of the action as a runner does.
    fn start(&self, step: &str, event: &str, payload: &Value) -> Running {
        let repository = self.file("repository");
        fs::create_dir_all(self.file("temp")).expect("a folder");
        for file in ["path", "output", "summary"] {
            fs::write(self.file(file), "").expect("a file of the runner");
        }
        fs::write(self.file("event"), payload.to_string()).expect("an event");
        let text = action();
        let part = between(&text, &format!("    - name: {step}\n"), "\n    - ");
        let script = part
            .lines()
            .find_map(|line| line.strip_prefix("      run: "))
            .expect("a script");
        let inside = part.contains("      working-directory: ${{ inputs.working-directory }}");
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).env_clear();
        command.current_dir(if inside {
            repository.join(&self.inputs["working-directory"])
        } else {
            repository.clone()
        });
        for (name, value) in self.project.command().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        for (name, input) in variables(step) {
            command.env(name, &self.inputs[&input]);
        }
        let api = format!("http://{}/api", self.github.address);
        let is_pull = event == "pull_request";
        for (name, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
            (
                "GITHUB_REF",
                if is_pull {
                    "refs/pull/12/merge"
                } else {
                    payload["ref"].as_str().unwrap_or_default()
                },
            ),
            ("GITHUB_REPOSITORY", &format!("me{BASE}")),
            ("GITHUB_ACTOR", payload["sender"]["login"].as_str().unwrap_or("me")),
            ("GITHUB_API_URL", &api),
        ] {
            command.env(name, value);
        }
        for (name, file) in [
            ("GITHUB_ACTION_PATH", Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)),
            ("GITHUB_WORKSPACE", repository),
            ("GITHUB_EVENT_PATH", self.file("event")),
            ("GITHUB_OUTPUT", self.file("output")),
            ("GITHUB_PATH", self.file("path")),
            ("GITHUB_STEP_SUMMARY", self.file("summary")),
            ("RUNNER_TEMP", self.file("temp")),
        ] {
            command.env(name, file);
        }
        Running::start(command)
    }

    fn install(&self) -> Ran {
        self.start("Install syntax-publish", "push", &json!({})).wait()
    }

    fn run(&self, event: &str, payload: &Value) -> Ran {
        self.start("Publish", event, payload).wait()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.file(file)).expect("a file of the runner")
    }

    fn edit(&self, from: &str, to: &str) {
        let page = self.file("repository/site/out/docs/a.html");
        let html = fs::read_to_string(&page).expect("a page");
        assert!(html.contains(from));
        fs::write(&page, html.replace(from, to)).expect("a page");
    }

    /// What a page is at the live site, or in a channel.
    fn page(&self, top: &str) -> Option<String> {
        fs::read_to_string(self.sshd.docroot.join(top).join("docs/a.html")).ok()
    }

    fn comments(&self) -> Vec<String> {
        self.comments.lock().unwrap().clone()
    }

    /// Every file of the runner that contains the key.
    fn keys(&self) -> Vec<PathBuf> {
        let files = [&self.project.dir, &self.project.home];
        let files = files.into_iter().flat_map(WalkDir::new).filter_map(Result::ok);
        let files = files.filter(|entry| entry.file_type().is_file() && !entry.path().ends_with("syntax-publish"));
        files
            .filter(|entry| String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).contains(KEY_IS))
            .map(walkdir::DirEntry::into_path)
            .collect()
    }
}

fn push(branch: &str) -> Value {
    json!({ "ref": format!("refs/heads/{branch}"), "repository": { "default_branch": "main" } })
}

fn pull_request(action: &str, from: &str) -> Value {
    let here = format!("me{BASE}");
    json!({
        "action": action,
        "repository": { "full_name": here, "default_branch": "main" },
        "pull_request": { "number": 12, "head": { "sha": "fedcba9876543210", "repo": { "full_name": from } } },
    })
}

#[test]
fn main_is_published_and_a_pull_request_has_a_preview_until_it_closes() {
    let world = World::new();
    world.install().expect_code(0);
    let path = world.read("path");
    assert!(Path::new(path.trim()).join("syntax-publish").is_file());

    world.run("push", &push("main")).expect_code(0);
    assert!(
        world
            .page("current")
            .expect("the live page")
            .contains("A page about a.")
    );
    assert!(world.read("output").contains("changed=true"));
    assert!(
        world
            .read("summary")
            .starts_with("### Published to <code>production</code>")
    );
    assert!(world.project.home.join(".cache/syntax-publish").is_dir());

    let here = format!("me{BASE}");
    world.edit("A page about a.", "A better page.");
    world.run("pull_request", &pull_request("opened", &here)).expect_code(0);
    assert!(
        world
            .page("channels/pr-12")
            .expect("a preview")
            .contains("A better page.")
    );
    assert!(
        world
            .page("current")
            .expect("the live page")
            .contains("A page about a.")
    );
    assert!(world.read("output").contains("url=https://pr-12.preview.example.org\n"));
    assert!(world.read("summary").contains("<code>/docs/a</code>"));
    let [comment] = &world.comments()[..] else {
        panic!("{:?}", world.comments())
    };
    for part in [
        "https://pr-12.preview.example.org",
        "fedcba9",
        "1 page changed",
        "<a href=\"https&#58;//pr-12.preview.example.org/docs/a\">A</a> <code>/docs/a</code>",
    ] {
        assert!(comment.contains(part), "{comment}");
    }

    world.edit("A better page.", "The best page.");
    world
        .run("pull_request", &pull_request("synchronize", &here))
        .expect_code(0);
    assert!(
        world
            .page("channels/pr-12")
            .expect("a preview")
            .contains("The best page.")
    );
    assert_eq!(world.comments().len(), 1);

    // A closed pull request is not built.
    fs::remove_dir_all(world.file("repository/site/out")).expect("the export");
    for _ in 0..2 {
        world.run("pull_request", &pull_request("closed", &here)).expect_code(0);
        assert_eq!(world.page("channels/pr-12"), None);
        let [comment] = &world.comments()[..] else {
            panic!("{:?}", world.comments())
        };
        assert!(
            comment.contains("was removed") && !comment.contains("example.org"),
            "{comment}"
        );
    }
    assert!(world.page("current").is_some());
    assert_eq!(world.keys(), Vec::<PathBuf>::new());
}

#[test]
fn what_gets_no_secrets_and_other_branches_are_only_checked() {
    let mut world = World::new();
    world.install().expect_code(0);
    let here = format!("me{BASE}");
    let mut dependabot = pull_request("opened", &here);
    dependabot["sender"] = json!({ "login": "dependabot[bot]" });
    let mut deleted = pull_request("opened", &here);
    deleted["pull_request"]["head"]["repo"] = Value::Null;
    let events = [
        ("pull_request", pull_request("opened", "them/docs")),
        ("pull_request", dependabot),
        ("pull_request", deleted),
        ("push", push("feature")),
    ];
    // Even if such a run had the key.
    for (event, payload) in &events {
        world.run(event, payload).expect_code(0);
        assert_eq!(
            world.read("summary"),
            "### No problems found in the export\n",
            "{payload}"
        );
    }
    world.inputs.insert("ssh-key".to_owned(), String::new());
    world.edit("</main>", "<a href=\"/gone\">x</a></main>");
    for (event, payload) in &events {
        let ran = world.run(event, payload).expect_code(3);
        assert!(ran.stderr.contains("::error file=site/site-manifest.toml"), "{ran}");
    }
    world
        .run("pull_request", &pull_request("closed", "them/docs"))
        .expect_code(0);
    world.inputs.insert("channel".to_owned(), String::new());
    world.run("pull_request", &pull_request("opened", &here)).expect_code(3);

    for event in ["pull_request_target", "workflow_run"] {
        let ran = world.run(event, &pull_request("opened", "them/docs")).expect_code(1);
        assert!(ran.stdout.contains("Use pull_request."), "{ran}");
    }
    assert_eq!(world.comments(), Vec::<String>::new());
    assert!(!world.sshd.docroot.exists());
}

#[test]
fn a_binary_that_was_not_meant_is_not_installed() {
    let mut world = World::releasing(b"#!/bin/sh\necho evil\n".to_vec());
    let digest = sha256(b"#!/bin/sh\necho evil\n");
    for (version, sha256, expected) in [
        ("0.1.0", "f".repeat(64).as_str(), "it is not the binary that was meant"),
        ("0.1.1", "", "it is not the binary that was meant"),
        ("0.9.0", "", "404"),
        ("0.9.0", &digest, "404"),
        ("main", "", "not a release"),
        ("../x/0.1.0", &digest, "not a release"),
    ] {
        world.inputs.insert("version".to_owned(), version.to_owned());
        world.inputs.insert("sha256".to_owned(), sha256.to_owned());
        let ran = world.install().expect_code(1);
        assert!(
            ran.stdout.contains("::error title=syntax-publish::") && ran.stdout.contains(expected),
            "{ran}"
        );
        assert_eq!(world.read("path"), "");
        assert_eq!(fs::read_dir(world.file("temp")).expect("a folder").count(), 0);
    }
    world.inputs.insert("version".to_owned(), "0.1.0".to_owned());
    for sha256 in ["", &digest, &digest.to_uppercase()] {
        world.inputs.insert("sha256".to_owned(), sha256.to_owned());
        world.install().expect_code(0);
    }
}

#[test]
fn a_comment_that_cannot_be_written_is_a_warning() {
    let world = World::new();
    world.install().expect_code(0);
    let mut other = pull_request("opened", &format!("me{BASE}"));
    other["pull_request"]["number"] = json!(13);
    let ran = world.run("pull_request", &other).expect_code(0);
    assert!(ran.stdout.contains("::warning title=syntax-publish::"), "{ran}");
    assert!(ran.stdout.contains("pull-requests: write"), "{ran}");
    assert!(world.page("channels/pr-13").is_some());
}

#[test]
fn only_an_agent_has_the_key_and_it_ends_with_a_cancelled_job() {
    let tool = "#!/bin/sh\ntrap 'exit 143' TERM\nenv >&2\nssh-add -l >&2\necho \"agent $SSH_AGENT_PID\" >&2\n\
                for _ in $(seq 200); do sleep 0.1; done\n";
    let world = World::releasing(tool.into());
    world.install().expect_code(0);
    let mut running = world.start("Publish", "push", &push("main"));
    running.wait_for_stderr("\nagent ");
    running.signal(Signal::TERM);
    let ran = running.wait().expect_code(143);
    assert_eq!(ran.signal, None, "{ran}");
    assert!(ran.stderr.contains("(ED25519)"), "{ran}");
    assert!(!ran.stderr.contains(KEY_IS) && !ran.stderr.contains("t0ken"), "{ran}");
    let agent = ran
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("agent "))
        .expect("an agent");
    let began = std::time::Instant::now();
    while Path::new("/proc").join(agent).join("exe").exists() {
        assert!(began.elapsed().as_secs() < 30, "the agent is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(world.keys(), Vec::<PathBuf>::new());
}

#[test]
fn every_input_is_used_and_no_script_has_text_substituted_into_it() {
    let text = action();
    for input in inputs().keys() {
        assert!(text.contains(&format!("${{{{ inputs.{input} }}}}")), "{input}");
    }
    let scripts: Vec<&str> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("run:"))
        .collect();
    assert_eq!(scripts.len(), 2);
    assert!(scripts.iter().all(|script| !script.contains("${{")), "{scripts:?}");
}

/// The blocks of docs/ci.md in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).expect("docs/ci.md");
    let mut blocks = Vec::new();
    for part in text.split(&format!("```{language}\n")).skip(1) {
        blocks.push(part.split_once("```").expect("its end").0.to_owned());
    }
    blocks
}

/// The scripts in a block of YAML: each item below `script:`, and each `run:`.
fn scripts(block: &str) -> Vec<&str> {
    let items = block.lines().map(str::trim);
    items
        .filter_map(|line| {
            line.strip_prefix("- run: ")
                .or(line.strip_prefix("run: "))
                .or(line.strip_prefix("- "))
        })
        .filter(|item| ["npm ", "exec ", "mkdir "].iter().any(|start| item.starts_with(start)))
        .collect()
}

#[test]
fn script_of_the_documentation_publishes_for_every_other_ci() {
    let world = World::new();
    let [script] = &blocks("sh")[..] else {
        panic!("one script")
    };
    let site = world.file("repository/site");
    fs::create_dir(site.join("ci")).expect("a folder");
    fs::write(site.join("ci/syntax-publish.sh"), script).expect("the script");
    let start = |line: &str, digest: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(&site).env_clear();
        for (name, value) in world.project.command().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        for (name, value) in [
            ("CI", "true"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("PUBLISH_KEY", world.inputs["ssh-key"].as_str()),
            ("SYNTAX_PUBLISH_RELEASES", world.inputs["releases"].as_str()),
            ("SYNTAX_PUBLISH_VERSION", "0.1.0"),
            ("SYNTAX_PUBLISH_SHA256", digest),
        ] {
            command.env(name, value);
        }
        Running::start(command).wait()
    };
    let digest = sha256(&fs::read(env!("CARGO_BIN_EXE_syntax-publish")).expect("the binary"));
    let yaml = blocks("yaml");
    let gitlab = yaml
        .iter()
        .find(|block| block.contains("CI_COMMIT_BRANCH"))
        .expect("GitLab's");
    let lines: Vec<&str> = scripts(gitlab)
        .into_iter()
        .filter(|line| line.starts_with("exec "))
        .collect();
    let [publish, preview, remove, check] = lines[..] else {
        panic!("{lines:?}")
    };

    let refused = start(publish, &"0".repeat(64));
    assert_ne!(refused.code, 0, "{refused}");
    assert!(!world.sshd.docroot.exists(), "{refused}");
    start(publish, &digest).expect_code(0);
    assert!(world.page("current").is_some());
    start(preview, &digest).expect_code(0);
    assert!(world.page("channels/mr-7").is_some());
    start(remove, &digest).expect_code(0);
    assert!(world.page("channels/mr-7").is_none());
    start(check, &digest).expect_code(0);
    assert_eq!(world.keys(), Vec::<PathBuf>::new());
}

#[test]
fn examples_of_the_documentation_are_well_formed() {
    let yaml = blocks("yaml");
    assert_eq!(yaml.len(), 3);
    for block in &yaml {
        let scripts = scripts(block);
        assert!(!scripts.is_empty(), "{block}");
        for script in scripts {
            let mut shell = Command::new("sh");
            shell.args(["-n", "-c", script]);
            Running::start(shell).wait().expect_code(0);
        }
    }
    // The inputs that the example sets are those of the action.
    let known = inputs();
    let uses = between(&yaml[0], ".github/actions/publish@", "```");
    for line in uses.lines().skip(2) {
        let name = line.trim().split(':').next().expect("a name");
        assert!(known.contains_key(name), "{name}");
    }
}
