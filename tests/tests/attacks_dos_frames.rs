//! What do floods of frames and of TLS records cost? The cases of the class dos below HTTP, beside a client that is served well.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use latchkey_tests::canary;
use latchkey_tests::demo::{BOB, Demo, host};
use latchkey_tests::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Fate, Fields, FrameClient, HEADERS,
    INITIAL_WINDOW_SIZE, PING, PRIORITIZED, REFUSED_STREAM, StreamFate, block, frame, get, head, open, preface,
    priority, request, reset, settings, window_update,
};
use latchkey_tests::process::until;
use latchkey_tests::tls::DEADLINE;
use latchkey_tests::upstream::{Reply, Upstream, ok};

/// dos-h2-madeyoureset: whoever makes the gateway reset stream after stream is told to calm down.
#[test]
fn streams_that_have_to_be_reset_are_counted() {
    let stage = Stage::new();
    let silent = |stream: u32| request(stream, &get(&host("wiki"), "/silent"));
    let tricks: [(&str, Trick<'_>); 4] = [
        ("window update of 0", &|stream| {
            [silent(stream), window_update(stream, 0)].concat()
        }),
        ("window too large", &|stream| {
            [silent(stream), window_update(stream, (1 << 31) - 1)].concat()
        }),
        ("headers when half-closed", &|stream| {
            [silent(stream), silent(stream)].concat()
        }),
        ("dependency on itself", &depends_on_itself),
    ];
    let mut control = stage.connect(&[]);
    for stream in (1..1_001).step_by(2) {
        assert_eq!(
            control.get(stream, &host("wiki"), "/").of(stream),
            Some(StreamFate::Answered(200)),
            "control"
        );
    }

    stage.bounded(64, || {
        for (name, trick) in tricks {
            let before = stage.upstream.count("/silent");
            let (fate, sent) = stage.flood(10_000, 10, trick);
            let arrived = stage.upstream.count("/silent") - before;
            assert!(fate.is_over() && sent <= 1_000, "{name}: {sent} streams were reset");
            assert!(arrived <= 200, "{name}: {arrived} requests reached the application");
        }
    });
}

/// dos-h2-madeyoureset by their client itself (CVE-2023-44487), as fast as it can, and as slow as the application is asked.
#[test]
fn streams_that_their_client_resets_are_counted() {
    let stage = Stage::new();
    let given_up = |stream: u32| [request(stream, &get(&host("wiki"), "/silent")), reset(stream, CANCEL)].concat();
    let mut control = stage.connect(&[]);
    for stream in (1..1_001).step_by(4) {
        control.send(&given_up(stream));
        assert_eq!(
            control.get(stream + 2, &host("wiki"), "/").of(stream + 2),
            Some(StreamFate::Answered(200)),
            "control"
        );
    }

    stage.bounded(64, || {
        let (fate, sent) = stage.flood(10_000, 50, &given_up);
        assert!(
            fate.is_over() && sent <= 1_000,
            "{sent} requests were given up at once: {fate:?}"
        );

        let mut client = stage.connect(&[]);
        let mut fate = Fate::default();
        let mut count = 0;
        for stream in (1..).step_by(2).take(1_000) {
            let before = stage.upstream.count("/silent");
            client.send(&request(stream, &get(&host("wiki"), "/silent")));
            until(DEADLINE, || {
                client.take_arrived(&mut fate);
                fate.is_over() || stage.upstream.count("/silent") > before
            });
            if fate.is_over() {
                break;
            }
            client.send(&reset(stream, CANCEL));
            count += 1;
        }
        assert!(fate.is_over(), "{count} requests were given up one by one");
    });
}

/// dos-h2-empty-data, and other frames that bring nothing on.
#[test]
fn frames_that_bring_nothing_end_the_connection() {
    let stage = Stage::new();
    let post = head("POST", &host("wiki"), "/post");
    let body = |part: &[u8], count: usize| frame(DATA, 0, 1, part).repeat(count);
    let mut control = stage.connect(&[]);
    control.send(
        &[
            open(1, &post),
            body(&[], 50),
            body(b"a", 50),
            frame(DATA, END_STREAM, 1, &[]),
        ]
        .concat(),
    );
    let mut fate = Fate::default();
    control.read_until(&mut fate, |fate| fate.of(1).is_some());
    assert_eq!(fate.of(1), Some(StreamFate::Answered(200)), "control");

    stage.bounded(32, || {
        let empty = stage.flood_after(&open(1, &post), &frame(DATA, 0, 1, &[]), 50_000);
        assert_eq!(empty.gone_away, Some(ENHANCE_YOUR_CALM), "empty DATA: {empty:?}");
        let begun = frame(HEADERS, END_STREAM, 1, &block(&get(&host("wiki"), "/")));
        let continued = stage.flood_after(&begun, &frame(CONTINUATION, 0, 1, &[]), 50_000);
        assert_eq!(
            continued.gone_away,
            Some(ENHANCE_YOUR_CALM),
            "empty CONTINUATION: {continued:?}"
        );
        assert!(!stage.upstream.received().iter().any(|request| request.target() == "/"));
    });
}

/// What has to be answered, and what says nothing to anybody, takes no room however much of it comes.
#[test]
fn frames_that_are_answered_or_passed_over_take_no_room() {
    let stage = Stage::patient();

    stage.bounded(32, || {
        for (name, flood) in [
            ("SETTINGS", settings(&[(INITIAL_WINDOW_SIZE, 65_535)])),
            ("PING", frame(PING, 0, 0, &[0; 8])),
            ("PRIORITY", priority(7, 0)),
            ("WINDOW_UPDATE", window_update(0, 1)),
            ("an unknown type", frame(0x42, 0, 0, &[0; 64])),
        ] {
            let fate = stage.flood_after(&[], &flood, 20_000);
            assert!(
                !fate.is_over() || fate.gone_away == Some(ENHANCE_YOUR_CALM),
                "{name}: {fate:?}"
            );
        }
    });
}

/// dos-h2-streams: more streams than may be open are refused, and answers that nobody takes wait in bounded room.
#[test]
fn a_connection_has_so_many_streams_and_so_much_unsent() {
    let stage = Stage::new();
    let all = |path: &str, count: u32| -> Vec<u8> {
        let streams = (1..2 * count).step_by(2);
        streams
            .flat_map(|stream| request(stream, &get(&host("wiki"), path)))
            .collect()
    };

    stage.bounded(64, || {
        let mut client = stage.connect(&[]);
        client.send(&all("/silent", 400));
        let mut fate = Fate::default();
        client.read_until(&mut fate, |fate| fate.resets(REFUSED_STREAM) == 300);
        assert!(!fate.is_over(), "{fate:?}");
        let served = until(DEADLINE, || stage.upstream.count("/silent") == 100);
        assert!(served, "control: {} are served", stage.upstream.count("/silent"));

        let mut client = stage.connect(&[]);
        client.send(&all("/", 1_000));
        let mut fate = Fate::default();
        client.read_until(&mut fate, |fate| fate.streams.len() == 1_000);
        assert_eq!(fate.gone_away, Some(ENHANCE_YOUR_CALM), "a thousand at once");
        let let_go = |why: &str| stage.demo.metric_with("latchkey_clients_let_go_total", why);
        assert!(let_go("streams") >= Some(300.0), "{:?}", let_go("streams"));
        assert_eq!(let_go("\"http2\""), Some(1.0));
    });

    // A third of a megabyte of each answer is on its way through the proxy.
    stage.bounded(64, || {
        let mut client = stage.connect(&[(INITIAL_WINDOW_SIZE, 0)]);
        client.send(&all("/large", 100));
        let mut fate = Fate::default();
        client.read_until(&mut fate, |fate| fate.streams.len() == 100);
        let let_go = || stage.demo.metric_with("latchkey_clients_let_go_total", "takes-nothing");
        assert!(until(DEADLINE, || let_go() == Some(100.0)), "{:?} of 100", let_go());
        assert_eq!(stage.upstream.count("/large"), 100);
    });
    stage.bounded(48, || {
        let mut deaf = stage.connect(&[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]);
        deaf.send(&window_update(0, 1 << 30));
        deaf.send(&all("/large", 100));
        assert!(until(DEADLINE, || stage.upstream.count("/large") == 200));
        let live = || stage.demo.metric("latchkey_live_requests");
        assert!(until(DEADLINE, || live() == Some(0.0)), "{:?} of 100", live());
    });
    let mut reader = stage.connect(&[(INITIAL_WINDOW_SIZE, 1 << 24)]);
    reader.send(&window_update(0, 1 << 24));
    reader.send(&request(1, &get(&host("wiki"), "/large")));
    let mut taken = 0;
    while let Some(piece) = reader.next_within(DEADLINE) {
        taken += if piece.kind == DATA { piece.payload.len() } else { 0 };
        if piece.kind == DATA && piece.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(taken, LARGE, "control: a client that takes its answer has all of it");
}

/// dos-hdr-huge over HTTP/2.
#[test]
fn the_fields_of_a_request_have_an_end() {
    let stage = Stage::new();
    let with = |count: usize, length: usize| -> Fields {
        let mut all = get(&host("wiki"), "/huge");
        all.extend((0..count).map(|number| (format!("x-{number}").into_bytes(), vec![b'a'; length])));
        all
    };
    let ask = |fields: &Fields| {
        let mut client = stage.connect(&[]);
        let sent = block(fields);
        let mut pieces = sent.chunks(16_384);
        client.send(&frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()));
        for piece in pieces {
            client.send(&frame(CONTINUATION, 0, 1, piece));
        }
        client.send(&frame(CONTINUATION, END_HEADERS, 1, &[]));
        let mut fate = Fate::default();
        client.read_until(&mut fate, |fate| fate.of(1).is_some());
        fate
    };
    assert_eq!(ask(&with(1, 40_000)).of(1), Some(StreamFate::Answered(200)), "control");
    assert_eq!(ask(&with(200, 10)).of(1), Some(StreamFate::Answered(200)), "control");

    stage.bounded(32, || {
        for (count, length) in [(1, 70_000), (1, 1 << 20), (10_000, 4), (2_000, 1), (64, 16_384)] {
            let fate = ask(&with(count, length));
            let refused = fate.is_over() || matches!(fate.of(1), Some(StreamFate::Answered(400 | 431)));
            assert!(refused, "{count} fields of {length}: {fate:?}");
        }
    });
    assert_eq!(stage.upstream.count("/huge"), 2, "the controls");
}

/// dos-tls-fragments
#[test]
fn a_handshake_in_tiny_records_takes_neither_long_nor_much() {
    let upstream = Upstream::friendly();
    let mut demo = Demo::in_front_of(&upstream);
    demo.configure("tls", "  handshake_timeout: 1s");
    demo.run_as_configured();
    let hello = client_hello(&demo);
    let whole = record(&hello);
    let tiny: Vec<u8> = hello.iter().flat_map(|octet| record(&[*octet])).collect();
    let begun = tiny[..tiny.len() - 6].to_vec();
    let empty = [record(&[]).repeat(1_000), whole.clone()].concat();
    assert_eq!(first_octet(&demo, &whole), Some(HANDSHAKE), "control");

    canary::sing(&demo).unwrap();
    let (before, had) = (demo.process().busy(), demo.process().memory());
    let (_, most) = canary::beside(&demo, || {
        demo.process().most_memory_while(|| {
            let mut open: Vec<_> = (0..50).map(|_| said(&demo, &begun)).collect();
            for client in &mut open {
                // An alert at most, and then the end.
                assert!(
                    client.read_to_end(&mut Vec::new()).is_ok_and(|read| read < 16),
                    "an unfinished hello is waited for"
                );
            }
            for _ in 0..10 {
                assert!(matches!(first_octet(&demo, &tiny), None | Some(HANDSHAKE | ALERT)));
                assert!(
                    matches!(first_octet(&demo, &empty), None | Some(ALERT)),
                    "empty records are read on and on"
                );
            }
        })
    });

    let busy = demo.process().busy() - before;
    assert!(busy < Duration::from_secs(3), "busy for {busy:?}");
    let grown = most.saturating_sub(had) >> 20;
    assert!(grown <= 32, "{grown} MB more");
}

/// What is sent for a stream.
type Trick<'a> = &'a dyn Fn(u32) -> Vec<u8>;

struct Stage {
    demo: Demo,
    upstream: Upstream,
}

impl Stage {
    /// A gateway that waits a second for a client to take its answer, and on a connection that is idle.
    fn new() -> Self {
        let mut stage = Self::patient();
        stage.demo.configure("limits", "  idle_timeout: 1s");
        stage.demo.run_as_configured();
        stage
    }

    /// A gateway as it is by default.
    fn patient() -> Self {
        let body = "a".repeat(LARGE);
        let upstream = Upstream::start(move |request| match request.target() {
            "/silent" => Reply::Silence,
            "/large" => Reply::Send(ok(&body)),
            _ => Reply::Send(ok("ok")),
        });
        let demo = Demo::in_front_of(&upstream);
        Self { demo, upstream }
    }

    fn connect(&self, values: &[(u16, u32)]) -> FrameClient {
        let config = self.demo.tls(BOB, &["h2"]);
        let mut client = FrameClient::silent(self.demo.address(), &host("wiki"), config).unwrap();
        client.send(&preface(values));
        client
    }

    /// Sends what is made for stream after stream, so many at a time, until the connection is over; how many were sent.
    fn flood(&self, count: u32, at_once: u32, trick: Trick<'_>) -> (Fate, u32) {
        let mut client = self.connect(&[]);
        let mut fate = Fate::default();
        for first in (0..count).step_by(usize::try_from(at_once).unwrap()) {
            let bytes: Vec<u8> = (first..first + at_once)
                .flat_map(|number| trick(2 * number + 1))
                .collect();
            let sent = client.send(&bytes);
            client.take_arrived(&mut fate);
            if !sent || fate.is_over() {
                client.read_until(&mut fate, Fate::is_over);
                return (fate, first + at_once);
            }
        }
        (fate, count)
    }

    /// Sends the first and then the other so many times, until the connection is over.
    fn flood_after(&self, first: &[u8], flood: &[u8], count: usize) -> Fate {
        const AT_ONCE: usize = 200;
        let mut client = self.connect(&[]);
        let mut fate = Fate::default();
        client.send(first);
        for _ in 0..count / AT_ONCE {
            let sent = client.send(&flood.repeat(AT_ONCE));
            client.take_arrived(&mut fate);
            if !sent || fate.is_over() {
                client.read_until(&mut fate, Fate::is_over);
                break;
            }
        }
        fate
    }

    /// Does this beside a canary, and holds the gateway to so many megabytes more than it had.
    fn bounded<T>(&self, megabytes: usize, attack: impl FnOnce() -> T) -> T {
        canary::sing(&self.demo).unwrap();
        let process = self.demo.process();
        let before = process.memory();
        let (result, most) = canary::beside(&self.demo, || process.most_memory_while(attack));
        let grown = most.saturating_sub(before) >> 20;
        println!("{grown} MB more");
        assert!(grown <= megabytes, "{grown} MB more");
        result
    }
}

fn depends_on_itself(stream: u32) -> Vec<u8> {
    let payload = [&stream.to_be_bytes()[..], &[16], &block(&get(&host("wiki"), "/silent"))].concat();
    frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, stream, &payload)
}

/// What a client says first, without the record around it.
fn client_hello(demo: &Demo) -> Vec<u8> {
    let name = host("wiki").try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(demo.tls(BOB, &["http/1.1"])), name).unwrap();
    let mut sent = Vec::new();
    client.write_tls(&mut sent).unwrap();
    sent.split_off(5)
}

/// A TLS record with a part of a handshake (RFC 8446, section 5.1).
fn record(part: &[u8]) -> Vec<u8> {
    let length = u16::try_from(part.len()).unwrap().to_be_bytes();
    [&[HANDSHAKE, 3, 1], &length[..], part].concat()
}

fn said(demo: &Demo, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(demo.address()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    // Whether it was refused half-way shows at the first read.
    let _refused = socket.write_all(bytes);
    socket
}

/// The type of the first record that comes back; nothing when the connection ends before.
fn first_octet(demo: &Demo, bytes: &[u8]) -> Option<u8> {
    let mut octet = [0];
    match said(demo, bytes).read(&mut octet) {
        Ok(1) => Some(octet[0]),
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing comes back"),
        Err(_) => None,
    }
}

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const LARGE: usize = 10_000_000;
