//! Who may use the admin API, for what, and in which shape does it answer?

use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::{ALICE, Demo, NOBODY};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::shared::Shared;
use serde_json::Value;

static DEMO: Shared = Shared::new();

#[test]
fn both_spellings_of_a_token_open_the_api_with_and_without_a_space() {
    let demo = DEMO.demo();
    let token = demo.admin_token();

    for authorization in [
        format!("SSWS {token}"),
        format!("SSWS{token}"),
        format!("Bearer {token}"),
        format!("Bearer{token}"),
    ] {
        let answer = demo.admin_as(&authorization, "GET", "/api/v1/devices", None);
        assert_eq!(answer.status, 200, "{}", authorization.replace(&token, "TOKEN"));
    }
}

/// X-20: whatever is wrong with a token, the answer is the same.
#[test]
fn without_a_token_or_with_a_wrong_one_the_answer_is_401() {
    let demo = DEMO.demo();
    let token = demo.admin_token();
    let (head, _) = token.split_at(token.len() - 1);

    let wrong = ["SSWS", "SSWS ", "Basic YTpi", "Bearer nonsense"].map(str::to_owned);
    let answers: Vec<CurlAnswer> = wrong
        .into_iter()
        .chain([format!("SSWS {head}"), format!("Basic {token}"), token.clone()])
        .map(|authorization| demo.admin_as(&authorization, "GET", "/api/v1/devices", None))
        .collect();

    for answer in &answers {
        assert_eq!(
            (answer.status, answer.json()["errorCode"].as_str()),
            (401, Some("E0000011")),
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["errorSummary"], answers[0].json()["errorSummary"]);
        assert!(answer.json()["errorId"].as_str().is_some_and(|id| !id.is_empty()));
    }
    // A device's certificate is no token, however good it is.
    assert_eq!(demo.curl(ALICE, &demo.url("admin", "/api/v1/devices"), &[]).status, 401);
}

/// X-18: a token does what it was made for, from where it was made for, until its end.
#[test]
fn a_token_reaches_no_further_than_its_scope_its_network_and_its_time() {
    let demo = DEMO.demo();
    let reading = create_token(&demo, &["--network", "127.0.0.1/32"]);
    let elsewhere = create_token(&demo, &["--network", "127.0.0.2/32"]);
    let brief = create_token(&demo, &["--network", "127.0.0.0/8", "--lifetime", "3s"]);
    let read = |token: &str| {
        demo.admin_as(&format!("SSWS {token}"), "GET", "/api/v1/devices", None)
            .status
    };
    let id = demo.device_id("bob-laptop");
    let write = |token: &str| {
        let path = format!("/api/v1/devices/{id}/lifecycle/suspend");
        demo.admin_as(&format!("SSWS {token}"), "POST", &path, None)
    };

    let refused = write(&reading);

    assert_eq!(
        (refused.status, refused.json()["errorCode"].as_str()),
        (403, Some("E0000006"))
    );
    assert_eq!(
        demo.admin("GET", &format!("/api/v1/devices/{id}"), None).json()["status"],
        "ACTIVE"
    );
    assert_eq!((read(&reading), read(&brief)), (200, 200));
    assert!(matches!(read(&elsewhere), 401 | 403));
    let field = format!("Authorization: SSWS {elsewhere}");
    let from_there = ["--interface", "127.0.0.2", "-H", &field];
    assert_eq!(
        demo.curl(NOBODY, &demo.url("admin", "/api/v1/devices"), &from_there)
            .status,
        200
    );
    assert!(
        until(std::time::Duration::from_secs(8), || read(&brief) == 401),
        "the token does not end"
    );
}

/// X-18: a token bound to a network makes none that reaches further.
#[test]
fn a_token_makes_no_token_that_reaches_further() {
    let demo = DEMO.demo();
    let create =
        |network: &[&str]| demo.latchkey(&[&["token", "create", "wider", "--scope", "devices.read"], network].concat());

    assert!(!create(&[]).success, "a token for anywhere");
    assert!(!create(&["--network", "0.0.0.0/0"]).success);
    assert!(create(&["--network", "127.0.0.0/8"]).success);
}

