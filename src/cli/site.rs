//! Finds out about the environment of a run: the site manifest, the user's home, the commit, the user and the machine.
//!
//! Reads the environment and the site manifest, and runs `git` and `id`, from which it takes one line at a time. The
//! library gets the results as values and must not read the environment itself.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use syntax_publish::config::{self, Level, SiteConfig, Target, TargetKind};
use syntax_publish::model::path::printable;
use syntax_publish::model::release::Owner;
use syntax_publish::rules::{custom_headers, redirects};
use syntax_publish::store::signing::{AllowedSigners, Signing};

use super::args::Global;
use super::failure::Failure;
use super::format::shown;
use super::screen::Screen;

/// The file name of a site manifest.
pub const NAME: &str = "site-manifest.toml";

/// A site manifest that was read, and the target to work with.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// The path of the site manifest.
    pub file: PathBuf,
    /// The folder of the site manifest. Relative paths in the site manifest start here.
    pub base: PathBuf,
    pub config: SiteConfig,
    /// The name of the target to work with.
    pub target_name: String,
    pub target: Target,
}

impl Workplace {
    /// Finds and reads the site manifest that the options select.
    pub fn open(global: &Global, screen: &Screen) -> Result<Self, Failure> {
        let file = match global.site.clone() {
            Some(file) => file,
            None => not_foreign(nearest_manifest(&here()?)?)?,
        };
        let text = std::fs::read_to_string(&file).map_err(|source| Failure::unreadable(&file, source))?;
        let parsed = config::parse(&text).map_err(|mistakes| Failure::Config {
            file: file.clone(),
            mistakes,
        })?;
        for warning in &parsed.warnings {
            screen.warn(&format!("{}, {warning}", shown(&file)));
        }
        let mut config = parsed.config;
        let base = folder_of(&file)?;
        if let Some(text) = read_if_there(&base.join(redirects::FILE))? {
            let file = beside(redirects::FILE);
            config.redirects.put_before(redirects::parse(&file, &text));
        }
        if let Some(text) = read_if_there(&base.join(custom_headers::FILE))? {
            let file = beside(custom_headers::FILE);
            config.headers.put_before(custom_headers::parse(&file, &text));
        }
        let target_name = global.target.clone().unwrap_or_else(|| config.publish.target.clone());
        let Some(target) = config.targets.get(&target_name).cloned() else {
            return Err(Failure::NoSuchTarget {
                name: printable(&target_name),
                known: config.targets.keys().cloned().collect(),
            });
        };
        if target.access.is_hidden() {
            // A build for such a target may well ask search engines to leave it out.
            config.check.levels = config.check.levels.with("indexing", Level::Off);
        }
        Ok(Self {
            file,
            base,
            config,
            target_name,
            target,
        })
    }

    /// Returns the files that the configuration is read from, whether or not they exist.
    pub fn settings(&self) -> Vec<PathBuf> {
        let beside = [redirects::FILE, custom_headers::FILE].map(|name| self.base.join(name));
        [self.file.clone()].into_iter().chain(beside).collect()
    }

    /// Returns the path of the site manifest. `None` if it is the one in the current folder.
    pub fn elsewhere(&self) -> Option<String> {
        let here = here().ok().map(|here| here.join(NAME));
        let is_here = here.is_some_and(|here| std::path::absolute(&self.file).is_ok_and(|file| file == here));
        (!is_here).then(|| shown(&self.file))
    }

    /// Returns the folder of the export.
    pub fn export(&self) -> Result<PathBuf, Failure> {
        self.path(&self.config.site.export)
    }

    /// Resolves a path in the site manifest, relative to the site manifest's folder, or to the home folder after `~/`.
    pub fn path(&self, text: &str) -> Result<PathBuf, Failure> {
        match text.strip_prefix("~/") {
            None => Ok(self.base.join(text)),
            Some(rest) => match home() {
                Some(home) => Ok(home.join(rest)),
                None => Err(Failure::NoHome { path: text.to_owned() }),
            },
        }
    }

    /// Returns how releases are signed.
    pub fn signing(&self) -> Result<Signing, Failure> {
        let sign = &self.config.sign;
        let path = |text: &Option<String>| text.as_ref().map(|text| self.path(text)).transpose();
        Ok(Signing {
            key: path(&sign.key)?,
            allowed: path(&sign.allowed_signers)?.map(|file| AllowedSigners { file }),
            require: sign.require,
        })
    }

