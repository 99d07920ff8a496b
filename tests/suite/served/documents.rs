//! Readers copy commands out of the documents, so each is run: the fenced blocks of the README, the tutorial and the
//! guides, in their order, in a machine of their own. What a block shows as printed is compared, without what differs
//! from run to run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex_lite::Regex;

use crate::support::command::{redact, small_export};
use crate::support::sandbox::{Outcome, Sandbox};

/// Blocks that can't be run here, by their document and first line, and why.
const NOT_RUN: [(&str, &str, &str); 3] = [
    (
        "README.md",
        "cargo install --locked --git REPOSITORY --tag v0.1.0 syntax-publish      # REPOSITORY: where you read this",
        "needs the network and a release",
    ),
    (
        "README.md",
        "$ syntax-publish doctor",
        "shows a fault of the DNS; served::doctor has it",
    ),
    (
        "docs/host-setup.md",
        "[targets.box]",
        "a part of the target, which the test writes in full",
    ),
];

/// A fenced block of a document.
#[derive(Debug)]
struct Block {
    /// The number of its first line in the document.
    line: usize,
    language: String,
    text: String,
    /// The heading above it.
    heading: String,
}

/// What a reader does with a block: runs it, or puts it into the site manifest.
struct Step {
    line: usize,
    script: String,
    /// What the document shows as printed.
    shown: Option<String>,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blocks(text: &str) -> Vec<Block> {
    let fence = Regex::new(r"^( *)```(.*)$").expect("a pattern");
    let mut blocks: Vec<Block> = Vec::new();
    let mut heading = String::new();
    let mut open: Option<(usize, Block)> = None;
    for (number, line) in text.lines().enumerate() {
        let found = fence.captures(line);
        match (&mut open, found) {
            (None, Some(found)) => {
                let block = Block {
                    line: number + 2,
                    language: found[2].to_owned(),
                    text: String::new(),
                    heading: heading.clone(),
                };
                open = Some((found[1].len(), block));
            }
            (None, None) if line.starts_with('#') => line.clone_into(&mut heading),
            (None, None) => {}
            (Some((indent, block)), found) => {
                if found.is_some_and(|found| found[1].len() == *indent && found[2].is_empty()) {
                    blocks.extend(open.take().map(|(_, block)| block));
                } else {
                    block.text += line.get(*indent..).unwrap_or_default();
                    block.text.push('\n');
                }
            }
        }
    }
    assert!(open.is_none(), "a block that does not end");
    blocks
}

/// The steps of a block: one for a script, one for each command of a console, one for a part of the site manifest.
fn steps(block: &Block) -> Vec<Step> {
    let step = |script: String, shown| Step {
        line: block.line,
        script,
        shown,
    };
    match block.language.as_str() {
        "sh" => vec![step(running(&block.text), None)],
        "console" => {
            let commands = format!("\n{}", block.text);
            let commands = commands.split("\n$ ").skip(1);
            commands
                .map(|command| {
                    let (command, shown) = command.split_once('\n').unwrap_or((command, ""));
                    step(running(command), Some(shown.to_owned()))
                })
                .collect()
        }
        "toml" => vec![step(written(&block.text), None)],
        // Its first line names the file.
        "nginx" => {
            let file = block.text.strip_prefix("# ").and_then(|text| text.lines().next());
            let file = file.unwrap_or_else(|| panic!("line {}: no file is named", block.line));
            let script = format!(
                "mkdir -p $(dirname {file})\ncat > {file} <<'END OF THE BLOCK'\n{}END OF THE BLOCK",
                block.text
            );
            vec![step(script, None)]
        }
        "" => Vec::new(),
        other => panic!("line {}: a block of the language {other:?} is not run", block.line),
    }
}

/// A script that puts a block into the site manifest: all of it, tables more, or other values of keys.
fn written(toml: &str) -> String {
    let write = if toml.contains('[') {
        let how = if toml.contains("[site]\n") { ">" } else { ">>" };
        format!("cat {how} site-manifest.toml <<'END OF THE BLOCK'\n{toml}END OF THE BLOCK")
    } else {
        let keys = toml.lines().filter_map(|line| Some((line.split_once(" = ")?.0, line)));
        let changes = keys.map(|(key, line)| format!("sed -i 's|^{key} = .*|{line}|' site-manifest.toml"));
        changes.collect::<Vec<_>>().join("\n")
    };
    // It is what the command reads.
    format!("{write}\nsyntax-publish nginx >/dev/null")
}

/// A command as a script. One that serves until it is interrupted is asked for a page, and interrupted.
fn running(command: &str) -> String {
    let command = command.trim_end();
    if !command.starts_with("syntax-publish serve") {
        return command.to_owned();
    }
    format!(
        "{command} >/mnt/serving 2>&1 &\n\
         until url=$(grep -o 'http://[^ ]*' /mnt/serving); do kill -0 $!; sleep 0.02; done\n\
         curl -fsS -o /dev/null \"$url\"\nkill -INT $!\nwait $! || [ $? = 130 ]\ncat /mnt/serving"
    )
}

/// A text without what differs from run to run, and without progress.
fn comparable(text: &str) -> Vec<String> {
    let size = Regex::new(r"\b[0-9]+(\.[0-9]+)? ([KMG]i)?B\b").expect("a pattern");
    let spaces = Regex::new(r" +").expect("a pattern");
    let text = redact(text);
    let text = size.replace_all(&text, "[size]");
    let lines = text.lines().filter(|line| !line.starts_with("progress: "));
    lines
        .map(|line| spaces.replace_all(line.trim(), " ").into_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Whether lines are those that are shown, where a line `…` stands for any number of lines.
fn is_as_shown(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=printed.len()).any(|skipped| is_as_shown(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed.first() == Some(first) && is_as_shown(rest, &printed[1..]),
    }
}

/// The steps of a document, below a heading or of all of it. `scenes` has scripts to run before the first block below
/// a heading.
fn steps_of(document: &str, below: Option<&str>, scenes: &[(&str, &str)]) -> Vec<Step> {
    let text = fs::read_to_string(repository().join(document)).expect("the document");
    let mut scenes = scenes.to_vec();
    let mut steps = Vec::new();
    for block in blocks(&text) {
        let first = block.text.lines().next().unwrap_or_default();
        let is_left_out = NOT_RUN.iter().any(|(of, line, _)| *of == document && *line == first);
        if is_left_out || below.is_some_and(|heading| heading != block.heading) {
            continue;
        }
        if let Some(scene) = scenes.iter().position(|(heading, _)| *heading == block.heading) {
            steps.push(scripted(scenes.remove(scene).1));
        }
        steps.extend(self::steps(&block));
    }
    assert!(!steps.is_empty(), "{document} has no block to run");
    assert!(scenes.is_empty(), "{document}: no block below {scenes:?}");
    steps
}

/// A step that no document has.
fn scripted(script: &str) -> Step {
    Step {
        line: 0,
        script: script.to_owned(),
        shown: None,
    }
}

/// Runs the steps of a document, and fails with all that went wrong.
fn assert_runs(document: &str, sandbox: &Sandbox, steps: &[Step]) {
    let scripts: Vec<String> = steps.iter().map(|step| filled_in(sandbox, &step.script)).collect();
    let outcomes = sandbox.run(&scripts);
    let mut wrong = String::new();
    for (step, Outcome { code, printed }) in steps.iter().zip(&outcomes) {
        let shown = step.shown.as_ref().map(|shown| comparable(shown));
        let differs = shown.is_some_and(|shown| !is_as_shown(&shown, &comparable(printed)));
        if *code != 0 || differs {
            let (line, script, shown) = (step.line, &step.script, step.shown.as_deref().unwrap_or_default());
            let _ = writeln!(
                wrong,
                "{document}:{line}: exit code {code}\n{script}\n--- shown\n{shown}--- printed\n{printed}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{}", sandbox.logs());
    assert_eq!(outcomes.len(), steps.len(), "{document}: steps that ran");
}

/// A script with what a reader fills in.
fn filled_in(sandbox: &Sandbox, script: &str) -> String {
    script
        .replace("ssh-ed25519 AAAA… you", &sandbox.key)
        .replace("ssh-ed25519 AAAA… ci", &sandbox.key)
        .replace("ssh-ed25519 AAAA…", &sandbox.host_key)
}

/// Two builds of one site, between which one word was edited.
fn builds(sandbox: &Sandbox) {
    let archive = repository().join("fixtures/versions/builds/16.4-app.tar.gz");
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(status.expect("tar").success());
    let [first, edited] = ["first", "edited"].map(|name| folder.path().join(name));
    sandbox.give_builds(&[&first, &edited]);
}

const HOST: &str = "## Publish to your own server";

#[test]
fn the_readme_runs() {
    if !Sandbox::is_usable() {
        return;
    }
    let sandbox = Sandbox::new();
    builds(&sandbox);
    small_export(&sandbox.work().join("small/out"));
    let manifest = "[site]\nname = \"docs\"\n[publish]\ntarget = \"local\"\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n";
    let run = format!("mkdir run && cd run && npm run build && printf '{manifest}' >site-manifest.toml");
    let scenes = [("## A run", run.as_str()), ("## Two commands", "cd ../small")];
    assert_runs("README.md", &sandbox, &steps_of("README.md", None, &scenes));
}

#[test]
fn the_tutorial_runs() {
    if !Sandbox::is_usable() {
        return;
    }
    let document = "docs/tutorial.md";
    assert_runs(document, &Sandbox::new(), &steps_of(document, None, &[]));
}

/// Where a guide begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// An export, in `out`.
    Export,
    /// An export and a target, of which the host knows nothing yet.
    Target,
    /// The first two steps of the README's way to a host: an account, and a target.
    Account,
    /// All four: a site that is served.
    Host,
}

/// A guide; what has happened before its first block, and what its reader does on the way; and what is true at the end.
struct Guide {
    name: &'static str,
    from: From,
    scenes: &'static [(&'static str, &'static str)],
    end: &'static str,
}

const GUIDES: [Guide; 7] = [
    Guide {
        name: "guides/cloudflare",
        from: From::Host,
        scenes: &[],
        end: "grep -q '^host = \"box.example.com\"' site-manifest.toml",
    },
    Guide {
        name: "guides/from-netlify",
        from: From::Host,
        scenes: &[(
            "## 3. Compare before you switch",
            "printf '<urlset><url><loc>https://docs.example.com/docs/a</loc></url><url><loc>https://docs.example.com/start</loc></url></urlset>' \
             >out/sitemap.xml\nfails curl -fsS -o /dev/null https://docs.example.com/start\nsyntax-publish",
        )],
        end: "[ \"$(curl -sS -o /dev/null -w '%{redirect_url}' https://docs.example.com/start)\" = https://docs.example.com/docs/a ]\n\
              [ \"$(cat answers.txt)\" = \"200 https://docs.example.com/docs/a\n200 https://docs.example.com/start\" ]",
    },
    Guide {
        name: "guides/from-rsync",
        from: From::Account,
        scenes: &[(
            "## 2. See what would be missing",
            "cp -r out /var/www/docs && touch /var/www/docs/price-list-2019.pdf && certbot -d docs.example.com\n\
             echo 'server { listen 80; root /var/www/docs; }' >/etc/nginx/sites-enabled/docs && systemctl reload nginx\n\
             curl -fsS -o /dev/null http://docs.example.com/price-list-2019.pdf",
        )],
        end: "fails curl -fsSL -o /dev/null http://docs.example.com/price-list-2019.pdf",
    },
    Guide {
        name: "guides/from-vercel",
        from: From::Export,
        scenes: &[(
            "## 2. Carry over the redirects",
            r#"echo '{"redirects": [{"source": "/old", "destination": "/docs/a"},
            {"source": "/guide/:path*", "destination": "/docs/:path*", "permanent": false},
            {"source": "/de", "destination": "/docs/a", "has": [{"type": "header", "key": "x-german"}]},
            {"source": "/:slug/about", "destination": "/docs/a", "statusCode": 301}]}' >vercel.json"#,
        )],
        end: "printf '/old /docs/a 308\\n/guide/* /docs/:splat 307\\n/:slug/about /docs/a 301\\n' | cmp - _redirects",
    },
    Guide {
        name: "guides/previews",
        from: From::Host,
        scenes: &[
            (
                "## 3. Publish a preview",
                "sed -i 's/The first page./Another first page./' out/index.html",
            ),
            (
                "## 4. Make it live, or remove it",
                "fails grep Another <(curl -fsS https://docs.example.com/)\n\
             curl -fsS https://pr-12.preview.docs.example.com/ | grep Another",
            ),
        ],
        end: "curl -fsS https://docs.example.com/ | grep Another\n\
              fails curl -fsS -o /dev/null https://pr-12.preview.docs.example.com/",
    },
    Guide {
        name: "guides/several-sites",
        from: From::Host,
        scenes: &[(
            "## 2. On your machine, in the folder of the blog",
            "mkdir blog && cp -r out blog && cd blog && sed -i 's/<main>/<main>The blog./' out/*.html out/docs/*.html",
        )],
        end: "curl -fsS https://blog.example.com/ | grep 'The blog.'\ncurl -fsS https://docs.example.com/ | grep 'The first page.'",
    },
    Guide {
        name: "host-setup",
        from: From::Target,
        scenes: &[
            (
                "## nginx",
                "certbot -d docs.example.com && syntax-publish nginx >/etc/nginx/sites-available/docs.example.com.conf",
            ),
            (
                "### The certificate",
                "syntax-publish verify --live && [ -L /etc/nginx/sites-enabled/docs.example.com.conf ]",
            ),
            (
                "## Removing it",
                "systemctl reload nginx && syntax-publish verify --live",
            ),
        ],
        end: "fails id syntax-publish\nfails syntax-publish status\n[ ! -e /srv/syntax ]",
    },
];

#[track_caller]
fn assert_guide_runs(name: &str) {
    if !Sandbox::is_usable() {
        return;
    }
    let guide = GUIDES.iter().find(|guide| guide.name == name).expect("a guide");
    let sandbox = Sandbox::new();
    small_export(&sandbox.work().join("out"));
    let document = format!("docs/{name}.md");
    let mut steps = match guide.from {
        From::Export => Vec::new(),
        From::Target => {
            let text = fs::read_to_string(repository().join("README.md")).expect("the README");
            let target = blocks(&text)
                .into_iter()
                .find(|block| block.text.contains("[targets.box]"));
            steps(&target.expect("the target"))
        }
        From::Account | From::Host => steps_of("README.md", Some(HOST), &[]),
    };
    if guide.from == From::Account {
        steps.truncate(2);
    }
    steps.extend(steps_of(&document, None, guide.scenes));
    steps.push(scripted(guide.end));
    assert_runs(&document, &sandbox, &steps);
}

/// A test for each guide.
macro_rules! guides {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                assert_guide_runs($name);
            }
        )*

