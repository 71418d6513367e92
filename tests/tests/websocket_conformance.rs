//! Is a WebSocket through the gateway the one that the application speaks, octet by octet, good and bad, to its close code?

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use latchkey_tests::canary;
use latchkey_tests::conformance::WebSocketServer;
use latchkey_tests::demo::{ALICE, Demo, host};
use latchkey_tests::process::loopback;
use latchkey_tests::tls::DEADLINE;
use latchkey_tests::websocket_frames::{
    BINARY, CONTINUATION, Frame, PING, PONG, Seen, Sending, TEXT, close, directly, frame, octets, through,
};

/// Each case ends in the close code that RFC 6455 asks for (or another server's freedom allows), directly and through the gateway
/// alike; all that the server said before is the same too.
#[test]
fn every_frame_gets_the_same_answer_through_the_gateway_as_directly() {
    let stage = Stage::new();

    for (name, frames, code) in messages().into_iter().chain(malformed()) {
        let sent = octets(&frames);
        for piece in [sent.len().max(1), 1]
            .into_iter()
            .take(if sent.len() > 4096 { 1 } else { 2 })
        {
            let seen = stage.the_same(&name, &Sending { piece, ..ECHO }, &sent);
            assert_eq!(seen.close_code(), Some(code), "{name}: {seen:?}");
        }
    }
    canary::sing(&stage.friendly).unwrap();
}

#[test]
fn every_close_code_arrives_as_it_was_sent() {
    let stage = Stage::new();

    // What a client sends: good codes come back, the others end the connection (RFC 6455, section 7.4).
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ] {
        let seen = stage.the_same(&format!("close {code}"), &ECHO, &close(code, b"why").octets());
        assert_eq!(seen.close_code(), Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        let seen = stage.the_same(&format!("close {code}"), &ECHO, &close(code, b"").octets());
        assert_eq!(seen.close_code(), Some(1002), "{code}");
    }
    // What a server sends.
    for code in [1000, 1001, 1003, 1008, 1011, 3000, 4999] {
        let path = format!("/close/{code}");
        let sent = octets(&[frame(TEXT, b"close"), close(code, b"")]);
        let seen = stage.the_same(&path, &Sending { path: &path, ..ECHO }, &sent);
        assert_eq!(seen.close_code(), Some(code));
    }
}

#[test]
fn a_compression_that_both_sides_agree_on_passes_as_it_is() {
    let stage = Stage::new();
    // RFC 7692, sections 7.2.3.1 and 7.2.3.2.
    let hello = frame(TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).reserved(0x40);
    let again = frame(TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]).reserved(0x40);
    let bye = close(1000, b"");
    let offers = [
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_no_context_takeover\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10, permessage-deflate\r\n",
        "sec-websocket-extensions: x-unknown\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    ];

    for fields in offers {
        let sending = Sending { fields, ..ECHO };
        let seen = stage.the_same(fields, &sending, &octets(&[hello.clone(), again.clone(), bye.clone()]));
        assert!(
            seen.agreed[0]
                .as_deref()
                .is_some_and(|agreed| agreed.starts_with("permessage-deflate"))
        );
        assert_eq!(seen.close_code(), Some(1000));
        let garbage = frame(TEXT, &[0xff; 9]).reserved(0x40);
        assert_ne!(
            stage.the_same(fields, &sending, &garbage.octets()).close_code(),
            Some(1000)
        );
    }
    // Not offered, not agreed on: then nobody may use it.
    let seen = stage.the_same("no offer", &ECHO, &hello.octets());
    assert_eq!((&seen.agreed[0], seen.close_code()), (&None, Some(1002)));
    let unknown = Sending {
        fields: "Sec-WebSocket-Extensions: x-unknown\r\n",
        ..ECHO
    };
    assert_eq!(stage.the_same("unknown", &unknown, &bye.octets()).agreed[0], None);
    let chat = Sending {
        fields: "Sec-WebSocket-Protocol: superchat, chat\r\n",
        ..ECHO
    };
    assert!(stage.the_same("a subprotocol", &chat, &bye.octets()).agreed[1].is_some());
}

#[test]
fn what_a_server_says_by_itself_arrives_as_it_was_sent() {
    let stage = Stage::new();
    let bye = close(1000, b"");
    let said = |path: &'static str, frames: &[Frame]| stage.the_same(path, &Sending { path, ..ECHO }, &octets(frames));

    let fragments = said("/fragments", &[frame(TEXT, b"a message in parts"), bye.clone()]);
    assert_eq!(fragments.octets[0], TEXT, "the first of several");
    let pinged = said(
        "/ping",
        &[frame(TEXT, b"ping me"), frame(PONG, b"are you there"), bye.clone()],
    );
    assert!(pinged.octets.ends_with(b"\x88\x02\x03\xe8") && pinged.octets.len() > 20);
    let big = said("/big/10485760", &[frame(TEXT, b"go on"), bye.clone()]);
    assert!(big.octets.len() > 10 << 20);
    let gone = said("/vanish", &[frame(TEXT, b"go")]);
    assert_eq!((gone.close_code(), gone.octets.len()), (None, 0));
}

