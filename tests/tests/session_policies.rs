//! What do policies ask of a session, and what does somebody get who has less, or no longer has it?

use std::time::{Duration, Instant};

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::process::until;
use latchkey_tests::visitor::{Page, Visitor};
use serde_json::{Value, json};

/// where every permit wants a registered device, no other factors open it from a device that was
/// deactivated, or never registered; where one is content with two factors they do, and the dead device is none of them.
#[test]
fn a_deactivated_device_leaves_what_other_factors_open() {
    let demo = Demo::start();
    let device = demo.user_with_device("r01");
    let secret = demo.totp("r01");
    demo.user("r04", PASSWORD, &["employees"]);
    demo.user("r04b", PASSWORD, &["employees"]);
    let never = demo.totp("r04");
    demo.command(&["device", "deactivate", device.enrolled["device"].as_str().unwrap()]);
    let (mut owner, mut never_registered) = (Visitor::new(&demo), Visitor::new(&demo));
    for (visitor, user, secret) in [(&mut owner, "r01", &secret), (&mut never_registered, "r04", &never)] {
        let page = visitor.sign_in_with_password(&demo.url("news", "/"), user, PASSWORD);
        assert_eq!(
            visitor.with_code(page, secret).host(),
            host("news"),
            "two factors: {user}"
        );
    }

    for visitor in [&mut owner, &mut never_registered] {
        let denied = visitor.open(&demo.url("wiki", "/r01"));
        assert_eq!(denied.status, 403, "R-01: {}", denied.said());
        assert!(denied.text().contains("registered devices"), "{}", denied.said());
    }

    let rules = format!(
        "{}{}",
        permit("registered", REGISTERED),
        permit("two-factors", TWO_FACTORS)
    );
    demo.set_policies("wiki.cedar", &rules);
    for visitor in [&mut owner, &mut never_registered] {
        let opened = visitor.open(&demo.url("wiki", "/r02"));
        assert_eq!((opened.path().as_str(), opened.status), ("/r02", 200), "R-02");
    }
    let mut by_device = Visitor::new(&demo);
    let page = by_device.open(&demo.url("wiki", "/r03"));
    let challenge = by_device.challenge(&page, json!({ "verify": false }));
    let refused = device.give(&demo, &challenge.claims, &device.answer(&demo, &challenge.claims));
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (403, &json!("E0000152")),
        "R-03"
    );
    let told = by_device.finish(&challenge);
    assert_eq!((told.status, told.code().as_str()), (403, "device-shut-out"), "R-03");
    let mut one_factor = Visitor::new(&demo);
    let denied = one_factor.sign_in_with_password(&demo.url("wiki", "/r04"), "r04b", PASSWORD);
    assert_eq!(
        (denied.status, denied.host()),
        (403, host("auth")),
        "R-04: {}",
        denied.said()
    );
}

/// finance with one factor on a managed device, anybody with two. A finance user without the device is asked for two
/// and gets in; with the first policy alone the same user is denied.
#[test]
fn of_two_policies_either_opens() {
    let demo = Demo::start();
    let device = demo.user_in("r12", &["employees", "finance"]);
    demo.manage(&device);
    demo.user("r12b", PASSWORD, &["finance"]);
    let (secret, first) = (demo.totp("r12b"), permit("finance", FINANCE_MANAGED));
    demo.set_policies("wiki.cedar", &format!("{first}{}", permit("two-factors", TWO_FACTORS)));
    let url = demo.url("wiki", "/r12");

    assert_eq!(
        Visitor::new(&demo).fastpass(&url, &device).path(),
        "/r12",
        "one factor on the managed device"
    );
    let mut without = Visitor::new(&demo);
    let asked = without.sign_in_with_password(&url, "r12b", PASSWORD);
    assert_eq!((asked.host(), asked.status), (host("auth"), 200), "{}", asked.said());
    assert!(
        asked.text().contains("/sign-in/totp"),
        "asked for the second: {}",
        asked.said()
    );
    assert_eq!(without.with_code(asked, &secret).path(), "/r12");

    demo.set_policies("wiki.cedar", &first);
    assert_eq!(without.open(&url).status, 403, "the first alone");
    assert_eq!(Visitor::new(&demo).fastpass(&url, &device).path(), "/r12", "control");
}

/// L-02, L-03: who has no device opens what asks for none and not what does; only the application whose policy turns FastPass
/// on offers it.
#[test]
fn fastpass_is_asked_for_where_a_policy_wants_it() {
    let demo = Demo::start();
    demo.user("l02", PASSWORD, &["employees"]);
    let rule = permit("password", "context has session && context.session has knowledge").replace("wiki", "news");
    demo.set_policies("news.cedar", &rule);
    let ways = |app: &str| {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.identify(&demo.url(app, "/"), "l02");
        let by = |path: &str| page.path() == path || page.link(path).is_some();
        (by("/sign-in/device"), by("/sign-in/password"))
    };

    assert!(ways("wiki").0, "the wiki wants a device");
    assert_eq!(ways("news"), (false, true), "the news want a password and nothing else");
    let mut visitor = Visitor::new(&demo);
    let opened = visitor.sign_in_with_password(&demo.url("news", "/l02"), "l02", PASSWORD);
    assert_eq!((opened.path().as_str(), opened.status), ("/l02", 200));
    let denied = visitor.open(&demo.url("wiki", "/l02"));
    assert_eq!(
        (denied.status, denied.host() == host("wiki")),
        (403, false),
        "{}",
        denied.said()
    );
}

