//! What did a client ask of its proxy? Read from the fields that the proxy writes; what it does not say is not guessed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;

use super::certificate::{BadChain, ShownChain, is_certificate_field};
use crate::config::{CertificatePlace, is_ours};

/// A request as a client sent it to its proxy, and what the proxy knows of the client.
pub(crate) struct Forwarded {
    /// Method, target, host and fields; without what the proxy wrote for the gateway.
    pub(crate) head: RequestHeader,
    /// Whether it is a WebSocket only as far as its key says, and may be none: the proxy tells of no `Upgrade`.
    pub(crate) may_be_plain: bool,
    /// Who connected to the proxy.
    pub(crate) peer: IpAddr,
    /// The certificate that the client showed there; nothing of it is verified.
    pub(crate) chain: Option<ShownChain>,
}

/// Says what a proxy does not say as it has to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadForwarded {
    /// A field is missing or there more than once.
    #[error("expected the field {field} once, found it {found} times")]
    Once {
        /// Which.
        field: &'static str,
        /// How often it is there.
        found: usize,
    },
    /// A value is not what the field is for.
    #[error("expected {expected} in {field}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What has to be in it.
        expected: &'static str,
    },
    /// A field's name can be taken for one of the gateway's, and no proxy replaces it.
    #[error("expected no field `{name}`: an application may take it for one of the gateway's")]
    Ours {
        /// The name.
        name: String,
    },
    /// What is there in place of the client's certificate is none.
    #[error("the client's certificate")]
    Chain(#[from] BadChain),
    /// The call of `ext_authz` lacks something.
    #[error("expected {0} in the call of ext_authz")]
    Call(&'static str),
}

/// The parts that make a request, from wherever a proxy puts them.
pub(super) struct Parts<'a> {
    /// The method.
    pub(super) method: &'a [u8],
    /// Path and query.
    pub(super) target: &'a [u8],
    /// `https`; a WebSocket's may be called `wss`.
    pub(super) scheme: &'a [u8],
    /// The host, with its port as far as the client wrote one.
    pub(super) authority: HeaderValue,
    /// All fields of the request, those that the proxy wrote among them.
    pub(super) fields: HeaderMap,
    /// Who connected to the proxy.
    pub(super) peer: IpAddr,
    /// The certificate that the client showed there.
    pub(super) chain: Option<ShownChain>,
}

impl Forwarded {
    /// Reads the request that nginx, Traefik or Caddy makes for the one it asks about.
    ///
    /// # Errors
    /// If one of the fields is missing, there twice, or not what it has to be.
    pub(crate) fn of_http(headers: &HeaderMap, place: CertificatePlace) -> Result<Self, BadForwarded> {
        let authority = once(headers, X_FORWARDED_HOST)?;
        Self::of(Parts {
            method: once(headers, X_FORWARDED_METHOD)?.as_bytes(),
            target: once(headers, X_FORWARDED_URI)?.as_bytes(),
            scheme: once(headers, X_FORWARDED_PROTO)?.as_bytes(),
            authority: authority.clone(),
            fields: headers.clone(),
            peer: last_hop(headers)?,
            chain: ShownChain::of_fields(headers, place)?,
        })
    }

    /// Puts the request together.
    pub(super) fn of(parts: Parts<'_>) -> Result<Self, BadForwarded> {
        let value = |field, expected| BadForwarded::Value { field, expected };
        if !matches!(parts.scheme, b"https" | b"wss") {
            return Err(value(
                X_FORWARDED_PROTO,
                "https: cookies and redirects go over TLS alone",
            ));
        }
        if !parts.target.starts_with(b"/") {
            return Err(value(X_FORWARDED_URI, "a path that begins with a slash"));
        }
        let method = Method::from_bytes(parts.method).map_err(|_| value(X_FORWARDED_METHOD, "a method"))?;
        let mut head = RequestHeader::build(method, parts.target, Some(parts.fields.len() + 2))
            .map_err(|_| value(X_FORWARDED_URI, "a request target"))?;
        // A parser drops a fragment silently; the application would get it.
        if head.raw_path() != parts.target || parts.target.contains(&b'#') {
            return Err(value(X_FORWARDED_URI, "path and query, and nothing else"));
        }
        let fits = |_| value(X_FORWARDED_HOST, "a host");
        head.insert_header(header::HOST, parts.authority).map_err(fits)?;
        for (name, field) in &parts.fields {
            if passes_for_ours(name) {
                let name = name.as_str().to_owned();
                return Err(BadForwarded::Ours { name });
            }
            if is_the_clients(name) {
                let fits = |_| value("a field", "a value of HTTP");
                head.append_header(name.clone(), field.clone()).map_err(fits)?;
            }
        }
        let may_be_plain = say_websocket(&mut head);
        Ok(Self {
            head,
            may_be_plain,
            peer: parts.peer,
            chain: parts.chain,
        })
    }
}

/// Whether a field of what the proxy sends is of the client's request, as far as the gateway reads it.
fn is_the_clients(name: &HeaderName) -> bool {
    let of_the_connection = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
    ];
    let written_by_proxies = name.as_str().starts_with("x-forwarded-") && name.as_str() != X_FORWARDED_FOR;
    !of_the_connection.contains(name) && !written_by_proxies && !is_certificate_field(name)
}

/// Whether an application may take a client's field for one of the gateway's although no proxy replaces it: those replace
/// the names that are documented, as they are spelled.
fn passes_for_ours(name: &HeaderName) -> bool {
    is_ours(name.as_str()) && !super::REPLACED.contains(&name.as_str())
}

