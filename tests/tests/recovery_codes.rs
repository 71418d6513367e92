//! What opens a code that was kept for the worst day? What the policies say beside a password, once, and to its owner alone.

use std::sync::Barrier;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::device::Device;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{Page, Visitor};

static DEMO: Shared = Shared::new();

/// A recovery code is a second factor, once. Control: the next one.
#[test]
fn a_recovery_code_counts_once() {
    let demo = DEMO.demo();
    let codes = user_with_codes(&demo, "rec.once");
    assert_eq!(codes.len(), 10);
    let mut visitor = Visitor::new(&demo);

    let opened = recover(&mut visitor, "rec.once", &codes[0]);
    assert_eq!((opened.host(), opened.status), (host("news"), 200), "{}", opened.said());
    let again = recover(&mut Visitor::new(&demo), "rec.once", &codes[0]);
    assert_eq!(
        (again.host(), again.status),
        (host("auth"), 401),
        "used: {}",
        again.said()
    );
    let typed = codes[1].replace('-', "").to_uppercase();
    let next = recover(&mut Visitor::new(&demo), "rec.once", &typed);
    assert_eq!(
        next.host(),
        host("news"),
        "control, as somebody types it: {}",
        next.said()
    );

    assert_eq!(
        visitor.get(&demo.url("news", "/")).status,
        200,
        "the first session goes on"
    );
    let database = std::fs::read(demo.file("data/directory.sqlite")).unwrap();
    let text = String::from_utf8_lossy(&database);
    assert!(codes.iter().all(|code| !text.contains(code)), "no code is kept");
    let log = demo.process().output();
    assert!(codes.iter().all(|code| !log.contains(code)), "or logged");
}

