//! A synthetic site in the form of a Next.js 16 export: any number of pages, in sections, the same on every machine.
//!
//! The properties that matter to a publish match a real export: the names (`X.html`, `X.txt`, `X/__next.….txt` side by
//! side, which makes wide folders), which files of a page are byte-for-byte identical, the sizes, and how well they
//! compress (prose from a small vocabulary, between markup that all pages share). A page is a function of its number
//! and its revision, so that an edit changes one sentence in the four files that contain it, and nothing else.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Pages of one section, which is one folder.
pub const PAGES_A_SECTION: usize = 100;

/// Immutable files below `_next/static/chunks`.
const CHUNKS: usize = 60;

const BUILD_ID: &str = "qZ7rT0vLm3Xc9KpYw2HdN";

const WORDS: usize = 1800;

/// The size of a site.
#[derive(Clone, Copy)]
pub struct Size {
    pub pages: usize,
}

impl Size {
    /// Pages of one section. It is at most the number of pages, because the pages of a section link to each other.
    pub fn a_section(self) -> usize {
        self.pages.min(PAGES_A_SECTION)
    }
}

/// Writes the complete site into a folder that does not exist yet.
pub fn write(folder: &Path, size: Size) {
    write_in_sections(folder, size.pages, size.a_section());
}

/// Writes a site with `a_section` pages in each of its folders; all pages go into one folder if there are no more.
pub fn write_in_sections(folder: &Path, pages: usize, a_section: usize) {
    let words = words();
    put(
        folder,
        "404.html",
        &frame("Not found", "", "<p>There is no such page.</p>", ""),
    );
    let home = Page::home(&words, pages, a_section);
    for (path, text) in home.files() {
        put(folder, &path, &text);
    }
    for number in 0..pages {
        for (path, text) in Page::new(&words, number, 0, a_section).files() {
            put(folder, &path, &text);
        }
    }
    for number in 0..CHUNKS {
        let (path, text) = chunk(number);
        put(folder, &path, &text);
    }
    for name in ["_buildManifest.js", "_ssgManifest.js"] {
        let text = format!("self.{name}=1;\n");
        put(folder, &format!("_next/static/{BUILD_ID}/{name}"), &text);
    }
    put(folder, "robots.txt", "User-Agent: *\nAllow: /\n");
}

/// Writes one page again, with one sentence changed. Returns the page's files, relative to the folder.
pub fn edit(folder: &Path, number: usize, revision: usize) -> Vec<String> {
    edit_in_sections(folder, number, revision, PAGES_A_SECTION)
}

/// Does the same for a site with `a_section` pages in each of its folders. A page that does not exist yet is added.
pub fn edit_in_sections(folder: &Path, number: usize, revision: usize, a_section: usize) -> Vec<String> {
    let files = Page::new(&words(), number, revision, a_section).files();
    for (path, text) in &files {
        put(folder, path, text);
    }
    files.into_iter().map(|(path, _)| path).collect()
}

/// Changes what a rebuild of the same source changes: every occurrence of the build ID. The site must not have been
/// rebuilt before.
pub fn rebuild(folder: &Path, id: &str) {
    let next = folder.join("_next/static");
    fs::rename(next.join(BUILD_ID), next.join(id)).expect("the folder of the build");
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the site") {
            let path = entry.expect("an entry of the site").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a text");
            if text.contains(BUILD_ID) {
                fs::write(&path, text.replace(BUILD_ID, id)).expect("a file to be written");
            }
        }
    }
}

/// Writes a file of `mebibytes` MiB that no encoder can shrink.
pub fn write_noise(path: &Path, mebibytes: u64) {
    let mut random = Random(mebibytes);
    let mut block: Vec<u8> = (0..1 << 17).flat_map(|_| random.next().to_le_bytes()).collect();
    let mut file = fs::File::create(path).expect("a large file to be created");
    for number in 0..mebibytes {
        // The same noise in a different order: no two blocks are alike, and making a block costs next to nothing.
        block.rotate_left(1 + usize::try_from(number % 4093).expect("a small number"));
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).expect("a large file to be written");
    }
}

