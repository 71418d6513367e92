//! What do HTTP/2 requests reach that would be read in another way as HTTP/1.1? Every case of the class h2down, with its control.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use latchkey_tests::canary;
use latchkey_tests::demo::{BOB, Demo, host};
use latchkey_tests::frames::{
    DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, Fate, Fields, FrameClient, PROTOCOL_ERROR, SETTINGS, StreamFate, fields,
    frame, get, head, open, request,
};
use latchkey_tests::shared::Shared;
use latchkey_tests::tls::DEADLINE;
use latchkey_tests::upstream::{Received, Upstream};

/// h2down-crlf-value
#[test]
fn no_value_and_no_name_ends_a_line() {
    let stage = Stage::new();
    let with = |name: &[u8], value: &[u8]| plus(get(&host("wiki"), "/trick"), name, value);

    stage.control(&get_bytes(&with(b"x-a", b"1")));

    for value in [
        &b"1\r\nTransfer-Encoding: chunked"[..],
        b"1\nTransfer-Encoding: chunked",
        b"1\rTransfer-Encoding: chunked",
        b"1\0",
        b"1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n",
    ] {
        stage.refused(&get_bytes(&with(b"x-a", value)));
        stage.refused(&get_bytes(&with(b"cookie", value)));
    }
    for name in [
        &b"x-a: 1\r\ntransfer-encoding"[..],
        b"x-a\r\n",
        b"x-a\n",
        b"x a",
        b"x-a:",
        b"",
        b"x-a\0",
    ] {
        stage.refused(&get_bytes(&with(name, b"chunked")));
    }
}

/// h2down-cl-mismatch
#[test]
fn a_body_has_the_length_that_it_says() {
    let stage = Stage::new();
    let post = |lengths: &[&str], body: &[&[u8]]| {
        let mut fields = head("POST", &host("wiki"), "/trick");
        for length in lengths {
            fields = plus(fields, b"content-length", length.as_bytes());
        }
        let (last, first) = body.split_last().unwrap();
        let first: Vec<u8> = first.iter().flat_map(|part| frame(DATA, 0, 1, part)).collect();
        [open(1, &fields), first, frame(DATA, END_STREAM, 1, last)].concat()
    };
    let smuggled: &[u8] = b"01234GET /smuggled HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

    stage.control(&post(&["5"], &[b"01234"]));
    stage.control(&post(&["5"], &[b"01", b"234"]));
    stage.control(&post(&[], &[smuggled]));

    // What is too long shows after the head was passed on: the application gets the length that it was told, or less, or nothing.
    stage.refused_except(&post(&["5"], &[smuggled]), b"01234");
    stage.refused_except(&post(&["0"], &[smuggled]), b"");
    stage.refused_except(&post(&["5"], &[b"01234", &smuggled[5..]]), b"01234");
    stage.refused(&post(&["10"], &[b"01234"]));
    stage.refused(&post(&["5", "6"], &[b"01234"]));
    for length in ["+5", "-5", "5, 6", "0x5", "5 ", "", "99999999999999999999999"] {
        stage.refused(&post(&[length], &[b"01234"]));
    }
    let none = plus(head("POST", &host("wiki"), "/trick"), b"content-length", b"5");
    stage.refused(&request(1, &none));
}

