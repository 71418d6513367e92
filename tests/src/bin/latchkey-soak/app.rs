//! What stands behind the gateway? An application that says who asked for what, and fails in the way that the path asks for.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::question::LARGE;
use latchkey_tests::process::loopback;
use tokio_tungstenite::tungstenite::{self, Message};

/// A running application.
pub(crate) struct App {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    stopped: Arc<AtomicBool>,
}

impl App {
    /// Starts one at a port of its own.
    pub(crate) fn start() -> Self {
        Self::start_at(loopback(0)).unwrap()
    }

    /// Starts one at this address.
    pub(crate) fn start_at(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let app = Self {
            address,
            open: Arc::default(),
            stopped: Arc::default(),
        };
        let (open, stopped) = (Arc::clone(&app.open), Arc::clone(&app.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                keep(&open, &stream);
                std::thread::spawn(move || {
                    let ended = stream.try_clone();
                    serve(stream);
                    // Whoever remembers the connection would keep it open.
                    let _gone = ended.and_then(|stream| stream.shutdown(Shutdown::Both));
                });
            }
        });
        Ok(app)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection; it takes new ones.
    pub(crate) fn hang_up(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes whoever waits for a connection.
        let _woken = TcpStream::connect(self.address);
        self.hang_up();
    }
}

/// Remembers a connection, and forgets those that ended.
fn keep(open: &Mutex<Vec<TcpStream>>, stream: &TcpStream) {
    let mut open = open.lock().unwrap();
    if open.len() >= MOST_KEPT {
        open.retain(|stream| stream.peer_addr().is_ok());
    }
    open.extend(stream.try_clone());
}

fn serve(mut stream: TcpStream) {
    let _set = stream.set_nodelay(true);
    let mut start = [0; 8];
    while let Ok(seen) = stream.peek(&mut start) {
        if seen == 0 {
            return;
        }
        if seen < start.len() {
            std::thread::yield_now();
            continue;
        }
        if start.starts_with(b"GET /ws") {
            return echo(stream);
        }
        if answer(&mut stream).is_none() {
            return;
        }
    }
}

fn echo(stream: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    while let Ok(message) = socket.read() {
        if matches!(message, Message::Text(_)) && socket.send(message).is_err() {
            return;
        }
    }
}

/// Answers one request as its path says; nothing when the connection is over.
fn answer(stream: &mut TcpStream) -> Option<()> {
    let (head, body) = request(stream)?;
    let target = head.split(' ').nth(1)?;
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
    };
    let user = field("x-latchkey-user").unwrap_or_default();
    let told = format!("user={user};target={target};body={body}");
    match target.split('/').nth(1).unwrap_or_default() {
        "fault-500" => send(stream, "500 Internal Server Error", &told),
        "fault-slow" => {
            std::thread::sleep(Duration::from_millis(300));
            send(stream, "200 OK", &told)
        }
        "fault-silent" => None,
        "fault-garbage" => {
            let _gone = stream.write_all(b"this is no HTTP at all\r\n\r\n");
            None
        }
        "fault-half" => {
            let half = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len() * 2);
            let _gone = stream.write_all(half.as_bytes());
            None
        }
        "events" => {
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
            while sent.is_ok() {
                sent = stream.write_all(b"data: tick\n\n");
                std::thread::sleep(Duration::from_millis(150));
            }
            None
        }
        "large" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LARGE * MEBIBYTE.len());
            stream.write_all(head.as_bytes()).ok()?;
            (0..LARGE).try_for_each(|_| stream.write_all(MEBIBYTE)).ok()
        }
        _ => send(stream, "200 OK", &told),
    }
}

fn send(stream: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()
}

/// The head of the next request, and how many octets its body has.
fn request(stream: &mut TcpStream) -> Option<(String, usize)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0; 512];
        // Never further than the head: what follows is peeked at again.
        let seen = stream.peek(&mut octet).ok().filter(|seen| *seen > 0)?;
        let already = head.len();
        head.extend_from_slice(&octet[..seen]);
        let from = already.saturating_sub(3);
        let end = head[from..]
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| from + at + 4);
        head.truncate(end.unwrap_or(head.len()));
        stream.read_exact(&mut octet[..head.len() - already]).ok()?;
    }
    let head = String::from_utf8(head).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, length))
}

static MEBIBYTE: &[u8] = &[b'x'; 1 << 20];

/// Connections that are remembered before those that ended are forgotten.
const MOST_KEPT: usize = 256;
