//! What do a session and a device have to do with each other, on one request and as time goes by?

use std::time::{Duration, Instant};

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::upstream::Upstream;
use latchkey_tests::visitor::{Initiator, Page, SESSION, Visitor};
use latchkey_tests::websocket::End;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// X-04, assert-cert-otherdevice: a cookie beside a certificate or an assertion of another user or device: the user is the
/// session's, and nothing is let in that needs a device. Control: pairs that match, and the cookie alone.
#[test]
fn a_session_beside_anothers_device_has_no_device() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("x04");
    let other_user = demo.user_with_device("x04b");
    let mut other_device = Device::default();
    let token = other_device.token(&demo, "x04", PASSWORD);
    other_device.enroll(&demo, &token, "x04-tablet");
    for (device, name) in [
        (&device, "x04-own"),
        (&other_user, "x04-user"),
        (&other_device, "x04-tablet"),
    ] {
        device.keep(&demo, name);
    }
    demo.set_policies("news.cedar", SESSION_ALONE);
    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    visitor.open(&demo.url("news", "/"));
    let ask = |app: &str, path: &str, certificate: Option<&str>, signer: Option<&Device>| -> CurlAnswer {
        let url = demo.url(app, path);
        let cookie = format!("Cookie: {SESSION}={}", visitor.jar.session(app).unwrap());
        let field = signer.map(|device| device.field(&device.assertion(&demo, "GET", &url)));
        let mut arguments = vec!["-H", &cookie];
        arguments.extend(field.iter().flat_map(|field| ["-H", field]));
        demo.curl(certificate, &url, &arguments)
    };

    for (certificate, signer) in [
        (Some("x04-user"), None),
        (Some("x04-tablet"), None),
        (None, Some(&other_user)),
        (None, Some(&other_device)),
        (Some("x04-user"), Some(&other_user)),
        (Some("x04-tablet"), Some(&other_device)),
    ] {
        let what = format!("{certificate:?}, signed: {}", signer.is_some());
        assert_eq!(ask("wiki", "/x04", certificate, signer).status, 403, "{what}");
        let opened = ask("news", "/x04", certificate, signer);
        assert_eq!(opened.status, 200, "what asks for no device: {what}");
        let told = opened.json();
        assert_eq!(told["headers"]["x-latchkey-user"], "x04", "{what}");
        assert_eq!(told["headers"]["x-latchkey-device"], Value::Null, "{what}");
    }
    for (certificate, signer) in [(Some("x04-own"), Some(&other_user)), (Some("x04-user"), Some(&device))] {
        let disagree = ask("wiki", "/", certificate, signer);
        assert_eq!(
            (disagree.status, disagree.code().as_str()),
            (403, "credentials-disagree")
        );
    }

    for (certificate, signer) in [
        (None, None),
        (Some("x04-own"), None),
        (None, Some(&device)),
        (Some("x04-own"), Some(&device)),
    ] {
        let opened = ask("wiki", "/", certificate, signer);
        assert_eq!(opened.status, 200, "control: {certificate:?}: {}", opened.text());
        assert_eq!(
            opened.json()["headers"]["x-latchkey-device"],
            device.enrolled["device"],
            "control"
        );
    }
}

