//! Is the TPM there whose certificate was shown? It opened the credential, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use device_checks::wire::{Activate, Activated};

use super::attempts::{Attempt, Claimed, Machine, Proved};
use super::evidence::refused;
use super::step::Step;
use crate::api_error::ApiError;
use crate::world::World;

/// Takes the one answer there may be; a wrong one ends the attempt.
pub(super) async fn activate(State(world): State<Arc<World>>, step: Step) -> Result<Json<Activated>, ApiError> {
    let asked: Activate = step.read()?;
    let now = world.clock.now();
    let (_, attempt) = step.attempt(&world, asked.attempt, now)?;
    let Machine::Claimed(Claimed { activation, machine }) = attempt.machine else {
        return Err(ApiError::invalid(
            "attempt",
            "expected one that waits for its activation",
        ));
    };
    let key = activation.activate(&asked.secret.0).map_err(|wrong| refused(&wrong))?;
    let activated = Activated {
        root_class: machine.class,
        attested: machine.attested,
    };
    let proved = Attempt {
        machine: Machine::Proved(Proved { key, machine }),
        ..attempt
    };
    let goes_on = world.attempts.begin(proved, now);
    goes_on.map_err(|_| ApiError::EnrollmentUnderWay)?;
    Ok(Json(activated))
}
