use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::event::Silent;
use crate::scan::{ScanOptions, scan};
use crate::source::Export;
use crate::survey;

/// How an export is finished.
struct How {
    stable_build_id: bool,
    include: Option<GlobSet>,
    exclude: GlobSet,
    prefix: &'static str,
}

impl Default for How {
    fn default() -> Self {
        Self {
            stable_build_id: true,
            include: None,
            exclude: GlobSet::empty(),
            prefix: "_assets",
        }
    }
}

fn globs(globs: &[&str]) -> GlobSet {
    let mut set = GlobSet::builder();
    for glob in globs {
        set.add(globset::Glob::new(glob).unwrap());
    }
    set.build().unwrap()
}

#[derive(Default)]
struct Notes(Mutex<Vec<Note>>);

impl Observer for Notes {
    fn notice(&self, event: Event) {
        if let Event::Noted(note) = event {
            self.0.lock().unwrap().push(note);
        }
    }
}

/// The texts of the site that an export becomes. Each is read through the site's source, which compares digests.
fn finish(files: &[(&str, &str)], how: &How) -> BTreeMap<String, String> {
    finish_noted(files, how, &Silent)
}

fn finish_noted(files: &[(&str, &str)], how: &How, observer: &dyn Observer) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let options = ScanOptions {
        exclude: &GlobSet::empty(),
        cache: None,
        now: std::time::SystemTime::now(),
    };
    let scan = scan(folder.path(), &options, &Silent).unwrap();
    let export: Arc<dyn Source> = Arc::new(Export::new(folder.path()));
    let looked = survey::Options {
        origin: Some("https://docs.example.com"),
        base_path: None,
        search: None,
        cache: None,
    };
    let survey = survey::survey(&scan.assets, &*export, &looked, &Silent).unwrap();
    let options = Options {
        stable_build_id: how.stable_build_id,
        include: how.include.as_ref(),
        exclude: &how.exclude,
        prefix: how.prefix,
        origin: looked.origin,
    };
    let site = fingerprint(&scan.assets, &survey, export, &options, observer).unwrap();
    assert!(site.assets.is_sorted_by(|a, b| a.path < b.path));
    let read = |asset: &Asset| {
        let bytes = site.source.read(&asset.path, asset.digest, asset.size).unwrap();
        let mut pieces = Vec::new();
        let mut take = |piece: Vec<u8>| {
            pieces.extend(piece);
            true
        };
        site.source
            .read_pieces(&asset.path, asset.digest, asset.size, 3, &mut take)
            .unwrap();
        assert_eq!(pieces, bytes);
        (asset.path.to_string(), String::from_utf8(bytes).unwrap())
    };
    site.assets.iter().map(read).collect()
}

fn copy_of(site: &BTreeMap<String, String>, start: &str) -> String {
    let found: Vec<_> = site.keys().filter(|path| path.starts_with(start)).collect();
    assert_eq!(found.len(), 1, "{start}: {:?}", site.keys());
    found[0].clone()
}

/// A page of the App Router: some markup, and the payload that draws it.
fn page(id: &str, markup: &str, elements: &str) -> String {
    let payload = payload(id, elements);
    let literal = serde_json::to_string(&payload).unwrap().replace('&', "\\u0026");
    let literal = literal.replace('<', "\\u003c").replace('>', "\\u003e");
    format!(
        "<!DOCTYPE html><html><head><script src=\"/_next/static/chunks/main.js\" async=\"\"></script></head><body>{markup}\
         <script>(self.__next_f=self.__next_f||[]).push([0])</script><script>self.__next_f.push([1,{literal}])</script>\
         </body></html>"
    )
}

fn payload(id: &str, elements: &str) -> String {
    format!("1:\"$Sreact.fragment\"\n0:{{\"P\":null,\"b\":\"{id}\",\"f\":[{elements}]}}\n")
}

const IMAGE: &str = r#"<img src="/images/a.png"/>"#;
const IMAGE_ELEMENT: &str = r#"["$","img",null,{"src":"/images/a.png"}]"#;

