//! When an admin ends the trust in a device, what still passes? Nothing, on no connection; and everybody else's goes on.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchkey_tests::demo::{BOB, Demo, NOBODY, host};
use latchkey_tests::openssl::openssl;
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::shared::Shared;
use latchkey_tests::upstream::{Reply, Upstream, ok};
use latchkey_tests::websocket::End;

static DEMO: Shared = Shared::new();

/// D-03, D-04: also cert-keepalive-revoked.
#[test]
fn the_next_request_on_a_kept_connection_is_refused() {
    let demo = DEMO.demo();
    demo.enroll("alice", "kept");
    let (mut kept, mut bobs) = (demo.raw(Some("kept"), "wiki"), demo.raw(BOB, "wiki"));
    assert_eq!(kept.get(&host("wiki"), "/").map(|answer| answer.status), Some(200));
    assert_eq!(bobs.get(&host("wiki"), "/").map(|answer| answer.status), Some(200));

    demo.command(&["device", "deactivate", "kept"]);

    // An idle connection may be closed or answered; either way nothing passes.
    let refused = kept
        .get(&host("wiki"), "/")
        .map(|answer| (answer.status, answer.code()));
    assert!(refused.is_none_or(|refused| refused == (403, "device-deactivated".to_owned())));
    assert_eq!(bobs.get(&host("wiki"), "/").map(|answer| answer.status), Some(200));
}

/// D-04: a new connection, over HTTP/1.1 and HTTP/2, for a script and for a browser.
#[test]
fn a_new_connection_is_refused_and_told_why() {
    let demo = DEMO.demo();
    demo.enroll("alice", "fresh");
    let device = Some("fresh");
    assert_eq!(demo.status(device, "wiki", "/"), 200);

    demo.command(&["device", "deactivate", "fresh"]);

    for version in ["--http1.1", "--http2"] {
        let answer = demo.curl(device, &demo.url("wiki", "/"), &[version]);
        assert_eq!((answer.status, answer.code().as_str()), (403, "device-deactivated"));
    }
    let page = demo.curl(device, &demo.url("wiki", "/"), &["-H", "Accept: text/html"]);
    assert_eq!(page.status, 403);
    assert!(
        page.text().contains("<html") && page.text().contains("deactivated"),
        "{}",
        page.text()
    );
    assert_eq!(demo.status(BOB, "wiki", "/"), 200);
}

/// D-04: streams of the device are reset, also those that never rest.
#[test]
fn http_2_streams_of_the_device_are_reset_and_those_of_others_go_on() {
    let demo = DEMO.demo();
    demo.enroll("alice", "streams");
    let (client, bobs) = (demo.h2(Some("streams"), "wiki"), demo.h2(BOB, "wiki"));
    let (mut first, mut second, mut bobs_events) =
        (client.open("/events"), client.open("/events"), bobs.open("/events"));
    assert!(first.goes_on() && second.goes_on() && bobs_events.goes_on());

    demo.command(&["device", "deactivate", "streams"]);

    assert!(first.was_reset() && second.was_reset());
    assert!(client.get("/").is_none_or(|answer| answer.status == 403));
    assert!(bobs_events.goes_on() && bobs_events.goes_on());
    assert_eq!(bobs.get("/").map(|answer| answer.status), Some(200));
}

/// D-04: only the stream whose decision flipped is cut; its siblings on the same connection go on.
#[test]
fn a_sibling_stream_whose_decision_did_not_flip_goes_on() {
    let demo = Demo::in_front_of(&Upstream::start(|_| Reply::Endless));
    let client = demo.h2(BOB, "wiki");
    let (mut area, mut sibling) = (client.open("/area/1"), client.open("/elsewhere"));
    assert!(area.goes_on() && sibling.goes_on());

    demo.edit("policies/wiki.cedar", "@id(\"wiki.admin-pages\")", CLOSED_AREA);

    assert!(area.was_reset());
    assert!(sibling.goes_on() && sibling.goes_on());
}

