//! Whom does the agent answer on the loopback? Pages of the pinned auth host, in the same user's browser, and nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use serde_json::json;
use support::agent::Agent;
use support::gateway::FakeGateway;
use support::page::{Heard, Page, free_ports};
use support::service::Service;

/// S-04: on each of the ports, whichever of them is the first that is free.
#[test]
fn an_agent_is_found_on_each_of_the_ports() {
    let (gateway, agent) = enrolled();
    let ports = gateway.ports();
    for taken in 0..ports.len() {
        let others = taken_by_others(&ports[..taken]);

        let (service, page) = Service::start(&agent, &gateway, None);

        assert_eq!(page.port, ports[taken]);
        let probed = page.get("/probe");
        assert_eq!(probed.json(), json!({ "version": 1, "enrolling": false }));
        assert_eq!(page.challenge(&gateway.challenge(&json!({}))).status, 200);
        assert!(TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), page.port)).is_err());
        drop((service, others));
    }
}

/// S-03: without a port the rounds go on, and the next port that is free is taken.
#[test]
fn an_agent_without_a_port_says_so_and_goes_on() {
    let (gateway, agent) = enrolled();
    let others = taken_by_others(&gateway.ports());
    let mut service = Service::spawn(&agent, &["run"], |_| {});
    service.wait_for("all its ports are taken");
    service.wait_for("reported");

    drop(others);

    assert_eq!(service.page(&gateway).get("/probe").status, 200);
}

/// A start without the gateway knows the ports; once it is heard, others that it publishes are taken.
#[test]
fn the_ports_that_the_gateway_publishes_are_remembered() {
    let (gateway, agent) = enrolled();
    let (before, after) = (gateway.ports(), free_ports(1));
    gateway.behave(|behaviour| behaviour.refuses = Some(("/.well-known/", 503, "E0000009")));
    let mut service = Service::spawn(&agent, &["run"], |_| {});
    let page = service.page(&gateway);
    assert_eq!(page.port, before[0]);
    assert_eq!(page.get("/probe").status, 200);
    service.stop();
    gateway.behave(|behaviour| (behaviour.refuses, behaviour.ports) = (None, after.clone()));

    let mut service = Service::spawn(&agent, &["run"], |_| {});

    let mut page = service.page(&gateway);
    if page.port != after[0] {
        page = service.page(&gateway);
    }
    assert_eq!(page.port, after[0]);
    assert_eq!(page.get("/probe").status, 200);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, before[0])).is_err());
}

/// a name that was made to lead to 127.0.0.1 learns nothing, whatever else is right.
#[test]
fn a_page_under_another_name_is_refused() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);
    let token = json!({ "challengeRequest": gateway.challenge(&json!({})) }).to_string();
    let (port, origin) = (page.port, gateway.url());
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let before = gateway.answers().len();
    for host in [
        String::new(),
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: localhost:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("Host: 127.0.0.1:{}\r\n", port + 1),
        own.repeat(2),
    ] {
        let fields = format!("{host}Origin: {origin}\r\nContent-Type: application/json\r\n");
        for heard in [
            page.send("GET", "/probe", &fields, ""),
            page.send("POST", "/challenge", &fields, &token),
            page.send("OPTIONS", "/challenge", &fields, ""),
        ] {
            assert!(heard.status == 403 && heard.is_silent(), "{host}: {heard:?}");
        }
    }
    let absolute = page.send("GET", "http://evil.example/probe", &page.fields(), "");
    assert!(absolute.status == 403 && absolute.is_silent(), "{absolute:?}");
    assert_eq!(gateway.answers().len(), before);

    assert_eq!(page.get("/probe").status, 200);
    let fields = format!("{own}Origin: {origin}\r\nContent-Type: application/json\r\n");
    assert_eq!(page.send("POST", "/challenge", &fields, &token).status, 200);
}