/// A small site of the App Router with one page that shows a picture.
fn site_with<'a>(page: &'a str, payload: &'a str, id: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(String, &'a str)> {
    let mut files = vec![
        ("index.html".to_owned(), page),
        ("index.txt".to_owned(), payload),
        ("__next._full.txt".to_owned(), payload),
        ("_next/static/chunks/main.js".to_owned(), "main()"),
        (
            format!("_next/static/{id}/_buildManifest.js"),
            "self.__BUILD_MANIFEST={}",
        ),
        ("images/a.png".to_owned(), "picture"),
    ];
    files.extend(more.iter().map(|(path, text)| ((*path).to_owned(), *text)));
    files
}

fn finished(id: &str, markup: &str, elements: &str, more: &[(&str, &str)], how: &How) -> BTreeMap<String, String> {
    let (page, payload) = (page(id, markup, elements), payload(id, elements));
    let files = site_with(&page, &payload, id, more);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    finish(&files, how)
}

#[test]
fn builds_that_differ_in_their_id_alone_are_one_site() {
    let one = finished("aBc-1", IMAGE, IMAGE_ELEMENT, &[], &How::default());
    let two = finished("another_id", IMAGE, IMAGE_ELEMENT, &[], &How::default());
    assert_eq!(one, two);
    assert!(!one.values().any(|text| text.contains("aBc-1")) && !one.keys().any(|path| path.contains("aBc-1")));
}

#[test]
fn id_in_the_comment_of_a_page_is_replaced_as_next_spells_it() {
    let site = |id: &str| {
        let comment = id.replace('-', "_");
        let page =
            page(id, IMAGE, IMAGE_ELEMENT).replace("<!DOCTYPE html>", &format!("<!DOCTYPE html><!--{comment}-->"));
        let payload = payload(id, IMAGE_ELEMENT);
        let files = site_with(&page, &payload, id, &[]);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        finish(&files, &How::default())
    };
    let one = site("aB-c-1");
    assert!(!one["index.html"].contains("aB_c"), "{}", one["index.html"]);
    assert_eq!(one, site("-other_id"));
}

#[test]
fn id_follows_the_code_of_the_client() {
    let id = |code: &str| {
        let site = finished(
            "aBc",
            IMAGE,
            IMAGE_ELEMENT,
            &[("_next/static/chunks/b.js", code)],
            &How::default(),
        );
        let folder = site
            .keys()
            .find(|path| path.ends_with("_buildManifest.js"))
            .unwrap()
            .clone();
        let id = folder.split('/').nth(2).unwrap().to_owned();
        assert!(site["index.txt"].contains(&format!("\"b\":\"{id}\"")) && site["index.html"].contains(&id));
        id
    };
    assert_eq!(id("one"), id("one"));
    assert_ne!(id("one"), id("two"));
}

#[test]
fn text_that_names_the_id_keeps_it() {
    let markup = "<code>aBc</code><img src=\"/aBc.png\"/>";
    let elements = r#"["$","code",null,{"children":"aBc","b":"aBc"}]"#;
    let more = [("aBc.png", "x"), ("notes.txt", "aBc"), ("x.js", "'aBc'")];
    let site = finished("aBc", markup, elements, &more, &How::default());
    assert!(site["index.html"].contains(markup));
    assert!(site["index.txt"].contains(elements));
    assert_eq!((site["notes.txt"].as_str(), site["x.js"].as_str()), ("aBc", "'aBc'"));
}

