//! In which language do pages speak, and whose are they? As somebody chose, as the browser prefers, as configured.

use latchkey_tests::demo::{Demo, host};
use latchkey_tests::process::{free_port, until};
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{Initiator, Page, Visitor, origin_of};

static DEMO: Shared = Shared::new();

#[test]
fn pages_speak_what_the_browser_prefers_and_english_else() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);

    for (accepted, language, title) in [
        ("de", "de", GERMAN),
        ("de-AT,de;q=0.9,en;q=0.8", "de", GERMAN),
        ("fr, de;q=0.3", "de", GERMAN),
        ("en, de;q=0.9", "en", ENGLISH),
        ("de;q=0", "en", ENGLISH),
        ("fr", "en", ENGLISH),
    ] {
        let page = test_page(&mut visitor, &[("Accept-Language", accepted)]);
        assert_speaks(&page, language, title);
    }
    assert_speaks(&test_page(&mut visitor, &[]), "en", ENGLISH);
    let nowhere = visitor.ask(
        "GET",
        &demo.url("auth", "/nowhere"),
        Initiator::Person,
        &[("Accept-Language", "de")],
        "",
    );
    assert_eq!(nowhere.status, 404);
    assert_speaks(&nowhere, "de", "Hier ist nichts");
}

#[test]
fn a_choice_is_remembered_and_comes_before_what_the_browser_prefers() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);
    let english = [("Accept-Language", "en")];
    let before = test_page(&mut visitor, &english);
    assert_speaks(&before, "en", ENGLISH);
    assert!(before.text().contains("action=\"/language\""), "{}", before.text());

    let chosen = choose(&mut visitor, "de", &before.url.clone());

    assert_eq!(chosen.status, 303);
    assert_eq!(chosen.location(), Some(before.url));
    assert_speaks(&test_page(&mut visitor, &english), "de", GERMAN);
    let page = visitor.open(&demo.url("auth", "/"));
    assert_speaks(&page, "de", "Anmelden");

    choose(&mut visitor, "en", &page.url);
    assert_speaks(&test_page(&mut visitor, &[("Accept-Language", "de")]), "en", ENGLISH);
}

/// Nobody is led away by it, no other site makes the choice, and there is no choice but ours.
#[test]
fn a_choice_leads_back_to_our_own_pages_alone() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);
    let own = demo.url("auth", "/device-test");
    assert_eq!(
        choose(&mut visitor, "de", &own).location(),
        Some(own.clone()),
        "control"
    );

    let home = Some(demo.url("auth", "/"));
    let origin = origin_of(&own);
    for elsewhere in [
        "https://evil.example/",
        "",
        "/device-test",
        &format!("{origin}.evil.example/"),
        &format!("{origin}@evil.example/"),
    ] {
        assert_eq!(choose(&mut visitor, "de", elsewhere).location(), home, "{elsewhere}");
    }
    let doubled = choose(&mut visitor, "de", &format!("{origin}//evil.example/"));
    assert!(
        doubled.location().unwrap().starts_with(&format!("{origin}/")),
        "{:?}",
        doubled.location()
    );

    assert_eq!(choose(&mut visitor, "fr", &own).status, 400);
    let fields = [("Content-Type", FORM), ("Origin", "https://evil.example")];
    let mut stranger = Visitor::new(&demo);
    let foreign = stranger.ask(
        "POST",
        &demo.url("auth", "/language"),
        Initiator::Person,
        &fields,
        "language=de",
    );
    assert_eq!(foreign.status, 403);
    assert_speaks(&test_page(&mut stranger, &[]), "en", ENGLISH);
}

