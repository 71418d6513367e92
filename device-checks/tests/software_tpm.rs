//! Does a TPM open the credentials that we make? A TPM in software, of other people's making: swtpm and tpm2-tools.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what the TPM said"
)]

use std::path::Path;
use std::process::Command;

use device_checks::attestation::tpm::{WrongSecret, examine};
use device_checks::attestation::{RootClass, Roots, TpmDevice};
use device_checks::wire::{Credential, Octets};
use directory::Timestamp;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SubjectPublicKeyInfo};
use tempfile::TempDir;

/// E-11: credential activation with the RSA endorsement key that a TPM comes with, and the chain that vouches for it.
#[test]
fn a_tpm_opens_a_credential_for_its_own_keys_and_no_other() {
    let tpm = Tpm::start();
    tpm.run("tpm2_nvread", &["0x01c00002", "-o", "ek.crt"]);
    tpm.run(
        "openssl",
        &["x509", "-in", "ca/issuer.pem", "-outform", "DER", "-out", "issuer.crt"],
    );
    let root = [
        "x509",
        "-in",
        "ca/swtpm-localca-rootca-cert.pem",
        "-outform",
        "DER",
        "-out",
        "root.crt",
    ];
    tpm.run("openssl", &root);
    tpm.make_keys("rsa");
    let chain = vec![tpm.read("ek.crt"), tpm.read("issuer.crt")];
    let secret = rand::random();

    let evidence = examine(&tpm.evidence(chain)).unwrap();
    let (credential, pending) = evidence.challenge(secret, &mut rand::rng()).unwrap();

    assert_eq!(
        tpm.open(&credential, "foreign"),
        None,
        "for another attestation key of the same TPM"
    );
    let answer = tpm.open(&credential, "own").unwrap();
    assert_eq!(answer, secret);
    assert_eq!(pending.activate(&answer).unwrap().hardware(), evidence.hardware());
    let (_, pending) = evidence.challenge(secret, &mut rand::rng()).unwrap();
    assert_eq!(pending.activate(&[0; 32]), Err(WrongSecret));
    let roots = Roots::new([(tpm.read("root.crt"), RootClass::Test)], []).unwrap();
    let vouched = roots.vouch(evidence.chain(), IN_2030).unwrap();
    assert_eq!(vouched.class(), RootClass::Test);
}

/// E-11: the same with an endorsement key on P-256.
#[test]
fn a_tpm_opens_a_credential_for_an_endorsement_key_on_p_256() {
    let tpm = Tpm::start();
    tpm.make_keys("ecc");
    tpm.run("tpm2_readpublic", &["-c", "ek.ctx", "-f", "der", "-o", "ek.der"]);
    tpm.flush();
    let chain = vec![certificate(&tpm.read("ek.der"))];
    let secret = rand::random();

    let evidence = examine(&tpm.evidence(chain)).unwrap();
    let (credential, pending) = evidence.challenge(secret, &mut rand::rng()).unwrap();

    assert_eq!(
        tpm.open(&credential, "foreign"),
        None,
        "for another attestation key of the same TPM"
    );
    assert!(pending.activate(&tpm.open(&credential, "own").unwrap()).is_ok());
}

/// A TPM of its own for each test, in a folder that goes away with it.
struct Tpm(TempDir);

