//! What a request to the site gets: the rules of the printed vhost, as data and small functions. Pure.
//!
//! They have two users: the vhost generator prints them, and the preview answers by them. So no rule can be in one and
//! missing in the other. Whatever both need is a list or a table here. If it is an enum, neither compiles until it
//! handles every case. What nginx does regardless of its configuration (how it reads an address, a range, a condition)
//! is here too, as measured; a test sends both servers the same requests and compares the answers.
//!
//! It must never have access to the list of files: the caller answers whether a path exists, one path at a time.

mod accept;
pub mod address;
pub mod base;
pub mod conditions;
pub mod csp;
pub mod custom_headers;
pub mod file_address;
pub mod fingerprint;
pub mod headers;
pub mod languages;
pub mod lines;
pub mod marker;
pub mod nginx;
pub mod pages;
pub mod ranges;
pub mod redirects;
#[cfg(test)]
mod tests;
pub mod types;

pub use accept::accepts;
pub use address::{Address, BadAddress};
pub use custom_headers::CustomHeaders;
pub use pages::Outcome;
pub use redirects::Redirects;
pub use types::OwnTypes;

use crate::model::cache::Classes;
use crate::model::encoding::Coding;

/// How the export names its pages, which decides the canonical address of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageForm {
    /// `usage.html`, whose address is `/usage`.
    #[default]
    Flat,
    /// `usage/index.html`, whose address is `/usage/` (Next.js's `trailingSlash`).
    Folder,
}

impl PageForm {
    /// The form that most pages of an export have.
    ///
    /// The error pages of Next.js are plain files in either form, so they don't count.
    pub fn of<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Self {
        let is_index = |path: &&str| path.ends_with("/index.html");
        let errors = ["index.html", NOT_FOUND_PAGE, "500.html", "_not-found.html"];
        let is_file = |path: &&str| {
            let name = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
            name.is_some_and(|(_, extension)| extension == "html") && !is_index(path) && !errors.contains(path)
        };
        if paths.clone().filter(is_index).count() > paths.filter(is_file).count() {
            Self::Folder
        } else {
            Self::Flat
        }
    }
}

/// The settings that differ from site to site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How the export names its pages.
    pub form: PageForm,
    /// The path that all addresses of the site start with, Next.js's `basePath`: `/handbook`, or empty. Paths of files
    /// are those of the export in either case.
    pub base_path: String,
    /// A path below which the client's files are requested too: an `assetPrefix` that is a path other than the base
    /// path, or empty.
    pub asset_prefix: String,
    /// Which files never change under one name.
    pub classes: Classes,
    /// The deployment ID of the build, Next.js's `deploymentId`, as [`headers::DEPLOYMENT`] needs it.
    pub deployment_id: Option<String>,
    /// The types that the site manifest assigns to files.
    pub types: OwnTypes,
    /// The languages with a front page of their own, if the site has no other: the first is for visitors who prefer
    /// none of them.
    pub languages: Vec<String>,
    /// Whether a page has one address alone. Otherwise the path of its file is an address, too.
    pub one_address: bool,
    /// The redirects of moved pages. The release has those of single addresses; the patterns apply after them.
    pub redirects: Redirects,
    /// The headers that the site sets at some of its addresses.
    pub headers: CustomHeaders,
}

/// The encodings that are stored next to a file. If a request accepts both, the first one is sent.
pub const CODINGS: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

/// The page that is served with status 404 if there is no file.
pub const NOT_FOUND_PAGE: &str = "404.html";

/// The longest request body that is accepted: nginx's default, because the vhost sets no limit.
pub const MAX_BODY: u64 = 1 << 20;

impl Rules {
    /// The page that a missing address gets, as a path of the export.
    #[must_use]
    pub fn not_found_page(&self, address: &Address, is_file: &dyn Fn(&str) -> bool) -> String {
        let spelled = address.spelled().and_then(|spelled| std::str::from_utf8(spelled).ok());
        let inner = spelled.and_then(|spelled| spelled.strip_prefix(self.base_path.as_str()));
        languages::not_found_page(inner.unwrap_or_default(), is_file)
    }

    /// Where a visitor with this `Accept-Language` is led from the front page.
    #[must_use]
    pub fn front_of(&self, accepted: &str) -> Option<String> {
        let language = languages::preferred(&self.languages, accepted)?;
        let slash = match self.form {
            PageForm::Flat => "",
            PageForm::Folder => "/",
        };
        Some(format!("{}/{language}{slash}", self.base_path))
    }

    /// Resolves an address. `is_file` reports whether the site has a file, or a redirect, at a path of the release.
    pub fn resolve(&self, address: &Address, is_file: &dyn Fn(&str) -> bool) -> Outcome {
        let arrival = base::behind_asset_prefix(&self.asset_prefix, &address.path)
            .unwrap_or_else(|| base::take_off(&self.base_path, self.form, &address.path));
        let path = match arrival {
            base::Arrival::Inside(path) => path,
            base::Arrival::Moved(to) => return Outcome::Moved(address.with_query(&to)),
            base::Arrival::Outside => return Outcome::NotFound,
        };
        pages::resolve(self, &path, address, is_file)
    }
}
