//! Does the configuration make sense? Every value is checked, and all that is wrong is said at once.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use device_checks::loopback::LOOPBACK_PORTS;

use super::application::Application;
use super::branding::{check_branding, check_pages};
use super::devices::{check_attestation, check_management};
use super::forward_auth::check_forward_auth;
use super::hosts::HostName;
use super::limits::Limits;
use super::mail::check_mail;
use super::problems::{ConfigErrors, Problem};
use super::raw::{
    RawClientAuthority, RawConfig, RawEnrollment, RawKeyPair, RawLimits, RawLog, RawProxies, RawServerCertificate,
    RawSignIn, RawTls, RawZone,
};
use super::routes::Routes;
use super::source::Source;
use super::telemetry::check_telemetry;
use super::values::{Expected, address, duration, label, level, loopback_address, name, network, number, one_of};
use super::webauthn::check_webauthn;
use super::{
    ClientAuthority, Config, Enrollment, KeyPairFiles, Log, LogFormat, OnStale, OwnHosts, Proxies, ServerCertificate,
    SignIn, Tls, TlsVersion, Zone,
};

impl RawConfig {
    /// Checks every value: addresses, durations, names, and that the files named exist and can be read.
    ///
    /// # Errors
    ///
    /// All that is not as expected.
    pub(super) fn check(self, source: &Source) -> Result<Config, ConfigErrors> {
        let mut checker = Checker {
            source,
            problems: Vec::new(),
        };
        match (self.check_all(&mut checker), checker.problems) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, mut problems) => {
                problems.sort();
                Err(ConfigErrors::Refused {
                    file: source.file.clone(),
                    problems,
                })
            }
        }
    }

    fn check_all(self, checker: &mut Checker<'_>) -> Option<Config> {
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:8443");
        let listen = checker.value("listen", listen, if self.demo { demo_address } else { address });
        let public_port = checker.optional("public_port", self.public_port.as_deref(), number(1..=u16::MAX));
        let metrics_listen = self.metrics_listen.as_deref().unwrap_or("127.0.0.1:9443");
        let metrics_listen = checker.value("metrics_listen", metrics_listen, loopback_address);
        let data_dir = checker.directory_to_be("data_dir", &self.data_dir);
        let policies = checker.directory("policies", &self.policies);
        let decision_log = match (&self.decision_log, &data_dir) {
            (Some(file), _) => checker.file_to_be("decision_log", file),
            (None, data_dir) => data_dir.as_ref().map(|directory| directory.join("decisions.jsonl")),
        };
        let log = check_log(&self.log, checker);
        let tls = check_tls(&self.tls, checker);
        let limits = Limits::check(&self.limits, checker);
        // Applications are checked whatever is wrong here.
        let usual = limits.clone().or_else(|| Limits::check(&RawLimits::default(), checker));
        let enrollment = check_enrollment(&self.enrollment, checker);
        let sign_in = check_sign_in(&self.sign_in, checker);
        let attestation = check_attestation(&self.attestation, self.demo, checker);
        let management = check_management(&self.management, checker);
        let assertion_lifetime = self.identity.assertion_lifetime.as_deref().unwrap_or("5m");
        let assertion_lifetime = checker.value(
            "identity.assertion_lifetime",
            assertion_lifetime,
            duration(SECOND..=60 * MINUTE),
        );
        let mdm_sources = checker.all("mdm.sources", &self.mdm.sources, label);
        let mail = self
            .mail
            .as_ref()
            .map_or(Some(None), |raw| check_mail(raw, self.demo, checker).map(Some));
        let language = check_pages(&self.pages, checker);
        let branding = check_branding(&self.branding, checker);
        let zones = check_zones(&self.zones, checker);
        let proxies = check_proxies(&self.proxies, checker);
        let telemetry = check_telemetry(&self.telemetry, checker);
        let shutdown_grace = self.shutdown_grace.as_deref().unwrap_or("10s");
        let shutdown_grace = checker.value("shutdown_grace", shutdown_grace, duration(Duration::ZERO..=60 * MINUTE));
        let auth = checker.value("hosts.auth", &self.hosts.auth, HostName::parse);
        let admin = checker.value("hosts.admin", &self.hosts.admin, HostName::parse);
        let device = checker.optional("hosts.device", self.hosts.device.as_deref(), HostName::parse);
        let applications = self.applications.iter().enumerate().map(|(index, raw)| {
            let key = format!("applications[{index}]");
            let application = Application::check(raw, &key, usual.as_ref()?, checker)?;
            Some((index, application))
        });
        let applications: Vec<_> = applications.collect::<Vec<_>>().into_iter().flatten().collect();
        let asking = self.hosts.forward_auth.as_deref();
        let forward_proxies = check_forward_auth(&self.forward_auth, asking, &applications, checker);
        let forward_auth = checker.optional("hosts.forward_auth", asking, HostName::parse);
        let hosts = OwnHosts {
            auth: auth?,
            admin: admin?,
            device: device?,
            forward_auth: forward_auth?,
        };
        let routes = Routes::check(applications, &hosts, checker);
        Some(Config {
            listen: listen?,
            public_port: public_port?,
            metrics_listen: metrics_listen?,
            data_dir: data_dir?,
            demo: self.demo,
            policies: policies?,
            decision_log: decision_log?,
            log: log?,
            hosts,
            tls: tls?,
            limits: limits?,
            enrollment: enrollment?,
            sign_in: sign_in?,
            attestation: attestation?,
            management: management?,
            assertion_lifetime: assertion_lifetime?,
            mdm_sources: mdm_sources?,
            mail: mail?,
            language: language?,
            branding: branding?,
            zones: zones?,
            proxies: proxies?,
            forward_proxies: forward_proxies?,
            telemetry: telemetry?,
            shutdown_grace: shutdown_grace?,
            routes,
        })
    }
}

