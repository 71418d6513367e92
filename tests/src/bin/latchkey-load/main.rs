//! How many requests a second does a TLS front answer, and how fast? TLS 1.3, with a client certificate or a cookie.

mod http1;
mod http2;
mod pace;
mod tally;
mod target;
mod websocket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use http2::Shared;
use pace::Pace;
use tally::Tally;
use target::Targets;

/// Sends GET requests or WebSocket messages, as fast as they are answered or at a fixed rate, and prints one JSON line with what
/// came of it.
#[derive(Parser)]
struct Arguments {
    /// Where to connect.
    #[arg(long)]
    address: SocketAddr,
    /// The host's name, as SNI and Host.
    #[arg(long)]
    host: String,
    /// What is asked for.
    #[arg(long, default_value = "/")]
    path: String,
    /// The roots that the server's certificate is checked against.
    #[arg(long)]
    roots: PathBuf,
    /// The client certificate chain.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// A folder of pairs NAME.pem and NAME.key, which connections take in turn.
    #[arg(long, conflicts_with = "certificate")]
    identities: Option<PathBuf>,
    /// The cookie that every request brings.
    #[arg(long)]
    cookie: Option<String>,
    /// What is sent over which connections.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How many requests are under way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How many of these share a connection of HTTP/2.
    #[arg(long, default_value_t = 8)]
    streams: usize,
    /// Requests a second, whether or not those before are answered; a latency then counts from when its request was due.
    #[arg(long)]
    rate: Option<f64>,
    /// How long is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long requests are sent before that.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// HTTP/1.1, many requests on each connection.
    KeepAlive,
    /// HTTP/1.1, a full handshake for each request.
    NewConnection,
    /// HTTP/2, several requests at a time on each of a few connections.
    Http2,
    /// Messages that come back, one at a time on each WebSocket.
    Websocket,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let tally = run(&arguments).await;
    println!("{}", tally.json(arguments.seconds));
    // No answer at all is a failure too.
    if tally.errors * 1000 >= tally.answers.total() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn run(arguments: &Arguments) -> Tally {
    let targets = Arc::new(Targets::of(arguments));
    let pace = Arc::new(Pace::of(arguments));
    let shared: Vec<Arc<Shared>> = std::iter::repeat_with(Arc::default)
        .take(arguments.connections.div_ceil(arguments.streams))
        .collect();
    let workers: Vec<_> = (0..arguments.connections)
        .map(|index| {
            let client = match arguments.mode {
                Mode::KeepAlive => Client::Http1(http1::Client::keeping(targets.next())),
                Mode::NewConnection => Client::Http1(http1::Client::closing(Arc::clone(&targets))),
                Mode::Http2 => {
                    let connection = index % shared.len();
                    Client::Http2(http2::Client::on(Arc::clone(&shared[connection]), targets.next()))
                }
                Mode::Websocket => Client::Websocket(websocket::Client::new(targets.next())),
            };
            tokio::spawn(work(client, Arc::clone(&pace)))
        })
        .collect();
    let mut tally = Tally::default();
    for worker in workers {
        tally.add(&worker.await.expect("a worker never panics"));
    }
    tally
}

/// Sends one request after the other until the time is over.
async fn work(mut client: Client, pace: Arc<Pace>) -> Tally {
    let mut tally = Tally::default();
    while let Some(due) = pace.next().await {
        let result = client.exchange().await;
        tally.requests_with_warm_up += u64::from(result.is_ok());
        if pace.counts(due) {
            match result {
                Ok(()) => tally.answers.record(due.elapsed()),
                Err(error) => tally.failed(error),
            }
        }
    }
    tally
}

/// Sends a request and reads the whole answer.
enum Client {
    Http1(http1::Client),
    Http2(http2::Client),
    Websocket(websocket::Client),
}

impl Client {
    async fn exchange(&mut self) -> Result<(), String> {
        match self {
            Self::Http1(client) => client.exchange().await,
            Self::Http2(client) => client.exchange().await,
            Self::Websocket(client) => client.exchange().await,
        }
    }
}
