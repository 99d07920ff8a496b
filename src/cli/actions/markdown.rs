//! Job summaries in Markdown.
//!
//! Takes data and returns text. Names and messages come from files, so they are put into HTML elements, with every
//! character escaped that has a meaning in Markdown or HTML.

use std::fmt::Write as _;

use syntax_publish::model::release::ReleaseId;
use syntax_publish::model::severity::Severity;
use syntax_publish::site::check::Problem;
use syntax_publish::site::check::budget::{Spending, size};
use url::Url;

use super::SummaryInput;
use crate::cli::format::{bytes, count, shortened};
use crate::cli::json;
use crate::cli::pages::{Item, mark};
use crate::cli::problems::{level, name, totals};

/// Maximum number of rows in a table. The runner rejects summaries larger than 1 MiB.
const ROWS: usize = 100;

/// Maximum number of characters of a title.
const TITLE: usize = 80;

/// Formats text as inline code, for use in a line or a table cell.
fn code(text: &str) -> String {
    format!("<code>{}</code>", plain(text))
}

/// Text that is nothing but text, also inside an element and in an attribute of one.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Characters with a meaning in Markdown, even inside an HTML element.
            '"' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '!' | '#' | '@' | ':' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Formats a table with two columns.
fn facts(rows: &[(&str, String)]) -> String {
    let mut text = String::from("| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text
}

fn counts(told: &SummaryInput<'_>) -> String {
    told.grouped.totals().unwrap_or_else(|| "no changes".to_owned())
}

/// The pages and files that changed.
fn changes(told: &SummaryInput<'_>) -> String {
    let all = told.grouped.items().count();
    if all == 0 {
        return String::new();
    }
    let mut text = format!(
        "\n<details><summary>{}</summary>\n\n| | |\n|---|---|\n",
        count(all as u64, "change")
    );
    for item in told.grouped.items().take(ROWS) {
        let _ = writeln!(
            text,
            "| {} | {}{} |",
            mark(item.change),
            link(item, told.url),
            code(&item.url)
        );
    }
    if let Some(more) = all.checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "| | and {more} more |");
    }
    text + "\n</details>\n"
}

/// The title of a page as a link to it, with a space behind it; empty if the title or the site's address is not known.
fn link(item: &Item, site: Option<&str>) -> String {
    let address = site.and_then(|site| Url::parse(site).ok()?.join(&item.url).ok());
    let link = |(title, address): (&String, Url)| {
        let (address, title) = (plain(address.as_str()), plain(&shortened(title, TITLE)));
        format!("<a href=\"{address}\">{title}</a> ")
    };
    item.title.as_ref().zip(address).map(link).unwrap_or_default()
}

/// The findings of the checks; empty if there are none.
fn findings(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n#### {}\n\n| | file | line | check | |\n|---|---|--:|---|---|\n",
        totals(problems)
    );
    // Errors come first, so that what blocks a publish is always among the rows shown.
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let others = problems.iter().filter(|problem| problem.severity != Severity::Error);
    for problem in errors.chain(others).take(ROWS) {
        let line = problem.line.map_or_else(String::new, |line| line.to_string());
        let (level, path, check) = (level(problem), code(name(&problem.path)), problem.check);
        let (message, hint) = (code(&problem.message), code(&problem.hint));
        let _ = writeln!(text, "| {level} | {path} | {line} | {check} | {message}<br>{hint} |");
    }
    if let Some(more) = problems.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "| | and {more} more | | | |");
    }
    text
}

/// What the limits of the budget are compared with; empty if there are none.
fn budget(spent: &[Spending]) -> String {
    if spent.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n#### Budget\n\n| | largest | | limit |\n|---|---|--:|--:|\n");
    for spending in spent {
        let path = spending
            .path
            .as_ref()
            .map_or_else(|| "the site".to_owned(), |path| code(path.as_str()));
        let (bytes, limit) = (size(spending.bytes), size(spending.limit));
        let _ = writeln!(text, "| `{}` | {path} | {bytes} | {limit} |", spending.key);
    }
    text
}

/// Summary of a check.
pub fn checked(problems: &[Problem], spent: &[Spending]) -> String {
    let budget = budget(spent);
    if problems.is_empty() {
        format!("### No problems found in the export\n{budget}")
    } else {
        format!("### Problems in the export\n{}{budget}", findings(problems))
    }
}