/// Collects what is wrong while values are read one after the other. A value that is missing afterwards left a problem.
pub(super) struct Checker<'a> {
    source: &'a Source,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    /// Notes that the value of `key` is refused.
    pub(super) fn refuse(&mut self, key: &str, message: String) {
        self.problems.push(Problem {
            line: self.source.line(key),
            key: key.to_owned(),
            message,
        });
    }

    /// Reads one value.
    pub(super) fn value<T>(&mut self, key: &str, text: &str, read: impl Fn(&str) -> Result<T, Expected>) -> Option<T> {
        match read(text) {
            Ok(value) => Some(value),
            Err(Expected(what)) => {
                self.refuse(key, format!("expected {what}, found `{}`", text.escape_debug()));
                None
            }
        }
    }

    /// Reads a value that may be absent; the outer option is empty after a problem.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        text: Option<&str>,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Option<T>> {
        text.map_or(Some(None), |text| self.value(key, text, read).map(Some))
    }

    /// Reads every item of a list, and goes on after one that is refused.
    pub(super) fn all<T>(
        &mut self,
        key: &str,
        texts: &[String],
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Vec<T>> {
        let items = texts.iter().enumerate();
        let items = items.map(|(index, text)| self.value(&format!("{key}[{index}]"), text, &read));
        items.collect::<Vec<_>>().into_iter().collect()
    }

    /// Reads a list that must have an item.
    pub(super) fn some<T>(
        &mut self,
        key: &str,
        texts: &[String],
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Vec<T>> {
        if texts.is_empty() {
            self.refuse(key, "expected one item at least, found an empty list".to_owned());
        }
        self.all(key, texts, read)
    }

    /// A file that is there and can be read.
    pub(super) fn file(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        let path = self.source.resolve(text);
        let readable = File::open(&path).and_then(|file| file.metadata()).and_then(|metadata| {
            if metadata.is_file() {
                Ok(())
            } else {
                Err(io::ErrorKind::IsADirectory.into())
            }
        });
        self.found(key, "a file that can be read", path, readable)
    }

    /// A directory that is there and can be listed.
    fn directory(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        let path = self.source.resolve(text);
        let listable = path.read_dir().map(drop);
        self.found(key, "a directory that can be listed", path, listable)
    }

    /// A directory that is there or can be made.
    pub(super) fn directory_to_be(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        let path = self.source.resolve(text);
        let possible = if path.exists() {
            path.read_dir().map(drop)
        } else {
            parent_of(&path).read_dir().map(drop)
        };
        self.found(
            key,
            "a directory, or a new one in a directory that exists",
            path,
            possible,
        )
    }

    /// A file that is there or can be made.
    fn file_to_be(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        let path = self.source.resolve(text);
        let possible = match path.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => parent_of(&path).read_dir().map(drop),
        };
        self.found(key, "a file in a directory that exists", path, possible)
    }

    fn found(&mut self, key: &str, expected: &str, path: PathBuf, result: io::Result<()>) -> Option<PathBuf> {
        match result {
            Ok(()) => Some(path),
            Err(error) => {
                self.refuse(
                    key,
                    format!("expected {expected}, found `{}` ({})", path.display(), error.kind()),
                );
                None
            }
        }
    }
}

