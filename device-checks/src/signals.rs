//! What may policies know of a device, and how is it known? Whatever is not proved or said does not count.

use directory::{
    Device, DeviceState, Enrollment, EnrollmentState, KeyStore, MdmReport, Ownership, Platform, Posture, Reported,
    Timestamp,
};

use crate::age::{is_ahead, no_longer_ahead};

/// What policies may know of a device; nothing here satisfies them that was not proved or said in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSignals {
    /// The key of an active enrolment on this active device proved itself.
    pub registered: bool,
    /// A current report of a management service says that it manages the device.
    pub managed: bool,
    /// The device was proved to have secure hardware.
    pub secure_hardware: bool,
    /// The key that proved itself was proved to live in hardware and not to leave it.
    pub hardware_key: bool,
    /// Where that key lives; software when no key proved itself.
    pub key_store: KeyStore,
    /// Which operating system the device runs.
    pub platform: Platform,
    /// Whose the device is.
    pub ownership: Ownership,
    /// The management service's word, while it lasts.
    pub mdm: Option<Posture>,
    /// When the management service said it.
    pub mdm_at: Option<Timestamp>,
    /// The device's own word.
    pub reported: Posture,
    /// When the device said it.
    pub reported_at: Option<Timestamp>,
    /// The first moment after now at which any of this becomes different by itself.
    pub ends: Option<Timestamp>,
}

impl DeviceSignals {
    /// Gathers what counts now of a device, of the enrolment whose key proved itself, and of the newest report on the device.
    pub fn of(device: &Device, proved: Option<&Enrollment>, report: Option<&MdmReport>, now: Timestamp) -> Self {
        let active = device.state == DeviceState::Active;
        let proved = proved.filter(|enrollment| active && is_active_on(enrollment, device));
        let report = report.filter(|report| active && report.device == device.id && now < report.ends);
        let current = report.filter(|report| !is_ahead(report.at, now));
        let said = device.reported.as_ref();
        let reported = said.filter(|reported| !is_ahead(reported.at, now));
        Self {
            registered: proved.is_some(),
            managed: current.is_some_and(|report| report.managed),
            secure_hardware: device.secure_hardware,
            hardware_key: proved.is_some_and(|enrollment| enrollment.hardware_key),
            key_store: proved.map_or(KeyStore::Software, |enrollment| enrollment.key_store),
            platform: device.platform,
            ownership: device.ownership,
            mdm: current.map(|report| report.posture.clone()),
            mdm_at: current.map(|report| report.at),
            reported: reported.map(|reported| reported.posture.clone()).unwrap_or_default(),
            reported_at: reported.map(|reported| reported.at),
            ends: ends(report, said, now),
        }
    }
}

fn is_active_on(enrollment: &Enrollment, device: &Device) -> bool {
    enrollment.device == device.id && enrollment.state == EnrollmentState::Active
}

