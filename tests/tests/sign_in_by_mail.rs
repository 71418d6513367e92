//! Who is somebody with a letter, and what is a letter in the wrong hands? It counts in the browser that asked, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::timing::assert_alike;
use latchkey_tests::visitor::{Page, Visitor};
use serde_json::json;

static DEMO: Shared = Shared::new();

/// The code opens what the policies let it; the letter says who asks for what, and nothing of it stands in the subject.
#[test]
fn a_code_that_came_by_mail_signs_in() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.code", PASSWORD, &[]);
    let mut visitor = Visitor::new(&demo);

    let page = ask(&mut visitor, "mail.code");
    let letter = demo.mail_to(&address, 0);
    let opened = give_code(&mut visitor, &page, &letter.code());

    assert_eq!((opened.host(), opened.status), (host("news"), 200), "{}", opened.said());
    let text = letter.text();
    for said in ["News", "127.0.0.1", "Firefox on Linux", "10 minutes", "not you", "UTC"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(letter.field("Subject").as_deref(), Some("Sign in to News"));
    assert!(letter.raw.contains("text/html"), "{}", letter.raw);
    let session = demo.admin("GET", "/api/v1/users/mail.code/sessions", None).text();
    assert!(session.contains("email"), "{session}");
}

/// The link does the same in the browser that asked, by a click on its page: looking at it uses nothing up.
#[test]
fn a_link_signs_in_where_it_was_asked_for_and_nowhere_else() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.link", PASSWORD, &[]);
    let mut visitor = Visitor::new(&demo);
    ask(&mut visitor, "mail.link");
    let link = demo.mail_to(&address, 0).link();
    let token = link.split("token=").nth(1).unwrap().to_owned();

    let mut scanner = Visitor::new(&demo);
    for _ in 0..2 {
        let seen = scanner.open(&link);
        assert_eq!(seen.status, 400);
        assert!(
            seen.said().contains("the browser you began in, or type the code"),
            "{}",
            seen.said()
        );
    }
    let sent = scanner.post_form(&demo.url("auth", "/sign-in/email/link"), &[("token", &token)]);
    assert_eq!(
        (sent.status, sent.location()),
        (400, None),
        "a scanner that sends forms"
    );
    assert_eq!(
        scanner.open(&demo.url("news", "/")).host(),
        host("auth"),
        "it is not signed in"
    );
    let mut other = Visitor::new(&demo);
    ask(&mut other, "mail.link");
    assert_eq!(other.open(&link).status, 400, "a browser that waits for another letter");

    let page = visitor.open(&link);
    assert_eq!(page.status, 200, "{}", page.said());
    assert_eq!(visitor.open(&link).status, 200, "a preview uses nothing up");
    let sent = visitor.submit(&page, &[]);
    let opened = visitor.follow(sent);
    assert_eq!(
        (opened.host(), opened.status),
        (host("news"), 200),
        "control: {}",
        opened.said()
    );
    let again = visitor.post_form(&demo.url("auth", "/sign-in/email/link"), &[("token", &token)]);
    assert_eq!(again.status, 400, "once");
}

/// A code counts once, the newest alone, in its browser. Control: each time the code that does count.
#[test]
fn a_code_counts_once_and_the_newest_alone_in_its_browser() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.once", PASSWORD, &[]);
    let mut visitor = Visitor::new(&demo);
    let first = ask(&mut visitor, "mail.once");
    let old = demo.mail_to(&address, 0).code();
    let page = ask_again(&mut visitor, &first);
    let new = demo.mail_to(&address, 1).code();

    let mut other = Visitor::new(&demo).from("127.3.1.1");
    let others = ask(&mut other, "mail.once");
    assert_eq!(give_code(&mut other, &others, &new).status, 401, "another browser's");
    assert_eq!(give_code(&mut visitor, &page, &old).status, 401, "the old one");
    let opened = give_code(&mut visitor, &page, &new);
    assert_eq!((opened.host(), opened.status), (host("news"), 200), "control");
    assert_eq!(give_code(&mut visitor, &page, &new).status, 401, "used");
    let own = demo.mail_to(&address, 2).code();
    assert_eq!(
        give_code(&mut other, &others, &own).host(),
        host("news"),
        "control: its own"
    );
}

