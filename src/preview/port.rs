//! Finds a port to listen on, and the process that uses a port that is taken.
//!
//! Uses the operating system, and on Linux `/proc`. What cannot be found out is `None`.

use std::fs;
use std::io;

use tokio::net::TcpListener;

use super::guard::bare;
use crate::model::path::printable;

/// The first port that is tried if none is requested.
pub const DEFAULT: u16 = 4400;

/// How many ports are tried, including the first.
const TRIED: u16 = 20;

/// Why there is no port to listen on.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The port is in use.
    #[error("port {port} is taken{}", .by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    Taken {
        /// The port.
        port: u16,
        /// The process that uses it, if that could be found out.
        by: Option<String>,
        /// A port that is free.
        free: Option<u16>,
    },
    /// The preview cannot listen on the address.
    #[error("can't listen on {host}: {source}")]
    Refused {
        /// The address.
        host: String,
        /// The error from the operating system.
        source: io::Error,
    },
}

/// A port that this process listens on.
#[derive(Debug)]
pub struct BoundPort {
    /// The socket.
    pub listener: TcpListener,
    /// The address.
    pub address: std::net::SocketAddr,
    /// The ports that were taken, with the processes that use them.
    pub passed: Vec<(u16, Option<String>)>,
}

/// Listens on `port` of `host`. If `port` is `None`, listens on the first free port from [`DEFAULT`] on.
///
/// # Errors
/// [`PortError`].
pub async fn listen(host: &str, port: Option<u16>) -> Result<BoundPort, PortError> {
    let mut passed = Vec::new();
    let first = port.unwrap_or(DEFAULT);
    for port_tried in first..=first.saturating_add(TRIED - 1) {
        match bind(host, port_tried).await {
            Ok(listener) => {
                let address = listener.local_addr().map_err(|source| refused(host, source))?;
                return Ok(BoundPort {
                    listener,
                    address,
                    passed,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                passed.push((port_tried, holder(port_tried)));
                if port.is_some() {
                    break;
                }
            }
            Err(source) => return Err(refused(host, source)),
        }
    }
    let free = free(host, port).await;
    let (port, by) = passed.into_iter().next().unwrap_or((first, None));
    Err(PortError::Taken { port, by, free })
}

/// Returns a port that is free: one of those after `taken`, or else any.
async fn free(host: &str, taken: Option<u16>) -> Option<u16> {
    let next = taken
        .into_iter()
        .flat_map(|taken| (1..=TRIED).filter_map(move |step| taken.checked_add(step)));
    for port in next.chain([0]) {
        if let Ok(address) = bind(host, port).await.and_then(|listener| listener.local_addr()) {
            return Some(address.port());
        }
    }
    None
}

fn refused(host: &str, source: io::Error) -> PortError {
    PortError::Refused {
        host: host.to_owned(),
        source,
    }
}

async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((bare(host), port)).await
}

/// Returns the name and ID of the process that listens on a port, if the system reveals it.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let sockets: Vec<String> = texts.flat_map(|text| listening(&text, port)).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str())) {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (process {pid})", printable(name.trim())));
        }
    }
    None
}

/// Returns the sockets in a kernel table that listen on a port, as the files of a process name them.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    let socket = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, local, _, LISTEN, _, _, _, _, _, inode, ..] if local.ends_with(&port) => Some(format!("socket:[{inode}]")),
        _ => None,
    };
    table.lines().filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_port_can_be_listened_on_and_one_that_is_taken_is_reported_with_another() {
        let host = "127.0.0.1";
        // Another process may have the port; then the error has to name it.
        match listen(host, Some(u16::MAX)).await {
            Ok(listening) => assert_eq!(listening.address.port(), u16::MAX),
            Err(error) => assert!(matches!(error, PortError::Taken { by: Some(_), .. }), "{error}"),
        }
        let _holder = bind(host, u16::MAX).await;
        let taken = listen(host, Some(u16::MAX)).await.map(|listening| listening.address);
        assert!(
            matches!(
                taken,
                Err(PortError::Taken {
                    port: u16::MAX,
                    free: Some(_),
                    ..
                })
            ),
            "{taken:?}"
        );
    }

    #[test]
    fn only_sockets_that_listen_on_the_port_are_named() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1130 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x\n   \
            1: 0100007F:1130 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n   \
            2: 0100007F:1131 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x\n";
        assert_eq!(listening(table, 4400), ["socket:[4711]"]);
        assert_eq!(listening("", 4400), Vec::<String>::new());
    }
}