/// X-07, cookie-cswsh: with a cookie, a POST or a WebSocket of another origin's page is refused before the application.
/// Control: its own page's, and a client that names no origin.
#[test]
fn another_origins_page_uses_nobodys_cookie() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let device = demo.user_with_device("x07");
    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    let cookie = format!("Cookie: {}", visitor.jar.field("wiki.localhost").unwrap());
    let post = |path: &str, fields: &[&str]| {
        let mut arguments = vec!["-H", &cookie, "--data-binary", "x=1"];
        arguments.extend(fields.iter().flat_map(|field| ["-H", *field]));
        demo.curl(NOBODY, &demo.url("wiki", path), &arguments).status
    };

    let sibling = format!("Origin: {}", demo.url("news", ""));
    let foreign = [
        "Origin: https://evil.test",
        &sibling,
        "Origin: null",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: cross-site",
    ];
    for field in foreign {
        assert_eq!(post("/x07-foreign", &[field]), 403, "{field}");
    }
    for origin in ["https://evil.test", &demo.url("news", ""), "null"] {
        assert_eq!(visitor.socket_from("wiki", origin).err(), Some(403), "{origin}");
    }
    assert_eq!(
        (upstream.count("/x07-foreign"), upstream.count("/ws")),
        (0, 0),
        "before the application"
    );

    assert_eq!(
        post("/x07-own", &[&format!("Origin: {}", demo.url("wiki", ""))]),
        200,
        "control"
    );
    assert_eq!(post("/x07-own", &[]), 200, "control");
    assert_eq!(upstream.count("/x07-own"), 2, "control");
}

/// S-05: a session that no device made, and a device that is only claimed, are no registered device. Control: the device
/// proves itself in a step-up.
#[test]
fn a_session_without_a_devices_proof_is_of_no_registered_device() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("s05");
    let url = demo.url("wiki", "/s05");
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "s05", PASSWORD);

    let asked = visitor.open(&url);
    assert_ne!(asked.path(), "/s05");
    let claim = format!("X-Latchkey-Device: {}", device.enrolled["device"].as_str().unwrap());
    let cookie = format!("Cookie: {}", visitor.jar.field("wiki.localhost").unwrap_or_default());
    let claimed = demo.curl(NOBODY, &url, &["-H", &claim, "-H", &cookie]);
    assert_ne!(claimed.status, 200, "claimed");

    assert_eq!(visitor.fastpass_at(&asked, &device).path(), "/s05", "control");
    let line = demo
        .decisions()
        .line(|line| line["path"] == "/s05" && line["decision"] == "allow")
        .unwrap();
    assert_eq!(line["signals"]["registered"], true);
}

/// where a device's proof may be so old and no older, a copied cookie is of no use without the device: it is denied then,
/// and dead from the moment that the original's proof is renewed. Control: the original goes on, without a page.
#[test]
fn a_renewal_kills_the_copies_of_a_cookie() {
    let demo = Demo::start();
    let device = demo.user_with_device("x01");
    let url = demo.url("wiki", "/x01");
    let mut own = Visitor::new(&demo);
    own.fastpass(&url, &device);
    demo.set_policies("wiki.cedar", FRESH_PROOF);
    let mut copy = own.copy();
    let before = own.jar.session("wiki").unwrap();

    assert!(
        until(PATIENCE, || script(&mut copy, &url).status == 401),
        "the proof of the copy is too old"
    );
    let denied = script(&mut own, &url);
    assert_eq!((denied.status, denied.code().as_str()), (401, "proof-too-old"));
    let challenge = denied.header("www-authenticate").unwrap_or_default().to_owned();
    assert!(
        challenge.starts_with("Session realm=") && challenge.contains("error=\"proof-too-old\""),
        "{challenge}"
    );
    assert!(challenge.contains("renew=\"/.latchkey/renew\""), "{challenge}");
    let renewed = own.renew("wiki", &device);
    assert_eq!(renewed.status, 204, "{}", renewed.text());

    assert_ne!(own.jar.session("wiki").unwrap(), before);
    assert_eq!(script(&mut own, &url).status, 200, "control: the original goes on");
    assert_eq!(
        script(&mut copy, &url).status,
        401,
        "the copy is dead, although the session's proof is fresh"
    );
    let begun = copy.post_json(&demo.url("wiki", "/.latchkey/renew"), &Value::Null);
    assert_eq!(begun.status, 401, "and renews nothing");
}