/// A form for one account takes no code of another's.
#[test]
fn a_code_is_for_its_account() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.mine", PASSWORD, &[]);
    demo.user_with_mail("mail.yours", PASSWORD, &[]);
    let mut visitor = Visitor::new(&demo);
    let page = ask(&mut visitor, "mail.mine");
    let code = demo.mail_to(&address, 0).code();
    let yours = visitor.identify(&demo.url("news", "/"), "mail.yours");
    let url = demo.url("auth", "/sign-in/email");

    let wrong = visitor.post_form(&url, &[("state", &yours.state()), ("code", &code)]);

    assert_eq!(wrong.status, 401, "{}", wrong.said());
    assert_eq!(give_code(&mut visitor, &page, &code).host(), host("news"), "control");
}

/// Five wrong codes void the right one, and whoever goes on waits; X-17: the user's own session goes on meanwhile. Controls:
/// another account from the same address; an administrator's suspension ends the session.
#[test]
fn guessing_voids_the_code_and_makes_the_guesser_wait() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.guessed", PASSWORD, &[]);
    let (mut own, url) = (Visitor::new(&demo), demo.url("news", "/"));
    own.sign_in_with_password(&url, "mail.guessed", PASSWORD);
    let mut visitor = Visitor::new(&demo).from("127.3.2.1");
    let page = ask(&mut visitor, "mail.guessed");
    let right = demo.mail_to(&address, 0).code();

    for guess in 0..5 {
        let wrong = give_code(&mut visitor, &page, &format!("{guess:08}"));
        assert_eq!(wrong.status, 401, "{}", wrong.said());
    }
    let sixth = give_code(&mut visitor, &page, &right);
    assert_eq!(sixth.status, 401, "the right one is gone: {}", sixth.said());
    let throttled = give_code(&mut visitor, &page, "00000009");
    assert_eq!(throttled.status, 429, "{}", throttled.said());

    let calm = demo.user_with_mail("mail.calm", PASSWORD, &[]);
    let mut other = Visitor::new(&demo).from("127.3.2.1");
    let others = ask(&mut other, "mail.calm");
    let code = demo.mail_to(&calm, 0).code();
    assert_eq!(give_code(&mut other, &others, &code).host(), host("news"), "control");
    assert_eq!(own.get(&url).status, 200, "X-17");
    demo.command(&["user", "suspend", "mail.guessed"]);
    assert_ne!(own.get(&url).status, 200, "X-17, control");
    let failures = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    assert!(
        !failures.iter().any(|event| event.to_string().contains(&right)),
        "no code is recorded"
    );
}

/// A stranger has a user sent a few letters, and no more; what they are shown does not change. From one address little is
/// asked for at all. Control: another user.
#[test]
fn nobody_is_flooded() {
    let demo = Demo::start();
    demo.let_mail_sign_in();
    open_news(&demo);
    let address = demo.user_with_mail("mail.flooded", PASSWORD, &[]);
    let other = demo.user_with_mail("mail.quiet", PASSWORD, &[]);
    let mut visitor = Visitor::new(&demo);

    let pages: Vec<String> = (0..8).map(|_| normal(&ask(&mut visitor, "mail.flooded"))).collect();
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    ask(&mut visitor, "mail.quiet");
    demo.mail_to(&other, 0);
    let capped = || demo.process().output().matches("too many letters").count();
    assert!(until(PATIENCE, || capped() == 3), "{}", demo.process().output());
    let sent = || demo.mails_to(&address).len();
    assert!(until(PATIENCE, || sent() == 5), "control: the first ones: {}", sent());
    let counted = || demo.metric("latchkey_mails_total") == Some(9.0);
    assert!(until(PATIENCE, counted), "sent and capped");
    assert_eq!(sent(), 5, "and no others");

    let start = email_page(&mut visitor, "mail.quiet");
    let answers: Vec<u16> = (0..25).map(|_| visitor.submit(&start, &[]).status).collect();
    let taken = answers.iter().filter(|status| **status == 303).count();
    assert_eq!((taken, answers[24]), (21, 429), "{answers:?}");
    let mut elsewhere = Visitor::new(&demo).from("127.3.3.1");
    let start = email_page(&mut elsewhere, "mail.quiet");
    assert_eq!(elsewhere.submit(&start, &[]).status, 303, "control: another source");
}

