//! What do administrators see of sessions, and how do they end them?

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{SESSION, Visitor};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-26: a session by FastPass names the device and the enrolment that answered; one by password names none.
#[test]
fn a_session_is_shown_with_what_it_rests_on() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("shown");
    let mut browser = Visitor::new(&demo);
    browser.fastpass(&demo.url("wiki", "/"), &device);
    let mut other = Visitor::new(&demo);
    other.sign_in_with_password(&demo.url("news", "/"), "shown", PASSWORD);

    let sessions = sessions_of(&demo, "shown");

    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let by = |method: &str| {
        sessions
            .iter()
            .find(|session| session["factors"][0]["method"] == method)
    };
    let (fastpass, password) = (by("fastpass").unwrap(), by("password").unwrap());
    assert_eq!(
        fastpass["origin"],
        json!({
            "device": device.enrolled["device"],
            "name": "shown-laptop",
            "enrollment": device.enrolled["enrollment"],
        })
    );
    assert_eq!(fastpass["factors"][0]["properties"], json!(["PHISHING_RESISTANT"]));
    assert_eq!(password["origin"], Value::Null);
    for session in [fastpass, password] {
        assert_eq!(
            (&session["status"], &session["login"]),
            (&"ACTIVE".into(), &"shown".into())
        );
        assert_eq!(
            (&session["browser"], &session["address"]),
            (&"Firefox on Linux".into(), &"127.0.0.1".into())
        );
        assert!(session["createdAt"].is_string() && session["lastUsed"].is_string());
        assert!(session["risk"].is_number() && session["generations"] == 1);
        let path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
        assert_eq!(demo.admin("GET", &path, None).json()["id"], session["id"]);
    }
    let text = demo.command(&["session", "list", "--user", "shown"]).stdout;
    assert!(text.contains("shown-laptop") && text.contains("fastpass"), "{text}");
    let all = demo.command(&["session", "list", "--json"]).json();
    assert!(
        sessions
            .iter()
            .all(|session| all.to_string().contains(session["id"].as_str().unwrap()))
    );
    let text = demo
        .command(&["session", "show", fastpass["id"].as_str().unwrap()])
        .stdout;
    assert!(
        text.contains("PHISHING_RESISTANT") && !text.contains(&secret(&browser)),
        "{text}"
    );
}

/// One session ends and the other lives; the log says who ended it and why. What is over is found no more.
#[test]
fn an_admin_ends_a_session_once() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("ended");
    let (mut first, mut second) = (Visitor::new(&demo), Visitor::new(&demo));
    first.fastpass(&demo.url("wiki", "/"), &device);
    let id = sessions_of(&demo, "ended")[0]["id"].as_str().unwrap().to_owned();
    second.fastpass(&demo.url("wiki", "/"), &device);
    let path = format!("/api/v1/sessions/{id}");

    let ended = demo.admin("DELETE", &path, None);

    assert_eq!(
        (ended.status, status(&demo, &first), status(&demo, &second)),
        (204, 401, 200)
    );
    for method in ["GET", "DELETE"] {
        for path in [path.as_str(), "/api/v1/sessions/nonsense"] {
            let gone = demo.admin(method, path, None);
            assert_eq!(
                (gone.status, &gone.json()["errorCode"]),
                (404, &"E0000007".into()),
                "{method} {path}"
            );
        }
    }
    assert_eq!(sessions_of(&demo, "ended").len(), 1);
    let events = demo.events(&format!("filter=target.id%20eq%20%22{id}%22"));
    let end: Vec<&Value> = events
        .iter()
        .filter(|event| event["eventType"] == "user.session.end")
        .collect();
    assert_eq!(end.len(), 1, "{events:?}");
    assert_eq!(end[0]["debugContext"]["debugData"]["cause"], "admin");
    assert_ne!(end[0]["actor"]["type"], "User", "{}", end[0]["actor"]);
}

/// All of a user, and nobody else's; on the command line too.
#[test]
fn an_admin_signs_a_user_out_everywhere() {
    let demo = DEMO.demo();
    let (device, others) = (demo.user_with_device("out"), demo.user_with_device("stays"));
    let sign_in = |device: &Device| {
        let mut browser = Visitor::new(&demo);
        browser.fastpass(&demo.url("wiki", "/"), device);
        browser
    };
    let (one, two, other) = (sign_in(&device), sign_in(&device), sign_in(&others));

    assert_eq!(demo.admin("DELETE", "/api/v1/users/out/sessions", None).status, 204);

    assert_eq!(
        [&one, &two, &other].map(|browser| status(&demo, browser)),
        [401, 401, 200]
    );
    let again = sign_in(&device);
    assert_eq!(status(&demo, &again), 200, "they can sign in again");
    demo.command(&["user", "sign-out", "out"]);
    assert_eq!([&again, &other].map(|browser| status(&demo, browser)), [401, 200]);
    let left = sessions_of(&demo, "stays");
    demo.command(&["session", "end", left[0]["id"].as_str().unwrap()]);
    assert_eq!(status(&demo, &other), 401);
    assert_eq!(demo.admin("DELETE", "/api/v1/users/nobody/sessions", None).status, 404);
}

/// Sessions are their users' to read and to manage: no other scope reaches them.
#[test]
fn sessions_take_the_scopes_of_users() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("scoped");
    Visitor::new(&demo).fastpass(&demo.url("wiki", "/"), &device);
    let id = sessions_of(&demo, "scoped")[0]["id"].as_str().unwrap().to_owned();
    let token = |scope: &str| {
        let created = demo.command(&[
            "token",
            "create",
            scope,
            "--scope",
            scope,
            "--network",
            "127.0.0.0/8",
            "--json",
        ]);
        format!("SSWS {}", created.json()["token"].as_str().unwrap())
    };
    let (devices, read, manage) = (token("devices.manage"), token("users.read"), token("users.manage"));
    let ask = |token: &str, method: &str, path: &str| demo.admin_as(token, method, path, None).status;

    for path in [
        format!("/api/v1/sessions/{id}"),
        "/api/v1/users/scoped/sessions".to_owned(),
    ] {
        assert_eq!(
            (ask(&devices, "GET", &path), ask(&devices, "DELETE", &path)),
            (403, 403),
            "{path}"
        );
        assert_eq!(
            (ask(&read, "GET", &path), ask(&read, "DELETE", &path)),
            (200, 403),
            "{path}"
        );
    }
    assert_eq!(
        (
            ask(&devices, "GET", "/api/v1/sessions"),
            ask(&read, "GET", "/api/v1/sessions?limit=1")
        ),
        (403, 200)
    );
    assert_eq!(
        ask(&manage, "DELETE", &format!("/api/v1/sessions/{id}")),
        204,
        "control"
    );
}

fn sessions_of(demo: &Demo, user: &str) -> Vec<Value> {
    let answer = demo.admin("GET", &format!("/api/v1/users/{user}/sessions"), None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

/// What a script gets at the wiki with the browser's cookie.
fn status(demo: &Demo, browser: &Visitor<'_>) -> u16 {
    let field = format!("Cookie: {SESSION}={}", secret(browser));
    demo.curl(NOBODY, &demo.url("wiki", "/"), &["-H", &field]).status
}

fn secret(browser: &Visitor<'_>) -> String {
    browser.jar.session("wiki").unwrap()
}
