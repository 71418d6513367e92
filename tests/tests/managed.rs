//! Who is a managed device? One that proves a certificate of a management CA to be its own, while that counts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use latchkey_tests::agent::{Agent, PASSWORD};
use latchkey_tests::demo::Demo;
use latchkey_tests::device::{Device, Key, now, rfc3339};
use latchkey_tests::process::until;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PATIENCE: Duration = Duration::from_secs(10);

/// S-06, S-11, R-11: what the gateway's own CA issued manages the device that proves it, while it shows it when asked,
/// until it is revoked; what asks for no managed device stays open all the while.
#[test]
fn a_proved_management_certificate_manages_its_device_until_it_is_gone_or_revoked() {
    let demo = Demo::start();
    let (agent, device) = enroll(&demo, "s06");
    let payroll = || agent.get(&demo, "payroll", "/", &[]);
    let wiki = || agent.get(&demo, "wiki", "/", &[]).status;

    assert!(!report(&agent), "S-07: no certificate");
    assert_eq!(
        (payroll().status, payroll().code().as_str(), wiki()),
        (403, "policy-denied", 200)
    );
    let fingerprint = issue(&demo, &agent, &device, &[]);
    assert!(report(&agent), "S-06");
    assert_eq!((payroll().status, wiki()), (200, 200));

    let folder = agent.state().join("management");
    let aside = agent.state().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    assert!(!report(&agent), "S-11: gone this time");
    assert_eq!((payroll().status, wiki()), (403, 200));
    std::fs::rename(&aside, &folder).unwrap();
    assert!(report(&agent), "S-11: there again");
    assert_eq!(payroll().status, 200);

    demo.command(&["cert", "revoke-management", &fingerprint]);

    assert_eq!(
        (payroll().status, payroll().code().as_str()),
        (403, "policy-denied"),
        "R-11"
    );
    assert_eq!(wiki(), 200, "R-11: another permit still allows");
    assert!(!report(&agent), "S-07: revoked");
    assert_eq!(
        outcome(&demo, &fingerprint),
        ("FAILURE".to_owned(), "the management certificate is revoked".to_owned())
    );
}

/// S-07: expired, of another CA, another device's. Each beside a certificate that counts.
#[test]
fn a_management_certificate_that_does_not_count_manages_nothing() {
    let demo = Demo::start();
    let stranger = Authority::new(demo.scratch(), "stranger");
    let (agent, device) = enroll(&demo, "s07");
    let (other, _) = enroll(&demo, "s07b");
    let payroll = |agent: &Agent| agent.get(&demo, "payroll", "/", &[]).status;

    stranger.issue(&agent, &format!("URI:urn:latchkey:device:{}", device.as_str().unwrap()));
    assert!(!report(&agent), "another CA");
    assert_eq!(payroll(&agent), 403);

    issue(&demo, &agent, &device, &["--lifetime", "4s"]);
    assert!(report(&agent), "control");
    assert_eq!(payroll(&agent), 200, "control");
    assert!(
        until(PATIENCE, || payroll(&agent) == 403),
        "managed ends when the certificate does"
    );
    assert!(!report(&agent), "expired");

    issue(&demo, &agent, &device, &[]);
    copy(&agent, &other);
    assert!(
        !report(&other),
        "X-06: a copied certificate that is shown first does not bind"
    );
    assert_eq!(payroll(&other), 403);
    let (result, why) = outcome(&demo, "");
    assert!(
        result == "FAILURE" && why.contains("names neither this device nor its hardware"),
        "{why}"
    );
    assert!(report(&agent), "control: whose it is");
    assert_eq!(payroll(&agent), 200);
}

/// S-07: shown, but the key did not sign this challenge. The control is the same with the certificate's own key.
#[test]
fn a_management_certificate_without_its_key_manages_nothing() {
    let demo = Demo::start();
    demo.user("s07k", PASSWORD, &["employees", "finance"]);
    let mut device = Device::default();
    let token = device.token(&demo, "s07k", PASSWORD);
    device.enroll(&demo, &token, "s07k-laptop");
    let (key, thief) = (Key::new(), Key::new());
    let request = demo.scratch().join("s07k.csr");
    std::fs::write(&request, key.request(&[])).unwrap();
    let chain = sign(&demo, &device.enrolled["device"], &request, &[]).1;
    let answered = |signer: &Key, nonce: Option<&str>, possession: &Key| {
        let challenge = device.challenge(&demo);
        let claims = json!({
            "aud": demo.url("auth", ""),
            "iat": now(),
            "tx": challenge["jti"],
            "nonce": nonce.map_or(challenge["nonce"].clone(), Value::from),
            "cnf": possession.public().thumbprint(),
        });
        let mut answer = device.answer(&demo, &challenge);
        answer["management"] = json!([attest(&chain, signer, &claims)]);
        device.give(&demo, &challenge, &answer).json()["managed"].clone()
    };

    assert_eq!(answered(&thief, None, &device.possession), false, "another key");
    assert_eq!(
        answered(&key, Some("AAAA"), &device.possession),
        false,
        "another challenge's nonce"
    );
    assert_eq!(answered(&key, None, &thief), false, "for another device's key");
    assert_eq!(device.get(&demo, None, "payroll", "/").status, 403);
    assert_eq!(answered(&key, None, &device.possession), true, "control");
    assert_eq!(device.get(&demo, None, "payroll", "/").status, 200, "control");
}

