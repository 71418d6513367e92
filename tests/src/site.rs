//! What does a site of somebody else's look like from a browser, one that would like to be taken for ours?

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::process::loopback;
use crate::tls::DEADLINE;
use crate::upstream::{Received, next_request};

/// An HTTPS server on the loopback under a name of its own, by a CA of its own.
pub struct Site {
    host: String,
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    folder: TempDir,
}

impl Site {
    /// A site at this host, such as `evil.localhost`, with these pages: path and HTML.
    pub fn of_pages(host: &str, pages: &[(&str, &str)]) -> Self {
        let pages: Vec<(String, String)> = pages
            .iter()
            .map(|(path, html)| ((*path).to_owned(), (*html).to_owned()))
            .collect();
        Self::start(host, move |request| {
            let page = pages.iter().find(|(path, _)| path == request.target());
            page.map_or_else(|| answer("404 Not Found", &[], ""), |(_, html)| page_of(html))
        })
    }

    /// A site that answers as it is told; see [`answer`] and [`page_of`].
    pub fn start(host: &str, reply: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (roots, config) = credentials(host);
        std::fs::write(folder.path().join("ca.pem"), roots).unwrap();
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (record, reply, config) = (Arc::clone(&received), Arc::new(reply), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (record, reply, config) = (Arc::clone(&record), Arc::clone(&reply), Arc::clone(&config));
                std::thread::spawn(move || serve(stream, config, &record, &*reply));
            }
        });
        Self {
            host: host.to_owned(),
            port,
            received,
            folder,
        }
    }

    /// `https://HOST:PORT/PATH`.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.host, self.port)
    }

    /// `https://HOST:PORT`, as its pages call themselves.
    pub fn origin(&self) -> String {
        self.url("")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// The CA that a browser must trust to open it.
    pub fn roots(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// A page.
pub fn page_of(html: &str) -> Vec<u8> {
    answer("200 OK", &["Content-Type: text/html; charset=utf-8"], html)
}

/// Any answer: `302 Found`, `&["Location: /"]`, and a body.
pub fn answer(status: &str, fields: &[&str], body: &str) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// Answers one request of a connection. A browser opens some that it never uses.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    record: &Mutex<Vec<Received>>,
    reply: &dyn Fn(&Received) -> Vec<u8>,
) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(request) = next_request(&mut stream, &mut Vec::new()) else {
        return;
    };
    record.lock().unwrap().push(request.clone());
    let sent = stream.write_all(&reply(&request));
    stream.conn.send_close_notify();
    let _gone = sent.and_then(|()| stream.flush());
}

/// A CA in PEM, and what a server with its certificate for this host is set up with.
fn credentials(host: &str) -> (String, ServerConfig) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, format!("Not the CA of {host}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let roots = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key)
        .unwrap();
    (roots, config)
}
