//! Where is an application, and how is it reached? By one server or several, plainly or over TLS with names that are verified.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::KeyPairFiles;
use super::check::{Checker, check_key_pair};
use super::hosts::HostName;
use super::raw::{RawCircuitBreaker, RawHealthCheck, RawUpstream};
use super::values::{Expected, duration, number, one_of};

/// The servers behind an application, and how they are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The servers; none where only proxies of others pass requests on.
    pub(crate) servers: Vec<Server>,
    /// Which of them gets the next request.
    pub(crate) balance: Balance,
    /// What they speak.
    pub(crate) protocol: Protocol,
    /// How they prove themselves; absent for plain HTTP.
    pub(crate) tls: Option<UpstreamTls>,
    /// How long connecting may take, TLS included.
    pub(crate) connect_timeout: Duration,
    /// How long a server may be silent while an answer is due.
    pub(crate) read_timeout: Duration,
    /// How long a server may take no more of a request.
    pub(crate) write_timeout: Duration,
    /// How often a request that failed may be tried again.
    pub(crate) retries: usize,
    /// How it is found out whether they are well, beside what becomes of requests.
    pub(crate) health_check: Option<HealthCheck>,
    /// When one of them gets no requests for a while, and how many at once it gets at most.
    pub(crate) breaker: CircuitBreaker,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// A host name, or an address without brackets; never empty.
    pub(crate) host: String,
    /// The port; never 0.
    pub(crate) port: u16,
    /// The name that is asked for and that its certificate must have: there exactly if it is spoken to over TLS.
    pub(crate) server_name: Option<HostName>,
}

/// Which server gets the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// The same for all requests of a user, or of an address where there is none.
    User,
}

/// What servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, which gRPC needs; without TLS by prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// How servers prove themselves, and the gateway to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamTls {
    /// The CAs that their chains may end in, PEM; without it those that the system trusts.
    pub(crate) ca: Option<PathBuf>,
    /// What the gateway shows where it is asked for a certificate.
    pub(crate) client_certificate: Option<KeyPairFiles>,
}

/// How servers are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// What a GET asks for; 200 to 299 say that all is well.
    pub(crate) path: http::Uri,
    /// How often.
    pub(crate) interval: Duration,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// After how many failures in a row a server is left out.
    pub(crate) unhealthy_after: u32,
    /// After how many successes in a row it is taken back.
    pub(crate) healthy_after: u32,
}

/// When a server gets no more requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CircuitBreaker {
    /// After how many faults in a row it is left out, where there are others.
    pub(crate) faults: u32,
    /// For how long; then one request tries it.
    pub(crate) open_for: Duration,
    /// How many requests it has under way at most.
    pub(crate) max_requests: Option<usize>,
}

