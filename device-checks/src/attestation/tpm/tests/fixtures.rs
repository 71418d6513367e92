//! What did tests/tpm-fixtures.sh make with a software TPM?

use super::*;

pub(super) const QUALIFYING: [u8; 32] = {
    let mut qualifying = [0; 32];
    let mut at = 0;
    while at < 32 {
        qualifying[at] = at as u8;
        at += 1;
    }
    qualifying
};

pub(super) fn device(ek: &str, ak: &str) -> TpmDevice {
    let (certificate, above, ek) = match ek {
        "rsa" => (RSA_EK_CERTIFICATE, ISSUER, RSA_EK),
        _ => (ECC_EK_CERTIFICATE, ECC_ROOT, ECC_EK),
    };
    let ak = match ak {
        "ecc" => ECC_AK,
        "rsassa" => RSASSA_AK,
        _ => RSAPSS_AK,
    };
    TpmDevice {
        ver: "2.0".to_owned(),
        x5c: vec![Octets(certificate.to_vec()), Octets(above.to_vec())],
        ek: Octets(ek.to_vec()),
        ak: Octets(ak.to_vec()),
    }
}

pub(super) fn statement(ak: &str, key: &str) -> TpmKey {
    let (cert_info, sig) = match (ak, key) {
        ("ecc", "possession") => ECC_POSSESSION,
        ("ecc", "verification") => ECC_VERIFICATION,
        ("ecc", _) => ECC_EXPORTABLE,
        ("rsassa", _) => RSASSA_POSSESSION,
        _ => RSAPSS_POSSESSION,
    };
    let key = match key {
        "possession" => POSSESSION_KEY,
        "verification" => VERIFICATION_KEY,
        _ => EXPORTABLE_KEY,
    };
    TpmKey {
        ver: "2.0".to_owned(),
        pub_area: Octets(key.to_vec()),
        cert_info: Octets(cert_info.to_vec()),
        sig: Octets(sig.to_vec()),
    }
}

pub(super) fn activated(ek: &str, ak: &str) -> ActivatedAk {
    let evidence = examine(&device(ek, ak)).unwrap();
    let (_, pending) = evidence.challenge(SECRET, &mut randomness()).unwrap();
    pending.activate(&SECRET).unwrap()
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/tpm/", $name))
    };
}
const RSA_EK_CERTIFICATE: &[u8] = fixture!("rsa-ek.crt");
const ISSUER: &[u8] = fixture!("issuer.crt");
const RSA_EK: &[u8] = fixture!("rsa-ek.public");
const ECC_EK_CERTIFICATE: &[u8] = fixture!("ecc-ek.crt");
const ECC_ROOT: &[u8] = fixture!("ecc-root.crt");
const ECC_EK: &[u8] = fixture!("ecc-ek.public");
const ECC_AK: &[u8] = fixture!("ecc-ak.public");
const RSASSA_AK: &[u8] = fixture!("rsassa-ak.public");
const RSAPSS_AK: &[u8] = fixture!("rsapss-ak.public");
const POSSESSION_KEY: &[u8] = fixture!("possession.public");
const VERIFICATION_KEY: &[u8] = fixture!("verification.public");
const EXPORTABLE_KEY: &[u8] = fixture!("exportable.public");
const ECC_POSSESSION: (&[u8], &[u8]) = (fixture!("ecc-possession.attest"), fixture!("ecc-possession.sig"));
const ECC_VERIFICATION: (&[u8], &[u8]) = (fixture!("ecc-verification.attest"), fixture!("ecc-verification.sig"));
const ECC_EXPORTABLE: (&[u8], &[u8]) = (fixture!("ecc-exportable.attest"), fixture!("ecc-exportable.sig"));
const RSASSA_POSSESSION: (&[u8], &[u8]) = (fixture!("rsassa-possession.attest"), fixture!("rsassa-possession.sig"));
const RSAPSS_POSSESSION: (&[u8], &[u8]) = (fixture!("rsapss-possession.attest"), fixture!("rsapss-possession.sig"));
