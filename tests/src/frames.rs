//! What does a client get that writes its own HTTP/2 frames (RFC 9113, section 4), whatever octets are in them?

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::tls::{self, Connection, DEADLINE};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type, such as [`HEADERS`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// An HTTP/2 client over TLS that sends exactly what it is told to.
pub struct FrameClient {
    connection: Connection,
    received: Vec<u8>,
}

/// What came of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// The code of the GOAWAY that ended it, if it is an error's.
    pub gone_away: Option<u32>,
    /// Whether it was closed.
    pub closed: bool,
    /// What came of each stream.
    pub streams: BTreeMap<u32, StreamFate>,
}

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFate {
    /// It was answered with this status.
    Answered(u16),
    /// It was reset with this code before an answer.
    Reset(u32),
}

impl Fate {
    /// Whether the connection takes no more requests.
    pub fn is_over(&self) -> bool {
        self.closed || self.gone_away.is_some()
    }

    /// What came of this stream.
    pub fn of(&self, stream: u32) -> Option<StreamFate> {
        self.streams.get(&stream).copied()
    }

    /// How many streams were reset with this code.
    pub fn resets(&self, code: u32) -> usize {
        let reset = |fate: &&StreamFate| **fate == StreamFate::Reset(code);
        self.streams.values().filter(reset).count()
    }

    fn note(&mut self, frame: &Frame) {
        match frame.kind {
            GOAWAY => {
                self.gone_away = self
                    .gone_away
                    .or(number(&frame.payload, 4).filter(|code| *code != NO_ERROR))
            }
            RST_STREAM => {
                let code = number(&frame.payload, 0).unwrap_or_default();
                self.streams.entry(frame.stream).or_insert(StreamFate::Reset(code));
            }
            HEADERS => {
                if let Some(status) = status(&frame.payload) {
                    self.streams.insert(frame.stream, StreamFate::Answered(status));
                }
            }
            _ => {}
        }
    }
}

impl FrameClient {
    /// Connects and sends the preface; the configuration must offer `h2`.
    ///
    /// # Errors
    /// What TCP or TLS said.
    pub fn connect(address: SocketAddr, host: &str, config: ClientConfig) -> std::io::Result<Self> {
        let mut client = Self::silent(address, host, config)?;
        client.send(&preface(&[]));
        Ok(client)
    }

    /// Connects and says nothing yet.
    ///
    /// # Errors
    /// What TCP or TLS said.
    pub fn silent(address: SocketAddr, host: &str, config: ClientConfig) -> std::io::Result<Self> {
        let connection = tls::connect(address, host, config)?;
        assert_eq!(connection.conn.alpn_protocol(), Some(&b"h2"[..]), "no HTTP/2");
        Ok(Self {
            connection,
            received: Vec::new(),
        })
    }

    /// Sends these bytes; `false` when the other side has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.connection.write_all(bytes).and_then(|()| self.connection.flush());
        sent.is_ok()
    }

    /// Reads the next frame; nothing when the connection ends, or nothing comes within this time.
    pub fn next_within(&mut self, patience: Duration) -> Option<Frame> {
        let end = Instant::now() + patience;
        loop {
            if let Some(frame) = parse(&mut self.received) {
                return Some(frame);
            }
            let left = end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())?;
            if !self.fill(left) {
                return None;
            }
        }
    }

    /// Reads on until it is so, or the connection is over; whatever came before is in `fate`.
    ///
    /// # Panics
    /// When neither comes before the deadline.
    pub fn read_until(&mut self, fate: &mut Fate, is_so: impl Fn(&Fate) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !is_so(fate) && !fate.is_over() {
            assert!(Instant::now() < end, "nothing came of it within {DEADLINE:?}: {fate:?}");
            self.read_some(fate, DEADLINE);
        }
    }

    /// Takes what has arrived already, without waiting for more.
    pub fn take_arrived(&mut self, fate: &mut Fate) {
        while !fate.closed && self.read_some(fate, Duration::from_millis(1)) {}
    }

    /// Sends a GET and says what came of it.
    pub fn get(&mut self, stream: u32, host: &str, path: &str) -> Fate {
        self.send(&request(stream, &get(host, path)));
        let mut fate = Fate::default();
        self.read_until(&mut fate, |fate| fate.of(stream).is_some());
        fate
    }

    fn read_some(&mut self, fate: &mut Fate, patience: Duration) -> bool {
        let mut found = false;
        while let Some(frame) = parse(&mut self.received) {
            fate.note(&frame);
            found = true;
        }
        if found {
            return true;
        }
        let before = self.received.len();
        fate.closed = !self.fill(patience);
        self.received.len() > before
    }

    /// Reads what comes within this time; `false` at the end of the connection, however it came.
    fn fill(&mut self, patience: Duration) -> bool {
        let mut buffer = [0; 16 * 1024];
        self.connection.sock.set_read_timeout(Some(patience)).unwrap();
        match self.connection.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// The preface with these settings. The dynamic table is off, so that a status can be read from its field block alone.
pub fn preface(values: &[(u16, u32)]) -> Vec<u8> {
    let values = [&[(HEADER_TABLE_SIZE, 0)], values].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings(&values)].concat()
}