/// The same code from eight browsers at once, each at an address of its own: one gets in, which is the control.
#[test]
fn of_eight_who_bring_a_code_at_once_one_gets_in() {
    let demo = DEMO.demo();
    let codes = user_with_codes(&demo, "rec.raced");
    let together = Barrier::new(8);
    let opened: Vec<Page> = std::thread::scope(|scope| {
        let racers: Vec<_> = (1..=8)
            .map(|number| {
                let (demo, code, together) = (&*demo, &codes[0], &together);
                scope.spawn(move || {
                    let mut visitor = Visitor::new(demo).from(&format!("127.4.1.{number}"));
                    let page = recovery_page(&mut visitor, "rec.raced");
                    together.wait();
                    let sent = visitor.submit(&page, &[("code", code)]);
                    visitor.follow(sent)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });

    let inside = opened.iter().filter(|page| page.host() == host("news")).count();
    assert_eq!(inside, 1);
    assert!(
        opened
            .iter()
            .all(|page| page.host() == host("news") || page.status == 401)
    );
}

/// Whoever guesses waits. Control: another account from the same address.
#[test]
fn guessing_makes_the_guesser_wait() {
    let demo = DEMO.demo();
    let codes = user_with_codes(&demo, "rec.guessed");
    let mut guesser = Visitor::new(&demo).from("127.4.2.1");
    let page = recovery_page(&mut guesser, "rec.guessed");
    let guess = |visitor: &mut Visitor<'_>, code: &str| visitor.submit(&page, &[("code", code)]).status;

    let answers: Vec<u16> = (0..7)
        .map(|number| guess(&mut guesser, &format!("0000{number}-00000-00000-00000")))
        .collect();
    assert!(answers[..5].iter().all(|status| *status == 401), "{answers:?}");
    assert_eq!(answers[6], 429, "{answers:?}");
    assert_eq!(guess(&mut guesser, &codes[0]), 429, "not even the right one");

    let others = user_with_codes(&demo, "rec.calm");
    let opened = recover(&mut Visitor::new(&demo).from("127.4.2.1"), "rec.calm", &others[0]);
    assert_eq!(opened.host(), host("news"), "control: {}", opened.said());
}

/// A new set voids the old one, and an administrator takes all away. Control: the new set, and somebody else's.
#[test]
fn a_new_set_or_an_administrator_voids_the_codes() {
    let demo = DEMO.demo();
    let old = user_with_codes(&demo, "rec.new");
    let new = new_codes(&demo, "rec.new");
    let others = user_with_codes(&demo, "rec.other");

    assert_eq!(recover(&mut Visitor::new(&demo), "rec.new", &old[0]).status, 401);
    let opened = recover(&mut Visitor::new(&demo), "rec.new", &new[0]);
    assert_eq!(opened.host(), host("news"), "control: {}", opened.said());

    let factors = demo.admin("GET", "/api/v1/users/rec.new/factors", None).json();
    let factor = factors
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["factorType"] == "recovery_codes");
    let id = factor.unwrap()["id"].as_str().unwrap().to_owned();
    demo.command(&["user", "remove-factor", "rec.new", &id]);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/"), "rec.new", PASSWORD);
    assert_eq!(
        page.link("/sign-in/recovery"),
        None,
        "none is asked for: {}",
        page.said()
    );
    let control = recover(&mut Visitor::new(&demo), "rec.other", &others[0]);
    assert_eq!(control.host(), host("news"), "control");
}

/// Nobody gets codes who has proved nothing of late, or only a code: that is no way from the weaker to the stronger. Control:
/// the password.
#[test]
fn codes_are_given_to_who_has_just_proved_the_strongest() {
    let demo = DEMO.demo();
    let url = demo.url("auth", "/account/recovery-codes");
    let nobody = Visitor::new(&demo).open(&url);
    assert!(nobody.text().contains("name=\"username\""), "{}", nobody.said());
    demo.user_with_device("rec.device");
    let mut weaker = Visitor::new(&demo);
    weaker.sign_in_with_password(&demo.url("auth", "/"), "rec.device", PASSWORD);

    let asked = weaker.open(&url);

    assert!(
        !asked.said().contains("Make new codes"),
        "the device is stronger: {}",
        asked.said()
    );
    let forged = weaker.post_form(&url, &[("state", &asked.state())]);
    assert!(!forged.text().contains("Your recovery codes"), "{}", forged.said());
    assert!(matches!(forged.status, 400 | 403), "{}", forged.status);
    let factors = || demo.admin("GET", "/api/v1/users/rec.device/factors", None).text();
    assert!(!factors().contains("recovery_codes"), "{}", factors());
    demo.user("rec.plain", PASSWORD, &[]);
    assert_eq!(new_codes(&demo, "rec.plain").len(), 10, "control");
}

/// Whoever lost the app takes it away with the password and a recovery code, and is in nobody's way afterwards. A device with
/// a PIN is stronger: beside it neither does anything. Nor does the password alone: the control of the first.
#[test]
fn a_recovery_code_beside_the_password_stands_in_for_a_lost_app_and_for_no_device() {
    let demo = DEMO.demo();
    let codes = user_with_codes(&demo, "rec.lost");
    demo.totp("rec.lost");
    let removal = demo.url(
        "auth",
        &format!("/account/factors/remove?id={}", app_of(&demo, "rec.lost")),
    );
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&removal, "rec.lost", PASSWORD);
    assert!(
        page.said().contains("asks for more"),
        "control, the password alone: {}",
        page.said()
    );

    let page = visitor.choose(page, "/sign-in/recovery");
    let sent = visitor.submit(&page, &[("code", &codes[0])]);
    let page = visitor.follow(sent);
    assert_eq!(page.path(), "/account/factors/remove", "{}", page.said());
    assert_eq!(visitor.submit(&page, &[]).status, 303);
    assert!(!factors(&demo, "rec.lost").contains("token:software:totp"));

    let codes = user_with_codes(&demo, "rec.strong");
    let mut stronger = Device::default();
    let token = stronger.token(&demo, "rec.strong", PASSWORD);
    stronger.enroll(&demo, &token, "rec.strong-laptop");
    let mut visitor = Visitor::new(&demo);
    let page = recovery_page(&mut visitor, "rec.strong");
    let sent = visitor.submit(&page, &[("code", &codes[0])]);
    assert_eq!(visitor.follow(sent).host(), host("news"), "control: the code is good");
    let page = visitor.open(&demo.url("auth", "/account/totp"));
    assert!(page.said().contains("asks for more"), "{}", page.said());
    assert_eq!(page.link("/sign-in/recovery"), None, "{}", page.said());
    let forged = visitor.post_form(
        &demo.url("auth", "/account/totp"),
        &[("state", &page.state()), ("offered", "AAAA"), ("code", "123456")],
    );
    assert_eq!(forged.status, 403, "{}", forged.said());
}

fn factors(demo: &Demo, user: &str) -> String {
    let path = format!("/api/v1/users/{user}/factors");
    demo.admin("GET", &path, None).text()
}

/// The id of the user's authenticator app.
fn app_of(demo: &Demo, user: &str) -> String {
    let factors: serde_json::Value = serde_json::from_str(&factors(demo, user)).unwrap();
    let mut factors = factors.as_array().unwrap().iter();
    let app = factors.find(|one| one["factorType"] == "token:software:totp");
    app.unwrap()["id"].as_str().unwrap().to_owned()
}

fn user_with_codes(demo: &Demo, user: &str) -> Vec<String> {
    demo.user(user, PASSWORD, &[]);
    new_codes(demo, user)
}

/// A new set, as its owner sees it once.
fn new_codes(demo: &Demo, user: &str) -> Vec<String> {
    let mut visitor = Visitor::new(demo);
    let url = demo.url("auth", "/account/recovery-codes");
    let page = visitor.sign_in_with_password(&url, user, PASSWORD);
    assert!(page.said().contains("Make new codes"), "{}", page.said());
    let made = visitor.submit(&page, &[]);
    assert_eq!(made.status, 200, "{}", made.said());
    let shown = made.said();
    let codes = shown.split("<code>").skip(1).filter_map(|rest| rest.split('<').next());
    codes.map(str::to_owned).collect()
}

/// The page that asks for a recovery code, after the password.
fn recovery_page(visitor: &mut Visitor<'_>, user: &str) -> Page {
    let url = visitor.demo().url("news", "/");
    let page = visitor.sign_in_with_password(&url, user, PASSWORD);
    visitor.choose(page, "/sign-in/recovery")
}

fn recover(visitor: &mut Visitor<'_>, user: &str, code: &str) -> Page {
    let page = recovery_page(visitor, user);
    let sent = visitor.submit(&page, &[("code", code)]);
    visitor.follow(sent)
}
