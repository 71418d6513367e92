//! How do bodies pass that are too large to be kept? An application that gives and takes them by the piece, and a client that does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{Context, SHA256};

use crate::demo::Demo;
use crate::process::loopback;

/// An application that sends what `/SIZE` asks for, and answers an upload with its hash.
pub struct Large {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
}

impl Large {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, &counted));
            }
        });
        Self { address, sent }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many octets of bodies were taken from it, all connections together.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The octets of a body of this size, by the piece; no two pieces are alike.
pub fn pieces(size: u64) -> impl Iterator<Item = Vec<u8>> {
    let noise: Vec<u8> = (0..PIECE as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    (0..size.div_ceil(PIECE)).map(move |number| {
        let mut piece = noise.clone();
        piece[..8].copy_from_slice(&number.to_be_bytes());
        piece.truncate(usize::try_from(PIECE.min(size - number * PIECE)).unwrap());
        piece
    })
}

/// The hash of a body of this size, in hexadecimal.
pub fn hash(size: u64) -> String {
    let mut context = Context::new(&SHA256);
    pieces(size).for_each(|piece| context.update(&piece));
    hexadecimal(context)
}

/// Downloads `/SIZE` with curl: the hash of what came.
///
/// # Panics
/// When curl fails.
pub fn download(demo: &Demo, device: &str, size: u64, more: &[&str]) -> String {
    let mut curl = start_curl(demo, device, &format!("/{size}"), more);
    let mut context = Context::new(&SHA256);
    let mut output = curl.stdout.take().unwrap();
    let mut piece = vec![0; PIECE as usize];
    loop {
        match output.read(&mut piece).unwrap() {
            0 => break,
            read => context.update(&piece[..read]),
        }
    }
    assert!(curl.wait().unwrap().success(), "curl failed");
    hexadecimal(context)
}

/// Uploads a body of this size with curl: the hash that the application made of it.
///
/// # Panics
/// When curl fails.
pub fn upload(demo: &Demo, device: &str, size: u64, more: &[&str]) -> String {
    let arguments = [more, &["--upload-file", "-"]].concat();
    let mut curl = start_curl(demo, device, "/upload", &arguments);
    let mut input = curl.stdin.take().unwrap();
    for piece in pieces(size) {
        input.write_all(&piece).unwrap();
    }
    drop(input);
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "curl failed");
    String::from_utf8(output.stdout).unwrap()
}

fn start_curl(demo: &Demo, device: &str, path: &str, more: &[&str]) -> Child {
    let identity = demo.identity(device);
    Command::new("curl")
        .args([
            "-q",
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "*",
            "--max-time",
            "300",
            "--cacert",
        ])
        .arg(demo.file("ca.pem"))
        .arg("--cert")
        .arg(identity.certificate)
        .arg("--key")
        .arg(identity.key)
        .args(more)
        .arg(demo.url("wiki", path))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is installed")
}

/// Serves one connection until its end.
fn serve(mut stream: TcpStream, sent: &AtomicU64) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = head(&mut stream, &mut buffer)?;
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
        };
        let asked = head.split(' ').nth(1)?.trim_start_matches('/').parse::<u64>();
        if let Ok(size) = asked {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").ok()?;
            for piece in pieces(size) {
                stream.write_all(&piece).ok()?;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            continue;
        }
        if field("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        let mut context = Context::new(&SHA256);
        match field("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => take(&mut stream, &mut buffer, length, |piece| context.update(piece))?,
            None => take_chunks(&mut stream, &mut buffer, |piece| context.update(piece))?,
        }
        let hash = hexadecimal(context);
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{hash}",
            hash.len()
        )
        .ok()?;
    }
}

fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return String::from_utf8(buffer.drain(..end + 4).collect()).ok();
        }
        fill(stream, buffer)?;
    }
}

fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: u64, mut each: impl FnMut(&[u8])) -> Option<()> {
    let mut left = length;
    loop {
        let taken = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        each(&buffer[..taken]);
        buffer.drain(..taken);
        left -= taken as u64;
        if left == 0 {
            return Some(());
        }
        fill(stream, buffer)?;
    }
}

fn take_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>, mut each: impl FnMut(&[u8])) -> Option<()> {
    loop {
        let end = loop {
            match buffer.windows(2).position(|window| window == b"\r\n") {
                Some(end) => break end,
                None => fill(stream, buffer)?,
            }
        };
        let line: Vec<u8> = buffer.drain(..end + 2).collect();
        let size = u64::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        take(stream, buffer, size, &mut each)?;
        take(stream, buffer, 2, |_| {})?;
        if size == 0 {
            return Some(());
        }
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let before = buffer.len();
    buffer.resize(before + PIECE as usize, 0);
    let read = stream.read(&mut buffer[before..]).ok().filter(|read| *read > 0);
    buffer.truncate(before + read.unwrap_or_default());
    read.map(drop)
}

fn hexadecimal(context: Context) -> String {
    context
        .finish()
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

const PIECE: u64 = 64 * 1024;
