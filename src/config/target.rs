//! Targets: the named places to which a site is published.
//!
//! Pure. Values of an sftp target reach the command line of `ssh`, which reads some of them as options, expands `%` and
//! `${…}` in others and splits its own configuration at line ends. So this module refuses every value that could have
//! another meaning there, by one set of rules, and no later stage has to quote. It must never resolve a docroot, which
//! stays the text that was written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::host_key::HostKey;
use super::section::{Expect, Refusal, Section, expect, one_of, owned_if, quoted, text, which};
use super::shape::Shape;
use super::url::is_ipv6_like;
use super::values::{is_name, local_path};
use crate::rules::nginx::{Access, Version, is_file};

/// The name of the target that exists without a table.
pub(super) const EMBEDDED: &str = "local";

/// A named place to publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is, and how to reach it.
    pub kind: TargetKind,
    /// The docroot as nginx sees it, if that is a different path: an account in a chroot sees only a part of the disk.
    pub nginx_root: Option<String>,
    /// The version of nginx on the host.
    pub nginx_version: Option<Version>,
    /// Who is to see the site.
    pub access: Access,
}

/// The kind of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A folder on this machine.
    Local {
        /// The folder that contains the store, relative to the site manifest.
        docroot: String,
    },
    /// A host reached over SFTP.
    Sftp(SftpTarget),
}

/// A host reached over SFTP. Fields that are `None` are left to ssh and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpTarget {
    /// A name, an address (IPv6 without brackets) or an alias of the ssh configuration.
    pub host: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// The file of the private key; a leading `~/` is not expanded yet.
    pub identity: Option<String>,
    /// The known-hosts file; a leading `~/` is not expanded yet.
    pub known_hosts: Option<String>,
    /// The key that the host must present. If it is given, no other key is accepted.
    pub host_key: Option<HostKey>,
    /// The folder that contains the store, as SFTP sees it: absolute, without `.` and `..`.
    pub docroot: String,
    /// Whether SSH compresses.
    pub compression: Compression,
}

/// Whether SSH compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// If the host is not near.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// A host that answers sooner than this is near. A line to such a host is usually faster than SSH compresses.
const NEAR: Duration = Duration::from_millis(5);

