//! More SFTP sessions, for a run that sends many files.
//!
//! A server has one process for each session, which executes one request after another and waits for the disk after each
//! file. The sessions share one more connection of `ssh`, because a firewall may count connections, and a key may have
//! to be touched for each. The first connection stays as it is, so nothing that fails here can disturb it. This module
//! must not return an error: what can't be opened is done without.

use std::os::unix::net::UnixListener;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tempfile::TempDir;

use super::Sftp;
use crate::host::Host;
use crate::host::ssh::{SftpAddress, Sharing};

/// The most sessions. OpenSSH's server admits ten for each connection by default.
const MOST: usize = 3;

/// One session is worth its price for each this many files: on a fast disk the server takes about a millisecond for a
/// file, and over a long line, connecting takes most of a second.
const FILES_EACH: usize = 512;

/// Opens as many sessions as are worth their price. Ends at the first that can't be opened.
pub(super) fn sessions(address: &SftpAddress, files: usize) -> BoxStream<'_, Box<dyn Host>> {
    let wanted = MOST.min(files / FILES_EACH);
    let opened = stream::unfold((None, 0), move |(folder, number)| async move {
        if number == wanted {
            return None;
        }
        let folder = folder.map_or_else(folder_for_socket, Some)?;
        let socket = folder.path().join(SOCKET);
        let sharing = if number == 0 {
            Sharing::Offer(socket)
        } else {
            Sharing::Use(socket)
        };
        let mut address = address.clone();
        address.sharing = Some(sharing);
        let session: Box<dyn Host> = Box::new(Sftp::open_asking(&address, Vec::new()).await.ok()?.0);
        Some((session, (Some(folder), number + 1)))
    });
    opened.boxed()
}

/// The name of the socket. `ssh` makes it under a longer name first, and a socket's path has at most 107 bytes, or 103.
const SOCKET: &str = "s";
const LONGEST_PATH: usize = 80;

/// Makes a folder for the socket that only this user can access. `None` if its file system has no sockets or hard links,
/// which `ssh` would not survive.
fn folder_for_socket() -> Option<TempDir> {
    let folder = tempfile::Builder::new().prefix("syntax-publish-").tempdir().ok()?;
    let probe = folder.path().join("probe");
    if probe.as_os_str().len() > LONGEST_PATH {
        return None;
    }
    UnixListener::bind(&probe).ok()?;
    let linked = folder.path().join("linked");
    std::fs::hard_link(&probe, &linked).ok()?;
    Some(folder)
}
