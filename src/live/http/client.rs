//! An HTTP client connection: TCP, TLS, and on top HTTP/1.1 or HTTP/2, as the server chooses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryFutureExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::{self, HANDSHAKE};
use super::{Certificate, ConnectionFacts, Endpoint, HttpError, Protocol, Request, Response, Trust};
use crate::model::causes::with_causes;

/// Maximum length in bytes of the response to a single request, such as one to a CDN's API.
const MOST_ONCE: usize = 1 << 20;

/// HTTP/2 flow-control windows: how many bytes the server may send before they are read, per stream and per connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// How long to wait for an address to accept before the next address is tried in parallel.
const HEAD_START: Duration = Duration::from_millis(250);

/// The value of `User-Agent`.
const AGENT: &str = concat!("syntax-publish/", env!("CARGO_PKG_VERSION"));

/// A connection to a server.
pub struct Connection {
    place: Endpoint,
    facts: ConnectionFacts,
    sender: Sender,
}

enum Sender {
    /// HTTP/1.1: one request at a time.
    Http1(Mutex<http1::SendRequest<Full<Bytes>>>),
    /// HTTP/2: as many concurrent requests as the server allows.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Connects, within `patience`.
///
/// # Errors
/// [`HttpError`].
pub async fn connect(place: &Endpoint, trust: Trust, patience: Duration) -> Result<Connection, HttpError> {
    within(patience, place, Box::pin(connect_now(place, trust))).await
}

/// Sends one request over its own connection, to a server whose certificate must be valid.
///
/// # Errors
/// [`HttpError`].
pub async fn send_once(place: &Endpoint, request: &Request, patience: Duration) -> Result<Response, HttpError> {
    let sending = async {
        let connection = connect_now(place, Trust::Require).await?;
        let answer = connection.send(request, MOST_ONCE).await?;
        if answer.body.len() > MOST_ONCE {
            return Err(HttpError::TooLong {
                address: shown(place),
                limit: MOST_ONCE,
            });
        }
        Ok(answer)
    };
    within(patience, place, Box::pin(sending)).await
}

async fn within<T>(
    patience: Duration,
    place: &Endpoint,
    work: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    let late = |_| HttpError::TimedOut { address: shown(place) };
    timeout(patience, work).await.map_err(late)?
}

/// The host and port to connect to, as shown in messages.
fn shown(place: &Endpoint) -> String {
    let (host, port) = place.address();
    format!("{}:{port}", super::bracketed(host))
}

/// The error for a connection that broke, with all its causes.
fn broken(place: &Endpoint, error: &dyn std::error::Error) -> HttpError {
    HttpError::Broken {
        address: shown(place),
        detail: with_causes(error),
    }
}

async fn connect_now(place: &Endpoint, trust: Trust) -> Result<Connection, HttpError> {
    let stream = reach(place).await?;
    let peer = stream.peer_addr().map_err(|error| broken(place, &error))?;
    // Requests are small, and the client waits for each response.
    stream.set_nodelay(true).map_err(|error| broken(place, &error))?;
    let (protocol, certificate, sender) = if place.tls {
        let (stream, protocol, certificate) = secure(place, stream, trust).await?;
        (protocol, certificate, talk(stream, protocol).await)
    } else {
        (Protocol::Http1, None, talk(stream, Protocol::Http1).await)
    };
    Ok(Connection {
        place: place.clone(),
        facts: ConnectionFacts {
            peer,
            protocol,
            certificate,
        },
        sender: sender.map_err(|error| broken(place, &error))?,
    })
}

/// Opens a TCP connection to the first address of the host that accepts. While an address does not answer, further
/// addresses are tried in parallel.
async fn reach(place: &Endpoint) -> Result<TcpStream, HttpError> {
    let (host, port) = place.address();
    let unknown = |detail: String| HttpError::NoSuchName {
        name: host.to_owned(),
        detail,
    };
    let resolved = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = resolved.map_err(|error| unknown(error.to_string()))?.collect();
    let mut addresses = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut failed = unknown("it has no address".to_owned());
    loop {
        if let Some(address) = addresses.next() {
            trying.push(async move { TcpStream::connect(address).await.map_err(|error| (address, error)) });
        }
        let patience = if addresses.as_slice().is_empty() {
            Duration::MAX
        } else {
            HEAD_START
        };
        match timeout(patience, trying.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err((address, error)))) => {
                failed = HttpError::NoConnection {
                    address: address.to_string(),
                    detail: error.to_string(),
                };
            }
            Ok(None) => return Err(failed),
            Err(_) => {}
        }
    }
}

