//! How many devices enrol in a second on one core, and how many passwords are checked?

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use device_checks::wire::{AUTHENTICATE_PATH, BEGIN_PATH, FINISH_PATH};
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::device::{Device, Key};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use serde_json::{Value, json};

use crate::table::median;

/// Enrols so many devices in each round, from `begin` to the answer of `finish`; then signs in with passwords.
pub(crate) fn measure(program: &Path, enrolments: usize, rounds: usize) -> String {
    pin(GATEWAYS_CORE);
    let demo = Demo::of(program);
    pin(OTHER_CORE);
    let users: Vec<String> = (0..USERS).map(|index| format!("bench-{index}")).collect();
    let mut admin = demo.raw(NOBODY, "admin");
    for user in &users {
        make_user(&demo, &mut admin, user);
    }
    let (mut per_second, mut checks_per_second) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let prepared: Vec<Prepared> = (0..enrolments)
            .map(|index| {
                Prepared::of(
                    &demo,
                    &mut admin,
                    &users[index % users.len()],
                    &format!("r{round}-{index}"),
                )
            })
            .collect();
        let enrolled = at_once(&demo, prepared, |client, prepared| {
            drop(enroll(&demo, client, prepared))
        });
        let passwords = users.iter().cycle().take(CHECKS).cloned().collect();
        let checked = at_once(&demo, passwords, |client, user| check(&demo, client, user));
        per_second.push(enrolled);
        checks_per_second.push(checked);
        eprintln!("round {round} of {rounds}: {enrolled:.0} enrolments/s, {checked:.1} password checks/s");
    }
    format!(
        "Enrolments from begin to finish, token in hand, software keys, durable: {:.0} a second on one core\n\
         ({enrolments} in each of {rounds} rounds by {CLIENTS} clients, {USERS} users).\n\
         Password checks (argon2id): {:.1} a second on that core.",
        median(&per_second),
        median(&checks_per_second),
    )
}

/// A device with everything that it needs no answer for.
pub(crate) struct Prepared {
    pub(crate) device: Device,
    token: String,
    name: String,
    request: String,
}

impl Prepared {
    /// One of this user's.
    pub(crate) fn of(demo: &Demo, admin: &mut RawClient, user: &str, name: &str) -> Self {
        let made = call(
            demo,
            admin,
            "POST",
            &format!("/api/v1/users/{user}/enrollment-tokens"),
            "{}",
        );
        let device = Device::default();
        Self {
            request: request(&device.possession),
            device,
            token: made["token"].as_str().expect("a token").to_owned(),
            name: name.to_owned(),
        }
    }
}

/// A certificate request, made here: a process of `openssl` for each would take longer than all else.
fn request(key: &Key) -> String {
    let pair = rcgen::KeyPair::from_pem(&key.pem()).expect("a key");
    let made = rcgen::CertificateParams::default().serialize_request(&pair);
    made.and_then(|request| request.pem()).expect("a request")
}

/// Does this for each of the things, by several clients on connections that they keep; how many a second.
pub(crate) fn at_once<T: Send>(demo: &Demo, things: Vec<T>, each: impl Fn(&mut RawClient, &T) + Sync) -> f64 {
    let count = things.len();
    let waiting = Mutex::new(things);
    let mut clients: Vec<RawClient> = (0..CLIENTS).map(|_| demo.raw(NOBODY, "auth")).collect();
    let (waiting, each) = (&waiting, &each);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().expect("no client panicked").pop();
                    let Some(next) = next else { break };
                    each(client, &next);
                }
            });
        }
    });
    rate(count, begun.elapsed())
}

/// Enrols it; what the gateway answered.
pub(crate) fn enroll(demo: &Demo, client: &mut RawClient, prepared: &Prepared) -> Value {
    let Prepared {
        device,
        token,
        name,
        request,
    } = prepared;
    let begun = step(demo, client, device, BEGIN_PATH, Some(token), &device.beginning(name));
    let ending = device.ending_with(demo, &begun, request);
    let enrolled = step(demo, client, device, FINISH_PATH, Some(token), &ending);
    assert!(enrolled["certificate"].is_string(), "{enrolled}");
    enrolled
}

fn check(demo: &Demo, client: &mut RawClient, user: &str) {
    let device = Device::default();
    let body = json!({ "username": user, "password": PASSWORD, "instanceKey": device.instance.public() });
    let answer = step(demo, client, &device, AUTHENTICATE_PATH, None, &body);
    assert!(answer["status"].is_string(), "{answer}");
}

fn step(demo: &Demo, client: &mut RawClient, device: &Device, path: &str, token: Option<&str>, body: &Value) -> Value {
    let body = body.to_string();
    let mut fields = format!("Instance-Proof: {}\r\n", device.proof(demo, path, token, &body));
    if let Some(token) = token {
        fields += &format!("Authorization: Bearer {token}\r\n");
    }
    send(demo, client, "auth", &format!("POST {path}"), &fields, &body)
}

pub(crate) fn make_user(demo: &Demo, admin: &mut RawClient, user: &str) {
    let profile = json!({ "profile": { "login": user, "email": "someone@example.com" } }).to_string();
    call(demo, admin, "POST", "/api/v1/users?activate=true", &profile);
    let password = json!({ "password": PASSWORD }).to_string();
    call(demo, admin, "PUT", &format!("/api/v1/users/{user}/password"), &password);
}

/// Calls the admin API.
pub(crate) fn call(demo: &Demo, admin: &mut RawClient, method: &str, path: &str, body: &str) -> Value {
    let fields = format!("Authorization: SSWS {}\r\n", demo.admin_token());
    send(demo, admin, "admin", &format!("{method} {path}"), &fields, body)
}

/// The JSON of a successful answer.
fn send(demo: &Demo, client: &mut RawClient, app: &str, what: &str, fields: &str, body: &str) -> Value {
    let host = format!("{}:{}", host(app), demo.address().port());
    let length = body.len();
    client.send(
        format!("{what} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
            .as_bytes(),
    );
    let answer = client.answer().expect("an answer");
    let text = String::from_utf8_lossy(&answer.body);
    assert!((200..300).contains(&answer.status), "{what}: {} {text}", answer.status);
    serde_json::from_str(&text).unwrap_or_default()
}

pub(crate) fn rate(count: usize, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).expect("a small number")) / elapsed.as_secs_f64()
}

/// Puts this program, and what it starts from now on, on one core.
pub(crate) fn pin(core: &str) {
    pin_process(core, std::process::id());
}

/// Puts a process with all its threads on some cores.
pub(crate) fn pin_process(cores: &str, process: u32) {
    let pin = || {
        let pinned = Command::new("taskset")
            .args(["-a", "-c", "-p", cores, &process.to_string()])
            .output();
        pinned.expect("taskset is installed").status.success()
    };
    // A thread that ends meanwhile makes it fail.
    assert!(until(BOUND, pin), "the process {process} is pinned");
}

pub(crate) const GATEWAYS_CORE: &str = "0";
pub(crate) const OTHER_CORE: &str = "1";
const BOUND: Duration = Duration::from_secs(10);
const CLIENTS: usize = 16;
const USERS: usize = 50;
const CHECKS: usize = 100;
const PASSWORD: &str = "correct horse battery";
