//! Does gRPC work through the gateway? Streams both ways, trailers, and the cut when a device is shut out.

use std::time::Duration;

use latchkey_tests::demo::{ALICE, Demo, NOBODY};
use latchkey_tests::grpc::{Call, Echo};

#[test]
fn pieces_go_both_ways_while_the_call_is_open_and_trailers_come_last() {
    let service = Echo::start();
    let demo = in_front_of(&service);

    let mut call = Call::begin(&demo, ALICE, "wiki", METHOD).expect("alice is let in");
    assert_eq!(call.exchange("one"), "one");
    assert_eq!(call.exchange("two"), "two");
    let trailers = call.finish().expect("trailers");

    assert_eq!(trailers["grpc-status"], "0");
    let heads = service.heads();
    assert_eq!(heads[0]["te"], "trailers");
    assert_eq!(heads[0]["x-latchkey-user"], "alice");
    assert_eq!(heads[0]["content-type"], "application/grpc");
}

#[test]
fn who_is_nobody_calls_nothing() {
    let service = Echo::start();
    let demo = in_front_of(&service);

    assert_eq!(Call::begin(&demo, NOBODY, "wiki", METHOD).err(), Some(401));
    assert_eq!(service.heads().len(), 0);
    assert!(Call::begin(&demo, ALICE, "wiki", METHOD).is_ok(), "control");
}

/// D-03 over gRPC.
#[test]
fn an_open_call_ends_with_its_device() {
    let service = Echo::start();
    let demo = in_front_of(&service);
    let mut call = Call::begin(&demo, ALICE, "wiki", METHOD).expect("alice is let in");
    assert_eq!(call.exchange("one"), "one");

    demo.command(&["device", "deactivate", "alice-laptop"]);

    assert!(call.ends_within(Duration::from_secs(1)));
    assert_eq!(Call::begin(&demo, ALICE, "wiki", METHOD).err(), Some(403));
}

fn in_front_of(service: &Echo) -> Demo {
    let demo = Demo::start_with_upstream(&service.url());
    demo.edit(
        "latchkey.yaml",
        "    upstream:\n",
        "    upstream:\n      protocol: http2\n",
    );
    demo.reload();
    demo
}

const METHOD: &str = "/test.Echo/Converse";
