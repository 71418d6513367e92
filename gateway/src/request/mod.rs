//! How does a request go? One way: arrive → identify → assess → decide → forward or deny → record.

mod arrive;
mod assertion;
mod assess;
mod decide;
mod denial;
mod deny;
mod forward;
mod identify;
mod rates;
mod record;
mod source;
mod strip;
mod target;

pub(crate) use arrive::{Arrival, Arrived, Onward, Refused, Site, host_of, is_websocket, origin_form};
pub(crate) use assertion::{AssertedRequest, Presented, present};
pub(crate) use assess::{Assessed, FactStore, Judged, KnownDevice, Question, assess, request_facts, user_facts};
pub(crate) use decide::{Permit, Verdict, View, decide, decide_again, organization_request};
pub(crate) use denial::{Ambiguity, Denial, detail_of_end, messages, title_of_end};
pub(crate) use deny::{Asked, Fault, SignInAt, deny, fail, page_reason, redirection, refusal, write};
pub(crate) use forward::{Identities, Issuing, prepare, prepare_answer};
pub(crate) use identify::{DeviceIdentity, Identified, SessionInUse, Shown, identify, identify_device};
pub(crate) use rates::RequestRates;
pub(crate) use record::{Decision, DecisionLog, Record};
pub(crate) use source::source;
pub(crate) use strip::{drop_nominated, sets_our_cookie, strip};
pub(crate) use target::{check as check_target, matched as matched_path};
