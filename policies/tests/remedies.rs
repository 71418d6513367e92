//! What would turn a refusal, and is it the least?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use policies::Proves::{Device, Fastpass, FastpassApproved, FastpassVerified, Password, Totp};
use policies::{
    AccessRequest, CacheLimits, Decider, OrganizationAction, OrganizationRequest, PolicyFile, PolicySet, Proves,
    Refused, Registration, Remedy, SHIPPED, cases,
};

/// E-08, as far as the policies go: of what could be added, the least that suffices is named. Control: nothing is named
/// where nothing suffices.
#[test]
fn what_would_help_is_the_least_that_suffices() {
    let decider = shipped();
    let asked = OrganizationRequest::from(&asked("bob", "password", "news"));
    let remedies = [
        remedy(&[], "password"),
        remedy(&[Totp], "password and TOTP"),
        remedy(&[Totp, FastpassVerified], "password and TOTP"),
        remedy(&[FastpassVerified], "FastPass with PIN"),
    ];
    let helps = |registration: Registration| {
        let action = OrganizationAction::RegisterDevice(registration);
        sets(&decider.remedies(&Refused::Organization(&action, &asked), &remedies))
    };

    assert_eq!(helps(Registration::default()), [set(&[Totp]), set(&[FastpassVerified])]);
    let shut_out = Registration {
        lost_trust_before: true,
        ..Registration::default()
    };
    assert_eq!(helps(shut_out), [] as [BTreeSet<Proves>; 0]);
}

/// R-12: whoever's device does not answer is asked for a second factor where that opens the application. Control: with a
/// device that answers, the device is enough; and where only the first policy stands, nothing else is.
#[test]
fn a_second_factor_is_asked_for_where_the_device_does_not_answer_and_the_policies_take_one() {
    let decider = beside("factors");
    let without_device = [remedy(&[Totp], "password and TOTP")];
    let with_device = [
        remedy(&[Totp], "password and TOTP"),
        with_the_device(remedy(&[Device], "password")),
    ];
    let helps = |app: &str, remedies: &[Remedy]| {
        let asked = asked("fay of finance", "password", app);
        sets(&decider.remedies(&Refused::Access(&asked), remedies))
    };

    assert_eq!(helps("either", &without_device), [set(&[Totp])]);
    assert_eq!(helps("either", &with_device), [set(&[Device]), set(&[Totp])]);
    assert_eq!(helps("first", &with_device), [set(&[Device])]);
    assert_eq!(helps("first", &without_device), [] as [BTreeSet<Proves>; 0]);
}