/// S-07, R-11: an MDM's CA has a revocation list: what is on it counts no more as soon as the list is there, and nothing
/// counts once the list is out of date.
#[test]
fn the_revocation_list_of_a_management_ca_is_heeded_and_has_to_be_current() {
    let demo = Demo::start();
    let mdm = Authority::new(demo.scratch(), "mdm");
    mdm.list(None, "600");
    demo.configure(
        "management",
        &format!(
            "  authorities: [{{certificate: {}, crl: {}}}]",
            mdm.file("pem"),
            mdm.file("crl")
        ),
    );
    demo.reload();
    let (agent, device) = enroll(&demo, "crl");
    let (other, device_of_other) = enroll(&demo, "crlb");
    let named = |device: &Value| format!("URI:urn:latchkey:device:{}", device.as_str().unwrap());
    let payroll = |agent: &Agent| agent.get(&demo, "payroll", "/", &[]).status;
    let certificate = mdm.issue(&agent, &named(&device));
    mdm.issue(&other, &named(&device_of_other));
    assert!(report(&agent) && report(&other));
    assert_eq!((payroll(&agent), payroll(&other)), (200, 200));

    mdm.list(Some(&certificate), "600");

    assert!(until(PATIENCE, || payroll(&agent) == 403), "on the list");
    assert!(!report(&agent), "still on the list");
    assert_eq!(payroll(&other), 200, "control: not on the list");

    mdm.list(None, "4");
    assert!(until(PATIENCE, || payroll(&other) == 403), "a list out of date");
    assert!(!report(&other));
    mdm.list(None, "600");
    assert!(until(PATIENCE, || report(&other)), "control: a current list again");
    assert_eq!(payroll(&other), 200);
}

/// a certificate that names nobody is whose the MDM says; who shows it first gains nothing, who claims a serial
/// number neither.
#[test]
fn a_certificate_that_names_nobody_is_whose_the_mdm_says() {
    let demo = Demo::start();
    let mdm = Authority::new(demo.scratch(), "mdm");
    demo.configure(
        "management",
        &format!("  authorities: [{{certificate: {}}}]", mdm.file("pem")),
    );
    demo.reload();
    let (agent, device) = enroll(&demo, "x06");
    let (thief, _) = enroll(&demo, "x06b");
    let certificate = mdm.issue(&agent, "DNS:laptop-17");
    copy(&agent, &thief);

    assert!(!report(&thief), "shown first");
    assert!(!report(&agent), "nobody vouches for it yet");
    let fingerprint = fingerprint(&certificate);
    let ends = rfc3339(now() + 600);
    let body = json!({ "managed": true, "certificate": fingerprint, "ends": ends }).to_string();
    let path = format!("/api/v1/devices/{}/reports/demo-mdm", device.as_str().unwrap());
    let said = demo.admin("PUT", &path, Some(&body));
    assert_eq!(said.status, 200, "{}", said.text());
    assert!(!report(&thief), "it is another's");
    assert!(report(&agent), "control: the one that it vouches for");
    assert_eq!(outcome(&demo, &fingerprint).0, "SUCCESS");
    assert_eq!(thief.get(&demo, "payroll", "/", &[]).status, 403);
    assert_eq!(agent.get(&demo, "payroll", "/", &[]).status, 200);

    let serials = demo.device(&device)["serialNumber"].clone();
    assert!(
        serials.is_null(),
        "no serial number that a device claims identifies it: {serials}"
    );
}

/// A user with a device whose keys are in files; its agent, and its id.
fn enroll(demo: &Demo, user: &str) -> (Agent, Value) {
    demo.user(user, PASSWORD, &["employees", "finance"]);
    let agent = Agent::new();
    let name = format!("{user}-laptop");
    let arguments = ["--name", &name, "--keys", "software", "--no-pin", "--no-attestation"];
    let enrolled = agent.enroll(demo, user, PASSWORD, &arguments);
    assert!(enrolled.success, "{enrolled:?}");
    (agent, demo.device_id(&name).into())
}

/// Whether the gateway calls the device managed after it answered.
fn report(agent: &Agent) -> bool {
    let said = agent.json(&["report"]);
    let managed = said
        .pointer("/accounts/0/managed")
        .or_else(|| said.pointer("/0/managed"));
    managed.and_then(Value::as_bool).unwrap_or_else(|| panic!("{said}"))
}

