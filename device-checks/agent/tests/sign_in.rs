//! What does the agent do with a challenge that a page hands on? It answers the gateway with the key that was asked for, once
//! whoever has to be asked said yes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use device_checks::wire::{AttemptId, OrganizationId, Signal};
use device_checks::{Amr, Answer, KeyType, Outcome};
use serde_json::{Value, json};
use support::agent::Agent;
use support::gateway::FakeGateway;
use support::page::Page;
use support::service::Service;

/// P-08: possession is proved without a word, by the possession key, with the facts that were asked for.
#[test]
fn a_challenge_that_asks_for_possession_is_answered_silently() {
    let (gateway, agent) = enrolled(None);
    let (service, page) = Service::start(&agent, &gateway, None);

    let heard = page.challenge(&gateway.challenge(&asks("NONE", "DISCOURAGED")));

    assert_eq!((heard.status, heard.json()), (200, json!({ "approved": true })));
    let answer = last(&gateway);
    assert_eq!(
        (answer.outcome, answer.key_type),
        (Outcome::Approved, KeyType::ProofOfPossession)
    );
    assert_eq!(answer.amr, [Amr::Fpt]);
    assert_eq!(answer.origin, gateway.url());
    assert!(answer.signals.signals().any(|signal| signal == Signal::Kernel));
    assert!(
        answer
            .signals
            .signals()
            .all(|signal| [Signal::Kernel, Signal::Tpm].contains(&signal))
    );
    assert!(service.stop().contains("answered a challenge"));
}

/// P-13: whatever is wrong with it, nothing is signed and nobody is shown anything.
#[test]
fn a_challenge_that_is_not_the_pinned_organisations_shows_and_signs_nothing() {
    let (gateway, agent) = enrolled(None);
    let prompt = Prompted::new(&agent, "exit 0");
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let before = gateway.answers().len();
    for wrong in [
        json!({ "orgId": OrganizationId::from_random(9) }),
        json!({ "iss": "https://evil.example" }),
        json!({ "exp": 1 }),
        json!({ "origin": "https://evil.example" }),
        json!({ "verificationUri": "https://evil.example/agent/v1/answers" }),
    ] {
        let heard = page.challenge(&gateway.challenge(&merged(&asks("REQUIRED", "NONE"), &wrong)));
        assert_eq!(
            (heard.status, heard.json()["error"].as_str()),
            (400, Some("bad-challenge")),
            "{wrong}"
        );
    }
    gateway.behave(|behaviour| behaviour.key = [8; 32]);
    let forged = page.challenge(&gateway.challenge(&asks("REQUIRED", "NONE")));
    assert_eq!(
        (forged.status, forged.json()["error"].as_str()),
        (400, Some("bad-challenge"))
    );
    gateway.behave(|behaviour| behaviour.key = [7; 32]);
    assert_eq!((prompt.questions().len(), gateway.answers().len()), (0, before));

    assert_eq!(
        page.challenge(&gateway.challenge(&asks("REQUIRED", "NONE"))).status,
        200
    );
    assert_eq!((prompt.questions().len(), gateway.answers().len()), (1, before + 1));
}

