//! The values that are printed into a vhost, validated so that none can end its directive. Pure.
//!
//! nginx has no quoting that works for every value: inside quotes it still expands `$`, and some directives parse their
//! argument a second time. So values are never escaped. A value consists of characters without a special meaning to
//! nginx, or it is refused.

use std::fmt;
use std::str::FromStr;

/// Why a vhost can't be printed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VhostError {
    /// The server name is not a host name.
    #[error("`{0}` is no host name: letters, digits, `.` and `-` only")]
    ServerName(String),
    /// The docroot is not an absolute path, or nginx would read part of it as configuration.
    #[error(
        "the docroot `{}` can't be written into a vhost: it must be an absolute path without `..`, \
         made of letters, digits and `/ . _ - + @ , = : ~`",
        .0.escape_debug()
    )]
    Docroot(String),
    /// This is not a base path, or nginx would read part of it as something else.
    #[error(
        "the base path `{}` can't be written into a vhost: it must begin with `/`, end without one, \
         have no empty, `.` or `..` segment, and be made of ASCII letters, digits and `/ . _ - ~`",
        .0.escape_debug()
    )]
    BasePath(String),
    /// A folder whose files are immutable has a name that can't be printed.
    #[error(
        "the folder `{}` can't be written into a vhost: letters, digits, `.`, `_` and `-` only",
        .0.escape_debug()
    )]
    Folder(String),
    /// The deployment id can't be the value of a header.
    #[error(
        "the deployment id `{}` can't be written into a vhost: letters, digits and `- _ . ~ + = : / @` only",
        .0.escape_debug()
    )]
    DeploymentId(String),
    /// The address to listen on is neither a port nor an address with a port.
    #[error("`{}` is nothing to listen on: PORT or ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080", .0.escape_debug())]
    Listen(String),
    /// The path to include is not an absolute path on the host.
    #[error("`{}` can't be included by a vhost: it must be an absolute path", .0.escape_debug())]
    Include(String),
    /// The file of passwords is not an absolute path on the host.
    #[error(
        "`{}` can't be the file of passwords: it must be an absolute path on the host, made of letters, digits and \
         `/ . _ - + @ , = : ~`",
        .0.escape_debug()
    )]
    BasicAuth(String),
    /// Header rules that overlap are too long together.
    #[error(
        "the headers of `{}` (line {line} of {file}) overlap with so many other rules that nginx could not read them: \
         write fewer rules that set or remove {name}",
        .address.escape_debug()
    )]
    Headers {
        /// The address of the rule, as it is written.
        address: String,
        /// The file of the rule.
        file: String,
        /// The line of the rule.
        line: u32,
        /// The name of the header.
        name: String,
    },
    /// This is not a version of nginx.
    #[error("`{}` is no nginx version: write it as 1.28 or 1.28.0", .0.escape_debug())]
    Version(String),
}

/// A version of nginx; `1.28` means `1.28.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Version {
    /// Creates a version from its three numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Whether `http2 on;` exists. In older versions, HTTP/2 is a parameter of `listen`.
    #[must_use]
    pub fn has_http2_directive(self) -> bool {
        self >= Self::new(1, 25, 1)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::new(1, 28, 0)
    }
}

impl FromStr for Version {
    type Err = VhostError;

