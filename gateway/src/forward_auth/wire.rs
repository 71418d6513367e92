//! What do Envoy and the gateway say to each other? The part that is used of `envoy.service.auth.v3`, by its field numbers.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use prost::{Message, Oneof};

use super::certificate::ShownChain;
use super::forwarded::{BadForwarded, Forwarded, Parts};
use crate::config::CertificatePlace;

/// Where Envoy asks.
pub(crate) const CALL: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What Envoy asks.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<AttributesOfRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
    /// The certificate, in percent-encoded PEM.
    #[prost(string, tag = "5")]
    certificate: String,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, Message)]
struct SocketAddress {
    #[prost(string, tag = "2")]
    address: String,
}

#[derive(Clone, PartialEq, Message)]
struct AttributesOfRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    /// All fields in one map, repeated ones joined: what `encode_raw_headers` replaces.
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(message, optional, tag = "13")]
    header_map: Option<RawHeaders>,
}

#[derive(Clone, PartialEq, Message)]
struct RawHeaders {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<Field>,
}

/// A header field (`envoy.config.core.v3.HeaderValue`).
#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "bytes", tag = "3")]
    raw_value: Bytes,
}

/// What the gateway answers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(oneof = "HttpResponse", tags = "2, 3")]
    response: Option<HttpResponse>,
}

/// `google.rpc.Status`: whether the request passes is told by its code.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Oneof)]
enum HttpResponse {
    #[prost(message, tag = "2")]
    Denied(DeniedResponse),
    #[prost(message, tag = "3")]
    Ok(OkResponse),
}

#[derive(Clone, PartialEq, Message)]
struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<FieldOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<FieldOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Field>,
    #[prost(int32, tag = "3")]
    append_action: i32,
}

/// What is answered to a proxy.
pub(crate) enum Answer {
    /// The request may pass, with these fields in place of whatever it has by their names, and without those.
    Pass {
        /// What to set.
        set: HeaderMap,
        /// What to take out.
        remove: Vec<HeaderName>,
    },
    /// It may not: what the client is told.
    Refuse {
        /// Status and fields.
        head: Box<pingora::http::ResponseHeader>,
        /// The body.
        body: Bytes,
    },
}

impl Forwarded {
    /// Reads a call of Envoy's.
    ///
    /// # Errors
    /// If something is missing, said twice, or said differently in two places.
    pub(crate) fn of_call(call: CheckRequest, place: CertificatePlace) -> Result<Self, BadForwarded> {
        let attributes = call.attributes.ok_or(BadForwarded::Call("attributes"))?;
        let source = attributes.source.ok_or(BadForwarded::Call("the source"))?;
        let request = attributes.request.and_then(|request| request.http);
        let request = request.ok_or(BadForwarded::Call("the HTTP request"))?;
        let raw = request.header_map.as_ref();
        let raw = raw.ok_or(BadForwarded::Call("each field by itself (`encode_raw_headers: true`)"))?;
        if !request.headers.is_empty() {
            return Err(BadForwarded::Call("the fields in one place"));
        }
        let mut fields = HeaderMap::new();
        for field in raw.headers.iter().filter(|field| !field.key.starts_with(':')) {
            let name = HeaderName::from_bytes(field.key.as_bytes());
            let value = HeaderValue::from_bytes(field.octets());
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(BadForwarded::Call("fields of HTTP"));
            };
            fields.append(name, value);
        }
        let method = raw.pseudo(":method", &request.method)?;
        let target = raw.pseudo(":path", &request.path)?;
        let authority = raw.pseudo(":authority", &request.host)?;
        let authority = HeaderValue::from_bytes(authority).map_err(|_| BadForwarded::Call("a host"))?;
        let chain = match place {
            CertificatePlace::ExtAuthz if source.certificate.is_empty() => None,
            CertificatePlace::ExtAuthz => Some(ShownChain::of_escaped_pem(&source.certificate)?),
            field => ShownChain::of_fields(&fields, field)?,
        };
        let peer = source.address.and_then(|address| address.socket_address);
        let peer = peer.and_then(|peer| peer.address.parse::<std::net::IpAddr>().ok());
        let peer = peer.ok_or(BadForwarded::Call("the address of the source"))?;
        Self::of(Parts {
            method,
            target,
            scheme: raw.pseudo(":scheme", &request.scheme)?,
            authority,
            fields,
            peer: peer.to_canonical(),
            chain,
        })
    }
}

impl Field {
    fn octets(&self) -> &[u8] {
        match self.raw_value.is_empty() {
            true => self.value.as_bytes(),
            false => &self.raw_value,
        }
    }
}

impl RawHeaders {
    /// The value of a pseudo-header field, there once and the same as what is said of it elsewhere.
    fn pseudo(&self, name: &'static str, said: &str) -> Result<&[u8], BadForwarded> {
        let mut fields = self.headers.iter().filter(|field| field.key == name);
        match (fields.next(), fields.next()) {
            (Some(field), None) if field.octets() == said.as_bytes() => Ok(field.octets()),
            _ => Err(BadForwarded::Call(
                "each pseudo-header field once, as in the attributes",
            )),
        }
    }
}

