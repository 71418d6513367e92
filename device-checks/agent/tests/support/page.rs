//! A page in a browser, as far as a server can tell: what it sends to a port, octet by octet, and what it hears.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A page of an origin, and the port it talks to.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) port: u16,
    pub(crate) origin: String,
}

/// What a page hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn get(&self, path: &str) -> Heard {
        self.send("GET", path, &self.fields(), "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Heard {
        let fields = self.fields() + "Content-Type: application/json\r\n";
        self.send("POST", path, &fields, &body.to_string())
    }

    /// Hands on a challenge.
    pub(crate) fn challenge(&self, token: &str) -> Heard {
        self.post("/challenge", &serde_json::json!({ "challengeRequest": token }))
    }

    /// What browsers add.
    pub(crate) fn fields(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\nOrigin: {}\r\n", self.port, self.origin)
    }

    /// Sends a request with exactly these header fields, and its length.
    pub(crate) fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> Heard {
        let length = body.len();
        self.send_raw(&format!(
            "{method} {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    /// Sends exactly this.
    pub(crate) fn send_raw(&self, request: &str) -> Heard {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Heard::parse(&answer)
    }
}

impl Heard {
    pub(crate) fn parse(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status
                .parse()
                .unwrap_or_else(|_| panic!("expected an answer, found `{answer}`")),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("expected JSON, found {self:?}"))
    }

    /// Whether it says nothing but its status, and no page may read even that.
    pub(crate) fn is_silent(&self) -> bool {
        self.body.is_empty() && !self.headers.iter().any(|(name, _)| name.starts_with("access-control"))
    }
}

/// So many ports that were free a moment ago, below those that systems give out by themselves.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let mut ports = Vec::new();
    while ports.len() < count {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        if !ports.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}
