//! The status line of a preview, in words. It must not access the terminal: it takes a value and returns text.

use std::time::{Duration, Instant};

use super::format::{count, seconds};

/// The state of a preview.
#[derive(Debug, Clone, Default)]
pub struct PreviewStatus {
    /// Number of files of the served site; `None` if there is no site yet.
    pub files: Option<u64>,
    /// When the site was last prepared, and how long that took.
    pub prepared: Option<(Instant, Duration)>,
    /// The stage that is preparing the site again.
    pub stage: Option<&'static str>,
    /// When the site's own build started, if it is running.
    pub building: Option<Instant>,
    /// The problem that has not been repaired yet.
    pub trouble: Option<Obstacle>,
    /// Number of open pages that wait for changes.
    pub clients: usize,
    /// Number of errors that the checks found.
    pub errors: u64,
    /// Number of warnings that the checks found.
    pub warnings: u64,
    /// Whether the command reads keys.
    pub has_keys: bool,
}

/// A problem that keeps a newer site from being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no export.
    Waiting,
    /// The export seems incomplete.
    Unsettled,
    /// The site's own build failed.
    Build,
    /// The site could not be prepared.
    Site,
}

/// How a part of the line is colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Busy,
    Warning,
    Error,
}

impl PreviewStatus {
    /// Notes that the export was read and is fine. A build that failed stays a problem until the next one.
    pub fn forget_trouble_of_export(&mut self) {
        self.trouble = self.trouble.filter(|trouble| *trouble == Obstacle::Build);
    }

    /// Returns the line, with or without terminal colors, for a terminal of this width. If it is too narrow, the least
    /// important parts are left out, but never the keys.
    pub fn line(&self, now: Instant, colors: bool, columns: usize) -> String {
        let mut parts = self.parts(now);
        let width =
            |parts: &[(Tone, String)]| -> usize { parts.iter().map(|(_, text)| text.chars().count() + 3).sum() };
        for dispensable in ["client", "rebuilt", "file"] {
            if width(&parts) > columns + 3 {
                parts.retain(|(tone, text)| *tone != Tone::Plain || !text.contains(dispensable));
            }
        }
        let parts = parts.into_iter().map(|(tone, text)| match tone {
            _ if !colors => text,
            Tone::Plain => text,
            Tone::Busy => painted(anstyle::AnsiColor::Cyan, &text),
            Tone::Warning => painted(anstyle::AnsiColor::Yellow, &text),
            Tone::Error => painted(anstyle::AnsiColor::Red, &text),
        });
        parts.collect::<Vec<_>>().join(" | ")
    }

    fn parts(&self, now: Instant) -> Vec<(Tone, String)> {
        let mut parts = Vec::new();
        parts.extend(self.trouble.map(|trouble| match trouble {
            Obstacle::Build => (Tone::Error, "the build failed".to_owned()),
            Obstacle::Site => (Tone::Error, "the export can't be shown".to_owned()),
            Obstacle::Waiting => (Tone::Warning, "waiting for an export".to_owned()),
            Obstacle::Unsettled => (Tone::Warning, "export looks incomplete; waiting".to_owned()),
        }));
        if let Some(since) = self.building {
            let seconds = now.saturating_duration_since(since).as_secs();
            parts.push((Tone::Busy, format!("building, {seconds} s")));
        }
        parts.extend(self.stage.map(|stage| (Tone::Busy, stage.to_owned())));
        let files = self.files.map(|files| count(files, "file"));
        parts.push((Tone::Plain, files.unwrap_or_else(|| "no site yet".to_owned())));
        if let Some((at, took)) = self.prepared {
            let ago = ago(now.saturating_duration_since(at));
            parts.push((Tone::Plain, format!("rebuilt {ago} in {}", brief(took))));
        }
        parts.push((Tone::Plain, count(self.clients as u64, "client")));
        match (self.errors, self.warnings) {
            (0, 0) if self.files.is_some() => parts.push((Tone::Plain, "no findings".to_owned())),
            (errors, warnings) => {
                let found = [(Tone::Error, errors, "error"), (Tone::Warning, warnings, "warning")];
                let found = found.into_iter().filter(|(_, number, _)| *number > 0);
                parts.extend(found.map(|(tone, number, what)| (tone, count(number, what))));
            }
        }
        if self.has_keys {
            parts.push((Tone::Plain, "? for keys".to_owned()));
        }
        parts
    }
}

