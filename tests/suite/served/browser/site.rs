//! A published and served export: the command, a local docroot, and nginx with the vhost that the command prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Fixture, Form};
use crate::support::browser::Seen;
use crate::support::command::{Project, open_tempdir};
use crate::support::export::files_below;
use crate::support::nginx::Nginx;

/// Whether the command changes the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// The defaults, for a user who configures nothing.
    Default,
    /// The export is served as it is.
    Off,
}

/// A site with its own project and docroot, and with a server once something is published.
pub struct Site {
    pub name: &'static str,
    project: Project,
    docroot: PathBuf,
    features: Features,
    /// More tables of the site manifest.
    pub more: &'static str,
    nginx: Option<Nginx>,
    _folder: tempfile::TempDir,
}

/// A page of an export.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file of the export.
    pub file: String,
    /// The URL path, from the server's root.
    pub path: String,
}

impl Site {
    pub fn new(name: &'static str, features: Features) -> Site {
        let folder = open_tempdir();
        Site {
            name,
            project: Project::new(),
            docroot: folder.path().canonicalize().unwrap().join("site"),
            features,
            more: "",
            nginx: None,
            _folder: folder,
        }
    }

    /// Publishes an export and returns the release and how long it took.
    #[track_caller]
    pub fn publish(&mut self, export: &Path) -> (String, f64) {
        let features = match self.features {
            Features::Default => "",
            Features::Off => "[next]\nstable-build-id = false\n[fingerprint]\ninclude = []\n",
        };
        self.project.write_manifest(&format!(
            "[site]\nname = \"demo\"\nurl = \"https://localhost\"\nexport = \"{}\"\n\
             [publish]\ntarget = \"here\"\n[targets.here]\nkind = \"local\"\ndocroot = \"{}\"\n\
             [encode]\nbrotli = 4\ngzip = 4\n{features}{}",
            export.display(),
            self.docroot.display(),
            self.more,
        ));
        let begun = Instant::now();
        let published = self.project.run(&["publish", "--json"]).expect_code(0).json();
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(published["swapped"], true, "{published}");
        let release = published["release"].as_str().unwrap().to_owned();
        if self.nginx.is_none() {
            self.nginx = Some(self.serve());
        }
        (release, seconds)
    }

    /// Makes an older release the live one.
    #[track_caller]
    pub fn roll_back_to(&self, release: &str) {
        self.project.run(&["rollback", "--to", release]).expect_code(0);
    }

    fn serve(&self) -> Nginx {
        let docroot = self.docroot.to_str().unwrap();
        Nginx::of(&self.project, &["--docroot", docroot])
    }

    /// The base URL of the server.
    pub fn base(&self) -> String {
        format!("http://{}", self.nginx.as_ref().expect("a publish").address())
    }

    /// The live files, without encodings.
    pub fn live(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files_below(&self.docroot.join("current"));
        let stems: Vec<String> = files.keys().cloned().collect();
        for stem in stems {
            files.remove(&format!("{stem}.gz"));
            files.remove(&format!("{stem}.br"));
        }
        files
    }

    /// The live file that answers a request; `path` may have a query.
    pub fn file_of(&self, fixture: &Fixture, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let path = decoded(path.strip_prefix(fixture.base).unwrap_or(path));
        let path = path.trim_start_matches('/');
        let bare = path.trim_end_matches('/');
        let current = self.docroot.join("current");
        [
            path.to_owned(),
            format!("{bare}.html"),
            format!("{bare}/index.html"),
            "index.html".to_owned(),
        ]
        .into_iter()
        .take(if bare.is_empty() { 4 } else { 3 })
        .find(|file| current.join(file).is_file())
    }
}

/// The pages of an export: the HTML files that load Next.js's code and are meant to be visited.
pub fn pages(fixture: &Fixture, export: &Path) -> Vec<Page> {
    let mut pages: Vec<Page> = files_below(export)
        .into_iter()
        .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("/_next/static/"))
        .filter_map(|(file, _)| {
            let stem = file.strip_suffix(".html")?;
            let first = stem.split('/').next()?;
            let is_error = first.starts_with('_') || ["404", "500"].contains(&first);
            (!is_error).then(|| Page {
                path: format!("{}{}", fixture.base, address(fixture.form, stem)),
                file: file.clone(),
            })
        })
        .collect();
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

/// The URL path of a page, below the base path.
fn address(form: Form, stem: &str) -> String {
    let bare = match stem {
        "index" => "",
        stem => stem.strip_suffix("/index").unwrap_or(stem),
    };
    // The browser encodes the rest.
    let bare = bare.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    match form {
        Form::Folders if bare.is_empty() => "/".to_owned(),
        Form::Folders => format!("/{bare}/"),
        Form::Files => format!("/{bare}"),
    }
}

/// The visible differences between two pages, one line for each kind. Fonts are ignored, because a tab may have them
/// from elsewhere.
pub fn differences(expected: &Seen, found: &Seen) -> Vec<String> {
    let sizes = |seen: &Seen| -> Vec<_> { seen.images.iter().map(|image| (image.width, image.height)).collect() };
    let mut lines = Vec::new();
    let mut compare = |what: &str, expected: String, found: String| {
        if expected != found {
            lines.push(format!("{what}: {}", first_difference(&expected, &found)));
        }
    };
    compare("path", expected.path.clone(), found.path.clone());
    compare("title", expected.title.clone(), found.title.clone());
    compare(
        "heading",
        format!("{:?}", expected.heading),
        format!("{:?}", found.heading),
    );
    compare("code", expected.code.join("\n---\n"), found.code.join("\n---\n"));
    compare("text", expected.text.clone(), found.text.clone());
    compare(
        "pictures",
        format!("{:?}", sizes(expected)),
        format!("{:?}", sizes(found)),
    );
    lines
}

/// Shows both texts from their first difference on.
fn first_difference(expected: &str, found: &str) -> String {
    let same = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| -> String { text.chars().skip(same.saturating_sub(20)).take(80).collect() };
    format!("{:?} and not {:?}", part(found), part(expected))
}

/// Decodes the percent escapes of a path.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|code| u8::from_str_radix(code, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
