//! What does somebody get who takes traces and metrics by OTLP? A server of the test's that decodes what is sent to it.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::process::until;
use crate::upstream::{Received, Reply, Upstream};

/// A collector.
pub struct Collector(Upstream);

impl Default for Collector {
    fn default() -> Self {
        Self::start()
    }
}

impl Collector {
    /// Takes everything.
    pub fn start() -> Self {
        let taken = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        Self(Upstream::start(|_| Reply::Send(taken.to_vec())))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Everything that was sent so far.
    pub fn received(&self) -> Vec<Received> {
        self.0.received()
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        let messages = self.messages::<ExportTraceServiceRequest>("/v1/traces");
        let resources = messages.into_iter().flat_map(|message| message.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The metrics of the last message, and whose they are.
    pub fn metrics(&self) -> Option<(Resource, Vec<Metric>)> {
        let last = self.messages::<ExportMetricsServiceRequest>("/v1/metrics").pop()?;
        let resource = last.resource_metrics.into_iter().next()?;
        let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        Some((resource.resource.clone()?, metrics.collect()))
    }

    /// Waits for the spans of the trace whose server's span is of this path: that one first.
    ///
    /// # Panics
    /// When there are none in time.
    pub fn trace_of(&self, path: &str) -> Vec<Span> {
        let root = |spans: &[Span]| {
            spans
                .iter()
                .find(|span| text(&span.attributes, "url.path") == path)
                .cloned()
        };
        assert!(until(DEADLINE, || root(&self.spans()).is_some()), "no span of {path}");
        let spans = self.spans();
        let root = root(&spans).unwrap();
        let below = spans.into_iter().filter(|span| span.parent_span_id == root.span_id);
        std::iter::once(root.clone()).chain(below).collect()
    }

    fn messages<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let received = self.received().into_iter().filter(|received| received.target() == path);
        received
            .map(|received| M::decode(received.body.as_slice()).unwrap())
            .collect()
    }
}

/// What an attribute says, empty where there is none.
pub fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

const DEADLINE: Duration = Duration::from_secs(15);
