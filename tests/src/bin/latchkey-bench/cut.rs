//! How long after the API's answer does the last byte arrive on a connection that deactivation cuts?

use std::io::{Read, Write};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use latchkey_tests::process::loopback;
use latchkey_tests::tls::{self, Connection};

use crate::latchkey::Latchkey;
use crate::table::median;

/// Deactivates a device with this many open connections, half event streams and half WebSockets; a line of results.
pub(crate) fn measure(program: &Path, connections: usize, rounds: usize) -> String {
    let rounds: Vec<Vec<f64>> = (0..rounds).map(|_| round(program, connections)).collect();
    let middle: Vec<f64> = rounds.iter().map(|delays| median(delays)).collect();
    let longest = rounds.iter().flatten().copied().fold(0.0, f64::max);
    format!(
        "Deactivate with {connections} open connections, from the API's answer to the end of a cut connection:\n\
         p50 {:.1} ms, longest {longest:.1} ms of {} rounds.",
        median(&middle),
        rounds.len()
    )
}

/// Milliseconds for each connection of one round.
fn round(program: &Path, connections: usize) -> Vec<f64> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let latchkey = Latchkey::demo(program, directory.path(), "latchkey");
    let mut admin = Admin::of(&latchkey);
    let device = admin.device("alice-laptop");
    let open: Vec<JoinHandle<Instant>> = (0..connections)
        .map(|index| hold(open(&latchkey, index % 2 == 0)))
        .collect();

    let answered = admin.deactivate(&device);

    let ends = open
        .into_iter()
        .map(|connection| connection.join().expect("a connection is read to its end"));
    ends.map(|end| end.saturating_duration_since(answered).as_secs_f64() * 1e3)
        .collect()
}

/// An answered event stream or WebSocket of alice's.
fn open(latchkey: &Latchkey, websocket: bool) -> Connection {
    let config = tls::client_config(latchkey.roots(), Some(latchkey.identity()), &["http/1.1"]);
    let mut connection = tls::connect(loopback(latchkey.port()), "wiki.localhost", config).expect("a TLS connection");
    let request = if websocket {
        "GET /ws HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    } else {
        "GET /events HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"
    };
    connection.write_all(request.as_bytes()).expect("the request is sent");
    let status = read_head(&mut connection);
    let expected = if websocket { "HTTP/1.1 101" } else { "HTTP/1.1 200" };
    assert!(status.starts_with(expected), "expected {expected}, got {status}");
    connection
}

/// Reads until the connection ends, in a thread of its own; when that was.
fn hold(mut connection: Connection) -> JoinHandle<Instant> {
    connection
        .sock
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a read timeout");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return Instant::now(),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection lives on"),
                Err(_) => return Instant::now(),
            }
        }
    })
}

/// A kept connection to the admin API.
struct Admin {
    connection: Connection,
    token: String,
}

impl Admin {
    fn of(latchkey: &Latchkey) -> Self {
        let token = std::fs::read_to_string(latchkey.directory().join("admin-token")).expect("the demo's admin token");
        let config = tls::client_config(latchkey.roots(), None, &["http/1.1"]);
        let connection = tls::connect(loopback(latchkey.port()), "admin.localhost", config).expect("a TLS connection");
        Self {
            connection,
            token: token.trim().to_owned(),
        }
    }

    /// The id of the device with this name.
    fn device(&mut self, name: &str) -> String {
        let devices = self.call("GET", "/api/v1/devices");
        let devices: Vec<serde_json::Value> = serde_json::from_str(&devices).expect("a list of devices");
        let device = devices
            .iter()
            .find(|device| device["resourceDisplayName"]["value"] == name);
        device
            .and_then(|device| device["id"].as_str())
            .expect("the device is listed")
            .to_owned()
    }

    /// When the deactivation was answered.
    fn deactivate(&mut self, device: &str) -> Instant {
        self.call("POST", &format!("/api/v1/devices/{device}/lifecycle/deactivate"));
        Instant::now()
    }

    /// The body of a successful answer.
    fn call(&mut self, method: &str, path: &str) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: admin.localhost\r\nAuthorization: SSWS {}\r\nContent-Length: 0\r\n\r\n",
            self.token
        );
        self.connection
            .write_all(request.as_bytes())
            .expect("the request is sent");
        let head = read_head(&mut self.connection).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 20"), "{method} {path} was answered {head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("the body");
        String::from_utf8(body).expect("text")
    }
}

/// Reads up to and with the empty line, byte by byte: what follows is the caller's.
fn read_head(connection: &mut Connection) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("the head of an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}
