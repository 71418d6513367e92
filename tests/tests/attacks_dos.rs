//! What does it cost to be a nuisance? Every case of the class dos, beside a client that is served well all the while.

use std::io::Write;
use std::time::Duration;

use latchkey_tests::canary;
use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY, host};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::tls;
use latchkey_tests::upstream::{Reply, Upstream, ok};
use serde_json::json;

/// dos-slowloris
#[test]
fn a_head_that_trickles_is_ended_in_time() {
    let upstream = Upstream::friendly();
    let demo = impatient(&upstream);
    let begin =
        |client: &mut RawClient| client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\nX-A: ", host("wiki")).as_bytes());
    let mut control = demo.raw(BOB, "wiki");
    begin(&mut control);
    control.send(b"a\r\n\r\n");
    assert_eq!(control.answer().map(|answer| answer.status), Some(200));
    let arrived = upstream.received().len();

    bounded(&demo, 48, || {
        let mut told = demo.raw(BOB, "wiki");
        begin(&mut told);
        assert_eq!(told.answer().map(|answer| answer.status), Some(408));
        let mut slow: Vec<_> = (0..CONNECTIONS).map(|_| demo.raw(BOB, "wiki")).collect();
        slow.iter_mut().for_each(begin);
        let ended = until(SOON, || {
            slow.retain_mut(|client| {
                client.send(b"a");
                client.ends_within(Duration::from_millis(1)).is_none()
            });
            slow.is_empty()
        });
        assert!(ended, "{} of {CONNECTIONS} heads still trickle", slow.len());
    });

    let others = upstream.received().split_off(arrived);
    assert!(others.iter().all(|request| request.target() == "/canary"), "{others:?}");
    assert_eq!(let_go(&demo), Some(count(CONNECTIONS + 1)));
}

/// A body that goes on after it was refused is read for a moment, so that its client can read why, and no longer.
#[test]
fn a_refused_body_that_never_ends_is_left() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    demo.configure("limits", "  body_limit: 1KiB");
    demo.reload();
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let begin = || {
        let mut client = tls::connect(demo.address(), &host("wiki"), demo.tls(ALICE, &["http/1.1"])).unwrap();
        let head = "POST /post HTTP/1.1\r\nHost: wiki.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        client
    };

    let mut control = RawClient::on(begin());
    control.send(chunk.as_bytes());
    assert_eq!(control.answer().map(|answer| answer.status), Some(413), "control");
    bounded(&demo, 32, || {
        let mut endless: Vec<_> = (0..4).map(|_| begin()).collect();
        for client in &mut endless {
            let sent = (0..1024)
                .take_while(|_| client.write_all(chunk.as_bytes()).is_ok())
                .count();
            assert!(sent < 1024, "64 MiB were taken");
        }
    });
    assert!(!upstream.received().iter().any(|request| request.target() == "/post"));
}

/// dos-slow-read
#[test]
fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let upstream = large();
    let demo = impatient(&upstream);
    let ask = format!("GET /large HTTP/1.1\r\nHost: {}\r\n\r\n", host("wiki"));
    let mut control = demo.raw(BOB, "wiki");
    control.send(ask.as_bytes());
    assert_eq!(control.answer().map(|answer| answer.body.len()), Some(LARGE));

    // Of 500 MB: what the gateway holds of one answer is about a megabyte, nearly all of it Pingora's.
    bounded(&demo, 64, || {
        let _deaf: Vec<_> = (0..50)
            .map(|_| {
                let mut client = demo.raw(BOB, "wiki");
                client.send(ask.as_bytes());
                client
            })
            .collect();
        assert!(until(SOON, || upstream.count("/large") == 51));
        assert!(
            until(SOON, || let_go(&demo) == Some(50.0)),
            "{:?} of 50 are let go",
            let_go(&demo)
        );
    });

    assert!(until(SOON, || demo.metric("latchkey_live_requests") == Some(0.0)));
}

