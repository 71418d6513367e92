//! Which page asks, and by which name? As the header fields say that browsers set and pages cannot.

use http::{HeaderMap, HeaderName, Uri, header};

use crate::gateway::printable;

/// Who asks, by `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asking {
    /// A page of the pinned auth host.
    Pinned,
    /// A page of another origin: this one, as far as it can be shown.
    Foreign(String),
    /// Nobody says who.
    Unknown,
}

/// Whether this is asked under the agent's own name: a page whose name was made to lead here has another.
pub(super) fn is_own_name(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
    let own = format!("127.0.0.1:{port}");
    uri.authority().is_none() && only(headers, &header::HOST) == Some(own.as_bytes())
}

/// Who asks.
pub(super) fn asking(headers: &HeaderMap, issuer: &str) -> Asking {
    match only(headers, &header::ORIGIN) {
        Some(origin) if origin == issuer.as_bytes() => Asking::Pinned,
        Some(origin) if !origin.is_empty() => {
            let shown = printable(&String::from_utf8_lossy(origin));
            Asking::Foreign(shown.chars().take(LONGEST).collect())
        }
        _ => Asking::Unknown,
    }
}

/// Whether the body is said to be JSON, which no page can say without having asked first.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = only(headers, &header::CONTENT_TYPE).and_then(|kind| std::str::from_utf8(kind).ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The value of a field that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// How much of an origin is told on, in characters.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ISSUER: &str = "https://auth.example.com";

    /// a name that leads here is not the agent's own.
    #[test]
    fn only_the_own_name_with_the_own_port_is_answered() {
        let named = |hosts: &[&str]| is_own_name(&Uri::from_static("/probe"), &fields(&header::HOST, hosts), 47_600);
        assert!(named(&["127.0.0.1:47600"]));
        for hosts in [
            &[][..],
            &["127.0.0.1"],
            &["127.0.0.1:47601"],
            &["localhost:47600"],
            &["evil.example:47600"],
            &["127.0.0.1:47600."],
            &["127.0.0.1:047600"],
            &["127.0.0.1:47600", "127.0.0.1:47600"],
            &["[::1]:47600"],
        ] {
            assert!(!named(hosts), "{hosts:?}");
        }
        let absolute = Uri::from_static("http://evil.example/probe");
        assert!(!is_own_name(
            &absolute,
            &fields(&header::HOST, &["127.0.0.1:47600"]),
            47_600
        ));
    }

    /// P-19: missing, null, look-alike, another port, http for https.
    #[test]
    fn only_the_pinned_origin_is_the_auth_hosts() {
        let seen = |origins: &[&str]| asking(&fields(&header::ORIGIN, origins), ISSUER);
        assert_eq!(seen(&[ISSUER]), Asking::Pinned);
        for origins in [&[][..], &[ISSUER, ISSUER], &[ISSUER, "https://evil.example"], &[""]] {
            assert_eq!(seen(origins), Asking::Unknown, "{origins:?}");
        }
        for origin in [
            "null",
            "https://auth.example.com.evil.example",
            "https://auth.example.com:8443",
            "http://auth.example.com",
            "https://AUTH.example.com",
            "https://auth.example.com/",
            " ",
        ] {
            assert_eq!(seen(&[origin]), Asking::Foreign(origin.to_owned()), "{origin}");
        }
    }

    #[test]
    fn a_foreign_origin_is_shortened_and_cannot_steer_a_terminal() {
        let mut headers = HeaderMap::new();
        let long = [b"https://\xff\t".as_slice(), &[b'a'; 500]].concat();
        headers.insert(header::ORIGIN, HeaderValue::from_bytes(&long).unwrap());
        let Asking::Foreign(origin) = asking(&headers, ISSUER) else {
            panic!("expected a foreign origin");
        };
        assert_eq!(origin.chars().count(), LONGEST);
        assert!(origin.starts_with("https://\u{fffd}\u{fffd}aaa"));
    }

    #[test]
    fn json_has_to_be_said() {
        let said = |kinds: &[&str]| is_json(&fields(&header::CONTENT_TYPE, kinds));
        assert!(said(&["application/json"]) && said(&["Application/JSON; charset=utf-8"]));
        for kinds in [
            &[][..],
            &["text/plain"],
            &["text/plain;application/json"],
            &["application/json", "application/json"],
        ] {
            assert!(!said(kinds), "{kinds:?}");
        }
    }

    fn fields(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }
}
