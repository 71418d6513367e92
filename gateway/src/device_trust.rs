//! Whom does the gateway believe about devices, now? The roots, lists and CAs of the configuration, asked per device.
//!
//! What the directory keeps is evidence. What it is worth is judged here each time anew, so that a root that goes, a machine
//! that is denied or a list that is out of date bites at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::{Authority, ForeignCrl};
use device_checks::attestation::{NotVouched, RootClass, Roots};
use device_checks::management::{Identity, VerifiedManagement, issuer_hash};
use device_checks::{Anchor, OnRecord};
use directory::{
    Device, DeviceId, Enrollment, Fingerprint, Hardware, HardwareId, ManagementAnswer, MdmReport,
    NewManagementCertificate, Serial, Snapshot, Timestamp,
};

use crate::config::OnStale;

/// Whom the gateway believes, as of one load of the configuration.
pub(crate) struct DeviceTrust {
    /// The MDMs whose reports count.
    pub(crate) mdm_sources: Arc<[String]>,
    /// The gateway's own management CA, where it has one.
    pub(crate) own_manager: Option<Authority>,
    roots: Roots,
    test_counts: bool,
    managers: Vec<Manager>,
    anchors: Vec<Anchor>,
    generation: u64,
}

/// A CA whose certificates say that a device is managed.
pub(crate) struct Manager {
    /// The CA.
    pub(crate) anchor: Anchor,
    /// What it revoked; nothing where it publishes no list.
    pub(crate) revoked: Option<ForeignCrl>,
    /// What holds once that list is out of date.
    pub(crate) on_stale: OnStale,
}

/// What a configured root says of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attested {
    /// How much its word is worth.
    pub(crate) class: RootClass,
    /// Whether that counts here as attested hardware.
    pub(crate) counts: bool,
    /// From when on it says nothing any more.
    pub(crate) until: Timestamp,
}

/// Numbers the loads, so that what was found out under one is not taken for found out under another.
static LOADS: AtomicU64 = AtomicU64::new(1);

impl DeviceTrust {
    /// Puts together what was loaded. In a demo a root made for tests attests.
    pub(crate) fn new(
        mdm_sources: Arc<[String]>,
        roots: Roots,
        managers: Vec<Manager>,
        own_manager: Option<Authority>,
        test_counts: bool,
    ) -> Self {
        Self {
            mdm_sources,
            own_manager,
            roots,
            test_counts,
            anchors: managers.iter().map(|manager| manager.anchor.clone()).collect(),
            managers,
            generation: LOADS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Tells this load from every other.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether evidence of a machine can be verified at all.
    pub(crate) fn verifies_evidence(&self) -> bool {
        !self.roots.is_empty()
    }

    /// The CAs whose management certificates count.
    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// How challenges name these CAs.
    pub(crate) fn issuer_hashes(&self) -> Vec<String> {
        self.anchors
            .iter()
            .map(|anchor| issuer_hash(anchor.subject()))
            .collect()
    }

    /// What a configured root says now of the machine with this chain.
    ///
    /// # Errors
    /// If none that counts now does.
    pub(crate) fn vouch(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<Attested, NotVouched> {
        let vouched = self.roots.vouch(chain, now)?;
        let class = vouched.class();
        let counts = match class {
            RootClass::Hardware => true,
            RootClass::Virtual => false,
            RootClass::Test => self.test_counts,
        };
        Ok(Attested {
            class,
            counts,
            until: after(vouched.until()),
        })
    }

    /// The same for the evidence that is kept of a machine.
    pub(crate) fn attested(&self, hardware: &Hardware, now: Timestamp) -> Option<Attested> {
        let chain = hardware.chain.iter().map(|der| STANDARD.decode(der));
        self.vouch(&chain.collect::<Result<Vec<_>, _>>().ok()?, now).ok()
    }

    /// Everything that is on record of a device and counts now.
    pub(crate) fn on_record<'a>(
        &self,
        directory: &'a Snapshot,
        device: &'a Device,
        proved: Option<&'a Enrollment>,
        now: Timestamp,
    ) -> OnRecord<'a> {
        let attested = device
            .hardware
            .as_ref()
            .and_then(|hardware| self.attested(hardware, now));
        OnRecord {
            device,
            proved,
            report: self.counting_report(directory, device.id, now),
            attested_until: attested
                .filter(|attested| attested.counts)
                .map(|attested| attested.until),
            managed_until: self.managed_until(directory, device.id, now),
        }
    }

    /// The report that counts of those on a device: of a configured MDM, not over; one that says managed goes before one
    /// that does not, then the latest.
    fn counting_report<'a>(&self, directory: &'a Snapshot, device: DeviceId, now: Timestamp) -> Option<&'a MdmReport> {
        let reports = directory.reports_of_device(device).map(AsRef::as_ref);
        let configured = reports.filter(|report| self.mdm_sources.contains(&report.source));
        configured
            .filter(|report| now < report.ends)
            .max_by_key(|report| (report.managed, report.at))
    }

    /// Until when the management certificate that the device showed last makes it managed.
    fn managed_until(&self, directory: &Snapshot, device: DeviceId, now: Timestamp) -> Option<Timestamp> {
        let shown = directory.proved_management(device)?;
        let until = self.manages_until(shown.issuer, &shown.serial, shown.not_after, now)?;
        (now < until).then_some(until)
    }

    /// Until when a certificate of a management CA counts: while the CA is configured and current, its list is too, and the
    /// certificate is not on it.
    fn manages_until(
        &self,
        issuer: Fingerprint,
        serial: &Serial,
        not_after: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let manager = self
            .managers
            .iter()
            .find(|manager| manager.anchor.fingerprint() == issuer && manager.anchor.is_current(now))?;
        let until = after(not_after.min(manager.anchor.not_after()));
        match &manager.revoked {
            None => Some(until),
            Some(list) if list.contains(serial) => None,
            Some(_) if manager.on_stale == OnStale::Accept => Some(until),
            Some(list) => Some(until.min(list.next_update())),
        }
    }

    /// What becomes of a management certificate that a device showed: it has to be for this device, and to count.
    pub(crate) fn claim(
        &self,
        shown: &VerifiedManagement,
        device: DeviceId,
        hardware: Option<HardwareId>,
        directory: &Snapshot,
        now: Timestamp,
    ) -> ManagementAnswer {
        let certificate = shown.certificate();
        let named = shown.identities().iter().any(|identity| match identity {
            Identity::Device(id) => *id == device,
            Identity::Hardware(id) => Some(*id) == hardware,
        });
        let vouched = self
            .counting_report(directory, device, now)
            .is_some_and(|report| report.managed && report.certificate == Some(certificate));
        if !named && !vouched {
            let reason =
                "the management certificate names neither this device nor its hardware, and no MDM vouches for it";
            return ManagementAnswer::Refused {
                reason: reason.to_owned(),
            };
        }
        let until = self.manages_until(shown.issuer(), shown.serial(), shown.not_after(), now);
        if until.is_none_or(|until| until <= now) {
            return ManagementAnswer::Refused {
                reason: "the management certificate is revoked, or its CA's revocation list is out of date".to_owned(),
            };
        }
        ManagementAnswer::Proved(NewManagementCertificate {
            fingerprint: certificate,
            issuer: shown.issuer(),
            serial: shown.serial().clone(),
            not_after: shown.not_after(),
        })
    }
}

/// The first moment after a second that is still included.
fn after(included: Timestamp) -> Timestamp {
    included.plus(Duration::from_millis(1))
}
