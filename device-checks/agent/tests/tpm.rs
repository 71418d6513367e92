//! Do keys in a TPM keep what they promise? Against a software TPM, and against OpenSSL's own TPM provider.

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
use device_checks::wire::{KeyStore as Kind, Octets};
use latchkey_agent::keys::tpm::{TpmAttestor, TpmStore, answers};
use latchkey_agent::keys::{Attestor, KeyError, KeyReference, KeyStore, Role, Shared, Unlock, Verify};
use sha2::{Digest, Sha256};
use support::swtpm::{Swtpm, make_credential, sized};
use support::{NOW, secret, sign, verifies};

#[test]
fn a_key_made_in_the_tpm_signs_and_its_public_half_verifies() {
    let tpm = Swtpm::start();
    let store = TpmStore::new(&tpm.tcti());
    assert_eq!(store.kind(), Kind::Tpm);
    answers(&tpm.tcti()).unwrap();
    let keys: Vec<_> = [Role::Instance, Role::Possession]
        .into_iter()
        .map(|role| store.create(role, None).unwrap())
        .collect();

    // More often than there are slots: everything that is loaded is flushed.
    for digest in 0..5_u8 {
        for key in &keys {
            let signature = store.open(key, None).unwrap().sign_digest(&[digest; 32]).unwrap();
            assert!(verifies(&key.public, &[digest; 32], &signature));
        }
    }

    assert_ne!(keys[0].public, keys[1].public);
    store.delete(&keys[0]).unwrap();
}

#[test]
fn a_tpm_that_does_not_answer_is_said_to_be_unreachable() {
    let tcti = Swtpm::start().tcti();
    let told = answers(&tcti).unwrap_err().to_string();
    assert!(told.contains("reach the TPM"), "{told}");
    assert!(matches!(answers("magic:"), Err(KeyError::Hardware { .. })));
}

/// E-21: the TPM itself enforces the PIN, counts wrong ones, and is not driven into its lock-out.
#[test]
fn the_tpm_enforces_the_pin_and_is_kept_from_locking_out() {
    let tpm = Swtpm::start();
    let store = TpmStore::new(&tpm.tcti());
    let pin = secret("2468");
    assert!(matches!(
        store.create(Role::Verification, None),
        Err(KeyError::PinNeeded)
    ));
    let key = store.create(Role::Verification, Some(Verify::Pin(&pin))).unwrap();
    assert!(matches!(store.open(&key, None), Err(KeyError::PinNeeded)));

    let signature = sign(&store, &key, "2468").unwrap();
    let first = sign(&store, &key, "1357");
    let mut wrong = 1;
    let refused = loop {
        match sign(&store, &key, "1357") {
            Err(KeyError::WrongPin { tries_left: Some(_) }) => wrong += 1,
            other => break other,
        }
        assert!(wrong < 100, "the lock-out never comes near");
    };

    assert!(verifies(&key.public, &[9; 32], &signature));
    assert!(
        matches!(first, Err(KeyError::WrongPin { tries_left: Some(left) }) if left > 0),
        "{first:?}"
    );
    assert!(
        matches!(refused, Err(KeyError::NearLockOut { left: 1.., .. })),
        "{refused:?}"
    );
    let possession = store.create(Role::Possession, None).unwrap();
    assert!(
        store.open(&possession, None).unwrap().sign_digest(&[1; 32]).is_ok(),
        "possession goes on"
    );
}

#[test]
fn a_changed_pin_replaces_the_old_one() {
    let tpm = Swtpm::start();
    let store = TpmStore::new(&tpm.tcti());
    let [old, new] = ["2468", "8642"].map(secret);
    let key = store.create(Role::Verification, Some(Verify::Pin(&old))).unwrap();
    let by = Verify::Pin(&old);

    let changed = store.change(&key, Unlock { by, now: NOW }, &new).unwrap();

    assert_eq!(changed.public, key.public);
    assert!(matches!(sign(&store, &changed, "2468"), Err(KeyError::WrongPin { .. })));
    let signature = sign(&store, &changed, "8642").unwrap();
    assert!(verifies(&key.public, &[9; 32], &signature));
}