type Secured = tokio_rustls::client::TlsStream<TcpStream>;

async fn secure(
    place: &Endpoint,
    stream: TcpStream,
    trust: Trust,
) -> Result<(Secured, Protocol, Option<Certificate>), HttpError> {
    let failed = |detail: String| HttpError::Tls {
        address: shown(place),
        detail,
    };
    let (config, noted) = tls::config(trust).map_err(failed)?;
    let name = ServerName::try_from(place.name.clone()).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let shaking = connector
        .connect(name, stream)
        .map_err(|error| failed(error.to_string()));
    let stream = within(HANDSHAKE, place, shaking).await?;
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let first = session.peer_certificates().and_then(<[_]>::first);
    let certificate = first.and_then(|der| noted.certificate(der));
    Ok((stream, protocol, certificate))
}

async fn talk<S>(stream: S, protocol: Protocol) -> Result<Sender, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(Sender::Http1(Mutex::new(sender)))
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            // Many responses share the connection. No response should have to wait for the window that the others use.
            builder.initial_stream_window_size(STREAM_WINDOW);
            builder.initial_connection_window_size(CONNECTION_WINDOW);
            let (sender, connection) = builder.handshake(io).await?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        }
    }
}

impl Connection {
    /// What is known about the connection.
    pub fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }

    /// Sends a request and reads the response. Of a body that is longer than `most` bytes, `most + 1` bytes are read
    /// and the rest is dropped, which makes an HTTP/1.1 connection unusable. Over HTTP/1.1 concurrent calls wait for
    /// each other. This function has no timeout.
    ///
    /// # Errors
    /// [`HttpError`]. After an error an HTTP/1.1 connection is unusable.
    pub async fn send(&self, request: &Request, most: usize) -> Result<Response, HttpError> {
        let broken = |error: hyper::Error| broken(&self.place, &error);
        let request = self.build(request)?;
        // Over HTTP/1.1, the connection is held until the response was read.
        let mut held;
        let answer = match &self.sender {
            Sender::Http1(sender) => {
                held = sender.lock().await;
                held.ready().await.map_err(broken)?;
                held.send_request(request).await
            }
            Sender::Http2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await.map_err(broken)?;
                sender.send_request(request).await
            }
        };
        self.read(answer.map_err(broken)?, most).await
    }

    fn build(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
        let mut builder = hyper::Request::builder()
            .method(request.method)
            .header("user-agent", AGENT);
        // HTTP/2 derives its pseudo-headers from the complete URL. HTTP/1.1 has the path in the request line and the
        // name in a header.
        builder = match self.facts.protocol {
            Protocol::Http1 => builder.uri(&request.target).header("host", self.place.authority()),
            Protocol::Http2 => builder.uri(self.place.url(&request.target)),
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        builder
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(|error| HttpError::BadRequest {
                detail: error.to_string(),
            })
    }

    async fn read(&self, answer: hyper::Response<hyper::body::Incoming>, most: usize) -> Result<Response, HttpError> {
        let (head, mut coming) = answer.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let most = most.saturating_add(1);
        let mut body = Vec::new();
        while body.len() < most
            && let Some(frame) = coming.frame().await
        {
            let frame = frame.map_err(|error| broken(&self.place, &error))?;
            if let Some(data) = frame.data_ref() {
                body.extend_from_slice(&data[..data.len().min(most - body.len())]);
            }
        }
        Ok(Response {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body,
        })
    }
}
