//! May this person sign in, stay signed in, enrol a device or change a factor? Never remembered, always asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::Timestamp;

use crate::Ages;
use crate::caching::People;
use crate::context;
use crate::decide::{Decider, Denied, Outcome, Versions};
use crate::entities::BadFacts;
use crate::facts::{DeviceFacts, FactorMethod, Proof, RequestFacts, SessionFacts, UserFacts};
use crate::set::PolicyId;
use crate::slice::Slice;

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
}

/// A session as it would be with more factors proved.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The factors that would have to be proved.
    pub adds: BTreeSet<FactorMethod>,
    /// The session as it would then be.
    pub session: Arc<SessionFacts>,
    /// Since when the facts would then hold.
    pub ages: Ages,
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
        })
    }

    /// Which of these would turn a refusal, in the order given; one that adds more than another that suffices is left out.
    pub fn helps<'a>(
        &self,
        action: &OrganizationAction,
        request: &OrganizationRequest,
        candidates: &'a [Candidate],
    ) -> Vec<&'a Candidate> {
        let suffices = |candidate: &&Candidate| {
            let hypothetical = OrganizationRequest {
                session: Some(Arc::clone(&candidate.session)),
                ages: candidate.ages,
                ..request.clone()
            };
            self.decide_organization(action, &hypothetical).is_ok()
        };
        let sufficient: Vec<&Candidate> = candidates.iter().filter(suffices).collect();
        let is_smallest = |candidate: &&Candidate| {
            let mut fewer = sufficient
                .iter()
                .filter(|other| other.adds.len() < candidate.adds.len());
            !fewer.any(|other| other.adds.is_subset(&candidate.adds))
        };
        sufficient.iter().copied().filter(is_smallest).collect()
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
}
