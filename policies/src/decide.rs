//! Is this request allowed, and if not, why not? The only place that makes a [`Permit`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, Entities, Request, Response};
use directory::{DeviceId, Revision, SessionId, Timestamp, UserId};
use quick_cache::sync::Cache;

use crate::caching::{CacheLimits, DecisionKey, OpenersKey, People, Target};
use crate::context;
use crate::entities::BadFacts;
use crate::facts::AccessRequest;
use crate::organization::OrganizationAction;
use crate::remedies::Proves;
use crate::set::{PolicyId, PolicySet, PolicyVersion};
use crate::slice::Slice;

/// Decides by one set of policies, remembering what can be remembered. A changed set takes a new decider.
#[derive(Debug)]
pub struct Decider {
    policies: Arc<PolicySet>,
    slices: Cache<Target, Arc<Slice>>,
    organization: Cache<&'static str, Arc<Slice>>,
    entities: Cache<People, Arc<Entities>>,
    decisions: Cache<DecisionKey, Outcome>,
    pub(crate) openers: Cache<OpenersKey, Arc<[BTreeSet<Proves>]>>,
}

/// Proof that the policies allowed a request. Only this crate can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    policies: Arc<[PolicyId]>,
    versions: Versions,
    ends: Option<Timestamp>,
}

/// What a decision was made from; when one of these is no longer current, the decision is not either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The user, and the revision of the facts about them.
    pub user: (UserId, Revision),
    /// The device, and the revision of the facts about it.
    pub device: Option<(DeviceId, Revision)>,
    /// The session and its generation.
    pub session: Option<(SessionId, u32)>,
    /// The policies.
    pub policies: PolicyVersion,
}

/// The policies' refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What kind of refusal it is.
    pub cause: Cause,
    /// Why, for people, ordered by policy.
    pub reasons: Arc<[Reason]>,
    /// The policies that determined it, in order.
    pub policies: Arc<[PolicyId]>,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A policy forbids it.
    Policy,
    /// No policy permits it.
    NoPermit,
    /// A policy could not be evaluated, so nothing can be said.
    PolicyFailed,
}

/// One reason for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The policy that gives it; none when no policy permits the request.
    pub policy: Option<PolicyId>,
    /// What it says to the person.
    pub message: Arc<str>,
    /// The same in other languages, as its author wrote it for each.
    pub translations: Arc<Translations>,
    /// What would help, as a word that pages and programs know.
    pub advice: Option<Arc<str>>,
}

/// A text in several languages, by their tags (RFC 5646), such as `de`.
pub type Translations = BTreeMap<Arc<str>, Arc<str>>;

/// What a decision comes to, apart from when it was made and by whom; this is what is remembered.
pub(crate) type Outcome = Result<Arc<[PolicyId]>, Denied>;

impl Decider {
    /// A decider that has decided nothing yet.
    pub fn new(policies: Arc<PolicySet>, limits: CacheLimits) -> Self {
        Self {
            policies,
            slices: Cache::new(MOST_SLICES),
            organization: Cache::new(MOST_ORGANIZATION_SLICES),
            entities: Cache::new(limits.people),
            decisions: Cache::new(limits.decisions),
            openers: Cache::new(MOST_SLICES),
        }
    }

    /// The policies it decides by.
    pub const fn policies(&self) -> &Arc<PolicySet> {
        &self.policies
    }

    /// Decides a request.
    ///
    /// # Errors
    /// Says why the request is refused. A policy that cannot be evaluated refuses it.
    pub fn decide(&self, request: &AccessRequest) -> Result<Permit, Denied> {
        let slice = self.slice(&Target::of(request));
        let slice = slice.map_err(|_| Denied::not_evaluated())?;
        let determining = match DecisionKey::of(request, &slice) {
            Some(key) => self.remembered(request, &slice, key),
            None => self.evaluated(request, &slice),
        }?;
        Ok(self.permit(request, &slice, determining))
    }

    fn remembered(&self, request: &AccessRequest, slice: &Slice, key: DecisionKey) -> Outcome {
        if let Some(outcome) = self.decisions.get(&key) {
            return outcome;
        }
        let outcome = self.evaluated(request, slice);
        self.decisions.insert(key, outcome.clone());
        outcome
    }

