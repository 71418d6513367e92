//! What does showing a management certificate change? It is bound to one device, and the device's others give way.

use super::{Draft, Refusal};
use crate::{
    Change, Device, DeviceId, DeviceState, EventType, Fingerprint, ManagementAnswer, ManagementCertificate,
    ManagementState, NewManagementCertificate, Outcome, Severity, Target, TargetKind, Timestamp,
};

impl Draft<'_> {
    /// What a second claimant shows is refused and said to be, and changes nothing else.
    pub(super) fn take_management(&mut self, device: &Device, answer: &ManagementAnswer) {
        match answer {
            ManagementAnswer::NotAsked => {}
            ManagementAnswer::Absent => self.miss_management(device),
            ManagementAnswer::Proved(new) => self.bind_management(device, new),
            ManagementAnswer::Refused { reason } => {
                self.refuse_binding(reason.clone(), vec![Target::from(device)]);
                self.miss_management(device);
            }
        }
    }

    /// The gateway's own management CA issued it for this device: it is this device's, and counts once it is shown.
    pub(super) fn issue_management(&mut self, device: DeviceId, new: &NewManagementCertificate) -> Result<(), Refusal> {
        let device = self.device(device)?;
        if device.state != DeviceState::Active {
            return Err(Refusal::DeviceNotActive);
        }
        if self.snapshot.management_certificate(&new.fingerprint).is_some() {
            return Err(Refusal::CertificateKnown);
        }
        self.event(EventType::CertificateIssue, [Target::from(new), Target::from(&*device)]);
        let since = self.now;
        self.put_management(&device, new, (self.now, true), ManagementState::Absent { since });
        Ok(())
    }

    /// An admin ends a management certificate for good.
    pub(super) fn revoke_management(&mut self, fingerprint: &Fingerprint) -> Result<(), Refusal> {
        let known = self
            .snapshot
            .management_certificate(fingerprint)
            .ok_or_else(|| Refusal::not_found(TargetKind::ManagementCertificate, fingerprint))?;
        let state = known.state.revoke(self.now)?;
        let device = self.device(known.device)?;
        self.event(
            EventType::CertificateRevoke,
            [Target::from(&**known), Target::from(&*device)],
        );
        self.move_management(&device, known, state);
        Ok(())
    }

    /// The device is shut out: none of its management certificates identifies it any more. Those of the gateway's own CA are
    /// revoked; about others that CA decides.
    pub(super) fn unbind_management(&mut self, device: &Device) {
        let at = self.now;
        for known in self.snapshot.management_of_device(device.id) {
            if known.issued_here
                && let Ok(revoked) = known.state.revoke(at)
            {
                self.move_management(device, known, revoked);
                self.event(
                    EventType::CertificateRevoke,
                    [Target::from(&**known), Target::from(device)],
                );
            } else if known.state.is_bound() {
                self.move_management(device, known, ManagementState::Unbound { at });
                self.event(
                    EventType::ManagementUnbind,
                    [Target::from(&**known), Target::from(device)],
                );
            }
        }
    }

    fn bind_management(&mut self, device: &Device, new: &NewManagementCertificate) {
        let known = self.snapshot.management_certificate(&new.fingerprint);
        if known.is_some_and(|known| matches!(known.state, ManagementState::Revoked { .. })) {
            let reason = "the management certificate is revoked".to_owned();
            self.refuse_binding(reason, vec![Target::from(new), Target::from(device)]);
            return self.miss_management(device);
        }
        if known.is_some_and(|known| known.device != device.id) {
            let reason = "the management certificate is bound to another device".to_owned();
            self.refuse_binding(reason, vec![Target::from(new), Target::from(device)]);
            return self.miss_management(device);
        }
        let at = self.now;
        let earlier = self
            .snapshot
            .management_of_device(device.id)
            .filter(|earlier| earlier.fingerprint != new.fingerprint);
        for earlier in earlier.filter(|earlier| earlier.state.is_bound()) {
            self.move_management(device, earlier, ManagementState::Unbound { at });
        }
        let was_bound = known.is_some_and(|known| known.state.is_bound());
        if !was_bound {
            self.event(EventType::ManagementBind, [Target::from(new), Target::from(device)]);
        }
        let origin = known.map_or((at, false), |known| (known.bound, known.issued_here));
        self.put_management(device, new, origin, ManagementState::Proved { at });
    }

    fn put_management(
        &mut self,
        device: &Device,
        new: &NewManagementCertificate,
        (bound, issued_here): (Timestamp, bool),
        state: ManagementState,
    ) {
        self.put(Change::PutManagementCertificate(Box::new(ManagementCertificate {
            fingerprint: new.fingerprint,
            issuer: new.issuer,
            serial: new.serial.clone(),
            device: device.id,
            not_after: new.not_after,
            bound,
            issued_here,
            state,
            version: self.snapshot.revision(),
        })));
        self.touch_device(device);
    }

    fn miss_management(&mut self, device: &Device) {
        if let Some(known) = self.snapshot.proved_management(device.id) {
            self.move_management(device, known, ManagementState::Absent { since: self.now });
        }
    }

    fn move_management(&mut self, device: &Device, known: &ManagementCertificate, state: ManagementState) {
        self.put(Change::PutManagementCertificate(Box::new(ManagementCertificate {
            state,
            ..known.clone()
        })));
        self.touch_device(device);
    }

    fn refuse_binding(&mut self, reason: String, targets: Vec<Target>) {
        let outcome = Outcome::Failure { reason };
        let event = self.make_event(EventType::ManagementBind, Severity::Warn, outcome, targets);
        self.events.push(event);
    }
}
