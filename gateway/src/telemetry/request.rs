//! What is recorded of one request? Where it went and how long each part took; never what it carried.

use std::time::{Duration, Instant};

use directory::{Timestamp, UserId};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::http::RequestHeader;

use super::context::{TRACEPARENT, TRACESTATE, TraceContext};
use super::export::Telemetry;
use crate::config::Server;
use crate::request::Arrived;

/// A request's trace, where there are any; it is handed over when it is dropped, however the request ended.
#[derive(Default)]
pub(crate) struct Traced(Option<Box<Trace>>);

struct Trace {
    telemetry: Telemetry,
    context: TraceContext,
    /// The span of the request at the application that it is with.
    at_server: u64,
    recorded: Option<Box<Recorded>>,
}

/// A recorded request, as it is handed over.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) context: TraceContext,
    pub(super) span: u64,
    pub(super) began: Timestamp,
    pub(super) steady: Instant,
    pub(super) took: Duration,
    pub(super) what: Option<What>,
    pub(super) decision: Option<Decided>,
    pub(super) user: Option<UserId>,
    pub(super) status: Option<StatusCode>,
    /// Whether it came to its end, rather than to be cut off.
    pub(super) whole: bool,
    pub(super) tries: Vec<Try>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct What {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) site: String,
    pub(super) request: String,
}

/// How it was decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) after: Duration,
    pub(super) took: Duration,
    pub(super) code: &'static str,
    pub(super) allowed: bool,
}

/// One server that it was sent to.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) span: u64,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) after: Duration,
    pub(super) took: Option<Duration>,
    pub(super) status: Option<StatusCode>,
}

impl Traced {
    /// Begins: goes on with the trace that is named if one of our proxies names it, else with a new one.
    pub(crate) fn begin(
        telemetry: Option<&Telemetry>,
        headers: &HeaderMap,
        is_ours: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Self {
        let Some(telemetry) = telemetry else { return Self(None) };
        // A stranger's word could have every request recorded, or write into other people's traces.
        let named = is_ours().then(|| TraceContext::read(headers)).flatten();
        let context = named.unwrap_or_else(|| TraceContext::new(rand::random(), telemetry.threshold));
        let recorded = context.sampled.then(|| {
            Box::new(Recorded {
                context: context.clone(),
                span: random_span(),
                began: now,
                steady: Instant::now(),
                took: Duration::ZERO,
                what: None,
                decision: None,
                user: None,
                status: None,
                whole: false,
                tries: Vec::new(),
            })
        });
        Self(Some(Box::new(Trace {
            telemetry: telemetry.clone(),
            context,
            at_server: 0,
            recorded,
        })))
    }

    /// Notes what is asked for.
    pub(crate) fn arrived(&mut self, arrived: &Arrived) {
        if let Some(recorded) = self.recorded() {
            recorded.what = Some(What {
                method: arrived.method.clone(),
                path: arrived.path.chars().take(LONGEST_PATH).collect(),
                host: arrived.host.clone(),
                site: arrived.site.name().to_owned(),
                request: arrived.id.clone(),
            });
        }
    }

    /// Notes how it was decided, what took from then until now.
    pub(crate) fn decided(&mut self, since: Instant, code: &'static str, user: Option<UserId>) {
        let names_users = self.0.as_ref().is_some_and(|trace| trace.telemetry.names_users);
        if let Some(recorded) = self.recorded() {
            recorded.decision = Some(Decided {
                after: since.saturating_duration_since(recorded.steady),
                took: since.elapsed(),
                code,
                allowed: code == ALLOWED,
            });
            recorded.user = user.filter(|_| names_users);
        }
    }

    /// Notes that it is sent to this server.
    pub(crate) fn sent_to(&mut self, server: &Server) {
        let Some(trace) = &mut self.0 else { return };
        trace.at_server = random_span();
        let span = trace.at_server;
        if let Some(recorded) = self.recorded() {
            recorded.end_try();
            recorded.tries.push(Try {
                span,
                host: server.host.clone(),
                port: server.port,
                after: recorded.steady.elapsed(),
                took: None,
                status: None,
            });
        }
    }

    /// Tells the application where in which trace its request stands.
    pub(crate) fn pass_on(&self, head: &mut RequestHeader) {
        let Some(trace) = &self.0 else { return };
        head.remove_header(&TRACEPARENT);
        head.remove_header(&TRACESTATE);
        if let Some(parent) = trace.context.traceparent(trace.at_server) {
            let _ = head.insert_header(TRACEPARENT, parent);
        }
        if let Some(state) = &trace.context.state {
            let _ = head.insert_header(TRACESTATE, HeaderValue::clone(state));
        }
    }

    /// Notes what its server answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(recorded) = self.recorded() {
            recorded.status = Some(status);
            if let Some(last) = recorded.tries.last_mut() {
                last.status = Some(status);
            }
        }
    }

    /// Notes that it came to its end, and what the client got.
    pub(crate) fn ended(&mut self, status: Option<StatusCode>) {
        if let Some(recorded) = self.recorded() {
            recorded.whole = true;
            recorded.status = status.or(recorded.status);
        }
    }

    fn recorded(&mut self) -> Option<&mut Recorded> {
        self.0.as_mut()?.recorded.as_deref_mut()
    }
}

impl Recorded {
    fn end_try(&mut self) {
        let now = self.steady.elapsed();
        if let Some(last) = self.tries.last_mut() {
            last.took.get_or_insert(now.saturating_sub(last.after));
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let Some(trace) = self.0.take() else { return };
        if let Some(mut recorded) = trace.recorded {
            recorded.end_try();
            recorded.took = recorded.steady.elapsed();
            trace.telemetry.hand_over(recorded);
        }
    }
}

fn random_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// The code of a decision that lets pass.
pub(crate) const ALLOWED: &str = "allowed";

/// How much of a path is recorded, in characters.
const LONGEST_PATH: usize = 512;