#[test]
fn a_revoked_token_ends_at_once_and_no_list_shows_a_secret() {
    let demo = DEMO.demo();
    let output = demo
        .command(&[
            "token",
            "create",
            "short-lived",
            "--scope",
            "devices.read",
            "--network",
            "127.0.0.0/8",
            "--json",
        ])
        .json();
    let (id, secret) = (output["id"].as_str().unwrap(), output["token"].as_str().unwrap());
    let read = || {
        demo.admin_as(&format!("SSWS {secret}"), "GET", "/api/v1/devices", None)
            .status
    };
    assert_eq!(read(), 200);

    demo.command(&["token", "revoke", id]);

    assert_eq!(read(), 401);
    let list = demo.command(&["token", "list", "--json"]).stdout;
    assert!(
        list.contains("short-lived") && !list.contains(secret) && !list.contains(&demo.admin_token()),
        "{list}"
    );
}

/// The body comes after the token's end, the head before; the same beside it with a token that lives on.
#[test]
fn a_token_that_ends_while_the_body_is_on_its_way_creates_nothing() {
    let demo = DEMO.demo();
    let (id, ending) = create_manager(&demo);
    let (_, living) = create_manager(&demo);
    let (mut late, mut control) = (
        half_sent_user(&demo, "late-ending", &ending),
        half_sent_user(&demo, "late-living", &living),
    );
    // By the end of this command, on a connection of its own, the heads sent before it have been read.
    demo.command(&["token", "revoke", &id]);

    let [refused, made] = [&mut late, &mut control].map(|(client, rest)| {
        client.send(rest);
        client.answer().expect("an answer").status
    });

    let exists = |login: &str| demo.admin("GET", &format!("/api/v1/users/{login}"), None).status;
    assert_eq!((refused, exists("late-ending")), (401, 404));
    assert_eq!((made, exists("late-living")), (200, 200));
}

