//! What does a newcomer see with curl: who gets in, who does not, and what each is told?

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, BOB, NOBODY};
use latchkey_tests::shared::Shared;
use serde_json::Value;

static DEMO: Shared = Shared::new();

/// S-05, S-13: the access matrix of the demo; each denial stands beside what is allowed to the same device.
#[test]
fn the_demo_lets_in_exactly_whom_it_promises() {
    let demo = DEMO.demo();
    let expected = [
        (ALICE, "wiki", "/", 200),
        (ALICE, "payroll", "/", 200),
        (ALICE, "vault", "/", 403),
        (BOB, "wiki", "/", 200),
        (BOB, "payroll", "/", 403),
        (BOB, "wiki", "/admin/x", 403),
        (BOB, "wiki", "/admin", 403),
        (BOB, "wiki", "/ADMIN/x", 403),
        (BOB, "wiki", "/administration", 200),
        (NOBODY, "wiki", "/", 401),
        (NOBODY, "payroll", "/", 401),
        (NOBODY, "vault", "/", 401),
    ];

    let seen = expected.map(|(device, app, path, _)| (device, app, path, demo.status(device, app, path)));

    assert_eq!(seen, expected);
}

#[test]
fn a_denial_says_which_policies_said_no_and_what_helps() {
    let demo = DEMO.demo();

    let payroll = demo.curl(BOB, &demo.url("payroll", "/"), &[]);
    let vault = demo.curl(ALICE, &demo.url("vault", "/"), &[]);

    assert_eq!(payroll.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        policies(&payroll),
        BTreeSet::from(["payroll.finance-only", "payroll.managed"].map(str::to_owned))
    );
    assert_eq!(policies(&vault), BTreeSet::from(["vault.hardware-key".to_owned()]));
    let problem = payroll.json();
    for field in ["type", "title", "detail", "code", "request_id"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field} in {problem}"
        );
    }
    assert_eq!(problem["status"], 403);
    for reason in problem["reasons"].as_array().unwrap() {
        assert!(
            reason["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{reason}"
        );
        assert!(
            reason["advice"].as_str().is_some_and(|text| !text.is_empty()),
            "{reason}"
        );
    }
}

/// without a credential the answer names the ways in, and no policy.
#[test]
fn without_a_certificate_a_script_gets_401_and_a_browser_a_page() {
    let demo = DEMO.demo();
    let url = demo.url("payroll", "/");

    let script = demo.curl(NOBODY, &url, &[]);
    let browser = demo.curl(
        NOBODY,
        &url,
        &["--location", "-H", "Accept: text/html,application/xhtml+xml,*/*;q=0.8"],
    );

    assert_eq!((script.status, script.code().as_str()), (401, "not-signed-in"));
    assert!(
        script
            .header("www-authenticate")
            .is_some_and(|challenge| !challenge.is_empty())
    );
    assert!(
        browser
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html")),
        "{browser:?}"
    );
    assert!(
        browser.text().contains("<html") && browser.text().contains("Username"),
        "{}",
        browser.text()
    );
    for answer in [script.text(), browser.text()] {
        assert!(
            !answer.contains("payroll.managed") && !answer.contains("finance"),
            "{answer}"
        );
    }
}

#[test]
fn a_denied_browser_gets_a_page_that_explains() {
    let demo = DEMO.demo();

    let page = demo.curl(BOB, &demo.url("payroll", "/"), &["-H", "Accept: text/html"]);

    assert_eq!(page.status, 403);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(page.text().contains("company-managed"), "{}", page.text());
}

#[test]
fn the_application_learns_who_asks() {
    let demo = DEMO.demo();

    let headers = demo.curl(ALICE, &demo.url("wiki", "/who?x=1"), &[]).json()["headers"].clone();

    assert_eq!(headers["x-latchkey-user"], "alice");
    assert!(headers["x-latchkey-email"].as_str().unwrap().contains('@'));
    let groups = headers["x-latchkey-groups"]
        .as_str()
        .unwrap()
        .split(',')
        .collect::<BTreeSet<_>>();
    assert_eq!(groups, BTreeSet::from(["employees", "finance"]));
    assert_eq!(headers["x-latchkey-device"], demo.device_id("alice-laptop"));
}

