//! A raw HTTP/1.1 client. It sends the request target exactly as given and returns the complete answer.
//!
//! An ordinary client normalizes a URL before it sends it, so it can't send an attacker's requests. This client does
//! not encode, resolve or follow anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One request, to be sent with [`Request::send`].
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    /// A GET of exactly these bytes.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A request with any method.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_vec(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Adds a body and its `Content-Length`.
    pub fn body(mut self, body: String) -> Self {
        self.headers.push(("Content-Length".to_owned(), body.len().to_string()));
        self.body = body;
        self
    }

    /// Adds a header. A `Host` given here replaces the usual one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends the request and reads the complete answer.
    pub fn send(&self, server: SocketAddr) -> Response {
        let mut stream = TcpStream::connect(server).expect("the server accepts");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.write_all(&self.bytes()).expect("the request is sent");
        Response::read(&mut BufReader::new(stream), &self.method)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.method.clone().into_bytes();
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let named = |name: &str| self.headers.iter().any(|h| h.0.eq_ignore_ascii_case(name));
        if !named("host") {
            bytes.extend_from_slice(b"Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
        bytes.extend_from_slice(self.body.as_bytes());
        bytes
    }
}

/// An answer as received, with its chunks joined.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// In the order of arrival, including repeats.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    fn read(stream: &mut impl BufRead, method: &str) -> Self {
        let first = line(stream);
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = line(stream);
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').expect("a header has a colon");
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Self {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && status != 304 && status != 204 {
            response.body = response.read_body(stream);
        }
        response
    }

    fn read_body(&self, stream: &mut impl BufRead) -> Vec<u8> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = line(stream);
                let size = size.split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).expect("a chunk has a size");
                if size == 0 {
                    return body;
                }
                let read = stream.by_ref().take(size).read_to_end(&mut body);
                assert_eq!(read.expect("a chunk") as u64, size, "the chunk is whole");
                assert_eq!(line(stream), "");
            }
        }
        match self.header("content-length") {
            Some(length) => {
                let length = length.parse().expect("a length is a number");
                body.resize(length, 0);
                stream.read_exact(&mut body).expect("the body is whole");
            }
            None => {
                stream.read_to_end(&mut body).expect("the body");
            }
        }
        body
    }

    /// Every value of a header. The name is case-insensitive.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// A header that occurs at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is repeated: {all:?}");
        all.first().copied()
    }
}

fn line(stream: &mut impl BufRead) -> String {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).expect("a line");
    let line = line.strip_suffix(b"\n").expect("a line ends");
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}
