//! How does the gateway itself answer a request to an application? With a refusal, a fault, or another place.

use bytes::Bytes;
use http::StatusCode;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, Session};
use tracing::debug;

use super::{Context, Gateway};
use crate::auth;
use crate::front::LetGo;
use crate::request::{
    Arrived, Asked, Decision, Denial, Fault, Record, Refused, View, deny, fail, redirection, refusal, write,
};
use crate::setup::Setup;

impl Gateway {
    /// Answers a request that does not pass.
    pub(super) async fn answer_denial(
        &self,
        session: &mut Session,
        view: &View,
        arrived: &Arrived,
        denial: &Denial,
    ) -> pingora::Result<bool> {
        let (head, body) = self.refusal(session.req_header(), view, arrived, denial)?;
        write(session, head, body).await?;
        Ok(true)
    }

    /// What is answered to a request with this head that does not pass.
    pub(super) fn refusal(
        &self,
        head: &RequestHeader,
        view: &View,
        arrived: &Arrived,
        denial: &Denial,
    ) -> pingora::Result<(ResponseHeader, Bytes)> {
        let sign_in = auth::way_to_sign_in(&self.world, view, arrived, &head.headers, denial);
        let nonce = matches!(denial, Denial::AssertionRefused).then(|| self.world.nonces.issue(view.now));
        let asked = Asked {
            request_id: &arrived.id,
            browser: arrived.browser,
            setup: &view.setup,
            place: arrived.site.place(),
            sign_in: sign_in.as_ref(),
            nonce,
        };
        refusal(head, denial, &asked)
    }

    /// Tells a client that may pass where what it asks for is now.
    pub(super) async fn answer_elsewhere(
        &self,
        session: &mut Session,
        view: &View,
        arrived: &Arrived,
        (status, place): (StatusCode, &str),
    ) -> pingora::Result<bool> {
        let (head, body) = redirection(status, place, &asked(arrived, &view.setup))?;
        write(session, head, body).await?;
        Ok(true)
    }

    /// Answers a request that was allowed, and is no longer, before anything of its answer has come.
    pub(super) async fn answer_cut(&self, session: &mut Session, context: &Context) -> FailToProxy {
        let (Some(arrived), Some(denial)) = (&context.arrived, context.scope.denial.get()) else {
            return last(session, 0);
        };
        let written = self.answer_denial(session, &self.world.view(), arrived, denial).await;
        if let Err(error) = written {
            debug!(request = %arrived.id, %error, "a denial could not be written");
            return last(session, 0);
        }
        last(session, denial.status())
    }

    /// Answers that as much is going on as may.
    pub(super) async fn answer_busy(
        &self,
        session: &mut Session,
        view: &View,
        arrived: &Arrived,
    ) -> pingora::Result<bool> {
        LetGo::Requests.note();
        fail(session, Fault::Busy, &asked(arrived, &view.setup)).await?;
        Ok(true)
    }

    /// Writes down a request that was refused on arrival, and answers it.
    pub(super) async fn refuse(&self, session: &mut Session, view: &View, refused: &Refused) -> pingora::Result<bool> {
        self.record_refused(session.req_header(), view, refused, None);
        // What could not be read in one way leaves a connection whose state nobody can be sure of.
        session.set_keepalive(None);
        deny(session, &refused.denial, &asked_by_refused(view, refused)).await?;
        Ok(true)
    }

    /// Writes down a request that was refused on arrival.
    pub(super) fn record_refused(&self, head: &RequestHeader, view: &View, refused: &Refused, proxy: Option<&str>) {
        let path = String::from_utf8_lossy(head.raw_path()).into_owned();
        let path: String = path
            .split('?')
            .next()
            .unwrap_or_default()
            .chars()
            .take(LOGGED_PATH)
            .collect();
        metrics::counter!("latchkey_decisions_total", "code" => refused.denial.code()).increment(1);
        self.world.log.write(&Record {
            time: view.now,
            request_id: &refused.id,
            user: None,
            device: None,
            session: None,
            risk: None,
            app: None,
            proxy,
            method: head.method.as_str(),
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
    }
}

/// What Pingora makes of a connection after the gateway's own answer to a request that failed, or after none: an HTTP/1.1
/// connection is ended in order, so that what was answered is not lost.
pub(super) fn last(session: &Session, code: u16) -> FailToProxy {
    FailToProxy {
        error_code: code,
        can_reuse_downstream: code != 0 && !session.is_http2(),
    }
}

/// What is known for the answer to a request that was refused on arrival.
pub(super) fn asked_by_refused<'a>(view: &'a View, refused: &'a Refused) -> Asked<'a> {
    Asked {
        request_id: &refused.id,
        browser: refused.browser,
        setup: &view.setup,
        place: refused.place,
        sign_in: None,
        nonce: None,
    }
}

/// What is known of a request that needs nothing more said.
pub(super) fn asked<'a>(arrived: &'a Arrived, setup: &'a Setup) -> Asked<'a> {
    Asked {
        request_id: &arrived.id,
        browser: arrived.browser,
        setup,
        place: arrived.site.place(),
        sign_in: None,
        nonce: None,
    }
}

/// How much of a refused path is written down, in characters.
const LOGGED_PATH: usize = 512;
