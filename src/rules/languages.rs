//! Sites in several languages, each in a folder of its own: the page for missing files of a language, and the language
//! of a visitor who asks for the front page of a site that has none. Pure.

use super::{NOT_FOUND_PAGE, PageForm};

/// The names of folders that may be languages, as a regular expression: `de`, `pt-BR`, `zh-Hans`.
pub const TAG: &str = "[a-z]{2,3}(?:-[0-9A-Za-z]{2,8})*";

/// The files that may be a language's page for missing files, as ends of a path that starts with the language.
pub const NOT_FOUND_ENDS: [&str; 2] = ["/404.html", "/404/index.html"];

/// Whether a name is a language tag.
#[must_use]
pub fn is_tag(name: &str) -> bool {
    let mut parts = name.split('-');
    let is_primary = |part: &str| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase());
    let is_subtag = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    parts.next().is_some_and(is_primary) && parts.all(is_subtag)
}

/// The page for missing files that an address gets, as a path of the export. `spelled` is the address as the visitor
/// spelled it, without the base path.
#[must_use]
pub fn not_found_page(spelled: &str, is_file: &dyn Fn(&str) -> bool) -> String {
    let language = spelled.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    let language = language.map(|(first, _)| first).filter(|first| is_tag(first));
    let own = language.and_then(|language| {
        let mut pages = NOT_FOUND_ENDS.iter().map(|end| format!("{language}{end}"));
        pages.find(|page| is_file(page))
    });
    own.unwrap_or_else(|| NOT_FOUND_PAGE.to_owned())
}

/// Whether a file is a page for missing files, of the site or of one of its languages.
#[must_use]
pub fn is_error_page(path: &str) -> bool {
    let of_language = |end: &str| path.strip_suffix(end).is_some_and(is_tag);
    let of_site = |end: &str| path == &end[1..];
    let of_next = ["_not-found.html", "_not-found/index.html", "500.html"];
    of_next.contains(&path) || NOT_FOUND_ENDS.into_iter().any(|end| of_site(end) || of_language(end))
}

/// The languages that an export has front pages for, if it has no front page of its own: the one for visitors who
/// prefer none of them first.
pub fn of_site<'a>(form: PageForm, paths: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    if paths.clone().any(|path| path == "index.html") {
        return Vec::new();
    }
    let front = |path: &'a str| {
        let name = match form {
            PageForm::Flat => path.strip_suffix(".html"),
            PageForm::Folder => path.strip_suffix("/index.html"),
        };
        name.filter(|name| is_tag(name)).map(str::to_owned)
    };
    let mut languages: Vec<String> = paths.filter_map(front).collect();
    // Most sites that have English have it for everybody else.
    languages.sort_by_key(|language| (language != "en", language.clone()));
    languages.dedup();
    languages
}

/// The first language of a visitor's `Accept-Language` that the site has, else the site's first. Browsers list languages
/// by preference, and nginx can't compare their weights.
#[must_use]
pub fn preferred<'l>(languages: &'l [String], accepted: &str) -> Option<&'l String> {
    let wanted = accepted
        .split(',')
        .map(|part| part.split(';').next().unwrap_or_default().trim());
    let mut wanted = wanted;
    wanted
        .find_map(|tag| best(languages, tag))
        .or_else(|| languages.first())
}

/// The site's language for a tag: the tag itself, or the longest language that it starts with.
fn best<'l>(languages: &'l [String], tag: &str) -> Option<&'l String> {
    let is_prefix = |language: &&String| {
        tag.strip_prefix(language.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    languages.iter().filter(is_prefix).max_by_key(|language| language.len())
}

/// A regular expression over `Accept-Language` whose group is what [`preferred`] returns, if the visitor prefers any of
/// the languages.
#[must_use]
pub fn regex(languages: &[String]) -> String {
    let mut longest_first: Vec<&str> = languages.iter().map(String::as_str).collect();
    longest_first.sort_by_key(|language| std::cmp::Reverse(language.len()));
    format!("(?:^|,)[ ]*({})(?:-[^,;]*)?[ ]*(?:[;,]|\\z)", longest_first.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_language_tags_are_languages() {
        for tag in ["de", "gsw", "pt-BR", "zh-Hans", "zh-Hant-TW"] {
            assert!(is_tag(tag), "{tag}");
        }
        for other in ["", "d", "docs", "DE", "de-", "de_CH", "api/v1", "de-x"] {
            assert!(!is_tag(other), "{other}");
        }
    }

    #[test]
    fn missing_addresses_get_the_page_of_their_language() {
        let files = ["404.html", "de/404.html", "fr/404/index.html"];
        let page = |spelled: &str| not_found_page(spelled, &|path| files.contains(&path));
        for (spelled, wanted) in [
            ("/x", "404.html"),
            ("/de/x/y", "de/404.html"),
            ("/fr/x", "fr/404/index.html"),
            ("/it/x", "404.html"),
            ("/de", "404.html"),
            ("/../x", "404.html"),
            ("", "404.html"),
        ] {
            assert_eq!(page(spelled), wanted, "{spelled}");
        }
    }

    #[test]
    fn front_pages_of_languages_count_if_the_site_has_no_other() {
        let flat = ["de.html", "en.html", "docs.html", "fr/index.html"];
        assert_eq!(of_site(PageForm::Flat, flat.into_iter()), ["en", "de"]);
        let folder = ["de/index.html", "pt-BR/index.html", "docs/index.html"];
        assert_eq!(of_site(PageForm::Folder, folder.into_iter()), ["de", "pt-BR"]);
        let with_front = ["index.html", "de.html"];
        assert_eq!(of_site(PageForm::Flat, with_front.into_iter()), [""; 0]);
    }

    #[test]
    fn the_first_language_that_the_site_has_is_taken() {
        let languages = ["en", "de", "pt-BR", "zh-Hant"].map(str::to_owned);
        for (accepted, wanted) in [
            ("de-CH, en;q=0.8", "de"),
            ("fr-FR, fr;q=0.9, pt-BR;q=0.5", "pt-BR"),
            ("zh-Hant-TW", "zh-Hant"),
            ("pt", "en"),
            ("", "en"),
            ("deutsch", "en"),
            ("*", "en"),
        ] {
            assert_eq!(preferred(&languages, accepted).unwrap(), wanted, "{accepted}");
        }
        assert_eq!(preferred(&[], "de"), None);
    }
}
