//! Pages whose code computes URLs, and the behaviour of each Next.js version's client on a published site. Each test
//! compares the untouched export, served as Next.js's documentation recommends, with the published site under the vhost
//! that the command prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::site::{Features, Site};
use crate::offline::faithful::{names_its_builds, versions};
use crate::support::browser::{Browser, Request, Shown, Stop, Tour};
use crate::support::command::open_tempdir;
use crate::support::export::copy;
use crate::support::nginx::{LISTEN, Nginx};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pictures")
}

/// A server of the export as it is.
fn untouched(export: &Path) -> Nginx {
    Nginx::start(&format!(
        "server {{ listen {LISTEN}; root {}; expires off;
           types {{ text/html html; text/css css; text/javascript js; text/plain txt; application/json json;
                    image/png png; image/svg+xml svg; image/x-icon ico; font/woff2 woff2; }}
           rewrite ^/[^/]+(/_next/.*)$ $1 break;
           location / {{ try_files $uri $uri.html $uri/ =404; }}
           error_page 404 /404.html; location = /404.html {{ internal; }} }}",
        export.display()
    ))
}

/// Removes from a URL the query parts that the tool or Next.js appends.
fn bare(url: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| !part.is_empty() && !part.starts_with("v=") && !part.starts_with("_rsc="))
        .collect();
    if rest.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", rest.join("&"))
    }
}

/// Replaces the build ID in a path, which is different in every build.
fn without_id(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if let Some(at) = parts.iter().position(|part| *part == "_next")
        && let [_, "static" | "data", id, _, ..] = &mut parts[at..]
        && id.len() == 21
    {
        *id = "[id]";
    }
    parts.join("/")
}

/// Whether a request is for page data. Which of it Next.js prefetches, and how often, depends on timing.
fn is_payload(request: &Request) -> bool {
    let path = request.path.split('?').next().unwrap_or_default();
    request.method == "HEAD" || request.status == 206 || path.ends_with(".txt") || path.ends_with(".json")
}

/// The number of requests for complete payloads, which a click makes if nothing was prefetched for it.
fn whole_payloads(tour: &Tour) -> usize {
    let requests = tour.stops.iter().flat_map(|stop| &stop.requests);
    requests
        .filter(|request| is_payload(request) && request.method == "GET" && request.status != 206)
        .filter(|request| !request.path.contains("/__next."))
        .count()
}

/// Counts the requests other than payloads, by method, URL and status.
fn requests(stop: &Stop) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in stop.requests.iter().filter(|request| !is_payload(request)) {
        // A 304 depends on the server's caching, and a confirmed file exists, so it counts as a 200.
        let status = if request.status == 304 { 200 } else { request.status };
        let path = without_id(&bare(&request.path));
        *counts.entry(format!("{} {path} {status}", request.method)).or_default() += 1;
    }
    counts
}

fn images(stop: &Stop) -> Vec<Shown> {
    let plain = |image: &Shown| Shown {
        url: bare(&image.url),
        ..image.clone()
    };
    stop.images.iter().map(plain).collect()
}

fn grounds(stop: &Stop) -> Vec<String> {
    let inside = |text: &String| bare(text.trim_start_matches("url(\"").trim_end_matches("\")"));
    stop.grounds.iter().map(inside).collect()
}

/// The differences between two tours along the same path, one line each.
fn differences(expected: &Tour, found: &Tour) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |at: &str, what: &str, expected: String, found: String| {
        if expected != found {
            lines.push(format!("{at}: {what}:\n  untouched: {expected}\n  published: {found}"));
        }
    };
    compare(
        "",
        "documents",
        expected.documents.to_string(),
        found.documents.to_string(),
    );
    let (one, two) = (whole_payloads(expected), whole_payloads(found));
    if two > one {
        compare("", "payloads of whole pages", one.to_string(), two.to_string());
    }
    for (index, (one, two)) in expected.stops.iter().zip(&found.stops).enumerate() {
        let at = format!("{index} {}", one.path);
        compare(&at, "path", one.path.clone(), two.path.clone());
        compare(&at, "title", one.title.clone(), two.title.clone());
        compare(&at, "text", one.text.clone(), two.text.clone());
        compare(&at, "cards", format!("{:?}", one.cards), format!("{:?}", two.cards));
        compare(
            &at,
            "pictures",
            format!("{:?}", images(one)),
            format!("{:?}", images(two)),
        );
        compare(
            &at,
            "backgrounds",
            format!("{:?}", grounds(one)),
            format!("{:?}", grounds(two)),
        );
        compare(
            &at,
            "problems",
            format!("{:?}", one.problems),
            format!("{:?}", two.problems),
        );
        let (one, two) = (requests(one), requests(two));
        let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
        for name in names {
            let [one, two] = [&one, &two].map(|counts| counts.get(name).copied().unwrap_or_default());
            // To the browser's cache, a picture with a fingerprint is not the same as the one without that another page
            // uses. It is then loaded, but only once.
            let is_picture = name.contains(".png ") || name.contains(".svg ");
            if one != two && !(is_picture && two <= one.max(1)) {
                compare(&at, name, format!("{one} times"), format!("{two} times"));
            }
        }
    }
    lines
}

