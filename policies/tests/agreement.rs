//! Does the fast way to decide ever differ from the plain one, whatever the policies, the requests and the time?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::sync::Arc;

use directory::{DeviceId, KeyStore, Ownership, Platform, Posture, Revision, SessionId, Timestamp, UserId};
use policies::reference::Question;
use policies::{
    AccessRequest, Action, Ages, AppFacts, CacheLimits, Decider, DeviceFacts, PolicyFile, PolicySet, Proof,
    RequestFacts, SessionFacts, UserFacts,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// R-13, as far as slices and caches go: one decider, asked often while time moves, always answers what every policy
    /// asked afresh with every fact would answer, and no permit outlives its end.
    #[test]
    fn a_remembered_decision_is_the_one_that_all_policies_would_make_now(
        texts in prop::collection::vec(policy(), 1..8),
        asked in requests(25),
        steps in prop::collection::vec(0_i64..3_000, 25),
    ) {
        let policies = Arc::new(load(&texts));
        let decider = Decider::new(Arc::clone(&policies), CacheLimits::default());
        let mut now = NOW.millis();
        for (request, step) in asked.iter().zip(steps) {
            for step in [0, step] {
                now += step;
                let request = at(request, now);
                let fast = decider.decide(&request);
                prop_assert_eq!(fast.clone().map(|permit| permit.policies().to_vec()), plain(&policies, &request));

                if let Ok(permit) = fast {
                    let last = permit.ends().map_or(now + 1_000_000_000, |ends| ends.millis() - 1);
                    prop_assert!(plain(&policies, &at(&request, last)).is_ok(), "a permit outlived its end");
                }
            }
        }
    }
}

fn plain(policies: &PolicySet, request: &AccessRequest) -> Result<Vec<policies::PolicyId>, policies::Denied> {
    Question::of(request).unwrap().ask(policies).map(|ids| ids.to_vec())
}

fn load(texts: &[String]) -> PolicySet {
    let name = |(number, text): (usize, &String)| format!("@id(\"p{number}\") {text}");
    let text: Vec<String> = texts.iter().enumerate().map(name).collect();
    PolicySet::load(&[PolicyFile {
        name: "random.cedar".into(),
        text: text.join("\n"),
    }])
    .unwrap()
}

fn at(request: &AccessRequest, millis: i64) -> AccessRequest {
    AccessRequest {
        now: Timestamp::from_millis(millis),
        ..request.clone()
    }
}

fn policy() -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["permit", "permit", "forbid"]);
    let principal = prop::sample::select(vec![
        "principal",
        "principal is User",
        "principal is User in Group::\"g1\"",
        "principal in Group::\"g0\"",
    ]);
    let action = prop::sample::select(vec![
        "action in Action::\"access\"",
        "action == Action::\"read\"",
        "action in [Action::\"write\", Action::\"connect\"]",
    ]);
    let resource = prop::sample::select(vec![
        "resource",
        "resource is App",
        "resource == App::\"a0\"",
        "resource in AppGroup::\"ag0\"",
        "resource is App in AppGroup::\"ag1\"",
    ]);
    let clause = prop::sample::select(vec!["when", "unless"]);
    (effect, principal, action, resource, clause, condition()).prop_map(
        |(effect, principal, action, resource, clause, condition)| {
            format!("{effect} ({principal}, {action}, {resource}) {clause} {{ {condition} }};")
        },
    )
}

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![3 => fact(), 3 => age(), 1 => odd()].prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("if {a} then {b} else {c}")),
        ]
    })
}

/// What a cache key can hold.
fn fact() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "principal in Group::\"g1\"",
        "principal.hasTag(\"t\") && principal.getTag(\"t\").contains(\"v\")",
        "resource.sensitivity > 1",
        "resource.hasTag(\"t\")",
        "context has device",
        "context has device && context.device.managed",
        "context has device && context.device in Assurance::\"standard\"",
        "context has device && context.device has mdm && context.device.mdm has firewall && context.device.mdm.firewall",
        "context has session && context.session.factorCount >= 2",
        "context has session && context has device && context.session has origin && context.session.origin == context.device",
        "context has proof && context.proof.hardware",
        "context has proof && context has device && context.proof.device == context.device",
        "context has authenticator && context.authenticator.installed",
        "context.request.path == \"/a\"",
        "\"/a\" != context.request.path",
        "context.request.path like \"/a*\"",
        "context.request.host like \"*.b\"",
        "[\"GET\", \"PUT\"].contains(context.request.method)",
        "context.request.zones.contains(Zone::\"office\")",
        "context.request.zones.isEmpty()",
    ])
    .prop_map(str::to_owned)
}

fn age() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["session", "idle", "device", "deviceProof", "mdm"]);
    let operator = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let number = prop::sample::select(vec![0, 5, 10, 60, 9_007_199_254_740_992_i64]);
    (name, operator, number, any::<bool>()).prop_map(|(name, operator, number, age_first)| match age_first {
        true => format!("context.age has {name} && context.age.{name} {operator} {number}"),
        false => format!("context.age has {name} && {number} {operator} context.age.{name}"),
    })
}

/// What must be decided each time, and what cannot be evaluated at all.
fn odd() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "context.risk < 50",
        "context.request.ip.isInRange(ip(\"10.0.0.0/8\"))",
        "context.request.path == context.request.host",
        "principal.email == context.request.host",
        "context.age has idle && context.age has session && context.age.idle < context.age.session",
        "context.age has idle && context.age.idle + 3 < 10",
        "context.age has session && context.age.session * 9223372036854775807 > 0",
        "context.age has session && context.age.session * 9223372036854775807 > 0 && context.request.path == \"/a\"",
    ])
    .prop_map(str::to_owned)
}

