//! How does the front speak TLS: which versions, to whom, with which certificates, and who may take up how much of it?

use std::process::Command;
use std::time::Duration;

use latchkey_tests::curl::curl;
use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY};
use latchkey_tests::openssl::{OpensslOutput, openssl};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();

#[test]
fn tls_1_3_is_spoken_and_nothing_older_unless_configured() {
    let demo = Demo::start();
    assert!(connects(&demo, "-tls1_3"));
    assert!(!connects(&demo, "-tls1_2"));

    demo.configure("tls", "  minimum_version: 1.2");

    assert!(
        until(BOUND, || connects(&demo, "-tls1_2")),
        "TLS 1.2 is configured and not spoken"
    );
    assert!(!connects(&demo, "-tls1_1"));
}

#[test]
fn no_early_data_and_no_session_is_ever_offered() {
    let demo = DEMO.demo();

    let text = s_client(
        &demo,
        &["-tls1_3", "-ign_eof"],
        "GET / HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n\r\n",
    )
    .text;

    assert!(text.contains("HTTP/1.1 401"), "{text}");
    assert!(text.contains("Early data was not sent"), "{text}");
    assert!(
        !text.contains("New Session Ticket arrived") && !text.contains("TLS session ticket:"),
        "{text}"
    );
}

#[test]
fn each_host_asks_for_a_client_certificate_as_configured() {
    let demo = Demo::start();
    demo.edit(
        "latchkey.yaml",
        "- name: payroll\n",
        "- name: payroll\n    client_certificate: required\n",
    );
    demo.edit(
        "latchkey.yaml",
        "- name: vault\n",
        "- name: vault\n    client_certificate: off\n",
    );
    let status = |device, app| demo.status(device, app, "/");

    // Required: without one there is no HTTP at all.
    assert!(
        until(BOUND, || status(NOBODY, "payroll") == 0),
        "payroll still answers without a certificate"
    );
    // Off: the device has one and is never asked.
    assert!(until(BOUND, || status(ALICE, "vault") == 401), "vault still asks");

    assert_eq!((status(ALICE, "payroll"), status(BOB, "payroll")), (200, 403));
    assert_eq!((status(NOBODY, "wiki"), status(BOB, "wiki")), (401, 200));
}

#[test]
fn a_new_server_certificate_is_shown_without_a_restart_and_open_connections_live_on() {
    let demo = Demo::start();
    let mut kept = demo.raw(BOB, "wiki");
    assert_eq!(kept.get("wiki.localhost", "/").map(|answer| answer.status), Some(200));
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout new.key -out new.pem -days 7 \
        -subj '/CN=new' -addext 'subjectAltName=DNS:*.localhost,DNS:wiki.localhost,DNS:auth.localhost,DNS:admin.localhost,\
DNS:news.localhost,DNS:payroll.localhost,DNS:vault.localhost,DNS:device.localhost'";
    let made = Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(demo.scratch())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let new = demo.scratch().join("new.pem");

    std::fs::copy(demo.scratch().join("new.key"), demo.file("tls/server.key")).unwrap();
    std::fs::copy(&new, demo.file("tls/server.pem")).unwrap();

    let url = demo.url("wiki", "/");
    assert!(
        until(BOUND, || curl(&new, [&url]).status == 401),
        "{}",
        demo.process().output()
    );
    assert_eq!(
        curl(&demo.file("ca.pem"), [&url]).status,
        0,
        "the old certificate is still shown"
    );
    assert_eq!(kept.get("wiki.localhost", "/").map(|answer| answer.status), Some(200));
}

/// A stranger who opens connections and says nothing takes up a bounded share; everybody else goes on.
#[test]
fn handshakes_that_never_end_do_not_keep_others_out() {
    let demo = Demo::start();
    demo.configure("tls", "  handshake_timeout: 1s");
    assert!(
        until(BOUND, || demo.process().output().contains("taken over")),
        "{}",
        demo.process().output()
    );

    let silent: Vec<_> = (0..200)
        .map(|_| std::net::TcpStream::connect(demo.address()).unwrap())
        .collect();

    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
    drop(silent);
}

#[test]
fn health_and_metrics_are_on_a_listener_of_their_own() {
    let demo = DEMO.demo();
    let yaml = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    let address = yaml
        .lines()
        .find_map(|line| line.strip_prefix("metrics_listen: "))
        .unwrap();
    let operations = |path: &str| demo.curl(NOBODY, &format!("http://{address}{path}"), &[]).status;
    demo.status(ALICE, "wiki", "/");

    assert_eq!(
        (operations("/healthz"), operations("/readyz"), operations("/metrics")),
        (200, 200, 200)
    );
    assert!(
        demo.metric("latchkey_decisions_total")
            .is_some_and(|count| count >= 1.0)
    );
    for path in ["/healthz", "/metrics"] {
        assert_eq!(demo.status(NOBODY, "wiki", path), 401, "{path}");
    }
}

#[test]
fn a_device_certificate_is_no_server_certificate() {
    let demo = DEMO.demo();
    let (roots, certificate) = (
        demo.file("tls/device-ca.pem"),
        demo.identity("alice-laptop").certificate,
    );

    let fits = |purpose: &str| {
        let (roots, certificate) = (roots.to_str().unwrap(), certificate.to_str().unwrap());
        openssl(["verify", "-purpose", purpose, "-CAfile", roots, certificate], "").success
    };

    assert!(fits("sslclient") && !fits("sslserver"));
}

fn connects(demo: &Demo, version: &str) -> bool {
    // Debian's default security level leaves out what the old versions need.
    s_client(demo, &[version, "-cipher", "DEFAULT@SECLEVEL=0"], "Q\n").success
}

fn s_client(demo: &Demo, more: &[&str], input: &str) -> OpensslOutput {
    let (address, roots) = (demo.address().to_string(), demo.file("ca.pem").display().to_string());
    let fixed = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "wiki.localhost",
        "-CAfile",
        &roots,
    ];
    openssl([&fixed[..], more].concat(), input)
}

const BOUND: Duration = Duration::from_secs(10);
