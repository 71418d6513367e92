//! How does a request go? One way: arrive → identify → assess → decide → forward or deny → record.

mod arrive;
mod assertion;
mod assess;
mod decide;
mod denial;
mod deny;
mod forward;
mod identify;
mod record;
mod strip;
mod target;

pub(crate) use arrive::{Arrival, Arrived, Refused, Site, is_websocket};
pub(crate) use assertion::{AssertedRequest, Presented, present};
pub(crate) use assess::{FactStore, user_facts};
pub(crate) use decide::{Permit, Verdict, View, decide};
pub(crate) use denial::Denial;
pub(crate) use deny::{Asked, Fault, deny, fail};
pub(crate) use forward::{Identities, Issuing, prepare, prepare_answer};
pub(crate) use identify::{Identified, Shown, identify};
pub(crate) use record::{Decision, DecisionLog, Record};
pub(crate) use strip::drop_nominated;