#[test]
fn pages_bear_the_name_the_colour_and_the_logo_of_the_configuration() {
    let demo = Demo::start();
    let mut visitor = Visitor::new(&demo);
    let plain = test_page(&mut visitor, &[]);
    assert!(plain.text().contains("· Latchkey</title>"), "control");
    assert!(!plain.text().contains("/assets/brand-"), "control");

    std::fs::write(demo.file("logo.svg"), LOGO).unwrap();
    demo.configure("pages", "  language: de");
    demo.configure("branding", BRANDING);
    let page = || test_page(&mut Visitor::new(&demo), &[]);
    assert!(
        until(PATIENCE, || page().text().contains("· A &#38; B</title>")),
        "{}",
        demo.process().output()
    );

    let page = page();
    assert_speaks(&page, "de", GERMAN);
    assert!(page.text().contains("<span>A &#38; B</span>"), "{}", page.text());
    assert!(
        page.text().contains("href=\"mailto:help@example.com\""),
        "{}",
        page.text()
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("style-src 'self'; img-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");

    let logo = visitor.get(&page.absolute(&asset(&page, ".svg")));
    assert_eq!((logo.status, logo.text()), (200, LOGO.to_owned()));
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert!(logo.header("cache-control").unwrap().contains("immutable"));
    // Opened by itself it runs nothing either.
    let policy = logo.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    let style = visitor.get(&page.absolute(&asset(&page, ".css")));
    assert!(style.text().contains("--accent:#0a6e5c"), "{}", style.text());
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(
        visitor
            .get(&demo.url("auth", "/assets/brand-0000000000000000.svg"))
            .status,
        404
    );
}

#[test]
fn a_denial_on_an_application_s_host_speaks_the_language_of_its_reader_and_bears_the_brand() {
    let demo = branded();
    let mut visitor = Visitor::new(&demo).with_certificate("bob-laptop");
    let payroll = demo.url("payroll", "/");

    let german = visitor.ask("GET", &payroll, Initiator::Person, &[("Accept-Language", "de-AT")], "");
    let english = visitor.ask("GET", &payroll, Initiator::Person, &[("Accept-Language", "en")], "");

    assert_eq!((german.status, english.status), (403, 403), "{}", german.text());
    assert_speaks(&german, "de", "Nicht erlaubt");
    assert_speaks(&english, "en", "Not allowed");
    assert!(
        german
            .text()
            .contains("Die Regeln für diese Anwendung stehen dem entgegen:")
    );
    assert!(
        english
            .text()
            .contains("The rules for this application stand in the way:")
    );
    for (page, reason, other) in [
        (&german, PAYROLL_REASON_IN_GERMAN, PAYROLL_REASON),
        (&english, PAYROLL_REASON, PAYROLL_REASON_IN_GERMAN),
    ] {
        let text = page.text();
        assert!(text.contains(reason) && !text.contains(other), "{text}");
        assert!(text.contains("<span>A &#38; B</span>"), "{text}");
        assert!(text.contains("--accent:#0a6e5c"), "{text}");
        assert!(text.contains("href=\"mailto:help@example.com\""), "{text}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("style-src 'sha256-") && policy.contains("; img-src 'self'; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("data:"), "{policy}");
    }
    let logo = visitor.get(&german.absolute(&file(&german, "/.latchkey/assets/brand-", ".svg")));
    assert_eq!((logo.status, logo.text()), (200, LOGO.to_owned()));
    assert!(logo.header("content-security-policy").unwrap().contains("sandbox"));
}

/// Control: the policy beside it, whose author wrote in both languages.
#[test]
fn a_policy_s_reason_stands_as_it_is_where_its_author_wrote_no_other() {
    let demo = Demo::start();
    let german = format!("@deny_reason_de(\"{PAYROLL_REASON_IN_GERMAN}\")\n");
    demo.edit("policies/payroll.cedar", &german, "");
    let mut visitor = Visitor::new(&demo).with_certificate("bob-laptop");
    let mut page = || {
        let german = [("Accept-Language", "de")];
        visitor
            .ask("GET", &demo.url("payroll", "/"), Initiator::Person, &german, "")
            .text()
    };

    let there = until(PATIENCE, || page().contains(PAYROLL_REASON));

    assert!(there, "{}", demo.process().output());
    let page = page();
    assert!(
        page.contains("steht nur Geräten offen, die das Unternehmen verwaltet"),
        "{page}"
    );
}

#[test]
fn scripts_are_told_in_english_whatever_their_user_reads() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo).with_certificate("bob-laptop");

    let german = [("Accept-Language", "de")];
    let answer = visitor.ask("GET", &demo.url("payroll", "/"), Initiator::Script, &german, "");

    assert_eq!((answer.status, answer.code().as_str()), (403, "policy-denied"));
    assert_eq!(answer.json()["title"], "Not allowed");
    assert!(answer.text().contains(PAYROLL_REASON), "{}", answer.text());
    assert_eq!(answer.header("content-language"), None);
}

