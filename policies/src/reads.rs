//! What does a policy read of the request, and how? Found once, at load, so that decisions can be cached safely.
//!
//! What is read only through comparisons with literals enters the cache key as the outcomes of those comparisons. An
//! expression that is not understood is never cached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cedar_policy::Policy;
use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal as CedarLiteral, Var};

use directory::Timestamp;

use crate::ages::{next_crossing, next_second};
use crate::texts::{Literal, TextField, TextTest};
use crate::{Age, Ages};

/// A part of the context that a decision may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Age(Age),
    Authenticator,
    Device,
    /// The session's device: its FastPass factor, or the device whose key made it.
    DeviceOfSession,
    Host,
    Ip,
    Method,
    Path,
    Proof,
    Risk,
    Session,
    Zones,
}

/// What one or more policies read of the context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    everything: bool,
    fields: BTreeSet<Field>,
    lines: BTreeMap<Age, BTreeSet<i64>>,
    tests: BTreeSet<TextTest>,
    uncached: BTreeSet<Uncached>,
}

/// Why a decision is not cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Uncached {
    Address,
    Risk,
    AgeWithoutLiteral(Age),
    TextWithoutLiteral(TextField),
    TooManyComparisons,
    NotUnderstood,
}

impl Uncached {
    /// Whether what is read does not belong to a request: somebody hypothetical has the same risk and ages in all of them.
    pub(crate) const fn is_the_same_for_all_requests(&self) -> bool {
        match self {
            Self::Risk | Self::AgeWithoutLiteral(_) => true,
            Self::Address | Self::TextWithoutLiteral(_) | Self::TooManyComparisons | Self::NotUnderstood => false,
        }
    }
}