/// Neither side needs to speak WebSocket at all for its bytes to pass; a close frame is not what ends a connection.
#[test]
fn whatever_the_two_sides_say_passes_both_ways_to_the_last_octet() {
    let (server, address) = Recorder::start();
    let demo = Demo::start_with_upstream(&format!("http://{address}"));
    let any: Vec<u8> = (0..100_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let odd = octets(&[
        close(1006, b"no such code"),
        frame(0xb, b"reserved").reserved(0x70),
        frame(TEXT, b"\xff\xfe").unmasked(),
        frame(TEXT, b"after the end"),
    ]);

    for (from_client, from_server) in [
        (&any, &odd),
        (&odd, &any),
        (&any, &any),
        (&Vec::new(), &odd),
        (&odd, &Vec::new()),
    ] {
        for half_close in [true, false] {
            server.say(from_server.clone(), from_client.len(), half_close);
            let sending = Sending {
                path: "/ws",
                half_close,
                ..ECHO
            };
            let tls = demo.tls(ALICE, &["http/1.1"]);
            let seen = through(demo.address(), &host("wiki"), tls, &sending, from_client);

            let heard = server.heard();
            assert!(
                heard == *from_client,
                "the server got {} of {}",
                heard.len(),
                from_client.len()
            );
            assert!(
                seen.octets == *from_server,
                "the client got {} of {}",
                seen.octets.len(),
                from_server.len()
            );
            assert!(seen.ended, "the connection broke off");
        }
    }
}

/// Text, binary and control frames that are as they should be, each ended by the client.
fn messages() -> Vec<(String, Vec<Frame>, u16)> {
    let bye = close(1000, b"bye");
    let mut cases: Vec<(String, Vec<Frame>, u16)> = Vec::new();
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20, 10 << 20] {
        let payload = vec![b'x'; length];
        cases.push((
            format!("text of {length}"),
            vec![frame(TEXT, &payload), bye.clone()],
            1000,
        ));
        cases.push((
            format!("binary of {length}"),
            vec![frame(BINARY, &payload), bye.clone()],
            1000,
        ));
    }
    let named = [
        (
            "in three parts",
            vec![
                frame(TEXT, b"one ").unfinished(),
                frame(CONTINUATION, b"two ").unfinished(),
                frame(CONTINUATION, b"three"),
            ],
        ),
        (
            "with control frames in between",
            vec![
                frame(TEXT, b"one ").unfinished(),
                frame(PING, b"in between"),
                frame(CONTINUATION, b"").unfinished(),
                frame(PONG, b"nobody asked"),
                frame(CONTINUATION, b"two"),
            ],
        ),
        (
            "a character in two parts",
            vec![frame(TEXT, b"\xc3").unfinished(), frame(CONTINUATION, b"\xa9")],
        ),
        ("every plane", vec![frame(TEXT, "é日𝄞\u{10ffff}\u{0}".as_bytes())]),
        ("ping", vec![frame(PING, b""), frame(PING, &[7; 125])]),
        ("pong", vec![frame(PONG, b"nobody asked")]),
        (
            "a burst",
            vec![
                frame(TEXT, b"1"),
                frame(TEXT, b"2"),
                frame(PING, b"3"),
                frame(BINARY, b"4"),
            ],
        ),
    ];
    cases.extend(named.map(|(name, mut frames)| {
        frames.push(bye.clone());
        (name.to_owned(), frames, 1000)
    }));
    cases.push(("close without a code".to_owned(), vec![frame(0x8, b"")], 1005));
    cases.push(("the longest reason".to_owned(), vec![close(1000, &[b'x'; 123])], 1000));
    cases.push((
        "a message after the end".to_owned(),
        vec![bye, frame(TEXT, b"more")],
        1000,
    ));
    cases
}

