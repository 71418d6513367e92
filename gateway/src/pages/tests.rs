use std::path::Path;

use super::*;

#[test]
fn what_comes_from_outside_is_text_on_every_page() {
    for sample in samples::all(HOSTILE) {
        assert!(!sample.html.contains("<b>"), "{}", sample.name);
        assert!(!sample.html.contains("onload=\"x"), "{}", sample.name);
    }
}

#[test]
fn every_page_has_one_heading_a_title_and_a_language() {
    for sample in samples::all("") {
        let count = |what: &str| sample.html.matches(what).count();

        assert_eq!(count("<h1>"), 1, "{}", sample.name);
        assert_eq!(count("<main "), 1, "{}", sample.name);
        assert!(sample.html.contains("<html lang=\"en\">"), "{}", sample.name);
        assert!(!sample.html.contains("<title> ·"), "{}", sample.name);
    }
}

#[test]
fn every_field_has_a_label() {
    let mut fields = 0;
    for sample in samples::all("") {
        for input in tags(&sample.html, "input").filter(|input| attribute(input, "type") != Some("hidden")) {
            let id = attribute(input, "id").unwrap_or_else(|| panic!("{}: {input}", sample.name));
            let label = format!("<label for=\"{id}\">");
            assert_eq!(sample.html.matches(&label).count(), 1, "{}: {input}", sample.name);
            fields += 1;
        }
    }
    assert!(fields > 0);
}

#[test]
fn no_page_has_scripts_or_styles_that_its_policy_would_not_let_through() {
    for sample in samples::all("").into_iter().chain([samples::renew_frame()]) {
        for script in tags(&sample.html, "script") {
            let source = attribute(script, "src").unwrap_or_default();
            let name = source.strip_prefix("/assets/").unwrap();
            assert!(
                asset(name).is_some_and(|asset| asset.caching.contains("immutable")),
                "{source}"
            );
        }
        let handlers = [" onclick", " onload", " onsubmit", " style=", "javascript:"];
        for forbidden in handlers {
            assert!(!sample.html.contains(forbidden), "{}: {forbidden}", sample.name);
        }
        // The page that is shown on every host carries its style, by hash.
        assert_eq!(
            sample.html.contains("<style"),
            sample.name == "message",
            "{}",
            sample.name
        );
    }
}

#[test]
fn no_page_lets_in_what_is_not_ours() {
    for sample in samples::all(HOSTILE).into_iter().chain([samples::renew_frame()]) {
        let (name, policy) = (sample.name, sample.policy);

        assert!(policy.starts_with("default-src 'none';"), "{name}: {policy}");
        for forbidden in ["unsafe", "*", "data:", "blob:"] {
            assert!(!policy.contains(forbidden), "{name}: {policy}");
        }
        assert!(policy.contains("base-uri 'none'"), "{name}: {policy}");
        let framed = policy.contains("frame-ancestors https://wiki.localhost:8443");
        assert_eq!(framed, name == "renew-frame", "{name}: {policy}");
        assert_eq!(policy.contains("frame-ancestors 'none'"), !framed, "{name}: {policy}");
    }
}

#[test]
fn only_pages_that_ask_the_device_reach_its_ports() {
    let asking = samples::all("").into_iter().chain([samples::renew_frame()]);

    let asking: Vec<&str> = asking
        .filter(|sample| sample.policy.contains("http://127.0.0.1:47600"))
        .map(|sample| sample.name)
        .collect();

    assert_eq!(
        asking,
        ["identify", "device", "enroll-device", "device-test", "renew-frame"]
    );
}

#[test]
fn forms_that_sign_in_may_lead_to_the_application() {
    for sample in samples::all("") {
        let leads = sample
            .policy
            .contains("form-action 'self' https://payroll.localhost:8443");

        let signs_in = sample.html.contains("action=\"/sign-in/");
        assert!(leads || !signs_in, "{}", sample.name);
        // A form that is sent anywhere but to this host would be stopped.
        assert!(
            all_attributes(&sample.html, "action").all(|action| action.starts_with('/')),
            "{}",
            sample.name
        );
    }
}