/// an answer renews the session of the browser that asked alone, and only that of the device's own user, once.
#[test]
fn a_renewal_takes_the_sessions_own_device_once() {
    let demo = DEMO.demo();
    let (device, other) = (demo.user_with_device("renews"), demo.user_with_device("renewsb"));
    let url = demo.url("wiki", "/");
    let (mut own, mut second) = (Visitor::new(&demo), Visitor::new(&demo));
    own.fastpass(&url, &device);
    second.fastpass(&url, &device);
    let begin = |visitor: &mut Visitor<'_>| -> Value {
        visitor
            .post_json(&demo.url("wiki", "/.latchkey/renew"), &Value::Null)
            .json()
    };
    let finish = |visitor: &mut Visitor<'_>, attempt: &Value| {
        visitor
            .post_json(
                &demo.url("wiki", "/.latchkey/renew/finish"),
                &json!({ "attempt": attempt }),
            )
            .status
    };

    let begun = begin(&mut own);
    let claims = latchkey_tests::device::claims_of(begun["challenge"].as_str().unwrap());
    assert_eq!(claims["userMediation"], "NONE", "nobody is asked");
    assert_eq!(
        other.give(&demo, &claims, &other.answer(&demo, &claims)).status,
        401,
        "another user's device"
    );
    assert_eq!(finish(&mut own, &begun["attempt"]), 403);
    let begun = begin(&mut own);
    let claims = latchkey_tests::device::claims_of(begun["challenge"].as_str().unwrap());
    assert_eq!(device.give(&demo, &claims, &device.answer(&demo, &claims)).status, 200);
    assert_eq!(finish(&mut second, &begun["attempt"]), 403, "another browser");
    assert_eq!(finish(&mut own, &begun["attempt"]), 204, "control");
    assert_eq!(finish(&mut own, &begun["attempt"]), 403, "twice");
    assert_eq!(
        (own.get(&url).status, second.get(&url).status),
        (200, 200),
        "both sessions live"
    );
    assert_eq!(
        Visitor::new(&demo)
            .post_json(&demo.url("wiki", "/.latchkey/renew"), &Value::Null)
            .status,
        401
    );
}

/// a WebSocket lives for as long as the proof that it rests on. Control: one whose session renews it in time.
#[test]
fn a_websocket_goes_on_while_its_proof_is_renewed() {
    let demo = Demo::start();
    let (device, other) = (demo.user_with_device("x09"), demo.user_with_device("x09b"));
    let url = demo.url("wiki", "/");
    demo.set_policies("wiki.cedar", FRESH_PROOF);
    let (mut renewing, mut leaving) = (Visitor::new(&demo), Visitor::new(&demo));
    renewing.fastpass(&url, &device);
    let mut renewed = renewing.socket("wiki").unwrap();
    leaving.fastpass(&url, &other);
    let mut left = leaving.socket("wiki").unwrap();
    let begun = Instant::now();

    let (mut end, mut lived) = (End::Open, Duration::ZERO);
    while end == End::Open && begun.elapsed() < Duration::from_secs(60) {
        assert_eq!(renewing.renew("wiki", &device).status, 204);
        (end, _) = left.end_within(Duration::from_millis(500));
        lived = begun.elapsed();
    }

    assert_eq!(end, End::Closed(1008));
    assert!(lived < Duration::from_secs(60), "{lived:?}");
    assert_eq!(renewed.echo("still here").as_deref(), Ok("still here"), "control");
    let (end, after) = renewed.end_within(Duration::from_secs(60));
    assert_eq!(end, End::Closed(1008), "not renewed any more, after {after:?}");
}

