//! What does a decision carry, whatever the policies: its reasons in order, the versions it read, when it ends?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use directory::Timestamp;
use policies::{AccessRequest, CacheLimits, Cause, Decider, PolicyFile, PolicySet, cases};

/// R-05: The order of files and of policies never matters.
#[test]
fn the_order_of_files_and_policies_never_matters() {
    let one = r#"@id("b.forbid") @deny_reason("B.") forbid (principal, action, resource);"#;
    let two = r#"@id("a.forbid") @title("A.") @advice("try-a") forbid (principal, action, resource);
                 @id("permit") permit (principal, action, resource);"#;
    let asked = request("{}");

    let forwards = decider(&[one, two]).decide(&asked).unwrap_err();
    let backwards = decider(&[two, one]).decide(&asked).unwrap_err();

    assert_eq!(forwards, backwards);
    let said: Vec<(&str, Option<&str>)> = forwards
        .reasons
        .iter()
        .map(|reason| (&*reason.message, reason.advice.as_deref()))
        .collect();
    assert_eq!(said, [("A.", Some("try-a")), ("B.", None)]);
}

#[test]
fn a_reason_is_said_in_the_languages_that_its_author_wrote_it_in() {
    let policy = r#"@id("x") @deny_reason("No.") @deny_reason_de("Nein.") forbid (principal, action, resource);"#;

    let denied = decider(&[policy]).decide(&request("{}")).unwrap_err();

    let reason = &denied.reasons[0];
    assert_eq!(&*reason.message, "No.");
    assert_eq!(
        ["de", "en", "fr"].map(|language| reason.said_in(language)),
        ["Nein.", "No.", "No."]
    );
}

/// R-05: A scope that names another kind of principal matches no user. Control: the same scope for users.
#[test]
fn a_policy_for_devices_permits_no_user() {
    let of = |kind: &str| decider(&[&format!("@id(\"x\") permit (principal is {kind}, action, resource);")]);

    assert_eq!(of("Device").decide(&request("{}")).unwrap_err().cause, Cause::NoPermit);
    assert!(of("User").decide(&request("{}")).is_ok());
}

#[test]
fn a_refusal_by_default_has_a_plain_reason_and_names_no_policy() {
    let denied = decider(&[r#"@id("x") permit (principal, action == Action::"write", resource);"#])
        .decide(&request("{}"))
        .unwrap_err();

    assert_eq!(denied.cause, Cause::NoPermit);
    assert_eq!(denied.policies.len(), 0);
    assert_eq!((denied.reasons.len(), denied.reasons[0].policy.as_ref()), (1, None));
}

/// R-07: A policy that cannot be evaluated refuses, a forbid included, and is named. Control: the policies without it.
#[test]
fn a_policy_that_cannot_be_evaluated_refuses_and_is_named() {
    let permit = r#"@id("permit") permit (principal, action, resource);"#;
    let failing = r#"@id("failing") forbid (principal, action in Action::"access", resource)
                     when { context.age has session && context.age.session * 9223372036854775807 == 1 };"#;
    let asked = request(r#"{ "ages": { "session": 2 } }"#);

    let denied = decider(&[permit, failing]).decide(&asked).unwrap_err();

    assert_eq!(denied.cause, Cause::PolicyFailed);
    assert_eq!(
        denied.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["failing"]
    );
    assert!(decider(&[permit]).decide(&asked).is_ok());
}

/// X-09: A permit under a one-hour rule ends when the factor passes the hour, to the millisecond.
#[test]
fn a_permit_ends_at_the_first_moment_at_which_an_age_could_turn_it() {
    let decider = decider(
        &[r#"@id("fresh") permit (principal, action in Action::"access", resource)
        when { context.age has device && context.age.device < 3600 && context.age has idle && context.age.idle < 9000 };"#],
    );
    let mut asked = request(r#"{ "ages": { "device": 600, "idle": 60, "session": 1 } }"#);
    asked.ages.device = asked
        .ages
        .device
        .map(|since| Timestamp::from_millis(since.millis() + 250));

    let ends = decider.decide(&asked).unwrap().ends().unwrap();

    assert_eq!(ends.millis() - asked.now.millis(), 3_000_250);
    assert!(decider.decide(&at(&asked, ends.millis() - 1)).is_ok());
    assert_eq!(
        decider.decide(&at(&asked, ends.millis())).unwrap_err().cause,
        Cause::NoPermit
    );
}

#[test]
fn a_permit_ends_no_later_than_a_fact_it_was_told_of() {
    let decider = decider(&[r#"@id("any") permit (principal, action, resource);"#]);
    let mut asked = request("{}");
    assert_eq!(decider.decide(&asked).unwrap().ends(), None);

    asked.fact_ends = Some(Timestamp::from_secs(asked.now.secs() + 5));

    assert_eq!(decider.decide(&asked).unwrap().ends(), asked.fact_ends);
}

#[test]
fn a_permit_whose_ages_are_not_compared_with_numbers_ends_with_the_next_second_of_one() {
    let decider = decider(
        &[r#"@id("older") permit (principal, action in Action::"access", resource)
        when { context.age has idle && context.age has session && context.age.idle <= context.age.session };"#],
    );
    let asked = request(r#"{ "ages": { "idle": 1, "session": 2 } }"#);

    let ends = decider.decide(&asked).unwrap().ends();

    assert_eq!(ends, Some(Timestamp::from_secs(asked.now.secs() + 1)));
}

#[test]
fn a_permit_says_which_policies_and_versions_it_stands_on() {
    let decider = decider(&[r#"@id("b") permit (principal, action, resource);
                               @id("a") permit (principal, action, resource);"#]);
    let asked = request(r#"{ "device": "laptop" }"#);

    let permit = decider.decide(&asked).unwrap();

    assert_eq!(
        permit.policies().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(permit.versions().user, (asked.user.id, asked.user.version));
    assert_eq!(permit.versions().device.unwrap().0, asked.device.as_ref().unwrap().id);
    assert_eq!(&permit.versions().policies, decider.policies().version());
}

/// A fact that changed although its version did not: the time of a report's end may come without a new revision.
#[test]
fn a_changed_fact_is_never_answered_from_memory() {
    let decider = decider(&[
        r#"@id("managed") permit (principal, action in Action::"access", resource)
        when { context has device && context.device.managed };"#,
    ]);
    let managed = request(r#"{ "device": "laptop" }"#);
    assert!(decider.decide(&managed).is_ok());

    let mut ended = managed.clone();
    let mut device = managed.device.as_deref().unwrap().clone();
    device.managed = false;
    ended.device = Some(Arc::new(device));

    assert!(decider.decide(&ended).is_err());
    assert!(decider.decide(&managed).is_ok());
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

/// A request of alice's to the wiki, with what the JSON adds.
fn request(more: &str) -> AccessRequest {
    let mut asked: serde_json::Value = serde_json::from_str(more).unwrap();
    asked["user"] = "alice".into();
    asked["app"] = "wiki".into();
    let file = serde_json::json!({
        "users": { "alice": {} },
        "devices": { "laptop": { "registered": true, "managed": true } },
        "applications": { "wiki": {} },
        "cases": [{ "name": "asked", "request": asked, "decision": "allow" }]
    });
    cases::requests(&file.to_string()).unwrap().remove(0).1
}

fn at(asked: &AccessRequest, millis: i64) -> AccessRequest {
    AccessRequest {
        now: Timestamp::from_millis(millis),
        ..asked.clone()
    }
}
