//! What does the application receive? The client's request without anything it could mistake for ours, and who asks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use directory::{DeviceId, Revision, Timestamp, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use moka::sync::Cache;
use pingora::http::{RequestHeader, ResponseHeader};
use serde::Serialize;

use super::arrive::Arrived;
use super::decide::{Granted, Permit};
use crate::config::{HeaderRules, is_ours};
use crate::jws::TokenSigner;

/// Makes the identity that applications read, and keeps it while it is valid.
pub(crate) struct Identities {
    signer: TokenSigner,
    kept: Cache<IdentityKey, Arc<Identity>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct IdentityKey {
    user: (UserId, Revision),
    device: (DeviceId, Revision),
    application: String,
    issuer: String,
    lifetime: Duration,
}

/// One user on one device, as header values.
struct Identity {
    user: HeaderValue,
    email: HeaderValue,
    groups: HeaderValue,
    device: HeaderValue,
    assertion: HeaderValue,
    renewed: Timestamp,
}

/// The claims of the assertion (RFC 7519).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    iat: i64,
    exp: i64,
    login: &'a str,
    email: &'a str,
    groups: Vec<&'a str>,
    device: DeviceClaims,
}

#[derive(Serialize)]
struct DeviceClaims {
    id: DeviceId,
    registered: bool,
    managed: bool,
    hardware_key: bool,
}

/// Says why the identity cannot be put into a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// A value does not fit into a header.
    #[error("the user's {field} does not fit into a header")]
    Unfit {
        /// Which value.
        field: &'static str,
    },
    /// The claims cannot be written.
    #[error("writing the claims")]
    Claims(#[source] serde_json::Error),
}

const KEPT: u64 = 50_000;

impl Identities {
    /// Signs with the given key.
    pub(crate) fn new(signer: TokenSigner) -> Self {
        Self {
            signer,
            kept: Cache::new(KEPT),
        }
    }

    /// The keys that applications check assertions with (RFC 7517).
    pub(crate) fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [self.signer.public()] })
    }

    fn identity(&self, granted: &Granted, issuing: &Issuing<'_>) -> Result<Arc<Identity>, IdentityError> {
        let (user, device) = (&granted.assessed.user, &granted.assessed.device.facts);
        let key = IdentityKey {
            user: (user.id, user.version),
            device: (device.id, device.version),
            application: issuing.application.to_owned(),
            issuer: issuing.issuer.to_owned(),
            lifetime: issuing.lifetime,
        };
        if let Some(identity) = self.kept.get(&key)
            && issuing.now < identity.renewed
        {
            return Ok(identity);
        }
        let identity = Arc::new(self.make(granted, issuing)?);
        self.kept.insert(key, identity.clone());
        Ok(identity)
    }

    fn make(&self, granted: &Granted, issuing: &Issuing<'_>) -> Result<Identity, IdentityError> {
        let user = &granted.identified.user;
        let device = &granted.assessed.device.facts;
        let groups: Vec<&str> = granted.assessed.user.groups.iter().map(String::as_str).collect();
        let claims = Claims {
            iss: issuing.issuer,
            aud: issuing.application,
            sub: user.id,
            iat: issuing.now.secs(),
            exp: issuing.now.plus(issuing.lifetime).secs(),
            login: &user.login,
            email: &user.email,
            groups: groups.clone(),
            device: DeviceClaims {
                id: device.id,
                registered: device.registered,
                managed: device.managed,
                hardware_key: device.hardware_key,
            },
        };
        let assertion = self.signer.sign(&claims).map_err(IdentityError::Claims)?;
        Ok(Identity {
            user: fitting("login", &user.login)?,
            email: fitting("email", &user.email)?,
            groups: fitting("groups", &groups.join(","))?,
            device: fitting("device", device.id.as_str())?,
            assertion: fitting("assertion", &assertion)?,
            renewed: issuing.now.plus(issuing.lifetime / 2),
        })
    }
}

/// For whom an assertion is made, by whom, and for how long.
pub(crate) struct Issuing<'a> {
    /// The auth host's origin.
    pub(crate) issuer: &'a str,
    /// The application's name.
    pub(crate) application: &'a str,
    /// How long it is valid; a new one is made after half of it.
    pub(crate) lifetime: Duration,
    /// The present moment.
    pub(crate) now: Timestamp,
}

