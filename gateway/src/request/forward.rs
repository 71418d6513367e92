//! What does the application receive? The client's request without anything it could mistake for ours, and who asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use directory::{DeviceId, Revision, Timestamp, UserId};
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::http::{IntoCaseHeaderName, RequestHeader, ResponseHeader};
use policies::DeviceFacts;
use quick_cache::sync::Cache;
use serde::Serialize;

use super::arrive::Arrived;
use super::decide::{Granted, Permit};
use super::strip::{sets_our_cookie, strip};
use crate::config::{HeaderRules, SecurityHeaders};
use crate::jws::TokenSigner;

/// Makes the identity that applications read, and keeps it while it is valid.
pub(crate) struct Identities {
    signer: TokenSigner,
    kept: Cache<IdentityKey, Arc<Identity>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct IdentityKey {
    user: (UserId, Revision),
    device: Option<(DeviceId, Revision)>,
    claimed: Option<DeviceClaims>,
    /// Stands for the application, the issuer and the lifetime: it is another one after every load.
    pool: u64,
}

/// One user on one device, as header values.
struct Identity {
    user: HeaderValue,
    email: HeaderValue,
    groups: HeaderValue,
    device: Option<HeaderValue>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceClaims>,
}

/// What the assertion says of the device: what policies saw of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct DeviceClaims {
    id: DeviceId,
    registered: bool,
    managed: bool,
    hardware_key: bool,
}

impl DeviceClaims {
    fn of(device: &DeviceFacts) -> Self {
        Self {
            id: device.id,
            registered: device.registered,
            managed: device.managed,
            hardware_key: device.hardware_key,
        }
    }
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

const KEPT: usize = 50_000;

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
        let user = &granted.assessed.user;
        let device = granted.assessed.device.as_ref().map(|known| &known.facts);
        let key = IdentityKey {
            user: (user.id, user.version),
            device: device.map(|device| (device.id, device.version)),
            claimed: device.map(|device| DeviceClaims::of(device)),
            pool: issuing.pool,
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
        let known = granted.assessed.device.as_ref();
        let device = known.map(|known| &known.facts);
        let groups: Vec<&str> = granted.assessed.user.groups.iter().map(String::as_str).collect();
        // What is said of the device holds no longer than the facts that it rests on.
        let facts_end = known.and_then(|known| known.ends);
        let at_most = |moment: Timestamp| facts_end.map_or(moment, |ends| ends.min(moment));
        let ends = at_most(issuing.now.plus(issuing.lifetime));
        let claims = Claims {
            iss: issuing.issuer,
            aud: issuing.application,
            sub: user.id,
            iat: issuing.now.secs(),
            exp: ends.secs(),
            login: &user.login,
            email: &user.email,
            groups: groups.clone(),
            device: device.map(|device| DeviceClaims::of(device)),
        };
        let assertion = self.signer.sign(&claims).map_err(IdentityError::Claims)?;
        Ok(Identity {
            user: fitting("login", &user.login)?,
            email: fitting("email", &user.email)?,
            groups: fitting("groups", &groups.join(","))?,
            device: device.map(|device| fitting("device", device.id.as_str())).transpose()?,
            assertion: fitting("assertion", &assertion)?,
            renewed: at_most(issuing.now.plus(issuing.lifetime / 2)),
        })
    }
}

/// For whom an assertion is made, by whom, and for how long.
pub(crate) struct Issuing<'a> {
    /// The auth host's origin.
    pub(crate) issuer: &'a str,
    /// The application's name.
    pub(crate) application: &'a str,
    /// Its number in this configuration.
    pub(crate) pool: u64,
    /// How long it is valid; a new one is made after half of it.
    pub(crate) lifetime: Duration,
    /// The present moment.
    pub(crate) now: Timestamp,
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
    let source = match arrived.peer == arrived.connection.peer {
        true => arrived.connection.peer_text.clone(),
        false => fitting("address", &arrived.peer.to_string())?,
    };
    set(head, X_FORWARDED_FOR, source);
    set(head, FORWARDED, forwarded(arrived)?);
    set(head, X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    set(head, X_FORWARDED_HOST, fitting("host", &arrived.authority)?);
    set(head, X_REQUEST_ID, fitting("request id", &arrived.id)?);
    if let Some(granted) = permit.granted() {
        let identity = identities.identity(granted, issuing)?;
        set(head, X_LATCHKEY_USER, identity.user.clone());
        set(head, X_LATCHKEY_EMAIL, identity.email.clone());
        set(head, X_LATCHKEY_GROUPS, identity.groups.clone());
        if let Some(device) = &identity.device {
            set(head, X_LATCHKEY_DEVICE, device.clone());
        }
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
    let application = &permit.served().application;
    if application.security_headers == SecurityHeaders::Add && head.status != StatusCode::SWITCHING_PROTOCOLS {
        for (name, value) in &CAREFUL {
            if !head.headers.contains_key(name) {
                let _ = head.insert_header(name.clone(), value.clone());
            }
        }
    }
    let rules = &application.response_headers;
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

/// From whom it comes, for which host, and that it came by TLS (RFC 7239). Most requests of a connection say the same.
fn forwarded(arrived: &Arrived) -> Result<HeaderValue, IdentityError> {
    let (host, kept) = (&arrived.authority, &arrived.connection.forwarded);
    let is_usual = arrived.peer == arrived.connection.peer;
    if let Some((_, value)) = kept.get().filter(|(of, _)| is_usual && **of == **host) {
        return Ok(value.clone());
    }
    let said = match arrived.peer {
        IpAddr::V4(peer) => format!("for={peer};host=\"{host}\";proto=https"),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\";host=\"{host}\";proto=https"),
    };
    let value = fitting("address", &said)?;
    if is_usual {
        let _ = kept.set((host.as_str().into(), value.clone()));
    }
    Ok(value)
}

fn apply_to_request(head: &mut RequestHeader, rules: &HeaderRules) {
    for name in &rules.remove {
        head.remove_header(name);
    }
    for (name, value) in &rules.set {
        set(head, name.clone(), value.clone());
    }
}

fn set(head: &mut RequestHeader, name: impl IntoCaseHeaderName, value: HeaderValue) {
    // Only a header map that is full refuses, and the parser bounds what comes in far below that.
    let _ = head.insert_header(name, value);
}

fn fitting(field: &'static str, text: &str) -> Result<HeaderValue, IdentityError> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| IdentityError::Unfit { field })
}

/// What makes browsers careful: nothing but TLS for a year (RFC 6797), and no guessing of types.
const CAREFUL: [(HeaderName, HeaderValue); 2] = [
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

const FORWARDED: &str = "Forwarded";
const X_FORWARDED_FOR: &str = "X-Forwarded-For";
const X_FORWARDED_PROTO: &str = "X-Forwarded-Proto";
const X_FORWARDED_HOST: &str = "X-Forwarded-Host";
const X_REQUEST_ID: &str = "X-Request-Id";
const X_LATCHKEY_USER: &str = "X-Latchkey-User";
const X_LATCHKEY_EMAIL: &str = "X-Latchkey-Email";
const X_LATCHKEY_GROUPS: &str = "X-Latchkey-Groups";
const X_LATCHKEY_DEVICE: &str = "X-Latchkey-Device";
const X_LATCHKEY_ASSERTION: &str = "X-Latchkey-Assertion";
