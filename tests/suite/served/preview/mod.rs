//! The preview next to a real nginx with the printed vhost. Both get the same requests, and must give the same answers.

mod changes;
mod dashboard;
mod faults;
mod headers;
mod live;
mod moved;
mod own;
mod same;
mod soak;
mod terminal;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::support::command::{Project, Running};
use crate::support::http::{Request, Response};
use crate::support::nginx::Nginx;

/// A site that nginx and the preview serve.
struct World {
    project: Project,
    /// The address that the preview listens on.
    preview: SocketAddr,
    nginx: Option<Nginx>,
    _watch: Running,
}

/// The levels of the preview, so that encodings are identical. All findings are allowed.
const ALIKE: &str = "[encode]\nbrotli = 4\ngzip = 6\n[check]\nallow = [\"**\"]\n";

/// Publishes with the levels of the preview, and starts both servers.
fn world(export: &Path, more: &str) -> World {
    let project = Project::new();
    let toml = |path: &Path| path.display().to_string().replace('\\', "\\\\");
    project.write_manifest(&format!(
        "[site]\nexport = \"{}\"\n[targets.local]\nkind = \"local\"\ndocroot = \"docroot\"\n{ALIKE}{more}",
        toml(export)
    ));
    project.run(&["publish"]).expect_code(0);
    let docroot = project.dir.join("docroot");
    let docroot = docroot.to_str().expect("a path");
    let nginx = Nginx::of(&project, &["--docroot", docroot]);
    let (watch, preview) = preview(&project, &[]);
    World {
        project,
        preview,
        nginx: Some(nginx),
        _watch: watch,
    }
}

/// Starts the preview and waits until it has a site.
pub fn preview(project: &Project, args: &[&str]) -> (Running, SocketAddr) {
    let mut watch = start(project, args);
    watch.wait_for_stdout("\"ready\"");
    let address = address(&watch);
    (watch, address)
}

/// Starts the preview on a free port, and waits until it listens.
fn start(project: &Project, args: &[&str]) -> Running {
    let mut watch = project.spawn(&[&["watch", "--json", "--port", "0"], args].concat());
    watch.wait_for_stdout("\"listening\"");
    watch
}

fn address(watch: &Running) -> SocketAddr {
    let printed = watch.stdout();
    let first: serde_json::Value = serde_json::from_str(printed.lines().next().expect("a line")).expect("JSON");
    let url = first["url"].as_str().expect("a URL");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.replace("localhost", "127.0.0.1").parse().expect("an address")
}

impl World {
    fn nginx(&self) -> SocketAddr {
        self.nginx.as_ref().expect("a running nginx").address()
    }

    /// The paths that a visitor may request, including encodings.
    fn paths(&self) -> Vec<String> {
        let current = self.project.dir.join("docroot/current");
        let entries = walkdir::WalkDir::new(&current).follow_links(true).into_iter();
        let files = entries.map(|entry| entry.expect("a readable docroot"));
        let mut paths: Vec<String> = files
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let path = entry.path().strip_prefix(&current).expect("a path inside");
                path.to_str().expect("a path of the site").to_owned()
            })
            .collect();
        paths.sort();
        paths
    }
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("a readable fixture");
        let place = to.join(entry.path().strip_prefix(from).expect("a path inside"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).expect("a folder");
        } else {
            fs::copy(entry.path(), place).expect("a copy");
        }
    }
}

fn get(server: SocketAddr, target: &str) -> Response {
    Request::get(target).send(server)
}