/// S-11, S-13: one signal flips the outcome, within a session as well, and only for as long as it holds.
#[test]
fn a_signal_that_changes_changes_the_outcome() {
    let demo = Demo::start();
    let device = demo.user_in("s13", &["employees", "finance"]);
    let url = demo.url("payroll", "/s13");
    let mut visitor = Visitor::new(&demo);
    let unmanaged = visitor.fastpass(&url, &device);
    assert_eq!(unmanaged.status, 403, "{}", unmanaged.said());

    demo.manage(&device);
    assert_eq!(
        visitor.open(&url).path(),
        "/s13",
        "the same session on a managed device"
    );
    assert_eq!(
        Visitor::new(&demo).fastpass(&url, &device).path(),
        "/s13",
        "and a new one"
    );

    let report = format!(
        "/api/v1/devices/{}/reports/demo-mdm",
        device.enrolled["device"].as_str().unwrap()
    );
    assert_eq!(demo.admin("DELETE", &report, None).status, 204);
    assert_ne!(visitor.get(&url).status, 200, "S-11: not managed any more");
    assert_eq!(Visitor::new(&demo).fastpass(&url, &device).status, 403, "S-11");
}

/// S-10: what a device does not say counts as not so. Control: it says so.
#[test]
fn what_a_device_does_not_say_is_not_so() {
    let demo = Demo::start();
    let device = demo.user_with_device("s10");
    let encrypted =
        "context has device && context.device.reported has diskEncrypted && context.device.reported.diskEncrypted";
    demo.set_policies("wiki.cedar", &permit("encrypted", encrypted));
    let says = |signals: Value| -> Page {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("wiki", "/s10"));
        let challenge = visitor.challenge(&page, json!({ "verify": false }));
        let mut answer = device.answer(&demo, &challenge.claims);
        answer["signals"] = signals;
        let given = device.give(&demo, &challenge.claims, &answer);
        assert_eq!(given.status, 200, "{}", given.text());
        let finished = visitor.finish(&challenge);
        visitor.follow_next(finished)
    };

    assert_ne!(says(json!({})).path(), "/s10");
    assert_ne!(says(json!({ "diskEncrypted": false })).path(), "/s10");
    assert_eq!(says(json!({ "diskEncrypted": true })).path(), "/s10", "control");
    assert_ne!(
        says(json!({})).path(),
        "/s10",
        "what it said last time is not what it says now"
    );
}

/// the session policy is asked first, and no permit of an application overrides it; the application's policy is asked
/// again for each request of a session.
#[test]
fn the_session_policy_and_the_applications_both_have_to_agree() {
    let demo = Demo::start();
    let device = demo.user_in("r08", &["employees", "finance"]);
    let url = demo.url("wiki", "/r08");
    let mut before = Visitor::new(&demo);
    before.fastpass(&url, &device);
    assert_eq!(before.get(&url).status, 200);
    let policies = std::fs::read_to_string(demo.file("policies/organization.cedar")).unwrap();
    let forbid = |action: &str| {
        let rule = format!(
            "\n@id(\"session.closed\")\n@deny_reason(\"Finance is closed.\")\n\
             forbid (principal in Group::\"finance\", action == Action::\"{action}\", resource is Organization);\n"
        );
        demo.set_policies("organization.cedar", &format!("{policies}{rule}"));
    };

    forbid("createSession");
    assert_eq!(before.get(&url).status, 200, "a session that there is goes on");
    let mut visitor = Visitor::new(&demo);
    let refused = visitor.fastpass(&url, &device);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("Finance is closed."), "{}", refused.text());
    assert_eq!((visitor.jar.session("auth"), visitor.jar.session("wiki")), (None, None));

    forbid("continueSession");
    assert!(matches!(before.get(&url).status, 302 | 401), "no session goes on");

    demo.set_policies("organization.cedar", &policies);
    let mut visitor = Visitor::new(&demo);
    assert_eq!(visitor.fastpass(&url, &device).path(), "/r08", "control");
    demo.command(&["group", "remove", "employees", "r08"]);
    assert_eq!(
        visitor.get(&url).status,
        403,
        "the application's policy, of the same session"
    );
}

