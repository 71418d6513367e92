//! Who calls the admin API? Whoever holds a token that counts, at a place where it counts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use directory::{Actor, ActorKind, ApiToken, ApiTokenId, Scope, SecretHash, Snapshot, Timestamp};
use http::{HeaderMap, header};
use ipnet::IpNet;

/// Proof that a request carries an API token that counts. Only [`authenticate`] makes one.
#[derive(Debug)]
pub(crate) struct Admin {
    token: ApiTokenId,
    name: String,
    scopes: BTreeSet<Scope>,
    networks: Vec<IpNet>,
    address: IpAddr,
}

/// Finds the token in `Authorization` (`SSWS` or `Bearer`, with or without a space after it), if it is known, not revoked,
/// not over, and made for this address.
pub(crate) fn authenticate(headers: &HeaderMap, peer: IpAddr, snapshot: &Snapshot, now: Timestamp) -> Option<Admin> {
    let token = snapshot.api_token_by_secret(&SecretHash::of(presented(headers)?))?;
    let address = peer.to_canonical();
    counts(token, address, now).then(|| Admin {
        token: token.id,
        name: token.name.clone(),
        scopes: token.scopes.clone(),
        networks: token.networks.clone(),
        address,
    })
}

impl Admin {
    /// Whether the token was made for this.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether everybody who lies in one of these networks could use this token too; no networks mean anywhere.
    pub(super) fn reaches(&self, networks: &[IpNet]) -> bool {
        let inside = |network: &IpNet| self.networks.iter().any(|own| own.contains(network));
        self.networks.is_empty() || (!networks.is_empty() && networks.iter().all(inside))
    }

    /// What the System Log calls it.
    pub(super) fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::ApiToken,
            id: self.token.to_string(),
            display_name: self.name.clone(),
            address: Some(self.address),
        }
    }
}

fn counts(token: &ApiToken, address: IpAddr, now: Timestamp) -> bool {
    let here = token.networks.is_empty() || token.networks.iter().any(|network| network.contains(&address));
    token.revoked.is_none() && now < token.ends && here
}

/// The token in the one `Authorization` field; with two of them it is not clear which one counts.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next()?.to_str().ok()?;
    if fields.next().is_some() {
        return None;
    }
    SCHEMES.iter().find_map(|scheme| {
        let (head, token) = field.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| token.trim_start_matches(' '))
    })
}

const SCHEMES: [&str; 2] = ["SSWS", "Bearer"];

#[cfg(test)]
pub(super) mod tests {
    use directory::{Change, Revision};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    const HERE: &str = "192.0.2.7";

    fn token() -> ApiToken {
        ApiToken {
            id: ApiTokenId::from_random(1),
            name: "ci".to_owned(),
            secret: SecretHash::of("lka_secret"),
            scopes: BTreeSet::from([Scope::DevicesRead]),
            networks: Vec::new(),
            created: Timestamp::from_secs(0),
            ends: Timestamp::from_secs(2_000),
            revoked: None,
            demo: false,
            version: Revision(0),
        }
    }

    fn with(fields: &[&str], token: ApiToken, now: Timestamp) -> Option<Admin> {
        let snapshot = Snapshot::empty().with(Revision(1), &[Change::PutApiToken(Box::new(token))]);
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::AUTHORIZATION, field.parse().unwrap());
        }
        authenticate(&headers, HERE.parse().unwrap(), &snapshot, now)
    }

    /// An admin whose token has these scopes and networks, for the tests of what that allows.
    pub(in crate::admin) fn admin(scopes: &[Scope], networks: &[&str]) -> Admin {
        let scopes = scopes.iter().copied().collect();
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Admin {
            scopes,
            networks,
            ..with(&["SSWS lka_secret"], token(), NOW).unwrap()
        }
    }

    #[test]
    fn a_token_is_read_in_each_spelling() {
        for field in [
            "SSWS lka_secret",
            "SSWSlka_secret",
            "Bearer lka_secret",
            "Bearerlka_secret",
            "bearer lka_secret",
        ] {
            assert!(with(&[field], token(), NOW).is_some(), "{field}");
        }
        for field in [
            "",
            "SSWS",
            "Bearer ",
            "lka_secret",
            "Basic lka_secret",
            "SSWS lka_secre",
            "SSWS lka_secret ",
        ] {
            assert!(with(&[field], token(), NOW).is_none(), "{field}");
        }
    }

    #[test]
    fn two_authorization_fields_are_none() {
        assert!(with(&["SSWS lka_secret", "SSWS lka_secret"], token(), NOW).is_none());
        assert!(with(&[], token(), NOW).is_none());
    }

    /// a token counts until its end, until it is revoked, and from its networks only.
    #[test]
    fn a_token_counts_only_where_and_while_it_was_made_for() {
        let of = |networks: &[&str]| networks.iter().map(|network| network.parse().unwrap()).collect();
        let inside = ApiToken {
            networks: of(&["10.0.0.0/8", "192.0.2.0/24"]),
            ..token()
        };
        let outside = ApiToken {
            networks: of(&["198.51.100.0/24"]),
            ..token()
        };
        let revoked = ApiToken {
            revoked: Some(NOW),
            ..token()
        };
        let count = |token: ApiToken, now: Timestamp| with(&["SSWS lka_secret"], token, now).is_some();

        assert!(count(inside, NOW) && !count(outside, NOW));
        assert!(count(token(), NOW) && !count(revoked, NOW));
        assert!(count(token(), Timestamp::from_millis(1_999_999)) && !count(token(), Timestamp::from_secs(2_000)));
    }

    #[test]
    fn an_address_mapped_into_ipv6_is_the_address_itself() {
        let bound = ApiToken {
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            ..token()
        };
        let snapshot = Snapshot::empty().with(Revision(1), &[Change::PutApiToken(Box::new(bound))]);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "SSWS lka_secret".parse().unwrap())]);
        let from = |peer: &str| authenticate(&headers, peer.parse().unwrap(), &snapshot, NOW).is_some();

        assert!(from("::ffff:192.0.2.7"));
        assert!(!from("::ffff:198.51.100.7"));
    }

    /// a scope that the token lacks is not given.
    #[test]
    fn a_token_may_what_its_scopes_say() {
        let admin = admin(&[Scope::DevicesRead], &[]);
        assert!(admin.may(Scope::DevicesRead));
        assert!(!admin.may(Scope::DevicesManage));
    }

    #[test]
    fn a_bound_token_reaches_only_into_its_own_networks() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let bound = admin(&[], &["10.0.0.0/8"]);
        assert!(bound.reaches(&nets(&["10.1.0.0/16", "10.2.3.4/32"])));
        assert!(!bound.reaches(&nets(&["10.1.0.0/16", "192.0.2.0/24"])));
        assert!(!bound.reaches(&nets(&["0.0.0.0/0"])));
        assert!(!bound.reaches(&[]));
        assert!(admin(&[], &[]).reaches(&[]));
    }
}
