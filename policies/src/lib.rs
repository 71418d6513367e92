//! May this user, on this device, do this to that application? The Cedar schema, the policies and the decision; pure.
//!
//! [`PolicySet::load`] reads and validates policy files, [`Decider::decide`] answers [`AccessRequest`]s, and only it can
//! make a [`Permit`]. [`PolicySet::assure`] says which assurance levels a device belongs to.

mod ages;
mod assure;
mod caching;
pub mod cases;
mod check;
mod context;
mod decide;
mod entities;
mod facts;
mod findings;
mod load;
mod reads;
pub mod reference;
mod schema;
mod set;
mod slice;
mod texts;

pub use ages::{Age, Ages};
pub use assure::Assured;
pub use caching::CacheLimits;
pub use check::{Report, SliceReport};
pub use decide::{Cause, Decider, Denied, Permit, Reason, Versions};
pub use facts::{
    AccessRequest, Action, AppFacts, DeviceFacts, FactorMethod, FactorUse, Proof, RequestFacts, SessionFacts, UserFacts,
};
pub use findings::{Finding, LoadErrors, Problem};
pub use load::PolicyFile;
pub use set::{PolicyId, PolicySet, PolicyVersion, SHIPPED};
