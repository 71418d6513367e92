//! What does a decision on the organisation carry, and does its slice ever differ from the whole set?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use directory::Timestamp;
use policies::reference::Question;
use policies::{
    Ages, CacheLimits, Cause, Decider, OrganizationAction, OrganizationRequest, PolicyFile, PolicySet, Registration,
    RequestFacts, SHIPPED, cases,
};
use proptest::prelude::*;

#[test]
fn a_permit_of_the_organization_says_what_it_permits_and_what_it_stands_on() {
    let decider = decider(&[
        r#"@id("b") permit (principal, action == Action::"createSession", resource);
                               @id("a") permit (principal, action, resource is Organization);"#,
    ]);
    let asked = request(r#"{ "action": "createSession", "session": "password" }"#);

    let permit = decider
        .decide_organization(&OrganizationAction::CreateSession, &asked)
        .unwrap();

    assert_eq!(permit.action(), &OrganizationAction::CreateSession);
    assert_eq!(
        permit.policies().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(permit.versions().user, (asked.user.id, asked.user.version));
    assert_eq!(permit.versions().session.unwrap().0, asked.session.as_ref().unwrap().id);
    assert_eq!(&permit.versions().policies, decider.policies().version());
    assert_eq!(permit.ends(), None);
}

/// R-08: each action is permitted by itself; a permit of one, or of an application, permits no other. Control: its own.
#[test]
fn a_permit_for_one_action_is_none_for_another() {
    let decider = decider(&[
        r#"@id("create") permit (principal, action == Action::"createSession", resource);
           @id("access") permit (principal, action in Action::"access", resource);"#,
    ]);
    let asked = request(r#"{ "action": "createSession" }"#);
    let decide = |action: &OrganizationAction| decider.decide_organization(action, &asked);

    assert!(decide(&OrganizationAction::CreateSession).is_ok());
    for action in [
        OrganizationAction::ContinueSession,
        OrganizationAction::RegisterDevice(Registration::default()),
        OrganizationAction::ManageAuthenticator {
            as_strong_as_strongest: true,
        },
    ] {
        let denied = decide(&action).unwrap_err();
        assert_eq!(
            (denied.cause, denied.policies.len()),
            (Cause::NoPermit, 0),
            "{action:?}"
        );
    }
}

#[test]
fn a_refusal_of_the_organization_gives_the_policies_reason_and_advice() {
    let denied = shipped()
        .decide_organization(
            &OrganizationAction::RegisterDevice(Registration::default()),
            &request(
                r#"{ "user": "bob", "action": "registerDevice", "session": "password",
                             "ages": { "knowledge": 10 } }"#,
            ),
        )
        .unwrap_err();

    assert_eq!(denied.cause, Cause::Policy);
    let said: Vec<(&str, Option<&str>)> = denied
        .reasons
        .iter()
        .map(|reason| (&*reason.message, reason.advice.as_deref()))
        .collect();
    assert_eq!(
        said,
        [(
            "Enrolling a device takes your second factor, once you have one; neither mail nor a recovery code stands in for it.",
            Some("sign-in-second-factor")
        )]
    );
}

/// R-07, for the organisation: a policy that cannot be evaluated refuses and is named. Control: the policies without it.
#[test]
fn a_policy_on_the_organization_that_cannot_be_evaluated_refuses_and_is_named() {
    let permit = r#"@id("permit") permit (principal, action, resource);"#;
    let failing = r#"@id("failing") forbid (principal, action == Action::"registerDevice", resource)
                     when { context.access.age has session && context.access.age.session * 9223372036854775807 == 1 };"#;
    let asked = request(r#"{ "action": "registerDevice", "ages": { "session": 2 } }"#);
    let action = OrganizationAction::RegisterDevice(Registration::default());

    let denied = decider(&[permit, failing])
        .decide_organization(&action, &asked)
        .unwrap_err();

    assert_eq!(denied.cause, Cause::PolicyFailed);
    assert_eq!(
        denied.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["failing"]
    );
    assert!(decider(&[permit]).decide_organization(&action, &asked).is_ok());
}

/// X-09, for the session itself: it ends when it is twelve hours old or idle for two, to the millisecond.
#[test]
fn a_permit_to_go_on_ends_at_the_first_moment_at_which_an_age_could_turn_it() {
    let decider = shipped();
    for (session, idle, lasts) in [(40_000, 60, 3_200_000), (600, 60, 7_140_000)] {
        let ages = serde_json::json!({ "session": session, "idle": idle });
        let asked = serde_json::json!({ "action": "continueSession", "session": "password", "ages": ages });
        let asked = request(&asked.to_string());
        let decide = |millis: i64| {
            let later = OrganizationRequest {
                now: Timestamp::from_millis(millis),
                ..asked.clone()
            };
            decider.decide_organization(&OrganizationAction::ContinueSession, &later)
        };

        let ends = decide(asked.now.millis()).unwrap().ends().unwrap();

        assert_eq!(ends.millis() - asked.now.millis(), lasts);
        assert!(decide(ends.millis() - 1).is_ok());
        assert_eq!(decide(ends.millis()).unwrap_err().cause, Cause::NoPermit);
    }
}

/// A permit to go on may be kept for the session's other requests as long as it lasts, or not.
#[test]
fn a_permit_to_go_on_says_whether_it_was_given_to_this_request_alone() {
    for (condition, is_alone) in [
        ("context.age has session && context.age.session < 43200", false),
        ("context.age has idle && context.age.idle < 7200", false),
        ("context.age has idle && context.age.idle >= 30", true),
        ("context has session && context.session.factorCount >= 1", false),
        ("context.age has knowledge && context.age.knowledge < 600", false),
        ("principal.userType == \"\"", false),
        ("context.risk < 80", true),
        ("!context.request.ip.isInRange(ip(\"10.0.0.0/8\"))", true),
        ("!context.request.zones.contains(Zone::\"elsewhere\")", true),
        ("context.request.path like \"/*\"", true),
        ("context.request.method == \"GET\"", true),
        ("!(context has proof)", true),
        ("!(context has authenticator)", true),
        ("!(context has device)", true),
        ("!(context.age has deviceProof)", true),
        ("context == context", true),
    ] {
        let text = format!(
            "@id(\"x\") permit (principal, action == Action::\"continueSession\", resource) when {{ {condition} }};"
        );
        let asked = request(
            r#"{ "action": "continueSession", "session": "password", "ages": { "session": 60, "idle": 30, "knowledge": 60 } }"#,
        );

        let permit = decider(&[&text]).decide_organization(&OrganizationAction::ContinueSession, &asked);

        assert_eq!(permit.unwrap().is_for_this_request_alone(), is_alone, "{condition}");
    }
}

/// A session that is used this very moment has crossed no line. Control: one that is used after half a minute.
#[test]
fn a_session_in_use_may_be_taken_back_over_a_line_only_if_it_has_crossed_one() {
    let decider = decider(&[
        r#"@id("x") permit (principal, action == Action::"continueSession", resource)
        when { context.age has idle && (context.age.idle < 10 || context.age.idle >= 20) };"#,
    ]);
    let is_alone = |idle: i64| {
        let asked = request(&format!(
            r#"{{ "action": "continueSession", "ages": {{ "idle": {idle} }} }}"#
        ));
        let permit = decider.decide_organization(&OrganizationAction::ContinueSession, &asked);
        permit.unwrap().is_for_this_request_alone()
    };

    assert!(!is_alone(0));
    assert!(is_alone(30));
}

#[test]
fn the_shipped_permit_to_go_on_may_be_kept_and_those_to_begin_and_to_enrol_may_not() {
    let decider = shipped();
    let asked = request(
        r#"{ "action": "continueSession", "session": "password", "ages": { "session": 60, "idle": 60, "knowledge": 60 } }"#,
    );
    let is_alone = |action: OrganizationAction| {
        let permit = decider.decide_organization(&action, &asked).unwrap();
        permit.is_for_this_request_alone()
    };

    assert!(!is_alone(OrganizationAction::ContinueSession));
    assert!(is_alone(OrganizationAction::CreateSession));
    assert!(is_alone(OrganizationAction::RegisterDevice(Registration::default())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// R-13, for the organisation, as far as slices go: one decider answers what every policy asked with every fact would
    /// answer, and no permit outlives its end.
    #[test]
    fn a_decision_on_the_organization_is_the_one_that_all_policies_would_make(
        texts in prop::collection::vec(policy(), 1..8),
        asked in prop::collection::vec(asked(), 10),
    ) {
        let decider = decider(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for (action, request) in asked {
            let fast = decider.decide_organization(&action, &request);
            prop_assert_eq!(
                fast.clone().map(|permit| permit.policies().to_vec()),
                plain(decider.policies(), &action, &request)
            );

            if let Ok(permit) = fast {
                let last = permit.ends().map_or(request.now.millis() + 1_000_000_000, |ends| ends.millis() - 1);
                let last = OrganizationRequest { now: Timestamp::from_millis(last), ..request };
                prop_assert!(plain(decider.policies(), &action, &last).is_ok(), "a permit outlived its end");
                let another = another_of_the_session(&last);
                prop_assert!(
                    permit.is_for_this_request_alone() || plain(decider.policies(), &action, &another).is_ok(),
                    "a permit was kept for a request that is refused"
                );
            }
        }
    }
}

/// A request with the same session that has nothing else in common with this one.
fn another_of_the_session(request: &OrganizationRequest) -> OrganizationRequest {
    OrganizationRequest {
        device: None,
        request: RequestFacts {
            method: "POST".to_owned(),
            path: "/elsewhere".to_owned(),
            ..request.request.clone()
        },
        ages: Ages {
            idle: request.ages.idle.map(|_| request.now),
            ..request.ages
        },
        proof: None,
        risk: 100,
        ..request.clone()
    }
}

fn plain(
    policies: &PolicySet,
    action: &OrganizationAction,
    request: &OrganizationRequest,
) -> Result<Vec<policies::PolicyId>, policies::Denied> {
    let question = Question::of_organization(action, request).unwrap();
    question.ask(policies).map(|ids| ids.to_vec())
}

fn policy() -> impl Strategy<Value = String> {
    prop_oneof![
        policy_on(
            vec![
                "action == Action::\"createSession\"",
                "action in [Action::\"createSession\", Action::\"continueSession\"]",
            ],
            "context",
            vec!["context.risk < 50"],
        ),
        policy_on(
            vec!["action == Action::\"registerDevice\""],
            "context.access",
            vec![
                "context.adminToken",
                "context.lostTrustBefore && !context.knownHardware",
                "context.attested",
                "context.access == context.access",
            ],
        ),
        policy_on(
            vec!["action == Action::\"manageAuthenticator\""],
            "context.access",
            vec!["context.asStrongAsStrongest", "context.access.risk < 50"],
        ),
    ]
}

/// A policy whose access facts stand under `access`.
fn policy_on(
    actions: Vec<&'static str>,
    access: &'static str,
    own: Vec<&'static str>,
) -> impl Strategy<Value = String> {
    let facts: Vec<String> = [
        "principal.hasTag(\"factors\") && principal.getTag(\"factors\").contains(\"second\")",
        "{access} has session && {access}.session.factorCount >= 2",
        "{access} has session && {access}.session has otp",
        "{access} has device && {access}.device.managed",
        "{access}.request.path == \"/\"",
        "{access}.age has session && {access}.age.session < 60",
        "{access}.age has otp && {access}.age.otp <= 300",
        "{access}.age has idle && {access}.age.idle < 60",
        "{access}.age has idle && {access}.age.idle >= 30",
        "{access}.age has session && {access}.age.session * 9223372036854775807 > 0",
    ]
    .iter()
    .map(|fact| fact.replace("{access}", access))
    .chain(own.into_iter().map(str::to_owned))
    .collect();
    (
        prop::sample::select(vec!["permit", "permit", "forbid"]),
        prop::sample::select(actions),
        prop::sample::select(vec!["when", "unless"]),
        prop::sample::select(facts.clone()),
        prop::sample::select(facts),
        any::<bool>(),
        any::<u32>(),
    )
        .prop_map(|(effect, action, clause, one, other, both, id)| {
            let operator = if both { "&&" } else { "||" };
            format!(
                "@id(\"p{id}\") {effect} (principal, {action}, resource) {clause} {{ ({one}) {operator} ({other}) }};"
            )
        })
}

fn asked() -> impl Strategy<Value = (OrganizationAction, OrganizationRequest)> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let action = (0..4_u8, flags).prop_map(|(action, (one, two, three, four))| match action {
        0 => OrganizationAction::CreateSession,
        1 => OrganizationAction::ContinueSession,
        2 => OrganizationAction::RegisterDevice(Registration {
            admin_token: one,
            known_hardware: two,
            lost_trust_before: three,
            attested: four,
        }),
        _ => OrganizationAction::ManageAuthenticator {
            as_strong_as_strongest: one,
        },
    });
    let ages = (
        prop::option::of(0..120_i64),
        prop::option::of(0..600_i64),
        prop::option::of(0..90_i64),
    );
    let request = (
        prop::sample::select(vec!["alice", "bob"]),
        prop::option::of(prop::sample::select(vec!["password", "both"])),
        prop::option::of(prop::sample::select(vec!["laptop", "phone"])),
        prop::sample::select(vec![0, 60]),
        ages,
    )
        .prop_map(|(user, session, device, risk, (age, otp, idle))| {
            let ages = serde_json::json!({ "session": age, "otp": otp, "idle": idle });
            let asked = serde_json::json!({
                "user": user, "session": session, "device": device, "risk": risk, "ages": ages, "action": "createSession"
            });
            request(&asked.to_string())
        });
    (action, request)
}

fn shipped() -> Decider {
    decider(&SHIPPED.iter().map(|(_, text)| *text).collect::<Vec<_>>())
}

fn decider(texts: &[&str]) -> Decider {
    let files: Vec<PolicyFile> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| PolicyFile {
            name: number.to_string(),
            text: (*text).to_owned(),
        })
        .collect();
    Decider::new(Arc::new(PolicySet::load(&files).unwrap()), CacheLimits::default())
}

/// A request to the organisation, alice's unless the JSON says otherwise.
fn request(asked: &str) -> OrganizationRequest {
    let mut asked: serde_json::Value = serde_json::from_str(asked).unwrap();
    if asked.get("user").is_none() {
        asked["user"] = "alice".into();
    }
    let file = serde_json::json!({
        "users": {
            "alice": { "tags": { "factors": ["password"] } },
            "bob": { "tags": { "factors": ["password", "second", "totp"] } }
        },
        "devices": { "laptop": { "registered": true, "managed": true }, "phone": { "registered": true } },
        "sessions": {
            "password": { "factorCount": 1, "knowledge": { "method": "password" } },
            "both": { "factorCount": 2, "knowledge": { "method": "password" }, "otp": { "method": "totp" } }
        },
        "cases": [{ "name": "asked", "request": asked, "decision": "allow" }]
    });
    cases::organization_requests(&file.to_string()).unwrap().remove(0).2
}
