//! Does the agent enrol, prove and mend itself as a user runs it, and does it believe nobody but the gateway it pinned?

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use device_checks::{Amr, KeyType, Outcome};
use serde_json::json;
use support::agent::{Agent, walk};
use support::gateway::FakeGateway;

/// E-20: enrolled without a prompt, and everything after that works from the state alone.
#[test]
fn a_user_enrols_and_everything_else_remembers_it() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");

    let enrolled = agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin])
        .json();

    assert_eq!(enrolled["login"], "alice");
    assert_eq!(enrolled["name"], "laptop");
    assert_eq!(enrolled["keyProtection"], "SOFTWARE");
    assert_eq!(enrolled["verification"]["enforcedBy"], "software");
    assert!(gateway.has_verification());
    let certificate = fs::read_to_string(agent.state().join("alice.pem")).unwrap();
    assert_eq!(certificate.matches("BEGIN CERTIFICATE").count(), 2);
    for entry in walk(&agent.state()) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{}", entry.path().display());
    }

    let status = agent.run(&["status", "--json"]).json();
    assert_eq!(status["accounts"][0]["gateway"]["status"], "ACTIVE");
    assert_eq!(status["reachable"], true);
    let shown = agent.run(&["status"]);
    assert!(shown.out.contains("ACTIVE") && shown.out.contains("alice"), "{shown:?}");
    assert!(
        shown
            .out
            .lines()
            .all(|line| line.chars().count() <= 80 || !line.trim().contains("  ")),
        "{}",
        shown.out
    );

    agent.run(&["rename", "desk", "--json"]).json();
    assert_eq!(gateway.device_name(), "desk");
    assert_eq!(agent.run(&["accounts", "list", "--json"]).json()[0]["login"], "alice");
    agent.run(&["renew", "--json"]).json();
    assert_ne!(
        fs::read_to_string(agent.state().join("alice.pem")).unwrap(),
        certificate
    );
    let doctor = agent.run(&["doctor", "--json"]).json();
    assert_eq!(doctor["well"], true, "{doctor:#}");

    assert_eq!(agent.run(&["unenroll"]).code, 0);
    assert!(gateway.removed());
    assert!(!agent.state().join("agent.json").exists());
    assert!(!walk(&agent.state()).any(|entry| entry.path().extension().is_some_and(|ending| ending == "pem")));
    assert_eq!(agent.run(&["status"]).code, 1);
}

/// E-16: a second user on the same device is a second account of the same installation, with keys of its own.
#[test]
fn a_second_user_gets_an_account_on_the_same_device() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    gateway.behave(|behaviour| behaviour.user = ("bob", 2));
    let password = agent.file("password", "correct horse");
    let add = [
        "accounts",
        "add",
        "--user",
        "bob",
        "--password-file",
        &password,
        "--json",
    ];

    let bob = agent.run(&add).json();

    assert_eq!(bob["login"], "bob");
    let begin = gateway.evidence().0;
    let state = agent.run(&["status", "--json"]).json();
    assert_eq!(json!(begin.instance.unwrap()), state["instance"]);
    let (accounts, url) = (&state["accounts"], ["assert", "--url", "https://app.localhost/"]);
    assert_ne!(accounts[0]["key"], accounts[1]["key"]);
    let which = agent.run(&url);
    assert!(which.code == 1 && which.err.contains("alice, bob"), "{which:?}");
    assert_eq!(agent.run(&[&url[..], &["--account", "bob"]].concat()).code, 0);
    assert_eq!(agent.run(&add).code, 2, "bob has one already");
}

/// Who enrols again, with an administrator's token, has one account as before, with new keys.
#[test]
fn a_user_who_enrols_again_has_one_account_with_new_keys() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let before = agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let token = agent.file("token", "lke_token\n");

    let after = agent.run(&["enroll", "--token-file", &token, "--json"]).json();

    assert_ne!(before["key"], after["key"]);
    assert_eq!(
        agent
            .run(&["accounts", "list", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let sealed = |path: std::path::PathBuf| path.extension().is_some_and(|ending| ending == "key");
    let keys = walk(&agent.state().join("keys"))
        .filter(|entry| sealed(entry.path()))
        .count();
    assert_eq!(keys, 3, "the instance's, the new one, and what seals them");
    assert_eq!(agent.run(&["assert", "--url", "https://app.localhost/"]).code, 0);
}

/// One line for `curl -H`, and whose key signed it shows.
#[test]
fn an_assertion_is_one_header_line_for_one_request() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    let wrong = agent.file("wrong-pin", "1357");
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin])
        .json();
    let url = "https://app.localhost/a?b=c";
    let by = |words: &[&str]| {
        let said = agent.run(&[&["assert", "--method", "POST", "--url", url], words].concat());
        assert_eq!(said.out.lines().count(), 1, "{said:?}");
        let token = said
            .out
            .trim_end()
            .strip_prefix("Device-Assertion: ")
            .unwrap()
            .to_owned();
        gateway.check_assertion(&token, "POST", "https://app.localhost/a")
    };

    assert_eq!(by(&[]), Some(KeyType::ProofOfPossession));
    assert_eq!(
        by(&["--verify-user", "--pin-file", &pin]),
        Some(KeyType::UserVerification)
    );

    let refused = agent.run(&["assert", "--url", url, "--verify-user", "--pin-file", &wrong]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("the PIN is wrong"), "{refused:?}");
    let nobody = agent.run(&["assert", "--url", url, "--verify-user"]);
    assert_eq!(nobody.code, 2);
    assert!(nobody.err.contains("--pin-file"), "{nobody:?}");
}