#[test]
fn a_language_is_chosen_on_an_application_s_own_host_too() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo).with_certificate("bob-laptop");
    let url = demo.url("payroll", "/reports?year=2026");
    let english = [("Accept-Language", "en")];
    let before = visitor.ask("GET", &url, Initiator::Person, &english, "");
    assert!(
        before.text().contains("action=\"/.latchkey/language\""),
        "{}",
        before.text()
    );
    assert_eq!(before.header("referrer-policy"), Some("same-origin"));

    let choice = demo.url("payroll", "/.latchkey/language");
    let chosen = choose_at(&mut visitor, &choice, "de", &url);

    assert_eq!((chosen.status, chosen.location()), (303, Some(url.clone())));
    let after = visitor.ask("GET", &url, Initiator::Person, &english, "");
    assert_speaks(&after, "de", "Nicht erlaubt");
    let elsewhere = choose_at(&mut visitor, &choice, "de", "https://evil.example/");
    assert_eq!(elsewhere.location(), Some(demo.url("payroll", "/")));
    let fields = [("Content-Type", FORM), ("Origin", "https://evil.example")];
    let foreign = visitor.ask("POST", &choice, Initiator::Person, &fields, "language=en");
    assert_eq!(foreign.status, 403);
    assert_speaks(&foreign, "de", "Eine andere Website hat diese Anfrage gesendet");
}

/// Control: who chose nothing takes nothing along.
#[test]
fn a_choice_on_the_auth_host_goes_along_to_the_application() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("reader");
    for (choice, expected) in [(Some("de"), Some("de")), (None, None)] {
        let mut visitor = Visitor::new(&demo);
        if let Some(language) = choice {
            choose(&mut visitor, language, &demo.url("auth", "/"));
        }

        let page = visitor.fastpass(&demo.url("wiki", "/"), &device);

        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(visitor.jar.get(&host("wiki"), "__Host-latchkey-language"), expected);
    }
}

#[test]
fn pages_that_say_one_thing_speak_the_language_of_their_reader() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);
    let mut both = |app: &str, path: &str, status: u16, german: &str, english: &str| {
        for (accepted, language, title) in [("de", "de", german), ("en", "en", english)] {
            let fields = [("Accept-Language", accepted)];
            let page = visitor.ask("GET", &demo.url(app, path), Initiator::Person, &fields, "");
            assert_eq!(page.status, status, "{app}{path}: {}", page.text());
            assert_speaks(&page, language, title);
        }
    };

    both(
        "wiki",
        "/.latchkey/session?code=x",
        400,
        "Bitte melden Sie sich noch einmal an",
        "Please sign in again",
    );
    both(
        "wiki",
        "/.latchkey/nowhere",
        404,
        "Hier ist nichts",
        "There is nothing here",
    );
    both(
        "wiki",
        "//",
        400,
        "Diese Anfrage ist nicht eindeutig",
        "This request cannot be read in one way only",
    );
    // What the framework refuses is a page as well.
    both(
        "auth",
        "/sign-in/methods",
        400,
        "Diese Anfrage ist fehlerhaft",
        "This request is broken",
    );
    both("auth", "/assets/none", 404, "Hier ist nichts", "There is nothing here");
}

#[test]
fn an_application_that_is_down_is_reported_in_the_language_of_the_reader() {
    let demo = Demo::start_with_upstream(&format!("http://127.0.0.1:{}", free_port()));
    let mut visitor = Visitor::new(&demo).with_certificate("alice-laptop");

    for (accepted, title) in [
        ("de", "Die Anwendung antwortet nicht"),
        ("en", "The application does not answer"),
    ] {
        let fields = [("Accept-Language", accepted)];
        let page = visitor.ask("GET", &demo.url("wiki", "/"), Initiator::Person, &fields, "");
        assert_eq!(page.status, 502, "{}", page.text());
        assert_speaks(&page, accepted, title);
    }
}

