//! What do others see of requests while they pass? Traces and metrics by OTLP, where the configuration names who takes them.

mod context;
mod export;
mod exposition;
mod request;
mod wire;

pub(crate) use export::{Exporter, ExporterError, Telemetry};
pub(crate) use request::{ALLOWED, Traced};
