//! What does a TLS connection cost the gateway that was used once and is kept?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use latchkey_tests::process::loopback;
use latchkey_tests::tls;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Arguments;
use crate::latchkey::Latchkey;
use crate::pushing::raise_limit;
use crate::site::Site;

/// Opens so many connections with a certificate, one request on each, and weighs the gateway before and after.
pub(crate) fn measure(arguments: &Arguments, services: &Path) -> String {
    raise_limit();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let site = Site::start(directory.path(), services);
    let gateway = Latchkey::in_front_of(&site.application(), &arguments.latchkey, directory.path(), "latchkey");
    let config = tls::client_config(gateway.roots(), Some(gateway.identity()), &["http/1.1"]);
    let (address, connector) = (loopback(gateway.port()), TlsConnector::from(Arc::new(config)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // What the first connections bring with them is not theirs alone.
        let first = open(address, &connector, WARM_UP).await;
        let before = gateway.process().memory();
        let many = open(address, &connector, arguments.idle).await;
        let after = gateway.process().memory();
        drop((first, many));
        format!(
            "An idle TLS connection costs {:.1} KB ({} connections with a certificate, one request on each; resident memory of the gateway:\n\
             {} MB, then {} MB).",
            (after.saturating_sub(before)) as f64 / 1e3 / arguments.idle as f64,
            arguments.idle,
            before / 1_000_000,
            after / 1_000_000,
        )
    })
}

/// So many connections, each answered once.
async fn open(address: SocketAddr, connector: &TlsConnector, count: usize) -> Vec<TlsStream<TcpStream>> {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let opened: Vec<_> = (0..count)
        .map(|_| {
            let (connector, at_once) = (connector.clone(), Arc::clone(&at_once));
            tokio::spawn(async move {
                let _place = at_once.acquire().await.expect("a place");
                answered(address, &connector)
                    .await
                    .expect("a connection that is answered")
            })
        })
        .collect();
    let mut streams = Vec::new();
    for stream in opened {
        streams.push(stream.await.expect("no connection failed"));
    }
    streams
}

async fn answered(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("wiki.localhost").expect("a name");
    let mut stream = connector.connect(name, socket).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: wiki.localhost:{}\r\n\r\n", address.port());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(BODY_ENDS) {
        stream.read_buf(&mut answer).await?;
        assert!(
            answer.starts_with(b"HTTP/1.1 200") || answer.len() < 12,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(stream)
}

/// How many connect at a time.
const AT_ONCE: usize = 32;
const WARM_UP: usize = 200;
/// The application's kilobyte is all of this letter.
const BODY_ENDS: &[u8] = b"kkkkkkkk";