/// Takes the tours over the untouched export and over the published site, and returns the differences.
fn compared(browser: &mut Browser, name: &'static str, export: &Path, tours: &[(&str, &[&str])]) -> Vec<String> {
    let plain = untouched(export);
    let mut site = Site::new(name, Features::Default);
    site.publish(export);
    let mut faults = Vec::new();
    for (path, clicks) in tours {
        let expected = browser.tour(&format!("http://{}{path}", plain.address()), clicks);
        let found = browser.tour(&format!("{}{path}", site.base()), clicks);
        let broken = expected
            .stops
            .iter()
            .flat_map(|stop| &stop.images)
            .find(|image| !image.decoded);
        assert!(
            broken.is_none(),
            "{name} {path}: the export itself is broken: {broken:?}"
        );
        let found = differences(&expected, &found);
        faults.extend(found.into_iter().map(|fault| format!("{name}, from {path}: {fault}")));
    }
    faults
}

#[test]
fn addresses_that_code_derives_lead_to_the_right_pictures() {
    let tours: [(&str, &[&str]); 6] = [
        ("/", &[]),
        ("/themed", &["#light", "#light"]),
        ("/loaders", &[]),
        ("/zoom", &["#zoom"]),
        ("/made", &[]),
        (
            "/",
            &["#to-themed", "#light", "#to-loaders", "#to-zoom", "#zoom", "#to-made"],
        ),
    ];
    let mut browser = Browser::start("pictures");
    let faults = compared(&mut browser, "pictures", &fixture().join("export"), &tours);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Versions whose client makes the same requests as a toured version. The oracle covers all versions.
const ALIKE: [&str; 6] = [
    "15.2-app",
    "16.0-app-webpack",
    "16.1-app",
    "16.2-app",
    "16.3-app-webpack",
    "16.4-pages-webpack",
];

#[test]
fn ten_clicks_on_a_site_of_each_version_are_what_they_were() {
    let clicks: [&str; 10] = [
        "a[href='/guide']",
        "#tide",
        "a[href='/about']",
        "a[href='/']",
        "#lamp",
        "a[href='/guide']",
        "a[href='/']",
        "a[href='/about']",
        "a[href='/guide']",
        "a[href='/']",
    ];
    let mut browser = Browser::start("versions");
    let mut faults = Vec::new();
    // A version that names its deployments needs a header that no server sends by itself; `deployments` tests that
    // case.
    let is_toured = |name| !names_its_builds(name) && !ALIKE.contains(&name);
    for version in versions().filter(|version| is_toured(version.name)) {
        let tours: [(&str, &[&str]); 2] = [("/", &clicks), ("/guide", &[])];
        faults.extend(compared(&mut browser, version.name, &version.build("first"), &tours));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn service_worker_installs_and_shows_its_pictures_without_a_network() {
    let folder = open_tempdir();
    copy(&fixture().join("export"), folder.path());
    for worker in fs::read_dir(fixture().join("workers")).unwrap() {
        let worker = worker.unwrap();
        fs::copy(worker.path(), folder.path().join(worker.file_name())).unwrap();
    }
    let mut browser = Browser::start("workers");
    let mut site = Site::new("workers", Features::Default);
    site.publish(folder.path());
    for worker in ["/sw.js", "/serwist.js"] {
        let kept = browser.offline(&format!("{}/worker?file={worker}", site.base()), &["/", "/zoom.html"]);
        assert_eq!(
            (kept.state.as_str(), kept.worker.as_str()),
            ("ready", "activated"),
            "{worker}"
        );
        for stop in kept.stops {
            assert_eq!(stop.problem, None, "{worker}: {}", stop.path);
            let lost: Vec<&Shown> = stop.images.iter().filter(|image| !image.decoded).collect();
            assert!(
                !stop.images.is_empty() && lost.is_empty(),
                "{worker}: {}: {lost:?}",
                stop.path
            );
        }
    }
}
