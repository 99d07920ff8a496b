//! What the user can do about each failure, in one sentence for every kind.
//!
//! Every match is exhaustive on purpose, so that a new kind of failure does not compile without a hint. Hints about
//! command-line options belong here and nowhere else.

use syntax_publish::host::{HostError, HostErrorKind};
use syntax_publish::live::deliver::DeliverError;
use syntax_publish::model::layout;
use syntax_publish::model::path::printable;
use syntax_publish::model::severity::Severity;
use syntax_publish::preview::port::PortError;
use syntax_publish::preview::watch::WatchError;
use syntax_publish::rules::nginx::VhostError;
use syntax_publish::site::SiteError;
use syntax_publish::site::check::Problem;
use syntax_publish::site::plain_folder::BuildError;
use syntax_publish::site::source::SourceError;
use syntax_publish::store::{self, LockError, SignError, StoreError, StorePath};

use super::args::{Global, again};
use super::failure::Failure;
use super::format::{quoted, shown};

/// Returns what to do next.
pub fn hint(failure: &Failure, global: &Global) -> String {
    let hint = match failure {
        Failure::Site(error) => of_site(error),
        Failure::Store(error) => return of_operation(error, global),
        Failure::Delivery(error) => return of_delivery(error, global),
        Failure::Build(error) => of_build(error),
        Failure::Io { .. } => WHERE_TO_LOOK,
        Failure::Bug { .. } => BUG,
        Failure::Signal { .. } => "run it again when you like: what was sent is not sent twice",
        Failure::NoSiteManifest { .. } => {
            "go to the site's folder, name the file with --site FILE, or let `syntax-publish init` write one"
        }
        Failure::ForeignSiteManifest { file, .. } => &format!(
            "it names programs to run and secrets to send: read it, and if you trust it name it with --site {}",
            shown(file)
        ),
        Failure::Unreadable { .. } => "name a file that you may read with --site FILE",
        Failure::Exists { .. } => "nothing was changed: edit it, or write another one with --site FILE",
        Failure::Config { .. } => "fix the lines named above",
        Failure::NoSuchTarget { known, .. } => &format!(
            "use --target with one of: {}; or add [targets.NAME] to the site manifest",
            known.join(", ")
        ),
        Failure::NoSuchCommand { .. } => "`syntax-publish --help` lists the commands",
        Failure::NoHome { .. } => "write the path in full, or set HOME",
        Failure::Nested { .. } => "give each a folder of its own: nothing was written",
        Failure::NobodyToAsk { has_url: false } => "add `url` to [site]: https://docs.example.com",
        Failure::NobodyToAsk { has_url: true } => {
            "set `origin` in [verify] to where the server listens, or `public = true`"
        }
        Failure::Address(_) => "correct the target in the site manifest; ssh's own configuration can say what it can't",
        Failure::Vhost(error) => of_vhost(error),
        Failure::Port(PortError::Taken { free: Some(free), .. }) => {
            &format!("use --port {free}, which is free, or end that process")
        }
        Failure::Port(PortError::Taken { free: None, .. }) => "end that process, or use --port with another",
        Failure::Port(PortError::Refused { .. }) => "leave --host out, or give it an address of this machine",
        Failure::Watch(WatchError::Limit(what)) => {
            let enough = if what.ends_with("instances") { 1024 } else { 524_288 };
            &format!("raise it, `sudo sysctl {what}={enough}`, or look for changes with --poll")
        }
        Failure::Watch(WatchError::Failed { .. }) => {
            "see whether you may read the folder, or look for changes with --poll"
        }
        Failure::Output { .. } => "see whether there is room where the output goes",
    };
    hint.to_owned()
}

/// The hint after a panic.
const BUG: &str = "this is a bug in syntax-publish: report it, with this message";

/// The hint after a failed access to a local file.
const WHERE_TO_LOOK: &str = "see whether the path is right, you may use it, and there is room";