/// A report counts from the moment it is no longer ahead until its end; the device's own word has no end but its age.
fn ends(report: Option<&MdmReport>, said: Option<&Reported>, now: Timestamp) -> Option<Timestamp> {
    let begins = |at| is_ahead(at, now).then(|| no_longer_ahead(at));
    let of_report = report.map(|report| begins(report.at).map_or(report.ends, |begin| begin.min(report.ends)));
    let of_said = said.and_then(|reported| begins(reported.at));
    [of_report, of_said].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use directory::{DeviceId, EnrollmentId, KeyThumbprint, OsVersion, Revision, UserId};

    use super::*;

    /// S-05: registered means that an active enrolment's key proved itself on this very, active device.
    #[test]
    fn a_device_is_registered_only_when_an_active_enrolments_key_proved_itself() {
        let (device, enrollment) = (device(), enrollment());
        let registered = |device: &Device, proved| DeviceSignals::of(device, proved, None, NOW).registered;
        let ended = Enrollment {
            state: EnrollmentState::Ended { at: NOW },
            ..enrollment.clone()
        };
        let suspended = Enrollment {
            state: EnrollmentState::Suspended,
            ..enrollment.clone()
        };
        let elsewhere = Enrollment {
            device: DeviceId::from_random(2),
            ..enrollment.clone()
        };

        assert!(registered(&device, Some(&enrollment)));
        assert!(!registered(&device, None), "the record alone proves nothing");
        for wrong in [&ended, &suspended, &elsewhere] {
            assert!(
                !registered(&device, Some(wrong)),
                "{:?} on {}",
                wrong.state,
                wrong.device
            );
        }
        for state in [DeviceState::Suspended { at: NOW }, DeviceState::Deactivated { at: NOW }] {
            assert!(
                !registered(
                    &Device {
                        state,
                        ..device.clone()
                    },
                    Some(&enrollment)
                ),
                "{state:?}"
            );
        }
    }

    /// S-10: what nobody said or proved is not satisfied.
    #[test]
    fn what_was_not_said_does_not_count() {
        let silent = Device {
            reported: None,
            secure_hardware: false,
            ..device()
        };

        let signals = DeviceSignals::of(&silent, None, None, NOW);

        let nothing = DeviceSignals {
            registered: false,
            managed: false,
            secure_hardware: false,
            hardware_key: false,
            key_store: KeyStore::Software,
            platform: Platform::Linux,
            ownership: Ownership::Unknown,
            mdm: None,
            mdm_at: None,
            reported: Posture::default(),
            reported_at: None,
            ends: None,
        };
        assert_eq!(signals, nothing);
        // The control: said and proved, it counts.
        let full = DeviceSignals::of(&device(), Some(&enrollment()), Some(&report()), NOW);
        assert!(full.registered && full.managed && full.secure_hardware && full.hardware_key);
        assert_eq!(full.mdm, Some(report().posture));
        assert_eq!(full.reported.firewall, Some(true));
    }

    /// S-13: each fact moves its own signal and no other.
    #[test]
    fn each_fact_flips_exactly_its_own_signal() {
        let of = |device: &Device, enrollment: &Enrollment, report: &MdmReport| {
            DeviceSignals::of(device, Some(enrollment), Some(report), NOW)
        };
        let (device, enrollment, report) = (device(), enrollment(), report());
        let full = of(&device, &enrollment, &report);

        let unmanaged = of(
            &device,
            &enrollment,
            &MdmReport {
                managed: false,
                ..report.clone()
            },
        );
        let no_hardware = of(
            &Device {
                secure_hardware: false,
                ..device.clone()
            },
            &enrollment,
            &report,
        );
        let soft_key = of(
            &device,
            &Enrollment {
                hardware_key: false,
                ..enrollment.clone()
            },
            &report,
        );
        let file = of(
            &device,
            &Enrollment {
                key_store: KeyStore::Software,
                ..enrollment.clone()
            },
            &report,
        );
        let own = of(
            &Device {
                ownership: Ownership::Personal,
                ..device.clone()
            },
            &enrollment,
            &report,
        );
        let silent = of(
            &Device {
                reported: None,
                ..device.clone()
            },
            &enrollment,
            &report,
        );

        assert_eq!(
            unmanaged,
            DeviceSignals {
                managed: false,
                ..full.clone()
            }
        );
        assert_eq!(
            no_hardware,
            DeviceSignals {
                secure_hardware: false,
                ..full.clone()
            }
        );
        assert_eq!(
            soft_key,
            DeviceSignals {
                hardware_key: false,
                ..full.clone()
            }
        );
        assert_eq!(
            file,
            DeviceSignals {
                key_store: KeyStore::Software,
                ..full.clone()
            }
        );
        assert_eq!(
            own,
            DeviceSignals {
                ownership: Ownership::Personal,
                ..full.clone()
            }
        );
        assert_eq!(
            silent,
            DeviceSignals {
                reported: Posture::default(),
                reported_at: None,
                ..full
            }
        );
    }

    /// S-07 (the report's half): a report that ended, is about another device, or says no, manages nothing.
    #[test]
    fn only_a_current_report_on_this_device_manages_it() {
        let managed = |report: &MdmReport| DeviceSignals::of(&device(), Some(&enrollment()), Some(report), NOW).managed;

        assert!(managed(&report()));
        assert!(!managed(&MdmReport { ends: NOW, ..report() }));
        assert!(!managed(&MdmReport {
            device: DeviceId::from_random(2),
            ..report()
        }));
        assert!(!managed(&MdmReport {
            managed: false,
            ..report()
        }));
    }

    /// D-14 (the report's half): nothing makes a device that is not active managed.
    #[test]
    fn a_device_that_is_not_active_is_not_managed() {
        let deactivated = Device {
            state: DeviceState::Deactivated { at: NOW },
            ..device()
        };

        let signals = DeviceSignals::of(&deactivated, Some(&enrollment()), Some(&report()), NOW);

        assert!(!signals.managed && !signals.registered && !signals.hardware_key);
        assert_eq!(signals.mdm, None);
    }

    /// what is said from the future counts as not said, until its time comes. Control: two seconds of skew.
    #[test]
    fn what_is_said_from_the_future_does_not_count_yet() {
        let later = |secs| NOW.plus(Duration::from_secs(secs));
        let reporting = |at| Device {
            reported: Some(Reported { at, ..said() }),
            ..device()
        };
        let of = |at, now| {
            DeviceSignals::of(
                &reporting(at),
                Some(&enrollment()),
                Some(&MdmReport { at, ..report() }),
                now,
            )
        };

        let skewed = of(later(2), NOW);
        let future = of(later(60), NOW);
        let arrived = of(later(60), later(55));

        assert!(skewed.managed && skewed.reported.firewall == Some(true));
        assert!(!future.managed && future.mdm.is_none() && future.reported == Posture::default());
        assert_eq!((future.mdm_at, future.reported_at), (None, None));
        assert_eq!(future.ends, Some(later(55)));
        assert!(arrived.managed && arrived.reported.firewall == Some(true));
    }

    #[test]
    fn a_report_ends_the_signals_it_gives() {
        let signals = DeviceSignals::of(&device(), Some(&enrollment()), Some(&report()), NOW);
        let ends = signals.ends.unwrap();

        assert_eq!(ends, report().ends);
        assert!(!DeviceSignals::of(&device(), Some(&enrollment()), Some(&report()), ends).managed);
        let just_before = Timestamp::from_millis(ends.millis() - 1);
        assert!(DeviceSignals::of(&device(), Some(&enrollment()), Some(&report()), just_before).managed);
    }

    fn device() -> Device {
        Device {
            id: DeviceId::from_random(1),
            name: "alice-laptop".to_owned(),
            platform: Platform::Linux,
            state: DeviceState::Active,
            ownership: Ownership::Unknown,
            groups: Default::default(),
            tags: Default::default(),
            reported: Some(said()),
            secure_hardware: true,
            created: NOW,
            updated: NOW,
            version: Revision(1),
        }
    }

    fn said() -> Reported {
        Reported {
            posture: Posture {
                firewall: Some(true),
                ..Posture::default()
            },
            at: NOW,
        }
    }

    fn enrollment() -> Enrollment {
        Enrollment {
            id: EnrollmentId::from_random(1),
            device: DeviceId::from_random(1),
            user: UserId::from_random(1),
            state: EnrollmentState::Active,
            generation: 0,
            key: KeyThumbprint::of(b"a key"),
            key_store: KeyStore::Tpm,
            hardware_key: true,
            created: NOW,
            version: Revision(1),
        }
    }

    fn report() -> MdmReport {
        MdmReport {
            device: DeviceId::from_random(1),
            source: "jamf".to_owned(),
            managed: true,
            posture: Posture {
                os: Some(OsVersion {
                    major: 12,
                    minor: 4,
                    patch: 0,
                }),
                ..Posture::default()
            },
            at: NOW,
            ends: NOW.plus(Duration::from_secs(3_600)),
            version: Revision(1),
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
}
