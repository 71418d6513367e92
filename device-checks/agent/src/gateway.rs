//! How is the gateway asked? Over TLS, with JSON, at the one origin that was pinned; and what does it answer?

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use device_checks::wire::{NONCE_PATH, Nonce, ORGANIZATION_PATH, Organization, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::redirect;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::advice;
use crate::tls::{self, Identity, TlsError};

/// An origin that can be asked.
#[derive(Debug, Clone)]
pub struct Gateway {
    http: reqwest::Client,
    origin: String,
}

/// A request in the making.
pub struct Ask<'a> {
    /// Its method.
    pub method: Method,
    /// Its path, and a query where there is one.
    pub path: &'a str,
    /// Its body, JSON; empty for none.
    pub body: Vec<u8>,
    /// Header fields that prove who asks.
    pub proofs: Vec<(&'static str, String)>,
}

/// What was answered.
pub struct Told {
    /// The HTTP status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer that goes on, line by line.
pub struct Lines {
    gateway: Gateway,
    answer: reqwest::Response,
    path: String,
    begun: Vec<u8>,
}

/// Says why there is no answer that helps.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The URL is none that may be asked.
    #[error("expected https://HOST, found `{0}`")]
    Url(String),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The client cannot be made.
    #[error("cannot set up HTTP")]
    Setup(#[source] reqwest::Error),
    /// Nobody answers.
    #[error("cannot reach {origin}: is the gateway running, and does the name lead there?")]
    Unreachable {
        /// Where.
        origin: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Somebody answers whom the CA does not vouch for; nothing was sent.
    #[error("whoever answers at {origin} is not the gateway, as far as the trusted CA knows (--ca): nothing was sent")]
    Untrusted {
        /// Where.
        origin: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not as this protocol's.
    #[error("{origin} answered {status} to {path}, but not as a gateway does")]
    NotTheProtocol {
        /// Where.
        origin: String,
        /// For what.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// The gateway says no.
    #[error("{0}")]
    Refused(Refusal),
}

/// The gateway's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code: `E0000004`, or a denial's, such as `device-suspended`.
    pub code: String,
    /// What it says.
    pub summary: String,
    /// What it says about why.
    pub causes: Vec<String>,
    /// After how many seconds to try again.
    pub retry_after: Option<u64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.summary, self.code)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        match self.advice() {
            Some(advice) => write!(f, "\n  what helps: {advice}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// What it says and why, without what helps.
    pub fn line(&self) -> String {
        let causes: String = self.causes.iter().map(|cause| format!(": {cause}")).collect();
        format!("{} ({}){causes}", self.summary, self.code)
    }

    /// What helps, where that is known.
    pub fn advice(&self) -> Option<String> {
        advice::of(&self.code, self.retry_after)
    }
}

impl AskError {
    /// The gateway's no, where it said so.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Url(_)
            | Self::Tls(_)
            | Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NotTheProtocol { .. } => None,
        }
    }
}

impl Gateway {
    /// Gets ready to ask an origin; what is asked shows this identity in the handshake, where there is one.
    ///
    /// # Errors
    ///
    /// The URL is not one of https, or TLS cannot be spoken.
    pub fn new(url: &str, authority: Option<&str>, identity: Option<Identity>) -> Result<Self, AskError> {
        Self::build(url, authority, identity, |builder| builder.timeout(PATIENCE))
    }

    /// The same for answers that go on: they may take for ever, as long as something comes now and then. They have a
    /// connection of their own, of HTTP/1.1, which takes the least of both sides.
    ///
    /// # Errors
    ///
    /// As [`Gateway::new`].
    pub fn for_streams(url: &str, authority: Option<&str>) -> Result<Self, AskError> {
        Self::build(url, authority, None, |builder| {
            builder.http1_only().connect_timeout(PATIENCE).read_timeout(SILENCE)
        })
    }

    fn build(
        url: &str,
        authority: Option<&str>,
        identity: Option<Identity>,
        patience: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, AskError> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "https" && url.has_host())
            .ok_or_else(|| AskError::Url(printable(url)))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::configure(authority, identity)?)
            .redirect(redirect::Policy::none())
            .https_only(true)
            .user_agent(concat!("latchkey-agent/", env!("CARGO_PKG_VERSION")));
        builder = patience(builder);
        // As curl and browsers do (RFC 6761, section 6.3); the C library's resolver does not, and no proxy can.
        let local = |host: &&str| *host == "localhost" || host.ends_with(".localhost");
        if let Some(host) = url.host_str().filter(local) {
            builder = builder.no_proxy().resolve(host, (Ipv4Addr::LOCALHOST, 0).into());
        }
        Ok(Self {
            http: builder.build().map_err(AskError::Setup)?,
            origin: url.origin().ascii_serialization(),
        })
    }

    /// The origin that is asked.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Who the gateway says it is.
    ///
    /// # Errors
    ///
    /// There is no answer that helps.
    pub async fn organization(&self) -> Result<Organization, AskError> {
        self.ask(Ask::get(ORGANIZATION_PATH)).await
    }

    /// A nonce for one assertion.
    ///
    /// # Errors
    ///
    /// There is no answer that helps.
    pub async fn nonce(&self) -> Result<String, AskError> {
        let asked = Ask {
            method: Method::POST,
            path: NONCE_PATH,
            body: Vec::new(),
            proofs: Vec::new(),
        };
        let Nonce { nonce, .. } = self.ask(asked).await?;
        Ok(nonce)
    }

    /// Asks for something that is answered in JSON.
    ///
    /// # Errors
    ///
    /// There is no answer that helps.
    pub async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, AskError> {
        let path = ask.path.to_owned();
        let told = self.tell(ask).await?;
        let strange = |_| self.strange(&path, told.status);
        serde_json::from_slice(&told.body).map_err(strange)
    }

    /// Asks for something whose answer says nothing more.
    ///
    /// # Errors
    ///
    /// There is no answer that helps.
    pub async fn order(&self, ask: Ask<'_>) -> Result<(), AskError> {
        self.tell(ask).await.map(drop)
    }

    /// Asks for an answer that goes on, line by line.
    ///
    /// # Errors
    ///
    /// The gateway says no, or does not answer.
    pub async fn stream(&self, ask: Ask<'_>) -> Result<Lines, AskError> {
        let path = ask.path.to_owned();
        let answer = self.send(ask).await?;
        if answer.status().is_success() {
            return Ok(Lines {
                gateway: self.clone(),
                answer,
                path,
                begun: Vec::new(),
            });
        }
        let told = self.read(answer, &path).await?;
        Err(self.no(&told, &path))
    }

    /// Asks, and takes any answer.
    ///
    /// # Errors
    ///
    /// Nobody answers, or whoever does is not trusted.
    pub async fn reach(&self, ask: Ask<'_>) -> Result<Told, AskError> {
        let path = ask.path.to_owned();
        let answer = self.send(ask).await?;
        self.read(answer, &path).await
    }

    async fn send(&self, ask: Ask<'_>) -> Result<reqwest::Response, AskError> {
        let mut request = self
            .http
            .request(ask.method, format!("{}{}", self.origin, ask.path))
            .header(header::ACCEPT, "application/json");
        for (name, value) in ask.proofs {
            let value = HeaderValue::from_str(&value).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
                request = request.header(name, value);
            }
        }
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json").body(ask.body);
        }
        request.send().await.map_err(|error| self.unreachable(error))
    }

    async fn read(&self, mut answer: reqwest::Response, path: &str) -> Result<Told, AskError> {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(self.strange(path, status));
            }
        }
        Ok(Told { status, headers, body })
    }

    async fn tell(&self, ask: Ask<'_>) -> Result<Told, AskError> {
        let path = ask.path.to_owned();
        let told = self.reach(ask).await?;
        if told.status.is_success() {
            return Ok(told);
        }
        Err(self.no(&told, &path))
    }

    fn no(&self, told: &Told, path: &str) -> AskError {
        match refusal(told) {
            Some(refusal) => AskError::Refused(refusal),
            None => self.strange(path, told.status),
        }
    }

    fn strange(&self, path: &str, status: StatusCode) -> AskError {
        AskError::NotTheProtocol {
            origin: self.origin.clone(),
            path: path.to_owned(),
            status: status.as_u16(),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> AskError {
        let (origin, source) = (self.origin.clone(), source.without_url());
        if is_untrusted(&source) {
            AskError::Untrusted { origin, source }
        } else {
            AskError::Unreachable { origin, source }
        }
    }
}

impl Lines {
    /// The next line that says something; nothing once the answer has ended.
    ///
    /// # Errors
    ///
    /// The connection breaks off, nothing comes for too long, or a line is longer than any of this protocol.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, AskError> {
        loop {
            while let Some(end) = self.begun.iter().position(|octet| *octet == b'\n') {
                let rest = self.begun.split_off(end.saturating_add(1));
                let line = std::mem::replace(&mut self.begun, rest);
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.begun.len() > LONGEST_LINE {
                return Err(self.gateway.strange(&self.path, self.answer.status()));
            }
            let chunk = self
                .answer
                .chunk()
                .await
                .map_err(|error| self.gateway.unreachable(error))?;
            match chunk {
                Some(chunk) => self.begun.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

impl<'a> Ask<'a> {
    /// Reads something.
    pub fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Vec::new(),
            proofs: Vec::new(),
        }
    }

    /// Sends something.
    pub fn post(path: &'a str, body: &impl Serialize) -> Self {
        Self {
            method: Method::POST,
            path,
            // What is sent are types of the protocol, which all can be written.
            body: serde_json::to_vec(body).unwrap_or_default(),
            proofs: Vec::new(),
        }
    }

    /// The same, with this header field.
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.proofs.push((name, value));
        self
    }
}

impl Told {
    /// What time the gateway says it is.
    pub fn date(&self) -> Option<Timestamp> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        let date = time::OffsetDateTime::parse(date, &time::format_description::well_known::Rfc2822).ok()?;
        Some(Timestamp::from_secs(date.unix_timestamp()))
    }
}

/// The gateway's no, in either of its two shapes: of its API, or of a denial (RFC 9457).
pub fn refusal(told: &Told) -> Option<Refusal> {
    let json: serde_json::Value = serde_json::from_slice(&told.body).ok()?;
    let text = |pointer: &str| Some(printable(json.pointer(pointer)?.as_str()?));
    let causes = json.pointer("/errorCauses").and_then(serde_json::Value::as_array);
    let cause = |cause: &serde_json::Value| Some(printable(cause.pointer("/errorSummary")?.as_str()?));
    let causes = causes.map(|causes| causes.iter().filter_map(cause).collect());
    let code = text("/errorCode").or_else(|| text("/code"))?;
    let summary = text("/errorSummary")
        .or_else(|| text("/detail"))
        .or_else(|| text("/title"));
    let retry_after = told.headers.get(header::RETRY_AFTER);
    Some(Refusal {
        status: told.status.as_u16(),
        summary: summary.unwrap_or_else(|| format!("the gateway answered {}", told.status)),
        code,
        causes: causes.unwrap_or_default(),
        retry_after: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
    })
}

/// Whatever would steer a terminal is shown as a sign that something was there.
pub fn printable(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

/// Whether the other side's certificate was the trouble.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let certificate = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return certificate(error);
    }
    // An I/O error shows what is in it as itself, not as its source.
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return is_untrusted(inner);
    }
    error.source().is_some_and(is_untrusted)
}