/// R-08: what opens the application helps only if the session may begin and go on. Control: what does both.
#[test]
fn a_remedy_satisfies_the_application_and_the_session_at_once() {
    let asked = asked("bob", "password", "open");
    let remedies = [
        remedy(&[Fastpass], "FastPass, approved"),
        remedy(&[Totp], "password and TOTP"),
    ];
    let helps = |decider: Decider| sets(&decider.remedies(&Refused::Access(&asked), &remedies));
    let open = r#"@id("open") permit (principal, action in Action::"access", resource == App::"open");"#;
    let for_one = |action: &str, other: &str| {
        let text = format!(
            r#"{open} @id("other") permit (principal, action == Action::"{other}", resource);
               @id("two") permit (principal, action == Action::"{action}", resource)
               when {{ context has session && context.session.factorCount >= 2 }};"#
        );
        decider(&text)
    };

    assert_eq!(helps(for_one("createSession", "continueSession")), [set(&[Totp])]);
    assert_eq!(helps(for_one("continueSession", "createSession")), [set(&[Totp])]);
    let anybody = format!(r#"{open} @id("session") permit (principal, action, resource is Organization);"#);
    assert_eq!(helps(decider(&anybody)), [set(&[Fastpass]), set(&[Totp])]);
}

#[test]
fn fastpass_that_asks_more_of_the_person_is_left_out_where_less_of_it_suffices() {
    let remedies = [
        remedy(&[FastpassVerified], "FastPass with PIN"),
        remedy(&[FastpassApproved], "FastPass, approved"),
        remedy(&[Fastpass], "FastPass, approved"),
        remedy(&[Device, Password], "password"),
    ]
    .map(with_the_device);
    let helps = |app: &str| sets(&shipped().remedies(&Refused::Access(&asked("alice", "password", app)), &remedies));

    assert_eq!(helps("payroll"), [set(&[Fastpass]), set(&[Device, Password])]);
    assert_eq!(helps("news"), [set(&[FastpassVerified])]);
}

/// A proof on the connection is of the device that made it. Control: the remedy that leaves the device alone.
#[test]
fn a_proof_of_one_device_does_not_help_another() {
    let decider = decider(
        r#"@id("session") permit (principal, action, resource is Organization);
           @id("proof") permit (principal, action in Action::"access", resource == App::"open") when { context has proof };"#,
    );
    let mut asked = request(r#"{ "user": "bob", "device": "laptop", "proof": {}, "app": "open" }"#);
    let other = request(r#"{ "user": "bob", "device": "managed", "app": "open" }"#).device;
    asked.session = None;
    let same = remedy(&[Fastpass], "FastPass, approved");
    let another = Remedy {
        device: other,
        ..same.clone()
    };

    let helps = |remedy: &Remedy| {
        let remedies = std::slice::from_ref(remedy);
        !decider.remedies(&Refused::Access(&asked), remedies).is_empty()
    };

    assert!(helps(&same));
    assert!(!helps(&another));
}

#[test]
fn what_is_proved_is_ordered_by_what_it_asks_of_the_person_and_fastpass_includes_what_asks_less() {
    let all = [Device, Fastpass, FastpassApproved, Password, Totp, FastpassVerified];

    assert!(all.is_sorted());
    for (more, included) in [
        (Device, vec![Device]),
        (FastpassApproved, vec![Device, Fastpass, FastpassApproved]),
        (
            FastpassVerified,
            vec![Device, Fastpass, FastpassApproved, FastpassVerified],
        ),
        (Totp, vec![Totp]),
    ] {
        let found: Vec<Proves> = all.into_iter().filter(|less| more.includes(*less)).collect();
        assert_eq!(found, included, "{}", more.as_str());
    }
}

/// A session of bob's, just begun, in which that was proved.
fn remedy(adds: &[Proves], session: &str) -> Remedy {
    let request = request(&format!(
        r#"{{ "user": "bob", "session": "{session}", "app": "open" }}"#
    ));
    let (session, now) = (request.session.unwrap(), request.now);
    Remedy {
        adds: set(adds),
        ages: policies::Ages {
            session: Some(now),
            idle: Some(now),
            knowledge: session.knowledge.map(|_| now),
            device: session.device.map(|_| now),
            otp: session.otp.map(|_| now),
            ..request.ages
        },
        session,
        device: None,
        authenticator_installed: None,
    }
}

/// The same, with the managed laptop that just proved itself.
fn with_the_device(remedy: Remedy) -> Remedy {
    let known = request(r#"{ "user": "bob", "device": "managed", "app": "open" }"#);
    Remedy {
        ages: policies::Ages {
            device_proof: Some(known.now),
            ..remedy.ages
        },
        device: known.device,
        authenticator_installed: Some(true),
        ..remedy
    }
}

fn sets(remedies: &[&Remedy]) -> Vec<BTreeSet<Proves>> {
    remedies.iter().map(|remedy| remedy.adds.clone()).collect()
}

fn set(proves: &[Proves]) -> BTreeSet<Proves> {
    proves.iter().copied().collect()
}

fn asked(user: &str, session: &str, app: &str) -> AccessRequest {
    request(&format!(
        r#"{{ "user": "{user}", "session": "{session}", "app": "{app}" }}"#
    ))
}

fn request(asked: &str) -> AccessRequest {
    let asked: serde_json::Value = serde_json::from_str(asked).unwrap();
    let file = serde_json::json!({
        "users": {
            "alice": { "groups": ["employees", "finance"] },
            "bob": { "groups": ["employees"], "tags": { "factors": ["password", "second", "totp"] } },
            "fay of finance": { "groups": ["finance"] }
        },
        "devices": { "managed": { "registered": true, "managed": true }, "laptop": { "registered": true } },
        "sessions": {
            "password": { "factorCount": 1, "knowledge": { "method": "password" } },
            "password and TOTP": { "factorCount": 2, "knowledge": { "method": "password" }, "otp": { "method": "totp" } },
            "FastPass, approved": { "factorCount": 1, "device": { "method": "fastpass", "userPresence": true } },
            "FastPass with PIN": {
                "factorCount": 2, "device": { "method": "fastpass", "userPresence": true, "userVerified": true }
            }
        },
        "applications": { "open": {}, "either": {}, "first": {}, "payroll": {}, "news": {} },
        "cases": [{ "name": "asked", "request": asked, "decision": "allow" }]
    });
    cases::requests(&file.to_string()).unwrap().remove(0).1
}

fn shipped() -> Decider {
    decider_of(SHIPPED.iter().map(|(_, text)| (*text).to_owned()).collect())
}

/// The policies of those cases, and the shipped ones on sessions.
fn beside(cases: &str) -> Decider {
    let path = format!("{}/cases/{cases}.cedar", env!("CARGO_MANIFEST_DIR"));
    let organization = SHIPPED
        .iter()
        .find(|(name, _)| *name == "organization.cedar")
        .unwrap()
        .1;
    decider_of(vec![std::fs::read_to_string(path).unwrap(), organization.to_owned()])
}

fn decider(text: &str) -> Decider {
    decider_of(vec![text.to_owned()])
}

fn decider_of(texts: Vec<String>) -> Decider {
    let named = texts.into_iter().enumerate();
    let files: Vec<PolicyFile> = named
        .map(|(number, text)| PolicyFile {
            name: number.to_string(),
            text,
        })
        .collect();
    Decider::new(Arc::new(PolicySet::load(&files).unwrap()), CacheLimits::default())
}
