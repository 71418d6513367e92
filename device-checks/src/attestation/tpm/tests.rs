//! E-11, E-14, X-22: what a TPM proves, and everything that only looks like it.

mod fixtures;

use proptest::prelude::*;
use rsa::pkcs8::EncodePublicKey;
use sha2::{Digest, Sha256};

use super::forge::{Area, Attest, SoftwareTpm, ecdsa};
use super::public::{NULL, SHA256, SHA384};
use super::*;
use crate::attestation::TpmKey;
use crate::samples::{Ca, key, public, randomness, sign};

const QUALIFYING: [u8; 32] = [9; 32];
const SECRET: [u8; 32] = [5; 32];
const POSSESSION: u32 = Attributes::BORN_AND_STAYS | Attributes::SIGN | Attributes::USER_WITH_AUTH | Attributes::NO_DA;
const VERIFICATION: u32 = Attributes::BORN_AND_STAYS | Attributes::SIGN | Attributes::USER_WITH_AUTH;

/// E-11: the whole way, with the structures of a software TPM that is not ours.
#[test]
fn keys_of_a_real_tpm_are_certified() {
    for (ek, ak, size) in [("rsa", "rsassa", 256), ("rsa", "rsapss", 256), ("ecc", "ecc", 68)] {
        let evidence = examine(&fixtures::device(ek, ak)).unwrap();
        let (credential, pending) = evidence.challenge(SECRET, &mut randomness()).unwrap();
        assert_eq!(credential.secret.0.len(), size);
        assert_eq!(credential.blob.0.len(), 68);

        let activated = pending.activate(&SECRET).unwrap();
        let statement = fixtures::statement(ak, "possession");
        let certified = activated.certified(&statement, &fixtures::QUALIFYING, KeyRole::Possession);

        let certified = certified.unwrap();
        assert_eq!(certified.role(), KeyRole::Possession);
        let point = &statement.pub_area.0[statement.pub_area.0.len() - 66..];
        assert_eq!(certified.key().x, point[..32]);
        assert_eq!(certified.key().y, point[34..]);
    }
}

/// X-14, first half: of two keys of a TPM, only that which the TPM guards verifies a user.
#[test]
fn only_a_key_that_the_tpm_guards_verifies_users() {
    let activated = fixtures::activated("ecc", "ecc");
    let certified = |key, role| activated.certified(&fixtures::statement("ecc", key), &fixtures::QUALIFYING, role);

    assert!(certified("verification", KeyRole::Verification).is_ok());
    assert!(certified("verification", KeyRole::Possession).is_ok());
    assert!(certified("possession", KeyRole::Possession).is_ok());
    assert_eq!(
        certified("possession", KeyRole::Verification),
        Err(BadCertification::Verification)
    );
}

/// E-14: a key that the TPM certifies and that can leave it does not count.
#[test]
fn a_key_that_can_leave_its_tpm_is_refused() {
    let statement = fixtures::statement("ecc", "exportable");
    let certified = fixtures::activated("ecc", "ecc").certified(&statement, &fixtures::QUALIFYING, KeyRole::Possession);
    assert_eq!(certified, Err(BadCertification::Attributes));
}

#[test]
fn the_machine_is_its_endorsement_key() {
    let (rsa, ecc) = (fixtures::device("rsa", "rsassa"), fixtures::device("ecc", "ecc"));
    let Key::Rsa(key) = Public::parse(&rsa.ek.0).unwrap().key else {
        panic!("an RSA key")
    };
    let info = key.to_public_key_der().unwrap();
    assert_eq!(examine(&rsa).unwrap().hardware(), HardwareId::of(info.as_bytes()));
    assert_ne!(examine(&rsa).unwrap().hardware(), examine(&ecc).unwrap().hardware());
    assert_eq!(
        examine(&rsa).unwrap().chain(),
        [rsa.x5c[0].0.clone(), rsa.x5c[1].0.clone()]
    );
}

