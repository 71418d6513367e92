//! What is answered to a proxy of others that asks about a request of its client's? What that one would get here, and for
//! the application who it is.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body_util::{BodyExt, Full};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use policies::Action;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;
use tracing::{error, info};

use super::answers::{asked, asked_by_refused};
use super::{Context, Gateway, note_decision};
use crate::forward_auth::{
    Answer, BadForwarded, CALL, CHECK, CheckRequest, CheckResponse, DENIED, Forwarded, REPLACED, TrustedProxy,
};
use crate::hosts::read_body;
use crate::logs::Chain;
use crate::request::{
    Ambiguity, Arrival, Arrived, Asked, Denial, Onward, Permit, Site, Verdict, View, decide, prepare, redirection,
    refusal, write,
};
use crate::setup::Served;
use crate::world::World;

/// A question of a trusted proxy's.
struct Question<'a> {
    /// The request that it makes.
    outer: &'a Arrived,
    /// Who asks.
    proxy: &'a Arc<TrustedProxy>,
    /// Whether it has been told that the request does not pass, and asks what to tell its client.
    again: bool,
}

impl Gateway {
    /// Answers a request of a trusted proxy to the host where those ask.
    pub(super) async fn answer_proxy(
        &self,
        session: &mut Session,
        context: &mut Context,
        outer: &Arc<Arrived>,
        view: View,
    ) -> pingora::Result<bool> {
        let Some(proxy) = &outer.proxy else {
            return self
                .refuse_question(session, context, outer, &view, &Denial::ProxyUntrusted)
                .await;
        };
        let again = match (outer.method.as_str(), outer.path.as_str()) {
            ("GET", CHECK) => false,
            ("GET", DENIED) => true,
            ("POST", CALL) if session.is_http2() => {
                return self.answer_call(session, context, outer, proxy).await;
            }
            _ => {
                return self
                    .refuse_question(session, context, outer, &view, &Denial::Misdirected)
                    .await;
            }
        };
        let question = Question { outer, proxy, again };
        let headers = &session.req_header().headers;
        let forwarded = Forwarded::of_http(headers, proxy.settings.certificate_from);
        match self.judge_forwarded(context, &question, forwarded, view)? {
            Answer::Pass { set, .. } => {
                let mut head = ResponseHeader::build(200, Some(set.len() + 2))?;
                for (name, value) in &set {
                    head.insert_header(name, value)?;
                }
                head.insert_header(header::CONTENT_LENGTH, 0)?;
                head.insert_header(header::CACHE_CONTROL, "no-store")?;
                write(session, head, Bytes::new()).await?;
            }
            Answer::Refuse { head, body } => write(session, *head, body).await?,
        }
        Ok(true)
    }

    /// Answers a call of Envoy's.
    async fn answer_call(
        &self,
        session: &mut Session,
        context: &mut Context,
        outer: &Arrived,
        proxy: &Arc<TrustedProxy>,
    ) -> pingora::Result<bool> {
        let Some(body) = read_body(session, LARGEST_CALL).await? else {
            let view = self.world.view();
            return self
                .refuse_question(session, context, outer, &view, &Denial::BodyTooLarge)
                .await;
        };
        let request = Request::from_parts(session.req_header().as_owned_parts(), Full::new(Bytes::from(body)));
        let question = Question {
            outer,
            proxy,
            again: false,
        };
        let mut judged = false;
        let service = tower::service_fn(|call: tonic::Request<CheckRequest>| {
            judged = true;
            let forwarded = Forwarded::of_call(call.into_inner(), proxy.settings.certificate_from);
            // Judged after the body has come, however long that took.
            let answer = self.judge_forwarded(context, &question, forwarded, self.world.view());
            let answer = answer.map(|answer| tonic::Response::new(CheckResponse::from(answer)));
            std::future::ready(answer.map_err(|_| tonic::Status::internal("no decision")))
        });
        let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
        let answer = Grpc::new(codec).unary(service, request).await;
        if !judged {
            let denial = Denial::Ambiguous(Ambiguity::Forwarded);
            context.traced.decided(outer.started, denial.code(), None);
            self.world.record_own(outer, &self.world.view(), Err(&denial));
        }
        write_call(session, answer).await?;
        Ok(true)
    }

