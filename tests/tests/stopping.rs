//! How does a gateway stop that is asked to? It takes nobody more, lets everybody finish, and goes when all are gone.

use std::time::Duration;

use latchkey_tests::demo::{ALICE, Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::push::Stream;

#[test]
fn with_nobody_there_it_stops_at_once() {
    let mut demo = Demo::start();
    demo.set("shutdown_grace", GRACE);
    demo.restart();
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
    let mut demo = Demo::start();
    demo.set("shutdown_grace", GRACE);
    demo.restart();
    let mut stream = demo.raw(ALICE, "wiki");
    stream.send(b"GET /events HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(stream.wait_for("data:"));

    demo.process().signal("TERM");

    let nobody_more = || demo.status(ALICE, "wiki", "/") == 0;
    assert!(until(SOON, nobody_more), "it takes connections");
    assert_eq!(
        stream.ends_within(Duration::from_millis(500)),
        None,
        "the stream goes on"
    );
    drop(stream);
    assert_eq!(demo.wait(SOON), Some(0));
}

#[test]
fn agents_that_wait_for_pushes_hold_nothing_up() {
    let mut demo = Demo::start();
    demo.set("shutdown_grace", GRACE);
    demo.restart();
    let device = demo.user_with_device("dora");
    let stream = Stream::open(&demo, &device).expect("the stream opens");

    demo.process().signal("TERM");

    assert!(stream.ends_within(SOON));
    assert_eq!(demo.wait(SOON), Some(0));
}

/// Far longer than any of this takes.
const GRACE: &str = "1h";
const SOON: Duration = Duration::from_secs(10);
