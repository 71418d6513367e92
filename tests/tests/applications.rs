//! What can be said of an application in the configuration, and what of it arrives there?

use std::time::Duration;

use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY};
use latchkey_tests::process::until;
use latchkey_tests::upstream::{Reply, Upstream, ok};

#[test]
fn public_paths_are_open_to_anybody_and_to_nobody_else() {
    let upstream = Upstream::friendly();
    let demo = configured(
        &upstream,
        "payroll",
        "    public_paths: [/robots.txt, /static/]\n",
        |demo| demo.status(NOBODY, "payroll", "/robots.txt") == 200,
    );

    for (path, status) in [
        ("/static/a.css", 200),
        ("/static", 200),
        ("/robots.txt/x", 401),
        ("/staticky", 401),
        ("/", 401),
    ] {
        assert_eq!(demo.status(NOBODY, "payroll", path), status, "{path}");
    }
    assert!(
        upstream
            .last("/static/a.css")
            .unwrap()
            .fields("x-latchkey-user")
            .is_empty()
    );
    assert_eq!(
        demo.curl(NOBODY, &demo.url("payroll", "/static/../x"), &["--path-as-is"])
            .status,
        400
    );
}

#[test]
fn header_rules_apply_on_both_ways_and_never_to_the_identity() {
    let upstream = Upstream::start(|_| {
        let answer = String::from_utf8(ok("ok")).unwrap();
        Reply::Send(
            answer
                .replacen("\r\n", "\r\nX-Powered-By: something\r\nSet-Cookie: a=1\r\n", 1)
                .into_bytes(),
        )
    });
    let rules = "    request_headers: {set: {X-Environment: test}, remove: [X-Debug]}\n    \
                 response_headers: {set: {X-Frame-Options: DENY}, remove: [X-Powered-By]}\n";
    let demo = configured(&upstream, "wiki", rules, |demo| {
        demo.curl(ALICE, &demo.url("wiki", "/"), &[]).header("x-frame-options") == Some("DENY")
    });

    let answer = demo.curl(
        ALICE,
        &demo.url("wiki", "/ruled"),
        &["-H", "X-Debug: 1", "-H", "X-Environment: mine"],
    );

    assert_eq!(
        (answer.header("x-powered-by"), answer.header("set-cookie")),
        (None, Some("a=1"))
    );
    let received = upstream.last("/ruled").unwrap();
    assert_eq!(received.fields("x-environment"), ["test"]);
    assert_eq!(
        (received.fields("x-debug").len(), received.fields("x-latchkey-user")),
        (0, vec!["alice"])
    );
}

