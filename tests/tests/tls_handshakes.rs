//! How do handshakes end that go wrong? With the alert that says why, while others are served; and what does a scanner find?

use std::process::Command;

use latchkey_tests::canary;
use latchkey_tests::conformance::{Handshakes, sslyze};
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::tls::DEADLINE;

static DEMO: Shared = Shared::new();

/// cert-badsig: with whatever else in place of the signature, nobody gets in; with the right one the same client does.
#[test]
fn only_the_signature_of_the_certificates_own_key_gets_in() {
    let demo = DEMO.demo();
    all_end(&demo, CONTROLS);
    all_end(&demo, SIGNATURES);
}

#[test]
fn a_client_hello_that_nobody_can_read_ends_in_the_alert_that_says_why() {
    all_end(&DEMO.demo(), HELLOS);
}

#[test]
fn what_is_no_handshake_at_all_ends_at_once() {
    all_end(&DEMO.demo(), OCTETS);
}

#[test]
fn messages_out_of_turn_end_in_an_alert_before_and_after_the_handshake() {
    all_end(&DEMO.demo(), CONTROLS);
    all_end(&DEMO.demo(), TURNS);
}

#[test]
fn with_tls_1_2_let_in_its_old_tricks_end_in_alerts_too() {
    let demo = with_tls_1_2();
    all_end(&demo, OLD);
}

#[test]
fn a_scanner_finds_nothing_below_mozillas_modern_profile_nor_with_tls_1_2_below_the_intermediate_one() {
    for (demo, profile, other) in [
        (Demo::start(), "modern", "old"),
        (with_tls_1_2(), "intermediate", "modern"),
    ] {
        let roots = show_short_lived_certificate(&demo);
        let found = |profile| sslyze(demo.address(), &host("wiki"), &roots, profile);

        let compliant = found(profile);

        assert!(compliant.contains("OK - Compliant."), "{profile}: {compliant}");
        // The scanner tells profiles apart.
        assert!(found(other).contains("FAILED - Not compliant."), "{other}");
    }
}

/// Runs these cases one after the other, while another client is served; each has to end in one of the ways that are listed.
fn all_end(demo: &Demo, cases: &[(&str, &[&str])]) {
    let (alice, bob) = (demo.identity("alice-laptop"), demo.identity("bob-laptop"));
    let mut client = Handshakes::start(demo.address(), &host("wiki"), &alice, &bob);
    let ends: Vec<_> = canary::beside(demo, || cases.iter().map(|(case, _)| client.end_of(case)).collect());
    let told = cases.iter().zip(&ends);
    let wrong: Vec<_> = told
        .filter(|((_, expected), end)| !expected.contains(&end.as_str()))
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}

fn with_tls_1_2() -> Demo {
    let demo = Demo::start();
    demo.configure("tls", "  minimum_version: 1.2");
    demo.reload();
    demo
}

/// The demo's certificate lives longer than the modern profile likes: 90 days. This one does not; the CA that it is of.
fn show_short_lived_certificate(demo: &Demo) -> std::path::PathBuf {
    let script = "
        curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $curve -keyout roots.key -out roots.pem -days 30 -subj '/CN=Roots' \\
            -addext keyUsage=critical,keyCertSign,cRLSign
        openssl req -new $curve -keyout new.key -out new.csr -subj '/CN=wiki.localhost'
        echo 'subjectAltName=DNS:wiki.localhost,DNS:auth.localhost,DNS:admin.localhost,DNS:news.localhost,\
DNS:payroll.localhost,DNS:vault.localhost,DNS:device.localhost
            extendedKeyUsage=serverAuth
            keyUsage=critical,digitalSignature
            basicConstraints=critical,CA:FALSE
            subjectKeyIdentifier=hash
            authorityKeyIdentifier=keyid' >extensions
        openssl x509 -req -in new.csr -CA roots.pem -CAkey roots.key -CAcreateserial -days 20 -extfile extensions -out new.pem";
    let made = Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(demo.scratch())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::copy(demo.scratch().join("new.key"), demo.file("tls/server.key")).unwrap();
    std::fs::copy(demo.scratch().join("new.pem"), demo.file("tls/server.pem")).unwrap();
    let roots = demo.scratch().join("roots.pem");
    let url = demo.url("wiki", "/");
    let shown = || latchkey_tests::curl::curl(&roots, [&url]).status == 401;
    assert!(until(DEADLINE, shown), "{}", demo.process().output());
    roots
}

/// What works: so whatever else ends, does for what is wrong with it.
const CONTROLS: &[(&str, &[&str])] = &[
    ("control", &["answered 200"]),
    ("control-octet-by-octet", &["answered 200"]),
    ("control-records-of-16", &["answered 200"]),
    ("retry-control", &["answered 200"]),
];

