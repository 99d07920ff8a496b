//! Reports a run to GitHub Actions: annotations, a job summary, step outputs.
//!
//! Active only if `GITHUB_ACTIONS` is `true`. It must not report anything that the terminal output does not say as
//! well. If a file of the runner cannot be written, that is a warning, because the publish has already taken effect.
//! Annotations go to stderr, which the runner reads just as it reads stdout, so that the output of `--json` stays a
//! single value.

mod markdown;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use syntax_publish::model::path::printable;
use syntax_publish::model::release::ReleaseId;
use syntax_publish::model::severity::Severity;
use syntax_publish::site::check::Problem;
use syntax_publish::site::pipeline::Inspected;

use super::failure::Failure;
use super::pages::Grouped;
use super::screen::Screen;
use super::site::Workplace;
use super::{json, problems, report, screen};

/// The number of annotations of one kind that the runner shows for a step. It drops the rest.
const SHOWN: usize = 10;

/// The step that this run belongs to.
#[derive(Debug)]
pub struct Actions {
    screen: Screen,
    /// The root of the repository. File names in annotations are relative to it.
    workspace: Option<PathBuf>,
    summary: Option<PathBuf>,
    output: Option<PathBuf>,
}

/// What a publish or a plan did or would do, as input for the summary.
pub struct SummaryInput<'a> {
    pub value: &'a json::Publish,
    pub grouped: &'a Grouped,
    pub target: &'a str,
    /// The address of the site, or of the channel.
    pub url: Option<&'a str>,
    pub commit: Option<&'a str>,
    /// The commands that undo it, or carry it out.
    pub next: &'a str,
}

impl Actions {
    /// Returns the step that this run belongs to, or `None` outside of GitHub Actions.
    pub fn here(screen: &Screen) -> Option<Self> {
        let named = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
            return None;
        }
        Some(Self {
            screen: screen.clone(),
            workspace: named("GITHUB_WORKSPACE"),
            summary: named("GITHUB_STEP_SUMMARY"),
            output: named("GITHUB_OUTPUT"),
        })
    }

    /// Annotates findings: at the source of the page if it can be found, otherwise at the site manifest. The export
    /// itself is rarely part of a repository, and a pull request does not show annotations for files that it does not
    /// have.
    pub fn annotate(&self, problems: &[Problem], workplace: &Workplace) {
        for severity in [Severity::Error, Severity::Warning] {
            let of_it = problems.iter().filter(|problem| problem.severity == severity);
            for problem in of_it.take(SHOWN) {
                let source = source_of(&problem.path, &|path| workplace.base.join(path).is_file());
                // A line of a page of the export is none of its source.
                let is_itself = source.as_ref().is_some_and(|source| source.ends_with(&problem.path));
                let line = problem.line.filter(|_| is_itself);
                let file = source.map_or_else(|| workplace.file.clone(), |source| workplace.base.join(source));
                screen::command(&annotation(problem, &self.below_workspace(&file), line));
            }
        }
    }

    /// Returns a path as the runner expects it: relative to the repository if the file is in it, otherwise absolute.
    fn below_workspace(&self, file: &Path) -> String {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        // The repository may be reached through a symlink, and the file does not have to exist.
        let bases = self
            .workspace
            .iter()
            .flat_map(|base| [Some(base.clone()), base.canonicalize().ok()]);
        let near = bases
            .flatten()
            .find_map(|base| absolute.strip_prefix(base).ok().map(Path::to_owned));
        near.unwrap_or(absolute).to_string_lossy().into_owned()
    }

    /// Reports a check.
    pub fn checked(&self, found: &Inspected, workplace: &Workplace) {
        self.annotate(&found.problems, workplace);
        self.summarize(&markdown::checked(&found.problems, &found.budget));
    }

    /// Reports a publish.
    pub fn published(&self, told: &SummaryInput<'_>, workplace: &Workplace) {
        self.annotate(&told.value.problems, workplace);
        mark_undelivered(told.value.error.as_ref());
        if let Some((problem, fix)) = markdown::vhost(told.value) {
            mark("warning", &format!("the vhost {problem}\n{fix}"));
        }
        self.summarize(&markdown::published(told));
        self.tell(told.value.release.as_ref(), told.value.swapped);
    }

    /// Reports a plan.
    pub fn planned(&self, told: &SummaryInput<'_>, workplace: &Workplace) {
        self.annotate(&told.value.problems, workplace);
        self.summarize(&markdown::planned(told));
        let has_changes = told.value.changes.as_ref().is_some_and(|changes| !changes.is_empty());
        self.tell(told.value.previous.as_ref(), has_changes);
    }

    /// Reports a rollback.
    pub fn rolled_back(&self, value: &json::RolledBack, target: &str, undo: &str, hold: Option<&str>) {
        mark_undelivered(value.error.as_ref());
        self.summarize(&markdown::rolled_back(value, target, undo, hold));
        self.tell(Some(&value.release), true);
    }

    /// Reports a failure of any command. `live` describes the live release.
    pub fn failed(&self, failure: &Failure, problems: &[Problem], live: &str, hint: &str) {
        let message = report::message(failure);
        mark("error", &format!("{message}\nlive: {live}\n{hint}"));
        self.summarize(&markdown::failed(&message, live, hint, problems));
    }

    /// Writes the step outputs.
    fn tell(&self, release: Option<&ReleaseId>, changed: bool) {
        let release = release.map_or("", ReleaseId::as_str);
        let text = format!("release={release}\nchanged={changed}\n");
        self.append(self.output.as_deref(), &text);
    }

    fn summarize(&self, text: &str) {
        self.append(self.summary.as_deref(), text);
    }

    fn append(&self, file: Option<&Path>, text: &str) {
        let Some(file) = file else {
            return;
        };
        let opened = File::options().append(true).create(true).open(file);
        if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
            let file = printable(&file.to_string_lossy());
            self.screen
                .warn(&format!("can't report to GitHub Actions in {file}: {error}"));
        }
    }
}

