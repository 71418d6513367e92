//! Does a change cost the same in a large directory as in a small one?

use std::time::{Duration, Instant};

use super::world::{World, admin};
use crate::{Certificate, Change, Command, Device, DeviceId, Enrollment, Fingerprint, Snapshot, TransactionId};

/// The work grows at most with the logarithm; a scan anywhere would make it forty times dearer.
#[test]
fn deactivation_costs_about_the_same_among_few_and_among_many_devices() {
    let (few, device) = directory_of(MANY / 40);
    let (many, _) = directory_of(MANY);

    let (in_few, in_many) = (cost(&few, device), cost(&many, device));

    assert!(
        in_many < in_few * 8,
        "{in_few:?} among {}, {in_many:?} among {MANY}",
        MANY / 40
    );
    if !cfg!(debug_assertions) {
        assert!(in_many < Duration::from_millis(1), "{in_many:?} among {MANY}");
    }
}

/// The shortest of several runs: the others were held up by something else.
fn cost(snapshot: &Snapshot, device: DeviceId) -> Duration {
    let command = Command::DeactivateDevice(device);
    let now = World::new().now;
    let run = || {
        let start = Instant::now();
        let plan = snapshot
            .plan(&command, &admin(), TransactionId::from_random(1), now)
            .unwrap();
        let next = snapshot.with(snapshot.revision().next(), &plan.changes);
        let published = start.elapsed();
        assert_ne!(
            next.device(device).unwrap().state,
            snapshot.device(device).unwrap().state
        );
        published
    };
    (0..30).map(|_| run()).min().unwrap()
}

/// One device as it comes from an enrolment, and copies of it.
fn directory_of(devices: usize) -> (Snapshot, DeviceId) {
    let mut world = World::new();
    let alice = world.user("alice");
    let first = world.device(alice);
    let original: Vec<Change> = world.stored.values().cloned().collect();
    let (device, enrollment) = (world.device_of(&first).clone(), world.enrollment_of(&first).clone());
    let certificate = world.certificate_of(&first).clone();

    let copies = (0..devices as u128).flat_map(|n| {
        let n = (n + 1000).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let device = Device {
            id: DeviceId::from_random(n),
            name: format!("laptop-{n}"),
            ..(*device).clone()
        };
        let enrollment = Enrollment {
            id: crate::EnrollmentId::from_random(n),
            device: device.id,
            key: crate::KeyThumbprint::of(&n.to_be_bytes()),
            ..(*enrollment).clone()
        };
        let certificate = Certificate {
            fingerprint: Fingerprint::of(&n.to_be_bytes()),
            serial: crate::Serial::from_octets([&[1], n.to_be_bytes().as_slice()].concat()).unwrap(),
            device: device.id,
            enrollment: enrollment.id,
            ..(*certificate).clone()
        };
        [
            Change::PutDevice(Box::new(device)),
            Change::PutEnrollment(Box::new(enrollment)),
            Change::PutCertificate(Box::new(certificate)),
        ]
    });
    (
        Snapshot::restored(world.snapshot.revision(), original.into_iter().chain(copies)),
        first.device,
    )
}

const MANY: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
