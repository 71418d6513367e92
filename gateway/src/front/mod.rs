//! How does a client reach Pingora? Over TLS that the gateway itself terminates.

mod connection;
mod frames;
mod gathered;
mod handshake;
mod http2;
mod let_go;
mod limits;
mod patience;
mod proxy_protocol;
mod stream;
mod trust;
mod verifier;
mod websocket;

pub(crate) use connection::Connection;
pub(crate) use handshake::Front;
pub(crate) use http2::options as http2_options;
pub(crate) use let_go::LetGo;
pub(crate) use limits::{ConnectionLimits, HandshakeLimits};
pub(crate) use trust::{Trust, TrustError};
pub(crate) use verifier::{ClientTrustError, DeviceVerifier};
