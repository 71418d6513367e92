//! What does a sign-in page offer for an application, before anybody said who they are, and when is a device probed?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use policies::Proves::{
    Device, Email, Fastpass, FastpassVerified, Password, Push, PushVerified, Totp, Webauthn, WebauthnVerified,
};
use policies::{AccessRequest, AppFacts, CacheLimits, Decider, PolicyFile, PolicySet, Proves, SHIPPED, cases};

#[test]
fn the_shipped_applications_open_to_what_their_policies_take() {
    let decider = Decider::new(Arc::new(shipped()), CacheLimits::default());
    // Mail alone begins no session.
    let by_device = by_device(&[Webauthn, Password, Push]);
    let by_two_factors = vec![
        set(&[WebauthnVerified]),
        set(&[FastpassVerified]),
        set(&[PushVerified]),
        set(&[Fastpass, Password]),
        set(&[Webauthn, Password]),
        set(&[Password, Totp]),
        set(&[Password, Push]),
        set(&[Password, Email]),
    ];

    for (app, path, expected) in [
        ("payroll", "/", &by_device),
        ("wiki", "/", &by_device),
        ("wiki", "/admin/x", &by_device),
        ("vault", "/", &by_device),
        ("news", "/", &by_two_factors),
    ] {
        assert_eq!(&openers(&decider, app, path), expected, "{app} {path}");
    }
}

