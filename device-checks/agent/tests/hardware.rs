//! Does the command line enrol with keys in hardware, and say what that hardware is worth?

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "tpm")]

mod support;

use std::fs;
use std::process::Command;

use device_checks::attestation::{DeviceStatement, KeyStatement};
use device_checks::wire::KeyStore;
use support::agent::Agent;
use support::gateway::FakeGateway;
use support::swtpm::{Swtpm, sized};

/// E-11, E-21: the TPM proves itself and certifies both keys over this gateway, this attempt, this user and this
/// request.
#[test]
fn a_device_enrols_with_keys_in_its_tpm() {
    let (gateway, agent, tpm) = (FakeGateway::start(), Agent::new(), Swtpm::start());
    let pin = agent.file("pin", "2468");
    let tcti = tpm.tcti();
    let more = ["--keys", "tpm", "--tcti", &tcti, "--pin-file", &pin];

    let enrolled = agent.enroll(&gateway.url(), &gateway.authority(), &more).json();

    assert_eq!(enrolled["keyProtection"], "HARDWARE");
    assert_eq!(enrolled["rootClass"], "test");
    assert_eq!(enrolled["verification"]["enforcedBy"], "tpm");
    let (begin, finish, activated) = gateway.evidence();
    assert!(activated && begin.key_store == KeyStore::Tpm);
    assert!(matches!(begin.statement, DeviceStatement::Tpm(_)));
    let request = pem::parse(&finish.certificate_request).unwrap().into_contents();
    let nonce = "nonce-of-22-charactersnonce-of-22-characters";
    let bound = device_checks::wire::binding(
        &gateway.url(),
        nonce,
        device_checks::wire::UserId::from_random(1),
        &request,
    );
    for statement in [&finish.possession, &finish.verification.as_ref().unwrap().statement] {
        let KeyStatement::Tpm(key) = statement else {
            panic!("expected a certification, found {statement:?}");
        };
        let (_, rest) = sized(&key.cert_info.0[6..]);
        assert_eq!(sized(rest).0, bound);
    }

    let status = agent.run(&["status"]);
    assert!(
        status.out.contains("enforced by the TPM") && status.out.contains(&tcti),
        "{status:?}"
    );
    let json = agent.run(&["status", "--json"]).json();
    assert_eq!(json["signals"]["tpm"], true);
    assert_eq!(agent.run(&["renew"]).code, 0);
    assert_eq!(agent.run(&["report"]).code, 0);
    let doctor = agent.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");

    // Without its TPM nothing signs, and the doctor says so; nothing of the library's own is shown.
    drop(tpm);
    let without = agent.run(&["doctor"]);
    assert_eq!(without.code, 1);
    assert!(
        without.out.contains("WRONG TPM") && without.err.is_empty(),
        "{without:?}"
    );
}

/// E-12: the keys may live in files although the machine has a TPM that proves which machine it is.
#[test]
fn a_machine_is_proved_although_its_keys_are_in_files() {
    let (gateway, agent, tpm) = (FakeGateway::start(), Agent::new(), Swtpm::start());
    let tcti = tpm.tcti();

    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--tcti", &tcti])
        .json();

    let (begin, finish, activated) = gateway.evidence();
    assert!(activated && begin.key_store == KeyStore::Software);
    assert_eq!(finish.possession, KeyStatement::None);
    assert_eq!(agent.run(&["unenroll"]).code, 0);
    agent
        .enroll(
            &gateway.url(),
            &gateway.authority(),
            &["--tcti", &tcti, "--no-attestation"],
        )
        .json();
    assert_eq!(gateway.evidence().0.statement, DeviceStatement::None);
}

/// P-22: an installation that was copied to another machine cannot sign there.
#[test]
fn a_copied_installation_is_worth_nothing_elsewhere() {
    let (gateway, agent, tpm) = (FakeGateway::start(), Agent::new(), Swtpm::start());
    let tcti = tpm.tcti();
    agent
        .enroll(
            &gateway.url(),
            &gateway.authority(),
            &["--keys", "tpm", "--tcti", &tcti],
        )
        .json();
    let (thief, other) = (Agent::new(), Swtpm::start());
    let copied = Command::new("cp")
        .arg("-a")
        .arg(agent.state())
        .arg(thief.state())
        .status()
        .unwrap();
    assert!(copied.success());
    let file = thief.state().join("agent.json");
    let state = fs::read_to_string(&file).unwrap().replace(&tcti, &other.tcti());
    fs::write(&file, state).unwrap();

    let stolen = thief.run(&["assert", "--url", "https://app.localhost/"]);

    assert_eq!((stolen.code, stolen.out.as_str()), (1, ""), "{stolen:?}");
    assert!(thief.run(&["doctor"]).out.contains("WRONG key of alice"));
    assert_eq!(agent.run(&["assert", "--url", "https://app.localhost/"]).code, 0);
}
