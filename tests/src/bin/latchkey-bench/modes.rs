//! What is sent over which connections, and how large are the answers?

use std::fmt;

use clap::ValueEnum;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// HTTP/1.1, many requests on each connection, 1 KiB.
    KeepAlive,
    /// The same with 10 KiB.
    #[value(name = "keep-alive-10k")]
    KeepAlive10k,
    /// The same with 1,000 KiB.
    #[value(name = "keep-alive-1000k")]
    KeepAlive1000k,
    /// HTTP/2, eight requests at a time on each connection, 1 KiB.
    Http2,
    /// The same with 10 KiB.
    #[value(name = "http2-10k")]
    Http2With10k,
    /// The same with 1,000 KiB.
    #[value(name = "http2-1000k")]
    Http2With1000k,
    /// HTTP/1.1, a TCP connection and a full handshake for each request, 1 KiB.
    NewConnection,
    /// WebSocket messages of 64 octets that come back, one at a time on each of the connections.
    Websocket,
    /// HTTP/1.1 kept alive, 1 KiB, requests at a fixed rate: half of what nginx with auth_request answered at most in the round.
    Open,
}

impl Mode {
    /// What the tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::KeepAlive => "HTTP/1.1 kept alive, 1 KiB",
            Self::KeepAlive10k => "HTTP/1.1 kept alive, 10 KiB",
            Self::KeepAlive1000k => "HTTP/1.1 kept alive, 1,000 KiB",
            Self::Http2 => "HTTP/2, 1 KiB",
            Self::Http2With10k => "HTTP/2, 10 KiB",
            Self::Http2With1000k => "HTTP/2, 1,000 KiB",
            Self::NewConnection => "New connections, 1 KiB",
            Self::Websocket => "WebSocket messages",
            Self::Open => "Open load, HTTP/1.1 kept alive, 1 KiB",
        }
    }

    /// What stands in narrow columns.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive | Self::KeepAlive10k | Self::KeepAlive1000k => "kept alive",
            Self::Http2 | Self::Http2With10k | Self::Http2With1000k => "HTTP/2",
            Self::NewConnection => "new connections",
            Self::Websocket => "WebSocket",
            Self::Open => "open load",
        }
    }

    /// How the load generator calls it.
    pub(crate) fn sent(self) -> &'static str {
        match self {
            Self::KeepAlive | Self::KeepAlive10k | Self::KeepAlive1000k | Self::Open => "keep-alive",
            Self::Http2 | Self::Http2With10k | Self::Http2With1000k => "http2",
            Self::NewConnection => "new-connection",
            Self::Websocket => "websocket",
        }
    }

    /// What is asked for.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::KeepAlive | Self::Http2 | Self::NewConnection | Self::Open => "/",
            Self::KeepAlive10k | Self::Http2With10k => "/10k",
            Self::KeepAlive1000k | Self::Http2With1000k => "/1000k",
            Self::Websocket => "/ws",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}