/// What the demo accepts in place of real credentials is not to leave the machine.
fn demo_address(text: &str) -> Result<SocketAddr, Expected> {
    loopback_address(text).map_err(|Expected(what)| Expected(format!("in a demo {what}")))
}

fn check_log(raw: &RawLog, checker: &mut Checker<'_>) -> Option<Log> {
    let level = checker.value("log.level", raw.level.as_deref().unwrap_or("info"), level);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = checker.value("log.format", raw.format.as_deref().unwrap_or("text"), one_of(&formats));
    Some(Log {
        level: level?,
        format: format?,
    })
}

fn check_enrollment(raw: &RawEnrollment, checker: &mut Checker<'_>) -> Option<Enrollment> {
    let token = raw.token_lifetime.as_deref().unwrap_or("15m");
    let token_lifetime = checker.value("enrollment.token_lifetime", token, duration(SECOND..=7 * DAY));
    let certificate = raw.certificate_lifetime.as_deref().unwrap_or("30d");
    let certificate_lifetime = checker.value(
        "enrollment.certificate_lifetime",
        certificate,
        duration(SECOND..=398 * DAY),
    );
    let alive = raw.certificates_alive.as_deref().unwrap_or("2");
    let certificates_alive = checker.value("enrollment.certificates_alive", alive, number(1..=MOST_ALIVE));
    let age = raw.maximum_age.as_deref().unwrap_or("365d");
    let maximum_age = checker.value("enrollment.maximum_age", age, duration(SECOND..=10 * 365 * DAY));
    Some(Enrollment {
        token_lifetime: token_lifetime?,
        certificate_lifetime: certificate_lifetime?,
        certificates_alive: certificates_alive?,
        maximum_age: maximum_age?,
    })
}

fn check_sign_in(raw: &RawSignIn, checker: &mut Checker<'_>) -> Option<SignIn> {
    let usual = LOOPBACK_PORTS.map(|port| port.to_string());
    let ports = raw.loopback_ports.as_deref().unwrap_or(&usual);
    let loopback_ports = checker.some("sign_in.loopback_ports", ports, number(1024..=u16::MAX));
    if ports.len() > MOST_PORTS {
        checker.refuse(
            "sign_in.loopback_ports",
            format!("expected at most {MOST_PORTS} ports, found {}", ports.len()),
        );
    }
    let age = raw.session_maximum_age.as_deref().unwrap_or("7d");
    let session_maximum_age = checker.value("sign_in.session_maximum_age", age, duration(MINUTE..=365 * DAY));
    let key_attestation = check_webauthn(&raw.webauthn, checker);
    let idle = raw.session_idle.as_deref().unwrap_or("2d");
    let session_idle = checker.value("sign_in.session_idle", idle, duration(MINUTE..=365 * DAY));
    Some(SignIn {
        loopback_ports: loopback_ports?,
        session_maximum_age: session_maximum_age?,
        session_idle: session_idle?,
        count_software_verification: raw.count_software_verification,
        key_attestation: key_attestation?,
    })
}

fn check_tls(raw: &RawTls, checker: &mut Checker<'_>) -> Option<Tls> {
    let versions = [("1.3", TlsVersion::V1_3), ("1.2", TlsVersion::V1_2)];
    let minimum_version = raw.minimum_version.as_deref().unwrap_or("1.3");
    let minimum_version = checker.value("tls.minimum_version", minimum_version, one_of(&versions));
    if raw.server_certificates.is_empty() {
        checker.refuse(
            "tls.server_certificates",
            "expected one item at least, found an empty list".to_owned(),
        );
    }
    let server_certificates = raw
        .server_certificates
        .iter()
        .enumerate()
        .map(|(index, raw)| check_server_certificate(raw, &format!("tls.server_certificates[{index}]"), checker));
    let server_certificates: Vec<_> = server_certificates.collect();
    let device_authority = check_key_pair(
        &raw.device_certificate_authority,
        "tls.device_certificate_authority",
        checker,
    );
    let retired = raw.retired_device_certificate_authorities.iter().enumerate();
    let retired = retired.map(|(index, pair)| {
        check_key_pair(
            pair,
            &format!("tls.retired_device_certificate_authorities[{index}]"),
            checker,
        )
    });
    let retired_authorities: Vec<_> = retired.collect();
    let client_authorities = check_authorities(
        &raw.client_certificate_authorities,
        "tls.client_certificate_authorities",
        checker,
    );
    let handshake_timeout = raw.handshake_timeout.as_deref().unwrap_or("10s");
    let handshake_timeout = checker.value("tls.handshake_timeout", handshake_timeout, duration(SECOND..=MINUTE));
    let max_handshakes = raw.max_handshakes.as_deref().unwrap_or("4096");
    let max_handshakes = checker.value("tls.max_handshakes", max_handshakes, number(1..=MOST_HANDSHAKES));
    let per_source = raw.max_handshakes_per_source.as_deref().unwrap_or("1024");
    let per_source = checker.value("tls.max_handshakes_per_source", per_source, number(1..=MOST_HANDSHAKES));
    Some(Tls {
        minimum_version: minimum_version?,
        server_certificates: server_certificates.into_iter().collect::<Option<_>>()?,
        device_authority: device_authority?,
        retired_authorities: retired_authorities.into_iter().collect::<Option<_>>()?,
        client_authorities: client_authorities?,
        handshake_timeout: handshake_timeout?,
        max_handshakes: max_handshakes?,
        max_handshakes_per_source: per_source?,
    })
}

