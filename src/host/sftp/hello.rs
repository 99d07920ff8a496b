//! Begins the protocol without waiting for the server.
//!
//! The client library asks for the server's version and then for its limits, and sends no request before both answers
//! have arrived. An SFTP server answers in order, so requests can follow the first packet at once. This module
//! therefore answers the library itself, and leaves reading the server's version to the caller, who must not send
//! anything that depends on it before.
//!
//! The limits concern the size of one read or write. Writes are split into pieces that every server takes, and a server
//! with smaller limits returns less than was requested, which every read expects. So the server is not asked for them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The only version of the protocol that OpenSSH has.
const VERSION: u32 = 3;

/// The types of packets.
const SSH_FXP_VERSION: u8 = 2;
const SSH_FXP_EXTENDED: u8 = 200;
const SSH_FXP_EXTENDED_REPLY: u8 = 201;

/// The length of the library's first packet, which asks for the version.
const FIRST: usize = 9;

/// The maximum length of the server's version with its extensions.
const LONGEST: u32 = 4096;

/// The limits that OpenSSH reports: of a packet, of a read, of a write, and of open handles.
const LIMITS: [u64; 4] = [256 << 10, 255 << 10, 255 << 10, 0];

const LIMITS_EXTENSION: &str = "limits@openssh.com";

