//! What do a hundred thousand sign-ins cost that nobody finishes?

use std::sync::atomic::{AtomicBool, Ordering};

use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::raw::RawClient;
use latchkey_tests::visitor::{BROWSER, Visitor};
use serde_json::json;

/// dos-session-table: whoever begins sign-ins that never end fills no memory without bound and keeps nobody out. In a debug
/// build a fifth of the hundred thousand are begun.
#[test]
fn sign_ins_that_nobody_finishes_cost_little_and_keep_nobody_out() {
    let demo = Demo::start();
    let device = demo.user_with_device("canary");
    let url = demo.url("wiki", "/canary");
    Visitor::new(&demo).fastpass(&url, &device);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("wiki", "/"));
    let body = json!({ "state": page.state(), "verify": false, "loginHint": "x".repeat(300) }).to_string();
    let browser = format!("{BROWSER}={}", visitor.jar.get(&host("auth"), BROWSER).unwrap());
    let before = demo.process().memory();
    let done = AtomicBool::new(false);

    let signed_in = std::thread::scope(|scope| {
        let (demo, device, url, done) = (&demo, &device, &url, &done);
        let floods: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (body, browser) = (&body, &browser);
                scope.spawn(move || flood(demo, body, browser, SIGN_INS / CONNECTIONS))
            })
            .collect();
        let canary = scope.spawn(move || {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) || count == 0 {
                let opened = Visitor::new(demo).fastpass(url, device);
                assert_eq!((opened.path().as_str(), opened.status), ("/canary", 200));
                count += 1;
            }
            count
        });
        for flood in floods {
            flood.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        canary.join().unwrap()
    });

    let grown = demo.process().memory().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{SIGN_INS} sign-ins begun took {} MB", grown >> 20);
    assert!(signed_in > 0, "others sign in meanwhile");
    assert_eq!(
        Visitor::new(&demo).fastpass(&url, &device).path(),
        "/canary",
        "and afterwards"
    );
}

/// Begins sign-ins on one connection to each host: at an application, at the auth host, and with a challenge for a device.
fn flood(demo: &Demo, body: &str, browser: &str, count: usize) {
    let (mut wiki, mut auth) = (demo.raw(NOBODY, "wiki"), demo.raw(NOBODY, "auth"));
    let at = |app: &str| format!("Host: {}:{}\r\nAccept: text/html", host(app), demo.address().port());
    let asks = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", at("wiki"));
    let (host, length) = (at("auth"), body.len());
    let challenge = format!(
        "POST /sign-in/device/challenge HTTP/1.1\r\n{host}\r\nCookie: {browser}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    for _ in (0..count).step_by(BATCH) {
        let led = batch(&mut wiki, &asks, 302, BATCH / 10);
        let way = led
            .split_once(":")
            .and_then(|(_, rest)| rest.find("/sign-in").map(|at| rest[at..].to_owned()));
        let enter = format!("GET {} HTTP/1.1\r\n{host}\r\n\r\n", way.unwrap());
        batch(&mut auth, &enter, 200, BATCH / 10);
        batch(&mut auth, &challenge, 200, BATCH);
    }
}

/// The same request many times at once; where the last answer leads.
fn batch(client: &mut RawClient, request: &str, status: u16, count: usize) -> String {
    client.send(request.repeat(count).as_bytes());
    let mut led = String::new();
    for _ in 0..count {
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        led = answer.header("location").unwrap_or_default().to_owned();
    }
    led
}

const SIGN_INS: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
const CONNECTIONS: usize = 4;
const BATCH: usize = 20;

/// What a hundred thousand challenges that wait take, with room for what the allocator keeps.
const MOST_MEMORY: usize = 160 << 20;
