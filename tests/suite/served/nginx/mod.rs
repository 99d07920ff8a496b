//! The printed vhost, served by a real nginx from a docroot with the layout of the store.

mod answers;
mod base;
mod copies;
mod forms;
mod headers;
mod links;
mod swapped;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use syntax_publish::model::cache::Classes;
use syntax_publish::rules::nginx::{Access, PageForm, Version, Vhost, render};
use syntax_publish::rules::{OwnTypes, Rules};
use tempfile::TempDir;

use crate::support::http::{Request, Response};
use crate::support::nginx::{LISTEN, Nginx};

/// Content types as a site manifest sets them.
fn own_types() -> OwnTypes {
    let mut types = OwnTypes::default();
    for (glob, media_type) in [
        ("**/*.odp", "application/x-slides"),
        ("feeds/*.xml", "application/x-feed"),
        ("feeds/gr*e.xml", "application/x-feed"),
        ("data/users/[0-9]*", "application/json"),
        ("data/{text,texts}/**", "text/x-some"),
    ] {
        types.add(glob, media_type).unwrap();
    }
    types
}

/// A docroot with one live release and a pool.
struct Docroot {
    folder: TempDir,
    trees: BTreeMap<String, PathBuf>,
}

impl Docroot {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("releases")).unwrap();
        let mut docroot = Self {
            folder,
            trees: BTreeMap::new(),
        };
        docroot.tree("");
        symlink("../trees/0", docroot.path().join("releases/r1")).unwrap();
        symlink("releases/r1", docroot.path().join("current")).unwrap();
        docroot
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The tree of a folder of the export, linked into its parent's tree.
    fn tree(&mut self, folder: &str) -> PathBuf {
        if let Some(tree) = self.trees.get(folder) {
            return tree.clone();
        }
        let digest = self.trees.len().to_string();
        let tree = self.path().join("trees").join(&digest);
        fs::create_dir_all(&tree).unwrap();
        self.trees.insert(folder.to_owned(), tree.clone());
        if !folder.is_empty() {
            let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            symlink(format!("../{digest}"), self.tree(parent).join(name)).unwrap();
        }
        tree
    }

    /// Adds files whose content is their own path.
    fn with(mut self, paths: &[&str]) -> Self {
        for path in paths {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            fs::write(self.tree(folder).join(name), path).unwrap();
        }
        self
    }

    /// Adds a file to the pool.
    fn pooled(self, path: &str, bytes: &[u8]) -> Self {
        let file = self.path().join("immutable").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        self
    }

    fn vhost(&self, form: PageForm) -> Vhost {
        Vhost {
            server_name: "localhost".into(),
            aliases: Vec::new(),
            docroot: self.path().to_str().unwrap().into(),
            listen: Some(LISTEN.into()),
            port: None,
            ipv6: true,
            hsts: Some(31_536_000),
            include: None,
            access: Access::default(),
            channels: None,
            tls: false,
            brotli: true,
            version: Version::new(1, 22, 0),
            rules: Rules {
                form,
                base_path: String::new(),
                classes: Classes::new("_assets"),
                asset_prefix: String::new(),
                deployment_id: None,
                types: own_types(),
                redirects: syntax_publish::rules::Redirects::default(),
                headers: syntax_publish::rules::CustomHeaders::default(),
                one_address: false,
                languages: Vec::new(),
            },
        }
    }

    fn serve_below(&self, base: &'static str, form: PageForm) -> Served {
        self.serve_behind(base, "", form)
    }

    fn serve_behind(&self, base: &'static str, asset_prefix: &str, form: PageForm) -> Served {
        let mut vhost = self.vhost(form);
        vhost.rules.base_path = base.into();
        vhost.rules.asset_prefix = asset_prefix.into();
        let nginx = Nginx::start(&render(&vhost).unwrap());
        Served { nginx, base, form }
    }

    /// The site without a base path and below base paths. What holds for one of them must hold for all.
    fn serve_everywhere(&self, form: PageForm) -> impl Iterator<Item = Served> {
        BASES.into_iter().map(move |base| self.serve_below(base, form))
    }
}

/// No base path, a simple one, and one that could be mistaken for a folder of the site or for a regular expression.
const BASES: [&str; 3] = ["", "/handbook", "/docs/v1.2"];

/// A site as visitors reach it.
struct Served {
    nginx: Nginx,
    base: &'static str,
    form: PageForm,
}

impl Served {
    /// The target that a visitor requests here, given the target on a site without a base path.
    fn target(&self, target: &str) -> String {
        let (origin, path) = match target.strip_prefix("http://") {
            Some(rest) => target.split_at("http://".len() + rest.find('/').unwrap()),
            None => ("", target),
        };
        if !path.starts_with('/') {
            return target.to_owned();
        }
        let bare_front = self.form == PageForm::Flat && !self.base.is_empty();
        let path = match path.strip_prefix('/') {
            Some(rest) if bare_front && (rest.is_empty() || rest.starts_with('?')) => rest,
            _ => path,
        };
        format!("{origin}{}{path}", self.base)
    }

    fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, self.target(target))
    }

    fn address(&self) -> SocketAddr {
        self.nginx.address()
    }

    fn get(&self, target: &str) -> Response {
        self.request("GET", target).send(self.address())
    }

    /// Requests each target below the base path. Redirects must lead below it, too.
    fn assert_outcomes(&self, table: &[(&str, &str)]) {
        for (target, wanted) in table {
            let wanted = match wanted.strip_prefix("308 ") {
                Some(to) => format!("308 {}", self.target(to)),
                None => (*wanted).to_owned(),
            };
            assert_eq!(outcome(&self.get(target)), wanted, "GET {target} below {:?}", self.base);
        }
    }

    /// Requests each target as given.
    fn assert_outcomes_of_the_host(&self, table: &[(&str, &str)]) {
        for (target, wanted) in table {
            let answer = Request::get(target).send(self.address());
            assert_eq!(outcome(&answer), *wanted, "GET {target} of {:?}", self.base);
        }
    }
}

const PAGES: &[&str] = &[
    "index.html",
    "404.html",
    "usage.html",
    "usage.txt",
    "usage/__next._tree.txt",
    "docs/usage.html",
    "docs/größe.html",
    "größe.html",
    "a?b.html",
    "100%.html",
    "a+b=c&d.html",
    "evil.com.html",
    "\\evil.com.html",
    "\r\nX:1.html",
    "brought/index.html",
    "brought/data.txt",
    "both.html",
    "both/index.html",
    "docs/$(x)[y]!.txt",
    "docs/.hidden.txt",
    ".hidden",
    ".html",
    "usage/.html",
    ".well-known/security.txt",
    ".well-known/.secret",
];

/// A one-word outcome of an answer: the file that it contains, where it leads, or its status.
fn outcome(response: &Response) -> String {
    match response.status {
        200 => String::from_utf8_lossy(&response.body).into_owned(),
        308 => format!("308 {}", response.header("location").unwrap()),
        404 => {
            assert_eq!(response.body, b"404.html");
            assert_eq!(response.header("cache-control"), Some("no-store"));
            "404".into()
        }
        status => status.to_string(),
    }
}

#[test]
fn flat_pages_have_one_address_each() {
    let docroot = Docroot::new().with(PAGES);
    for site in docroot.serve_everywhere(PageForm::Flat) {
        site.assert_outcomes(&[
            ("/", "index.html"),
            ("/?a=b", "index.html"),
            ("/index.html", "index.html"),
            ("/usage", "usage.html"),
            ("/usage?_rsc=1", "usage.html"),
            ("/usage.html", "usage.html"),
            ("/usage.txt", "usage.txt"),
            ("/usage/", "308 /usage"),
            ("/usage/?a=b&c=%2f", "308 /usage?a=b&c=%2f"),
            ("/usage/__next._tree.txt", "usage/__next._tree.txt"),
            ("/docs/usage/", "308 /docs/usage"),
            ("/docs", "404"),
            ("/docs/", "404"),
            ("/brought", "308 /brought/"),
            ("/brought?a=b", "308 /brought/?a=b"),
            ("/brought/", "brought/index.html"),
            ("/brought/index.html", "brought/index.html"),
            ("/both", "both.html"),
            ("/both/", "308 /both"),
            ("/gr%C3%B6%C3%9Fe", "größe.html"),
            ("/gr%C3%B6%C3%9Fe/", "308 /gr%C3%B6%C3%9Fe"),
            ("/docs/gr%c3%b6%c3%9fe/", "308 /docs/gr%c3%b6%c3%9fe"),
            ("/docs/%24%28x%29%5By%5D%21.txt", "docs/$(x)[y]!.txt"),
            ("/docs/$(x)[y]!.txt", "docs/$(x)[y]!.txt"),
            ("/100%25", "100%.html"),
            ("/100%25/", "308 /100%25"),
            ("/a+b=c&d", "a+b=c&d.html"),
            ("/a%2Bb%3dc%26d/?e", "308 /a%2Bb%3dc%26d?e"),
            ("/nothing", "404"),
            ("/nothing/", "404"),
            ("/usage.html/", "404"),
            ("/usage/nothing/", "404"),
        ]);
    }
}

