//! Pages that move while visitors read them: nginx with the printed vhost, and publish, rollback and prune under load.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::served::races::Visitor;
use crate::support::command::{Project, small_export};
use crate::support::nginx::Nginx;
use crate::support::report::say;

/// The pages that move, are split and are removed.
const MOVED: usize = 20;
const REMOVED: usize = 3;

const VISITORS: usize = 4;
/// Rounds of four swaps.
const ROUNDS: u64 = 3;

fn page(title: &str) -> String {
    format!("<!DOCTYPE html><html lang=\"en\"><title>{title}</title><p>{title}</p></html>")
}

/// The site in which every page is at its old address.
fn write_before(project: &Project) {
    let out = project.dir.join("out");
    let _ = fs::remove_dir_all(&out);
    small_export(&out);
    for number in 0..MOVED {
        project.write(format!("out/docs/p{number}.html"), page(&format!("page {number}")));
    }
    for number in 0..REMOVED {
        project.write(format!("out/docs/gone{number}.html"), page(&format!("gone {number}")));
    }
    project.write("out/docs/long.html", page("a long page"));
}

/// The site in which they moved. Returns the addresses that are redirected, each with where to.
fn write_after(project: &Project) -> Vec<(String, String)> {
    let out = project.dir.join("out");
    fs::remove_dir_all(&out).expect("an export");
    small_export(&out);
    let mut moved = Vec::new();
    for number in 0..MOVED {
        project.write(format!("out/guide/p{number}.html"), page(&format!("page {number}")));
        moved.push((format!("/docs/p{number}"), format!("/guide/p{number}")));
    }
    for part in ["first", "second"] {
        project.write(format!("out/guide/{part}.html"), page(part));
    }
    moved.push(("/docs/long".to_owned(), "/guide/first".to_owned()));
    for number in 0..REMOVED {
        moved.push((format!("/docs/gone{number}"), "/".to_owned()));
    }
    let lines = moved.iter().fold(String::new(), |mut lines, (from, to)| {
        let _ = writeln!(lines, "{from} {to}");
        lines
    });
    project.write("out/_redirects", lines);
    moved
}

/// What visitors got so far.
#[derive(Default)]
struct Seen {
    pages: AtomicU64,
    redirects: AtomicU64,
    /// Redirects whose page was swapped away before the visitor got there.
    overtaken: AtomicU64,
}

/// A visitor who knows the old addresses only.
struct Reader<'a> {
    connection: Visitor,
    current: &'a Path,
    seen: &'a Seen,
}

impl Reader<'_> {
    fn live(&self) -> PathBuf {
        fs::read_link(self.current).expect("a live release")
    }

    /// Asks an old address, and follows it to a page. Every release answers the address, so a swap must not be seen
    /// there. The page that it leads to is only in those that redirect to it: if it is missing, there was a swap, and the
    /// old address leads to a page again.
    fn follow(&mut self, from: &str, to: &str) {
        for _ in 0..20 {
            let live = self.live();
            let (status, headers, _) = self.connection.get(from, "identity");
            if status == 200 {
                self.seen.pages.fetch_add(1, Ordering::SeqCst);
                return;
            }
            assert_eq!(status, 301, "{from}, which may lead to {to}");
            assert_eq!(headers.get("location").map(String::as_str), Some(to), "{from}");
            self.seen.redirects.fetch_add(1, Ordering::SeqCst);
            let (status, _, _) = self.connection.get(to, "identity");
            if status == 200 {
                return;
            }
            assert!(status == 404 && self.live() != live, "{to}, after {from}: {status}");
            self.seen.overtaken.fetch_add(1, Ordering::SeqCst);
        }
        panic!("{from} never led to a page");
    }
}

/// Waits until visitors got some more of this.
fn wait_for_more(count: &AtomicU64) {
    let (before, began) = (count.load(Ordering::SeqCst), Instant::now());
    while count.load(Ordering::SeqCst) < before + 50 {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "no visitor gets this any more"
        );
        thread::yield_now();
    }
}

#[test]
fn no_visitor_of_pages_that_move_gets_a_missing_page() {
    let project = Project::new();
    let docroot = project.dir.join("site");
    project.write_manifest(&format!(
        "[site]\nname = \"demo\"\nurl = \"https://demo.test\"\n[publish]\ntarget = \"here\"\nkeep = 1\nskew = \"0\"\n\
         [encode]\nbrotli = 1\ngzip = 1\n[check]\nallow = [\"**\"]\n\
         [targets.here]\nkind = \"local\"\ndocroot = {:?}\n",
        docroot.display().to_string()
    ));
    write_before(&project);
    project.run(&["publish"]).expect_code(0);
    let nginx = Nginx::of(&project, &[]);
    let server = nginx.address();
    let moved = write_after(&project);
    assert_eq!(moved.len(), MOVED + 1 + REMOVED);
    let current = docroot.join("current");
    let (seen, ended) = (Seen::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for visitor in 0..VISITORS {
            let (moved, seen, ended, current) = (&moved, &seen, &ended, &current);
            scope.spawn(move || {
                let mut turn = visitor;
                while !ended.load(Ordering::SeqCst) {
                    // nginx closes a connection after a thousand requests.
                    let connection = Visitor::new(server, "demo.test");
                    let mut reader = Reader {
                        connection,
                        current,
                        seen,
                    };
                    for _ in 0..200 {
                        let (from, to) = &moved[turn % moved.len()];
                        reader.follow(from, to);
                        turn += 1;
                    }
                }
            });
        }
        // Ends the visitors however this ends, because the scope waits for them.
        let _end = End(&ended);
        for round in 0..ROUNDS {
            wait_for_more(&seen.pages);
            let moved_again = write_after(&project);
            assert_eq!(moved_again, moved);
            project.write("out/guide/first.html", page(&format!("first, {round}")));
            project.run(&["publish", "--allow-removals"]).expect_code(0);
            wait_for_more(&seen.redirects);
            project.run(&["rollback"]).expect_code(0);
            wait_for_more(&seen.pages);
            project.run(&["publish", "--allow-removals", "--force"]).expect_code(0);
            wait_for_more(&seen.redirects);
            project.run(&["prune"]).expect_code(0);
            wait_for_more(&seen.redirects);
            project.run(&["verify", "--deep"]).expect_code(0);
            write_before(&project);
            project.write("out/docs/long.html", page(&format!("a long page, {round}")));
            project.run(&["publish", "--allow-removals"]).expect_code(0);
            wait_for_more(&seen.pages);
            project.run(&["prune"]).expect_code(0);
        }
    });
    let swaps = 4 * ROUNDS;
    say(&format!(
        "pages that move: {} pages and {} redirects over {swaps} swaps, and nothing else; the page of {} redirects was swapped away before the visitor got there",
        seen.pages.into_inner(),
        seen.redirects.into_inner(),
        seen.overtaken.into_inner(),
    ));
}

/// Says that everything has ended, when dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
