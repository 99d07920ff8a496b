//! Formats numbers, times, paths and tables for people. Must not print anything.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use syntax_publish::model::path::printable;

/// Formats a number of things: "1 file", "2 files".
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Formats a size in bytes.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut value = number as f64;
    let mut unit = 0;
    // A value that would be rounded up to 1024.0 belongs to the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{number} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Formats a duration.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

pub fn local(at: jiff::Timestamp) -> String {
    let at = at.to_zoned_datetime(jiff::tz::TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// Converts the times in a text of the library, which are in UTC, to the local time zone.
pub fn with_local_times(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find('Z').map(|at| at + 1) {
        let start = end.checked_sub("2026-11-29T07:20:11Z".len());
        let time = start.and_then(|start| Some((start, rest.get(start..end)?.parse().ok()?)));
        match time {
            Some((start, time)) => made.extend([&rest[..start], &local(time)]),
            None => made.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    made + rest
}

/// Formats how long ago a time was, by the local clock. `seconds` counts from 1970.
pub fn ago(seconds: i64) -> String {
    let past = jiff::Timestamp::now().as_second().saturating_sub(seconds);
    match past {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", past / 60),
        3600..86_400 => format!("{} h ago", past / 3600),
        _ => count(u64::try_from(past / 86_400).unwrap_or(0), "day") + " ago",
    }
}

/// Formats a path for a terminal: relative if it is below the current folder, with unprintable characters escaped.
pub fn shown(path: &Path) -> String {
    let near = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    let near = near.filter(|near| !near.as_os_str().is_empty());
    printable(&near.as_deref().unwrap_or(path).to_string_lossy())
}

/// Quotes a word for a shell, if necessary.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Formats a table. Each column is as wide as its widest cell. The last column is not padded. Columns listed in `right`
/// are aligned to the right.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = if right.contains(&column) {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:<width$}")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Shortens a line to a number of columns.
pub fn shortened(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let kept: String = line.chars().take(columns.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_and_the_unit_that_fits() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn durations_have_the_two_units_that_matter() {
        for (millis, text) in [
            (0, "0.0 s"),
            (1_234, "1.2 s"),
            (59_900, "59 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn times_long_ago_are_shown_in_one_unit() {
        let now = jiff::Timestamp::now().as_second();
        for (past, text) in [
            (5, "just now"),
            (-90, "just now"),
            (200, "3 min ago"),
            (7300, "2 h ago"),
            (90_000, "1 day ago"),
            (900_000, "10 days ago"),
        ] {
            assert_eq!(ago(now - past), text);
        }
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abc defg", 5), "abc…");
    }

    #[test]
    fn times_of_the_library_are_made_local_and_the_rest_stays() {
        let at = "2026-11-29T07:20:11Z";
        let here = local(at.parse().unwrap());
        for (text, made) in [
            ("", String::new()),
            ("Zoë of ÄÖÜäöüÄÖÜäöüZ, Z", "Zoë of ÄÖÜäöüÄÖÜäöüZ, Z".to_owned()),
            ("since 2026-13-29T07:20:11Z", "since 2026-13-29T07:20:11Z".to_owned()),
            (&format!("a (since {at}) Z {at}"), format!("a (since {here}) Z {here}")),
        ] {
            assert_eq!(with_local_times(text), made);
        }
    }

    #[test]
    fn a_table_has_no_blanks_at_its_ends() {
        let rows = [
            vec!["a".to_owned(), "10".to_owned()],
            vec!["bbb".to_owned(), "1".to_owned()],
        ];
        assert_eq!(table(&rows, &[1]), "a    10\nbbb   1\n");
    }

    #[test]
    fn words_that_a_shell_would_split_or_expand_are_quoted() {
        for plain in ["a", "target/docroot", "x@y:1"] {
            assert_eq!(quoted(plain), plain);
        }
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
