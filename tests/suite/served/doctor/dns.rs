//! A name server with the test's own zone. It answers requests over UDP, and only for addresses and aliases.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// The records of a name.
#[derive(Clone, Default)]
pub struct Entry {
    pub alias: Option<String>,
    pub addresses: Vec<IpAddr>,
}

pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<BTreeMap<String, Entry>>>,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

impl Dns {
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let zone = Arc::<Mutex<BTreeMap<String, Entry>>>::default();
        let known = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut bytes = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let zone = known.lock().expect("the zone").clone();
                if let Some(answer) = answer(&bytes[..length], &zone) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { address, zone }
    }

    /// Makes a name resolve to these addresses only.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
        let entry = Entry {
            alias: None,
            addresses: addresses.collect(),
        };
        self.zone.lock().expect("the zone").insert(name.to_owned(), entry);
    }

    /// Makes a name an alias of another.
    pub fn alias(&self, name: &str, of: &str) {
        let entry = Entry {
            alias: Some(of.to_owned()),
            addresses: Vec::new(),
        };
        self.zone.lock().expect("the zone").insert(name.to_owned(), entry);
    }

    pub fn forget(&self, name: &str) {
        self.zone.lock().expect("the zone").remove(name);
    }
}

fn answer(question: &[u8], zone: &BTreeMap<String, Entry>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while *question.get(at)? != 0 {
        let length = usize::from(question[at]);
        labels.push(
            String::from_utf8(question.get(at + 1..=at + length)?.to_vec())
                .ok()?
                .to_lowercase(),
        );
        at += length + 1;
    }
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    let asked = question.get(12..at + 5)?;
    let mut name = labels.join(".");
    let mut records: Vec<(String, u16, Vec<u8>)> = Vec::new();
    let mut known = zone.get(&name);
    while let Some(alias) = known.and_then(|entry| entry.alias.clone()) {
        records.push((name, CNAME, wire(&alias)));
        known = zone.get(&alias);
        name = alias;
    }
    for address in known.map(|entry| entry.addresses.clone()).unwrap_or_default() {
        match address {
            IpAddr::V4(v4) if kind == A => records.push((name.clone(), A, v4.octets().to_vec())),
            IpAddr::V6(v6) if kind == AAAA => records.push((name.clone(), AAAA, v6.octets().to_vec())),
            _ => {}
        }
    }
    let code = if known.is_none() && records.is_empty() { 3 } else { 0 };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1]);
    answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    answer.extend([0, 0, 0, 0]);
    answer.extend(asked);
    for (name, kind, data) in records {
        answer.extend(wire(&name));
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 1]);
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

/// Encodes a name in wire format.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
