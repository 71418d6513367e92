//! How does a gateway stop that is asked to? It takes nobody more, lets everybody finish, and goes when all are gone.

use std::time::Duration;

use latchkey_tests::demo::{ALICE, Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::push::Stream;
use latchkey_tests::upstream::{Reply, Upstream, ok};

#[test]
fn with_nobody_there_it_stops_at_once() {
    let (mut demo, _upstream) = patient();
    let mut idle = demo.raw(ALICE, "wiki");
    assert_eq!(idle.get(&host("wiki"), "/").expect("an answer").status, 200);

    demo.process().signal("TERM");

    assert_eq!(demo.wait(SOON), Some(0));
    assert_eq!(
        demo.decisions().about("wiki", "/").expect("written down")["decision"],
        "allow"
    );
}

#[test]
fn it_waits_for_an_answer_that_is_under_way_and_takes_nobody_more() {
    let (mut demo, _upstream) = patient();
    let mut stream = demo.raw(ALICE, "wiki");
    stream.send(b"GET /endless HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(stream.wait_for("piece"));

    demo.process().signal("TERM");

    let nobody_more = || demo.status(ALICE, "wiki", "/") == 0;
    assert!(until(SOON, nobody_more), "it takes connections");
    assert_eq!(
        stream.ends_within(Duration::from_secs(2)),
        None,
        "the stream ends, which has an hour"
    );
    drop(stream);
    assert_eq!(demo.wait(SOON), Some(0));
}

#[test]
fn agents_that_wait_for_pushes_hold_nothing_up() {
    let (mut demo, _upstream) = patient();
    let device = demo.user_with_device("dora");
    let stream = Stream::open(&demo, &device).expect("the stream opens");

    demo.process().signal("TERM");

    assert!(stream.ends_within(SOON));
    assert_eq!(demo.wait(SOON), Some(0));
}

/// A gateway that would wait far longer than any of this takes.
fn patient() -> (Demo, Upstream) {
    let upstream = Upstream::start(|request| match request.target() {
        "/endless" => Reply::Endless,
        _ => Reply::Send(ok("ok")),
    });
    let mut demo = Demo::in_front_of(&upstream);
    demo.set("shutdown_grace", "1h");
    demo.run_as_configured();
    (demo, upstream)
}

const SOON: Duration = Duration::from_secs(10);
