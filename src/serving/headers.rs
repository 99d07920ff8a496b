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

/// The header that names the deployment, where there is one: Next.js's client reads it.
pub const DEPLOYMENT: &str = "x-nextjs-deployment-id";

/// The header that tells browsers to use HTTPS alone.
pub const HSTS: &str = "Strict-Transport-Security";

/// The statuses of answers that carry the file that was asked for, or say that the reader has it.
pub const CARRYING: [u16; 3] = [200, 206, 304];

/// What a reader may keep of an error: nothing, whatever its path.
pub const NO_STORE: &str = "no-store";

impl Rules {
    /// The value of `Cache-Control`: errors are kept by nobody, files that never change under one name for good, and all
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
        let deployment = self.deployment_id.as_deref().map(|id| (DEPLOYMENT, id));
        SECURITY.into_iter().chain(deployment)
    }
}
