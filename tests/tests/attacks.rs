//! What do strangers' tricks reach? Every case of the classes path, header, host, method, smuggle and cert, with its control.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use latchkey_tests::answer::Answer;
use latchkey_tests::curl::curl;
use latchkey_tests::demo::{ALICE, Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::raw::RawClient;
use latchkey_tests::tls::{self, Identity};
use latchkey_tests::upstream::{Received, Upstream};
use serde::Deserialize;

#[test]
fn every_trick_with_a_path_is_refused_or_read_the_same_everywhere() {
    run_class("path");
}

#[test]
fn every_trick_with_a_header_leaves_the_identity_alone() {
    run_class("header");
}

#[test]
fn every_trick_with_a_host_reaches_no_other_application() {
    run_class("host");
}

#[test]
fn every_trick_with_a_method_is_judged_as_what_the_application_sees() {
    run_class("method");
}

#[test]
fn no_request_is_smuggled_past_the_gateway() {
    run_class("smuggle");
}

/// The certificates come from `attacks/pki.py`, whose CA the gateway is told to trust.
#[test]
fn no_odd_certificate_gets_in() {
    let stage = Stage::new();
    let pki = stage.trust_foreign_ca();

    let with = |name: &str| {
        let answer = stage.curl(Some(&Identity::named(&pki, name)));
        (answer.status, answer.code())
    };
    let unknown = (403, "certificate-unknown".to_owned());
    assert_eq!(
        (with("dev-1"), with("dev-int")),
        (unknown.clone(), unknown),
        "control: the chains themselves are good"
    );

    let odd = cases("cert")
        .into_iter()
        .filter(|case| case.verdict.is_run() && case.verdict.key.is_none());
    stage.report(odd, |case, verdict| {
        let identity = Identity::named(&pki, &case.cert);
        let answer = stage.curl((case.cert != "none").then_some(&identity));
        verdict.check_answer(&answer)
    });
}

/// cert-badsig: a certificate shown by somebody who has another key.
#[test]
fn a_certificate_without_its_key_gets_nobody_in() {
    let stage = Stage::new();
    let forged = cases("cert").into_iter().filter(|case| case.verdict.key.is_some());

    stage.report(forged, |case, verdict| {
        let stolen = stage.demo.identity(verdict.sender().expect("a device"));
        let other = stage.demo.identity(verdict.key.as_deref().unwrap_or_default());
        let identity = Identity {
            certificate: stolen.certificate,
            key: other.key,
        };
        let config = tls::forged_client_config(&stage.demo.file("ca.pem"), &identity);
        let answer = RawClient::connect(stage.demo.address(), &host("wiki"), config)
            .ok()
            .and_then(|mut client| client.get(&host("wiki"), &format!("/{}", case.id)));
        verdict.check_answer(&answer.unwrap_or_default())
    });
}

#[test]
fn every_case_of_these_classes_has_a_verdict_or_a_test_that_names_it() {
    for case in CLASSES.into_iter().flat_map(cases) {
        if let Some(file) = &case.verdict.proved_by {
            let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(&case.id), "{file}.rs does not name {}", case.id);
        } else {
            assert!(!case.verdict.status.is_empty(), "{} has no verdict", case.id);
        }
    }
}

/// Sends every raw case of a class on a connection of its own.
fn run_class(class: &str) {
    let stage = Stage::new();
    let raw = cases(class).into_iter().filter(|case| case.verdict.is_run());
    stage.report(raw, |case, verdict| stage.send(case, verdict));
}

/// A gateway in front of an application that records everything.
struct Stage {
    upstream: Upstream,
    demo: Demo,
}

impl Stage {
    fn new() -> Self {
        let upstream = Upstream::friendly();
        let demo = Demo::in_front_of(&upstream);
        Self { upstream, demo }
    }

    /// Runs the cases one by one, a line for each, and fails at the end if any did.
    fn report(&self, cases: impl Iterator<Item = Case>, run: impl Fn(&Case, &Verdict) -> Result<(), String>) {
        let mut failed = BTreeMap::new();
        let mut count = 0;
        for case in cases {
            let before = self.upstream.received().len();
            let result =
                catch_unwind(AssertUnwindSafe(|| run(&case, &case.verdict))).unwrap_or(Err("panicked".to_owned()));
            let arrived = self.upstream.received().split_off(before);
            let result = result
                .and_then(|()| case.verdict.check_arrived(&case.id, &arrived))
                .and_then(|()| self.control(&case.id));
            println!("{} ... {}", case.id, if result.is_ok() { "ok" } else { "FAILED" });
            count += 1;
            if let Err(why) = result {
                failed.insert(case.id, why);
            }
        }
        assert!(count > 0, "no case was run");
        assert!(
            failed.is_empty(),
            "{} of {count} cases failed: {failed:#?}",
            failed.len()
        );
    }

