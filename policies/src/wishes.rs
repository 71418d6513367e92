//! Whom does a policy speak of, and is that what it asks for or what it shuts out? A first guess, for hypothetical people.
//!
//! What stands in a permit, or after the `unless` of a forbid, is wished for; a `!` turns it round. Literals of groups,
//! types, tags and the like are found; what is compared in other ways is not.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Policy;
use cedar_policy::pst::{
    BinaryOp, Clause, Effect, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint, UnaryOp, Var,
};

use crate::schema::Kind;

/// What one or more policies wish that somebody were, and wish that they were not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    wanted: BTreeSet<(String, String)>,
    shunned: BTreeSet<(String, String)>,
    user_types: BTreeSet<String>,
    user_tags: BTreeMap<String, BTreeSet<String>>,
    device_tags: BTreeMap<String, String>,
}

impl Wishes {
    /// What a policy wishes.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut wishes = Self::default();
        let Ok(policy) = policy.to_pst() else { return wishes };
        let body = policy.body();
        let permits = matches!(body.effect, Effect::Permit);
        if let PrincipalConstraint::In(EntityOrSlot::Entity(group))
        | PrincipalConstraint::IsIn(_, EntityOrSlot::Entity(group)) = &body.principal
        {
            wishes.entity(group, permits);
        }
        body.clauses().iter().for_each(|clause| match clause {
            Clause::When(expression) => wishes.walk(expression, permits),
            Clause::Unless(expression) => wishes.walk(expression, !permits),
        });
        wishes
    }

    /// Adds what another policy wishes.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.wanted.extend(other.wanted.iter().cloned());
        self.shunned.extend(other.shunned.iter().cloned());
        self.user_types.extend(other.user_types.iter().cloned());
        for (name, values) in &other.user_tags {
            self.user_tags
                .entry(name.clone())
                .or_default()
                .extend(values.iter().cloned());
        }
        for (name, value) in &other.device_tags {
            self.device_tags.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The names of that kind that are wished for.
    pub(crate) fn wanted(&self, kind: Kind) -> BTreeSet<String> {
        names(&self.wanted, kind)
    }

    /// The names of that kind that are shut out.
    pub(crate) fn shunned(&self, kind: Kind) -> BTreeSet<String> {
        names(&self.shunned, kind)
    }

    /// The types of users that are wished for.
    pub(crate) const fn user_types(&self) -> &BTreeSet<String> {
        &self.user_types
    }

    /// The tags of users that are wished for.
    pub(crate) const fn user_tags(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.user_tags
    }

    /// The tags of devices that are wished for.
    pub(crate) const fn device_tags(&self) -> &BTreeMap<String, String> {
        &self.device_tags
    }

    fn walk(&mut self, expression: &Expr, wanted: bool) {
        match expression {
            Expr::UnaryOp { op: UnaryOp::Not, expr } => self.walk(expr, !wanted),
            Expr::BinaryOp {
                op: BinaryOp::And | BinaryOp::Or,
                left,
                right,
            } => {
                self.walk(left, wanted);
                self.walk(right, wanted);
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                self.walk(cond, true);
                self.walk(cond, false);
                self.walk(then_expr, wanted);
                self.walk(else_expr, wanted);
            }
            Expr::BinaryOp {
                op: BinaryOp::NotEq,
                left,
                right,
            } => self.pair(left, right, !wanted),
            Expr::BinaryOp { left, right, .. } => self.pair(left, right, wanted),
            Expr::Is {
                in_expr: Some(group), ..
            } => self.entities(group, wanted),
            _ => {}
        }
    }

    /// Notes what one side says of the other.
    fn pair(&mut self, left: &Expr, right: &Expr, wanted: bool) {
        self.entities(left, wanted);
        self.entities(right, wanted);
        if !wanted {
            return;
        }
        for (one, other) in [(left, right), (right, left)] {
            let texts = texts(other);
            if is_user_type(one) {
                self.user_types.extend(texts);
            } else if let Some((of_user, name)) = tag(one) {
                self.tag(of_user, name, texts);
            }
        }
    }

    fn tag(&mut self, of_user: bool, name: &str, values: Vec<String>) {
        if of_user {
            self.user_tags.entry(name.to_owned()).or_default().extend(values);
        } else if let Some(value) = values.into_iter().next() {
            self.device_tags.entry(name.to_owned()).or_insert(value);
        }
    }

    fn entities(&mut self, expression: &Expr, wanted: bool) {
        match expression {
            Expr::Literal(Literal::EntityUID(entity)) => self.entity(entity, wanted),
            Expr::Set(members) => members.iter().for_each(|member| self.entities(member, wanted)),
            _ => {}
        }
    }

    fn entity(&mut self, entity: &EntityUID, wanted: bool) {
        let named = (entity.ty.to_string(), entity.eid.to_string());
        if wanted {
            self.wanted.insert(named);
        } else {
            self.shunned.insert(named);
        }
    }
}

fn names(entities: &BTreeSet<(String, String)>, kind: Kind) -> BTreeSet<String> {
    let of_kind = entities.iter().filter(|(name, _)| kind.is_called(name));
    of_kind.map(|(_, id)| id.clone()).collect()
}

fn is_user_type(expression: &Expr) -> bool {
    matches!(expression, Expr::GetAttr { expr, attr } if is_principal(expr) && attr.as_str() == "userType")
}

/// Whether the tag that is read is one of the user's, and its name.
fn tag(expression: &Expr) -> Option<(bool, &str)> {
    match expression {
        Expr::BinaryOp {
            op: BinaryOp::GetTag,
            left,
            right,
        } => match &**right {
            Expr::Literal(Literal::String(name)) => Some((is_principal(left), name)),
            _ => None,
        },
        _ => None,
    }
}

fn is_principal(expression: &Expr) -> bool {
    matches!(expression, Expr::Var(Var::Principal))
}

fn texts(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::Literal(Literal::String(text)) => vec![text.to_string()],
        Expr::Set(members) => members.iter().flat_map(|member| texts(member)).collect(),
        _ => Vec::new(),
    }
}