/// Summary of a publish.
pub fn published(told: &SummaryInput<'_>) -> String {
    let value = told.value;
    let id = |release: &ReleaseId| code(release.as_str());
    let release = value.release.as_ref().map_or_else(String::new, id);
    let target = code(told.target);
    let undelivered = not_delivered(value.error.as_ref());
    let findings = findings(&value.problems) + &budget(&value.budget);
    let vhost = vhost(value).map_or_else(String::new, |(problem, fix)| {
        let (problem, fix) = (code(&format!("the vhost {problem}")), code(fix));
        format!("\n#### The vhost\n\n{problem}<br>{fix}\n")
    });
    let undelivered = undelivered + &vhost;
    if !value.swapped {
        return format!("### Nothing to publish to {target}\n\n{release} is already live.\n{undelivered}{findings}");
    }
    let mut rows = vec![("release", release)];
    rows.extend(value.previous.as_ref().map(|previous| ("before", id(previous))));
    rows.extend(told.commit.map(|commit| ("commit", code(commit))));
    let sent = format!("{} in {:.1} s", bytes(value.bytes_sent), value.seconds);
    rows.extend([("changes", counts(told)), ("uploaded", sent)]);
    // What a preview changes is not undone but made live.
    match (&value.channel, &value.previous) {
        (Some(_), _) => rows.push(("promote", code(told.next))),
        (None, Some(_)) => rows.push(("undo", code(told.next))),
        (None, None) => {}
    }
    let (facts, changes) = (facts(&rows), changes(told));
    format!("### Published to {target}\n\n{facts}{undelivered}{changes}{findings}")
}

/// Returns what is wrong with the vhost, and what to do. `None` if nothing serves the site yet.
pub fn vhost(value: &json::Publish) -> Option<(&str, &str)> {
    let vhost = value.vhost.as_ref().filter(|_| value.next.is_none())?;
    vhost.problem.as_deref().zip(vhost.fix.as_deref())
}

/// Formats the error that keeps visitors from getting a release that is live on the host.
fn not_delivered(error: Option<&json::FailedBody>) -> String {
    error.map_or_else(String::new, |error| {
        let (message, hint) = (code(&error.message), code(&error.hint));
        format!("\n#### Not verified\n\n{message}<br>{hint}\n")
    })
}

/// Summary of a plan.
pub fn planned(told: &SummaryInput<'_>) -> String {
    let value = told.value;
    let sent = format!("at most {} before compression", bytes(value.bytes_sent));
    let live = value.previous.as_ref();
    let live = live.map_or_else(|| "nothing yet".to_owned(), |live| code(live.as_str()));
    let rows = [
        ("live now", live),
        ("changes", counts(told)),
        ("to upload", sent),
        ("publish", code(told.next)),
    ];
    format!(
        "### What a publish to {} would change\n\n{}{}{}",
        code(told.target),
        facts(&rows),
        changes(told),
        findings(&value.problems) + &budget(&value.budget)
    )
}

/// Summary of a rollback.
pub fn rolled_back(value: &json::RolledBack, target: &str, undo: &str, hold: Option<&str>) -> String {
    let mut rows = vec![
        ("live now", code(value.release.as_str())),
        ("before", code(value.previous.as_str())),
    ];
    rows.extend(hold.map(|reason| ("publishing is on hold", code(reason))));
    rows.push(("undo", code(undo)));
    let undelivered = not_delivered(value.error.as_ref());
    format!("### Rolled back on {}\n\n{}{undelivered}", code(target), facts(&rows))
}

/// Summary of a failed command.
pub fn failed(message: &str, live: &str, hint: &str, problems: &[Problem]) -> String {
    let rows = [
        ("what happened", code(message)),
        ("live", code(live)),
        ("what to do", code(hint)),
    ];
    format!("### syntax-publish failed\n\n{}{}", facts(&rows), findings(problems))
}

#[cfg(test)]
mod tests {
    use syntax_publish::config;
    use syntax_publish::model::manifest::{Change, ChangeKind, Changes};
    use syntax_publish::next::client::Client;
    use syntax_publish::site::pipeline;

    use syntax_publish::model::path::SitePath;

    use super::*;
    use crate::cli::pages::grouped;

    #[test]
    fn names_and_messages_begin_no_markup() {
        assert_eq!(
            code("a|b`<img src=x>`\n[x](y) @team"),
            "<code>a&#124;b&#96;&lt;img src=x&gt;&#96; &#91;x&#93;(y) &#64;team</code>"
        );
    }

