//! What do the tests of this crate start from? CAs, requests and records made on the spot.

use std::time::Duration;

use directory::{Certificate, CertificateState, DeviceId, EnrollmentId, Revision, Timestamp};
use rcgen::{CertificateParams, KeyPair};

use crate::{Authority, IssuedCertificate, Material, Purpose, Terms, VerifiedRequest};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn terms(random: u8) -> Terms {
    Terms {
        now: NOW,
        lifetime: DAY * 365,
        random: [random; 16],
    }
}

pub(crate) fn authority(purpose: Purpose) -> Authority {
    let made = Authority::create("Test CA", purpose, Material::Production, &terms(1)).unwrap();
    Authority::load(&made.certificate_pem, &made.key_pem).unwrap()
}

pub(crate) fn request_der(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default()
        .serialize_request(key)
        .unwrap()
        .der()
        .to_vec()
}

pub(crate) fn request_pem(key: &KeyPair) -> String {
    CertificateParams::default()
        .serialize_request(key)
        .unwrap()
        .pem()
        .unwrap()
}

pub(crate) fn device_certificate(authority: &Authority, random: u8) -> IssuedCertificate {
    let request = VerifiedRequest::parse_pem(&request_pem(&KeyPair::generate().unwrap())).unwrap();
    authority
        .issue_device(&request, DeviceId::from_random(random.into()), &terms(random), None)
        .unwrap()
}

pub(crate) fn record(authority: &Authority, random: u8, state: CertificateState) -> Certificate {
    let issued = device_certificate(authority, random);
    Certificate {
        fingerprint: issued.fingerprint,
        serial: issued.serial,
        issuer: authority.fingerprint(),
        enrollment: EnrollmentId::from_random(random.into()),
        device: DeviceId::from_random(random.into()),
        not_before: issued.not_before,
        not_after: issued.not_after,
        state,
        version: Revision(1),
    }
}
