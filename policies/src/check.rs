//! What do these policies amount to? How many there are, what is odd about them, how each application is decided.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy::ResourceConstraint;

use crate::entities::BadFacts;
use crate::facts::{Action, AppFacts};
use crate::findings::Finding;
use crate::schema::Kind;
use crate::set::{PolicySet, PolicyVersion};

/// What a set of policies amounts to; its `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The content's version.
    pub version: PolicyVersion,
    /// How many policies there are.
    pub policies: usize,
    /// How many templates there are.
    pub templates: usize,
    /// What is allowed but probably not what was meant.
    pub warnings: Vec<Finding>,
    /// How each application and action is decided.
    pub slices: Vec<SliceReport>,
}

/// How an action on an application is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceReport {
    /// The application's name.
    pub app: String,
    /// The action.
    pub action: Action,
    /// How many policies can matter to it.
    pub policies: usize,
    /// Why its decisions are not remembered; empty when they are.
    pub uncached: Vec<String>,
}

impl PolicySet {
    /// Reports on these applications, or on those that the policies name when none is given.
    ///
    /// # Errors
    /// Says which facts about an application do not fit the schema.
    pub fn report(&self, apps: &[Arc<AppFacts>]) -> Result<Report, BadFacts> {
        let named;
        let apps = match apps {
            [] => {
                named = self.apps_named();
                named.as_slice()
            }
            configured => configured,
        };
        let pairs = apps.iter().flat_map(|app| Action::ALL.map(|action| (app, action)));
        Ok(Report {
            version: self.version().clone(),
            policies: self.known().len(),
            templates: self.cedar().num_of_templates(),
            warnings: self.warnings().to_vec(),
            slices: pairs
                .map(|(app, action)| self.report_slice(app, action))
                .collect::<Result<_, _>>()?,
        })
    }

    fn report_slice(&self, app: &AppFacts, action: Action) -> Result<SliceReport, BadFacts> {
        let slice = self.slice(app, action)?;
        Ok(SliceReport {
            app: app.name.clone(),
            action,
            policies: slice.policies.num_of_policies(),
            uncached: slice.reads.uncached().iter().map(ToString::to_string).collect(),
        })
    }

    fn apps_named(&self) -> Vec<Arc<AppFacts>> {
        let wanted = self
            .known()
            .values()
            .filter_map(|known| match known.policy.resource_constraint() {
                ResourceConstraint::Eq(app) | ResourceConstraint::In(app) | ResourceConstraint::IsIn(_, app) => {
                    Some(app)
                }
                ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            });
        let names: BTreeSet<String> = wanted
            .filter(|app| Kind::App.is_type_of(app))
            .map(|app| app.id().unescaped().to_owned())
            .collect();
        names
            .into_iter()
            .map(|name| {
                Arc::new(AppFacts {
                    name,
                    sensitivity: 0,
                    groups: BTreeSet::new(),
                    tags: BTreeMap::new(),
                })
            })
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} policies, {} templates, version {}",
            self.policies, self.templates, self.version
        )?;
        for slice in &self.slices {
            write!(
                f,
                "{} {}: {} policies, ",
                slice.app,
                slice.action.as_str(),
                slice.policies
            )?;
            match slice.uncached.as_slice() {
                [] => writeln!(f, "decisions are remembered")?,
                why => writeln!(f, "decided each time: {}", why.join(", "))?,
            }
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}
