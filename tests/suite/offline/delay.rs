//! The delayed line of the tests delays, keeps order, cuts at the given place, and falls silent.
//!
//! No test here requires a speed: a busy machine must not make one fail.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::delay::DelayProxy;

const RTT: Duration = Duration::from_millis(40);

/// A server that sends everything back.
fn echo() -> u16 {
    serve(|mut client| {
        let mut reader = client.try_clone().expect("a second handle");
        let _ = std::io::copy(&mut reader, &mut client);
        let _ = client.shutdown(Shutdown::Write);
    })
}

/// A server that reads one connection to its end and passes on what it received.
fn sink() -> (u16, Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let port = serve(move |mut client| {
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        let _ = tell.send(received);
    });
    (port, told)
}

fn serve(session: impl Fn(TcpStream) + Send + Clone + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let session = session.clone();
            thread::spawn(move || session(client));
        }
    });
    port
}

fn connect(proxy: &DelayProxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).expect("a connection to the proxy")
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(b"?").expect("to write");
    stream.read_exact(&mut [0]).expect("an answer");
}

#[test]
fn an_answer_takes_a_round_trip_and_the_first_one_the_handshake_too() {
    let proxy = DelayProxy::start(echo(), RTT);
    let start = Instant::now();
    let mut stream = connect(&proxy);
    ask(&mut stream);
    assert!(start.elapsed() >= RTT * 2, "{:?}", start.elapsed());
    let second = Instant::now();
    ask(&mut stream);
    assert!(second.elapsed() >= RTT, "{:?}", second.elapsed());
}

#[test]
fn bytes_under_way_do_not_wait_for_each_other() {
    let (rtt, pieces) = (Duration::from_millis(400), 30);
    let proxy = DelayProxy::start(echo(), rtt);
    let mut stream = connect(&proxy);
    ask(&mut stream);
    stream.set_nodelay(true).expect("nodelay");
    let start = Instant::now();
    for piece in 0..pieces {
        stream.write_all(&[piece]).expect("to write");
        thread::sleep(Duration::from_millis(1));
    }
    let mut answers = vec![0; usize::from(pieces)];
    stream.read_exact(&mut answers).expect("the answers");
    assert_eq!(answers, (0..pieces).collect::<Vec<u8>>());
    // One after the other, the pieces would take thirty round trips. No machine is so busy that this comparison fails.
    assert!(start.elapsed() < rtt * u32::from(pieces) / 2, "{:?}", start.elapsed());
}

#[test]
fn bytes_arrive_unchanged_and_are_counted_each_way() {
    let sent: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let proxy = DelayProxy::start(echo(), Duration::from_millis(2));
    let mut stream = connect(&proxy);
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = sent.clone();
    let sending = thread::spawn(move || {
        writer.write_all(&writing).expect("to write");
        writer.shutdown(Shutdown::Write).expect("to end");
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("to read to the end");
    sending.join().expect("the writer");
    assert!(received == sent);
    assert_eq!(
        (proxy.bytes_up(), proxy.bytes_down()),
        (sent.len() as u64, sent.len() as u64)
    );
}

#[test]
fn rate_stretches_a_transfer() {
    let (port, received) = sink();
    let proxy = DelayProxy::start(port, Duration::ZERO);
    proxy.set_rate(1_000_000);
    let start = Instant::now();
    let mut stream = connect(&proxy);
    stream.write_all(&vec![7; 200_000]).expect("to write");
    drop(stream);
    assert_eq!(received.recv().expect("what came").len(), 200_000);
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn cut_lets_exactly_so_many_bytes_through_and_resets() {
    let (port, received) = sink();
    let proxy = DelayProxy::start(port, RTT);
    proxy.cut_after_up(1_000);
    let mut stream = connect(&proxy);
    stream.write_all(&[1; 5_000]).expect("to write");
    assert_eq!(received.recv().expect("what came").len(), 1_000);
    let error = stream.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(proxy.has_cut());
    assert_eq!(proxy.bytes_up(), 1_000);
}

#[test]
fn cut_takes_every_connection_and_later_ones_work() {
    let proxy = DelayProxy::start(echo(), Duration::from_millis(2));
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    ask(&mut first);
    ask(&mut second);
    assert!(!proxy.has_cut());
    proxy.cut_after_up(0);
    for stream in [&mut first, &mut second] {
        assert_eq!(
            stream.read(&mut [0]).expect_err("a reset").kind(),
            ErrorKind::ConnectionReset
        );
    }
    ask(&mut connect(&proxy));
}

#[test]
fn cut_for_good_resets_later_connections_too() {
    let proxy = DelayProxy::start(echo(), Duration::from_millis(2));
    ask(&mut connect(&proxy));
    proxy.cut_for_good_after_up(0);
    let mut late = connect(&proxy);
    assert_eq!(
        late.read(&mut [0]).expect_err("a reset").kind(),
        ErrorKind::ConnectionReset
    );
}

#[test]
fn black_hole_passes_nothing_on_and_closes_nothing() {
    let proxy = DelayProxy::start(echo(), Duration::from_millis(2));
    let mut stream = connect(&proxy);
    ask(&mut stream);
    proxy.blackhole();
    let before = (proxy.bytes_up(), proxy.bytes_down());
    stream.write_all(b"?").expect("the line still takes bytes");
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    let error = stream.read(&mut [0]).expect_err("silence");
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    assert_eq!((proxy.bytes_up(), proxy.bytes_down()), before);
}

#[test]
fn dropped_proxy_resets_its_connections_and_frees_its_port() {
    let proxy = DelayProxy::start(echo(), Duration::from_millis(2));
    let mut stream = connect(&proxy);
    ask(&mut stream);
    let port = proxy.port;
    drop(proxy);
    assert!(stream.read(&mut [0]).is_err());
    // The accepting thread releases the port some time later.
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        assert!(Instant::now() < deadline, "the port is still served");
        thread::yield_now();
    }
}
