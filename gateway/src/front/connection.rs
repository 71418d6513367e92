//! What is known of one connection for as long as it lives?

use std::net::IpAddr;

use device_checks::LeafCertificate;
use http::HeaderValue;

use super::stream::Cut;
use crate::drain::Opened;

/// The facts of a connection, fixed at the handshake.
pub(crate) struct Connection {
    /// Counts connections since the start.
    pub(crate) id: u64,
    /// Where the client is.
    pub(crate) peer: IpAddr,
    /// The same as applications read it.
    pub(crate) peer_text: HeaderValue,
    /// The server name the client asked for (RFC 6066, section 3), in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// The client certificate whose key the client proved to hold and whose chain was verified.
    pub(crate) certificate: Option<LeafCertificate>,
    /// Ends the connection from outside.
    pub(crate) cut: Cut,
    /// Counts it as open for as long as anything holds it.
    pub(crate) _opened: Opened,
}