fn painted(color: anstyle::AnsiColor, text: &str) -> String {
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

/// Formats a duration, in milliseconds if it is below a second.
pub fn brief(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        seconds(took)
    }
}

/// Formats how long ago something was. The unit grows with the age, so that the line soon stops changing every second.
fn ago(since: Duration) -> String {
    match since.as_secs() {
        0..2 => "just now".to_owned(),
        whole @ 2..60 => format!("{whole} s ago"),
        whole @ 60..3600 => format!("{} min ago", whole / 60),
        whole => format!("{} h ago", whole / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_stay_where_columns_are_few() {
        let now = Instant::now();
        let status = PreviewStatus {
            files: Some(154),
            prepared: Some((now, Duration::from_millis(312))),
            trouble: Some(Obstacle::Build),
            clients: 2,
            errors: 3,
            warnings: 21,
            has_keys: true,
            ..PreviewStatus::default()
        };
        let line = |columns| status.line(now, false, columns);
        assert_eq!(
            line(200),
            "the build failed | 154 files | rebuilt just now in 312 ms | 2 clients | 3 errors | 21 warnings | ? for keys"
        );
        assert_eq!(
            line(80),
            "the build failed | 154 files | 3 errors | 21 warnings | ? for keys"
        );
        assert!(
            line(60).ends_with("| ? for keys") && line(60).len() <= 60,
            "{}",
            line(60)
        );
    }

    #[test]
    fn the_line_shows_files_last_rebuild_clients_and_findings() {
        let now = Instant::now();
        let mut status = PreviewStatus {
            has_keys: true,
            ..PreviewStatus::default()
        };
        assert_eq!(status.line(now, false, 200), "no site yet | 0 clients | ? for keys");
        status.stage = Some("checking");
        assert_eq!(
            status.line(now, false, 200),
            "checking | no site yet | 0 clients | ? for keys"
        );
        (status.stage, status.trouble) = (None, Some(Obstacle::Waiting));
        assert_eq!(
            status.line(now, false, 200),
            "waiting for an export | no site yet | 0 clients | ? for keys"
        );
        status = PreviewStatus {
            files: Some(12),
            prepared: Some((now, Duration::from_millis(83))),
            clients: 2,
            ..PreviewStatus::default()
        };
        assert_eq!(
            status.line(now, false, 200),
            "12 files | rebuilt just now in 83 ms | 2 clients | no findings"
        );
        (status.errors, status.warnings) = (1, 3);
        status.trouble = Some(Obstacle::Build);
        status.building = Some(now);
        let later = now + Duration::from_secs(125);
        assert_eq!(
            status.line(later, false, 200),
            "the build failed | building, 125 s | 12 files | rebuilt 2 min ago in 83 ms | 2 clients | 1 error | 3 warnings"
        );
        assert!(
            !status.line(later, false, 200).contains('\u{1b}') && status.line(later, true, 200).contains("\u{1b}[31m")
        );
    }

    #[test]
    fn times_are_shown_in_the_unit_that_matters() {
        let all = [0, 2, 59, 60, 3599, 7300].map(|whole| ago(Duration::from_secs(whole)));
        assert_eq!(
            all,
            ["just now", "2 s ago", "59 s ago", "1 min ago", "59 min ago", "2 h ago"]
        );
        assert_eq!(brief(Duration::from_millis(1700)), "1.7 s");
    }
}