/// Takes out of the request what its `Connection` field nominates, before anything else reads it: what we add later
/// must not be nominated away (RFC 9110, section 7.6.1).
pub(crate) fn drop_nominated(head: &mut RequestHeader, websocket: bool) {
    let nominated: Vec<HeaderName> = head
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| *name != header::HOST && *name != header::UPGRADE && *name != header::CONTENT_LENGTH)
        .filter(|name| *name != header::TRANSFER_ENCODING)
        .collect();
    for name in &nominated {
        head.remove_header(name);
    }
    if head.headers.contains_key(header::CONNECTION) {
        head.remove_header(&header::CONNECTION);
    }
    if websocket {
        let _ = head.insert_header(header::CONNECTION, "Upgrade");
    } else if head.headers.contains_key(header::UPGRADE) {
        head.remove_header(&header::UPGRADE);
    }
}

/// Writes the request that goes to the application.
///
/// # Errors
/// If the identity cannot be put into headers; the request then must not go.
pub(crate) fn prepare(
    head: &mut RequestHeader,
    arrived: &Arrived,
    permit: &Permit,
    identities: &Identities,
    issuing: &Issuing<'_>,
) -> Result<(), IdentityError> {
    strip(head);
    let rules = &permit.served().application.request_headers;
    apply_to_request(head, rules);
    let peer = arrived.connection.peer.to_string();
    set(head, X_FORWARDED_FOR, fitting("address", &peer)?);
    set(head, X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    set(head, X_FORWARDED_HOST, fitting("host", &arrived.authority)?);
    set(head, X_REQUEST_ID, fitting("request id", &arrived.id)?);
    if let Some(granted) = permit.granted() {
        let identity = identities.identity(granted, issuing)?;
        set(head, X_LATCHKEY_USER, identity.user.clone());
        set(head, X_LATCHKEY_EMAIL, identity.email.clone());
        set(head, X_LATCHKEY_GROUPS, identity.groups.clone());
        set(head, X_LATCHKEY_DEVICE, identity.device.clone());
        set(head, X_LATCHKEY_ASSERTION, identity.assertion.clone());
    }
    Ok(())
}

/// Writes the answer that goes to the client: without cookies under our names, by the application's rules.
pub(crate) fn prepare_answer(head: &mut ResponseHeader, permit: &Permit, request_id: &str) {
    if head.headers.get_all(header::SET_COOKIE).iter().any(sets_our_cookie) {
        let kept: Vec<_> = head
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter(|value| !sets_our_cookie(value))
            .cloned()
            .collect();
        head.remove_header(&header::SET_COOKIE);
        for value in kept {
            let _ = head.append_header(header::SET_COOKIE, value);
        }
    }
    let rules = &permit.served().application.response_headers;
    for name in &rules.remove {
        head.remove_header(name);
    }
    for (name, value) in &rules.set {
        let _ = head.insert_header(name.clone(), value.clone());
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        let _ = head.insert_header(X_REQUEST_ID, id);
    }
}

/// Takes out everything that a client must not tell an application behind the gateway.
fn strip(head: &mut RequestHeader) {
    let unwanted: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in &unwanted {
        head.remove_header(name);
    }
    strip_cookies(head);
}

fn is_unwanted(name: &str) -> bool {
    let known_letter = matches!(
        name.as_bytes().first(),
        Some(b'x' | b'f' | b's' | b'c' | b't' | b'd' | b'p')
    );
    if !known_letter {
        return false;
    }
    if is_ours(name) {
        return true;
    }
    let folded: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    UNWANTED.contains(&folded.as_str()) || UNWANTED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
}

/// Takes our cookies out of `Cookie` and leaves the others byte for byte.
fn strip_cookies(head: &mut RequestHeader) {
    let ours = |pair: &[u8]| is_our_cookie(pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii());
    let any_ours = |headers: &HeaderMap| {
        headers
            .get_all(header::COOKIE)
            .iter()
            .any(|value| value.as_bytes().split(|byte| *byte == b';').any(ours))
    };
    if !any_ours(&head.headers) {
        return;
    }
    let values: Vec<HeaderValue> = head.headers.get_all(header::COOKIE).iter().cloned().collect();
    head.remove_header(&header::COOKIE);
    for value in values {
        let kept: Vec<&[u8]> = value
            .as_bytes()
            .split(|byte| *byte == b';')
            .filter(|pair| !ours(pair))
            .collect();
        let joined = kept.join(&b';');
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(joined.trim_ascii().to_vec()))
            && !value.is_empty()
        {
            let _ = head.append_header(header::COOKIE, value);
        }
    }
}

