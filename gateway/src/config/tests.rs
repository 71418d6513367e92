use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::raw::RawConfig;
use super::*;

/// A line marked `#!` is refused with the message after the mark; the `#=` lines that follow it are the same line done right.
#[test]
fn every_bad_line_is_refused_with_its_message_and_the_corrected_file_is_taken() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/bad")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10);

    for file in files {
        let bad = fs::read_to_string(&file).unwrap();
        let place = Place::with(&bad);
        let expected: Vec<_> = bad
            .lines()
            .enumerate()
            .flat_map(|(index, line)| marked(index + 1, line))
            .collect();
        assert!(!expected.is_empty(), "{}: no line is marked", file.display());
        assert_eq!(place.problems(), expected, "{}", file.display());

        let control = Place::with(&corrected(&bad));
        assert_eq!(
            control.problems(),
            Vec::<String>::new(),
            "{}: corrected",
            file.display()
        );
    }
}

#[test]
fn the_example_is_taken_and_its_defaults_are_the_defaults() {
    let example = Place::with(EXAMPLE).load();
    let minimal = Place::with(MINIMAL).load();

    assert_eq!(example.listen, minimal.listen);
    assert_eq!(example.metrics_listen, minimal.metrics_listen);
    assert_eq!(example.decision_log.file_name(), minimal.decision_log.file_name());
    assert_eq!(example.log, minimal.log);
    assert_eq!(example.tls.minimum_version, minimal.tls.minimum_version);
    assert_eq!(example.tls.handshake_timeout, minimal.tls.handshake_timeout);
    assert_eq!(example.tls.max_handshakes, minimal.tls.max_handshakes);
    assert_eq!(
        example.tls.max_handshakes_per_source,
        minimal.tls.max_handshakes_per_source
    );
    assert_eq!(example.limits, minimal.limits);
    assert_eq!(example.language, minimal.language);
    assert_eq!(example.enrollment, minimal.enrollment);
    assert_eq!(example.assertion_lifetime, minimal.assertion_lifetime);
    assert_eq!(example.shutdown_grace, minimal.shutdown_grace);
    let (shown, default) = (&example.applications()[0], &minimal.applications()[0]);
    assert_eq!(shown.path_prefixes, default.path_prefixes);
    assert_eq!(shown.client_certificate, default.client_certificate);
    assert_eq!(shown.treatment("/"), default.treatment("/"));
    assert_eq!(shown.sensitivity, default.sensitivity);
    assert_eq!(shown.paths, default.paths);
    assert_eq!(shown.upstream.connect_timeout, default.upstream.connect_timeout);
    assert_eq!(shown.upstream.read_timeout, default.upstream.read_timeout);
    assert_eq!(shown.upstream.write_timeout, default.upstream.write_timeout);
}