/// P-08: what is asked for is answered without a prompt, and no more than that.
#[test]
fn a_report_says_what_was_asked_and_nothing_else() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin])
        .json();

    let reported = agent.run(&["report", "--json"]).json();

    assert!(reported[0]["signals"]["kernel"].is_string(), "{reported}");
    assert_eq!(gateway.answers().len(), 2, "enrolling reports at once");
    let answer = &gateway.answers()[1];
    assert!(answer.signals.os.is_none() && answer.signals.kernel.is_some());
    assert_eq!(
        (answer.key_type, answer.outcome),
        (KeyType::ProofOfPossession, Outcome::Approved)
    );
    assert_eq!(answer.origin, gateway.url());

    // P-07: a user who has to be verified is never replaced by possession.
    gateway.behave(|behaviour| behaviour.challenge = json!({ "userVerification": "REQUIRED" }));
    agent.run(&["report", "--json"]).json();
    assert_eq!(gateway.answers()[2].outcome, Outcome::VerificationUnavailable);
    agent.run(&["report", "--pin-file", &pin, "--json"]).json();
    let answer = &gateway.answers()[3];
    assert_eq!(
        (answer.key_type, answer.outcome),
        (KeyType::UserVerification, Outcome::Approved)
    );
    assert_eq!(answer.amr, [Amr::Fpt, Amr::Pin]);
}

/// Who tries a PIN while another command does waits for its turn, and so sees what that one did.
#[test]
fn pins_are_tried_one_after_the_other() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    let enrolled = agent.enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin]);
    assert_eq!(enrolled.code, 0, "{enrolled:?}");
    let url = "https://app.localhost/";
    let words = ["assert", "--url", url, "--verify-user", "--pin-file", &pin];
    let turn = fs::File::create(agent.state().join("pin.lock")).unwrap();
    turn.lock().unwrap();

    let mut waiting = agent.spawn(&words);
    let inode = std::os::unix::fs::MetadataExt::ino(&turn.metadata().unwrap());
    let waits = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let about = |line: &str| line.contains("->") && line.contains(&format!(":{inode} "));
        locks.lines().any(about)
    };
    while !waits() {
        assert!(waiting.try_wait().unwrap().is_none(), "it did not wait for its turn");
        std::thread::yield_now();
    }
    assert_eq!(
        agent.run(&["assert", "--url", url]).code,
        0,
        "control: possession takes no turn"
    );
    turn.unlock().unwrap();

    assert!(waiting.wait().unwrap().success());
}

#[test]
fn the_doctor_names_what_is_wrong_and_how_to_mend_it() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let none = agent.run(&["doctor"]);
    assert_eq!(none.code, 1);
    assert!(none.out.contains("nothing is enrolled"), "{none:?}");
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();

    gateway.behave(|behaviour| behaviour.ahead = 300);
    let clock = agent.run(&["doctor"]);
    assert_eq!(clock.code, 1);
    assert!(
        clock.out.contains("WRONG clock") && clock.out.contains("timedatectl"),
        "{clock:?}"
    );

    for (code, says) in [
        ("E0000152", "suspended or deactivated"),
        ("E0000153", "was deleted"),
        ("E0000155", "user is not active"),
    ] {
        gateway.behave(|behaviour| {
            behaviour.ahead = 0;
            behaviour.refuses = Some(("/agent/v1/enrollments/enr", 403, code));
        });
        let told = agent.run(&["doctor"]);
        assert_eq!(told.code, 1, "{code}");
        let flat = told.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(says), "{code}: {}", told.out);
    }
    gateway.behave(|behaviour| behaviour.refuses = None);
    fs::remove_file(agent.state().join("alice.pem")).unwrap();
    assert!(
        agent
            .run(&["doctor"])
            .out
            .contains("WRONG certificate of alice: it is gone")
    );
    assert_eq!(agent.run(&["doctor", "--json"]).code, 1);
}

/// A certificate that is over, or soon will be, is named.
#[test]
fn the_doctor_sees_a_certificate_end() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    // Certificates begin a minute before they are issued: such a short one is past two thirds already.
    gateway.behave(|behaviour| behaviour.lifetime = 30);
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let told = agent.run(&["doctor"]);
    assert_eq!(told.code, 1);
    assert!(told.out.contains("WRONG certificate of alice: expir"), "{told:?}");
    gateway.behave(|behaviour| behaviour.lifetime = 3_000_000);
    assert_eq!(agent.run(&["unenroll"]).code, 0);
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    assert_eq!(agent.run(&["doctor"]).code, 0);
}

