//! The folder of the fingerprinted copies, with a name that the site sets: from the export through the store and the
//! vhost to the visitor.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::command::Project;
use crate::support::http::{Request, Response};
use crate::support::nginx::Nginx;

const COPY: &str = "files.v2/logo.0123456789abcdef.png";

/// A project with two releases whose copies are in a folder with a custom name. The live release has lost a copy.
struct Published {
    project: Project,
    /// The release that had the copy.
    first: String,
}

impl Published {
    fn new() -> Self {
        let project = Project::new();
        for path in [
            "index.html",
            "404.html",
            "usage.html",
            "_next/static/chunks/a.js",
            "_assets/own.png",
            COPY,
        ] {
            project.write(format!("export/{path}"), path);
        }
        let published = Self {
            project,
            first: String::new(),
        };
        published.set("[fingerprint]\nprefix = \"files.v2\"\n[next]\nbase-path = \"/handbook\"\n");
        let first = published.publish();
        fs::remove_file(published.project.dir.join("export").join(COPY)).unwrap();
        published.publish();
        Self { first, ..published }
    }

    fn set(&self, tables: &str) {
        self.project.write_manifest(&format!(
            "[site]\nname = \"demo\"\nurl = \"https://localhost\"\nexport = \"export\"\n\
             [publish]\ntarget = \"here\"\nkeep = 2\nskew = \"0\"\n\
             [targets.here]\nkind = \"local\"\ndocroot = \"docroot\"\n{tables}"
        ));
    }

    fn publish(&self) -> String {
        self.ask(&["publish"])["release"].as_str().unwrap().to_owned()
    }

    fn ask(&self, args: &[&str]) -> Value {
        let ran = self.project.run(&[args, &["--json"]].concat()).expect_code(0);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The path in the pool of the copy that the live release lost.
    fn pooled(&self) -> PathBuf {
        self.project.dir.join("docroot/immutable").join(COPY)
    }

    fn serve(&self) -> Nginx {
        Nginx::of(&self.project, &[])
    }
}

fn get(nginx: &Nginx, target: &str) -> Response {
    Request::get(target).send(nginx.address())
}

#[test]
fn copy_of_an_earlier_release_is_served_for_good_from_the_folder_that_the_site_names() {
    let published = Published::new();
    let nginx = published.serve();
    for (path, status, cached) in [
        (
            "files.v2/logo.0123456789abcdef.png",
            200,
            "public, max-age=31536000, immutable",
        ),
        ("files.v2/gone.0123456789abcdef.png", 404, "no-store"),
        ("filesxv2/logo.0123456789abcdef.png", 404, "no-store"),
        ("_assets/own.png", 200, "no-cache"),
        ("usage", 200, "no-cache"),
    ] {
        let answer = get(&nginx, &format!("/handbook/{path}"));
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (status, Some(cached)),
            "{path}"
        );
    }
    assert_eq!(get(&nginx, &format!("/handbook/{COPY}")).body, COPY.as_bytes());
}

#[test]
fn pool_is_found_without_the_name_of_its_folder() {
    let published = Published::new();
    published.set("");
    assert_eq!(published.ask(&["prune"])["releases"], json!(0));
    assert!(published.pooled().is_file(), "a kept release has it");
    assert!(!published.project.dir.join("docroot/immutable/_assets").exists());
    assert_eq!(published.ask(&["verify", &published.first])["ok"], json!(true));

    fs::remove_file(published.pooled()).unwrap();
    let ran = published
        .project
        .run(&["verify", &published.first, "--json"])
        .expect_code(1);
    let verified: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        verified["problems"],
        json!([{"path": format!("immutable/{COPY}"), "problem": "the pool's copy is missing"}])
    );
}