/// E-14: what is said of a TPM without being a TPM's own words.
#[test]
fn evidence_is_refused_when_one_thing_is_wrong() {
    let set = |bits: u32| move |area: &mut Area| area.attributes |= bits;
    let cleared = |bits: u32| move |area: &mut Area| area.attributes &= !bits;
    assert_eq!(with_ek(|_| {}), Ok(()));
    assert_eq!(with_ak(|_| {}), Ok(()));

    for bit in [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 17] {
        assert_eq!(
            with_ek(cleared(bit)),
            Err(BadEvidence::NotEndorsement),
            "EK without {bit:#x}"
        );
    }
    assert_eq!(
        with_ek(set(1 << 18)),
        Err(BadEvidence::NotEndorsement),
        "an EK that signs"
    );
    assert_eq!(
        with_ek(|ek| ek.symmetric = vec![NULL]),
        Err(BadEvidence::NotEndorsement)
    );
    assert_eq!(
        with_ek(|ek| ek.scheme = vec![0x18, SHA256]),
        Err(BadEvidence::NotEndorsement)
    );
    assert_eq!(with_ek(|ek| ek.name_hash = SHA384), Err(BadEvidence::NotEndorsement));

    for bit in [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18] {
        assert_eq!(
            with_ak(cleared(bit)),
            Err(BadEvidence::NotAttestation),
            "AK without {bit:#x}"
        );
    }
    assert_eq!(
        with_ak(set(1 << 17)),
        Err(BadEvidence::NotAttestation),
        "an AK that decrypts"
    );
    assert_eq!(with_ak(|ak| ak.scheme = vec![NULL]), Err(BadEvidence::NotAttestation));
    assert_eq!(
        with_ak(|ak| ak.scheme = vec![0x18, SHA384]),
        Err(BadEvidence::NotAttestation)
    );
    assert_eq!(
        with_ak(|ak| ak.scheme = vec![0x14, SHA256]),
        Err(BadEvidence::NotAttestation)
    );
    assert_eq!(
        with_ak(|ak| ak.symmetric = vec![6, 128, 0x43]),
        Err(BadEvidence::NotAttestation)
    );
}

#[test]
fn a_public_area_with_anything_unusual_in_it_is_refused() {
    let refused = |change: fn(&mut Area)| match with_ak(change) {
        Err(BadEvidence::Attestation(malformed)) => malformed,
        other => panic!("{other:?}"),
    };
    let unsupported = |field, value| Malformed::Unsupported { field, value };

    assert_eq!(refused(|ak| ak.behind = vec![0]), Malformed::Trailing(1));
    assert_eq!(refused(|ak| ak.kind = 8), unsupported("type", 8));
    assert_eq!(refused(|ak| ak.name_hash = 4), unsupported("nameAlg", 4), "SHA-1");
    assert_eq!(
        refused(|ak| ak.symmetric = vec![6, 256, 0x43]),
        unsupported("symmetric key size", 256)
    );
    assert_eq!(
        refused(|ak| ak.symmetric = vec![6, 128, 0x44]),
        unsupported("symmetric mode", 0x44)
    );
    assert_eq!(
        refused(|ak| ak.symmetric = vec![0x25]),
        unsupported("symmetric algorithm", 0x25)
    );
    assert_eq!(
        refused(|ak| ak.scheme = vec![0x18, 4]),
        unsupported("scheme", 4),
        "SHA-1"
    );
    assert_eq!(
        refused(|ak| ak.scheme = vec![0x1a, SHA256]),
        unsupported("scheme", 0x1a),
        "ECDAA"
    );
    assert_eq!(refused(|ak| ak.curve = 4), unsupported("curveID", 4), "P-384");
    assert_eq!(refused(|ak| ak.kdf = 0x20), unsupported("kdf", 0x20));
    let reserved = unsupported("objectAttributes (reserved bits)", 1 << 31);
    assert_eq!(refused(|ak| ak.attributes |= 1 << 31), reserved);
    let long = |field, length| Malformed::Length { field, length };
    assert_eq!(refused(|ak| ak.policy = vec![0; 65]), long("authPolicy", 65));
    assert_eq!(refused(|ak| ak.x = vec![0; 33]), long("x", 33));
    assert_eq!(refused(|ak| ak.y.reverse()), Malformed::Key, "not on the curve");
    assert_eq!(
        refused(|ak| (ak.x, ak.y) = (vec![], vec![])),
        Malformed::Key,
        "infinity"
    );
}

/// E-14: a certificate of another machine lends its name to nobody.
#[test]
fn an_endorsement_key_that_is_not_its_certificates_is_refused() {
    let ca = Ca::root("EK CA");
    let (one, other) = (SoftwareTpm::new(&ca, 1), SoftwareTpm::new(&ca, 2));
    let mut device = one.device();
    assert!(examine(&device).is_ok());

    device.x5c = other.device().x5c;
    assert_eq!(examine(&device).err(), Some(BadEvidence::OtherKey));
    device.x5c.clear();
    assert_eq!(
        examine(&device).err(),
        Some(BadEvidence::Certificate(Unreadable::Shape))
    );
    device = one.device();
    device.x5c[0].0.push(0);
    assert_eq!(
        examine(&device).err(),
        Some(BadEvidence::Certificate(Unreadable::Shape))
    );
    device = one.device();
    device.ver = "1.2".to_owned();
    assert_eq!(examine(&device).err(), Some(BadEvidence::Version));
}

