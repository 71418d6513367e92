//! To whom does the gateway hand its mail? To the server whose certificate it trusts, over TLS, and to nobody else.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::mail::{MAIL_PASSWORD, MailServer, Speaks};
use latchkey_tests::process::until;
use latchkey_tests::visitor::{Page, Visitor};

/// By STARTTLS and by TLS from the first octet: the letter arrives, its code signs in, and neither it nor the password is in
/// the log.
#[test]
fn a_letter_goes_out_over_tls() {
    let demo = demo();
    for (speaks, tls) in [(Speaks::StartTls, "starttls"), (Speaks::Tls, "tls")] {
        let server = MailServer::start(speaks);
        demo.mail_by(&server.configuration(tls));
        let mut visitor = Visitor::new(&demo);

        let page = ask(&mut visitor, "smtp");
        let letter = server.first();
        let opened = give_code(&mut visitor, &page, &letter.code());

        assert_eq!(opened.host(), host("news"), "{tls}: {}", opened.said());
        assert_eq!(letter.field("To").as_deref(), Some("smtp@example.com"));
        assert_eq!(letter.field("From").as_deref(), Some("Latchkey <latchkey@example.com>"));
        assert!(server.saw().contains("login latchkey"), "{}", server.saw());
        let log = demo.process().output();
        for secret in [MAIL_PASSWORD, &letter.code(), &letter.code().replace(' ', "")] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

/// A server that is not the one gets nothing, the password least of all: one without TLS, one of another CA, one of another
/// name, one that speaks otherwise. The browser is told the same each time. Control: the same server as it should be.
#[test]
fn a_server_that_is_not_trusted_gets_nothing() {
    let demo = demo();
    let (clear, other) = (MailServer::start(Speaks::Clear), MailServer::start(Speaks::StartTls));
    let server = MailServer::start(Speaks::StartTls);
    let good = server.configuration("starttls");
    let foreign = other.file("ca.pem").display().to_string();
    let own = server.file("ca.pem").display().to_string();
    let cases = [
        ("no TLS", clear.configuration("starttls"), &clear),
        ("another CA", good.replace(&own, &foreign), &server),
        (
            "the system's CAs",
            good.replace(&format!("  ca_file: {own}\n"), ""),
            &server,
        ),
        (
            "another name",
            good.replace("server: localhost", "server: 127.0.0.1"),
            &server,
        ),
    ];
    let mut pages = Vec::new();
    for (what, configuration, asked) in cases {
        demo.mail_by(&configuration);
        let before = failed(&demo);
        pages.push(ask(&mut Visitor::new(&demo), "smtp").said().len());
        assert!(
            until(PATIENCE, || failed(&demo) > before),
            "{what}: {}",
            demo.process().output()
        );
        assert_eq!(asked.mails().len(), 0, "{what}");
        assert!(!asked.saw().contains("login"), "{what}: {}", asked.saw());
        assert!(asked.saw().contains("connected"), "{what}: it was asked");
    }

    demo.mail_by(&good);
    pages.push(ask(&mut Visitor::new(&demo), "smtp").said().len());
    server.first();
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
}

/// A server that is not there yet is tried again; one that says no is not. Nobody at a browser waits for either.
#[test]
fn what_may_pass_is_tried_again() {
    let demo = demo();
    let server = MailServer::start(Speaks::StartTls);
    demo.mail_by(&server.configuration("starttls"));
    demo.user("smtp.nobody", PASSWORD, &[]);
    demo.command(&["user", "update", "smtp.nobody", "--email", "nobody@example.com"]);
    demo.user("smtp.later", PASSWORD, &[]);
    demo.command(&["user", "update", "smtp.later", "--email", "later@example.com"]);

    ask(&mut Visitor::new(&demo), "smtp.nobody");
    assert!(until(PATIENCE, || failed(&demo) == 1), "{}", demo.process().output());
    ask(&mut Visitor::new(&demo), "smtp.later");
    let letter = server.first();

    assert_eq!(letter.field("To").as_deref(), Some("later@example.com"));
    assert_eq!(server.mails().len(), 1, "once");
    let log = demo.process().output();
    assert_eq!(log.matches("a letter did not leave").count(), 2, "{log}");
}

/// A password that others can read is refused, and so is a certificate file that has none. Control: as they should be.
#[test]
fn files_that_are_not_fit_are_refused() {
    let demo = demo();
    let server = MailServer::start(Speaks::StartTls);
    let good = server.configuration("starttls");
    demo.mail_by(&good);
    assert!(demo.check_configuration().success, "control");

    std::fs::set_permissions(server.file("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = demo.check_configuration();
    assert!(!open.success && open.stderr.contains("mail.password_file"), "{open:?}");
    assert!(
        open.stderr.contains("0644") && !open.stderr.contains(MAIL_PASSWORD),
        "{open:?}"
    );
    std::fs::set_permissions(server.file("password"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(server.file("ca.pem"), "nothing").unwrap();
    let bare = demo.check_configuration();
    assert!(!bare.success && bare.stderr.contains("mail.ca_file"), "{bare:?}");
}

/// A demo whose policies let mail alone sign in and read the news, with somebody who reads mail.
fn demo() -> Demo {
    let demo = Demo::start();
    demo.let_mail_sign_in();
    let rule = "@id(\"news.readers\")\npermit (principal is User, action in Action::\"access\", resource == App::\"news\")\n\
                when { context has session };\n";
    demo.set_policies("news.cedar", rule);
    demo.user_with_mail("smtp", PASSWORD, &[]);
    demo
}

/// How many letters were given up.
fn failed(demo: &Demo) -> usize {
    let log = demo.process().output();
    log.lines()
        .filter(|line| line.contains("a letter did not leave"))
        .count()
}

fn ask(visitor: &mut Visitor<'_>, user: &str) -> Page {
    let url = visitor.demo().url("news", "/");
    let page = visitor.identify(&url, user);
    let start = visitor.choose(page, "/sign-in/email");
    let sent = visitor.submit(&start, &[]);
    assert_eq!(sent.status, 303, "{}", sent.text());
    visitor.follow(sent)
}

fn give_code(visitor: &mut Visitor<'_>, page: &Page, code: &str) -> Page {
    let sent = visitor.submit(page, &[("code", code)]);
    visitor.follow(sent)
}

const PATIENCE: Duration = Duration::from_secs(20);
