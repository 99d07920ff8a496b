//! Measures whether our compression is as good as that of the command line tools: bytes of all encodings of a site.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use syntax_publish::model::encoding::Coding;
use syntax_publish::site::encode::encode;

use crate::measure::{Row, Table, command};
use crate::ours::lossy;
use crate::scenarios::say;
use crate::site::{self, Size};

/// Neither side encodes a file below this size.
const LEAST: u64 = 512;

/// Extensions of the types that are worth encoding. They are chosen by name, because the command line tools do not
/// detect types.
const TEXTS: [&str; 8] = ["html", "txt", "js", "css", "json", "svg", "xml", "map"];

pub fn sizes(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let synthetic = folder.path().join("site");
    site::write(&synthetic, Size { pages: 1000 });
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    corpus("the synthetic site of 1,000 pages", &synthetic, table);
    let mut exports: Vec<PathBuf> = vec![fixtures.join("export")];
    exports.extend(["pages", "based", "nextra"].map(|name| fixtures.join(name).join("export")));
    for export in &exports {
        let name = export.strip_prefix(&fixtures).expect("a folder of fixtures");
        corpus(&format!("fixtures/{}", name.display()), export, table);
    }
}

fn corpus(name: &str, export: &Path, table: &mut Table) {
    say(&format!("{name}: encoding it"));
    let entries = walkdir::WalkDir::new(export)
        .into_iter()
        .map(|entry| entry.expect("an entry of the site"));
    let texts: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_file() && entry.metadata().expect("a file").len() >= LEAST)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.extension()
                .is_some_and(|end| TEXTS.iter().any(|text| end == *text))
        })
        .collect();
    table.group(&format!("bytes of all encodings, {name}: {} files", texts.len()));
    for (coding, level, ours, theirs) in [
        (
            Coding::Brotli,
            11,
            "syntax-publish, brotli 11",
            &[["-q", "11", "-w", "22"], ["-q", "11", "-w", "24"]][..],
        ),
        (
            Coding::Gzip,
            9,
            "syntax-publish, gzip 9",
            &[["-9", "-n", "-c", "-f"]][..],
        ),
    ] {
        let mine = total(&texts, |path| {
            let bytes = fs::read(path).expect("a file of the site");
            let made = encode(coding, level, &bytes).expect("an encoder");
            made.map_or(bytes.len(), |made| made.len())
        });
        let mut row = Row::new(ours);
        row.sent.push(mine);
        table.push(&row);
        for args in theirs {
            let program = if coding == Coding::Gzip { "gzip" } else { "brotli" };
            let bytes = total(&texts, |path| encoded_by(command(program, args), path));
            let mut row = Row::new(format!(
                "{program} {}; ours is {:.4} of it",
                args.join(" "),
                mine / bytes
            ));
            row.sent.push(bytes);
            table.push(&row);
        }
    }
}

/// The size that the command writes to its output, or the size of the file if that is not larger; ours does the same.
fn encoded_by(mut command: Command, path: &Path) -> usize {
    let size = fs::metadata(path).expect("a file of the site").len();
    let made = command.arg("-c").arg(path).output().expect("an encoder");
    assert!(made.status.success(), "{} is encoded", path.display());
    made.stdout.len().min(usize::try_from(size).expect("a size"))
}

fn total(texts: &[PathBuf], size: impl Fn(&Path) -> usize + Sync) -> f64 {
    lossy(texts.par_iter().map(|path| size(path) as u64).sum())
}
