//! Which of our certificates no longer count? The CA's revocation list (RFC 5280, section 5).

use directory::{Certificate, CertificateState, RevocationReason, Timestamp};
use rcgen::{CertificateRevocationListParams, RevocationReason as ReasonCode, RevokedCertParams, SerialNumber};

use crate::ca::Authority;
use crate::terms::{self, OutOfCalendar};

/// Says why a CRL was not made.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// A date cannot be written.
    #[error("a date in the CRL cannot be written")]
    Dates(#[source] OutOfCalendar),
    /// The signature could not be made.
    #[error("cannot make the CRL")]
    Signing(#[source] rcgen::Error),
}

impl Authority {
    /// Lists, in DER, those of the certificates that this CA issued and that are revoked or on hold.
    ///
    /// # Errors
    ///
    /// Fails where a date cannot be written, `next_update` is not after `now`, or signing fails.
    pub fn crl<'a>(
        &self,
        certificates: impl IntoIterator<Item = &'a Certificate>,
        number: u64,
        now: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, CrlError> {
        let ours = certificates
            .into_iter()
            .filter(|certificate| certificate.issuer == self.fingerprint());
        let list = CertificateRevocationListParams {
            this_update: terms::calendar(now).map_err(CrlError::Dates)?,
            next_update: terms::calendar(next_update).map_err(CrlError::Dates)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: ours
                .filter_map(|ours| entry(ours).transpose())
                .collect::<Result<_, _>>()?,
            key_identifier_method: self.key_identifier.clone(),
        };
        let crl = list.signed_by(&self.issuer).map_err(CrlError::Signing)?;
        Ok(crl.der().to_vec())
    }
}

fn entry(certificate: &Certificate) -> Result<Option<RevokedCertParams>, CrlError> {
    let (at, reason) = match certificate.state {
        CertificateState::Live => return Ok(None),
        CertificateState::Held { at, cause: _ } => (at, ReasonCode::CertificateHold),
        CertificateState::Revoked { at, reason } => (at, reason_code(reason)),
    };
    Ok(Some(RevokedCertParams {
        serial_number: SerialNumber::from(certificate.serial.0.clone()),
        revocation_time: terms::calendar(at).map_err(CrlError::Dates)?,
        reason_code: Some(reason),
        invalidity_date: None,
    }))
}

fn reason_code(reason: RevocationReason) -> ReasonCode {
    match reason {
        RevocationReason::Unspecified => ReasonCode::Unspecified,
        RevocationReason::KeyCompromise => ReasonCode::KeyCompromise,
        RevocationReason::AffiliationChanged => ReasonCode::AffiliationChanged,
        RevocationReason::Superseded => ReasonCode::Superseded,
        RevocationReason::CessationOfOperation => ReasonCode::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => ReasonCode::PrivilegeWithdrawn,
    }
}

#[cfg(test)]
mod tests {
    use directory::HoldCause;
    use x509_parser::prelude::FromDer;
    use x509_parser::revocation_list::CertificateRevocationList;

    use super::*;
    use crate::ca::Purpose;
    use crate::samples::{DAY, NOW, authority, record};

    const AT: Timestamp = Timestamp::from_secs(1_794_900_000);

    fn revoked(reason: RevocationReason) -> CertificateState {
        CertificateState::Revoked { at: AT, reason }
    }

    fn held() -> CertificateState {
        CertificateState::Held {
            at: AT,
            cause: HoldCause::DeviceSuspended,
        }
    }

    /// What a CRL of these says: serial number, moment, reason.
    fn listed(authority: &Authority, certificates: &[Certificate]) -> Vec<(Vec<u8>, i64, u8)> {
        let crl = authority.crl(certificates, 5, NOW, NOW.plus(DAY)).unwrap();
        let (_, crl) = CertificateRevocationList::from_der(&crl).unwrap();
        let entries = crl.iter_revoked_certificates().map(|entry| {
            let reason = entry.reason_code().map_or(0, |(_, reason)| reason.0);
            (entry.raw_serial().to_vec(), entry.revocation_date.timestamp(), reason)
        });
        entries.collect()
    }

    /// D-14: a certificate that deactivation revoked is on the next CRL, with its moment and reason; a live one is not.
    #[test]
    fn a_revoked_certificate_is_listed_and_a_live_one_is_not() {
        let authority = authority(Purpose::Device);
        let gone = record(&authority, 2, revoked(RevocationReason::CessationOfOperation));
        let live = record(&authority, 3, CertificateState::Live);

        let listed = listed(&authority, &[gone.clone(), live]);

        assert_eq!(listed, [(gone.serial.0, AT.secs(), 5)]);
    }

    /// D-15: a held certificate is listed as on hold, and is off the list once it is released.
    #[test]
    fn a_held_certificate_is_listed_as_on_hold_until_it_is_released() {
        let authority = authority(Purpose::Device);
        let held = record(&authority, 2, held());
        let released = Certificate {
            state: CertificateState::Live,
            ..held.clone()
        };

        assert_eq!(
            listed(&authority, std::slice::from_ref(&held)),
            [(held.serial.0, AT.secs(), 6)]
        );
        assert_eq!(listed(&authority, &[released]), []);
    }

    #[test]
    fn another_cas_certificates_are_not_listed() {
        let (ours, theirs) = (authority(Purpose::Device), authority(Purpose::Device));
        let record = record(&theirs, 2, revoked(RevocationReason::KeyCompromise));
        assert_eq!(listed(&ours, std::slice::from_ref(&record)), []);
        assert_eq!(listed(&theirs, &[record]).len(), 1);
    }

    #[test]
    fn every_reason_has_its_code() {
        let authority = authority(Purpose::Device);
        let codes = RevocationReason::ALL.iter().map(|reason| {
            let record = record(&authority, 2, revoked(*reason));
            listed(&authority, &[record])[0].2
        });
        assert_eq!(codes.collect::<Vec<_>>(), [0, 1, 3, 4, 5, 9]);
    }

    #[test]
    fn a_crl_carries_its_number_and_its_dates() {
        let crl = authority(Purpose::Device).crl([], 77, NOW, NOW.plus(DAY)).unwrap();
        let (_, crl) = CertificateRevocationList::from_der(&crl).unwrap();
        assert_eq!(crl.crl_number().unwrap().to_u64_digits(), [77]);
        assert_eq!(crl.last_update().timestamp(), NOW.secs());
        assert_eq!(crl.next_update().unwrap().timestamp(), NOW.plus(DAY).secs());
    }

    #[test]
    fn a_crl_that_is_over_when_it_begins_is_not_made() {
        let refused = authority(Purpose::Device).crl([], 1, NOW, NOW);
        assert!(matches!(refused, Err(CrlError::Signing(_))));
    }
}
