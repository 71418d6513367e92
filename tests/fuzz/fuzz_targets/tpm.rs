#![no_main]
//! Do any octets pass for a part of a TPM's evidence? The first octet says for which part the rest stands.

use std::sync::LazyLock;

use device_checks::attestation::tpm::{ActivatedAk, KeyRole, examine};
use device_checks::attestation::{TpmDevice, TpmKey};
use device_checks::wire::Octets;
use latchkey_fuzz::{public, sign};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((part, rest)) = octets.split_first() else {
        return;
    };
    let rest = || Octets(rest.to_vec());
    let mut device = device();
    let mut key = key();
    match part {
        b'e' => device.ek = rest(),
        b'a' => device.ak = rest(),
        b'c' => device.x5c = vec![rest()],
        b'p' => key.pub_area = rest(),
        b's' => key.sig = rest(),
        // What the attestation key signs, whatever it is.
        b'i' => {
            key.sig = Octets(signature(&rest().0));
            key.cert_info = rest();
        }
        b'd' => device = serde_json::from_slice(&rest().0).unwrap_or(device),
        _ => key = serde_json::from_slice(&rest().0).unwrap_or(key),
    }
    if let Ok(evidence) = examine(&device) {
        assert!(evidence.challenge([5; 32], &mut rand::rng()).is_ok());
    }
    for role in [KeyRole::Possession, KeyRole::Verification] {
        let _ = ATTESTATION.certified(&key, &[9; 32], role);
    }
});

static ATTESTATION: LazyLock<ActivatedAk> = LazyLock::new(|| {
    let (_, pending) = examine(&device())
        .unwrap()
        .challenge([5; 32], &mut rand::rng())
        .unwrap();
    pending.activate(&[5; 32]).unwrap()
});

/// A real endorsement key, and an attestation key that is like a real one and ours.
fn device() -> TpmDevice {
    let key = public();
    let head = AK.get(..AK.len() - 68).unwrap_or_default();
    let ak = [head, &[0, 32], &key.x, &[0, 32], &key.y].concat();
    TpmDevice {
        ver: "2.0".to_owned(),
        x5c: vec![Octets(EK_CERTIFICATE.to_vec())],
        ek: Octets(EK.to_vec()),
        ak: Octets(ak),
    }
}

fn key() -> TpmKey {
    TpmKey {
        ver: "2.0".to_owned(),
        pub_area: Octets(POSSESSION.to_vec()),
        cert_info: Octets(INFO.to_vec()),
        sig: Octets(signature(INFO)),
    }
}

fn signature(message: &[u8]) -> Vec<u8> {
    let signature = sign(message);
    let (r, s) = signature.split_at(32);
    [&[0, 0x18, 0, 0x0b, 0, 32], r, &[0, 32], s].concat()
}

const EK_CERTIFICATE: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/ecc-ek.crt");
const EK: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/ecc-ek.public");
const AK: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/ecc-ak.public");
const POSSESSION: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/possession.public");
const INFO: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/ecc-possession.attest");