fn sets_our_cookie(value: &HeaderValue) -> bool {
    is_our_cookie(
        value
            .as_bytes()
            .split(|byte| matches!(byte, b'=' | b';'))
            .next()
            .unwrap_or_default()
            .trim_ascii(),
    )
}

fn is_our_cookie(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let bare = name
        .strip_prefix("__host-")
        .or_else(|| name.strip_prefix("__secure-"))
        .unwrap_or(&name);
    bare.starts_with("latchkey")
}

fn apply_to_request(head: &mut RequestHeader, rules: &HeaderRules) {
    for name in &rules.remove {
        head.remove_header(name);
    }
    for (name, value) in &rules.set {
        set(head, name.clone(), value.clone());
    }
}

fn set(head: &mut RequestHeader, name: HeaderName, value: HeaderValue) {
    // Only a header map that is full refuses, and the parser bounds what comes in far below that.
    let _ = head.insert_header(name, value);
}

fn fitting(field: &'static str, text: &str) -> Result<HeaderValue, IdentityError> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| IdentityError::Unfit { field })
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_LATCHKEY_USER: HeaderName = HeaderName::from_static("x-latchkey-user");
const X_LATCHKEY_EMAIL: HeaderName = HeaderName::from_static("x-latchkey-email");
const X_LATCHKEY_GROUPS: HeaderName = HeaderName::from_static("x-latchkey-groups");
const X_LATCHKEY_DEVICE: HeaderName = HeaderName::from_static("x-latchkey-device");
const X_LATCHKEY_ASSERTION: HeaderName = HeaderName::from_static("x-latchkey-assertion");

/// What proxies tell applications about the client, its certificate or the original request, and what frameworks take
/// for their own: from a client all of it is a claim.
const UNWANTED: [&str; 17] = [
    "forwarded",
    "true-client-ip",
    "client-ip",
    "x-client-ip",
    "x-real-ip",
    "x-cluster-client-ip",
    "x-request-id",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "proxy",
];

const UNWANTED_PREFIXES: [&str; 7] = [
    "x-forwarded",
    "x-ssl-",
    "ssl-client",
    "client-cert",
    "x-client-cert",
    "x-tls-client",
    "x-middleware-",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn what_a_client_says_under_our_names_or_a_proxys_is_taken_out_in_any_spelling() {
        let claims = [
            "X-Latchkey-User",
            "x-latchkey_user",
            "x_latchkey_user",
            "X.Latchkey.User",
            "x-latchkey-anything",
            "Device-Assertion",
            "device_assertion",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "X-Forwarded-Client-Cert",
            "Forwarded",
            "X-Real-IP",
            "True-Client-IP",
            "X-Client-IP",
            "X-Original-URI",
            "X-SSL-Client-Verify",
            "SSL-Client-Cert",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-Middleware-Subrequest",
            "Proxy",
        ];
        for name in claims {
            let mut head = head(&[("accept", "*/*")]);
            head.append_header(name.to_owned(), "claimed").unwrap();
            strip(&mut head);
            assert_eq!(head.headers.len(), 1, "{name}");
        }
    }

    #[test]
    fn what_is_the_applications_own_stays() {
        let fields = [
            ("authorization", "Bearer x"),
            ("x-api-key", "k"),
            ("cookie", "a=1;  b=2"),
            ("x-csrf-token", "t"),
        ];
        let mut head = head(&fields);
        strip(&mut head);
        assert_eq!(head.headers.len(), fields.len());
        assert_eq!(head.headers["cookie"], "a=1;  b=2");
    }

    #[test]
    fn our_cookies_go_no_further_and_others_stay_as_they_are() {
        let mut head = head(&[
            ("cookie", "a=1; __Host-latchkey=secret; b=\"2\""),
            ("cookie", "latchkey_auth=x"),
        ]);
        strip(&mut head);
        let cookies: Vec<_> = head.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=\"2\""]);
        assert!(sets_our_cookie(&HeaderValue::from_static(
            "__Host-latchkey=evil; Path=/"
        )));
        assert!(!sets_our_cookie(&HeaderValue::from_static("session=latchkey")));
    }

    #[test]
    fn nothing_we_add_can_be_nominated_away() {
        let mut head = head(&[
            ("connection", "keep-alive, X-Forwarded-For, Authorization, Host, x-a"),
            ("authorization", "x"),
            ("host", "wiki"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("upgrade", "h2c"),
        ]);
        drop_nominated(&mut head, false);
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "x-b"]);
    }
}
