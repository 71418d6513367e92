//! What does somebody see and do on *Your account*? Their own devices, sessions and events, and nobody else's.

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::Demo;
use latchkey_tests::device::Device;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{Initiator, Page, Visitor};

static DEMO: Shared = Shared::new();

/// L-01, the user's half: whoever has a device sees what is known of it, renames it, and gives it up with a fresh proof.
#[test]
fn somebody_renames_and_removes_their_device() {
    let demo = DEMO.demo();
    let (device, spare) = two_devices(&demo, "owner");
    let mut visitor = signed_in(&demo, &device);
    let url = demo.url("auth", "/account/devices");
    let page = visitor.open(&url);
    assert!(
        page.text().contains("owner-laptop") && page.text().contains("owner-spare"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("In software"), "{}", page.text());

    let renamed = rename(&mut visitor, &page, &account(&spare), "Old laptop");
    assert!(
        renamed.text().contains("Old laptop") && !renamed.text().contains("owner-spare"),
        "{}",
        renamed.text()
    );
    for bad in ["", "a\u{7}b", &"x".repeat(256)] {
        let refused = rename(&mut visitor, &page, &account(&spare), bad);
        assert!(
            refused.text().contains("That is no name"),
            "{bad:?}: {}",
            refused.text()
        );
    }

    let removed = remove(&mut visitor, &demo, &account(&spare));
    assert!(removed.text().contains("It was removed"), "{}", removed.text());
    assert!(!removed.text().contains("Old laptop"), "{}", removed.text());
    assert_eq!(spare.get(&demo, None, "wiki", "/").status, 403);
    assert_eq!(device.get(&demo, None, "wiki", "/").status, 200, "control");
}

/// D-12: the account on a device that is shut out stays as it is, and the page says why. Control: once it is let back in.
#[test]
fn a_device_that_is_shut_out_is_neither_renamed_nor_removed() {
    let demo = DEMO.demo();
    let (device, spare) = two_devices(&demo, "d12");
    let mut visitor = signed_in(&demo, &device);
    let url = demo.url("auth", "/account/devices");
    let page = visitor.open(&url);
    demo.command(&["device", "suspend", "d12-spare"]);

    let renamed = rename(&mut visitor, &page, &account(&spare), "Mine");
    assert!(renamed.text().contains("shut this device out"), "{}", renamed.text());
    let removed = visitor.open(&demo.url("auth", &format!("/account/devices/remove?id={}", account(&spare))));
    assert!(removed.text().contains("shut this device out"), "{}", removed.text());
    assert!(removed.text().contains("d12-spare"), "{}", removed.text());

    demo.command(&["device", "unsuspend", "d12-spare"]);
    let removed = remove(&mut visitor, &demo, &account(&spare));
    assert!(removed.text().contains("It was removed"), "control: {}", removed.text());
}

/// P-26, D-05: a session names the device that signed it in. Its user ends one, all others, or all; each end holds at once.
#[test]
fn somebody_ends_their_other_sessions() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("ender");
    let mut here = signed_in(&demo, &device);
    let mut others: Vec<Visitor<'_>> = (0..3).map(|_| Visitor::new(&demo)).collect();
    for other in &mut others {
        other.sign_in_with_password(&demo.url("auth", "/"), "ender", PASSWORD);
    }
    let url = demo.url("auth", "/account/sessions");

    let page = here.open(&url);
    assert_eq!(page.text().matches("This one").count(), 1, "{}", page.text());
    assert!(
        page.text().contains("Firefox on Linux") && page.text().contains("127.0.0.1"),
        "{}",
        page.text()
    );
    assert_eq!(page.text().matches("by Password").count(), 3, "{}", page.text());
    assert!(page.text().contains("by Device (ender-laptop)"), "{}", page.text());
    let ids = sessions_on(&page);
    assert_eq!(ids.len(), 3);
    let ended = here.post_form(
        &demo.url("auth", "/account/sessions/end"),
        &[("state", &page.state()), ("id", &ids[0])],
    );
    assert_eq!(ended.status, 303, "{}", ended.text());
    assert_eq!(others.iter_mut().filter_map(|other| is_in(&demo, other)).count(), 2);

    let ended = here.post_form(
        &demo.url("auth", "/account/sessions/end-others"),
        &[("state", &page.state())],
    );
    assert_eq!(ended.status, 303, "{}", ended.text());
    assert_eq!(others.iter_mut().filter_map(|other| is_in(&demo, other)).count(), 0);
    assert!(is_in(&demo, &mut here).is_some(), "control");
}

