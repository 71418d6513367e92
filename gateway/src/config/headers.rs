//! Which header fields does the configuration set or remove? Never those that carry the connection or our own words.

use http::{HeaderName, HeaderValue};

use super::values::Expected;

/// What is done to the header fields of a request or a response on its way through: first removed, then set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct HeaderRules {
    /// Fields that get this one value, in place of all they had.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// Fields that are taken out.
    pub(crate) remove: Vec<HeaderName>,
}

/// Reads the name of a header field that a rule may touch.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Expected> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Expected::new("the name of a header field, such as X-Frame-Options"))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Expected::new(
            "a header field other than Host and those that belong to the connection",
        ));
    }
    if is_ours(name.as_str()) {
        return Err(Expected::new(
            "a header field other than X-Latchkey-… and Device-Assertion, which the gateway alone sets",
        ));
    }
    Ok(name)
}

/// Reads the value of a header field.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Expected> {
    let shown = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && text.trim() == text;
    let value = HeaderValue::from_str(text).ok().filter(|_| shown);
    value.ok_or_else(|| Expected::new("a value of visible ASCII characters with no space around it"))
}

/// Whether a server that folds punctuation into `-` or `_` would take the name for one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    let folded = || {
        name.bytes().map(|byte| {
            if byte.is_ascii_alphanumeric() {
                byte.to_ascii_lowercase()
            } else {
                b'-'
            }
        })
    };
    let ours = b"x-latchkey";
    folded().take(ours.len()).eq(*ours) || folded().eq(*b"device-assertion")
}

/// Fields of the connection rather than the message (RFC 9110, section 7.6.1), and those that frame or route it.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
