//! How do users confirm, and what does the gateway make of it? The real agent, with a PIN, a finger or nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use latchkey_tests::agent::{Agent, PASSWORD, PIN};
use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::cli::CliOutput;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::{Device, Key};
use latchkey_tests::pam::Reader;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::tpm::with_root;
use latchkey_tests::visitor::Visitor;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// E-21, X-14: a finger is a choice of its own, enrolled next to the possession key; it verifies the user on the software's word, also
/// where the keys are in a TPM. Control: a PIN in the same TPM, which the hardware enforces.
#[test]
fn a_finger_verifies_in_software_whatever_holds_the_key() {
    let (demo, tpm) = with_root();
    let (agent, reader) = (Agent::new(), Reader::new());
    demo.user("finger", PASSWORD, &["employees"]);
    let tcti = tpm.tcti();
    let enrolled = agent.enroll_in(
        &reader.environment(),
        &demo,
        "finger",
        PASSWORD,
        &[
            "--name",
            "finger-desk",
            "--keys",
            "tpm",
            "--tcti",
            &tcti,
            "--verify",
            "fingerprint",
        ],
    );
    assert!(enrolled.success, "{enrolled:?}");
    let account = account(&demo, "finger");
    assert_eq!(account["keyProtection"], "HARDWARE", "{account}");
    assert_eq!(
        (
            &account["userVerification"]["method"],
            &account["userVerification"]["enforcedBy"]
        ),
        (&json!("fingerprint"), &json!("SOFTWARE"))
    );
    assert_ne!(account["userVerification"]["key"], account["key"]);

    demand(&demo, "userVerifiedInSoftware");
    assert!(
        until(PATIENCE, || agent.get(&demo, "wiki", "/", &[]).status == 403),
        "possession alone"
    );
    assert_eq!(opened(&demo, &agent, &reader), Some(200));
    reader.touch(false);
    assert_eq!(opened(&demo, &agent, &reader), None, "another finger signs nothing");
    reader.touch(true);
    demand(&demo, "userVerified");
    assert!(until(PATIENCE, || opened(&demo, &agent, &reader) == Some(403)));

    let changed = change(&agent, &reader, "pin");
    assert!(changed.success, "{changed:?}");
    let pin = agent.file("pin", PIN).display().to_string();
    let by_pin = agent.get(&demo, "wiki", "/", &["--verify-user", "--pin-file", &pin]);
    assert_eq!(by_pin.status, 200, "control: {}", by_pin.text());
}

/// P-06, P-20: a sign-in on the device takes a yes and then the finger; the session is one of a user verified in software, and the
/// System Log says how. With another finger there is no session.
#[test]
fn a_sign_in_takes_a_yes_and_then_the_finger() {
    let demo = Demo::start();
    let (agent, reader) = (Agent::new(), Reader::new());
    demo.user("signer", PASSWORD, &["employees"]);
    let software = [
        "--name",
        "signer-desk",
        "--keys",
        "software",
        "--no-attestation",
        "--verify",
        "fingerprint",
    ];
    let enrolled = agent.enroll_in(&reader.environment(), &demo, "signer", PASSWORD, &software);
    assert!(enrolled.success, "{enrolled:?}");
    let folder = demo.scratch().join("signer");
    let running = Authenticator::of_in(&reader.environment(), &agent.state(), &folder, Says::Yes);
    let try_to = |visitor: &mut Visitor<'_>| {
        let page = visitor.open(&demo.url("wiki", "/"));
        let challenge = visitor.challenge(&page, json!({ "verify": true }));
        let origin = format!("Origin: {}", demo.url("auth", ""));
        let body = json!({ "challengeRequest": challenge.token }).to_string();
        let loopback = format!("http://127.0.0.1:{}/challenge", running.port());
        let json = "Content-Type: application/json";
        let heard = demo.curl(NOBODY, &loopback, &["-H", &origin, "-H", json, "--data-binary", &body]);
        (challenge, heard.json())
    };

    reader.touch(false);
    let mut other = Visitor::new(&demo);
    let (challenge, heard) = try_to(&mut other);
    assert_eq!(heard, json!({ "approved": false }));
    assert_ne!(other.finish(&challenge).json()["next"], json!(demo.url("wiki", "/")));
    assert_eq!(demo.sessions_of("signer"), Vec::<Value>::new());
    reader.touch(true);
    let mut owner = Visitor::new(&demo);
    let (challenge, heard) = try_to(&mut owner);
    assert_eq!(heard, json!({ "approved": true }));
    let finished = owner.finish(&challenge);
    let opened = owner.follow_next(finished);

    assert_eq!(opened.status, 200, "{}", opened.said());
    let proved = &demo.only_session("signer")["factors"][0]["properties"];
    assert_eq!(
        proved,
        &json!(["PHISHING_RESISTANT", "USER_PRESENCE", "USER_VERIFYING"])
    );
    let events = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let good = events
        .iter()
        .rfind(|event| event["outcome"]["result"] == "SUCCESS")
        .unwrap();
    assert_eq!(good["debugContext"]["debugData"]["amr"], "fpt,fingerprint");
    let asked = running.questions();
    let asked = asked.iter().filter(|question| question["kind"] == "sign-in");
    let then: Vec<&Value> = asked.map(|question| &question["then"]).collect();
    assert_eq!(then, ["fingerprint", "fingerprint"]);
}

