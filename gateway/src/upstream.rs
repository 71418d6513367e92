//! Where is an application, and how is it reached? Only a permit tells.

mod budget;
pub(crate) mod health;
mod pool;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

pub(crate) use self::pool::{Place, Pool};
use crate::config::{Protocol, Server};
use crate::polite::PoliteConnect;
use crate::request::{Arrived, Permit};
use crate::setup::Served;

/// Finds the addresses of upstreams, and keeps them for a short while.
pub(crate) struct Upstreams {
    addresses: Cache<(String, u16), SocketAddr>,
}

/// How long an address is kept before the name is asked for again.
const KEPT: Duration = Duration::from_secs(10);

impl Upstreams {
    /// Knows no address yet.
    pub(crate) fn new() -> Self {
        Self {
            addresses: Cache::builder().max_capacity(1_000).time_to_live(KEPT).build(),
        }
    }

    /// The server that a permitted request goes to next, and its place there.
    ///
    /// # Errors
    /// If its name does not resolve, or each server has as many requests as it may have.
    pub(crate) async fn peer(
        &self,
        permit: &Permit,
        arrived: &Arrived,
        been_at: &[usize],
    ) -> pingora::Result<(Box<HttpPeer>, Place)> {
        let served = permit.served();
        let chosen = served.servers.choose(who(permit, arrived), been_at, Instant::now());
        let place = chosen.map_err(|full| Error::explain(FULL, full.to_string()).into_up())?;
        let address = self.address(place.server()).await?;
        let mut peer = peer_of(served, place.server(), address);
        if let Some(treatment) = &arrived.treatment {
            // A server that is silent for all the time that a request may take has taken too long.
            let most = treatment.total_timeout.unwrap_or(Duration::MAX);
            peer.options.read_timeout = Some(treatment.read_timeout.min(most));
            peer.options.write_timeout = Some(treatment.write_timeout.min(most));
        }
        if arrived.websocket || arrived.event_stream {
            // Those may be silent for long; keepalive notices a peer that is gone.
            peer.options.read_timeout = None;
        }
        if arrived.websocket {
            peer.options.custom_l4 = Some(Arc::new(PoliteConnect));
            peer.options.set_http_version(1, 1);
            // Only a connection made here will do, none that others have left.
            peer.group_key |= 1 << 63;
        }
        Ok((Box::new(peer), place))
    }

    async fn address(&self, server: &Server) -> pingora::Result<SocketAddr> {
        if let Ok(address) = server.host.parse() {
            return Ok(SocketAddr::new(address, server.port));
        }
        let key = (server.host.clone(), server.port);
        self.addresses
            .try_get_with(key, resolve(server))
            .await
            .map_err(|error: Arc<std::io::Error>| {
                let explained = format!("`{}` does not resolve: {error}", server.host);
                Error::explain(ErrorType::ConnectError, explained).into_up()
            })
    }
}

/// The status that says that an application's servers have enough to do.
pub(crate) const FULL: ErrorType = ErrorType::HTTPStatus(503);

/// Stands for the user, or for the address where there is none.
fn who(permit: &Permit, arrived: &Arrived) -> u64 {
    let mut hasher = DefaultHasher::new();
    match permit.granted() {
        Some(granted) => granted.identified.user.id.hash(&mut hasher),
        None => arrived.peer.hash(&mut hasher),
    }
    hasher.finish()
}

/// How a server is spoken to.
fn peer_of(served: &Served, server: &Server, address: SocketAddr) -> HttpPeer {
    let upstream = &served.application.upstream;
    let server_name = server.server_name.as_ref().map(ToString::to_string);
    // INVARIANT: Pingora skips verification for an empty name; the configuration never has TLS without one.
    let mut peer = HttpPeer::new(address, upstream.tls.is_some(), server_name.unwrap_or_default());
    peer.group_key = served.pool;
    peer.client_cert_key.clone_from(&served.upstream_identity);
    peer.options.ca.clone_from(&served.upstream_authorities);
    peer.options.connection_timeout = Some(upstream.connect_timeout);
    peer.options.total_connection_timeout = Some(upstream.connect_timeout);
    peer.options.tcp_keepalive = Some(keepalive());
    peer.options.idle_timeout = Some(IDLE);
    if upstream.protocol == Protocol::Http2 {
        peer.options.set_http_version(2, 2);
    }
    peer
}

/// How long an idle connection to an upstream is kept; shorter than what common servers grant.
const IDLE: Duration = Duration::from_secs(50);

/// How a peer that is gone without a word is noticed, on either side: within a minute and a half.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    }
}

async fn resolve(server: &Server) -> std::io::Result<SocketAddr> {
    // RFC 6761, section 6.3: names under `localhost` are loopback; the system's resolver need not know.
    if server.host == "localhost" || server.host.ends_with(".localhost") {
        return Ok(SocketAddr::from(([127, 0, 0, 1], server.port)));
    }
    let mut found = tokio::net::lookup_host((server.host.as_str(), server.port)).await?;
    found.next().ok_or_else(|| std::io::Error::other("no address"))
}