#[test]
fn an_application_that_asks_nothing_opens_to_any_one_factor() {
    let decider = decider(r#"@id("any") permit (principal, action in Action::"access", resource == App::"wiki");"#);

    let any = [Fastpass, Webauthn, Password, Push, Email].map(|one| set(&[one]));
    assert_eq!(openers(&decider, "wiki", "/"), any);
}

/// What is found is kept for requests that the policies cannot tell apart, and for no others.
#[test]
fn what_opens_one_path_or_address_is_not_what_opens_another() {
    for (condition, others) in [
        (r#"context.request.path like "/open/*""#, ("/", "192.0.2.1")),
        (
            r#"context.request.ip.isInRange(ip("192.0.2.0/24"))"#,
            ("/open/x", "198.51.100.1"),
        ),
    ] {
        let text = format!(
            r#"@id("x") permit (principal, action in Action::"access", resource)
               when {{ context has session && context.session has knowledge && {condition} }};"#
        );
        let decider = decider(&text);
        let at = |path: &str, ip: &str| {
            let mut asked = request("wiki", path);
            asked.request.ip = ip.parse().unwrap();
            decider.openers(&asked.app, &asked.request).to_vec()
        };

        let (path, ip) = others;
        for _ in 0..2 {
            assert_eq!(at("/open/x", "192.0.2.1"), [set(&[Password])], "{condition}");
            assert!(at(path, ip).len() > 10, "{condition}: nobody gets in");
        }
    }
}

/// Whom the policies wish for is found by what they say, whether it is asked for or shut out. Control: whom nothing can please.
#[test]
fn somebody_is_found_whom_the_policies_wish_for() {
    let password_only = vec![set(&[Password])];
    for condition in [
        r#"principal in Group::"employees""#,
        r#"principal in Group::"employees" && !(principal in Group::"contractors")"#,
        r#"principal in [Group::"employees", Group::"guests"]"#,
        r#"principal is User in Group::"employees""#,
        r#"principal.userType == "employee" && principal.userType != "contractor""#,
        r#"["employee", "guest"].contains(principal.userType)"#,
        r#"principal.hasTag("costCenter") && principal.getTag("costCenter").contains("42")"#,
        r#"principal.hasTag("factors") && !principal.getTag("factors").contains("second")"#,
        r#"(if principal in Group::"contractors" then context.risk < 0 else principal in Group::"employees")"#,
    ] {
        let text = format!(
            r#"@id("x") permit (principal, action in Action::"access", resource)
               when {{ context has session && context.session has knowledge && {condition} }};"#
        );
        assert_eq!(openers(&decider(&text), "wiki", "/"), password_only, "{condition}");
    }
    let nobody = r#"@id("x") permit (principal == User::"somebody", action in Action::"access", resource);"#;
    assert!(openers(&decider(nobody), "wiki", "/").len() > 10);
}

#[test]
fn a_device_is_found_that_the_policies_wish_for() {
    let by_device = by_device(&[Webauthn, Password, Push, Email]);
    for condition in [
        r#"context.device.platform == Platform::"macos""#,
        r#"context.device.platform != Platform::"linux""#,
        r#"context.device.ownership == Ownership::"personal""#,
        r#"context.device.keyStore == KeyStore::"secure_enclave""#,
        r#"context.device in Assurance::"standard" && context.device in DeviceGroup::"lab""#,
        r#"context.device.hasTag("site") && context.device.getTag("site") == "berlin""#,
        r#"context.device has mdm && context.device.mdm has os && context.device.mdm.os.major > 14"#,
        "context has authenticator && context.authenticator.installed",
        "context has proof && context.proof.channelBound",
    ] {
        let text = format!(
            r#"@id("x") permit (principal, action in Action::"access", resource)
               when {{ context has device && {condition} }};"#
        );
        assert_eq!(openers(&decider(&text), "wiki", "/"), by_device, "{condition}");
    }
}

/// R-08: what the session is asked counts as well.
#[test]
fn an_application_opens_to_nothing_that_begins_no_session() {
    let two_factors = r#"@id("open") permit (principal, action in Action::"access", resource);
        @id("two") permit (principal, action in [Action::"createSession", Action::"continueSession"], resource)
        when { context has session && context.session has knowledge && context.session.factorCount >= 2 };"#;
    let decider = only(two_factors);

    assert_eq!(
        openers(&decider, "wiki", "/"),
        [Fastpass, Webauthn, Totp, Push, Email].map(|other| set(&[Password, other]))
    );
}

/// S-02: a device is probed only where a policy of the application looks at it. Control: the applications whose policies do.
#[test]
fn a_device_is_looked_at_where_a_policy_that_can_matter_does() {
    let policies = shipped();
    let reads_device = |app: &str| policies.reads_device(&facts(app));
    assert!(["wiki", "payroll", "vault"].into_iter().all(reads_device));
    assert!(!reads_device("cafeteria"));

    for (condition, is_read) in [
        ("context has session && context.session.factorCount >= 2", false),
        ("context.age has knowledge && context.age.knowledge < 600", false),
        ("context.risk < 60", false),
        ("context has device", true),
        ("context has proof", true),
        ("context has authenticator", true),
        ("context.age has deviceProof", true),
        ("context has session && context.session has device", true),
        ("context == context", true),
    ] {
        let text = format!(
            r#"@id("x") permit (principal, action == Action::"write", resource == App::"wiki") when {{ {condition} }};"#
        );
        let policies = load(&[&text]);

        assert_eq!(policies.reads_device(&facts("wiki")), is_read, "{condition}");
        assert!(!policies.reads_device(&facts("vault")), "{condition}");
    }
}

#[test]
fn the_risk_is_looked_at_where_a_policy_that_can_matter_does() {
    for (condition, is_read) in [
        ("context.risk < 60", true),
        ("context == context", true),
        ("context has device", false),
    ] {
        let text = format!(
            r#"@id("x") permit (principal, action == Action::"read", resource in AppGroup::"docs") when {{ {condition} }};"#
        );
        let policies = load(&[&text]);
        let wiki = facts("wiki");
        let docs = AppFacts {
            groups: ["docs".to_owned()].into(),
            ..wiki.clone()
        };

        assert_eq!(policies.reads_risk(&docs), is_read, "{condition}");
        assert!(!policies.reads_risk(&wiki), "{condition}");
    }
}

/// The device in use and any one of these factors.
fn by_device(others: &[Proves]) -> Vec<BTreeSet<Proves>> {
    let beside = others.iter().map(|other| set(&[Device, *other]));
    [set(&[Fastpass])].into_iter().chain(beside).collect()
}

fn openers(decider: &Decider, app: &str, path: &str) -> Vec<BTreeSet<Proves>> {
    let asked = request(app, path);
    decider.openers(&asked.app, &asked.request).to_vec()
}

fn set(proves: &[Proves]) -> BTreeSet<Proves> {
    proves.iter().copied().collect()
}

fn facts(app: &str) -> AppFacts {
    AppFacts::clone(&request(app, "/").app)
}

fn request(app: &str, path: &str) -> AccessRequest {
    let file = serde_json::json!({
        "users": { "nobody": {} },
        "applications": { "wiki": {}, "payroll": {}, "vault": {}, "news": {}, "cafeteria": {} },
        "cases": [{
            "name": "asked", "request": { "user": "nobody", "app": app, "path": path }, "decision": "allow"
        }]
    });
    cases::requests(&file.to_string()).unwrap().remove(0).1
}

fn shipped() -> PolicySet {
    load(&SHIPPED.iter().map(|(_, text)| *text).collect::<Vec<_>>())
}

/// Those policies, and one that lets any session begin and go on.
fn decider(text: &str) -> Decider {
    let sessions = r#"@id("session") permit (principal, action, resource is Organization);"#;
    Decider::new(Arc::new(load(&[text, sessions])), CacheLimits::default())
}

/// Those policies and no others.
fn only(text: &str) -> Decider {
    Decider::new(Arc::new(load(&[text])), CacheLimits::default())
}

fn load(texts: &[&str]) -> PolicySet {
    let named = texts.iter().enumerate();
    let files: Vec<PolicyFile> = named
        .map(|(number, text)| PolicyFile {
            name: number.to_string(),
            text: (*text).to_owned(),
        })
        .collect();
    PolicySet::load(&files).unwrap()
}
