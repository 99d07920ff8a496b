//! Runs the system's `ssh-keygen`: passes its arguments and reads its output.
//!
//! This module starts processes. It writes each signature to be judged into a temporary file, because `ssh-keygen`
//! reads signatures only from files. The document goes through stdin. `ssh-keygen` must never prompt: it gets an empty
//! passphrase, and has no access to the user's terminal or to an askpass program.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{NAMESPACE, Signature, SignatureVerdict};
use crate::model::path::printable;
use crate::store::SignError;

/// How long to wait for `ssh-keygen`. A hardware key waits for a touch, but not longer than this.
const PATIENCE: Duration = Duration::from_mins(1);

/// Longest message of `ssh-keygen` that is passed on, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Returns the signature of a document, as text.
pub(super) async fn sign(key: &Path, document: &[u8]) -> Result<String, SignError> {
    let cannot = |detail: String| SignError::Key {
        key: key.to_owned(),
        detail,
    };
    // If the file is missing, `ssh-keygen` looks for other names next to it and reports none of this.
    if let Err(error) = std::fs::metadata(key) {
        return Err(cannot(error.to_string()));
    }
    let mut sign = keygen("sign");
    sign.args(["-P", "", "-n", NAMESPACE, "-f"]).arg(key);
    let output = run(sign, document).await?;
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.starts_with("-----BEGIN SSH SIGNATURE-----") {
            return Ok(text);
        }
        return Err(cannot("ssh-keygen gave no signature".to_owned()));
    }
    let said = words(&output);
    if said.contains("incorrect passphrase") {
        return Err(SignError::Passphrase { key: key.to_owned() });
    }
    Err(cannot(said))
}

/// Judges a signature over a document by a file of allowed signers.
pub(super) async fn verify(allowed: &Path, document: &[u8], signature: &[u8]) -> Result<SignatureVerdict, SignError> {
    if let Err(error) = std::fs::File::open(allowed) {
        return Err(SignError::AllowedSigners {
            file: allowed.to_owned(),
            detail: error.to_string(),
        });
    }
    let file = keep(signature).map_err(|error| SignError::Program {
        detail: format!("no room for a temporary file: {error}"),
    })?;
    let mut find = keygen("find-principals");
    find.arg("-f").arg(allowed).arg("-s").arg(file.path());
    let found = run(find, b"").await?;
    if !found.status.success() {
        return Ok(SignatureVerdict::Bad(reason(&words(&found))));
    }
    let mut last = String::new();
    for signer in String::from_utf8_lossy(&found.stdout).lines() {
        let mut verify = keygen("verify");
        verify.args(["-n", NAMESPACE, "-f"]).arg(allowed);
        verify.args(["-I", signer, "-s"]).arg(file.path());
        let output = run(verify, document).await?;
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let key = said.trim_end().rsplit_once(" with ").map_or("", |(_, key)| key);
            return Ok(SignatureVerdict::Good(Signature {
                signer: printable(signer),
                key: printable(&key.replace(" key ", " ")),
            }));
        }
        last = words(&output);
    }
    Ok(SignatureVerdict::Bad(reason(&last)))
}

fn keep(signature: &[u8]) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("syntax-publish-signature-")
        .tempfile()?;
    file.write_all(signature)?;
    file.flush()?;
    Ok(file)
}

/// The program, with the action to perform.
fn keygen(action: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", action]);
    command
}

async fn run(mut command: Command, input: &[u8]) -> Result<Output, SignError> {
    let cannot = |detail: String| SignError::Program { detail };
    let mut child = command
        .env("SSH_ASKPASS_REQUIRE", "never")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot(error.to_string()))?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // If `ssh-keygen` ends early, its exit status and its message explain why.
            let _ = stdin.write_all(input).await;
        }
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    match timeout(PATIENCE, both).await {
        Ok(output) => output.map_err(|error| cannot(error.to_string())),
        Err(_) => Err(cannot(format!("no answer after {} seconds", PATIENCE.as_secs()))),
    }
}

/// Returns the most informative line of a failed run's output, safe for a terminal.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let idle = |line: &&str| line.is_empty() || line.starts_with('@') || line.starts_with("Signing data on");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !idle(line)).collect();
    let told = lines
        .iter()
        .find(|line| line.starts_with("Permissions "))
        .or(lines.first());
    let told = told.map_or_else(|| output.status.to_string(), |line| (*line).to_owned());
    printable(&told.chars().take(LONGEST_MESSAGE).collect::<String>())
}

/// Translates a message about a signature into this tool's words.
fn reason(said: &str) -> String {
    if said.contains("No principal matched") {
        "its key is none of the allowed signers'".to_owned()
    } else if said.contains("namespace does not match") {
        "it was made for something else than a release".to_owned()
    } else if said.contains("incorrect signature") {
        "it is not over this document".to_owned()
    } else if said.contains("parse signature") || said.contains("sshsig") {
        "it is no signature of ssh-keygen's".to_owned()
    } else {
        said.to_owned()
    }
}
