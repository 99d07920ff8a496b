//! `links`: every file of the site that a page, style sheet or SVG drawing refers to exists. Pure.
//!
//! Only URLs that a browser would follow or fetch count, and only those of the site itself. A URL in the wrong case
//! works on a machine whose file system ignores case, and on no web server. A link that leaves the base path leads to
//! another site of the same host, unless this site has a file of that name: then the base path was forgotten. The check
//! also covers the payload of a page, which a click fetches although no URL names it.

use super::finding::{Material, RawFinding, shortened};
use super::payloads;
use super::repeats::Repeats;
use crate::next::Position;
use crate::next::client::CLIENT_ASSETS;
use crate::site::survey::UrlFault;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut own = Repeats::new();
    let mut foreign = Repeats::new();
    // Files of the build itself. Pages do not work without them.
    let mut of_build = Repeats::new();
    for file in material.files() {
        for faulty in &file.facts.faulty {
            let found = (faulty.url.as_str(), faulty.position, &faulty.fault);
            match &faulty.fault {
                // The check `local` reports these.
                UrlFault::Local { .. } => {}
                UrlFault::Missing if faulty.url.contains(CLIENT_ASSETS) => {
                    of_build.add(found, &file.asset.path, faulty.line);
                }
                UrlFault::Malformed if names_a_host(&faulty.url) => foreign.add(found, &file.asset.path, faulty.line),
                _ => own.add(found, &file.asset.path, faulty.line),
            }
        }
    }
    let mut findings = own.findings(words);
    findings.extend(foreign.findings(words).into_iter().map(RawFinding::light));
    findings.extend(of_build.findings(words).into_iter().map(RawFinding::always));
    findings.extend(payloads::find(material));
    findings
}

/// Whether a malformed URL names a host, so that it is not about this site.
fn names_a_host(url: &str) -> bool {
    url.contains("://") || url.starts_with("//")
}

fn words((url, position, fault): &(&str, Position, &UrlFault)) -> (String, String) {
    let what = format!("{} {}", noun(*position), shortened(url));
    match fault {
        UrlFault::Missing if *position == Position::Link => (
            format!("broken link: {} does not exist", shortened(url)),
            "correct the link or add the page".to_owned(),
        ),
        UrlFault::Missing => (
            format!("{what} does not exist"),
            "correct the address or put the file into `public/`".to_owned(),
        ),
        UrlFault::Spelled { right } => (
            format!("{what} does not exist in this spelling: the site has {right}"),
            format!("write {right}: {}", difference(right)),
        ),
        UrlFault::OutsideBasePath { right } => (
            format!("{what} leaves out the base path: the site has {right}"),
            match position {
                // Next.js joins `metadataBase` with the address of a picture, and never adds the base path by itself.
                Position::Card => format!("write {right}, or give `metadataBase` the base path"),
                _ => format!("write {right}, or use a component of Next.js, which adds the base path"),
            },
        ),
        UrlFault::Malformed | UrlFault::Local { .. } => (
            format!("{what} is not a URL that can be followed"),
            "correct the address".to_owned(),
        ),
    }
}

/// Explains why an address in another spelling does not exist.
fn difference(right: &str) -> &'static str {
    if right.contains("%25") {
        "the name of that file has a percent sign in it, which a URL writes as %25; or rename the file"
    } else if right.contains('%') {
        "web servers distinguish upper and lower case, and a letter with an accent from the letter plus a combining accent; or rename the \
         file"
    } else {
        "web servers distinguish upper and lower case"
    }
}

