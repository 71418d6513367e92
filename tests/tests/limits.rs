//! How much may clients take up? Each limit of the configuration, seen from outside with who is held to it and who is not.

use std::time::{Duration, Instant};

use latchkey_tests::canary;
use latchkey_tests::demo::{ALICE, BOB, Demo, host};
use latchkey_tests::frames::{ENHANCE_YOUR_CALM, Fate, FrameClient, PING, StreamFate, frame, get, preface, request};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::tls;
use latchkey_tests::upstream::{Reply, Upstream, ok};

#[test]
fn a_source_has_so_many_connections() {
    let upstream = Upstream::friendly();
    let demo = limited(&upstream, "  max_connections_per_source: 4");
    let held: Vec<_> = (0..4).map(|_| elsewhere(&demo).expect("within its share")).collect();

    assert!(elsewhere(&demo).is_err(), "one too many");
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200, "another source is served");
    drop(held);
    assert!(
        until(SOON, || elsewhere(&demo).is_ok()),
        "the source gets its share back"
    );
    assert!(let_go(&demo, "source-connections") > 0.0);
}

#[test]
fn so_many_connections_may_be_open_in_all() {
    let upstream = Upstream::friendly();
    let demo = limited(&upstream, "  max_connections: 4");
    let held: Vec<_> = (0..4).map(|_| elsewhere(&demo).expect("within the limit")).collect();

    assert_eq!(demo.status(ALICE, "wiki", "/"), 0, "one too many");
    drop(held);
    assert!(until(SOON, || demo.status(ALICE, "wiki", "/") == 200));
    assert!(let_go(&demo, "\"connections\"") > 0.0);
    let output = demo.process().output();
    assert!(
        output.contains("a limit was reached") && output.contains("connections"),
        "{output}"
    );
}

#[test]
fn a_source_may_ask_so_often() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    demo.configure("limits", "  request_rate_per_source: 1");
    demo.reload();
    let mut client = demo.raw(ALICE, "wiki");

    let answers: Vec<_> = (0..20)
        .map(|_| client.get(&host("wiki"), "/").expect("an answer"))
        .collect();

    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(
        (10..14).contains(&served),
        "{served} are served: ten at once, one a second"
    );
    let refused = answers.last().unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-requests"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(upstream.count("/"), served);
    let another = tls::connect_from(
        Some(ELSEWHERE),
        demo.address(),
        &host("wiki"),
        demo.tls(ALICE, &["http/1.1"]),
    );
    let another = RawClient::on(another.unwrap()).get(&host("wiki"), "/");
    assert_eq!(
        another.map(|answer| answer.status),
        Some(200),
        "control: another source"
    );
    assert!(until(SOON, || client
        .get(&host("wiki"), "/")
        .is_some_and(|answer| answer.status == 200)));
}

#[test]
fn so_many_requests_may_be_under_way() {
    let upstream = Upstream::start(|request| match request.target() {
        "/silent" => Reply::Silence,
        _ => Reply::Send(ok("ok")),
    });
    let demo = Demo::in_front_of(&upstream);
    demo.configure("limits", "  max_requests: 3");
    demo.reload();
    let silent = format!("GET /silent HTTP/1.1\r\nHost: {}\r\n\r\n", host("wiki"));
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut client = demo.raw(BOB, "wiki");
            client.send(silent.as_bytes());
            client
        })
        .collect();
    assert!(until(SOON, || upstream.count("/silent") == 3));

    let busy = demo.curl(ALICE, &demo.url("wiki", "/"), &[]);

    assert_eq!(
        (busy.status, busy.code().as_str()),
        (503, "gateway-busy"),
        "{}",
        busy.text()
    );
    assert_eq!(busy.header("retry-after"), Some("1"));
    drop(held);
    assert!(until(SOON, || demo.status(ALICE, "wiki", "/") == 200));
}

