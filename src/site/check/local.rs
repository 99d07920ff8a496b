//! `local`: no URL leads to the reader's own machine. Pure.
//!
//! A build without its public address writes `http://localhost:3000` in the address of a picture, a canonical link or a
//! preview picture. A link in a tutorial may be intended, so this is only a warning.

use super::finding::{Material, RawFinding, shortened};
use super::repeats::Repeats;
use crate::site::survey::UrlFault;

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut repeats = Repeats::new();
    for file in material.files() {
        for faulty in &file.facts.faulty {
            if matches!(faulty.fault, UrlFault::Local { .. }) {
                repeats.add(faulty.url.as_str(), &file.asset.path, faulty.line);
            }
        }
    }
    repeats.findings(|url| {
        (
            format!("{} leads to the reader's own machine", shortened(url)),
            "name the public address (`metadataBase`, or the variable of the environment that holds it), or write the \
             address as text"
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    #[test]
    fn urls_of_the_readers_own_machine_are_found() {
        for host in ["localhost:3000", "127.0.0.1", "[::1]:80", "x.localhost", "0.0.0.0:8080"] {
            let page = format!("<p>\n<img src='http://{host}/logo.png'>");
            let export = Export::new(&[("index.html", page.as_str())]);
            assert_eq!(
                export.finds(find),
                [format!(
                    "index.html:2: http://{host}/logo.png leads to the reader's own machine"
                )]
            );
        }
    }

    #[test]
    fn text_and_other_hosts_are_left_in_peace() {
        let page =
            "<p>open http://localhost:3000</p><a href='https://localhost.example.com/'><a href='http://127.example'>";
        assert_eq!(Export::new(&[("index.html", page)]).finds(find), [""; 0]);
    }
}
