//! Where does a request go, how large may it be, and how long may it take? For single paths of an application, seen from outside.

use std::time::{Duration, Instant};

use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY, host};
use latchkey_tests::upstream::{Reply, Upstream, ok};

#[test]
fn a_rewritten_path_reaches_the_application_under_its_new_name() {
    let upstream = Upstream::friendly();
    let demo = with_paths(
        &upstream,
        "[{path: /api/v1/, rewrite: /v1/}, {path: /api/v1/same/, body_limit: 1MiB}, {path: /gone, rewrite: /here}]",
    );

    for (asked, arrives) in [
        ("/api/v1/users?q=/api/v1/", "/v1/users?q=/api/v1/"),
        ("/api/v1", "/v1"),
        ("/api/v1/", "/v1/"),
        ("/API/v1/a", "/v1/a"),
        ("/gone?x", "/here?x"),
        ("/api/v1/same/a", "/api/v1/same/a"),
        ("/api/v10", "/api/v10"),
    ] {
        let answer = get(&demo, asked);
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        let received = upstream.received();
        assert_eq!(received.last().unwrap().target(), arrives, "{asked}");
    }
    let logged = demo
        .decisions()
        .about("wiki", "/api/v1/users")
        .expect("judged and logged as it came");
    assert_eq!(logged["decision"], "allow");
}

/// The policies have the path as it came: what is forbidden there is not reached under another name.
#[test]
fn a_rewritten_path_is_judged_as_it_came() {
    let upstream = Upstream::friendly();
    let demo = with_paths(
        &upstream,
        "[{path: /admin/, rewrite: /open/}, {path: /open/, rewrite: /admin/}]",
    );

    let refused = demo.curl(BOB, &demo.url("wiki", "/admin/x"), &[]);
    let control = demo.curl(BOB, &demo.url("wiki", "/open/x"), &[]);

    assert_eq!((refused.status, control.status), (403, 200), "{}", refused.text());
    let targets: Vec<_> = upstream
        .received()
        .iter()
        .map(|request| request.target().to_owned())
        .collect();
    assert_eq!(targets, ["/admin/x"], "where the configuration sends what is permitted");
}

/// Servers may read `/api;x=1/a` as `/api/a`; what of it to replace is not clear.
#[test]
fn a_path_whose_beginning_is_not_plain_is_not_rewritten() {
    let upstream = Upstream::friendly();
    let demo = with_paths(
        &upstream,
        "[{path: /api/, rewrite: /v1/}]\n    path_parameters: pass\n    encoded_slashes: pass",
    );

    for tricky in ["/api;x=1/a", "/api%2fa"] {
        let answer = get(&demo, tricky);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad-request"),
            "{tricky}"
        );
    }
    for (control, arrives) in [("/api/a;x=1", "/v1/a;x=1"), ("/other;x=1/a", "/other;x=1/a")] {
        assert_eq!(get(&demo, control).status, 200, "{control}");
        assert_eq!(upstream.received().last().unwrap().target(), arrives);
    }
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn a_redirect_is_answered_by_the_gateway_to_those_who_may_pass() {
    let upstream = Upstream::friendly();
    let demo = with_paths(
        &upstream,
        "[{path: /old/, redirect: /new/}, {path: /moved/, redirect: 'https://www.example.com/w/', redirect_status: 302}, \
         {path: /admin/, redirect: /new/}]\n    public_paths: [/moved/]",
    );
    let told = |answer: &CurlAnswer| (answer.status, answer.header("location").map(str::to_owned));
    let at = |status: u16, place: &str| (status, Some(place.to_owned()));

    assert_eq!(told(&get(&demo, "/old/a?b=c")), at(308, "/new/a?b=c"));
    assert_eq!(told(&get(&demo, "/old")), at(308, "/new"));
    let anybody = demo.curl(NOBODY, &demo.url("wiki", "/moved/x?y"), &[]);
    assert_eq!(told(&anybody), at(302, "https://www.example.com/w/x?y"));
    assert_eq!(demo.curl(NOBODY, &demo.url("wiki", "/old/a"), &[]).status, 401);
    assert_eq!(demo.curl(BOB, &demo.url("wiki", "/admin/a"), &[]).status, 403);
    assert_eq!(get(&demo, "/older").status, 200, "control");
    let split = get(&demo, "/old/%0d%0aX-Evil:%201");
    assert_eq!((split.status, split.header("location")), (400, None));
    assert_eq!(upstream.received().len(), 1, "only the control reached the application");
}

#[test]
fn each_path_has_its_own_limits() {
    let upstream = Upstream::start(|request| match request.target().starts_with("/slow/") {
        true => Reply::Silence,
        false => Reply::Send(ok("ok")),
    });
    let demo = with_paths(
        &upstream,
        "[{path: /small/, body_limit: 10B}, {path: /small/large, body_limit: none}, \
          {path: /slow/, read_timeout: 300ms}, {path: /slow/patient/, total_timeout: 300ms, read_timeout: 1h}]\n    body_limit: 100B",
    );
    let post = |path: &str, octets: usize| {
        let body = "a".repeat(octets);
        let declared = demo.curl(ALICE, &demo.url("wiki", path), &["--data", &body]).status;
        let chunked = ["--data", &body, "-H", "Transfer-Encoding: chunked"];
        let chunked = demo.curl(ALICE, &demo.url("wiki", path), &chunked).status;
        assert_eq!(declared, chunked, "{path}: {octets}");
        declared
    };

    assert_eq!((post("/small/a", 10), post("/small/a", 11)), (200, 413));
    assert_eq!((post("/a", 100), post("/a", 101)), (200, 413));
    assert_eq!(post("/small/large", 5_000), 200);
    for path in ["/slow/a", "/slow/patient/a"] {
        let began = Instant::now();
        let answer = get(&demo, path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (504, "gateway-timeout"),
            "{path}"
        );
        assert!(began.elapsed() >= Duration::from_millis(300), "{path}");
    }
}

/// An answer that trickles on has its end too.
#[test]
fn a_request_has_so_much_time_in_all() {
    let demo = Demo::start();
    demo.edit(
        "latchkey.yaml",
        "    hosts: [wiki.localhost]\n",
        "    hosts: [wiki.localhost]\n    paths: [{path: /events, total_timeout: 500ms}]\n",
    );
    let streams = |demo: &Demo| {
        let mut client = demo.raw(ALICE, "wiki");
        client.send(
            format!(
                "GET /events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
                host("wiki")
            )
            .as_bytes(),
        );
        assert_eq!(client.head().map(|head| head.status), Some(200));
        client
    };
    let mut control = streams(&demo);
    demo.reload();

    let mut bounded = streams(&demo);

    assert!(bounded.ends_within(Duration::from_secs(10)).is_some());
    assert!(control.wait_for("data:"), "the one that began before goes on");
    assert_eq!(demo.metric("latchkey_clients_let_go_total"), Some(1.0));
}

fn get(demo: &Demo, path: &str) -> CurlAnswer {
    demo.curl(ALICE, &demo.url("wiki", path), &[])
}

/// A gateway whose wiki is at this server and has these paths.
fn with_paths(upstream: &Upstream, paths: &str) -> Demo {
    let demo = Demo::in_front_of(upstream);
    demo.edit(
        "latchkey.yaml",
        "    hosts: [wiki.localhost]\n",
        &format!("    hosts: [wiki.localhost]\n    paths: {paths}\n"),
    );
    demo.reload();
    demo
}