const fn noun(position: Position) -> &'static str {
    match position {
        Position::Link => "the link",
        Position::Image => "the picture",
        Position::Media => "the recording",
        Position::Frame => "the framed page",
        Position::Script => "the script",
        Position::Style | Position::CssImport => "the style sheet",
        Position::Preload => "the preloaded file",
        Position::Icon => "the icon",
        Position::Card => "the preview picture",
        Position::WebManifest => "the web manifest",
        Position::CssUrl => "the file of a style",
        Position::Unknown => "the file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Levels;
    use crate::model::severity::Severity;
    use crate::site::check::check;
    use crate::site::check::tests::Export;

    #[test]
    fn what_is_not_there_is_found_with_its_line() {
        let export = Export::new(&[
            (
                "index.html",
                "<p>\n<a href='/nowhere'>\n<img src='pictures/x.png?v=1' srcset='/y.png 2x'>\n\
                 <a href='https://docs.example.com/gone#x'><use href='/z.svg#z'>",
            ),
            ("a.css", "@import 'b.css';\n@font-face{src:url(/f.woff2)}"),
            ("d.svg", "<svg>\n<image href='e.png'/></svg>"),
        ]);
        assert_eq!(
            export.finds(find),
            [
                "a.css:2: the file of a style /f.woff2 does not exist",
                "index.html:2: broken link: /nowhere does not exist",
                "index.html:3: the picture /y.png does not exist",
                "index.html:4: the picture /z.svg#z does not exist",
                "a.css:1: the style sheet b.css does not exist",
                "d.svg:2: the picture e.png does not exist",
                "index.html:4: broken link: https://docs.example.com/gone#x does not exist",
                "index.html:3: the picture pictures/x.png?v=1 does not exist",
            ]
        );
    }

    #[test]
    fn every_way_to_name_what_is_there_is_left_in_peace() {
        let page = "<a href='/'><a href='/docs'><a href='/docs/'><a href='docs/a?x=1#y'><a href='/docs/a.html'>\
                    <a href='/gr%C3%B6%C3%9Fe'><a href='/größe'><a href='#x'><a href=''><a href='mailto:a@example.com'>\
                    <a href='https://example.com/nowhere'><img src='data:image/gif;base64,R0lG'><a href='/data.json'>\
                    <a href='//docs.example.com/docs'><a href='/section'><p>/nowhere</p><code>&lt;a href='/nowhere'></code>\
                    <link rel=icon href='/favicon.ico?favicon.1cn0ydnlbgg0d.ico'>";
        let export = Export::new(&[
            ("index.html", page),
            ("docs.html", ""),
            ("docs/a.html", ""),
            ("section/index.html", "<img src='p.png'><a href='../docs'>"),
            ("section/p.png", ""),
            ("größe.html", ""),
            ("data.json", ""),
            ("favicon.ico", ""),
        ]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn another_case_is_found_with_the_right_spelling() {
        let export = Export::new(&[
            ("index.html", "<a href='/Docs/A'><img src='/Logo.PNG'>"),
            ("docs/a.html", ""),
            ("logo.png", ""),
        ]);
        let findings = find(export.material());
        let hints: Vec<_> = findings.iter().map(|finding| finding.hint.as_str()).collect();
        assert!(
            hints[0].starts_with("write /docs/a:") && hints[1].starts_with("write /logo.png:"),
            "{hints:?}"
        );
    }

    #[test]
    fn name_with_a_percent_sign_and_other_code_points_are_found_with_the_file_that_was_meant() {
        let export = Export::new(&[
            ("index.html", "<a href='/c%23'><a href='/%C3%BCber'><a href='/a%2523'>"),
            ("c%23.html", ""),
            ("u\u{308}ber.html", ""),
            ("a%23.html", ""),
        ]);
        assert_eq!(
            export.finds(find),
            [
                "index.html:1: the link /%C3%BCber does not exist in this spelling: the site has /u%CC%88ber",
                "index.html:1: the link /c%23 does not exist in this spelling: the site has /c%2523",
            ]
        );
    }

    #[test]
    fn two_slashes_in_a_row_are_one() {
        let page = "<script src='/docs/_next/static/a.js'></script><img src='/docs//_next/static/media/a.png'>";
        let export = Export::new(&[
            ("index.html", page),
            ("_next/static/a.js", "1"),
            ("_next/static/media/a.png", "1"),
        ]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn forgotten_base_path_is_found_and_a_link_to_another_site_is_not() {
        let page = "<script src='/docs/_next/static/a.js'></script><a href='/'><a href='/pricing'><a href='/docs/a'>\
                    <a href='/docs'>\n<a href='/a'><img src='/logo.png'>";
        let export = Export::new(&[
            ("index.html", page),
            ("a.html", ""),
            ("logo.png", ""),
            ("_next/static/a.js", "1"),
        ]);
        assert_eq!(
            export.finds(find),
            [
                "index.html:2: the link /a leaves out the base path: the site has /docs/a",
                "index.html:2: the picture /logo.png leaves out the base path: the site has /docs/logo.png",
            ]
        );
    }

    #[test]
    fn preview_picture_without_the_base_path_wants_a_metadata_base_that_has_it() {
        let page = "<script src='/docs/_next/static/a.js'></script>\
                    <meta property='og:image' content='https://docs.example.com/card.png'>";
        let export = Export::new(&[("index.html", page), ("card.png", ""), ("_next/static/a.js", "1")]);
        let findings = find(export.material());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.contains("leaves out the base path"), "{findings:?}");
        assert!(
            findings[0].hint.ends_with("give `metadataBase` the base path"),
            "{findings:?}"
        );
    }

    #[test]
    fn relative_urls_start_from_the_base_of_a_page() {
        let export = Export::new(&[
            (
                "a/index.html",
                "<head><base href='/b/'></head><body><img src='c.png'><a href='#x'>",
            ),
            ("b/c.png", ""),
            (
                "b/index.html",
                "<head><base href='../a/'></head><body><img src='c.png'>",
            ),
            (
                "a/d.html",
                "<head><base href='https://elsewhere.example.com/'></head><body><img src='x.png'>",
            ),
        ]);
        assert_eq!(export.finds(find), ["b/index.html:1: the picture c.png does not exist"]);
    }

    #[test]
    fn link_of_a_menu_is_found_once() {
        let pages: Vec<(String, String)> = (0..50)
            .map(|page| (format!("{page:02}.html"), "\n<a href='/gone'>".to_owned()))
            .collect();
        let pages: Vec<(&str, &str)> = pages
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let found = Export::new(&pages).finds(find);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("00.html:2: broken link: /gone does not exist")
                && found[0].ends_with("49 other files")
        );
        let found = Export::new(&pages).allowing(&["00.html"]).finds(find);
        assert!(
            found[0].starts_with("01.html:2:") && found[0].ends_with("48 other files"),
            "{found:?}"
        );
    }

    #[test]
    fn a_url_that_is_none_stops_a_publish_only_where_it_is_the_sites_own() {
        let page = "<a href='/%ff'>\n<a href='https://&lt;your-domain>/'>";
        let export = Export::new(&[("index.html", page), ("404.html", ""), ("_next/static/a.js", "1")]);
        let problems = check(export.material(), &Levels::default());
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.line, problem.severity))
            .collect();
        assert_eq!(found, [(Some(1), Severity::Error), (Some(2), Severity::Warning)]);
    }
}
