//! Whom does the host answer where proxies of others ask, and what is taken of what they say? Asked by hand, as a proxy would.

use std::time::Duration;

use latchkey_tests::collector::{Collector, text};
use latchkey_tests::curl::{CurlAnswer, curl};
use latchkey_tests::demo::{ALICE, Demo};
use latchkey_tests::forward_auth::{ASKED, Kind, Proxy, ProxyCa, demo_with_proxies, escaped, leaf_pem};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::tls::{Identity, client_config};

/// Nothing is believed of whoever shows no certificate of a proxy; what a proxy says is read in one way or not at all.
#[test]
fn only_a_proxy_is_answered_and_only_what_it_says_as_it_has_to() {
    let (demo, ca) = demo_with_proxies();
    let stranger = ca.issue("stranger.example");
    let nginx = ca.issue("nginx.example");
    let asker = Asker { demo: &demo, ca: &ca };
    let certificate = asker.certificate("alice-laptop");
    let good = with(&GOOD, &[("Ssl-Client-Cert", &certificate)]);

    let control = asker.ask(Some(&nginx), "/check", &good);
    assert_eq!(control.status, 200, "{}", control.text());
    assert_eq!(control.header("x-latchkey-user"), Some("alice"));

    let device = demo.identity("alice-laptop");
    for (who, identity) in [
        ("nobody", None),
        ("a device", Some(&device)),
        ("another of the CA", Some(&stranger)),
    ] {
        for path in ["/check", "/denied"] {
            let refused = asker.ask(identity, path, &good);
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (403, "proxy-untrusted"),
                "{who}"
            );
            assert_eq!(refused.header("x-latchkey-user"), None, "{who}");
        }
    }
    let line = demo.decisions().line(|line| line["code"] == "proxy-untrusted");
    let line = line.expect("a line");
    assert_eq!(
        (&line["app"], &line["path"], &line["decision"]),
        (&"forward-auth".into(), &"/check".into(), &"deny".into())
    );
    let elsewhere = ProxyCa::create(&demo.scratch().join("elsewhere")).issue("nginx.example");
    assert_eq!(
        asker.ask(Some(&elsewhere), "/check", &good).status,
        0,
        "of another CA: no handshake"
    );

    // The proxy's own certificate is nobody's.
    let alone = asker.ask(Some(&nginx), "/check", &GOOD);
    assert_eq!((alone.status, alone.code().as_str()), (401, "not-signed-in"));
    let denied = asker.ask(Some(&nginx), "/denied", &good);
    assert_eq!(
        (denied.status, denied.header("x-latchkey-user")),
        (503, None),
        "what asks again gets no permit"
    );

    let truncated = &certificate[..certificate.len() - 20];
    for (what, fields, status) in [
        (
            "a malformed certificate",
            with(&GOOD, &[("Ssl-Client-Cert", truncated)]),
            400,
        ),
        (
            "two certificates",
            with(&good, &[("Ssl-Client-Cert", &certificate)]),
            400,
        ),
        ("plain HTTP", replaced(&good, "X-Forwarded-Proto", "http"), 400),
        (
            "an absolute target",
            replaced(&good, "X-Forwarded-Uri", "https://payroll.localhost/a"),
            400,
        ),
        ("a fragment", replaced(&good, "X-Forwarded-Uri", "/a#b"), 400),
        (
            "a path with two readings",
            replaced(&good, "X-Forwarded-Uri", "/a/../b"),
            400,
        ),
        (
            "a name for an address",
            replaced(&good, "X-Forwarded-For", "client"),
            400,
        ),
        (
            "another application",
            replaced(&good, "X-Forwarded-Host", "wiki.localhost"),
            421,
        ),
        (
            "the auth host",
            replaced(&good, "X-Forwarded-Host", "auth.localhost"),
            421,
        ),
        (
            "no host of ours",
            replaced(&good, "X-Forwarded-Host", "elsewhere.localhost"),
            421,
        ),
        (
            "the gateway's own paths",
            replaced(&good, "X-Forwarded-Uri", "/.latchkey/session"),
            421,
        ),
        (
            "an underscore for a dash",
            with(&good, &[("X_Latchkey_User", "root")]),
            400,
        ),
    ] {
        let refused = asker.ask(Some(&nginx), "/check", &fields);
        assert_eq!(refused.status, status, "{what}: {}", refused.text());
        assert_eq!(refused.header("x-latchkey-user"), None, "{what}");
    }
    for (name, _) in GOOD {
        let missing: Vec<_> = good.iter().filter(|(field, _)| *field != name).copied().collect();
        assert_eq!(
            asker.ask(Some(&nginx), "/check", &missing).status,
            400,
            "{name} is missing"
        );
    }
    for (name, value) in GOOD.into_iter().filter(|(name, _)| *name != "X-Forwarded-For") {
        assert_eq!(
            asker.ask(Some(&nginx), "/check", &with(&good, &[(name, value)])).status,
            400,
            "{name} twice"
        );
    }
    assert_eq!(asker.ask(Some(&nginx), "/check", &good).status, 200, "control");
    let unknown = asker.ask(Some(&nginx), "/elsewhere", &good);
    assert_eq!((unknown.status, unknown.header("x-latchkey-user")), (421, None));
}

