//! What do commands about single certificates change?

use std::sync::Arc;

use super::{Draft, Refusal};
use crate::{Certificate, CertificateState, Fingerprint, IllegalTransition, RevocationReason, TargetKind};

impl<'a> Draft<'a> {
    pub(super) fn revoke_certificate(
        &mut self,
        fingerprint: &Fingerprint,
        reason: RevocationReason,
    ) -> Result<(), Refusal> {
        let now = self.now;
        self.change_certificate(fingerprint, |state| state.revoke(now, reason))
    }

    pub(super) fn hold_certificate(&mut self, fingerprint: &Fingerprint) -> Result<(), Refusal> {
        let now = self.now;
        self.change_certificate(fingerprint, |state| state.hold(now))
    }

    pub(super) fn release_certificate(&mut self, fingerprint: &Fingerprint) -> Result<(), Refusal> {
        let device = self.device(self.certificate(fingerprint)?.device)?.state;
        self.change_certificate(fingerprint, |state| state.release(device))
    }

    fn certificate(&self, fingerprint: &Fingerprint) -> Result<Arc<Certificate>, Refusal> {
        self.snapshot
            .certificate(fingerprint)
            .ok_or_else(|| Refusal::not_found(TargetKind::Certificate, fingerprint))
    }

    fn change_certificate(
        &mut self,
        fingerprint: &Fingerprint,
        transition: impl FnOnce(CertificateState) -> Result<CertificateState, IllegalTransition>,
    ) -> Result<(), Refusal> {
        let certificate = self.certificate(fingerprint)?;
        self.move_certificate(&certificate, transition(certificate.state)?);
        if let Some(device) = self.snapshot.device(certificate.device) {
            self.touch_device(&device);
        }
        Ok(())
    }
}
