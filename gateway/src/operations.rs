//! How does an operator see how it goes? Metrics, liveness and readiness on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::drain::OpenConnections;
use crate::live::LiveRequests;

/// What the operations listener answers with.
#[derive(Clone)]
pub(crate) struct Operations {
    /// Renders the metrics.
    pub(crate) metrics: PrometheusHandle,
    /// The requests under way.
    pub(crate) live: Arc<LiveRequests>,
    /// The connections that are open.
    pub(crate) open: OpenConnections,
    /// Whether requests are accepted.
    pub(crate) ready: Arc<AtomicBool>,
}

/// The routes: `/metrics` (Prometheus text format), `/healthz` and `/readyz`.
pub(crate) fn router(operations: Operations) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(operations)
}

impl Operations {
    /// All metrics as of now, in Prometheus' text format.
    pub(crate) fn exposition(&self) -> String {
        let open = u32::try_from(self.open.count()).unwrap_or(u32::MAX);
        metrics::gauge!("latchkey_connections").set(open);
        metrics::gauge!("latchkey_live_requests").set(u32::try_from(self.live.len()).unwrap_or(u32::MAX));
        self.metrics.render()
    }
}

async fn render(State(operations): State<Operations>) -> String {
    operations.exposition()
}

async fn ready(State(operations): State<Operations>) -> impl IntoResponse {
    if operations.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Says what the metrics mean.
pub(crate) fn describe() {
    metrics::describe_gauge!("latchkey_connections", "Connections that are open.");
    metrics::describe_gauge!("latchkey_live_requests", "Requests under way.");
    metrics::describe_histogram!(
        "latchkey_decision_seconds",
        metrics::Unit::Seconds,
        "Time to a decision, from the request's head."
    );
    metrics::describe_counter!("latchkey_decisions_total", "Decisions by code; `allowed` passes.");
    metrics::describe_counter!(
        "latchkey_cuts_total",
        "Requests under way that were cut because their decision turned."
    );
    metrics::describe_gauge!(
        "latchkey_upstream_servers",
        "Servers of an application that get requests at present."
    );
    metrics::describe_counter!(
        "latchkey_upstream_faults_total",
        "Requests whose server could not be reached or broke off."
    );
    metrics::describe_counter!("latchkey_upstream_retries_total", "Requests sent to another server.");
    metrics::describe_counter!("latchkey_handshakes_total", "TLS handshakes by outcome.");
    metrics::describe_counter!(
        "latchkey_clients_let_go_total",
        "Clients that were let go because of what they did, by why."
    );
    metrics::describe_counter!(
        "latchkey_reloads_total",
        "Reloads by what and outcome; `kept` means the last good one stays."
    );
    metrics::describe_gauge!(
        "latchkey_policies_stale",
        "1 while the policy files on disk are not fit and older ones decide."
    );
    metrics::describe_counter!(
        "latchkey_decision_log_waits_total",
        "Times that a request waited for the decision log."
    );
    metrics::describe_counter!(
        "latchkey_decision_log_errors_total",
        "Failed writes to the decision log."
    );
    metrics::describe_counter!(
        "latchkey_mails_total",
        "Letters by outcome: `sent`, `failed`, `lost` (no room or no time), `capped` (too many for one user)."
    );
    metrics::describe_counter!("latchkey_enrollments_total", "Enrolments by outcome.");
    metrics::describe_counter!("latchkey_sign_ins_total", "Sign-ins by outcome.");
    metrics::describe_counter!("latchkey_pushes_total", "Pushes by outcome.");
    metrics::describe_counter!(
        "latchkey_phishing_declined_total",
        "Challenges that a foreign page handed to a device or a security key."
    );
    metrics::describe_counter!(
        "latchkey_traces_total",
        "Recorded requests by outcome: `sent`, `failed`, `lost` (no room in the queue)."
    );
    metrics::describe_counter!(
        "latchkey_telemetry_messages_total",
        "Messages by OTLP, by what and outcome."
    );
    metrics::describe_gauge!("latchkey_sessions", "Sessions that live.");
    metrics::describe_gauge!("latchkey_connected_agents", "Agents that can be asked by push.");
    // There before anything happens, so that the first time is an increase.
    for name in ALERTED {
        metrics::counter!(name).absolute(0);
    }
    metrics::gauge!("latchkey_policies_stale").set(0.0);
}

/// What operators are told to alert on.
const ALERTED: [&str; 3] = [
    "latchkey_phishing_declined_total",
    "latchkey_decision_log_errors_total",
    "latchkey_decision_log_waits_total",
];