/// A proxy that the configuration no longer names is one no longer, on the connection that it has too.
#[test]
fn a_proxy_that_is_taken_out_is_refused_at_its_next_request() {
    let (demo, ca) = demo_with_proxies();
    let nginx = ca.issue("nginx.example");
    let asker = Asker { demo: &demo, ca: &ca };
    let certificate = asker.certificate("alice-laptop");
    let good = with(&GOOD, &[("Ssl-Client-Cert", &certificate)]);
    let mut client = asker.raw(&nginx);
    let mut ask = || {
        client.send(question(&good).as_bytes());
        client.answer().expect("an answer")
    };
    assert_eq!(ask().status, 200, "control");

    demo.edit("latchkey.yaml", "names: [nginx.example]", "names: [other.example]");
    demo.reload();

    let refused = ask();
    assert_eq!((refused.status, refused.code().as_str()), (403, "proxy-untrusted"));
    demo.edit("latchkey.yaml", "names: [other.example]", "names: [nginx.example]");
    demo.reload();
    assert_eq!(ask().status, 200, "control");
}

/// A proxy's certificate that its CA revoked is nobody's, on the connection that it has too; so are all of that CA's once
/// its list is out of date.
#[test]
fn a_proxy_that_its_ca_revoked_is_refused_at_its_next_request() {
    let (demo, ca) = demo_with_proxies();
    let day = Duration::from_secs(86_400);
    let list = ca.list(&[], day);
    let authority = format!("certificate_authority: {}\n", ca.certificate().display());
    demo.edit(
        "latchkey.yaml",
        &authority,
        &format!("{authority}      crl: {}\n", list.display()),
    );
    demo.reload();
    let nginx = ca.issue("nginx.example");
    let asker = Asker { demo: &demo, ca: &ca };
    let certificate = asker.certificate("alice-laptop");
    let good = with(&GOOD, &[("Ssl-Client-Cert", &certificate)]);
    let mut client = asker.raw(&nginx);
    let mut ask = || {
        client.send(question(&good).as_bytes());
        let answer = client.answer().expect("an answer");
        if answer.status == 200 {
            "200".to_owned()
        } else {
            answer.code()
        }
    };
    assert_eq!(ask(), "200", "control: nobody is revoked");

    ca.list(&["nginx.example"], day);
    assert!(until(SOON, || ask() == "proxy-untrusted"), "{}", ask());
    assert_eq!(
        asker.ask(Some(&nginx), "/check", &good).status,
        0,
        "no handshake either"
    );
    ca.list(&["other.example"], day);
    assert!(until(SOON, || ask() == "200"), "control: another one is revoked");

    ca.list(&[], Duration::from_secs(3));
    assert!(
        until(SOON, || ask() == "proxy-untrusted"),
        "it goes out of date: {}",
        ask()
    );
    ca.list(&[], day);
    assert!(until(SOON, || ask() == "200"), "until there is a newer one");
}