    /// Judges what a proxy asks about, as the request that it stands for, and writes it down.
    fn judge_forwarded(
        &self,
        context: &mut Context,
        question: &Question<'_>,
        forwarded: Result<Forwarded, BadForwarded>,
        view: View,
    ) -> pingora::Result<Answer> {
        let Question { outer, proxy, again } = *question;
        let forwarded = match forwarded {
            Ok(forwarded) => forwarded,
            Err(bad) => {
                info!(request = %outer.id, proxy = proxy.name(), error = %Chain(&bad), "a proxy's question was refused");
                let denial = Denial::Ambiguous(Ambiguity::Forwarded);
                context.traced.decided(outer.started, denial.code(), None);
                self.world.record_own(outer, &view, Err(&denial));
                let asked = Asked {
                    request_id: &outer.id,
                    browser: false,
                    setup: &view.setup,
                    place: outer.site.place(),
                    sign_in: None,
                    nonce: None,
                };
                let (head, body) = refusal(&RequestHeader::build("GET", b"/", None)?, &denial, &asked)?;
                return Ok(refuse(head, body));
            }
        };
        let vouched = forwarded.chain.as_ref();
        let vouched = vouched
            .map(|chain| view.setup.forward_auth.vouch(chain, view.now))
            .transpose();
        let shown = vouched.as_ref().ok().cloned().flatten();
        let connection = outer.connection.behind(forwarded.peer, shown);
        let connection = connection.map_err(|_| Error::new(ErrorType::InternalError))?;
        let arrival = Arrival {
            head: &forwarded.head,
            first_line: None,
            connection: &Arc::new(connection),
            proxy: Some(proxy.clone()),
            random: rand::random(),
        };
        let mut arrived = match arrival.read(&view.setup) {
            Ok(arrived) => arrived,
            Err(refused) => {
                context.traced.decided(outer.started, refused.denial.code(), None);
                self.record_refused(&forwarded.head, &view, &refused, Some(proxy.name()));
                let asked = asked_by_refused(&view, &refused);
                let (head, body) = refusal(&forwarded.head, &refused.denial, &asked)?;
                return Ok(refuse(head, body));
            }
        };
        let served = self.application_of(&forwarded, &mut arrived, question, &view);
        let served = served.and_then(|served| match vouched {
            Err(not) if !served.application.is_public(&arrived.matched_path) => {
                info!(request = %arrived.id, proxy = proxy.name(), error = %Chain(&not), "a client's certificate was refused");
                Err(not.denial())
            }
            _ => Ok(served),
        });
        let arrived = Arc::new(arrived);
        let (verdict, view) = match served {
            Ok(served) => {
                let (verdict, view) = self.verdict(context, &arrived, &served, view);
                let verdict = match forwarded.may_be_plain {
                    true => self.allowed_as_read(&arrived, &served, verdict, &view),
                    false => verdict,
                };
                (verdict, view)
            }
            Err(denial) => (Verdict::denied(denial), view),
        };
        let verdict = if again {
            never(context, &arrived, verdict)
        } else {
            verdict
        };
        note_decision(&mut context.traced, outer.started, &verdict);
        self.world.record(&arrived, &view, &verdict);
        match (&verdict.outcome, &arrived.onward) {
            (Ok(_), Onward::Elsewhere(status, place)) => {
                // Traefik takes a path for one of whom it asked.
                let place = match place.starts_with('/') {
                    true => format!("https://{}{place}", arrived.authority),
                    false => place.clone(),
                };
                let (head, body) = redirection(*status, &place, &asked(&arrived, &view.setup))?;
                Ok(refuse(head, body))
            }
            (Ok(permit), Onward::AsItCame | Onward::To(_)) => self.pass(&forwarded, &arrived, permit, &view),
            (Err(denial), _) => self.refuse_forwarded(&arrived, &forwarded, &view, denial),
        }
    }

    /// What may be a WebSocket or a plain `GET` has to be allowed as either.
    fn allowed_as_read(&self, arrived: &Arrived, served: &Arc<Served>, verdict: Verdict, view: &View) -> Verdict {
        let plain = Arrived {
            action: Action::Read,
            websocket: false,
            ..arrived.clone()
        };
        match decide(&self.world.facts, view, &plain, served) {
            read if verdict.outcome.is_ok() && read.outcome.is_err() => read,
            _ => verdict,
        }
    }

