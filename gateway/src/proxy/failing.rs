//! What becomes of a request whose server fails? Another one has it, if that does no harm; else the client is told.

use std::time::Instant;

use pingora::{Error, ErrorSource, ErrorType};

use super::bounds::{TOO_LARGE, TOO_SLOW};
use crate::request::{Fault, Permit};
use crate::upstream::{FULL, Place};

/// The servers that a request went to.
#[derive(Default)]
pub(super) struct Tries {
    place: Option<Place>,
    /// Which they were.
    pub(super) been_at: Vec<usize>,
}

impl Tries {
    /// It goes to this one now.
    pub(super) fn begin(&mut self, permit: &Permit, place: Place) {
        if self.been_at.is_empty() {
            permit.served().servers.budget.earn();
        }
        self.been_at.push(place.index());
        self.place = Some(place);
    }

    /// An answer came.
    pub(super) fn worked(&self, permit: &Permit) {
        if let Some(place) = &self.place {
            permit.served().servers.worked(place);
        }
    }

    /// The server could not be reached, or broke off.
    pub(super) fn failed(&mut self, permit: &Permit) {
        if let Some(place) = self.place.take() {
            permit.served().servers.failed(&place, Instant::now());
        }
    }

    /// Whether another server may have it: as often as the application says, as long as most requests need no second try.
    pub(super) fn may_go_on(&self, permit: &Permit) -> bool {
        let served = permit.served();
        let tried = self.been_at.len().saturating_sub(1);
        let goes_on = served.servers.has_others()
            && tried < served.application.upstream.retries
            && served.servers.budget.spend(Instant::now());
        if goes_on {
            let application = served.application.name.clone();
            metrics::counter!("latchkey_upstream_retries_total", "application" => application).increment(1);
        }
        goes_on
    }
}

/// What a client gets whose request came to nothing.
pub(super) enum FailedAnswer {
    /// Nothing: it is gone, or has its answer.
    Nothing,
    /// A fault.
    Fault(Fault),
    /// That its body is too large.
    TooLarge,
}

/// What a client gets after this.
pub(super) fn answer_to(error: &Error) -> FailedAnswer {
    match (error.etype(), error.esource()) {
        (large, _) if *large == TOO_LARGE => FailedAnswer::TooLarge,
        (slow, _) if *slow == TOO_SLOW => FailedAnswer::Fault(Fault::SlowRequest),
        (full, _) if *full == FULL => FailedAnswer::Fault(Fault::Full),
        (ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout, ErrorSource::Upstream) => {
            FailedAnswer::Fault(Fault::Timeout)
        }
        (_, ErrorSource::Upstream) => FailedAnswer::Fault(Fault::BadGateway),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => FailedAnswer::Fault(Fault::SlowRequest),
        (
            ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed
            | ErrorType::H2Error,
            ErrorSource::Downstream,
        ) => FailedAnswer::Nothing,
        (_, ErrorSource::Downstream) => FailedAnswer::Fault(Fault::BadRequest),
        (_, ErrorSource::Internal | ErrorSource::Unset) => FailedAnswer::Fault(Fault::Internal),
    }
}
