//! A publish is done when visitors get it. A real nginx is the origin, with a fake of Cloudflare in front if needed.

mod notified;
mod origin;
mod purged;
mod secured;
mod signed;
mod vhost;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::cdn::{Cdn, TOKEN};
use crate::support::command::{Project, Ran, small_export};
use crate::support::http::Request;
use crate::support::nginx::{LISTEN, Nginx};

/// A site with a local docroot, a real nginx that serves it, and optionally a CDN in front of that.
struct Site {
    project: Project,
    origin: Nginx,
    cdn: Option<Cdn>,
    /// The address at which the origin is requested, if it is not that of the nginx.
    asked_at: Option<SocketAddr>,
    verify: String,
    tables: String,
}

impl Site {
    /// A site that is checked at the origin only.
    fn new() -> Self {
        Self::changed(|vhost| vhost)
    }

    /// A site whose vhost was changed by hand.
    fn changed(change: impl Fn(String) -> String) -> Self {
        Self::of(&small_export, change)
    }

    /// A site with this export.
    fn of(export: &dyn Fn(&Path), change: impl Fn(String) -> String) -> Self {
        let project = Project::new();
        export(&project.dir.join("out"));
        project.write_manifest("[site]\nname = \"docs\"\nurl = \"http://localhost\"\n");
        let origin = Nginx::start(&change(vhost(&project)));
        let site = Self {
            project,
            origin,
            cdn: None,
            asked_at: None,
            verify: String::new(),
            tables: String::new(),
        };
        site.write();
        site
    }

    /// A site behind a CDN, with or without purging.
    fn behind_cdn(is_purged: bool) -> Self {
        Self::new().put_behind_cdn(is_purged)
    }

    fn put_behind_cdn(self, is_purged: bool) -> Self {
        let mut site = self;
        let cdn = Cdn::before(site.origin.address());
        if is_purged {
            site.tables = cdn.tables();
        }
        site.cdn = Some(cdn);
        "public = true\n".clone_into(&mut site.verify);
        site.write();
        site
    }

    fn write(&self) {
        let public = self.cdn.as_ref().map_or(self.origin.address(), |cdn| cdn.edge.address);
        self.project.write_manifest(&format!(
            "[site]\nname = \"docs\"\nurl = \"http://localhost:{}\"\n[verify]\norigin = \"http://{}\"\n{}{}",
            public.port(),
            self.asked_at.unwrap_or(self.origin.address()),
            self.verify,
            self.tables
        ));
    }

    fn cdn(&self) -> &Cdn {
        self.cdn.as_ref().expect("a CDN")
    }

    /// Runs a command with `--json`, with the token in its environment.
    fn run(&self, args: &[&str]) -> Ran {
        let ran = self
            .project
            .run_env(&[args, &["--json"]].concat(), &[("CF_TOKEN", TOKEN)]);
        assert!(!format!("{ran}").contains(TOKEN), "the token was printed");
        ran
    }

    fn edit(&self, text: &str) {
        let page = self.project.dir.join("out/docs/a.html");
        let before = std::fs::read_to_string(&page).unwrap();
        let (head, rest) = before.split_once("<p>").unwrap();
        let (_, tail) = rest.split_once("</p>").unwrap();
        std::fs::write(page, format!("{head}<p>{text}</p>{tail}")).unwrap();
    }
}

/// What a visitor gets for the edited page.
fn seen(server: SocketAddr) -> String {
    let host = format!("localhost:{}", server.port());
    let answer = Request::get("/docs/a").header("Host", &host).send(server);
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The vhost that a project prints, without TLS.
fn vhost(project: &Project) -> String {
    let args = ["nginx", "--without-tls", "--listen", LISTEN, "--nginx-version", "1.22"];
    project.run(&args).expect_code(0).stdout
}

/// The codes of the problems that the run reported, sorted and without duplicates.
fn codes(ran: &Ran) -> Vec<String> {
    let value = ran.json();
    let delivery = value.get("delivery").unwrap_or(&Value::Null);
    let found = delivery["problems"]
        .as_array()
        .or_else(|| value["error"]["answers"].as_array());
    let mut codes: Vec<String> = found
        .into_iter()
        .flatten()
        .map(|problem| problem["code"].as_str().unwrap().to_owned())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
