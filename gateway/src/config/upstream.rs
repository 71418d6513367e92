//! Where is an application, and how is it reached? Plainly, or over TLS with a name that is verified.

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::check::Checker;
use super::hosts::HostName;
use super::raw::RawUpstream;
use super::values::{Expected, duration};

/// The one server behind an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// A host name, or an address without brackets; never empty.
    pub(crate) host: String,
    /// The port; never 0.
    pub(crate) port: u16,
    /// How the server proves itself; absent for plain HTTP.
    pub(crate) tls: Option<UpstreamTls>,
    /// How long connecting may take, TLS included.
    pub(crate) connect_timeout: Duration,
    /// How long the server may be silent while an answer is due.
    pub(crate) read_timeout: Duration,
    /// How long the server may take no more of a request.
    pub(crate) write_timeout: Duration,
}

/// How a server behind the gateway proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamTls {
    /// The name that is asked for and that its certificate must have.
    pub(crate) server_name: HostName,
    /// The CAs that its chain may end in, PEM; without it those that the system trusts.
    pub(crate) ca: Option<PathBuf>,
}

impl Upstream {
    pub(super) fn check(raw: &RawUpstream, key: &str, checker: &mut Checker<'_>) -> Option<Self> {
        let at = |name: &str| format!("{key}.{name}");
        let url = checker.value(&at("url"), &raw.url, server_url);
        let tls = url.as_ref().and_then(|url| check_tls(raw, url, key, checker));
        let connect = raw.connect_timeout.as_deref().unwrap_or("5s");
        let connect_timeout = checker.value(&at("connect_timeout"), connect, duration(SHORTEST..=LONGEST));
        let read = raw.read_timeout.as_deref().unwrap_or("60s");
        let read_timeout = checker.value(&at("read_timeout"), read, duration(SHORTEST..=LONGEST));
        let write = raw.write_timeout.as_deref().unwrap_or("60s");
        let write_timeout = checker.value(&at("write_timeout"), write, duration(SHORTEST..=LONGEST));
        let ServerUrl { host, port, .. } = url?;
        Some(Self {
            host,
            port,
            tls: tls?,
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            write_timeout: write_timeout?,
        })
    }
}

struct ServerUrl {
    secure: bool,
    host: String,
    named: bool,
    port: u16,
}

/// The outer option is empty after a problem, the inner one for plain HTTP.
fn check_tls(raw: &RawUpstream, url: &ServerUrl, key: &str, checker: &mut Checker<'_>) -> Option<Option<UpstreamTls>> {
    let (name_key, ca_key) = (format!("{key}.server_name"), format!("{key}.ca"));
    if !url.secure {
        for (key, _) in [(name_key, &raw.server_name), (ca_key, &raw.ca)]
            .iter()
            .filter(|(_, text)| text.is_some())
        {
            checker.refuse(key, "expected only with an https URL".to_owned());
        }
        return Some(None);
    }
    let server_name = match &raw.server_name {
        Some(name) => checker.value(&name_key, name, HostName::parse),
        None if url.named => checker.value(&format!("{key}.url"), &url.host, HostName::parse),
        None => {
            let message = "expected a `server_name` that the certificate has, because the URL has an address";
            checker.refuse(key, message.to_owned());
            None
        }
    };
    let ca = match &raw.ca {
        Some(file) => checker.file(&ca_key, file).map(Some),
        None => Some(None),
    };
    Some(Some(UpstreamTls {
        server_name: server_name?,
        ca: ca?,
    }))
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

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_hours(1);
