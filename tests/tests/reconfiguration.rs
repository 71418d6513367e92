//! When the configuration takes something away, what was open on it? It ends, and the rest goes on.

use std::time::Duration;

use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY, host};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::websocket::End;

#[test]
fn an_application_that_is_taken_out_keeps_nobody() {
    let demo = Demo::start();
    let (mut stream, mut alices) = (events(&demo, ALICE, "payroll"), events(&demo, ALICE, "wiki"));
    let mut socket = demo.websocket(ALICE, "payroll", None).unwrap();
    let mut bobs = demo.websocket(BOB, "wiki", None).unwrap();

    let configuration = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    demo.edit("latchkey.yaml", application(&configuration, "payroll"), "");

    assert_eq!(socket.end_within(BOUND).0, End::Closed(1008));
    assert!(stream.ends_within(BOUND).is_some());
    assert!(alices.wait_for("data:") && alices.wait_for("data:"));
    assert_eq!(bobs.echo("still here"), Ok("still here".to_owned()));
    assert_ne!(demo.status(ALICE, "payroll", "/"), 200);
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
}

#[test]
fn a_path_that_is_no_longer_public_keeps_no_stranger() {
    let demo = Demo::start();
    let public = "- name: wiki\n    public_paths: [/events, /robots.txt]\n";
    demo.edit("latchkey.yaml", "- name: wiki\n", public);
    assert!(
        until(BOUND, || demo.status(NOBODY, "wiki", "/robots.txt") == 200),
        "nothing becomes public"
    );
    let (mut stranger, mut alices) = (events(&demo, NOBODY, "wiki"), events(&demo, ALICE, "wiki"));

    demo.edit("latchkey.yaml", "[/events, /robots.txt]", "[/robots.txt]");

    assert!(stranger.ends_within(BOUND).is_some());
    assert!(alices.wait_for("data:") && alices.wait_for("data:"));
    assert_eq!(
        demo.curl(NOBODY, &demo.url("wiki", "/events"), &["--max-time", "2"])
            .status,
        401
    );
    assert_eq!(demo.status(NOBODY, "wiki", "/robots.txt"), 200);
}

/// An event stream whose first event has come.
fn events(demo: &Demo, device: Option<&str>, app: &str) -> RawClient {
    let mut client = demo.raw(device, app);
    client.send(format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", host(app)).as_bytes());
    assert!(client.wait_for("data:"), "{device:?} at {app}");
    client
}

/// The lines of an application in the configuration.
fn application<'a>(configuration: &'a str, app: &str) -> &'a str {
    let begin = configuration
        .find(&format!("  - name: {app}\n"))
        .expect("the application");
    let (_, rest) = configuration.split_at(begin);
    let length = rest[1..].find("  - name: ").map_or(rest.len(), |next| next + 1);
    &rest[..length]
}

/// A reload settles for half a second first.
const BOUND: Duration = Duration::from_secs(10);
