//! What does a page hear? JSON for the pinned origin alone, or nothing but a status.

use bytes::Bytes;
use device_checks::loopback::{LoopbackError, LoopbackErrorCode};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// What a page of the pinned auth host is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    /// It was done, and this came of it.
    pub fn done(body: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            // What is said are types of the protocol, which all can be written.
            body: serde_json::to_vec(body).unwrap_or_default(),
        }
    }

    /// Nothing but a status.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: Vec::new(),
        }
    }

    /// It was not done, for this reason.
    pub fn error(error: LoopbackErrorCode, message: impl Into<String>) -> Self {
        let status = match error {
            LoopbackErrorCode::NoAccount => StatusCode::NOT_FOUND,
            LoopbackErrorCode::WhichAccount | LoopbackErrorCode::Busy => StatusCode::CONFLICT,
            LoopbackErrorCode::BadChallenge => StatusCode::BAD_REQUEST,
            LoopbackErrorCode::NotTaken => StatusCode::BAD_GATEWAY,
            LoopbackErrorCode::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = message.into();
        Self {
            status,
            ..Self::done(&LoopbackError { error, message })
        }
    }

    /// As a page of this origin may read it.
    pub(super) fn readable_by(self, issuer: &str) -> Response<Full<Bytes>> {
        let has_body = !self.body.is_empty();
        let mut response = bare(self.status, self.body);
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        allow(headers, issuer);
        response
    }
}

/// What a page may do that has not asked yet (Fetch, CORS preflight); private network access where it asks for it.
pub(super) fn preflight(asked: &HeaderMap, issuer: &str) -> Response<Full<Bytes>> {
    let mut response = bare(StatusCode::NO_CONTENT, Vec::new());
    let headers = response.headers_mut();
    allow(headers, issuer);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("60"));
    if asked.get(&ASKS_PRIVATE_NETWORK).is_some_and(|asks| asks == "true") {
        headers.insert(ALLOWS_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}

/// The same for whoever is not the pinned origin under the agent's own name.
pub(super) fn refused() -> Response<Full<Bytes>> {
    let mut response = bare(StatusCode::FORBIDDEN, Vec::new());
    // Whoever is refused keeps no place that the right page needs.
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Nothing that is said here is kept, guessed at, or loaded by pages that may not read it.
fn bare(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn allow(headers: &mut HeaderMap, issuer: &str) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Ok(issuer) = HeaderValue::from_str(issuer) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, issuer);
    }
}

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const ASKS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://auth.example.com";

    #[test]
    fn only_the_pinned_origin_may_read_and_nobody_with_credentials() {
        let response = Reply::empty(StatusCode::NOT_FOUND).readable_by(ISSUER);
        assert_eq!(response.headers()["access-control-allow-origin"], ISSUER);
        assert_eq!(response.headers()["vary"], "Origin");
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
        assert!(
            !refused()
                .headers()
                .keys()
                .any(|name| name.as_str().starts_with("access-"))
        );
    }

    #[test]
    fn private_network_access_is_allowed_where_it_is_asked_for() {
        let asks =
            |value: &'static str| HeaderMap::from_iter([(ASKS_PRIVATE_NETWORK, HeaderValue::from_static(value))]);
        let allows = |asked: &HeaderMap| preflight(asked, ISSUER).headers().contains_key(ALLOWS_PRIVATE_NETWORK);
        assert!(allows(&asks("true")));
        assert!(!allows(&asks("false")) && !allows(&HeaderMap::new()));
    }
}