#[test]
fn a_page_is_sent_so_that_its_forms_keep_their_origin() {
    let page = Expired {
        shell: Shell::new("request", &UNBRANDED),
        start: "/sign-in",
    };

    let answer = respond(StatusCode::OK, &page);

    let field = |name| answer.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!(field(header::REFERRER_POLICY), "same-origin");
    assert_eq!(field(header::CACHE_CONTROL), "no-store");
    assert_eq!(field(header::CONTENT_SECURITY_POLICY), page.policy().to_string());
}

#[test]
fn ids_are_unique_and_what_refers_to_one_finds_it() {
    for sample in samples::all("") {
        let ids: Vec<&str> = all_attributes(&sample.html, "id").collect();
        for id in &ids {
            assert_eq!(
                ids.iter().filter(|other| *other == id).count(),
                1,
                "{}: {id}",
                sample.name
            );
        }
        let references = ["for", "aria-labelledby", "aria-describedby", "data-copy"];
        let referred = references
            .iter()
            .flat_map(|name| all_attributes(&sample.html, name))
            .flat_map(str::split_whitespace);
        for id in referred {
            assert!(ids.contains(&id), "{}: {id}", sample.name);
        }
    }
}

#[test]
fn password_managers_find_the_username_and_the_password() {
    let samples = samples::all("");
    let page = |name: &str| &samples.iter().find(|sample| sample.name == name).unwrap().html;

    for (name, words) in [
        ("identify", ["autocomplete=\"username webauthn\"", "autofocus"]),
        ("identify-shut-out", ["autocomplete=\"username\"", "autofocus"]),
        (
            "password",
            [
                "autocomplete=\"username\" readonly",
                "autocomplete=\"current-password\"",
            ],
        ),
        ("code", ["autocomplete=\"one-time-code\"", "inputmode=\"numeric\""]),
    ] {
        for word in words {
            assert!(page(name).contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn scripts_get_every_text_that_they_may_show() {
    let script = asset("sign-in.js").unwrap().body;
    let script = std::str::from_utf8(&script).unwrap();
    let texts = serde_json::to_value(&ENGLISH.device).unwrap();

    let phases = script
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| word.chars().all(|letter| letter.is_ascii_alphabetic()));
    let known = phases.filter(|phase| texts.get(format!("{phase}Title")).is_some());

    let known: std::collections::BTreeSet<&str> = known.collect();
    let expected = [
        "absent",
        "approved",
        "badChallenge",
        "busy",
        "confirm",
        "denied",
        "enrolling",
        "failed",
        "looking",
        "lost",
        "noAccount",
        "notTaken",
        "other",
        "pin",
        "prompt",
        "timedOut",
        "unreachable",
        "whichAccount",
    ];
    assert_eq!(known.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_pages_can_be_looked_at() {
    let Ok(folder) = std::env::var("LATCHKEY_PAGES") else {
        return;
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    for name in ASSETS {
        let body = asset(name).unwrap().body;
        std::fs::write(folder.join("assets").join(assets::hashed(name)), body).unwrap();
    }
    for sample in samples::all("") {
        let html = sample.html.replace("\"/assets/", "\"assets/");
        std::fs::write(folder.join(sample.name).with_extension("html"), html).unwrap();
    }
}

/// The opening tags of that name.
fn tags<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.split('<')
        .filter_map(move |part| part.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '>']))
        .filter_map(|rest| rest.split('>').next())
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    all_attributes(tag, name).next()
}

/// The values of the attributes of that name.
fn all_attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let start = format!(" {name}=\"");
    let ends: Vec<usize> = html.match_indices(&start).map(|(at, _)| at + start.len()).collect();
    ends.into_iter().filter_map(|at| html[at..].split('"').next())
}

const HOSTILE: &str = "\"><b>x</b><i onload=\"x";
const ASSETS: [&str; 7] = [
    "pages.css",
    "mark.svg",
    "copy.js",
    "device.js",
    "sign-in.js",
    "enroll.js",
    "device-test.js",
];
