//! `redirects suggest`: redirects for pages that moved. Compares the live release and those before with the export; a target is never
//! changed, and of this machine only the file of redirects next to the site manifest, with `--write`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use syntax_publish::rules::redirects::{FILE, parse};
use syntax_publish::site::moved::{NewSite, Suggestion};
use syntax_publish::store::former_pages::{FormerPages, Limits};
use syntax_publish::store::former_releases::FormerReleases;
use syntax_publish::store::plan;

use super::Run;
use super::ask::Compared;
use crate::cli::args::Redirects;
use crate::cli::failure::Failure;
use crate::cli::format::{count, shown};

/// How many addresses without a suggestion are named.
const NAMED: usize = 10;

impl Run {
    pub(super) async fn suggest_redirects(&self, options: Redirects) -> Result<u8, Failure> {
        let (workplace, session) = self.open("redirects")?;
        let mut compared = self.compare(workplace, session).await?;
        let former = if options.anchors {
            FormerReleases::default()
        } else {
            compared.former_releases(workplace, session).await?
        };
        let Compared {
            prepared, facts, plan, ..
        } = compared;
        let new = NewSite {
            rules: &prepared.rules,
            site: &prepared.site,
        };
        let files = plan::former_files(&plan.changes, &facts);
        let pages = FormerPages {
            session,
            source: &prepared.source,
            changes: &plan.changes,
            files: &files,
            former: &former,
            limits: Limits::COMMAND,
        };
        if options.anchors {
            let (gone, unread) = pages.gone_anchors(new).await?;
            self.finish();
            if unread > 0 {
                let unread = count(unread as u64, "changed page");
                self.screen.note(&format!("{unread} could not be compared"));
            }
            self.screen.result(&gone, || {
                let lines = gone.iter().map(|gone| match &gone.to {
                    Some(to) => format!("{} {to}  # {}% alike\n", gone.from, gone.score),
                    None => format!("{}\n", gone.from),
                });
                lines.collect()
            })?;
            return Ok(0);
        }
        let gone = new.gone(&plan.changes, &former.releases);
        let suggestions = pages.suggestions(new, &gone).await?;
        self.finish();
        let without = gone.iter().zip(&suggestions).filter(|(_, found)| found.is_none());
        let without: Vec<&str> = without.map(|(gone, _)| gone.address.as_str()).collect();
        let mut suggestions: Vec<Suggestion> = suggestions.into_iter().flatten().collect();
        if options.write {
            let file = workplace.base.join(FILE);
            suggestions = append(&file, suggestions).map_err(|source| Failure::Io {
                what: format!("write {}", shown(&file)),
                source,
            })?;
            let added = count(suggestions.len() as u64, "line");
            self.screen.note(&format!("added {added} to {}", shown(&file)));
        }
        if !without.is_empty() {
            self.screen.note(&left_out(&without));
        }
        self.screen.result(&suggestions, || text(&suggestions))?;
        Ok(0)
    }
}

/// The lines for the file.
fn text(suggestions: &[Suggestion]) -> String {
    let lines = suggestions.iter().map(|suggestion| suggestion.line() + "\n");
    lines.collect()
}

fn left_out(addresses: &[&str]) -> String {
    let named = addresses[..addresses.len().min(NAMED)].join(", ");
    let more = match addresses.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let count = match addresses.len() {
        1 => "1 address".to_owned(),
        more => format!("{more} addresses"),
    };
    format!("no likely new page for {count} without an answer: {named}{more}")
}

/// Appends those lines whose addresses the file does not have, and returns them.
fn append(file: &Path, suggestions: Vec<Suggestion>) -> std::io::Result<Vec<Suggestion>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let suggestions = new_ones(&text, suggestions);
    if !suggestions.is_empty() {
        let is_ended = text.is_empty() || text.ends_with('\n');
        let lines = format!("{}{}", if is_ended { "" } else { "\n" }, self::text(&suggestions));
        let mut file = File::options().append(true).create(true).open(file)?;
        file.write_all(lines.as_bytes())?;
    }
    Ok(suggestions)
}

/// The suggestions for addresses that a file of redirects does not have.
fn new_ones(text: &str, mut suggestions: Vec<Suggestion>) -> Vec<Suggestion> {
    let bare = |address: &str| address.trim_end_matches('/').to_owned();
    let written: HashSet<String> = parse(FILE, text).0.iter().map(|rule| bare(&rule.written)).collect();
    suggestions.retain(|suggestion| !written.contains(&bare(&suggestion.from)));
    suggestions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(from: &str) -> Suggestion {
        Suggestion {
            from: from.to_owned(),
            to: "/new".to_owned(),
            score: 94,
            status: 301,
        }
    }

    #[test]
    fn no_address_is_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, "# moved\n/a/ /b").unwrap();
        for added in [1, 0] {
            let suggestions = ["/a", "/c"].map(suggestion).to_vec();
            assert_eq!(append(&file, suggestions).unwrap().len(), added);
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "# moved\n/a/ /b\n/c /new 301  # 94% alike\n");
    }

    #[test]
    fn a_file_is_made_only_for_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        append(&file, Vec::new()).unwrap();
        assert!(!file.exists());
        append(&file, vec![suggestion("/a")]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "/a /new 301  # 94% alike\n");
    }

    #[test]
    fn of_many_addresses_some_are_named() {
        let addresses: Vec<String> = (0..12).map(|at| format!("/{at}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        assert!(
            left_out(&addresses).ends_with("/9 and 2 more"),
            "{}",
            left_out(&addresses)
        );
        assert!(left_out(&addresses[..1]).ends_with("answer: /0"));
    }
}
