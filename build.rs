//! Tells the compiler what `--version` says: the version, and the commit of the sources with its date if they are known.
//! Tells the linker of a static binary to write short relocations.
//!
//! It must not look at the clock, nor at anything else that differs between two builds of one commit.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SYNTAX_PUBLISH_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let mut version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    if let Some((commit, seconds)) = given().or_else(packaged).or_else(checked_out) {
        let short: String = commit.chars().take(7).collect();
        let date = seconds.map(|seconds| format!(" {}", date(seconds)));
        version = format!("{version} ({short}{})", date.unwrap_or_default());
    }
    println!("cargo::rustc-env=SYNTAX_PUBLISH_VERSION={version}");
    // Two thirds of a megabyte less. Not with glibc, of which the binary would then need 2.36.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The commit and the time of it.
type Source = (String, Option<i64>);

/// What the build of a release was told.
fn given() -> Option<Source> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let seconds = variable("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    Some((variable("SYNTAX_PUBLISH_COMMIT")?, seconds))
}

/// What `cargo package` noted. It notes no date.
fn packaged() -> Option<Source> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let commit = text.split_once("\"sha1\"")?.1.split('"').nth(1)?;
    Some((commit.to_owned(), None))
}

/// What git says, if this folder itself is a checkout: the sources may also lie in that of another project.
fn checked_out() -> Option<Source> {
    if !Path::new(".git").exists() {
        return None;
    }
    // The log is written with each commit; the file of a branch may be missing, and cargo would run this each time then.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"])?;
    for name in ["HEAD", "logs/HEAD", &branch] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let head = git(&["log", "-1", "--format=%H %ct"])?;
    let (commit, seconds) = head.split_once(' ')?;
    Some((commit.to_owned(), seconds.parse().ok()))
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The day in UTC of a time in seconds since 1970, as `2026-11-30`.
fn date(seconds: i64) -> String {
    // Howard Hinnant's days_from_civil, backwards: years begin in March, so that a leap day is the last of its year.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
