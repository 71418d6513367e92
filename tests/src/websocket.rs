//! What happens on an open WebSocket?

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

use crate::tls::{self, Connection};

/// A WebSocket over TLS, blocking.
pub struct Socket(WebSocket<Connection>);

/// How an application takes up a WebSocket that comes with this key (RFC 6455, section 4.2.2).
pub fn accepted(key: &str) -> Vec<u8> {
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// How a WebSocket ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With a close frame of this code.
    Closed(u16),
    /// Without one.
    Cut,
    /// Not at all within the time given.
    Open,
}

impl Socket {
    /// Opens `wss://HOST/PATH`; the status of the refusal when it is refused.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn open(address: SocketAddr, host: &str, path: &str, config: ClientConfig) -> Result<Self, u16> {
        Self::open_from(address, host, path, config, None)
    }

    /// The same with an `Origin` field.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn open_from(
        address: SocketAddr,
        host: &str,
        path: &str,
        config: ClientConfig,
        origin: Option<&str>,
    ) -> Result<Self, u16> {
        let origin: Vec<(&'static str, &str)> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        Self::open_with(address, host, path, config, &origin)
    }

    /// The same with these fields, such as `cookie`.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn open_with(
        address: SocketAddr,
        host: &str,
        path: &str,
        config: ClientConfig,
        fields: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let connection = tls::connect(address, host, config).unwrap();
        let mut request = format!("wss://{host}:{}{path}", address.port())
            .into_client_request()
            .unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client::client(request, connection) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("the WebSocket handshake broke: {error}"),
        }
    }

    /// Sends a text and returns the next text that comes back.
    ///
    /// # Errors
    /// Why nothing came back.
    pub fn echo(&mut self, text: &str) -> Result<String, String> {
        self.send(text)?;
        self.next()
    }

    /// Sends a text.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn send(&mut self, text: &str) -> Result<(), String> {
        let sent = self.0.send(Message::text(text));
        sent.map_err(|error| format!("sending: {error}"))
    }

    /// The next text that comes within this time.
    ///
    /// # Errors
    /// Why none came.
    pub fn next_within(&mut self, deadline: Duration) -> Result<String, String> {
        self.0.get_ref().sock.set_read_timeout(Some(deadline)).unwrap();
        self.next()
    }

    fn next(&mut self) -> Result<String, String> {
        loop {
            match self.0.read() {
                Ok(Message::Text(answer)) => return Ok(answer.to_string()),
                Ok(Message::Close(frame)) => return Err(format!("closed: {frame:?}")),
                Ok(_) => {}
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
    }

    /// How it ends within this time, and after how long.
    pub fn end_within(&mut self, deadline: Duration) -> (End, Duration) {
        let begun = Instant::now();
        while let Some(left) = deadline.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.0.get_ref().sock.set_read_timeout(Some(left)).unwrap();
            match self.0.read() {
                Ok(Message::Close(Some(frame))) => return (End::Closed(frame.code.into()), begun.elapsed()),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return (End::Cut, begun.elapsed()),
            }
        }
        (End::Open, begun.elapsed())
    }
}
