//! What is a key in a TPM worth, and who can pretend to have one? The real agent, a software TPM, the real curl.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::agent::{Agent, PASSWORD};
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::process::until;
use latchkey_tests::tpm::{SoftwareTpm, with_root};
use serde_json::{Value, json};

/// The demo's second act: its own desktop's keys are in its TPM, the vault lets it in, and says why it does not let a
/// software key in; everything that shows the TPM says that its root is one for tests.
#[test]
fn the_demos_desktop_opens_the_vault_and_a_software_key_does_not() {
    let demo = Demo::with_tpm();
    let state = demo.file("agents/carol-desktop");
    let url = demo.url("vault", "/");
    let asserted = latchkey_tests::agent::run(
        ["assert", "--method", "GET", "--url", &url, "--state"]
            .iter()
            .map(std::ffi::OsString::from)
            .chain([state.clone().into_os_string()]),
    );
    let field = asserted.stdout.trim();

    let opened = demo.curl(NOBODY, &url, &["-H", field]);

    assert_eq!(opened.status, 200, "{}: {}", asserted.stderr, opened.text());
    assert_eq!(opened.json()["headers"]["x-latchkey-user"], "carol");
    let refused = demo.curl(latchkey_tests::demo::ALICE, &url, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "policy-denied"));
    assert!(refused.text().contains("proved to live in the device's hardware"));
    let shown = demo.device(&demo.device_id("carol-desktop").into());
    assert_eq!(
        (&shown["attestation"]["rootClass"], &shown["secureHardware"]),
        (&"test".into(), &true.into())
    );
    let said = latchkey_tests::agent::run(
        ["status", "--state"]
            .iter()
            .map(Into::into)
            .chain([state.into_os_string()]),
    );
    assert!(said.stdout.contains("TEST HARDWARE"), "{}", said.stdout);
    let secrets = [
        "users/alice.password",
        "users/carol.password",
        "users/carol.totp",
        "tpm/ek-root.pem",
    ];
    assert!(secrets.iter().all(|name| demo.file(name).exists()));
}

/// E-11, S-08, S-09: hardware only where keys are proved to live in it; that a machine has some is another matter.
#[test]
fn keys_are_in_hardware_only_where_that_is_proved() {
    let (demo, tpm) = with_root();
    let (in_tpm, beside_tpm, without) = (Agent::new(), Agent::new(), Agent::new());
    for user in ["e11a", "e11b", "e11c"] {
        demo.user(user, PASSWORD, &["employees"]);
    }

    let hardware = in_tpm.enroll_with(&demo, "e11a", &tpm, "tpm", &[]);
    let software = beside_tpm.enroll_with(&demo, "e11b", &tpm, "software", &[]);
    let nothing = without.enroll_with(&demo, "e11c", &tpm, "software", &["--no-attestation"]);

    assert_eq!(in_tpm.get(&demo, "vault", "/", &[]).status, 200);
    assert_eq!(in_tpm.get(&demo, "wiki", "/", &[]).status, 200);
    for agent in [&beside_tpm, &without] {
        assert_eq!(agent.get(&demo, "vault", "/", &[]).code(), "policy-denied");
        assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200, "control");
    }
    let facts = |device: &Value| {
        let shown = demo.device(device);
        let accounts = shown["enrollments"].as_array().unwrap().clone();
        let protections: Vec<String> = accounts
            .iter()
            .map(|one| one["keyProtection"].as_str().unwrap().to_owned())
            .collect();
        (
            shown["secureHardwarePresent"] == true,
            shown["secureHardware"] == true,
            protections,
        )
    };
    // The machine with the TPM is one device, whoever enrols on it.
    assert_eq!(hardware, software);
    let (present, attested, mut protections) = facts(&hardware);
    protections.sort();
    assert_eq!(
        (present, attested, protections),
        (true, true, vec!["HARDWARE".to_owned(), "SOFTWARE".to_owned()])
    );
    assert_eq!(facts(&nothing), (false, false, vec!["SOFTWARE".to_owned()]));
}

