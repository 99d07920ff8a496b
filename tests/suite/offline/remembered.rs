//! The cache of facts. It must return what reading the files would return, and save reading them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use proptest::prelude::*;
use syntax_publish::config::{self, SiteConfig};
use syntax_publish::config::{Forbidden, Levels};
use syntax_publish::model::digest::Hasher;
use syntax_publish::model::event::Silent;
use syntax_publish::site::check::Searches;
use syntax_publish::site::pipeline::LocalSite;
use syntax_publish::site::scan::{ScanOptions, scan};
use syntax_publish::site::source::Export;
use syntax_publish::site::survey::{self, Cache, Facts};

use crate::support::export::{copy, files_below, rebuild};

/// Build IDs, as long as Next.js makes them.
const IDS: [&str; 3] = [
    "aB3-_dE6fG7hI8jK9lM0n",
    "zY9xW8vU7tS6rQ5pO4nM3",
    "id-of-a-third-build-00",
];

/// A site in memory.
#[derive(Debug, Clone)]
struct Draft {
    id: usize,
    /// Pages by number: the revision of the text, and whether the text contains the build ID.
    pages: BTreeMap<u8, (u8, bool)>,
    picture: Option<u8>,
    style: u8,
}

impl Draft {
    fn files(&self) -> BTreeMap<String, String> {
        let id = IDS[self.id];
        let mut files = BTreeMap::new();
        for (number, (revision, names_id)) in &self.pages {
            let name = if *number == 0 {
                "index".to_owned()
            } else {
                format!("p{number}")
            };
            let said = if *names_id { id } else { "no id" };
            let next = (number + 1) % 5;
            let payload = format!(
                "1:\"$Sreact.fragment\"\n0:{{\"P\":null,\"b\":\"{id}\",\"c\":[\"\",\"{name}\"],\"f\":[[\"$\",\"main\",null,{{\"children\":\
                 [[\"$\",\"img\",null,{{\"src\":\"/a.png\"}}],[\"$\",\"p\",null,{{\"children\":\"text {revision} {said}\"}}]]}}]]}}\n"
            );
            let escaped = payload.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let html = format!(
                "<!DOCTYPE html><!--{}--><html><head><link rel=\"stylesheet\" href=\"/s.css\"/><title>{said}</title>\
                 <link rel=\"canonical\" href=\"/p{next}\"/><link rel=\"alternate\" hreflang=\"de\" href=\"/p{next}\"/>\
                 <meta property=\"og:url\" content=\"https://example.net/{said}\"/></head><body>\
                 <h1 id=\"here-{revision}\">x</h1><a href=\"/p{next}#here-1\">n</a><a href=\"/P{next}\">n</a>\
                 <img src=\"/a.png\" width=\"{revision}\" height=\"9\"/><p>text {revision} {said}</p>\
                 <script>(self.__next_f=self.__next_f||[]).push([0])</script>\
                 <script>self.__next_f.push([1,\"{escaped}\"])</script></body></html>",
                id.replace('-', "_").chars().take(24).collect::<String>()
            );
            files.insert(format!("{name}.html"), html);
            files.insert(format!("{name}.txt"), payload.clone());
            files.insert(format!("{name}/__next._full.txt"), payload);
        }
        let entries = (0..5).map(|page| format!("<url><loc>https://docs.example.com/p{page}</loc></url>"));
        let entries: String = entries.collect();
        let named = format!("<url><loc>https://example.net/{id}</loc></url>");
        files.insert("sitemap.xml".to_owned(), format!("<urlset>{entries}{named}</urlset>"));
        files.insert("404.html".to_owned(), "<!DOCTYPE html><p>nothing".to_owned());
        files.insert(format!("_next/static/{id}/_buildManifest.js"), "self.x=1".to_owned());
        files.insert("_next/static/chunks/a.js".to_owned(), "1".to_owned());
        let style = format!("body{{background:url(a.png);margin:{}px}}", self.style);
        files.insert("s.css".to_owned(), style);
        if let Some(picture) = self.picture {
            files.insert("a.png".to_owned(), format!("picture {picture}"));
        }
        files
    }

