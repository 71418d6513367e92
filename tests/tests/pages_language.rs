//! In which language do pages speak, and whose are they? As somebody chose, as the browser prefers, as configured.

use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;
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
    demo.configure(
        "branding",
        "  name: A & B\n  logo: logo.svg\n  color: \"#0a6e5c\"\n  help: mailto:help@example.com",
    );
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

/// The path of the brand's file with that ending.
fn asset(page: &Page, ending: &str) -> String {
    let text = page.text();
    let paths = text.split('"').filter(|part| part.starts_with("/assets/brand-"));
    let mut fitting = paths.filter(|path| path.ends_with(ending));
    fitting
        .next()
        .unwrap_or_else(|| panic!("no {ending} in {text}"))
        .to_owned()
}

fn test_page(visitor: &mut Visitor<'_>, fields: &[(&str, &str)]) -> Page {
    let url = visitor.demo().url("auth", "/device-test");
    visitor.ask("GET", &url, Initiator::Person, fields, "")
}

/// Sends the form at the foot of a page.
fn choose(visitor: &mut Visitor<'_>, language: &str, page: &str) -> Page {
    let url = visitor.demo().url("auth", "/language");
    let origin = origin_of(&url);
    let fields = [("Content-Type", FORM), ("Origin", origin.as_str()), ("Referer", page)];
    visitor.ask(
        "POST",
        &url,
        Initiator::Person,
        &fields,
        &format!("language={language}"),
    )
}

fn assert_speaks(page: &Page, language: &str, title: &str) {
    let text = page.text();
    assert!(text.contains(&format!("<html lang=\"{language}\">")), "{text}");
    assert!(text.contains(&format!("<h1>{title}</h1>")), "{text}");
}

const ENGLISH: &str = "Is my device found?";
const GERMAN: &str = "Wird mein Gerät gefunden?";
const FORM: &str = "application/x-www-form-urlencoded";
const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