/// E-13 (its control): where keys have to live in hardware, those in the TPM are taken, and software is refused by name.
#[test]
fn where_hardware_is_required_a_tpm_is_enough() {
    let (demo, tpm) = with_root();
    demo.user("e13", PASSWORD, &["employees"]);
    assert_eq!(demo.fastpass(&json!({ "keyProtection": "HARDWARE" })).status, 200);
    let agent = Agent::new();

    let refused = agent.enroll(
        &demo,
        "e13",
        PASSWORD,
        &["--name", "e13", "--keys", "software", "--no-pin", "--no-attestation"],
    );
    assert!(!refused.success && refused.stderr.contains("hardware"), "{refused:?}");
    agent.enroll_with(&demo, "e13", &tpm, "tpm", &[]);
}

/// D-17: the same machine after its disk was wiped is the same device with its history, and a new one once it was deleted.
#[test]
fn a_wiped_machine_is_recognised_until_it_is_deleted() {
    let (demo, tpm) = with_root();
    demo.user("wiped", PASSWORD, &["employees"]);
    let (first, second, third) = (Agent::new(), Agent::new(), Agent::new());
    let device = first.enroll_with(&demo, "wiped", &tpm, "tpm", &[]);

    let again = second.enroll_with(&demo, "wiped", &tpm, "tpm", &[]);

    assert_eq!(again, device);
    let statuses: Vec<Value> = demo.device(&device)["enrollments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].clone())
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == "ACTIVE").count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(first.get(&demo, "wiki", "/", &[]).code(), "enrollment-ended");
    demo.command(&["device", "deactivate", device.as_str().unwrap()]);
    demo.command(&["device", "delete", device.as_str().unwrap()]);
    let new = third.enroll_with(&demo, "wiped", &tpm, "tpm", &[]);
    assert_ne!(new, device);
    assert_eq!(third.get(&demo, "vault", "/", &[]).status, 200);
}

/// a machine that was shut out enrols again neither as itself nor behind software keys, until an admin lets it; other
/// attested hardware does without.
#[test]
fn a_machine_that_was_shut_out_comes_back_by_an_admin_alone() {
    let (demo, tpm) = with_root();
    demo.user("x12", PASSWORD, &["employees"]);
    let first = Agent::new();
    let device = first.enroll_with(&demo, "x12", &tpm, "tpm", &[]);
    demo.command(&["device", "deactivate", device.as_str().unwrap()]);
    let tcti = tpm.tcti();
    let try_again = |agent: &Agent, more: &[&str]| {
        agent.enroll(
            &demo,
            "x12",
            PASSWORD,
            &[&["--name", "again", "--no-pin"], more].concat(),
        )
    };

    let same = try_again(&Agent::new(), &["--keys", "tpm", "--tcti", &tcti]);
    let software = try_again(&Agent::new(), &["--keys", "software", "--tcti", &tcti]);
    let hidden = try_again(&Agent::new(), &["--keys", "software", "--no-attestation"]);
    assert!(!same.success && same.stderr.contains("E0000152"), "{same:?}");
    assert!(
        !software.success && software.stderr.contains("E0000152"),
        "{software:?}"
    );
    assert!(!hidden.success && hidden.stderr.contains("shut out"), "{hidden:?}");
    assert_eq!(demo.device(&device)["status"], "DEACTIVATED");

    let released = Agent::new();
    let token = released.file("token", &demo.enrollment_token("x12"));
    let (ca, gateway) = (demo.file("ca.pem").display().to_string(), demo.url("auth", ""));
    released.command(&[
        "enroll",
        "--gateway",
        &gateway,
        "--ca",
        &ca,
        "--token-file",
        &token.display().to_string(),
        "--name",
        "released",
        "--keys",
        "software",
        "--no-attestation",
        "--no-pin",
    ]);
    let other = SoftwareTpm::start();
    demo.trust(&other, "other");
    let elsewhere = Agent::new();
    elsewhere.enroll_with(&demo, "x12", &other, "tpm", &[]);
}