impl Tpm {
    fn start() -> Self {
        let tpm = Self(tempfile::tempdir().unwrap());
        for folder in ["state", "ca"] {
            std::fs::create_dir(tpm.0.path().join(folder)).unwrap();
        }
        let at = |name: &str| tpm.0.path().join(name).display().to_string();
        let [ca, conf, options, setup] = [at("ca"), at("ca.conf"), at("ca.options"), at("setup.conf")];
        let lines = format!(
            "statedir = {ca}\nsigningkey = {ca}/key.pem\nissuercert = {ca}/issuer.pem\ncertserial = {ca}/serial\n"
        );
        std::fs::write(&conf, lines).unwrap();
        let platform = "--platform-manufacturer Latchkey\n--platform-version 1.0\n--platform-model Test\n";
        std::fs::write(&options, platform).unwrap();
        let tool = "create_certs_tool=/usr/bin/swtpm_localca\n";
        let tool = format!("{tool}create_certs_tool_config={conf}\ncreate_certs_tool_options={options}\n");
        std::fs::write(&setup, tool + "active_pcr_banks = sha256\n").unwrap();
        let [state, socket] = [at("state"), at("tpm")];
        let make = [
            "--tpm2",
            "--tpmstate",
            &state,
            "--config",
            &setup,
            "--create-ek-cert",
            "--lock-nvram",
        ];
        tpm.run("swtpm_setup", &make);
        let (server, control) = (
            format!("type=unixio,path={socket}"),
            format!("type=unixio,path={socket}.ctrl"),
        );
        let state = format!("dir={state}");
        let mut start = vec!["socket", "--tpm2", "--daemon", "--flags", "not-need-init,startup-clear"];
        start.extend(["--tpmstate", &state, "--server", &server, "--ctrl", &control]);
        tpm.run("swtpm", &start);
        tpm
    }

    /// The endorsement key `ek`, and the attestation keys `own` and `foreign` under it.
    fn make_keys(&self, kind: &str) {
        self.run("tpm2_createek", &["-c", "ek.ctx", "-G", kind, "-u", "ek.pub"]);
        self.flush();
        for name in ["own", "foreign"] {
            let (context, public) = (format!("{name}.ctx"), format!("{name}.pub"));
            let scheme = ["-G", "ecc", "-s", "ecdsa", "-g", "sha256"];
            let files = ["-C", "ek.ctx", "-c", &context, "-u", &public];
            self.run("tpm2_createak", &[&files[..], &scheme].concat());
            self.flush();
        }
    }

    fn evidence(&self, chain: Vec<Vec<u8>>) -> TpmDevice {
        // A TPMT_PUBLIC is a TPM2B_PUBLIC without its length.
        let public = |name| Octets(self.read(name).split_off(2));
        TpmDevice {
            ver: "2.0".to_owned(),
            x5c: chain.into_iter().map(Octets).collect(),
            ek: public("ek.pub"),
            ak: public("own.pub"),
        }
    }

    /// What the TPM finds in a credential for this attestation key, or nothing where it refuses.
    fn open(&self, credential: &Credential, attestation: &str) -> Option<Vec<u8>> {
        let sized = |octets: &Octets| [&u16::try_from(octets.0.len()).unwrap().to_be_bytes(), &octets.0[..]].concat();
        // How tpm2-tools keep credentials: a magic number and a version, then both parts.
        let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1].to_vec();
        let file = [head, sized(&credential.blob), sized(&credential.secret)].concat();
        std::fs::write(self.0.path().join("credential"), file).unwrap();
        self.run("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
        self.run("tpm2_policysecret", &["-S", "session", "-c", "e"]);
        let context = format!("{attestation}.ctx");
        let keys = ["-c", &context, "-C", "ek.ctx", "-P", "session:session"];
        let opened = self.attempt(
            "tpm2_activatecredential",
            &[&keys[..], &["-i", "credential", "-o", "opened"]].concat(),
        );
        self.run("tpm2_flushcontext", &["session"]);
        self.flush();
        opened.then(|| self.read("opened"))
    }

    /// A software TPM has three places for keys and no resource manager.
    fn flush(&self) {
        self.run("tpm2_flushcontext", &["-t"]);
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.attempt(program, arguments), "{program} {arguments:?} failed");
    }

    fn attempt(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("TPM2TOOLS_TCTI", tcti(self.0.path()));
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install swtpm-tools and tpm2-tools"));
        eprintln!("{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let control = self.0.path().join("tpm.ctrl").display().to_string();
        self.attempt("swtpm_ioctl", &["--unix", &control, "-s"]);
    }
}

fn tcti(folder: &Path) -> String {
    format!("swtpm:path={}", folder.join("tpm").display())
}

/// A certificate for an endorsement key; nobody vouches for it.
fn certificate(subject_public_key_info: &[u8]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    let key = SubjectPublicKeyInfo::from_der(subject_public_key_info).unwrap();
    let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    params.signed_by(&key, &issuer).unwrap().der().to_vec()
}

const IN_2030: Timestamp = Timestamp::from_secs(1_893_456_000);
