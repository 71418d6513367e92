//! Do the policies decide these requests as their authors expect? Requests and verdicts as data.

mod file;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::caching::CacheLimits;
use crate::decide::{Cause, Decider, Denied};
use crate::facts::AccessRequest;
use crate::organization::{OrganizationAction, OrganizationRequest};
use crate::set::{PolicyId, PolicySet};

use file::Asked;
pub use file::Case;

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseOutcome {
    /// The case's name.
    pub name: String,
    /// What its author expects.
    pub expected: Verdict,
    /// What the policies say.
    pub found: Verdict,
}

/// A decision as a case states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Allowed, or why not.
    pub decision: Result<(), Cause>,
    /// The ids of the policies that determined it.
    pub reasons: BTreeSet<String>,
}

/// Says why cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BadCases {
    /// The file is not what it should be.
    #[error("reading the cases")]
    Json(#[from] serde_json::Error),
    /// A request speaks of something the file does not describe.
    #[error("the case `{case}` speaks of the {what} `{name}`, which is not in the file")]
    Unknown {
        /// The case's name.
        case: String,
        /// What kind of thing is missing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What a request says does not go together.
    #[error("the case `{case}` names {problem}")]
    Misplaced {
        /// The case's name.
        case: String,
        /// What is there and should not be, or is not there and should be.
        problem: &'static str,
    },
}

/// Runs cases against the policies.
///
/// # Errors
/// Says what is wrong with the cases themselves.
pub fn run(policies: &Arc<PolicySet>, json: &str) -> Result<Vec<CaseOutcome>, BadCases> {
    let decider = Decider::new(Arc::clone(policies), CacheLimits::default());
    let outcome = |(case, asked): (Case, Asked)| CaseOutcome {
        found: Verdict::of(decided(&decider, &asked)),
        expected: case.verdict(),
        name: case.name,
    };
    Ok(read(json)?.into_iter().map(outcome).collect())
}

/// The requests to applications in a file of cases.
///
/// # Errors
/// Says what is wrong with the cases.
pub fn requests(json: &str) -> Result<Vec<(Case, AccessRequest)>, BadCases> {
    let of_access = |(case, asked)| match asked {
        Asked::Access(request) => Some((case, request)),
        Asked::Organization(..) => None,
    };
    Ok(read(json)?.into_iter().filter_map(of_access).collect())
}

/// The requests to the organisation in a file of cases.
///
/// # Errors
/// Says what is wrong with the cases.
pub fn organization_requests(json: &str) -> Result<Vec<(Case, OrganizationAction, OrganizationRequest)>, BadCases> {
    let of_organization = |(case, asked)| match asked {
        Asked::Access(_) => None,
        Asked::Organization(action, request) => Some((case, action, request)),
    };
    Ok(read(json)?.into_iter().filter_map(of_organization).collect())
}

fn read(json: &str) -> Result<Vec<(Case, Asked)>, BadCases> {
    let file: file::Cases = serde_json::from_str(json)?;
    file.cases()
        .iter()
        .map(|case| Ok((case.clone(), file.asked(case)?)))
        .collect()
}

fn decided(decider: &Decider, asked: &Asked) -> Result<Vec<PolicyId>, Denied> {
    match asked {
        Asked::Access(request) => decider.decide(request).map(|permit| permit.policies().to_vec()),
        Asked::Organization(action, request) => decider
            .decide_organization(action, request)
            .map(|permit| permit.policies().to_vec()),
    }
}

impl CaseOutcome {
    /// Whether the policies say what the author expects.
    pub fn passed(&self) -> bool {
        self.expected == self.found
    }
}

impl fmt::Display for CaseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.passed() {
            true => write!(f, "ok: {}", self.name),
            false => write!(
                f,
                "FAILED: {}: expected {}, found {}",
                self.name, self.expected, self.found
            ),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decision {
            Ok(()) => f.write_str("allow")?,
            Err(cause) => write!(f, "deny ({cause})")?,
        }
        let reasons: Vec<&str> = self.reasons.iter().map(String::as_str).collect();
        write!(f, " by [{}]", reasons.join(", "))
    }
}

impl Verdict {
    fn of(decision: Result<Vec<PolicyId>, Denied>) -> Self {
        let ids = |policies: &[PolicyId]| policies.iter().map(ToString::to_string).collect();
        match decision {
            Ok(policies) => Self {
                decision: Ok(()),
                reasons: ids(&policies),
            },
            Err(denied) => Self {
                decision: Err(denied.cause),
                reasons: ids(&denied.policies),
            },
        }
    }
}