/// whether a username is anybody's, or has an address, at every step: the same status, words and time.
#[test]
fn nobody_learns_who_reads_mail() {
    let demo = by_mail_alone();
    demo.user_with_mail("eva.known", PASSWORD, &[]);
    demo.user_with_mail("eva.suspended", PASSWORD, &[]);
    demo.command(&["user", "suspend", "eva.suspended"]);
    let users = ["eva.known", "eva.nobody", "eva.suspended"];
    let mut seen = vec![Vec::new(); users.len()];
    let mut times = vec![Vec::new(); users.len()];
    for round in 0..4 {
        for (index, user) in users.iter().enumerate() {
            let mut visitor = Visitor::new(&demo).from(&format!("127.3.4.{}", round * 10 + index + 1));
            let start = email_page(&mut visitor, user);
            let begun = Instant::now();
            let sent = visitor.submit(&start, &[]);
            let page = visitor.follow(sent);
            let wrong = give_code(&mut visitor, &page, "12345678");
            times[index].push(begun.elapsed());
            let steps = [&start, &page, &wrong].map(|page| normal(page).replace(user, "USER"));
            seen[index].extend(steps);
        }
    }

    assert!(seen.iter().all(|steps| *steps == seen[0]), "{seen:#?}");
    assert_alike(&times);
    assert!(seen[0][2].starts_with("401"), "{}", seen[0][2]);
    assert_eq!(demo.mails_to("eva.suspended@example.com").len(), 0);
    demo.mail_to("eva.known@example.com", 3);
}

/// With the shipped policies a letter is a second factor and no first one. Control: the password before it.
#[test]
fn mail_alone_begins_no_session_unless_the_policies_say_so() {
    let demo = Demo::start();
    let address = demo.user_with_mail("mail.second", PASSWORD, &[]);
    let url = demo.url("news", "/");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.identify(&url, "mail.second");
    assert_eq!(page.link("/sign-in/email"), None, "it is not offered: {}", page.said());
    let forced = visitor.open(&demo.url("auth", &format!("/sign-in/email?state={}", page.state())));
    let sent = visitor.submit(&forced, &[]);
    let asked = visitor.follow(sent);
    let after = give_code(&mut visitor, &asked, &demo.mail_to(&address, 0).code());
    assert_eq!(after.host(), host("auth"), "{}", after.said());
    assert!(after.said().contains("more than mail"), "{}", after.said());
    assert_eq!(visitor.open(&url).host(), host("auth"), "there is no session");

    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&url, "mail.second", PASSWORD);
    let start = visitor.choose(page, "/sign-in/email");
    let sent = visitor.submit(&start, &[]);
    let asked = visitor.follow(sent);
    let opened = give_code(&mut visitor, &asked, &demo.mail_to(&address, 1).code());
    assert_eq!(
        (opened.host(), opened.status),
        (host("news"), 200),
        "control: {}",
        opened.said()
    );
}