/// How the last attempt to bind a certificate ended, and why.
fn outcome(demo: &Demo, fingerprint: &str) -> (String, String) {
    let events = demo.events("filter=eventType%20eq%20%22pki.cert.bind%22");
    let about = |event: &&Value| event["target"].to_string().contains(fingerprint);
    let last = events.iter().rfind(about).expect("an event");
    let text = |name: &str| last["outcome"][name].as_str().unwrap_or_default().to_owned();
    (text("result"), text("reason"))
}

/// Has the gateway's own CA issue one for the agent's device; its fingerprint.
fn issue(demo: &Demo, agent: &Agent, device: &Value, more: &[&str]) -> String {
    let folder = made(agent);
    let (key, request) = (Key::new(), folder.join("mdm.csr"));
    private(&folder.join("mdm.key"), &key.pem());
    std::fs::write(&request, key.request(&[])).unwrap();
    let (fingerprint, chain) = sign(demo, device, &request, more);
    std::fs::write(folder.join("mdm.pem"), chain).unwrap();
    fingerprint
}

/// Has the gateway's own CA sign a request: the fingerprint, and the chain.
fn sign(demo: &Demo, device: &Value, request: &Path, more: &[&str]) -> (String, String) {
    let out = request.with_extension("issued");
    let (request, issued) = (request.display().to_string(), out.display().to_string());
    let fixed = [
        "cert",
        "issue-management",
        device.as_str().unwrap(),
        "--csr",
        &request,
        "--out",
        &issued,
    ];
    demo.command(&[&fixed, more].concat());
    (fingerprint(&out), std::fs::read_to_string(&out).unwrap())
}

/// The folder of an agent's management certificates.
fn made(agent: &Agent) -> PathBuf {
    let folder = agent.state().join("management");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a thief would do.
fn copy(from: &Agent, to: &Agent) {
    let (source, target) = (made(from), made(to));
    std::fs::copy(source.join("mdm.pem"), target.join("mdm.pem")).unwrap();
    private(
        &target.join("mdm.key"),
        &std::fs::read_to_string(source.join("mdm.key")).unwrap(),
    );
}

fn private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A management CA of the tests' own, by openssl.
struct Authority {
    folder: PathBuf,
    name: String,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let authority = Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
        };
        authority.run(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem \
             -days 30 -subj '/CN={name}' -addext 'keyUsage=critical,keyCertSign,cRLSign' && : >{name}.index && \
             printf '01\n' >{name}.number && \
             printf '[ca]\ndefault_ca=d\n[d]\ndatabase={name}.index\ncrlnumber={name}.number\ndefault_md=sha256\n' >{name}.conf"
        ));
        authority
    }

    fn file(&self, ending: &str) -> String {
        self.folder
            .join(format!("{}.{ending}", self.name))
            .display()
            .to_string()
    }

    /// Signs one itself that names this, into the agent's folder; the file.
    fn issue(&self, agent: &Agent, name: &str) -> PathBuf {
        let folder = made(agent);
        let (key, request) = (Key::new(), folder.join("mdm.csr"));
        private(&folder.join("mdm.key"), &key.pem());
        std::fs::write(&request, key.request(&[])).unwrap();
        let certificate = folder.join("mdm.pem");
        self.run(&format!(
            "printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\nsubjectAltName={name}\n' >ext && \
             openssl x509 -req -in {} -CA {ca}.pem -CAkey {ca}.key -days 2 -extfile ext -out {}",
            request.display(),
            certificate.display(),
            ca = self.name
        ));
        certificate
    }

    /// Writes a revocation list that is good for so many seconds, with one more certificate on it.
    fn list(&self, revoked: Option<&Path>, seconds: &str) {
        let name = &self.name;
        let with = format!("openssl ca -config {name}.conf -cert {name}.pem -keyfile {name}.key");
        if let Some(revoked) = revoked {
            self.run(&format!("{with} -revoke {}", revoked.display()));
        }
        self.run(&format!(
            "{with} -gencrl -crlsec {seconds} -out {name}.new && mv {name}.new {name}.crl"
        ));
    }

    fn run(&self, script: &str) {
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// What an agent signs with the key of a management certificate.
fn attest(chain: &str, key: &Key, claims: &Value) -> String {
    let leaf: String = chain
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    assert!(STANDARD.decode(&leaf).is_ok());
    let header = json!({ "alg": "ES256", "typ": device_checks::management::TYPE, "x5c": [leaf] });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature: p256::ecdsa::Signature = key.signing().sign_prehash(&Sha256::digest(signed.as_bytes())).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// SHA-256 of the first certificate in a file, in lower case.
fn fingerprint(file: &Path) -> String {
    let pem = std::fs::read_to_string(file).unwrap();
    let body = pem.split("-----").nth(2).unwrap().replace('\n', "");
    Sha256::digest(STANDARD.decode(body).unwrap())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}
