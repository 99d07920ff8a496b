//! The headers that answers have. Pure.

use super::Rules;
use crate::model::cache::CacheClass;

/// The headers that every answer has.
pub const SECURITY: [(&str, &str); 4] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("X-Frame-Options", "SAMEORIGIN"),
];

/// The header that names the deployment of the live release, for a site that has one: Next.js's client, from 16.2 on, loads
/// the document where it is not its own. It is sent to a client that says in [`CLIENT_DEPLOYMENT`] that it is of that
/// deployment, which is so while the release has the file that [`deployment_mark`] names. So it follows a publish and a
/// rollback, and nothing that names a release is in the vhost.
pub const DEPLOYMENT: &str = "x-nextjs-deployment-id";

/// The header that tells browsers to use HTTPS alone.
pub const HSTS: &str = "Strict-Transport-Security";

/// The header in which Next.js's client names its own deployment.
pub const CLIENT_DEPLOYMENT: &str = "x-deployment-id";

/// The folder of the files that say which deployment a release is of.
pub const DEPLOYMENT_MARKS: &str = "_deployment";

/// What a mark's name ends with.
pub const DEPLOYMENT_ENDING: &str = ".txt";

/// The ids that a mark can have, as a regular expression.
pub const DEPLOYMENT_ID: &str = "[0-9A-Za-z_-][0-9A-Za-z._-]{0,127}";

/// The path of the file that says that a release is of this deployment; `None` for an id that can't be a name.
#[must_use]
pub fn deployment_mark(id: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = !id.is_empty() && id.len() <= 128 && !id.starts_with('.') && id.bytes().all(is_plain);
    is_name.then(|| format!("{DEPLOYMENT_MARKS}/{id}{DEPLOYMENT_ENDING}"))
}

/// The deployment that a file says its release is of; `None` for any other file.
#[must_use]
pub fn deployment_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix(DEPLOYMENT_MARKS)?.strip_prefix('/')?;
    name.strip_suffix(DEPLOYMENT_ENDING).filter(|id| !id.contains('/'))
}

/// The statuses of answers that carry the file that was asked for, or say that the reader has it.
pub const CARRYING: [u16; 3] = [200, 206, 304];

/// What a reader may keep of an error: nothing, whatever its path.
pub const NO_STORE: &str = "no-store";

impl Rules {
    /// The value of `Cache-Control`: errors are kept by no one, files that never change under one name for good, and all
    /// else only if the reader asks each time. `path` is that of the file which is served, if one is.
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

    /// The headers of every answer, beside `Cache-Control`, in the order in which they are sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        SECURITY.into_iter()
    }
}
