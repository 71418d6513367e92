//! How does an operator see how it goes? Metrics, liveness and readiness on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::live::LiveRequests;

/// What the operations listener answers with.
#[derive(Clone)]
pub(crate) struct Operations {
    /// Renders the metrics.
    pub(crate) metrics: PrometheusHandle,
    /// The requests under way.
    pub(crate) live: Arc<LiveRequests>,
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

async fn render(State(operations): State<Operations>) -> String {
    metrics::gauge!("latchkey_live_requests").set(u32::try_from(operations.live.len()).unwrap_or(u32::MAX));
    operations.metrics.render()
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
    metrics::describe_counter!("latchkey_enrollments_total", "Refused enrolments by outcome.");
}
