//! Who takes traces and metrics, and how much of them?

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::check::Checker;
use super::raw::{RawOtlp, RawTelemetry};
use super::values::{Expected, duration, one_of};

/// Who takes traces and metrics by OTLP over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Otlp {
    /// Where `/v1/traces` and `/v1/metrics` are below.
    pub(crate) endpoint: Url,
    /// Header fields for it, which may be secret.
    pub(crate) headers_file: Option<PathBuf>,
    /// How many of the traces that begin here are recorded, 0 to 1.
    pub(crate) sample_ratio: f64,
    /// How often metrics are sent.
    pub(crate) metrics_interval: Duration,
    /// Whether spans name users, by their ids.
    pub(crate) names_users: bool,
}

pub(super) fn check_telemetry(raw: &RawTelemetry, checker: &mut Checker<'_>) -> Option<Option<Otlp>> {
    raw.otlp
        .as_ref()
        .map_or(Some(None), |otlp| check_otlp(otlp, checker).map(Some))
}

fn check_otlp(raw: &RawOtlp, checker: &mut Checker<'_>) -> Option<Otlp> {
    let at = |name: &str| format!("telemetry.otlp.{name}");
    let endpoint = checker.value(&at("endpoint"), &raw.endpoint, endpoint);
    let protocol = raw.protocol.as_deref().unwrap_or("http/protobuf");
    let protocol = checker.value(&at("protocol"), protocol, one_of(&[("http/protobuf", ())]));
    let headers_file = raw.headers_file.as_deref();
    let headers_file = headers_file.map_or(Some(None), |file| checker.file(&at("headers_file"), file).map(Some));
    let ratio = raw.sample_ratio.as_deref().unwrap_or("1");
    let ratio = checker.value(&at("sample_ratio"), ratio, ratio_of);
    let interval = raw.metrics_interval.as_deref().unwrap_or("60s");
    let interval = checker.value(&at("metrics_interval"), interval, duration(SHORTEST..=LONGEST));
    let users = raw.users.as_deref().unwrap_or("none");
    let users = checker.value(&at("users"), users, one_of(&[("none", false), ("id", true)]));
    let (endpoint, headers_file) = (endpoint?, headers_file?);
    if headers_file.is_some() && endpoint.scheme() == "http" && !is_this_machine(&endpoint) {
        let expected = "expected https: the header fields would cross the network in clear";
        checker.refuse(&at("endpoint"), expected.to_owned());
        return None;
    }
    protocol?;
    Some(Otlp {
        endpoint,
        headers_file,
        sample_ratio: ratio?,
        metrics_interval: interval?,
        names_users: users?,
    })
}

fn endpoint(text: &str) -> Result<Url, Expected> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let plain = url.filter(|url| {
        url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    plain.ok_or_else(|| Expected::new("a URL such as http://127.0.0.1:4318 or https://otlp.example.com"))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

fn ratio_of(text: &str) -> Result<f64, Expected> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let ratio = text.parse().ok().filter(|ratio| digits && (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| Expected::new("a number from 0 to 1, such as 0.1"))
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
