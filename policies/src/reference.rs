//! What would the plain way decide: every policy, every fact, nothing remembered?
//!
//! Slow. Tests and the bench hold the [`crate::Decider`] against it.

use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Entities, Entity, Request};

use crate::caching::People;
use crate::context;
use crate::decide::Denied;
pub use crate::entities::BadFacts;
use crate::facts::AccessRequest;
use crate::organization::{OrganizationAction, OrganizationRequest};
use crate::reads::Reads;
use crate::schema::{Kind, SCHEMA};
use crate::set::{PolicyId, PolicySet};
use crate::slice::organization;

/// A request in Cedar's terms, with everything there is to know, validated against the schema.
#[derive(Debug)]
pub struct Question {
    request: Request,
    entities: Entities,
}

impl Question {
    /// Puts a request in Cedar's terms.
    ///
    /// # Errors
    /// Says which facts do not fit the schema.
    pub fn of(request: &AccessRequest) -> Result<Self, BadFacts> {
        let context = context::of_access(request, &Reads::everything())?;
        Self::new(
            &People::of(request),
            request.action.as_str(),
            request.app.entity()?,
            context,
        )
    }

    /// Puts a request to the organisation in Cedar's terms.
    ///
    /// # Errors
    /// Says which facts do not fit the schema.
    pub fn of_organization(action: &OrganizationAction, request: &OrganizationRequest) -> Result<Self, BadFacts> {
        let context = context::of_organization(action, request, &Reads::everything())?;
        Self::new(
            &People::of_organization(request),
            action.as_str(),
            organization(),
            context,
        )
    }

    fn new(people: &People, action: &str, resource: Entity, context: Context) -> Result<Self, BadFacts> {
        let (action, uid) = (Kind::Action.named(action), resource.uid());
        let entities = Entities::from_entities(people.entities()?.into_iter().chain([resource]), Some(&SCHEMA))
            .map_err(|source| BadFacts::new("request", source))?;
        let request = Request::new(people.user.uid(), action, uid, context, Some(&SCHEMA))
            .map_err(|source| BadFacts::new("request", source))?;
        Ok(Self { request, entities })
    }

    /// Asks every policy there is.
    ///
    /// # Errors
    /// Says why the request is refused.
    pub fn ask(&self, policies: &PolicySet) -> Result<Arc<[PolicyId]>, Denied> {
        policies.outcome(&Authorizer::new().is_authorized(&self.request, policies.cedar(), &self.entities))
    }
}