#[test]
fn heads_have_the_size_and_the_time_that_are_configured() {
    let upstream = Upstream::friendly();
    let mut demo = Demo::in_front_of(&upstream);
    demo.configure("limits", "  head_limit: 8KiB\n  head_timeout: 1s");
    demo.run_as_configured();
    let ask = |octets: usize| {
        let mut client = demo.raw(BOB, "wiki");
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nX-A: {}\r\n\r\n",
            host("wiki"),
            "a".repeat(octets)
        );
        client.send(head.as_bytes());
        client.answer().map_or(0, |answer| answer.status)
    };

    assert_eq!((ask(7 << 10), ask(9 << 10)), (200, 431));
    let mut late = demo.raw(BOB, "wiki");
    late.send(b"GET / HTTP/1.1\r\n");
    let began = Instant::now();
    assert_eq!(late.answer().map(|answer| answer.status), Some(408));
    assert!(began.elapsed() < Duration::from_secs(30), "idle_timeout is a minute");
}

/// A body that trickles holds a connection to the application: it has to come at some rate once it had a while.
#[test]
fn a_body_has_to_come_at_some_rate() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let trickle = |path: &str| {
        let mut client = demo.raw(ALICE, "wiki");
        client.send(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n",
                host("wiki")
            )
            .as_bytes(),
        );
        client
    };
    demo.edit(
        "latchkey.yaml",
        "    hosts: [wiki.localhost]\n",
        "    hosts: [wiki.localhost]\n    paths: [{path: /free/, body_rate: none}]\n",
    );
    demo.reload();
    let (mut slow, mut control) = (trickle("/slow"), trickle("/free/slow"));
    let began = Instant::now();

    let let_go = until(Duration::from_secs(40), || {
        slow.send(b"a");
        control.send(b"a");
        let_go(&demo, "slow-body") == 1.0
    });

    assert!(
        let_go,
        "a body of one octet after the other goes on for {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() >= Duration::from_secs(20), "it has a while");
    assert_eq!(slow.answer().map(|answer| answer.status), Some(408));
    assert!(
        control.ends_within(Duration::from_millis(200)).is_none(),
        "where there is no rate it goes on"
    );
}

/// dos-h2 floods of what has to be answered: PING and SETTINGS, and what is passed over.
#[test]
fn frames_that_carry_nothing_have_a_rate() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let connect = || {
        let mut client = FrameClient::silent(demo.address(), &host("wiki"), demo.tls(BOB, &["h2"])).unwrap();
        client.send(&preface(&[]));
        client
    };
    let ping = frame(PING, 0, 0, &[0; 8]);
    let mut control = connect();
    control.send(&ping.repeat(900));
    control.send(&request(1, &get(&host("wiki"), "/")));
    let mut fate = Fate::default();
    control.read_until(&mut fate, |fate| fate.of(1).is_some());
    assert_eq!(fate.of(1), Some(StreamFate::Answered(200)), "control: {fate:?}");

    let mut flooding = connect();
    let fate = canary::beside(&demo, || {
        let mut fate = Fate::default();
        flooding.send(&ping.repeat(5_000));
        flooding.read_until(&mut fate, Fate::is_over);
        fate
    });

    assert_eq!(fate.gone_away, Some(ENHANCE_YOUR_CALM), "{fate:?}");
    assert_eq!(let_go(&demo, "floods"), 1.0);
}

/// A gateway with these limits, which take a start.
fn limited(upstream: &Upstream, limits: &str) -> Demo {
    let mut demo = Demo::in_front_of(upstream);
    demo.configure("limits", limits);
    demo.run_as_configured();
    demo
}

/// A connection from another address than the one that curl has.
fn elsewhere(demo: &Demo) -> std::io::Result<tls::Connection> {
    tls::connect_from(
        Some(ELSEWHERE),
        demo.address(),
        &host("wiki"),
        demo.tls(BOB, &["http/1.1"]),
    )
}

/// How many clients were let go for this reason.
fn let_go(demo: &Demo, why: &str) -> f64 {
    demo.metric_with("latchkey_clients_let_go_total", why)
        .unwrap_or_default()
}

const ELSEWHERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

const SOON: Duration = Duration::from_secs(15);