/// What a server has to refuse (RFC 6455, sections 5 and 8.1), and with which code.
fn malformed() -> Vec<(String, Vec<Frame>, u16)> {
    let mut cases: Vec<(&str, Vec<Frame>, u16)> = vec![
        ("reserved bit 1", vec![frame(TEXT, b"x").reserved(0x40)], 1002),
        ("reserved bit 2", vec![frame(TEXT, b"x").reserved(0x20)], 1002),
        ("reserved bit 3", vec![frame(PING, b"x").reserved(0x10)], 1002),
        ("not masked", vec![frame(TEXT, b"x").unmasked()], 1002),
        ("ping of 126", vec![frame(PING, &[7; 126])], 1002),
        ("ping in parts", vec![frame(PING, b"x").unfinished()], 1002),
        ("close in parts", vec![close(1000, b"").unfinished()], 1002),
        ("close of one octet", vec![frame(0x8, b"\x03")], 1002),
        ("close with a reason too long", vec![close(1000, &[b'x'; 124])], 1002),
        ("close with a reason that is no UTF-8", vec![close(1000, b"\xff")], 1007),
        ("a rest of nothing", vec![frame(CONTINUATION, b"x")], 1002),
        (
            "two beginnings",
            vec![frame(TEXT, b"x").unfinished(), frame(TEXT, b"y")],
            1002,
        ),
        ("no UTF-8", vec![frame(TEXT, b"\xff")], 1007),
        ("half a character", vec![frame(TEXT, b"\xc3")], 1007),
        ("overlong UTF-8", vec![frame(TEXT, b"\xc0\xaf")], 1007),
        ("a surrogate", vec![frame(TEXT, b"\xed\xa0\x80")], 1007),
        (
            "no UTF-8 in the second part",
            vec![frame(TEXT, b"x").unfinished(), frame(CONTINUATION, b"\xff")],
            1007,
        ),
        ("a gibibyte", vec![frame(BINARY, b"x").saying(1 << 30)], 1009),
        (
            "a length with its first bit set",
            vec![frame(BINARY, b"x").saying(1 << 63)],
            1009,
        ),
    ];
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push(("reserved opcode", vec![frame(opcode, b"x")], 1002));
    }
    let refused = cases
        .into_iter()
        .map(|(name, frames, code)| (name.to_owned(), frames, code));
    // Some servers read a length in more octets than it takes, as this one does: what counts is that it reads the same.
    let longer = [
        ("126 in eight", frame(TEXT, &[b'x'; 126]).in_eight()),
        ("1 in two", frame(TEXT, b"x").in_two()),
    ];
    let longer = longer.map(|(name, frame)| (name.to_owned(), vec![frame, close(1000, b"")], 1000));
    refused.chain(longer).collect()
}

const ECHO: Sending<'static> = Sending {
    path: "/echo",
    fields: "",
    piece: usize::MAX,
    half_close: false,
};

/// A server of somebody else's, and a gateway in front of it.
struct Stage {
    server: WebSocketServer,
    demo: Demo,
    /// One in front of an application, to see that it goes on.
    friendly: Demo,
}

impl Stage {
    fn new() -> Self {
        let server = WebSocketServer::start();
        let demo = Demo::start_with_upstream(&server.url());
        Self {
            server,
            demo,
            friendly: Demo::start(),
        }
    }

    /// Sends this both ways; what was seen, which was the same.
    fn the_same(&self, name: &str, sending: &Sending<'_>, octets: &[u8]) -> Seen {
        let direct = directly(self.server.address(), sending, octets);
        let tls = self.demo.tls(ALICE, &["http/1.1"]);
        let through = through(self.demo.address(), &host("wiki"), tls, sending, octets);
        assert_eq!(direct.status, 101, "{name}");
        assert!(
            direct.octets == through.octets,
            "{name}: {} octets directly, {} through the gateway; {:?} and {:?}",
            direct.octets.len(),
            through.octets.len(),
            direct.close_code(),
            through.close_code()
        );
        assert_eq!(
            (through.status, &through.agreed),
            (direct.status, &direct.agreed),
            "{name}"
        );
        through
    }
}

/// A server that agrees to every WebSocket, says what it is told to and keeps what it hears.
struct Recorder {
    told: mpsc::Sender<(Vec<u8>, usize, bool)>,
    heard: mpsc::Receiver<Vec<u8>>,
}

impl Recorder {
    fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (told, orders) = mpsc::channel::<(Vec<u8>, usize, bool)>();
        let (keep, heard) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((say, expected, to_the_end)) = orders.recv() {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let mut octets = Vec::new();
                let mut piece = [0; 8192];
                while !octets.windows(4).any(|window| window == b"\r\n\r\n") {
                    let read = stream.read(&mut piece).unwrap();
                    octets.extend_from_slice(&piece[..read]);
                }
                let end = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                octets.drain(..end);
                stream.write_all(AGREED).unwrap();
                stream.write_all(&say).unwrap();
                // To the end of what the client says, which shows here; or as much as it has to say.
                while to_the_end || octets.len() < expected {
                    match stream.read(&mut piece) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => octets.extend_from_slice(&piece[..read]),
                    }
                }
                let _gone = stream.shutdown(Shutdown::Write);
                keep.send(octets).unwrap();
            }
        });
        (Self { told, heard }, address)
    }

    /// What it says to the next client; whether it waits for the client's end, or for so many octets.
    fn say(&self, octets: Vec<u8>, expected: usize, to_the_end: bool) {
        self.told.send((octets, expected, to_the_end)).unwrap();
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.recv_timeout(DEADLINE + Duration::from_secs(5)).unwrap()
    }
}

const AGREED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