/// The demo leaves them out: browsers would remember them for its names, whatever its next certificate.
#[test]
fn answers_make_browsers_careful_unless_the_application_says_otherwise() {
    let upstream = Upstream::start(|request| {
        let own = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=60\r\nContent-Length: 2\r\n\r\nok";
        match request.target() {
            "/own" => Reply::Send(own.as_bytes().to_vec()),
            _ => Reply::Send(ok("ok")),
        }
    });
    let demo = Demo::in_front_of(&upstream);
    let fields = |path: &str| {
        let answer = demo.curl(ALICE, &demo.url("wiki", path), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        ["strict-transport-security", "x-content-type-options"].map(|name| answer.header(name).map(str::to_owned))
    };
    assert_eq!(fields("/"), [None, None], "control: left as they came");

    demo.edit("latchkey.yaml", "    security_headers: leave\n", "");
    demo.reload();

    assert_eq!(
        fields("/"),
        [Some("max-age=31536000".to_owned()), Some("nosniff".to_owned())]
    );
    assert_eq!(
        fields("/own"),
        [Some("max-age=60".to_owned()), Some("nosniff".to_owned())]
    );
}

#[test]
fn a_body_is_taken_up_to_its_limit() {
    let upstream = Upstream::friendly();
    let demo = configured(&upstream, "wiki", "    body_limit: 1KiB\n", |demo| {
        post(demo, 2000, &[]) == 413
    });

    assert_eq!(post(&demo, 1000, &[]), 200);
    assert_eq!(post(&demo, 1025, &[]), 413);
    assert_eq!(upstream.received().last().unwrap().body.len(), 1000);
    for octets in [5000, 5_000_000] {
        assert_eq!(post(&demo, octets, &["-H", "Transfer-Encoding: chunked"]), 413);
    }
    assert_eq!(
        upstream.received().last().unwrap().body.len(),
        1000,
        "a body over the limit arrived as whole"
    );
}

#[test]
fn spellings_that_servers_read_differently_pass_only_where_configured() {
    let upstream = Upstream::friendly();
    let demo = configured(
        &upstream,
        "payroll",
        "    encoded_slashes: pass\n    path_parameters: pass\n",
        |demo| demo.status(ALICE, "payroll", "/a%2fb;v=1") == 200,
    );

    assert_eq!(upstream.last("/a%2").unwrap().target(), "/a%2fb;v=1");
    assert_eq!(demo.status(ALICE, "wiki", "/a%2fb"), 400);
    assert_eq!(demo.status(ALICE, "wiki", "/a;v=1"), 400);
    assert_eq!(demo.status(BOB, "payroll", "/a%2fb"), 403);
}

/// Rules match what a lenient application would read; what passes reaches it as it came.
#[test]
fn spellings_that_pass_open_nothing_that_the_rules_close() {
    let upstream = Upstream::friendly();
    let demo = configured(
        &upstream,
        "wiki",
        "    encoded_slashes: pass\n    path_parameters: pass\n",
        |demo| demo.status(ALICE, "wiki", "/a%2fb;v=1") == 200,
    );

    for (path, status) in [
        ("/admin/secret", 403),
        ("/admin;x=1/secret", 403),
        ("/admin;x=1", 403),
        ("/admin%2fx", 403),
        ("/ADMIN%2Fx;y", 403),
        ("/;/admin/x", 400),
        ("/;x=1/admin/x", 400),
        ("/%2fadmin/x", 400),
        ("/docs%2f..%2fadmin/x", 400),
        ("/docs/..;/admin/x", 400),
        ("/docs;v=1", 200),
        ("/a%2fb", 200),
        ("/docs;/admin", 200),
    ] {
        let answer = demo.raw_get(BOB, "wiki", path).map(|answer| answer.status);
        assert_eq!(answer, Some(status), "{path}");
        let arrived = upstream.received().iter().any(|request| request.target() == path);
        assert_eq!(arrived, status == 200, "{path} at the application");
    }
}

#[test]
fn a_listed_foreign_origin_may_write() {
    let upstream = Upstream::friendly();
    let listed = ["-H", "Origin: https://portal.example.com", "-d", "x"];
    let demo = configured(
        &upstream,
        "wiki",
        "    allowed_origins: [\"https://portal.example.com\"]\n",
        |demo| demo.curl(ALICE, &demo.url("wiki", "/"), &listed).status == 200,
    );

    let other = demo.curl(
        ALICE,
        &demo.url("wiki", "/"),
        &["-H", "Origin: https://portal.example.org", "-d", "x"],
    );

    assert_eq!(other.code(), "cross-site");
    assert_eq!(
        demo.curl(ALICE, &demo.url("payroll", "/"), &listed).code(),
        "cross-site"
    );
}

/// A demo one of whose applications has these lines too, once the running gateway has taken them over.
fn configured(upstream: &Upstream, app: &str, lines: &str, taken_over: impl Fn(&Demo) -> bool) -> Demo {
    let demo = Demo::in_front_of(upstream);
    assert!(!taken_over(&demo), "it is so without being configured");
    demo.edit(
        "latchkey.yaml",
        &format!("- name: {app}\n"),
        &format!("- name: {app}\n{lines}"),
    );
    assert!(until(BOUND, || taken_over(&demo)), "{}", demo.process().output());
    demo
}

fn post(demo: &Demo, length: usize, arguments: &[&str]) -> u16 {
    let body = demo.scratch().join("body");
    std::fs::write(&body, vec![b'x'; length]).unwrap();
    let body = format!("@{}", body.display());
    demo.curl(
        ALICE,
        &demo.url("wiki", "/post"),
        &[&["--data-binary", &body, "-H", "Expect:"], arguments].concat(),
    )
    .status
}

const BOUND: Duration = Duration::from_secs(10);
