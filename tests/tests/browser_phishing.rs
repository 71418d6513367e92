//! What does a page of somebody else's get from the agent, even with a true challenge in its hands?

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::process::until;
use latchkey_tests::site::{Site, answer};
use serde_json::{Value, json};
use std::time::Duration;

/// P-18, P-19: pages of a look-alike, of the right host at another port, of a sibling and of no origin at all hand a true
/// challenge to the agent. Nothing is signed, they learn nothing, whoever fetched the challenge is signed in nowhere, and the
/// System Log names the origin. Control: the auth host's own page with its own challenge signs in.
#[test]
fn a_page_of_another_origin_gets_nothing_and_is_recorded() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::Yes);
    let pages = [("/", "<title>Sign in</title>")];
    let lookalike = Site::of_pages("auth.localhost.evil.localhost", &pages);
    let other_port = Site::of_pages("auth.localhost", &pages);
    let sibling = Site::of_pages("wiki.localhost", &pages);
    let browser = Setup::default()
        .trusting(&lookalike.roots())
        .trusting(&other_port.roots())
        .trusting(&sibling.roots())
        .start(&demo);
    let phisher = Phisher::begin(&demo);

    for site in [&lookalike, &other_port, &sibling] {
        let (page, origin) = (site.url("/"), site.origin());
        let challenge = phisher.challenge(&demo);
        browser.goto(&page);
        let learnt = drive(&browser, agent.port(), challenge["challenge"].as_str().unwrap());
        assert_eq!(learnt, json!(["failed", "failed", "failed"]), "{origin}");
        // The agent reports one attempt a second at most.
        let recorded = until(Duration::from_secs(10), || {
            drive(&browser, agent.port(), challenge["challenge"].as_str().unwrap());
            declined(&demo).iter().any(|reason| reason.contains(&origin))
        });
        assert!(recorded, "{origin}: {:?}", declined(&demo));
        let finished = phisher.finish(&demo, &challenge["attempt"]);
        assert_eq!(finished.status, 409, "{origin}: {}", finished.text());
    }

    assert_eq!(agent.questions(), Vec::<Value>::new());
    assert!(!agent.output().contains("answered a challenge"), "{}", agent.output());
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text("alice@example.com");
}

/// P-19: the origin of a page in a sandbox is `null`.
#[test]
fn a_page_without_an_origin_gets_nothing() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::Yes);
    let sandbox = [
        "Content-Security-Policy: sandbox allow-scripts",
        "Content-Type: text/html",
    ];
    let site = Site::start("evil.localhost", move |_| {
        answer("200 OK", &sandbox, "<title>None</title>")
    });
    let browser = Setup::default().trusting(&site.roots()).start(&demo);
    let challenge = Phisher::begin(&demo).challenge(&demo);

    browser.goto(&site.url("/"));
    let learnt = drive(&browser, agent.port(), challenge["challenge"].as_str().unwrap());

    assert_eq!(learnt, json!(["failed", "failed", "failed"]));
    assert!(until(Duration::from_secs(10), || declined(&demo)
        .iter()
        .any(|reason| reason.contains("null"))));
    assert!(!agent.output().contains("answered a challenge"), "{}", agent.output());
}

/// a page of an application that its visitor may open gives the auth host's frame a stranger's sign-in to hand on: the
/// frame does not. Control: the application's own renewal, given to the same frame after it.
#[test]
fn an_application_has_no_device_sign_for_a_stranger() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::Yes);
    let browser = Browser::start(&demo);
    let phisher = Phisher::begin(&demo);
    let challenge = phisher.challenge(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text("alice@example.com");

    let script = "
        const [foreign, done] = arguments;
        (async () => {
            const begun = await (await fetch('/.latchkey/renew', { method: 'POST' })).json();
            const frame = document.createElement('iframe');
            frame.src = begun.frame;
            addEventListener('message', ({ data }) => {
                if (data.type === 'latchkey-renewal') return done(data);
                for (const challenge of [foreign, begun.challenge]) {
                    frame.contentWindow.postMessage({ type: 'latchkey-renewal', challenge }, new URL(begun.frame).origin);
                }
            });
            document.body.append(frame);
        })()";
    let renewed = browser.execute_async(script, &[challenge["challenge"].clone()]);

    assert_eq!(renewed["ok"], true, "{renewed}");
    let finished = phisher.finish(&demo, &challenge["attempt"]);
    assert_eq!(finished.status, 409, "{}", finished.text());
    assert_eq!(agent.questions(), Vec::<Value>::new());
}

/// Has the page ask the agent as the auth host's does, and as a page can without asking first; what it learns.
fn drive(browser: &Browser, port: u16, challenge: &str) -> Value {
    let script = "
        const [agent, challenge, done] = arguments;
        const body = JSON.stringify({ challengeRequest: challenge });
        const json = { 'content-type': 'application/json' };
        const ask = (path, options) => fetch(agent + path, options)
            .then(async it => it.type === 'opaque' ? 'opaque' : [it.status, await it.text()], () => 'failed');
        (async () => done([
            await ask('/probe', {}),
            await ask('/challenge', { method: 'POST', headers: json, body }),
            await ask('/challenge', { method: 'POST', mode: 'no-cors', body }),
        ]))()";
    browser.execute_async(script, &[format!("http://127.0.0.1:{port}").into(), challenge.into()])
}

/// What the System Log says of attempts that were declined.
fn declined(demo: &Demo) -> Vec<String> {
    let events = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let failures = events.iter().filter(|event| event["outcome"]["result"] == "FAILURE");
    let all = failures.map(Value::to_string);
    all.filter(|event| event.contains("FastPass declined phishing attempt"))
        .collect()
}

/// Somebody elsewhere who has begun to sign in, to have another sign for it.
struct Phisher {
    cookie: String,
    state: String,
}

impl Phisher {
    /// Comes as far as the page that looks for a device.
    fn begin(demo: &Demo) -> Self {
        let browser = ["-H", "Accept: text/html", "-H", "Sec-Fetch-Mode: navigate"];
        let sent = demo.curl(NOBODY, &demo.url("payroll", "/"), &browser);
        let page = demo.curl(NOBODY, sent.header("location").unwrap(), &browser);
        assert_eq!(page.status, 200, "{}", page.text());
        let set = page.header("set-cookie").unwrap();
        let text = page.text().replace("&quot;", "\"").replace("&#34;", "\"");
        let state = text
            .split("\"state\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        Self {
            cookie: format!("Cookie: {}", set.split(';').next().unwrap()),
            state: state.unwrap_or_else(|| panic!("no state in {text}")).to_owned(),
        }
    }

    /// Fetches a true challenge.
    fn challenge(&self, demo: &Demo) -> Value {
        let answer = self.post(demo, "challenge", &json!({ "state": self.state, "verify": false }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Asks for what came of it.
    fn finish(&self, demo: &Demo, attempt: &Value) -> latchkey_tests::curl::CurlAnswer {
        self.post(demo, "finish", &json!({ "state": self.state, "attempt": attempt }))
    }

    fn post(&self, demo: &Demo, step: &str, body: &Value) -> latchkey_tests::curl::CurlAnswer {
        let url = demo.url("auth", &format!("/sign-in/device/{step}"));
        let origin = format!("Origin: {}", demo.url("auth", ""));
        let fields = [
            "-H",
            &self.cookie,
            "-H",
            "Content-Type: application/json",
            "-H",
            &origin,
        ];
        demo.curl(
            NOBODY,
            &url,
            &[&fields[..], &["--data-binary", &body.to_string()]].concat(),
        )
    }
}
