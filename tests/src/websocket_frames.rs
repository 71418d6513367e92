//! What passes on a WebSocket, frame by frame and byte by byte (RFC 6455, section 5.2), with or without a gateway on the way?

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use rustls::ClientConfig;

use crate::tls::{self, DEADLINE};

/// A frame of a client, masked, whole, with the shortest form of its length; each of that can be changed.
#[derive(Debug, Clone)]
pub struct Frame {
    first: u8,
    length: Length,
    masked: bool,
    payload: Vec<u8>,
}

/// In how many octets the length of a payload is written.
#[derive(Debug, Clone, Copy)]
enum Length {
    Shortest,
    Two,
    Eight(u64),
}

/// Text, in UTF-8.
pub const TEXT: u8 = 0x1;
/// Binary.
pub const BINARY: u8 = 0x2;
/// The rest of a message.
pub const CONTINUATION: u8 = 0x0;
/// The end.
pub const CLOSE: u8 = 0x8;
/// Is anybody there?
pub const PING: u8 = 0x9;
/// Yes.
pub const PONG: u8 = 0xa;

/// A frame with this opcode and payload.
pub fn frame(opcode: u8, payload: &[u8]) -> Frame {
    Frame {
        first: 0x80 | opcode,
        length: Length::Shortest,
        masked: true,
        payload: payload.to_vec(),
    }
}

/// A close frame with this code and reason.
pub fn close(code: u16, reason: &[u8]) -> Frame {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

impl Frame {
    /// Not the last of its message.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    /// With these reserved bits (0x40, 0x20, 0x10).
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits;
        self
    }

    /// As a server sends it.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// With its length in two octets.
    #[must_use]
    pub fn in_two(mut self) -> Self {
        self.length = Length::Two;
        self
    }

    /// With its length in eight octets.
    #[must_use]
    pub fn in_eight(mut self) -> Self {
        self.length = Length::Eight(self.payload.len() as u64);
        self
    }

    /// That says this length, whatever it has.
    #[must_use]
    pub fn saying(mut self, length: u64) -> Self {
        self.length = Length::Eight(length);
        self
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        let mask = if self.masked { 0x80 } else { 0 };
        let mut octets = vec![self.first];
        match (self.length, self.payload.len()) {
            (Length::Shortest, length @ ..126) => octets.push(mask | length as u8),
            (Length::Shortest | Length::Two, length @ ..0x1_0000) => {
                octets.push(mask | 126);
                octets.extend((length as u16).to_be_bytes());
            }
            (Length::Eight(length), _) => {
                octets.push(mask | 127);
                octets.extend(length.to_be_bytes());
            }
            (Length::Shortest | Length::Two, length) => {
                octets.push(mask | 127);
                octets.extend((length as u64).to_be_bytes());
            }
        }
        if self.masked {
            octets.extend(MASK);
            octets.extend(
                self.payload
                    .iter()
                    .zip(MASK.iter().cycle())
                    .map(|(octet, mask)| octet ^ mask),
            );
        } else {
            octets.extend(&self.payload);
        }
        octets
    }
}

/// Frames one after the other.
pub fn octets(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::octets).collect()
}

/// What a client saw of a WebSocket: what was agreed on, every octet after that, and how it ended.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Seen {
    /// The status of the answer.
    pub status: u16,
    /// The extensions and the subprotocol that the server chose.
    pub agreed: [Option<String>; 2],
    /// The frames.
    pub octets: Vec<u8>,
    /// Whether the connection ended as it should, rather than by a reset or never.
    pub ended: bool,
}

impl Seen {
    /// The code of the close frame that came last, if one did.
    pub fn close_code(&self) -> Option<u16> {
        let mut rest = self.octets.as_slice();
        let mut code = None;
        while let [first, second, after @ ..] = rest {
            let (length, after) = match second & 0x7f {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                127 => (
                    usize::try_from(u64::from_be_bytes(after[..8].try_into().unwrap())).unwrap(),
                    &after[8..],
                ),
                short => (usize::from(short), after),
            };
            if first & 0x0f == CLOSE {
                code = Some(
                    after
                        .get(..2)
                        .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])),
                );
            }
            rest = after.get(length..).unwrap_or_default();
        }
        code
    }
}

/// How a WebSocket's bytes are sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// The path.
    pub path: &'a str,
    /// Further lines of the head, each with its end.
    pub fields: &'a str,
    /// How many octets go in one write.
    pub piece: usize,
    /// Whether the client ends its side when all is sent.
    pub half_close: bool,
}

/// The same to a server itself.
pub fn directly(server: SocketAddr, sending: &Sending<'_>, octets: &[u8]) -> Seen {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let other = stream.try_clone().unwrap();
    go_through(stream, &server.to_string(), sending, octets, move |_| {
        other.shutdown(Shutdown::Write).unwrap();
    })
}

/// The same through a gateway.
pub fn through(gateway: SocketAddr, host: &str, config: ClientConfig, sending: &Sending<'_>, octets: &[u8]) -> Seen {
    let connection = tls::connect(gateway, host, config).unwrap();
    go_through(connection, host, sending, octets, |connection| {
        connection.conn.send_close_notify();
        connection.flush().unwrap();
    })
}

/// Opens a WebSocket, sends all, and reads until it ends. Reading begins when all is sent: what does not fit into the buffers on
/// the way has to be small.
fn go_through<S: Read + Write>(
    mut stream: S,
    host: &str,
    sending: &Sending<'_>,
    octets: &[u8],
    half_close: impl FnOnce(&mut S),
) -> Seen {
    let (path, fields) = (sending.path, sending.fields);
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "no head: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&piece[..read]);
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    received.drain(..end);
    for piece in octets.chunks(sending.piece) {
        // Whoever has seen enough reads no more.
        if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
    if sending.half_close {
        half_close(&mut stream);
    }
    let ended = match stream.read_to_end(&mut received) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("{path}: it never ends"),
        Err(_) => false,
    };
    let field = |name: &str| {
        let of_name = |line: &str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().find_map(of_name)
    };
    Seen {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap(),
        agreed: [field("sec-websocket-extensions"), field("sec-websocket-protocol")],
        octets: received,
        ended,
    }
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
