#![no_main]
//! Do any octets pass for a certificate that counts? A client's, an endorsement key's, a CA's.

use std::sync::LazyLock;

use certs::check_client_leaf;
use device_checks::attestation::{RootClass, Roots};
use device_checks::{Anchor, LeafCertificate};
use directory::Fingerprint;
use latchkey_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(leaf) = LeafCertificate::parse(octets) {
        assert_eq!(leaf.fingerprint, Fingerprint::of(octets));
    }
    let _ = check_client_leaf(octets);
    let _ = Anchor::parse(octets);
    let chain = [octets.to_vec(), ISSUER.to_vec()];
    if ROOTS.vouch(&chain, NOW).is_ok() {
        assert!(LeafCertificate::parse(octets).is_ok());
    }
});

static ROOTS: LazyLock<Roots> = LazyLock::new(|| Roots::new([(ROOT.to_vec(), RootClass::Test)], []).unwrap());

const ISSUER: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/issuer.crt");
const ROOT: &[u8] = include_bytes!("../../../device-checks/src/fixtures/tpm/root.crt");