/// The extensions that the store needs or uses. The library is told that all of them are supported.
const EXTENSIONS: [(&str, &str); 6] = [
    (LIMITS_EXTENSION, "1"),
    ("posix-rename@openssh.com", "1"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("copy-data", "1"),
];

/// The extensions that a server says it supports.
#[derive(Debug, Default)]
pub(super) struct Extensions(Vec<(String, String)>);

impl Extensions {
    /// Reads a server's version, which is the first packet that it sends.
    ///
    /// # Errors
    /// What the stream reports, or that it starts with something else.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = from.read_u32().await?;
        if length > LONGEST {
            return Err(invalid("the server's first packet is too long"));
        }
        let mut packet = vec![0; usize::try_from(length).unwrap_or(0)];
        from.read_exact(&mut packet).await?;
        Self::parse(&packet).ok_or_else(|| invalid("the server does not begin with version 3 of the protocol"))
    }

    fn parse(packet: &[u8]) -> Option<Self> {
        let (head, mut rest) = packet.split_first_chunk::<5>()?;
        if *head != [SSH_FXP_VERSION, 0, 0, 0, 3] {
            return None;
        }
        let mut text = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (text, after) = after.split_at_checked(length)?;
            rest = after;
            Some((String::from_utf8_lossy(text).into_owned(), after.is_empty()))
        };
        let mut all = Vec::new();
        if packet.len() == head.len() {
            return Some(Self(all));
        }
        loop {
            let (name, _) = text()?;
            let (revision, is_last) = text()?;
            all.push((name, revision));
            if is_last {
                return Some(Self(all));
            }
        }
    }

    /// Whether the server supports this extension, in the revision that the library speaks.
    pub(super) fn has(&self, name: &str) -> bool {
        let known = EXTENSIONS.iter().find(|(known, _)| *known == name);
        self.0
            .iter()
            .any(|(there, revision)| there == name && known.is_none_or(|(_, known)| known == revision))
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Splits the two streams of a connection into those for the library. The library reads from `R` once it is sent
/// through the returned channel.
pub(super) fn streams<W, R>(to: W) -> (Asking<W>, Answered<R>, oneshot::Sender<R>) {
    let (answer, limits) = oneshot::channel();
    let (begin, server) = oneshot::channel();
    let asking = Asking {
        to,
        passed: 0,
        request: Vec::new(),
        answer: Some(answer),
    };
    let answered = Answered {
        made: version(),
        limits: Some(limits),
        server: Server::Waiting(server),
    };
    (asking, answered, begin)
}

/// A stream that withholds the request for the limits. Everything else passes.
pub(super) struct Asking<W> {
    to: W,
    /// How much of the first packet has passed.
    passed: usize,
    /// What has come of the request for the limits.
    request: Vec<u8>,
    /// Takes the answer to it.
    answer: Option<oneshot::Sender<Vec<u8>>>,
}

impl<W> Asking<W> {
    /// Takes bytes of the request for the limits, and returns how many of them belonged to it.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(wanted) = self.still_wanted() {
            let Some(more) = bytes[taken..]
                .get(..wanted.min(bytes.len() - taken))
                .filter(|more| !more.is_empty())
            else {
                return Ok(taken);
            };
            self.request.extend_from_slice(more);
            taken += more.len();
        }
        let reply = reply(&self.request).ok_or_else(|| invalid("the library begins with an unknown request"))?;
        if let Some(answer) = self.answer.take() {
            // If the library has stopped reading, it needs no answer.
            let _ = answer.send(reply);
        }
        Ok(taken)
    }

    /// How many bytes of the request are missing, as far as that is known; `None` if it is complete.
    fn still_wanted(&self) -> Option<usize> {
        let Some((length, rest)) = self.request.split_first_chunk::<4>() else {
            return Some(4 - self.request.len());
        };
        let length = usize::try_from(u32::from_be_bytes(*length).min(LONGEST)).unwrap_or(0);
        length.checked_sub(rest.len()).filter(|wanted| *wanted > 0)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Asking<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.passed < FIRST {
            let part = &bytes[..bytes.len().min(FIRST - self.passed)];
            let written = ready!(Pin::new(&mut self.to).poll_write(context, part))?;
            self.passed += written;
            return Poll::Ready(Ok(written));
        }
        if self.answer.is_some() {
            return Poll::Ready(self.take(bytes));
        }
        Pin::new(&mut self.to).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.answer.is_none() {
            return Pin::new(&mut self.to).poll_write_vectored(context, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.to.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(context)
    }
}

/// A stream that begins with the answers that are made here, and goes on with the server's.
pub(super) struct Answered<R> {
    /// What is to be read before anything else.
    made: Vec<u8>,
    /// The answer about the limits, once it was asked for.
    limits: Option<oneshot::Receiver<Vec<u8>>>,
    server: Server<R>,
}

enum Server<R> {
    Waiting(oneshot::Receiver<R>),
    There(R),
    /// The connection was given up.
    Gone,
}

impl<R: AsyncRead + Unpin> AsyncRead for Answered<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.made.is_empty() {
                let length = self.made.len().min(buffer.remaining());
                buffer.put_slice(&self.made[..length]);
                self.made.drain(..length);
                return Poll::Ready(Ok(()));
            }
            if let Some(limits) = &mut self.limits {
                match ready!(Pin::new(limits).poll(context)) {
                    Ok(made) => self.made = made,
                    // Nothing can be asked any more.
                    Err(_) => self.server = Server::Gone,
                }
                self.limits = None;
                continue;
            }
            match &mut self.server {
                Server::Waiting(server) => {
                    let server = ready!(Pin::new(server).poll(context));
                    self.server = server.map_or(Server::Gone, Server::There);
                }
                Server::There(server) => return Pin::new(server).poll_read(context, buffer),
                Server::Gone => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The answer about the version that the library gets.
fn version() -> Vec<u8> {
    let mut body = vec![SSH_FXP_VERSION];
    body.extend(VERSION.to_be_bytes());
    for text in EXTENSIONS.iter().flat_map(|(name, revision)| [name, revision]) {
        body.extend(u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
        body.extend(text.as_bytes());
    }
    packet(&body)
}

/// The answer to the request for the limits; `None` if this is another request.
fn reply(request: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = request.get(4..)?.split_first()?;
    let (id, name) = rest.split_first_chunk::<4>()?;
    if *kind != SSH_FXP_EXTENDED || name.get(4..)? != LIMITS_EXTENSION.as_bytes() {
        return None;
    }
    let mut body = vec![SSH_FXP_EXTENDED_REPLY];
    body.extend(id);
    body.extend(LIMITS.iter().flat_map(|limit| limit.to_be_bytes()));
    Some(packet(&body))
}

fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0);
    [&length.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use openssh_sftp_client::{Sftp as Client, SftpOptions};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const LSTAT: u8 = 7;

    /// The next packet of a stream, without its length.
    async fn next(from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let mut packet = vec![0; usize::try_from(from.read_u32().await.unwrap()).unwrap()];
        from.read_exact(&mut packet).await.unwrap();
        packet
    }

    #[tokio::test]
    async fn requests_follow_the_first_packet_before_the_server_has_answered() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (server, to) = tokio::io::split(near);
        let (to, from, begin) = streams(to);
        let client = Client::new(to, from, SftpOptions::new()).await.unwrap();
        let mut fs = client.fs();
        let asking = tokio::spawn(async move { fs.symlink_metadata("x").await.unwrap().len() });
        let (mut from_client, mut to_client) = tokio::io::split(far);
        assert_eq!(next(&mut from_client).await, [1, 0, 0, 0, 3]);
        let request = next(&mut from_client).await;
        assert_eq!(request[0], LSTAT, "nothing is asked in between");
        // An answer with the flag of the size, and a size of 5.
        let answer = [&[105], &request[1..5], &1_u32.to_be_bytes(), &5_u64.to_be_bytes()[..]].concat();
        to_client.write_all(&packet(&answer)).await.unwrap();
        assert!(begin.send(server).is_ok());
        assert_eq!(asking.await.unwrap(), Some(5));
    }

    #[tokio::test]
    async fn the_stream_ends_if_nothing_can_be_asked_any_more() {
        let (asking, mut answered, _begin) = streams::<Vec<u8>, &[u8]>(Vec::new());
        drop(asking);
        let mut read = Vec::new();
        answered.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, version());
    }

    #[test]
    fn the_request_for_the_limits_is_taken_in_pieces_of_any_size_and_nothing_after_it() {
        let request = packet(&[&[SSH_FXP_EXTENDED, 0, 0, 1, 7][..], b"\0\0\0\x12limits@openssh.com"].concat());
        let stream = [&request[..], b"next"].concat();
        for size in 1..=stream.len() {
            let (mut asking, mut answered, _begin) = streams::<Vec<u8>, &[u8]>(Vec::new());
            let mut taken = 0;
            while asking.answer.is_some() {
                let end = stream.len().min(taken + size);
                taken += asking.take(&stream[taken..end]).unwrap();
            }
            assert_eq!(taken, request.len(), "in pieces of {size}");
            let reply = answered.limits.as_mut().unwrap().try_recv().unwrap();
            assert_eq!(
                (reply.len(), &reply[4..9]),
                (41, &[SSH_FXP_EXTENDED_REPLY, 0, 0, 1, 7][..])
            );
        }
        let (mut asking, _answered, _begin) = streams::<Vec<u8>, &[u8]>(Vec::new());
        assert!(asking.take(&packet(&[LSTAT, 0, 0, 0, 1, 0, 0, 0, 0])).is_err());
    }

    #[tokio::test]
    async fn a_version_is_read_with_its_extensions_and_nothing_else_is_one() {
        let whole = version();
        let read = async |bytes: &[u8]| Extensions::read(&mut &*bytes).await;
        let extensions = read(&whole).await.unwrap();
        assert!(EXTENSIONS.iter().all(|(name, _)| extensions.has(name)));
        assert!(!extensions.has("expand-path@openssh.com"));
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).await.is_err(), "{cut} bytes");
        }
        let bare = [SSH_FXP_VERSION, 0, 0, 0, 3];
        assert!(!read(&packet(&bare)).await.unwrap().has("fsync@openssh.com"));
        let another = [&bare[..], b"\0\0\0\x11fsync@openssh.com\0\0\0\x012"].concat();
        assert!(
            !read(&packet(&another)).await.unwrap().has("fsync@openssh.com"),
            "revision 2"
        );
        for wrong in [
            &[SSH_FXP_VERSION, 0, 0, 0, 4][..],
            &[101, 0, 0, 0, 3],
            &[SSH_FXP_VERSION, 0, 0],
            &[],
        ] {
            assert!(read(&packet(wrong)).await.is_err(), "{wrong:?}");
        }
        for wrong in [&b"\0\0\0\x05fsync"[..], b"\0\0\0", b"\xff\xff\xff\xff"] {
            assert!(read(&packet(&[&bare, wrong].concat())).await.is_err(), "{wrong:?}");
        }
    }
}