/// h2down-crlf-method
#[test]
fn no_pseudo_header_field_ends_a_line_or_a_word() {
    let stage = Stage::new();
    let with = |name: &str, value: &[u8]| {
        let replaced = |(field, old): (Vec<u8>, Vec<u8>)| match field == name.as_bytes() {
            true => (field, value.to_vec()),
            false => (field, old),
        };
        get(&host("wiki"), "/trick")
            .into_iter()
            .map(replaced)
            .collect::<Fields>()
    };

    stage.control(&get_bytes(&with(":path", b"/other")));
    // The library cuts a fragment off before anybody sees it: what is judged is what is forwarded.
    stage.control(&get_bytes(&with(":path", b"/trick#/other")));
    assert_eq!(stage.upstream.last("/trick").unwrap().target(), "/trick");

    for tail in [
        &b" HTTP/1.1\r\nX-A: 1"[..],
        b"\r\nX-A: 1",
        b"\n",
        b"\r",
        b"\0",
        b" x",
        b"\t",
    ] {
        for (name, value) in [
            (":method", b"GET".to_vec()),
            (":path", b"/trick".to_vec()),
            (":scheme", b"https".to_vec()),
            (":authority", host("wiki").into_bytes()),
        ] {
            stage.refused(&get_bytes(&with(name, &[value, tail.to_vec()].concat())));
        }
    }
    stage.refused(&get_bytes(&with(
        ":method",
        b"GET /smuggled HTTP/1.1\r\nHost: wiki.localhost\r\n\r\nGET",
    )));
    stage.refused(&get_bytes(&with(":scheme", b"https://wiki.localhost/smuggled?")));
    for path in [
        &b""[..],
        b"trick",
        b"http://wiki.localhost/trick",
        b"//wiki.localhost/trick",
        b"*",
    ] {
        stage.refused(&get_bytes(&with(":path", path)));
    }
    for authority in [
        "alice@wiki.localhost",
        "wiki.localhost/smuggled",
        "wiki.localhost:",
        "wiki.localhost, payroll.localhost",
        "",
    ] {
        stage.refused(&get_bytes(&with(":authority", authority.as_bytes())));
    }
}

