//! How are the gateway's own hosts answered? By axum, in-process, after the same steps as every other request.

mod endless;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tower::ServiceExt;

use crate::pages::Place;
use crate::request::{Arrived, Asked, Denial, Site, deny, identify_device};
use crate::world::World;
use crate::{admin, agents, auth};

pub(crate) use endless::Endless;

/// The gateway's own hosts.
pub(crate) struct Hosts {
    auth: Router,
    admin: Router,
    device: Router,
    application: Router,
}

/// The largest body taken, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

impl Hosts {
    /// Sets up the routes.
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            auth: auth::router(world.clone()),
            admin: admin::router(world.clone()),
            device: agents::device_router(world.clone()),
            application: auth::application_router(world.clone()),
        }
    }

    /// Authenticates, records and answers a request to one of the gateway's own hosts.
    pub(crate) async fn serve(
        &self,
        world: &World,
        session: &mut Session,
        arrived: &Arc<Arrived>,
    ) -> pingora::Result<()> {
        let (setup, place) = (world.setup.load_full(), arrived.site.place());
        let asked = Asked {
            request_id: &arrived.id,
            browser: arrived.browser && place != Place::Elsewhere,
            setup: &setup,
            place,
            sign_in: None,
            nonce: None,
        };
        let Some(body) = read_body(session, BODY_LIMIT).await? else {
            world.record_own(arrived, &world.view(), Err(&Denial::BodyTooLarge));
            return deny(session, &Denial::BodyTooLarge, &asked).await;
        };
        let mut request = Request::from_parts(session.req_header().as_owned_parts(), Body::from(body));
        request.extensions_mut().insert(arrived.clone());
        // Judged after the body has come, however long that took: a token that ended meanwhile opens nothing.
        let view = world.view();
        let router = match &arrived.site {
            Site::Admin => {
                let headers = &session.req_header().headers;
                let caller = admin::authenticate(headers, arrived.peer, &view.directory, view.now);
                world.record_own(arrived, &view, caller.as_ref().map(drop).ok_or(&Denial::TokenRefused));
                if let Some(caller) = caller {
                    request.extensions_mut().insert(Arc::new(caller));
                }
                &self.admin
            }
            Site::Device => {
                let certificate = arrived.connection.certificate.as_ref();
                match identify_device(certificate, None, &view.directory, view.now) {
                    Ok(identified) => request.extensions_mut().insert(Arc::new(identified)),
                    Err(unidentified) => {
                        world.record_own(arrived, &view, Err(&unidentified.denial));
                        return deny(session, &unidentified.denial, &asked).await;
                    }
                };
                world.record_own(arrived, &view, Ok(()));
                &self.device
            }
            Site::Auth => {
                world.record_own(arrived, &view, Ok(()));
                &self.auth
            }
            Site::Application(_) => {
                world.record_own(arrived, &view, Ok(()));
                &self.application
            }
            // Proxies ask of no page.
            Site::ForwardAuth => {
                world.record_own(arrived, &view, Err(&Denial::Misdirected));
                return deny(session, &Denial::Misdirected, &asked).await;
            }
        };
        let answer = router
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let answer = auth::for_people(answer, &view.setup, arrived, &session.req_header().headers);
        write_answer(session, answer, &arrived.id).await
    }
}

/// Reads the whole body, or nothing if it has more than so many bytes.
pub(crate) async fn read_body(session: &mut Session, limit: usize) -> pingora::Result<Option<Vec<u8>>> {
    let read = async {
        let mut body = Vec::new();
        while let Some(part) = session.read_request_body().await.map_err(Error::into_down)? {
            if body.len() + part.len() > limit {
                session.set_keepalive(None);
                return Ok(None);
            }
            body.extend_from_slice(&part);
        }
        Ok(Some(body))
    };
    let late = || Err(Error::explain(ErrorType::ReadTimedout, "the body takes too long").into_down());
    tokio::time::timeout(BODY_TIME, read).await.unwrap_or_else(|_| late())
}

async fn write_answer(session: &mut Session, answer: http::Response<Body>, request_id: &str) -> pingora::Result<()> {
    let (parts, mut body) = answer.into_parts();
    let bodiless = session.req_header().method == http::Method::HEAD || parts.status == StatusCode::NO_CONTENT;
    let endless = parts.extensions.get::<Endless>().is_some();
    let mut head: ResponseHeader = parts.into();
    head.set_version(http::Version::HTTP_11);
    if !head.headers.contains_key(header::CONTENT_LENGTH) && !bodiless {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    for (name, value) in DEFAULTS {
        if !head.headers.contains_key(&name) {
            head.insert_header(name, value)?;
        }
    }
    head.insert_header(
        "x-request-id",
        HeaderValue::from_str(request_id).or_else(|_| broken("request id"))?,
    )?;
    if endless {
        session.set_keepalive(None);
    }
    session.write_response_header(Box::new(head), bodiless).await?;
    if bodiless {
        return Ok(());
    }
    if endless && let Some(client) = endless::take_over(session) {
        tokio::spawn(endless::carry(client, body));
        return Ok(());
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.or_else(|_| broken("answer"))?;
        if let Ok(part) = frame.into_data() {
            session.write_response_body(Some(part), false).await?;
        }
    }
    session.write_response_body(None, true).await
}

fn broken<T>(what: &'static str) -> pingora::Result<T> {
    Error::e_explain(ErrorType::InternalError, what)
}

/// What every answer of our own carries unless it says otherwise.
const DEFAULTS: [(header::HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
];