/// a TPM shows that it is another machine only where the one that was shut out is known by its own, and only for
/// keys that live in it.
#[test]
fn hardware_that_proves_no_difference_does_not_come_back_by_itself() {
    let (demo, tpm) = with_root();
    for user in ["x12s", "x12k"] {
        demo.user(user, PASSWORD, &["employees"]);
    }
    let (hidden, known) = (Agent::new(), Agent::new());
    let nameless = hidden.enroll_with(&demo, "x12s", &tpm, "software", &["--no-attestation"]);
    let named = known.enroll_with(&demo, "x12k", &tpm, "tpm", &[]);
    for device in [&nameless, &named] {
        demo.command(&["device", "deactivate", device.as_str().unwrap()]);
    }
    let other = SoftwareTpm::start();
    demo.trust(&other, "other");
    let again = |user: &str, tpm: &SoftwareTpm, keys: &str| {
        let tcti = tpm.tcti();
        let arguments = ["--name", "again", "--no-pin", "--keys", keys, "--tcti", &tcti];
        Agent::new().enroll(&demo, user, PASSWORD, &arguments)
    };

    let same = again("x12s", &other, "tpm");
    assert!(
        !same.success && same.stderr.contains("shut out"),
        "nobody knows which machine it was: {same:?}"
    );
    let relayed = again("x12k", &other, "software");
    assert!(
        !relayed.success && relayed.stderr.contains("shut out"),
        "another's TPM beside it: {relayed:?}"
    );

    let different = again("x12k", &other, "tpm");
    assert!(different.success, "control: {different:?}");
}

/// Where it is known which machine a device is, nobody joins it without proof to be that machine: neither by a certificate
/// request nor by the instance's key.
#[test]
fn nobody_becomes_a_known_machine_without_its_proof() {
    let (demo, tpm) = with_root();
    demo.user("joined", PASSWORD, &["employees"]);
    demo.user("joined2", PASSWORD, &["employees"]);
    let agent = Agent::new();
    let device = agent.enroll_with(&demo, "joined", &tpm, "tpm", &[]);
    let id = device.as_str().unwrap();
    let token = || {
        let made = demo.command(&["user", "enrollment-token", "joined", "--device", id, "--json"]);
        made.json()["token"].as_str().unwrap().to_owned()
    };

    let refused = demo.enroll_with(&token(), "joined", &demo.request("joined"));
    assert!(
        refused.status == 400 && refused.text().contains("prove by its TPM"),
        "{}",
        refused.text()
    );
    let stranger = Device::default();
    let refused = stranger.begin(&demo, &token(), &stranger.beginning("joined"));
    assert!(
        refused.status == 400 && refused.text().contains("prove by its TPM"),
        "{}",
        refused.text()
    );
    assert_eq!(demo.device(&device)["certificates"], 1);

    assert_eq!(
        Agent::new().enroll_with(&demo, "joined2", &tpm, "tpm", &[]),
        device,
        "control: the machine itself"
    );
}

/// when a root goes or a machine is denied, hardware facts go at once, and come back with it; others keep theirs.
#[test]
fn attested_hardware_lasts_as_long_as_its_root() {
    let (demo, tpm) = with_root();
    let other = SoftwareTpm::start();
    demo.trust(&other, "other");
    for user in ["x22a", "x22b"] {
        demo.user(user, PASSWORD, &["employees"]);
    }
    let (first, second) = (Agent::new(), Agent::new());
    let device = first.enroll_with(&demo, "x22a", &tpm, "tpm", &[]);
    second.enroll_with(&demo, "x22b", &other, "tpm", &[]);
    let vault = |agent: &Agent| agent.get(&demo, "vault", "/", &[]).status;
    assert_eq!((vault(&first), vault(&second)), (200, 200));

    let root = format!("certificate: {}", tpm.root().display());
    let stranger = format!("certificate: {}", SoftwareTpm::start_root(demo.scratch()).display());
    demo.edit("latchkey.yaml", &root, &stranger);
    demo.reload();
    assert!(until(PATIENCE, || vault(&first) == 403));
    assert_eq!(vault(&second), 200, "control");
    assert_eq!(demo.device(&device)["secureHardware"], false);

    demo.edit("latchkey.yaml", &stranger, &root);
    demo.reload();
    assert!(until(PATIENCE, || vault(&first) == 200));
    let machine = demo.device(&device)["attestation"]["hardware"]
        .as_str()
        .unwrap()
        .to_owned();
    demo.configure("attestation", &format!("  denied: [{machine}]"));
    demo.reload();
    assert!(until(PATIENCE, || vault(&first) == 403));
    assert_eq!(
        (vault(&second), first.get(&demo, "wiki", "/", &[]).status),
        (200, 200),
        "control"
    );
}

