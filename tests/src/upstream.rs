//! What exactly reaches an application behind the gateway, and what if the application misbehaves?

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::process::loopback;

/// An HTTP/1.1 server that records the bytes of every request.
pub struct Upstream {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and fields, up to and with the empty line.
    pub head: String,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

/// What the application does with a request.
pub enum Reply {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and ends the connection.
    SendAndClose(Vec<u8>),
    /// Begins a `200` whose body never ends: a piece every few milliseconds.
    Endless,
    /// Never answers.
    Silence,
    /// Does what this does with the connection, which then ends.
    Play(Box<dyn FnOnce(&mut TcpStream) + Send>),
}

impl Received {
    /// The method, target and version.
    pub fn request_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The target exactly as it came.
    pub fn target(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The values of every field whose name a server might take for this one: letter case and `_` or `.` for `-` aside.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let fold = |name: &str| name.trim().to_ascii_lowercase().replace(['_', '.'], "-");
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| fold(field) == fold(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

impl Upstream {
    /// An application that answers every request with `200` and the body `ok`.
    pub fn friendly() -> Self {
        Self::start(|_| Reply::Send(ok("ok")))
    }

    /// An application that answers as it is told.
    pub fn start(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (record, reply) = (Arc::clone(&received), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (record, reply) = (Arc::clone(&record), Arc::clone(&reply));
                std::thread::spawn(move || serve(stream, &record, &*reply));
            }
        });
        Self { port, received }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", loopback(self.port))
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many requests had this in their request line.
    pub fn count(&self, marker: &str) -> usize {
        self.received()
            .iter()
            .filter(|request| request.request_line().contains(marker))
            .count()
    }

    /// The last request whose request line has this in it.
    pub fn last(&self, marker: &str) -> Option<Received> {
        self.received()
            .into_iter()
            .rev()
            .find(|request| request.request_line().contains(marker))
    }
}

/// A `200` with this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn serve(mut stream: TcpStream, record: &Mutex<Vec<Received>>, reply: &dyn Fn(&Received) -> Reply) {
    let mut buffer = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut buffer) {
        record.lock().unwrap().push(request.clone());
        match reply(&request) {
            Reply::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::SendAndClose(bytes) => {
                let _gone = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
                return;
            }
            Reply::Endless => return trickle(&mut stream),
            Reply::Play(play) => return play(&mut stream),
            Reply::Silence => {
                // Reads until the other side gives up, so that the connection stays open as long as it wants.
                let _gone = std::io::copy(&mut stream, &mut std::io::sink());
                return;
            }
        }
    }
}

/// Sends a little, again and again, until nobody takes it.
fn trickle(stream: &mut TcpStream) {
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while sent.is_ok() {
        sent = stream.write_all(b"5\r\npiece\r\n");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads a request as a server would that believes `Transfer-Encoding` before `Content-Length`.
pub(crate) fn next_request(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Received> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&buffer.drain(..end + 4).collect::<Vec<_>>()).into_owned();
        }
        fill(stream, buffer)?;
    };
    let mut request = Received { head, body: Vec::new() };
    if !request.fields("transfer-encoding").is_empty() {
        request.body = chunks(stream, buffer)?;
    } else if let Some(length) = request
        .fields("content-length")
        .first()
        .and_then(|length| length.parse().ok())
    {
        request.body = exactly(stream, buffer, length)?;
    }
    Some(request)
}

fn chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            match buffer.windows(2).position(|window| window == b"\r\n") {
                Some(end) => break end,
                None => fill(stream, buffer)?,
            }
        };
        let line: Vec<u8> = buffer.drain(..end + 2).collect();
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).ok()?;
        body.extend(exactly(stream, buffer, size)?);
        exactly(stream, buffer, 2)?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn exactly(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while buffer.len() < length {
        fill(stream, buffer)?;
    }
    Some(buffer.drain(..length).collect())
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 8192];
    let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(&piece[..read]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_recorded_byte_for_byte_and_answered() {
        let upstream = Upstream::friendly();
        let mut stream = TcpStream::connect(loopback(upstream.port)).unwrap();

        stream
            .write_all(b"POST /a%20b HTTP/1.1\r\nX_Name: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .unwrap();
        stream.write_all(b"GET /c HTTP/1.1\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();

        let received = upstream.received();
        assert_eq!(answers.matches("200 OK").count(), 2);
        assert_eq!(
            (received[0].target(), received[0].body.as_slice()),
            ("/a%20b", &b"abc"[..])
        );
        assert_eq!((received[0].fields("x-name"), received[1].target()), (vec!["1"], "/c"));
    }
}