/// Puts each command that a hint names in braces in full, with the options that choose the site and the target.
fn with_commands(hint: &str, global: &Global) -> String {
    let parts = hint.split(['{', '}']).enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => part.to_owned(),
        _ => again(global, part),
    });
    parts.collect()
}

fn of_site(error: &SiteError) -> &'static str {
    match error {
        SiteError::Scan(error) => error.hint(),
        SiteError::Check(problems) => of_checks(problems),
        SiteError::Source(error) => of_source(error),
        SiteError::Patterns(_) => WHERE_TO_LOOK,
    }
}

fn of_operation(error: &store::Error, global: &Global) -> String {
    use store::Error;
    let hint = match error {
        Error::Site(error) => of_site(error),
        Error::Io { .. } => WHERE_TO_LOOK,
        Error::RemovesTooMuch { .. } => {
            "see what would go with `{plan}`; if it is meant, publish with --allow-removals"
        }
        Error::Store(error) => return of_store(error, global),
        Error::Taken(LockError::Busy { .. }) => "try again when it has ended, or let publish wait for it: --wait 10m",
        Error::Taken(LockError::Jammed { name }) => {
            return format!("see what put {} there, and delete it by hand", printable(name));
        }
        Error::Taken(LockError::Stuck { .. }) => {
            "see on the host why: the disk may be full, or the permissions of lock/ and stale/ in the docroot may have changed"
        }
        Error::Taken(LockError::Fenced) => {
            "a prune considered this run dead after ten minutes without a sign of it: publish again"
        }
        Error::ConcurrentPublish { .. } => {
            "see whether what went live is newer than yours; then publish again, or with --wait 10m"
        }
        Error::OnHold { .. } => "when the reason is gone: `{resume}`",
        Error::Contention { .. } => "try again when the others have ended, or let publish wait for them: --wait 10m",
        Error::KeptChanging { .. } => {
            "see who else publishes to this target, and try again when that has ended; if no one does, `{verify}` shows whether the store is damaged"
        }
        Error::Uncertain { .. } => "check which it is when the host answers again: `{status}`",
        Error::NoSuchRelease { there, .. } => match there.first() {
            Some(newest) => &format!("the newest is {newest}; `{{releases}}` lists them all"),
            None => "see what there is with `{releases}`",
        },
        Error::AmbiguousRelease { .. } => "give more of the id",
        Error::AlreadyLive { .. } => "`{releases}` lists the others",
        Error::OfChannel { channel, .. } => &format!("make it live with `{{promote {}}}`", printable(channel)),
        Error::NoSuchChannel { there, .. } if there.is_empty() => "publish to one first: `{publish --channel NAME}`",
        Error::NoSuchChannel { .. } => "`{channels}` lists the channels there are",
        Error::ChannelMoved { channel, shows, .. } => {
            &format!("look at what it shows now, and promote that: `{{promote {channel} --release {shows}}}`")
        }
        Error::LiveMoved { channel, base, live } => {
            let lost = match (base, live) {
                (Some(base), Some(live)) => format!("`{{diff {base} {live}}}` shows what would be lost; "),
                _ => String::new(),
            };
            &format!(
                "{lost}publish the branch to the channel again with that in it, or promote it all the same with `{{promote {channel} --force}}`"
            )
        }
        Error::NothingPublished { .. } => "publish first: `{publish}`",
        Error::NoFormerRelease { .. } => "`{releases}` lists the releases there are",
        Error::NotWhole { .. } => "publish again to repair it: `{publish} --force`",
        Error::Unsigned { .. } => {
            "go back to a release that is signed with --to, or sign this one by hand (docs/security.md): `{verify RELEASE --signature}` looks at one"
        }
        Error::Sign(error) => of_signing(error),
    };
    with_commands(hint, global)
}