impl Reads {
    /// What a policy reads.
    pub(crate) fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        match policy.to_pst() {
            Ok(policy) => policy.body().clauses().iter().for_each(|clause| match clause {
                Clause::When(expression) | Clause::Unless(expression) => reads.walk(expression),
            }),
            Err(_) => reads.give_up(),
        }
        reads
    }

    /// What is read where everything may be: nothing is left out, nothing is cached.
    pub(crate) fn everything() -> Self {
        let mut reads = Self::default();
        reads.give_up();
        reads
    }

    /// Adds what another policy reads.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.fields.extend(&other.fields);
        for (age, lines) in &other.lines {
            self.lines.entry(*age).or_default().extend(lines);
        }
        self.tests.extend(other.tests.iter().cloned());
        self.uncached.extend(&other.uncached);
        if self.tests.len() > MOST_TESTS || self.lines.values().any(|lines| lines.len() > MOST_LINES) {
            self.uncached.insert(Uncached::TooManyComparisons);
        }
    }

    /// Whether that part of the context must be there.
    pub(crate) fn needs(&self, field: Field) -> bool {
        self.everything || self.fields.contains(&field)
    }

    /// The ages read, each with the ages at which a comparison changes its outcome.
    pub(crate) const fn lines(&self) -> &BTreeMap<Age, BTreeSet<i64>> {
        &self.lines
    }

    /// The comparisons of texts with literals.
    pub(crate) const fn tests(&self) -> &BTreeSet<TextTest> {
        &self.tests
    }

    /// Why decisions must not be cached; empty when they may be.
    pub(crate) const fn uncached(&self) -> &BTreeSet<Uncached> {
        &self.uncached
    }

    /// The first moment at which an age could change the outcome: the next second of any age, if ages are not only
    /// compared with literals.
    pub(crate) fn next_change(&self, ages: &Ages, now: Timestamp) -> Option<Timestamp> {
        let is_restless = |why: &Uncached| matches!(why, Uncached::AgeWithoutLiteral(_) | Uncached::NotUnderstood);
        if self.uncached.iter().any(is_restless) {
            let read = Age::ALL.into_iter().filter(|age| self.needs(Field::Age(*age)));
            return read.filter_map(|age| Some(next_second(ages.since(age)?, now))).min();
        }
        self.lines
            .iter()
            .filter_map(|(age, lines)| next_crossing(ages.since(*age)?, now, lines))
            .min()
    }

    fn walk(&mut self, expression: &Expr) {
        if let Some(path) = context_path(expression) {
            return self.value(&path);
        }
        match expression {
            Expr::BinaryOp { op, left, right } => {
                if !self.comparison(*op, left, right) {
                    self.walk(left);
                    self.walk(right);
                }
            }
            Expr::Like { expr, pattern } => match text_field(expr) {
                Some(field) => self.test(field, Literal::pattern(pattern)),
                None => self.walk(expr),
            },
            Expr::HasAttr { expr, attrs } => match context_path(expr) {
                Some(mut path) => {
                    path.extend(attrs.iter().map(|name| name.as_str()));
                    self.presence(&path);
                }
                None => self.walk(expr),
            },
            Expr::Is { expr, in_expr, .. } => {
                self.walk(expr);
                in_expr.iter().for_each(|group| self.walk(group));
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => {
                [cond, then_expr, else_expr]
                    .into_iter()
                    .for_each(|part| self.walk(part));
            }
            Expr::UnaryOp { expr, .. } | Expr::GetAttr { expr, .. } => self.walk(expr),
            Expr::Set(members) => members.iter().for_each(|member| self.walk(member)),
            Expr::Record(fields) => fields.values().for_each(|value| self.walk(value)),
            Expr::Literal(_) | Expr::Var(_) => {}
            _ => self.give_up(),
        }
    }

    /// Notes a comparison of an age or a text with a literal; says whether it was one.
    fn comparison(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> bool {
        if let (Some(age), Some(number)) = (age_field(left), number(right)) {
            return self.line(age, op, number, false);
        }
        if let (Some(number), Some(age)) = (number(left), age_field(right)) {
            return self.line(age, op, number, true);
        }
        let literals = match op {
            BinaryOp::Eq | BinaryOp::NotEq => [(left, right), (right, left)]
                .into_iter()
                .find_map(|(a, b)| Some((text_field(a)?, vec![string(b)?]))),
            BinaryOp::Contains => text_field(right).zip(strings(left)),
            _ => None,
        };
        let Some((field, literals)) = literals else {
            return false;
        };
        literals
            .into_iter()
            .for_each(|literal| self.test(field, Literal::Whole(literal)));
        true
    }

    /// Notes at which ages a comparison with a number changes its outcome.
    fn line(&mut self, age: Age, op: BinaryOp, number: i64, number_is_left: bool) -> bool {
        let (at, after) = (number, number.saturating_add(1));
        let changes: &[i64] = match (op, number_is_left) {
            (BinaryOp::Less | BinaryOp::GreaterEq, false) | (BinaryOp::Greater | BinaryOp::LessEq, true) => &[at],
            (BinaryOp::Greater | BinaryOp::LessEq, false) | (BinaryOp::Less | BinaryOp::GreaterEq, true) => &[after],
            (BinaryOp::Eq | BinaryOp::NotEq, _) => &[at, after],
            _ => return false,
        };
        self.fields.insert(Field::Age(age));
        self.lines.entry(age).or_default().extend(changes);
        true
    }

    fn test(&mut self, field: TextField, literal: Literal) {
        self.fields.insert(field.field());
        self.tests.insert(TextTest { field, literal });
    }

    /// Notes that a part of the context is read for more than a comparison with a literal.
    fn value(&mut self, path: &[&str]) {
        if let ["session"] = path {
            // Whatever is then done with the session, its device may be part of it.
            self.fields.insert(Field::DeviceOfSession);
        }
        if let Some(age) = age_at(path) {
            self.uncached.insert(Uncached::AgeWithoutLiteral(age));
        } else if let Some(field) = text_at(path) {
            self.uncached.insert(Uncached::TextWithoutLiteral(field));
        } else if let ["risk"] = path {
            self.uncached.insert(Uncached::Risk);
        } else if let ["request", "ip"] = path {
            self.uncached.insert(Uncached::Address);
        }
        self.presence(path);
    }

    /// Notes that a part of the context must be there.
    fn presence(&mut self, path: &[&str]) {
        if let ["session", "device" | "origin", ..] = path {
            self.fields.insert(Field::DeviceOfSession);
        }
        let field = match path {
            ["age"] | ["request"] => return self.give_up(),
            // What an organisation's action brings beside these is always there, and never brought to an application.
            ["adminToken" | "knownHardware" | "lostTrustBefore" | "attested" | "asStrongAsStrongest"] => return,
            ["authenticator", ..] => Some(Field::Authenticator),
            ["device", ..] => Some(Field::Device),
            ["proof", ..] => Some(Field::Proof),
            ["risk"] => Some(Field::Risk),
            ["session", ..] => Some(Field::Session),
            ["request", "ip"] => Some(Field::Ip),
            ["request", "zones"] => Some(Field::Zones),
            _ => age_at(path)
                .map(Field::Age)
                .or_else(|| text_at(path).map(TextField::field)),
        };
        let Some(field) = field else { return self.give_up() };
        self.fields.insert(field);
        if let Field::Age(age) = field {
            self.lines.entry(age).or_default();
        }
    }

    fn give_up(&mut self) {
        self.everything = true;
        self.uncached.insert(Uncached::NotUnderstood);
    }
}

impl fmt::Display for Uncached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("reads the address"),
            Self::Risk => f.write_str("reads the risk"),
            Self::AgeWithoutLiteral(age) => write!(f, "reads age.{} otherwise than against a number", age.as_str()),
            Self::TextWithoutLiteral(field) => write!(f, "reads request.{field} otherwise than against a text"),
            Self::TooManyComparisons => f.write_str("compares too often with literals"),
            Self::NotUnderstood => f.write_str("reads the context in a way that is not understood"),
        }
    }
}

impl fmt::Display for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
        })
    }
}

