//! How does a client reach Pingora? Over TLS that the gateway itself terminates.

mod connection;
mod gathered;
mod handshake;
mod limits;
mod proxy_protocol;
mod stream;
mod trust;
mod verifier;
mod websocket;

pub(crate) use connection::Connection;
pub(crate) use handshake::Front;
pub(crate) use limits::HandshakeLimits;
pub(crate) use trust::{Trust, TrustError};