/// L-01, the user's half: how somebody confirms is changed in one command. Device and account stay, the keys are new, those of before
/// count no more.
#[test]
fn a_user_changes_how_they_confirm() {
    let demo = DEMO.demo();
    let (agent, reader) = (Agent::new(), Reader::new());
    demo.user("changer", PASSWORD, &["employees"]);
    let pin = agent.file("pin", PIN).display().to_string();
    let software = [
        "--name",
        "changer-desk",
        "--keys",
        "software",
        "--no-attestation",
        "--pin-file",
        &pin,
    ];
    assert!(agent.enroll(&demo, "changer", PASSWORD, &software).success);
    let device = demo.device_id("changer-desk");

    for (how, method, enforced) in [
        ("fingerprint", json!("fingerprint"), json!("SOFTWARE")),
        ("none", Value::Null, Value::Null),
        ("pin", json!("pin"), json!("SOFTWARE")),
    ] {
        let (old, before) = (copy(&agent), account(&demo, "changer"));
        assert_eq!(old.get(&demo, "wiki", "/", &[]).status, 200, "control");

        let changed = change(&agent, &reader, how);

        assert!(changed.success, "{how}: {changed:?}");
        let now = account(&demo, "changer");
        assert_eq!(
            (
                &now["userVerification"]["method"],
                &now["userVerification"]["enforcedBy"]
            ),
            (&method, &enforced),
            "{how}"
        );
        assert_ne!(now["key"], before["key"]);
        assert_eq!(demo.device_id("changer-desk"), device);
        assert_eq!(demo.count_devices("changer"), 1);
        assert_eq!(old.get(&demo, "wiki", "/", &[]).status, 403, "{how}: the old key");
        assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200, "{how}: the new key");
        let shown = agent.run_in(&reader.environment(), &["verification", "--json"]).json();
        assert_eq!(shown[0]["verification"]["method"], method);
    }
    let by_pin = agent.run(&[
        "assert",
        "--url",
        &demo.url("wiki", "/"),
        "--verify-user",
        "--pin-file",
        &pin,
    ]);
    assert!(by_pin.success, "{by_pin:?}");
}

/// L-01, the user's half, where it may not be: a change takes what an enrolment takes, and one that is refused changes nothing.
#[test]
fn a_change_without_the_password_changes_nothing() {
    let demo = DEMO.demo();
    let (agent, reader) = (Agent::new(), Reader::new());
    demo.user("refused", PASSWORD, &["employees"]);
    let enrolled = agent.enroll(
        &demo,
        "refused",
        PASSWORD,
        &["--name", "refused-desk", "--keys", "software", "--no-attestation"],
    );
    assert!(enrolled.success, "{enrolled:?}");
    let before = account(&demo, "refused");
    let guess = agent.file("guess", "not the password").display().to_string();

    let refused = agent.run(&["verification", "set", "none", "--password-file", &guess]);
    reader.touch(false);
    let wrong_finger = change(&agent, &reader, "fingerprint");

    assert!(!refused.success && refused.stderr.contains("E0000004"), "{refused:?}");
    assert!(
        !wrong_finger.success && wrong_finger.stderr.contains("does not verify you"),
        "{wrong_finger:?}"
    );
    assert_eq!(account(&demo, "refused"), before);
    assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200);
    reader.touch(true);
    assert!(change(&agent, &reader, "fingerprint").success, "control");
}