    /// After each case an ordinary request gets its own answer and arrives with its own identity.
    fn control(&self, id: &str) -> Result<(), String> {
        let path = format!("/control-{id}");
        let answer = self.demo.raw_get(ALICE, "wiki", &path).unwrap_or_default();
        let users: Vec<String> = self
            .upstream
            .last(&path)
            .map(|request| owned(&request.fields(IDENTITY)))
            .unwrap_or_default();
        let fine = answer.status == 200 && answer.text() == "ok" && users == ["alice"];
        if fine {
            Ok(())
        } else {
            Err(format!("the control got {} as {users:?}", answer.status))
        }
    }

    fn send(&self, case: &Case, verdict: &Verdict) -> Result<(), String> {
        let app = verdict.app.as_deref().unwrap_or("wiki");
        let bytes = fill_in(
            case.send
                .as_deref()
                .unwrap_or_else(|| panic!("{} has nothing to send", case.id)),
            app,
        );
        let config = self.demo.tls(verdict.sender(), &["http/1.1"]);
        let server_name = verdict.server_name.clone().unwrap_or_else(|| host(app));
        let Ok(mut client) = RawClient::connect(self.demo.address(), &server_name, config) else {
            return verdict.check_answer(&Answer::default());
        };
        client.send(&bytes);
        let first = if verdict.at_once {
            client.head()
        } else {
            client.answer()
        }
        .unwrap_or_default();
        verdict.check_answer(&first)?;
        for expected in &verdict.then {
            let next = client.answer().map_or(0, |answer| answer.status);
            if next != *expected {
                return Err(format!("then {next} instead of {expected}"));
            }
        }
        if verdict.same_path && first.status == 200 {
            self.same_path(&bytes)?;
        }
        if case.class == "smuggle" {
            self.probe(case, &mut client)
        } else {
            Ok(())
        }
    }

    /// What follows on the same connection gets its own answer or none, and the hidden request never arrives.
    fn probe(&self, case: &Case, client: &mut RawClient) -> Result<(), String> {
        let path = format!("/probe-{}", case.id);
        let probed = client.get(&host("wiki"), &path);
        if probed.as_ref().is_some_and(|answer| answer.status == 200) && self.upstream.count(&path) != 1 {
            return Err("the probe got an answer that is not its own".to_owned());
        }
        match self.upstream.count("/smuggled") {
            0 => Ok(()),
            count => Err(format!("smuggled {count} times")),
        }
    }

    fn same_path(&self, bytes: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let sent = text.split(' ').nth(1).unwrap_or_default();
        let logged = self.demo.decisions().about("wiki", sent).is_some();
        let received = self.upstream.received().iter().any(|request| request.target() == sent);
        if logged && received {
            Ok(())
        } else {
            Err(format!("{sent}: logged {logged}, received {received}"))
        }
    }

    fn curl(&self, identity: Option<&Identity>) -> Answer {
        let mut arguments: Vec<PathBuf> = vec![self.demo.url("wiki", "/").into()];
        if let Some(identity) = identity {
            arguments.extend([
                "--cert".into(),
                identity.certificate.clone(),
                "--key".into(),
                identity.key.clone(),
            ]);
        }
        curl(&self.demo.file("ca.pem"), arguments).answer
    }

    /// Makes the odd certificates, and has the gateway trust their CA beside its own.
    fn trust_foreign_ca(&self) -> PathBuf {
        let directory = self.demo.scratch().join("pki");
        make_certificates(&directory);
        let certificate = directory.join("ca.pem").display().to_string();
        self.demo.configure(
            "tls",
            &format!("  client_certificate_authorities: [{{certificate: {certificate}}}]"),
        );
        self.demo.process().signal("HUP");
        let good = Identity::named(&directory, "dev-1");
        let trusted = until(Duration::from_secs(15), || self.curl(Some(&good)).status == 403);
        assert!(
            trusted,
            "the gateway does not take the CA: {}",
            self.demo.process().output()
        );
        directory
    }
}

/// One case of `attacks/attacks.yaml`.
#[derive(Deserialize)]
struct Case {
    id: String,
    class: String,
    cert: String,
    send: Option<String>,
    #[serde(default)]
    verdict: Verdict,
}

