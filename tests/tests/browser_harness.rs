//! Do the tests that drive a browser see what is there, and do what they say?

use latchkey_tests::browser::{Browser, Cookie, Key, Permission, Setup};
use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::site::{Site, answer};
use latchkey_tests::upstream::Received;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

#[test]
fn a_page_of_the_gateway_is_trusted_read_and_pictured() {
    let demo = DEMO.demo();
    let browser = Browser::start(&demo);
    let picture = demo.scratch().join("sign-in.png");

    browser.goto(&demo.url("auth", "/sign-in"));
    browser.screenshot(&picture);

    assert_eq!(browser.url(), demo.url("auth", "/sign-in"));
    assert!(!browser.wait_for("h1").text().is_empty());
    assert!(browser.text().contains(&browser.wait_for("h1").text()));
    assert_eq!(size_of(&picture), (1280, 800));
    assert_eq!(browser.accessibility_faults(), Vec::<String>::new());
}

#[test]
fn nobody_but_the_demos_ca_and_those_named_is_trusted() {
    let demo = DEMO.demo();
    let site = Site::of_pages("evil.localhost", &[("/", "<title>Evil</title>")]);
    let other = Site::of_pages("other.localhost", &[("/", "<title>Other</title>")]);
    let browser = Setup::default().trusting(&site.roots()).start(&demo);

    let refused = browser.try_goto(&other.url("/"));
    browser.goto(&site.url("/"));

    assert!(
        refused
            .as_ref()
            .is_err_and(|error| error.contains("ERR_CERT_AUTHORITY_INVALID")),
        "{refused:?}"
    );
    assert_eq!((browser.title().as_str(), site.received()[0].target()), ("Evil", "/"));
    assert!(other.received().is_empty());
}

#[test]
fn accessibility_faults_are_found_past_a_strict_policy() {
    let demo = DEMO.demo();
    let policy = ["Content-Security-Policy: default-src 'none'", "Content-Type: text/html"];
    let html = "<!doctype html><html lang=en><title>Form</title><main><h1>Form</h1><input id=name></main>";
    let site = Site::start("form.localhost", move |_| answer("200 OK", &policy, html));
    let browser = Setup::default().trusting(&site.roots()).start(&demo);
    browser.goto(&site.url("/"));

    let faults = browser.accessibility_faults();

    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("critical") && faults[0].contains("#name"),
        "{faults:?}"
    );
}

#[test]
fn a_client_certificate_opens_what_its_device_may_see() {
    let demo = DEMO.demo();
    let alice = Setup::default()
        .with_identity(demo.identity("alice-laptop"))
        .start(&demo);
    let nobody = Browser::start(&demo);

    alice.goto(&demo.url("wiki", "/"));
    nobody.goto(&demo.url("wiki", "/"));

    assert!(alice.text().contains("alice@example.com"), "{}", alice.text());
    assert!(!nobody.text().contains("example.com"), "control: {}", nobody.text());
}

#[test]
fn scripts_run_unless_they_are_off() {
    let demo = DEMO.demo();
    let html = "<body><noscript>without</noscript><script>document.body.append('with')</script>";
    let site = Site::of_pages("scripts.localhost", &[("/", html)]);
    let on = Setup::default().trusting(&site.roots()).start(&demo);
    let off = Setup::default().trusting(&site.roots()).without_scripts().start(&demo);

    on.goto(&site.url("/"));
    off.goto(&site.url("/"));

    assert_eq!((on.text().as_str(), off.text().as_str()), ("with", "without"));
}

#[test]
fn cookies_that_scripts_cannot_read_are_seen_set_and_deleted() {
    let demo = DEMO.demo();
    let echo = |request: &Received| {
        let text = request.fields("cookie").join("; ");
        answer(
            "200 OK",
            &["Set-Cookie: __Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax"],
            &text,
        )
    };
    let site = Site::start("cookies.localhost", echo);
    let browser = Setup::default().trusting(&site.roots()).start(&demo);
    browser.goto(&site.url("/"));

    browser.set_cookie(&Cookie::new("cookies.localhost", "__Host-b", "2"));
    browser.reload();
    let both = browser.text();
    let own = browser.cookie("cookies.localhost", "__Host-a").unwrap();
    browser.delete_cookie("cookies.localhost", "__Host-a");
    browser.reload();

    assert_eq!(both, "__Host-a=1; __Host-b=2");
    assert_eq!((own.http_only, own.same_site.as_deref()), (true, Some("Lax")));
    assert_eq!(browser.text(), "__Host-b=2");
    browser.clear_cookies();
    assert_eq!(browser.cookies(), []);
}