    /// Writes what differs, and removes what is gone.
    fn write(&self, folder: &Path) {
        let files = self.files();
        for (path, text) in &files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if fs::read_to_string(&path).ok().as_ref() != Some(text) {
                fs::write(&path, text).unwrap();
            }
        }
        for path in files_below(folder).into_keys() {
            if !files.contains_key(&path) {
                fs::remove_file(folder.join(path)).unwrap();
            }
        }
    }
}

/// One change to a draft.
#[derive(Debug, Clone)]
enum Change {
    Rebuild(usize),
    Edit(u8, u8, bool),
    Remove(u8),
    Picture(Option<u8>),
    Style(u8),
    Nothing,
}

impl Change {
    fn apply(&self, export: &mut Draft) {
        match self {
            Self::Rebuild(id) => export.id = *id,
            Self::Edit(page, revision, names_id) => {
                export.pages.insert(*page, (*revision, *names_id));
            }
            Self::Remove(page) => {
                if *page != 0 {
                    export.pages.remove(page);
                }
            }
            Self::Picture(picture) => export.picture = *picture,
            Self::Style(style) => export.style = *style,
            Self::Nothing => {}
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..IDS.len()).prop_map(Change::Rebuild),
        (0..5u8, 0..3u8, any::<bool>()).prop_map(|(page, revision, id)| Change::Edit(page, revision, id)),
        (0..5u8).prop_map(Change::Remove),
        prop::option::of(0..2u8).prop_map(Change::Picture),
        (0..2u8).prop_map(Change::Style),
        Just(Change::Nothing),
    ]
}

struct Looked {
    facts: Vec<Arc<Facts>>,
    files: u64,
    remembered: u64,
}

/// The survey of an export, with the cache in a folder or without a cache.
fn look(export: &Path, cache: Option<&Path>, forbid: &[&str]) -> Looked {
    let scanned = ScanOptions {
        exclude: &GlobSet::empty(),
        cache: None,
        now: std::time::SystemTime::now(),
    };
    let scan = scan(export, &scanned, &Silent).unwrap();
    let mut cache = cache.map(|folder| Cache::load(folder, export));
    let forbidden = Forbidden::new(forbid).unwrap();
    let options = survey::Options {
        origin: Some("https://docs.example.com"),
        base_path: None,
        search: Some(&Searches::new(&Levels::default(), &forbidden)),
        cache: cache.as_ref(),
        elsewhere: None,
        redirects: None,
        generator: None,
        for_policy: true,
    };
    let survey = survey::survey(&scan.assets, &Export::new(export), &options, &Silent).unwrap();
    let looked = Looked {
        facts: survey.facts.clone(),
        files: scan.assets.len() as u64,
        remembered: survey.remembered,
    };
    if let Some(cache) = &mut cache
        && cache.learn(&scan.assets, survey, &[])
    {
        cache.write().unwrap();
    }
    looked
}

/// Everything of the finished site that can differ.
fn finished(config: &SiteConfig, export: &Path, cache: Option<&Path>) -> String {
    let prepared = LocalSite::new(config, export, cache, &Silent).prepare().unwrap();
    format!("{} {:?}", prepared.site.root, prepared.problems)
}

fn lenient() -> SiteConfig {
    config::parse("[check]\nlinks = \"warn\"\nnext = \"warn\"\nbuilds = \"warn\"")
        .unwrap()
        .config
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_gives_what_a_survey_gives_after_any_change_of_an_export(
        changes in prop::collection::vec(any_change(), 1..10),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (export, cache) = (folder.path().join("out"), folder.path().join("cache"));
        let whole = folder.path().join("whole-cache");
        let config = lenient();
        let pages = (0..4).map(|page| (page, (1, false))).collect();
        let mut site = Draft { id: 0, pages, picture: Some(0), style: 0 };
        for change in changes {
            change.apply(&mut site);
            site.write(&export);
            let looked = look(&export, None, &["text 2"]);
            prop_assert_eq!(look(&export, Some(&cache), &["text 2"]).facts, looked.facts, "{:?}", change);
            let finished_anew = finished(&config, &export, None);
            prop_assert_eq!(finished(&config, &export, Some(&whole)), finished_anew, "{:?}", change);
        }
    }
}

