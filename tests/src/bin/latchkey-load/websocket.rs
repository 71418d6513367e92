//! How is one message sent on a WebSocket, and what comes back read?

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::http1::read_head;
use crate::target::Target;

/// Sends one message at a time, and waits until it is back.
pub(crate) struct Client {
    target: Arc<Target>,
    sent: Vec<u8>,
    expected: Vec<u8>,
    open: Option<TlsStream<TcpStream>>,
}

impl Client {
    /// Opens its WebSocket with the first message.
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let text = [b'm'; MESSAGE];
        let masked = text.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask);
        Self {
            target,
            sent: [FINAL_TEXT, MASKED | MESSAGE as u8]
                .into_iter()
                .chain(MASK)
                .chain(masked)
                .collect(),
            expected: [FINAL_TEXT, MESSAGE as u8].into_iter().chain(text).collect(),
            open: None,
        }
    }

    /// Sends a message and reads the one that comes back.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn exchange(&mut self) -> Result<(), String> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        let sent = stream.write_all(&self.sent).await;
        sent.map_err(|error| format!("sending: {error}"))?;
        let mut frame = [0; 2 + MESSAGE];
        let read = stream.read_exact(&mut frame).await;
        read.map_err(|error| format!("reading: {error}"))?;
        if frame != *self.expected {
            return Err("something else came back".to_owned());
        }
        self.open = Some(stream);
        Ok(())
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, String> {
        let mut stream = self.target.connect(true).await?;
        let head = self.target.head(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        let sent = stream.write_all(&head).await;
        sent.map_err(|error| format!("opening: {error}"))?;
        let mut buffer = vec![0; 8192];
        let (head, filled) = read_head(&mut stream, &mut buffer).await?;
        let text = String::from_utf8_lossy(&buffer[..head]);
        match text.starts_with("HTTP/1.1 101 ") && head == filled {
            true => Ok(stream),
            false => Err(format!("opening: {}", text.lines().next().unwrap_or_default())),
        }
    }
}

/// Octets of a message: short enough for a length of one octet (RFC 6455, section 5.2).
const MESSAGE: usize = 64;
const FINAL_TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