/// A frame as it is sent; its length is that of the payload.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A SETTINGS frame.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let value = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &values.iter().flat_map(value).collect::<Vec<u8>>())
}

/// A WINDOW_UPDATE frame.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A RST_STREAM frame.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A PRIORITY frame.
pub fn priority(stream: u32, dependency: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&dependency.to_be_bytes()[..], &[16]].concat())
}

/// A whole request without a body, in one HEADERS frame.
pub fn request(stream: u32, fields: &Fields) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
}

/// The head of a request whose body follows.
pub fn open(stream: u32, fields: &Fields) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(fields))
}

/// Names and values, any octets.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of a GET.
pub fn get(host: &str, path: &str) -> Fields {
    head("GET", host, path)
}

/// The pseudo-header fields of a request with this method.
pub fn head(method: &str, host: &str, path: &str) -> Fields {
    fields(&[
        (":method", method),
        (":scheme", "https"),
        (":authority", host),
        (":path", path),
    ])
}

/// Fields from text.
pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    let octets = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    pairs.iter().map(octets).collect()
}

/// A field block (RFC 7541): literals without indexing, new names, no Huffman code.
pub fn block(fields: &Fields) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        block.push(u8::try_from(text.len()).unwrap());
    } else {
        block.push(127);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text);
}

fn parse(received: &mut Vec<u8>) -> Option<Frame> {
    let head = received.first_chunk::<9>()?;
    let end = 9 + usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
    let (kind, flags) = (head[3], head[4]);
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    let payload = received.get(9..end)?.to_vec();
    received.drain(..end);
    Some(Frame {
        kind,
        flags,
        stream,
        payload,
    })
}

fn number(payload: &[u8], at: usize) -> Option<u32> {
    let octets = payload.get(at..at + 4)?;
    Some(u32::from_be_bytes(octets.try_into().unwrap()))
}

/// The status at the beginning of an answer's field block; nothing in trailers.
fn status(block: &[u8]) -> Option<u16> {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // Changes of the dynamic table's size come first.
    let updates = block.iter().take_while(|octet| **octet & 0xe0 == 0x20).count();
    match &block[updates..] {
        [indexed @ 0x88..=0x8e, ..] => Some(STATIC[usize::from(indexed - 0x88)]),
        [0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e, length, text @ ..] => {
            let text = &text[..usize::from(length & 0x7f)];
            let digits = if length & 0x80 == 0 {
                text.to_vec()
            } else {
                huffman_digits(text)
            };
            String::from_utf8(digits).unwrap().parse().ok()
        }
        _ => None,
    }
}

/// Decodes three digits (RFC 7541, appendix B): five bits for 0 to 2, six for 3 to 9.
fn huffman_digits(text: &[u8]) -> Vec<u8> {
    let bits = text.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet));
    let mut left = 8 * text.len();
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let short = u8::try_from(bits >> (left - 5) & 0x1f).unwrap();
        if short < 3 {
            digits.push(b'0' + short);
            left -= 5;
        } else {
            digits.push(b'3' + u8::try_from(bits >> (left - 6) & 0x3f).unwrap() - 0x19);
            left -= 6;
        }
    }
    digits
}