#[test]
fn a_form_is_filled_with_the_keyboard_alone_and_with_the_mouse() {
    let demo = DEMO.demo();
    let form = "<title>Form</title><form method=post action=/sent><label for=user>User</label>\
                <input id=user name=user><button>Go on</button></form>";
    let site = Site::of_pages("form.localhost", &[("/", form), ("/sent", "<p id=sent>Sent</p>")]);
    let browser = Setup::default().trusting(&site.roots()).start(&demo);

    browser.goto(&site.url("/"));
    browser.press(Key::Tab);
    let first = browser.focused();
    browser.type_text("alice");
    browser.press(Key::Tab);
    let second = browser.focused();
    browser.press_with_shift(Key::Tab);
    let third = browser.focused();
    browser.press(Key::Enter);
    browser.wait_for("#sent");
    browser.back();
    browser.fill("#user", "bob");
    browser.click("button");
    browser.wait_for_url(|url| url.ends_with("/sent"));
    browser.back();
    browser.fill("#user", "carol");
    browser.submit("#user");
    browser.wait_for_text("Sent");

    assert_eq!(
        [first.as_str(), &second, &third],
        ["input#user \"User\"", "button \"Go on\"", "input#user \"User\""]
    );
    let posted = |request: &Received| String::from_utf8(request.body.clone()).unwrap();
    let received = site.received();
    let sent: Vec<_> = received
        .iter()
        .filter(|request| request.target() == "/sent")
        .map(posted)
        .collect();
    assert_eq!(sent, ["user=alice", "user=bob", "user=carol"]);
}

#[test]
fn a_phone_is_narrow_and_who_prefers_dark_pages_gets_them_in_every_tab() {
    let demo = DEMO.demo();
    let browser = Setup::default().phone().dark().start(&demo);
    let look = "return [innerWidth, innerHeight, devicePixelRatio, matchMedia('(prefers-color-scheme: dark)').matches]";

    browser.goto(&demo.url("auth", "/sign-in"));
    let first = browser.tab();
    let here = browser.execute(look, &[]);
    browser.new_tab();
    browser.goto(&demo.url("auth", "/sign-in"));
    let there = browser.execute(look, &[]);
    browser.close_tab();

    assert_eq!((&here, &there), (&json!([390, 844, 2, true]), &here));
    assert_eq!(browser.tabs(), [first]);
}

/// Chromium lets a page from a public address call the loopback when the person agreed; one from the loopback anyway.
#[test]
fn the_loopback_is_called_by_public_pages_with_permission_alone() {
    let demo = DEMO.demo();
    let call = "<script>const call = url => fetch(url).then(it => it.text()).catch(() => 'failed')</script>";
    let page = Site::of_pages("page.localhost", &[("/", call)]);
    let any = ["Access-Control-Allow-Origin: *"];
    let service = Site::start("service.localhost", move |_| answer("200 OK", &any, "answered"));
    let trusting = Setup::default().trusting(&page.roots()).trusting(&service.roots());
    let public = trusting.clone().as_if_public(page.address()).start(&demo);
    let local = trusting.start(&demo);
    let calls = |browser: &Browser| {
        let script = "const done = arguments[1]; call(arguments[0]).then(done)";
        browser.execute_async(script, &[service.url("/probe").into()])
    };

    local.goto(&page.url("/"));
    public.goto(&page.url("/"));

    assert_eq!((calls(&local), calls(&public)), ("answered".into(), "failed".into()));
    let refusals = public.console();
    let said = refusals
        .iter()
        .any(|line| line.text.contains("`loopback` address space"));
    assert!(said, "{refusals:?}");
    public.set_permission("loopback-network", Permission::Granted);
    assert_eq!(
        (public.permission("loopback-network").as_str(), calls(&public)),
        ("granted", "answered".into())
    );
    public.set_permission_of(&page.origin(), "loopback-network", Permission::Denied);
    assert_eq!(calls(&public), Value::from("failed"));
}

#[test]
fn a_browser_that_is_dropped_leaves_no_process_behind() {
    let demo = Demo::start();
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("auth", "/sign-in"));
    let home = browser.home().display().to_string();
    assert!(!processes_with(&home).is_empty(), "control");

    drop(browser);

    assert!(until(latchkey_tests::tls::DEADLINE, || processes_with(&home).is_empty()));
    assert!(!std::path::Path::new(&home).exists());
}

/// The processes that have this in their command lines.
fn processes_with(text: &str) -> Vec<String> {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text)).collect()
}

/// Width and height of a PNG.
fn size_of(picture: &std::path::Path) -> (u32, u32) {
    let bytes = std::fs::read(picture).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