impl From<Answer> for CheckResponse {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Pass { set, remove } => Self {
                status: Some(Status { code: OK }),
                response: Some(HttpResponse::Ok(OkResponse {
                    headers: options(&set, OVERWRITE_IF_EXISTS_OR_ADD),
                    headers_to_remove: remove.iter().map(|name| name.as_str().to_owned()).collect(),
                })),
            },
            Answer::Refuse { head, body } => {
                let mut fields = head.headers.clone();
                // Envoy counts for itself.
                fields.remove(header::CONTENT_LENGTH);
                Self {
                    status: Some(Status {
                        code: PERMISSION_DENIED,
                    }),
                    response: Some(HttpResponse::Denied(DeniedResponse {
                        status: Some(HttpStatus {
                            code: i32::from(head.status.as_u16()),
                        }),
                        headers: options(&fields, APPEND_IF_EXISTS_OR_ADD),
                        body: String::from_utf8_lossy(&body).into_owned(),
                    })),
                }
            }
        }
    }
}

fn options(fields: &HeaderMap, append_action: i32) -> Vec<FieldOption> {
    let option = |(name, value): (&HeaderName, &HeaderValue)| FieldOption {
        header: Some(Field {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            raw_value: Bytes::new(),
        }),
        append_action,
    };
    fields.iter().map(option).collect()
}

/// `google.rpc.Code`.
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;

/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`.
const APPEND_IF_EXISTS_OR_ADD: i32 = 0;
const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(key: &str, value: &str) -> Field {
        Field {
            key: key.to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value.as_bytes()),
        }
    }

    fn call(change: impl FnOnce(&mut HttpRequest, &mut Peer)) -> Result<Forwarded, BadForwarded> {
        let mut http = HttpRequest {
            method: "GET".to_owned(),
            headers: HashMap::new(),
            path: "/a?b".to_owned(),
            host: "wiki.example.com".to_owned(),
            scheme: "https".to_owned(),
            header_map: Some(RawHeaders {
                headers: vec![
                    field(":method", "GET"),
                    field(":path", "/a?b"),
                    field(":authority", "wiki.example.com"),
                    field(":scheme", "https"),
                    field("accept", "text/html"),
                ],
            }),
        };
        let mut source = Peer {
            address: Some(Address {
                socket_address: Some(SocketAddress {
                    address: "203.0.113.9".to_owned(),
                }),
            }),
            certificate: String::new(),
        };
        change(&mut http, &mut source);
        let sent = CheckRequest {
            attributes: Some(AttributeContext {
                source: Some(source),
                request: Some(AttributesOfRequest { http: Some(http) }),
            }),
        };
        let received = CheckRequest::decode(sent.encode_to_vec().as_slice()).unwrap();
        Forwarded::of_call(received, CertificatePlace::ExtAuthz)
    }

    #[test]
    fn a_call_is_read_and_what_is_missing_twice_or_contradicts_itself_is_refused() {
        let good = call(|_, _| {}).unwrap();
        assert_eq!(good.head.raw_path(), b"/a?b");
        assert_eq!(good.head.headers["host"], "wiki.example.com");
        assert_eq!(
            (good.peer.to_string().as_str(), good.chain.is_none()),
            ("203.0.113.9", true)
        );
        type Change = fn(&mut HttpRequest, &mut Peer);
        let bad: [(&str, Change); 11] = [
            ("another path", |http, _| http.path = "/b".to_owned()),
            ("another method", |http, _| http.method = "POST".to_owned()),
            ("another host", |http, _| http.host = "vault.example.com".to_owned()),
            ("no fields", |http, _| http.header_map = None),
            ("fields in two places", |http, _| {
                http.headers.insert("accept".to_owned(), "*/*".to_owned());
            }),
            ("two paths", |http, _| {
                http.header_map.as_mut().unwrap().headers.push(field(":path", "/a?b"))
            }),
            ("no path", |http, _| {
                http.header_map
                    .as_mut()
                    .unwrap()
                    .headers
                    .retain(|field| field.key != ":path")
            }),
            ("plain text", |http, _| {
                http.scheme = "http".to_owned();
                http.header_map.as_mut().unwrap().headers[3] = field(":scheme", "http");
            }),
            ("no address", |_, source| source.address = None),
            ("no address but a name", |_, source| {
                source
                    .address
                    .as_mut()
                    .unwrap()
                    .socket_address
                    .as_mut()
                    .unwrap()
                    .address = "client".to_owned();
            }),
            ("no certificate", |_, source| {
                source.certificate = "-----BEGIN".to_owned()
            }),
        ];
        for (what, change) in bad {
            assert!(call(change).is_err(), "{what}");
        }
    }

    /// A permit and a refusal differ in the status that Envoy goes by, as its protocol numbers it.
    #[test]
    fn answers_are_written_as_the_protocol_has_them() {
        let set = HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("1"))]);
        let remove = vec![HeaderName::from_static("x-b")];
        let pass = CheckResponse::from(Answer::Pass { set, remove }).encode_to_vec();
        assert_eq!(
            pass,
            b"\x0a\x00\x1a\x13\x12\x0c\x0a\x08\x0a\x03x-a\x12\x011\x18\x02\x2a\x03x-b"
        );
        let head = Box::new(pingora::http::ResponseHeader::build(403, None).unwrap());
        let body = Bytes::from_static(b"no");
        let refuse = CheckResponse::from(Answer::Refuse { head, body }).encode_to_vec();
        assert_eq!(refuse, b"\x0a\x02\x08\x07\x12\x09\x0a\x03\x08\x93\x03\x1a\x02no");
    }

    proptest! {
        #[test]
        fn arbitrary_octets_are_no_call_or_one_that_is_refused(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(call) = CheckRequest::decode(octets.as_slice()) {
                prop_assert!(Forwarded::of_call(call, CertificatePlace::ExtAuthz).is_err());
            }
        }
    }
}
