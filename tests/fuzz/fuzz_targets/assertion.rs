#![no_main]
//! Does any text pass for an assertion, or any claims for those of this request? The first octet tells text (`t`) from
//! claims (`c`), which are signed.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use device_checks::{ASSERTION_TYPE, ExpectedRequest, claimed_enrollment, verify_assertion};
use directory::{DeviceId, Enrollment, EnrollmentId, EnrollmentState, KeyStore, Method, Revision, UserId};
use latchkey_fuzz::{AUDIENCE, NOW, public, token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((kind, rest)) = octets.split_first() else {
        return;
    };
    let text = match kind {
        b'c' => token(&HEADER, rest),
        _ => String::from_utf8_lossy(rest).into_owned(),
    };
    let expected = ExpectedRequest {
        audience: AUDIENCE,
        method: "GET",
        url: "https://wiki.example.com/page",
        now: NOW,
    };
    let claimed = claimed_enrollment(&text);
    if let Ok(verified) = verify_assertion(&text, &ENROLLMENT, &expected) {
        assert_eq!(*kind, b'c', "somebody else signed for the enrolment");
        assert_eq!(claimed, Ok(verified.enrollment()));
    }
});

static HEADER: LazyLock<String> = LazyLock::new(|| {
    format!(
        r#"{{"alg":"ES256","typ":"{ASSERTION_TYPE}","kid":"{}"}}"#,
        public().thumbprint()
    )
});

static ENROLLMENT: LazyLock<Enrollment> = LazyLock::new(|| Enrollment {
    id: EnrollmentId::from_random(1),
    device: DeviceId::from_random(1),
    user: UserId::from_random(1),
    state: EnrollmentState::Active,
    generation: 0,
    key: public().thumbprint(),
    key_store: KeyStore::Software,
    hardware_key: false,
    public_key: Some(public()),
    verification: None,
    methods: BTreeSet::from([Method::SignedNonce]),
    instance: None,
    created: NOW,
    version: Revision(1),
});
