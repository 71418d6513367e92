//! Did a device sign this very request? Verified once, when it comes; what it is worth is judged for as long as it lives.

use device_checks::wire::ASSERTION_FIELD;
use device_checks::{ExpectedRequest, KeyType, VerifiedAssertion, claimed_enrollment, verify_assertion};
use directory::{Enrollment, Snapshot, Timestamp};
use http::HeaderMap;
use tracing::info;

use super::denial::{Ambiguity, Denial};
use crate::nonces::{NonceRefused, Nonces};

/// An assertion that was verified, and when.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    /// What was proved.
    pub(crate) assertion: VerifiedAssertion,
    /// When.
    pub(crate) at: Timestamp,
}

impl Presented {
    /// Whether the key that signed is still one of this enrolment's.
    pub(crate) fn is_by(&self, enrollment: &Enrollment) -> bool {
        let key = match self.assertion.key_type() {
            KeyType::ProofOfPossession => enrollment.public_key,
            KeyType::UserVerification => enrollment.verification.as_ref().map(|verification| verification.key),
        };
        key.is_some_and(|key| key.thumbprint() == self.assertion.key())
    }
}

/// The request that an assertion has to be about.
pub(crate) struct AssertedRequest<'a> {
    /// The request's id, for the log.
    pub(crate) id: &'a str,
    /// The auth host's origin.
    pub(crate) audience: &'a str,
    /// The method.
    pub(crate) method: &'a str,
    /// The URL without query.
    pub(crate) url: &'a str,
    /// The present moment.
    pub(crate) now: Timestamp,
    /// Whether its nonce was used up by the first of two questions about it, of which this one permits nothing.
    pub(crate) asked_before: bool,
}

/// Verifies the assertion in a request's head, if there is one, and burns its nonce.
///
/// # Errors
/// If it is not a good one: why is for the log alone, so that strangers learn nothing from it.
pub(crate) fn present(
    headers: &HeaderMap,
    asked: &AssertedRequest<'_>,
    directory: &Snapshot,
    nonces: &Nonces,
) -> Result<Option<Presented>, Denial> {
    let mut fields = headers.get_all(ASSERTION_FIELD).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Denial::Ambiguous(Ambiguity::Assertion));
    }
    let refused = |why: &dyn std::fmt::Display| {
        info!(request = asked.id, %why, "a device assertion was refused");
        Denial::AssertionRefused
    };
    let token = field.to_str().map_err(|error| refused(&error))?;
    let claimed = claimed_enrollment(token).map_err(|error| refused(&error))?;
    let enrollment = directory
        .enrollment(claimed)
        .ok_or_else(|| refused(&"the enrolment is unknown"))?;
    let expected = ExpectedRequest {
        audience: asked.audience,
        method: asked.method,
        url: asked.url,
        now: asked.now,
    };
    let assertion = verify_assertion(token, &enrollment, &expected).map_err(|error| refused(&error))?;
    match nonces.burn(assertion.nonce(), asked.now) {
        Err(NonceRefused::Used) if asked.asked_before => {}
        burnt => burnt.map_err(|error| refused(&error))?,
    }
    Ok(Some(Presented {
        assertion,
        at: asked.now,
    }))
}
