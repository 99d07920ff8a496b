//! Random pages, made of the usual parts of pages: pictures and their lists, style attributes, cards, client
//! components, markup within texts, paths as text, URLs in every form. Each page goes through the real command, and the
//! oracle compares the result.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::oracle::{Case, differences};
use super::{finished, project};
use crate::support::command::write;

const ORIGIN: &str = "https://harbour.syntax.kraite.com";

/// A piece of a page.
#[derive(Debug, Clone)]
enum Node {
    Text(String),
    Host {
        tag: &'static str,
        props: Vec<(&'static str, String)>,
        children: Vec<Node>,
    },
    /// A client component, which derives its elements from its properties.
    Client {
        url: String,
        children: Vec<Node>,
    },
    /// Markup that the page contains as a separate text.
    Markup(Vec<Node>),
}

/// The parts of a page, and the names that a version gives them.
#[derive(Debug, Clone)]
struct Page {
    nodes: Vec<Node>,
    card: String,
    base: Option<String>,
    policy: bool,
    integrity: bool,
    id: String,
    style: String,
    /// The number of bytes after which its payload is cut into scripts. A cut splits an ID into two parts at most.
    cut: usize,
}

/// URLs as people write them: to files that exist, to some that do not, and to other hosts.
fn url() -> impl Strategy<Value = String> {
    let path = prop::sample::select(vec![
        "/img/a.png",
        "/img/a-dark.png",
        "/img/größe.png",
        "/img/gr%C3%B6%C3%9Fe.png",
        "/img/with%20space.png",
        "/img/vector.svg",
        "/img/none.png",
        "/fonts/text.woff2",
        "/film.mp4",
        "/favicon.ico",
        "/docs/guide",
        "/paper.pdf",
        "/img/a.png?w=640",
        "/img/a.png?v=1",
        "/img/vector.svg#part",
        "img/a.png",
        "./img/a.png",
        "../img/a.png",
        "",
        "#top",
    ]);
    let before = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        ORIGIN,
        "//harbour.syntax.kraite.com",
        "https://elsewhere.syntax.kraite.com",
    ]);
    (before, path).prop_map(|(before, path)| {
        if before.is_empty() || path.starts_with('/') {
            format!("{before}{path}")
        } else {
            path.to_owned()
        }
    })
}

fn words() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "plain words",
        "the file /img/a.png and url(/img/a.png)",
        "<img src=\"/img/a.png\">",
        "größe, 東京 & \u{2028} 'quoted' \"twice\"",
        "$not a reference",
        "a, b",
    ])
    .prop_map(str::to_owned)
}

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(url(), 1..4).prop_map(|urls| {
        let candidates: Vec<String> = urls
            .iter()
            .enumerate()
            .filter(|(_, url)| !url.is_empty())
            .map(|(index, url)| format!("{url} {}x", index + 1))
            .collect();
        candidates.join(", ")
    })
}

fn leaf() -> impl Strategy<Value = Node> {
    let host = |tag, props| Node::Host {
        tag,
        props,
        children: Vec::new(),
    };
    prop_oneof![
        words().prop_map(Node::Text),
        url().prop_map(move |url| host("img", vec![("src", url), ("alt", "a picture".into())])),
        (url(), list()).prop_map(move |(url, list)| host("img", vec![("src", url), ("srcSet", list)])),
        url().prop_map(move |url| host("video", vec![("src", url.clone()), ("poster", url)])),
        url().prop_map(move |url| host("input", vec![("type", "image".into()), ("src", url)])),
        url().prop_map(|url| Node::Client {
            url,
            children: Vec::new(),
        }),
        url().prop_map(move |url| host(
            "link",
            vec![("rel", "preload".into()), ("as", "image".into()), ("href", url)]
        )),
    ]
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = leaf().prop_recursive(4, 40, 5, |inner| {
        let children = prop::collection::vec(inner, 0..5);
        prop_oneof![
            (children.clone(), url()).prop_map(|(children, url)| Node::Host {
                tag: "div",
                props: vec![("style", format!("background-image:url({url})"))],
                children,
            }),
            (children.clone(), url()).prop_map(|(children, url)| Node::Host {
                tag: "a",
                props: vec![("href", url), ("title", "/img/a.png".into())],
                // A link within a link ends the outer one.
                children: children
                    .into_iter()
                    .filter(|child| matches!(child, Node::Text(_)))
                    .collect(),
            }),
            (children.clone(), list()).prop_map(|(children, list)| Node::Host {
                tag: "picture",
                props: vec![("data-list", list)],
                children,
            }),
            children.clone().prop_map(|children| Node::Host {
                tag: "code",
                props: vec![("data-sample", "<img src=\"/img/a.png\">".into())],
                children,
            }),
            (children.clone(), url()).prop_map(|(children, url)| Node::Client { url, children }),
            children.prop_map(Node::Markup),
        ]
    });
    prop::collection::vec(node, 1..6)
}

