//! The response headers. Pure.

use super::Rules;
use crate::model::cache::CacheClass;

/// The headers of every response except `Cache-Control`, in the order in which they are sent.
pub const SECURITY: [(&str, &str); 4] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("X-Frame-Options", "SAMEORIGIN"),
];

/// The header that names the deployment of the live release, if the site has a deployment ID. From Next.js 16.2 on, the
/// client loads the full document if this is not its own deployment.
///
/// It is sent only to a client that names its deployment in [`CLIENT_DEPLOYMENT`], and only if the live release is of
/// that deployment, that is, if it contains the file that [`deployment_mark`] names. So the header follows every
/// publish and rollback, and nothing in the vhost names a release.
pub const DEPLOYMENT: &str = "x-nextjs-deployment-id";

/// The header that tells browsers to use only HTTPS.
pub const HSTS: &str = "Strict-Transport-Security";

/// The header that asks search engines to leave a page out, and its value.
pub const NOINDEX: (&str, &str) = ("X-Robots-Tag", "noindex");

/// The header in which the Next.js client names its own deployment.
pub const CLIENT_DEPLOYMENT: &str = "x-deployment-id";

/// The folder of the marks: files that name the deployment of a release.
pub const DEPLOYMENT_MARKS: &str = "_deployment";

/// Suffix of a mark's file name.
pub const DEPLOYMENT_ENDING: &str = ".txt";

/// The IDs that a mark can have, as a regular expression.
pub const DEPLOYMENT_ID: &str = "[0-9A-Za-z_-][0-9A-Za-z._-]{0,127}";

/// Path of the mark for a deployment; `None` for an ID that can't be a file name.
#[must_use]
pub fn deployment_mark(id: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = !id.is_empty() && id.len() <= 128 && !id.starts_with('.') && id.bytes().all(is_plain);
    is_name.then(|| format!("{DEPLOYMENT_MARKS}/{id}{DEPLOYMENT_ENDING}"))
}

/// The deployment that a mark names; `None` if the path is not a mark.
#[must_use]
pub fn deployment_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix(DEPLOYMENT_MARKS)?.strip_prefix('/')?;
    name.strip_suffix(DEPLOYMENT_ENDING).filter(|id| !id.contains('/'))
}

/// Statuses of responses that carry the requested file or confirm the cached one.
pub const CARRYING: [u16; 3] = [200, 206, 304];

/// Caching of an error: never, whatever its path.
pub const NO_STORE: &str = "no-store";

impl Rules {
    /// The value of `Cache-Control`. Errors are never stored, files that never change under one name are cached for
    /// good, and everything else is revalidated on each use. `path` is the path of the file that is served, if any.
    #[must_use]
    pub fn cache_control(&self, status: u16, path: Option<&str>) -> &'static str {
        if status >= 400 {
            return NO_STORE;
        }
        let class = match path {
            Some(path) if CARRYING.contains(&status) => self.classes.classify(path),
            _ => CacheClass::Revalidate,
        };
        class.cache_control()
    }
}
