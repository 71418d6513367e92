//! Is this the evidence of a machine that somebody vouches for? Well-formed first, then against the roots.

use device_checks::attestation::tpm::examine;
use device_checks::attestation::{DeviceStatement, TpmDevice};
use device_checks::wire::Credential;
use directory::Timestamp;

use super::attempts::{Claimed, Endorsed, Machine};
use crate::api_error::{ApiError, fault};
use crate::device_trust::DeviceTrust;
use crate::logs::Chain;

/// What a device's statement comes to, and the credential that its TPM has to open.
///
/// # Errors
/// If the evidence is not well-formed, or nobody who is configured vouches for it.
pub(super) fn weigh(
    statement: &DeviceStatement,
    trust: &DeviceTrust,
    now: Timestamp,
) -> Result<(Machine, Option<Credential>), ApiError> {
    match statement {
        DeviceStatement::None => Ok((Machine::Unknown, None)),
        DeviceStatement::Tpm(tpm) => weigh_tpm(tpm, trust, now),
    }
}

fn weigh_tpm(
    statement: &TpmDevice,
    trust: &DeviceTrust,
    now: Timestamp,
) -> Result<(Machine, Option<Credential>), ApiError> {
    let evidence = examine(statement).map_err(|bad| refused(&bad))?;
    let vouched = trust.vouch(evidence.chain(), now).map_err(|not| refused(&not))?;
    let machine = Endorsed {
        id: evidence.hardware(),
        chain: evidence.chain().to_vec(),
        class: vouched.class,
        attested: vouched.counts,
    };
    let challenge = evidence.challenge(rand::random(), &mut rand::rng());
    let (credential, activation) = challenge.map_err(|error| fault(&error, "a credential could not be made"))?;
    Ok((Machine::Claimed(Claimed { activation, machine }), Some(credential)))
}

/// Says what is wrong with evidence: whoever shows it holds a token, and may know.
pub(super) fn refused(error: &dyn std::error::Error) -> ApiError {
    metrics::counter!("latchkey_enrollments_total", "outcome" => "bad-evidence").increment(1);
    ApiError::invalid("statement", Chain(error))
}