/// Types of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// Opens a stream, or ends it with trailers.
pub const HEADERS: u8 = 1;
/// Deprecated, and still sent.
pub const PRIORITY: u8 = 2;
/// Ends a stream.
pub const RST_STREAM: u8 = 3;
/// Says how its sender wants to be spoken to.
pub const SETTINGS: u8 = 4;
/// Announces an answer that nobody asked for.
pub const PUSH_PROMISE: u8 = 5;
/// Asks whether the other side is there.
pub const PING: u8 = 6;
/// Ends a connection.
pub const GOAWAY: u8 = 7;
/// Lets the other side send more.
pub const WINDOW_UPDATE: u8 = 8;
/// Goes on with a field block.
pub const CONTINUATION: u8 = 9;

/// Flag of DATA and HEADERS: the stream ends.
pub const END_STREAM: u8 = 1;
/// Flag of SETTINGS and PING: an answer to one.
pub const ACK: u8 = 1;
/// Flag of HEADERS and CONTINUATION: the field block ends.
pub const END_HEADERS: u8 = 4;
/// Flag of DATA and HEADERS: padded.
pub const PADDED: u8 = 8;
/// Flag of HEADERS: a priority comes first.
pub const PRIORITIZED: u8 = 0x20;

/// Settings (RFC 9113, section 6.5.2).
pub const HEADER_TABLE_SIZE: u16 = 1;
/// Whether pushes are taken.
pub const ENABLE_PUSH: u16 = 2;
/// How much may be sent on a new stream.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// How long a frame's payload may be.
pub const MAX_FRAME_SIZE: u16 = 5;
/// Whether CONNECT may open a WebSocket (RFC 8441).
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Error codes (RFC 9113, section 7).
pub const NO_ERROR: u32 = 0;
/// Something that must not be sent.
pub const PROTOCOL_ERROR: u32 = 1;
/// More than the window lets through, or a window that is too large.
pub const FLOW_CONTROL_ERROR: u32 = 3;
/// Something for a stream that is closed.
pub const STREAM_CLOSED: u32 = 5;
/// A length that the frame's type does not have.
pub const FRAME_SIZE_ERROR: u32 = 6;
/// Not begun: try again.
pub const REFUSED_STREAM: u32 = 7;
/// No longer wanted.
pub const CANCEL: u32 = 8;
/// A field block that cannot be decoded.
pub const COMPRESSION_ERROR: u32 = 9;
/// Too much.
pub const ENHANCE_YOUR_CALM: u32 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_however_they_are_encoded() {
        let indexed = [0x20, 0x8c];
        let plain = [0x48, 3, b'4', b'0', b'3'];
        // 4 is 011010, 0 is 00000, 3 is 011001; ones fill the octet.
        let huffman = [0x08, 0x83, 0b0110_1000, 0b0000_1100, 0b1111_1111];

        assert_eq!(
            [status(&indexed), status(&plain), status(&huffman)],
            [Some(400), Some(403), Some(403)]
        );
        assert_eq!(status(&block(&fields(&[("x-checksum", "1")]))), None);
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_once_it_is_whole() {
        let bytes = frame(DATA, END_STREAM, 5, &[7; 300]);
        let mut begun = bytes[..200].to_vec();
        assert_eq!(parse(&mut begun), None);

        begun.extend_from_slice(&bytes[200..]);
        let read = parse(&mut begun).unwrap();

        assert_eq!(
            (read.kind, read.flags, read.stream, read.payload.len()),
            (DATA, END_STREAM, 5, 300)
        );
        assert!(begun.is_empty());
    }

    #[test]
    fn long_strings_have_their_length_in_several_octets() {
        let block = block(&vec![(b"x".to_vec(), vec![b'a'; 1337 + 127])]);

        assert_eq!(block[..6], [0, 1, b'x', 127, 0b1011_1001, 10]);
    }
}