    #[test]
    fn summary_of_a_publish_says_what_changed_what_was_found_and_how_to_undo_it() {
        let change = |path: &str, change, bytes| Change {
            path: SitePath::new(path).unwrap(),
            change,
            bytes,
            brought: Vec::new(),
        };
        let changes = Changes {
            redirects: Vec::new(),
            list: vec![
                change("a.html", ChangeKind::Changed, 2048),
                change("b.png", ChangeKind::Added, 10),
            ],
        };
        let problems = [Problem {
            path: "a.html".to_owned(),
            line: Some(7),
            severity: Severity::Warning,
            check: "links",
            message: "no page".to_owned(),
            hint: "fix".to_owned(),
            fault: None,
            always: false,
            known: None,
        }];
        let value = json::Publish {
            release: Some("20261127-120000-abcdef".parse().unwrap()),
            previous: Some("20261126-120000-abcdef".parse().unwrap()),
            swapped: true,
            objects_sent: 3,
            bytes_sent: 1024,
            seconds: 1.25,
            problems: problems.to_vec(),
            ..json::Publish::counting(&changes, 12)
        };
        let config = config::parse("").unwrap().config;
        let rules = pipeline::rules(&config, Client::default(), std::iter::empty());
        let titles = [(SitePath::new("a.html").unwrap(), "A | \"b\" <c>".to_owned())];
        let grouped = grouped(&changes, &rules, &|_| false).with_titles(&titles.into(), &rules);
        let told = SummaryInput {
            value: &value,
            grouped: &grouped,
            target: "web",
            url: Some("https://docs.example.com"),
            commit: Some("abc"),
            next: "syntax-publish rollback",
        };
        insta::assert_snapshot!(published(&told), @r#"
        ### Published to <code>web</code>

        | | |
        |---|---|
        | release | <code>20261127-120000-abcdef</code> |
        | before | <code>20261126-120000-abcdef</code> |
        | commit | <code>abc</code> |
        | changes | 1 page changed, 1 other file added |
        | uploaded | 1.0 KiB in 1.2 s |
        | undo | <code>syntax-publish rollback</code> |

        <details><summary>2 changes</summary>

        | | |
        |---|---|
        | changed | <a href="https&#58;//docs.example.com/a">A &#124; &#34;b&#34; &lt;c&gt;</a> <code>/a</code> |
        | added | <code>/b.png</code> |

        </details>

        #### 0 errors, 1 warning

        | | file | line | check | |
        |---|---|--:|---|---|
        | warning | <code>a.html</code> | 7 | links | <code>no page</code><br><code>fix</code> |
        "#);
        // A preview is made live by what follows, also where nothing was live before.
        let preview = json::Publish {
            release: value.release.clone(),
            swapped: true,
            channel: Some("pr-12".to_owned()),
            ..json::Publish::counting(&changes, 12)
        };
        let told = SummaryInput {
            value: &preview,
            next: "syntax-publish promote pr-12",
            ..told
        };
        let text = published(&told);
        assert!(
            text.contains("| promote | <code>syntax-publish promote pr-12</code> |"),
            "{text}"
        );
        assert!(!text.contains("undo"), "{text}");
    }

    #[test]
    fn long_lists_are_cut_and_errors_come_first() {
        let problem = |severity| Problem {
            path: "a.html".to_owned(),
            line: None,
            severity,
            check: "links",
            message: "m".to_owned(),
            hint: "h".to_owned(),
            fault: None,
            always: false,
            known: None,
        };
        let mut problems: Vec<Problem> = (0..ROWS).map(|_| problem(Severity::Warning)).collect();
        problems.push(problem(Severity::Error));
        let text = checked(&problems, &[]);
        assert!(text.contains("#### 1 error, 100 warnings"), "{text}");
        assert!(text.contains("|--:|---|---|\n| error |"), "{text}");
        assert!(text.ends_with("| | and 1 more | | | |\n"), "{text}");
    }

    #[test]
    fn budget_has_a_row_for_each_limit() {
        let spending = |key, path: Option<&str>| Spending {
            key,
            path: path.map(|path| SitePath::new(path).unwrap()),
            bytes: 212_345,
            limit: 200_000,
            excesses: Vec::new(),
        };
        let text = checked(&[], &[spending("first-load", Some("a.html")), spending("total", None)]);
        insta::assert_snapshot!(text, @r"
        ### No problems found in the export

        #### Budget

        | | largest | | limit |
        |---|---|--:|--:|
        | `first-load` | <code>a.html</code> | 212.3 kB | 200.0 kB |
        | `total` | the site | 212.3 kB | 200.0 kB |
        ");
    }
}