fn page() -> impl Strategy<Value = Page> {
    let id = "[A-Za-z0-9_][A-Za-z0-9_-]{20}".prop_filter("two hyphens would end a comment", |id| !id.contains("--"));
    let base = prop::option::weighted(0.15, prop::sample::select(vec!["/", "/docs/", "img/"]));
    (
        nodes(),
        url(),
        base,
        any::<bool>(),
        any::<bool>(),
        id,
        url(),
        30..4000_usize,
    )
        .prop_map(|(nodes, card, base, policy, integrity, id, style, cut)| Page {
            nodes,
            card,
            base: base.map(str::to_owned),
            policy,
            integrity,
            id,
            style,
            cut,
        })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Elements as React writes them to a page.
fn html(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(&escaped(text)),
            Node::Host { tag, props, children } => {
                let _ = write!(out, "<{tag}");
                for (name, value) in props {
                    let _ = write!(out, " {name}=\"{}\"", escaped(value));
                }
                out.push('>');
                if !matches!(*tag, "img" | "input" | "link") {
                    let _ = write!(out, "{}</{tag}>", html(children));
                }
            }
            Node::Client { url, children } => {
                // The component's code derives another URL.
                let other = url.replace(".png", "-dark.png");
                let _ = write!(
                    out,
                    "<section><img data-of=\"client\" src=\"{}\"/>{}</section>",
                    escaped(&other),
                    html(children)
                );
            }
            Node::Markup(children) => {
                let _ = write!(out, "<div>{}</div>", html(children));
            }
        }
    }
    out
}

/// The same elements as in the payload. Texts that are markup are rows of their own.
fn flight(nodes: &[Node], texts: &mut Vec<String>) -> Value {
    let values = nodes
        .iter()
        .map(|node| match node {
            Node::Text(text) => json!(
                text.strip_prefix('$')
                    .map_or_else(|| text.clone(), |_| format!("${text}"))
            ),
            Node::Host { tag, props, children } => {
                let mut object = Map::new();
                for (name, value) in props {
                    let value = match (*name, value.strip_prefix("background-image:")) {
                        ("style", Some(image)) => json!({ "backgroundImage": image }),
                        _ => json!(value),
                    };
                    object.insert((*name).to_owned(), value);
                }
                if !children.is_empty() {
                    object.insert("children".to_owned(), flight(children, texts));
                }
                json!(["$", tag, null, object])
            }
            Node::Client { url, children } => {
                json!(["$", "$L2", null, { "src": url, "children": flight(children, texts) }])
            }
            Node::Markup(children) => {
                texts.push(html(children));
                let reference = format!("${:x}", 0x10 + texts.len() - 1);
                json!(["$", "div", null, { "dangerouslySetInnerHTML": { "__html": reference } }])
            }
        })
        .collect();
    Value::Array(values)
}

/// The payload, as it is in the file next to the page.
fn payload(page: &Page) -> String {
    let mut texts = Vec::new();
    let tree = flight(&page.nodes, &mut texts);
    let root = json!({ "P": null, "b": page.id, "p": "", "c": ["", ""], "f": [[["", {}], ["", tree]]] });
    let mut out = String::from("1:\"$Sreact.fragment\"\n2:I[1234,[\"12\",\"static/chunks/12.js\"],\"Themed\"]\n");
    out.push_str("3:HL[\"/img/a.png\",\"image\"]\n");
    for (index, text) in texts.iter().enumerate() {
        let _ = write!(out, "{:x}:T{:x},{text}", 0x10 + index, text.len());
    }
    let _ = writeln!(out, "0:{root}");
    out
}

/// A script that adds a part of the payload to the page.
fn push(part: &str) -> String {
    let json = json!([1, part])
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028");
    format!("self.__next_f.push({json})")
}

fn pieces(text: &str, size: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        if pieces.last().is_some_and(|piece| piece.len() >= size) {
            pieces.push(String::new());
        }
        pieces.iter_mut().last().unwrap().push(c);
    }
    pieces
}