#[test]
fn id_stays_everywhere_where_one_file_can_not_be_read() {
    let (page, payload) = (page("aBc", IMAGE, IMAGE_ELEMENT), payload("aBc", IMAGE_ELEMENT));
    let broken = page.replace("push([1,", "push([3,");
    let more = [("other.html", broken.as_str())];
    let files = site_with(&page, &payload, "aBc", &more);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let notes = Notes::default();
    let site = finish_noted(&files, &How::default(), &notes);
    assert!(site["index.txt"].contains("\"b\":\"aBc\""));
    assert!(site.contains_key("_next/static/aBc/_buildManifest.js"));
    assert_eq!(site["other.html"], broken);
    let notes = notes.0.into_inner().unwrap();
    assert!(
        matches!(&notes[..], [Note::BuildIdKept { path, reason }] if path.as_str() == "other.html" && reason.contains("binary")),
        "{notes:?}"
    );
    // A file that does not name the id is in nobody's way.
    let harmless = broken.replace("aBc", "");
    let more = [("other.html", harmless.as_str())];
    let files = site_with(&page, &payload, "aBc", &more);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    assert!(!finish(&files, &How::default())["index.txt"].contains("aBc"));
}

#[test]
fn id_stays_where_that_is_wanted_or_where_there_are_two() {
    let how = How {
        stable_build_id: false,
        ..How::default()
    };
    assert!(finished("aBc", IMAGE, IMAGE_ELEMENT, &[], &how)["index.txt"].contains("aBc"));
    let more = [("_next/static/older/_buildManifest.js", "{}")];
    assert!(finished("aBc", IMAGE, IMAGE_ELEMENT, &more, &How::default())["index.txt"].contains("aBc"));
}

#[test]
fn what_a_sheet_shares_with_a_page_that_keeps_its_url_has_one_name() {
    // The picture stands in the markup alone: code drew it, and would draw it again under its old name.
    let markup = "<link rel=\"stylesheet\" href=\"/s.css\"/><img src=\"/images/a.png\"/>";
    let elements = r#"["$","link",null,{"rel":"stylesheet","href":"/s.css"}]"#;
    let more = [
        (
            "s.css",
            "p{background:url(images/a.png)}q{background:url(images/b.png)}",
        ),
        ("images/b.png", "another"),
    ];
    let site = finished("aBc", markup, elements, &more, &How::default());
    assert!(
        !site.keys().any(|path| path.starts_with("_assets/images/a.")),
        "{:?}",
        site.keys()
    );
    let (sheet, picture) = (copy_of(&site, "_assets/s."), copy_of(&site, "_assets/images/b."));
    assert_eq!(
        site[&sheet],
        format!("p{{background:url(/images/a.png)}}q{{background:url(/{picture})}}")
    );
}

#[test]
fn picture_gets_a_copy_that_page_and_payload_name() {
    let site = finished("aBc", IMAGE, IMAGE_ELEMENT, &[], &How::default());
    let copy = copy_of(&site, "_assets/");
    assert_eq!(
        copy,
        format!("_assets/images/a.{}.png", &Digest::of(b"picture").to_string()[..16])
    );
    assert_eq!(
        (site[&copy].as_str(), site["images/a.png"].as_str()),
        ("picture", "picture")
    );
    for file in ["index.html", "index.txt", "__next._full.txt"] {
        assert!(
            site[file].contains(&copy) && !site[file].contains("\"/images/a.png"),
            "{file}: {}",
            site[file]
        );
    }
}

