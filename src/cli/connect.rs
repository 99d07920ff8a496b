//! Creates the connector for a target of the site manifest. No other file outside of the library's `host` module names
//! the kinds of hosts.

use std::path::Path;
use std::time::Duration;

use syntax_publish::config::{Compression, SftpTarget, TargetKind};
use syntax_publish::host::{Connect, LocalConnector, SftpAddress, SftpConnector};
use syntax_publish::store::round_trip;
use syntax_publish::store::session::Session;

use super::failure::Failure;
use super::site::{self, Workplace};

/// Returns the connector to the workplace's target.
pub fn connector(workplace: &Workplace) -> Result<Box<dyn Connect>, Failure> {
    match &workplace.target.kind {
        TargetKind::Local { docroot } => Ok(Box::new(LocalConnector {
            docroot: workplace.path(docroot)?,
        })),
        TargetKind::Sftp(sftp) => Ok(Box::new(SftpConnector::new(address(workplace, sftp)?)?)),
    }
}

/// Returns the address of an SFTP target. `None` if the target is local.
pub fn sftp(workplace: &Workplace) -> Result<Option<SftpAddress>, Failure> {
    match &workplace.target.kind {
        TargetKind::Local { .. } => Ok(None),
        TargetKind::Sftp(sftp) => address(workplace, sftp).map(Some),
    }
}

pub fn address(workplace: &Workplace, sftp: &SftpTarget) -> Result<SftpAddress, Failure> {
    let file = |text: &Option<String>| text.as_ref().map(|text| workplace.path(text)).transpose();
    Ok(SftpAddress {
        host: sftp.host.clone(),
        user: sftp.user.clone(),
        port: sftp.port,
        identity: file(&sftp.identity)?,
        known_hosts: file(&sftp.known_hosts)?,
        host_key: sftp.host_key.as_ref().map(ToString::to_string),
        docroot: sftp.docroot.clone(),
        uncompressed: !sftp.compression.is_on(last_round_trip(workplace)),
        sharing: None,
        ssh: None,
    })
}

fn last_round_trip(workplace: &Workplace) -> Option<Duration> {
    round_trip::remembered(&site::cache()?, &workplace.identity())
}

/// Returns whether SSH compresses, and why, if the target leaves that to what was measured.
pub fn compression(workplace: &Workplace) -> Option<String> {
    depends_on_distance(workplace).then(|| {
        let last = last_round_trip(workplace);
        let is_on = if Compression::Auto.is_on(last) { "on" } else { "off" };
        let why = last.map_or("no round trip was measured yet".to_owned(), |last| {
            format!("a round trip took {:.1} ms", last.as_secs_f64() * 1000.0)
        });
        format!("SSH compression is {is_on}: {why}")
    })
}

/// Remembers how long a round trip took, if SSH compression depends on it.
pub fn remember_round_trip(workplace: &Workplace, session: &Session) {
    let fastest = session.fastest_round_trip().filter(|_| depends_on_distance(workplace));
    if let (Some(fastest), Some(folder)) = (fastest, site::cache()) {
        // If it can't be remembered, the next run knows as much as this one did.
        let _ = round_trip::remember(&folder, &workplace.identity(), fastest);
    }
}

fn depends_on_distance(workplace: &Workplace) -> bool {
    matches!(&workplace.target.kind, TargetKind::Sftp(sftp) if sftp.compression == Compression::Auto)
}

/// Creates the folders above a local docroot whose path is relative to the site manifest.
///
/// The folders above an absolute docroot are left to the user: if one is missing, the usual cause is a disk that is not
/// mounted.
pub fn make_room(workplace: &Workplace) -> Result<(), Failure> {
    let TargetKind::Local { docroot } = &workplace.target.kind else {
        return Ok(());
    };
    let full = workplace.path(docroot)?;
    match full.parent() {
        Some(parent) if Path::new(docroot).is_relative() => std::fs::create_dir_all(parent).map_err(|source| {
            let what = format!("make the folder {}", parent.display());
            Failure::Io { what, source }
        }),
        _ => Ok(()),
    }
}
