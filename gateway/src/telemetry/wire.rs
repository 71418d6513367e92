//! How does a recorded request look in OTLP? A span of the server's, one for its decision, one for each server it went to.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Outcome;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::request::{Decided, Recorded, Try, What};

/// Puts requests into one message.
pub(super) fn traces(resource: &Resource, requests: &[Box<Recorded>]) -> ExportTraceServiceRequest {
    let spans = requests.iter().flat_map(|request| spans(request)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// Which gateway speaks.
pub(super) fn resource(instance: u128) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "latchkey"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", format!("{instance:032x}")),
        ],
        ..Resource::default()
    }
}

/// Which part of it.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "latchkey".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// An attribute.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn spans(request: &Recorded) -> Vec<Span> {
    let mut spans = vec![server_span(request)];
    spans.extend(request.decision.as_ref().map(|decided| decide_span(request, decided)));
    spans.extend(request.tries.iter().map(|tried| client_span(request, tried)));
    spans
}

fn server_span(request: &Recorded) -> Span {
    let mut attributes = vec![text("url.scheme", "https")];
    attributes.extend(request.what.iter().flat_map(what));
    attributes.extend(request.decision.iter().flat_map(decision));
    attributes.extend(request.user.map(|user| text("enduser.id", user.to_string())));
    attributes.extend(
        request
            .status
            .map(|status| number("http.response.status_code", status.as_u16())),
    );
    attributes.extend((!request.whole).then(|| text("error.type", "cut")));
    let failed = !request.whole || request.status.is_some_and(|status| status.is_server_error());
    Span {
        parent_span_id: request
            .context
            .parent
            .map_or_else(Vec::new, |parent| parent.to_be_bytes().to_vec()),
        trace_state: request
            .context
            .state
            .as_ref()
            .and_then(|state| state.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        attributes,
        status: outcome(failed),
        ..part(
            request,
            method_of(request),
            SpanKind::Server,
            request.span,
            Duration::ZERO,
            request.took,
        )
    }
}

fn what(what: &What) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("http.request.method", known(what.method.as_str())),
        text("url.path", what.path.as_str()),
        text("server.address", what.host.as_str()),
        text("latchkey.application", what.site.as_str()),
        text("latchkey.request_id", what.request.as_str()),
    ];
    if known(what.method.as_str()) != what.method.as_str() {
        attributes.push(text("http.request.method_original", what.method.as_str()));
    }
    attributes
}

fn decision(decided: &Decided) -> [KeyValue; 2] {
    let word = if decided.allowed { "allow" } else { "deny" };
    [text("latchkey.decision", word), text("latchkey.code", decided.code)]
}

fn decide_span(request: &Recorded, decided: &Decided) -> Span {
    Span {
        parent_span_id: request.span.to_be_bytes().to_vec(),
        attributes: decision(decided).into(),
        ..part(
            request,
            "decide",
            SpanKind::Internal,
            rand::random::<u64>().max(1),
            decided.after,
            decided.took,
        )
    }
}

fn client_span(request: &Recorded, tried: &Try) -> Span {
    let mut attributes = vec![
        text("http.request.method", method_of(request)),
        text("server.address", tried.host.as_str()),
        number("server.port", tried.port),
    ];
    attributes.extend(
        tried
            .status
            .map(|status| number("http.response.status_code", status.as_u16())),
    );
    attributes.extend(tried.status.is_none().then(|| text("error.type", "no-answer")));
    let failed = tried
        .status
        .is_none_or(|status| status.is_client_error() || status.is_server_error());
    let took = tried.took.unwrap_or_default();
    Span {
        parent_span_id: request.span.to_be_bytes().to_vec(),
        attributes,
        status: outcome(failed),
        ..part(
            request,
            method_of(request),
            SpanKind::Client,
            tried.span,
            tried.after,
            took,
        )
    }
}

/// What every span has.
fn part(request: &Recorded, name: &str, kind: SpanKind, span: u64, after: Duration, took: Duration) -> Span {
    let began = u64::try_from(request.began.millis())
        .unwrap_or_default()
        .saturating_mul(1_000_000);
    let start = began.saturating_add(nanoseconds(after));
    Span {
        trace_id: request.context.trace.to_be_bytes().to_vec(),
        span_id: span.to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: kind.into(),
        flags: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(nanoseconds(took)),
        ..Span::default()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn outcome(failed: bool) -> Option<Status> {
    failed.then(|| Status {
        code: Outcome::Error.into(),
        ..Status::default()
    })
}

fn method_of(request: &Recorded) -> &str {
    request.what.as_ref().map_or("HTTP", |what| known(what.method.as_str()))
}

/// Methods have to be few: others go by one name (OpenTelemetry's semantic conventions for HTTP).
fn known(method: &str) -> &str {
    match METHODS.contains(&method) {
        true => method,
        false => "_OTHER",
    }
}

const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];
