//! Which policies can matter to one resource and action at all? Cedar looks at every policy it is given.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy::pst::{self, PstConstructionError};
use cedar_policy::{ActionConstraint, Entity, EntityUid, Policy, ResourceConstraint};

use crate::entities::BadFacts;
use crate::facts::{Action, AppFacts};
use crate::organization::OrganizationAction;
use crate::reads::Reads;
use crate::schema::{ACTIONS, Kind};
use crate::set::PolicySet;
use crate::texts::TextTest;

/// The policies whose scopes fit one resource and action, and what they read.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: cedar_policy::PolicySet,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    /// The resource and the action; the rest of the entities belongs to the request.
    pub(crate) entities: Vec<Entity>,
    pub(crate) reads: Reads,
    pub(crate) tests: Arc<[TextTest]>,
}

impl PolicySet {
    /// The policies that can matter to this action on this application.
    pub(crate) fn slice(&self, app: &AppFacts, action: Action) -> Result<Slice, BadFacts> {
        self.sliced(action.as_str(), app.entity()?, |scope| fits_app(scope, app))
    }

    /// The policies that can matter to this action on the organisation.
    pub(crate) fn organization_slice(&self, action: &OrganizationAction) -> Result<Slice, BadFacts> {
        self.sliced(action.as_str(), organization(), fits_organization)
    }

    fn sliced(
        &self,
        action: &str,
        resource: Entity,
        fits_resource: impl Fn(&ResourceConstraint) -> bool,
    ) -> Result<Slice, BadFacts> {
        let action = Kind::Action.named(action);
        let mut reads = Reads::default();
        let mut policies = Vec::new();
        for known in self.known().values().filter(|known| {
            fits_action(&known.policy.action_constraint(), &action)
                && fits_resource(&known.policy.resource_constraint())
        }) {
            reads.extend(&known.reads);
            policies.push(known.within_slice.clone());
        }
        let policies =
            cedar_policy::PolicySet::from_policies(policies).map_err(|source| BadFacts::new("slice", source))?;
        let tests = reads.tests().iter().cloned().collect();
        let actions = ACTIONS.iter().filter(|entity| entity.uid() == action).cloned();
        Ok(Slice {
            policies,
            resource: resource.uid(),
            entities: actions.chain([resource]).collect(),
            action,
            reads,
            tests,
        })
    }
}

/// The one resource of decisions on the organisation: `Organization::"organization"`.
pub(crate) fn organization() -> Entity {
    Entity::new_no_attrs(Kind::Organization.named("organization"), HashSet::new())
}

/// The policy as a slice asks it: the slice has tried the action and the resource, and whoever asks is a user, so Cedar
/// need not try these for every request.
pub(crate) fn within_slice(policy: &Policy) -> Result<Policy, PstConstructionError> {
    let parts = policy.to_pst()?;
    let body = parts.body();
    let principal = match &body.principal {
        pst::PrincipalConstraint::Is(kind) if Kind::User.is_called(&kind.to_string()) => pst::PrincipalConstraint::Any,
        other => other.clone(),
    };
    let id: &str = policy.id().as_ref();
    let (action, resource) = (pst::ActionConstraint::Any, pst::ResourceConstraint::Any);
    let body = pst::Template::new(id, body.effect, principal, action, resource)
        .try_with_clauses(body.clauses().iter().cloned())?;
    Policy::from_pst(pst::Policy::Static(pst::StaticPolicy::try_from(body)?))
}

pub(crate) fn fits_action(scope: &ActionConstraint, action: &EntityUid) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(wanted) => wanted == action,
        ActionConstraint::In(groups) => groups.iter().any(|group| group == action || is_in(action, group)),
    }
}

/// Whether the scope lets the policy apply to some application or other.
pub(crate) fn fits_some_app(scope: &ResourceConstraint) -> bool {
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(wanted) => Kind::App.is_type_of(wanted),
        ResourceConstraint::In(wanted) => Kind::App.is_type_of(wanted) || Kind::AppGroup.is_type_of(wanted),
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => Kind::App.is_named(kind),
    }
}

