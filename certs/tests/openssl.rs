//! Does another implementation agree? What the CA makes is read, and what it is given is made, by `openssl`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use certs::{Authority, BadCrl, BadRequest, ForeignCrl, Material, Purpose, Terms, VerifiedRequest};
use directory::{
    Certificate, CertificateState, DeviceId, EnrollmentId, HoldCause, Revision, RevocationReason, Timestamp,
};
use tempfile::TempDir;

#[test]
fn a_device_certificate_verifies_as_a_clients_and_says_what_it_should() {
    let place = Place::new();
    let authority = place.authority(Purpose::Device);
    place.run("ecparam -name prime256v1 -genkey -noout -out device.key");
    place.run("req -new -key device.key -subj /CN=alice -out device.csr");
    let device = DeviceId::from_random(7);

    let request = VerifiedRequest::parse_pem(&place.read("device.csr")).unwrap();
    let issued = authority
        .issue_device(&request, device, &terms(2), Some("http://auth.example/crl"))
        .unwrap();
    place.write("device.pem", issued.pem());

    place.run("verify -x509_strict -purpose sslclient -CAfile ca.pem device.pem");
    place.refuse("verify -purpose sslserver -CAfile ca.pem device.pem");
    let text = place.run("x509 -in device.pem -noout -text");
    for expected in [
        "Version: 3 (0x2)",
        &format!("Subject: CN = {device}\n"),
        &format!("URI:urn:latchkey:device:{device}\n"),
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
        "URI:http://auth.example/crl",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
    assert!(!text.contains("alice"));
    let public_key = place.run("x509 -in device.pem -noout -pubkey");
    assert_eq!(public_key, place.run("pkey -in device.key -pubout"));
}

/// D-14, D-15: with the CRL a revoked and a held certificate are refused, a live one is not.
#[test]
fn the_crl_refuses_what_is_revoked_or_on_hold_and_nothing_else() {
    let place = Place::new();
    let authority = place.authority(Purpose::Device);
    let at = now();
    let states = [
        (
            "revoked",
            CertificateState::Revoked {
                at,
                reason: RevocationReason::CessationOfOperation,
            },
        ),
        (
            "held",
            CertificateState::Held {
                at,
                cause: HoldCause::DeviceSuspended,
            },
        ),
        ("live", CertificateState::Live),
    ];
    let records: Vec<_> = states
        .iter()
        .zip(2..)
        .map(|((name, state), n)| place.issue(&authority, name, *state, n))
        .collect();

    let crl = authority.crl(&records, 5, at, at.plus(DAY)).unwrap();
    std::fs::write(place.path("crl.der"), crl).unwrap();
    place.run("crl -inform DER -in crl.der -out crl.pem -CAfile ca.pem");

    let text = place.run("crl -in crl.pem -noout -text");
    for expected in [
        "Version 2",
        "Authority Key Identifier",
        "CRL Number",
        "Cessation Of Operation",
        "Certificate Hold",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
    let verify = "verify -crl_check -CAfile ca.pem -CRLfile crl.pem";
    assert!(
        place
            .refuse(&format!("{verify} revoked.pem"))
            .contains("certificate revoked")
    );
    assert!(
        place
            .refuse(&format!("{verify} held.pem"))
            .contains("certificate revoked")
    );
    place.run(&format!("{verify} live.pem"));
}

#[test]
fn a_server_certificate_verifies_for_its_names() {
    let place = Place::new();
    let authority = place.authority(Purpose::Server);
    let issued = authority
        .issue_server(&["wiki.localhost", "127.0.0.1"], &terms(2))
        .unwrap();
    place.write("server.pem", &issued.chain_pem);
    place.write("server.key", issued.key_pem.as_str());

    let verify = "verify -x509_strict -purpose sslserver -CAfile ca.pem";
    place.run(&format!("{verify} -verify_hostname wiki.localhost server.pem"));
    place.run(&format!("{verify} -verify_ip 127.0.0.1 server.pem"));
    place.refuse(&format!("{verify} -verify_hostname payroll.localhost server.pem"));
    place.refuse("verify -purpose sslclient -CAfile ca.pem server.pem");
    assert_eq!(
        place.run("x509 -in server.pem -noout -pubkey"),
        place.run("pkey -in server.key -pubout")
    );
}

/// cert-dev-serverca: a client certificate from a CA made for servers does not verify.
#[test]
fn a_client_certificate_of_a_server_ca_does_not_verify() {
    let place = Place::new();
    for (purpose, verifies) in [(Purpose::Server, false), (Purpose::Device, true)] {
        let authority = place.authority(purpose);
        place.issue(&authority, "device", CertificateState::Live, 2);
        let verify = "verify -purpose sslclient -CAfile ca.pem device.pem";
        if verifies {
            place.run(verify)
        } else {
            place.refuse(verify)
        };
    }
}

#[test]
fn requests_for_rsa_and_p_384_keys_are_answered_and_weak_or_foreign_ones_are_not() {
    let place = Place::new();
    let request = |options: &str| {
        place.run(&format!(
            "req -new -nodes -keyout new.key -subj /CN=x -out new.csr {options}"
        ));
        VerifiedRequest::parse_pem(&place.read("new.csr")).map(|_| ())
    };
    assert_eq!(request("-newkey rsa:2048"), Ok(()));
    assert_eq!(
        request("-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"),
        Ok(())
    );
    assert_eq!(request("-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384"), Ok(()));
    assert_eq!(request("-newkey rsa:1024"), Err(BadRequest::Key));
    assert_eq!(
        request("-newkey ec -pkeyopt ec_paramgen_curve:P-521"),
        Err(BadRequest::Key)
    );
    assert_eq!(request("-newkey ed25519"), Err(BadRequest::Key));
    assert_eq!(request("-newkey rsa:2048 -sha1"), Err(BadRequest::Algorithm));
}

#[test]
fn a_ca_made_by_openssl_loads_and_signs() {
    for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"] {
        let place = Place::new();
        place.make_ca(key);

        let authority = Authority::load(&place.read("ca.pem"), &place.read("ca.key")).unwrap();
        let revoked = CertificateState::Revoked {
            at: now(),
            reason: RevocationReason::KeyCompromise,
        };
        let record = place.issue(&authority, "device", revoked, 2);
        let crl = authority.crl([&record], 1, now(), now().plus(DAY)).unwrap();
        std::fs::write(place.path("crl.der"), crl).unwrap();

        place.run("verify -x509_strict -purpose sslclient -CAfile ca.pem device.pem");
        place.run("crl -inform DER -in crl.der -out crl.pem -CAfile ca.pem");
        let refused = place.refuse("verify -crl_check -CAfile ca.pem -CRLfile crl.pem device.pem");
        assert!(refused.contains("certificate revoked"), "{refused}");
    }
}

#[test]
fn a_crl_by_openssl_counts_unless_it_is_a_delta_or_says_something_unknown_that_is_critical() {
    let place = Place::new();
    place.make_ca("ec -pkeyopt ec_paramgen_curve:P-256");
    let authority = Authority::load(&place.read("ca.pem"), &place.read("ca.key")).unwrap();
    let record = place.issue(&authority, "device", CertificateState::Live, 2);
    let verify = |extension: &str| {
        place.write("ca.cnf", format!("{CA_CONFIGURATION}\n{extension}\n"));
        place.write("index.txt", "");
        place.write("crlnumber", "01\n");
        place.run("ca -config ca.cnf -revoke device.pem -crl_reason keyCompromise");
        place.run("ca -config ca.cnf -gencrl -out crl.pem");
        ForeignCrl::verify(place.read("crl.pem").as_bytes(), authority.certificate_der(), now())
    };

    assert!(verify("").unwrap().contains(&record.serial));
    assert_eq!(
        verify("2.5.29.27=critical,ASN1:INTEGER:1").unwrap_err(),
        BadCrl::Partial { what: "a delta CRL" }
    );
    assert_eq!(
        verify("1.2.3.4=critical,ASN1:NULL").unwrap_err(),
        BadCrl::Extension { oid: "1.2.3.4".into() }
    );
    assert!(verify("1.2.3.4=ASN1:NULL").is_ok());
}

/// A folder of its own, and `openssl` working in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.0.path()).join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: impl AsRef<str>) {
        std::fs::write(self.path(name), text.as_ref()).unwrap();
    }

    /// Runs `openssl` with these arguments, which must succeed, and returns what it prints.
    fn run(&self, arguments: &str) -> String {
        let (succeeded, output) = self.openssl(arguments);
        assert!(succeeded, "openssl {arguments}: {output}");
        output
    }

    /// Runs `openssl` with these arguments, which must fail, and returns what it prints.
    fn refuse(&self, arguments: &str) -> String {
        let (succeeded, output) = self.openssl(arguments);
        assert!(!succeeded, "openssl {arguments}: {output}");
        output
    }

    fn openssl(&self, arguments: &str) -> (bool, String) {
        let mut arguments: Vec<_> = arguments.split(' ').collect();
        if arguments.first() == Some(&"ca") {
            arguments.push("-batch");
        }
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let prints = if output.status.success() {
            output.stdout
        } else {
            [output.stdout, output.stderr].concat()
        };
        (output.status.success(), String::from_utf8(prints).unwrap())
    }

    /// Makes a CA of ours; its certificate is `ca.pem`.
    fn authority(&self, purpose: Purpose) -> Authority {
        let made = Authority::create("Test CA", purpose, Material::Production, &terms(1)).unwrap();
        self.write("ca.pem", &made.certificate_pem);
        Authority::load(&made.certificate_pem, &made.key_pem).unwrap()
    }

    /// Makes a CA of openssl's: `ca.pem`, `ca.key`.
    fn make_ca(&self, key: &str) {
        let usage = "-addext keyUsage=critical,keyCertSign,cRLSign";
        self.run(&format!(
            "req -x509 -nodes -newkey {key} -keyout ca.key -subj /C=DE/O=Other/CN=CA {usage} -out ca.pem"
        ));
    }

    /// Issues a device certificate into `NAME.pem` and returns its record.
    fn issue(&self, authority: &Authority, name: &str, state: CertificateState, random: u8) -> Certificate {
        self.run(
            "req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout new.key -subj /CN=x -out new.csr",
        );
        let request = VerifiedRequest::parse_pem(&self.read("new.csr")).unwrap();
        let device = DeviceId::from_random(random.into());
        let issued = authority.issue_device(&request, device, &terms(random), None).unwrap();
        self.write(&format!("{name}.pem"), issued.pem());
        Certificate {
            fingerprint: issued.fingerprint,
            serial: issued.serial,
            issuer: authority.fingerprint(),
            enrollment: EnrollmentId::from_random(random.into()),
            device,
            not_before: issued.not_before,
            not_after: issued.not_after,
            state,
            version: Revision(1),
        }
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(since_epoch.as_secs().try_into().unwrap())
}

fn terms(random: u8) -> Terms {
    Terms {
        now: now(),
        lifetime: DAY * 30,
        random: [random; 16],
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const CA_CONFIGURATION: &str = "
[ca]
default_ca = test
[test]
database = index.txt
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_crl_days = 7
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid
";