fn of_delivery(error: &DeliverError, global: &Global) -> String {
    let hint = match error {
        DeliverError::Store(error) => return of_operation(error, global),
        DeliverError::RolledBack { findings, .. } => {
            return findings.first().map_or_else(String::new, |finding| {
                format!(
                    "{}; then publish again. The request that failed: {}",
                    finding.fix(),
                    finding.repeat
                )
            });
        }
        DeliverError::CannotGoBack { source, .. } if matches!(**source, store::Error::Unsigned { .. }) => {
            "fix the fault and publish again; or roll back to a signed release: `{rollback} --to RELEASE`"
        }
        DeliverError::CannotGoBack { .. } => "see what is live and who else publishes: `{status}`; then `{rollback}`",
    };
    with_commands(hint, global)
}

/// Returns what to do about the problems that the checks found. If one of them is a secret, the hint does not offer to
/// lower the level of the check: once a secret is exposed, only revoking it helps.
fn of_checks(problems: &[Problem]) -> &'static str {
    let is_secret = |problem: &Problem| problem.severity == Severity::Error && problem.check == "secrets";
    if problems.iter().any(is_secret) {
        "fix what is named above and build again. Then REVOKE THE SECRET where it was issued: anyone who saw the build may \
         have it"
    } else {
        "fix what is named above, or set the check's level to \"warn\" in [check] of the site manifest"
    }
}

fn of_signing(error: &SignError) -> &'static str {
    match error {
        SignError::NoKey => "name a key in [sign] of the site manifest: key = \"~/.ssh/release-key\"",
        SignError::NoAllowedSigners => {
            "name the file in [sign] of the site manifest, one line for each key: NAME namespaces=\"syntax-publish-release\" TYPE BASE64"
        }
        SignError::Passphrase { .. } => {
            "put it into an agent (ssh-add), or sign with a key of its own that has none and signs releases alone"
        }
        SignError::Key { .. } => {
            "`key` is a private key that only you may read, or a public key whose private one is in your agent (ssh-add -l)"
        }
        SignError::NotAllowed { .. } => "add the public key to that file, or sign with another",
        SignError::AllowedSigners { .. } => "see `allowed-signers` in [sign] of the site manifest",
        SignError::Program { .. } => "install OpenSSH's client, 8.7 or newer",
    }
}

fn of_source(error: &SourceError) -> &'static str {
    match error {
        SourceError::Unreadable { .. } => "let the build end before publishing, and see whether you may read the file",
        SourceError::Changed(_) => "let the build end before publishing, and try again",
        SourceError::Encoder { .. } => {
            "leave that encoding out (`brotli = false` or `gzip = false` in [encode]), and report it"
        }
        SourceError::Worker(_) => BUG,
    }
}

fn of_store(error: &StoreError, global: &Global) -> String {
    let hint = match error {
        StoreError::Host(error) => return of_host(error, global),
        StoreError::NoParent { .. } => "make the folder above the docroot, or correct `docroot` of the target",
        StoreError::NotAStore { .. } => {
            "give the target a docroot of its own, empty or missing; nothing in this one was touched"
        }
        StoreError::NewerFormat { .. } => "update syntax-publish to the version that published last",
        StoreError::ForeignOwner { .. } => {
            "publish as the user who owns the store, or give everything to the publishing account"
        }
        StoreError::WritableByOthers {
            path: StorePath::Docroot,
            ..
        } => "remove that permission on the host: chmod go-w DOCROOT",
        StoreError::WritableByOthers {
            path: StorePath::Below(path),
            ..
        } => {
            let path = printable(path);
            return format!("remove that permission on the host, in the docroot: chmod go-w {path}");
        }
        StoreError::NotAFolder { .. } => "see what it is, and move it away",
        // The host name of a local target is its path.
        StoreError::NotWritable { host, .. } if host.starts_with('/') => {
            "let the user who publishes write in the docroot, and see that the disk is not mounted read-only"
        }
        StoreError::NotWritable { .. } => {
            "on the host: give the docroot to the publishing account; see that the disk is not mounted read-only, and that sshd's `internal-sftp` denies no requests (-R, -P, -p)"
        }
        StoreError::DiskFull { .. } => "make room on the host; `{prune}` deletes old releases",
        StoreError::Refused { opening: true, .. } => {
            "let the server have 1024 files open at once, as it has by default (`ulimit -n`, `LimitNOFILE=` of sshd's unit); the host's log may show another reason"
        }
        StoreError::Refused { .. } => "try again; if it happens again, the host's log says why",
        StoreError::Damaged { path, .. } if path == layout::CURRENT => &format!(
            "see who changed it; then let it name a release again, on the host, in the docroot: ln -sfn {}/RELEASE {path}",
            layout::RELEASES
        ),
        StoreError::Damaged { path, .. } if path == layout::FORMAT => &format!(
            "if this is the target's own store, mark it again, on the host, in the docroot: ln -s {} {path}; nothing was touched",
            layout::format_text()
        ),
        StoreError::Damaged { .. } => {
            "`{verify}` shows what is damaged; `{publish} --force` makes a new, intact release"
        }
    };
    with_commands(hint, global)
}