/// P-18: a page of another origin gets no approval and shows nothing; the gateway is told which one it was.
#[test]
fn a_page_of_another_origin_is_told_to_the_gateway() {
    let (gateway, agent) = enrolled(None);
    let prompt = Prompted::new(&agent, "exit 0");
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let token = gateway.challenge(&asks("REQUIRED", "NONE"));
    let before = gateway.answers().len();
    let foreign = |origin: &str| Page {
        origin: origin.to_owned(),
        ..page.clone()
    };
    let body = json!({ "challengeRequest": token }).to_string();
    // Who says nothing, or two things, is not told; nor is who has no true challenge.
    for fields in [String::new(), format!("Origin: {}\r\nOrigin: null\r\n", page.origin)] {
        let fields = format!("Host: 127.0.0.1:{}\r\n{fields}", page.port);
        assert_eq!(page.send("POST", "/challenge", &fields, &body).status, 403);
    }
    assert_eq!(
        foreign("https://evil.example")
            .challenge(&gateway.challenge(&json!({ "exp": 1 })))
            .status,
        403
    );

    for origin in ["https://auth.localhost.evil.example", "null"] {
        let begun = Instant::now();
        let told = |answer: &Answer| answer.origin == origin;
        while !gateway.answers().iter().any(told) {
            // As a page can that does not ask first.
            let fields = foreign(origin).fields() + "Content-Type: text/plain\r\n";
            let heard = page.send("POST", "/challenge", &fields, &body);
            assert!(heard.status == 403 && heard.is_silent(), "{heard:?}");
            assert!(begun.elapsed().as_secs() < 60, "{:?}", gateway.answers());
        }
        let answers = gateway.answers();
        let answer = answers.iter().find(|answer| told(answer)).unwrap();
        assert_eq!(
            (answer.outcome, answer.key_type),
            (Outcome::ForeignOrigin, KeyType::ProofOfPossession)
        );
        assert_eq!(answer.signals.signals().count() + answer.management.len(), 0);
    }
    assert_eq!(gateway.answers().len(), before + 2, "no more than one in a second");
    assert!(prompt.questions().is_empty());

    assert_eq!(page.challenge(&token).status, 200, "control: the right origin");
    assert_eq!(last(&gateway).outcome, Outcome::Approved);
}

/// What is shown is who asks and for what; a yes is signed by the possession key, a no is told.
#[test]
fn a_user_is_asked_who_has_to_approve() {
    let (gateway, agent) = enrolled(None);
    for (script, approved, outcome) in [
        ("exit 0", true, Outcome::Approved),
        ("exit 1", false, Outcome::Denied),
        ("kill -9 $$", false, Outcome::Denied),
    ] {
        for mediation in ["REQUIRED", "OPTIONAL", "PREFERRED"] {
            let prompt = Prompted::new(&agent, script);
            let (service, page) = Service::start(&agent, &gateway, Some(&prompt.command));

            let heard = page.challenge(&gateway.challenge(&asks(mediation, "NONE")));

            assert_eq!(
                (heard.status, heard.json()),
                (200, json!({ "approved": approved })),
                "{script}"
            );
            assert_eq!(last(&gateway).outcome, outcome);
            assert_eq!(last(&gateway).key_type, KeyType::ProofOfPossession);
            assert_eq!(
                prompt.questions(),
                [json!({
                    "kind": "sign-in",
                    "login": "alice",
                    "application": "Payroll",
                    "browser": "Firefox on Linux",
                    "address": "192.0.2.7",
                    "origin": gateway.url(),
                    "pin": false,
                    "number": false,
                    "again": 0,
                })]
            );
            drop(service);
        }
    }
    let prompt = Prompted::new(&agent, "exit 1");
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    assert_eq!(
        page.challenge(&gateway.challenge(&asks("NONE", "NONE"))).json(),
        json!({ "approved": true })
    );
    assert!(prompt.questions().is_empty(), "control: nobody has to be asked");
}

/// A question is open as long as its challenge; then it is closed, and that is told.
#[test]
fn a_user_who_says_nothing_is_not_waited_for_longer_than_the_challenge() {
    let (gateway, agent) = enrolled(None);
    let prompt = Prompted::new(&agent, "sleep 1000");
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let soon = json!({ "iat": now() - 2, "exp": now() + 2 });

    let heard = page.challenge(&gateway.challenge(&merged(&asks("REQUIRED", "NONE"), &soon)));

    assert_eq!((heard.status, heard.json()), (200, json!({ "approved": false })));
    assert_eq!(last(&gateway).outcome, Outcome::Cancelled);
    assert_eq!(prompt.questions().len(), 1);
}

