//! What does a person see where a step fails? A page that says so, in place of what only scripts can read.

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use super::shell;
use crate::pages::{Link, Message, Place, Texts};
use crate::request::Arrived;
use crate::setup::Setup;

/// The answer, as a page if it is an error that is none and a person waits for one.
pub(crate) fn for_people(answer: Response, setup: &Setup, arrived: &Arrived, headers: &HeaderMap) -> Response {
    let status = answer.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_for_people = arrived.browser && arrived.site.place() != Place::Elsewhere;
    if !is_error || !is_for_people || is_page(&answer) {
        return answer;
    }
    let shell = shell(setup, arrived, headers);
    let (title, detail) = said(status, shell.texts);
    let message = Message {
        link: Some(Link {
            href: "/",
            text: shell.texts.expired.start,
        }),
        ..Message::new(title, detail, shell)
    };
    let mut page = message.respond(status);
    // What else it said, such as how long to wait, it says still.
    for (name, value) in answer.headers() {
        let is_of_body = [header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name);
        if !is_of_body && (name == header::SET_COOKIE || !page.headers().contains_key(name)) {
            page.headers_mut().append(name, value.clone());
        }
    }
    page
}

fn is_page(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// A few words for a heading, and what helps.
fn said(status: StatusCode, texts: &Texts) -> (&'static str, &'static str) {
    let said = &texts.faults;
    match status {
        StatusCode::NOT_FOUND => (texts.refusals.nowhere_title, texts.refusals.nowhere_lead),
        StatusCode::TOO_MANY_REQUESTS => (said.too_many_title, said.too_many),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::LOCKED => {
            (said.refused_title, said.refused)
        }
        status if status.is_server_error() => (said.internal_title, said.failed),
        _ => (said.bad_request_title, said.bad_request),
    }
}
