//! How many people sign in with their devices in a second on one core, how long does one wait, and what do sessions cost?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::device::{Device, now, random};
use latchkey_tests::process::{Process, until};
use latchkey_tests::raw::RawClient;
use serde_json::{Value, json};

use crate::enrolling::{GATEWAYS_CORE, OTHER_CORE, Prepared, at_once, call, enroll, pin, rate};
use crate::fronts::on_core;
use crate::table::median;
use crate::{Arguments, security_keys};

/// Signs in on one core, over connections that are kept; then measures a long row of sessions, and what a cookie costs.
pub(crate) fn measure(arguments: &Arguments, load: &Path) -> String {
    pin(GATEWAYS_CORE);
    let demo = Demo::of(&arguments.latchkey);
    pin(OTHER_CORE);
    let devices = devices(&demo, arguments.sessions.div_ceil(SESSIONS_EACH).max(DEVICES));
    let mut per_second = Vec::new();
    for round in 1..=arguments.rounds {
        let measured = sign_in_many(&demo, &devices, arguments.sign_ins, usize::MAX - round);
        eprintln!("round {round} of {}: {measured:.0} sign-ins/s", arguments.rounds);
        per_second.push(measured);
    }
    let by_keys = security_keys::measure(&demo, arguments);
    let before = resident(demo.process());
    let made = rounds_of_sessions(&demo, &devices, arguments.sessions);
    let after = resident(demo.process());
    let (by_cookie, by_certificate) = compare(&demo, load, arguments, &devices);
    let waited = latency(&arguments.latchkey);
    format!(
        "FastPass sign-ins, from the application's first answer to its page, durable: {:.0} a second on one core\n\
         ({} in each of {} rounds by {CLIENTS} clients over kept connections, {} devices).\n\
         {by_keys}\n\
         Sessions: {made} cost {:.0} MB, {:.1} KB each (resident memory of the gateway: {:.0} MB, then {:.0} MB).\n\
         Requests with a session cookie: {:.2} x the rate of those with a certificate ({:.0}/s against {:.0}/s, interleaved).\n\
         Username posted to application open, silent, one agent, nothing else running: p50 {:.1} ms, p95 {:.1} ms of {LATENCIES}.",
        median(&per_second),
        arguments.sign_ins,
        arguments.rounds,
        devices.len(),
        (after - before) / 1e6,
        (after - before) / 1e3 / f64::from(u32::try_from(made).unwrap_or(u32::MAX)),
        before / 1e6,
        after / 1e6,
        median(&by_cookie) / median(&by_certificate),
        median(&by_cookie),
        median(&by_certificate),
        quantile(&waited, 50).as_secs_f64() * 1e3,
        quantile(&waited, 95).as_secs_f64() * 1e3,
    )
}

/// So many users with a device each.
pub(crate) fn devices(demo: &Demo, count: usize) -> Vec<Device> {
    let mut admin = demo.raw(NOBODY, "admin");
    let employees = call(demo, &mut admin, "GET", "/api/v1/groups?q=employees", "");
    let group = employees[0]["id"].as_str().expect("the group").to_owned();
    let prepared: Vec<Prepared> = (0..count)
        .map(|index| {
            let user = format!("signer-{index}");
            let profile = json!({ "profile": { "login": user, "email": "someone@example.com" } }).to_string();
            let made = call(demo, &mut admin, "POST", "/api/v1/users?activate=true", &profile);
            let id = made["id"].as_str().expect("an id");
            call(
                demo,
                &mut admin,
                "PUT",
                &format!("/api/v1/groups/{group}/users/{id}"),
                "",
            );
            Prepared::of(demo, &mut admin, &user, &format!("{user}-laptop"))
        })
        .collect();
    let enrolled = Mutex::new(Vec::new());
    at_once(
        demo,
        prepared.into_iter().map(|one| Mutex::new(Some(one))).collect(),
        |client, slot| {
            let prepared = slot.lock().expect("nobody panicked").take().expect("once");
            let answer = enroll(demo, client, &prepared);
            let device = Device {
                enrolled: answer,
                ..prepared.device
            };
            enrolled.lock().expect("nobody panicked").push(device);
        },
    );
    enrolled.into_inner().expect("nobody panicked")
}

/// Signs in so often, by several clients; how many a second.
fn sign_in_many(demo: &Demo, devices: &[Device], count: usize, seed: usize) -> f64 {
    let waiting = Mutex::new(0..count);
    let waiting = &waiting;
    let mut clients: Vec<(RawClient, RawClient)> = (0..CLIENTS)
        .map(|_| (demo.raw(NOBODY, "auth"), demo.raw(NOBODY, "wiki")))
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for (auth, wiki) in &mut clients {
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().expect("no client panicked").next();
                    let Some(next) = next else { break };
                    sign_in(demo, (auth, wiki), &devices[(next ^ (seed % 7)) % devices.len()]);
                }
            });
        }
    });
    rate(count, begun.elapsed())
}

