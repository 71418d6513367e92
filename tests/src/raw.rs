//! What does a client get that writes its own bytes, on a connection that it keeps?

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::answer::Answer;
use crate::tls::{self, Connection, DEADLINE};

/// An HTTP/1.1 client over TLS that sends exactly what it is told to.
pub struct RawClient {
    connection: Connection,
    received: Vec<u8>,
}

impl RawClient {
    /// Connects with this server name.
    ///
    /// # Errors
    /// What TCP or TLS said.
    pub fn connect(address: SocketAddr, server_name: &str, config: ClientConfig) -> std::io::Result<Self> {
        Ok(Self::on(tls::connect(address, server_name, config)?))
    }

    /// Goes on with a connection.
    pub fn on(connection: Connection) -> Self {
        Self {
            connection,
            received: Vec::new(),
        }
    }

    /// Sends these bytes. That the other side has already closed shows at the next read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _closed = self.connection.write_all(bytes).and_then(|()| self.connection.flush());
    }

    /// Sends a GET and reads its answer; nothing when the connection ended instead.
    pub fn get(&mut self, host: &str, path: &str) -> Option<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        self.answer()
    }

    /// Reads one final answer with its body; nothing when the connection ended before.
    ///
    /// # Panics
    /// When nothing comes before the deadline.
    pub fn answer(&mut self) -> Option<Answer> {
        loop {
            let mut answer = self.head()?;
            if answer.status >= 200 {
                answer.body = self.body(&answer);
                return Some(answer);
            }
            if answer.status == 101 {
                return Some(answer);
            }
        }
    }

    /// Reads one head, interim ones too; nothing when the connection ended before.
    pub fn head(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return Some(Answer::from_head(&String::from_utf8_lossy(&head)));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Whether the connection ends within this time, whatever arrives before; how long it took.
    pub fn ends_within(&mut self, deadline: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while let Some(left) = deadline.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.connection.sock.set_read_timeout(Some(left)).unwrap();
            match self.connection.read(&mut [0; 4096]) {
                Ok(0) => return Some(begun.elapsed()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(begun.elapsed()),
            }
        }
        None
    }

    /// Reads some more, and says how many octets were read that nobody looked at yet.
    pub fn read_some(&mut self) -> usize {
        self.fill();
        self.received.len()
    }

    /// Reads until this text has arrived.
    pub fn wait_for(&mut self, text: &str) -> bool {
        loop {
            if let Some(at) = self
                .received
                .windows(text.len())
                .position(|window| window == text.as_bytes())
            {
                self.received.drain(..at + text.len());
                return true;
            }
            if !self.fill() {
                return false;
            }
        }
    }

    fn body(&mut self, answer: &Answer) -> Vec<u8> {
        if matches!(answer.status, 204 | 304) {
            return Vec::new();
        }
        if answer.header("transfer-encoding").is_some() {
            return self.chunks();
        }
        let Some(length) = answer.header("content-length") else {
            while self.fill() {}
            return std::mem::take(&mut self.received);
        };
        self.exactly(length.parse().unwrap())
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            body.extend(self.exactly(size));
            self.line();
            if size == 0 {
                return body;
            }
        }
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                return String::from_utf8_lossy(&self.received.drain(..=end).collect::<Vec<_>>()).into_owned();
            }
            if !self.fill() {
                return String::new();
            }
        }
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length && self.fill() {}
        let length = length.min(self.received.len());
        self.received.drain(..length).collect()
    }

    /// Reads some more; `false` at the end of the connection, however it came.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 8192];
        self.connection.sock.set_read_timeout(Some(DEADLINE)).unwrap();
        match self.connection.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer within {DEADLINE:?}"),
            Err(_) => false,
        }
    }
}