fn fixture(folder: &Path, name: &str) -> PathBuf {
    let export = folder.join("out");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name),
        &export,
    );
    export
}

#[test]
fn a_rebuild_or_an_edit_costs_no_look_at_what_did_not_change() {
    for (name, id) in [
        ("export", true),
        ("pages/export", true),
        ("based/export", true),
        ("nextra/export", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (export, cache) = (fixture(folder.path(), name), folder.path().join("cache"));
        let first = look(&export, Some(&cache), &[]);
        assert_eq!(first.remembered, 0, "{name}");
        let again = look(&export, Some(&cache), &[]);
        assert_eq!(again.facts, first.facts, "{name}");
        let texts = again.remembered;
        assert!(texts > 20 && texts <= again.files, "{name}: {texts} of {}", again.files);

        rebuild(&export, IDS[1]);
        let rebuilt = look(&export, Some(&cache), &[]);
        assert_eq!(rebuilt.facts, look(&export, None, &[]).facts, "{name}");
        // If the ID changes the path of a file, only the build manifest that contains that path is read again.
        assert!(
            id && rebuilt.remembered >= texts - 2,
            "{name}: {} of {texts}",
            rebuilt.remembered
        );

        let page = export.join("404.html");
        fs::write(
            &page,
            fs::read_to_string(&page)
                .unwrap()
                .replace("</body>", "<p>new</p></body>"),
        )
        .unwrap();
        let edited = look(&export, Some(&cache), &[]);
        assert_eq!(edited.facts, look(&export, None, &[]).facts, "{name}");
        assert_eq!(edited.remembered, texts - 1, "{name}");
    }
}

#[test]
fn a_page_is_looked_at_again_when_what_it_links_to_comes_or_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (export, cache) = (folder.path().join("out"), folder.path().join("cache"));
    fs::create_dir(&export).unwrap();
    let put = |path: &str, text: &str| fs::write(export.join(path), text).unwrap();
    put("index.html", "<!DOCTYPE html><a href=\"/there\">x</a>");
    put("other.html", "<!DOCTYPE html><p>nothing to follow");
    let faulty = |looked: &Looked| looked.facts.iter().map(|facts| facts.faulty.len()).sum::<usize>();
    assert_eq!(faulty(&look(&export, Some(&cache), &[])), 1);
    put("there.html", "<!DOCTYPE html><p>here");
    let came = look(&export, Some(&cache), &[]);
    assert_eq!((faulty(&came), came.remembered), (0, 1));
    fs::rename(export.join("there.html"), export.join("There.html")).unwrap();
    let renamed = look(&export, Some(&cache), &[]);
    assert_eq!((faulty(&renamed), renamed.remembered), (1, 1));
}

#[test]
fn facts_of_other_settings_or_of_a_damaged_cache_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (export, cache) = (fixture(folder.path(), "pages/export"), folder.path().join("cache"));
    look(&export, Some(&cache), &[]);
    assert!(look(&export, Some(&cache), &[]).remembered > 0);
    let searched = look(&export, Some(&cache), &["the"]);
    assert_eq!(searched.remembered, 0, "another search");
    assert!(searched.facts.iter().any(|facts| !facts.hits.is_empty()));

    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert_eq!(look(&export, Some(&cache), &["the"]).remembered, 0, "byte {at}");
    }
}

#[test]
fn what_is_noted_of_the_fixtures_is_what_this_version_of_the_cache_notes() {
    let mut noted = Hasher::new();
    for name in ["export", "pages/export", "based/export", "nextra/export"] {
        let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        noted.update(format!("{:?}", look(&export, None, &[]).facts).as_bytes());
        noted.update(finished(&lenient(), &export, None).as_bytes());
    }
    // If this hash changes but the fixtures did not, facts cached by older versions are wrong: increase `VERSION` of
    // the cache.
    insta::assert_snapshot!(noted.finish().short(16), @"b524e7d010df3595");
}