/// E-11, E-14: what opens a credential is the TPM with both keys, and nothing else.
#[test]
fn a_credential_is_opened_by_the_tpm_with_both_keys_alone() {
    let ca = Ca::root("EK CA");
    let (one, other) = (SoftwareTpm::new(&ca, 1), SoftwareTpm::new(&ca, 2));
    let (credential, pending) = examine(&one.device())
        .unwrap()
        .challenge(SECRET, &mut randomness())
        .unwrap();

    assert_eq!(
        one.open(&credential, &other.ak.name()),
        None,
        "a credential for another AK"
    );
    assert_eq!(other.open(&credential, &one.ak.name()), None, "another EK");
    let mut exportable = one.ak.clone();
    exportable.attributes &= !Attributes::FIXED_TPM;
    assert_eq!(
        one.open(&credential, &exportable.name()),
        None,
        "an AK that said it was another"
    );
    let answer = one.open(&credential, &one.ak.name()).unwrap();
    assert!(pending.activate(&answer).is_ok());
}

#[test]
fn every_other_answer_than_the_secret_is_refused() {
    let evidence = examine(&SoftwareTpm::new(&Ca::root("EK CA"), 1).device()).unwrap();
    let activated = |answer: &[u8]| {
        let (_, pending) = evidence.challenge(SECRET, &mut randomness()).unwrap();
        pending.activate(answer).map(|_| ())
    };
    assert_eq!(activated(&SECRET), Ok(()));
    for wrong in [&[][..], &SECRET[..31], &[5; 33], &[4; 32], &[0; 32]] {
        assert_eq!(activated(wrong), Err(WrongSecret), "{} octets", wrong.len());
    }
}

#[test]
fn two_credentials_for_one_secret_have_nothing_in_common() {
    for (ek, ak) in [("rsa", "rsassa"), ("ecc", "ecc")] {
        let evidence = examine(&fixtures::device(ek, ak)).unwrap();
        let mut randomness = randomness();
        let (one, _) = evidence.challenge(SECRET, &mut randomness).unwrap();
        let (other, _) = evidence.challenge(SECRET, &mut randomness).unwrap();
        assert_ne!(one.secret, other.secret);
        assert_ne!(one.blob, other.blob);
    }
}

#[test]
fn the_secret_never_shows_in_debug_output() {
    let evidence = examine(&fixtures::device("ecc", "ecc")).unwrap();
    let secret = [0xab; 32];
    let (_, pending) = evidence.challenge(secret, &mut randomness()).unwrap();
    let shown = format!("{pending:?}");
    assert!(shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("171, 171"), "{shown}");
}

/// E-14, X-22: each rule of certification, broken alone.
#[test]
fn a_certification_is_refused_when_one_thing_is_wrong() {
    use BadCertification::{Attributes as Attribute, Info, Kind, Name, Qualifying};
    let set = |bits: u32| move |area: &mut Area, _: &mut Attest| area.attributes |= bits;
    let cleared = |bits: u32| move |area: &mut Area, _: &mut Attest| area.attributes &= !bits;
    let info = |field, value| Some(Info(Malformed::Unsupported { field, value }));
    assert_eq!(certify(POSSESSION, |_, _| {}), None);

    assert_eq!(
        certify(POSSESSION, |_, info| info.magic = 0xff54_4346),
        info("magic", 0xff54_4346)
    );
    assert_eq!(
        certify(POSSESSION, |_, info| info.kind = 0x8018),
        info("type", 0x8018),
        "a quote"
    );
    assert_eq!(certify(POSSESSION, |_, info| info.safe = 2), info("safe", 2));
    let trailing = Some(Info(Malformed::Trailing(1)));
    assert_eq!(certify(POSSESSION, |_, info| info.behind = vec![0]), trailing);
    for other in [[8; 32].to_vec(), vec![], QUALIFYING[..31].to_vec(), [9; 33].to_vec()] {
        assert_eq!(certify(POSSESSION, |_, info| info.qualifying = other), Some(Qualifying));
    }
    assert_eq!(certify(POSSESSION, |_, info| info.name[33] ^= 1), Some(Name));
    assert_eq!(certify(POSSESSION, |_, info| info.name = vec![]), Some(Name));
    for bit in [1 << 1, 1 << 4, 1 << 5, 1 << 18] {
        assert_eq!(certify(POSSESSION, cleared(bit)), Some(Attribute), "without {bit:#x}");
    }
    assert_eq!(certify(POSSESSION, set(1 << 16)), Some(Attribute), "restricted");
    assert_eq!(certify(POSSESSION, set(1 << 17)), Some(Attribute), "decrypt");
    assert_eq!(certify(POSSESSION, |key, _| key.scheme = vec![NULL]), None);
    assert_eq!(
        certify(POSSESSION, |key, _| key.scheme = vec![0x18, SHA384]),
        Some(Kind)
    );
    assert_eq!(
        certify(POSSESSION, |key, _| key.symmetric = vec![6, 128, 0x43]),
        Some(Kind)
    );
    let behind = Some(BadCertification::Key(Malformed::Trailing(1)));
    assert_eq!(certify(POSSESSION, |key, _| key.behind = vec![0]), behind);
}