/// A client that no page helps is told what would do: a certificate, an assertion, a session. Control: each of them does.
#[test]
fn a_client_without_pages_is_told_what_would_do() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("api");
    let url = demo.url("wiki", "/api");

    let answer = demo.curl(NOBODY, &url, &["-H", "Accept: application/json"]);
    assert_eq!((answer.status, answer.code().as_str()), (401, "not-signed-in"));
    assert!(answer.header("location").is_none() && answer.header("set-cookie").is_none());
    let challenges: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, value)| value.as_str())
        .collect();
    let schemes: Vec<&str> = challenges
        .iter()
        .filter_map(|challenge| challenge.split(' ').next())
        .collect();
    assert_eq!(schemes, ["Certificate", "Device-Assertion", "Session"]);
    let page = demo.url("auth", "/sign-in?app=wiki");
    assert!(challenges[2].contains(&format!("sign_in=\"{page}\"")), "{challenges:?}");
    assert_eq!(
        demo.curl(NOBODY, &page, &[]).status,
        400,
        "the page for people leads to the application's front page"
    );

    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&url, &device);
    assert_eq!(script(&mut visitor, &url).status, 200, "control: a session");
    assert_eq!(
        device.get(&demo, NOBODY, "wiki", "/api").status,
        200,
        "control: an assertion"
    );
    assert_eq!(demo.status(ALICE, "wiki", "/api"), 200, "control: a certificate");
    visitor.sign_out();
    let ended = script(&mut visitor, &url);
    let said = ended.header("www-authenticate").unwrap_or_default();
    assert!(
        ended.status == 401 && said.contains("error=\"session-ended\""),
        "{said}"
    );
}

/// P-26: a session knows the device that made it: shutting that out ends it, and no session of another device.
#[test]
fn a_session_ends_with_the_device_that_made_it() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("p26");
    let mut tablet = Device::default();
    let token = tablet.token(&demo, "p26", PASSWORD);
    tablet.enroll(&demo, &token, "p26-tablet");
    let url = demo.url("wiki", "/p26");
    let (mut of_laptop, mut of_tablet) = (Visitor::new(&demo), Visitor::new(&demo));
    of_laptop.fastpass(&url, &device);
    of_tablet.fastpass(&url, &tablet);

    demo.command(&["device", "deactivate", device.enrolled["device"].as_str().unwrap()]);

    let ended = script(&mut of_laptop, &url);
    assert_eq!((ended.status, ended.code().as_str()), (401, "device-deactivated"));
    assert!(ended.text().contains("deactivated the device"), "{}", ended.text());
    assert_eq!(of_tablet.get(&url).status, 200, "control");
}

/// D-10: a device that was shut out opens nothing, and the page whose challenge it answered says so. Control: the same
/// device before.
#[test]
fn who_signs_in_with_a_device_that_was_shut_out_is_told_so() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("d10-told");
    let url = demo.url("wiki", "/d10-told");
    assert_eq!(Visitor::new(&demo).fastpass(&url, &device).status, 200, "control");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&url);
    demo.command(&["device", "deactivate", device.enrolled["device"].as_str().unwrap()]);

    let challenge = visitor.challenge(&page, json!({ "verify": false }));
    let answer = device.answer(&demo, &challenge.claims);
    let given = device.give(&demo, &challenge.claims, &answer);
    let told = visitor.finish(&challenge);

    assert_ne!(given.status, 200, "{}", given.text());
    assert_eq!(
        (told.status, told.code().as_str()),
        (403, "device-shut-out"),
        "{}",
        told.text()
    );
    assert_eq!(told.json()["title"], "This device was shut out");
}

/// What a script on an application's page gets.
fn script(visitor: &mut Visitor<'_>, url: &str) -> Page {
    visitor.ask("GET", url, Initiator::Script, &[], "")
}

/// The news are for whoever is signed in.
const SESSION_ALONE: &str = "@id(\"news.session\")\n\
    permit (principal is User, action in Action::\"access\", resource == App::\"news\") when { context has session };\n";

/// The wiki wants a device's proof of the last seconds.
const FRESH_PROOF: &str = "@id(\"wiki.open\")\n\
    permit (principal is User, action in Action::\"access\", resource == App::\"wiki\");\n\
    @id(\"wiki.fresh\") @deny_reason(\"Your device has to prove itself again.\") @advice(\"prove-device\")\n\
    forbid (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
    unless { context.age has deviceProof && context.age.deviceProof < 4 };\n";

const PATIENCE: Duration = Duration::from_secs(15);
