//! How is a running gateway asked? By its admin API, over TLS that trusts the CA that was named.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Certificate, redirect};
use serde_json::Value;
use url::Url;

use super::error::CliError;
use super::output::{Output, printable};

/// What it takes to ask a gateway.
pub(super) struct Login {
    /// The admin host.
    pub(super) url: Url,
    /// The CA of its server certificate, PEM; otherwise those that the system trusts.
    pub(super) authority: Option<String>,
    /// The API token.
    pub(super) token: String,
    /// The MDM under whose name reports are made when none is named.
    pub(super) mdm_source: Option<String>,
}

/// A gateway that can be asked.
pub(super) struct Client {
    /// How answers are shown.
    pub(super) output: Output,
    /// The MDM under whose name reports are made when none is named.
    pub(super) mdm_source: Option<String>,
    http: reqwest::Client,
    url: Url,
    token: String,
}

impl Client {
    /// Gets ready to ask.
    ///
    /// # Errors
    ///
    /// The URL is not one of https, or the CA cannot be used.
    pub(super) fn new(login: Login, output: Output) -> Result<Self, CliError> {
        if login.url.scheme() != "https" || !login.url.has_host() {
            return Err(CliError::Usage(format!(
                "--url: expected https://HOST, found `{}`",
                login.url
            )));
        }
        Ok(Self {
            http: build(&login).map_err(|source| CliError::Setup {
                what: "TLS",
                source: source.into(),
            })?,
            output,
            mdm_source: login.mdm_source,
            url: login.url,
            token: login.token,
        })
    }

    /// Reads one thing.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, CliError> {
        Ok(self.ask(Method::GET, self.address(path, &[]), None).await?.0)
    }

    /// Reads all pages of a list.
    pub(super) async fn all(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        let mut address = Some(self.address(path, query));
        while let Some(asked) = address {
            let (page, headers) = self.ask(Method::GET, asked, None).await?;
            all.extend(page.as_array().cloned().unwrap_or_default());
            address = next_page(&headers).map(|next| self.here(&next));
        }
        Ok(all)
    }

    /// Reads the first page of a list.
    pub(super) async fn page(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, CliError> {
        let (page, _) = self.ask(Method::GET, self.address(path, query), None).await?;
        Ok(page.as_array().cloned().unwrap_or_default())
    }

    /// Has something done; null where the answer has no body.
    pub(super) async fn send(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Value, CliError> {
        Ok(self.ask(method, self.address(path, &[]), body).await?.0)
    }

    async fn ask(&self, method: Method, address: Url, body: Option<&Value>) -> Result<(Value, HeaderMap), CliError> {
        let mut request = self
            .http
            .request(method, address)
            .header(header::AUTHORIZATION, format!("SSWS {}", self.token));
        if let Some(body) = body {
            request = request.json(body);
        }
        let url = self.url.origin().ascii_serialization();
        let unreachable = |source: reqwest::Error| CliError::Unreachable {
            url: url.clone(),
            source: source.without_url(),
        };
        let answer = request.send().await.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.map_err(unreachable)?;
        if status == StatusCode::NO_CONTENT {
            return Ok((Value::Null, headers));
        }
        match serde_json::from_slice(&bytes) {
            Ok(value) if status.is_success() => Ok((value, headers)),
            Ok(error) => Err(refused(status, &error).unwrap_or(CliError::NotTheApi {
                url,
                status: status.as_u16(),
            })),
            Err(_) => Err(CliError::NotTheApi {
                url,
                status: status.as_u16(),
            }),
        }
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The same path and query on this gateway: the token goes nowhere else.
    fn here(&self, link: &Url) -> Url {
        let mut url = self.url.clone();
        url.set_path(link.path());
        url.set_query(link.query());
        url
    }
}

fn build(login: &Login) -> Result<reqwest::Client, reqwest::Error> {
    // The process's default, unless there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .https_only(true)
        .timeout(PATIENCE);
    if let Some(pem) = &login.authority {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    // As curl and browsers do (RFC 6761, section 6.3); the C library's resolver does not, and no proxy can.
    if let Some(host) = login
        .url
        .host_str()
        .filter(|host| *host == "localhost" || host.ends_with(".localhost"))
    {
        builder = builder.no_proxy().resolve(host, (Ipv4Addr::LOCALHOST, 0).into());
    }
    builder.build()
}

/// What the admin API says, if it is one.
fn refused(status: StatusCode, error: &Value) -> Option<CliError> {
    Some(CliError::Refused {
        status: status.as_u16(),
        code: error.get("errorCode")?.as_str()?.to_owned(),
        summary: printable(error.get("errorSummary")?.as_str()?),
    })
}

/// Where `Link` (RFC 8288) says that the list goes on.
fn next_page(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.ends_with("; rel=\"next\""))?;
    Url::parse(next.trim().strip_prefix('<')?.split_once('>')?.0).ok()
}

const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, CliError> {
        let login = Login {
            url: url.parse().unwrap(),
            authority: None,
            token: "lka_x".to_owned(),
            mdm_source: None,
        };
        Client::new(login, Output::Text)
    }

    #[test]
    fn the_token_goes_over_https_only() {
        assert!(client("https://admin.localhost:8443").is_ok());
        for url in ["http://admin.localhost:8443", "file:///x"] {
            assert!(matches!(client(url), Err(CliError::Usage(_))), "{url}");
        }
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        let client = client("https://admin.localhost:8443/elsewhere").unwrap();
        let address = client.address(&["users", "a/b?c#d"], &[("q", "x&y")]);
        assert_eq!(
            address.as_str(),
            "https://admin.localhost:8443/api/v1/users/a%2Fb%3Fc%23d?q=x%26y"
        );
    }

    #[test]
    fn the_next_page_is_asked_of_the_same_gateway() {
        let client = client("https://admin.localhost:8443").unwrap();
        let link =
            "<https://a.test/api/v1/devices>; rel=\"self\", <https://a.test/api/v1/devices?after=x>; rel=\"next\"";
        let headers = HeaderMap::from_iter([(header::LINK, link.parse().unwrap())]);

        let next = next_page(&headers).map(|next| client.here(&next));

        assert_eq!(
            next.unwrap().as_str(),
            "https://admin.localhost:8443/api/v1/devices?after=x"
        );
        let last = "<https://a.test/api/v1/devices>; rel=\"self\"";
        assert_eq!(
            next_page(&HeaderMap::from_iter([(header::LINK, last.parse().unwrap())])),
            None
        );
    }

    #[test]
    fn a_refusal_is_told_with_its_code_and_what_helps() {
        let body = serde_json::json!({ "errorCode": "E0000011", "errorSummary": "Invalid token provided" });
        let told = refused(StatusCode::UNAUTHORIZED, &body).unwrap().to_string();
        assert!(
            told.starts_with("Invalid token provided (E0000011): the token is unknown"),
            "{told}"
        );
        assert!(refused(StatusCode::BAD_GATEWAY, &serde_json::json!({})).is_none());
    }
}
