//! How the gateway is talked to: HTTP/1.1 over TLS, a thread for each connection.

use super::*;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) certificate: Option<Vec<u8>>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(super) fn serve(world: &World, tls: Arc<ServerConfig>, stream: TcpStream) {
    let connection = ServerConnection::new(tls).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = read(&mut stream) {
        let line = format!("{} {}", request.method, request.path);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let headers = format!("{:?}", request.headers);
        {
            let mut known = world.known.lock().unwrap();
            known.requests.push(format!("{line}\n{headers}\n{body}"));
        }
        let (status, body) = answer(world, &request).unwrap_or_else(|(status, code)| {
            let cause = json!({ "errorSummary": "the cause" });
            let error = json!({ "errorCode": code, "errorSummary": "The summary", "errorCauses": [cause] });
            (status, error)
        });
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let ahead = world.behaviour.lock().unwrap().ahead;
        let date = time::OffsetDateTime::from_unix_timestamp(now().secs() + ahead).unwrap();
        let date = date.format(&time::format_description::well_known::Rfc2822).unwrap();
        let reply = format!(
            "HTTP/1.1 {status} X\r\ndate: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            date.replace("+0000", "GMT"),
            body.len()
        );
        if stream.get_mut().write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut BufReader<StreamOwned<ServerConnection, TcpStream>>) -> Option<Request> {
    let line = |stream: &mut BufReader<_>| {
        let mut line = String::new();
        BufRead::read_line(stream, &mut line)
            .ok()
            .filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line(stream)?;
    let mut parts = first.split(' ');
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let header = line(stream)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let shown = stream.get_ref().conn.peer_certificates();
    let certificate = shown.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    Some(Request {
        method,
        path,
        headers,
        body,
        certificate,
    })
}

pub(super) fn tls(world: &World) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for anchor in read_anchors(&world.devices.certificate_pem(), Purpose::Device).unwrap() {
        roots.add(anchor.der).unwrap();
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let issued = world
        .server
        .issue_server(&["auth.localhost", "devices.localhost"], &terms(3600))
        .unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
        .unwrap()
}
