//! How do Pingora's hooks call the steps of a request? Each in a few lines.

mod answers;
mod bounds;
mod failing;
mod forwarded;
mod reading;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use directory::UserId;
use http::{HeaderMap, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tokio_util::sync::DropGuard;
use tracing::{error, warn};

use self::answers::last;
use self::bounds::{Received, bound_handshake, bound_in_all};
use self::failing::{FailedAnswer, Tries, answer_to};
use self::reading::{arrive, check_length, keep_alive};
use crate::cookies::Cookie;
use crate::front::{Connection, LetGo};
use crate::gate::Gate;
use crate::hosts::Hosts;
use crate::live::{Registration, Scope};
use crate::logs::Chain;
use crate::pages::Place;
use crate::request::{
    Ambiguity, Arrived, Asked, AssertedRequest, Denial, Onward, Permit, RequestRates, Site, Verdict, View, decide,
    deny, drop_nominated, fail, prepare, prepare_answer, present,
};
use crate::setup::Served;
use crate::telemetry::{ALLOWED, Traced};
use crate::upstream::Upstreams;
use crate::world::World;

/// The gateway as Pingora's proxy calls it.
pub(crate) struct Gateway {
    /// What every request reads.
    pub(crate) world: Arc<World>,
    /// The gateway's own hosts.
    pub(crate) hosts: Hosts,
    /// Where applications are.
    pub(crate) upstreams: Upstreams,
    /// How often sources ask.
    pub(crate) rates: RequestRates,
}

/// What one request carries from hook to hook.
pub(crate) struct Context {
    scope: Arc<Scope>,
    arrived: Option<Arc<Arrived>>,
    permit: Option<Permit>,
    /// Keeps the request in the table of live ones until it ends.
    registration: Option<Registration>,
    tries: Tries,
    received: Received,
    /// Ends the request when it has had all its time.
    _bound: Option<DropGuard>,
    traced: Traced,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        let scope = Gate::scope();
        Context {
            scope,
            arrived: None,
            permit: None,
            registration: None,
            tries: Tries::default(),
            received: Received::default(),
            _bound: None,
            traced: Traced::default(),
        }
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> pingora::Result<bool> {
        let connection = Connection::of(session.digest())?;
        connection.heads.arrived();
        let view = self.world.view();
        context.traced = self.trace(session, &connection, &view);
        let mut arrived = match arrive(session, &connection, &view) {
            Ok(arrived) => arrived,
            Err(refused) => {
                context.traced.decided(Instant::now(), refused.denial.code(), None);
                return self.refuse(session, &view, &refused).await;
            }
        };
        context.traced.arrived(&arrived);
        let presented = self.recognize(&session.req_header().headers, &mut arrived, &view, false);
        let arrived = Arc::new(arrived);
        context.arrived = Some(arrived.clone());
        keep_alive(session, &view);
        let presented = presented.and_then(|()| self.admit(&arrived, &view));
        match (arrived.site.clone(), presented) {
            (Site::ForwardAuth, Ok(())) => self.answer_proxy(session, context, &arrived, view).await,
            (Site::Auth | Site::Admin | Site::Device, Ok(())) => {
                context.traced.decided(arrived.started, ALLOWED, None);
                self.hosts.serve(&self.world, session, &arrived).await?;
                Ok(true)
            }
            (Site::Application(_), Ok(())) if arrived.is_reserved() => {
                context.traced.decided(arrived.started, ALLOWED, None);
                self.hosts.serve(&self.world, session, &arrived).await?;
                Ok(true)
            }
            (Site::Auth | Site::Admin | Site::Device | Site::ForwardAuth, Err(denial)) => {
                context.traced.decided(arrived.started, denial.code(), None);
                self.world.record_own(&arrived, &view, Err(&denial));
                self.answer_denial(session, &view, &arrived, &denial).await
            }
            (Site::Application(_), Err(denial)) => {
                context.traced.decided(arrived.started, denial.code(), None);
                self.world.record(&arrived, &view, &Verdict::denied(denial.clone()));
                self.answer_denial(session, &view, &arrived, &denial).await
            }
            (Site::Application(served), Ok(())) => self.judge(session, context, &arrived, &served, view).await,
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, context: &mut Context) -> pingora::Result<Box<HttpPeer>> {
        let Context {
            scope,
            permit,
            arrived,
            tries,
            traced,
            ..
        } = context;
        let (Some(permit), Some(arrived)) = (permit, arrived) else {
            return Error::e_explain(ErrorType::InternalError, "no permit");
        };
        scope.check()?;
        let (peer, place) = self.upstreams.peer(permit, arrived, &tries.been_at).await?;
        traced.sent_to(place.server());
        tries.begin(permit, place);
        Ok(peer)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(permit) = &context.permit {
            context.tries.failed(permit);
            // Nothing of it was sent: whatever its method, it does no harm elsewhere.
            error.set_retry(context.tries.may_go_on(permit));
        }
        error
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("Peer: {peer}"));
        let is_whole = !session.as_ref().retry_buffer_truncated() && session.response_written().is_none();
        let method_allows = session.req_header().method.is_idempotent();
        let is_servers_fault = *error.esource() == ErrorSource::Upstream;
        // A connection that was kept may have been closed by its server before the request came: nobody's fault.
        error.retry.decide_reuse(client_reused);
        if let Some(permit) = &context.permit
            && is_servers_fault
            && !error.retry()
        {
            context.tries.failed(permit);
            error.set_retry(is_whole && method_allows && context.tries.may_go_on(permit));
        }
        if !is_whole || !method_allows {
            error.set_retry(false);
        }
        error
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        context: &mut Context,
    ) -> pingora::Result<()> {
        context.scope.check()?;
        let (permit, arrived) = allowed(context)?;
        let setup = self.world.setup.load();
        let issuing = World::issuing(&setup, permit, self.world.clock.now());
        prepare(head, arrived, permit, &self.world.identities, &issuing).map_err(|error| {
            error!(request = %arrived.id, error = %Chain(&error), "the identity cannot be passed on");
            Error::explain(ErrorType::InternalError, "the identity cannot be passed on")
        })?;
        context.traced.pass_on(head);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        context: &mut Context,
    ) -> pingora::Result<()> {
        let octets = body.as_ref().map_or(0, Bytes::len);
        let (Some(arrived), received) = (&context.arrived, &mut context.received) else {
            return Error::e_explain(ErrorType::InternalError, "a body without its head");
        };
        match &arrived.treatment {
            Some(treatment) if !arrived.websocket => {
                context.scope.check()?;
                received.part(octets, arrived.started, treatment)
            }
            _ => Ok(()),
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        context: &mut Context,
    ) -> pingora::Result<()> {
        context.scope.check()?;
        let (permit, arrived) = allowed(context)?;
        context.tries.worked(permit);
        let arrived = arrived.clone();
        prepare_answer(head, permit, &arrived.id);
        context.scope.answered.store(true, Ordering::Relaxed);
        context.traced.answered(head.status);
        if head.status == StatusCode::SWITCHING_PROTOCOLS && arrived.websocket {
            arrived.connection.cut.begin_websocket();
            let _ = context.scope.websocket.set(arrived.connection.clone());
            session.as_downstream_mut().set_read_timeout(None);
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        session.set_keepalive(None);
        if context.scope.is_to_be_denied() {
            return self.answer_cut(session, context).await;
        }
        let answer = answer_to(error);
        let arrived = context.arrived.as_ref();
        let request_id = arrived.map(|arrived| arrived.id.clone()).unwrap_or_default();
        let setup = self.world.setup.load_full();
        if matches!(answer, FailedAnswer::Nothing) {
            note_given_up(session, error, context, setup.config.limits.http2.given_up);
        } else {
            warn!(request = %request_id, %error, "a request failed");
        }
        let asked = Asked {
            request_id: &request_id,
            browser: arrived.is_some_and(|arrived| arrived.browser),
            setup: &setup,
            place: arrived.map_or(Place::Elsewhere, |arrived| arrived.site.place()),
            sign_in: None,
            nonce: None,
        };
        let unanswered = session.response_written().is_none();
        let (code, written) = match answer {
            FailedAnswer::Nothing => (0, Ok(())),
            FailedAnswer::Fault(_) | FailedAnswer::TooLarge if !unanswered => (0, Ok(())),
            FailedAnswer::Fault(fault) => (502, fail(session, fault, &asked).await),
            FailedAnswer::TooLarge => (413, deny(session, &Denial::BodyTooLarge, &asked).await),
        };
        if let Err(error) = written {
            tracing::debug!(request = %request_id, %error, "the answer could not be written");
        }
        last(session, code)
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        context.traced.ended(session.response_written().map(|head| head.status));
    }

    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        // `fail_to_proxy` has logged it, with the request's id.
        true
    }
}

impl Context {
    /// Holds the request to the times that it may take.
    fn bound(&mut self, arrived: &Arrived) {
        let Some(treatment) = &arrived.treatment else { return };
        if arrived.websocket {
            bound_handshake(&self.scope, treatment.read_timeout);
        }
        self._bound = treatment.total_timeout.map(|most| bound_in_all(&self.scope, most));
    }
}

impl Gateway {
    /// Whether the source of a request may ask once more.
    fn admit(&self, arrived: &Arrived, view: &View) -> Result<(), Denial> {
        match view.setup.config.limits.request_rate {
            // A proxy asks for all of its clients: each of them is counted by itself.
            _ if matches!(arrived.site, Site::ForwardAuth) => Ok(()),
            Some(rate) if !self.rates.admit(arrived.peer.into(), rate, arrived.started) => {
                LetGo::SourceRequests.note();
                Err(Denial::TooManyRequests)
            }
            _ => Ok(()),
        }
    }

    /// Begins a trace, where anybody takes them.
    fn trace(&self, session: &Session, connection: &Connection, view: &View) -> Traced {
        let proxies = &view.setup.config.proxies.forwarded_for;
        let is_ours = || proxies.iter().any(|network| network.contains(&connection.peer));
        Traced::begin(
            self.world.telemetry.as_ref(),
            &session.req_header().headers,
            is_ours,
            view.now,
        )
    }

    /// Judges a request to an application; answers it if it does not pass.
    async fn judge(
        &self,
        session: &mut Session,
        context: &mut Context,
        arrived: &Arc<Arrived>,
        served: &Arc<Served>,
        view: View,
    ) -> pingora::Result<bool> {
        if self.world.live.len() >= view.setup.config.limits.requests {
            return self.answer_busy(session, &view, arrived).await;
        }
        let since = Instant::now();
        let (verdict, view) = self.verdict(context, arrived, served, view);
        let verdict = check_length(session, arrived, verdict);
        note_decision(&mut context.traced, since, &verdict);
        self.world.record(arrived, &view, &verdict);
        match verdict.outcome {
            Ok(permit) => {
                let head = session.req_header_mut();
                drop_nominated(head, arrived.websocket);
                match &arrived.onward {
                    Onward::AsItCame => {}
                    Onward::To(target) => head.set_raw_path(target)?,
                    Onward::Elsewhere(status, place) => {
                        return self.answer_elsewhere(session, &view, arrived, (*status, place)).await;
                    }
                }
                context.bound(arrived);
                context.permit = Some(permit);
                Ok(false)
            }
            Err(denial) => self.answer_denial(session, &view, arrived, &denial).await,
        }
    }

    /// Reads what a request shows of its user and device beside its connection, where its path is not open to anybody.
    fn recognize(
        &self,
        headers: &HeaderMap,
        arrived: &mut Arrived,
        view: &View,
        asked_before: bool,
    ) -> Result<(), Denial> {
        match &arrived.site {
            Site::Admin | Site::Device => return Ok(()),
            Site::ForwardAuth => {
                arrived.proxy = view.setup.forward_auth.proxy_on(&arrived.connection, view.now);
                return arrived.proxy.as_ref().map(drop).ok_or(Denial::ProxyUntrusted);
            }
            Site::Application(_) if arrived.is_reserved() => {}
            Site::Application(served) if served.application.is_public(&arrived.matched_path) => return Ok(()),
            Site::Application(_) => {
                let url = format!("https://{}{}", arrived.authority, arrived.path);
                let asked = AssertedRequest {
                    id: &arrived.id,
                    audience: &view.setup.auth_origin,
                    method: arrived.method.as_str(),
                    url: &url,
                    now: view.now,
                    asked_before,
                };
                arrived.presented = present(headers, &asked, &view.directory, &self.world.nonces)?;
            }
            Site::Auth => {}
        }
        let cookie = Cookie::Session.read(headers);
        let cookie = cookie.map_err(|_| Denial::Ambiguous(Ambiguity::Cookie))?;
        let sessions = self.world.directory.sessions();
        arrived.session = cookie.and_then(|secret| sessions.grip(&secret.hash(), &arrived.host));
        Ok(())
    }

    /// Decides, registers the request as live if it may pass, and looks again: a change that came before the registration
    /// is seen here and decided anew, one that comes after it is seen by whoever judges the live requests.
    fn verdict(
        &self,
        context: &mut Context,
        arrived: &Arc<Arrived>,
        served: &Arc<Served>,
        mut view: View,
    ) -> (Verdict, View) {
        for _ in 0..MOST_TRIES {
            let verdict = decide(&self.world.facts, &view, arrived, served);
            self.register(context, arrived, &verdict);
            if self.world.is_as_in(&view) {
                if let (Ok(permit), Some(registration)) = (&verdict.outcome, &context.registration) {
                    registration.request.due_at_latest(permit.due(view.now));
                    permit.note_use(view.now);
                }
                return (verdict, view);
            }
            view = self.world.view();
        }
        // The world does not stand still: nothing that was decided holds any more.
        context.registration = None;
        (Verdict::denied(Denial::Unsettled), view)
    }

    /// Registers a request that may pass, unless it is already; on a public path under nobody's name.
    fn register(&self, context: &mut Context, arrived: &Arc<Arrived>, verdict: &Verdict) {
        let Ok(permit) = &verdict.outcome else { return };
        if context.registration.is_none() {
            let user = permit
                .granted()
                .map_or(UserId::FIRST, |granted| granted.identified.user.id);
            context.registration = Some(self.world.live.register(arrived.clone(), user, context.scope.clone()));
        }
    }
}

/// Hands a decision to the trace.
fn note_decision(traced: &mut Traced, since: Instant, verdict: &Verdict) {
    match &verdict.outcome {
        Ok(permit) => {
            let user = permit.granted().map(|granted| granted.identified.user.id);
            traced.decided(since, ALLOWED, user);
        }
        Err(denial) => traced.decided(since, denial.code(), verdict.asked.user.as_ref().map(|user| user.id)),
    }
}

/// How often a request is judged before it goes on although the world keeps changing.
const MOST_TRIES: usize = 8;

/// Weighs a request that its client gave up or took nothing of; the connection ends where that goes on and on.
fn note_given_up(session: &Session, error: &Error, context: &Context, most: usize) {
    if matches!(error.etype(), ErrorType::WriteTimedout) {
        LetGo::TakesNothing.note();
    }
    let Ok(connection) = Connection::of(session.digest()) else {
        return;
    };
    context.scope.given_up.store(true, Ordering::Relaxed);
    if session.is_http2() && connection.given_up.one(most) {
        LetGo::GivesUp.note();
        connection.cut.cut();
    }
}

fn allowed(context: &Context) -> pingora::Result<(&Permit, &Arc<Arrived>)> {
    let missing = || Error::explain(ErrorType::InternalError, "no permit");
    Ok((
        context.permit.as_ref().ok_or_else(missing)?,
        context.arrived.as_ref().ok_or_else(missing)?,
    ))
}