impl Server {
    /// Its name and port, as in a URL.
    pub(crate) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

impl Upstream {
    pub(super) fn check(raw: Option<&RawUpstream>, key: &str, checker: &mut Checker<'_>) -> Option<Self> {
        let at = |name: &str| format!("{key}.{name}");
        let nothing = RawUpstream::default();
        let (raw, urls) = match raw {
            Some(raw) => (raw, check_urls(raw, key, checker)),
            None => (&nothing, Some(Vec::new())),
        };
        let secure = urls.as_ref().map(|urls| urls.iter().any(|(_, url)| url.secure));
        let tls = secure.and_then(|secure| check_tls(raw, secure, key, checker));
        let servers = urls.and_then(|urls| check_servers(raw, urls, key, checker));
        let balance = raw.balance.as_deref().unwrap_or("round_robin");
        let balance = checker.value(&at("balance"), balance, one_of(&BALANCES));
        let protocol = raw.protocol.as_deref().unwrap_or("http1");
        let protocol = checker.value(&at("protocol"), protocol, one_of(&PROTOCOLS));
        let connect = raw.connect_timeout.as_deref().unwrap_or("5s");
        let connect_timeout = checker.value(&at("connect_timeout"), connect, duration(SHORTEST..=LONGEST));
        let read = raw.read_timeout.as_deref().unwrap_or("60s");
        let read_timeout = checker.value(&at("read_timeout"), read, duration(SHORTEST..=LONGEST));
        let write = raw.write_timeout.as_deref().unwrap_or("60s");
        let write_timeout = checker.value(&at("write_timeout"), write, duration(SHORTEST..=LONGEST));
        let retries = raw.retries.as_deref().unwrap_or("1");
        let retries = checker.value(&at("retries"), retries, number(0..=MOST_RETRIES));
        let health_check = match &raw.health_check {
            Some(raw) => check_health(raw, &at("health_check"), checker).map(Some),
            None => Some(None),
        };
        let breaker = check_breaker(&raw.circuit_breaker, &at("circuit_breaker"), checker);
        Some(Self {
            servers: servers?,
            balance: balance?,
            protocol: protocol?,
            tls: tls?,
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            write_timeout: write_timeout?,
            retries: retries?,
            health_check: health_check?,
            breaker: breaker?,
        })
    }
}

struct ServerUrl {
    secure: bool,
    host: String,
    named: bool,
    port: u16,
}

/// The URLs, each with its key: one scheme for all, none twice.
fn check_urls(raw: &RawUpstream, key: &str, checker: &mut Checker<'_>) -> Option<Vec<(String, ServerUrl)>> {
    let written: Vec<(String, &String)> = match (&raw.url, raw.urls.as_slice()) {
        (Some(url), []) => vec![(format!("{key}.url"), url)],
        (None, [_, ..]) => (raw.urls.iter().enumerate())
            .map(|(index, url)| (format!("{key}.urls[{index}]"), url))
            .collect(),
        _ => {
            checker.refuse(
                key,
                "expected either `url`, or `urls` with one item at least".to_owned(),
            );
            return None;
        }
    };
    let read = written.into_iter().map(|(key, text)| {
        let url = checker.value(&key, text, server_url);
        url.map(|url| (key, url))
    });
    let urls = read.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    let mut fit = true;
    for (index, (key, url)) in urls.iter().enumerate() {
        let earlier = urls.get(..index).unwrap_or_default();
        if earlier.iter().any(|(_, earlier)| earlier.secure != url.secure) {
            checker.refuse(key, "expected the same scheme for all servers".to_owned());
            fit = false;
        }
        if earlier
            .iter()
            .any(|(_, earlier)| (&earlier.host, earlier.port) == (&url.host, url.port))
        {
            checker.refuse(key, "expected each server once".to_owned());
            fit = false;
        }
    }
    fit.then_some(urls)
}

/// Each server, with the name that it must have if TLS is spoken.
fn check_servers(
    raw: &RawUpstream,
    urls: Vec<(String, ServerUrl)>,
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<Vec<Server>> {
    let common = match (&raw.server_name, urls.iter().any(|(_, url)| url.secure)) {
        (Some(name), true) => Some(checker.value(&format!("{key}.server_name"), name, HostName::parse)?),
        _ => None,
    };
    let servers = urls.into_iter().map(|(url_key, url)| {
        let server_name = match (url.secure, &common) {
            (false, _) => None,
            (true, Some(name)) => Some(name.clone()),
            (true, None) if url.named => Some(checker.value(&url_key, &url.host, HostName::parse)?),
            (true, None) => {
                let message = "expected a `server_name` that the certificate has, because the URL has an address";
                checker.refuse(key, message.to_owned());
                return None;
            }
        };
        Some(Server {
            host: url.host,
            port: url.port,
            server_name,
        })
    });
    servers.collect::<Vec<_>>().into_iter().collect()
}

/// The outer option is empty after a problem, the inner one for plain HTTP.
fn check_tls(raw: &RawUpstream, secure: bool, key: &str, checker: &mut Checker<'_>) -> Option<Option<UpstreamTls>> {
    if !secure {
        let given = [
            ("server_name", raw.server_name.is_some()),
            ("ca", raw.ca.is_some()),
            ("client_certificate", raw.client_certificate.is_some()),
        ];
        for (name, _) in given.iter().filter(|(_, given)| *given) {
            checker.refuse(&format!("{key}.{name}"), "expected only with an https URL".to_owned());
        }
        return Some(None);
    }
    let ca = match &raw.ca {
        Some(file) => checker.file(&format!("{key}.ca"), file).map(Some),
        None => Some(None),
    };
    let client_certificate = match &raw.client_certificate {
        Some(pair) => check_key_pair(pair, &format!("{key}.client_certificate"), checker).map(Some),
        None => Some(None),
    };
    Some(Some(UpstreamTls {
        ca: ca?,
        client_certificate: client_certificate?,
    }))
}

fn check_health(raw: &RawHealthCheck, key: &str, checker: &mut Checker<'_>) -> Option<HealthCheck> {
    let at = |name: &str| format!("{key}.{name}");
    let path = checker.value(&at("path"), &raw.path, |text| {
        let path = text.parse::<http::Uri>().ok();
        let path = path.filter(|path| text.starts_with('/') && path.authority().is_none());
        path.ok_or_else(|| Expected::new("a path such as /healthz, with or without a query"))
    });
    let interval = raw.interval.as_deref().unwrap_or("5s");
    let interval = checker.value(&at("interval"), interval, duration(SHORTEST_INTERVAL..=LONGEST));
    let timeout = raw.timeout.as_deref().unwrap_or("2s");
    let timeout = checker.value(&at("timeout"), timeout, duration(SHORTEST..=LONGEST));
    let unhealthy_after = raw.unhealthy_after.as_deref().unwrap_or("3");
    let unhealthy_after = checker.value(&at("unhealthy_after"), unhealthy_after, number(1..=MOST_IN_A_ROW));
    let healthy_after = raw.healthy_after.as_deref().unwrap_or("2");
    let healthy_after = checker.value(&at("healthy_after"), healthy_after, number(1..=MOST_IN_A_ROW));
    Some(HealthCheck {
        path: path?,
        interval: interval?,
        timeout: timeout?,
        unhealthy_after: unhealthy_after?,
        healthy_after: healthy_after?,
    })
}

fn check_breaker(raw: &RawCircuitBreaker, key: &str, checker: &mut Checker<'_>) -> Option<CircuitBreaker> {
    let at = |name: &str| format!("{key}.{name}");
    let faults = raw.faults.as_deref().unwrap_or("5");
    let faults = checker.value(&at("faults"), faults, number(1..=MOST_IN_A_ROW));
    let open_for = raw.open_for.as_deref().unwrap_or("10s");
    let open_for = checker.value(&at("open_for"), open_for, duration(SHORTEST..=LONGEST));
    let max_requests = checker.optional(
        &at("max_requests"),
        raw.max_requests.as_deref(),
        number(1..=MOST_REQUESTS),
    );
    Some(CircuitBreaker {
        faults: faults?,
        open_for: open_for?,
        max_requests: max_requests?,
    })
}

fn server_url(text: &str) -> Result<ServerUrl, Expected> {
    let expected = || Expected::new("http://host:port or https://host:port and nothing else");
    // The URL standard repairs backslashes, white space and missing slashes: a configuration is not to rely on that.
    let written = |scheme| text.strip_prefix(scheme).is_some_and(|rest| rest.bytes().all(is_plain));
    let secure = written("https://");
    let url = Url::parse(text)
        .ok()
        .filter(|_| secure || written("http://"))
        .ok_or_else(expected)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err(expected());
    }
    let (host, named) = match url.host().ok_or_else(expected)? {
        Host::Domain(name) => (name.to_owned(), true),
        Host::Ipv4(address) => (address.to_string(), false),
        Host::Ipv6(address) => (address.to_string(), false),
    };
    let port = url
        .port_or_known_default()
        .filter(|port| *port != 0)
        .ok_or_else(expected)?;
    Ok(ServerUrl {
        secure,
        host,
        named,
        port,
    })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// The shortest time that may be set.
pub(super) const SHORTEST: Duration = Duration::from_millis(10);
/// The longest one.
pub(super) const LONGEST: Duration = Duration::from_hours(1);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const MOST_RETRIES: usize = 5;
const MOST_IN_A_ROW: u32 = 1_000;
const MOST_REQUESTS: usize = 1_000_000;

const BALANCES: [(&str, Balance); 3] = [
    ("round_robin", Balance::RoundRobin),
    ("least_connections", Balance::LeastConnections),
    ("user", Balance::User),
];

const PROTOCOLS: [(&str, Protocol); 2] = [("http1", Protocol::Http1), ("http2", Protocol::Http2)];
