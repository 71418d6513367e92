use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::keys::{Choice, KeyReference};

#[test]
fn what_was_remembered_is_read_again_and_is_its_owners_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("state"));
    assert!(folder.load().unwrap().is_none());
    assert!(matches!(folder.require(), Err(StateError::Empty { .. })));
    let state = with(&["alice"]);

    folder.write().unwrap().save(&state).unwrap();

    assert_eq!(folder.require().unwrap(), state);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.path().join(FILE)), 0o600);
}

#[test]
fn the_state_is_written_by_one_at_a_time() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("state"));
    let first = folder.write().unwrap();

    assert!(matches!(folder.write(), Err(StateError::Taken { .. })));
    drop(first);

    assert!(folder.write().is_ok());
}

#[test]
fn a_state_that_was_broken_or_is_of_a_later_version_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("state"));
    let writer = folder.write().unwrap();
    writer.save(&with(&[])).unwrap();
    let file = folder.path().join(FILE);
    let good = std::fs::read_to_string(&file).unwrap();

    private_file::write(&file, &good.as_bytes()[..good.len() - 3]).unwrap();
    assert!(matches!(folder.load(), Err(StateError::Unreadable { .. })));
    private_file::write(&file, good.replace("\"version\": 1", "\"version\": 2").as_bytes()).unwrap();
    assert!(matches!(folder.load(), Err(StateError::Newer { found: 2, .. })));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        folder.load(),
        Err(StateError::File(FileError::TooOpen { .. }))
    ));
    private_file::write(&file, good.as_bytes()).unwrap();
    assert!(folder.load().is_ok());
}

#[test]
fn an_account_is_named_where_there_is_more_than_one() {
    assert_eq!(with(&["alice"]).account(None).unwrap().login, "alice");
    let two = with(&["alice", "bob"]);
    assert_eq!(two.account(Some("bob")).unwrap().login, "bob");
    let told = |login| two.account(login).unwrap_err().to_string();
    assert_eq!(told(None), "say which account with --account: there is alice, bob");
    assert!(told(Some("carol")).ends_with("there is alice, bob"));
    assert!(with(&[]).account(None).is_err());
}

#[test]
fn files_are_named_after_the_login_but_never_lead_elsewhere() {
    let state = with(&["alice"]);
    for (login, expected) in [
        ("bob", "bob"),
        ("bob@example.com", "bob@example.com"),
        ("../../etc/passwd", "_.._.._etc_passwd"),
        ("alice", "alice_2"),
        ("", "_"),
        ("-rf", "_-rf"),
        ("gateway-ca", "_gateway-ca"),
    ] {
        assert_eq!(state.name_files(login), expected, "{login}");
    }
}

#[test]
fn a_certificate_is_renewed_when_two_thirds_of_its_lifetime_are_over() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.not_before = rcgen::date_time_ymd(2026, 11, 1);
    parameters.not_after = rcgen::date_time_ymd(2026, 12, 1);
    let chain = parameters.self_signed(&key).unwrap().pem();

    let leaf = leaf_of(chain.as_bytes()).unwrap();

    assert_eq!(renew_at(&leaf).to_string(), "2026-11-21T00:00:00.000Z");
}

fn with(logins: &[&str]) -> State {
    let key = StoredKey {
        public: PublicKey { x: [1; 32], y: [2; 32] },
        reference: KeyReference::Software { file: "x".to_owned() },
    };
    let account = |login: &&str| Account {
        login: (*login).to_owned(),
        user: UserId::from_random(1),
        enrollment: EnrollmentId::from_random(2),
        files: (*login).to_owned(),
        possession: key.clone(),
        verification: None,
        key_protection: KeyProtection::Software,
        root_class: None,
        managed: false,
        fastpass: true,
    };
    let mut state = State::new(
        Pinned {
            organization: OrganizationId::from_random(3),
            issuer: "https://auth.example.com".to_owned(),
            device_origin: None,
            challenge_keys: Vec::new(),
            authority: None,
        },
        Configuration {
            keys: Choice::Software,
            tcti: None,
            attestation: true,
            pkcs11: None,
        },
        None,
        Instance {
            id: InstanceId::from_random(4),
            key: key.clone(),
        },
        Device {
            id: DeviceId::from_random(5),
            name: "laptop".to_owned(),
        },
    );
    state.accounts = logins.iter().map(account).collect();
    state
}