    /// The application that a proxy asks for, which has to be one of those it stands before; what is shown of user and device
    /// is read on the way.
    fn application_of(
        &self,
        forwarded: &Forwarded,
        arrived: &mut Arrived,
        question: &Question<'_>,
        view: &View,
    ) -> Result<Arc<Served>, Denial> {
        let served = match &arrived.site {
            Site::Application(served) if question.proxy.serves(&served.application) => served.clone(),
            Site::Application(_) | Site::Auth | Site::Admin | Site::Device | Site::ForwardAuth => {
                return Err(Denial::Misdirected);
            }
        };
        // What is the gateway's own on an application's host it answers itself: proxies pass that on to it.
        if arrived.is_reserved() {
            return Err(Denial::Misdirected);
        }
        self.recognize(&forwarded.head.headers, arrived, view, question.again)?;
        self.admit(arrived, view)?;
        Ok(served)
    }

    /// What a proxy is told of a request that passes: what the application would get from here of who asks.
    fn pass(&self, forwarded: &Forwarded, arrived: &Arrived, permit: &Permit, view: &View) -> pingora::Result<Answer> {
        let mut head = forwarded.head.clone();
        let issuing = World::issuing(&view.setup, permit, view.now);
        prepare(&mut head, arrived, permit, &self.world.identities, &issuing).map_err(|error| {
            error!(request = %arrived.id, error = %Chain(&error), "the identity cannot be passed on");
            Error::explain(ErrorType::InternalError, "the identity cannot be passed on")
        })?;
        let mut set = HeaderMap::new();
        let mut remove = Vec::new();
        for name in REPLACED.map(HeaderName::from_static) {
            match head.headers.get(&name) {
                Some(value) => drop(set.insert(name, value.clone())),
                None => remove.push(name),
            }
        }
        Ok(Answer::Pass { set, remove })
    }

    /// What a proxy is to tell its client whose request does not pass.
    fn refuse_forwarded(
        &self,
        arrived: &Arrived,
        forwarded: &Forwarded,
        view: &View,
        denial: &Denial,
    ) -> pingora::Result<Answer> {
        let (head, body) = self.refusal(&forwarded.head, view, arrived, denial)?;
        Ok(refuse(head, body))
    }

    /// Writes down and answers a question that is none.
    async fn refuse_question(
        &self,
        session: &mut Session,
        context: &mut Context,
        outer: &Arrived,
        view: &View,
        denial: &Denial,
    ) -> pingora::Result<bool> {
        context.traced.decided(outer.started, denial.code(), None);
        self.world.record_own(outer, view, Err(denial));
        self.answer_denial(session, view, outer, denial).await
    }
}

fn refuse(head: ResponseHeader, body: Bytes) -> Answer {
    Answer::Refuse {
        head: Box::new(head),
        body,
    }
}

/// What a request that was refused a moment ago is told although it would pass now: nothing comes of this question but an
/// answer to the client.
fn never(context: &mut Context, arrived: &Arrived, verdict: Verdict) -> Verdict {
    context.registration = None;
    match (&verdict.outcome, &arrived.presented) {
        (Err(_), _) => verdict,
        // Its nonce was used up by the first question.
        (Ok(_), Some(_)) => Verdict::denied(Denial::AssertionRefused),
        // What goes to another place goes to no application.
        (Ok(_), None) if matches!(arrived.onward, Onward::Elsewhere(..)) => verdict,
        (Ok(_), None) => Verdict::denied(Denial::Unsettled),
    }
}

async fn write_call(session: &mut Session, answer: Response<tonic::body::Body>) -> pingora::Result<()> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|_| Error::explain(ErrorType::InternalError, "an answer of gRPC"))?;
    let trailers = body.trailers().cloned();
    let message = body.to_bytes();
    let head: ResponseHeader = parts.into();
    let ends = message.is_empty() && trailers.is_none();
    session.write_response_header(Box::new(head), ends).await?;
    if !message.is_empty() {
        session.write_response_body(Some(message), trailers.is_none()).await?;
    }
    if let Some(trailers) = trailers {
        session.as_downstream_mut().write_response_trailers(trailers).await?;
    }
    Ok(())
}

/// The largest call taken, in bytes: all fields of a request, and a certificate.
const LARGEST_CALL: usize = 256 * 1024;
