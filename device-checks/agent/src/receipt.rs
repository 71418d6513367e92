//! Did the pinned gateway enrol this very device? Its signature over what it says, before anything of it is stored.

use device_checks::jws::{BadToken, Unverified};
use device_checks::wire::{AttemptId, Enrolled, PublicKey, Timestamp, UserId, hash};
use device_checks::{EnrollmentReceipt, LEEWAY, LeafCertificate, RECEIPT_TYPE};

use crate::challenge::pinned_key;
use crate::state::{self, Pinned};
use crate::tls;

/// What this device knows of its attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The attempt.
    pub id: AttemptId,
    /// Its nonce.
    pub nonce: &'a str,
    /// The user it began for.
    pub user: UserId,
    /// The instance's key.
    pub instance_key: &'a PublicKey,
    /// The possession key.
    pub possession: &'a PublicKey,
}

/// Proof that the pinned gateway enrolled this device, with this certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnrollment {
    enrolled: Enrolled,
    leaf: LeafCertificate,
}

/// Says why an enrolment's answer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// There is no receipt in it.
    #[error("the answer carries no receipt by the gateway")]
    Token(#[from] BadToken),
    /// It is signed by a key that was not pinned.
    #[error("the receipt is signed by a key that this device did not pin")]
    UnknownKey,
    /// It is by another gateway or organisation.
    #[error("the receipt is by another gateway or organisation")]
    Issuer,
    /// It is for another device.
    #[error("the receipt is for another device")]
    Audience,
    /// It is old, or from the future.
    #[error("the receipt is not of now: check the clock")]
    Time,
    /// It is of another attempt.
    #[error("the receipt is of another attempt")]
    Attempt,
    /// It is for another user than began.
    #[error("the receipt is for another user")]
    User,
    /// It is for another key, or the certificate is.
    #[error("the receipt or the certificate is for another key")]
    Key,
    /// The answer says other things than the receipt.
    #[error("the answer says other things than its receipt")]
    Contents,
    /// What came as a certificate is none.
    #[error("the certificate cannot be read")]
    Certificate,
}

impl VerifiedEnrollment {
    /// Checks the answer to this attempt.
    ///
    /// # Errors
    ///
    /// Says what does not fit; nothing of such an answer counts.
    pub fn check(
        enrolled: Enrolled,
        pinned: &Pinned,
        attempt: Attempt<'_>,
        now: Timestamp,
    ) -> Result<Self, BadReceipt> {
        let receipt = read(&enrolled.receipt, pinned)?;
        if receipt.iss != pinned.issuer || receipt.org_id != pinned.organization {
            return Err(BadReceipt::Issuer);
        }
        if receipt.aud != attempt.instance_key.thumbprint() {
            return Err(BadReceipt::Audience);
        }
        if receipt.iat.abs_diff(now.secs()) > LEEWAY.unsigned_abs() {
            return Err(BadReceipt::Time);
        }
        if receipt.tx != attempt.id || receipt.nonce != attempt.nonce {
            return Err(BadReceipt::Attempt);
        }
        if receipt.sub != attempt.user {
            return Err(BadReceipt::User);
        }
        if receipt.key != attempt.possession.thumbprint() {
            return Err(BadReceipt::Key);
        }
        check_contents(&receipt, &enrolled)?;
        let leaf = state::leaf_of(enrolled.certificate.as_bytes()).ok_or(BadReceipt::Certificate)?;
        if tls::is_for(&leaf, attempt.possession) {
            Ok(Self { enrolled, leaf })
        } else {
            Err(BadReceipt::Key)
        }
    }

    /// What was enrolled.
    pub fn enrolled(&self) -> &Enrolled {
        &self.enrolled
    }

    /// Its certificate.
    pub fn leaf(&self) -> &LeafCertificate {
        &self.leaf
    }
}

fn read(receipt: &str, pinned: &Pinned) -> Result<EnrollmentReceipt, BadReceipt> {
    let token = Unverified::parse(receipt, RECEIPT_TYPE)?;
    let key = pinned_key(pinned, &token).ok_or(BadReceipt::UnknownKey)?;
    Ok(token.verify(key)?)
}

fn check_contents(receipt: &EnrollmentReceipt, enrolled: &Enrolled) -> Result<(), BadReceipt> {
    let same = receipt.device == enrolled.device
        && receipt.sub == enrolled.user
        && receipt.enrollment == enrolled.enrollment
        && receipt.instance == enrolled.instance
        && receipt.certificate == hash(enrolled.certificate.as_bytes());
    if same { Ok(()) } else { Err(BadReceipt::Contents) }
}

#[cfg(test)]
mod tests;