/// Whether the scope lets the policy apply to the organisation.
pub(crate) fn fits_organization(scope: &ResourceConstraint) -> bool {
    let is_it = |wanted: &EntityUid| *wanted == organization().uid();
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(wanted) | ResourceConstraint::In(wanted) => is_it(wanted),
        ResourceConstraint::Is(kind) => Kind::Organization.is_named(kind),
        ResourceConstraint::IsIn(kind, wanted) => Kind::Organization.is_named(kind) && is_it(wanted),
    }
}

/// Whether the scope lets the policy apply to this application.
pub(crate) fn fits_app(scope: &ResourceConstraint, app: &AppFacts) -> bool {
    match scope {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(wanted) => *wanted == app.uid(),
        ResourceConstraint::In(wanted) => belongs(app, wanted),
        ResourceConstraint::Is(kind) => Kind::App.is_named(kind),
        ResourceConstraint::IsIn(kind, wanted) => Kind::App.is_named(kind) && belongs(app, wanted),
    }
}

fn belongs(app: &AppFacts, wanted: &EntityUid) -> bool {
    *wanted == app.uid() || (Kind::AppGroup.is_type_of(wanted) && app.groups.contains::<str>(wanted.id().unescaped()))
}

fn is_in(action: &EntityUid, group: &EntityUid) -> bool {
    ACTIONS
        .ancestors(action)
        .is_some_and(|mut groups| groups.any(|one| one == group))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::PolicyFile;

    #[test]
    fn a_slice_holds_the_policies_whose_scopes_fit_and_no_others() {
        let set = load(
            r#"
            @id("any") permit (principal, action, resource);
            @id("is") permit (principal, action, resource is App);
            @id("organization") permit (principal, action, resource is Organization);
            @id("this") permit (principal, action in Action::"access", resource == App::"wiki");
            @id("other") permit (principal, action, resource == App::"vault");
            @id("group") permit (principal, action, resource in AppGroup::"docs");
            @id("other-group") permit (principal, action, resource in AppGroup::"money");
            @id("is-in") permit (principal, action, resource is App in AppGroup::"docs");
            @id("in-itself") permit (principal, action, resource in App::"wiki");
            @id("write") permit (principal, action == Action::"write", resource);
            @id("read-or-write") permit (principal, action in [Action::"read", Action::"write"], resource);
            "#,
        );
        let app = app("wiki", &["docs"]);

        let slice = set.slice(&app, Action::Read).unwrap();

        let expected = ["any", "is", "this", "group", "is-in", "in-itself", "read-or-write"];
        assert_eq!(ids(&slice), expected.map(str::to_owned).into());
    }

    #[test]
    fn a_slice_of_the_organization_holds_the_policies_whose_scopes_fit_and_no_others() {
        let set = load(
            r#"
            @id("any") permit (principal, action, resource);
            @id("is") permit (principal, action, resource is Organization);
            @id("itself") permit (principal, action == Action::"createSession", resource == Organization::"organization");
            @id("in-itself") permit (principal, action, resource in Organization::"organization");
            @id("other") permit (principal, action, resource == Organization::"another");
            @id("either") permit (principal, action in [Action::"createSession", Action::"registerDevice"], resource);
            @id("continue") permit (principal, action == Action::"continueSession", resource is Organization);
            @id("access") permit (principal, action in Action::"access", resource);
            @id("app") permit (principal, action, resource is App);
            "#,
        );

        let slice = set.organization_slice(&OrganizationAction::CreateSession).unwrap();

        let expected = ["any", "is", "itself", "in-itself", "either"];
        assert_eq!(ids(&slice), expected.map(str::to_owned).into());
    }

    fn ids(slice: &Slice) -> BTreeSet<String> {
        let policies = slice.policies.policies();
        policies.map(|policy| policy.id().to_string()).collect()
    }

    fn load(text: &str) -> PolicySet {
        PolicySet::load(&[PolicyFile {
            name: "test.cedar".into(),
            text: text.into(),
        }])
        .unwrap()
    }

    fn app(name: &str, groups: &[&str]) -> AppFacts {
        AppFacts {
            name: name.into(),
            sensitivity: 1,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            tags: Default::default(),
        }
    }
}