/// E-21: where verification is required, whoever declines and a device that cannot do it are refused with 400 E0000158, and no device is
/// made. Controls: a finger there; a possession key alone where verification is preferred.
#[test]
fn a_device_that_cannot_verify_is_refused_where_it_has_to() {
    let demo = Demo::start();
    demo.user("e21", PASSWORD, &["employees"]);
    let reader = Reader::new();
    let enroll = |reader: &Reader, more: &[&str]| {
        let agent = Agent::new();
        let software = ["--name", "e21-desk", "--keys", "software", "--no-attestation", "--json"];
        agent.enroll_in(
            &reader.environment(),
            &demo,
            "e21",
            PASSWORD,
            &[&software[..], more].concat(),
        )
    };
    assert_eq!(demo.fastpass(&json!({ "userVerification": "REQUIRED" })).status, 200);

    let declined = enroll(&reader, &["--verify", "none"]);
    let without_a_reader = enroll(&Reader::missing(), &[]);
    let missing = enroll(&Reader::missing(), &["--verify", "fingerprint"]);

    for refused in [&declined, &without_a_reader] {
        assert!(!refused.success, "{refused:?}");
        let said: Value = serde_json::from_str(&refused.stderr).unwrap();
        assert_eq!((&said["status"], &said["code"]), (&json!(400), &json!("E0000158")));
    }
    assert!(
        !missing.success && missing.stderr.contains("no PAM service"),
        "{missing:?}"
    );
    assert_eq!(demo.count_devices("e21"), 0);
    let by_finger = enroll(&reader, &["--verify", "fingerprint"]);
    assert!(by_finger.success, "control: {by_finger:?}");
    assert_eq!(demo.fastpass(&json!({ "userVerification": "PREFERRED" })).status, 200);
    let preferred = enroll(&reader, &["--verify", "none"]);
    assert!(preferred.success, "control: {preferred:?}");
    assert_eq!(preferred.json()["verification"], Value::Null);
}

/// no claim makes a finger the hardware's, and no key signs for another method than it was enrolled with. Control: its own.
#[test]
fn a_client_claims_no_other_method_than_it_enrolled() {
    let demo = DEMO.demo();
    demo.user("claimer", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "claimer", PASSWORD);
    let begun = device.begin(&demo, &token, &device.beginning("claimer-laptop")).json();
    let mut ending = device.ending(&demo, &begun);
    ending["verification"]["method"] = "fingerprint".into();
    device.enrolled = device.finish(&demo, &token, &ending).json();
    let challenge = |amr: Value| {
        let challenge = device.challenge(&demo);
        let mut claims = device.answer(&demo, &challenge);
        claims["keyType"] = "userVerification".into();
        claims["amr"] = amr;
        let token = device.verification.sign("latchkey-answer+jwt", &claims);
        device.give_token(&demo, &challenge, &token).status
    };

    assert_eq!(account(&demo, "claimer")["userVerification"]["enforcedBy"], "SOFTWARE");
    assert_ne!(challenge(json!(["fpt", "pin"])), 200);
    assert_ne!(challenge(json!(["fpt", "face"])), 200);
    assert_ne!(challenge(json!(["fpt"])), 200);
    assert_eq!(challenge(json!(["fpt", "fingerprint"])), 200, "control");
    let voice = Device::default();
    let token = voice.token(&demo, "claimer", PASSWORD);
    let begun = voice.begin(&demo, &token, &voice.beginning("claimer-laptop")).json();
    let mut ending = voice.ending(&demo, &begun);
    ending["verification"]["method"] = "voice".into();
    assert_eq!(voice.finish(&demo, &token, &ending).status, 400);
}