        const TESTED: &[&str] = &[$($name),*];
    };
}

guides! {
    the_guide_to_cloudflare_runs: "guides/cloudflare",
    the_guide_from_netlify_runs: "guides/from-netlify",
    the_guide_from_rsync_runs: "guides/from-rsync",
    the_guide_from_vercel_runs: "guides/from-vercel",
    the_guide_to_previews_runs: "guides/previews",
    the_guide_to_several_sites_runs: "guides/several-sites",
    the_set_up_of_a_host_runs: "host-setup",
}

#[test]
fn every_guide_has_a_test() {
    let guides = fs::read_dir(repository().join("docs/guides")).expect("docs/guides");
    let names = guides.map(|entry| PathBuf::from(entry.expect("a guide").file_name()));
    let names = names.map(|name| format!("guides/{}", name.with_extension("").display()));
    let mut names: Vec<String> = names.chain(["host-setup".to_owned()]).collect();
    names.sort_unstable();
    assert_eq!(names, TESTED);
}

#[test]
fn what_is_not_run_is_in_the_documents() {
    for (document, line, _) in NOT_RUN {
        let text = fs::read_to_string(repository().join(document)).expect("the document");
        let blocks = blocks(&text);
        assert!(
            blocks.iter().any(|block| block.text.lines().next() == Some(line)),
            "{document}: {line}"
        );
    }
}