/// What must come of it; the file itself says what each field means.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    #[serde(rename = "as")]
    sender: Option<String>,
    app: Option<String>,
    server_name: Option<String>,
    key: Option<String>,
    #[serde(default)]
    status: Vec<u16>,
    #[serde(default)]
    then: Vec<u16>,
    code: Option<String>,
    upstream: Option<usize>,
    #[serde(default)]
    heard: Vec<String>,
    #[serde(default)]
    unheard: Vec<String>,
    #[serde(default)]
    same_path: bool,
    #[serde(default)]
    at_once: bool,
    proved_by: Option<String>,
}

impl Verdict {
    fn is_run(&self) -> bool {
        self.proved_by.is_none()
    }

    fn sender(&self) -> Option<&str> {
        match self.sender.as_deref() {
            Some("none") => None,
            Some(device) => Some(device),
            None => Some("bob-laptop"),
        }
    }

    fn check_answer(&self, answer: &Answer) -> Result<(), String> {
        if !self.status.contains(&answer.status) {
            return Err(format!(
                "answered {} instead of {:?}: {}",
                answer.status,
                self.status,
                answer.text()
            ));
        }
        match &self.code {
            Some(code) if *code != answer.code() => Err(format!("the code is {} instead of {code}", answer.code())),
            _ => Ok(()),
        }
    }

    /// Checks what reached the application, the probes of the tests themselves aside.
    fn check_arrived(&self, id: &str, arrived: &[Received]) -> Result<(), String> {
        let arrived: Vec<_> = arrived
            .iter()
            .filter(|request| !request.target().contains(id))
            .collect();
        if self.upstream.is_some_and(|count| count != arrived.len()) {
            return Err(format!(
                "{} requests reached the application: {arrived:?}",
                arrived.len()
            ));
        }
        let user = self
            .sender()
            .and_then(|device| device.split('-').next())
            .unwrap_or_default();
        for request in arrived {
            let head = written_by_hand(&request.head);
            if request.fields(IDENTITY) != [user] {
                return Err(format!("the identity is {:?}", request.fields(IDENTITY)));
            }
            if let Some(text) = self
                .unheard
                .iter()
                .find(|text| head.contains(&text.to_ascii_lowercase()))
            {
                return Err(format!("`{text}` reached the application: {head}"));
            }
            if let Some(text) = self
                .heard
                .iter()
                .find(|text| !head.contains(&text.to_ascii_lowercase()))
            {
                return Err(format!("`{text}` did not reach the application: {head}"));
            }
        }
        Ok(())
    }
}

fn cases(class: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let text = include_str!("../attacks/attacks.yaml");
    let file: File = serde_yaml::from_str(text).unwrap();
    file.cases.into_iter().filter(|case| case.class == class).collect()
}

/// The bytes that a case sends: placeholders filled in, characters as Latin-1.
fn fill_in(send: &str, app: &str) -> Vec<u8> {
    let mut text = send.replace("{HOST}", &host(app)).replace("{HOST_B}", &host("payroll"));
    for (placeholder, name) in IDENTITY_SPELLINGS {
        text = text.replace(placeholder, name);
    }
    if let Some(at) = text.find("{x65536}") {
        let repeated = text[..at].chars().next_back().unwrap().to_string().repeat(65_536);
        text = text.replacen("{x65536}", &repeated, 1);
    }
    let body = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.chars().count());
    let text = text.replace("{LEN}", &body.to_string());
    assert!(!text.contains('{'), "a placeholder is left in {text}");
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap())
        .collect()
}

/// A request's head in lower case without the gateway's random fields, in which any short text may turn up by chance.
fn written_by_hand(head: &str) -> String {
    let head = head.to_ascii_lowercase();
    let is_random = |line: &&str| RANDOM_FIELDS.iter().any(|field| line.starts_with(field));
    head.lines()
        .filter(|line| !is_random(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn make_certificates(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let script = directory.join("pki.py");
    std::fs::write(&script, include_str!("../attacks/pki.py")).unwrap();
    let output = Command::new("python3")
        .arg(&script)
        .output()
        .expect("python3 is installed");
    assert!(
        output.status.success(),
        "pki.py: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const CLASSES: [&str; 10] = [
    "path", "header", "host", "method", "smuggle", "cert", "jwt", "assert", "h2down", "dos",
];
const RANDOM_FIELDS: [&str; 3] = ["x-latchkey-assertion:", "x-latchkey-device:", "x-request-id:"];
const IDENTITY: &str = "x-latchkey-user";
const IDENTITY_SPELLINGS: [(&str, &str); 4] = [
    ("{IDH}", "X-Latchkey-User"),
    ("{IDH_MIXED}", "x-lAtChKeY-uSeR"),
    ("{IDH_UNDERSCORE}", "X_Latchkey_User"),
    ("{IDH_DOT}", "X.Latchkey.User"),
];
