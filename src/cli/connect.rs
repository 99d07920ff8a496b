//! Creates the connector for a target of the site manifest. No other file outside of the library's `host` module names
//! the kinds of hosts.

use std::path::Path;

use syntax_publish::config::{SftpTarget, TargetKind};
use syntax_publish::host::{Connect, LocalConnector, SftpAddress, SftpConnector};

use super::failure::Failure;
use super::site::Workplace;

/// Returns the connector to the workplace's target.
pub fn connector(workplace: &Workplace) -> Result<Box<dyn Connect>, Failure> {
    match &workplace.target.kind {
        TargetKind::Local { docroot } => Ok(Box::new(LocalConnector {
            docroot: workplace.path(docroot)?,
        })),
        TargetKind::Sftp(sftp) => {
            let connector = SftpConnector::new(address(workplace, sftp)?);
            let detail = |error| Failure::Address {
                detail: format!("{error}"),
            };
            Ok(Box::new(connector.map_err(detail)?))
        }
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
        uncompressed: !sftp.compression,
        ssh: None,
    })
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