/// Annotates the step with an error if visitors do not get the live release.
fn mark_undelivered(error: Option<&json::FailedBody>) {
    if let Some(error) = error {
        mark("error", &format!("{}\n{}", error.message, error.hint));
    }
}

/// Annotates the step.
fn mark(kind: &str, text: &str) {
    screen::command(&format!("::{kind} title=syntax-publish::{}", data(text)));
}

/// Finds the source of a page where Next.js expects it: `app/docs/page.mdx` or `pages/docs.mdx` for `docs.html`.
fn source_of(path: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
    if path.starts_with("./") {
        return Some(path.to_owned());
    }
    // Next.js copies the files of this folder as they are.
    let public = format!("public/{path}");
    if !path.is_empty() && is_file(&public) {
        return Some(public);
    }
    let stem = path.strip_suffix(".html")?;
    let page = stem.strip_suffix("/index").unwrap_or(stem);
    let page = if page == "index" {
        String::new()
    } else {
        format!("/{page}")
    };
    // The page of a folder is a file in it, or for the Pages Router also one beside it.
    let beside = if page.is_empty() { "/index" } else { page.as_str() };
    let app = ["app", "src/app"].map(|folder| format!("{folder}{page}/page"));
    let pages = ["pages", "src/pages", "content", "src/content"];
    let pages = pages.map(|folder| [format!("{folder}{beside}"), format!("{folder}{page}/index")]);
    let stems = app.into_iter().chain(pages.into_iter().flatten());
    stems
        .flat_map(|stem| ["tsx", "jsx", "mdx", "md", "ts", "js"].map(|end| format!("{stem}.{end}")))
        .find(|file| is_file(file))
}

/// Formats a finding as a command for the runner.
fn annotation(problem: &Problem, file: &str, line: Option<u32>) -> String {
    let (kind, file, title) = (problem.severity.name(), property(file), property(problem.check));
    let line = line.map_or_else(String::new, |line| format!("line={line},"));
    // The line number in the text refers to the file of the export.
    let text = format!("{}: {}: {}", problems::place(problem), problem.message, problem.hint);
    format!("::{kind} file={file},{line}title={title}::{}", data(&text))
}

/// Escapes the text after the second `::` of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {

    use super::*;

    fn problem(path: &str, line: Option<u32>, message: &str) -> Problem {
        Problem {
            path: path.to_owned(),
            line,
            severity: Severity::Error,
            check: "links",
            message: message.to_owned(),
            hint: "fix it".to_owned(),
            fault: None,
            always: false,
            known: None,
        }
    }

    #[test]
    fn finding_is_one_command_of_the_runner() {
        let found = problem("a.html", Some(3), "no page /b");
        assert_eq!(
            annotation(&found, "app/a/page.mdx", None),
            "::error file=app/a/page.mdx,title=links::a.html:3: no page /b: fix it"
        );
        let found = problem("a.html", None, "x");
        assert_eq!(
            annotation(&found, "site-manifest.toml", None),
            "::error file=site-manifest.toml,title=links::a.html: x: fix it"
        );
        let found = problem("./_redirects", Some(3), "x");
        assert_eq!(
            annotation(&found, "docs/_redirects", found.line),
            "::error file=docs/_redirects,line=3,title=links::./_redirects:3: x: fix it"
        );
    }

    #[test]
    fn no_name_or_text_ends_a_command_or_begins_another() {
        let found = problem("a.html", Some(1), "100% of it\r\n::set-env name=PATH::/tmp");
        assert_eq!(
            annotation(&found, "out/a,b:c%\n::error::x.html", None),
            "::error file=out/a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax.html,title=links::a.html:1: 100%25 of it%0D%0A::set-env name=PATH::/tmp: fix it"
        );
    }

    #[test]
    fn the_source_of_a_page_is_found_where_next_has_it() {
        let there = |files: &'static [&'static str]| move |path: &str| files.contains(&path);
        for (files, page, source) in [
            (&["app/docs/a/page.mdx"][..], "docs/a.html", Some("app/docs/a/page.mdx")),
            (&["src/app/page.tsx"], "index.html", Some("src/app/page.tsx")),
            (&["pages/docs/a.mdx"], "docs/a/index.html", Some("pages/docs/a.mdx")),
            (&["content/index.mdx"], "index.html", Some("content/index.mdx")),
            (&["app/docs/[slug]/page.tsx"], "docs/a.html", None),
            (&["app/a/page.tsx"], "a.js", None),
            (&["public/_redirects"], "_redirects", Some("public/_redirects")),
            (&["public/_redirects"], "./_redirects", Some("./_redirects")),
            (&["public/_redirects"], "", None),
        ] {
            assert_eq!(source_of(page, &there(files)).as_deref(), source, "{page}");
        }
    }

    #[test]
    fn files_are_named_from_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let actions = Actions {
            screen: Screen {
                json: false,
                quiet: true,
                verbose: false,
            },
            workspace: Some(folder.path().to_owned()),
            summary: None,
            output: None,
        };
        assert_eq!(actions.below_workspace(&folder.path().join("out/a.html")), "out/a.html");
        assert_eq!(
            actions.below_workspace(Path::new("/elsewhere/a.html")),
            "/elsewhere/a.html"
        );
    }
}
