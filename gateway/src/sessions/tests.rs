use std::net::Ipv4Addr;

use directory::{Client, Generation, Risk};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// a request that is under way goes on with the cookie that took its own's place, if that was asked for from where it
/// comes. Control: a copy that comes from elsewhere ends with it.
#[test]
fn a_request_goes_on_with_the_cookie_that_took_its_own_ones_place() {
    let table = SessionTable::new(StoredSessions::default());
    table.apply(session(&["one"]), NOW, None);
    let first = grip(&table, "one").unwrap();
    assert!(table.apply(session(&["two"]), NOW, replaced("one", HOME)));
    assert!(table.apply(session(&["three"]), NOW, replaced("two", HOME)));

    assert!(grip(&table, "one").is_none());
    assert!(first.is_replaced());
    assert_eq!(first.latest(HOME).secret(), SecretHash::of("three"));
    assert!(first.latest(ELSEWHERE).is_replaced());

    table.apply(session(&["four"]), NOW, replaced("three", ELSEWHERE));
    assert!(
        first.latest(HOME).is_replaced(),
        "what a stranger renewed is not followed"
    );
}

/// A long line of cookies costs no more than a short one: neither memory nor, when its first request ends, stack.
#[test]
fn many_renewals_leave_no_chain_behind() {
    let table = SessionTable::new(StoredSessions::default());
    table.apply(session(&["0"]), NOW, None);
    let first = grip(&table, "0").unwrap();
    let mut second = None;
    for number in 1..=100_000 {
        let (old, new) = ((number - 1).to_string(), number.to_string());
        table.apply(session(&[&new]), NOW, replaced(&old, HOME));
        if number == 1 {
            second = grip(&table, "1").map(|grip| Arc::downgrade(&grip));
        }
    }
    assert_eq!(first.latest(HOME).secret(), SecretHash::of("100000"));
    assert!(second.unwrap().upgrade().is_none(), "nobody holds what nobody uses");
}

/// A cookie that makes room for others is dead and has no heir. Control: the others are alive.
#[test]
fn a_cookie_that_makes_room_has_no_heir() {
    let table = SessionTable::new(StoredSessions::default());
    table.apply(session(&["one", "two"]), NOW, None);
    let (first, second) = (grip(&table, "one").unwrap(), grip(&table, "two").unwrap());
    table.apply(session(&["two", "three"]), NOW, None);

    assert!(first.is_replaced() && first.latest(HOME).is_replaced());
    assert!(!second.is_replaced());
}

/// What the store does not have is gone when it is read again. Control: what it has is there.
#[test]
fn what_the_store_lacks_is_forgotten() {
    let table = SessionTable::new(StoredSessions::default());
    table.apply(session(&["one"]), NOW, None);
    let other = Session {
        id: SessionId::from_random(2),
        ..session(&["two"])
    };
    table.apply(other, NOW, None);

    table.restore(StoredSessions {
        sessions: vec![(session(&["one"]), NOW)],
        places: Vec::new(),
    });

    assert!(grip(&table, "one").is_some());
    assert!(grip(&table, "two").is_none());
    assert_eq!(table.count(), 1);
    assert!(!table.knows(UserId::FIRST, &Place("network 192.0.2.0/24".to_owned()), NOW));
}

/// A place counts as known only from its moment on, and a later one does not take that back.
#[test]
fn a_place_is_known_from_its_moment_on() {
    let place = Place("network 192.0.2.0/24".to_owned());
    let day = Duration::from_secs(86_400);
    let mut records = Records::default();
    records.remember(UserId::FIRST, place.clone(), NOW.plus(day));
    records.remember(UserId::FIRST, place.clone(), NOW.plus(day * 2));
    let table = SessionTable::new(StoredSessions::default());
    *table.records() = records;

    assert!(!table.knows(UserId::FIRST, &place, NOW));
    assert!(table.knows(UserId::FIRST, &place, NOW.plus(day)));
}

fn grip(table: &SessionTable, cookie: &str) -> Option<Arc<Grip>> {
    table.grip(&SecretHash::of(cookie), "wiki.localhost")
}

fn replaced(cookie: &str, by: IpAddr) -> Option<Replaced> {
    Some(Replaced {
        cookie: SecretHash::of(cookie),
        by: Some(by),
    })
}

fn session(cookies: &[&str]) -> Session {
    Session {
        id: SessionId::from_random(1),
        user: UserId::FIRST,
        created: NOW,
        client: Client {
            browser: SecretHash::of("browser"),
            name: "a browser".to_owned(),
            address: HOME,
        },
        generations: vec![Generation {
            number: 1,
            proofs: Vec::new(),
            device: None,
            risk: Risk::default(),
            installed: None,
        }],
        cookies: cookies
            .iter()
            .map(|cookie| SessionCookie {
                secret: SecretHash::of(cookie),
                generation: 1,
                host: "wiki.localhost".to_owned(),
                made: NOW,
            })
            .collect(),
        state: SessionState::Live,
    }
}
