//! What does a client see when the application behind the gateway is down, slow, or lies?

use std::time::Duration;

use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, Demo};
use latchkey_tests::process::{free_port, until};
use latchkey_tests::shared::Shared;
use latchkey_tests::upstream::{Reply, Upstream, ok};

static DEMO: Shared = Shared::new();

#[test]
fn an_application_that_breaks_its_answer_off_gives_502() {
    let demo = DEMO.demo_or(in_front_of_a_liar);

    for path in ["/closes", "/garbage", "/half-a-head", "/two-lengths"] {
        let answer = get(&demo, path);
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        assert_explains(&answer);
    }
    assert_eq!(get(&demo, "/fine").text(), "ok");
}

/// A promise of more than comes must not look like a whole answer; more than promised must not become the next one.
#[test]
fn an_application_that_lies_about_lengths_confuses_nobody() {
    let demo = DEMO.demo_or(in_front_of_a_liar);

    let short = get(&demo, "/short");
    let long = get(&demo, "/long");
    let next = get(&demo, "/fine");

    assert!(
        short.status == 502 || short.exit != 0,
        "a short body passes as whole: {short:?}"
    );
    assert!(long.status == 502 || long.text() == "ok", "{long:?}");
    assert_eq!((next.status, next.text().as_str()), (200, "ok"));
}

#[test]
fn an_application_that_is_silent_gives_504_in_bounded_time() {
    let (_, answer) = in_front_of_a_silent_one("500ms");

    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_explains(&answer);
}

/// Pingora itself waits for a WebSocket's answer without end.
#[test]
fn a_websocket_that_is_never_answered_ends_and_a_silent_event_stream_lives_on() {
    let (demo, _) = in_front_of_a_silent_one("1s");
    let (mut socket, mut stream, mut plain) = (
        demo.raw(ALICE, "wiki"),
        demo.raw(ALICE, "wiki"),
        demo.raw(ALICE, "wiki"),
    );

    socket.send(
        b"GET /ws HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    plain.send(b"GET /events HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    stream.send(b"GET /events HTTP/1.1\r\nHost: wiki.localhost\r\nAccept: text/event-stream\r\n\r\n");

    assert!(plain.wait_for("data: first") && stream.wait_for("data: first"));
    assert!(
        socket.ends_within(Duration::from_secs(4)).is_some(),
        "the WebSocket waits without end"
    );
    assert!(
        plain.ends_within(Duration::from_secs(4)).is_some(),
        "the control waits without end"
    );
    assert_eq!(stream.ends_within(Duration::from_millis(1500)), None);
}

#[test]
fn an_application_that_is_down_gives_502() {
    let demo = Demo::start_with_upstream(&format!("http://127.0.0.1:{}", free_port()));

    let answer = get(&demo, "/");

    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_explains(&answer);
    let line = demo
        .decisions()
        .about("wiki", "/")
        .expect("the decision is logged all the same");
    assert_eq!(
        (line["decision"].as_str(), line["request_id"].as_str()),
        (Some("allow"), request_id(&answer).as_deref())
    );
}

/// A demo that waits so long for an application that says nothing, or nothing after the first event, and the answer that
/// comes of it.
fn in_front_of_a_silent_one(patience: &str) -> (Demo, CurlAnswer) {
    let demo = Demo::in_front_of(&Upstream::start(|request| match request.target() {
        "/events" => Reply::Send(FIRST_EVENT.to_vec()),
        _ => Reply::Silence,
    }));
    demo.edit(
        "latchkey.yaml",
        "upstream:\n",
        &format!("upstream:\n      read_timeout: {patience}\n"),
    );
    demo.process().signal("HUP");
    let mut answer = None;
    // Before the reload the old, longer timeout holds: curl gives up on those.
    until(Duration::from_secs(20), || {
        let tried = demo.curl(ALICE, &demo.url("wiki", "/"), &["--max-time", "2"]);
        answer = (tried.status != 0).then_some(tried);
        answer.is_some()
    });
    (demo, answer.expect("an answer in bounded time"))
}

const FIRST_EVENT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                             d\r\ndata: first\n\n\r\n";

fn in_front_of_a_liar() -> Demo {
    Demo::in_front_of(&Upstream::start(|request| {
        let close = |text: &str| Reply::SendAndClose(text.as_bytes().to_vec());
        match request.target() {
            "/closes" => close(""),
            "/garbage" => close("this is not HTTP\r\n\r\n"),
            "/half-a-head" => close("HTTP/1.1 200 OK\r\nContent-Le"),
            "/two-lengths" => close("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
            "/short" => close("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
            "/long" => Reply::Send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
                    .to_vec(),
            ),
            _ => Reply::Send(ok("ok")),
        }
    }))
}

fn get(demo: &Demo, path: &str) -> CurlAnswer {
    demo.curl(ALICE, &demo.url("wiki", path), &[])
}

fn assert_explains(answer: &CurlAnswer) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(
        request_id(answer).is_some_and(|id| !id.is_empty()),
        "no request id in {}",
        answer.text()
    );
    assert!(
        !answer.text().contains("127.0.0.1"),
        "the upstream's address is told: {}",
        answer.text()
    );
}

fn request_id(answer: &CurlAnswer) -> Option<String> {
    answer.json()["request_id"].as_str().map(str::to_owned)
}
