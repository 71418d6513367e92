//! How do traces and metrics leave? By a thread of their own, from a queue that requests never wait for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};
use url::Url;
use zeroize::Zeroizing;

use super::context::RANDOM;
use super::exposition::{self, Span};
use super::request::Recorded;
use super::wire;
use crate::clock::Clock;
use crate::config::Otlp;
use crate::operations::Operations;
use crate::private_file::{self, PrivateFileError};

/// Where requests hand over what was recorded of them.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    queue: mpsc::Sender<Queued>,
    /// Traces whose number lies below this are recorded.
    pub(super) threshold: u64,
    /// Whether users are named.
    pub(super) names_users: bool,
}

#[derive(Debug)]
enum Queued {
    Request(Box<Recorded>),
    /// Asks for all that came before to be sent.
    Flush(oneshot::Sender<()>),
}

/// Sends what was handed over.
pub(crate) struct Exporter {
    queue: mpsc::Receiver<Queued>,
    client: reqwest::Client,
    headers: HeaderMap,
    traces: Url,
    metrics: Url,
    interval: Duration,
    resource: Resource,
}

/// Says why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExporterError {
    /// The file of header fields cannot be read.
    #[error("telemetry.otlp.headers_file")]
    File(#[source] PrivateFileError),
    /// A line of it is no header field.
    #[error("telemetry.otlp.headers_file: expected `name: value` in line {line}")]
    Field {
        /// Which line, counted from 1.
        line: usize,
    },
    /// There can be no client.
    #[error("telemetry.otlp: setting up HTTP")]
    Client(#[source] reqwest::Error),
}

impl Telemetry {
    /// Makes both ends; nothing is sent before the exporter runs.
    ///
    /// # Errors
    /// If the file with header fields is not as expected.
    pub(crate) fn new(otlp: &Otlp, instance: u128) -> Result<(Self, Exporter), ExporterError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let at = |path: &str| {
            let mut url = otlp.endpoint.clone();
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}{path}"));
            url
        };
        let exporter = Exporter {
            queue,
            client: client.map_err(ExporterError::Client)?,
            headers: headers(otlp)?,
            traces: at("/v1/traces"),
            metrics: at("/v1/metrics"),
            interval: otlp.metrics_interval,
            resource: wire::resource(instance),
        };
        let telemetry = Self {
            queue: sender,
            // 1 is all of them.
            threshold: ((RANDOM + 1) as f64 * otlp.sample_ratio) as u64,
            names_users: otlp.names_users,
        };
        Ok((telemetry, exporter))
    }

    /// Takes a request over, or counts it as lost where there is no room.
    pub(super) fn hand_over(&self, request: Box<Recorded>) {
        if self.queue.try_send(Queued::Request(request)).is_err() {
            count("lost", 1);
        }
    }

    /// Waits until all that was handed over is sent, for a moment at most.
    pub(crate) async fn flush(&self) {
        let (sent, is_sent) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Queued::Flush(sent)).await.is_ok() {
                let _ = is_sent.await;
            }
        };
        let _ = tokio::time::timeout(LAST_MOMENT, flushed).await;
    }
}

fn headers(otlp: &Otlp) -> Result<HeaderMap, ExporterError> {
    let mut headers = HeaderMap::new();
    if let Some(file) = &otlp.headers_file {
        let text = Zeroizing::new(private_file::read(file).map_err(ExporterError::File)?);
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let (name, value) = text.split_once(':').ok_or(ExporterError::Field { line })?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| ExporterError::Field { line })?;
            let mut value = HeaderValue::try_from(value.trim()).map_err(|_| ExporterError::Field { line })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(headers)
}

