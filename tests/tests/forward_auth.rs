//! Do real proxies of others let pass what the gateway would, and nothing else? Each as docs/forward-auth.md sets it up.

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{ALICE, BOB, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::fleet::fleet;
use latchkey_tests::forward_auth::{APP, Kind};
use latchkey_tests::visitor::{SESSION, Visitor};

/// S-05 behind others' proxies: the same verdicts, the same identity, the same log.
#[test]
fn whom_the_policies_allow_reaches_the_application_under_their_name_and_whom_they_deny_is_told_why() {
    let fleet = fleet();
    let alice = fleet.demo.device_id("alice-laptop");
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let cookie = format!("a=b; latchkey-old=1; {SESSION}2=x");

        let allowed = fleet.curl(proxy, ALICE, "/allowed?q=1", &["-H", &format!("Cookie: {cookie}")]);
        let denied = fleet.curl(proxy, BOB, "/denied-to-bob", &[]);

        assert_eq!(
            (allowed.status, allowed.text().as_str()),
            (200, "ok"),
            "{name}: {}",
            proxy.output()
        );
        let arrived = proxy.upstream.last("/allowed?q=1").expect("it arrived");
        assert_eq!(arrived.fields("x-latchkey-user"), ["alice"], "{name}");
        assert_eq!(arrived.fields("x-latchkey-device"), [alice.as_str()], "{name}");
        assert_eq!(arrived.fields("x-latchkey-email").len(), 1, "{name}");
        assert!(arrived.fields("x-latchkey-groups")[0].contains("finance"), "{name}");
        let assertion = arrived.fields("x-latchkey-assertion");
        assert_eq!((assertion.len(), assertion[0].split('.').count()), (1, 3), "{name}");
        assert_eq!(arrived.fields("cookie"), ["a=b"], "{name}: ours stay with the gateway");
        let line = fleet
            .demo
            .decisions()
            .line(|line| line["proxy"] == name && line["path"] == "/allowed");
        let line = line.unwrap_or_else(|| panic!("{name}: no line"));
        assert_eq!(
            (&line["decision"], &line["user"], &line["app"]),
            (&"allow".into(), &"alice".into(), &APP.into())
        );
        assert_eq!(line["request_id"], arrived.fields("x-request-id")[0], "{name}");
        assert_eq!(line["signals"]["proof"], "certificate", "{name}");

        assert_eq!(
            (denied.status, denied.code().as_str()),
            (403, "policy-denied"),
            "{name}: {}",
            denied.text()
        );
        assert_eq!(
            denied.header("content-type"),
            Some("application/problem+json"),
            "{name}"
        );
        assert_eq!(denied.json()["reasons"][0]["policy"], "payroll.finance-only", "{name}");
        assert_eq!(proxy.upstream.count("/denied-to-bob"), 0, "{name}");
        let line = fleet
            .demo
            .decisions()
            .line(|line| line["proxy"] == name && line["path"] == "/denied-to-bob");
        assert_eq!(line.unwrap_or_default()["code"], "policy-denied", "{name}");
    }
}

/// A decision bites at the next request, on a connection that was let through before, whoever keeps it open.
#[test]
fn a_device_that_is_shut_out_or_revoked_is_so_at_its_next_request() {
    let fleet = fleet();
    let demo = &fleet.demo;
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        for (what, code) in [
            ("deactivated", "device-deactivated"),
            ("revoked", "certificate-revoked"),
        ] {
            let (login, device) = (format!("{name}{what}"), format!("{name}-{what}"));
            demo.user(&login, PASSWORD, &["employees", "finance"]);
            demo.enroll(&login, &device);
            let id = demo.device_id(&device);
            demo.command(&["device", "report", &id, "--managed"]);
            let mut client = fleet.raw(proxy, &device);
            let path = format!("/{what}");
            let mut get = || client.get(&proxy.authority(), &path).expect("an answer");
            assert_eq!(get().status, 200, "{name}, {what}: control");

            match what {
                "revoked" => {
                    let certificates = demo
                        .admin("GET", &format!("/api/v1/certificates?device={id}"), None)
                        .json();
                    demo.command(&["cert", "revoke", certificates[0]["fingerprint"].as_str().unwrap()]);
                }
                _ => drop(demo.command(&["device", "deactivate", &id])),
            }
            let refused = get();

            assert_eq!(
                (refused.status, refused.code().as_str()),
                (403, code),
                "{name}, {what}: {}",
                refused.text()
            );
            assert_eq!(proxy.upstream.count(&path), 1, "{name}, {what}");
        }
    }
}