/// another user's process hears the same whatever it asks, and nothing is signed for it.
#[test]
fn another_users_process_is_turned_away() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);
    let token = json!({ "challengeRequest": gateway.challenge(&json!({})) }).to_string();
    let (origin, json) = (format!("Origin: {}", page.origin), "Content-Type: application/json");
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", page.port);
    let asks = [
        vec!["-H".to_owned(), origin.clone(), url("/probe")],
        vec![url("/probe")],
        vec![url("/nothing")],
        vec![
            "-X".to_owned(),
            "OPTIONS".to_owned(),
            "-H".to_owned(),
            origin.clone(),
            url("/challenge"),
        ],
        [
            &["-H", &origin, "-H", json, "-d", &token].map(str::to_owned)[..],
            &[url("/challenge")],
        ]
        .concat(),
    ];
    let before = gateway.answers().len();

    let heard: Vec<Heard> = asks.iter().map(|ask| curl(&STRANGER, ask)).collect();

    for heard in &heard {
        assert_eq!(heard, &heard_by_strangers(), "{heard:?}");
    }
    assert_eq!(gateway.answers().len(), before);
    assert_eq!(curl(&[], &asks[0]).status, 200, "control: the user's own");
    assert_eq!(curl(&[], &asks[4]).status, 200, "control: the user's own");
}

/// P-14, P-19: missing, null, look-alike, another port, http; for /probe and the preflight as for a challenge.
#[test]
fn a_page_of_another_origin_is_refused() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);
    let issuer = gateway.url();
    let other_port = issuer.rsplit_once(':').unwrap().0.to_owned() + ":1";
    for origins in [
        vec![],
        vec!["null".to_owned()],
        vec![issuer.replace("auth.localhost", "auth.localhost.evil.example")],
        vec![other_port],
        vec![issuer.replace("https", "http")],
        vec![issuer.clone(), issuer.clone()],
        vec![issuer.clone() + "/"],
        vec![issuer.to_uppercase()],
    ] {
        let fields: String = origins.iter().map(|origin| format!("Origin: {origin}\r\n")).collect();
        let fields = format!(
            "Host: 127.0.0.1:{}\r\n{fields}Content-Type: application/json\r\n",
            page.port
        );
        for (method, path) in [
            ("GET", "/probe"),
            ("POST", "/challenge"),
            ("OPTIONS", "/challenge"),
            ("GET", "/x"),
        ] {
            let heard = page.send(method, path, &fields, "{}");
            assert!(
                heard.status == 403 && heard.is_silent(),
                "{origins:?} {path}: {heard:?}"
            );
        }
    }
    assert_eq!(page.get("/probe").status, 200);
}

#[test]
fn a_page_of_the_auth_host_may_read_what_it_asks_for() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);

    let fields =
        page.fields() + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
    let preflight = page.send("OPTIONS", "/challenge", &fields, "");
    let private = page.send(
        "OPTIONS",
        "/challenge",
        &(fields + "Access-Control-Request-Private-Network: true\r\n"),
        "",
    );
    let probed = page.get("/probe");

    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type"));
    assert_eq!(preflight.header("access-control-allow-private-network"), None);
    assert_eq!(private.header("access-control-allow-private-network"), Some("true"));
    for heard in [preflight, private, probed] {
        assert_eq!(
            heard.header("access-control-allow-origin"),
            Some(gateway.url().as_str())
        );
        assert_eq!(heard.header("access-control-allow-credentials"), None);
        assert_eq!(heard.header("vary"), Some("Origin"));
        assert_eq!(heard.header("cache-control"), Some("no-store"));
        assert_eq!(heard.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(heard.header("cross-origin-resource-policy"), Some("same-origin"));
    }
}

#[test]
fn what_is_not_of_the_protocol_is_refused() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);
    let plain = page.fields() + "Content-Type: text/plain\r\n";
    let token = json!({ "challengeRequest": gateway.challenge(&json!({})) });
    let before = gateway.answers().len();

    assert_eq!(page.send("POST", "/challenge", &plain, &token.to_string()).status, 415);
    assert_eq!(
        page.post("/challenge", &json!({ "challengeRequest": "x".repeat(70_000) }))
            .status,
        413
    );
    assert_eq!(page.get("/nothing").status, 404);
    assert_eq!(page.get("/enroll/status").status, 404);
    assert_eq!(page.get("/challenge").status, 405);
    for wrong in [json!({}), json!([]), json!({ "challengeRequest": 1 })] {
        let heard = page.post("/challenge", &wrong);
        assert_eq!(
            (heard.status, heard.json()["error"].as_str()),
            (400, Some("bad-challenge")),
            "{wrong}"
        );
    }
    let more = json!({ "challengeRequest": token["challengeRequest"], "more": 1 });
    assert_eq!(page.post("/challenge", &more).status, 400);
    assert_eq!(gateway.answers().len(), before);
    assert_eq!(page.post("/challenge", &token).status, 200);
}