/// D-04: also cert-ws-revoked.
#[test]
fn a_websocket_is_closed_with_1008() {
    let demo = DEMO.demo();
    demo.enroll("alice", "socket");
    let device = demo.device_id("socket");
    let mut socket = demo.websocket(Some("socket"), "wiki", None).unwrap();
    let mut bobs = demo.websocket(BOB, "wiki", None).unwrap();
    assert_eq!(socket.echo("before"), Ok("before".to_owned()));

    demo.command(&["device", "deactivate", "socket"]);

    let (end, delay) = socket.end_within(BOUND);
    assert_eq!(end, End::Closed(1008), "after {delay:?}");
    assert_eq!(bobs.echo("still here"), Ok("still here".to_owned()));
    let begun = demo
        .decisions()
        .line(|line| line["path"] == "/ws" && line["device"] == device.as_str())
        .unwrap();
    let of_same = |line: &serde_json::Value| line["request_id"] == begun["request_id"] && line["decision"] == "deny";
    let cut = demo.decisions().line(of_same).expect("a line about the cut");
    assert_eq!(
        (&begun["decision"], &cut["code"]),
        (&"allow".into(), &"device-deactivated".into())
    );
}

/// D-04: an endless answer over HTTP/1.1 ends with its connection.
#[test]
fn an_event_stream_is_cut() {
    let demo = DEMO.demo();
    demo.enroll("alice", "events");
    let (mut stream, mut bobs) = (events(&demo, Some("events")), events(&demo, BOB));

    demo.command(&["device", "deactivate", "events"]);

    assert!(stream.ends_within(BOUND).is_some());
    assert!(bobs.wait_for("data:"));
}

/// D-04: whoever waits for an answer over HTTP/1.1, or still sends, gets the reason in its place.
#[test]
fn a_request_without_an_answer_yet_is_told_why() {
    let upstream = Upstream::start(|request| match request.target() {
        "/after" => Reply::Send(ok("ok")),
        _ => Reply::Silence,
    });
    let demo = Demo::in_front_of(&upstream);
    demo.enroll("alice", "waiting");
    let ask = |device, method: &str, path: &str, rest: &str| {
        let mut client = demo.raw(device, "wiki");
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: wiki.localhost\r\n{rest}").as_bytes());
        let is_it = |line: &serde_json::Value| line["path"] == path && line["decision"] == "allow";
        demo.decisions().line(is_it).expect("its decision");
        client
    };
    let device = Some("waiting");
    let mut clients = [
        ask(device, "GET", "/waiting", "\r\n"),
        ask(device, "POST", "/sending", "Content-Length: 1000000\r\n\r\nhello"),
        ask(
            device,
            "POST",
            "/in-chunks",
            "Transfer-Encoding: chunked\r\n\r\n100000\r\nhello",
        ),
        ask(device, "GET", "/socket", UPGRADE),
    ];
    let mut bobs = ask(BOB, "GET", "/bobs", "\r\n");

    demo.command(&["device", "deactivate", "waiting"]);

    for client in &mut clients {
        let answer = client.answer().map(|answer| (answer.status, answer.code()));
        assert_eq!(answer, Some((403, "device-deactivated".to_owned())));
        assert!(client.ends_within(BOUND).is_some());
    }
    assert_eq!(bobs.ends_within(AFTERWARDS), None, "control: another waits on");
    assert_eq!(demo.status(BOB, "wiki", "/after"), 200);
}

