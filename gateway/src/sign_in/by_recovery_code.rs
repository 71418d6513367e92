//! Who is this, by a code that was kept for the day on which nothing else is left?

use std::net::IpAddr;
use std::sync::Arc;

use directory::{Command, Factor, FactorProof, SecretHash, User};

use super::{actor_of, admit, guess, proof_by, refuse};
use crate::api_error::ApiError;
use crate::factors::recovery;
use crate::store::SubmitError;
use crate::world::World;

/// Verifies a recovery code and burns it; throttled by account and source. Of two who bring the same one, one is let in.
///
/// # Errors
/// If it is none of the user's, or was used; or if there were too many failures.
pub(crate) async fn prove_recovery_code(
    world: &World,
    user: &Arc<User>,
    code: &str,
    source: IpAddr,
) -> Result<FactorProof, ApiError> {
    let admission = admit(world, &guess(&user.login, Factor::Recovery, source))?;
    let known = world.directory.snapshot().recovery_codes_of(user.id);
    let (Some(known), Some(code)) = (known, recovery::read(code)) else {
        return Err(refuse(world, admission, Some(user), Factor::Recovery, source).await);
    };
    let command = Command::UseRecoveryCode {
        authenticator: known.id,
        code: SecretHash::of(&code),
    };
    let actor = actor_of(user, source);
    match world.directory.submit(command, actor, Vec::new()).await {
        Ok(_) => {
            let now = world.clock.now();
            admission.succeeded(now);
            Ok(proof_by(Factor::Recovery, &known, now))
        }
        Err(SubmitError::Refused(_)) => Err(refuse(world, admission, Some(user), Factor::Recovery, source).await),
        Err(error @ SubmitError::Unavailable(_)) => {
            admission.withdrawn();
            Err(error.into())
        }
    }
}
