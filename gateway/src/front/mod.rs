//! How does a client reach Pingora? Over TLS that the gateway itself terminates.

mod connection;
mod farewell;
mod gathered;
mod handshake;
mod http2;
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
pub(crate) use limits::HandshakeLimits;
pub(crate) use patience::LetGo;
pub(crate) use proxy_protocol::read as read_proxy_header;
pub(crate) use trust::{Trust, TrustError};
pub(crate) use websocket::FrameTracker;