/// What is another user's is not there: neither their device nor their session, by whatever id. Control: one's own.
#[test]
fn nobody_reaches_what_is_anothers() {
    let demo = DEMO.demo();
    let (device, other) = (demo.user_with_device("mine"), demo.user_with_device("theirs"));
    let mut visitor = signed_in(&demo, &device);
    let mut victim = signed_in(&demo, &other);
    Visitor::new(&demo).sign_in_with_password(&demo.url("auth", "/"), "theirs", PASSWORD);
    let devices = visitor.open(&demo.url("auth", "/account/devices"));
    let sessions = visitor.open(&demo.url("auth", "/account/sessions"));
    let theirs = sessions_on(&victim.open(&demo.url("auth", "/account/sessions")));

    let renamed = visitor.post_form(
        &demo.url("auth", "/account/devices/rename"),
        &[
            ("state", &devices.state()),
            ("id", &account(&other)),
            ("name", "Mine now"),
        ],
    );
    let asked = visitor.get(&demo.url("auth", &format!("/account/devices/remove?id={}", account(&other))));
    let ended = visitor.post_form(
        &demo.url("auth", "/account/sessions/end"),
        &[("state", &sessions.state()), ("id", &theirs[0])],
    );

    assert_eq!([renamed.status, asked.status, ended.status], [404; 3]);
    assert!(
        victim
            .open(&demo.url("auth", "/account/devices"))
            .text()
            .contains("theirs-laptop")
    );
    assert_eq!(
        sessions_on(&victim.open(&demo.url("auth", "/account/sessions"))),
        theirs
    );
    let own = rename(&mut visitor, &devices, &account(&device), "Mine");
    assert!(own.text().contains("The new name is in use"), "control: {}", own.text());
}

/// a form of the account is sent from its own page, in its own browser, and nowhere else. Control: from there.
#[test]
fn forms_of_the_account_are_sent_from_their_own_pages() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("forms");
    let mut visitor = signed_in(&demo, &device);
    let mut stranger = Visitor::new(&demo);
    stranger.sign_in_with_password(&demo.url("auth", "/"), "forms", PASSWORD);
    let page = visitor.open(&demo.url("auth", "/account/devices"));
    let (own, id) = (page.state(), account(&device));
    let of_sessions = visitor.open(&demo.url("auth", "/account/sessions")).state();
    let of_another = stranger.open(&demo.url("auth", "/account/devices")).state();
    let url = demo.url("auth", "/account/devices/rename");

    for path in [
        "/account/devices/rename",
        "/account/devices/remove",
        "/account/sessions/end",
        "/account/sessions/end-others",
        "/account/factors/remove",
        "/account/password",
        "/account/totp",
    ] {
        for (name, value) in [("Origin", "https://evil.test"), ("Origin", "null")] {
            let fields = [("Content-Type", "application/x-www-form-urlencoded"), (name, value)];
            let body = format!("state={own}");
            let answer = visitor
                .copy()
                .ask("POST", &demo.url("auth", path), Initiator::Script, &fields, &body);
            assert_eq!(answer.status, 403, "{path} with {name}: {value}");
        }
    }
    for state in ["", "AAAA", &of_sessions, &of_another] {
        let sent = visitor.post_form(&url, &[("state", state), ("id", &id), ("name", "Foreign")]);
        assert_eq!(sent.status, 400, "{state}: {}", sent.text());
    }
    assert!(
        visitor
            .open(&demo.url("auth", "/account/devices"))
            .text()
            .contains("forms-laptop")
    );
    let sent = visitor.post_form(&url, &[("state", &own), ("id", &id), ("name", "Own")]);
    assert_eq!(sent.status, 303, "control: {}", sent.text());
}

