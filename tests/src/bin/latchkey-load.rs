//! How many requests a second does a TLS front answer, and how fast? HTTP/1.1, TLS 1.3, with a client certificate or a cookie.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use latchkey_tests::histogram::Histogram;
use latchkey_tests::tls::{self, Identity};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Sends GET requests as fast as they are answered and prints one JSON line with what came of it.
#[derive(Parser)]
struct Arguments {
    /// Where to connect.
    #[arg(long)]
    address: SocketAddr,
    /// The host's name, as SNI and Host.
    #[arg(long)]
    host: String,
    /// The roots that the server's certificate is checked against.
    #[arg(long)]
    roots: PathBuf,
    /// The client certificate chain.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// The cookie that every request brings.
    #[arg(long)]
    cookie: Option<String>,
    /// One connection for many requests, or a full handshake for each.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How many requests are under way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long requests are sent before that.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    KeepAlive,
    NewConnection,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let tally = run(&arguments).await;
    println!("{}", tally.json(arguments.seconds));
    if tally.errors * 1000 > tally.answers.total() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn run(arguments: &Arguments) -> Tally {
    let target = Arc::new(Target::of(arguments));
    let workers: Vec<_> = (0..arguments.connections)
        .map(|_| tokio::spawn(work(Arc::clone(&target))))
        .collect();
    let mut tally = Tally::default();
    for worker in workers {
        tally.add(&worker.await.expect("a worker never panics"));
    }
    tally
}

/// Sends one request after the other until the time is over.
async fn work(target: Arc<Target>) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while Instant::now() < target.end {
        let begun = Instant::now();
        let result = target.exchange(&mut kept).await;
        tally.requests_with_warm_up += u64::from(result.is_ok());
        if begun < target.begin || Instant::now() > target.end {
            continue;
        }
        match result {
            Ok(()) => tally.answers.record(begun.elapsed()),
            Err(error) => tally.failed(error),
        }
    }
    tally
}

/// What is asked, where, how and how long.
struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    request: Vec<u8>,
    mode: Mode,
    begin: Instant,
    end: Instant,
}

impl Target {
    fn of(arguments: &Arguments) -> Self {
        let identity = arguments.certificate.clone().zip(arguments.key.clone());
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let config = tls::client_config(&arguments.roots, identity.as_ref(), &["http/1.1"]);
        let cookie = arguments.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n"));
        let cookie = cookie.unwrap_or_default();
        let connection = match arguments.mode {
            Mode::KeepAlive => "keep-alive",
            Mode::NewConnection => "close",
        };
        let (host, port) = (&arguments.host, arguments.address.port());
        let begin = Instant::now() + Duration::from_secs_f64(arguments.warm_up);
        Self {
            address: arguments.address,
            name: ServerName::try_from(host.clone()).expect("a host name"),
            connector: TlsConnector::from(Arc::new(config)),
            request: format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n{cookie}Connection: {connection}\r\n\r\n")
                .into_bytes(),
            mode: arguments.mode,
            begin,
            end: begin + Duration::from_secs_f64(arguments.seconds),
        }
    }

    /// Sends the request, on the kept connection if there is one, and reads the whole answer.
    async fn exchange(&self, kept: &mut Option<TlsStream<TcpStream>>) -> Result<(), String> {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => self.connect().await.map_err(|error| format!("connecting: {error}"))?,
        };
        stream
            .write_all(&self.request)
            .await
            .map_err(|error| format!("sending: {error}"))?;
        read_answer(&mut stream).await?;
        if self.mode == Mode::KeepAlive {
            *kept = Some(stream);
        }
        Ok(())
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        if self.mode == Mode::NewConnection {
            // Thousands of connections a second would use up the local ports if each lingered in TIME_WAIT.
            socket.set_zero_linger()?;
        }
        self.connector.connect(self.name.clone(), socket).await
    }
}

/// Reads a `200` with a `Content-Length`, head and body, and nothing else.
async fn read_answer(stream: &mut TlsStream<TcpStream>) -> Result<(), String> {
    let mut buffer = [0_u8; 8192];
    let mut filled = 0;
    let end = loop {
        let read = stream
            .read(&mut buffer[filled..])
            .await
            .map_err(|error| format!("reading: {error}"))?;
        if read == 0 {
            return Err("the connection ended before the answer did".to_owned());
        }
        filled += read;
        if let Some(at) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let length = body_length(&buffer[..end])?;
    while filled < end + length {
        let read = stream
            .read(&mut buffer[filled..])
            .await
            .map_err(|error| format!("reading: {error}"))?;
        if read == 0 {
            return Err("the connection ended within the body".to_owned());
        }
        filled += read;
    }
    if filled > end + length {
        Err("more than the answer arrived".to_owned())
    } else {
        Ok(())
    }
}

fn body_length(head: &[u8]) -> Result<usize, String> {
    let head = std::str::from_utf8(head).map_err(|_| "the head is not text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered {status}"));
    }
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| "no Content-Length".to_owned())
}

/// What came of the requests that began and ended within the measured time (and how many there were in all).
#[derive(Default)]
struct Tally {
    requests_with_warm_up: u64,
    answers: Histogram,
    errors: u64,
    first_error: Option<String>,
}

impl Tally {
    fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    fn add(&mut self, other: &Self) {
        self.requests_with_warm_up += other.requests_with_warm_up;
        self.answers.merge(&other.answers);
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        serde_json::json!({
            "requests_with_warm_up": self.requests_with_warm_up,
            "requests": self.answers.total(),
            "requests_per_second": self.answers.total() as f64 / seconds,
            "p50_us": self.answers.quantile(0.50).as_secs_f64() * 1e6,
            "p99_us": self.answers.quantile(0.99).as_secs_f64() * 1e6,
            "errors": self.errors,
            "first_error": self.first_error,
        })
    }
}
