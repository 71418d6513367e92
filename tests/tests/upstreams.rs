//! Which of an application's servers gets a request, and what if one of them fails? Several real servers, seen from outside.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, BOB, Demo, host};
use latchkey_tests::openssl::openssl;
use latchkey_tests::process::{Process, free_port, loopback, until};
use latchkey_tests::upstream::{Reply, Upstream, ok};

#[test]
fn each_server_has_its_turn() {
    let servers = [Upstream::friendly(), Upstream::friendly(), Upstream::friendly()];
    let demo = in_front_of(&urls(&servers), "");

    get_often(&demo, ALICE, 30);

    assert_eq!(counts(&servers), [10, 10, 10]);
}

#[test]
fn a_user_stays_at_one_server() {
    let servers = [Upstream::friendly(), Upstream::friendly(), Upstream::friendly()];
    let demo = in_front_of(&urls(&servers), "balance: user");

    get_often(&demo, ALICE, 10);
    let alices = counts(&servers);
    get_often(&demo, BOB, 10);
    let bobs: Vec<usize> = counts(&servers)
        .iter()
        .zip(&alices)
        .map(|(all, hers)| all - hers)
        .collect();

    for one in [alices, bobs] {
        assert!(one.contains(&10), "one user's requests went to {one:?}");
    }
}

