//! Checks whether a publish can log in, and whether its key can do no more than necessary. Pure.

use super::PUBLISHERS;
use super::finding::{Outcome, fine, not_asked, wrong};
use crate::host::{HostError, HostErrorKind};

/// Checks `ssh`, `host-key`, `key`, `shell` and `sftp`. `shell` is whether the host ran a command for the key, or why
/// that could not be found out. `is_pinned` is whether the target pins its host's key; if it does
/// not, a known-hosts file decides.
pub(super) fn access_checks(
    host: &str,
    connection: &Result<(), HostError>,
    shell: &Result<bool, String>,
    is_pinned: bool,
) -> [Outcome; 5] {
    let mut all = [
        fine(format!("{host} answers")),
        host_key(is_pinned),
        fine("accepted"),
        shell_line(shell),
        fine("served, with the extensions that are needed"),
    ];
    if let Err(error) = connection {
        // The checks before the failed one are fine, those after it are not made.
        let (check, detail, fix) = failed(host, error);
        let at = PUBLISHERS.iter().position(|known| *known == check).unwrap_or(0);
        for outcome in &mut all[at + 1..] {
            *outcome = not_asked(&format!("see `{check}`"));
        }
        all[at] = wrong(detail, error.why.fix().unwrap_or(fix));
    }
    all
}

fn host_key(is_pinned: bool) -> Outcome {
    fine(if is_pinned {
        "the one that the target pins"
    } else {
        "known by the known-hosts file; `host-key` of the target would pin it for CI, too"
    })
}

fn shell_line(shell: &Result<bool, String>) -> Outcome {
    match shell {
        Ok(false) => fine("none: the key can do SFTP and nothing else"),
        Err(why) => not_asked(why),
        Ok(true) => wrong(
            "the host runs commands for this key: anyone who has it can do more than publish",
            "give publishing an account of its own, in sshd_config: Match User NAME, ForceCommand internal-sftp, ChrootDirectory /srv/syntax, DisableForwarding yes, PermitTTY no; then `sshd -t && systemctl reload ssh`",
        ),
    }
}

/// Returns the check that a failed connection failed at, what went wrong, and the fix unless the cause names its own.
fn failed(host: &str, error: &HostError) -> (&'static str, String, &'static str) {
    let detail = &error.detail;
    match error.kind {
        HostErrorKind::Unreachable => (
            "ssh",
            format!("can't reach {host}: {}", line(detail)),
            "see that sshd runs, that `host` and `port` of the target are right (SSH does not go through a CDN), and that the firewall lets it in",
        ),
        HostErrorKind::OtherHostKey => (
            "host-key",
            format!("{host} shows another key than the one that is known: {}", line(detail)),
            "don't publish before you know why: compare with /etc/ssh/ssh_host_ed25519_key.pub on the host itself, then correct `host-key` or the known-hosts file",
        ),
        HostErrorKind::UnknownHostKey => (
            "host-key",
            format!("the key of {host} is not known: {}", line(detail)),
            "put it into `host-key` of the target, from /etc/ssh/ssh_host_ed25519_key.pub on the host itself",
        ),
        HostErrorKind::KeyRefused => (
            "key",
            error.to_string().lines().last().unwrap_or_default().to_owned(),
            "put the public key into /etc/ssh/authorized_keys/USER on the host (root's, mode 644), and see `user` and `identity` of the target",
        ),
        HostErrorKind::NoSftp => (
            "sftp",
            format!("{host} does not serve SFTP: {}", line(detail)),
            "in sshd_config: `Subsystem sftp internal-sftp`; each folder of the chroot, from / on, must be root's and writable by root alone (`journalctl -u ssh` says which is not)",
        ),
        HostErrorKind::MissingExtension => (
            "sftp",
            format!("the SFTP server lacks {detail}"),
            "let OpenSSH itself serve it, 6.5 or newer: `internal-sftp`, without `-P` or `-R`",
        ),
        HostErrorKind::Folder => (
            "sftp",
            format!("can't use the folder {}: {}", error.host, line(detail)),
            "correct `docroot` of the target, which is a path as SFTP sees it, or see who may enter it",
        ),
        HostErrorKind::Panicked => (
            "ssh",
            format!("a task of syntax-publish panicked: {}", line(detail)),
            "this is a bug in syntax-publish: report it, with this message",
        ),
        HostErrorKind::Lost => (
            "ssh",
            format!("the connection to {host} was lost: {}", line(detail)),
            "try again; sshd's log on the host says why (`journalctl -u ssh`)",
        ),
    }
}

/// Reduces ssh's output to one line.
fn line(detail: &str) -> String {
    let lines: Vec<&str> = detail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::model::path::printable(lines.last().copied().unwrap_or("it said nothing"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::CheckResult;
    use super::*;

    #[test]
    fn checks_before_a_fault_are_fine_and_those_after_it_are_not_made() {
        let refused = HostError::new(HostErrorKind::KeyRefused, "box", "Permission denied (publickey).");
        let found = access_checks("box", &Err(refused), &Ok(false), true);
        let states = found.each_ref().map(|finding| finding.state);
        use CheckResult::{Fine, NotAsked, Wrong};
        assert_eq!(states, [Fine, Fine, Wrong, NotAsked, NotAsked]);
        assert!(found[2].detail.ends_with("Permission denied (publickey)."));
    }

    #[test]
    fn shell_is_judged_also_where_sftp_is_missing() {
        let error = HostError {
            why: crate::host::Why::Denies,
            ..HostError::new(HostErrorKind::MissingExtension, "box", "hardlink@openssh.com")
        };
        let found = access_checks("box", &Err(error), &Ok(true), false);
        assert_eq!(
            (found[3].state, found[4].state),
            (CheckResult::Wrong, CheckResult::Wrong)
        );
        assert!(found[3].fix.as_ref().unwrap().contains("ForceCommand internal-sftp"));
    }
}
