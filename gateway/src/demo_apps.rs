//! What stands behind the gateway in the demo? Small applications that show what reached them: as JSON, or as a page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{Stream, stream};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

/// Serves one application on a listener until it is dropped.
///
/// # Errors
///
/// The listener cannot be served.
pub(crate) async fn serve(app: &str, listener: TcpListener) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Small writes follow each other here, and each is to be seen at once; without it they are only later.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(app)).await
}

/// An application of that name: it answers every path and method with what it received, echoes what comes by WebSocket
/// at `/ws`, and counts seconds at `/events`.
pub(crate) fn router(app: &str) -> Router {
    Router::new()
        .route("/ws", get(web_socket).fallback(show))
        .route(
            "/events",
            get(|| async { events(Duration::from_secs(1)) }).fallback(show),
        )
        .route(
            "/app.js",
            get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }).fallback(show),
        )
        .route(
            "/app.css",
            get(|| async { file("text/css; charset=utf-8", STYLE) }).fallback(show),
        )
        .fallback(show)
        .with_state(App(app.into()))
}

/// The application's name.
#[derive(Clone)]
struct App(Arc<str>);

/// Answers with the request itself. The body is counted and let go.
async fn show(State(App(app)): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(body_bytes) = count(body).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let page = prefers_html(&head.headers);
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.to_string(), ToString::to_string);
    let mut response = if page {
        Page::new(&app, head.method.as_str(), &target, &head.headers, body_bytes).into_response()
    } else {
        let headers = listed(&head.headers);
        let received = json!({
            "app": &*app, "method": head.method.as_str(), "target": target, "headers": headers, "body_bytes": body_bytes,
        });
        ([(CONTENT_TYPE, "application/json")], received.to_string()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    response
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Sends back every message; a plain GET is answered like any other path.
async fn web_socket(upgrade: Upgrade, state: State<App>, request: Request) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade.max_message_size(LARGEST_MESSAGE).on_upgrade(echo),
        Err(_) => show(state, request).await,
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        };
        if answer.is_err() {
            return;
        }
    }
}

/// An endless stream of events that count, the first one at once.
fn events(every: Duration) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(stream::unfold((ticks, 0_u64), |(mut ticks, number)| async move {
        ticks.tick().await;
        Some((Ok(Event::default().data(number.to_string())), (ticks, number + 1)))
    }))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// The number of bytes in a body, or nothing if it ends before it should.
async fn count(mut body: Body) -> Option<u64> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let length = frame.ok()?.data_ref().map_or(0, bytes::Bytes::len);
        bytes += u64::try_from(length).ok()?;
    }
    Some(bytes)
}

/// Header fields as JSON: a value, or a list where a name came more than once.
fn listed(headers: &HeaderMap) -> Value {
    let fields = headers.keys().map(|name| {
        let mut values: Vec<Value> = texts(headers, name).map(Value::String).collect();
        let value = if values.len() == 1 {
            values.remove(0)
        } else {
            Value::Array(values)
        };
        (name.to_string(), value)
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

fn texts<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = String> + 'a {
    headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Whether the client names `text/html` and likes it no less than JSON (RFC 9110, section 12.5.1).
fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges: Vec<String> = texts(headers, &ACCEPT).collect();
    let weight = |kind: &str| {
        let parts = ranges.iter().flat_map(|value| value.split(','));
        let named = parts.filter_map(|range| {
            let mut parameters = range.split(';').map(str::trim);
            let matches = parameters.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
            let weight = parameters
                .find_map(|parameter| parameter.strip_prefix("q="))
                .map_or(Ok(1.0), str::parse::<f32>);
            matches.then_some(weight.unwrap_or(0.0))
        });
        named.fold(0.0_f32, f32::max)
    };
    let html = weight("text/html");
    html > 0.0 && html >= weight("application/json")
}

/// The page that a browser gets.
#[derive(Template)]
#[template(path = "demo_app.html")]
struct Page<'a> {
    app: &'a str,
    title: String,
    method: &'a str,
    target: &'a str,
    identity: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    body_bytes: u64,
}

impl<'a> Page<'a> {
    fn new(app: &'a str, method: &'a str, target: &'a str, headers: &HeaderMap, body_bytes: u64) -> Self {
        let identity = IDENTITY.iter().filter_map(|(label, name)| {
            let value = texts(headers, &HeaderName::from_static(name)).next()?;
            Some((*label, value))
        });
        let all = headers
            .keys()
            .flat_map(|name| texts(headers, name).map(|value| (name.to_string(), value)));
        let mut letters = app.chars();
        let title = letters
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(letters)
            .collect();
        Self {
            app,
            title,
            method,
            target,
            identity: identity.collect(),
            headers: all.collect(),
            body_bytes,
        }
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(page) => (
                [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")],
                Html(page),
            )
                .into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// What the gateway says of the user, by the label that the page shows.
const IDENTITY: [(&str, &str); 4] = [
    ("User", "x-latchkey-user"),
    ("E-mail", "x-latchkey-email"),
    ("Groups", "x-latchkey-groups"),
    ("Device", "x-latchkey-device"),
];

/// The page runs its own host's scripts, uses its own style and talks to its own host, and nothing else. The script that
/// renews the device's proof frames a page of the auth host, which this application does not know.
const POLICY: &str = "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src https:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = include_str!("demo_apps/app.js");
const STYLE: &str = include_str!("demo_apps/app.css");
const LARGEST_MESSAGE: usize = 1 << 20;

#[cfg(test)]
mod tests;
