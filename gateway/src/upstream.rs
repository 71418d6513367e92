//! Where is an application, and how is it reached? Only a permit tells.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::config::Upstream;
use crate::polite::PoliteConnect;
use crate::request::{Arrived, Permit};

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

    /// The peer that a permitted request goes to.
    ///
    /// # Errors
    /// If its name does not resolve.
    pub(crate) async fn peer(&self, permit: &Permit, arrived: &Arrived) -> pingora::Result<Box<HttpPeer>> {
        let websocket = arrived.websocket;
        let endless = websocket || arrived.event_stream;
        let served = permit.served();
        let upstream = &served.application.upstream;
        let address = self.address(upstream).await?;
        let server_name = upstream
            .tls
            .as_ref()
            .map(|tls| tls.server_name.to_string())
            .unwrap_or_default();
        // INVARIANT: Pingora skips verification for an empty name; the configuration never has TLS without one.
        let mut peer = HttpPeer::new(address, upstream.tls.is_some(), server_name);
        peer.group_key = served.pool;
        peer.options.ca = served.upstream_authorities.clone();
        peer.options.connection_timeout = Some(upstream.connect_timeout);
        peer.options.total_connection_timeout = Some(upstream.connect_timeout);
        // A WebSocket or an event stream may be silent for long; keepalive notices a peer that is gone.
        peer.options.read_timeout = (!endless).then_some(upstream.read_timeout);
        peer.options.write_timeout = Some(upstream.write_timeout);
        peer.options.tcp_keepalive = Some(keepalive());
        peer.options.idle_timeout = Some(IDLE);
        if websocket {
            peer.options.custom_l4 = Some(Arc::new(PoliteConnect));
            // Only a connection made here will do, none that others have left.
            peer.group_key |= 1 << 63;
        }
        Ok(Box::new(peer))
    }

    async fn address(&self, upstream: &Upstream) -> pingora::Result<SocketAddr> {
        if let Ok(address) = upstream.host.parse() {
            return Ok(SocketAddr::new(address, upstream.port));
        }
        let key = (upstream.host.clone(), upstream.port);
        self.addresses
            .try_get_with(key, resolve(upstream))
            .await
            .map_err(|error: Arc<std::io::Error>| {
                let explained = format!("`{}` does not resolve: {error}", upstream.host);
                Error::explain(ErrorType::ConnectError, explained).into_up()
            })
    }
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

async fn resolve(upstream: &Upstream) -> std::io::Result<SocketAddr> {
    // RFC 6761, section 6.3: names under `localhost` are loopback; the system's resolver need not know.
    if upstream.host == "localhost" || upstream.host.ends_with(".localhost") {
        return Ok(SocketAddr::from(([127, 0, 0, 1], upstream.port)));
    }
    let mut found = tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await?;
    found.next().ok_or_else(|| std::io::Error::other("no address"))
}
