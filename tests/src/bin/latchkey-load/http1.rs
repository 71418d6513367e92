//! How is one request of HTTP/1.1 sent and its answer read?

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::target::{Target, Targets};

/// Sends one request at a time.
pub(crate) struct Client {
    way: Way,
    request: Vec<u8>,
    kept: Option<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
}

/// What becomes of its connections.
enum Way {
    Keeps(Arc<Target>),
    Closes(Arc<Targets>),
}

impl Client {
    /// One that keeps its connection.
    pub(crate) fn keeping(target: Arc<Target>) -> Self {
        let request = target.head("Connection: keep-alive\r\n");
        Self::new(Way::Keeps(target), request)
    }

    /// One that makes a connection for each request, with the next certificate.
    pub(crate) fn closing(targets: Arc<Targets>) -> Self {
        let request = targets.next().head("Connection: close\r\n");
        Self::new(Way::Closes(targets), request)
    }

    fn new(way: Way, request: Vec<u8>) -> Self {
        Self {
            way,
            request,
            kept: None,
            buffer: vec![0; BUFFER],
        }
    }

    /// Sends the request, on the kept connection if there is one, and reads the whole answer.
    ///
    /// # Errors
    /// What went wrong, or was answered other than 200.
    pub(crate) async fn exchange(&mut self) -> Result<(), String> {
        let mut stream = match (self.kept.take(), &self.way) {
            (Some(stream), _) => stream,
            (None, Way::Keeps(target)) => target.connect(true).await?,
            (None, Way::Closes(targets)) => targets.next().connect(false).await?,
        };
        let sent = stream.write_all(&self.request).await;
        sent.map_err(|error| format!("sending: {error}"))?;
        read_answer(&mut stream, &mut self.buffer).await?;
        if matches!(self.way, Way::Keeps(_)) {
            self.kept = Some(stream);
        }
        Ok(())
    }
}

/// Reads a `200` with a `Content-Length`, head and body, and nothing else.
async fn read_answer(stream: &mut TlsStream<TcpStream>, buffer: &mut [u8]) -> Result<(), String> {
    let (head, filled) = read_head(stream, buffer).await?;
    let length = body_length(&buffer[..head])?;
    let mut arrived = filled - head;
    while arrived < length {
        arrived += read(stream, buffer).await?;
    }
    if arrived > length {
        Err("more than the answer arrived".to_owned())
    } else {
        Ok(())
    }
}

/// Reads up to the end of a head, and perhaps further: how long the head is, and how much was read.
pub(crate) async fn read_head(stream: &mut TlsStream<TcpStream>, buffer: &mut [u8]) -> Result<(usize, usize), String> {
    let mut filled = 0;
    loop {
        filled += read(stream, &mut buffer[filled..]).await?;
        if let Some(at) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok((at + 4, filled));
        }
    }
}

async fn read(stream: &mut TlsStream<TcpStream>, buffer: &mut [u8]) -> Result<usize, String> {
    match stream.read(buffer).await {
        Ok(0) => Err("the connection ended before the answer did".to_owned()),
        Ok(read) => Ok(read),
        Err(error) => Err(format!("reading: {error}")),
    }
}

fn body_length(head: &[u8]) -> Result<usize, String> {
    let head = std::str::from_utf8(head).map_err(|_| "the head is not text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered {status}"));
    }
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| "no Content-Length".to_owned())
}

/// As much as a TLS record holds.
const BUFFER: usize = 16 * 1024;