/// Proxies take `Upgrade` away before they ask; a WebSocket's key stays (RFC 6455, section 4.1). Whether that was done here.
fn say_websocket(head: &mut RequestHeader) -> bool {
    let by_key_alone = head.method == Method::GET
        && head.headers.contains_key(header::SEC_WEBSOCKET_KEY)
        && !head.headers.contains_key(header::UPGRADE);
    if by_key_alone {
        let _ = head.insert_header(header::UPGRADE, "websocket");
    }
    by_key_alone
}

fn once<'a>(headers: &'a HeaderMap, field: &'static str) -> Result<&'a HeaderValue, BadForwarded> {
    let mut values = headers.get_all(field).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(BadForwarded::Once {
            field,
            found: headers.get_all(field).iter().count(),
        }),
    }
}

/// Who connected to the proxy: what it wrote last.
fn last_hop(headers: &HeaderMap) -> Result<IpAddr, BadForwarded> {
    let field = headers.get_all(X_FORWARDED_FOR).iter().next_back();
    let field = field.ok_or(BadForwarded::Once {
        field: X_FORWARDED_FOR,
        found: 0,
    })?;
    let last = field.to_str().ok().and_then(|field| field.rsplit(',').next());
    let address = last.and_then(|last| last.trim_matches([' ', '\t']).parse::<IpAddr>().ok());
    address
        .map(|address| address.to_canonical())
        .ok_or(BadForwarded::Value {
            field: X_FORWARDED_FOR,
            expected: "the client's address at the end",
        })
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_METHOD: &str = "x-forwarded-method";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_URI: &str = "x-forwarded-uri";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/a?b=c"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "wiki.example.com:8443"),
        ("x-forwarded-for", "203.0.113.9"),
    ];

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn read(fields: &[(&str, &str)]) -> Result<Forwarded, BadForwarded> {
        Forwarded::of_http(&headers(fields), CertificatePlace::Nowhere)
    }

    /// The good fields, this one replaced by those.
    fn with(name: &str, values: &[&str]) -> Result<Forwarded, BadForwarded> {
        let mut fields: Vec<_> = GOOD.into_iter().filter(|(good, _)| *good != name).collect();
        fields.extend(values.iter().map(|value| (name, *value)));
        read(&fields)
    }

    #[test]
    fn the_request_is_put_together_from_what_the_proxy_says() {
        let more = [
            ("accept", "text/html"),
            ("host", "gateway"),
            ("x-forwarded-port", "1"),
            ("content-length", "0"),
        ];
        let forwarded = read(&[&GOOD[..], &more].concat()).unwrap();

        let head = &forwarded.head;
        assert_eq!((head.method.as_str(), head.raw_path()), ("POST", b"/a?b=c".as_slice()));
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "x-forwarded-for"]);
        assert_eq!(head.headers["host"], "wiki.example.com:8443");
        assert_eq!(forwarded.peer.to_string(), "203.0.113.9");
    }

    #[test]
    fn what_is_missing_twice_or_malformed_is_refused() {
        assert!(read(&GOOD).is_ok());
        for (name, good) in GOOD {
            assert!(with(name, &[]).is_err(), "{name} is missing");
            // Several hops may be said in several fields.
            assert_eq!(
                with(name, &[good, good]).is_err(),
                name != "x-forwarded-for",
                "{name} twice"
            );
            assert!(
                with(name, &[""]).is_err() || name == "x-forwarded-host",
                "{name} is empty"
            );
        }
        for (name, bad) in [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-uri", "https://wiki.example.com/a"),
            ("x-forwarded-uri", "*"),
            ("x-forwarded-uri", "a"),
            ("x-forwarded-uri", "/a#b"),
            ("x-forwarded-method", "GET POST"),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-for", "203.0.113.9, "),
            ("x-forwarded-for", "203.0.113.9:443"),
        ] {
            assert!(with(name, &[bad]).is_err(), "{name}: {bad}");
        }
        let last = with("x-forwarded-for", &["nonsense, 198.51.100.1", "192.0.2.1,203.0.113.9"]).unwrap();
        assert_eq!(
            last.peer.to_string(),
            "203.0.113.9",
            "what the proxy itself saw stands last"
        );
    }

    #[test]
    fn names_that_pass_for_ours_are_refused_and_those_that_proxies_replace_are_not() {
        for good in ["x-latchkey-user", "device-assertion", "x-latchkeys"] {
            let refused = read(&[&GOOD[..], &[(good, "1")]].concat()).is_err();
            assert_eq!(refused, good == "x-latchkeys", "{good}");
        }
        for bad in [
            "x_latchkey_user",
            "x-latchkey_user",
            "x-latchkey-admin",
            "x.latchkey.user",
            "device_assertion",
        ] {
            let refused = read(&[&GOOD[..], &[(bad, "1")]].concat()).err();
            assert_eq!(refused, Some(BadForwarded::Ours { name: bad.to_owned() }));
        }
    }

    #[test]
    fn a_websocket_is_known_by_its_key_where_the_upgrade_is_taken_away() {
        let get = |field: (&'static str, &'static str)| {
            let mut fields = GOOD.to_vec();
            fields[0].1 = "GET";
            fields.push(field);
            read(&fields).unwrap().head.headers.get("upgrade").cloned()
        };
        assert_eq!(get(("sec-websocket-key", "x")).unwrap(), "websocket");
        assert_eq!(get(("upgrade", "h2c")).unwrap(), "h2c");
        assert_eq!(get(("accept", "x")), None);
    }

    proptest! {
        #[test]
        fn arbitrary_values_never_panic(name in 0..5usize, value in prop::collection::vec(0x20u8..=0xff, 0..40)) {
            let mut fields = headers(&GOOD);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                fields.insert(GOOD[name].0, value);
            }
            let _ = Forwarded::of_http(&fields, CertificatePlace::Nowhere);
        }
    }
}
