//! Where does a sign-in lead that strangers wrote the way to, and what do strangers' pages reach of it?

use std::path::Path;
use std::time::Instant;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::shared::Shared;
use latchkey_tests::timing::assert_alike;
use latchkey_tests::visitor::{Page, SESSION, Visitor};
use serde::Deserialize;
use serde_json::json;

static DEMO: Shared = Shared::new();

/// Every case of the class redirect, in every parameter that a sign-in could take it from: nobody is ever sent elsewhere.
#[test]
fn no_spelling_of_an_address_leads_away() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("redirect");
    let mut signed_in = Visitor::new(&demo);
    signed_in.fastpass(&demo.url("wiki", "/"), &device);
    for value in redirects(&demo) {
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for query in [
            format!("tx={value}"),
            format!("tx={value}&app=wiki"),
            format!("app={value}"),
            format!("return_to={value}"),
            format!("rd={value}&redirect_uri={value}&next={value}&url={value}"),
        ] {
            for visitor in [&mut signed_in, &mut Visitor::new(&demo)] {
                let page = visitor.open(&demo.url("auth", &format!("/sign-in?{query}")));
                assert!(matches!(page.status, 200 | 400), "{query}: {}", page.status);
                assert!(!leads_away(&page), "{query}: {}", page.said());
            }
        }
        for path in [
            format!("/sign-in/next?state={value}"),
            format!("/sign-in/device?state={value}"),
            format!("/signed-out?everywhere={value}"),
            format!("/enroll-device?key={value}"),
            format!("/?enrolled={value}"),
        ] {
            let page = signed_in.open(&demo.url("auth", &path));
            assert!(!leads_away(&page), "{path}: {}", page.said());
        }
        let url = demo.url("wiki", &format!("/.latchkey/session?code={value}&return_to={value}"));
        assert!(!leads_away(&signed_in.get(&url)), "{url}");
    }
    check_locations(&demo, &signed_in);
    assert_eq!(
        signed_in.open(&demo.url("wiki", "/control")).path(),
        "/control",
        "control"
    );
}

/// The same in the address that somebody opens first: after the sign-in they are where they wanted to be, or were refused.
#[test]
fn the_way_back_stays_at_the_application() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("target");
    for value in redirects(&demo) {
        let mut client = demo.raw(NOBODY, "wiki");
        let request = format!(
            "GET {value} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n\r\n",
            authority(&demo, "wiki")
        );
        client.send(request.as_bytes());
        let answer = client.answer().unwrap_or_default();
        assert!(
            matches!(answer.status, 0 | 302 | 400 | 421),
            "{value}: {}",
            answer.status
        );
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let target = format!("/page?next={encoded}");
        let mut visitor = Visitor::new(&demo);
        let opened = visitor.fastpass(&demo.url("wiki", &target), &device);
        assert_eq!(
            opened.url,
            demo.url("wiki", &target),
            "an application's own parameter comes back as it was"
        );
        check_locations(&demo, &visitor);
    }
}

/// Clickjacking: no page of ours may be framed, and each has a strict policy; the renewal's frame belongs to its application.
#[test]
fn no_page_can_be_framed() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("framed");
    let mut visitor = Visitor::new(&demo);
    let first = visitor.open(&demo.url("wiki", "/"));
    let state = first.state();
    let mut pages = vec![first];
    for path in ["methods", "password", "totp", "device", "next", "another"] {
        pages.push(visitor.get(&demo.url("auth", &format!("/sign-in/{path}?state={state}"))));
    }
    for path in [
        "/",
        "/sign-in",
        "/signed-out",
        "/device-test",
        "/enroll-device",
        "/nowhere",
        "/sign-in?tx=x",
    ] {
        pages.push(visitor.get(&demo.url("auth", path)));
    }
    pages.push(visitor.get(&demo.url("wiki", "/.latchkey/session?code=x")));
    pages.push(visitor.get(&demo.url("wiki", "/.latchkey/sign-out")));
    pages.push(visitor.get(&demo.url("wiki", "/.latchkey/nowhere")));
    pages.push(visitor.get(&demo.url("wiki", "/")));
    visitor.fastpass_at(&pages[0], &device);
    pages.push(visitor.get(&demo.url("auth", "/")));
    pages.push(visitor.open(&demo.url("vault", "/")));
    pages.push(visitor.open(&demo.url("wiki", "/admin/")));

    for page in &pages {
        let policies = page.fields("content-security-policy");
        assert_eq!(policies.len(), 1, "{} {}", page.status, page.url);
        let policy = policies[0];
        for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(
                policy.split("; ").any(|part| part == directive),
                "{}: {policy}",
                page.url
            );
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{}: {policy}",
            page.url
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{}", page.url);
        let referrer = page.header("referrer-policy").unwrap_or_default();
        assert!(
            matches!(referrer, "no-referrer" | "same-origin"),
            "{}: {referrer}",
            page.url
        );
        assert!(
            !page.text().contains("<script>") && !page.text().contains(" style="),
            "{}",
            page.url
        );
    }
    let frame = visitor.get(&demo.url("auth", "/renew?app=wiki"));
    let policy = frame.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.ends_with(&format!("frame-ancestors {}", demo.url("wiki", ""))),
        "{policy}"
    );
}