fn rounds_of_sessions(demo: &Demo, devices: &[Device], count: usize) -> usize {
    sign_in_many(demo, devices, count, 0);
    count
}

/// One sign-in, as the browser and the device together make it; the cookie of the application's host.
fn sign_in(demo: &Demo, (auth, wiki): (&mut RawClient, &mut RawClient), device: &Device) -> String {
    let sent = ask(demo, wiki, "wiki", "GET /", &["Accept: text/html"], "");
    let (location, binding) = (header(&sent, "location"), cookie(&sent));
    let page = ask(
        demo,
        auth,
        "auth",
        &format!("GET {}", path(&location)),
        &["Accept: text/html"],
        "",
    );
    let (state, browser) = (state(&page.text), format!("Cookie: {}", cookie(&page)));
    let question = json!({ "state": state, "verify": false }).to_string();
    let fields = [browser.as_str(), JSON];
    let asked = ask(demo, auth, "auth", "POST /sign-in/device/challenge", &fields, &question).json();
    let challenge = claims(asked["challenge"].as_str().expect("a challenge"));
    let answer = device
        .possession
        .sign("latchkey-answer+jwt", &answer_to(demo, device, &challenge));
    let answer = json!({ "attempt": asked["attempt"], "answer": answer }).to_string();
    ask(demo, auth, "auth", "POST /agent/v1/answers", &[JSON], &answer);
    let finish = json!({ "state": state, "attempt": asked["attempt"] }).to_string();
    let finished = ask(demo, auth, "auth", "POST /sign-in/device/finish", &fields, &finish).json();
    let next = finished["next"].as_str().expect("where to go").to_owned();
    let fields = format!("Cookie: {binding}");
    let admitted = ask(demo, wiki, "wiki", &format!("GET {}", path(&next)), &[&fields], "");
    let session = cookie(&admitted);
    let opened = ask(demo, wiki, "wiki", "GET /", &[&format!("Cookie: {session}")], "");
    assert_eq!(opened.status, 200, "{}", opened.text);
    session
}

fn answer_to(demo: &Demo, device: &Device, challenge: &Value) -> Value {
    json!({
        "iss": device.enrolled["enrollment"],
        "aud": demo.url("auth", ""),
        "sub": device.enrolled["user"],
        "iat": now(),
        "exp": now() + 60,
        "jti": random(),
        "tx": challenge["jti"],
        "nonce": challenge["nonce"],
        "amr": ["fpt"],
        "keyType": "proofOfPossession",
        "origin": challenge["origin"],
        "outcome": "approved",
        "signals": {},
        "management": [],
    })
}

/// Requests a second with a cookie and with a certificate, in turn.
fn compare(demo: &Demo, load: &Path, arguments: &Arguments, devices: &[Device]) -> (Vec<f64>, Vec<f64>) {
    let mut clients = (demo.raw(NOBODY, "auth"), demo.raw(NOBODY, "wiki"));
    let device = devices.first().expect("a device");
    let session = sign_in(demo, (&mut clients.0, &mut clients.1), device);
    let identity = demo.identity("bob-laptop");
    let run = |extra: &[&std::ffi::OsStr]| {
        let output = on_core(OTHER_CORE, load)
            .args(["--address", &demo.address().to_string(), "--host", "wiki.localhost"])
            .args(["--mode", "keep-alive", "--seconds", &arguments.seconds.to_string()])
            .args(["--connections", &arguments.connections.to_string(), "--roots"])
            .arg(demo.file("ca.pem"))
            .args(extra)
            .output()
            .expect("the load generator starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let counted: Value = serde_json::from_str(&text).expect("one line of JSON");
        counted["requests_per_second"].as_f64().expect("a number")
    };
    let (mut by_cookie, mut by_certificate) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        by_cookie.push(run(&["--cookie".as_ref(), session.as_ref()]));
        by_certificate.push(run(&[
            "--certificate".as_ref(),
            identity.certificate.as_os_str(),
            "--key".as_ref(),
            identity.key.as_os_str(),
        ]));
        let (cookie, certificate) = (by_cookie[round - 1], by_certificate[round - 1]);
        eprintln!("round {round}: {cookie:.0}/s with a cookie, {certificate:.0}/s with a certificate");
    }
    (by_cookie, by_certificate)
}

/// How long a person waits whose device answers silently, through the real agent.
fn latency(program: &Path) -> Vec<Duration> {
    let demo = Demo::with_agents_of(program);
    let mut command = std::process::Command::new(program.with_file_name("latchkey-agent"));
    command.args(["run", "--state"]).arg(demo.file("agents/alice-laptop"));
    let agent = Process::start(&mut command);
    let listens = || agent.output().contains("listening on the loopback");
    assert!(until(Duration::from_secs(20), listens), "{}", agent.output());
    let port = *demo
        .loopback_ports()
        .iter()
        .find(|port| TcpStream::connect(("127.0.0.1", **port)).is_ok())
        .expect("the agent listens");
    let (mut auth, mut payroll) = (demo.raw(NOBODY, "auth"), demo.raw(NOBODY, "payroll"));
    (0..LATENCIES)
        .map(|_| one_wait(&demo, &mut auth, &mut payroll, port))
        .collect()
}

