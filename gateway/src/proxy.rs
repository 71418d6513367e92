//! How do Pingora's hooks call the steps of a request? Each in a few lines.

mod failing;
mod reading;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use directory::UserId;
use http::StatusCode;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tracing::{error, warn};

use self::failing::{FailedAnswer, Tries, answer_to};
use self::reading::{arrive, check_length, keep_alive};
use crate::auth;
use crate::cookies::Cookie;
use crate::front::{Connection, LetGo};
use crate::gate::Gate;
use crate::hosts::Hosts;
use crate::live::{Registration, Scope};
use crate::logs::Chain;
use crate::pages::Place;
use crate::request::{
    Ambiguity, Arrived, Asked, AssertedRequest, Decision, Denial, Permit, Record, Refused, Site, Verdict, View, decide,
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
}

/// What one request carries from hook to hook.
pub(crate) struct Context {
    scope: Arc<Scope>,
    arrived: Option<Arc<Arrived>>,
    permit: Option<Permit>,
    /// Keeps the request in the table of live ones until it ends.
    registration: Option<Registration>,
    tries: Tries,
    received: u64,
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
            received: 0,
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
        let presented = self.recognize(session, &mut arrived, &view);
        let arrived = Arc::new(arrived);
        context.arrived = Some(arrived.clone());
        keep_alive(session, &view);
        match (arrived.site.clone(), presented) {
            (Site::Auth | Site::Admin | Site::Device, Ok(())) => {
                context.traced.decided(arrived.started, ALLOWED, None);
                self.hosts.serve(&self.world, session, &arrived).await?;
                Ok(true)
            }
            (Site::Application(_), Ok(())) if arrived.is_reserved() => {
                self.hosts.serve(&self.world, session, &arrived).await?;
                Ok(true)
            }
            (Site::Auth | Site::Admin | Site::Device, Err(denial)) => {
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
            permit,
            arrived,
            tries,
            traced,
            ..
        } = context;
        let (Some(permit), Some(arrived)) = (permit, arrived) else {
            return Error::e_explain(ErrorType::InternalError, "no permit");
        };
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
        context.received += body.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let (permit, arrived) = allowed(context)?;
        match permit.served().application.body_limit {
            Some(limit) if context.received > limit && !arrived.websocket => {
                Err(Error::new(ErrorType::HTTPStatus(413)))
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
        let answer = answer_to(error);
        let arrived = context.arrived.as_ref();
        let request_id = arrived.map(|arrived| arrived.id.clone()).unwrap_or_default();
        let setup = self.world.setup.load_full();
        if matches!(answer, FailedAnswer::Nothing) {
            note_given_up(session, error, context);
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
        FailToProxy {
            error_code: code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        context.traced.ended(session.response_written().map(|head| head.status));
    }

    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        // `fail_to_proxy` has logged it, with the request's id.
        true
    }
}

impl Gateway {
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
        let since = Instant::now();
        let (verdict, view) = self.verdict(context, arrived, served, view);
        let verdict = check_length(session, served, verdict);
        note_decision(&mut context.traced, since, &verdict);
        self.world.record(arrived, &view, &verdict);
        match verdict.outcome {
            Ok(permit) => {
                let head = session.req_header_mut();
                drop_nominated(head, arrived.websocket);
                if let Some(target) = &arrived.origin_form {
                    head.set_raw_path(target)?;
                }
                if arrived.websocket {
                    bound_handshake(&context.scope, served.application.upstream.read_timeout);
                }
                context.permit = Some(permit);
                Ok(false)
            }
            Err(denial) => self.answer_denial(session, &view, arrived, &denial).await,
        }
    }

    /// Reads what a request shows of its user and device beside its connection, where its path is not open to anybody.
    fn recognize(&self, session: &Session, arrived: &mut Arrived, view: &View) -> Result<(), Denial> {
        let headers = &session.req_header().headers;
        match &arrived.site {
            Site::Admin | Site::Device => return Ok(()),
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

    async fn answer_denial(
        &self,
        session: &mut Session,
        view: &View,
        arrived: &Arrived,
        denial: &Denial,
    ) -> pingora::Result<bool> {
        let headers = &session.req_header().headers;
        let sign_in = auth::way_to_sign_in(&self.world, view, arrived, headers, denial);
        let nonce = matches!(denial, Denial::AssertionRefused).then(|| self.world.nonces.issue(view.now));
        let asked = Asked {
            request_id: &arrived.id,
            browser: arrived.browser,
            setup: &view.setup,
            place: arrived.site.place(),
            sign_in: sign_in.as_ref(),
            nonce,
        };
        deny(session, denial, &asked).await?;
        Ok(true)
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

    async fn refuse(&self, session: &mut Session, view: &View, refused: &Refused) -> pingora::Result<bool> {
        let path = String::from_utf8_lossy(session.req_header().raw_path()).into_owned();
        let path: String = path
            .split('?')
            .next()
            .unwrap_or_default()
            .chars()
            .take(LOGGED_PATH)
            .collect();
        let method = session.req_header().method.clone();
        metrics::counter!("latchkey_decisions_total", "code" => refused.denial.code()).increment(1);
        self.world.log.write(&Record {
            time: view.now,
            request_id: &refused.id,
            user: None,
            device: None,
            session: None,
            risk: None,
            app: None,
            method: method.as_str(),
            path: &path,
            action: "none",
            decision: Decision::Deny,
            code: refused.denial.code(),
            policies: &[],
            cut: false,
            signals: None,
            policy_version: view.decider.policies().version().as_str(),
            revision: view.directory.revision(),
            latency_us: 0,
        });
        // What could not be read in one way leaves a connection whose state nobody can be sure of.
        session.set_keepalive(None);
        let asked = Asked {
            request_id: &refused.id,
            browser: refused.browser,
            setup: &view.setup,
            place: refused.place,
            sign_in: None,
            nonce: None,
        };
        deny(session, &refused.denial, &asked).await?;
        Ok(true)
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

/// How much of a refused path is written down, in characters.
const LOGGED_PATH: usize = 512;

/// Ends a WebSocket request whose application says nothing for so long: Pingora has no other timeout for it.
fn bound_handshake(scope: &Arc<Scope>, patience: Duration) {
    let scope = Arc::downgrade(scope);
    tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        if let Some(scope) = scope.upgrade()
            && !scope.answered.load(Ordering::Relaxed)
        {
            scope.cancelled.cancel();
        }
    });
}

/// Weighs a request that its client gave up or took nothing of; the connection ends where that goes on and on.
fn note_given_up(session: &Session, error: &Error, context: &Context) {
    if matches!(error.etype(), ErrorType::WriteTimedout) {
        LetGo::TakesNothing.note();
    }
    let Ok(connection) = Connection::of(session.digest()) else {
        return;
    };
    context.scope.given_up.store(true, Ordering::Relaxed);
    if session.is_http2() && connection.given_up.one() {
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
