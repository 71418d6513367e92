//! May this user, on this device, do this to that application? The Cedar schema, the policies and the decision; pure.
//!
//! [`PolicySet::load`] reads and validates policy files, [`Decider::decide`] answers [`AccessRequest`]s, and only it can
//! make a [`Permit`]. [`Decider::decide_organization`] answers whether somebody may sign in, stay, enrol a device or change a
//! factor, and only it can make an [`OrganizationPermit`]. [`PolicySet::assure`] says which assurance levels a device belongs to.
//! What would turn a refusal says [`Decider::remedies`], and before anybody is known [`Decider::openers`].

mod ages;
mod assure;
mod caching;
pub mod cases;
mod check;
mod context;
mod decide;
mod device_conditions;
mod entities;
mod facts;
mod findings;
mod load;
mod openers;
mod organization;
mod reads;
pub mod reference;
mod remedies;
mod schema;
mod set;
mod slice;
mod texts;
mod wishes;

pub use ages::{Age, Ages};
pub use assure::Assured;
pub use caching::CacheLimits;
pub use check::{Report, SliceReport};
pub use decide::{Cause, Decider, Denied, FAILED, FORBIDDEN, NOT_PERMITTED, Permit, Reason, Translations, Versions};
pub use facts::{
    AccessRequest, Action, AppFacts, DeviceFacts, FACTORS_TAG, FactorMethod, FactorUse, HeldFactor, Proof,
    RequestFacts, SessionFacts, UserFacts,
};
pub use findings::{Finding, LoadErrors, Problem};
pub use load::PolicyFile;
pub use organization::{OrganizationAction, OrganizationPermit, OrganizationRequest, Registration};
pub use remedies::{Proves, Refused, Remedy};
pub use set::{PolicyId, PolicySet, PolicyVersion, SHIPPED};
