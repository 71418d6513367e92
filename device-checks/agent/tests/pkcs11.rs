//! Do keys in a PKCS#11 token keep what they promise? Against SoftHSM.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "pkcs11")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use latchkey_agent::keys::{
    KeyError, KeyReference, KeyStore, Pkcs11Configuration, Pkcs11Store, Role, Shared, StoredKey, Unlock, Verify,
};
use support::{NOW, secret, sign, verifies};

/// The module reads its configuration from the environment once, so this file is one test with one token.
#[test]
fn a_token_keeps_keys_and_the_agent_asks_for_the_users_pin() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = token(folder.path());
    let store = Pkcs11Store::new(configuration.clone(), folder.path().join("keys"));
    let pin = secret("2468");
    let possession = store.create(Role::Possession, None).unwrap();
    assert!(matches!(
        store.create(Role::Verification, None),
        Err(KeyError::PinNeeded)
    ));
    let verification = store.create(Role::Verification, Some(Verify::Pin(&pin))).unwrap();

    // Possession signs without asking; verification with its PIN alone.
    let signature = store.open(&possession, None).unwrap().sign_digest(&[9; 32]).unwrap();
    assert!(verifies(&possession.public, &[9; 32], &signature));
    assert!(matches!(store.open(&verification, None), Err(KeyError::PinNeeded)));
    assert!(matches!(
        sign(&store, &verification, "1357"),
        Err(KeyError::WrongPin { .. })
    ));
    assert!(verifies(
        &verification.public,
        &[9; 32],
        &sign(&store, &verification, "2468").unwrap()
    ));

    // A changed PIN replaces the old one.
    let new = secret("8642");
    let by = Verify::Pin(&pin);
    let verification = store.change(&verification, Unlock { by, now: NOW }, &new).unwrap();
    assert!(matches!(
        sign(&store, &verification, "2468"),
        Err(KeyError::WrongPin { .. })
    ));
    assert!(sign(&store, &verification, "8642").is_ok());

    the_keys_cannot_be_taken_out(folder.path());
    openssl_signs_by_the_uri(folder.path(), &store, &possession);

    // Another installation's files do not make the PIN go away.
    let elsewhere = Pkcs11Store::new(configuration.clone(), folder.path().join("others"));
    assert!(matches!(
        sign(&elsewhere, &verification, "8642"),
        Err(KeyError::Gone(_))
    ));

    what_was_destroyed_is_gone(&store, &possession, &verification);
    what_is_wrong_with_a_token_is_said(folder.path(), &store, &configuration);
}

/// Also for who destroys it again.
fn what_was_destroyed_is_gone(store: &Pkcs11Store, possession: &StoredKey, verification: &StoredKey) {
    store.delete(verification).unwrap();
    store.delete(verification).unwrap();
    assert!(store.open(possession, None).is_ok());
    store.delete(possession).unwrap();
    assert!(matches!(store.open(possession, None), Err(KeyError::Gone(_))));
}

fn what_is_wrong_with_a_token_is_said(folder: &Path, store: &Pkcs11Store, configuration: &Pkcs11Configuration) {
    let labelled = |token: &str| Pkcs11Configuration {
        token: token.to_owned(),
        ..configuration.clone()
    };
    assert!(
        Pkcs11Store::new(labelled("test token"), folder.to_owned())
            .check()
            .is_ok()
    );
    assert!(Pkcs11Store::new(labelled("other"), folder.to_owned()).check().is_err());
    fs::set_permissions(&configuration.pin_file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        matches!(store.check(), Err(KeyError::File(_))),
        "a PIN that everybody may read"
    );
}

/// CKA_EXTRACTABLE and CKA_SENSITIVE, as OpenSC's tool sees them, and the value is not given to anybody either.
fn the_keys_cannot_be_taken_out(folder: &Path) {
    let tool = |arguments: &[&str]| -> Output {
        Command::new("pkcs11-tool")
            .args([
                "--module",
                MODULE,
                "--token-label",
                "test token",
                "--login",
                "--pin",
                PIN,
            ])
            .args(arguments)
            .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
            .output()
            .expect("pkcs11-tool is missing: apt-get install opensc")
    };
    let listed = String::from_utf8(tool(&["--list-objects", "--type", "privkey"]).stdout).unwrap();
    assert_eq!(listed.matches("Private Key Object").count(), 2, "{listed}");
    assert_eq!(listed.matches("never extractable").count(), 2, "{listed}");
    assert_eq!(listed.matches("sensitive").count(), 4, "{listed}");
    let module = Pkcs11::new(MODULE).unwrap();
    // The agent has initialised it for this process.
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_ro_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    let keys = session
        .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
        .unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let value = session.get_attribute_info(key, &[AttributeType::Value]).unwrap();
        assert!(matches!(value.as_slice(), [AttributeInfo::Sensitive]), "{value:?}");
    }
}

/// The URI that `status` shows is one that OpenSSL's engine, and curl with it, signs by.
fn openssl_signs_by_the_uri(folder: &Path, store: &Pkcs11Store, key: &StoredKey) {
    let Some(Shared::Uri(uri)) = store.shared(key).unwrap() else {
        panic!("expected a URI");
    };
    assert!(matches!(key.reference, KeyReference::Pkcs11 { guard: None, .. }));
    fs::write(folder.join("message"), "message").unwrap();
    let signed = Command::new("openssl")
        .args([
            "dgst", "-sha256", "-engine", "pkcs11", "-keyform", "engine", "-sign", &uri, "-out",
        ])
        .arg(folder.join("signature"))
        .arg(folder.join("message"))
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .env("PKCS11_MODULE_PATH", MODULE)
        .output()
        .unwrap();
    assert!(
        signed.status.success(),
        "{uri}: {}",
        String::from_utf8_lossy(&signed.stderr)
    );
    let signature = p256::ecdsa::Signature::from_der(&fs::read(folder.join("signature")).unwrap()).unwrap();
    let digest = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        "message",
    ));
    assert!(verifies(&key.public, &digest.into(), &signature.to_bytes().into()));
}

fn token(folder: &Path) -> Pkcs11Configuration {
    let tokens = folder.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let file = folder.join("softhsm2.conf");
    fs::write(&file, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    // SAFETY: this file's only test has not begun any thread yet.
    #[allow(
        unsafe_code,
        reason = "the module reads its configuration from the environment alone"
    )]
    unsafe {
        std::env::set_var("SOFTHSM2_CONF", &file);
    }
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "test token",
            "--pin",
            PIN,
            "--so-pin",
            "12345678",
        ])
        .output()
        .expect("softhsm2-util is missing: apt-get install softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pin_file = folder.join("token-pin");
    fs::write(&pin_file, PIN).unwrap();
    fs::set_permissions(&pin_file, fs::Permissions::from_mode(0o600)).unwrap();
    Pkcs11Configuration {
        module: MODULE.into(),
        token: "test token".to_owned(),
        pin_file,
    }
}

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";
