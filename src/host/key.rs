//! Finds out whether this machine can use a private key at all, with `ssh-keygen -y`, which reads a key as ssh does.
//!
//! It runs only after a connection failed, to determine the cause. It must never keep or show any part of the key.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::why::Why;

/// The time limit for an OpenSSH program that does not prompt.
const TO_TRY: Duration = Duration::from_secs(5);

/// The maximum size of a key file, in bytes.
const LONGEST_KEY: u64 = 64 * 1024;

/// The problem with a private key file; `None` if the key is usable, or if that can't be determined.
pub(super) async fn fault(identity: &Path) -> Option<Why> {
    let Ok(known) = std::fs::metadata(identity) else {
        return Some(Why::KeyMissing);
    };
    let tried = Command::new("ssh-keygen")
        .args(["-y", "-P", "", "-f"])
        .arg(identity)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let tried = timeout(TO_TRY, tried).await.ok()?.ok()?;
    if tried.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    if said.contains("bad permissions") || said.contains("UNPROTECTED PRIVATE KEY") {
        return Some(Why::KeyMode);
    }
    if said.contains("incorrect passphrase") {
        return (!is_in_agent(identity).await).then_some(Why::KeyPassphrase);
    }
    let bytes = if known.len() <= LONGEST_KEY {
        std::fs::read(identity).unwrap_or_default()
    } else {
        Vec::new()
    };
    Some(of_bytes(&bytes))
}

/// The problem with a file that `ssh-keygen` can't read.
fn of_bytes(bytes: &[u8]) -> Why {
    let public = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 PUBLIC"];
    if public.iter().any(|start| bytes.starts_with(start.as_bytes())) {
        Why::KeyPublicHalf
    } else if bytes.windows(2).any(|pair| pair == b"\r\n") {
        Why::KeyCarriageReturns
    } else if bytes.starts_with(b"-----BEGIN ") && bytes.ends_with(b"PRIVATE KEY-----") {
        Why::KeyNoLastNewline
    } else {
        Why::KeyUnreadable
    }
}

/// Whether an agent has the key, which then needs no passphrase.
async fn is_in_agent(identity: &Path) -> bool {
    let mut print = Command::new("ssh-keygen");
    print.arg("-l").arg("-f").arg(identity);
    let mut list = Command::new("ssh-add");
    list.arg("-l");
    let (own, held) = futures_util::future::join(words(print), words(list)).await;
    let print = own.iter().find(|word| word.starts_with("SHA256:"));
    print.is_some_and(|print| held.contains(print))
}

/// The words that a program prints; empty if it fails.
async fn words(mut command: Command) -> Vec<String> {
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(TO_TRY, ran).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_key_is_known_by_its_bytes() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        assert_eq!(of_bytes(key.replace('\n', "\r\n").as_bytes()), Why::KeyCarriageReturns);
        assert_eq!(of_bytes(key.trim_end().as_bytes()), Why::KeyNoLastNewline);
        assert_eq!(of_bytes(b"ssh-ed25519 AAAA me@here\n"), Why::KeyPublicHalf);
        assert_eq!(of_bytes(key.as_bytes()), Why::KeyUnreadable);
        assert_eq!(of_bytes(b""), Why::KeyUnreadable);
    }
}