#[test]
fn folder_pages_have_one_address_each() {
    let docroot = Docroot::new().with(&[
        "index.html",
        "404.html",
        "usage/index.html",
        "usage/index.txt",
        "größe/index.html",
        "loose.html",
        "a?b/index.html",
        "evil.com/index.html",
        "\r\nX:1/index.html",
    ]);
    for site in docroot.serve_everywhere(PageForm::Folder) {
        site.assert_outcomes(&[
            ("/", "index.html"),
            ("/usage/", "usage/index.html"),
            ("/usage", "308 /usage/"),
            ("/usage?a=b", "308 /usage/?a=b"),
            ("/usage/index.html", "usage/index.html"),
            ("/usage/index.txt", "usage/index.txt"),
            ("/gr%C3%B6%C3%9Fe", "308 /gr%C3%B6%C3%9Fe/"),
            ("/gr%C3%B6%C3%9Fe/", "größe/index.html"),
            ("/loose", "loose.html"),
            ("/loose/", "308 /loose"),
            ("/a%3fb", "308 /a%3fb/"),
            ("/evil.com", "308 /evil.com/"),
            ("//evil.com", "404"),
            ("/%2fevil.com", "404"),
            ("/%0d%0aX:1", "308 /%0d%0aX:1/"),
            ("/nothing", "404"),
            ("/nothing/", "404"),
        ]);
    }
}

#[test]
fn no_spelling_of_a_target_leads_off_the_site() {
    let docroot = Docroot::new().with(PAGES);
    for site in docroot.serve_everywhere(PageForm::Flat) {
        site.assert_outcomes(&[
            ("/evil.com/", "308 /evil.com"),
            ("//evil.com/", "404"),
            ("///evil.com/", "404"),
            ("/%2fevil.com/", "404"),
            ("/%2Fevil.com/", "404"),
            ("/./%2fevil.com/", "404"),
            ("/.//evil.com/", "404"),
            ("/x/..//evil.com/", "404"),
            ("/\\evil.com/", "404"),
            ("/%5cevil.com/", "404"),
            ("/%5Cevil.com/", "404"),
            ("/%5cevil.com", "\\evil.com.html"),
            ("/a%3fb/", "308 /a%3fb"),
            ("/a%3fb", "a?b.html"),
            ("/a?b/", "404"),
            ("/%0d%0aX:1/", "308 /%0d%0aX:1"),
            ("/%0d%0aX:1", "\r\nX:1.html"),
            ("/%0d%0aY:1/", "404"),
            ("/./usage/", "308 /./usage"),
            ("/docs//usage/", "404"),
            ("/docs/../usage/", "308 /docs/../usage"),
            ("/usage/%0a", "404"),
            ("/usage%00/", "400"),
            ("/../../../..%2fetc/passwd", "400"),
            ("/größe/", "404"),
            ("http://evil.com/usage/", "308 /usage"),
            ("http://evil.com//evil.com/", "404"),
            ("usage/", "400"),
        ]);
        let request = site.request("GET", "/usage/").header("Host", "evil.com");
        assert_eq!(
            outcome(&request.send(site.address())),
            format!("308 {}", site.target("/usage"))
        );
    }
    docroot
        .serve_below("", PageForm::Flat)
        .assert_outcomes(&[("/..%2f", "400"), ("/..%2f..%2fetc/passwd", "400")]);
}

#[test]
fn nothing_beside_the_release_is_reachable() {
    let docroot = Docroot::new()
        .with(PAGES)
        .pooled("_next/static/chunks/old.js", b"old")
        .pooled("elsewhere/old.js", b"old");
    fs::write(docroot.path().join("trees/stray.html"), "stray").unwrap();
    for site in docroot.serve_everywhere(PageForm::Flat) {
        for target in [
            "/.hidden",
            "/.html",
            "/%2ehidden",
            "/docs/.hidden.txt",
            "/usage/.html",
            "/.well-known/",
            "/.well-known",
            "/.well-known/.secret",
            "/.git/config",
            "/current/index.html",
            "/releases/r1/index.html",
            "/trees/0/index.html",
            "/trees/stray",
            "/immutable/_next/static/chunks/old.js",
            "/elsewhere/old.js",
            "/_next/",
            "/_next/static/",
            "/_next/static/chunks/",
            "/_next/static/chunks",
        ] {
            assert_eq!(outcome(&site.get(target)), "404", "GET {target} below {:?}", site.base);
        }
        assert_eq!(
            outcome(&site.get("/.well-known/security.txt")),
            ".well-known/security.txt"
        );
    }
}

#[test]
fn swap_is_seen_by_the_next_request() {
    let docroot = Docroot::new().with(PAGES);
    let site = docroot.serve_below("/handbook", PageForm::Flat);
    assert_eq!(outcome(&site.get("/usage")), "usage.html");
    let next = docroot.path().join("trees/next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("usage.html"), "the next one").unwrap();
    symlink("../trees/next", docroot.path().join("releases/r2")).unwrap();
    symlink("releases/r2", docroot.path().join("swap")).unwrap();
    fs::rename(docroot.path().join("swap"), docroot.path().join("current")).unwrap();
    assert_eq!(outcome(&site.get("/usage")), "the next one");
    assert_eq!(site.nginx.log().matches("[error]").count(), 0, "{}", site.nginx.log());
}