/// h2down-connection
#[test]
fn fields_that_are_about_a_connection_are_refused() {
    let stage = Stage::new();
    let with =
        |name: &str, value: &str| get_bytes(&plus(get(&host("wiki"), "/trick"), name.as_bytes(), value.as_bytes()));

    stage.control(&with("te", "trailers"));
    stage.control(&with("x-connection", "close"));

    for (name, value) in [
        ("connection", "close"),
        ("connection", "x-latchkey-user"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        stage.refused(&with(name, value));
    }
}

/// h2down-host-dup
#[test]
fn a_request_names_one_host() {
    let stage = Stage::new();
    let (wiki, payroll) = (host("wiki"), host("payroll"));
    let hosts = |authorities: &[&str], hosts: &[&str]| {
        let mut all = fields(&[(":method", "GET"), (":scheme", "https"), (":path", "/trick")]);
        all.extend(authorities.iter().flat_map(|name| fields(&[(":authority", name)])));
        all.extend(hosts.iter().flat_map(|name| fields(&[("host", name)])));
        get_bytes(&all)
    };

    stage.control(&hosts(&[&wiki], &[]));
    stage.control(&hosts(&[&wiki], &[&wiki]));
    stage.control(&hosts(&[], &[&wiki]));

    stage.refused(&hosts(&[&wiki], &[&payroll]));
    stage.refused(&hosts(&[&payroll], &[&wiki]));
    stage.refused(&hosts(&[&wiki], &[&wiki, &payroll]));
    stage.refused(&hosts(&[&wiki], &[&wiki, &wiki]));
    stage.refused(&hosts(&[], &[&wiki, &payroll]));
    stage.refused(&hosts(&[&wiki, &payroll], &[]));
    stage.refused(&hosts(&[&wiki, &wiki], &[]));
    stage.refused(&hosts(&[&wiki], &[""]));
    stage.refused(&hosts(&[], &[]));
}

/// h2down-connect
#[test]
fn no_connect_opens_a_tunnel_or_a_websocket() {
    let stage = Stage::new();
    let extended = |path: &str| {
        let mut all = head("CONNECT", &host("wiki"), path);
        all.insert(1, (b":protocol".to_vec(), b"websocket".to_vec()));
        open(1, &plus(all, b"sec-websocket-version", b"13"))
    };
    let plain = |authority: &str| open(1, &fields(&[(":method", "CONNECT"), (":authority", authority)]));

    let mut client = stage.connect();
    let settings = client.next_within(DEADLINE).expect("the gateway's settings");
    let named = |setting: &[u8]| setting[..2] == ENABLE_CONNECT_PROTOCOL.to_be_bytes();
    assert_eq!(settings.kind, SETTINGS);
    assert!(!settings.payload.chunks(6).any(named), "extended CONNECT is offered");

    stage.control(&get_bytes(&get(&host("wiki"), "/ws")));

    stage.refused(&extended("/ws"));
    stage.refused(&extended("/trick"));
    stage.refused(&plain("127.0.0.1:22"));
    stage.refused(&plain(&host("wiki")));
    stage.refused(&plain(&format!("{}:443", host("wiki"))));
}

/// The device that is refused as it asks by GET is refused as it asks by CONNECT.
#[test]
fn what_a_device_may_not_read_it_may_not_connect_to() {
    let stage = Stage::new();
    let payroll = host("payroll");
    let ask = |bytes: &[u8]| {
        let config = stage.demo.tls(BOB, &["h2"]);
        let mut client = FrameClient::connect(stage.demo.address(), &payroll, config).unwrap();
        fate_of(&mut client, bytes)
    };
    let mut connect = head("CONNECT", &payroll, "/ws");
    connect.insert(1, (b":protocol".to_vec(), b"websocket".to_vec()));

    assert_eq!(
        ask(&get_bytes(&get(&payroll, "/ws"))).of(1),
        Some(StreamFate::Answered(403))
    );
    assert!(is_refused(&ask(&open(1, &connect))));
}

/// A gateway in front of an application that records everything; the tests of this file share the gateway.
struct Stage {
    demo: Arc<Demo>,
    upstream: &'static Upstream,
    // One test at a time: what reaches the application is of its own.
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Self {
        let upstream = UPSTREAM.get_or_init(Upstream::friendly);
        let demo = DEMO.demo_or(|| Demo::in_front_of(upstream));
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            demo,
            upstream,
            _turn: turn,
        }
    }

    fn connect(&self) -> FrameClient {
        let config = self.demo.tls(BOB, &["h2"]);
        FrameClient::connect(self.demo.address(), &host("wiki"), config).unwrap()
    }

    /// The same request without the trick reaches the application, once, and is answered by it.
    #[track_caller]
    fn control(&self, bytes: &[u8]) {
        let before = self.upstream.received().len();

        let fate = fate_of(&mut self.connect(), bytes);

        assert_eq!(fate.of(1), Some(StreamFate::Answered(200)), "{}", shown(bytes));
        assert_eq!(self.upstream.received().len(), before + 1, "{}", shown(bytes));
    }

    /// A malformed request is answered so, or its stream or its connection ends; nothing of it reaches the application,
    /// and both its connection, if that lives, and everybody else goes on.
    #[track_caller]
    fn refused(&self, bytes: &[u8]) {
        self.refused_unless(bytes, |_| false);
    }

    /// The same, but for a request whose body is whole without the trick.
    #[track_caller]
    fn refused_except(&self, bytes: &[u8], body: &[u8]) {
        self.refused_unless(bytes, |request| request.target() == "/trick" && request.body == body);
    }

    #[track_caller]
    fn refused_unless(&self, bytes: &[u8], is_harmless: impl Fn(&Received) -> bool) {
        let before = self.upstream.received().len();
        let mut client = self.connect();

        let fate = fate_of(&mut client, bytes);

        assert!(is_refused(&fate), "{fate:?} came of {}", shown(bytes));
        if !fate.is_over() {
            let after = client.get(3, &host("wiki"), "/sibling");
            assert_eq!(after.of(3), Some(StreamFate::Answered(200)), "after {}", shown(bytes));
        }
        canary::sing(&self.demo).unwrap_or_else(|why| panic!("{why} after {}", shown(bytes)));
        let mut arrived = self.upstream.received().split_off(before);
        arrived.retain(|request| !["/sibling", "/canary"].contains(&request.target()) && !is_harmless(request));
        assert!(arrived.is_empty(), "{arrived:?} came of {}", shown(bytes));
    }
}

/// Sends what opens stream 1, and reads what comes of it.
fn fate_of(client: &mut FrameClient, bytes: &[u8]) -> Fate {
    client.send(bytes);
    let mut fate = Fate::default();
    client.read_until(&mut fate, |fate| fate.of(1).is_some());
    fate
}

fn is_refused(fate: &Fate) -> bool {
    match fate.of(1) {
        Some(StreamFate::Answered(status)) => matches!(status, 400 | 405 | 413 | 421 | 501),
        Some(StreamFate::Reset(code)) => code == PROTOCOL_ERROR,
        None => fate.is_over(),
    }
}

fn get_bytes(fields: &Fields) -> Vec<u8> {
    request(1, fields)
}

fn plus(mut fields: Fields, name: &[u8], value: &[u8]) -> Fields {
    fields.push((name.to_vec(), value.to_vec()));
    fields
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

static TURN: Mutex<()> = Mutex::new(());
static DEMO: Shared = Shared::new();
static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
