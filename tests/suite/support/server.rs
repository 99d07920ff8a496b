//! A small HTTP/1.1 server for services that tests can't use. It passes each request to a function, and keeps all
//! requests.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A request as received.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// An answer to send.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Log = Arc<(Mutex<Vec<Received>>, Condvar)>;

/// A running server. Its threads run until the test's process ends, even if it is dropped.
pub struct Server {
    pub address: SocketAddr,
    log: Log,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let log = Log::default();
        let answer: Arc<dyn Fn(&Received) -> Reply + Send + Sync> = Arc::new(answer);
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&kept));
                thread::spawn(move || converse(stream, &*answer, &log));
            }
        });
        Self { address, log }
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.log.0.lock().expect("no test panicked").clone()
    }

    /// Waits for this number of requests.
    pub fn wait_for(&self, count: usize) {
        let log = self.log.0.lock().expect("no test panicked");
        let patience = Duration::from_secs(60);
        let waited = self.log.1.wait_timeout_while(log, patience, |log| log.len() < count);
        assert!(waited.expect("no test panicked").0.len() >= count, "nobody asked");
    }
}

fn converse(stream: TcpStream, answer: &(dyn Fn(&Received) -> Reply + Send + Sync), log: &Log) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(received) = read(&mut reader) {
        log.0.lock().expect("no test panicked").push(received.clone());
        log.1.notify_all();
        let reply = answer(&received);
        let mut head = format!(
            "HTTP/1.1 {} x\r\ncontent-length: {}\r\n",
            reply.status,
            reply.body.len()
        );
        for (name, value) in &reply.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let sent = writer.write_all(format!("{head}\r\n").as_bytes());
        let body: &[u8] = if received.method == "HEAD" { &[] } else { &reply.body };
        if sent.and_then(|()| writer.write_all(body)).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut received = Received {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = received
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    received.body.resize(length, 0);
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}