/// A POST from a page elsewhere, or from a sibling host, reaches no form and ends nothing. Control: the same from the form.
#[test]
fn no_page_of_another_origin_posts_to_a_form() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("csrf");
    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    let forms = [
        ("auth", "/sign-in/user"),
        ("auth", "/sign-in/password"),
        ("auth", "/sign-in/totp"),
        ("auth", "/sign-in/device/challenge"),
        ("auth", "/sign-in/device/finish"),
        ("auth", "/enroll-device/challenge"),
        ("auth", "/enroll-device/token"),
        ("auth", "/agent/v1/answers"),
        ("auth", "/account/devices/rename"),
        ("auth", "/account/devices/remove"),
        ("auth", "/account/sessions/end"),
        ("auth", "/account/sessions/end-others"),
        ("auth", "/account/factors/remove"),
        ("auth", "/account/password"),
        ("auth", "/account/totp"),
        ("auth", "/sign-out"),
        ("auth", "/sign-out-everywhere"),
        ("wiki", "/.latchkey/sign-out"),
        ("wiki", "/.latchkey/renew"),
        ("wiki", "/.latchkey/renew/finish"),
    ];
    for (app, path) in forms {
        let url = demo.url(app, path);
        let sibling = demo.url(if app == "auth" { "wiki" } else { "auth" }, "");
        let own = demo.url(app, "");
        for (name, value) in [
            ("Origin", "https://evil.test"),
            ("Origin", sibling.as_str()),
            ("Origin", "null"),
            ("Origin", &own.replace("https", "http")),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let answer = foreign(&visitor, &url, &[(name, value)]);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "cross-site"),
                "{path} with {name}: {value}"
            );
            assert!(answer.header("set-cookie").is_none(), "{path} with {name}: {value}");
        }
    }
    assert_eq!(
        visitor.get(&demo.url("wiki", "/")).status,
        200,
        "she is still signed in"
    );

    for (app, path) in forms {
        let answer = foreign(&visitor, &demo.url(app, path), &[("Origin", &demo.url(app, ""))]);
        assert_ne!(answer.code(), "cross-site", "control: {path}");
    }
    assert_ne!(visitor.get(&demo.url("wiki", "/")).status, 200, "control: signed out");
}

/// Login CSRF: the way to the sign-in and the page of it that an attacker began lead the victim's browser nowhere.
#[test]
fn a_sign_in_that_an_attacker_began_ends_nowhere_in_another_browser() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("lured");
    let (mut attacker, mut victim) = (Visitor::new(&demo), Visitor::new(&demo));
    let began = attacker.get(&demo.url("wiki", "/lured"));
    let way = began.location().unwrap();
    let page = attacker.open(&way);

    for path in ["next", "methods", "password", "totp", "device", "another"] {
        let stolen = victim.get(&demo.url("auth", &format!("/sign-in/{path}?state={}", page.state())));
        assert_eq!(stolen.status, 400, "{path}: a page's state is its browser's");
    }
    let posted = victim.post_form(
        &demo.url("auth", "/sign-in/user"),
        &[("state", &page.state()), ("username", "lured")],
    );
    assert_eq!(posted.status, 400);
    let led = victim.open(&way);
    let led = victim.fastpass_at(&led, &device);

    assert_eq!(
        (led.status, led.host()),
        (400, host("wiki")),
        "the code is bound to the attacker's browser"
    );
    assert_eq!(victim.jar.session("wiki"), None);
    assert_eq!(
        attacker.fastpass_at(&page, &device).path(),
        "/lured",
        "control: in its own browser"
    );
}

