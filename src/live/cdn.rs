//! How a CDN changes responses, how to recognize each change, and which setting switches it off. Pure.
//!
//! Cloudflare's marks, headers and settings are named as in its documentation. For other CDNs only general signs are
//! recognized.

use crate::live::http::Response;

/// A CDN feature that rewrites responses and leaves a recognizable mark in them.
#[derive(Debug, PartialEq, Eq)]
pub struct CdnFeature {
    /// The texts or the header that identify the feature in a response.
    marks: &'static [&'static str],
    /// The name of the feature.
    pub name: &'static str,
    /// The setting that switches it off.
    pub setting: &'static str,
    /// Whether hydration still works: what the feature adds is outside the part of the page that React manages.
    pub is_harmless: bool,
}

/// The features that can be recognized by the marks that they leave in a page.
pub static REWRITERS: [CdnFeature; 6] = [
    CdnFeature {
        marks: &["rocket-loader.min.js"],
        name: "Cloudflare's Rocket Loader",
        setting: "switch off Speed > Settings > Content Optimization > Rocket Loader",
        is_harmless: false,
    },
    CdnFeature {
        marks: &["/cdn-cgi/l/email-protection", "data-cfemail"],
        name: "Cloudflare's Email Address Obfuscation",
        setting: "switch off Security > Settings > Email Address Obfuscation (formerly Scrape Shield)",
        is_harmless: false,
    },
    CdnFeature {
        marks: &["mirage2.min.js"],
        name: "Cloudflare's Mirage",
        setting: "switch off Speed > Settings > Image Optimization > Mirage",
        is_harmless: false,
    },
    CdnFeature {
        marks: &["/cdn-cgi/zaraz/"],
        name: "Cloudflare's Zaraz",
        setting: "switch off automatic injection in Zaraz > Settings",
        is_harmless: true,
    },
    CdnFeature {
        marks: &["/cdn-cgi/challenge-platform/"],
        name: "Cloudflare's JavaScript Detections",
        setting: "switch off JavaScript Detections in Security > Settings > Bot traffic",
        is_harmless: true,
    },
    CdnFeature {
        marks: &["static.cloudflareinsights.com/beacon.min.js"],
        name: "Cloudflare's Web Analytics",
        setting: "switch off automatic setup in Web Analytics > Manage site, or put the snippet into the site itself",
        is_harmless: true,
    },
];

/// The feature that recompresses images, recognized by the header that Cloudflare adds to them.
static POLISH: CdnFeature = CdnFeature {
    marks: &["cf-polished"],
    name: "Cloudflare's Polish",
    setting: "switch off Speed > Settings > Image Optimization > Polish: the export's pictures are as they should be",
    is_harmless: true,
};

/// Returns the feature that rewrote a response, if it left its mark. Of the features in [`REWRITERS`], harmful ones are
/// preferred.
pub fn rewriter(answer: &Response, body: &[u8]) -> Option<&'static CdnFeature> {
    if POLISH.marks.iter().any(|mark| answer.header(mark).is_some()) {
        return Some(&POLISH);
    }
    let text = String::from_utf8_lossy(body);
    let has_mark = |rewriter: &&CdnFeature| rewriter.marks.iter().any(|mark| text.contains(mark));
    REWRITERS.iter().find(has_mark)
}

/// Whether a response came through a CDN, judged by the headers that CDNs add.
pub fn answered(answer: &Response) -> bool {
    let named = |name: &str| answer.header(name).is_some();
    named("cf-ray") || named("cf-cache-status") || named("x-cache") || named("via") || named("x-served-by")
}

/// Maximum length, in characters, of a header value that is kept for a message.
const MOST_SHOWN: usize = 100;

/// Returns what the CDN reports about its cache: "cf-cache-status HIT, age 3600".
pub fn cached(answer: &Response) -> Option<String> {
    let short = |value: &str| value.chars().take(MOST_SHOWN).collect::<String>();
    let status = ["cf-cache-status", "x-cache"]
        .into_iter()
        .find_map(|name| Some(format!("{name} {}", short(answer.header(name)?))));
    let age = answer.header("age").map(|age| format!("age {}", short(age)));
    let said: Vec<String> = status.into_iter().chain(age).collect();
    (!said.is_empty()).then(|| crate::model::path::printable(&said.join(", ")))
}

/// Whether the CDN challenges the visitor to prove that they are human.
pub fn is_challenge(answer: &Response) -> bool {
    answer.header("cf-mitigated") == Some("challenge")
}

/// Whether the status means that the CDN got no answer from the origin.
pub const fn is_edge_error(status: u16) -> bool {
    matches!(status, 520..=527 | 530)
}

/// The usual cause of one of Cloudflare's own error statuses.
pub const fn cause(status: u16) -> &'static str {
    match status {
        520 => "the origin sent something that is no answer, or reset the connection",
        521 => "the origin refuses connections: nginx is down, or a firewall rejects Cloudflare's addresses",
        522 => {
            "no connection comes about: the DNS record's address is not that of a machine which serves this site, or a firewall drops Cloudflare's addresses"
        }
        523 => "the origin's address can't be reached: the DNS record is wrong, or its network is down",
        524 => "the origin accepts and then takes longer than 100 seconds",
        525 => {
            "the TLS handshake with the origin fails: port 443 has no certificate for this name, or no common cipher"
        }
        526 => {
            "SSL mode is Full (strict), and the origin's certificate is expired, for another name, or not signed by a CA that Cloudflare trusts"
        }
        527 => "the connection between Railgun and the origin broke",
        530 => "the origin's name does not resolve for Cloudflare (error 1016), or the zone is suspended",
        _ => "it could not get an answer from the origin",
    }
}
