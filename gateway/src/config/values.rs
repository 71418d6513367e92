//! What does a text of the configuration mean? Durations, sizes, numbers, names, addresses, each said or refused.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

/// What was expected where something else was found, as it follows "expected".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) String);

impl Expected {
    pub(super) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// Reads durations such as `30s`; the reader refuses those outside `range`.
pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, Expected> {
    move |text| {
        let (low, high) = (spell(*range.start()), spell(*range.end()));
        let expected = || Expected(format!("a duration from {low} to {high}, such as 30s, 5m, 12h or 30d"));
        let (number, unit) = number_and_unit(text).ok_or_else(expected)?;
        let milliseconds = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?.1;
        let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
        duration
            .filter(|duration| range.contains(duration))
            .ok_or_else(expected)
    }
}

/// Reads a size such as `1MiB` into bytes, or `none` for no limit.
pub(super) fn limit(text: &str) -> Result<Option<u64>, Expected> {
    let expected = || Expected::new("a size above 0 such as 512KiB or 1MiB, or `none` for no limit");
    if text == "none" {
        return Ok(None);
    }
    let (number, unit) = number_and_unit(text).ok_or_else(expected)?;
    let unit = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?.1;
    let bytes = number
        .checked_mul(unit)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(expected)?;
    Ok(Some(bytes))
}

/// Reads whole numbers in `range`.
pub(super) fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, Expected>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        number.ok_or_else(|| Expected(format!("a whole number from {} to {}", range.start(), range.end())))
    }
}

/// Reads one of the words of a closed list.
pub(super) fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Expected> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let all = || {
            words
                .iter()
                .map(|(word, _)| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        found.ok_or_else(|| Expected(format!("one of {}", all())))
    }
}

/// Reads an address with its port, such as `127.0.0.1:8443` or `[::]:8443`.
pub(super) fn address(text: &str) -> Result<SocketAddr, Expected> {
    text.parse()
        .map_err(|_| Expected::new("an IP address and a port, such as 127.0.0.1:8443 or [::]:8443"))
}

/// Reads an address that only this machine can reach.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, Expected> {
    let loopback = address(text).ok().filter(|address| address.ip().is_loopback());
    loopback.ok_or_else(|| Expected::new("a loopback address and a port, such as 127.0.0.1:8443"))
}

/// Reads a network such as `10.0.0.0/8`.
pub(super) fn network(text: &str) -> Result<IpNet, Expected> {
    let expected = || Expected::new("a network such as 10.0.0.0/8 or 2001:db8::/32");
    let network: IpNet = text.parse().map_err(|_| expected())?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(Expected(format!(
            "a network without host bits, such as {}",
            network.trunc()
        )))
    }
}

/// Reads a name that appears in logs, tokens and policies: lower-case letters, digits and dashes.
pub(super) fn name(text: &str) -> Result<String, Expected> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(allowed) && !text.starts_with('-') && (1..=LONGEST_NAME).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Expected(format!(
            "a name of 1 to {LONGEST_NAME} lower-case letters, digits and dashes"
        )))
    }
}

/// Reads a word that only policies see: any text that can be shown.
pub(super) fn label(text: &str) -> Result<String, Expected> {
    if text.is_empty() || text.len() > LONGEST_LABEL || text.chars().any(char::is_control) {
        Err(Expected(format!(
            "a text of 1 to {LONGEST_LABEL} bytes without control characters"
        )))
    } else {
        Ok(text.to_owned())
    }
}

/// Reads the web origin of a page, as a browser writes it: `https://example.com`, with a port unless it is the usual one.
pub(super) fn origin(text: &str) -> Result<String, Expected> {
    let written = url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let written = written
        .map(|url| url.origin().ascii_serialization())
        .filter(|origin| origin == text);
    written.ok_or_else(|| Expected::new("an origin such as https://example.com or https://example.com:8443"))
}

/// Reads the least severe level that is logged.
pub(super) fn level(text: &str) -> Result<LevelFilter, Expected> {
    one_of(&[
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ])(text)
}

/// Splits `30s` into 30 and `s`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

/// Writes a duration with the largest unit that leaves no rest.
fn spell(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = |(_, unit): &&(&str, u64)| milliseconds >= *unit && milliseconds % unit == 0;
    match DURATIONS.iter().rev().find(whole) {
        Some((name, unit)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

/// Units of time, in milliseconds, from the smallest.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Units of size, in bytes.
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

const LONGEST_NAME: usize = 63;
const LONGEST_LABEL: usize = 255;
