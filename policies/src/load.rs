//! Are these policy files fit to decide? Parsed, named, validated in strict mode, all errors at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Policy, Template, ValidationMode, Validator};

use crate::findings::{Finding, LoadErrors, Problem, ordered};
use crate::schema::SCHEMA;
use crate::set::{PolicyId, PolicySet, PolicyVersion, language_of};

/// The text of a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// The name shown in errors.
    pub name: String,
    /// Any number of policies in Cedar.
    pub text: String,
}

impl PolicySet {
    /// Loads the policies of all files, or none.
    ///
    /// # Errors
    /// Names everything that is wrong: what is not Cedar, does not fit the schema in strict mode, has no `@id` or one that
    /// is taken, with file, line, column and the offending text.
    pub fn load(files: &[PolicyFile]) -> Result<Self, LoadErrors> {
        let mut files: Vec<&PolicyFile> = files.iter().collect();
        files.sort_by(|a, b| (&a.name, &a.text).cmp(&(&b.name, &b.text)));
        let mut reading = Reading::new();
        files.iter().for_each(|file| reading.file(file));
        LoadErrors::unless_empty(ordered(reading.errors))?;
        reading.read.warnings = ordered(reading.read.warnings);
        Ok(Self::new(reading.read, PolicyVersion::of(&files)))
    }
}

/// The policies of all files, each under its `@id`.
#[derive(Debug, Default)]
pub(crate) struct ReadPolicies {
    pub(crate) cedar: cedar_policy::PolicySet,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    pub(crate) warnings: Vec<Finding>,
}

/// What has been read of the files so far.
struct Reading {
    validator: Validator,
    read: ReadPolicies,
    places: BTreeMap<String, String>,
    errors: Vec<Finding>,
}

/// A policy or template with its place in its file.
struct Located {
    body: Body,
    span: Range<usize>,
}

enum Body {
    Policy(Policy),
    Template(Template),
}

impl Reading {
    fn new() -> Self {
        Self {
            validator: Validator::new(SCHEMA.clone()),
            read: ReadPolicies::default(),
            places: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    fn file(&mut self, file: &PolicyFile) {
        let text: Arc<str> = Arc::from(file.text.as_str());
        match cedar_policy::PolicySet::from_str(&file.text) {
            Ok(parsed) => {
                self.validate(&parsed, &file.name, &text);
                locate(&parsed, &text)
                    .into_iter()
                    .for_each(|policy| self.name(policy, &file.name, &text));
            }
            Err(errors) => self.errors.extend(
                errors
                    .iter()
                    .map(|error| Finding::from_cedar(Problem::Syntax(error.to_string()), error, &file.name, &text)),
            ),
        }
    }

    fn validate(&mut self, parsed: &cedar_policy::PolicySet, file: &str, text: &Arc<str>) {
        let found = self.validator.validate(parsed, ValidationMode::Strict);
        self.errors.extend(found.validation_errors().map(|error| {
            Finding::from_cedar(
                Problem::Invalid(plain(&error.to_string()).to_owned()),
                error,
                file,
                text,
            )
        }));
        self.read.warnings.extend(found.validation_warnings().map(|warning| {
            Finding::from_cedar(
                Problem::Suspicious(plain(&warning.to_string()).to_owned()),
                warning,
                file,
                text,
            )
        }));
    }

    /// Takes a policy under its `@id`, which must be there and be free.
    fn name(&mut self, policy: Located, file: &str, text: &Arc<str>) {
        let Some(id) = policy.body.id().map(str::to_owned) else {
            self.errors
                .push(Finding::new(Problem::MissingId, file, text, policy.span));
            return;
        };
        let here = Finding::new(Problem::MissingId, file, text, policy.span.clone());
        let here = format!("{}:{}:{}", here.file(), here.line(), here.column());
        if let Some(first) = self.places.get(&id).cloned() {
            self.errors
                .push(Finding::new(Problem::RepeatedId { id, first }, file, text, policy.span));
            return;
        }
        self.places.insert(id.clone(), here);
        for note in policy.body.notes().filter(|note| !is_read(note)) {
            let problem = Problem::Suspicious(format!("nothing reads the annotation @{note}"));
            self.read
                .warnings
                .push(Finding::new(problem, file, text, policy.span.clone()));
        }
        let taken = policy.body.take(&id, &mut self.read);
        if let Err(error) = taken {
            self.errors.push(Finding::new(
                Problem::Invalid(error.to_string()),
                file,
                text,
                policy.span,
            ));
        }
    }
}

impl Body {
    fn id(&self) -> Option<&str> {
        let id = match self {
            Self::Policy(policy) => policy.annotation("id"),
            Self::Template(template) => template.annotation("id"),
        };
        id.filter(|id| !id.is_empty())
    }

    /// The names of its annotations.
    fn notes(&self) -> impl Iterator<Item = &str> {
        let (policy, template) = match self {
            Self::Policy(policy) => (Some(policy), None),
            Self::Template(template) => (None, Some(template)),
        };
        let of_policy = policy.into_iter().flat_map(Policy::annotations);
        let of_template = template.into_iter().flat_map(Template::annotations);
        of_policy.chain(of_template).map(|(name, _)| name)
    }

    fn take(self, id: &str, read: &mut ReadPolicies) -> Result<(), Box<cedar_policy::PolicySetError>> {
        let cedar_id = cedar_policy::PolicyId::new(id);
        match self {
            Self::Policy(policy) => {
                let policy = policy.new_id(cedar_id);
                read.policies.insert(PolicyId::from(id), policy.clone());
                read.cedar.add(policy)
            }
            Self::Template(template) => read.cedar.add_template(template.new_id(cedar_id)),
        }
        .map_err(Box::new)
    }
}

/// Finds each policy's place: Cedar numbers them in the order of the file and keeps the text of each.
fn locate(parsed: &cedar_policy::PolicySet, text: &str) -> Vec<Located> {
    let policies = parsed
        .policies()
        .map(|policy| (number(policy.id()), policy.to_string(), Body::Policy(policy.clone())));
    let templates = parsed.templates().map(|template| {
        (
            number(template.id()),
            template.to_string(),
            Body::Template(template.clone()),
        )
    });
    let mut found: Vec<_> = policies.chain(templates).collect();
    found.sort_by_key(|(number, ..)| *number);
    let mut from = 0;
    let mut located = Vec::with_capacity(found.len());
    for (_, source, body) in found {
        let start = text
            .get(from..)
            .and_then(|rest| rest.find(&source))
            .map_or(from, |at| from.saturating_add(at));
        from = start.saturating_add(source.len());
        located.push(Located {
            body,
            span: start..from,
        });
    }
    located
}

fn number(id: &cedar_policy::PolicyId) -> usize {
    id.to_string()
        .trim_start_matches("policy")
        .parse()
        .unwrap_or(usize::MAX)
}

/// Drops the number Cedar gives a policy until it is named; the place says which one is meant.
fn plain(message: &str) -> &str {
    let rest = message
        .strip_prefix("for policy `policy")
        .and_then(|rest| rest.split_once('`'));
    rest.map_or(message, |(_, said)| said.trim_start_matches([',', ':', ' ']))
}

/// Whether an annotation means something.
fn is_read(annotation: &str) -> bool {
    NOTES.contains(&annotation) || language_of(annotation).is_some()
}

/// The annotations that mean something, apart from those for other languages.
const NOTES: [&str; 4] = ["id", "title", "deny_reason", "advice"];
