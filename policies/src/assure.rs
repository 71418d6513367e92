//! To which assurance levels does a device belong, and until when is that certain?

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Decision, Entities, EntityUid, Policy, Request, ResourceConstraint};
use directory::Timestamp;

use crate::Ages;
use crate::context;
use crate::entities::BadFacts;
use crate::facts::DeviceFacts;
use crate::reads::Reads;
use crate::schema::{ACTIONS, Kind};
use crate::set::PolicySet;
use crate::slice::fits_action;

/// The assurance levels a device belongs to, until a fact changes or an age falls due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assured {
    /// The names of the levels.
    pub levels: BTreeSet<String>,
    /// The first moment at which an age could change them; nothing if none can.
    pub ends: Option<Timestamp>,
}

impl PolicySet {
    /// The levels this device belongs to, of those that policies name. What cannot be judged is not reached.
    pub fn assure(&self, device: &DeviceFacts, ages: &Ages, now: Timestamp) -> Assured {
        let levels = self
            .levels()
            .into_iter()
            .filter(|level| self.reaches(device, level, ages, now).unwrap_or(false));
        Assured {
            levels: levels.map(|level| level.id().unescaped().to_owned()).collect(),
            ends: self.assured_until(ages, now),
        }
    }

    fn reaches(&self, device: &DeviceFacts, level: &EntityUid, ages: &Ages, now: Timestamp) -> Result<bool, BadFacts> {
        let context = context::of_assurance(ages, now)?;
        let question = Request::new(device.uid(), assure(), level.clone(), context, None)
            .map_err(|source| BadFacts::new("assurance", source))?;
        let entities = ACTIONS.iter().cloned().chain([device.entity()?]);
        let entities = Entities::from_entities(entities, None).map_err(|source| BadFacts::new("assurance", source))?;
        let policies = cedar_policy::PolicySet::from_policies(self.assurance_policies().cloned())
            .map_err(|source| BadFacts::new("assurance", source))?;
        let response = Authorizer::new().is_authorized(&question, &policies, &entities);
        Ok(response.decision() == Decision::Allow && response.diagnostics().errors().next().is_none())
    }

    fn assured_until(&self, ages: &Ages, now: Timestamp) -> Option<Timestamp> {
        let mut reads = Reads::default();
        let known = self.known().values().filter(|known| is_assurance(&known.policy));
        known.for_each(|known| reads.extend(&known.reads));
        reads.next_change(ages, now)
    }

    /// The levels that policies name in their scopes.
    fn levels(&self) -> BTreeSet<EntityUid> {
        self.assurance_policies()
            .filter_map(|policy| match policy.resource_constraint() {
                ResourceConstraint::Eq(level) | ResourceConstraint::In(level) | ResourceConstraint::IsIn(_, level) => {
                    Some(level)
                }
                ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            })
            .filter(|level| Kind::Assurance.is_type_of(level))
            .collect()
    }

    fn assurance_policies(&self) -> impl Iterator<Item = &Policy> {
        self.known()
            .values()
            .map(|known| &known.policy)
            .filter(|policy| is_assurance(policy))
    }
}

fn is_assurance(policy: &Policy) -> bool {
    fits_action(&policy.action_constraint(), &assure())
}

fn assure() -> EntityUid {
    Kind::Action.named("assure")
}