/// A connection that asks for nothing is closed, and others are answered meanwhile.
#[test]
fn a_connection_that_says_nothing_whole_is_closed() {
    let (gateway, agent) = enrolled();
    let (_service, page) = Service::start(&agent, &gateway, None);
    let idle: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, page.port)).unwrap())
        .collect();
    for mut stream in &idle {
        std::io::Write::write_all(&mut stream, b"GET /probe HTTP/1.1\r\nHost: ").unwrap();
    }
    assert_eq!(page.get("/probe").status, 200);

    let mut said = String::new();
    std::io::Read::read_to_string(&mut &idle[0], &mut said).unwrap();

    assert!(!said.contains("200"), "{said}");
}

/// Of two agents on one machine each answers pages of its own organisation alone.
#[test]
fn two_agents_on_one_machine_do_not_answer_for_each_other() {
    let ports = free_ports(2);
    let both = [(); 2].map(|()| FakeGateway::start());
    let services: Vec<_> = both
        .iter()
        .map(|gateway| {
            gateway.behave(|behaviour| behaviour.ports.clone_from(&ports));
            let agent = Agent::new();
            agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
            let (service, page) = Service::start(&agent, gateway, None);
            (agent, service, page)
        })
        .collect();

    for (index, gateway) in both.iter().enumerate() {
        let (own, other) = (&services[index].2, &services[1 - index].2);
        assert_eq!(own.port, ports[index]);
        let page = Page {
            port: other.port,
            origin: gateway.url(),
        };
        assert_eq!(page.get("/probe").status, 403);
        assert_eq!(own.get("/probe").status, 200);
        assert_eq!(own.challenge(&gateway.challenge(&json!({}))).status, 200);
    }
}

#[test]
fn the_doctor_says_whether_an_agent_answers_pages() {
    let (gateway, agent) = enrolled();
    let says = || {
        let doctor = agent.run(&["doctor"]);
        let flat = doctor.out.split_whitespace().collect::<Vec<_>>().join(" ");
        (doctor.code, flat)
    };
    let without = says();
    assert!(
        without.0 == 0 && without.1.contains("- loopback: no agent answers"),
        "{without:?}"
    );

    let (service, page) = Service::start(&agent, &gateway, None);
    let with = says();
    assert!(
        with.0 == 0
            && with
                .1
                .contains(&format!("ok loopback: an agent answers on port {}", page.port)),
        "{with:?}"
    );

    service.stop();
    let _others = taken_by_others(&gateway.ports());
    let taken = says();
    assert!(
        taken.0 == 1 && taken.1.contains("WRONG loopback: others have all its ports"),
        "{taken:?}"
    );
}

fn enrolled() -> (FakeGateway, Agent) {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    (gateway, agent)
}

/// Ports on which something else listens.
fn taken_by_others(ports: &[u16]) -> Vec<TcpListener> {
    let listen = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap();
    ports.iter().map(listen).collect()
}

/// Asks by curl, which is started by this.
fn curl(by: &[&str], words: &[String]) -> Heard {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
    let by = if is_root || by.is_empty() {
        by.to_vec()
    } else {
        [&["sudo", "-n"], by].concat()
    };
    let curl = [
        "curl",
        "--silent",
        "--show-error",
        "--include",
        "--max-time",
        "60",
        "--noproxy",
        "*",
    ];
    let all: Vec<&str> = by
        .into_iter()
        .chain(curl)
        .chain(words.iter().map(String::as_str))
        .collect();
    let done = Command::new(all[0]).args(&all[1..]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    Heard::parse(&String::from_utf8(done.stdout).unwrap())
}

fn heard_by_strangers() -> Heard {
    Heard::parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// Starts a program as a user who has nothing to do with this one.
const STRANGER: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