impl Compression {
    /// Whether to compress, given how long a round trip to the host took when it was last measured.
    #[must_use]
    pub fn is_on(self, round_trip: Option<Duration>) -> bool {
        match self {
            Self::Auto => round_trip.is_none_or(|round_trip| round_trip >= NEAR),
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl Target {
    pub(super) fn embedded() -> Self {
        Self {
            kind: TargetKind::Local {
                docroot: "target/docroot".to_owned(),
            },
            nginx_root: None,
            nginx_version: None,
            access: Access::default(),
        }
    }
}

const KIND: Expect = expect(r#""local" or "sftp""#, r#""sftp""#);
const LOCAL_DOCROOT: Expect = expect("the folder to publish into", r#""target/docroot""#);
const SFTP_DOCROOT: Expect = expect(
    "an absolute path as SFTP sees it, without `.`, `..` or a `/` at its end",
    r#""/site""#,
);
const HOST: Expect = expect(
    "a host name, an address or an alias of the ssh configuration",
    r#""www.example.com""#,
);
const USER: Expect = expect("a user name of letters, digits, `.`, `_` and `-`", r#""deploy""#);
const PORT: Expect = expect("a whole number from 1 to 65535", "22");
const IDENTITY: Expect = expect("the file of a private key", r#""~/.ssh/id_ed25519""#);
const KNOWN_HOSTS: Expect = expect("a known-hosts file", r#""~/.ssh/known_hosts""#);
const HOST_KEY: Expect = expect(
    "exactly one public key, its type and its base64",
    r#""ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…""#,
);
const COMPRESSION_WORDS: [(&str, Compression); 1] = [("auto", Compression::Auto)];
const COMPRESSION: Expect = expect(r#""auto", true or false"#, r#""auto""#);
const NGINX_ROOT: Expect = expect(
    "an absolute path as nginx sees it, without `.`, `..` or a `/` at its end",
    r#""/srv/syntax/site""#,
);
const NGINX_VERSION: Expect = expect("what `nginx -v` says on the host", r#""1.22""#);
pub(super) const BASIC_AUTH: Expect = expect(
    "an absolute path on the host: the file that `htpasswd` wrote",
    r#""/etc/nginx/staging.htpasswd""#,
);

/// The file of `basic-auth`.
pub(super) fn basic_auth(text: &str) -> Result<String, Refusal> {
    let reason = "is not absolute, or holds a character that nginx reads as something else";
    owned_if(is_file(text), text, reason)
}

const SFTP_ONLY: [&str; 7] = [
    "host",
    "user",
    "port",
    "identity",
    "known-hosts",
    "host-key",
    "compression",
];

/// Reads `[targets]`. The second value also contains the names of targets that have a mistake.
pub(super) fn read(targets: Option<&Section<'_>>) -> (BTreeMap<String, Target>, Vec<String>) {
    let mut read = BTreeMap::from([(EMBEDDED.to_owned(), Target::embedded())]);
    let mut names = vec![EMBEDDED.to_owned()];
    for (name, section) in targets.map(Section::entries).unwrap_or_default() {
        if !is_name(&name, b"_-") {
            section.problem(
                "",
                format!("the target name {} can't be used", quoted(&name)),
                "begin with a lower-case letter or a digit, and go on with those, `_` and `-`".to_owned(),
            );
        }
        let nginx_root = section.read_text("nginx-root", NGINX_ROOT, absolute);
        let nginx_version = section.read_text("nginx-version", NGINX_VERSION, |text| {
            text.parse().or_else(|_| which("is not a version of nginx"))
        });
        let access = Access {
            noindex: section.read_bool("noindex", "true").unwrap_or_default(),
            basic_auth: section.read_text("basic-auth", BASIC_AUTH, basic_auth),
        };
        if let Some(kind) = read_one(&section) {
            let target = Target {
                kind,
                nginx_root,
                nginx_version,
                access,
            };
            read.insert(name.clone(), target);
        }
        section.close();
        names.push(name);
    }
    names.sort();
    names.dedup();
    (read, names)
}

fn read_one(section: &Section<'_>) -> Option<TargetKind> {
    section.require("kind", KIND);
    let kinds = [("local", false), ("sftp", true)];
    let is_sftp = section.read_word("kind", KIND, &kinds, "is not a kind of target");
    match is_sftp {
        Some(false) => {
            section.refuse_keys(&SFTP_ONLY, r#"it is for targets of kind = "sftp""#);
            let docroot = section.read_required("docroot", LOCAL_DOCROOT, local_path)?;
            Some(TargetKind::Local { docroot })
        }
        Some(true) => read_sftp(section).map(TargetKind::Sftp),
        None => {
            // Without a valid kind, any key of either kind may be right, so none of them is reported as unknown.
            section.skip(&SFTP_ONLY);
            section.skip(&["docroot"]);
            None
        }
    }
}

fn read_sftp(section: &Section<'_>) -> Option<SftpTarget> {
    let host = section.read_required("host", HOST, host);
    let docroot = section.read_required("docroot", SFTP_DOCROOT, sftp_docroot);
    let user = section.read_text("user", USER, user);
    let port = section.read_whole("port", PORT, 1..=65_535);
    let identity = section.read_text("identity", IDENTITY, ssh_path);
    let known_hosts = section.read_text("known-hosts", KNOWN_HOSTS, ssh_path);
    let host_key = section.read_text("host-key", HOST_KEY, |key| HostKey::parse(key).or_else(which));
    let shape = Shape::Either(vec![Shape::words(&COMPRESSION_WORDS), Shape::Bool]);
    let compression = section.read("compression", COMPRESSION, shape, |value| match value.as_bool() {
        Some(true) => Ok(Compression::On),
        Some(false) => Ok(Compression::Off),
        None => one_of(&COMPRESSION_WORDS, text(value)?, "is not a choice"),
    });
    Some(SftpTarget {
        host: host?,
        user,
        port,
        identity,
        known_hosts,
        host_key,
        docroot: docroot?,
        compression: compression.unwrap_or_default(),
    })
}

/// Refuses what no string of an sftp target may contain.
fn ssh_safe(text: &str) -> Result<&str, Refusal> {
    if text.is_empty() {
        which("is empty")
    } else if text.chars().any(char::is_control) {
        which("holds a line break or another control character")
    } else if text.contains('%') {
        which("holds a `%`, which ssh would expand")
    } else if text.contains("${") {
        which("holds a `${`, which ssh would expand")
    } else {
        Ok(text)
    }
}

fn ssh_path(text: &str) -> Result<String, Refusal> {
    ssh_safe(text).map(str::to_owned)
}

fn host(text: &str) -> Result<String, Refusal> {
    let text = plain_word(text, b".-_:[]", "holds characters that no host name has")?;
    let address = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match address {
        Some(address) if is_ipv6_like(address) => Ok(address.to_owned()),
        None if !text.contains(['[', ']']) && (!text.contains(':') || is_ipv6_like(&text)) => Ok(text),
        _ => which("has colons or brackets without being an IPv6 address (a port has its own key)"),
    }
}

fn user(text: &str) -> Result<String, Refusal> {
    plain_word(text, b"._-", "holds other characters")
}

/// Refuses what ssh would read as an option, and characters that are neither letters, digits nor `others`.
fn plain_word(text: &str, others: &[u8], reason: &str) -> Result<String, Refusal> {
    let text = ssh_safe(text)?;
    if text.starts_with('-') {
        return which("begins with `-`, as an option of ssh does");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    owned_if(text.bytes().all(is_plain), text, reason)
}

fn sftp_docroot(text: &str) -> Result<String, Refusal> {
    absolute(ssh_safe(text)?)
}

fn absolute(text: &str) -> Result<String, Refusal> {
    let Some(relative) = text.strip_prefix('/') else {
        return which("is not absolute");
    };
    if relative.is_empty() {
        return which("is the root itself");
    }
    match relative.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        None => Ok(text.to_owned()),
        Some("") => which("has an empty segment"),
        Some(_) => which("has a `.` or `..` segment"),
    }
}