/// P-06, P-07: what takes a verified user is signed by their key after their PIN, and by no other.
#[test]
fn a_verified_user_is_one_whose_pin_was_right() {
    let (gateway, agent) = enrolled(Some("24688642"));
    // So long that no time and no port in what is said holds them. Wrong at first, then right: the question says how often it was asked.
    let second = "grep -q '\"again\":1' \"$QUESTION\" && echo 24688642 || echo 13577531";
    for (script, asked, approved, key, outcome) in [
        ("echo 24688642", 1, true, KeyType::UserVerification, Outcome::Approved),
        (second, 2, true, KeyType::UserVerification, Outcome::Approved),
        (
            "echo 13577531",
            3,
            false,
            KeyType::ProofOfPossession,
            Outcome::VerificationUnavailable,
        ),
        ("exit 1", 1, false, KeyType::ProofOfPossession, Outcome::Denied),
        (
            "exit 0",
            3,
            false,
            KeyType::ProofOfPossession,
            Outcome::VerificationUnavailable,
        ),
    ] {
        let prompt = Prompted::new(&agent, script);
        let (service, page) = Service::start(&agent, &gateway, Some(&prompt.command));

        let heard = page.challenge(&gateway.challenge(&asks("NONE", "REQUIRED")));

        assert_eq!(
            (heard.status, heard.json()),
            (200, json!({ "approved": approved })),
            "{script}"
        );
        let answer = last(&gateway);
        assert_eq!((answer.key_type, answer.outcome), (key, outcome), "{script}");
        assert_eq!(answer.amr.contains(&Amr::Pin), approved, "{script}");
        let questions = prompt.questions();
        assert_eq!(questions.len(), asked, "{script}");
        assert!(questions.iter().all(|question| question["pin"] == true));
        let said = service.stop();
        assert!(!said.contains("24688642") && !said.contains("13577531"), "{said}");
        // The right one forgets the wrong ones: they do not add up over the scripts.
        assert_eq!(
            agent
                .run(&["report", "--pin-file", &agent.file("pin", "24688642")])
                .code,
            0
        );
        gateway.behave(|behaviour| behaviour.challenge = asks("NONE", "REQUIRED"));
        assert_eq!(
            agent
                .run(&["report", "--pin-file", &agent.file("pin", "24688642")])
                .code,
            0
        );
        gateway.behave(|behaviour| behaviour.challenge = json!({}));
    }
}

/// P-07: without such a key, or without anybody to ask, possession does not stand in for it.
#[test]
fn possession_does_not_stand_in_for_a_verified_user() {
    let (gateway, agent) = enrolled(None);
    let prompt = Prompted::new(&agent, "echo 2468");
    let (service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let heard = page.challenge(&gateway.challenge(&asks("REQUIRED", "REQUIRED")));
    assert_eq!((heard.status, heard.json()), (200, json!({ "approved": false })));
    assert_eq!(last(&gateway).outcome, Outcome::VerificationUnavailable);
    assert!(prompt.questions().is_empty(), "there is no key to ask for");
    drop(service);

    let (gateway, agent) = enrolled(Some("2468"));
    let (_service, page) = Service::start(&agent, &gateway, None);
    for (mediation, verification, approved) in [
        ("NONE", "REQUIRED", false),
        ("REQUIRED", "NONE", false),
        ("OPTIONAL", "NONE", true),
        ("NONE", "PREFERRED", true),
    ] {
        let heard = page.challenge(&gateway.challenge(&asks(mediation, verification)));
        assert_eq!(
            heard.json(),
            json!({ "approved": approved }),
            "{mediation} {verification}"
        );
        assert_eq!(last(&gateway).key_type, KeyType::ProofOfPossession);
    }
}

#[test]
fn a_preferred_verification_takes_a_pin_where_there_is_a_key_and_else_an_approval() {
    for (pin, key, asked) in [
        (Some("2468"), KeyType::UserVerification, true),
        (None, KeyType::ProofOfPossession, false),
    ] {
        let (gateway, agent) = enrolled(pin);
        let prompt = Prompted::new(&agent, "echo 2468");
        let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));

        let heard = page.challenge(&gateway.challenge(&asks("NONE", "PREFERRED")));

        assert_eq!(heard.json(), json!({ "approved": true }));
        assert_eq!(last(&gateway).key_type, key);
        assert_eq!(prompt.questions()[0]["pin"], asked);
    }
}

