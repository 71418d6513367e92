//! Do bodies pass as they come: events one by one, gibibytes without being kept, coded ones as they are, and who waits to be asked?

use std::io::Write;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use latchkey_tests::demo::{ALICE, BOB, Demo, host};
use latchkey_tests::large::{Large, download, hash, pieces, upload};
use latchkey_tests::process::until;
use latchkey_tests::tls::DEADLINE;
use latchkey_tests::upstream::{Received, Reply, Upstream, ok};

/// The application sends an event only when the one before it has been seen at the other end.
#[test]
fn every_event_is_seen_before_the_next_one_is_sent() {
    let (go, turns) = mpsc::channel::<()>();
    let turns = std::sync::Arc::new(Mutex::new(turns));
    let upstream = Upstream::start(move |_| {
        let turns = std::sync::Arc::clone(&turns);
        Reply::Play(Box::new(move |stream| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).unwrap();
            for number in 0..EVENTS {
                if turns.lock().unwrap().recv_timeout(DEADLINE).is_err() {
                    return;
                }
                let event = event(number);
                write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        }))
    });
    let demo = Demo::in_front_of(&upstream);

    let mut first = demo.raw(ALICE, "wiki");
    first.send(b"GET /events HTTP/1.1\r\nHost: wiki.localhost\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(first.head().unwrap().status, 200, "its head comes before any event");
    for number in 0..EVENTS {
        go.send(()).unwrap();
        assert!(first.wait_for(&event(number)), "event {number} over HTTP/1.1");
    }
    let client = demo.h2(ALICE, "wiki");
    let mut second = client.open_with("/events", &[("accept", "text/event-stream")]);
    for number in 0..EVENTS {
        go.send(()).unwrap();
        assert_eq!(
            second.next_piece().as_deref(),
            Some(event(number).as_bytes()),
            "over HTTP/2"
        );
    }
    assert!(second.ends_within(DEADLINE));
}

#[test]
fn a_gibibyte_passes_both_ways_within_bounded_memory() {
    let large = Large::start();
    let demo = Demo::start_with_upstream(&large.url());
    demo.edit(
        "latchkey.yaml",
        "- name: wiki\n",
        "- name: wiki\n    body_limit: none\n",
    );
    demo.reload();
    let whole = hash(GIBIBYTE);
    assert_ne!(whole, hash(GIBIBYTE - 1), "the hash tells them apart");
    for version in ["--http1.1", "--http2"] {
        // Buffers that every connection has are there from then on.
        assert_eq!(download(&demo, "alice-laptop", 1 << 20, &[version]), hash(1 << 20));
        assert_eq!(upload(&demo, "alice-laptop", 1 << 20, &[version]), hash(1 << 20));
        let before = demo.process().memory();

        let (got, most) = demo
            .process()
            .most_memory_while(|| download(&demo, "alice-laptop", GIBIBYTE, &[version]));
        assert!(got == whole, "another body came down");
        println!("download {version}: {before} octets before, at most {most}");
        assert!(
            most < before + BOUND,
            "download {version}: {before} octets before, at most {most}"
        );

        let (got, most) = demo
            .process()
            .most_memory_while(|| upload(&demo, "alice-laptop", GIBIBYTE, &[version]));
        assert!(got == whole, "another body went up");
        println!("upload {version}: {before} octets before, at most {most}");
        assert!(
            most < before + BOUND,
            "upload {version}: {before} octets before, at most {most}"
        );
    }
}

/// What a client does not take is not fetched either.
#[test]
fn whoever_reads_slowly_slows_the_application_down() {
    let large = Large::start();
    let demo = Demo::start_with_upstream(&large.url());
    let size: u64 = 64 << 20;

    let mut client = demo.raw(ALICE, "wiki");
    let before = demo.process().memory();
    client.send(format!("GET /{size} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").as_bytes());
    let answer = client.head().unwrap();
    assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
    let mut seen = (large.sent(), Instant::now());
    let stalled = until(DEADLINE, || {
        if large.sent() != seen.0 {
            seen = (large.sent(), Instant::now());
        }
        seen.0 > 0 && seen.1.elapsed() > Duration::from_secs(1)
    });

    assert!(stalled, "it is still fetched");
    assert!(
        large.sent() < 24 << 20,
        "{} octets were taken from the application",
        large.sent()
    );
    assert!(demo.process().memory() < before + BOUND);
    assert!(until(DEADLINE, || client.read_some() > 0), "it goes on where it stood");
    drop(client);
    let fetched = large.sent();
    assert!(until(DEADLINE, || demo
        .metric("latchkey_live_requests")
        .unwrap_or_default()
        == 0.0));
    assert!(large.sent() < fetched + (16 << 20), "it is fetched for nobody");
}

