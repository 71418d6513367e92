//! What of a request reaches the application: whose word, whose token, which target, which method?

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::demo::{ALICE, BOB, Demo};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::upstream::{Received, Upstream};
use serde_json::Value;

static DEMO: Shared = Shared::new();

#[test]
fn the_assertion_says_managed_no_longer_than_the_report_lasts() {
    let demo = DEMO.demo();
    assert_eq!(claims(&demo)["device"]["managed"], true);

    demo.command(&["device", "withdraw", "alice-laptop"]);
    assert_eq!(claims(&demo)["device"]["managed"], false);

    demo.command(&["device", "report", "alice-laptop", "--managed", "--ends-in", "3s"]);
    let reported = claims(&demo);
    assert_eq!(reported["device"]["managed"], true);
    let life = reported["exp"].as_i64().unwrap() - reported["iat"].as_i64().unwrap();
    assert!(life <= 3, "valid for {life} s, beyond the report");
    assert!(
        until(Duration::from_secs(6), || claims(&demo)["device"]["managed"] == false),
        "the report is over, and the assertion says managed"
    );
    assert_eq!(claims(&demo)["login"], "alice");
}

/// What only looks like a token of ours inside belongs to the application.
#[test]
fn an_applications_own_token_arrives_and_ours_does_not() {
    let stage = Stage::new();
    let admin = stage.demo.admin_token();
    let arrived = |path: &str, authorization: &str| {
        let field = format!("Authorization: {authorization}");
        let answer = stage.demo.curl(ALICE, &stage.demo.url("wiki", path), &["-H", &field]);
        assert_eq!(answer.status, 200, "{path}");
        stage.last(path).fields("authorization").join(",")
    };

    for (path, own) in [
        ("/inside", "Bearer eyJhbGciOiJub25lIn0.lka_x.lke_y"),
        ("/basic", "Basic bGthXzpsa2Vf"),
        ("/prefixed", "Bearer my-lka_token"),
    ] {
        assert_eq!(arrived(path, own), own);
    }
    for (path, scheme) in [("/ssws", "SSWS "), ("/tight", "SSWS"), ("/bearer", "bearer ")] {
        assert_eq!(arrived(path, &format!("{scheme}{admin}")), "", "{path}");
    }
    let heads: String = stage
        .upstream
        .received()
        .into_iter()
        .map(|request| request.head)
        .collect();
    assert!(!heads.contains(&admin));
}

/// The absolute form (RFC 9112 section 3.2.2) is judged, logged and passed on as what it stands for.
#[test]
fn an_absolute_form_target_arrives_in_origin_form() {
    let stage = Stage::new();
    let ask = |target: &str| {
        let mut client = stage.demo.raw(BOB, "wiki");
        client.send(format!("GET {target} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").as_bytes());
        client.answer().expect("an answer").status
    };

    assert_eq!(ask("https://wiki.localhost/secure?x=1"), 200);
    assert_eq!(ask("http://wiki.localhost/plain"), 200);
    assert_eq!(ask("https://wiki.localhost/admin/x"), 403);

    let targets: Vec<String> = received(&stage, Received::target);
    assert_eq!(targets, ["/secure?x=1", "/plain"]);
    assert_eq!(stage.last("/secure").fields("host"), ["wiki.localhost"]);
    let logged = |path| stage.demo.decisions().about("wiki", path).expect("a line")["decision"].clone();
    assert_eq!((logged("/secure"), logged("/admin/x")), ("allow".into(), "deny".into()));
}

/// An application that implements TRACE would echo the identity it got (RFC 9110 section 9.3.8).
#[test]
fn trace_reaches_no_application() {
    let stage = Stage::new();
    let ask = |method: &str, version: &str| {
        let url = stage.demo.url("wiki", "/traced");
        let answer = stage.demo.curl(ALICE, &url, &["-X", method, version]);
        (answer.status, answer.code())
    };

    for version in ["--http1.1", "--http2"] {
        assert_eq!(ask("TRACE", version), (405, "method-refused".to_owned()), "{version}");
    }
    assert_eq!(stage.upstream.count("/traced"), 0);
    assert_eq!(ask("GET", "--http2"), (200, String::new()));
    assert_eq!(received(&stage, Received::request_line), ["GET /traced HTTP/1.1"]);
}

/// A gateway in front of an application that records everything.
struct Stage {
    upstream: Upstream,
    demo: Demo,
}

impl Stage {
    fn new() -> Self {
        let upstream = Upstream::friendly();
        let demo = Demo::in_front_of(&upstream);
        Self { upstream, demo }
    }

    fn last(&self, path: &str) -> Received {
        self.upstream
            .last(path)
            .unwrap_or_else(|| panic!("{path} did not arrive"))
    }
}

fn received(stage: &Stage, part: impl Fn(&Received) -> &str) -> Vec<String> {
    stage
        .upstream
        .received()
        .iter()
        .map(|request| part(request).to_owned())
        .collect()
}

/// The claims of the assertion that the wiki gets with a request of alice.
fn claims(demo: &Demo) -> Value {
    let headers = demo.curl(ALICE, &demo.url("wiki", "/"), &[]).json()["headers"].clone();
    let assertion = headers["x-latchkey-assertion"].as_str().unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
