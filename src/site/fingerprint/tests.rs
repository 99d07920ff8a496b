use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::model::encoding::Coding;
use crate::model::event::Silent;
use crate::site::scan::{ScanOptions, scan};
use crate::site::source::Export;
use crate::site::survey;

/// The options that an export is finished with.
struct How {
    stable_build_id: bool,
    include: Option<GlobSet>,
    exclude: GlobSet,
    prefix: &'static str,
    csp: Option<Csp>,
}

impl Default for How {
    fn default() -> Self {
        Self {
            stable_build_id: true,
            include: None,
            exclude: GlobSet::empty(),
            prefix: "_assets",
            csp: None,
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

/// Returns the texts of the site that an export becomes. Each is read through the site's source, which compares
/// digests.
fn finish(files: &[(&str, &str)], how: &How) -> BTreeMap<String, String> {
    finish_noted(files, how, &Silent)
}

/// Returns the site that an export becomes, and the folder of the export, which its source reads.
fn site_of<T: AsRef<[u8]>>(files: &[(&str, T)], how: &How, observer: &dyn Observer) -> (Site, tempfile::TempDir) {
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
        elsewhere: None,
        redirects: None,
        generator: None,
        for_policy: how.csp.is_some(),
    };
    let survey = survey::survey(&scan.assets, &*export, &looked, &Silent).unwrap();
    let options = Options {
        stable_build_id: how.stable_build_id,
        include: how.include.as_ref(),
        exclude: &how.exclude,
        classes: &Classes::new(how.prefix),
        origin: looked.origin,
        csp: how.csp.as_ref(),
    };
    let site = fingerprint(&scan.assets, &survey, export, &options, observer).unwrap();
    (site, folder)
}

fn finish_noted(files: &[(&str, &str)], how: &How, observer: &dyn Observer) -> BTreeMap<String, String> {
    let (site, _folder) = site_of(files, how, observer);
    assert!(site.assets.is_sorted_by(|a, b| a.path < b.path));
    let read = |asset: &Asset| {
        let bytes = site.source.read(&asset.path, asset.digest, asset.size).unwrap();
        let mut pieces = Vec::new();
        let mut take = |piece: Vec<u8>| {
            pieces.extend(piece);
            true
        };
        site.source
            .read_pieces(&asset.path, asset.digest, asset.size, &mut take)
            .unwrap();
        assert_eq!(pieces, bytes);
        (asset.path.to_string(), String::from_utf8(bytes).unwrap())
    };
    site.assets.iter().map(read).collect()
}

/// Returns the fingerprint of some bytes.
fn hash(bytes: &str) -> String {
    Digest::of(bytes.as_bytes()).short(16)
}

fn copy_of(site: &BTreeMap<String, String>, start: &str) -> String {
    let found: Vec<_> = site.keys().filter(|path| path.starts_with(start)).collect();
    assert_eq!(found.len(), 1, "{start}: {:?}", site.keys());
    found[0].clone()
}

/// Returns a page of the App Router: some markup, and the payload that renders it.
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

/// Two IDs in the format of Next.js's random ones.
const ID: &str = "aBc-1eF3gH4iJ5kL6_mN7";
const OTHER: &str = "Zy9xW8vU7tS6rQ5pO4nM3";

const IMAGE: &str = r#"<img src="/images/a.png"/>"#;
const IMAGE_ELEMENT: &str = r#"["$","img",null,{"src":"/images/a.png"}]"#;

/// Returns a small site of the App Router with one page that shows a picture.
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

/// Returns the files of a site with this page and `more` files.
fn finished_page(id: &str, page: &str, more: &[(&str, &str)], observer: &dyn Observer) -> BTreeMap<String, String> {
    let payload = payload(id, IMAGE_ELEMENT);
    let files = site_with(page, &payload, id, more);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    finish_noted(&files, &How::default(), observer)
}

/// Returns the build ID of the site.
fn id_of(site: &BTreeMap<String, String>) -> String {
    let folder = site.keys().find(|path| path.ends_with("_buildManifest.js")).unwrap();
    folder.split('/').nth(2).unwrap().to_owned()
}

fn reasons(notes: Notes) -> Vec<(String, String)> {
    let notes = notes.0.into_inner().unwrap().into_iter();
    notes
        .filter_map(|note| match note {
            Note::BuildIdKept { path, reason } => Some((path.to_string(), reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn builds_that_differ_in_their_id_alone_are_one_site() {
    let site = |id: &str| {
        let comment = id.replace('-', "_");
        let page =
            page(id, IMAGE, IMAGE_ELEMENT).replace("<!DOCTYPE html>", &format!("<!DOCTYPE html><!--{comment}-->"));
        // Formats that this tool does not parse, and a name that contains the ID.
        let worker = format!("precache([{{url:\"/_next/static/{id}/_buildManifest.js\"}}])");
        let index = format!("\u{1}{id}\u{2}{id}");
        let state = format!("state-{id}.json");
        let more = [
            ("sw.js", worker.as_str()),
            ("search.bin", index.as_str()),
            (&*state, "{}"),
        ];
        finished_page(id, &page, &more, &Silent)
    };
    let one = site(ID);
    assert_eq!(one, site(OTHER));
    let id = id_of(&one);
    assert_eq!(id.len(), ID.len());
    let text = format!("{one:?}");
    assert!(!text.contains(ID) && !text.contains(&ID.replace('-', "_")), "{text}");
    assert_eq!(one["search.bin"], format!("\u{1}{id}\u{2}{id}"));
    assert!(
        one["index.html"].starts_with(&format!("<!DOCTYPE html><!--{id}-->")),
        "{}",
        one["index.html"]
    );
    assert!(one.contains_key(&format!("state-{id}.json")));
}

#[test]
fn id_is_replaced_in_payloads_of_every_version() {
    for old in [
        "0:{\"buildId\":\"ID\",\"rsc\":[]}\n",
        "2:I[1]\n0:[\"ID\",[[\"\"]]]\n",
        "#something new: ID",
    ] {
        let segment = old.replace("ID", ID);
        let page = page(ID, IMAGE, IMAGE_ELEMENT);
        let site = finished_page(ID, &page, &[("__next._tree.txt", &segment)], &Silent);
        assert_eq!(site["__next._tree.txt"], old.replace("ID", &id_of(&site)));
    }
}

#[test]
fn id_follows_the_code_of_the_client() {
    let id = |code: &str, more: &[(&str, &str)]| {
        let mut files = vec![("_next/static/chunks/b.js", code)];
        files.extend(more);
        let site = finished(ID, IMAGE, IMAGE_ELEMENT, &files, &How::default());
        let id = id_of(&site);
        assert!(site["index.txt"].contains(&format!("\"b\":\"{id}\"")) && site["index.html"].contains(&id));
        id
    };
    assert_eq!(id("one", &[]), id("one", &[]));
    assert_ne!(id("one", &[]), id("two", &[]));
    // Neither the search index of Nextra 2 and 3 nor a source map is code.
    let data = [
        ("_next/static/chunks/nextra-data-en-US.json", "{}"),
        ("_next/static/chunks/b.js.map", "{}"),
    ];
    assert_eq!(id("one", &[]), id("one", &data));
    // A build ID in the code does not matter either.
    let named = [ID, OTHER].map(|id| {
        let code = format!("load('/_next/data/{id}/')");
        let page = page(id, IMAGE, IMAGE_ELEMENT);
        id_of(&finished_page(
            id,
            &page,
            &[("_next/static/chunks/b.js", &code)],
            &Silent,
        ))
    });
    assert_eq!(named[0], named[1]);
}

#[test]
fn a_site_that_is_finished_already_stays_as_it_is() {
    let id = id_of(&finished(ID, IMAGE, IMAGE_ELEMENT, &[], &How::default()));
    let again = finished(&id, IMAGE, IMAGE_ELEMENT, &[], &How::default());
    assert_eq!(id_of(&again), id);
}

#[test]
fn id_that_the_site_chose_is_replaced_unless_a_text_has_it() {
    let chosen = "3f9c1a7b20d4";
    let site = |id: &str, more: &[(&str, &str)]| {
        let notes = Notes::default();
        let page = page(id, "<p>text</p>", "\"\"");
        (finished_page(id, &page, more, &notes), reasons(notes))
    };
    let (one, notes) = site(chosen, &[]);
    assert_eq!((one, notes), site("aaaabbbbcccc", &[]));
    let footer = format!("<p>built from {chosen}</p>");
    let (kept, notes) = site(chosen, &[("about.html", &footer)]);
    assert_eq!(id_of(&kept), chosen);
    assert!(kept["index.txt"].contains(chosen) && kept["about.html"] == footer);
    assert!(
        matches!(&notes[..], [(path, reason)] if path == "about.html" && reason.contains("constant")),
        "{notes:?}"
    );
    // An ID that may be part of any word stays, and nothing is reported.
    let (kept, notes) = site("v1.2.3", &[("about.html", "v1.2.3")]);
    assert_eq!((id_of(&kept).as_str(), notes.len()), ("v1.2.3", 0));
}

#[test]
fn id_stays_where_that_is_wanted_or_where_there_are_two() {
    let how = How {
        stable_build_id: false,
        ..How::default()
    };
    assert!(finished(ID, IMAGE, IMAGE_ELEMENT, &[], &how)["index.txt"].contains(ID));
    let more = [("_next/static/older/_buildManifest.js", "{}")];
    assert!(finished(ID, IMAGE, IMAGE_ELEMENT, &more, &How::default())["index.txt"].contains(ID));
}

#[test]
fn id_stays_where_something_proves_the_bytes_that_have_it() {
    let worker = format!("self.id='{ID}'");
    let page = page(ID, IMAGE, IMAGE_ELEMENT);
    let notes = Notes::default();
    let more = [("sw.js", worker.as_str()), ("sw.js.sig", "signed")];
    let site = finished_page(ID, &page, &more, &notes);
    assert_eq!(id_of(&site), ID);
    assert_eq!(site["sw.js"], worker);
    assert!(matches!(&reasons(notes)[..], [(path, _)] if path == "sw.js"));
}

#[test]
fn integrity_and_policy_follow_what_changed() {
    let worker = format!("self.id='{ID}'");
    let [_, integrity, _] = policy::hashes(worker.as_bytes());
    let inner = page(ID, IMAGE, IMAGE_ELEMENT);
    let start = inner.rfind("self.__next_f.push([1").unwrap();
    let script = &inner[start..inner.rfind("</script>").unwrap()];
    let [allowed, ..] = policy::hashes(script.as_bytes());
    let page = inner.replace(
        "<head>",
        &format!(
            "<head><meta http-equiv=\"Content-Security-Policy\" content=\"script-src '{allowed}' 'self'\"/>\
             <script src=\"/w.js\" integrity=\"{integrity}\"></script>"
        ),
    );
    // A script that contains the hash of another changes with it, and so does its own hash.
    let loader = format!("load('/w.js','{integrity}','{ID}')");
    let [loaded, ..] = policy::hashes(loader.as_bytes());
    let page = page.replace(
        "</head>",
        &format!("<script src=\"/l.js\" integrity=\"{loaded}\"></script></head>"),
    );
    let site = finished_page(ID, &page, &[("w.js", &worker), ("l.js", &loader)], &Silent);
    let page = &site["index.html"];
    assert!(page.contains(&policy::hashes(site["w.js"].as_bytes())[1]), "{page}");
    assert!(
        site["l.js"].contains(&policy::hashes(site["w.js"].as_bytes())[1]),
        "{}",
        site["l.js"]
    );
    assert!(page.contains(&policy::hashes(site["l.js"].as_bytes())[0]), "{page}");
    let script = &page[page.rfind("self.__next_f.push([1").unwrap()..page.rfind("</script>").unwrap()];
    assert!(
        page.contains(&format!("'{}'", policy::hashes(script.as_bytes())[0])),
        "{page}"
    );
    assert!(!page.contains(&integrity) && !page.contains(&allowed));
}

#[test]
fn policy_and_integrity_follow_whether_or_not_the_payload_is_read_and_however_they_are_spelled() {
    let worker = format!("self.id='{ID}'");
    let [integrity, ..] = policy::hashes(worker.as_bytes());
    for binary in ["", "<script>self.__next_f.push([3,\"AAAA\"])</script>"] {
        for escapes in [[("+", "+"), ("=", "=")], [("+", "&#x2B;"), ("=", "&#61;")]] {
            let spell = |hash: &str| {
                escapes
                    .iter()
                    .fold(hash.to_owned(), |hash, (from, to)| hash.replace(from, to))
            };
            let inner = page(ID, IMAGE, IMAGE_ELEMENT).replace("</body>", &format!("{binary}</body>"));
            let script = |page: &str| {
                let start = page.find("self.__next_f.push([1").unwrap();
                page[start..start + page[start..].find("</script>").unwrap()].to_owned()
            };
            let head = |allowed: &str, integrity: &str| {
                format!(
                    "<head><meta http-equiv=\"Content-Security-Policy\" content=\"script-src {allowed}\"/>\
                     <script src=\"/w.js\" integrity=\"{integrity}\"></script>"
                )
            };
            let [allowed, ..] = policy::hashes(script(&inner).as_bytes());
            let page = inner.replace("<head>", &head(&spell(&allowed), &spell(&integrity)));
            let site = finished_page(ID, &page, &[("w.js", &worker)], &Silent);
            let page = &site["index.html"];
            assert_ne!(id_of(&site), ID);
            let [allowed, ..] = policy::hashes(script(page).as_bytes());
            let [integrity, ..] = policy::hashes(site["w.js"].as_bytes());
            assert!(
                page.contains(&head(&allowed, &integrity)),
                "{binary} {escapes:?}: {page}"
            );
        }
    }
}

#[test]
fn encoding_that_the_export_brought_goes_with_the_bytes_that_it_encodes() {
    let page = page(ID, &IMAGE.repeat(100), IMAGE_ELEMENT);
    let payload = payload(ID, IMAGE_ELEMENT);
    let drawing = "<svg><path d=\"M0 0\"/></svg>".repeat(100);
    let encoded = |text: &str| {
        let encoded = crate::site::encode::encode(Coding::Gzip, 6, text.as_bytes()).unwrap();
        encoded.unwrap()
    };
    let more = [("plain.svg", drawing.as_str())];
    let files = site_with(&page, &payload, ID, &more);
    let mut files: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_bytes().to_vec()))
        .collect();
    files.push(("index.html.gz", encoded(&page)));
    files.push(("plain.svg.gz", encoded(&drawing)));
    let (site, _folder) = site_of(&files, &How::default(), &Silent);
    let given = |path: &str| {
        let asset = site.assets.iter().find(|asset| asset.path.as_str() == path).unwrap();
        asset.given != GivenEncodings::default()
    };
    assert_eq!((given("index.html"), given("plain.svg")), (false, true));
}

#[test]
fn id_that_scripts_cut_in_three_is_replaced_in_the_page_that_a_browser_reads() {
    let (cut, seam) = (
        format!("{}|{}|{}", &ID[..3], &ID[3..9], &ID[9..]),
        "\"])</script><script>self.__next_f.push([1,\"",
    );
    let page = page(ID, IMAGE, IMAGE_ELEMENT);
    let cut = page.replace(ID, &cut.replace('|', seam));
    assert_ne!(cut, page);
    let site = finished_page(ID, &cut, &[], &Silent);
    let whole = site["index.html"].replace(seam, "");
    assert!(whole.contains(&id_of(&site)) && !whole.contains(ID), "{whole}");
}

#[test]
fn picture_has_a_copy_and_its_hash_in_page_and_payload() {
    let site = finished(ID, IMAGE, IMAGE_ELEMENT, &[], &How::default());
    let copy = copy_of(&site, "_assets/");
    assert_eq!(copy, format!("_assets/images/a.{}.png", hash("picture")));
    assert_eq!(
        (site[&copy].as_str(), site["images/a.png"].as_str()),
        ("picture", "picture")
    );
    let url = format!("/images/a.png?v={}", hash("picture"));
    assert!(
        site["index.html"].contains(&format!("<img src=\"{url}\"/>")),
        "{}",
        site["index.html"]
    );
    for file in ["index.txt", "__next._full.txt"] {
        assert!(site[file].contains(&format!("{{\"src\":\"{url}\"}}")), "{}", site[file]);
    }
}

#[test]
fn urls_stay_absolute_or_relative_as_they_were() {
    let forms = [
        "https://docs.example.com/images/a.png",
        "http://docs.example.com/images/a.png",
        "//docs.example.com/images/a.png",
        "images/a.png",
        "./images/../images/a.png",
        "/images/%61.png",
        "/images/a.png#part",
    ];
    for url in forms {
        let (markup, elements) = (
            format!("<img src=\"{url}\"/>"),
            format!("[\"$\",\"img\",null,{{\"src\":\"{url}\"}}]"),
        );
        let site = finished(ID, &markup, &elements, &[], &How::default());
        let (path, part) = url.split_at(url.find('#').unwrap_or(url.len()));
        let expected = format!("\"{path}?v={}{part}\"", hash("picture"));
        assert!(site["index.html"].contains(&expected), "{url}: {}", site["index.html"]);
        assert!(site["index.txt"].contains(&expected), "{url}: {}", site["index.txt"]);
    }
}

#[test]
fn url_that_code_may_read_is_left_alone() {
    let component = r#"["$","$L5",null,{"src":"/images/a.png"}]"#;
    let list = r#"["$","$L5",null,{"pictures":["/images/a.png"]}]"#;
    for elements in ["\"no element\"", component, list] {
        let site = finished(ID, IMAGE, elements, &[], &How::default());
        assert!(site["index.html"].contains(IMAGE), "{elements}: {}", site["index.html"]);
        assert!(site["index.txt"].contains(elements));
        assert!(!site.keys().any(|path| path.starts_with("_assets")), "{elements}");
        // The address also stays if the page itself shows the picture: otherwise the browser would fetch both.
        let both = format!("{IMAGE_ELEMENT},{elements}");
        let site = finished(ID, IMAGE, &both, &[], &How::default());
        let is_named = elements != "\"no element\"";
        assert_eq!(
            site["index.txt"].contains(&both),
            is_named,
            "{elements}: {}",
            site["index.txt"]
        );
        assert_eq!(site["index.html"].contains(IMAGE), is_named, "{elements}");
    }
    // The client may render the picture later, by its own address.
    let site = finished(ID, "", IMAGE_ELEMENT, &[], &How::default());
    assert!(site["index.txt"].contains(IMAGE_ELEMENT) && !site.keys().any(|path| path.starts_with("_assets")));
}

#[test]
fn what_a_script_or_a_sheet_names_is_left_alone() {
    let page = page(ID, IMAGE, IMAGE_ELEMENT);
    for (path, text) in [
        ("sw.js", "precache([{url:'/images/a.png',revision:'1'}])"),
        ("_next/static/chunks/b.js", "e.jsx(\"img\",{src:\"/images/a.png\"})"),
        ("data.json", "{\"picture\":\"images/a.png\"}"),
        ("s.css", "p{background:url(images/a.png)}"),
        ("d.svg", "<svg><image href=\"images/a.png\"/></svg>"),
    ] {
        let site = finished_page(ID, &page, &[(path, text)], &Silent);
        assert!(site["index.html"].contains(IMAGE), "{path}: {}", site["index.html"]);
        assert!(!site.keys().any(|path| path.starts_with("_assets")), "{path}");
        assert_eq!(site[path], text);
    }
    let other = [("_next/static/chunks/b.js", "'/images/b.png /images/a.png.webp'")];
    let site = finished_page(ID, &page, &other, &Silent);
    copy_of(&site, "_assets/images/a.");
}

#[test]
fn what_a_style_of_the_page_names_is_left_alone() {
    let markup = format!("{IMAGE}<p style=\"background:url(/images/a.png)\">x</p>");
    let site = finished(ID, &markup, IMAGE_ELEMENT, &[], &How::default());
    assert!(site["index.html"].contains(&markup) && site["index.txt"].contains(IMAGE_ELEMENT));
}

#[test]
fn what_readers_follow_or_request_by_name_keeps_its_address() {
    let markup = r#"<a href="/images/a.png">x</a><link rel="icon" href="/favicon.ico"/><link rel="manifest" href="/m.webmanifest"/><img src="/images/a.png?v=1"/><meta property="og:image" content="https://docs.example.com/images/a.png"/>"#;
    let elements = r#"["$","a",null,{"href":"/images/a.png"}],["$","link",null,{"rel":"icon","href":"/favicon.ico"}],["$","link",null,{"rel":"manifest","href":"/m.webmanifest"}],["$","img",null,{"src":"/images/a.png?v=1"}],["$","meta",null,{"property":"og:image","content":"https://docs.example.com/images/a.png"}]"#;
    let more = [("favicon.ico", "x"), ("m.webmanifest", "{}")];
    let site = finished(ID, markup, elements, &more, &How::default());
    assert!(site["index.html"].contains(markup) && site["index.txt"].contains(elements));
    assert!(!site.keys().any(|path| path.starts_with("_assets")));
    // A card keeps its address even if the page also shows the picture.
    let (markup, elements) = (format!("{markup}{IMAGE}"), format!("{elements},{IMAGE_ELEMENT}"));
    let site = finished(ID, &markup, &elements, &more, &How::default());
    for (file, card) in [
        ("index.html", "content=\"https://docs.example.com/images/a.png\""),
        ("index.txt", "\"content\":\"https://docs.example.com/images/a.png\""),
    ] {
        assert!(site[file].contains(card), "{}", site[file]);
        assert!(
            site[file].contains(&format!("/images/a.png?v={}\"", hash("picture"))),
            "{}",
            site[file]
        );
    }
}

#[test]
fn style_sheets_keep_their_bytes() {
    let markup = "<link rel=\"stylesheet\" href=\"/css/a.css\"/>";
    let elements = r#"["$","link","0",{"rel":"stylesheet","href":"/css/a.css"}]"#;
    let css = "@import \"b.css\";a{c:url(../images/a.png)}";
    let site = finished(
        ID,
        markup,
        elements,
        &[("css/a.css", css), ("css/b.css", "b{}")],
        &How::default(),
    );
    let copy = copy_of(&site, "_assets/css/a.");
    assert_eq!((site[&copy].as_str(), site["css/a.css"].as_str()), (css, css));
    assert!(site["index.html"].contains(&format!("href=\"/css/a.css?v={}\"", hash(css))));
}

#[test]
fn relative_urls_of_a_page_with_a_base_are_left_alone() {
    let inner = page(ID, "<img src=\"a.png\"/>", r#"["$","img",null,{"src":"a.png"}]"#);
    let page = inner.replace("<head>", "<head><base href=\"/images/\"/>");
    let site = finished_page(ID, &page, &[("a.png", "another")], &Silent);
    assert!(
        site["index.html"].contains("<img src=\"a.png\"/>"),
        "{}",
        site["index.html"]
    );
    assert!(!site.keys().any(|path| path.starts_with("_assets")));
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
        let site = finished(ID, IMAGE, IMAGE_ELEMENT, &[], &how);
        site.into_keys().filter(|path| path.starts_with("files.v1/")).count()
    };
    assert_eq!(with(None, &[]), 1);
    assert_eq!(with(Some(&[]), &[]), 0);
    assert_eq!(with(Some(&["images/**"]), &[]), 1);
    assert_eq!(with(Some(&["photos/**"]), &[]), 0);
    assert_eq!(with(None, &["images/*.png"]), 0);
}

#[test]
fn pages_router_gets_the_id_and_keeps_its_props() {
    let site = |id: &str| {
        let page = format!(
            "<link rel=\"stylesheet\" href=\"/css/a.css\" data-n-g=\"\"/><script src=\"/_next/static/{id}/_buildManifest.js\" defer=\"\"></script>\
             <img src=\"/images/a.png\"/><script id=\"__NEXT_DATA__\" type=\"application/json\">\
             {{\"props\":{{\"pageProps\":{{\"src\":\"/images/a.png\"}}}},\"buildId\":\"{id}\"}}</script>"
        );
        let data = "{\"pageProps\":{\"src\":\"/images/a.png\"},\"__N_SSG\":true}";
        let data_path = format!("_next/data/{id}/usage.json");
        let manifest = format!("_next/static/{id}/_buildManifest.js");
        let files = [
            ("usage.html", page.as_str()),
            (data_path.as_str(), data),
            (manifest.as_str(), "{}"),
            ("css/a.css", "a{}"),
            ("images/a.png", "a"),
        ];
        (finish(&files, &How::default()), page)
    };
    let (one, page) = site(ID);
    assert_eq!(one, site(OTHER).0);
    let id = id_of(&one);
    assert_eq!(one["usage.html"], page.replace(ID, &id));
    assert!(one.contains_key(&format!("_next/data/{id}/usage.json")));
    assert_eq!(one.len(), 5);
}

#[test]
fn page_without_a_client_is_rewritten_by_its_markup() {
    let site = finish(&[("a.html", "<img src=i/b.png>"), ("i/b.png", "x")], &How::default());
    assert_eq!(site["a.html"], format!("<img src=\"i/b.png?v={}\">", hash("x")));
}

#[test]
fn what_a_page_with_a_component_of_astro_names_is_left_alone_everywhere() {
    let plain = "<body><img src=\"/a.png\"><img src=\"/b.png\"><img src=\"/c.png\"></body>";
    let shown = "<astro-island props=\"{}\"><img src=\"/c.png\"></astro-island>";
    let given = "<astro-island props=\"{&quot;src&quot;:[0,&quot;/b.png&quot;]}\" client=\"only\"></astro-island>";
    let files = [
        ("index.html", plain),
        ("shown.html", shown),
        ("given.html", given),
        ("a.png", "a"),
        ("b.png", "b"),
        ("c.png", "c"),
    ];
    let site = finish(&files, &How::default());
    let expected = plain.replace("/a.png", &format!("/a.png?v={}", hash("a")));
    assert_eq!(site["index.html"], expected);
    assert_eq!((&*site["shown.html"], &*site["given.html"]), (shown, given));
}

/// Options with a policy that pages state.
fn with_policy(csp: &str) -> How {
    let csp = crate::config::parse(csp).unwrap().config.csp;
    How {
        csp: Some(csp),
        ..How::default()
    }
}

#[test]
fn a_page_states_the_policy_first_and_keeps_all_else() {
    let page = "<!DOCTYPE html><html lang=\"en\"><head><meta charSet=\"utf-8\"/><title>a</title></head><body>\
                <script>one()</script><script type=\"application/json\">{}</script></body></html>";
    let part = "<p>a part</p><script>two()</script>";
    let files = [
        ("index.html", page),
        ("part.html", part),
        ("kept.html", page),
        ("s.css", "a{}"),
    ];
    let site = finish(&files, &with_policy("[csp]\nexclude = [\"kept.html\"]"));
    let (before, after) = page.split_at(page.find("<meta").unwrap());
    let new = site["index.html"]
        .strip_prefix(before)
        .unwrap()
        .strip_suffix(after)
        .unwrap();
    let hash = &policy::hashes(b"one()")[0];
    assert_eq!(
        new,
        format!(
            "<meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'; script-src \
             'self' 'wasm-unsafe-eval' '{hash}'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src \
             'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'\">"
        )
    );
    assert_eq!((&*site["part.html"], &*site["kept.html"]), (part, page));
}

#[test]
fn a_policy_allows_the_scripts_that_were_changed_and_those_of_other_pages_of_the_client() {
    let id = "Xq3-_aBcDeFgHiJkLmN0p";
    let manifest = format!("_next/static/{id}/_buildManifest.js");
    let script = format!("start(\"{id}\")");
    let a = format!(
        "<html><head></head><script>{script}</script><script src=/_next/static/{id}/_buildManifest.js></script>"
    );
    let b = "<html><head></head><script>(self.__next_s=self.__next_s||[]).push([0,{\"children\":\"late()\",\"id\":\"x\"}])</script>\
             <script>(self.__next_s=self.__next_s||[]).push([0,{\"children\":\"built('Xq3-_aBcDeFgHiJkLmN0p')\",\"id\":\"y\"}])</script>";
    let files = [("a.html", &*a), ("b.html", b), (&*manifest, "1")];
    let site = finish(&files, &with_policy("[csp]"));
    let page = &site["a.html"];
    let changed = page
        .split("<script>")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    assert_ne!(changed, script, "the build id is another one");
    let id = changed.split('"').nth(1).unwrap();
    for allowed in [changed, "late()", &format!("built('{id}')")] {
        assert!(
            page.contains(&format!("'{}'", policy::hashes(allowed.as_bytes())[0])),
            "{allowed}: {page}"
        );
    }
    assert!(!page.contains(&policy::hashes(script.as_bytes())[0]), "{page}");
}

#[test]
fn texts_that_only_may_be_scripts_do_not_keep_scripts_out() {
    let texts: Vec<String> = (0..70)
        .map(|number| format!(r#"["$","$L1",null,{{"id":"n{number}","children":"text-{number}"}}]"#))
        .collect();
    let rows = format!(
        "1:I[1,[],\"\"]\n0:[{},[\"$\",\"$L1\",null,{{\"id\":\"s\",\"strategy\":\"lazyOnload\",\"children\":\"late()\"}}]]\n",
        texts.join(",")
    );
    let push = format!("self.__next_f.push([1,{}])", serde_json::to_string(&rows).unwrap());
    let a = format!("<html><head></head><body><script>{push}</script></body></html>");
    let files = [("a.html", &*a), ("b.html", "<html><head></head><body>b</body></html>")];
    let site = finish(&files, &with_policy("[csp]"));
    let allows = |page: &str, text: &str| site[page].contains(&policy::hashes(text.as_bytes())[0]);
    assert!(
        allows("b.html", "late()") && !allows("b.html", "text-1"),
        "{}",
        site["b.html"]
    );
    assert!(
        allows("a.html", "late()") && allows("a.html", "text-1"),
        "a page allows all of its own"
    );
}