#[test]
fn without_a_certificate_a_browser_signs_in_and_a_script_is_told_what_is_missing() {
    let fleet = fleet();
    let demo = &fleet.demo;
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let device = demo.user_in(&format!("{name}visitor"), &["employees", "finance"]);
        demo.manage(&device);

        let script = fleet.curl(proxy, NOBODY, "/nobody", &[]);
        let browser = fleet.curl(proxy, NOBODY, "/nobody", &["-H", "Accept: text/html"]);
        let mut visitor = Visitor::new(demo);
        let arrived = visitor.fastpass(&proxy.url("/signed-in?a=b"), &device);

        assert_eq!(
            (script.status, script.code().as_str()),
            (401, "not-signed-in"),
            "{name}: {}",
            script.text()
        );
        for challenge in ["Certificate realm", "Device-Assertion realm", "Session realm"] {
            let mut fields = script.headers.iter();
            let told = fields.any(|(field, value)| field == "www-authenticate" && value.starts_with(challenge));
            assert!(told, "{name}: {challenge}");
        }
        assert_eq!(browser.status, 302, "{name}: {}", browser.text());
        let location = browser.header("location").unwrap_or_default();
        assert!(
            location.starts_with(&demo.url("auth", "/sign-in?app=payroll")),
            "{name}: {location}"
        );
        assert!(
            browser.header("set-cookie").is_some(),
            "{name}: the way back is bound to the browser"
        );
        assert_eq!((arrived.status, arrived.text().as_str()), (200, "ok"), "{name}");
        assert_eq!(arrived.url, proxy.url("/signed-in?a=b"), "{name}");
        let seen = proxy.upstream.last("/signed-in?a=b").expect("it arrived");
        assert_eq!(seen.fields("x-latchkey-user"), [format!("{name}visitor")], "{name}");
        assert!(seen.fields("cookie").is_empty(), "{name}: {}", seen.head);
        assert_eq!(proxy.upstream.count("/nobody"), 0, "{name}");
    }
}

/// A signed request is the device's through a proxy too; one that the policies deny is not told that its signature is bad.
#[test]
fn a_signature_counts_and_its_nonce_is_used_once() {
    let fleet = fleet();
    let demo = &fleet.demo;
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let (device, other) = (
            demo.user_in(&format!("{name}signs"), &["employees", "finance"]),
            demo.user_in(&format!("{name}other"), &["employees"]),
        );
        demo.manage(&device);
        let signed = |device: &Device, path: &str| device.field(&device.assertion(demo, "GET", &proxy.url(path)));
        let good = signed(&device, "/signed");

        let allowed = fleet.curl(proxy, NOBODY, "/signed", &["-H", &good]);
        let replayed = fleet.curl(proxy, NOBODY, "/signed", &["-H", &good]);
        let denied = fleet.curl(
            proxy,
            NOBODY,
            "/signed-denied",
            &["-H", &signed(&other, "/signed-denied")],
        );

        assert_eq!(allowed.status, 200, "{name}: {}", allowed.text());
        let arrived = proxy.upstream.last("/signed").expect("it arrived");
        assert!(
            arrived.fields("device-assertion").is_empty(),
            "{name}: {}",
            arrived.head
        );
        assert_eq!(
            (replayed.status, replayed.code().as_str()),
            (401, "assertion-refused"),
            "{name}"
        );
        assert!(replayed.header("device-assertion-nonce").is_some(), "{name}");
        assert_eq!(
            (denied.status, denied.code().as_str()),
            (403, "policy-denied"),
            "{name}: {}",
            denied.text()
        );
        assert_eq!(proxy.upstream.count("/signed "), 1, "{name}");
        assert_eq!(proxy.upstream.count("/signed-denied"), 0, "{name}");
    }
}