/// whoever has only the mail enrols no device. Control: with the password beside it they may.
#[test]
fn a_session_by_mail_alone_enrols_no_device() {
    let demo = by_mail_alone();
    let address = demo.user_with_mail("mail.x03", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    let page = ask(&mut visitor, "mail.x03");
    let opened = give_code(&mut visitor, &page, &demo.mail_to(&address, 0).code());
    assert_eq!(opened.host(), host("news"), "{}", opened.said());

    let refused = visitor.open(&demo.url("auth", "/enroll-device"));
    assert_eq!(refused.status, 403, "{}", refused.said());
    assert!(refused.text().contains("more than mail"), "{}", refused.text());
    assert_eq!(demo.count_devices("mail.x03"), 0);

    for page in ["password", "totp", "recovery-codes"] {
        let url = demo.url("auth", &format!("/account/{page}"));
        let led = visitor.open(&url);
        assert_eq!(led.path(), "/sign-in/next", "{page}: {}", led.said());
        let forged = visitor.post_form(
            &url,
            &[
                ("state", &led.state()),
                ("password", "another horse"),
                ("code", "123456"),
            ],
        );
        assert!(matches!(forged.status, 400 | 403 | 422), "{page}: {}", forged.status);
    }
    let factors = demo.admin("GET", "/api/v1/users/mail.x03/factors", None);
    assert_eq!(factors.json(), json!([]), "no row");

    let mut stepped_up = Visitor::new(&demo);
    stepped_up.sign_in_with_password(&demo.url("auth", "/"), "mail.x03", PASSWORD);
    let allowed = stepped_up.open(&demo.url("auth", "/enroll-device"));
    assert_eq!(allowed.status, 200, "control: {}", allowed.said());
}

/// A letter proves the address that the user has: with another address the session ends, and a code that is on its way counts
/// for nothing. Control: another user's session.
#[test]
fn what_a_letter_proved_ends_with_the_address() {
    let demo = by_mail_alone();
    let url = demo.url("news", "/");
    let signed_in = |user: &str| {
        let address = demo.user_with_mail(user, PASSWORD, &[]);
        let mut visitor = Visitor::new(&demo);
        let page = ask(&mut visitor, user);
        give_code(&mut visitor, &page, &demo.mail_to(&address, 0).code());
        assert_eq!(visitor.get(&url).status, 200);
        visitor
    };
    let (mut moved, mut stays) = (signed_in("mail.moved"), signed_in("mail.stays"));
    let mut waiting = Visitor::new(&demo).from("127.3.5.1");
    let page = ask(&mut waiting, "mail.moved");
    let code = demo.mail_to("mail.moved@example.com", 1).code();

    demo.command(&["user", "update", "mail.moved", "--email", "elsewhere@example.com"]);

    assert_ne!(moved.get(&url).status, 200);
    assert_eq!(give_code(&mut waiting, &page, &code).status, 401);
    assert_eq!(stays.get(&url).status, 200, "control");
}

/// D-11: with a device that was deactivated, password and mail work where the policies allow. Control, D-10: the device's own
/// key signs nobody in.
#[test]
fn password_and_mail_work_after_the_device_was_deactivated() {
    let demo = by_mail_alone();
    let device = demo.user_with_device("mail.d11");
    demo.command(&["user", "update", "mail.d11", "--email", "mail.d11@example.com"]);
    let url = demo.url("news", "/");
    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    demo.command(&["device", "deactivate", "mail.d11-laptop"]);

    let mut by_password = visitor.copy();
    let opened = by_password.sign_in_with_password(&url, "mail.d11", PASSWORD);
    assert_eq!(opened.host(), host("news"), "password: {}", opened.said());
    let page = ask(&mut visitor, "mail.d11");
    let opened = give_code(&mut visitor, &page, &demo.mail_to("mail.d11@example.com", 0).code());
    assert_eq!(opened.host(), host("news"), "mail: {}", opened.said());

    let mut by_device = Visitor::new(&demo);
    let page = by_device.open(&demo.url("wiki", "/"));
    let challenge = by_device.challenge(&page, json!({ "verify": false }));
    let answer = device.answer(&demo, &challenge.claims);
    assert_eq!(device.give(&demo, &challenge.claims, &answer).status, 403, "D-10");
}

/// A demo whose policies let mail alone sign in, and everybody who did read the news.
fn by_mail_alone() -> Arc<Demo> {
    DEMO.demo_or(|| {
        let demo = Demo::start();
        demo.let_mail_sign_in();
        open_news(&demo);
        demo
    })
}

fn open_news(demo: &Demo) {
    let rule = "@id(\"news.readers\")\npermit (principal is User, action in Action::\"access\", resource == App::\"news\")\n\
                when { context has session };\n";
    demo.set_policies("news.cedar", rule);
}

/// The page that offers to send a letter, on the way to the news.
fn email_page(visitor: &mut Visitor<'_>, user: &str) -> Page {
    let url = visitor.demo().url("news", "/");
    visitor.jar = Default::default();
    let page = visitor.identify(&url, user);
    visitor.choose(page, "/sign-in/email")
}

/// Asks for a letter on the way to the news; the page that waits for the code.
fn ask(visitor: &mut Visitor<'_>, user: &str) -> Page {
    let url = visitor.demo().url("news", "/");
    let page = visitor.identify(&url, user);
    let start = visitor.choose(page, "/sign-in/email");
    let sent = visitor.submit(&start, &[]);
    assert_eq!(sent.status, 303, "{}", sent.text());
    visitor.follow(sent)
}

/// Asks for another letter.
fn ask_again(visitor: &mut Visitor<'_>, page: &Page) -> Page {
    let start = visitor.choose(page.clone(), "/sign-in/email");
    let sent = visitor.submit(&start, &[]);
    visitor.follow(sent)
}

fn give_code(visitor: &mut Visitor<'_>, page: &Page, code: &str) -> Page {
    let sent = visitor.submit(page, &[("code", code)]);
    visitor.follow(sent)
}

/// What a page says, without what differs each time.
fn normal(page: &Page) -> String {
    let said = page.said();
    let mut parts = said.split("value=\"");
    let mut text = format!("{} {}", page.status, parts.next().unwrap_or_default());
    for part in parts {
        text.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    let mut plain = String::new();
    for (index, part) in text.split("state=").enumerate() {
        plain.push_str(if index == 0 {
            part
        } else {
            part.split_once('"').map_or("", |(_, rest)| rest)
        });
    }
    plain
}

const PATIENCE: Duration = Duration::from_secs(20);