/// the demo's own TPM root, and any root for tests, is refused by a configuration that is not a demo's.
#[test]
fn a_test_root_is_refused_in_earnest() {
    let demo = Demo::with_tpm();
    let check = || demo.check_configuration();
    assert!(check().success, "control: in the demo itself it is taken");

    demo.set("demo", "false");
    // Mail into a folder is refused too, and before it.
    demo.edit("latchkey.yaml", "mail:\n  folder: outbox\n", "");
    let as_test = check();
    demo.edit("latchkey.yaml", "class: test", "class: hardware");
    let as_hardware = check();

    assert!(
        !as_test.success && as_test.stderr.contains("a root made for tests attests in a demo alone"),
        "{as_test:?}"
    );
    assert!(
        !as_hardware.success && as_hardware.stderr.contains("was made by the demo"),
        "{as_hardware:?}"
    );
}

/// Forged and borrowed evidence: a bare client with somebody's real certificates stops where a TPM has to answer, and
/// nothing is made. Control: the agent with that very TPM.
#[test]
fn borrowed_evidence_enrols_nothing() {
    let (demo, tpm) = with_root();
    demo.user("forger", PASSWORD, &["employees"]);
    let evidence = tpm.evidence();
    let device = Device::default();
    let begin = |statement: Value| {
        let token = device.token(&demo, "forger", PASSWORD);
        let mut beginning = device.beginning("forged");
        beginning["keyStore"] = "tpm".into();
        beginning["statement"] = statement;
        (device.begin(&demo, &token, &beginning), token)
    };

    let (begun, token) = begin(evidence.clone());
    assert_eq!(begun.status, 200, "the certificates are real: {}", begun.text());
    let begun = begun.json();
    assert!(begun["credential"].is_object());
    let skipped = device.finish(&demo, &token, &device.ending(&demo, &begun));
    assert_eq!(skipped.status, 400, "without activation");
    let (begun, token) = begin(evidence.clone());
    let guess = json!({ "attempt": begun.json()["attempt"], "secret": URL_SAFE_NO_PAD.encode([7; 32]) });
    assert_eq!(
        device
            .step(&demo, "/agent/v1/enrollments/activate", Some(&token), &guess)
            .status,
        400
    );
    assert_eq!(
        device
            .step(&demo, "/agent/v1/enrollments/activate", Some(&token), &guess)
            .status,
        404,
        "the attempt is over"
    );

    let stranger = SoftwareTpm::start();
    let mut foreign = evidence.clone();
    foreign["attStmt"]["x5c"] = stranger.evidence()["attStmt"]["x5c"].clone();
    let mut swapped = stranger.evidence();
    swapped["attStmt"]["x5c"] = evidence["attStmt"]["x5c"].clone();
    let mut cut = evidence.clone();
    cut["attStmt"]["ek"] = "AAAA".into();
    for (what, bad) in [
        ("another TPM's certificate", foreign),
        ("another TPM's keys", swapped),
        ("a TPM of an unknown maker", stranger.evidence()),
        ("a key cut short", cut),
        (
            "no certificate",
            json!({ "fmt": "tpm", "attStmt": { "ver": "2.0", "x5c": [], "ek": "", "ak": "" } }),
        ),
    ] {
        let (refused, _) = begin(bad);
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (400, &"E0000001".into()),
            "{what}: {}",
            refused.text()
        );
    }
    assert_eq!(
        demo.admin("GET", "/api/v1/users/forger/devices", None).json(),
        json!([])
    );
    Agent::new().enroll_with(&demo, "forger", &tpm, "tpm", &[]);
}

const PATIENCE: Duration = Duration::from_secs(15);