fn one_wait(demo: &Demo, auth: &mut RawClient, payroll: &mut RawClient, port: u16) -> Duration {
    let sent = ask(demo, payroll, "payroll", "GET /", &["Accept: text/html"], "");
    let (location, binding) = (header(&sent, "location"), cookie(&sent));
    let page = ask(
        demo,
        auth,
        "auth",
        &format!("GET {}", path(&location)),
        &["Accept: text/html"],
        "",
    );
    let (first, browser) = (state(&page.text), format!("Cookie: {}", cookie(&page)));
    let begun = Instant::now();
    let form = format!("state={first}&username=alice");
    let fields = [browser.as_str(), "Content-Type: application/x-www-form-urlencoded"];
    let sent = ask(demo, auth, "auth", "POST /sign-in/user", &fields, &form);
    let page = ask(
        demo,
        auth,
        "auth",
        &format!("GET {}", path(&header(&sent, "location"))),
        &[&browser],
        "",
    );
    let state = match page.text.contains("/sign-in/device?") {
        // The ways are offered: the person takes the first.
        true => between(&page.text, "/sign-in/device?state=", "\""),
        false => state(&page.text),
    };
    loopback(demo, port, "GET", "/probe", "");
    let question = json!({ "state": state, "verify": false }).to_string();
    let fields = [browser.as_str(), JSON];
    let asked = ask(demo, auth, "auth", "POST /sign-in/device/challenge", &fields, &question).json();
    let handed = json!({ "challengeRequest": asked["challenge"] }).to_string();
    let answered = loopback(demo, port, "POST", "/challenge", &handed);
    assert!(answered.contains("\"approved\":true"), "{answered}");
    let finish = json!({ "state": state, "attempt": asked["attempt"] }).to_string();
    let finished = ask(demo, auth, "auth", "POST /sign-in/device/finish", &fields, &finish).json();
    let next = finished["next"].as_str().expect("where to go").to_owned();
    let admitted = ask(
        demo,
        payroll,
        "payroll",
        &format!("GET {}", path(&next)),
        &[&format!("Cookie: {binding}")],
        "",
    );
    let opened = ask(
        demo,
        payroll,
        "payroll",
        "GET /",
        &[&format!("Cookie: {}", cookie(&admitted))],
        "",
    );
    assert_eq!(opened.status, 200, "{}", opened.text);
    begun.elapsed()
}

/// What the agent answers to a page of the auth host.
fn loopback(demo: &Demo, port: u16, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the agent listens");
    let origin = demo.url("auth", "");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\n{JSON}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("the agent reads");
    let mut text = String::new();
    let _ended = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
    text
}

pub(crate) struct Told {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).expect("JSON")
    }
}

pub(crate) fn ask(demo: &Demo, client: &mut RawClient, app: &str, what: &str, fields: &[&str], body: &str) -> Told {
    let (host, length) = (format!("{}:{}", host(app), demo.address().port()), body.len());
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("{what} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    client.send(request.as_bytes());
    let answer = client.answer().expect("an answer");
    Told {
        status: answer.status,
        fields: answer.headers.clone(),
        text: String::from_utf8_lossy(&answer.body).into_owned(),
    }
}

pub(crate) fn header(told: &Told, name: &str) -> String {
    let found = told.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
    found
        .map(|(_, value)| value.clone())
        .unwrap_or_else(|| panic!("no {name}: {} {}", told.status, told.text))
}

/// The last cookie that was set, as a browser sends it.
pub(crate) fn cookie(told: &Told) -> String {
    let set = told
        .fields
        .iter()
        .rfind(|(field, _)| field.eq_ignore_ascii_case("set-cookie"));
    let (_, value) = set.unwrap_or_else(|| panic!("no cookie: {} {}", told.status, told.text));
    value.split(';').next().unwrap_or_default().to_owned()
}

pub(crate) fn path(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    rest.find('/')
        .map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned())
}

pub(crate) fn state(page: &str) -> String {
    match page.contains("name=\"state\" value=\"") {
        true => between(page, "name=\"state\" value=\"", "\""),
        false => between(page, "&quot;state&quot;:&quot;", "&quot;"),
    }
}

pub(crate) fn between(text: &str, before: &str, after: &str) -> String {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    let end = text[start..].find(after).expect("an end") + start;
    text[start..end].to_owned()
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .expect("base64url");
    serde_json::from_slice(&payload).expect("claims")
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(process: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("/proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024.0
}

pub(crate) fn quantile(durations: &[Duration], percent: usize) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

pub(crate) const JSON: &str = "Content-Type: application/json";
pub(crate) const CLIENTS: usize = 16;
const DEVICES: usize = 200;
const SESSIONS_EACH: usize = 90;
const LATENCIES: usize = 200;
