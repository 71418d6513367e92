//! What is known of one connection for as long as it lives?

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use device_checks::LeafCertificate;
use http::HeaderValue;
use pingora::protocols::Digest;
use pingora::{Error, ErrorType};
use rustls::pki_types::CertificateDer;

use super::limits::OpenPlace;
use super::patience::Heads;
use super::rest::Octets;
use super::stream::Cut;
use crate::forward_auth::Standing;

/// The facts of a connection, fixed at the handshake.
pub(crate) struct Connection {
    /// Counts connections since the start.
    pub(crate) id: u64,
    /// Where the client is.
    pub(crate) peer: IpAddr,
    /// The same as applications read it.
    pub(crate) peer_text: HeaderValue,
    /// What applications are told in `Forwarded`, for the authority that was asked for first.
    pub(crate) forwarded: OnceLock<(Box<str>, HeaderValue)>,
    /// The server name the client asked for (RFC 6066, section 3), in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// The client certificate whose key the client proved to hold and whose chain was verified.
    pub(crate) certificate: Option<LeafCertificate>,
    /// All that it showed, leaf first, on a host where proxies of others ask.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Which proxy's it was found to be.
    pub(crate) proxy: Standing,
    /// Ends the connection from outside.
    pub(crate) cut: Cut,
    /// Counts it as open for as long as anything holds it.
    pub(crate) _opened: Option<OpenPlace>,
    /// Whether a head is awaited.
    pub(crate) heads: Heads,
    /// What of it Pingora was given.
    pub(crate) octets: Octets,
    /// Weighs requests that the client gave up against those that it let end.
    pub(crate) given_up: GivenUp,
}

impl Connection {
    /// The connection that a client has with a proxy of others, as the proxy tells of it. Whatever the proxy itself showed on
    /// this one is not the client's.
    ///
    /// # Errors
    /// Never: every address can be written into a field.
    pub(crate) fn behind(
        &self,
        peer: IpAddr,
        certificate: Option<LeafCertificate>,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self {
            id: self.id,
            peer,
            peer_text: HeaderValue::try_from(peer.to_string())?,
            forwarded: OnceLock::new(),
            server_name: None,
            certificate,
            chain: Vec::new(),
            proxy: Standing::default(),
            cut: Cut::default(),
            _opened: None,
            heads: Heads::default(),
            octets: Octets::default(),
            given_up: GivenUp::default(),
        })
    }

    /// The connection that a request came on.
    ///
    /// # Errors
    /// If it did not come through the front.
    pub(crate) fn of(digest: Option<&Digest>) -> pingora::Result<Arc<Self>> {
        let found = digest.and_then(|digest| digest.proxy_digest.as_ref()?.user_data.as_ref());
        let connection = found.and_then(|data| data.downcast_ref::<Arc<Self>>());
        connection
            .cloned()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "a connection without its facts"))
    }
}

/// How many more requests of a connection were given up by their client than ended.
#[derive(Debug, Default)]
pub(crate) struct GivenUp(AtomicUsize);

impl GivenUp {
    /// Notes a request that was given up; whether that is one more than `most`. Somebody who scrolls through a page of pictures
    /// gives up many; a flood gives up nothing else.
    pub(crate) fn one(&self, most: usize) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) >= most
    }

    /// Notes a request that ended.
    pub(crate) fn none(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 200;

    #[test]
    fn whoever_lets_requests_end_may_give_up_as_many() {
        let balance = GivenUp::default();
        for _ in 0..10 * MOST {
            assert!(!balance.one(MOST));
            balance.none();
        }
        balance.none();

        assert!((0..MOST).all(|_| !balance.one(MOST)));
        assert!(balance.one(MOST));
    }
}