/// P-04: the account is that of the login that was typed; nobody else's key answers for it.
#[test]
fn of_several_accounts_the_one_that_was_named_answers() {
    let (gateway, agent) = enrolled(None);
    gateway.behave(|behaviour| behaviour.user = ("bob", 2));
    let password = agent.file("password", "correct horse");
    agent
        .run(&[
            "accounts",
            "add",
            "--user",
            "bob",
            "--password-file",
            &password,
            "--json",
        ])
        .json();
    let before = gateway.answers().len();
    let (_service, page) = Service::start(&agent, &gateway, None);
    // Both accounts report first.
    gateway.wait_for_answers(before + 2);
    let named = |login: Option<&str>| page.challenge(&gateway.challenge(&named(login)));

    for (login, user) in [("alice", 1), ("ALICE", 1), ("bob", 2)] {
        assert_eq!(named(Some(login)).status, 200, "{login}");
        assert_eq!(last(&gateway).sub, device_checks::wire::UserId::from_random(user));
    }
    for (login, status, error) in [
        (Some("carol"), 404, "no-account"),
        (Some("alic\u{e9}"), 404, "no-account"),
        (None, 409, "which-account"),
    ] {
        let heard = named(login);
        assert_eq!(
            (heard.status, heard.json()["error"].as_str()),
            (status, Some(error)),
            "{login:?}"
        );
    }
}

/// E-23: an account that was enrolled without FastPass answers nothing.
#[test]
fn an_account_without_fastpass_is_none() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    gateway.behave(|behaviour| behaviour.fastpass = false);
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let (service, page) = Service::start(&agent, &gateway, None);
    for login in [None, Some("alice")] {
        let heard = page.challenge(&gateway.challenge(&named(login)));
        assert_eq!(
            (heard.status, heard.json()["error"].as_str()),
            (404, Some("no-account"))
        );
    }
    drop(service);
    gateway.behave(|behaviour| behaviour.fastpass = true);
    let token = agent.file("token", "lke_token");
    agent.run(&["enroll", "--token-file", &token, "--json"]).json();
    let (_service, page) = Service::start(&agent, &gateway, None);
    assert_eq!(page.challenge(&gateway.challenge(&named(None))).status, 200);
}

/// One question at a time; who need not ask is answered meanwhile.
#[test]
fn a_second_question_is_not_asked_while_one_is_open() {
    let (gateway, agent) = enrolled(None);
    let pipe = agent.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let prompt = Prompted::new(&agent, &format!("read word < {}; test \"$word\" = yes", pipe.display()));
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let (first, token) = (page.clone(), gateway.challenge(&asks("REQUIRED", "NONE")));
    let first = std::thread::spawn(move || first.challenge(&token));
    // It opens once the question reads from it.
    let mut answer = fs::File::options().write(true).open(&pipe).unwrap();

    let second = page.challenge(&gateway.challenge(&asks("REQUIRED", "NONE")));
    let silent = page.challenge(&gateway.challenge(&asks("NONE", "NONE")));

    assert_eq!((second.status, second.json()["error"].as_str()), (409, Some("busy")));
    assert_eq!(silent.status, 200);
    answer.write_all(b"yes\n").unwrap();
    assert_eq!(first.join().unwrap().json(), json!({ "approved": true }));
}

/// A question that no page waits for any more is closed.
#[test]
fn a_question_ends_with_the_page_that_asked_it() {
    let (gateway, agent) = enrolled(None);
    let pipe = agent.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let prompt = Prompted::new(&agent, &format!("exec > {}; sleep 1000 & wait", pipe.display()));
    let (_service, page) = Service::start(&agent, &gateway, Some(&prompt.command));
    let body = json!({ "challengeRequest": gateway.challenge(&asks("REQUIRED", "NONE")) }).to_string();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", page.port)).unwrap();
    let fields = page.fields() + "Content-Type: application/json\r\n";
    write!(
        stream,
        "POST /challenge HTTP/1.1\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut open = fs::File::open(&pipe).unwrap();

    drop(stream);

    let mut rest = Vec::new();
    assert_eq!(open.read_to_end(&mut rest).unwrap(), 0, "whoever had it open is gone");
}

/// What the gateway says against an answer is told in its words.
#[test]
fn an_answer_that_the_gateway_does_not_take_is_told() {
    let (gateway, agent) = enrolled(None);
    let (_service, page) = Service::start(&agent, &gateway, None);
    let ask = || page.challenge(&gateway.challenge(&asks("NONE", "NONE")));
    gateway.behave(|behaviour| behaviour.refuses = Some(("/agent/v1/answers", 403, "E0000152")));
    let refused = ask();
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (502, Some("not-taken"))
    );
    assert!(
        refused.json()["message"].as_str().unwrap().contains("E0000152"),
        "{refused:?}"
    );

    gateway.behave(|behaviour| behaviour.refuses = None);
    assert_eq!(ask().status, 200);
}

