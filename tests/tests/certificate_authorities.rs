//! Whose client certificates may connect, and what does the gateway staple? CAs that follow one another, CAs of others with their
//! revocation lists, and OCSP responses, all as `openssl` makes and sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::{Authority, Material, Purpose, Terms};
use directory::Timestamp;
use latchkey_tests::cli;
use latchkey_tests::curl::curl;
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::openssl::{OpensslOutput, openssl};
use latchkey_tests::process::until;
use latchkey_tests::tls::Identity;
use latchkey_tests::upstream::Upstream;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

/// The CA of the devices is replaced, and no device has to do anything: what the old one signed counts until it ends or is
/// revoked, which the old one's list goes on to say.
#[test]
fn a_device_ca_is_replaced_while_the_certificates_of_the_old_one_count() {
    let upstream = Upstream::friendly();
    let mut demo = Demo::in_front_of(&upstream);
    let old = demo.enroll("alice", "old-laptop");
    let tls = demo.file("tls");
    for kind in ["pem", "key"] {
        fs::rename(
            tls.join(format!("device-ca.{kind}")),
            tls.join(format!("old-ca.{kind}")),
        )
        .unwrap();
    }
    let new = own_authority("Our next CA");
    fs::write(tls.join("device-ca.pem"), &new.certificate_pem).unwrap();
    write_key(&tls.join("device-ca.key"), &new.key_pem);
    demo.configure("tls", "");
    demo.run_as_configured();
    assert_eq!(status_of(&demo, &old), 0, "control: nobody knows the old CA");

    let retired = "  retired_device_certificate_authorities:\n    - {certificate: tls/old-ca.pem, key: tls/old-ca.key}";
    demo.configure("tls", retired);
    demo.reload();

    assert_eq!(status_of(&demo, &old), 200, "{}", demo.process().output());
    let next = demo.enroll("alice", "next-laptop");
    assert_eq!(status_of(&demo, &next), 200);
    let issued_by = |identity: &Identity, ca: &str| {
        openssl(
            [
                Path::new("verify"),
                Path::new("-CAfile"),
                &tls.join(ca),
                &identity.certificate,
            ],
            "",
        )
        .success
    };
    assert!(issued_by(&next, "device-ca.pem") && issued_by(&old, "old-ca.pem"));
    let revoked = demo.command(&["cert", "revoke", &fingerprint_of(&old)]);
    assert!(revoked.success, "{revoked:?}");
    assert_eq!((status_of(&demo, &old), status_of(&demo, &next)), (403, 200));
    for (identity, ca, listed) in [(&old, "old-ca.pem", true), (&next, "device-ca.pem", false)] {
        let list = crl_of(&demo, identity);
        let text = openssl(
            [
                "crl",
                "-in",
                list.to_str().unwrap(),
                "-inform",
                "DER",
                "-noout",
                "-text",
                "-CAfile",
                tls.join(ca).to_str().unwrap(),
            ],
            "",
        );
        assert!(text.text.contains("verify OK"), "{ca}: {}", text.text);
        assert_eq!(text.text.contains(&serial_of(identity)), listed, "{ca}: {}", text.text);
    }
}

#[test]
fn what_another_ca_revoked_does_not_get_past_the_handshake() {
    let demo = Demo::start();
    let ca = ForeignCa::new(demo.scratch());
    let (good, revoked) = (ca.client("good", 2), ca.client("revoked", 3));
    let list = ca.list(&[3], Duration::from_secs(86_400));
    ca.trust_in(&demo, "");
    let statuses = || (status_of(&demo, &good), status_of(&demo, &revoked));
    // It opens nothing: only devices that are enrolled here count.
    assert_eq!(statuses(), (403, 403), "control: without a list");

    fs::write(demo.scratch().join("foreign.crl"), &list).unwrap();
    let with_list = format!(", crl: {}", demo.scratch().join("foreign.crl").display());
    ca.trust_in(&demo, &with_list);

    assert_eq!(statuses(), (403, 0), "{}", demo.process().output());
    fs::write(
        demo.scratch().join("foreign.crl"),
        ca.list(&[2], Duration::from_secs(86_400)),
    )
    .unwrap();
    assert!(
        until(SOON, || statuses() == (0, 403)),
        "a list that is replaced counts by itself"
    );
}

