//! What is left after `kill -9` at any moment? Everything that was acknowledged, and nothing by half.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::tls::Identity;
use serde_json::Value;

/// D-19: each round kills the gateway a little later within a storm of commands.
#[test]
fn after_a_kill_every_acknowledged_change_is_there_and_none_is_half_there() {
    let mut demo = Demo::start();
    let devices: Vec<String> = (0..ROUNDS * PER_ROUND).map(|index| format!("storm-{index}")).collect();
    for device in &devices {
        demo.enroll("bob", device);
    }
    let ids = ids(&demo);

    let mut acknowledged = Acknowledged::default();
    for (round, batch) in devices.chunks(PER_ROUND).enumerate() {
        acknowledged.add(storm(&mut demo, round, batch, &ids));
        demo.restart();
        for device in batch {
            check_device(&demo, device, &ids[device], acknowledged.devices.contains(device));
        }
        check_groups(&demo, &acknowledged.groups);
    }
    for device in &devices {
        check_device(&demo, device, &ids[device], acknowledged.devices.contains(device));
    }

    assert!(
        !acknowledged.devices.is_empty() && !acknowledged.groups.is_empty(),
        "no command was ever acknowledged"
    );
}

/// What was answered with success.
#[derive(Default)]
struct Acknowledged {
    devices: Vec<String>,
    groups: Vec<String>,
}

impl Acknowledged {
    fn add(&mut self, other: Self) {
        self.devices.extend(other.devices);
        self.groups.extend(other.groups);
    }
}

/// Sends commands from two clients at once until the gateway is killed, a little later in each round.
fn storm(demo: &mut Demo, round: usize, devices: &[String], ids: &BTreeMap<String, String>) -> Acknowledged {
    let over = AtomicBool::new(false);
    let mut acknowledged = Acknowledged::default();
    let (token, address, roots) = (demo.admin_token(), demo.address(), demo.file("ca.pem"));
    let client = || {
        let config = latchkey_tests::tls::client_config(&roots, None::<&Identity>, &["http/1.1"]);
        latchkey_tests::raw::RawClient::connect(address, "admin.localhost", config).unwrap()
    };
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: admin.localhost\r\nAuthorization: SSWS {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (mut first, mut second) = (client(), client());
    std::thread::scope(|scope| {
        let deactivating = scope.spawn(|| {
            let answered = |device: &&String| {
                first.send(post(&format!("/api/v1/devices/{}/lifecycle/deactivate", ids[*device]), "").as_bytes());
                first.answer().is_some_and(|answer| answer.status == 204)
            };
            devices.iter().take_while(answered).cloned().collect::<Vec<_>>()
        });
        let making = scope.spawn(|| {
            let mut made = Vec::new();
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("group-{round}-{number}");
                second.send(post("/api/v1/groups", &format!(r#"{{"profile": {{"name": "{name}"}}}}"#)).as_bytes());
                match second.answer() {
                    Some(answer) if answer.status < 300 => made.push(name),
                    Some(answer) => panic!("{name}: {} {}", answer.status, answer.text()),
                    None => break,
                }
            }
            made
        });
        let end = Instant::now() + FIRST + STEP * u32::try_from(round).unwrap();
        latchkey_tests::process::until(FIRST + STEP * 100, || Instant::now() >= end);
        demo.kill();
        over.store(true, Ordering::Relaxed);
        acknowledged.devices = deactivating.join().unwrap();
        acknowledged.groups = making.join().unwrap();
    });
    acknowledged
}

/// A device is deactivated with everything that entails, or active with everything it had.
fn check_device(demo: &Demo, device: &str, id: &str, must_be_deactivated: bool) {
    let status = demo.admin("GET", &format!("/api/v1/devices/{id}"), None).json()["status"].clone();
    let answer = demo.curl(Some(device), &demo.url("wiki", "/"), &[]);
    let users = demo
        .admin("GET", &format!("/api/v1/devices/{id}/users"), None)
        .json()
        .as_array()
        .unwrap()
        .len();
    let log = demo
        .admin("GET", &format!("/api/v1/logs?limit=1000&q={id}"), None)
        .json();
    let events = |kind: &str| {
        log.as_array()
            .unwrap()
            .iter()
            .filter(|event: &&Value| event["eventType"] == kind)
            .count()
    };
    let ended = [
        events("device.lifecycle.deactivate"),
        events("pki.cert.lifecycle.revoke"),
        events("device.user.remove"),
    ];
    if status == "DEACTIVATED" {
        assert_eq!(
            (answer.status, answer.code().as_str(), users),
            (403, "device-deactivated", 0),
            "{device}"
        );
        assert_eq!(ended, [1, 1, 1], "{device}");
    } else {
        assert!(!must_be_deactivated, "{device} was acknowledged and is {status}");
        assert_eq!((answer.status, users), (200, 1), "{device}");
        assert_eq!(ended, [0, 0, 0], "{device}");
    }
}

fn check_groups(demo: &Demo, names: &[String]) {
    let list = demo.command(&["group", "list", "--json"]).stdout;
    for name in names {
        assert!(
            list.contains(&format!("\"{name}\"")),
            "{name} was acknowledged and is gone"
        );
    }
    assert_eq!(demo.status(NOBODY, "wiki", "/"), 401);
}

fn ids(demo: &Demo) -> BTreeMap<String, String> {
    let list = demo.admin("GET", "/api/v1/devices?limit=200", None).json();
    let names = list.as_array().unwrap().iter().filter_map(|device| {
        Some((
            device["resourceDisplayName"]["value"].as_str()?.to_owned(),
            device["id"].as_str()?.to_owned(),
        ))
    });
    names.collect()
}

const ROUNDS: usize = 5;
const PER_ROUND: usize = 8;
const FIRST: Duration = Duration::from_millis(3);
const STEP: Duration = Duration::from_millis(7);