#[test]
fn the_signed_assertion_is_for_this_application_and_verifies_against_the_published_keys() {
    let demo = DEMO.demo();
    let assertion = |app| {
        let headers = demo.curl(ALICE, &demo.url(app, "/"), &[]).json()["headers"].clone();
        headers["x-latchkey-assertion"].as_str().unwrap().to_owned()
    };
    let keys = demo
        .curl(NOBODY, &demo.url("auth", "/.well-known/jwks.json"), &[])
        .json();

    let (wiki, payroll) = (assertion("wiki"), assertion("payroll"));

    let (header, claims) = verified(&wiki, &keys).expect("a signature by a published key");
    assert_eq!(header["alg"], "ES256");
    assert!(
        header["typ"]
            .as_str()
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt")),
        "{header}"
    );
    assert_eq!(
        (&claims["aud"], &claims["login"]),
        (&Value::from("wiki"), &Value::from("alice"))
    );
    assert_eq!(verified(&payroll, &keys).unwrap().1["aud"], "payroll");
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1..=900).contains(&life), "{life} s");
    assert!(
        verified(&flipped(&wiki), &keys).is_none(),
        "an altered assertion verifies"
    );
}

/// S-01: the line names every signal it rests on. Also: written within 100 ms, allowed or not.
#[test]
fn every_decision_is_one_complete_line_of_the_log() {
    let demo = DEMO.demo();

    let allowed = demo.curl(ALICE, &demo.url("wiki", "/logged-allowed?secret=1"), &[]);
    let line_allowed = demo
        .decisions()
        .about("wiki", "/logged-allowed")
        .expect("a line in time");
    let denied = demo.curl(BOB, &demo.url("payroll", "/logged-denied"), &["-X", "POST", "-d", "x"]);
    let line_denied = demo
        .decisions()
        .about("payroll", "/logged-denied")
        .expect("a line in time");

    assert_eq!((allowed.status, denied.status), (200, 403));
    assert_eq!(
        (&line_allowed["decision"], &line_denied["decision"]),
        (&"allow".into(), &"deny".into())
    );
    assert_eq!(
        (&line_allowed["user"], &line_denied["user"]),
        (&"alice".into(), &"bob".into())
    );
    assert_eq!(
        (&line_allowed["action"], &line_denied["action"]),
        (&"read".into(), &"write".into())
    );
    assert_eq!(line_denied["request_id"], denied.json()["request_id"]);
    assert_eq!(line_denied["code"], denied.code());
    assert_eq!(line_allowed["signals"]["managed"], true);
    assert_eq!(line_denied["signals"]["managed"], false);
    for line in [&line_allowed, &line_denied] {
        for field in FIELDS {
            assert!(!line[field].is_null(), "{field} in {line}");
        }
    }
    let lines = demo.decisions().lines();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["request_id"] == line_allowed["request_id"])
            .count(),
        1
    );
}

#[test]
fn http_1_http_2_websockets_and_event_streams_all_pass() {
    let demo = DEMO.demo();
    let url = demo.url("wiki", "/");

    let first = demo.curl(ALICE, &url, &["--http1.1", "-w", "%{http_version}"]);
    let second = demo.curl(ALICE, &url, &["--http2"]);
    let mut socket = demo.websocket(ALICE, "wiki", None).expect("a WebSocket");
    let client = demo.h2(ALICE, "wiki");
    let mut events = client.open("/events");

    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(socket.echo("hello"), Ok("hello".to_owned()));
    assert!(events.goes_on());
    assert_eq!(demo.websocket(NOBODY, "wiki", None).err(), Some(401));
    assert_eq!(demo.websocket(BOB, "payroll", None).err(), Some(403));
}

/// Many at once, so that the application's `101` sometimes arrives before the gateway expects it.
#[test]
fn a_websocket_lives_from_its_first_frame_on_however_busy_the_gateway_is() {
    let demo = DEMO.demo();
    let open_and_speak = || {
        (0..40)
            .map(|_| demo.websocket(BOB, "wiki", None).unwrap().echo("first"))
            .filter(Result::is_err)
            .count()
    };

    let lost: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(open_and_speak)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });

    assert_eq!(lost, 0, "of 160 WebSockets");
}

fn policies(denial: &CurlAnswer) -> BTreeSet<String> {
    let problem = denial.json();
    let reasons = problem["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|reason| reason["policy"].as_str().unwrap().to_owned())
        .collect()
}

/// Header and claims of a JWT whose ES256 signature one of these keys made (RFC 7515, RFC 7518 section 3.4).
fn verified(token: &str, keys: &Value) -> Option<(Value, Value)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    let key = keys["keys"]
        .as_array()?
        .iter()
        .find(|key| key["kid"] == header["kid"])?;
    let point = [vec![4], decode(key["x"].as_str()?)?, decode(key["y"].as_str()?)?].concat();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature)?)
        .ok()?;
    Some((header, serde_json::from_slice(&decode(claims)?).ok()?))
}

/// The token with one character of its claims changed.
fn flipped(token: &str) -> String {
    let at = token.find('.').unwrap() + 10;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

const FIELDS: [&str; 15] = [
    "time",
    "request_id",
    "user",
    "device",
    "app",
    "method",
    "path",
    "action",
    "decision",
    "code",
    "policies",
    "signals",
    "policy_version",
    "revision",
    "latency_us",
];
