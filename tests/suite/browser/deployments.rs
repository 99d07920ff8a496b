//! A site with a `deploymentId` for each build: Next.js's client goes on without loading documents after every publish and
//! after a rollback, over an nginx that is never told of them.

use super::site::{Features, Site};
use crate::faithful::version;
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
    // The page that is opened, and none by a click.
    assert_eq!(documents, [1, 1, 1, 1]);
}
