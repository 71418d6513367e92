//! Which policies can matter to one application and action at all? Cedar looks at every policy it is given.

use std::sync::Arc;

use cedar_policy::pst::{self, PstConstructionError};
use cedar_policy::{ActionConstraint, Entity, EntityUid, Policy, ResourceConstraint};

use crate::entities::BadFacts;
use crate::facts::{Action, AppFacts};
use crate::reads::Reads;
use crate::schema::{ACTIONS, Kind};
use crate::set::PolicySet;
use crate::texts::TextTest;

/// The policies whose scopes fit one application and action, and what they read.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: cedar_policy::PolicySet,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    /// The application and the actions; the rest of the entities belongs to the request.
    pub(crate) entities: Vec<Entity>,
    pub(crate) reads: Reads,
    pub(crate) tests: Arc<[TextTest]>,
}

impl PolicySet {
    /// The policies that can matter to this action on this application.
    pub(crate) fn slice(&self, app: &AppFacts, action: Action) -> Result<Slice, BadFacts> {
        let action = Kind::Action.named(action.as_str());
        let mut reads = Reads::default();
        let mut policies = Vec::new();
        for known in self.known().values().filter(|known| fits(&known.policy, app, &action)) {
            reads.extend(&known.reads);
            policies.push(known.within_slice.clone());
        }
        let policies =
            cedar_policy::PolicySet::from_policies(policies).map_err(|source| BadFacts::new("slice", source))?;
        let tests = reads.tests().iter().cloned().collect();
        let entities = entities(app, &action)?;
        Ok(Slice {
            policies,
            resource: app.uid(),
            action,
            entities,
            reads,
            tests,
        })
    }
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

/// Whether the scope lets the policy apply; the principal is left to Cedar.
fn fits(policy: &Policy, app: &AppFacts, action: &EntityUid) -> bool {
    fits_action(&policy.action_constraint(), action) && fits_resource(&policy.resource_constraint(), app)
}

pub(crate) fn fits_action(scope: &ActionConstraint, action: &EntityUid) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(wanted) => wanted == action,
        ActionConstraint::In(groups) => groups.iter().any(|group| group == action || is_in(action, group)),
    }
}

fn fits_resource(scope: &ResourceConstraint, app: &AppFacts) -> bool {
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

fn entities(app: &AppFacts, action: &EntityUid) -> Result<Vec<Entity>, BadFacts> {
    let actions = ACTIONS.iter().filter(|entity| entity.uid() == *action).cloned();
    Ok(actions.chain([app.entity()?]).collect())
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

        let ids: BTreeSet<String> = slice
            .policies
            .policies()
            .map(|policy| policy.id().to_string())
            .collect();
        let expected = ["any", "is", "this", "group", "is-in", "in-itself", "read-or-write"];
        assert_eq!(ids, expected.map(str::to_owned).into());
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
