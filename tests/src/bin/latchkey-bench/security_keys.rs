//! How many people sign in with their security keys in a second on one core?

use std::sync::Mutex;
use std::time::Instant;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::raw::RawClient;
use latchkey_tests::security_key::{Asked, SecurityKey};
use latchkey_tests::visitor::Visitor;
use serde_json::json;

use crate::Arguments;
use crate::enrolling::rate;
use crate::signing_in::{CLIENTS, JSON, ask, cookie, header, path, state};
use crate::table::median;

/// Signs in with keys that count, so that each use is written down, over connections that are kept.
pub(crate) fn measure(demo: &Demo, arguments: &Arguments) -> String {
    let keys: Vec<Mutex<SecurityKey>> = (0..CLIENTS).map(|index| Mutex::new(key(demo, index))).collect();
    let mut per_second = Vec::new();
    for round in 1..=arguments.rounds {
        let measured = sign_in_many(demo, &keys, arguments.sign_ins);
        eprintln!(
            "round {round} of {}: {measured:.0} sign-ins/s with security keys",
            arguments.rounds
        );
        per_second.push(measured);
    }
    format!(
        "WebAuthn sign-ins, from the application's first answer to its page, durable: {:.0} a second on one core.",
        median(&per_second)
    )
}

/// A user's key.
fn key(demo: &Demo, index: usize) -> SecurityKey {
    let login = format!("holder-{index}");
    demo.user(&login, PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), &login, PASSWORD);
    let mut key = SecurityKey {
        counter: 1,
        ..SecurityKey::new()
    };
    let added = visitor.add_key(&mut key, "Key");
    assert_eq!(added.status, 200, "{}", added.text());
    key
}

fn sign_in_many(demo: &Demo, keys: &[Mutex<SecurityKey>], count: usize) -> f64 {
    let waiting = Mutex::new(0..count);
    let waiting = &waiting;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for key in keys {
            scope.spawn(move || {
                let mut key = key.lock().expect("nobody panicked");
                let mut clients = (demo.raw(NOBODY, "auth"), demo.raw(NOBODY, "news"));
                while waiting.lock().expect("no client panicked").next().is_some() {
                    sign_in(demo, (&mut clients.0, &mut clients.1), &mut key);
                }
            });
        }
    });
    rate(count, begun.elapsed())
}

/// One sign-in, as the browser and the key together make it.
fn sign_in(demo: &Demo, (auth, news): (&mut RawClient, &mut RawClient), key: &mut SecurityKey) {
    let sent = ask(demo, news, "news", "GET /", &["Accept: text/html"], "");
    let (location, binding) = (header(&sent, "location"), cookie(&sent));
    let begin = format!("GET {}", path(&location));
    let page = ask(demo, auth, "auth", &begin, &["Accept: text/html"], "");
    let (state, browser) = (state(&page.text), format!("Cookie: {}", cookie(&page)));
    let fields = [browser.as_str(), JSON];
    let question = json!({ "state": state }).to_string();
    let options = ask(demo, auth, "auth", "POST /sign-in/webauthn/options", &fields, &question).json();
    let act = key.getting(Asked {
        finish: demo.url("auth", "/sign-in/webauthn/finish"),
        state,
        options,
    });
    let body = act.body(key.assertion(&act), json!({})).to_string();
    let finished = ask(demo, auth, "auth", "POST /sign-in/webauthn/finish", &fields, &body).json();
    let next = finished["next"].as_str().expect("where to go").to_owned();
    let admit = format!("GET {}", path(&next));
    let admitted = ask(demo, news, "news", &admit, &[&format!("Cookie: {binding}")], "");
    let session = format!("Cookie: {}", cookie(&admitted));
    let opened = ask(demo, news, "news", "GET /", &[&session], "");
    assert_eq!(opened.status, 200, "{}", opened.text);
}