    fn from_str(version: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let parts: Option<Vec<u16>> = version.split('.').map(number).collect();
        match parts.as_deref() {
            Some(&[major, minor]) => Ok(Self::new(major, minor, 0)),
            Some(&[major, minor, patch]) => Ok(Self::new(major, minor, patch)),
            _ => Err(VhostError::Version(version.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Returns a value if it is fit, or else the error that it is not.
fn fit(value: &str, is_fit: bool, error: fn(String) -> VhostError) -> Result<&str, VhostError> {
    if is_fit {
        Ok(value)
    } else {
        Err(error(value.to_owned()))
    }
}

/// Validates a host name and returns it in lower case.
pub(super) fn server_name(name: &str) -> Result<String, VhostError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = name.len() <= 253 && name.split('.').all(label);
    let refused = || VhostError::ServerName(name.escape_debug().to_string());
    is_name.then(|| name.to_ascii_lowercase()).ok_or_else(refused)
}

/// The prefix of the vhost's variable names: unique to the vhost, and short enough for nginx.
///
/// A dot becomes `_` and a hyphen `__`. In a valid host name, of these two characters only hyphens can be adjacent, so
/// no two names have the same result.
pub(super) fn variable_prefix(server_name: &str) -> String {
    // A variable name longer than 46 bytes doesn't fit nginx's hash, whose size is set at http level.
    const LONGEST: usize = 36;
    let readable = server_name.replace('-', "__").replace('.', "_");
    if readable.len() <= LONGEST {
        return format!("sp_{readable}");
    }
    let hash = server_name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("sp_{}_{hash:016x}", &readable[..LONGEST - 17])
}

/// Validates an absolute path and removes its trailing slash.
pub(super) fn docroot(path: &str) -> Result<&str, VhostError> {
    let harmless = |c: char| c.is_alphanumeric() || "/._-+@,=:~".contains(c);
    let is_fit = path.starts_with('/') && path.chars().all(harmless) && path.split('/').all(|s| s != "..");
    fit(path, is_fit, VhostError::Docroot).map(|path| path.trim_end_matches('/'))
}

/// Whether a path, which may contain `*`, can be the argument of `include`.
#[must_use]
pub fn is_includable(path: &str) -> bool {
    docroot(&path.replace('*', "x")).is_ok() && !path.ends_with('/')
}

/// Whether a path can name one file on the host.
#[must_use]
pub fn is_file(path: &str) -> bool {
    docroot(path).is_ok() && !path.ends_with('/')
}

/// Validates a base path: empty, or one or more segments without a trailing slash.
///
/// It is printed into regular expressions and into a `Location`, so it may only contain characters that are literal in
/// both.
pub(super) fn base_path(path: &str) -> Result<&str, VhostError> {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(harmless);
    let is_below = path.strip_prefix('/').is_some_and(|path| path.split('/').all(segment));
    fit(path, path.is_empty() || is_below, VhostError::BasePath)
}

/// A folder of the site, with or without its trailing slash, as a regular expression.
pub(super) fn folder(folder: &str) -> Result<String, VhostError> {
    let name = folder.strip_suffix('/').unwrap_or(folder);
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let segment = |segment: &str| !segment.is_empty() && segment.bytes().all(harmless);
    fit(folder, name.split('/').all(segment), VhostError::Folder).map(|_| pattern(name))
}

/// A regular expression that matches only this validated path. The dot is the only character in such a path with a
/// special meaning.
pub(super) fn pattern(path: &str) -> String {
    path.replace('.', "[.]")
}

/// Validates a deployment ID.
pub(super) fn deployment_id(id: &str) -> Result<&str, VhostError> {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+=:/@".contains(&b);
    fit(id, !id.is_empty() && id.bytes().all(harmless), VhostError::DeploymentId)
}

/// Validates `PORT` or `ADDRESS:PORT`.
pub(super) fn listen(listen: &str) -> Result<&str, VhostError> {
    let port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let address = |address: &str| {
        let bracketed = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bracketed {
            Some(v6) => v6.contains(':') && v6.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b)),
            None => address == "*" || server_name(address).is_ok(),
        }
    };
    let valid = match listen.rsplit_once(':') {
        Some((host, number)) => address(host) && port(number),
        None => port(listen),
    };
    fit(listen, valid, VhostError::Listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS_OUT: &[&str] = &[
        ";", "{", "}", "\n", "\r", "$uri", " ", "\t", "\"", "'", "\\", "#", "\0", "*",
    ];

    #[test]
    fn value_that_could_end_its_directive_is_refused() {
        for bad in BREAKS_OUT {
            assert!(server_name(&format!("a{bad}b")).is_err(), "{bad:?}");
            assert!(docroot(&format!("/srv/a{bad}b")).is_err(), "{bad:?}");
            assert!(base_path(&format!("/a{bad}b")).is_err(), "{bad:?}");
            assert!(folder(&format!("a{bad}b")).is_err(), "{bad:?}");
            assert!(deployment_id(&format!("a{bad}b")).is_err(), "{bad:?}");
            assert!(listen(&format!("127.0.0.1{bad}:80")).is_err(), "{bad:?}");
            assert!(listen(&format!("80{bad}")).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn server_name_is_a_host_name() {
        assert_eq!(server_name("Docs.Example.com").as_deref(), Ok("docs.example.com"));
        assert!(server_name("localhost").is_ok());
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            ".",
            "a..b",
            "-a.com",
            "a-.com",
            "a_b.com",
            "größe.de",
            "*.a.com",
            &long,
        ] {
            assert!(server_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn docroot_is_absolute_and_stays_below_itself() {
        assert_eq!(docroot("/srv/größe/site/"), Ok("/srv/größe/site"));
        assert_eq!(docroot("/"), Ok(""));
        for bad in ["", "srv", "./srv", "/srv/../etc", "/srv/.."] {
            assert!(docroot(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_be_included_is_a_path_on_the_host() {
        for good in ["/etc/nginx/site.d/*.conf", "/etc/nginx/x.conf"] {
            assert!(is_includable(good), "{good}");
        }
        for bad in ["", "x.conf", "/etc/x;y", "/a b", "/etc/../x", "/etc/", "/$x"] {
            assert!(!is_includable(bad), "{bad}");
        }
    }

    #[test]
    fn a_file_of_passwords_is_one_path_on_the_host() {
        assert!(is_file("/etc/nginx/staging.htpasswd"));
        for bad in [
            "",
            "staging",
            "/etc/*.htpasswd",
            "/etc/x;y",
            "/a b",
            "/etc/../x",
            "/etc/",
            "/$x",
            "off",
        ] {
            assert!(!is_file(bad), "{bad}");
        }
    }

    #[test]
    fn base_path_is_nothing_or_plain_segments() {
        for good in ["", "/handbook", "/docs/v1.2", "/~a_b-c"] {
            assert_eq!(base_path(good), Ok(good));
        }
        for bad in [
            "/",
            "handbook",
            "/handbook/",
            "//handbook",
            "/a//b",
            "/a/./b",
            "/..",
            "/größe",
            "/a%20b",
            "/a?b",
        ] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
        assert_eq!(pattern("/docs/v1.2"), "/docs/v1[.]2");
    }

    #[test]
    fn folder_is_a_pattern_of_itself() {
        assert_eq!(folder("_next/static/").as_deref(), Ok("_next/static"));
        assert_eq!(folder("files.v2").as_deref(), Ok("files[.]v2"));
        for bad in ["", "/", "/a", "a//b", "größe", "a|b", "a(b"] {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn deployment_id_is_a_word() {
        for good in ["dpl_7Gh3", "2026-11-23T18:45+01", "v1.2"] {
            assert_eq!(deployment_id(good), Ok(good));
        }
        for bad in ["", "größe", "a,b"] {
            assert!(deployment_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listen_takes_a_port_or_an_address_with_one() {
        for good in ["80", "127.0.0.1:8080", "[::1]:8080", "[::]:80", "*:80", "localhost:80"] {
            assert_eq!(listen(good), Ok(good));
        }
        for bad in [
            "",
            "0",
            "65536",
            "+80",
            "127.0.0.1",
            ":80",
            "::1:80",
            "[]:80",
            "a:",
            "unix:/x",
        ] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variable_prefixes_differ_and_fit() {
        assert_eq!(variable_prefix("syntax.kraite.com"), "sp_syntax_kraite_com");
        let names = ["a-b.c", "a.b.c", "a--b.c", "ab.c"].map(variable_prefix);
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name}");
        }
        let long = |end: &str| variable_prefix(&format!("{}.{end}", "a".repeat(60)));
        assert_ne!(long("com"), long("org"));
        assert!(long("com").len() <= 39);
    }

    #[test]
    fn version_has_two_or_three_numbers() {
        assert_eq!("1.28".parse(), Ok(Version::default()));
        assert_eq!("1.22.1".parse(), Ok(Version::new(1, 22, 1)));
        for bad in ["", "1", "1.", "1.28.0.1", "v1.28", "1.+2", "1.99999", "1.28;"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!(Version::new(1, 25, 1).has_http2_directive());
        assert!(!Version::new(1, 25, 0).has_http2_directive());
    }
}
