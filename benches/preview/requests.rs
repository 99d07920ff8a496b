//! Measures requests per second, compared with nginx under the printed vhost on the same files. For information only:
//! the preview is not meant for publishing.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::measure::Spread;
use crate::support::nginx::Nginx;
use crate::{copy, project, start};

/// The requests: name, path and `Accept-Encoding`.
const ASKED: [(&str, &str, &str); 5] = [
    ("a page, as it is", "/fees", "identity"),
    ("a page, brotli", "/fees", "br"),
    ("a page that is not there", "/nothing/here", "identity"),
    ("the other form of an address", "/fees/", "identity"),
    ("a redirect of the release", "/old/fees", "identity"),
];

pub fn measure(quick: bool) {
    if Command::new("wrk").arg("-v").output().is_err() {
        eprintln!("requests: skipped, since wrk is not there (`apt-get install wrk`, or `brew install wrk`)");
        return;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/export");
    let project = project(|out| {
        copy(&fixture, out);
        std::fs::write(out.join("_redirects"), "/old/fees /fees 308\n").expect("a file of redirects");
    });
    project.run(&["publish"]).expect_code(0);
    let docroot = project.dir.join("docroot");
    let nginx = Nginx::of(&project, &["--docroot", docroot.to_str().expect("a path")]);
    let (_watch, preview) = start(&project);
    let rounds = if quick { 2 } else { 5 };
    println!("| asked for | preview, requests/s | nginx, requests/s | nginx ÷ preview |");
    println!("|---|---|---|---|");
    for (name, address, accept) in ASKED {
        let (mut ours, mut theirs) = (Spread::default(), Spread::default());
        for _ in 0..rounds {
            ours.push(load(preview, address, accept));
            theirs.push(load(nginx.address(), address, accept));
        }
        let whole = |value: f64| format!("{value:.0}");
        println!(
            "| {name} | {} | {} | {} |",
            ours.show(whole),
            theirs.show(whole),
            theirs.over(&ours).show(|ratio| format!("{ratio:.1}"))
        );
    }
}

/// Requests per second, with one thread and ten connections.
fn load(server: SocketAddr, address: &str, accept: &str) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", "-c10", "-d3s"])
        .args(["-H", "Host: localhost", "-H", &format!("Accept-Encoding: {accept}")])
        .arg(format!("http://{server}{address}"))
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let number = line.and_then(|line| line.trim().parse().ok());
    number.unwrap_or_else(|| panic!("wrk told no number: {text}"))
}