/// A list that was to be replaced says nothing of what was revoked since.
#[test]
fn once_a_list_is_out_of_date_none_of_its_cas_certificates_counts_unless_the_operator_says_so() {
    let demo = Demo::start();
    let ca = ForeignCa::new(demo.scratch());
    let (good, revoked) = (ca.client("good", 2), ca.client("revoked", 3));
    let file = demo.scratch().join("foreign.crl");
    let statuses = || (status_of(&demo, &good), status_of(&demo, &revoked));
    let short = Duration::from_secs(3);
    fs::write(&file, ca.list(&[3], short)).unwrap();
    let with_list = |more: &str| format!(", crl: {}{more}", file.display());

    ca.trust_in(&demo, &with_list(""));
    assert!(
        until(SOON, || statuses() == (0, 0)),
        "it goes out of date while it runs"
    );
    ca.trust_in(&demo, &with_list(", on_stale: accept"));
    assert_eq!(statuses(), (403, 0));
    ca.trust_in(&demo, &with_list(", on_stale: refuse"));
    assert_eq!(statuses(), (0, 0), "{}", demo.process().output());
    assert!(demo.process().output().contains("a revocation list is out of date"));
    fs::write(&file, ca.list(&[3], Duration::from_secs(86_400))).unwrap();
    assert!(until(SOON, || statuses() == (403, 0)), "until there is a newer one");
}

#[test]
fn a_response_of_the_responder_is_stapled_while_it_says_that_all_is_well() {
    let demo = Demo::start();
    let responder = Responder::new(&demo);
    let stapled = || {
        let address = demo.address().to_string();
        let asked = openssl(
            [
                "s_client",
                "-connect",
                &address,
                "-servername",
                &host("auth"),
                "-status",
            ],
            "",
        );
        assert!(asked.text.contains("Verification"), "{}", asked.text);
        asked.text.contains("OCSP Response Status: successful") && asked.text.contains("Cert Status: good")
    };
    responder.serve(&demo, "");
    assert!(!stapled(), "control: nothing is configured");

    responder.answer("V", "server.ocsp", &["-ndays", "1"]);
    responder.serve(&demo, ", ocsp: tls/server.ocsp");
    assert!(stapled(), "{}", demo.process().output());
    assert_eq!(doctor_on_staples(&demo), "ok");

    for (state, says) in [("R", "good"), ("other", "not about the server certificate")] {
        responder.answer(state, "server.ocsp", &["-ndays", "1"]);
        let checked = demo.check_configuration();
        assert!(
            !checked.success && checked.stderr.contains(says),
            "{state}: {checked:?}"
        );
    }
    assert!(stapled(), "the last good one goes on");
    fs::write(demo.file("tls/server.ocsp"), "nonsense").unwrap();
    assert!(demo.check_configuration().stderr.contains("expected an OCSP response"));
    responder.answer("V", "server.ocsp", &[]);
    demo.reload();
    assert!(!stapled(), "it does not say for how long: nothing is stapled");
    assert_eq!(doctor_on_staples(&demo), "warn");
    responder.answer("V", "server.ocsp", &["-ndays", "1"]);
    assert!(until(SOON, stapled), "a newer one counts by itself");
}

/// How `latchkey doctor` finds what is stapled.
fn doctor_on_staples(demo: &Demo) -> String {
    let file = demo.file("latchkey.yaml");
    let output = cli::latchkey(["doctor", "--json", "--config", &file.display().to_string()]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&output.stdout).unwrap();
    let found = findings.iter().find(|finding| finding["check"] == "OCSP response");
    found.expect("it is looked at")["status"].as_str().unwrap().to_owned()
}