fn hash(algorithm: &'static ring::digest::Algorithm, bytes: &[u8]) -> String {
    super::oracle::base64(ring::digest::digest(algorithm, bytes).as_ref())
}

const SCRIPT: &[u8] = b"console.log(1)";

/// A script whose content, and therefore hash, changes with the build ID.
fn naming(id: &str) -> String {
    format!("console.log('{id}')")
}

fn document(page: &Page) -> String {
    let scripts: Vec<String> = pieces(&payload(page), page.cut)
        .iter()
        .map(|piece| push(piece))
        .collect();
    let policy = if page.policy {
        let hashes: Vec<String> = scripts
            .iter()
            .map(|script| format!(" 'sha256-{}'", hash(&ring::digest::SHA256, script.as_bytes())))
            .collect();
        format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'self'{}\"/>",
            hashes.concat()
        )
    } else {
        String::new()
    };
    let base = page
        .base
        .as_ref()
        .map_or_else(String::new, |base| format!("<base href=\"{base}\"/>"));
    let integrity = |script: &[u8]| {
        if page.integrity {
            format!(" integrity=\"sha384-{}\"", hash(&ring::digest::SHA384, script))
        } else {
            String::new()
        }
    };
    let card = json!({ "@context": "https://schema.org", "image": page.card });
    let scripts: Vec<String> = scripts
        .iter()
        .map(|script| format!("<script>{script}</script>"))
        .collect();
    format!(
        "<!DOCTYPE html><!--{}--><html lang=\"en\"><head><meta charset=\"utf-8\"/>{base}{policy}<title>/img/a.png</title>\
         <link rel=\"preload\" as=\"image\" href=\"/img/a.png\"/><meta property=\"og:image\" content=\"{card_url}\"/>\
         <link rel=\"stylesheet\" href=\"/_next/static/css/site.css\"/>\
         <script src=\"/_next/static/chunks/12.js\" async=\"\"{of_chunk}></script>\
         <script src=\"/named.js\" async=\"\"{of_named}></script>\
         <script type=\"application/ld+json\">{card}</script></head><body>{body}\
         <script>(self.__next_f=self.__next_f||[]).push([0])</script>{scripts}</body></html>",
        page.id.replace('-', "_"),
        of_chunk = integrity(SCRIPT),
        of_named = integrity(naming(&page.id).as_bytes()),
        card_url = escaped(&page.card),
        body = html(&page.nodes),
        scripts = scripts.concat(),
    )
}

/// Writes an export whose pages consist of these parts.
fn export(folder: &std::path::Path, page: &Page) {
    let other = Page {
        nodes: page.nodes.iter().rev().cloned().collect(),
        ..page.clone()
    };
    for (name, page) in [("index", page), ("docs/guide", &other), ("404", &other)] {
        write(&folder.join(format!("{name}.html")), document(page));
        write(&folder.join(format!("{name}.txt")), payload(page));
    }
    for (name, bytes) in [
        ("img/a.png", "a"),
        ("img/a-dark.png", "dark"),
        ("img/größe.png", "größe"),
        ("img/with space.png", "space"),
        ("img/vector.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        ("docs/img/a.png", "another a"),
        ("fonts/text.woff2", "font"),
        ("film.mp4", "film"),
        ("favicon.ico", "icon"),
        ("paper.pdf", "%PDF"),
    ] {
        write(&folder.join(name), bytes);
    }
    write(
        &folder.join("_next/static/css/site.css"),
        format!(
            "body{{background:url({})}}@font-face{{src:url(../../../fonts/text.woff2)}}",
            page.style
        ),
    );
    write(&folder.join("_next/static/chunks/12.js"), SCRIPT);
    write(&folder.join("named.js"), naming(&page.id));
    let manifest = format!("_next/static/{}/_buildManifest.js", page.id);
    write(&folder.join(manifest), "self.__BUILD_MANIFEST={}");
    write(
        &folder.join("sw.js"),
        format!("precache([{{url:'/index.html',revision:'{}'}}])", page.id),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_made_at_random_stay_what_they_were(page in page()) {
        let project = project(&format!("url = \"{ORIGIN}\"\n[check]\nlinks = \"warn\"\nlocal = \"off\""));
        let before = project.dir.join("export");
        export(&before, &page);
        let after = finished(&project);
        let found = differences(&Case { before: &before, after: &after, origin: Some(ORIGIN), base_path: "" });
        prop_assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