    fn evaluated(&self, request: &AccessRequest, slice: &Slice) -> Outcome {
        self.asked(request, slice)
            .unwrap_or_else(|_| Err(Denied::not_evaluated()))
    }

    fn asked(&self, request: &AccessRequest, slice: &Slice) -> Result<Outcome, BadFacts> {
        let context = context::of_access(request, &slice.reads)?;
        self.ask(People::of(request), slice, context)
    }

    /// Asks the policies of a slice.
    pub(crate) fn ask(&self, people: People, slice: &Slice, context: Context) -> Result<Outcome, BadFacts> {
        let (action, resource) = (slice.action.clone(), slice.resource.clone());
        let question = Request::new(people.user.uid(), action, resource, context, None)
            .map_err(|source| BadFacts::new("request", source))?;
        let entities = self.entities(people)?.as_ref().clone();
        let entities = entities
            .add_entities(slice.entities.iter().cloned(), None)
            .map_err(|source| BadFacts::new("request", source))?;
        let response = Authorizer::new().is_authorized(&question, &slice.policies, &entities);
        Ok(self.policies.outcome(&response))
    }

    pub(crate) fn slice(&self, target: &Target) -> Result<Arc<Slice>, BadFacts> {
        if let Some(slice) = self.slices.get(target) {
            return Ok(slice);
        }
        let slice = Arc::new(self.policies.slice(&target.app, target.action)?);
        self.slices.insert(target.clone(), Arc::clone(&slice));
        Ok(slice)
    }

    /// The policies that can matter to an action on the organisation.
    pub(crate) fn organization_slice(&self, action: &OrganizationAction) -> Result<Arc<Slice>, BadFacts> {
        if let Some(slice) = self.organization.get(action.as_str()) {
            return Ok(slice);
        }
        let slice = Arc::new(self.policies.organization_slice(action)?);
        self.organization.insert(action.as_str(), Arc::clone(&slice));
        Ok(slice)
    }

    fn entities(&self, people: People) -> Result<Arc<Entities>, BadFacts> {
        if let Some(entities) = self.entities.get(&people) {
            return Ok(entities);
        }
        let entities = Arc::new(people.entities()?);
        self.entities.insert(people, Arc::clone(&entities));
        Ok(entities)
    }

    fn permit(&self, request: &AccessRequest, slice: &Slice, policies: Arc<[PolicyId]>) -> Permit {
        let versions = People::of(request).versions(self.policies.version());
        let by_age = slice.reads.next_change(&request.ages, request.now);
        Permit {
            policies,
            versions,
            ends: by_age.into_iter().chain(request.fact_ends).min(),
        }
    }
}

impl Permit {
    /// The policies that permitted the request, in order.
    pub fn policies(&self) -> &[PolicyId] {
        &self.policies
    }

    /// What the decision was made from.
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The first moment at which time alone could turn the decision; nothing if it cannot.
    pub const fn ends(&self) -> Option<Timestamp> {
        self.ends
    }
}

impl Reason {
    /// What it says to a person who reads this language.
    pub fn said_in(&self, language: &str) -> &str {
        self.translations.get(language).unwrap_or(&self.message)
    }
}

impl Denied {
    /// The refusal of a request that could not be put to the policies.
    pub(crate) fn not_evaluated() -> Self {
        Self::failed(Vec::new())
    }

    /// The refusal of a request because those policies could not be evaluated.
    fn failed(policies: Vec<PolicyId>) -> Self {
        let reason = |policy| Reason {
            policy,
            message: Arc::from(FAILED),
            translations: Arc::default(),
            advice: None,
        };
        let reasons = match policies.as_slice() {
            [] => vec![reason(None)],
            failed => failed.iter().cloned().map(|policy| reason(Some(policy))).collect(),
        };
        Self {
            cause: Cause::PolicyFailed,
            reasons: reasons.into(),
            policies: policies.into(),
        }
    }

    fn no_permit() -> Self {
        let reason = Reason {
            policy: None,
            message: Arc::from(NOT_PERMITTED),
            translations: Arc::default(),
            advice: None,
        };
        Self {
            cause: Cause::NoPermit,
            reasons: [reason].into(),
            policies: [].into(),
        }
    }
}