/// a factor may be so old and no older; then it is proved anew, in place. One that is wanted each time is wanted each
/// time.
#[test]
fn a_factor_that_is_too_old_is_proved_anew() {
    let demo = Demo::start();
    let device = demo.user_with_device("r10");
    let fresh = format!("context has session && context.age has device && context.age.device < {YOUNG}");
    demo.set_policies("wiki.cedar", &permit("fresh", &fresh));
    let url = demo.url("wiki", "/r10");
    let mut visitor = Visitor::new(&demo);
    let begun = Instant::now();
    assert_eq!(visitor.fastpass(&url, &device).path(), "/r10");

    let mut lasted = Duration::ZERO;
    let over = until(Duration::from_secs(15), || {
        lasted = begun.elapsed();
        visitor.get(&url).status != 200
    });

    assert!(
        over && lasted + Duration::from_secs(1) >= Duration::from_secs(YOUNG),
        "{lasted:?}"
    );
    // Somebody who has just come from the sign-in is not sent round: this one came from there longer ago.
    let again = until(Duration::from_secs(10), || visitor.get(&url).status == 302);
    assert!(again, "{}", visitor.get(&url).text());
    let page = visitor.open(&url);
    assert_eq!(page.host(), host("auth"));
    assert_eq!(visitor.fastpass_at(&page, &device).path(), "/r10", "proved anew");

    demo.set_policies("wiki.cedar", &permit("each-time", "context has proof"));
    assert_ne!(
        visitor.get(&url).status,
        200,
        "a session proves nothing with this request"
    );
    let field = device.field(&device.assertion(&demo, "GET", &url));
    assert_eq!(demo.curl(NOBODY, &url, &["-H", &field]).status, 200, "each time");
    assert_eq!(
        demo.curl(NOBODY, &url, &["-H", &field]).status,
        401,
        "and for that time alone"
    );
}

/// presence, verification and resistance to phishing, each asked for and each met and unmet by one use of a factor.
#[test]
fn each_property_of_a_factors_use_is_asked_for_by_itself() {
    let demo = Demo::start();
    let device = demo.user_with_device("r09");
    demo.totp("r09");
    let property = |slot: &str, name: &str| {
        permit(
            name,
            &format!("context has session && context.session has {slot} && context.session.{slot}.{name}"),
        )
    };
    let opens = |rule: &str, prove: &dyn Fn(&mut Visitor<'_>, &Page) -> Page| {
        demo.set_policies(
            "wiki.cedar",
            &format!("{rule}// {}\n", latchkey_tests::device::random()),
        );
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("wiki", "/r09"));
        prove(&mut visitor, &page);
        visitor.open(&demo.url("wiki", "/r09")).path() == "/r09"
    };
    let silent = |visitor: &mut Visitor<'_>, page: &Page| visitor.fastpass_at(page, &device);
    let verified = |visitor: &mut Visitor<'_>, page: &Page| visitor.fastpass_verified_at(page, &device);
    let approved = |visitor: &mut Visitor<'_>, page: &Page| {
        let challenge = visitor.challenge(page, json!({}));
        let given = device.give(&demo, &challenge.claims, &device.answer(&demo, &challenge.claims));
        assert_eq!(given.status, 200, "{}", given.text());
        let finished = visitor.finish(&challenge);
        visitor.follow_next(finished)
    };
    let by_password =
        |visitor: &mut Visitor<'_>, _: &Page| visitor.sign_in_with_password(&demo.url("auth", "/"), "r09", PASSWORD);

    let presence = property("device", "userPresence");
    assert!(!opens(&presence, &silent) && opens(&presence, &approved));
    let verification = property("device", "userVerifiedInSoftware");
    assert!(!opens(&verification, &silent) && opens(&verification, &verified));
    let in_hardware = property("device", "userVerified");
    assert!(!opens(&in_hardware, &verified), "software enforces nothing");
    let resistant = property("device", "phishingResistant");
    assert!(opens(&resistant, &silent) && !opens(&resistant, &by_password));
    for name in ["deviceBound", "hardwareProtected"] {
        assert!(!opens(&property("device", name), &verified), "{name}: a key in a file");
    }
    let password = property("knowledge", "userPresence");
    assert!(opens(&password, &by_password) && !opens(&password, &silent));
    let two_uses = "context has session && context.session has device && context.session.device.phishingResistant && \
                    context.session.device.userVerifiedInSoftware";
    let of_two = |visitor: &mut Visitor<'_>, page: &Page| {
        silent(visitor, page);
        by_password_or_home(visitor, &demo)
    };
    assert!(!opens(&permit("one-use", two_uses), &of_two), "never of two uses");
    assert!(opens(&permit("one-use", two_uses), &verified), "control");
}

/// A password beside what was proved already.
fn by_password_or_home(visitor: &mut Visitor<'_>, demo: &Demo) -> Page {
    let home = visitor.open(&demo.url("auth", "/"));
    match home.text().contains("name=\"username\"") {
        true => visitor.sign_in_with_password(&demo.url("auth", "/"), "r09", PASSWORD),
        false => home,
    }
}

/// A policy that lets users into the wiki when this is so.
fn permit(name: &str, when: &str) -> String {
    format!(
        "@id(\"wiki.{name}\")\npermit (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
         when {{ {when} }};\n"
    )
}

const REGISTERED: &str = "context has device && context.device.registered";
const TWO_FACTORS: &str = "context has session && context.session.factorCount >= 2";
const FINANCE_MANAGED: &str =
    "principal in Group::\"finance\" && context has device && context.device.registered && context.device.managed";

/// Seconds that a factor may be old.
const YOUNG: u64 = 4;