/// X-14, first half: neither unlimited guesses nor a policy get around the value that the user knows.
#[test]
fn a_verification_key_is_guarded_by_what_the_user_knows_alone() {
    let certify = |change: fn(&mut Area)| certify_as(KeyRole::Verification, VERIFICATION, |area, _| change(area));
    let refused = Some(BadCertification::Verification);

    assert_eq!(certify(|_| {}), None);
    assert_eq!(certify(|key| key.attributes |= Attributes::NO_DA), refused);
    assert_eq!(certify(|key| key.attributes &= !Attributes::USER_WITH_AUTH), refused);
    assert_eq!(certify(|key| key.attributes |= Attributes::ADMIN_WITH_POLICY), refused);
    assert_eq!(certify(|key| key.policy = vec![1; 32]), refused);
}

/// evidence made for another key, by another key, or for another occasion serves nobody.
#[test]
fn what_another_key_signed_is_refused() {
    let ca = Ca::root("EK CA");
    let (one, other) = (SoftwareTpm::new(&ca, 1), SoftwareTpm::new(&ca, 2));
    let area = Area::new(&key(50), POSSESSION);
    let by = |tpm: &SoftwareTpm| tpm.certify(&area, &Attest::new(&area, &QUALIFYING));
    let activated = activate(&one);
    let certified = |statement: &TpmKey| activated.certified(statement, &QUALIFYING, KeyRole::Possession).err();

    assert_eq!(certified(&by(&one)), None);
    assert_eq!(certified(&by(&other)), Some(BadCertification::Signature));
    let mut swapped = by(&one);
    swapped.pub_area = Octets(Area::new(&key(51), POSSESSION).octets());
    assert_eq!(certified(&swapped), Some(BadCertification::Name));
    let mut old = by(&one);
    old.ver = "1.2".to_owned();
    assert_eq!(certified(&old), Some(BadCertification::Version));
}

#[test]
fn a_signature_is_taken_as_a_tpms_or_in_der_and_exactly() {
    let tpm = SoftwareTpm::new(&Ca::root("EK CA"), 1);
    let area = Area::new(&key(50), POSSESSION);
    let mut statement = tpm.certify(&area, &Attest::new(&area, &QUALIFYING));
    let raw = sign(&tpm.attestation, &Sha256::digest(&statement.cert_info.0).into());
    let der = p256::ecdsa::Signature::from_slice(&raw)
        .unwrap()
        .to_der()
        .as_bytes()
        .to_vec();
    let activated = activate(&tpm);
    let mut certified = |sig: Vec<u8>| {
        statement.sig = Octets(sig);
        activated.certified(&statement, &QUALIFYING, KeyRole::Possession).err()
    };

    assert_eq!(certified(ecdsa(&raw)), None);
    assert_eq!(certified(der.clone()), None);
    let shape = |malformed| Some(BadCertification::SignatureShape(malformed));
    assert_eq!(
        certified([&ecdsa(&raw)[..], &[0]].concat()),
        shape(Malformed::Trailing(1))
    );
    assert_eq!(certified([&der[..], &[0]].concat()), shape(Malformed::Signature));
    assert_eq!(certified(vec![]), shape(Malformed::Short));
    assert_eq!(certified(ecdsa(&[0; 64])), shape(Malformed::Signature), "r and s of 0");
    assert_eq!(
        certified(ecdsa(&[0xff; 64])),
        shape(Malformed::Signature),
        "r and s above n"
    );
    let mut other_hash = ecdsa(&raw);
    other_hash[3] = 0x0c;
    assert_eq!(
        certified(other_hash),
        Some(BadCertification::Signature),
        "said to be over SHA-384"
    );
}