/// A CA that is not the gateway's.
struct ForeignCa {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl ForeignCa {
    fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Somebody's CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join("foreign.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate of a client.
    fn client(&self, name: &str, serial: u64) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity::named(&self.folder, name);
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// Its list of these, good for so long from now on.
    fn list(&self, revoked: &[u64], good_for: Duration) -> String {
        let now = std::time::SystemTime::now();
        let list = CertificateRevocationListParams {
            this_update: (now - Duration::from_secs(60)).into(),
            next_update: (now + good_for).into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: (now - Duration::from_secs(60)).into(),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Has the gateway trust it, with these keys beside its certificate, in place of what was said before.
    fn trust_in(&self, demo: &Demo, keys: &str) {
        let file = demo.file("latchkey.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let kept = text
            .lines()
            .filter(|line| !line.contains("client_certificate_authorities"));
        let kept = kept.collect::<Vec<_>>().join("\n");
        fs::write(&file, kept + "\n").unwrap();
        let certificate = self.folder.join("foreign.pem").display().to_string();
        let line = format!("  client_certificate_authorities: [{{certificate: {certificate}{keys}}}]");
        demo.configure("tls", &line);
        demo.reload();
    }
}

/// Who says whether a server certificate is good, and the certificate.
struct Responder {
    folder: PathBuf,
}

impl Responder {
    fn new(demo: &Demo) -> Self {
        let folder = demo.file("tls");
        let created = Authority::create("Our server CA", Purpose::Server, Material::Production, &terms()).unwrap();
        let authority = Authority::load(&created.certificate_pem, &created.key_pem).unwrap();
        fs::write(folder.join("servers.pem"), &created.certificate_pem).unwrap();
        write_key(&folder.join("servers.key"), &created.key_pem);
        let names: Vec<String> = ["auth", "admin", "device", "wiki", "news", "payroll", "vault"]
            .map(host)
            .to_vec();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in ["ours", "other"] {
            let server = authority.issue_server(&names, &terms()).unwrap();
            fs::write(folder.join(format!("{name}.pem")), &server.chain_pem).unwrap();
            write_key(&folder.join(format!("{name}.key")), &server.key_pem);
        }
        Self { folder }
    }

    /// Has the gateway show the certificate.
    fn serve(&self, demo: &Demo, keys: &str) {
        let file = demo.file("latchkey.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let start = text.find("  server_certificates:").expect("there is one");
        let end = start
            + text[start..]
                .find("  device_certificate_authority")
                .expect("and the CA after it");
        let line = format!("  server_certificates: [{{certificate: tls/ours.pem, key: tls/ours.key{keys}}}]\n");
        fs::write(&file, format!("{}{line}{}", &text[..start], &text[end..])).unwrap();
        demo.reload();
    }

    /// Writes a response: that the certificate is valid (`V`) or revoked (`R`), or that another one is valid.
    fn answer(&self, state: &str, file: &str, more: &[&str]) {
        let asked = if state == "other" { "other.pem" } else { "ours.pem" };
        let serial = openssl(["x509", "-noout", "-serial", "-in", self.path(asked).as_str()], "").text;
        let serial = serial.trim().trim_start_matches("serial=").to_owned();
        let (letter, revoked) = if state == "R" {
            ("R", "250101000000Z")
        } else {
            ("V", "")
        };
        let index = format!("{letter}\t350101000000Z\t{revoked}\t{serial}\tunknown\t/CN=server\n");
        fs::write(self.path("index.txt"), index).unwrap();
        let [ca, key, index] = ["servers.pem", "servers.key", "index.txt"].map(|name| self.path(name));
        let (certificate, answer) = (self.path(asked), self.path(file));
        let made = self.run(&[
            "ocsp",
            "-issuer",
            &ca,
            "-cert",
            &certificate,
            "-reqout",
            &self.path("request.ocsp"),
        ]);
        assert!(made.success, "{}", made.text);
        let request = self.path("request.ocsp");
        let arguments = [
            &["ocsp", "-index", &index, "-CA", &ca, "-rsigner", &ca, "-rkey", &key][..],
            &["-reqin", &request, "-respout", &answer],
            more,
        ];
        let made = self.run(&arguments.concat());
        assert!(made.success, "{}", made.text);
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> OpensslOutput {
        openssl(arguments, "")
    }
}

fn own_authority(name: &str) -> certs::CreatedAuthority {
    Authority::create(name, Purpose::Device, Material::Production, &terms()).unwrap()
}

fn terms() -> Terms {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Terms {
        now: Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap()),
        lifetime: Duration::from_secs(86_400),
        random: ring::rand::generate(&ring::rand::SystemRandom::new()).unwrap().expose(),
    }
}

fn status_of(demo: &Demo, identity: &Identity) -> u16 {
    let url = demo.url("wiki", "/");
    let arguments = [
        Path::new(&url),
        Path::new("--cert"),
        &identity.certificate,
        Path::new("--key"),
        &identity.key,
    ];
    curl(&demo.file("ca.pem"), arguments).status
}

/// The serial number of a certificate, as `openssl` writes it.
fn serial_of(identity: &Identity) -> String {
    let printed = openssl(
        [
            Path::new("x509"),
            Path::new("-noout"),
            Path::new("-serial"),
            Path::new("-in"),
            &identity.certificate,
        ],
        "",
    );
    printed.text.trim().trim_start_matches("serial=").to_owned()
}

/// The SHA-256 of a certificate, as the command line takes it.
fn fingerprint_of(identity: &Identity) -> String {
    let arguments = ["x509", "-noout", "-fingerprint", "-sha256", "-in"].map(Path::new);
    let printed = openssl([&arguments[..], &[&identity.certificate]].concat(), "");
    let (_, digits) = printed.text.trim().split_once('=').expect("it prints one");
    digits.replace(':', "").to_lowercase()
}

/// The list that a certificate says it may be on.
fn crl_of(demo: &Demo, identity: &Identity) -> PathBuf {
    let printed = openssl(
        [
            Path::new("x509"),
            Path::new("-noout"),
            Path::new("-text"),
            Path::new("-in"),
            &identity.certificate,
        ],
        "",
    );
    let url = printed
        .text
        .lines()
        .find_map(|line| line.trim().strip_prefix("URI:").filter(|url| url.contains("/crl/")))
        .expect("it says where");
    let answer = demo.curl(NOBODY, url, &[]);
    assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    let file = demo.scratch().join("fetched.crl");
    fs::write(&file, &answer.body).unwrap();
    file
}

fn write_key(file: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, pem).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

const SOON: Duration = Duration::from_secs(15);