/// The names after `context`, or after `context.access`, if the expression is a part of the context.
fn context_path(expression: &Expr) -> Option<Vec<&str>> {
    match expression {
        Expr::Var(Var::Context) => Some(Vec::new()),
        Expr::GetAttr { expr, attr } if attr.as_str() == "access" && matches!(**expr, Expr::Var(Var::Context)) => {
            Some(Vec::new())
        }
        Expr::GetAttr { expr, attr } => {
            let mut path = context_path(expr)?;
            path.push(attr.as_str());
            Some(path)
        }
        _ => None,
    }
}

fn age_field(expression: &Expr) -> Option<Age> {
    age_at(&context_path(expression)?)
}

fn age_at(path: &[&str]) -> Option<Age> {
    match path {
        ["age", name] => Age::ALL.into_iter().find(|age| age.as_str() == *name),
        ["mdmAge"] => Some(Age::Mdm),
        ["reportedAge"] => Some(Age::Reported),
        _ => None,
    }
}

fn text_field(expression: &Expr) -> Option<TextField> {
    text_at(&context_path(expression)?)
}

fn text_at(path: &[&str]) -> Option<TextField> {
    match path {
        ["request", "method"] => Some(TextField::Method),
        ["request", "host"] => Some(TextField::Host),
        ["request", "path"] => Some(TextField::Path),
        _ => None,
    }
}

fn number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(CedarLiteral::Long(number)) => Some(*number),
        _ => None,
    }
}

fn string(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(CedarLiteral::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn strings(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Set(members) => members.iter().map(|member| string(member)).collect(),
        _ => None,
    }
}

/// As many outcomes as the cache key has bits for.
const MOST_TESTS: usize = 128;

/// As many lines as the cache key can count.
const MOST_LINES: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_of_an_age_with_a_number_is_known_by_the_ages_at_which_it_changes() {
        for (condition, lines) in [
            ("context.age.device < 900", vec![900]),
            ("900 >= context.age.device", vec![901]),
            ("context.age.device > 900", vec![901]),
            ("context.age.device >= 900", vec![900]),
            ("context.age.device != 900", vec![900, 901]),
        ] {
            let reads = reads(condition);
            assert_eq!(reads.lines()[&Age::Device], BTreeSet::from_iter(lines), "{condition}");
            assert!(reads.uncached().is_empty(), "{condition}");
        }
    }

    #[test]
    fn a_path_compared_with_literals_is_known_by_the_outcomes() {
        let reads = reads(
            r#"context.request.path == "/a" || context.request.path like "/b/*"
               || ["GET", "HEAD"].contains(context.request.method)"#,
        );

        assert_eq!(reads.tests().len(), 4);
        assert!(reads.uncached().is_empty());
        assert!(reads.needs(Field::Path) && reads.needs(Field::Method) && !reads.needs(Field::Host));
    }

    #[test]
    fn what_is_read_otherwise_is_not_cached_and_says_why() {
        for (condition, why) in [
            ("context.risk < 60", Uncached::Risk),
            (r#"context.request.ip.isInRange(ip("10.0.0.0/8"))"#, Uncached::Address),
            (
                "context.age.device < context.age.session",
                Uncached::AgeWithoutLiteral(Age::Device),
            ),
            ("context.age.device + 1 < 60", Uncached::AgeWithoutLiteral(Age::Device)),
            (
                "context.request.path == context.request.host",
                Uncached::TextWithoutLiteral(TextField::Path),
            ),
            (
                "principal.email == context.request.host",
                Uncached::TextWithoutLiteral(TextField::Host),
            ),
            ("context == context", Uncached::NotUnderstood),
            ("context.age == context.age", Uncached::NotUnderstood),
        ] {
            assert!(reads(condition).uncached().contains(&why), "{condition}");
        }
        assert!(
            reads("context has device && context.device.managed")
                .uncached()
                .is_empty()
        );
    }

    #[test]
    fn what_the_organizations_actions_nest_is_read_like_what_stands_at_the_top() {
        let nested = reads(
            "context.access has session && context.access.session.factorCount >= 2 && context.adminToken
             && context.access.age has knowledge && context.access.age.knowledge < 300",
        );

        assert_eq!(nested.lines()[&Age::Knowledge], BTreeSet::from([300]));
        assert!(nested.uncached().is_empty());
        assert!(nested.needs(Field::Session) && !nested.needs(Field::Device));
        assert!(reads("context.access == context.access").needs(Field::Device));
    }

    #[test]
    fn a_session_that_is_taken_as_a_whole_may_be_read_for_its_device() {
        for (condition, reads_device) in [
            ("context.session has device", true),
            ("context.session.device.userVerified", true),
            ("context.session.origin == context.device", true),
            (
                "(if context has session then context.session else context.session).device.userVerified",
                true,
            ),
            ("context has session && context.session.factorCount >= 2", false),
            ("context.session has otp", false),
        ] {
            assert_eq!(
                reads(condition).needs(Field::DeviceOfSession),
                reads_device,
                "{condition}"
            );
        }
    }

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        Reads::of(&Policy::parse(None, text).unwrap())
    }
}