/// What a client says under the gateway's names never arrives: it is replaced, taken away, or the request is refused.
#[test]
fn a_client_cannot_say_who_it_is() {
    let fleet = fleet();
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        for (number, field) in [
            "X-Latchkey-User",
            "x-latchkey-user",
            "X-Latchkey-Device",
            "X-Latchkey-Email",
            "X-Latchkey-Groups",
            "X-Latchkey-Assertion",
            "X_Latchkey_User",
            "X-Latchkey_User",
            "X.Latchkey.User",
            "X-Latchkey-Admin",
        ]
        .into_iter()
        .enumerate()
        {
            for (device, path) in [
                (ALICE, format!("/claims/{number}")),
                (NOBODY, format!("/public/{number}")),
            ] {
                let forged = fleet.curl(proxy, device, &path, &["-H", &format!("{field}: root")]);
                let control = fleet.curl(proxy, device, &format!("{path}/control"), &["-H", "X-Other: root"]);

                assert_eq!(control.status, 200, "{name}, {path}: control");
                assert!(
                    matches!(forged.status, 0 | 200 | 400),
                    "{name}, {field}: {}",
                    forged.status
                );
                let arrived = proxy.upstream.last(&format!("{path} "));
                assert_eq!(arrived.is_some(), forged.status == 200, "{name}, {field}");
                let head = arrived.map(|arrived| arrived.head).unwrap_or_default();
                assert!(!head.contains("root"), "{name}, {field}: {head}");
                if device == NOBODY {
                    assert!(
                        !head.to_ascii_lowercase().contains("x-latchkey"),
                        "{name}, {field}: {head}"
                    );
                }
            }
        }
        let seen = proxy.upstream.last("/claims/0 ").expect("it arrived").head;
        assert!(
            seen.to_ascii_lowercase().contains("x-latchkey-user: alice"),
            "{name}: {seen}"
        );
    }
}

/// A certificate without its key is anybody's: a client that writes it where proxies do is nobody, and a device that
/// writes another's stays who it is.
#[test]
fn a_client_cannot_hand_on_a_certificate() {
    let fleet = fleet();
    let forged = fleet.certificate_fields("alice-laptop");
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        for field in &forged {
            let nobody = fleet.curl(proxy, NOBODY, "/stolen", &["-H", field]);
            let bob = fleet.curl(proxy, BOB, "/stolen", &["-H", field]);

            assert_eq!(
                (nobody.status, nobody.code().as_str()),
                (401, "not-signed-in"),
                "{name}: {field}"
            );
            assert_eq!(
                (bob.status, bob.code().as_str()),
                (403, "policy-denied"),
                "{name}: {field}"
            );
        }
        assert_eq!(proxy.upstream.count("/stolen"), 0, "{name}");
        assert_eq!(fleet.curl(proxy, ALICE, "/stolen", &[]).status, 200, "{name}: control");
    }
}

/// The path that is judged is the path that the application gets, or there is none.
#[test]
fn no_spelling_of_a_path_gets_by_its_rule() {
    let fleet = fleet();
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let get = |path: &str| fleet.curl(proxy, ALICE, path, &[]).status;
        assert_eq!((get("/open/x"), get("/locked/x")), (200, 403), "{name}: control");
        for trick in [
            "/open/../locked/x",
            "/open/%2e%2e/locked/x",
            "/open/.%2e/locked/x",
            "/public/../locked/x",
            "/./locked/x",
            "//locked/x",
            "/%6cocked/x",
            "/locked%2fx",
            "/open%2f..%2flocked/x",
            "/open/..;/locked/x",
            "/open/..%3bx/locked/x",
            "/;/locked/x",
            "/locked;a=b/x",
            "/open/..%5clocked/x",
            "/locked%00/x",
            "/locked/x%",
        ] {
            let status = get(trick);
            assert!(status == 0 || status >= 400, "{name}, {trick}: {status}");
        }
        let seen = proxy.upstream.received();
        let locked = seen.iter().find(|request| {
            let line = request.request_line().to_ascii_lowercase();
            line.contains("locked") || line.contains("%6c")
        });
        assert!(
            locked.is_none(),
            "{name}: {}",
            locked.map(|request| request.head.as_str()).unwrap_or_default()
        );
    }
}

