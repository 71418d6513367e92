//! What would the plain way decide: every policy, every fact, nothing remembered?
//!
//! Slow. Tests and the bench hold the [`crate::Decider`] against it.

use std::sync::Arc;

use cedar_policy::{Authorizer, Entities, Request};

use crate::caching::People;
use crate::context;
use crate::decide::Denied;
pub use crate::entities::BadFacts;
use crate::facts::AccessRequest;
use crate::reads::Reads;
use crate::schema::{Kind, SCHEMA};
use crate::set::{PolicyId, PolicySet};

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
        let entities = People::of(request).entities()?;
        let app = request.app.entity()?;
        let entities = Entities::from_entities(entities.into_iter().chain([app]), Some(&SCHEMA))
            .map_err(|source| BadFacts::new("request", source))?;
        let action = Kind::Action.named(request.action.as_str());
        let context = context::of_access(request, &Reads::everything())?;
        let question = Request::new(request.user.uid(), action, request.app.uid(), context, Some(&SCHEMA))
            .map_err(|source| BadFacts::new("request", source))?;
        Ok(Self {
            request: question,
            entities,
        })
    }

    /// Asks every policy there is.
    ///
    /// # Errors
    /// Says why the request is refused.
    pub fn ask(&self, policies: &PolicySet) -> Result<Arc<[PolicyId]>, Denied> {
        policies.outcome(&Authorizer::new().is_authorized(&self.request, policies.cedar(), &self.entities))
    }
}
