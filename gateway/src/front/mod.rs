//! How does a client reach Pingora? Over TLS that the gateway itself terminates.

mod connection;
mod farewell;
mod frames;
mod gathered;
mod handshake;
mod http2;
mod let_go;
mod limits;
mod patience;
mod proxy_protocol;
mod rest;
mod stream;
mod trust;
mod verifier;
mod websocket;

pub(crate) use connection::Connection;
pub(crate) use handshake::Front;
pub(crate) use http2::options as http2_options;
pub(crate) use let_go::LetGo;
pub(crate) use limits::{ConnectionLimits, HandshakeLimits};
pub(crate) use proxy_protocol::read as read_proxy_header;
pub(crate) use stream::FrontStream;
pub(crate) use trust::{Trust, TrustError};
pub(crate) use verifier::{ClientAuthority, ClientTrustError, DeviceVerifier};
pub(crate) use websocket::FrameTracker;