/// P-25: who the gateway is, is asked once, not for each challenge.
#[test]
fn the_gateway_is_met_once_for_many_challenges() {
    let (gateway, agent) = enrolled(None);
    let (_service, page) = Service::start(&agent, &gateway, None);
    let ask = || assert_eq!(page.challenge(&gateway.challenge(&asks("NONE", "NONE"))).status, 200);
    ask();
    let before = gateway.requests().len();

    for _ in 0..5 {
        ask();
    }

    let asked = gateway.requests().split_off(before);
    // The stream of pushes is begun beside them, with a nonce of its own.
    let of_stream = |one: &String| one.contains("/pushes?") || one.starts_with("POST /agent/v1/nonces");
    let asked: Vec<_> = asked.iter().filter(|one| !of_stream(one)).collect();
    assert!(
        asked.len() == 5 && asked.iter().all(|one| one.starts_with("POST /agent/v1/answers")),
        "{asked:?}"
    );
}

/// A notification is answered by its buttons; a PIN is asked for by pinentry.
#[test]
fn on_a_desktop_a_notification_asks_and_pinentry_takes_the_pin() {
    let (gateway, agent) = enrolled(Some("2468"));
    let programs = agent.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let pinentry = "#!/bin/sh\necho OK\nwhile read -r word rest; do\n  echo \"$word $rest\" >> \"$0.said\"\n                      test \"$word\" = GETPIN && echo 'D 2468'\n  echo OK\n  test \"$word\" = BYE && exit\ndone\n";
    let desktop = |notification: &str| {
        program(
            programs.join("notify-send"),
            &format!("#!/bin/sh\necho \"$@\" > \"$0.said\"\n{notification}\n"),
        );
        program(programs.join("pinentry"), pinentry);
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut service = Service::spawn(&agent, &["run"], |command| {
            command.env("PATH", path).env("DISPLAY", ":77");
        });
        service.wait_for("reported");
        let page = Page {
            port: gateway.ports()[0],
            origin: gateway.url(),
        };
        (service, page)
    };
    for (notification, outcome) in [
        ("echo approve", Outcome::Approved),
        ("echo deny", Outcome::Denied),
        ("true", Outcome::Cancelled),
        ("exit 1", Outcome::VerificationUnavailable),
    ] {
        let (_service, page) = desktop(notification);
        assert_eq!(
            page.challenge(&gateway.challenge(&asks("REQUIRED", "NONE"))).status,
            200
        );
        assert_eq!(last(&gateway).outcome, outcome, "{notification}");
    }
    let shown = fs::read_to_string(programs.join("notify-send.said")).unwrap();
    for part in [
        "Payroll",
        "alice",
        "Firefox on Linux",
        "192.0.2.7",
        &gateway.url(),
        "--action=deny=Deny",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let (_service, page) = desktop("exit 1");
    assert_eq!(
        page.challenge(&gateway.challenge(&asks("NONE", "REQUIRED"))).json(),
        json!({ "approved": true })
    );
    assert_eq!(last(&gateway).key_type, KeyType::UserVerification);
    assert!(
        fs::read_to_string(programs.join("pinentry.said"))
            .unwrap()
            .contains("SETDESC Sign in to Payroll as alice?")
    );
}

/// Where the agent runs in a terminal, it asks there, and does not show the PIN.
#[test]
fn in_a_terminal_the_question_is_asked_there() {
    let (gateway, agent) = enrolled(Some("2468"));
    // Not where whoever runs this test has a desktop.
    let command = format!(
        "PATH=/nonexistent exec {} run --state {}",
        env!("CARGO_BIN_EXE_latchkey-agent"),
        agent.state().display()
    );
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .spawn()
        .unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let mut shown = String::new();
    while !(shown.contains("loopback") && shown.contains("reported")) {
        read_until(&mut screen, &mut shown, "\n");
        shown.push(' ');
    }
    let page = Page {
        port: gateway.ports()[0],
        origin: gateway.url(),
    };
    for (verification, question, typed, outcome) in [
        ("NONE", "[y/N] ", "y\n", Outcome::Approved),
        ("NONE", "[y/N] ", "n\n", Outcome::Denied),
        ("REQUIRED", "to deny): ", "2468\n", Outcome::Approved),
        ("REQUIRED", "to deny): ", "\n", Outcome::Denied),
    ] {
        let (page, token) = (page.clone(), gateway.challenge(&asks("REQUIRED", verification)));
        let asking = std::thread::spawn(move || page.challenge(&token));
        read_until(&mut screen, &mut shown, question);
        shown.push(' ');
        keyboard.write_all(typed.as_bytes()).unwrap();
        assert_eq!(asking.join().unwrap().status, 200);
        assert_eq!(last(&gateway).outcome, outcome, "{typed}");
    }
    keyboard.write_all(b"\x03").unwrap();
    screen.read_to_string(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success(), "{shown}");
    assert!(
        shown.contains("Sign in to Payroll as alice?") && !shown.contains("2468"),
        "{shown}"
    );
}

fn enrolled(pin: Option<&str>) -> (FakeGateway, Agent) {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = pin.map(|pin| agent.file("pin", pin));
    let more: Vec<&str> = pin.iter().flat_map(|file| ["--pin-file", file]).collect();
    agent.enroll(&gateway.url(), &gateway.authority(), &more).json();
    (gateway, agent)
}

/// The claims of a sign-in that demands this.
fn asks(mediation: &str, verification: &str) -> Value {
    let sign_in = json!({ "application": "Payroll", "browser": "Firefox on Linux", "address": "192.0.2.7" });
    json!({ "userMediation": mediation, "userVerification": verification, "signIn": sign_in })
}

/// The claims of a sign-in by whoever typed this.
fn named(login: Option<&str>) -> Value {
    let mut claims = asks("NONE", "NONE");
    if let Some(login) = login {
        claims["signIn"]["loginHint"] = json!(login);
    }
    let attempt = AttemptId::from_random(6);
    merged(&claims, &json!({ "jti": attempt, "transactionId": attempt }))
}

fn merged(claims: &Value, others: &Value) -> Value {
    let mut merged = claims.clone();
    for (name, value) in others.as_object().unwrap() {
        merged[name] = value.clone();
    }
    merged
}

fn last(gateway: &FakeGateway) -> Answer {
    gateway.answers().last().unwrap().clone()
}

fn now() -> i64 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    since_epoch.as_secs().try_into().unwrap()
}

/// A program that keeps every question, then does this.
struct Prompted {
    command: String,
    questions: PathBuf,
}

impl Prompted {
    fn new(agent: &Agent, script: &str) -> Self {
        let questions = agent.path().join(format!("questions-{:016x}", rand::random::<u64>()));
        let (all, one) = (questions.display(), questions.with_extension("last"));
        let one = one.display();
        Self {
            command: format!("export QUESTION='{one}'; cat > '{one}'; cat '{one}' >> '{all}'; {script}"),
            questions,
        }
    }

    fn questions(&self) -> Vec<Value> {
        let kept = fs::read_to_string(&self.questions).unwrap_or_default();
        kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn program(file: PathBuf, text: &str) {
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
}

fn read_until(screen: &mut impl Read, shown: &mut String, end: &str) {
    while !shown.ends_with(end) {
        let mut octet = [0];
        assert_eq!(screen.read(&mut octet).unwrap(), 1, "{shown}");
        shown.push(char::from(octet[0]));
    }
}