#[test]
fn the_example_shows_every_key_there_is() {
    let keys_of = |place: &str| {
        let text = EXAMPLE.replacen(
            place,
            &format!("{place}\n{}no_such_key: 1", indentation_below(place)),
            1,
        );
        let problems = Place::with(&text).problems().join("\n");
        problems
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let places = [
        "",
        "\nlog:",
        "\nhosts:",
        "\ntls:",
        "\nlimits:",
        "\n  http2:",
        "\nenrollment:",
        "\nattestation:",
        "\nmanagement:",
        "\nidentity:",
        "\nmdm:",
        "\nmail:",
        "\npages:",
        "\nbranding:",
        "\nproxies:",
        "\nforward_auth:",
        "    - name: edge",
        "\ntelemetry:",
        "  otlp:",
        "  - name: office",
        "    upstream:",
        "      health_check:",
        "      circuit_breaker:",
        "  - name: wiki",
        "      - path: /old/",
        "    request_headers:",
        "    - certificate: tls/other-ca.pem",
        "    - certificate: tls/server.pem",
        "    - certificate: tls/old-device-ca.pem",
        "    - certificate: tls/tpm-maker.pem",
        "    - certificate: tls/mdm-ca.pem",
    ];

    for place in places {
        let keys = keys_of(place);
        assert!(!keys.is_empty(), "{place}: no keys are named");
        for key in keys {
            let shown = |line: &str| line.trim_start_matches([' ', '-', '#']).starts_with(&format!("{key}:"));
            assert!(EXAMPLE.lines().any(shown), "{key} of {place} is not in the example");
        }
    }
}

/// X-21: a wildcard that covers the auth or admin host is refused; one that does not is taken.
#[test]
fn no_wildcard_covers_the_auth_or_admin_host() {
    let problems = |host: &str| Place::with(&MINIMAL.replace("[one.localhost]", host)).problems();

    let message = |role: &str| {
        format!(
            "10: applications[0].hosts[0]: expected no host that covers the {role} host `{role}.localhost`, found `*.localhost`"
        )
    };
    assert_eq!(problems("['*.localhost']"), [message("admin"), message("auth")]);
    assert_eq!(problems("['*.apps.localhost']"), Vec::<String>::new());
}

/// X-18: the demo listens on loopback only; a configuration that is no demo may listen elsewhere.
#[test]
fn the_demo_listens_on_loopback_only() {
    let listening =
        |listen: &str, demo: bool| Place::with(&format!("listen: '{listen}'\ndemo: {demo}\n{MINIMAL}")).problems();

    assert_eq!(listening("0.0.0.0:8443", true).len(), 1);
    assert_eq!(listening("192.0.2.1:8443", true).len(), 1);
    assert_eq!(listening("[::]:8443", true).len(), 1);
    assert_eq!(listening("0.0.0.0:8443", false), Vec::<String>::new());
    assert_eq!(listening("127.0.0.1:8443", true), Vec::<String>::new());
}

#[test]
fn a_file_that_is_missing_is_named_with_the_cause() {
    let error = load(Path::new("/nonexistent/latchkey.yaml")).unwrap_err();

    assert_eq!(
        error.to_string(),
        "/nonexistent/latchkey.yaml: cannot read the configuration file"
    );
    assert!(std::error::Error::source(&error).is_some());
    assert!(load(&Place::with(MINIMAL).file()).is_ok());
}

#[test]
fn all_problems_are_shown_with_file_line_and_key() {
    let place = Place::with(
        &MINIMAL
            .replace("127.0.0.1:1", "")
            .replace("hosts: [one.localhost]", "hosts: []"),
    );

    let shown = load(&place.file()).unwrap_err().to_string();

    let file = place.file().display().to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        format!("{file}:10: applications[0].hosts: expected one item at least, found an empty list")
    );
    assert!(lines[1].starts_with(&format!(
        "{file}:11: applications[0].upstream.url: expected http://host:port"
    )));
}

#[test]
fn the_longest_prefix_wins_and_the_exact_host_comes_before_a_wildcard() {
    let config = with_applications(&[
        ("site", "[site.example.com]", "path_prefixes: [/]"),
        ("api", "[site.example.com]", "path_prefixes: [/api/]"),
        ("api-admin", "[site.example.com]", "path_prefixes: [/api/admin]"),
        ("partial", "[partial.example.com]", "path_prefixes: [/only]"),
        ("tenants", "['*.example.com']", "path_prefixes: [/]"),
    ]);
    let name = |host: &str, path: &str| application_for(&config, host, path).map(|found| found.name.as_str());

    assert_eq!(name("site.example.com", "/"), Some("site"));
    assert_eq!(name("site.example.com", "/api"), Some("api"));
    assert_eq!(name("site.example.com", "/api/x"), Some("api"));
    assert_eq!(name("site.example.com", "/apix"), Some("site"));
    assert_eq!(name("site.example.com", "/API/x"), Some("site"));
    assert_eq!(name("site.example.com", "/api/admin/x"), Some("api-admin"));
    assert_eq!(name("partial.example.com", "/only/x"), Some("partial"));
    assert_eq!(name("partial.example.com", "/else"), None);
    assert_eq!(name("tenant.example.com", "/"), Some("tenants"));
    assert_eq!(name("a.tenant.example.com", "/"), None);
    assert_eq!(name("example.com", "/"), None);
    assert_eq!(name(".example.com", "/"), None);
    assert_eq!(name("auth.localhost", "/"), None);
    assert!(matches!(config.host("auth.localhost"), Some(Host::Auth)));
    assert!(matches!(config.host("admin.localhost"), Some(Host::Admin)));
    assert!(config.host("other.localhost").is_none());
}

#[test]
fn paths_are_matched_without_case_only_where_the_application_says_so() {
    let rules = "path_prefixes: [/Files], public_paths: [/Files/Public/]";
    let folding = with_applications(&[(
        "files",
        "[files.localhost]",
        &format!("{rules}, case_insensitive_paths: true"),
    )]);
    let exact = with_applications(&[("files", "[files.localhost]", rules)]);

    let found = application_for(&folding, "files.localhost", "/FILES/public/x").unwrap();
    assert!(found.is_public("/FILES/public/x"));
    assert!(!found.is_public("/FILES/private"));
    assert!(application_for(&exact, "files.localhost", "/FILES/public/x").is_none());
    assert!(
        application_for(&exact, "files.localhost", "/Files/Public/x")
            .unwrap()
            .is_public("/Files/Public/x")
    );
}