/// What is said of an application's paths holds behind others too, as far as it is for the gateway to answer.
#[test]
fn a_redirect_of_a_path_is_answered_where_the_proxy_is() {
    let fleet = fleet();
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let moved = fleet.curl(proxy, ALICE, "/moved/a?b=c", &[]);
        let denied = fleet.curl(proxy, BOB, "/moved/a", &[]);
        let control = fleet.curl(proxy, ALICE, "/not-moved", &[]);

        assert_eq!(
            (moved.status, moved.header("location")),
            (308, Some(proxy.url("/new/a?b=c").as_str())),
            "{name}: {}",
            moved.text()
        );
        assert_eq!((denied.status, control.status), (403, 200), "{name}");
        assert_eq!(proxy.upstream.count("/moved"), 0, "{name}");
        assert_eq!(proxy.upstream.count("/new"), 0, "{name}");
    }
}

/// An application of which only proxies of others know where it is cannot be had from the gateway.
#[test]
fn there_is_no_way_to_an_application_but_the_proxies() {
    let fleet = fleet();
    let demo = &fleet.demo;
    let get = |app: &str, path: &str| demo.curl(ALICE, &demo.url(app, path), &[]);

    let direct = get(APP, "/direct");
    let public = get(APP, "/public/direct");

    assert_eq!((direct.status, direct.code().as_str()), (421, "misdirected"));
    assert_eq!((public.status, public.code().as_str()), (421, "misdirected"));
    assert_ne!(
        get(APP, "/.latchkey/renew.js").status,
        421,
        "what is the gateway's own is there"
    );
    assert_eq!(get("wiki", "/").status, 200, "control");
    for proxy in &fleet.proxies {
        assert_eq!(fleet.curl(proxy, ALICE, "/by-way-of", &[]).status, 200, "control");
        assert_eq!(proxy.upstream.count("/direct"), 0);
    }
}

/// A page of somebody else's opens no WebSocket and writes nothing with its visitor's certificate.
#[test]
fn foreign_pages_are_refused() {
    let fleet = fleet();
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let own = format!("Origin: {}", proxy.url(""));
        let socket = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
        let key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
        for (origin, status) in [(own.as_str(), 200), ("Origin: https://evil.example", 403)] {
            let mut fields = vec!["--http1.1", "-H", origin, "-H", key];
            fields.extend(socket.iter().flat_map(|field| ["-H", field]));
            let opened = fleet.curl(proxy, ALICE, "/socket", &fields);
            let written = fleet.curl(proxy, ALICE, "/write", &["-H", origin, "--data", "x"]);

            assert_eq!(opened.status, status, "{name}: {origin}: {}", opened.text());
            assert_eq!(written.status, status, "{name}: {origin}: {}", written.text());
        }
        let line = fleet
            .demo
            .decisions()
            .line(|line| line["proxy"] == name && line["path"] == "/socket" && line["decision"] == "allow");
        assert_eq!(line.unwrap_or_default()["action"], "connect", "{name}");
        assert_eq!(
            (proxy.upstream.count("/socket"), proxy.upstream.count("POST /write")),
            (1, 1),
            "{name}"
        );
    }
}

/// nginx and Traefik do not tell whether a `GET` opens a WebSocket: then it has to be allowed as either.
#[test]
fn what_only_looks_like_a_websocket_is_not_let_in_as_one() {
    let fleet = fleet();
    for proxy in &fleet.proxies {
        let name = proxy.kind.name();
        let key = ["--http1.1", "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="];
        let upgrade = [
            "-H",
            "Sec-WebSocket-Version: 13",
            "-H",
            "Connection: Upgrade",
            "-H",
            "Upgrade: websocket",
        ];

        let plain = fleet.curl(proxy, ALICE, "/sockets-only/plain", &[]);
        let pretends = fleet.curl(proxy, ALICE, "/sockets-only/pretends", &key);
        let socket = fleet.curl(proxy, ALICE, "/sockets-only/socket", &[&key[..], &upgrade].concat());
        let elsewhere = fleet.curl(proxy, ALICE, "/elsewhere", &key);

        assert_eq!((plain.status, pretends.status), (403, 403), "{name}");
        let tells = matches!(proxy.kind, Kind::Caddy | Kind::Envoy);
        assert_eq!(
            socket.status,
            if tells { 200 } else { 403 },
            "{name}: {}",
            socket.text()
        );
        assert_eq!(elsewhere.status, 200, "{name}: control");
        assert_eq!(proxy.upstream.count("/sockets-only/p"), 0, "{name}");
    }
}