/// E-18 (API half): the list shows name, user, status and whether the device is managed.
#[test]
fn devices_are_listed_page_by_page() {
    let demo = Demo::start();
    for number in 0..3 {
        demo.enroll("bob", &format!("page-{number}"));
    }
    let mut path = Some("/api/v1/devices?limit=2".to_owned());
    let mut ids = Vec::new();
    let mut pages = 0;

    while let Some(next) = path {
        let answer = demo.admin("GET", &next, None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        ids.extend(
            page.as_array()
                .unwrap()
                .iter()
                .map(|device| device["id"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        path = next_page(&answer);
    }

    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), pages), (5, 3));
    let device = demo
        .admin(
            "GET",
            &format!("/api/v1/devices/{}", demo.device_id("alice-laptop")),
            None,
        )
        .json();
    assert_eq!(
        (&device["status"], &device["resourceType"]),
        (&"ACTIVE".into(), &Value::from("UDDevice"))
    );
    assert!(matches!(demo.admin("GET", "/api/v1/devices?limit=0", None).status, 400));
    assert!(matches!(
        demo.admin("GET", "/api/v1/devices?limit=201", None).status,
        200 | 400
    ));
}

#[test]
fn errors_have_the_shape_that_scripts_know() {
    let demo = DEMO.demo();
    let unknown = demo.admin("GET", "/api/v1/devices/dev00000000000000000", None);
    let nonsense = demo.admin("POST", "/api/v1/users", Some("{"));
    let invalid = demo.admin(
        "POST",
        "/api/v1/users",
        Some(r#"{"profile": {"login": "two words", "email": "x"}}"#),
    );

    for (answer, status, code) in [
        (unknown, 404, "E0000007"),
        (nonsense, 400, "E0000001"),
        (invalid, 400, "E0000001"),
    ] {
        let error = answer.json();
        assert_eq!(
            (answer.status, error["errorCode"].as_str()),
            (status, Some(code)),
            "{error}"
        );
        for field in ["errorSummary", "errorLink", "errorId"] {
            assert!(error[field].is_string(), "{field} in {error}");
        }
        assert!(error["errorCauses"].is_array(), "{error}");
    }
}

#[test]
fn users_and_groups_are_made_and_count_at_once() {
    let demo = DEMO.demo();
    let body = r#"{"profile": {"login": "dave", "email": "dave@example.com"}}"#;
    let made = demo.admin("POST", "/api/v1/users?activate=true", Some(body));
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    demo.enroll("dave", "daves-laptop");
    assert_eq!(
        demo.status(Some("daves-laptop"), "wiki", "/"),
        403,
        "dave is no employee yet"
    );

    demo.command(&["group", "add", "employees", "dave"]);

    assert_eq!(demo.status(Some("daves-laptop"), "wiki", "/"), 200);
    assert_eq!(
        demo.admin("POST", "/api/v1/users", Some(body)).status,
        400,
        "the same login twice"
    );
    assert!(demo.command(&["user", "list", "--json"]).stdout.contains("\"dave\""));
}

#[test]
fn the_system_log_can_be_narrowed_and_paged() {
    let demo = Demo::start();
    demo.command(&["device", "suspend", "bob-laptop"]);
    demo.command(&["device", "unsuspend", "bob-laptop"]);
    let get = |query: &str| demo.admin("GET", &format!("/api/v1/logs?{query}"), None);

    let suspended = get("filter=eventType%20eq%20%22device.lifecycle.suspend%22").json();
    let first = get("limit=1&sortOrder=DESCENDING");
    let second = demo
        .admin("GET", &next_page(&first).expect("a second page"), None)
        .json();

    assert_eq!(suspended.as_array().unwrap().len(), 1);
    assert_eq!(suspended[0]["outcome"]["result"], "SUCCESS");
    assert_eq!(first.json().as_array().unwrap().len(), 1);
    assert_ne!(first.json()[0]["uuid"], second[0]["uuid"]);
    assert!(get("since=2999-01-01T00:00:00Z").json().as_array().unwrap().is_empty());
    assert_eq!(demo.curl(NOBODY, &demo.url("admin", "/api/v1/logs"), &[]).status, 401);
}

/// A token that may make users: its id and its secret.
fn create_manager(demo: &Demo) -> (String, String) {
    let network = ["--network", "127.0.0.0/8"];
    let scope = ["token", "create", "manager", "--scope", "users.manage", "--json"];
    let made = demo.command(&[&scope[..], &network].concat()).json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

/// A request to make a user, sent up to the middle of its body, and the rest of that.
fn half_sent_user(demo: &Demo, login: &str, token: &str) -> (RawClient, Vec<u8>) {
    let body = format!(r#"{{"profile": {{"login": "{login}", "email": "{login}@example.com"}}}}"#);
    let (first, rest) = body.split_at(body.len() / 2);
    let mut client = demo.raw(NOBODY, "admin");
    let fields = format!("Authorization: SSWS {token}\r\nContent-Length: {}", body.len());
    client.send(format!("POST /api/v1/users HTTP/1.1\r\nHost: admin.localhost\r\n{fields}\r\n\r\n{first}").as_bytes());
    (client, rest.as_bytes().to_vec())
}

fn create_token(demo: &Demo, arguments: &[&str]) -> String {
    let output = demo.command(
        &[
            &["token", "create", "limited", "--scope", "devices.read", "--json"],
            arguments,
        ]
        .concat(),
    );
    output.json()["token"].as_str().unwrap().to_owned()
}

/// Path and query of the `next` link, if there is one.
fn next_page(answer: &CurlAnswer) -> Option<String> {
    let link = answer.header("link")?;
    let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = next.trim().strip_prefix('<')?.split('>').next()?;
    Some(url[url.find("/api/")?..].to_owned())
}
