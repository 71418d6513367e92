//! What does it cost to issue a certificate? `cargo bench -p certs`.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use certs::{Authority, Material, Purpose, Terms, VerifiedRequest};
use criterion::{Criterion, criterion_group, criterion_main};
use directory::{DeviceId, Timestamp};
use rcgen::{CertificateParams, KeyPair};

criterion_group!(issuing, issue, request);
criterion_main!(issuing);

/// Target: 200 µs.
fn issue(criterion: &mut Criterion) {
    let made = Authority::create("Bench", Purpose::Device, Material::Production, &terms(1)).unwrap();
    let authority = Authority::load(&made.certificate_pem, &made.key_pem).unwrap();
    let request = VerifiedRequest::parse_pem(&request_pem()).unwrap();
    let device = DeviceId::from_random(7);
    criterion.bench_function("issue a device certificate", |bencher| {
        bencher.iter(|| {
            let url = Some("http://auth.example.com/crl");
            authority
                .issue_device(black_box(&request), device, &terms(2), url)
                .unwrap()
        });
    });
}

/// What comes before it: the request, with the proof that its key is there.
fn request(criterion: &mut Criterion) {
    let pem = request_pem();
    criterion.bench_function("verify a certificate request", |bencher| {
        bencher.iter(|| VerifiedRequest::parse_pem(black_box(&pem)).unwrap());
    });
}

fn request_pem() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap()
}

fn terms(random: u8) -> Terms {
    Terms {
        now: Timestamp::from_secs(1_795_000_000),
        lifetime: Duration::from_hours(24),
        random: [random; 16],
    }
}
