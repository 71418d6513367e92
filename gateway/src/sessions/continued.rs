//! May a session go on? Within the configured limits, as the policies say; kept until time or a change could turn the answer.

use std::sync::Arc;

use directory::{Revision, Timestamp};
use policies::{Decider, OrganizationAction, OrganizationRequest, PolicyVersion};

use super::Grip;
use crate::config::SignIn;

/// That a session may go on, for as long as nothing changes that this was judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continued {
    policies: PolicyVersion,
    user: Revision,
    in_software: bool,
    until: Option<Timestamp>,
}

/// What else it depends on whether a session may go on.
pub(crate) struct Lasting<'a> {
    /// The user's record.
    pub(crate) user: Revision,
    /// How long sessions last at most, and what counts in them.
    pub(crate) limits: &'a SignIn,
    /// The moment.
    pub(crate) now: Timestamp,
}

/// Says that a session is too old, was unused for too long, or the policies do not let it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session may not go on")]
pub(crate) struct Over;

/// Asks whether a session may go on (`continueSession`), unless that is known; says until when it holds.
///
/// # Errors
/// It is over, whether or not somebody has written that down yet; or the policies say no.
pub(crate) fn continues(
    grip: &Grip,
    decider: &Decider,
    request: impl FnOnce() -> OrganizationRequest,
    lasting: &Lasting<'_>,
) -> Result<Timestamp, Over> {
    let Lasting { user, limits, now } = *lasting;
    let ends = grip.session().created.plus(limits.session_maximum_age);
    if ends <= now || grip.seen().plus(limits.session_idle) <= now {
        return Err(Over);
    }
    let within = |until: Option<Timestamp>| until.map_or(ends, |until| until.min(ends));
    let (policies, in_software) = (decider.policies().version(), limits.count_software_verification);
    if let Some(known) = &*grip.continued.load()
        && known.policies == *policies
        && known.user == user
        && known.in_software == in_software
        && known.until.is_none_or(|until| now < until)
    {
        return Ok(within(known.until));
    }
    let permit = decider.decide_organization(&OrganizationAction::ContinueSession, &request());
    let permit = permit.map_err(|_| Over)?;
    if !permit.is_for_this_request_alone() {
        let continued = Continued {
            policies: policies.clone(),
            user,
            in_software,
            until: permit.ends(),
        };
        grip.continued.store(Some(Arc::new(continued)));
    }
    Ok(within(permit.ends()))
}
