//! From a target of the site manifest to a connector: the one place that names the kinds of hosts.

use std::path::Path;

use syntax_publish::config::{SftpTarget, TargetKind};
use syntax_publish::host::{Connect, LocalConnector, SftpAddress, SftpConnector};

use super::failure::Failure;
use super::site::Workplace;

/// What connects to the workplace's target.
pub fn connector(workplace: &Workplace) -> Result<Box<dyn Connect>, Failure> {
    match &workplace.target.kind {
        TargetKind::Local { docroot } => Ok(Box::new(LocalConnector {
            docroot: workplace.path(docroot)?,
        })),
        TargetKind::Sftp(sftp) => match SftpConnector::new(address(workplace, sftp)?) {
            Ok(connector) => Ok(Box::new(connector)),
            Err(error) => Err(Failure::Address {
                detail: error.to_string(),
            }),
        },
    }
}

/// Where an SFTP target is reached.
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

/// Makes the folders above a local docroot that is named relative to the site manifest.
///
/// An absolute one is left to its owner: a folder that is missing there is more often a disk that isn't mounted.
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