impl People {
    /// The entities of the user, the device and the session.
    pub(crate) fn entities(&self) -> Result<Entities, BadFacts> {
        let mut entities = vec![self.user.entity()?];
        if let Some(device) = &self.device {
            entities.push(device.entity()?);
        }
        if let Some(session) = &self.session {
            entities.push(session.entity()?);
        }
        Entities::from_entities(entities, None).map_err(|source| BadFacts::new("request", source))
    }

    /// What a decision about them by these policies is made from.
    pub(crate) fn versions(&self, policies: &PolicyVersion) -> Versions {
        Versions {
            user: (self.user.id, self.user.version),
            device: self.device.as_ref().map(|device| (device.id, device.version)),
            session: self.session.as_ref().map(|session| (session.id, session.generation)),
            policies: policies.clone(),
        }
    }
}

impl PolicySet {
    /// What Cedar's answer comes to. Cedar skips a policy it cannot evaluate, even one that forbids: that is a refusal here.
    pub(crate) fn outcome(&self, response: &Response) -> Outcome {
        let failed = self.named(response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        }));
        let determining = self.named(response.diagnostics().reason());
        match response.decision() {
            _ if !failed.is_empty() => Err(Denied::failed(failed)),
            Decision::Allow => Ok(determining.into()),
            Decision::Deny if determining.is_empty() => Err(Denied::no_permit()),
            Decision::Deny => {
                let reasons = determining.iter().map(|policy| self.reason(policy)).collect();
                Err(Denied {
                    cause: Cause::Policy,
                    reasons,
                    policies: determining.into(),
                })
            }
        }
    }

    fn named<'a>(&self, ids: impl Iterator<Item = &'a cedar_policy::PolicyId>) -> Vec<PolicyId> {
        let mut named: Vec<PolicyId> = ids.map(|id| self.id(id.as_ref())).collect();
        named.sort_unstable();
        named
    }

    fn id(&self, id: &str) -> PolicyId {
        self.known()
            .get_key_value(id)
            .map_or_else(|| PolicyId::from(id), |(id, _)| id.clone())
    }

    fn reason(&self, policy: &PolicyId) -> Reason {
        let known = self.known().get(policy);
        let said = known.and_then(|known| known.deny_reason.clone().or_else(|| known.title.clone()));
        Reason {
            policy: Some(policy.clone()),
            message: said.unwrap_or_else(|| Arc::from(FORBIDDEN)),
            translations: known.map(|known| known.translations.clone()).unwrap_or_default(),
            advice: known.and_then(|known| known.advice.clone()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::NoPermit => "no-permit",
            Self::PolicyFailed => "policy-failed",
        })
    }
}

/// What a policy says whose author gave no reason.
pub const FORBIDDEN: &str = "A policy forbids this.";
/// What is said where no policy permits.
pub const NOT_PERMITTED: &str = "No policy lets you do this.";
/// What is said where a policy could not be evaluated.
pub const FAILED: &str = "A policy could not be evaluated. Please tell your administrators.";

/// Applications times actions, generously.
const MOST_SLICES: usize = 10_000;

/// The actions on the organisation, generously.
const MOST_ORGANIZATION_SLICES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyFile;
    use crate::cases;

    #[test]
    fn a_decision_is_remembered_unless_the_policies_read_what_no_key_can_hold() {
        assert_eq!(remembered("context.request.path like \"/a*\""), 1);
        assert_eq!(remembered("context.risk < 60"), 0);
    }

    /// How many decisions are remembered after the same request came twice.
    fn remembered(condition: &str) -> usize {
        let text =
            format!("@id(\"x\") permit (principal, action in Action::\"access\", resource) when {{ {condition} }};");
        let policies = PolicySet::load(&[PolicyFile {
            name: "test.cedar".into(),
            text,
        }])
        .unwrap();
        let decider = Decider::new(Arc::new(policies), CacheLimits::default());
        let case = r#"{ "users": { "alice": {} }, "applications": { "wiki": {} }, "cases": [
            { "name": "asked", "request": { "user": "alice", "app": "wiki" }, "decision": "allow" } ] }"#;
        let (_, request) = cases::requests(case).unwrap().remove(0);
        let _ = (decider.decide(&request), decider.decide(&request));
        decider.decisions.len()
    }
}
