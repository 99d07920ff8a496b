//! `hreflang`: pages in several languages name one another. Pure.
//!
//! A search engine ignores an alternate link if the page that it leads to does not lead back, and a language that it
//! does not know. Links to pages that are not there are findings of `links`. Nothing is known of pages of other hosts.

use super::finding::{Material, RawFinding, shortened};
use super::repeats::Repeats;
use crate::next::url::Resolver;
use crate::site::survey::{Head, LeadsTo};

/// For visitors whose language the site does not have. Such a page need not lead back.
const DEFAULT: &str = "x-default";

pub(super) fn find(material: Material<'_>) -> Vec<RawFinding> {
    let mut languages = Repeats::new();
    let mut one_way = Repeats::new();
    let facts = &material.survey.facts;
    let mut crawls = facts.iter().filter_map(|facts| facts.crawl.as_ref());
    // A sitemap can say the same, and the pages then need not.
    let is_in_sitemap = crawls.any(|crawl| crawl.has_alternates);
    for file in material.files() {
        let Some(head) = &file.facts.head else { continue };
        for alternate in &head.alternates {
            if !is_language(&alternate.language) {
                languages.add(alternate.language.as_str(), &file.asset.path, alternate.line);
            }
            let Some((page, other)) = alternate
                .page
                .and_then(|page| Some((page, facts.get(page)?.head.as_ref()?)))
            else {
                continue;
            };
            let leads_back = other.alternates.iter().any(|back| back.page == Some(file.index));
            let counts = is_listed(head, file.index) && is_listed(other, page) && page != file.index;
            if counts && !leads_back && !is_in_sitemap && !alternate.language.eq_ignore_ascii_case(DEFAULT) {
                one_way.add((page, alternate.language.as_str()), &file.asset.path, alternate.line);
            }
        }
    }
    let resolver = Resolver::new(None, &material.survey.base_path);
    let mut findings = languages.findings(|language| {
        (
            format!(
                "hreflang \"{}\" is not a language that search engines know",
                shortened(language)
            ),
            "write a language and, if need be, a script and a country: `de`, `en-GB`, `zh-Hant`".to_owned(),
        )
    });
    findings.extend(one_way.findings(|(page, language)| {
        let address = material.assets.get(*page).map(|asset| resolver.page_address(asset.path.as_str()));
        let address = address.unwrap_or_default();
        (
            format!("{address} is named as the page in \"{}\", and does not name this page", shortened(language)),
            format!("search engines ignore such a link: name the pages of all languages on {address}, too, or correct the link"),
        )
    }));
    findings
}

/// Whether a search engine lists a page under its own address.
fn is_listed(head: &Head, index: usize) -> bool {
    let is_own = |leads: &LeadsTo| *leads == LeadsTo::File(index);
    head.noindex.is_none() && !head.is_redirect && head.canonical.as_ref().is_none_or(|named| is_own(&named.leads))
}

/// Whether a search engine may know a language. Codes of three letters and variants are not looked up.
fn is_language(tag: &str) -> bool {
    if tag.eq_ignore_ascii_case(DEFAULT) {
        return true;
    }
    let lists = |list: &str, code: &str| {
        list.split_ascii_whitespace()
            .any(|known| known.eq_ignore_ascii_case(code))
    };
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let is_known = match language.len() {
        2 => lists(LANGUAGES, language),
        3 => language.bytes().all(|byte| byte.is_ascii_alphabetic()),
        _ => false,
    };
    is_known
        && parts.all(|part| match part.len() {
            2 => lists(COUNTRIES, part),
            length => (3..=8).contains(&length) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        })
}

/// ISO 639-1, with the codes that were in it once.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv \
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu \
    iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na \
    nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss \
    st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// ISO 3166-1, with Kosovo's code, which is in common use.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV \
    BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG \
    KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX \
    MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG \
    SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG \
    VI VN VU WF WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::check::tests::Export;

    fn alternates(pages: &[(&str, &str)]) -> String {
        let links = pages
            .iter()
            .map(|(language, url)| format!("<link rel=alternate hreflang='{language}' href='{url}'>\n"));
        links.collect()
    }

    #[test]
    fn page_that_does_not_lead_back_is_found() {
        let both = alternates(&[("en", "/en/a"), ("de", "https://docs.example.com/de/a")]);
        let export = Export::new(&[("en/a.html", both.as_str()), ("de/a.html", "")]);
        assert_eq!(
            export.finds(find),
            ["en/a.html:2: /de/a is named as the page in \"de\", and does not name this page"]
        );
        let mutual = Export::new(&[("en/a.html", both.as_str()), ("de/a.html", &both)]);
        assert_eq!(mutual.finds(find), [""; 0]);
    }

    #[test]
    fn pages_that_need_not_lead_back_are_left_in_peace() {
        let all = alternates(&[
            ("x-default", "/start"),
            ("en", "/en"),
            ("fr", "https://fr.example.com/"),
            ("de", "/de"),
            ("es", "/es"),
        ]);
        let hidden = "<meta name=robots content=noindex>";
        let copy = format!("<link rel=canonical href='/en'>{all}");
        let files = [
            ("start.html", ""),
            ("en.html", all.as_str()),
            ("de.html", hidden),
            ("es.html", "<meta http-equiv=refresh content='0; URL=/en'>"),
            ("copy.html", &copy),
        ];
        assert_eq!(Export::new(&files).finds(find), [""; 0]);
    }

    #[test]
    fn sitemap_may_say_the_same() {
        let sitemap = "<urlset xmlns:xhtml='http://www.w3.org/1999/xhtml'><url><loc>https://docs.example.com/a</loc>\
                       <xhtml:link rel='alternate' hreflang='de' href='https://docs.example.com/b'/></url></urlset>";
        let page = alternates(&[("de", "/b")]);
        let export = Export::new(&[("a.html", page.as_str()), ("b.html", ""), ("sitemap.xml", sitemap)]);
        assert_eq!(export.finds(find), [""; 0]);
    }

    #[test]
    fn languages_that_search_engines_do_not_know_are_found() {
        for language in [
            "en-UK",
            "en_US",
            "english",
            "us-",
            "xx",
            "en-EU",
            "",
            "e",
            "de-",
            "en-US_POSIX-and-more",
        ] {
            assert!(!is_language(language), "{language}");
        }
        for language in [
            "x-default",
            "X-Default",
            "de",
            "EN",
            "en-gb",
            "zh-Hant-TW",
            "es-419",
            "haw",
            "sr-Latn",
            "iw",
        ] {
            assert!(is_language(language), "{language}");
        }
        let page = format!("\n{}", alternates(&[("en-UK", "/a")]));
        assert_eq!(
            Export::new(&[("a.html", page.as_str())]).finds(find),
            ["a.html:2: hreflang \"en-UK\" is not a language that search engines know"]
        );
    }
}