#[test]
fn what_an_application_compressed_passes_as_it_is() {
    let upstream = Upstream::start(|request| match request.target() {
        "/coded" => Reply::Send(coded(request)),
        _ => Reply::Send(ok(&"plain ".repeat(1000))),
    });
    let demo = Demo::in_front_of(&upstream);
    for (version, accepted) in [
        ("--http1.1", "gzip, br;q=0.5"),
        ("--http2", "zstd"),
        ("--http1.1", "identity"),
    ] {
        let field = format!("Accept-Encoding: {accepted}");
        let arguments = [version, "-H", &field, "--raw"];

        let answer = demo.curl(ALICE, &demo.url("wiki", "/coded"), &arguments);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, GZIPPED, "{version}");
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("etag", "\"a-strong-one\""),
            ("vary", "Accept-Encoding"),
            ("content-length", "26"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{version}: {name}");
        }
        assert_eq!(upstream.last("/coded").unwrap().fields("accept-encoding"), [accepted]);

        // And what it left plain stays plain.
        let answer = demo.curl(ALICE, &demo.url("wiki", "/plain"), &arguments);
        assert_eq!(
            (answer.header("content-encoding"), answer.body.len()),
            (None, 6000),
            "{version}"
        );
    }
    let answer = demo.curl(ALICE, &demo.url("wiki", "/bare"), &["-H", "Accept-Encoding:"]);
    assert_eq!(answer.status, 200);
    assert!(
        upstream.last("/bare").unwrap().fields("accept-encoding").is_empty(),
        "nothing is asked for in its name"
    );
}

/// RFC 9110, section 10.1.1: it is the application that asks, and whoever is not let in hears so without being asked.
#[test]
fn whoever_waits_to_be_asked_for_a_body_is_asked_or_refused() {
    let large = Large::start();
    let demo = Demo::start_with_upstream(&large.url());
    let head = |app: &str| {
        let host = host(app);
        format!("POST /upload HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 65536\r\n\r\n")
    };
    let body: Vec<u8> = pieces(65_536).flatten().collect();

    let mut client = demo.raw(BOB, "wiki");
    client.send(head("wiki").as_bytes());
    assert_eq!(client.head().map(|interim| interim.status), Some(100));
    client.send(&body);
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.text()), (200, hash(65_536)));
    // The connection ends after that, and says so; or it goes on.
    let next = client.get(&host("wiki"), "/5").map(|answer| answer.body.len());
    assert!(
        next == Some(5) || answer.header("connection") == Some("close"),
        "{answer:?}"
    );

    let mut client = demo.raw(BOB, "payroll");
    client.send(head("payroll").as_bytes());
    assert_eq!(client.head().map(|answer| answer.status), Some(403));

    for version in ["--http1.1", "--http2"] {
        let expecting = [version, "-H", "Expect: 100-continue"];
        assert_eq!(
            upload(&demo, "bob-laptop", 65_536, &expecting),
            hash(65_536),
            "{version}"
        );
    }
}

/// Trailer fields of HTTP/1.1 go no further (RFC 9110, section 6.5.1, lets intermediaries discard them), and leave nothing behind.
#[test]
fn trailers_are_neither_taken_for_fields_nor_for_the_next_message() {
    let upstream = Upstream::start(|request| match request.target() {
        "/trailed" => Reply::Send(TRAILED.to_vec()),
        _ => Reply::Send(ok(&format!("{} octets", request.body.len()))),
    });
    let demo = Demo::in_front_of(&upstream);
    let mut client = demo.raw(BOB, "wiki");

    client.send(
        b"POST /up HTTP/1.1\r\nHost: wiki.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Latchkey-User, X-Sum\r\n\r\n\
          5\r\n12345\r\n0\r\nX-Latchkey-User: admin\r\nX-Sum: 15\r\n\r\n",
    );
    let up = client.answer().unwrap();
    let down = client.get(&host("wiki"), "/trailed").unwrap();
    let next = client.get(&host("wiki"), "/next").unwrap();

    assert_eq!((up.status, up.text()), (200, "5 octets".into()));
    assert_eq!(upstream.last("/up").unwrap().fields("x-latchkey-user"), ["bob"]);
    assert_eq!((down.status, down.text()), (200, "hello".into()));
    assert_eq!((next.status, next.text()), (200, "0 octets".into()));
    assert_eq!(
        demo.curl(BOB, &demo.url("wiki", "/trailed"), &["--http2"]).text(),
        "hello"
    );
}

fn event(number: usize) -> String {
    format!("id: {number}\ndata: event {number}\n\n")
}

/// A body that says it is gzip; nobody on the way may look.
fn coded(_request: &Received) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n\
                ETag: \"a-strong-one\"\r\nContent-Length: 26\r\n\r\n";
    [head.as_bytes(), GZIPPED].concat()
}

const GZIPPED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x27\0\0\xff\xff\0\0\0";
const TRAILED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
    5\r\nhello\r\n0\r\nX-Sum: 5\r\nSet-Cookie: __Host-latchkey-session=x\r\n\r\n";
const EVENTS: usize = 20;
const GIBIBYTE: u64 = 1 << 30;

/// How much memory the gateway may need more for them, in octets.
const BOUND: usize = 32 << 20;
