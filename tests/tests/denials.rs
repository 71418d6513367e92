//! Does a denial reach the one who asked, and does its line say who that was and whether something was cut?

use latchkey_tests::demo::{BOB, NOBODY};
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();

#[test]
fn the_line_about_a_deactivated_device_names_its_user_and_itself() {
    let demo = DEMO.demo();
    demo.enroll("alice", "gone");
    let id = demo.device_id("gone");
    assert_eq!(demo.status(Some("gone"), "wiki", "/before"), 200);

    demo.command(&["device", "deactivate", "gone"]);
    assert_eq!(demo.status(Some("gone"), "wiki", "/after"), 403);
    assert_eq!(demo.status(NOBODY, "wiki", "/nobody"), 401);

    let line = |path| demo.decisions().about("wiki", path).expect("a line");
    let (before, after, nobody) = (line("/before"), line("/after"), line("/nobody"));
    for line in [&before, &after] {
        assert_eq!(
            (&line["user"], &line["device"]),
            (&"alice".into(), &id.as_str().into()),
            "{line}"
        );
    }
    assert_eq!(
        (&before["decision"], &before["code"]),
        (&"allow".into(), &"allowed".into())
    );
    assert_eq!(
        (&after["decision"], &after["code"]),
        (&"deny".into(), &"device-deactivated".into())
    );
    assert!(nobody["user"].is_null() && nobody["device"].is_null(), "{nobody}");
}

/// D-04: only what was allowed before and under way is said to be cut.
#[test]
fn the_line_about_a_cut_says_that_it_is_one() {
    let demo = DEMO.demo();
    demo.enroll("alice", "cut");
    let id = demo.device_id("cut");
    let mut socket = demo.websocket(Some("cut"), "wiki", None).unwrap();
    assert_eq!(socket.echo("before"), Ok("before".to_owned()));

    demo.command(&["device", "deactivate", "cut"]);
    assert_eq!(demo.websocket(Some("cut"), "wiki", None).err(), Some(403));

    let of_device = |line: &serde_json::Value| line["device"] == id.as_str();
    let begun = demo
        .decisions()
        .line(|line| of_device(line) && line["decision"] == "allow")
        .expect("a line");
    let same = |line: &serde_json::Value| line["request_id"] == begun["request_id"];
    let cut = demo
        .decisions()
        .line(|line| same(line) && line["decision"] == "deny")
        .expect("a line about the cut");
    let refused = demo
        .decisions()
        .line(|line| of_device(line) && line["decision"] == "deny" && !same(line))
        .expect("a line about the refusal");
    assert_eq!(
        (&cut["cut"], &cut["user"], &cut["device"]),
        (&true.into(), &"alice".into(), &id.as_str().into())
    );
    assert!(begun["cut"].is_null() && refused["cut"].is_null(), "{begun} {refused}");
}

/// A reset for the body that nobody read would overtake the answer, and curl show none: so many, at the same time.
#[test]
fn a_denial_over_http_2_arrives_however_much_was_sent_with_the_request() {
    let demo = DEMO.demo();
    let file = |size| demo.scratch().join(format!("body-{size}")).display().to_string();
    for size in SIZES {
        std::fs::write(file(size), "x".repeat(size)).unwrap();
    }
    let post = |app, size: usize| {
        let body = format!("@{}", file(size));
        let answer = demo.curl(BOB, &demo.url(app, "/"), &["--http2", "--data-binary", &body]);
        (answer.exit, answer.status)
    };
    let ask = || SIZES.map(|size| (size, post("payroll", size), post("wiki", size)));

    let answers: Vec<_> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| [ask(), ask(), ask(), ask()].concat()))
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });

    let expected: Vec<_> = SIZES.map(|size| (size, (0, 403), (0, 200))).repeat(24);
    assert_eq!(answers, expected);
}

const SIZES: [usize; 3] = [1, 60 * 1024, 200 * 1024];