#[test]
fn url_that_comes_out_of_code_is_left_alone() {
    let site = finished("aBc", IMAGE, r#""no element""#, &[], &How::default());
    assert!(site["index.html"].contains(IMAGE) && !site.keys().any(|path| path.starts_with("_assets")));
    // What the client may draw later is drawn with the old name too.
    let site = finished("aBc", "", IMAGE_ELEMENT, &[], &How::default());
    assert!(site["index.txt"].contains(IMAGE_ELEMENT) && !site.keys().any(|path| path.starts_with("_assets")));
}

#[test]
fn what_readers_follow_or_ask_for_by_name_keeps_its_name() {
    let markup = r#"<a href="/images/a.png">x</a><link rel="icon" href="/favicon.ico"/><link rel="manifest" href="/m.webmanifest"/><img src="/images/a.png?v=1"/>"#;
    let elements = r#"["$","a",null,{"href":"/images/a.png"}],["$","link",null,{"rel":"icon","href":"/favicon.ico"}],["$","link",null,{"rel":"manifest","href":"/m.webmanifest"}],["$","img",null,{"src":"/images/a.png?v=1"}]"#;
    let site = finished(
        "aBc",
        markup,
        elements,
        &[("favicon.ico", "x"), ("m.webmanifest", "{}")],
        &How::default(),
    );
    assert!(site["index.html"].contains(markup) && site["index.txt"].contains(elements));
    assert!(!site.keys().any(|path| path.starts_with("_assets")));
}

const SHEET: &str = r#"<link rel="stylesheet" href="/_next/static/chunks/a.css"/>"#;
const SHEET_ELEMENT: &str = r#"["$","link","0",{"rel":"stylesheet","href":"/_next/static/chunks/a.css"}]"#;

#[test]
fn style_sheet_that_names_a_copy_moves_with_all_it_names() {
    let css = "a{b:url(/images/a.png);c:url(../media/f.woff2);d:url(data:x);e:url(#x);f:url(\"../media/f.woff2?y#z\")}";
    let more = [
        ("_next/static/chunks/a.css", css),
        ("_next/static/media/f.woff2", "font"),
    ];
    let site = finished("aBc", SHEET, SHEET_ELEMENT, &more, &How::default());
    let (sheet, picture) = (
        copy_of(&site, "_assets/_next/static/chunks/a."),
        copy_of(&site, "_assets/images/a."),
    );
    assert_eq!(
        site[&sheet],
        format!(
            "a{{b:url(/{picture});c:url(/_next/static/media/f.woff2);d:url(data:x);e:url(#x);\
             f:url(\"/_next/static/media/f.woff2?y#z\")}}"
        )
    );
    assert_eq!(site["_next/static/chunks/a.css"], css);
    assert!(site["index.html"].contains(&sheet) && site["index.txt"].contains(&sheet));
    assert!(sheet.contains(&Digest::of(site[&sheet].as_bytes()).to_string()[..16]));
}

#[test]
fn style_sheet_that_names_no_copy_stays() {
    let css = "a{c:url(../media/f.woff2)}";
    let more = [
        ("_next/static/chunks/a.css", css),
        ("_next/static/media/f.woff2", "font"),
    ];
    let site = finished("aBc", SHEET, SHEET_ELEMENT, &more, &How::default());
    assert!(!site.keys().any(|path| path.starts_with("_assets")));
}

#[test]
fn imported_sheets_are_named_first_and_circles_end() {
    let markup = r#"<link rel="stylesheet" href="/css/a.css"/>"#;
    let elements = r#"["$","link","0",{"rel":"stylesheet","href":"/css/a.css"}]"#;
    let more = [
        ("css/a.css", "@import \"b.css\";a{}"),
        ("css/b.css", "@import url(a.css);b{c:url(../images/a.png)}"),
    ];
    let site = finished("aBc", markup, elements, &more, &How::default());
    let (a, b) = (copy_of(&site, "_assets/css/a."), copy_of(&site, "_assets/css/b."));
    let picture = copy_of(&site, "_assets/images/a.");
    assert_eq!(site[&a], format!("@import \"/{b}\";a{{}}"));
    assert_eq!(site[&b], format!("@import url(/css/a.css);b{{c:url(/{picture})}}"));
    assert!(site["index.html"].contains(&a));
}

#[test]
fn drawing_that_names_others_by_its_place_stays_there() {
    let markup = r#"<img src="/d/a.svg"/><img src="/d/b.svg"/>"#;
    let elements = r#"["$","img",null,{"src":"/d/a.svg"}],["$","img",null,{"src":"/d/b.svg"}]"#;
    let more = [
        ("d/a.svg", "<svg><image href=\"x.png\"/></svg>"),
        (
            "d/b.svg",
            "<svg><use href=\"#a\"/><rect fill=\"url(#b)\" style=\"fill:url(#b)\"/></svg>",
        ),
        ("d/x.png", "x"),
    ];
    let site = finished("aBc", markup, elements, &more, &How::default());
    let copies: Vec<_> = site.keys().filter(|path| path.starts_with("_assets")).collect();
    assert!(copies.len() == 1 && copies[0].starts_with("_assets/d/b."), "{copies:?}");
}

#[test]
fn site_manifest_says_what_gets_a_fingerprint_and_where() {
    let with = |include: Option<&[&str]>, exclude: &[&str]| {
        let how = How {
            include: include.map(globs),
            exclude: globs(exclude),
            prefix: "files.v1",
            ..How::default()
        };
        let site = finished("aBc", IMAGE, IMAGE_ELEMENT, &[], &how);
        site.into_keys().filter(|path| path.starts_with("files.v1/")).count()
    };
    assert_eq!(with(None, &[]), 1);
    assert_eq!(with(Some(&[]), &[]), 0);
    assert_eq!(with(Some(&["images/**"]), &[]), 1);
    assert_eq!(with(Some(&["photos/**"]), &[]), 0);
    assert_eq!(with(None, &["images/*.png"]), 0);
}

#[test]
fn pages_router_has_its_id_in_data_and_urls() {
    let site = |id: &str| {
        let page = format!(
            "<link rel=\"stylesheet\" href=\"/css/a.css\" data-n-g=\"\"/><script src=\"/_next/static/{id}/_buildManifest.js\" defer=\"\"></script>\
             <img src=\"/images/a.png\"/><img src=\"/images/code.png\"/><code>{id}</code><script id=\"__NEXT_DATA__\" type=\"application/json\">\
             {{\"props\":{{\"pageProps\":{{\"src\":\"/images/a.png\",\"text\":\"/images/a.png\"}}}},\"buildId\":\"{id}\"}}</script>"
        );
        let data = "{\"pageProps\":{\"src\":\"/images/a.png\",\"text\":\"/images/a.png\"},\"__N_SSG\":true}";
        let data_path = format!("_next/data/{id}/usage.json");
        let manifest = format!("_next/static/{id}/_buildManifest.js");
        let files = [
            ("usage.html", page.as_str()),
            (data_path.as_str(), data),
            (manifest.as_str(), "{}"),
            ("css/a.css", "a{}"),
            ("images/a.png", "a"),
            ("images/code.png", "b"),
        ];
        finish(&files, &How::default())
    };
    let one = site("aBc");
    let new = one.keys().find(|path| path.ends_with("/usage.json")).unwrap();
    let id = new.split('/').nth(2).unwrap();
    let picture = copy_of(&one, "_assets/images/a.");
    assert_eq!(
        one[new],
        format!("{{\"pageProps\":{{\"src\":\"/{picture}\",\"text\":\"/images/a.png\"}},\"__N_SSG\":true}}")
    );
    let page = &one["usage.html"];
    assert!(
        page.contains(&format!("\"buildId\":\"{id}\""))
            && page.contains(&format!("/_next/static/{id}/_buildManifest.js"))
    );
    assert!(
        page.contains(&format!(
            "<img src=\"/{picture}\"/><img src=\"/images/code.png\"/><code>aBc</code>"
        )),
        "{page}"
    );
    assert!(page.contains(&copy_of(&one, "_assets/css/a.")), "{page}");
    let mut two = site("other");
    let mut one = one;
    for site in [&mut one, &mut two] {
        let page = site.get_mut("usage.html").unwrap();
        *page = page.replace("<code>aBc<", "<code><").replace("<code>other<", "<code><");
    }
    assert_eq!(one, two);
}

#[test]
fn page_without_a_client_is_rewritten_by_its_markup() {
    let site = finish(&[("a.html", "<img src=i/b.png>"), ("i/b.png", "x")], &How::default());
    assert_eq!(site["a.html"], format!("<img src=/{}>", copy_of(&site, "_assets/i/b.")));
}
