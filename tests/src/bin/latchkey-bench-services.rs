//! What stands behind the fronts of the bench beside nginx: a WebSocket that sends messages back, and a gRPC service that Envoy asks.

use std::convert::Infallible;

use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use latchkey_tests::process::loopback;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Serves until it is ended.
#[derive(Parser)]
struct Arguments {
    /// The port of the WebSocket.
    #[arg(long)]
    websocket: u16,
    /// The port of the gRPC service `envoy.service.auth.v3.Authorization`.
    #[arg(long)]
    ext_authz: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let websockets = TcpListener::bind(loopback(arguments.websocket)).await?;
    let questions = TcpListener::bind(loopback(arguments.ext_authz)).await?;
    println!("ready");
    loop {
        tokio::select! {
            Ok((socket, _)) = websockets.accept() => {
                socket.set_nodelay(true)?;
                tokio::spawn(echo(socket));
            }
            Ok((socket, _)) = questions.accept() => {
                socket.set_nodelay(true)?;
                let answers = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(answers.serve_connection(TokioIo::new(socket), service_fn(check)));
            }
        }
    }
}

/// Opens a WebSocket and sends every short message back until the other side goes.
async fn echo(mut socket: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let key = fields.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let key = key.map(|(_, value)| value.trim()).next().unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await?;
    let (mut frame, mut filled) = ([0_u8; 6 + SHORT], 0);
    loop {
        let read = socket.read(&mut frame[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let length = usize::from(frame[1] & !MASKED);
        if filled < 2 || filled < 6 + length {
            continue;
        }
        if length >= SHORT || filled > 6 + length {
            return Err(std::io::Error::other("one short message at a time"));
        }
        let mask = [frame[2], frame[3], frame[4], frame[5]];
        let text = frame[6..filled].iter().zip(mask.iter().cycle());
        let answer: Vec<u8> = [frame[0], frame[1] & !MASKED]
            .into_iter()
            .chain(text.map(|(octet, mask)| octet ^ mask))
            .collect();
        socket.write_all(&answer).await?;
        filled = 0;
    }
}

/// Permits every request of which Envoy says that it came with the client's certificate.
async fn check(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let question = request.into_body().collect().await?.to_bytes();
    let known = question.windows(DEVICE.len()).any(|part| part == DEVICE);
    let answer: &'static [u8] = if known { PERMITTED } else { DENIED };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(answer)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}

/// What `tests/bench/certificates.sh` writes into the certificate, as it stands in `x-forwarded-client-cert`.
const DEVICE: &[u8] = b"URI=urn:bench:device:1";
/// A message of gRPC (not compressed, four octets): a `CheckResponse` with `status` (all of its fields as they are by default: OK)
/// and `ok_response`.
const PERMITTED: &[u8] = &[0, 0, 0, 0, 4, 0x0a, 0, 0x1a, 0];
/// The same with `status.code` 7 (PERMISSION_DENIED) and `denied_response`.
const DENIED: &[u8] = &[0, 0, 0, 0, 6, 0x0a, 2, 0x08, 7, 0x12, 0];
/// Where a length takes more than one octet (RFC 6455, section 5.2).
const SHORT: usize = 126;
const MASKED: u8 = 0x80;
