//! Which hosts does a name in the configuration mean? One, or with `*.` all that have one label more.

use std::fmt;

use super::values::Expected;

/// A host name: lower-case letters, digits and dashes between dots; no port, no address, no trailing dot (RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostName(String);

impl HostName {
    pub(crate) fn parse(text: &str) -> Result<Self, Expected> {
        // A name whose last label is a number would be read as an IPv4 address by some.
        let numeric_end = text
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= LONGEST_NAME && text.split('.').all(is_label) && !numeric_end {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected::new(
                "a host name in lower case such as wiki.example.com, without scheme, port or final dot",
            ))
        }
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hosts that an application answers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// Exactly this one.
    Exact(HostName),
    /// `*.example.com`: every name that is this one with one label in front, as in a certificate (RFC 9525, section 6.3).
    Wildcard(HostName),
}

impl HostPattern {
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        match text.strip_prefix("*.") {
            Some(parent) => HostName::parse(parent).map(Self::Wildcard),
            None => HostName::parse(text).map(Self::Exact),
        }
        .map_err(|Expected(what)| Expected(format!("{what}, or *.example.com")))
    }

    /// The one name that it means, if it does.
    pub(crate) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name.as_str()),
            Self::Wildcard(_) => None,
        }
    }

    /// Whether this pattern means that host.
    pub(super) fn covers(&self, host: &HostName) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(parent) => host
                .as_str()
                .split_once('.')
                .is_some_and(|(_, rest)| rest == parent.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