#[test]
fn the_server_with_least_to_do_is_next() {
    let servers = [holding(), holding()];
    let demo = in_front_of(&urls(&servers), "balance: least_connections");
    let mut held = demo.raw(ALICE, "wiki");
    held.send(b"GET /held HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    let holds = |server: &Upstream| server.count("/held") == 1;
    assert!(until(WAIT, || servers.iter().any(holds)));

    get_often(&demo, ALICE, 10);

    let expected = servers.each_ref().map(|server| if holds(server) { 0 } else { 10 });
    assert_eq!(counts(&servers), expected);
}

/// Nothing of a request was sent to a server that cannot be reached: any method may go elsewhere.
#[test]
fn requests_to_a_server_that_is_gone_go_to_another_and_it_is_left_out() {
    let alive = Upstream::friendly();
    let gone = format!("http://{}", loopback(free_port()));
    let demo = in_front_of(&[gone, alive.url()], "circuit_breaker: {faults: 3, open_for: 1h}");

    get_often(&demo, ALICE, 10);
    let posted = demo.curl(ALICE, &demo.url("wiki", "/page"), &["--data", "x"]);

    assert_eq!(posted.status, 200, "{}", posted.text());
    assert_eq!(alive.count("/page"), 11);
    assert_eq!(
        demo.metric("latchkey_upstream_faults_total"),
        Some(3.0),
        "left out after the third"
    );
    assert_eq!(demo.metric("latchkey_upstream_retries_total"), Some(3.0));
    assert!(
        demo.process().output().contains("left out for a while"),
        "{}",
        demo.process().output()
    );
}

/// What a server may have acted on is not sent again unless that does no harm (RFC 9110, section 9.2.2).
#[test]
fn only_idempotent_requests_are_sent_again_after_a_server_broke_off() {
    let broken = Upstream::start(|_| Reply::SendAndClose(Vec::new()));
    let alive = Upstream::friendly();
    let demo = in_front_of(&[broken.url(), alive.url()], "circuit_breaker: {faults: 1000}");
    let send = |arguments: &[&str]| demo.curl(ALICE, &demo.url("wiki", "/page"), arguments);

    for method in ["GET", "PUT", "DELETE"] {
        let answers: Vec<u16> = (0..4).map(|_| send(&["-X", method]).status).collect();
        assert_eq!(answers, [200; 4], "{method}");
    }
    let posts: Vec<u16> = (0..4).map(|_| send(&["--data", "x"]).status).collect();
    assert_eq!(posts.iter().filter(|status| **status == 502).count(), 2, "{posts:?}");
    assert_eq!(posts.iter().filter(|status| **status == 200).count(), 2, "{posts:?}");
}

#[test]
fn without_retries_a_fault_is_told() {
    let broken = Upstream::start(|_| Reply::SendAndClose(Vec::new()));
    let alive = Upstream::friendly();
    let demo = in_front_of(&[broken.url(), alive.url()], "retries: 0");

    let mut answers: Vec<u16> = (0..2).map(|_| get(&demo, ALICE).status).collect();
    answers.sort_unstable();

    assert_eq!(answers, [200, 502]);
}

#[test]
fn a_server_that_says_that_it_is_not_well_gets_nothing_until_it_is() {
    let is_well = Arc::new(AtomicBool::new(true));
    let asked = is_well.clone();
    let moody = Upstream::start(move |request| match request.target() {
        "/healthz" if !asked.load(Ordering::Relaxed) => Reply::Send(UNWELL.to_vec()),
        _ => Reply::Send(ok("ok")),
    });
    let steady = Upstream::friendly();
    let demo = in_front_of(
        &[moody.url(), steady.url()],
        "health_check: {path: /healthz, interval: 100ms, unhealthy_after: 2, healthy_after: 2}",
    );
    let serving = |servers: f64| {
        until(WAIT, || {
            demo.metric_of("latchkey_upstream_servers", "wiki") == Some(servers)
        })
    };
    assert!(serving(2.0), "{}", demo.process().output());
    get_often(&demo, ALICE, 4);
    assert_eq!(moody.count("/page"), 2, "control: it is well at first");

    is_well.store(false, Ordering::Relaxed);
    assert!(serving(1.0), "{}", demo.process().output());
    let before = moody.count("/page");
    get_often(&demo, ALICE, 10);
    assert_eq!(moody.count("/page"), before);

    is_well.store(true, Ordering::Relaxed);
    assert!(serving(2.0), "{}", demo.process().output());
    get_often(&demo, ALICE, 10);
    assert_eq!(moody.count("/page"), before + 5);
}

#[test]
fn what_is_known_of_servers_outlives_a_reload_that_leaves_them_alone() {
    let alive = Upstream::friendly();
    let gone = format!("http://{}", loopback(free_port()));
    let demo = in_front_of(&[gone, alive.url()], "circuit_breaker: {faults: 1, open_for: 1h}");
    get_often(&demo, ALICE, 4);
    assert_eq!(demo.metric("latchkey_upstream_faults_total"), Some(1.0));

    demo.reload();
    get_often(&demo, ALICE, 4);

    assert_eq!(demo.metric("latchkey_upstream_faults_total"), Some(1.0));
}

#[test]
fn a_server_gets_no_more_requests_at_once_than_it_may() {
    let slow = holding();
    let demo = in_front_of(&[slow.url()], "circuit_breaker: {max_requests: 1}");
    assert_eq!(get(&demo, ALICE).status, 200, "control: with nothing under way");
    let mut held = demo.raw(ALICE, "wiki");
    held.send(b"GET /held HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(until(WAIT, || slow.count("/held") == 1));

    let refused = get(&demo, ALICE);

    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "application-busy"),
        "{}",
        refused.text()
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(held);
    assert!(
        until(WAIT, || get(&demo, ALICE).status == 200),
        "its place is given back"
    );
}

/// A server that asks for a certificate gets the configured one; here the real `openssl s_server`, which says whose it was.
#[test]
fn the_gateway_proves_itself_to_servers_that_ask() {
    let folder = tempfile::tempdir().unwrap();
    make(
        folder.path(),
        "server",
        "/CN=app.internal",
        // A leaf that is its own trust anchor.
        &[
            "-addext",
            "subjectAltName=DNS:app.internal",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    make(folder.path(), "gateway", "/CN=the gateway", &[]);
    make(folder.path(), "stranger", "/CN=a stranger", &[]);
    let port = free_port();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-quiet", "-www", "-Verify", "1", "-verify_return_error"]);
    server.args([
        "-accept",
        &port.to_string(),
        "-cert",
        &file("server.pem"),
        "-key",
        &file("server.key"),
    ]);
    server.args(["-CAfile", &file("gateway.pem")]);
    let server = Process::start(&mut server);
    assert!(until(WAIT, || std::net::TcpStream::connect(loopback(port)).is_ok()));
    let shown = |name: &str| {
        let keys = format!(
            "server_name: app.internal, ca: {}, client_certificate: {{certificate: {}, key: {}}}",
            file("server.pem"),
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
        );
        get(&in_front_of(&[format!("https://{}", loopback(port))], &keys), ALICE)
    };

    let (trusted, strange) = (shown("gateway"), shown("stranger"));

    assert_eq!(trusted.status, 200, "{}", server.output());
    assert!(trusted.text().contains("the gateway"), "{}", trusted.text());
    assert_eq!(strange.status, 502, "{}", strange.text());
}

fn make(folder: &Path, name: &str, subject: &str, more: &[&str]) {
    let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    let (key, certificate) = (file("key"), file("pem"));
    let fixed = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ];
    let named = ["-subj", subject, "-keyout", &key, "-out", &certificate];
    let made = openssl([&fixed[..], &named, more].concat(), "");
    assert!(made.success, "{}", made.text);
}

/// A demo whose wiki has these servers and, beside them, these keys.
fn in_front_of(urls: &[String], keys: &str) -> Demo {
    let demo = Demo::start_with_upstream("http://127.0.0.1:1");
    let urls = urls.join("\", \"");
    demo.edit(
        "latchkey.yaml",
        "    upstream:\n      url: http://127.0.0.1:1\n",
        &format!("    upstream: {{urls: [\"{urls}\"], {keys}}}\n"),
    );
    demo.reload();
    demo
}

/// A server that never answers one path.
fn holding() -> Upstream {
    Upstream::start(|request| match request.target() {
        "/held" => Reply::Silence,
        _ => Reply::Send(ok("ok")),
    })
}

fn urls(servers: &[Upstream]) -> Vec<String> {
    servers.iter().map(Upstream::url).collect()
}

fn counts(servers: &[Upstream]) -> Vec<usize> {
    servers.iter().map(|server| server.count("/page")).collect()
}

fn get(demo: &Demo, device: Option<&str>) -> CurlAnswer {
    demo.curl(device, &demo.url("wiki", "/page"), &[])
}

fn get_often(demo: &Demo, device: Option<&str>, times: usize) {
    let mut client = demo.raw(device, "wiki");
    for _ in 0..times {
        let answer = client.get(&host("wiki"), "/page").expect("an answer");
        assert_eq!(answer.status, 200, "{}", demo.process().output());
    }
}

const UNWELL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const WAIT: Duration = Duration::from_secs(10);