/// The frame shows nothing, but says its language; the answers are for the application's script, which goes by their code.
#[test]
fn the_frame_that_renews_says_its_language_and_its_answers_are_for_scripts() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);
    let german = ("Accept-Language", "de");

    let frame = visitor.ask(
        "GET",
        &demo.url("auth", "/renew?app=wiki"),
        Initiator::Person,
        &[german],
        "",
    );
    let origin = demo.url("wiki", "");
    let fields = [
        german,
        ("Content-Type", "application/json"),
        ("Origin", origin.as_str()),
    ];
    let answer = visitor.ask(
        "POST",
        &demo.url("wiki", "/.latchkey/renew"),
        Initiator::Script,
        &fields,
        "{}",
    );

    assert_eq!(frame.header("content-language"), Some("de"));
    assert!(frame.text().contains("<html lang=\"de\">"), "{}", frame.text());
    assert_eq!((answer.status, answer.code().as_str()), (401, "not-signed-in"));
    assert_eq!(answer.json()["title"], "Please sign in");
}

/// A demo whose pages bear a name, a logo, a colour and a way to help.
fn branded() -> Demo {
    let demo = Demo::start();
    std::fs::write(demo.file("logo.svg"), LOGO).unwrap();
    demo.configure("branding", BRANDING);
    demo.reload();
    demo
}

/// The path of the brand's file with that ending.
fn asset(page: &Page, ending: &str) -> String {
    file(page, "/assets/brand-", ending)
}

/// The path in a page that begins and ends so.
fn file(page: &Page, beginning: &str, ending: &str) -> String {
    let text = page.text();
    let mut paths = text.split('"').filter(|part| part.starts_with(beginning));
    let found = paths.find(|path| path.ends_with(ending));
    found
        .unwrap_or_else(|| panic!("no {beginning}…{ending} in {text}"))
        .to_owned()
}

fn test_page(visitor: &mut Visitor<'_>, fields: &[(&str, &str)]) -> Page {
    let url = visitor.demo().url("auth", "/device-test");
    visitor.ask("GET", &url, Initiator::Person, fields, "")
}

/// Sends the form at the foot of a page.
fn choose(visitor: &mut Visitor<'_>, language: &str, page: &str) -> Page {
    let url = visitor.demo().url("auth", "/language");
    choose_at(visitor, &url, language, page)
}

fn choose_at(visitor: &mut Visitor<'_>, url: &str, language: &str, page: &str) -> Page {
    let origin = origin_of(url);
    let fields = [("Content-Type", FORM), ("Origin", origin.as_str()), ("Referer", page)];
    let body = format!("language={language}");
    visitor.ask("POST", url, Initiator::Person, &fields, &body)
}

fn assert_speaks(page: &Page, language: &str, title: &str) {
    let text = page.text();
    assert!(text.contains(&format!("<html lang=\"{language}\">")), "{text}");
    assert!(text.contains(&format!("<h1>{title}</h1>")), "{text}");
    assert_eq!(page.header("content-language"), Some(language), "{}", page.url);
    let vary = page.header("vary").unwrap_or_default();
    assert!(vary.contains("Accept-Language"), "{}: {vary}", page.url);
}

const ENGLISH: &str = "Is my device found?";
const GERMAN: &str = "Wird mein Gerät gefunden?";
const BRANDING: &str = "  name: A & B\n  logo: logo.svg\n  color: \"#0a6e5c\"\n  help: mailto:help@example.com";
const PAYROLL_REASON: &str = "Payroll is for the finance team.";
const PAYROLL_REASON_IN_GERMAN: &str = "Die Lohnabrechnung ist für die Finanzabteilung.";
const FORM: &str = "application/x-www-form-urlencoded";
const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
