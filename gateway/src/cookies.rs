//! Which cookies of ours does a request bring, and how are they set? Host-bound names alone, one of each.

use directory::SecretHash;
use http::{HeaderMap, HeaderValue, header};

/// A cookie of the gateway. Each is bound to its host by its name (RFC 6265bis, section 4.1.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Stands for a session at this host.
    Session,
    /// Binds what is begun at an application's host to the browser that began it.
    Binding,
    /// Tells this browser from others, on the auth host; binds the steps of a sign-in to it.
    Browser,
}

/// The secret in a cookie: 256 random bits in base64url. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CookieSecret(String);

/// Says that a cookie of ours is there twice, or is none that we made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadCookie(pub(crate) Cookie);

impl Cookie {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session => "__Host-latchkey-session",
            Self::Binding => "__Host-latchkey-binding",
            Self::Browser => "__Host-latchkey-browser",
        }
    }

    /// How long a browser keeps it, in seconds; nothing means until it is closed.
    const fn lifetime(self) -> Option<u32> {
        match self {
            Self::Session => None,
            Self::Binding => Some(60 * 60),
            Self::Browser => Some(400 * 24 * 60 * 60),
        }
    }

    /// The secret that a request brings under this name. Values are taken as they stand: no quotes, no `$Version`.
    ///
    /// # Errors
    /// If there are several, or it is none of ours.
    pub(crate) fn read(self, headers: &HeaderMap) -> Result<Option<CookieSecret>, BadCookie> {
        let mut values = values(headers, self.name());
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(BadCookie(self));
        }
        let text = std::str::from_utf8(value).map_err(|_| BadCookie(self))?;
        CookieSecret::parse(text).map(Some).ok_or(BadCookie(self))
    }

    /// The field that sets it.
    pub(crate) fn set(self, secret: &CookieSecret) -> HeaderValue {
        let lifetime = self.lifetime().map(|seconds| format!("; Max-Age={seconds}"));
        let text = format!(
            "{}={}; Path=/; Secure; HttpOnly; SameSite=Lax{}",
            self.name(),
            secret.0,
            lifetime.unwrap_or_default()
        );
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// The field that takes it away.
    pub(crate) fn clear(self) -> HeaderValue {
        let text = format!("{}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0", self.name());
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl CookieSecret {
    /// A new one.
    pub(crate) fn new(random: &[u8; 32]) -> Self {
        use base64::Engine;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random))
    }

    /// One from 256 fresh random bits.
    pub(crate) fn random() -> Self {
        Self::new(&rand::random())
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// A hash of a short text that only who has the cookie can make, which is not kept.
    pub(crate) fn bind(&self, text: &str) -> SecretHash {
        SecretHash::of(&format!("{}.{text}", self.0))
    }

    fn parse(text: &str) -> Option<Self> {
        let ours = text.len() == LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        ours.then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The values that a request brings under exactly that name, as they stand.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let (found, value) = split(pair);
        (found == name.as_bytes()).then_some(value)
    })
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let pair = pair.trim_ascii();
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, value) = pair.split_at(at);
            (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
        }
        None => (pair, b""),
    }
}

/// 256 bits in base64url.
const LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Result<Option<String>, BadCookie> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::COOKIE, HeaderValue::from_str(field).unwrap());
        }
        Cookie::Session
            .read(&headers)
            .map(|secret| secret.map(|secret| secret.0))
    }

    #[test]
    fn a_cookie_is_read_by_its_exact_name_and_as_it_stands() {
        let secret = "A".repeat(43);
        let ours = format!("__Host-latchkey-session={secret}");
        assert_eq!(read(&[&format!("a=1; {ours}; b=2")]), Ok(Some(secret.clone())));
        assert_eq!(read(&["a=1", &ours]), Ok(Some(secret.clone())));
        assert_eq!(read(&[]), Ok(None));
        for other in [
            format!("latchkey-session={secret}"),
            format!("__host-latchkey-session={secret}"),
            format!("__Secure-latchkey-session={secret}"),
            format!("x__Host-latchkey-session={secret}"),
            format!("$Version=1; $Path=/; session={secret}"),
        ] {
            assert_eq!(read(&[&other]), Ok(None), "{other}");
        }
    }

    #[test]
    fn a_cookie_that_is_there_twice_or_is_none_of_ours_is_refused() {
        let secret = "A".repeat(43);
        let ours = format!("__Host-latchkey-session={secret}");
        assert!(read(&[&ours]).is_ok());
        for bad in [
            format!("{ours}; {ours}"),
            format!("__Host-latchkey-session=\"{secret}\""),
            format!("{ours}A"),
            "__Host-latchkey-session=".to_owned(),
            format!("__Host-latchkey-session={}", "A".repeat(8192)),
        ] {
            assert_eq!(read(&[&bad]), Err(BadCookie(Cookie::Session)), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = CookieSecret::new(&[7; 32]);
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert!(Cookie::Session.set(&secret).is_sensitive());
    }
}
