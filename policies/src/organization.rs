//! May this person sign in, stay signed in, enrol a device or change a factor? Never remembered, always asked.

use std::sync::Arc;

use directory::Timestamp;

use crate::caching::People;
use crate::context;
use crate::decide::{Decider, Denied, Outcome, Versions};
use crate::entities::BadFacts;
use crate::facts::{AccessRequest, DeviceFacts, Proof, RequestFacts, SessionFacts, UserFacts};
use crate::reads::{Field, Reads};
use crate::set::PolicyId;
use crate::slice::Slice;
use crate::{Age, Ages};

/// One request to the organisation to be decided. The facts are shared, so that building one is cheap.
#[derive(Debug, Clone)]
pub struct OrganizationRequest {
    /// Who asks.
    pub user: Arc<UserFacts>,
    /// The device that proved itself, if one did.
    pub device: Option<Arc<DeviceFacts>>,
    /// The session: the one there is, or the one that would begin with what was proved.
    pub session: Option<Arc<SessionFacts>>,
    /// The HTTP request.
    pub request: RequestFacts,
    /// Since when the facts hold.
    pub ages: Ages,
    /// How the device proved itself with this very request, if it did.
    pub proof: Option<Proof>,
    /// From 0 to 100.
    pub risk: u8,
    /// Whether the device's authenticator answered; nothing when it was not asked.
    pub authenticator_installed: Option<bool>,
    /// The time of the request.
    pub now: Timestamp,
}

/// What is asked of the organisation, with the facts that only this action has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrganizationAction {
    /// A session is to begin, or to rest on more factors than before.
    CreateSession,
    /// A session is to be used.
    ContinueSession,
    /// A device is to be enrolled.
    RegisterDevice(Registration),
    /// An authenticator, a password or a recovery code is to be added, changed or removed.
    ManageAuthenticator {
        /// A factor no weaker than the user's strongest was proved just now.
        as_strong_as_strongest: bool,
    },
}

/// What is known of an enrolment that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Registration {
    /// An administrator gave the token that it rests on.
    pub admin_token: bool,
    /// The hardware is not proved to be other than that of the person's devices that are shut out.
    pub known_hardware: bool,
    /// A device of the person is shut out.
    pub lost_trust_before: bool,
    /// The hardware is attested, and the keys live in it.
    pub attested: bool,
}

/// Proof that the policies allowed what was asked of the organisation. Only this crate can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationPermit {
    action: OrganizationAction,
    policies: Arc<[PolicyId]>,
    versions: Versions,
    ends: Option<Timestamp>,
    is_for_this_request_alone: bool,
}

impl Decider {
    /// Decides what is asked of the organisation.
    ///
    /// # Errors
    /// Says why the request is refused. A policy that cannot be evaluated refuses it.
    pub fn decide_organization(
        &self,
        action: &OrganizationAction,
        request: &OrganizationRequest,
    ) -> Result<OrganizationPermit, Denied> {
        let slice = self.organization_slice(action).map_err(|_| Denied::not_evaluated())?;
        let people = People::of_organization(request);
        let versions = people.versions(self.policies().version());
        let policies = self
            .asked_organization(action, request, people, &slice)
            .unwrap_or_else(|_| Err(Denied::not_evaluated()))?;
        Ok(OrganizationPermit {
            action: *action,
            policies,
            versions,
            ends: slice.reads.next_change(&request.ages, request.now),
            is_for_this_request_alone: action.brings_facts() || reads_the_request(&slice, request),
        })
    }

    fn asked_organization(
        &self,
        action: &OrganizationAction,
        request: &OrganizationRequest,
        people: People,
        slice: &Slice,
    ) -> Result<Outcome, BadFacts> {
        let context = context::of_organization(action, request, &slice.reads)?;
        self.ask(people, slice, context)
    }
}

impl OrganizationAction {
    /// The name policies use: `Action::"createSession"`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::CreateSession => "createSession",
            Self::ContinueSession => "continueSession",
            Self::RegisterDevice(_) => "registerDevice",
            Self::ManageAuthenticator { .. } => "manageAuthenticator",
        }
    }

    /// Whether it brings facts of its own, which no version covers.
    const fn brings_facts(&self) -> bool {
        match self {
            Self::CreateSession | Self::ContinueSession => false,
            Self::RegisterDevice(_) | Self::ManageAuthenticator { .. } => true,
        }
    }
}

/// The request to the organisation that comes with one to an application: the same circumstances.
impl From<&AccessRequest> for OrganizationRequest {
    fn from(request: &AccessRequest) -> Self {
        Self {
            user: Arc::clone(&request.user),
            device: request.device.clone(),
            session: request.session.clone(),
            request: request.request.clone(),
            ages: request.ages,
            proof: request.proof,
            risk: request.risk,
            authenticator_installed: request.authenticator_installed,
            now: request.now,
        }
    }
}

impl OrganizationPermit {
    /// What was permitted.
    pub const fn action(&self) -> &OrganizationAction {
        &self.action
    }

    /// The policies that permitted it, in order.
    pub fn policies(&self) -> &[PolicyId] {
        &self.policies
    }

    /// What the decision was made from.
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The first moment at which an age could turn the decision; nothing if none can.
    pub const fn ends(&self) -> Option<Timestamp> {
        self.ends
    }
    /// Whether another request with the same session could be decided otherwise before this permit ends, although user,
    /// session and policies are the same: something was read that is of this request alone.
    pub const fn is_for_this_request_alone(&self) -> bool {
        self.is_for_this_request_alone
    }
}

/// Whether the slice reads what neither the versions of user and session cover nor the permit's end does.
fn reads_the_request(slice: &Slice, request: &OrganizationRequest) -> bool {
    let reads = &slice.reads;
    !reads.uncached().is_empty()
        || !slice.tests.is_empty()
        || OF_THE_REQUEST.into_iter().any(|field| reads.needs(field))
        || was_idle_beyond_a_line(reads, request)
}

/// Each use makes a session less idle: where that takes the age back over a line, the next request may be decided otherwise.
fn was_idle_beyond_a_line(reads: &Reads, request: &OrganizationRequest) -> bool {
    let idle = request.ages.seconds(Age::Idle, request.now);
    let crossed = reads.lines().get(&Age::Idle).zip(idle);
    crossed.is_some_and(|(lines, idle)| lines.range(..=idle).any(|line| *line > 0))
}

/// What one request of a session has and the next may not: where it comes from and what it asks for, and the device,
/// which is known by what stands on the connection and has facts that end by themselves.
const OF_THE_REQUEST: [Field; 12] = [
    Field::Authenticator,
    Field::Device,
    Field::Host,
    Field::Ip,
    Field::Method,
    Field::Path,
    Field::Proof,
    Field::Risk,
    Field::Zones,
    Field::Age(Age::DeviceProof),
    Field::Age(Age::Mdm),
    Field::Age(Age::Reported),
];