/// whether a username is anybody's, at every step before somebody is known: the same status, fields, text and time.
#[test]
fn nobody_learns_from_the_pages_who_exists() {
    let demo = Demo::start();
    demo.user_with_device("ada.known");
    demo.user("ada.suspended", PASSWORD, &["employees"]);
    demo.command(&["user", "suspend", "ada.suspended"]);
    demo.command(&["user", "create", "ada.nopassword", "--email", "someone@example.com"]);
    let users = ["ada.known", "ada.nobody", "ada.suspended", "ada.nopassword"];
    for app in ["wiki", "news", "payroll", "auth"] {
        let seen: Vec<Vec<String>> = users.iter().map(|user| steps(&demo, app, user)).collect();
        assert!(seen[0].len() >= 4);
        for (user, of_user) in users.iter().zip(&seen) {
            for (step, first) in of_user.iter().zip(&seen[0]) {
                assert_eq!(step, first, "{app}: {user}");
            }
            assert_eq!(of_user.len(), seen[0].len());
        }
    }

    let mut times = vec![Vec::new(); users.len()];
    for round in 0..5 {
        for (index, user) in users.iter().enumerate() {
            // Each source guesses once, so that nobody is throttled.
            let mut visitor = Visitor::new(&demo).from(&format!("127.2.{round}.{}", index + 1));
            let form = visitor.password_page(&demo.url("auth", "/"), user);
            let begun = Instant::now();
            assert_eq!(visitor.submit(&form, &[("password", "wrong horse")]).status, 401);
            times[index].push(begun.elapsed());
        }
    }
    assert_alike(&times);
    let mut visitor = Visitor::new(&demo).from("127.2.9.9");
    let form = visitor.password_page(&demo.url("auth", "/"), "ada.known");
    assert_eq!(visitor.submit(&form, &[("password", PASSWORD)]).status, 303, "control");
}

/// whoever shows nothing, or what counts for nothing, is told the same. Control: who is known is told why.
#[test]
fn what_counts_for_nothing_is_answered_as_nothing() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("nothing");
    let url = demo.url("vault", "/");
    let cookie = format!("Cookie: {SESSION}={}", "A".repeat(43));
    let answers: Vec<String> = [vec![], vec!["-H", &cookie], vec!["-H", "Cookie: other=1"]]
        .iter()
        .map(|arguments| normal(&demo.curl(NOBODY, &url, arguments).answer))
        .collect();
    assert!(
        answers[0].contains("401") && answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );
    for word in ["policy", "hardware", "device-key", "vault."] {
        let body = demo.curl(NOBODY, &url, &[]).text();
        assert!(!body.contains(word), "{word}: {body}");
    }

    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    let told = visitor.open(&url);
    assert!(
        told.status == 403 && told.text().contains("hardware"),
        "control: {}",
        told.text()
    );
}

/// Every case of these classes is run here or named by the test that proves it.
#[test]
fn every_case_about_sessions_and_signatures_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rust = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let tests: String = rust.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let wanted =
        |case: &&Case| matches!(case.class.as_str(), "cookie" | "jwt" | "assert") || case.id == "dos-session-table";

    let all = cases();
    let unnamed: Vec<&str> = all
        .iter()
        .filter(wanted)
        .map(|case| case.id.as_str())
        .filter(|id| !tests.contains(id))
        .collect();

    assert!(unnamed.is_empty(), "{unnamed:?}");
    assert!(all.iter().filter(wanted).count() > 25);
}