/// P-22: what was copied to another machine cannot sign there.
#[test]
fn a_copied_key_does_not_work_on_another_tpm() {
    let (here, there) = (Swtpm::start(), Swtpm::start());
    let key = TpmStore::new(&here.tcti()).create(Role::Possession, None).unwrap();

    let stolen = TpmStore::new(&there.tcti())
        .open(&key, None)
        .unwrap()
        .sign_digest(&[9; 32]);
    let own = TpmStore::new(&here.tcti())
        .open(&key, None)
        .unwrap()
        .sign_digest(&[9; 32]);

    assert!(matches!(stolen, Err(KeyError::Hardware { .. })), "{stolen:?}");
    assert!(own.is_ok());
}

/// E-11: the TPM's own word: made in it, never to leave it; a verification key counts wrong PINs, the others need none.
#[test]
fn keys_have_the_attributes_that_bind_them_to_their_tpm() {
    let tpm = Swtpm::start();
    let store = TpmStore::new(&tpm.tcti());
    let pin = secret("2468");
    for (role, verify, no_lock_out) in [
        (Role::Possession, None, true),
        (Role::Verification, Some(Verify::Pin(&pin)), false),
    ] {
        let KeyReference::Tpm { public, .. } = store.create(role, verify).unwrap().reference else {
            panic!("expected a key of a TPM");
        };
        let attributes = u32::from_be_bytes(public.0[4..8].try_into().unwrap());
        // TPMA_OBJECT (TPM 2.0 Library, part 2, section 8.3).
        let bit = |number: u32| attributes >> number & 1 == 1;
        assert!(bit(1) && bit(4) && bit(5) && bit(6) && bit(18), "{attributes:x}");
        assert!(
            !bit(16) && !bit(17),
            "neither restricted nor for decryption: {attributes:x}"
        );
        assert_eq!(bit(10), no_lock_out, "{attributes:x}");
    }
}

/// The same PEM serves curl and OpenSSL: whoever has the TPM signs with it, and the private key is not in it.
#[test]
fn openssl_signs_with_the_key_that_was_written() {
    let tpm = Swtpm::start();
    let store = TpmStore::new(&tpm.tcti());
    let key = store.create(Role::Possession, None).unwrap();
    let Some(Shared::File(pem)) = store.shared(&key).unwrap() else {
        panic!("expected a file for other programs");
    };
    assert!(pem.starts_with("-----BEGIN TSS2 PRIVATE KEY-----"), "{pem}");
    let at = |name: &str| tpm.path().join(name);
    fs::write(at("key.pem"), pem).unwrap();
    fs::write(at("message"), "message").unwrap();
    fs::write(at("openssl.cnf"), latchkey_agent::cli::OPENSSL_CONFIGURATION).unwrap();

    let signed = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(at("key.pem"))
        .arg("-out")
        .arg(at("signature"))
        .arg(at("message"))
        .env("OPENSSL_CONF", at("openssl.cnf"))
        .env("TPM2OPENSSL_TCTI", tpm.tcti())
        .output()
        .unwrap();

    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let signature = p256::ecdsa::Signature::from_der(&fs::read(at("signature")).unwrap()).unwrap();
    let digest = Sha256::digest("message").into();
    assert!(verifies(&key.public, &digest, &signature.to_bytes().into()));
    let pin = secret("2468");
    let asking = store.create(Role::Verification, Some(Verify::Pin(&pin))).unwrap();
    assert_eq!(
        store.shared(&asking).unwrap(),
        None,
        "a key that asks for its user is not given out"
    );
}