/// Whoever is not signed in is asked to, and comes to the page that they wanted.
#[test]
fn the_sign_in_leads_to_the_page_that_was_asked_for() {
    let demo = DEMO.demo();
    demo.user("comer", PASSWORD, &["employees"]);
    for path in [
        "/account/devices",
        "/account/factors",
        "/account/sessions",
        "/account/activity",
        "/account/password",
    ] {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.sign_in_with_password(&demo.url("auth", path), "comer", PASSWORD);
        assert_eq!((page.status, page.path().as_str()), (200, path), "{}", page.text());
    }
    let page = Visitor::new(&demo).sign_in_with_password(&demo.url("auth", "/account"), "comer", PASSWORD);
    assert_eq!(page.path(), "/");
}

/// People read what the System Log says of them: what they did, what somebody tried, what an administrator did; of others
/// nothing.
#[test]
fn somebody_reads_what_happened_to_them() {
    let demo = DEMO.demo();
    for login in ["reader", "unread"] {
        demo.user(login, PASSWORD, &["employees"]);
    }
    let home = demo.url("auth", "/");
    Visitor::new(&demo).sign_in_with_password(&home, "reader", "wrong horse");
    let mut visitor = Visitor::new(&demo).from("127.0.0.9");
    visitor.sign_in_with_password(&home, "reader", PASSWORD);
    Visitor::new(&demo).sign_in_with_password(&home, "unread", PASSWORD);

    let page = visitor.open(&demo.url("auth", "/account/activity"));

    for says in [
        "Signed in",
        "from 127.0.0.9",
        "Somebody could not prove to be you",
        "Failed",
        "Account created",
        "by an administrator",
    ] {
        assert!(page.text().contains(says), "{says}: {}", page.text());
    }
    assert_eq!(page.text().matches("Signed in").count(), 1, "{}", page.text());
}

fn two_devices(demo: &Demo, login: &str) -> (Device, Device) {
    let device = demo.user_with_device(login);
    let mut spare = Device::default();
    let token = demo.enrollment_token(login);
    spare.enroll(demo, &token, &format!("{login}-spare"));
    (device, spare)
}

/// Somebody who has just signed in with their device and its PIN.
fn signed_in<'a>(demo: &'a Demo, device: &Device) -> Visitor<'a> {
    let mut visitor = Visitor::new(demo);
    let page = visitor.open(&demo.url("auth", "/"));
    let page = visitor.fastpass_verified_at(&page, device);
    assert_eq!(page.path(), "/", "{}", page.text());
    visitor
}

fn is_in(demo: &Demo, visitor: &mut Visitor<'_>) -> Option<()> {
    let page = visitor.open(&demo.url("auth", "/"));
    page.text().contains("You are signed in").then_some(())
}

fn account(device: &Device) -> String {
    device.enrolled["enrollment"].as_str().unwrap().to_owned()
}

fn rename(visitor: &mut Visitor<'_>, page: &Page, id: &str, name: &str) -> Page {
    let url = page.absolute("/account/devices/rename");
    let renamed = visitor.post_form(&url, &[("state", &page.state()), ("id", id), ("name", name)]);
    visitor.follow(renamed)
}

fn remove(visitor: &mut Visitor<'_>, demo: &Demo, id: &str) -> Page {
    let page = visitor.open(&demo.url("auth", &format!("/account/devices/remove?id={id}")));
    assert!(
        page.text().contains("<button class=\"button danger\">"),
        "{}",
        page.text()
    );
    let removed = visitor.submit(&page, &[]);
    visitor.follow(removed)
}

/// The ids of the sessions that a page can end.
fn sessions_on(page: &Page) -> Vec<String> {
    let text = page.text();
    let ids = text.split("name=\"id\" value=\"").skip(1);
    let mut ids: Vec<String> = ids.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    ids.sort();
    ids
}
