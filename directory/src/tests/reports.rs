//! What becomes of what management services say?

use super::world::World;
use crate::{Command, MdmReport, Refusal};

#[test]
fn a_report_takes_the_place_of_the_same_sources_earlier_one() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    world
        .run(Command::ReportDevice(world.report(laptop.device, "jamf")))
        .unwrap();

    let unmanaged = MdmReport {
        managed: false,
        ..world.report(laptop.device, "jamf")
    };
    world.run(Command::ReportDevice(unmanaged)).unwrap();
    world
        .run(Command::ReportDevice(world.report(laptop.device, "intune")))
        .unwrap();

    assert_eq!(world.snapshot.reports_of_device(laptop.device).count(), 2);
    assert!(!world.snapshot.report(laptop.device, "jamf").unwrap().managed);
    assert!(world.snapshot.report(laptop.device, "intune").unwrap().managed);
}

#[test]
fn a_withdrawn_report_is_gone_and_cannot_be_withdrawn_again() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    world
        .run(Command::ReportDevice(world.report(laptop.device, "jamf")))
        .unwrap();
    let withdraw = Command::WithdrawReport {
        device: laptop.device,
        source: "jamf".to_owned(),
    };

    world.run(withdraw.clone()).unwrap();

    assert!(world.snapshot.report(laptop.device, "jamf").is_none());
    assert!(matches!(world.run(withdraw), Err(Refusal::NotFound { .. })));
}

#[test]
fn a_deactivated_device_takes_no_report_and_a_suspended_one_does() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let report = world.report(laptop.device, "jamf");

    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    assert!(world.run(Command::ReportDevice(report.clone())).is_ok());
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    assert_eq!(world.run(Command::ReportDevice(report)), Err(Refusal::DeviceNotActive));
}

#[test]
fn a_report_that_ends_before_it_begins_is_refused() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let report = world.report(laptop.device, "jamf");
    let backwards = MdmReport {
        ends: report.at,
        ..report.clone()
    };

    assert!(matches!(
        world.run(Command::ReportDevice(backwards)),
        Err(Refusal::Invalid { field: "ends", .. })
    ));
    assert!(world.run(Command::ReportDevice(report)).is_ok());
}
