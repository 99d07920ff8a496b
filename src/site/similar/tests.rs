use proptest::prelude::*;

use super::*;
use crate::next::prose;

/// A text of this many words, which no other seed has.
fn text(seed: &str, words: usize) -> String {
    let words = (0..words).map(|at| format!("{seed}{}", hash(seed, &[at.to_string()]) % 997));
    words.collect::<Vec<_>>().join(" ")
}

/// A page in the layout that all pages of a site have.
fn html(title: &str, headings: &[&str], text: &str) -> String {
    let menu = super::tests::text("menu", 60);
    let headings = headings.join("</h2><h2>");
    format!(
        "<title>{title} | Docs</title><nav>Menu</nav><main><p>{menu}</p><h1>{title}</h1><h2>{headings}</h2><p>{text}</p>\
         <p>Edit this page on GitHub. Last updated on Monday.</p></main>"
    )
}

fn page(address: &str, html: &str) -> Page {
    Page {
        address: address.to_owned(),
        features: Features::of(&prose::read(html)),
    }
}

fn plain(address: &str, seed: &str) -> Page {
    page(address, &html(seed, &["Install", seed], &text(seed, 120)))
}

/// Pages that stay.
fn others() -> Vec<Features> {
    let others = ["red", "green", "blue", "white", "black"];
    others.map(|seed| plain("/", seed).features).to_vec()
}

/// The address and score of the page that is most like this one.
fn best(old: &Page, new: &[Page]) -> Option<(String, u8)> {
    let likely = suggest(std::slice::from_ref(old), new, &others())[0]?;
    Some((new[likely.page].address.clone(), likely.score))
}

#[test]
fn a_page_that_was_renamed_and_edited_is_found() {
    let body = text("usage", 200);
    let old = page("/old/usage", &html("Usage", &["Install", "Run"], &body));
    let edited = body.replacen("usage1", "another", 2) + " and one more sentence at the end";
    let renamed = page(
        "/guide/how-to-use",
        &html("How to use it", &["Install", "Run", "Stop"], &edited),
    );
    let new = [plain("/guide/other", "other"), renamed, plain("/guide/last", "last")];
    let (address, score) = best(&old, &new).unwrap();
    assert_eq!(address, "/guide/how-to-use");
    assert!((70..100).contains(&score), "{score}");
}

#[test]
fn a_page_that_is_gone_is_not_taken_for_another_one() {
    let new: Vec<Page> = ["a", "b", "c"]
        .iter()
        .map(|seed| plain(&format!("/{seed}"), seed))
        .collect();
    assert_eq!(best(&plain("/gone", "gone"), &new), None);
    // Neither is one with the same title and headings and another text.
    let old = page("/gone", &html("Overview", &["Parameters"], &text("one", 120)));
    let other = page("/api", &html("Overview", &["Parameters"], &text("two", 120)));
    assert_eq!(best(&old, &[other]), None);
    assert_eq!(best(&old, &[]), None);
}

#[test]
fn of_the_parts_of_a_page_the_one_with_more_of_it_is_found() {
    let (first, second) = (text("first", 150), text("second", 90));
    let old = page(
        "/guide",
        &html("Guide", &["Install", "Run"], &format!("{first} {second}")),
    );
    let new = [
        page("/guide/run", &html("Run", &["Run"], &second)),
        page("/guide/install", &html("Install", &["Install"], &first)),
    ];
    let (address, score) = best(&old, &new).unwrap();
    assert_eq!(address, "/guide/install");
    assert!(score >= LEAST, "{score}");
}

#[test]
fn of_equal_pages_the_one_whose_address_ends_alike_is_found() {
    let same = |address: &str| plain(address, "same");
    let new = [same("/a/x"), same("/new/docs/usage"), same("/new/usage")];
    assert_eq!(
        best(&same("/old/docs/usage"), &new),
        Some(("/new/docs/usage".to_owned(), 100))
    );
    assert_eq!(best(&same("/old"), &new), Some(("/a/x".to_owned(), 100)));
}

#[test]
fn a_page_that_says_almost_nothing_is_found_by_its_name_alone() {
    let empty = |address: &str| page(address, "<title>App</title><main>Loading …</main>");
    assert_eq!(best(&empty("/old/usage"), &[empty("/new/other")]), None);
    assert_eq!(
        best(&empty("/old/usage"), &[empty("/new/other"), empty("/new/usage")]),
        Some(("/new/usage".to_owned(), 100))
    );
    assert_eq!(best(&page("/a", ""), &[page("/b", "")]), None);
}

#[test]
fn among_many_pages_the_same_one_is_found() {
    let new: Vec<Page> = (0..300)
        .map(|at| plain(&format!("/new/{at}"), &format!("s{at}x")))
        .collect();
    let edited = page(
        "/old/7",
        &html("s7x", &["Install"], &(text("s7x", 120) + " with an edit")),
    );
    assert_eq!(best(&edited, &new).unwrap().0, "/new/7");
    assert_eq!(best(&plain("/old", "s8x"), &new), Some(("/new/8".to_owned(), 100)));
    assert_eq!(best(&plain("/old", "gone"), &new), None);
}

#[test]
fn long_pages_are_compared_by_a_sample() {
    let body = text("long", 20_000);
    let old = page("/old", &html("Long", &[], &body));
    assert_eq!(old.features.parts[0].len(), MOST_RUNS);
    let edited = page("/new", &html("Long", &[], &(text("added", 2000) + " " + &body)));
    let (_, score) = best(&old, &[edited]).unwrap();
    assert!((80..100).contains(&score), "{score}");
    assert_eq!(
        best(&old, &[page("/new", &html("Long", &[], &text("short", 2000)))]),
        None
    );
}

#[test]
fn a_script_without_spaces_has_words() {
    assert_eq!(words("Ünder-way, 使い方x"), ["ünder", "way", "使", "い", "方", "x"]);
}

#[test]
fn the_nearest_heading_has_almost_the_same_text_or_id() {
    let heading = |id: &str, text: &str| Heading {
        id: Some(id.to_owned()),
        text: text.to_owned(),
    };
    let now = [
        heading("installing", "Installing it"),
        heading("x1", "Run the server"),
        heading("x2", "Run the server"),
    ];
    let nearest = |id: &str, text: &str| nearest(&heading(id, text), &now);
    assert_eq!(nearest("run", "Run the server"), Some(("x1", 100)));
    let (id, score) = nearest("install", "Setup").unwrap();
    assert_eq!(id, "installing");
    assert!((60..100).contains(&score), "{score}");
    assert_eq!(nearest("faq", "Questions"), None);
}

proptest! {
    #[test]
    fn a_page_is_completely_like_itself(title in ".{0,20}", text in "[a-z]{1,3}( [a-zäß使]{1,6}){0,40}") {
        let page = page("/a", &html(&title, &[], &text));
        let weights = Weights::of(std::slice::from_ref(&page), std::slice::from_ref(&page), &others());
        prop_assert_eq!(weights.score(&page.features, &page.features), 100);
    }

    #[test]
    fn scores_are_the_same_both_ways(a in "([a-c]{1} ){0,30}", b in "([a-c]{1} ){0,30}") {
        let (a, b) = (page("/a", &html("a", &[], &a)), page("/b", &html("b", &[], &b)));
        let weights = Weights::of(std::slice::from_ref(&a), std::slice::from_ref(&b), &[]);
        let score = weights.score(&a.features, &b.features);
        prop_assert_eq!(score, weights.score(&b.features, &a.features));
        prop_assert!(score <= 100);
    }
}