/// L-01: a device that did not hear whether it was enrolled is told again, for its own keys alone, as long as they count.
#[test]
fn an_enrolment_whose_answer_was_lost_is_told_again() {
    let demo = DEMO.demo();
    demo.user("lost", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "lost", PASSWORD);
    let begun = device.begin(&demo, &token, &device.beginning("lost-laptop")).json();
    let recover = |asking: &Device, instance: &Key, possession: &Key| {
        let body = json!({
            "attempt": begun["attempt"],
            "nonce": begun["nonce"],
            "instanceKey": instance.public(),
            "certificateRequest": possession.request(&[]),
        });
        asking.step(&demo, "/agent/v1/enrollments/recover", None, &body)
    };
    let early = recover(&device, &device.instance, &device.possession);
    device.enrolled = device.finish(&demo, &token, &device.ending(&demo, &begun)).json();
    let other = Device::default();

    let told = recover(&device, &device.instance, &device.possession);
    let verification = recover(&device, &device.instance, &device.verification);
    let stolen = recover(&other, &other.instance, &device.possession);
    let claimed = recover(&other, &device.instance, &device.possession);

    assert_eq!(early.status, 404, "{}", early.text());
    assert_eq!(told.status, 201, "{}", told.text());
    for same in ["device", "enrollment", "user", "instance", "name"] {
        assert_eq!(told.json()[same], device.enrolled[same], "{same}");
    }
    assert_eq!([verification.status, stolen.status, claimed.status], [404, 404, 401]);
    assert_eq!(device.leave(&demo).status, 204);
    let ended = recover(&device, &device.instance, &device.possession);
    assert_eq!((ended.status, &ended.json()["errorCode"]), (410, &"E0000154".into()));
}

/// The user's only account that counts, as an administrator sees it.
fn account(demo: &Demo, user: &str) -> Value {
    let devices = demo.admin("GET", &format!("/api/v1/users/{user}/devices"), None).json();
    let device = demo.device(&devices[0]["device"]["id"]);
    let accounts = device["enrollments"].as_array().unwrap();
    let active: Vec<&Value> = accounts
        .iter()
        .filter(|account| account["status"] == "ACTIVE")
        .collect();
    assert_eq!(active.len(), 1, "{device}");
    active[0].clone()
}

/// Has the wiki want this of a request's proof.
fn demand(demo: &Demo, property: &str) {
    let rule = format!(
        "@id(\"wiki.open\") permit (principal, action in Action::\"access\", resource == App::\"wiki\");\n\
         @id(\"wiki.verified\") @deny_reason(\"Confirm.\") forbid (principal, action in Action::\"access\", resource == App::\"wiki\")\n\
         unless {{ context has proof && context.proof.{property} }};\n"
    );
    std::fs::write(demo.file("policies/wiki.cedar"), rule).unwrap();
}

/// The wiki's status for a request with the finger on the reader; nothing where it is not signed.
fn opened(demo: &Demo, agent: &Agent, reader: &Reader) -> Option<u16> {
    let url = demo.url("wiki", "/");
    let signed = agent.run_in(&reader.environment(), &["assert", "--url", &url, "--verify-user"]);
    assert_eq!(signed.success, !signed.stdout.is_empty(), "{signed:?}");
    let field = signed.success.then(|| signed.stdout.trim().to_owned())?;
    Some(demo.curl(NOBODY, &url, &["-H", &field]).status)
}

fn change(agent: &Agent, reader: &Reader, how: &str) -> CliOutput {
    let password = agent.file("password", PASSWORD).display().to_string();
    let pin = agent.file("pin", PIN).display().to_string();
    let mut words = vec!["verification", "set", how, "--password-file", &password];
    if how == "pin" {
        words.extend(["--pin-file", &pin]);
    }
    agent.run_in(&reader.environment(), &words)
}

/// The agent's files as they are now, elsewhere.
fn copy(agent: &Agent) -> Agent {
    let copy = Agent::new();
    let copied = Command::new("cp")
        .arg("-a")
        .args([&agent.state(), Path::new(&copy.state())])
        .status()
        .unwrap();
    assert!(copied.success());
    copy
}

const PATIENCE: Duration = Duration::from_secs(15);