/// S-12, for hardware: nothing that a TPM signed can be changed.
#[test]
fn every_flipped_bit_of_what_was_certified_is_noticed() {
    let activated = fixtures::activated("ecc", "ecc");
    let statement = fixtures::statement("ecc", "possession");
    let certified = |statement: &TpmKey| activated.certified(statement, &fixtures::QUALIFYING, KeyRole::Possession);
    assert!(certified(&statement).is_ok());

    for (bit, at) in (0..statement.cert_info.0.len()).flat_map(|at| (0..8).map(move |bit| (bit, at))) {
        let mut changed = statement.clone();
        changed.cert_info.0[at] ^= 1 << bit;
        assert_eq!(
            certified(&changed),
            Err(BadCertification::Signature),
            "bit {bit} of octet {at}"
        );
    }
    for (bit, at) in (0..statement.pub_area.0.len()).flat_map(|at| (0..8).map(move |bit| (bit, at))) {
        let mut changed = statement.clone();
        changed.pub_area.0[at] ^= 1 << bit;
        assert!(
            certified(&changed).is_err(),
            "bit {bit} of octet {at} of the public area"
        );
    }
}

proptest! {
    #[test]
    fn random_octets_are_no_evidence(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Public::parse(&octets).is_err());
        prop_assert!(certify::Certification::parse(&octets).is_err());
        let mut device = fixtures::device("ecc", "ecc");
        device.ek.0.clone_from(&octets);
        prop_assert!(examine(&device).is_err());
    }

    #[test]
    fn a_structure_cut_short_or_made_longer_is_refused(at in any::<prop::sample::Index>(), more in 0_u8..) {
        let device = fixtures::device("rsa", "rsassa");
        for whole in [&device.ek.0, &device.ak.0, &fixtures::device("ecc", "ecc").ek.0] {
            prop_assert!(Public::parse(whole).is_ok());
            prop_assert!(Public::parse(&whole[..at.index(whole.len())]).is_err());
            prop_assert!(Public::parse(&[&whole[..], &[more]].concat()).is_err());
        }
        let info = fixtures::statement("ecc", "possession").cert_info.0;
        prop_assert!(certify::Certification::parse(&info).is_ok());
        prop_assert!(certify::Certification::parse(&info[..at.index(info.len())]).is_err());
        prop_assert!(certify::Certification::parse(&[&info[..], &[more]].concat()).is_err());
    }

    #[test]
    fn a_changed_public_area_has_another_name_or_is_none(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let whole = fixtures::device("ecc", "ecc").ak.0;
        let mut changed = whole.clone();
        *at.get_mut(&mut changed) ^= flip;
        if let Ok(other) = Public::parse(&changed) {
            prop_assert_ne!(other.name, Public::parse(&whole).unwrap().name);
        }
    }
}

fn with_ek(change: impl FnOnce(&mut Area)) -> Result<(), BadEvidence> {
    let mut tpm = SoftwareTpm::new(&Ca::root("EK CA"), 1);
    change(&mut tpm.ek);
    examine(&tpm.device()).map(|_| ())
}

fn with_ak(change: impl FnOnce(&mut Area)) -> Result<(), BadEvidence> {
    let mut tpm = SoftwareTpm::new(&Ca::root("EK CA"), 1);
    change(&mut tpm.ak);
    examine(&tpm.device()).map(|_| ())
}

fn certify(attributes: u32, change: impl FnOnce(&mut Area, &mut Attest)) -> Option<BadCertification> {
    certify_as(KeyRole::Possession, attributes, change)
}

/// What is said of a key whose area and certification, properly signed, differ from good ones by this change.
fn certify_as(role: KeyRole, attributes: u32, change: impl FnOnce(&mut Area, &mut Attest)) -> Option<BadCertification> {
    let tpm = SoftwareTpm::new(&Ca::root("EK CA"), 1);
    let mut area = Area::new(&key(50), attributes);
    let mut attest = Attest::new(&area, &QUALIFYING);
    let name = attest.name.clone();
    change(&mut area, &mut attest);
    if attest.name == name {
        attest.name = area.name();
    }
    let certified = activate(&tpm).certified(&tpm.certify(&area, &attest), &QUALIFYING, role);
    match certified {
        Ok(certified) => {
            assert_eq!(certified.key(), public(&key(50)));
            None
        }
        Err(refused) => Some(refused),
    }
}

fn activate(tpm: &SoftwareTpm) -> ActivatedAk {
    let evidence = examine(&tpm.device()).unwrap();
    let (credential, pending) = evidence.challenge(SECRET, &mut randomness()).unwrap();
    pending
        .activate(&tpm.open(&credential, &tpm.ak.name()).unwrap())
        .unwrap()
}
