//! How is a request read from Pingora's session, and what is set there before it goes on?

use std::sync::Arc;

use http::{HeaderMap, header};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

use crate::front::Connection;
use crate::request::{Arrival, Arrived, Denial, Refused, Verdict, View, is_websocket};

/// Reads a request once.
pub(super) fn arrive(session: &Session, connection: &Arc<Connection>, view: &View) -> Result<Arrived, Box<Refused>> {
    let raw = match session.as_downstream() {
        ServerSession::H1(http1) => Some(http1.get_headers_raw_bytes()),
        _ => None,
    };
    let first_line = raw.as_ref().and_then(|raw| first_line(raw));
    let head = session.req_header();
    if let Some(raw) = &raw {
        connection.octets.asked(length(raw.len(), &head.headers));
    }
    Arrival {
        head,
        first_line,
        connection,
        proxy: None,
        random: rand::random(),
    }
    .read(&view.setup)
}

/// How long a request is, where its head says so.
fn length(head: usize, headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let body = headers
        .get(header::CONTENT_LENGTH)
        .map(|value| value.to_str().ok()?.parse::<u64>().ok());
    Some(head as u64 + body.unwrap_or(Some(0))?)
}

/// The request line; empty lines may go before it (RFC 9112, section 2.2).
fn first_line(raw: &[u8]) -> Option<&[u8]> {
    raw.split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
}

/// How long the connection may be idle afterwards, and what else holds for it.
pub(super) fn keep_alive(session: &mut Session, view: &View) {
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(view.setup.config.limits.idle_timeout.as_secs().max(1)));
    }
    session.as_downstream_mut().set_pipelining_enabled(true);
    if session.is_http2() {
        // The front sees when a connection takes nothing; one stream of many only Pingora does.
        session
            .as_downstream_mut()
            .set_write_timeout(Some(view.setup.config.limits.send_timeout));
    }
    if !is_websocket(session.req_header()) && session.is_upgrade_req() {
        session.req_header_mut().remove_header(&header::UPGRADE);
    }
}

/// Refuses a body that says of itself that it is too large, before anything of it is read.
pub(super) fn check_length(session: &Session, arrived: &Arrived, verdict: Verdict) -> Verdict {
    let declared = session
        .get_header(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let limit = (arrived.treatment.as_ref()).and_then(|treatment| treatment.body_limit);
    match (limit, declared) {
        (Some(limit), Some(length)) if length > limit && verdict.outcome.is_ok() => Verdict {
            outcome: Err(Denial::BodyTooLarge),
            ..verdict
        },
        _ => verdict,
    }
}