const PATIENCE: Duration = Duration::from_secs(30);
/// For how long a stream may say nothing: more than twice as long as the gateway does.
const SILENCE: Duration = Duration::from_secs(65);
/// No line of a stream is near as long.
const LONGEST_LINE: usize = 64 * 1024;
/// No answer of this protocol is near as long.
const LONGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &serde_json::Value) -> Told {
        Told {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([
                (header::RETRY_AFTER, HeaderValue::from_static("30")),
                (header::DATE, HeaderValue::from_static("Mon, 23 Nov 2026 04:47:00 GMT")),
            ]),
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn a_no_is_told_with_its_causes_and_what_helps() {
        let body = serde_json::json!({
            "errorCode": "E0000004",
            "errorSummary": "Authentication failed\u{1b}[2J",
            "errorCauses": [{ "errorSummary": "one" }, { "errorSummary": "two" }],
        });
        let refusal = refusal(&told(401, &body)).unwrap();
        assert_eq!(
            refusal.to_string(),
            "Authentication failed\u{fffd}[2J (E0000004)\n  because: one\n  because: two\n  what helps: check username, \
             password and code; capitals count"
        );
    }

    #[test]
    fn a_denial_is_told_by_its_code_and_anything_else_is_no_no() {
        let body = serde_json::json!({ "code": "device-suspended", "title": "Suspended", "detail": "An admin did." });
        assert_eq!(refusal(&told(403, &body)).unwrap().code, "device-suspended");
        assert_eq!(refusal(&told(403, &body)).unwrap().summary, "An admin did.");
        assert!(refusal(&told(502, &serde_json::json!({}))).is_none());
    }

    #[test]
    fn the_gateways_clock_is_read_from_its_date() {
        let date = told(200, &serde_json::json!({})).date().unwrap();
        assert_eq!(date.to_string(), "2026-11-23T04:47:00.000Z");
    }

    #[test]
    fn only_https_is_asked() {
        assert!(Gateway::new("https://auth.localhost:8443/x", Some(&authority()), None).is_ok());
        for url in ["http://auth.localhost", "auth.localhost", "file:///etc/passwd", ""] {
            assert!(
                matches!(Gateway::new(url, Some(&authority()), None), Err(AskError::Url(_))),
                "{url}"
            );
        }
    }

    fn authority() -> String {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        parameters
            .self_signed(&rcgen::KeyPair::generate().unwrap())
            .unwrap()
            .pem()
    }
}
