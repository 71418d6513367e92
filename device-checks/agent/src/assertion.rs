//! How does an account's key speak for one request? An assertion over its method, its URL and a nonce of the gateway's.

use std::sync::Arc;

use device_checks::wire::{ASSERTION_FIELD, Timestamp};
use device_checks::{ASSERTION_TYPE, Amr, Assertion, KeyType, jws};
use http::Method;
use url::Url;

use crate::gateway::{Ask, AskError, Gateway};
use crate::keys::{self, Confirmed, DeviceKey, KeyError, KeyStore, Unlock, blocking, sign_token};
use crate::pam::PamError;
use crate::state::Account;

/// One of an account's keys, and what its signature says of the user.
#[derive(Clone)]
pub struct AccountKey {
    /// The key.
    pub key: Arc<dyn DeviceKey>,
    /// Which one it is.
    pub key_type: KeyType,
    /// How the user was authenticated.
    pub amr: Vec<Amr>,
}

/// The request that an assertion is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its URL, without query and fragment.
    pub url: String,
}

/// Says why there is no assertion.
#[derive(Debug, thiserror::Error)]
pub enum AssertError {
    /// The URL is none that an assertion can be for.
    #[error("expected a URL such as https://app.example.com/path, found `{0}`")]
    Url(String),
    /// The gateway gives no nonce.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The key cannot be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] jws::SignError<KeyError>),
    /// The account has no key for this.
    #[error("`{0}` has no user-verification key here: `latchkey-agent verification set` makes one")]
    NoVerification(String),
    /// The user was not verified.
    #[error(transparent)]
    Pam(#[from] PamError),
    /// The user showed something else than the account asks for.
    #[error("`{0}` confirms in another way")]
    OtherWay(String),
}

impl AssertError {
    /// Whether the PIN was a wrong one, and how many tries are left where that is known.
    pub fn wrong_pin(&self) -> Option<Option<u32>> {
        match self {
            Self::Key(KeyError::WrongPin { tries_left })
            | Self::Sign(jws::SignError::Key(KeyError::WrongPin { tries_left })) => Some(*tries_left),
            Self::Url(_)
            | Self::Ask(_)
            | Self::Key(_)
            | Self::Sign(_)
            | Self::NoVerification(_)
            | Self::Pam(_)
            | Self::OtherWay(_) => None,
        }
    }
}

impl AccountKey {
    /// The key that signs without asking.
    ///
    /// # Errors
    ///
    /// It does not open.
    pub async fn possession(store: &Arc<dyn KeyStore>, account: &Account) -> Result<Self, KeyError> {
        let (store, stored) = (Arc::clone(store), account.possession.clone());
        let key = blocking(move || store.open(&stored, None)).await?;
        Ok(Self {
            key: Arc::from(key),
            key_type: KeyType::ProofOfPossession,
            amr: vec![Amr::Fpt],
        })
    }

    /// The key that signs after its user was verified: by what they showed, now.
    ///
    /// # Errors
    ///
    /// There is none, it asks for something else, or it does not open for whoever this is.
    pub async fn verification(
        store: &Arc<dyn KeyStore>,
        account: &Account,
        confirmed: &Confirmed,
        now: Timestamp,
    ) -> Result<Self, AssertError> {
        let verification = account.verification.as_ref();
        let verification = verification.ok_or_else(|| AssertError::NoVerification(account.login.clone()))?;
        if !confirmed.is_by(verification.method) {
            return Err(AssertError::OtherWay(account.login.clone()));
        }
        let (store, stored, confirmed) = (Arc::clone(store), verification.key.clone(), confirmed.clone());
        let key = blocking(move || {
            let by = confirmed.verify();
            store.open(&stored, Some(Unlock { by, now }))
        });
        Ok(Self {
            key: Arc::from(key.await?),
            key_type: KeyType::UserVerification,
            amr: vec![Amr::Fpt, keys::amr(verification.method)],
        })
    }
}

impl Request {
    /// The request to this URL, as the gateway will see it.
    ///
    /// # Errors
    ///
    /// It is none of HTTPS.
    pub fn new(method: Method, url: &str) -> Result<Self, AssertError> {
        let bad = || AssertError::Url(crate::gateway::printable(url));
        let mut url = Url::parse(url).map_err(|_| bad())?;
        if url.scheme() != "https" || !url.has_host() || !url.username().is_empty() || url.password().is_some() {
            return Err(bad());
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            method,
            url: url.into(),
        })
    }
}

/// The claims of an assertion.
pub fn claims(
    account: &Account,
    issuer: &str,
    key: &AccountKey,
    request: &Request,
    nonce: String,
    now: Timestamp,
) -> Assertion {
    Assertion {
        iss: account.enrollment,
        aud: issuer.to_owned(),
        sub: account.user,
        iat: now.secs(),
        exp: now.secs().saturating_add(LIFETIME),
        jti: random(),
        nonce,
        htm: request.method.to_string(),
        htu: request.url.clone(),
        amr: key.amr.clone(),
        key_type: key.key_type,
    }
}

/// Makes an assertion, with a fresh nonce.
///
/// # Errors
///
/// The gateway gives none, or the key does not sign.
pub async fn assert(
    gateway: &Gateway,
    account: &Account,
    key: &AccountKey,
    request: &Request,
    now: Timestamp,
) -> Result<String, AssertError> {
    let nonce = gateway.nonce().await?;
    let claims = claims(account, gateway.origin(), key, request, nonce, now);
    let key = Arc::clone(&key.key);
    let signed = tokio::task::spawn_blocking(move || sign_token(ASSERTION_TYPE, &*key, &claims)).await;
    Ok(signed.map_err(|_| KeyError::Worker)??)
}

/// The same request, proved by this key of the account.
///
/// # Errors
///
/// As [`fn@assert`].
pub async fn prove<'a>(
    gateway: &Gateway,
    account: &Account,
    key: &AccountKey,
    ask: Ask<'a>,
    now: Timestamp,
) -> Result<Ask<'a>, AssertError> {
    let url = format!("{}{}", gateway.origin(), ask.path);
    let request = Request::new(ask.method.clone(), &url)?;
    let assertion = assert(gateway, account, key, &request, now).await?;
    Ok(ask.with(ASSERTION_FIELD, assertion))
}

/// 128 random bits, in hexadecimal.
pub fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// For how many seconds an assertion is good.
const LIFETIME: i64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_for_a_url_as_a_client_sends_it_without_its_query() {
        for (url, expected) in [
            ("https://app.example.com", "https://app.example.com/"),
            ("https://APP.example.com:443/a?b=c#d", "https://app.example.com/a"),
            (
                "https://app.example.com:8443/a%2Fb/",
                "https://app.example.com:8443/a%2Fb/",
            ),
        ] {
            assert_eq!(Request::new(Method::GET, url).unwrap().url, expected);
        }
        for url in [
            "http://app.example.com/",
            "app.example.com",
            "https://u:p@app.example.com/",
            "data:x",
        ] {
            assert!(
                matches!(Request::new(Method::GET, url), Err(AssertError::Url(_))),
                "{url}"
            );
        }
    }
}