fn of_host(error: &HostError, global: &Global) -> String {
    if let Some(fix) = error.why.fix() {
        return fix.to_owned();
    }
    let hint = match error.kind {
        HostErrorKind::Unreachable => {
            let host = quoted(&printable(&error.host));
            return format!("try `sftp {host}`, and see the name, the network and `port` of the target");
        }
        HostErrorKind::KeyRefused => {
            "see `user` and `identity` of the target, and that the host has the public key in authorized_keys"
        }
        HostErrorKind::OtherHostKey => {
            "don't go on before you know why: compare with the key on the host itself, then correct `host-key` or the known-hosts file"
        }
        HostErrorKind::UnknownHostKey => {
            "take the key from the host itself (/etc/ssh/ssh_host_ed25519_key.pub) and put it into `host-key` of the target"
        }
        HostErrorKind::NoSftp => {
            "let sshd serve it: `Subsystem sftp internal-sftp` in sshd_config; and every folder of a chroot, from / on, must be root's and writable by root alone"
        }
        HostErrorKind::MissingExtension => "the host needs OpenSSH's own SFTP server, of version 6.5 or newer",
        HostErrorKind::Folder => "fix `docroot` of the target, or see who may enter it",
        HostErrorKind::Panicked => BUG,
        HostErrorKind::Lost => "try again: what was sent is not sent twice; `{status}` shows what is live",
    };
    with_commands(hint, global)
}

fn of_build(error: &BuildError) -> &'static str {
    match error {
        BuildError::Foreign { .. } => {
            "give --out a folder that is missing or empty, or move that file away; nothing was deleted"
        }
        BuildError::NotAFolder(_) | BuildError::NoName(_) => "give --out a folder that is missing or empty",
        BuildError::Io { .. } => "see whether you may write there, and that there is room",
        BuildError::Source(error) => of_source(error),
    }
}

fn of_vhost(error: &VhostError) -> &'static str {
    match error {
        VhostError::ServerName(_) => "give the site a `url` in the site manifest, or a name that is a host's",
        VhostError::Docroot(_) => "set `nginx-root` of the target to the docroot as nginx sees it",
        VhostError::Include(_) => "set `include` in [nginx] to a path on the host",
        VhostError::BasicAuth(_) => "set `basic-auth` of the target to the path of the file on the host",
        VhostError::Headers { .. } => "see `[[headers]]` in the reference: all rules that match an address apply",
        VhostError::BasePath(_) => "set `base-path` in [next] to what `basePath` is in next.config",
        VhostError::Folder(_) => "set `prefix` in [fingerprint] to the name of one folder, such as \"_assets\"",
        VhostError::DeploymentId(_) => "build with a `deploymentId` of letters, digits, `-` and `_`",
        VhostError::Listen(_) => "write --listen 127.0.0.1:8080, or leave it out",
        VhostError::Version(_) => "write --nginx-version 1.28",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_target_is_not_told_of_sshd() {
        let hint = |host: &str| {
            let error = StoreError::NotWritable {
                host: host.to_owned(),
                what: "create a folder".to_owned(),
            };
            of_store(&error, &Global::default())
        };
        assert!(!hint("/srv/site").contains("sshd"));
        assert!(hint("docs.example.com").contains("sshd"));
    }
}
