//! May a session go on? Asked of the policies, and kept until time or a change could turn the answer.

use std::sync::Arc;

use directory::{Revision, Timestamp};
use policies::{Decider, Denied, OrganizationAction, OrganizationRequest, PolicyVersion};

use super::Grip;

/// That a session may go on, for as long as nothing changes that this was judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continued {
    policies: PolicyVersion,
    user: Revision,
    until: Option<Timestamp>,
}

/// Asks whether a session may go on (`continueSession`), unless that is known; says until when it holds.
///
/// # Errors
/// The policies say no.
pub(crate) fn continues(
    grip: &Grip,
    decider: &Decider,
    request: impl FnOnce() -> OrganizationRequest,
    (user, now): (Revision, Timestamp),
) -> Result<Option<Timestamp>, Denied> {
    let policies = decider.policies().version();
    if let Some(known) = &*grip.continued.load()
        && known.policies == *policies
        && known.user == user
        && known.until.is_none_or(|until| now < until)
    {
        return Ok(known.until);
    }
    let permit = decider.decide_organization(&OrganizationAction::ContinueSession, &request())?;
    if permit.is_for_this_request_alone() {
        return Ok(Some(now));
    }
    let continued = Continued {
        policies: policies.clone(),
        user,
        until: permit.ends(),
    };
    grip.continued.store(Some(Arc::new(continued)));
    Ok(permit.ends())
}