/// D-04: what waits for a connection to its application when the device is shut out never arrives there.
#[test]
fn a_request_that_waits_for_a_connection_never_arrives() {
    let server = FullServer::start();
    let demo = Demo::start_with_upstream(&server.url());
    demo.enroll("alice", "connecting");
    let ask = |device, path: &str| {
        let mut client = demo.raw(device, "wiki");
        client.send(format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").as_bytes());
        let is_it = |line: &serde_json::Value| line["path"] == path && line["decision"] == "allow";
        demo.decisions().line(is_it).expect("its decision");
        client
    };
    let mut client = ask(Some("connecting"), "/denied");
    let _bobs = ask(BOB, "/allowed");

    demo.command(&["device", "deactivate", "connecting"]);
    let arrived = server.serve();

    let answer = client.answer().map(|answer| (answer.status, answer.code()));
    assert!(answer.is_none_or(|answer| answer == (403, "device-deactivated".to_owned())));
    let has_arrived = |path: &str| arrived.lock().unwrap().iter().any(|head| head.contains(path));
    assert!(until(TRIED_AGAIN, || has_arrived("/allowed")), "control");
    assert!(!has_arrived("/denied"));
}

/// A server whose queue is full: whoever connects waits, and tries again after a second.
struct FullServer {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl FullServer {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        listener.set_nonblocking(false).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Self { listener, waiting }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Takes all that come from now on, and says what each sends first.
    fn serve(self) -> Arc<Mutex<Vec<String>>> {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let all = arrived.clone();
        drop(self.waiting);
        std::thread::spawn(move || {
            for mut connection in self.listener.incoming().flatten() {
                let all = all.clone();
                std::thread::spawn(move || {
                    let mut head = [0; 1024];
                    let length = connection.read(&mut head).unwrap_or_default();
                    all.lock()
                        .unwrap()
                        .push(String::from_utf8_lossy(&head[..length]).into_owned());
                });
            }
        });
        arrived
    }
}

/// When a connection that found no room is tried again, at the latest.
const TRIED_AGAIN: Duration = Duration::from_secs(10);

/// D-04: the record may be gone before anybody has looked for what was open on it.
#[test]
fn an_event_stream_is_cut_also_when_the_device_is_deleted_at_once() {
    let demo = DEMO.demo();
    let mut admin = demo.raw(NOBODY, "admin");
    let mut bobs = events(&demo, BOB);
    for number in 0..5 {
        let device = format!("deleted-{number}");
        demo.enroll("alice", &device);
        let id = demo.device_id(&device);
        let mut stream = events(&demo, Some(&device));

        let deactivate = command("POST", &format!("/api/v1/devices/{id}/lifecycle/deactivate"), &demo);
        let delete = command("DELETE", &format!("/api/v1/devices/{id}"), &demo);
        admin.send([deactivate, delete].concat().as_bytes());
        let statuses = [(); 2].map(|()| admin.answer().map(|answer| answer.status));

        assert_eq!(statuses, [Some(204); 2]);
        assert!(stream.ends_within(BOUND).is_some(), "the stream of {device} lives on");
    }
    assert!(bobs.wait_for("data:") && bobs.wait_for("data:"));
}

/// D-04, D-14: also cert-resume-vhost: the gateway hands out nothing to resume, and a resumption would not help.
#[test]
fn a_tls_session_cannot_be_resumed() {
    let demo = DEMO.demo();
    let identity = demo.enroll("alice", "resuming");
    let session = demo.scratch().join("session.pem");
    let (address, roots) = (demo.address().to_string(), demo.file("ca.pem"));
    let ask = |host: &str, more: &[&str]| {
        let (roots, certificate, key) = (
            roots.display().to_string(),
            identity.certificate.display().to_string(),
            identity.key.display().to_string(),
        );
        let fixed = ["s_client", "-connect", &address, "-servername", host, "-CAfile", &roots];
        let shown = ["-cert", &certificate, "-key", &key, "-ign_eof"];
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        openssl([&fixed[..], &shown, more].concat(), &request).text
    };
    let (out, into) = (
        ["-sess_out", session.to_str().unwrap()],
        ["-sess_in", session.to_str().unwrap()],
    );

    let before = ask("wiki.localhost", &out);
    demo.command(&["device", "deactivate", "resuming"]);
    let resumed = session.exists().then(|| ask("wiki.localhost", &into));
    let elsewhere = session.exists().then(|| ask("payroll.localhost", &into));
    let after = ask("wiki.localhost", &[]);

    assert!(before.contains("HTTP/1.1 200"), "{before}");
    assert!(
        after.contains("HTTP/1.1 403") && after.contains("device-deactivated"),
        "{after}"
    );
    for text in resumed.into_iter().chain(elsewhere) {
        assert!(!text.contains("Reused, ") && !text.contains("HTTP/1.1 200"), "{text}");
    }
}

/// D-14: the certificate is on the next CRL, which its own distribution point names. D-15: reactivation revives nothing.
#[test]
fn the_certificate_is_on_the_crl_and_stays_revoked_after_reactivation() {
    let demo = DEMO.demo();
    let identity = demo.enroll("alice", "listed");
    let serial = serial(&identity.certificate);
    assert!(
        !crl(&demo, &identity.certificate).contains(&serial),
        "listed before its time"
    );

    demo.command(&["device", "deactivate", "listed"]);
    let listed = until(BOUND, || crl(&demo, &identity.certificate).contains(&serial));
    demo.command(&["device", "activate", "listed"]);

    assert!(listed, "{serial} is not on the CRL");
    let answer = demo.curl(Some("listed"), &demo.url("wiki", "/"), &[]);
    assert_eq!((answer.status, answer.code().as_str()), (403, "certificate-revoked"));
}

/// D-15: on hold while the device is suspended, back with unsuspend, without a new enrolment.
#[test]
fn a_suspended_device_comes_back_with_its_certificate() {
    let demo = DEMO.demo();
    demo.enroll("alice", "resting");
    let device = Some("resting");
    let mut socket = demo.websocket(device, "wiki", None).unwrap();

    demo.command(&["device", "suspend", "resting"]);
    let suspended = demo.curl(device, &demo.url("wiki", "/"), &[]);
    let (end, _) = socket.end_within(BOUND);
    demo.command(&["device", "unsuspend", "resting"]);

    assert_eq!((suspended.status, suspended.code().as_str()), (403, "device-suspended"));
    assert_eq!(end, End::Closed(1008));
    assert_eq!(demo.status(device, "wiki", "/"), 200);
}

/// D-03: the cause is named whatever the policies would have said.
#[test]
fn deactivation_names_the_cause_and_no_certificate_is_still_401() {
    let demo = DEMO.demo();
    demo.enroll("bob", "named");
    assert_eq!(demo.status(Some("named"), "wiki", "/"), 200);

    demo.command(&["device", "deactivate", "named"]);

    assert_eq!(
        demo.curl(Some("named"), &demo.url("payroll", "/"), &[]).code(),
        "device-deactivated"
    );
    assert_eq!(demo.status(NOBODY, "payroll", "/"), 401);
}

/// An event stream of this device whose first event has come.
fn events(demo: &Demo, device: Option<&str>) -> RawClient {
    let mut client = demo.raw(device, "wiki");
    client.send(b"GET /events HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(client.wait_for("data:"));
    client
}

/// A call of the admin API without a body.
fn command(method: &str, path: &str, demo: &Demo) -> String {
    let token = demo.admin_token();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: admin.localhost\r\nAuthorization: SSWS {token}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn serial(certificate: &std::path::Path) -> String {
    let output = openssl(["x509", "-noout", "-serial", "-in", certificate.to_str().unwrap()], "");
    output.text.trim().trim_start_matches("serial=").to_owned()
}

/// The CRL, as `openssl crl` prints it, from the distribution point that the certificate names.
fn crl(demo: &Demo, certificate: &std::path::Path) -> String {
    let text = openssl(["x509", "-noout", "-text", "-in", certificate.to_str().unwrap()], "").text;
    let url = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("URI:http"))
        .expect("a distribution point");
    let answer = demo.curl(NOBODY, &format!("http{url}"), &[]);
    assert_eq!(answer.status, 200, "{url}: {}", answer.error);
    let file = demo.scratch().join(format!("{}.crl", serial(certificate)));
    std::fs::write(&file, &answer.body).unwrap();
    openssl(
        [
            "crl",
            "-inform",
            "DER",
            "-noout",
            "-text",
            "-in",
            file.to_str().unwrap(),
        ],
        "",
    )
    .text
}

const CLOSED_AREA: &str = "@id(\"wiki.closed-area\")\n@deny_reason(\"The area is closed.\")\n\
    forbid (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
    when { context.request.path like \"/area/*\" };\n\n@id(\"wiki.admin-pages\")";

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// Long enough to see that something else was cut, had it been.
const AFTERWARDS: Duration = Duration::from_millis(350);

/// Cutting is promised within milliseconds; a machine busy with other tests gets more.
const BOUND: Duration = Duration::from_secs(2);