/// A device that was deleted on the server is removed here whole, so that it can be added again.
#[test]
fn a_device_that_was_deleted_is_removed_and_added_again() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    gateway.behave(|behaviour| behaviour.refuses = Some(("/agent/v1/enrollments/enr", 403, "E0000153")));

    let removed = agent.run(&["accounts", "remove", "alice", "--json"]).json();

    assert_eq!(removed["deviceDeleted"], true);
    assert!(!agent.state().join("agent.json").exists());
    gateway.behave(|behaviour| behaviour.refuses = None);
    assert_eq!(agent.enroll(&gateway.url(), &gateway.authority(), &[]).code, 0);
}

#[test]
fn a_pin_is_changed_with_the_old_one() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let [old, new] = [("old", "2468"), ("new", "8642")].map(|(name, pin)| agent.file(name, pin));
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &old])
        .json();
    let asserts = |pin: &str| {
        agent
            .run(&["assert", "--url", "https://a/", "--verify-user", "--pin-file", pin])
            .code
    };

    let wrong = agent.run(&["pin", "change", "--pin-file", &new, "--new-pin-file", &old]);
    assert_eq!(wrong.code, 1);
    assert_eq!(
        agent
            .run(&["pin", "change", "--pin-file", &old, "--new-pin-file", &new])
            .code,
        0
    );

    assert_eq!((asserts(&old), asserts(&new)), (1, 0));
}

/// A management certificate is shown at enrolment, and later where its issuer is asked for.
#[test]
fn a_management_certificate_is_shown_to_who_accepts_its_issuer() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let folder = agent.path().join("mdm");
    fs::create_dir(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    agent.file("mdm/device.pem", &certificate.pem());
    agent.file("mdm/device.key", &key.serialize_pem());
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let issuer = <sha2::Sha256 as sha2::Digest>::digest(parsed.issuer().as_raw());
    let issuer: String = issuer.iter().map(|octet| format!("{octet:02x}")).collect();

    let folder = folder.display().to_string();
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--management", &folder])
        .json();
    agent.run(&["report", "--json"]).json();
    gateway.behave(|behaviour| behaviour.challenge = json!({ "managementIssuers": [issuer] }));
    agent.run(&["report", "--json"]).json();

    assert!(gateway.evidence().1.management.is_some());
    let shown: Vec<usize> = gateway.answers().iter().map(|answer| answer.management.len()).collect();
    assert_eq!(shown, [0, 0, 1], "only to who asks");
}

/// E-20: on a terminal everything that was not said is asked for.
#[test]
fn a_user_is_asked_for_what_is_missing() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let authority = agent.file("ca.pem", &gateway.authority());
    gateway.behave(|behaviour| behaviour.factor_required = true);
    let command = format!(
        "{} enroll --gateway {} --ca {authority} --keys software --state {}",
        env!("CARGO_BIN_EXE_latchkey-agent"),
        gateway.url(),
        agent.state().display()
    );
    let mut terminal = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--echo",
            "never",
            "--command",
            &command,
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let mut shown = String::new();
    for (question, answer) in [
        ("User: ", "alice"),
        ("Password: ", "correct horse"),
        ("authenticator: ", "123456"),
        ("]: ", "desk"),
        ("for none): ", "2468"),
        ("again: ", "2468"),
    ] {
        while !shown.ends_with(question) {
            let mut octet = [0];
            assert_eq!(screen.read(&mut octet).unwrap(), 1, "{shown}");
            shown.push(char::from(octet[0]));
        }
        keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    screen.read_to_string(&mut shown).unwrap();

    assert!(terminal.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("Enrolled `desk` for alice."), "{shown}");
    assert!(!shown.contains("correct horse") && !shown.contains("2468"), "{shown}");
    assert!(gateway.has_verification());
}

/// The service reports and renews at its start, and ends when it is told to.
#[test]
fn the_service_keeps_things_fresh_until_it_is_stopped() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    // Such a short one is due at once.
    gateway.behave(|behaviour| behaviour.lifetime = 30);
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    gateway.behave(|behaviour| behaviour.lifetime = 3_000_000);
    let certificate = fs::read(agent.state().join("alice.pem")).unwrap();

    let mut service = agent.spawn(&["run"]);
    let lines = BufReader::new(service.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| !line.contains("reported")).collect();
    let told = Command::new("kill").arg(service.id().to_string()).status().unwrap();

    assert!(told.success() && service.wait().unwrap().success());
    assert!(
        said.iter().any(|line| line.contains("renewed the certificate")),
        "{said:?}"
    );
    assert_ne!(fs::read(agent.state().join("alice.pem")).unwrap(), certificate);
    assert_eq!(gateway.answers().len(), 2, "at enrolment, and by the service");
}

#[test]
fn codes_for_scripts_are_six_digits() {
    let agent = Agent::new();
    let secret = agent.file("secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    let said = agent.run(&["totp", "--secret-file", &secret]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.trim_end().len() == 6 && said.out.trim_end().chars().all(|digit| digit.is_ascii_digit()));
}