impl Exporter {
    /// Runs in a thread of its own for as long as the process does.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn start(self, operations: Operations, clock: Arc<Clock>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("otlp".to_owned());
        thread
            .spawn(move || runtime.block_on(self.run(operations, clock)))
            .map(drop)
    }

    /// Sends an empty message of traces, which every collector takes (OTLP, "Full Success").
    ///
    /// # Errors
    /// If it is not taken.
    pub(crate) async fn try_out(&self) -> Result<(), reqwest::Error> {
        self.post(&self.traces, Bytes::new()).await
    }

    async fn run(mut self, operations: Operations, clock: Arc<Clock>) {
        let since = nanoseconds(&clock);
        let mut timer = tokio::time::interval(self.interval);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut queued = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                count = self.queue.recv_many(&mut queued, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.send_requests(&mut queued).await;
                }
                _ = timer.tick() => {
                    let span = Span { since, now: nanoseconds(&clock) };
                    let message = exposition::metrics(&self.resource, &operations.exposition(), span);
                    let sent = self.send(&self.metrics, &message).await;
                    note("metrics", &sent);
                }
            }
        }
    }

    /// Sends what has come together, and says so to whoever waits for it.
    async fn send_requests(&mut self, queued: &mut Vec<Queued>) {
        if queued.len() < BATCH && !queued.iter().any(|queued| matches!(queued, Queued::Flush(_))) {
            // Few requests: what comes shortly after goes along.
            let _ = tokio::time::timeout(GATHERED, self.fill(queued)).await;
        }
        let (mut requests, mut waiting) = (Vec::with_capacity(queued.len()), Vec::new());
        for queued in queued.drain(..) {
            match queued {
                Queued::Request(request) => requests.push(request),
                Queued::Flush(sent) => waiting.push(sent),
            }
        }
        if !requests.is_empty() {
            let sent = self.send(&self.traces, &wire::traces(&self.resource, &requests)).await;
            note("traces", &sent);
            count(if sent.is_ok() { "sent" } else { "failed" }, requests.len());
        }
        for sent in waiting {
            let _ = sent.send(());
        }
    }

    /// Takes more until there is enough for a message, or somebody waits.
    async fn fill(&mut self, queued: &mut Vec<Queued>) {
        while queued.len() < BATCH {
            match self.queue.recv().await {
                Some(flush @ Queued::Flush(_)) => return queued.push(flush),
                Some(request) => queued.push(request),
                None => return,
            }
        }
    }

    /// Sends a message; once more if the first time nobody was there or could take it.
    async fn send(&self, url: &Url, message: &impl Message) -> Result<(), reqwest::Error> {
        let body = Bytes::from(message.encode_to_vec());
        match self.post(url, body.clone()).await {
            Err(error) if may_pass(&error) => {
                tokio::time::sleep(BETWEEN).await;
                self.post(url, body).await
            }
            outcome => outcome,
        }
    }

    async fn post(&self, url: &Url, body: Bytes) -> Result<(), reqwest::Error> {
        let request = self.client.post(url.clone()).headers(self.headers.clone()).body(body);
        request.send().await?.error_for_status().map(drop)
    }
}

/// Whether it may be otherwise in a moment (OTLP, "Retryable Response Codes").
fn may_pass(error: &reqwest::Error) -> bool {
    error
        .status()
        .is_none_or(|status| matches!(status.as_u16(), 429 | 502 | 503 | 504))
}

fn note(what: &'static str, sent: &Result<(), reqwest::Error>) {
    let outcome = match sent {
        Ok(()) => "sent",
        Err(_) => "failed",
    };
    metrics::counter!("latchkey_telemetry_messages_total", "what" => what, "outcome" => outcome).increment(1);
    match sent {
        Ok(()) => debug!(what, "sent by OTLP"),
        Err(error) => warn!(what, error = %crate::logs::Chain(error), "cannot be sent by OTLP"),
    }
}

fn count(outcome: &'static str, requests: usize) {
    let requests = u64::try_from(requests).unwrap_or(u64::MAX);
    metrics::counter!("latchkey_traces_total", "outcome" => outcome).increment(requests);
}

fn nanoseconds(clock: &Clock) -> u64 {
    u64::try_from(clock.now().millis())
        .unwrap_or_default()
        .saturating_mul(1_000_000)
}

/// How many recorded requests may wait to be sent.
const QUEUE: usize = 8192;

/// How many leave in one message.
const BATCH: usize = 512;

/// How long others are waited for.
const GATHERED: Duration = Duration::from_millis(500);

/// How long a message may take, and how long it is waited before it is sent again.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_secs(1);

/// How long the process waits at its end.
const LAST_MOMENT: Duration = Duration::from_secs(2);
