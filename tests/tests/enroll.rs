//! How does a device get in with nothing but `openssl` and `curl`, and what does not get in?

use std::path::PathBuf;
use std::time::{Duration, Instant};

use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::enroll::request;
use latchkey_tests::openssl::openssl;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();

/// E-15 (first form): one device, linked to exactly this user; the profile is the gateway's, whatever the CSR asks for.
#[test]
fn a_token_and_a_request_make_a_device_with_a_certificate() {
    let demo = DEMO.demo();
    let token = demo.enrollment_token("bob");
    let wishes = [
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "subjectAltName=DNS:admin.localhost",
    ];
    let csr = request(&demo.file("devices"), "wishful", &P256, &wishes);

    let answer = demo.enroll_with(&token, "wishful", &csr);

    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    let identity = demo.identity("wishful");
    std::fs::write(&identity.certificate, &answer.body).unwrap();
    assert_eq!(demo.status(Some("wishful"), "wiki", "/"), 200);
    let text = openssl(
        ["x509", "-noout", "-text", "-in", identity.certificate.to_str().unwrap()],
        "",
    )
    .text;
    assert!(
        text.contains("CA:FALSE") && text.contains("TLS Web Client Authentication"),
        "{text}"
    );
    assert!(
        !text.contains("admin.localhost") && !text.contains("whatever") && !text.contains("bob"),
        "{text}"
    );
    let users = demo.admin(
        "GET",
        &format!("/api/v1/devices/{}/users", demo.device_id("wishful")),
        None,
    );
    assert_eq!(users.json().as_array().unwrap().len(), 1);
    assert!(users.text().contains("bob"), "{}", users.text());
}

/// E-05 (tokens): used, foreign, missing or expired, the answer is 401 and nothing is created. Control: above.
#[test]
fn a_token_that_does_not_count_creates_nothing() {
    let demo = Demo::start();
    let csr = demo.request("unlucky");
    let used = demo.enrollment_token("bob");
    assert!(demo.enroll_with(&used, "lucky", &demo.request("lucky")).status < 300);
    let made = Instant::now();
    let expired = demo
        .command(&["user", "enrollment-token", "bob", "--lifetime", "1s", "--json"])
        .json()["token"]
        .clone();
    let expired = expired.as_str().unwrap().to_owned();
    let foreign = Demo::start().enrollment_token("bob");
    let before = devices(&demo);

    for (token, what) in [
        (used.as_str(), "used"),
        (&foreign, "foreign"),
        ("", "empty"),
        ("nonsense", "unknown"),
    ] {
        let answer = demo.enroll_with(token, "unlucky", &csr);
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.json()["errorCode"], "E0000011", "{what}");
    }
    // An earlier attempt would succeed.
    until(2 * LIFETIME, || made.elapsed() > LIFETIME + LIFETIME / 5);
    assert_eq!(demo.enroll_with(&expired, "unlucky", &csr).status, 401, "expired");

    assert_eq!(devices(&demo), before);
}

/// E-05, E-10: a request that cannot be read, is not signed by its own key, or names a known key. Control: the token still works.
#[test]
fn a_bad_request_creates_nothing_and_leaves_the_token_usable() {
    let demo = DEMO.demo();
    let token = demo.enrollment_token("bob");
    let known = demo.request("known-key");
    assert!(
        demo.enroll_with(&demo.enrollment_token("alice"), "known-key", &known)
            .status
            < 300
    );
    let good = demo.request("after-bad");
    let pem = std::fs::read_to_string(&good).unwrap();
    let cases = [
        ("empty", scratch(&demo, "empty.csr", ""), 400),
        ("text", scratch(&demo, "text.csr", "hello"), 400),
        ("twice", scratch(&demo, "twice.csr", &format!("{pem}{pem}")), 400),
        ("truncated", scratch(&demo, "truncated.csr", &pem[..pem.len() / 2]), 400),
        ("altered", scratch(&demo, "altered.csr", &altered(&pem)), 400),
        (
            "small RSA key",
            request(demo.scratch(), "small", &["-newkey", "rsa:1024"], &[]),
            400,
        ),
        ("known key", known, 409),
    ];

    for (what, csr, status) in cases {
        let answer = demo.enroll_with(&token, "refused-device", &csr);
        assert!(
            answer.status == status || answer.status == 400,
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().is_empty(), "{what} is not explained");
    }
    let names = demo.admin("GET", "/api/v1/devices?limit=200", None).text();

    assert!(!names.contains("refused-device"), "{names}");
    assert!(demo.enroll_with(&token, "after-bad", &good).status < 300);
}

/// who asks without a good token learns nothing about users.
#[test]
fn refusals_of_tokens_are_alike() {
    let demo = DEMO.demo();
    let csr = demo.request("curious");

    let answers = ["nonsense", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        .map(|token| demo.enroll_with(token, "curious", &csr));

    for answer in &answers {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["errorSummary"], answers[0].json()["errorSummary"]);
    }
    assert_eq!(demo.curl(NOBODY, &demo.url("auth", "/enroll"), &[]).status, 405);
}

fn devices(demo: &Demo) -> usize {
    demo.admin("GET", "/api/v1/devices?limit=200", None)
        .json()
        .as_array()
        .unwrap()
        .len()
}

fn scratch(demo: &Demo, name: &str, text: &str) -> PathBuf {
    let file = demo.scratch().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// The same PEM with one character of its last full line changed: in the signature.
fn altered(pem: &str) -> String {
    let mut lines: Vec<String> = pem.trim().lines().map(str::to_owned).collect();
    let at = lines.len() - 3;
    let other = if lines[at].starts_with('A') { "B" } else { "A" };
    lines[at].replace_range(..1, other);
    lines.join("\n") + "\n"
}

/// As the test asks for it on the command line.
const LIFETIME: Duration = Duration::from_secs(1);
const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
