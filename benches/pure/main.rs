//! Measures the pure parts alone, for work on them: `just bench-pure` compares with its previous measurements
//! (CONTRIBUTING.md). All inputs come from the committed exports; nothing is read during a measurement.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a measurement that can't be made stops; the macro's own functions have no docs"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::SystemTime;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use globset::GlobSet;
use syntax_publish::config::Forbidden;
use syntax_publish::model::cache::Classes;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::{Encodings, Recipe};
use syntax_publish::model::event::Silent;
use syntax_publish::model::manifest::{Input, Site};
use syntax_publish::model::path::SitePath;
use syntax_publish::model::tree::Tree;
use syntax_publish::next::{Reference, TextVisitor, flight, html};
use syntax_publish::site::check::{self, Material, Searches};
use syntax_publish::site::scan::{ScanOptions, scan};
use syntax_publish::site::source::Export;
use syntax_publish::site::survey;
use walkdir::WalkDir;

const EXPORTS: [&str; 4] = ["export", "pages/export", "based/export", "nextra/export"];

/// Sees every reference and changes none.
struct Looking;

impl TextVisitor for Looking {
    fn url(&mut self, reference: Reference<'_>) -> Option<String> {
        black_box(reference);
        None
    }
}

/// Returns the texts of the exports' files whose names end with `end`.
fn texts(end: &str) -> Vec<String> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = EXPORTS
        .iter()
        .flat_map(|export| WalkDir::new(fixtures.join(export)).sort_by_file_name());
    let named = files.filter_map(|file| {
        let path = file.expect("a file of a committed export").into_path();
        path.to_str().is_some_and(|path| path.ends_with(end)).then_some(path)
    });
    named.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn size(texts: &[String]) -> Throughput {
    Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum())
}

fn digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    for length in [1_000, 100_000, 10_000_000] {
        let bytes = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_with_input(BenchmarkId::from_parameter(length), &bytes, |bencher, bytes| {
            bencher.iter(|| Digest::of(black_box(bytes)));
        });
    }
    group.finish();
}

/// Returns a site with 10,000 pages of one file each, in folders of 100.
fn site() -> Site {
    let files = (0..10_000).map(|number| Input {
        path: SitePath::new(&format!("docs/section-{:03}/page-{number}.html", number / 100)).expect("a path"),
        digest: Digest::of(format!("{number}").as_bytes()),
        size: 10_000,
        media_type: "text/html".into(),
        encodings: Encodings {
            br: Some(Recipe::made(11)),
            gz: Some(Recipe::made(9)),
        },
    });
    Site::new(files, &Classes::new("_assets"))
}

fn manifest(criterion: &mut Criterion) {
    let site = site();
    let texts: Vec<String> = site.folders.values().map(|folder| folder.tree.render()).collect();
    let mut group = criterion.benchmark_group("manifest of 10,000 files");
    group.throughput(size(&texts));
    group.bench_function("made", |bencher| bencher.iter(self::site));
    group.bench_function("rendered", |bencher| {
        bencher.iter(|| {
            for folder in site.folders.values() {
                black_box(folder.tree.render());
            }
        });
    });
    group.bench_function("parsed", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(Tree::parse(black_box(text)).expect("what was rendered"));
            }
        });
    });
    group.finish();
}

fn languages(criterion: &mut Criterion) {
    let pages = texts(".html");
    let mut group = criterion.benchmark_group("html");
    group.throughput(size(&pages));
    group.bench_function("walked", |bencher| {
        bencher.iter(|| {
            for page in &pages {
                black_box(html::walk(black_box(page), 0, &mut Looking));
            }
        });
    });
    group.finish();
    let payloads: Vec<String> = texts("_full.txt");
    let mut group = criterion.benchmark_group("flight");
    group.throughput(size(&payloads));
    group.bench_function("split into rows", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(flight::rows(black_box(payload)).is_ok());
            }
        });
    });
    group.bench_function("rewritten", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(flight::rewrite(black_box(payload), 0, &mut Looking).is_ok());
            }
        });
    });
    group.finish();
}

fn checks(criterion: &mut Criterion) {
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/export");
    let exclude = GlobSet::empty();
    let options = ScanOptions {
        exclude: &exclude,
        cache: None,
        now: SystemTime::now(),
    };
    let found = scan(&export, &options, &Silent).expect("an export that can be scanned");
    let forbidden = Forbidden::new(&["10.0.0.0/8", "internal.example.com"]).expect("patterns");
    let levels = syntax_publish::config::Levels::default();
    let options = survey::Options {
        origin: Some("https://bench.example"),
        base_path: None,
        search: Some(&Searches::new(&levels, &forbidden)),
        cache: None,
        elsewhere: None,
        redirects: None,
        generator: None,
        for_policy: false,
    };
    let survey =
        survey::survey(&found.assets, &Export::new(&export), &options, &Silent).expect("an export that can be read");
    let csp = syntax_publish::config::Csp::default();
    criterion.bench_function("check of fixtures/export, surveyed", |bencher| {
        bencher.iter(|| {
            let material = Material {
                assets: &found.assets,
                survey: &survey,
                allowed: &exclude,
                copies: "_assets",
                host: None,
                is_named: false,
                csp: &csp,
            };
            check::check(material, &levels)
        });
    });
}

criterion_group!(pure, digest, manifest, languages, checks);
criterion_main!(pure);