/// What Envoy itself writes where it hands on the certificate of a client by `X-Forwarded-Client-Cert`.
#[test]
fn a_certificate_as_envoy_writes_it_into_a_field_is_read() {
    let (demo, ca) = demo_with_proxies();
    let nginx = ca.issue("nginx.example");
    let asker = Asker { demo: &demo, ca: &ca };
    let certificate = asker.certificate("alice-laptop");
    for set in [
        "{cert: true}",
        "{cert: true, chain: true, subject: true, dns: true, uri: true}",
    ] {
        let details = format!(
            "use_remote_address: true\n                forward_client_cert_details: SANITIZE_SET\n                \
             set_current_client_cert_details: {set}"
        );
        let envoy = Proxy::start_with(Kind::Envoy, &demo, &ca, &[("use_remote_address: true", &details)]);
        demo.edit(
            "latchkey.yaml",
            "certificate_from: ssl-client-cert",
            "certificate_from: x-forwarded-client-cert",
        );
        demo.reload();
        assert_eq!(
            envoy.curl(&demo, ALICE, "/written", &[]).status,
            200,
            "{}",
            envoy.output()
        );
        let written = envoy.upstream.last("/written").expect("it arrived");
        let [field] = &written.fields("x-forwarded-client-cert")[..] else {
            panic!("{}", written.head);
        };

        let read = asker.ask(
            Some(&nginx),
            "/check",
            &with(&GOOD, &[("X-Forwarded-Client-Cert", field)]),
        );
        let joined = format!("{field},{field}");
        let two = asker.ask(
            Some(&nginx),
            "/check",
            &with(&GOOD, &[("X-Forwarded-Client-Cert", &joined)]),
        );
        let elsewhere = with(&GOOD, &[("Ssl-Client-Cert", &certificate)]);
        let elsewhere = asker.ask(Some(&nginx), "/check", &elsewhere);

        assert_eq!(read.status, 200, "{set}: {field}: {}", read.text());
        assert_eq!(read.header("x-latchkey-user"), Some("alice"), "{set}");
        assert_eq!(two.status, 400, "{set}: there were two hops: {}", two.text());
        assert_eq!(elsewhere.status, 401, "{set}: not where it has to be");
        demo.edit(
            "latchkey.yaml",
            "certificate_from: x-forwarded-client-cert",
            "certificate_from: ssl-client-cert",
        );
    }
}

/// A question is a trace with what came of it.
#[test]
fn the_trace_of_a_question_has_its_decision() {
    let (mut demo, ca) = demo_with_proxies();
    let collector = Collector::start();
    let otlp = format!("  otlp:\n    endpoint: {}\n    metrics_interval: 1s", collector.url());
    demo.configure("telemetry", &otlp);
    demo.run_as_configured();
    let nginx = ca.issue("nginx.example");
    let asker = Asker { demo: &demo, ca: &ca };
    let certificate = asker.certificate("alice-laptop");
    let good = with(&GOOD, &[("Ssl-Client-Cert", &certificate)]);

    let allowed = asker.ask(Some(&nginx), "/check", &good);
    let denied = asker.ask(Some(&nginx), "/denied", &GOOD);
    let malformed = asker.ask(Some(&nginx), "/check?malformed", &GOOD[1..]);
    let stranger = asker.ask(None, "/check?stranger", &good);

    assert_eq!(
        [allowed.status, denied.status, malformed.status, stranger.status],
        [200, 401, 400, 403]
    );
    let codes = || {
        let spans = collector.spans();
        let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
        let codes = roots.map(|span| text(&span.attributes, "latchkey.code"));
        let mut codes: Vec<_> = codes.filter(|code| !code.is_empty()).collect();
        codes.sort();
        codes
    };
    let expected = ["allowed", "bad-request", "not-signed-in", "proxy-untrusted"];
    assert!(until(SOON, || codes() == expected), "{:?}", codes());
}

/// How long something that happens by itself may take.
const SOON: Duration = Duration::from_secs(30);

/// What proxies say of a request that passes, but for the certificate.
const GOOD: [(&str, &str); 5] = [
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "payroll.localhost"),
    ("X-Forwarded-Uri", "/asked?a=b"),
    ("X-Forwarded-For", "203.0.113.9"),
];

/// A request that asks, as it is written.
fn question(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET /check HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn with<'a>(fields: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [fields, more].concat()
}

fn replaced<'a>(fields: &[(&'a str, &'a str)], name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let replace = |(field, old): &(&'a str, &'a str)| (*field, if *field == name { value } else { *old });
    fields.iter().map(replace).collect()
}

/// Asks as a proxy would, from whoever's hand.
struct Asker<'a> {
    demo: &'a Demo,
    ca: &'a ProxyCa,
}

impl Asker<'_> {
    fn ask(&self, identity: Option<&Identity>, path: &str, fields: &[(&str, &str)]) -> CurlAnswer {
        let mut arguments: Vec<String> = fields
            .iter()
            .flat_map(|(name, value)| ["-H".to_owned(), format!("{name}: {value}")])
            .collect();
        if let Some(identity) = identity {
            arguments.extend(["--cert".into(), identity.certificate.display().to_string()]);
            arguments.extend(["--key".into(), identity.key.display().to_string()]);
        }
        arguments.push(format!("https://{ASKED}:{}{path}", self.demo.address().port()));
        curl(&self.ca.certificate(), arguments)
    }

    fn raw(&self, identity: &Identity) -> RawClient {
        let config = client_config(&self.ca.certificate(), Some(identity), &["http/1.1"]);
        RawClient::connect(self.demo.address(), ASKED, config).unwrap()
    }

    /// A device's certificate as nginx hands it on.
    fn certificate(&self, device: &str) -> String {
        escaped(&leaf_pem(self.demo, device))
    }
}
