//! What must not pass from a client to an application? What speaks in our name or a proxy's, and what is ours alone.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use crate::config::is_ours;

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

/// Takes out everything that a client must not tell an application behind the gateway, and what is meant for the gateway.
pub(crate) fn strip(head: &mut RequestHeader) {
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
    if head
        .headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .any(carries_our_token)
    {
        head.remove_header(&header::AUTHORIZATION);
    }
}

/// Whether a client shows an application the token of our admin API or of an enrolment.
fn carries_our_token(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let is_scheme = |scheme: &&str| {
        let start = value.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    let scheme = ["ssws", "bearer"]
        .iter()
        .find(|scheme| is_scheme(scheme))
        .map_or(0, |scheme| scheme.len());
    let credential = value.get(scheme..).unwrap_or_default().trim_ascii_start();
    OUR_TOKENS.iter().any(|prefix| credential.starts_with(prefix))
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

/// Takes our cookies out of `Cookie`, leaves the others byte for byte, and makes one field of several: HTTP/2 sends each cookie
/// in a field of its own, which means nothing outside of it (RFC 9113, section 8.2.3).
fn strip_cookies(head: &mut RequestHeader) {
    let ours = |pair: &[u8]| is_our_cookie(pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii());
    let has_ours = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(ours);
    let mut fields = head.headers.get_all(header::COOKIE).iter();
    match (fields.next(), fields.next()) {
        (None, _) => return,
        (Some(only), None) if !has_ours(only) => return,
        (Some(_), _) => {}
    }
    let values: Vec<HeaderValue> = head.headers.get_all(header::COOKIE).iter().cloned().collect();
    head.remove_header(&header::COOKIE);
    let without_ours = |value: &HeaderValue| {
        let pairs = value.as_bytes().split(|byte| *byte == b';');
        let kept: Vec<&[u8]> = pairs.filter(|pair| !ours(pair)).collect();
        kept.join(&b';').trim_ascii().to_vec()
    };
    let fields: Vec<Vec<u8>> = values
        .iter()
        .map(without_ours)
        .filter(|field| !field.is_empty())
        .collect();
    let joined = fields.join(b"; ".as_slice());
    if !joined.is_empty()
        && let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(joined))
    {
        let _ = head.append_header(header::COOKIE, value);
    }
}

/// Whether a `Set-Cookie` of an application is under one of our names.
pub(crate) fn sets_our_cookie(value: &HeaderValue) -> bool {
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

/// How the secrets begin that open the admin API and the enrolment endpoint.
const OUR_TOKENS: [&[u8]; 2] = [b"lka_", b"lke_"];

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
    fn a_token_of_ours_goes_no_further() {
        for value in ["SSWS lka_x", "SSWSlka_x", "Bearer lke_x"] {
            let mut head = head(&[("authorization", value)]);
            strip(&mut head);
            assert!(head.headers.is_empty(), "{value}");
        }
        let mut head = head(&[("authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.lka_lke_.x")]);
        strip(&mut head);
        assert_eq!(
            head.headers.len(),
            1,
            "an application's own token that only looks alike inside"
        );
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
        let mut crumbs = self::head(&[
            ("cookie", "a=1"),
            ("cookie", "__Host-latchkey=secret"),
            ("cookie", "b=2"),
        ]);
        strip(&mut crumbs);
        let cookies: Vec<_> = crumbs.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"], "as HTTP/2 sends them");
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