/// RFC 8446, sections 4.4.2 and 4.4.3.
const SIGNATURES: &[(&str, &[&str])] = &[
    ("signature-other-key", &["alert decrypt_error"]),
    ("signature-bit-first", &["alert decrypt_error"]),
    ("signature-bit-last", &["alert decrypt_error"]),
    ("signature-empty", &["alert decrypt_error"]),
    ("signature-cut", &["alert decrypt_error"]),
    ("signature-longer", &["alert decrypt_error"]),
    ("signature-raw", &["alert decrypt_error"]),
    ("signature-of-zeros", &["alert decrypt_error"]),
    (
        "signature-scheme-of-another-hash",
        &["alert decrypt_error", "alert illegal_parameter"],
    ),
    (
        "signature-scheme-of-another-key",
        &["alert decrypt_error", "alert illegal_parameter"],
    ),
    ("signature-scheme-sha1", &["alert illegal_parameter"]),
    ("signature-scheme-unknown", &["alert illegal_parameter"]),
    ("signature-message-cut", &["alert decode_error"]),
    ("signature-missing", &["alert unexpected_message"]),
    ("signature-twice", &["alert unexpected_message"]),
    ("signature-before-certificate", &["alert unexpected_message"]),
    ("certificate-missing", &["alert unexpected_message"]),
    (
        "certificate-garbage",
        &["alert bad_certificate", "alert unsupported_certificate"],
    ),
    (
        "certificate-with-context",
        &["alert decode_error", "alert illegal_parameter"],
    ),
    ("certificate-list-too-long", &["alert decode_error"]),
];

/// RFC 8446, section 4.1.2 and those of each extension; rustls says `handshake_failure` for what is missing, where section 9.2
/// asks for `missing_extension`, and for the versions before TLS 1.2, whose hellos have no `signature_algorithms`.
const HELLOS: &[(&str, &[&str])] = &[
    ("hello-records-of-1", &["answered 200"]),
    ("hello-cut-short", &["alert decode_error"]),
    ("hello-with-rest", &["alert decode_error"]),
    ("hello-session-id-33", &["alert decode_error"]),
    ("hello-compression", &["alert illegal_parameter"]),
    (
        "hello-no-compression",
        &["alert decode_error", "alert illegal_parameter"],
    ),
    ("hello-no-shared-cipher", &["alert handshake_failure"]),
    ("hello-no-ciphers", &["alert decode_error"]),
    (
        "hello-extension-twice",
        &["alert decode_error", "alert illegal_parameter"],
    ),
    (
        "hello-no-extensions",
        &["alert handshake_failure", "alert protocol_version"],
    ),
    ("hello-versions-unknown", &["alert protocol_version"]),
    ("hello-versions-empty", &["alert decode_error"]),
    ("hello-tls12-only", &["alert protocol_version"]),
    ("hello-groups-empty", &["alert decode_error"]),
    ("hello-groups-unknown", &["alert handshake_failure"]),
    (
        "hello-groups-missing",
        &["alert handshake_failure", "alert missing_extension"],
    ),
    ("hello-groups-odd", &["alert decode_error"]),
    (
        "hello-share-missing",
        &["alert handshake_failure", "alert missing_extension"],
    ),
    ("hello-share-of-zeros", &["alert illegal_parameter"]),
    ("hello-share-off-curve", &["alert illegal_parameter"]),
    ("hello-share-compressed", &["alert illegal_parameter"]),
    ("hello-share-twice", &["alert illegal_parameter"]),
    ("hello-share-empty", &["alert decode_error", "alert illegal_parameter"]),
    ("hello-share-short", &["alert illegal_parameter"]),
    ("hello-share-not-offered", &["alert illegal_parameter"]),
    (
        "hello-signatures-missing",
        &["alert handshake_failure", "alert missing_extension"],
    ),
    ("hello-signatures-empty", &["alert decode_error"]),
    ("hello-signatures-unknown", &["alert handshake_failure"]),
    ("hello-psk-not-last", &["alert decode_error", "alert illegal_parameter"]),
    ("hello-early-data", &["answered 200"]),
    ("hello-early-data-with-body", &["alert decode_error"]),
    ("hello-alpn-empty", &["alert decode_error"]),
    ("hello-alpn-empty-name", &["alert decode_error"]),
    ("hello-alpn-unknown", &["alert no_application_protocol"]),
    ("hello-sni-address", &["answered 200"]),
    ("hello-sni-dot-at-end", &["answered 200"]),
    ("hello-sni-empty", &["alert decode_error"]),
    ("hello-sni-empty-name", &["alert decode_error"]),
    (
        "hello-sni-two-names",
        &["alert decode_error", "alert illegal_parameter"],
    ),
    ("hello-sni-nul", &["alert illegal_parameter", "alert decode_error"]),
    (
        "hello-sni-not-ascii",
        &["alert illegal_parameter", "alert decode_error"],
    ),
    ("hello-sni-said-longer", &["alert decode_error"]),
    (
        "retry-without-share",
        &[
            "alert handshake_failure",
            "alert illegal_parameter",
            "alert missing_extension",
        ],
    ),
    ("retry-with-another-share", &["alert illegal_parameter"]),
    ("retry-with-early-data", &["alert illegal_parameter"]),
    (
        "retry-with-no-shared-cipher",
        &["alert handshake_failure", "alert illegal_parameter"],
    ),
    ("version-tls11", &["alert protocol_version", "alert handshake_failure"]),
    ("version-tls10", &["alert protocol_version", "alert handshake_failure"]),
    ("version-sslv3", &["alert protocol_version", "alert handshake_failure"]),
];