/// What every step of a sign-in says to whoever types this username, as far as it is not this very visitor's own.
fn steps(demo: &Demo, app: &str, user: &str) -> Vec<String> {
    let mut visitor = Visitor::new(demo);
    let first = visitor.open(&demo.url(app, "/"));
    let posted = visitor.submit(&first, &[("username", user)]);
    let mut steps = vec![normal(&first), normal(&posted)];
    for path in ["methods", "password", "device"] {
        let state = posted
            .location()
            .and_then(|location| location.split("state=").nth(1).map(str::to_owned));
        let url = demo.url("auth", &format!("/sign-in/{path}?state={}", state.unwrap()));
        let page = visitor.get(&url);
        if path == "device" {
            let asked = visitor.ask_challenge(&page, json!({ "loginHint": user }));
            steps.push(format!(
                "{} {:?}",
                asked.status,
                asked.json().as_object().unwrap().keys()
            ));
        }
        steps.push(normal(&page));
    }
    steps.into_iter().map(|text| text.replace(user, "USER")).collect()
}

/// An answer without what differs each time: sealed values, ids, secrets, the date.
fn normal(answer: &latchkey_tests::answer::Answer) -> String {
    let fields = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "content-length" | "x-request-id"));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    let whole = format!("{} {} {}", answer.status, fields.join("\n"), answer.text());
    let mut text = String::new();
    for word in whole
        .split_inclusive(|character: char| !character.is_ascii_alphanumeric() && character != '-' && character != '_')
    {
        text.push_str(if word.len() > 30 && !word.starts_with("__Host") {
            "…"
        } else {
            word
        });
    }
    text
}

/// A POST as a page of another origin has the victim's browser send it: with her cookies, and with these fields.
fn foreign(visitor: &Visitor<'_>, url: &str, fields: &[(&str, &str)]) -> latchkey_tests::answer::Answer {
    let host = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
    let cookies = format!("Cookie: {}", visitor.jar.field(&host).unwrap_or_default());
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut arguments = vec!["-H", &cookies, "--data-binary", "state=x&username=x&password=x&code=x"];
    for field in &fields {
        arguments.extend(["-H", field]);
    }
    visitor.demo().curl(NOBODY, url, &arguments).answer
}

/// Whether anything on the page, or in its head, leads to somebody else.
fn leads_away(page: &Page) -> bool {
    let foreign = |address: &str| {
        let absolute = url::Url::parse(&page.url).unwrap().join(address);
        absolute.is_ok_and(|url| {
            url.scheme() != "https" || !url.host_str().is_some_and(|host| host.ends_with(".localhost"))
        })
    };
    let of_head = ["location", "refresh", "set-cookie", "link"];
    let head = page.headers.iter().filter(|(name, _)| of_head.contains(&name.as_str()));
    let text = page.text();
    let refreshes = text.to_ascii_lowercase().contains("http-equiv");
    let form = page.form().map(|form| form.action);
    head.into_iter().any(|(_, value)| value.contains("evil"))
        || page.header("location").is_some_and(foreign)
        || page.links().iter().chain(&form).any(|address| foreign(address))
        || refreshes
}

/// Every place that somebody was sent to is the auth host or an application, over TLS.
fn check_locations(demo: &Demo, visitor: &Visitor<'_>) {
    for (_, page) in visitor.history() {
        let Some(location) = page.location() else { continue };
        let own = ["auth", "wiki"]
            .iter()
            .any(|app| location.starts_with(&demo.url(app, "/")));
        assert!(own, "{} leads to {location}", page.url);
    }
    let asked = visitor.history().iter().map(|(request, _)| request);
    assert!(asked.clone().all(|request| !request.contains("Host: evil")));
}

/// The values of the class redirect, with the application's host filled in.
fn redirects(demo: &Demo) -> Vec<String> {
    let values: Vec<String> = cases()
        .into_iter()
        .filter(|case| case.class == "redirect")
        .map(|case| case.value.unwrap().replace("{HOST}", &authority(demo, "wiki")))
        .collect();
    assert_eq!(values.len(), 11);
    let more = [
        "//evil.test",
        "///evil.test",
        "https://evil.test\t/",
        "\thttps://evil.test",
        "http://evil.test:443/",
    ];
    values.into_iter().chain(more.map(str::to_owned)).collect()
}

fn authority(demo: &Demo, app: &str) -> String {
    format!("{}:{}", host(app), demo.address().port())
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    class: String,
    value: Option<String>,
}

fn cases() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/attacks.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    serde_yaml::from_str::<Cases>(&text).unwrap().cases
}
