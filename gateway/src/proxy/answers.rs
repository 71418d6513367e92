//! How does the gateway itself answer a request to an application? With a refusal, a fault, or another place.

use http::StatusCode;
use pingora::proxy::Session;

use super::Gateway;
use crate::auth;
use crate::front::LetGo;
use crate::request::{Arrived, Asked, Decision, Denial, Fault, Record, Refused, View, deny, fail, redirect};
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

    /// Tells a client that may pass where what it asks for is now.
    pub(super) async fn answer_elsewhere(
        &self,
        session: &mut Session,
        view: &View,
        arrived: &Arrived,
        (status, place): (StatusCode, &str),
    ) -> pingora::Result<bool> {
        redirect(session, status, place, &asked(arrived, &view.setup)).await?;
        Ok(true)
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

    /// Answers a request that goes no further than its arrival.
    pub(super) async fn refuse(&self, session: &mut Session, view: &View, refused: &Refused) -> pingora::Result<bool> {
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

/// What is known of a request that needs nothing more said.
fn asked<'a>(arrived: &'a Arrived, setup: &'a Setup) -> Asked<'a> {
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