/// CAs of others, each with its revocation list.
pub(super) fn check_authorities(
    raw: &[RawClientAuthority],
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<Vec<ClientAuthority>> {
    let authorities = raw.iter().enumerate().map(|(index, raw)| {
        let key = format!("{key}[{index}]");
        check_authority(raw, &format!("{key}.certificate"), &key, checker)
    });
    authorities.collect::<Vec<_>>().into_iter().collect()
}

/// A CA, whose certificate is at `certificate` and what belongs to it below `key`.
pub(super) fn check_authority(
    raw: &RawClientAuthority,
    certificate: &str,
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<ClientAuthority> {
    let certificate = checker.file(certificate, &raw.certificate);
    let crl = raw
        .crl
        .as_ref()
        .map_or(Some(None), |crl| checker.file(&format!("{key}.crl"), crl).map(Some));
    if raw.on_stale.is_some() && raw.crl.is_none() {
        checker.refuse(&format!("{key}.on_stale"), "expected only with `crl`".to_owned());
    }
    let on_stale = raw.on_stale.as_deref().unwrap_or("refuse");
    let on_stale = checker.value(&format!("{key}.on_stale"), on_stale, one_of(&ON_STALE));
    Some(ClientAuthority {
        certificate: certificate?,
        crl: crl?,
        on_stale: on_stale?,
    })
}

fn check_server_certificate(
    raw: &RawServerCertificate,
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<ServerCertificate> {
    let certificate = checker.file(&format!("{key}.certificate"), &raw.certificate);
    let private_key = checker.file(&format!("{key}.key"), &raw.key);
    let ocsp = (raw.ocsp.as_ref()).map_or(Some(None), |file| checker.file(&format!("{key}.ocsp"), file).map(Some));
    Some(ServerCertificate {
        pair: KeyPairFiles {
            certificate: certificate?,
            key: private_key?,
        },
        ocsp: ocsp?,
    })
}

pub(super) fn check_key_pair(raw: &RawKeyPair, key: &str, checker: &mut Checker<'_>) -> Option<KeyPairFiles> {
    let certificate = checker.file(&format!("{key}.certificate"), &raw.certificate);
    let private_key = checker.file(&format!("{key}.key"), &raw.key);
    Some(KeyPairFiles {
        certificate: certificate?,
        key: private_key?,
    })
}

fn check_zones(raw: &[RawZone], checker: &mut Checker<'_>) -> Option<Vec<Zone>> {
    let mut zones = Vec::new();
    for (index, zone) in raw.iter().enumerate() {
        let key = format!("zones[{index}]");
        let networks = checker.some(&format!("{key}.networks"), &zone.networks, network);
        let name = checker.value(&format!("{key}.name"), &zone.name, name);
        if raw.iter().take(index).any(|earlier| earlier.name == zone.name) {
            checker.refuse(
                &format!("{key}.name"),
                format!("expected another name, found `{}` again", zone.name),
            );
        }
        zones.push(name.zip(networks).map(|(name, networks)| Zone { name, networks }));
    }
    zones.into_iter().collect()
}

fn check_proxies(raw: &RawProxies, checker: &mut Checker<'_>) -> Option<Proxies> {
    let proxy_protocol = checker.all("proxies.proxy_protocol", &raw.proxy_protocol, network);
    let forwarded_for = checker.all("proxies.forwarded_for", &raw.forwarded_for, network);
    Some(Proxies {
        proxy_protocol: proxy_protocol?,
        forwarded_for: forwarded_for?,
    })
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A day.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
const ON_STALE: [(&str, OnStale); 2] = [("refuse", OnStale::Refuse), ("accept", OnStale::Accept)];
const MOST_ALIVE: usize = 100;
const MOST_PORTS: usize = 20;
const MOST_HANDSHAKES: usize = 1_000_000;
