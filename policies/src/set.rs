//! Which policies are in force, and what is known of each?

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy::Policy;
use sha2::{Digest, Sha256};

use crate::decide::Translations;
use crate::findings::Finding;
use crate::load::{PolicyFile, ReadPolicies};
use crate::reads::Reads;
use crate::slice::within_slice;
use crate::wishes::Wishes;

/// Policies that passed strict validation; the order of files and policies never matters.
#[derive(Debug)]
pub struct PolicySet {
    cedar: cedar_policy::PolicySet,
    policies: BTreeMap<PolicyId, Known>,
    warnings: Vec<Finding>,
    version: PolicyVersion,
}

/// The `@id` of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(Arc<str>);

/// Tells one content of the policy files from another: the first 64 bits of their SHA-256, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyVersion(Arc<str>);

/// What was found out about a policy at load.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) policy: Policy,
    /// The policy as a slice asks it.
    pub(crate) within_slice: Policy,
    pub(crate) title: Option<Arc<str>>,
    pub(crate) deny_reason: Option<Arc<str>>,
    pub(crate) translations: Arc<Translations>,
    pub(crate) advice: Option<Arc<str>>,
    pub(crate) reads: Reads,
    pub(crate) wishes: Wishes,
}

impl PolicySet {
    /// Puts together what was read of the files.
    pub(crate) fn new(read: ReadPolicies, version: PolicyVersion) -> Self {
        let policies = read
            .policies
            .into_iter()
            .map(|(id, policy)| (id, Known::of(policy)))
            .collect();
        Self {
            cedar: read.cedar,
            policies,
            warnings: read.warnings,
            version,
        }
    }

    /// Tells this content of the policy files from any other.
    pub const fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// What is allowed but probably not what was meant, such as a policy that can never apply.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The ids of the policies, in order.
    pub fn ids(&self) -> impl Iterator<Item = &PolicyId> {
        self.policies.keys()
    }

    /// The policies as Cedar holds them.
    pub(crate) const fn cedar(&self) -> &cedar_policy::PolicySet {
        &self.cedar
    }

    /// What is known of each policy.
    pub(crate) const fn known(&self) -> &BTreeMap<PolicyId, Known> {
        &self.policies
    }
}

impl Known {
    fn of(policy: Policy) -> Self {
        let note = |name: &str| policy.annotation(name).filter(|text| !text.is_empty()).map(Arc::from);
        let notes = policy.annotations().filter(|(_, text)| !text.is_empty());
        let translations = notes.filter_map(|(name, text)| Some((language_of(name)?.into(), text.into())));
        Self {
            title: note("title"),
            deny_reason: note("deny_reason"),
            translations: Arc::new(translations.collect()),
            advice: note("advice"),
            reads: Reads::of(&policy),
            wishes: Wishes::of(&policy),
            within_slice: within_slice(&policy).unwrap_or_else(|_| policy.clone()),
            policy,
        }
    }
}

/// The language for which an annotation gives the reason: `de` of `deny_reason_de`.
pub(crate) fn language_of(annotation: &str) -> Option<&str> {
    let tag = annotation.strip_prefix("deny_reason_")?;
    let is_tag = tag.len() == 2 && tag.bytes().all(|byte| byte.is_ascii_lowercase());
    is_tag.then_some(tag)
}

impl PolicyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PolicyId {
    fn from(id: &str) -> Self {
        Self(Arc::from(id))
    }
}

impl Borrow<str> for PolicyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PolicyVersion {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version of these files, which are in order; what they are called and where they lie is no part of it.
    pub(crate) fn of(files: &[&PolicyFile]) -> Self {
        let mut hash = Sha256::new();
        for text in files.iter().map(|file| &file.text) {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        }
        Self(
            hash.finalize()
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
        )
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The policies that come with Latchkey, as file name and text: a demo starts from them.
pub const SHIPPED: &[(&str, &str)] = &[
    ("assurance.cedar", include_str!("../shipped/assurance.cedar")),
    ("news.cedar", include_str!("../shipped/news.cedar")),
    ("organization.cedar", include_str!("../shipped/organization.cedar")),
    ("payroll.cedar", include_str!("../shipped/payroll.cedar")),
    ("vault.cedar", include_str!("../shipped/vault.cedar")),
    ("wiki.cedar", include_str!("../shipped/wiki.cedar")),
];
