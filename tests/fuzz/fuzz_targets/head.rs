#![no_main]
//! Does a head name one host, and does what goes on to an application say nothing in our name? The first line is the method
//! and the target, each further line a field.

use std::net::IpAddr;

use ipnet::IpNet;
use latchkey::fuzzing::{Field, Head, sets_our_cookie};
use latchkey_fuzz::{head, is_our_cookie, pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((method, target, fields)) = head(octets) else {
        return;
    };
    let Some(mut head) = Head::new(&method, &target, &fields) else {
        return;
    };
    names_one_host(&head, &fields);
    says_where_from(&head, &method, &target, &fields);

    let before = head.fields();
    head.strip();
    let after = head.fields();
    for (name, value) in &after {
        says_nothing_of_ours(name, value);
        let came = name == "connection" || name == "cookie" || before.contains(&(name.clone(), value.clone()));
        assert!(came, "{name} was made up");
    }
    // Other cookies stay, in their order.
    assert_eq!(foreign_cookies(&after), kept_cookies(&before, &after));
    head.strip();
    assert_eq!(by_name(head.fields()), by_name(after), "stripping twice strips more");
});

/// In the order of their names; fields of one name stay in theirs.
fn by_name(mut fields: Vec<Field>) -> Vec<Field> {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn names_one_host(head: &Head, fields: &[Field]) {
    let Some((host, authority)) = head.host() else { return };
    let named = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    assert!(named.clone().count() <= 1);
    assert!(named.clone().all(|(_, value)| value == authority.as_bytes()));
    assert!(
        host.bytes()
            .all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
    );
    let (name, port) = authority.split_at(host.len());
    assert_eq!(name.to_ascii_lowercase(), host);
    assert!(port.is_empty() || port[1..].bytes().all(|octet| octet.is_ascii_digit()) && port.len() > 1);
    if let Some(rest) = head.origin_form(&authority) {
        assert!(!rest.starts_with(b"http://") && !rest.starts_with(b"https://"));
    }
}

/// Nobody but a proxy of ours says where a client is, and a client cannot say it through one.
fn says_where_from(head: &Head, method: &str, target: &[u8], fields: &[Field]) {
    let proxies: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
    let ours = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let stranger: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(head.source(stranger, &proxies), Ok(stranger));
    let proxy: IpAddr = "10.0.0.1".parse().unwrap();
    let Ok(source) = head.source(proxy, &proxies) else {
        return;
    };
    if ours(&source) {
        return;
    }
    let claims = [("x-forwarded-for".to_owned(), b"203.0.113.66".to_vec())];
    let fields: Vec<Field> = claims.iter().chain(fields).cloned().collect();
    let claimed = Head::new(method, target, &fields).unwrap();
    assert_eq!(
        claimed.source(proxy, &proxies),
        Ok(source),
        "a client chose its own address"
    );
}

fn says_nothing_of_ours(name: &str, value: &[u8]) {
    let folded: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    for ours in ["x-latchkey", "x-forwarded", "x-ssl-", "client-cert", "ssl-client"] {
        assert!(!folded.starts_with(ours), "{name}");
    }
    assert!(
        !["device-assertion", "forwarded", "x-real-ip", "proxy", "x-original-url"].contains(&&*folded),
        "{name}"
    );
    if name == "authorization" {
        for token in [b"lka_".as_slice(), b"lke_", b"SSWS lka_", b"Bearer lke_"] {
            assert!(!value.starts_with(token));
        }
    }
    if name == "cookie" {
        assert!(pairs(value).all(|(name, _)| !is_our_cookie(&name)), "a cookie of ours");
        assert!(!sets_our_cookie(value));
    }
}

/// The cookies that are none of ours, in their order.
fn foreign_cookies(fields: &[Field]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = fields.iter().filter(|(name, _)| name == "cookie");
    fields
        .flat_map(|(_, value)| pairs(value))
        .filter(|(name, value)| !is_our_cookie(name) && !(name.is_empty() && value.is_empty()))
        .collect()
}

/// Those that should be there: all, unless the client named `Cookie` as its connection's own.
fn kept_cookies(before: &[Field], after: &[Field]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut nominated = before
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| {
            let tokens = value.split(|octet| *octet == b',');
            tokens
                .map(|token| token.trim_ascii().to_ascii_lowercase())
                .collect::<Vec<_>>()
        });
    if nominated.any(|token| token == b"cookie") {
        assert!(after.iter().all(|(name, _)| name != "cookie"));
        return Vec::new();
    }
    foreign_cookies(before)
}
