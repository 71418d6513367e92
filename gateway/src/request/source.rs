//! From where does a request come? From whoever connects, unless that is a proxy whose word counts.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// What was said of the source cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The client's address: where proxies of ours hand it on, the last one in `X-Forwarded-For` that is none of theirs. What
/// anybody else says there counts for nothing.
///
/// # Errors
/// If a proxy of ours hands on what is no list of addresses.
pub(crate) fn source(peer: IpAddr, headers: &HeaderMap, ours: &[IpNet]) -> Result<IpAddr, Unreadable> {
    let is_ours = |address: &IpAddr| ours.iter().any(|network| network.contains(address));
    if !is_ours(&peer) {
        return Ok(peer);
    }
    let mut source = peer;
    for field in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        let field = field.to_str().map_err(|_| Unreadable)?;
        for said in field.rsplit(',') {
            let said: IpAddr = said.trim_matches([' ', '\t']).parse().map_err(|_| Unreadable)?;
            source = said.to_canonical();
            if !is_ours(&source) {
                return Ok(source);
            }
        }
    }
    Ok(source)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(peer: &str, fields: &[&str]) -> Result<String, Unreadable> {
        let ours: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(field).unwrap());
        }
        source(peer.parse().unwrap(), &headers, &ours).map(|source| source.to_string())
    }

    #[test]
    fn a_stranger_speaks_for_nobody() {
        assert_eq!(said("192.0.2.1", &["203.0.113.9"]).unwrap(), "192.0.2.1");
        assert_eq!(said("192.0.2.1", &["nonsense"]).unwrap(), "192.0.2.1");
    }

    #[test]
    fn our_proxies_hand_on_the_last_address_that_is_not_theirs() {
        for (fields, client) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            (&["198.51.100.1", "203.0.113.9,10.1.1.1"], "203.0.113.9"),
            (&["203.0.113.9", "2001:db8:1::5, 10.1.1.1"], "203.0.113.9"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["2001:db8:2::1"], "2001:db8:2::1"),
            (&["10.2.2.2"], "10.2.2.2"),
            (&[], "10.0.0.1"),
            // What a client itself wrote stands before, and is never looked at.
            (&["nonsense, 203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(said("10.0.0.1", fields).as_deref(), Ok(client), "{fields:?}");
        }
    }

    #[test]
    fn what_our_proxies_cannot_have_written_is_refused() {
        for fields in [
            &[""][..],
            &["unknown"],
            &["203.0.113.9:443"],
            &["203.0.113.9,"],
            &["203.0.113.9", "x"],
            &["[2001:db8:2::1]"],
        ] {
            assert_eq!(said("10.0.0.1", fields), Err(Unreadable), "{fields:?}");
        }
    }
}