/// dos-hdr-huge
#[test]
fn a_head_has_an_end() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let ask = |target: &str, fields: &str| {
        let mut client = demo.raw(BOB, "wiki");
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("wiki")).as_bytes());
        client.answer().map_or(0, |answer| answer.status)
    };
    let field = |name: usize, value: usize| format!("X-{}: {}\r\n", "A".repeat(name), "a".repeat(value));

    let huge = bounded(&demo, 48, || {
        let before = upstream.received().len();
        assert_eq!(ask("/fine", &field(1, 32 << 10)), 200, "control");
        assert_eq!(ask("/fine", &field(1, 1).repeat(200)), 200, "control");
        assert_eq!(ask(&format!("/fine?{}", "a".repeat(4 << 10)), ""), 200, "control");

        let huge = [
            ask("/huge", &field(1, 1 << 20)),
            ask("/huge", &field(1 << 20, 1)),
            ask("/huge", &field(1, 1).repeat(10_000)),
            ask("/huge", &field(1, 1).repeat(300)),
            ask(&format!("/huge?{}", "a".repeat(64 << 10)), ""),
            ask(&format!("/huge?{}", "a".repeat(1 << 20)), ""),
            ask("/huge", &field(1, 80 << 10)),
        ];
        let mut arrived = upstream.received().split_off(before);
        arrived.retain(|request| request.target().contains("huge"));
        let heads: Vec<_> = arrived.iter().map(|request| request.head.len()).collect();
        assert!(
            heads.is_empty(),
            "{huge:?}, and heads of {heads:?} octets reached the application"
        );
        huge
    });

    // Where more was sent than was read, the connection may be torn down before its answer is read.
    assert!(
        huge.iter().all(|status| matches!(status, 0 | 400 | 414 | 431)),
        "{huge:?}"
    );
    let mut told = demo.raw(BOB, "wiki");
    told.send(format!("GET /huge HTTP/1.1\r\nHost: {}\r\n{}", host("wiki"), field(1, 65 << 10)).as_bytes());
    assert_eq!(told.answer().map(|answer| answer.status), Some(431));
}

/// dos-tls-flood: handshakes and no request; a source has its share of those that are under way.
#[test]
fn handshakes_leave_room_for_others() {
    let upstream = Upstream::friendly();
    let mut demo = Demo::in_front_of(&upstream);
    demo.configure("tls", "  max_handshakes_per_source: 8");
    demo.run_as_configured();
    let handshakes = || demo.metric("latchkey_handshakes_total").unwrap_or_default();
    let connect = || {
        tls::connect_from(
            Some(ELSEWHERE),
            demo.address(),
            &host("wiki"),
            demo.tls(BOB, &["http/1.1"]),
        )
    };
    let before = handshakes();

    bounded(&demo, 96, || {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let done: Vec<_> = (0..HANDSHAKES / THREADS).map(|_| connect().unwrap()).collect();
                    assert_eq!(done.len(), HANDSHAKES / THREADS);
                });
            }
        });
        assert!(handshakes() >= before + count(HANDSHAKES), "each is counted");

        let silent: Vec<_> = (0..64)
            .map(|_| tls::socket_from(ELSEWHERE, demo.address()).unwrap())
            .collect();
        let ended = until(SOON, || {
            silent.iter().filter(|socket| has_ended(socket)).count() == 64 - 8
        });
        assert!(
            ended,
            "{} of 64 are refused",
            silent.iter().filter(|socket| has_ended(socket)).count()
        );
        assert!(connect().is_err(), "the source has its share");
        drop(silent);
    });

    assert!(until(SOON, || connect().is_ok()), "the source gets its share back");
}

/// dos-json-deep
#[test]
fn json_within_json_is_refused_before_it_is_followed() {
    let demo = Demo::start();
    let token = format!("Authorization: SSWS {}\r\n", demo.admin_token());
    let post = |app: &str, path: &str, fields: &str, body: &str| {
        let (host, length) = (format!("{}:{}", host(app), demo.address().port()), body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut client = demo.raw(NOBODY, app);
        client.send(head.as_bytes());
        client.send(body.as_bytes());
        client.answer().map_or(0, |answer| answer.status)
    };
    let create = |profile: &str| post("admin", "/api/v1/users?activate=true", &token, profile);
    let user = json!({ "profile": { "login": "deep", "email": "deep@example.com" } }).to_string();
    assert!(matches!(create(&user), 200 | 201), "control");

    bounded(&demo, 32, || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let within = format!("{{\"profile\":{}}}", deep(5_000));
            for body in [deep(5_000), within, open.repeat(10_000)] {
                assert_eq!(create(&body), 400);
                // Strangers may be refused before their JSON is read.
                assert!(matches!(post("auth", "/enroll", "", &body), 400 | 401));
                assert!(matches!(
                    post("auth", "/sign-in/device/challenge", "", &body),
                    400 | 422
                ));
            }
            assert!(matches!(create(&deep(100_000)), 0 | 413));
            assert!(matches!(post("auth", "/enroll", "", &deep(100_000)), 0 | 413));
        }
    });
}