/// E-11: the attestation key is restricted, and certifies keys over what the gateway will compute itself.
#[test]
fn the_tpm_says_which_machine_it_is_and_certifies_its_keys() {
    let tpm = Swtpm::start();
    let (store, attestor) = (TpmStore::new(&tpm.tcti()), TpmAttestor::new(&tpm.tcti()));
    let possession = store.create(Role::Possession, None).unwrap();
    let pin = secret("2468");
    let verification = store.create(Role::Verification, Some(Verify::Pin(&pin))).unwrap();

    let DeviceStatement::Tpm(device) = attestor.begin().unwrap() else {
        panic!("expected a statement");
    };

    assert_eq!(device.x5c.len(), 1);
    let (rest, certificate) = x509_parser::parse_x509_certificate(&device.x5c[0].0).unwrap();
    assert!(rest.is_empty());
    let modulus = match certificate.public_key().parsed().unwrap() {
        x509_parser::public_key::PublicKey::RSA(key) => key.modulus.to_vec(),
        other => panic!("expected RSA, found {other:?}"),
    };
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(&modulus).to_vec();
    assert!(
        device.ek.0.ends_with(&modulus),
        "the certificate is for the endorsement key"
    );
    let attributes = u32::from_be_bytes(device.ak.0[4..8].try_into().unwrap());
    assert_eq!(attributes >> 16 & 1, 1, "restricted");
    let keys = [
        (store.open(&possession, None).unwrap(), &possession),
        (support::open(&store, &verification, "2468").unwrap(), &verification),
    ];
    for (key, stored) in keys {
        let KeyStatement::Tpm(statement) = attestor.certify(&*key, &[5; 32]).unwrap() else {
            panic!("expected a certification");
        };
        assert_certified(&statement, &device.ak, stored);
    }
    let wrong = support::open(&store, &verification, "1357").unwrap();
    assert!(matches!(
        attestor.certify(&*wrong, &[5; 32]),
        Err(KeyError::WrongPin { .. })
    ));
}

/// A key that lives elsewhere is not certified, whoever asks.
#[test]
fn a_software_key_is_not_certified() {
    let tpm = Swtpm::start();
    let software = latchkey_agent::keys::SoftwareStore::new(tpm.path().join("keys"));
    let attestor = TpmAttestor::new(&tpm.tcti());
    attestor.begin().unwrap();
    let key = software.create(Role::Possession, None).unwrap();

    let statement = attestor
        .certify(&*software.open(&key, None).unwrap(), &[5; 32])
        .unwrap();

    assert_eq!(statement, KeyStatement::None);
}

/// E-11: a credential for this TPM's keys is opened by it; one that was changed or is for another TPM is not.
#[test]
fn only_the_tpm_that_a_credential_is_for_opens_it() {
    let (here, there) = (Swtpm::start(), Swtpm::start());
    let attestor = TpmAttestor::new(&here.tcti());
    let DeviceStatement::Tpm(device) = attestor.begin().unwrap() else {
        panic!("expected a statement");
    };
    let credential = make_credential(&device.ek, &device.ak, SECRET);

    assert_eq!(attestor.activate(&credential).unwrap().0, SECRET);

    let mut changed = credential.clone();
    changed.blob.0[10] ^= 1;
    assert!(attestor.activate(&changed).is_err());
    let other = TpmAttestor::new(&there.tcti());
    other.begin().unwrap();
    assert!(other.activate(&credential).is_err());
    assert!(
        TpmAttestor::new(&here.tcti()).activate(&credential).is_err(),
        "before anything was begun"
    );
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// TPMS_ATTEST (part 2, section 10.12.12): the magic, the type, the signer, extraData, clock and firmware, then the
/// name.
fn assert_certified(
    statement: &device_checks::attestation::TpmKey,
    ak: &Octets,
    key: &latchkey_agent::keys::StoredKey,
) {
    let attest = &statement.cert_info.0;
    assert_eq!(attest[..6], [0xff, b'T', b'C', b'G', 0x80, 0x17]);
    let (_, rest) = sized(&attest[6..]);
    let (extra, rest) = sized(rest);
    assert_eq!(extra, [5; 32]);
    let (name, _) = sized(&rest[17 + 8..]);
    assert_eq!(name, [&[0, 0x0b][..], &Sha256::digest(&statement.pub_area.0)].concat());
    assert!(statement.pub_area.0.ends_with(&[&[0, 32][..], &key.public.y].concat()));
    // TPMT_SIGNATURE: ECDSA, SHA-256, r, s; the AK's point ends its TPMT_PUBLIC.
    assert_eq!(statement.sig.0[..4], [0, 0x18, 0, 0x0b]);
    let (r, rest) = sized(&statement.sig.0[4..]);
    let (s, _) = sized(rest);
    let mut signature = [0; 64];
    signature[32 - r.len()..32].copy_from_slice(r);
    signature[64 - s.len()..].copy_from_slice(s);
    let point = &ak.0[ak.0.len() - 68..];
    let (x, y) = (&point[2..34], &point[36..68]);
    let ak = device_checks::wire::PublicKey {
        x: x.try_into().unwrap(),
        y: y.try_into().unwrap(),
    };
    assert!(verifies(&ak, &Sha256::digest(attest).into(), &signature));
}
