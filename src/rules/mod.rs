//! What a request to the site gets: the rules of the printed vhost, as data and small functions. Pure.
//!
//! Two read them. The vhost generator prints them, and the preview answers by them, so no rule can be in one and not in
//! the other: what both need is a list or a table here, and where it is an enumeration, neither compiles before it knows
//! every case. What nginx does by itself, whatever is printed (how it reads an address, a range, a condition), stands
//! here too, as measured; a test asks both servers the same questions and compares.
//!
//! It must never know which files there are: that is asked of the one who has them, one path at a time.

mod accept;
pub mod address;
pub mod base;
pub mod conditions;
pub mod fingerprint;
pub mod headers;
pub mod marker;
pub mod nginx;
pub mod pages;
pub mod ranges;
#[cfg(test)]
mod tests;
pub mod types;

pub use accept::accepts;
pub use address::{Address, BadAddress};
pub use pages::Outcome;
pub use types::OwnTypes;

use crate::model::cache::Classes;
use crate::model::encoding::Coding;

/// How the export names its pages, and so which address of a page is the one to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageForm {
    /// `usage.html`, whose address is `/usage`.
    #[default]
    Flat,
    /// `usage/index.html`, whose address is `/usage/` (Next.js's `trailingSlash`).
    Folder,
}

impl PageForm {
    /// The form of an export, by what most of its pages do.
    ///
    /// The error pages of Next.js are files whichever form it is, so they don't count.
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

/// What is particular to one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How the export names its pages.
    pub form: PageForm,
    /// The path that all addresses of the site begin with, Next.js's `basePath`: `/handbook`, or
    /// nothing. Files have their paths of the export all the same.
    pub base_path: String,
    /// The path behind which the client's files are asked for, too: an `assetPrefix` that is a path and not the base
    /// path, or nothing.
    pub asset_prefix: String,
    /// Which files never change under one name.
    pub classes: Classes,
    /// The id that the build was told, Next.js's `deploymentId`, as [`headers::DEPLOYMENT`] needs it.
    pub deployment_id: Option<String>,
    /// The types that the site manifest gives to files.
    pub types: OwnTypes,
}

/// The encodings that stand beside a file, the one first that is taken where a visitor accepts both.
pub const CODINGS: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

/// The page of an answer that has no file, served with that status.
pub const NOT_FOUND_PAGE: &str = "404.html";

/// A request whose body is longer is refused: nginx's own limit, since the vhost sets none.
pub const MAX_BODY: u64 = 1 << 20;

impl Rules {
    /// What an address gets. `is_file` shows whether the site has a file at a path of the export.
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