/// Before a ClientHello rustls has no alert for messages out of turn; to close is what RFC 8446, section 6.2, asks for at least.
const OCTETS: &[(&str, &[&str])] = &[
    (
        "record-of-nothing-known",
        &["alert decode_error", "alert unexpected_message"],
    ),
    (
        "record-of-another-protocol",
        &["alert decode_error", "alert unexpected_message"],
    ),
    (
        "record-empty-alert",
        &["alert decode_error", "alert unexpected_message"],
    ),
    (
        "record-empty-handshake",
        &["alert decode_error", "alert unexpected_message"],
    ),
    (
        "record-heartbeat-first",
        &["alert decode_error", "alert unexpected_message"],
    ),
    ("record-ccs-of-2", &["alert decode_error", "alert unexpected_message"]),
    ("sslv2-hello", &["alert decode_error", "alert unexpected_message"]),
    ("record-version-9", &["alert decode_error", "alert protocol_version"]),
    ("record-too-long", &["alert record_overflow", "alert decode_error"]),
    ("record-said-too-long", &["alert record_overflow", "alert decode_error"]),
    ("record-data-first", &["alert unexpected_message", "closed"]),
    ("record-data-empty-first", &["alert unexpected_message", "closed"]),
    ("record-ccs-first", &["alert unexpected_message", "closed"]),
    ("record-ccs-many", &["alert unexpected_message", "closed"]),
    ("record-warnings-many", &["alert unexpected_message", "closed"]),
    ("message-unknown", &["alert unexpected_message", "closed"]),
    ("message-finished-first", &["alert unexpected_message", "closed"]),
    ("message-server-hello", &["alert unexpected_message", "closed"]),
    ("message-too-long", &["alert decode_error", "closed"]),
];

/// RFC 8446, sections 4, 4.4.4, 4.6 and 5.
const TURNS: &[(&str, &[&str])] = &[
    ("finished-wrong", &["alert decrypt_error"]),
    ("finished-short", &["alert decrypt_error", "alert decode_error"]),
    ("finished-long", &["alert decrypt_error", "alert decode_error"]),
    ("finished-empty", &["alert decrypt_error", "alert decode_error"]),
    ("data-before-finished", &["alert unexpected_message"]),
    ("key-update-before-finished", &["alert unexpected_message"]),
    (
        "hello-before-finished",
        &["alert decode_error", "alert unexpected_message"],
    ),
    ("unknown-before-finished", &["alert unexpected_message"]),
    ("after-renegotiation", &["alert unexpected_message"]),
    ("after-finished", &["alert unexpected_message"]),
    ("after-certificate", &["alert unexpected_message"]),
    ("after-unknown", &["alert unexpected_message"]),
    ("after-ccs", &["alert unexpected_message"]),
    ("after-heartbeat", &["alert unexpected_message", "alert decode_error"]),
    (
        "after-key-update-of-2",
        &["alert illegal_parameter", "alert decode_error"],
    ),
    ("after-key-update-cut", &["alert decode_error"]),
    ("after-garbled", &["alert bad_record_mac"]),
    (
        "after-plain-data",
        &["alert bad_record_mac", "alert unexpected_message"],
    ),
    (
        "after-plain-alert",
        &["alert bad_record_mac", "alert unexpected_message"],
    ),
    (
        "after-half-a-message-then-data",
        &["alert unexpected_message", "closed"],
    ),
    ("after-many-empty-records", &["alert unexpected_message", "closed"]),
];

/// RFC 5246, sections 7.2.2 and 7.4; ChangeCipherSpec too early is CVE-2014-0224.
const OLD: &[(&str, &[&str])] = &[
    ("old-control", &["answered 200"]),
    ("old-early-ccs", &["alert unexpected_message"]),
    (
        "old-without-ccs",
        &[
            "alert unexpected_message",
            "alert decode_error",
            "alert bad_record_mac",
            "closed",
        ],
    ),
    ("old-finished-wrong", &["alert decrypt_error"]),
    ("old-signature-bit", &["alert decrypt_error"]),
    ("old-signature-missing", &["alert unexpected_message"]),
    ("old-no-shared-cipher", &["alert handshake_failure"]),
    ("old-rsa-key-exchange", &["alert handshake_failure"]),
    ("old-no-extended-master-secret", &["answered 200"]),
];