/// Requests of few people to few applications, so that a key which leaves something out soon finds a wrong decision.
fn requests(count: usize) -> impl Strategy<Value = Vec<AccessRequest>> {
    let details = (
        0..2_usize,
        http(),
        ages(),
        proof(),
        prop::option::of(any::<bool>()),
        prop::sample::select(vec![0_u8, 50]),
    );
    (
        prop::collection::vec(people(), 2),
        prop::collection::vec(details, count),
    )
        .prop_map(|(people, details)| {
            let request =
                |(who, request, ages, proof, authenticator_installed, risk): (usize, _, _, _, _, _)| AccessRequest {
                    request,
                    ages,
                    proof,
                    authenticator_installed,
                    risk,
                    ..people[who].clone()
                };
            details.into_iter().map(request).collect()
        })
}

/// A request of somebody's, its details still to be set.
fn people() -> impl Strategy<Value = AccessRequest> {
    let action = prop::sample::select(Action::ALL.to_vec());
    (
        user(),
        prop::option::of(device()),
        prop::option::of(session()),
        app(),
        action,
        http(),
    )
        .prop_map(|(user, device, session, app, action, request)| AccessRequest {
            user: Arc::new(user),
            device: device.map(Arc::new),
            session: session.map(Arc::new),
            app: Arc::new(app),
            action,
            request,
            ages: Ages::default(),
            proof: None,
            risk: 0,
            authenticator_installed: None,
            now: NOW,
            fact_ends: None,
        })
}

fn proof() -> impl Strategy<Value = Option<Proof>> {
    prop::option::of((0..2_u128, any::<bool>()).prop_map(|(device, hardware)| Proof {
        device: DeviceId::from_random(device),
        hardware,
        channel_bound: false,
        user_verified: false,
        user_verified_in_software: false,
    }))
}

fn user() -> impl Strategy<Value = UserFacts> {
    (
        0..2_u128,
        prop::collection::btree_set("g[01]", 0..2),
        prop::collection::btree_set("[vw]", 0..2),
    )
        .prop_map(|(id, groups, values)| UserFacts {
            id: UserId::from_random(id),
            user_type: "employee".into(),
            email: "a.b".into(),
            groups,
            tags: [("t".to_owned(), values)].into(),
            version: Revision(1),
        })
}

fn device() -> impl Strategy<Value = DeviceFacts> {
    (0..2_u128, any::<bool>(), prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(id, managed, firewall, standard)| DeviceFacts {
            id: DeviceId::from_random(id),
            registered: true,
            managed,
            secure_hardware: false,
            hardware_key: false,
            key_store: KeyStore::Software,
            platform: Platform::Linux,
            ownership: Ownership::Unknown,
            mdm: firewall.map(|firewall| Posture {
                firewall: Some(firewall),
                ..Posture::default()
            }),
            reported: Posture::default(),
            groups: Default::default(),
            tags: Default::default(),
            assurance: standard.then(|| "standard".to_owned()).into_iter().collect(),
            version: Revision(1),
        },
    )
}

fn session() -> impl Strategy<Value = SessionFacts> {
    (0..2_u128, 1..3_u8, prop::option::of(0..2_u128)).prop_map(|(id, factor_count, origin)| SessionFacts {
        id: SessionId::from_random(id),
        generation: 1,
        user: UserId::from_random(0),
        factor_count,
        origin: origin.map(DeviceId::from_random),
        knowledge: None,
        device: None,
        webauthn: None,
        otp: None,
    })
}

fn app() -> impl Strategy<Value = AppFacts> {
    (0..2_u8).prop_map(|number| AppFacts {
        name: format!("a{number}"),
        sensitivity: number * 2,
        groups: [format!("ag{number}")].into(),
        tags: (number == 0)
            .then(|| ("t".to_owned(), "v".to_owned()))
            .into_iter()
            .collect(),
    })
}

fn http() -> impl Strategy<Value = RequestFacts> {
    let zones = prop::sample::select(vec![vec![], vec!["office"], vec!["office", "vpn"], vec!["vpn"]]);
    let addresses: Vec<IpAddr> = vec!["10.1.2.3".parse().unwrap(), "::1".parse().unwrap()];
    (
        prop::sample::select(vec!["GET", "PUT", "POST"]),
        prop::sample::select(vec!["a.b", "a.c", "/a"]),
        prop::sample::select(vec!["/a", "/ab", "/b"]),
        prop::sample::select(addresses),
        zones,
    )
        .prop_map(|(method, host, path, ip, zones)| RequestFacts {
            method: method.into(),
            host: host.into(),
            path: path.into(),
            ip,
            zones: zones.into_iter().map(str::to_owned).collect(),
        })
}

fn ages() -> impl Strategy<Value = Ages> {
    let since = || {
        let offsets = vec![0_i64, 4_001, 5_000, 9_500, 58_000, -2_000, -5_001, -20_000];
        prop::option::of(prop::sample::select(offsets))
            .prop_map(|offset| offset.map(|offset| Timestamp::from_millis(NOW.millis() - offset)))
    };
    (since(), since(), since(), since(), since()).prop_map(|(session, idle, device, device_proof, mdm)| Ages {
        session,
        idle,
        device,
        device_proof,
        mdm,
        ..Ages::default()
    })
}

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