#[test]
fn applications_that_share_a_host_share_its_highest_sensitivity() {
    let config = with_applications(&[
        ("a", "[a.localhost]", "path_prefixes: [/a], sensitivity: 0"),
        ("b", "[a.localhost, b.localhost]", "path_prefixes: [/b], sensitivity: 1"),
        ("c", "[b.localhost]", "path_prefixes: [/c], sensitivity: 3"),
        ("alone", "[c.localhost]", "sensitivity: 2"),
    ]);

    let sensitivities: Vec<_> = config
        .applications()
        .iter()
        .map(|found| (found.name.as_str(), found.sensitivity))
        .collect();

    assert_eq!(sensitivities, [("a", 3), ("b", 3), ("c", 3), ("alone", 2)]);
    let routed = application_for(&config, "a.localhost", "/a").unwrap();
    assert!(Arc::ptr_eq(routed, &config.applications()[0]));
}

#[test]
fn an_address_is_in_every_zone_whose_networks_have_it() {
    let zones =
        "zones: [{name: office, networks: [192.0.2.0/24, '2001:db8::/32']}, {name: desk, networks: [192.0.2.7/32]}]";
    let config = Place::with(&format!("{MINIMAL}{zones}\n")).load();
    let zones = |address: &str| config.zones_of(address.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();

    assert_eq!(zones("192.0.2.7"), ["office", "desk"]);
    assert_eq!(zones("::ffff:192.0.2.8"), ["office"]);
    assert_eq!(zones("2001:db8::1"), ["office"]);
    assert!(zones("198.51.100.1").is_empty());
}

#[test]
fn texts_become_types() {
    let rules = "body_limit: 2KiB, client_certificate: off, encoded_slashes: pass, allowed_origins: ['https://x.example:444'], \
                 request_headers: {set: {X-A: 'b c'}, remove: [X-B]}, tags: {a: 1}";
    let config = with_applications(&[
        ("a", "[a.localhost]", rules),
        ("b", "[b.localhost]", "body_limit: none"),
    ]);

    let application = &config.applications()[0];
    assert_eq!(application.treatment("/").body_limit, Some(2048));
    assert_eq!(application.client_certificate, ClientCertificate::Off);
    let paths = PathOptions {
        encoded_slashes: Spelling::Pass,
        path_parameters: Spelling::Refuse,
        case_insensitive: false,
    };
    assert_eq!(application.paths, paths);
    assert_eq!(application.allowed_origins, ["https://x.example:444"]);
    assert_eq!(application.request_headers.set[0].0, "x-a");
    assert_eq!(application.request_headers.set[0].1, "b c");
    assert_eq!(application.request_headers.remove[0], "x-b");
    assert_eq!(application.tags["a"], "1");
    assert_eq!(config.applications()[1].treatment("/").body_limit, None);
    assert_eq!(config.enrollment.token_lifetime, Duration::from_mins(15));
    assert_eq!(config.enrollment.certificate_lifetime, Duration::from_hours(720));
}

#[test]
fn an_upstream_has_a_verified_name_exactly_if_it_is_https() {
    let upstream = |keys: &str| {
        Place::with(&MINIMAL.replace("url: http://127.0.0.1:1", keys))
            .load()
            .applications()[0]
            .upstream
            .clone()
    };

    let plain = upstream("url: 'http://[::1]:8080/'");
    let named = upstream("url: https://app.example.com");
    let addressed = upstream("url: 'https://10.0.0.1:8443', server_name: app.example.com, ca: tls/server.pem");

    assert_eq!(
        (plain.servers[0].to_string(), plain.tls),
        ("[::1]:8080".to_owned(), None)
    );
    assert_eq!(plain.servers[0].server_name, None);
    assert_eq!(named.servers[0].to_string(), "app.example.com:443");
    assert_eq!(
        named.servers[0].server_name.as_ref().unwrap().as_str(),
        "app.example.com"
    );
    assert_eq!(named.tls.unwrap().ca, None);
    assert_eq!(
        addressed.servers[0].server_name.as_ref().unwrap().as_str(),
        "app.example.com"
    );
    assert!(addressed.tls.unwrap().ca.unwrap().ends_with("tls/server.pem"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = RawConfig::parse(Path::new("x"), bytes);
    }

    /// Bytes that look like YAML come further than random ones: the whole check runs on some of them.
    #[test]
    fn no_changed_configuration_makes_the_check_panic(
        at in 0..MINIMAL.len(), cut in 0..20_usize, put in r#"[-:{}\[\]&*!|>'"%@#,? \na-z0-9é]{0,6}"#,
    ) {
        let mut text = MINIMAL.to_owned();
        text.replace_range(at..(at + cut).min(MINIMAL.len()), &put);
        if let Ok((raw, source)) = RawConfig::parse(Path::new("x"), text.into_bytes()) {
            let _ = raw.check(&source);
        }
    }
}

#[test]
fn deep_nesting_and_aliases_that_multiply_are_refused_quickly() {
    let deep = "[".repeat(10_000);
    let mut aliases = "a0: &a0 x\n".to_owned();
    for level in 1..30 {
        aliases.push_str(&format!(
            "a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}]\n",
            level - 1
        ));
    }

    assert!(RawConfig::parse(Path::new("x"), deep.into_bytes()).is_err());
    assert!(RawConfig::parse(Path::new("x"), aliases.into_bytes()).is_err());
}

/// A directory with a configuration file and the files that it may name.
struct Place(TempDir);

impl Place {
    fn with(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["policies", "tls", "data"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in [
            "server.pem",
            "server.ocsp",
            "old-device-ca.pem",
            "old-device-ca.key",
            "server.key",
            "device-ca.pem",
            "device-ca.key",
            "other-ca.pem",
            "other-ca.crl",
            "proxies-ca.crl",
            "internal-ca.pem",
            "tpm-maker.pem",
            "key-maker.pem",
            "management-ca.pem",
            "management-ca.key",
            "mdm-ca.pem",
            "mdm-ca.crl",
            "mail-ca.pem",
            "proxies-ca.pem",
            "otlp-headers",
            "mail-password",
        ] {
            fs::write(at("tls").join(name), "").unwrap();
        }
        fs::write(at("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
        fs::write(at("large.svg"), format!("<svg>{}</svg>", " ".repeat(256 * 1024))).unwrap();
        fs::write(at("page.html"), "<html></html>").unwrap();
        fs::write(at("latchkey.yaml"), text).unwrap();
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("latchkey.yaml")
    }

    fn load(&self) -> Config {
        load(&self.file()).unwrap()
    }

    /// Every problem as `LINE: KEY: MESSAGE`, with the directory's own name taken out.
    fn problems(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        match load(&self.file()) {
            Ok(_) => Vec::new(),
            Err(ConfigErrors::Refused { problems, .. }) => problems
                .iter()
                .map(|problem| format!("{}: {problem}", problem.line).replace(&directory, ""))
                .collect(),
            Err(other) => panic!("{other}"),
        }
    }
}

fn with_applications(applications: &[(&str, &str, &str)]) -> Config {
    let (head, _) = MINIMAL.split_once("applications:").unwrap();
    let mut text = format!("{head}applications:\n");
    for (name, hosts, rest) in applications {
        let rest = if rest.is_empty() {
            String::new()
        } else {
            format!(", {rest}")
        };
        text.push_str(&format!(
            "  - {{name: {name}, hosts: {hosts}, upstream: {{url: 'http://127.0.0.1:1'}}{rest}}}\n"
        ));
    }
    Place::with(&text).load()
}

/// The messages of a marked line, as they are expected.
fn marked(number: usize, line: &str) -> impl Iterator<Item = String> {
    line.split(" #! ")
        .skip(1)
        .map(move |message| format!("{number}: {message}"))
}

/// The file with the lines done right in place of the marked ones.
fn corrected(bad: &str) -> String {
    let kept = bad.lines().filter(|line| !line.contains(" #! "));
    kept.map(|line| line.strip_prefix("#=").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn indentation_below(place: &str) -> String {
    let line = place.trim_start_matches('\n');
    let indentation = line.len() - line.trim_start_matches([' ', '-']).len();
    " ".repeat(if line.ends_with(':') {
        indentation + 2
    } else {
        indentation
    })
}

const EXAMPLE: &str = include_str!("example.yaml");

/// Only what a configuration must have, and one application.
const MINIMAL: &str = "\
data_dir: data
policies: policies
hosts: {auth: auth.localhost, admin: admin.localhost}
tls:
  server_certificates:
    - {certificate: tls/server.pem, key: tls/server.key}
  device_certificate_authority: {certificate: tls/device-ca.pem, key: tls/device-ca.key}
applications:
  - name: one
    hosts: [one.localhost]
    upstream: {url: http://127.0.0.1:1}
";

/// The application at this host and path: the exact host before a wildcard, then the longest prefix.
fn application_for<'a>(config: &'a Config, host: &str, path: &str) -> Option<&'a Arc<Application>> {
    match config.host(host)? {
        Host::Applications(routes) => routes.application_for(path),
        Host::Auth | Host::Admin | Host::Device | Host::ForwardAuth => None,
    }
}