fn put(folder: &Path, path: &str, text: &str) {
    let path: PathBuf = folder.join(path);
    let parent = path.parent().expect("a file in a folder");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The content of one page.
struct Page {
    /// The public path, without the leading slash.
    path: String,
    title: String,
    paragraphs: Vec<String>,
    /// Links to its neighbours: path and title.
    links: Vec<(String, String)>,
}

impl Page {
    fn new(words: &[String], number: usize, revision: usize, a_section: usize) -> Page {
        let mut random = Random::for_page(number);
        let title = title(words, number);
        let mut paragraphs: Vec<String> = (0..6 + random.below(4)).map(|_| prose(words, &mut random, 3)).collect();
        if revision > 0 {
            let mut random = Random::for_page(number + 1_000_003 * revision);
            paragraphs[2] = prose(words, &mut random, 3);
        }
        let section = number / a_section;
        let links = (0..12).map(|step| {
            let neighbour = section * a_section + (number + step * 7) % a_section;
            (path_of(neighbour, a_section), self::title(words, neighbour))
        });
        Page {
            path: path_of(number, a_section),
            title,
            paragraphs,
            links: links.collect(),
        }
    }

    fn home(words: &[String], pages: usize, a_section: usize) -> Page {
        let sections = (0..pages).step_by(a_section);
        Page {
            path: "index".to_owned(),
            title: "Documentation".to_owned(),
            paragraphs: vec![prose(words, &mut Random(7), 6)],
            links: sections
                .map(|first| (path_of(first, a_section), title(words, first)))
                .collect(),
        }
    }

    /// Returns every file of the page: path and text.
    fn files(&self) -> Vec<(String, String)> {
        let payload = self.payload();
        let segment = self.segment();
        let (folder, route) = if self.path == "index" {
            (String::new(), String::new())
        } else {
            (format!("{}/", self.path), format!("{}.", self.path.replace('/', ".")))
        };
        vec![
            (format!("{}.html", self.path), self.html(&payload)),
            (format!("{}.txt", self.path), payload.clone()),
            (format!("{folder}__next._full.txt"), payload),
            (format!("{folder}__next.{route}__PAGE__.txt"), segment),
        ]
    }

    fn html(&self, payload: &str) -> String {
        let mut nav = String::new();
        for (path, title) in &self.links {
            let _ = write!(nav, "<li><a href=\"/{path}\">{title}</a></li>");
        }
        let mut body = format!("<h1 id=\"top\">{}</h1>", self.title);
        for (number, text) in self.paragraphs.iter().enumerate() {
            if number % 3 == 1 {
                let _ = write!(body, "<h2 id=\"part-{number}\">{}</h2>", first_words(text));
            }
            let _ = write!(body, "<p>{text}</p>");
        }
        let escaped = payload.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let scripts = format!(
            "<script>(self.__next_f=self.__next_f||[]).push([0])</script>\
             <script>self.__next_f.push([1,\"{escaped}\"])</script>"
        );
        frame(&self.title, &nav, &body, &scripts)
    }

    /// Returns the flight payload, which repeats the content of the page as rows.
    fn payload(&self) -> String {
        let mut links = String::new();
        for (path, title) in &self.links {
            let _ = write!(
                links,
                r#"["$","li",null,{{"children":["$","$L4",null,{{"href":"/{path}","children":"{title}"}}]}}],"#
            );
        }
        format!(
            "{MODULES}0:{{\"P\":null,\"c\":[\"\",\"{}\"],\"f\":[[\"$\",\"nav\",null,{{\"children\":[{links}null]}}],\
             [\"$\",\"main\",null,{{\"children\":[{}null]}}]],\"S\":true,\"b\":\"{BUILD_ID}\"}}\n{METADATA}",
            self.path.replace('/', "\",\""),
            self.rows(),
        )
    }

    /// Returns the payload of the page's own segment.
    fn segment(&self) -> String {
        format!(
            "{MODULES}0:{{\"rsc\":[\"$\",\"$1\",\"c\",{{\"children\":[{}null]}}],\"b\":\"{BUILD_ID}\"}}\n{METADATA}",
            self.rows()
        )
    }

    fn rows(&self) -> String {
        let mut rows = format!(r#"["$","h1",null,{{"id":"top","children":"{}"}}],"#, self.title);
        for text in &self.paragraphs {
            let _ = write!(rows, r#"["$","p",null,{{"children":"{text}"}}],"#);
        }
        rows
    }
}

fn path_of(number: usize, a_section: usize) -> String {
    format!("docs/section-{:03}/page-{number:05}", number / a_section)
}

fn title(words: &[String], number: usize) -> String {
    let mut random = Random::for_page(number + 500_000_009);
    let text = format!("{} {}", word(words, &mut random), word(words, &mut random));
    format!("{text} {number}")
}

fn first_words(text: &str) -> String {
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Returns the document around the content of a page, which all pages share.
fn frame(title: &str, nav: &str, body: &str, scripts: &str) -> String {
    let mut head = String::new();
    for number in 0..8 {
        let path = chunk_path(number);
        let _ = write!(head, "<script src=\"/{path}\" async=\"\"></script>");
    }
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charSet=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>{head}\
         <meta name=\"theme-color\" content=\"#0f172a\"/><title>{title} | Documentation</title>\
         <meta name=\"description\" content=\"What there is to know about {title}.\"/>\
         <meta property=\"og:title\" content=\"{title} | Documentation\"/>\
         <meta property=\"og:description\" content=\"What there is to know about {title}.\"/>\
         <meta property=\"og:image:type\" content=\"image/png\"/><meta property=\"og:image:width\" content=\"1200\"/>\
         <meta property=\"og:image:height\" content=\"630\"/><meta name=\"next-size-adjust\" content=\"\"/></head>\
         <body><div hidden=\"\"><!--$--><!--/$--></div><header class=\"top\"><a class=\"brand\" href=\"/\">Documentation\
         </a></header><div class=\"frame\"><nav aria-label=\"Section\"><ul>{nav}</ul></nav><main class=\"prose\">{body}\
         </main></div><footer class=\"bottom\">Made to be measured.</footer>{scripts}</body></html>"
    )
}

const MODULES: &str = r#"1:"$Sreact.fragment"
2:"/_next/static/chunks/c00.js"
3:"/_next/static/chunks/c01.js"
4:I[22016,["$2","$3"],""]
5:I[5500,["$2","$3"],"Image"]
7:I[39756,["$2","$3"],"default"]
8:I[37457,["$2","$3"],"default"]
b:I[97367,["$2","$3"],"OutletBoundary"]
c:"$Sreact.suspense"
12:I[97367,["$2","$3"],"$11"]
14:I[68027,["$2","$3"],"default",1]
:HL["/_next/static/chunks/c02.css","style"]
"#;

const METADATA: &str = r##"15:[["$","meta","0",{"charSet":"utf-8"}],["$","meta","1",{"name":"viewport","content":"width=device-width, initial-scale=1"}],["$","meta","2",{"name":"theme-color","content":"#0f172a"}],["$","meta","5",{"property":"og:image:type","content":"image/png"}],["$","meta","6",{"property":"og:image:width","content":"1200"}],["$","meta","7",{"property":"og:image:height","content":"630"}]]
16:null
"##;

fn chunk_path(number: usize) -> String {
    let mut random = Random::for_page(number + 900_000_011);
    let name: String = (0..13)
        .map(|_| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[random.below(36)]))
        .collect();
    format!("_next/static/chunks/{name}.js")
}

/// Returns a chunk that resembles minified code: most chunks are small, a few are large.
fn chunk(number: usize) -> (String, String) {
    let mut random = Random::for_page(number + 800_000_011);
    let length = match number % 20 {
        0 => 160_000,
        1..=3 => 40_000,
        _ => 1_500 + random.below(9_000),
    };
    let mut text = String::from("(globalThis.TURBOPACK||(globalThis.TURBOPACK=[])).push([");
    while text.len() < length {
        let letter = char::from(b'a' + u8::try_from(random.below(26)).expect("a letter"));
        let (member, digits) = (WORDS + random.below(300), random.below(100_000));
        let _ = match random.below(4) {
            0 => write!(text, "{digits},(e,t,r)=>{{\"use strict\";let {letter}=e.r({digits});"),
            1 => write!(text, "function {letter}(e){{return e&&e.m{member}?e:{{default:e}}}}"),
            2 => write!(
                text,
                "Object.defineProperty(r,\"m{member}\",{{enumerable:!0,get:{letter}}}),"
            ),
            _ => write!(
                text,
                "if({letter}.m{member}!==t.m{}){{return null}}}},",
                random.below(900)
            ),
        };
    }
    text.push_str("]);\n");
    (chunk_path(number), text)
}

/// Returns a vocabulary of made-up words, short ones first.
fn words() -> Vec<String> {
    const HEADS: [&str; 16] = [
        "b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "st", "tr", "pr", "th",
    ];
    const TAILS: [&str; 12] = ["a", "e", "i", "o", "u", "er", "on", "al", "en", "ing", "es", "ed"];
    let mut random = Random(1);
    let word = |index: usize| {
        let syllables = 1 + usize::from(index > 60) + usize::from(index > 500) + random.below(2);
        let mut word = String::new();
        for _ in 0..syllables {
            word.push_str(HEADS[random.below(HEADS.len())]);
            word.push_str(TAILS[random.below(TAILS.len())]);
        }
        word
    };
    (0..WORDS).map(word).collect()
}

/// Picks a word. Some words are far more frequent than others, as in any language.
fn word<'a>(words: &'a [String], random: &mut Random) -> &'a str {
    let most = 1 + random.below(words.len());
    let most = 1 + random.below(most);
    &words[random.below(most)]
}

fn prose(words: &[String], random: &mut Random, sentences: usize) -> String {
    let mut text = String::new();
    for _ in 0..sentences {
        for place in 0..8 + random.below(9) {
            let word = word(words, random);
            if place == 0 {
                text.push_str(&word[..1].to_uppercase());
                text.push_str(&word[1..]);
            } else {
                text.push(' ');
                text.push_str(word);
            }
        }
        text.push_str(". ");
    }
    text.truncate(text.trim_end().len());
    text
}

/// The `SplitMix64` generator: the same numbers on every machine, without a dependency.
struct Random(u64);

impl Random {
    fn for_page(number: usize) -> Random {
        Random(number as u64 * 0x9e37_79b9 + 0x51ed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("less than a usize")
    }
}
