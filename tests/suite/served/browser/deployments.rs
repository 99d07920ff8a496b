//! A site with a `deploymentId` for each build: after every publish and after a rollback, Next.js's client navigates
//! without loading documents, over an nginx that is never reloaded.

use super::site::{Features, Site};
use crate::offline::faithful::version;
use crate::support::browser::Browser;

#[test]
fn clicks_load_no_document_after_three_publishes_and_a_rollback() {
    const CLICKS: [&str; 6] = [
        "a[href='/guide']",
        "a[href='/about']",
        "a[href='/']",
        "a[href='/guide']",
        "a[href='/']",
        "a[href='/about']",
    ];
    let version = version("16.4-deployment");
    let mut browser = Browser::start("deployments");
    let mut site = Site::new("deployments", Features::Default);
    let mut documents = Vec::new();
    let mut first = String::new();
    for what in ["first", "again", "edited"] {
        let (release, _) = site.publish(&version.build(what));
        if first.is_empty() {
            first = release;
        }
        documents.push(browser.tour(&site.base(), &CLICKS).documents);
    }
    site.roll_back_to(&first);
    documents.push(browser.tour(&site.base(), &CLICKS).documents);
    // The only document is the first page; no click loads one.
    assert_eq!(documents, [1, 1, 1, 1]);
}
