//! How much may clients take up? What holds for all of them, and for one source or connection.

use std::time::Duration;

use super::check::{Checker, DAY, SECOND};
use super::raw::{RawHttp2Limits, RawLimits};
use super::values::{Expected, duration, limit, number};

/// How much clients may take up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest request body in bytes, where an application says nothing else; absent for no limit.
    pub(crate) body_limit: Option<u64>,
    /// How many octets of a body have to come each second, where an application says nothing else; absent for no limit.
    pub(crate) body_rate: Option<u64>,
    /// How long a connection may be idle between two requests.
    pub(crate) idle_timeout: Duration,
    /// How long a head may take from its first octet on.
    pub(crate) head_timeout: Duration,
    /// How long a client may take nothing of what it is sent.
    pub(crate) send_timeout: Duration,
    /// How large a head may be, in octets.
    pub(crate) head_limit: usize,
    /// How many connections may be open in all.
    pub(crate) connections: usize,
    /// How many of them from one source.
    pub(crate) connections_per_source: usize,
    /// How many requests may be under way in all.
    pub(crate) requests: usize,
    /// How many requests a source may make each second; absent for no limit.
    pub(crate) request_rate: Option<u32>,
    /// What one HTTP/2 connection may take up.
    pub(crate) http2: Http2Limits,
}

/// What one HTTP/2 connection may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Http2Limits {
    /// How many streams may be open.
    pub(crate) streams: u32,
    /// How many more requests may be given up by their client than end.
    pub(crate) given_up: usize,
    /// How many frames that carry nothing of a request may come each second, beside those that answers call for.
    pub(crate) control_frames: u32,
}

impl Limits {
    /// Those that are fixed for as long as the gateway runs.
    pub(crate) fn at_start(&self) -> Self {
        Self {
            body_limit: None,
            body_rate: None,
            requests: 0,
            request_rate: None,
            ..self.clone()
        }
    }

    pub(super) fn check(raw: &RawLimits, checker: &mut Checker<'_>) -> Option<Self> {
        let at = |name: &str| format!("limits.{name}");
        let body_limit = raw.body_limit.as_deref().unwrap_or("16MiB");
        let body_limit = checker.value(&at("body_limit"), body_limit, limit);
        let body_rate = raw.body_rate.as_deref().unwrap_or("500B");
        let body_rate = checker.value(&at("body_rate"), body_rate, limit);
        let idle = raw.idle_timeout.as_deref().unwrap_or("60s");
        let time = |text: &str| duration(SECOND..=DAY)(text);
        let idle_timeout = checker.value(&at("idle_timeout"), idle, time);
        let mut or_idle = |name: &str, text: &Option<String>| match text {
            Some(text) => checker.value(&at(name), text, time),
            None => idle_timeout,
        };
        let head_timeout = or_idle("head_timeout", &raw.head_timeout);
        let send_timeout = or_idle("send_timeout", &raw.send_timeout);
        let head_limit = raw.head_limit.as_deref().unwrap_or("64KiB");
        let head_limit = checker.value(&at("head_limit"), head_limit, head_size);
        let mut counted = |name: &str, text: &Option<String>, usual: &str| {
            checker.value(&at(name), text.as_deref().unwrap_or(usual), number(1..=MOST))
        };
        let connections = counted("max_connections", &raw.max_connections, "100000");
        let per_source = counted("max_connections_per_source", &raw.max_connections_per_source, "20000");
        let requests = counted("max_requests", &raw.max_requests, "100000");
        let request_rate = raw.request_rate_per_source.as_deref().unwrap_or("none");
        let request_rate = checker.value(&at("request_rate_per_source"), request_rate, rate);
        let http2 = Http2Limits::check(&raw.http2, checker);
        Some(Self {
            body_limit: body_limit?,
            body_rate: body_rate?,
            idle_timeout: idle_timeout?,
            head_timeout: head_timeout?,
            send_timeout: send_timeout?,
            head_limit: head_limit?,
            connections: connections?,
            connections_per_source: per_source?,
            requests: requests?,
            request_rate: request_rate?,
            http2: http2?,
        })
    }
}

impl Http2Limits {
    fn check(raw: &RawHttp2Limits, checker: &mut Checker<'_>) -> Option<Self> {
        let at = |name: &str| format!("limits.http2.{name}");
        let streams = raw.max_streams.as_deref().unwrap_or("100");
        let streams = checker.value(&at("max_streams"), streams, number(1..=MOST_STREAMS));
        let given_up = raw.max_given_up.as_deref().unwrap_or("200");
        let given_up = checker.value(&at("max_given_up"), given_up, number(1..=MOST));
        let frames = raw.control_frame_rate.as_deref().unwrap_or("100");
        let control_frames = checker.value(&at("control_frame_rate"), frames, number(1..=MOST_A_SECOND));
        Some(Self {
            streams: streams?,
            given_up: given_up?,
            control_frames: control_frames?,
        })
    }
}

/// A size that heads can have.
fn head_size(text: &str) -> Result<usize, Expected> {
    let size = limit(text).ok().flatten();
    let size = size.and_then(|size| usize::try_from(size).ok());
    size.filter(|size| (SMALLEST_HEAD..=LARGEST_HEAD).contains(size))
        .ok_or_else(|| Expected::new("a size from 8KiB to 1MiB"))
}

/// So many a second, or `none`.
fn rate(text: &str) -> Result<Option<u32>, Expected> {
    match text {
        "none" => Ok(None),
        _ => number(1..=MOST_A_SECOND)(text)
            .map(Some)
            .map_err(|Expected(what)| Expected(format!("{what}, or `none` for no limit"))),
    }
}

const MOST: usize = 10_000_000;
const MOST_STREAMS: u32 = 10_000;
const MOST_A_SECOND: u32 = 1_000_000;
const SMALLEST_HEAD: usize = 8 * 1024;
const LARGEST_HEAD: usize = 1024 * 1024;
