//! What became of an enrolment whose answer did not come? The gateway is asked until it is known; until then both keys are kept.

use std::sync::Arc;

use super::World;
use super::enroll::applicant;
use super::error::{CliError, chain};
use super::keep::{Kept, keep};
use super::output::complain;
use crate::enrollment::{Applicant, EnrollError};
use crate::keys::{KeyError, StoredKey, blocking};
use crate::state::{Pending, State, Writer};

/// Settles what is open, if anything is, before a command; one that cannot be settled now is left for later.
pub(super) async fn before(world: &World) {
    let is_open = |state: State| !state.pending.is_empty();
    if !world.folder.load().ok().flatten().is_some_and(is_open) {
        return;
    }
    // Another command that writes settles it, or the next one does.
    let Ok(writer) = world.folder.write() else {
        return;
    };
    match settle(world, &writer).await {
        Ok(Some(kept)) => complain(&format!(
            "An enrolment of before is done now: the new keys of {} count.\n",
            kept.login
        )),
        Ok(None) => {}
        Err(error) => complain(&format!(
            "It is not known yet what became of an enrolment of before: {}\n",
            chain(&error)
        )),
    }
}

/// Settles an enrolment that just now got no answer: the device's name where it is done after all.
pub(super) async fn at_once(world: &World, writer: &Writer, error: CliError) -> Result<String, CliError> {
    match settle(world, writer).await {
        Ok(Some(kept)) => Ok(kept.show(world.json)),
        Ok(None) if world.folder.require()?.pending.is_empty() => Err(error),
        Ok(None) | Err(_) => {
            complain(
                "The gateway did not say whether it enrolled the new keys. Those of before are kept beside them; `run` and every \
                 other command ask again.\n",
            );
            Err(error)
        }
    }
}

/// Asks the gateway what became of everything that is open: what is enrolled takes the place of what was before, what never will
/// be is destroyed.
pub(super) async fn settle(world: &World, writer: &Writer) -> Result<Option<Kept>, CliError> {
    let state = world.folder.require()?;
    if state.pending.is_empty() {
        return Ok(None);
    }
    let (applicant, _) = applicant(world, &state).await?;
    let mut last = None;
    for pending in &state.pending {
        match applicant.recover(pending).await {
            Ok(done) => last = Some(keep(world, writer, &applicant, world.folder.require()?, done).await?),
            Err(error) if never_will_be(&error, pending, &applicant) => {
                drop_pending(writer, &applicant, pending).await?
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(last)
}

/// Whether the gateway says for good that the keys are not enrolled, or not any more.
fn never_will_be(error: &EnrollError, pending: &Pending, applicant: &Applicant) -> bool {
    let EnrollError::Ask(error) = error else {
        return false;
    };
    match error.refusal().map(|refusal| refusal.code.as_str()) {
        // As long as the attempt goes on, what was asked may be on its way.
        Some(NOT_FOUND) => (applicant.now)() > pending.until,
        Some(ENDED) => true,
        Some(_) | None => false,
    }
}

async fn drop_pending(writer: &Writer, applicant: &Applicant, pending: &Pending) -> Result<(), CliError> {
    let mut state = writer.folder().require()?;
    state.pending.retain(|other| other != pending);
    writer.save(&state)?;
    let verification = pending
        .verification
        .as_ref()
        .map(|verification| verification.key.clone());
    let keys: Vec<StoredKey> = [Some(pending.possession.clone()), verification]
        .into_iter()
        .flatten()
        .collect();
    let store = Arc::clone(&applicant.store);
    blocking::<_, KeyError>(move || keys.iter().try_for_each(|key| store.delete(key))).await?;
    Ok(())
}

const NOT_FOUND: &str = "E0000007";
const ENDED: &str = "E0000154";
