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
    /// A management certificate that is bound to the device, or a current report of a management service, says so.
    pub managed: bool,
    /// A configured root attests the hardware that the device was proved to be.
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

/// What is on record of a device, and what the roots and lists of the moment say of it.
#[derive(Debug, Clone, Copy)]
pub struct OnRecord<'a> {
    /// The device.
    pub device: &'a Device,
    /// The enrolment whose key proved itself, if one did.
    pub proved: Option<&'a Enrollment>,
    /// The newest report of a configured management service.
    pub report: Option<&'a MdmReport>,
    /// Until when a configured root attests the machine; nothing where none does.
    pub attested_until: Option<Timestamp>,
    /// Until when a management certificate that is bound to the device counts; nothing where none does.
    pub managed_until: Option<Timestamp>,
}

impl DeviceSignals {
    /// Gathers what counts now.
    pub fn of(known: &OnRecord<'_>, now: Timestamp) -> Self {
        let OnRecord {
            device, proved, report, ..
        } = *known;
        let active = device.state == DeviceState::Active;
        let proved = proved.filter(|enrollment| active && is_active_on(enrollment, device));
        let report = report.filter(|report| active && report.device == device.id && now < report.ends);
        let current = report.filter(|report| !is_ahead(report.at, now));
        let said = device.reported.as_ref();
        let reported = said.filter(|reported| !is_ahead(reported.at, now));
        let attested_until = known.attested_until.filter(|until| now < *until);
        let managed_until = known.managed_until.filter(|until| active && now < *until);
        let secure_hardware = attested_until.is_some();
        Self {
            registered: proved.is_some(),
            managed: managed_until.is_some() || current.is_some_and(|report| report.managed),
            secure_hardware,
            hardware_key: secure_hardware && proved.is_some_and(|enrollment| enrollment.hardware_key),
            key_store: proved.map_or(KeyStore::Software, |enrollment| enrollment.key_store),
            platform: device.platform,
            ownership: device.ownership,
            mdm: current.map(|report| report.posture.clone()),
            mdm_at: current.map(|report| report.at),
            reported: reported.map(|reported| reported.posture.clone()).unwrap_or_default(),
            reported_at: reported.map(|reported| reported.at),
            ends: [ends(report, said, now), attested_until, managed_until]
                .into_iter()
                .flatten()
                .min(),
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
        let registered = |device: &Device, proved| {
            let known = OnRecord {
                report: None,
                ..known(device, proved, None)
            };
            DeviceSignals::of(&known, NOW).registered
        };
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
            ..device()
        };
        let unattested = OnRecord {
            attested_until: None,
            ..known(&silent, None, None)
        };

        let signals = DeviceSignals::of(&unattested, NOW);

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
        let full = DeviceSignals::of(&known(&device(), Some(&enrollment()), Some(&report())), NOW);
        assert!(full.registered && full.managed && full.secure_hardware && full.hardware_key);
        assert_eq!(full.mdm, Some(report().posture));
        assert_eq!(full.reported.firewall, Some(true));
    }

    /// S-13: each fact moves its own signal and no other.
    #[test]
    fn each_fact_flips_exactly_its_own_signal() {
        let of = |device: &Device, enrollment: &Enrollment, report: &MdmReport| {
            DeviceSignals::of(&known(device, Some(enrollment), Some(report)), NOW)
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
        let on_record = known(&device, Some(&enrollment), Some(&report));
        let no_hardware = DeviceSignals::of(
            &OnRecord {
                attested_until: None,
                ..on_record
            },
            NOW,
        );
        let by_certificate = DeviceSignals::of(
            &OnRecord {
                report: None,
                managed_until: Some(FAR),
                ..on_record
            },
            NOW,
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
                hardware_key: false,
                ends: unmanaged.ends,
                ..full.clone()
            },
            "without attested hardware no key lives in it"
        );
        assert_eq!(
            by_certificate,
            DeviceSignals {
                mdm: None,
                mdm_at: None,
                ends: Some(FAR),
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
        let managed =
            |report: &MdmReport| DeviceSignals::of(&known(&device(), Some(&enrollment()), Some(report)), NOW).managed;

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

        let signals = DeviceSignals::of(&known(&deactivated, Some(&enrollment()), Some(&report())), NOW);

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
            let (device, report) = (reporting(at), MdmReport { at, ..report() });
            DeviceSignals::of(&known(&device, Some(&enrollment()), Some(&report)), now)
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
        let signals = DeviceSignals::of(&known(&device(), Some(&enrollment()), Some(&report())), NOW);
        let ends = signals.ends.unwrap();

        assert_eq!(ends, report().ends);
        assert!(!DeviceSignals::of(&known(&device(), Some(&enrollment()), Some(&report())), ends).managed);
        let just_before = Timestamp::from_millis(ends.millis() - 1);
        assert!(DeviceSignals::of(&known(&device(), Some(&enrollment()), Some(&report())), just_before).managed);
    }

    /// A device on attested hardware without a management certificate.
    fn known<'a>(device: &'a Device, proved: Option<&'a Enrollment>, report: Option<&'a MdmReport>) -> OnRecord<'a> {
        OnRecord {
            device,
            proved,
            report,
            attested_until: Some(FAR),
            managed_until: None,
        }
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
            hardware: None,
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
            kernel: None,
            serial: None,
            tpm_version: None,
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
            public_key: None,
            verification: None,
            methods: Default::default(),
            instance: None,
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
            certificate: None,
            at: NOW,
            ends: NOW.plus(Duration::from_secs(3_600)),
            version: Revision(1),
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
    const FAR: Timestamp = Timestamp::from_secs(1_796_000_000);
}
