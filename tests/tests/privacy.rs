//! What does somebody learn who has not proved anything? Nothing about users, devices, policies or applications.

use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, Demo, NOBODY};
use latchkey_tests::shared::Shared;
use latchkey_tests::upstream::Upstream;

static DEMO: Shared = Shared::new();

/// X-20 (no credential): whichever application and path, the answer is the same but for its request id.
#[test]
fn without_a_credential_all_answers_are_alike() {
    let demo = DEMO.demo();
    let places = [
        ("wiki", "/"),
        ("wiki", "/admin/x"),
        ("payroll", "/"),
        ("vault", "/secret"),
        ("vault", "/no/such/path"),
    ];

    let answers = places.map(|(app, path)| demo.curl(NOBODY, &demo.url(app, path), &[]));

    // Whoever asks knows which application: it is the first label of the host that they named.
    let named = answers.iter().zip(places);
    let seen = named.map(|(answer, (app, _))| anonymous(answer).replace(&format!("?app={app}"), "?app=it"));
    let seen: Vec<String> = seen.collect();
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    assert!(answers.iter().all(|answer| answer.status == 401));
    for word in ["finance", "managed", "hardware", "policy", "alice", "bob"] {
        assert!(!answers[0].text().contains(word), "{word} in {}", answers[0].text());
    }
    // Control: an authenticated denial explains itself.
    assert!(
        demo.curl(ALICE, &demo.url("vault", "/"), &[])
            .text()
            .contains("vault.hardware-key")
    );
}

/// X-20 (token): an invalid token reads the same whatever it asks about.
#[test]
fn an_invalid_token_learns_nothing_about_what_exists() {
    let demo = DEMO.demo();
    let known = format!("/api/v1/devices/{}", demo.device_id("alice-laptop"));
    let paths = [
        known.as_str(),
        "/api/v1/devices/dev00000000000000000",
        "/api/v1/users/alice",
        "/api/v1/users/nobody",
    ];

    let answers = paths.map(|path| demo.admin_as("SSWS nonsense", "GET", path, None));

    let seen: Vec<String> = answers.iter().map(anonymous).collect();
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    assert_eq!(answers[0].status, 401);
    assert_eq!(demo.admin("GET", &known, None).status, 200);
}

/// X-20 (applications): no cookie under our names and no header of ours reaches an application; other cookies do.
#[test]
fn no_application_gets_what_is_meant_for_the_gateway() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let cookies = "Cookie: a=1; __Host-latchkey=secret; b=\"2\"; c=x=y";

    let answer = demo.curl(ALICE, &demo.url("wiki", "/cookies"), &["-H", cookies]);

    assert_eq!(answer.status, 200);
    let received = upstream.last("/cookies").unwrap();
    assert!(!received.head.contains("secret"), "{}", received.head);
    let kept = received.fields("cookie").join("; ");
    assert!(
        kept.contains("a=1") && kept.contains("b=\"2\"") && kept.contains("c=x=y"),
        "{kept}"
    );
    assert!(!received.head.contains(&demo.admin_token()));
}

/// The answer without what differs from request to request.
fn anonymous(answer: &CurlAnswer) -> String {
    let mut body = answer.json();
    for field in ["request_id", "errorId", "instance"] {
        if let Some(object) = body.as_object_mut() {
            object.remove(field);
        }
    }
    let per_request = ["date", "x-request-id", "content-length", "location"];
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !per_request.contains(&name.as_str()));
    format!(
        "{} {headers:?} {body}",
        answer.status,
        headers = headers.collect::<Vec<_>>()
    )
}