    /// Checks that none of these folders is inside another: the export, the docroot if it is local, and the folder to
    /// be written, if any.
    pub fn keep_apart(&self, written: Option<&Path>) -> Result<(), Failure> {
        let mut folders = vec![("the export", self.export()?)];
        if let TargetKind::Local { docroot } = &self.target.kind {
            folders.push(("the docroot", self.path(docroot)?));
        }
        folders.extend(written.map(|folder| ("the folder to be written", folder.to_owned())));
        for inner in &folders {
            for outer in folders.iter().filter(|outer| outer.0 != inner.0) {
                if resolved(&inner.1).starts_with(resolved(&outer.1)) {
                    return Err(Failure::Nested {
                        inner: inner.clone(),
                        outer: outer.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns where the store is, as shown to the user.
    pub fn place(&self) -> String {
        match &self.target.kind {
            TargetKind::Local { docroot } => self.path(docroot).map_or_else(|_| docroot.clone(), |path| shown(&path)),
            TargetKind::Sftp(sftp) => format!("{}:{}", sftp.host, sftp.docroot),
        }
    }

    /// Returns a text that identifies the place of the target and differs from that of every other place.
    pub fn identity(&self) -> String {
        match &self.target.kind {
            TargetKind::Local { .. } => format!("local {}", self.place()),
            TargetKind::Sftp(sftp) => {
                let (user, port) = (sftp.user.as_deref().unwrap_or_default(), sftp.port.unwrap_or_default());
                format!("sftp {user}@{}:{port}:{}", sftp.host, sftp.docroot)
            }
        }
    }

    /// Returns the commit that the export was built from, if it is known.
    pub fn commit(&self, given: Option<&String>) -> Option<String> {
        given
            .cloned()
            .or_else(|| variable("GITHUB_SHA"))
            .or_else(|| variable("CI_COMMIT_SHA"))
            .or_else(|| head(&self.base))
    }
}

/// The name in findings of a file next to the site manifest, which differs from that of every file of the export.
fn beside(name: &str) -> String {
    format!("./{name}")
}

/// Reads a text file; `None` if there is none.
fn read_if_there(file: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Unreadable {
            file: file.to_owned(),
            source,
        }),
    }
}

/// Finds the nearest site manifest, in a folder or above it.
fn nearest_manifest(folder: &Path) -> Result<PathBuf, Failure> {
    let mut files = folder.ancestors().map(|folder| folder.join(NAME));
    let nearest = files.find(|file| file.is_file());
    nearest.ok_or_else(|| Failure::NoSiteManifest {
        folder: folder.to_owned(),
    })
}

/// Refuses a site manifest that was found and not named by the user, if it belongs to another user, because it names
/// programs to run and secrets to send. The rule is that of git for repositories: the file and its folder must belong
/// to the caller or to root.
fn not_foreign(file: PathBuf) -> Result<PathBuf, Failure> {
    let caller = rustix::process::geteuid().as_raw();
    // With sudo, root acts for the user who ran sudo.
    let behind_sudo = std::env::var("SUDO_UID").ok().filter(|_| caller == 0);
    let behind_sudo = behind_sudo.and_then(|uid| uid.parse::<u32>().ok());
    let is_ours = |uid: u32| uid == 0 || uid == caller || Some(uid) == behind_sudo;
    let folder = folder_of(&file)?;
    let (link, target) = (std::fs::symlink_metadata(&file), std::fs::metadata(&file));
    for metadata in [link, target, std::fs::metadata(folder)] {
        match metadata.map(|there| there.uid()) {
            Ok(uid) if is_ours(uid) => {}
            Ok(uid) => return Err(Failure::ForeignSiteManifest { file, uid }),
            Err(source) => return Err(Failure::Unreadable { file, source }),
        }
    }
    Ok(file)
}

pub fn folder_of(file: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(file).map_err(|source| Failure::unreadable(file, source))?;
    Ok(absolute.parent().map_or_else(|| absolute.clone(), Path::to_owned))
}

/// Returns the path with symlinks resolved, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|folder| {
        let real = folder.canonicalize().ok()?;
        Some(real.join(absolute.strip_prefix(folder).ok()?))
    });
    there.unwrap_or(absolute)
}

pub fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|source| Failure::unreadable(Path::new("."), source))
}

pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// Returns the folder of the caches that are kept between runs. `None` if there is no place for it.
pub fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute());
    let caches = named.or_else(|| Some(home()?.join(".cache")));
    Some(caches?.join("syntax-publish"))
}

/// Returns the commit that is checked out in a folder. `None` without an error if there is none, because a site needs
/// no repository.
fn head(folder: &Path) -> Option<String> {
    let commit = git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    commit.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(commit)
}

/// Returns the URL of the repository's remote.
pub fn remote(folder: &Path) -> Option<String> {
    git(folder, &["remote", "get-url", "origin"])
}

fn git(folder: &Path, words: &[&str]) -> Option<String> {
    line_of(Command::new("git").arg("-C").arg(folder).args(words))
}

/// Returns the output of a command, without surrounding whitespace. `None` if the command fails or prints nothing.
fn line_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

/// Returns an environment variable. `None` if it is not set or is blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Describes this run, for users who find the lock taken or read a release.
pub fn owner(what: &str) -> Owner {
    let system = rustix::system::uname();
    let machine = system.nodename().to_string_lossy().into_owned();
    // Jobs in a container or a service have no USER.
    let user = variable("USER")
        .or_else(|| variable("LOGNAME"))
        .or_else(|| line_of(Command::new("id").arg("-un")))
        .unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Owner {
        who: printable(&format!("{user}@{machine}")),
        what: what.to_owned(),
        since: i64::try_from(since.as_secs()).unwrap_or(0),
        yields: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_site_manifest_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let file = folder.path().join(NAME);
        std::fs::write(&file, "").unwrap();
        assert_eq!(nearest_manifest(&below).unwrap(), file);
        let nearer = folder.path().join("a").join(NAME);
        std::fs::write(&nearer, "").unwrap();
        assert_eq!(nearest_manifest(&below).unwrap(), nearer);
    }
}