/// dos-ws-frames
#[test]
fn frames_that_promise_much_or_bring_little_take_bounded_room() {
    let demo = Demo::start();
    let open = |more: &str| {
        let mut client = demo.raw(BOB, "wiki");
        client.send(format!("GET /ws HTTP/1.1\r\nHost: {}\r\n{UPGRADE}{more}\r\n", host("wiki")).as_bytes());
        let status = client.answer().map_or(0, |answer| answer.status);
        (status, client)
    };
    let text = |flags: u8, octet: u8| [flags, 0x81, 0, 0, 0, 0, octet];
    let (status, mut control) = open("");
    control.send(&text(0x01, b'a'));
    control.send(&text(0x00, b'b'));
    control.send(&text(0x80, b'c'));
    assert!(status == 101 && control.wait_for("abc"), "control");

    bounded(&demo, 64, || {
        let huge: Vec<_> = (0..20).map(|_| open("").1).collect();
        for mut client in huge {
            let length = (1_u64 << 30).to_be_bytes();
            client.send(&[&[0x82, 0xff][..], &length, &[0; 4], &[0; 64 << 10]].concat());
            assert!(client.ends_within(SOON).is_some(), "a gigabyte is waited for");
        }
        let (_, mut tiny) = open("");
        tiny.send(&text(0x01, b'a'));
        tiny.send(&text(0x00, b'a').repeat(FRAGMENTS));
        tiny.send(&text(0x80, b'z'));
        assert!(tiny.wait_for("aaz"), "a message of {FRAGMENTS} fragments comes back");
        assert!(matches!(
            open(&format!("X-A: {}\r\n", "a".repeat(1 << 20))).0,
            0 | 400 | 431
        ));
    });
}

/// A gateway that waits a second for whatever a client has begun.
fn impatient(upstream: &Upstream) -> Demo {
    let mut demo = Demo::in_front_of(upstream);
    demo.configure("limits", "  idle_timeout: 1s");
    demo.run_as_configured();
    demo
}

/// An application with a large answer.
fn large() -> Upstream {
    let body = "a".repeat(LARGE);
    Upstream::start(move |request| match request.target() {
        "/large" => Reply::Send(ok(&body)),
        _ => Reply::Send(ok("ok")),
    })
}

/// Does this beside a canary, and holds the gateway to so many megabytes more than it had.
fn bounded<T>(demo: &Demo, megabytes: usize, attack: impl FnOnce() -> T) -> T {
    canary::sing(demo).unwrap();
    let before = demo.process().memory();
    let (result, most) = canary::beside(demo, || demo.process().most_memory_while(attack));
    let grown = most.saturating_sub(before) >> 20;
    println!("{grown} MB more");
    assert!(grown <= megabytes, "{grown} MB more");
    result
}

/// How many clients were let go because of what they did.
fn let_go(demo: &Demo) -> Option<f64> {
    demo.metric("latchkey_clients_let_go_total")
}

/// Whether the other side has closed.
fn has_ended(socket: &std::net::TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let peeked = socket.peek(&mut [0]);
    !matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap())
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const CONNECTIONS: usize = 200;
const HANDSHAKES: usize = if cfg!(debug_assertions) { 400 } else { 2_000 };
const THREADS: usize = 4;
const FRAGMENTS: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
const LARGE: usize = 10_000_000;

const ELSEWHERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

/// Many times what the gateway waits.
const SOON: Duration = Duration::from_secs(15);
