//! What is the gateway told to do? Read from a YAML file, checked once, and trusted from then on.

mod application;
mod branding;
mod check;
mod devices;
mod forward_auth;
mod headers;
mod hosts;
mod limits;
mod mail;
mod paths;
mod problems;
mod raw;
mod routes;
mod source;
mod telemetry;
mod treatment;
mod upstream;
mod values;
mod webauthn;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use device_checks::attestation::RootClass;
use directory::HardwareId;
use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

pub(crate) use application::{Application, ClientCertificate, PathOptions, SecurityHeaders, Spelling};
#[cfg(test)]
pub(crate) use branding::Logo;
pub(crate) use branding::{Branding, Color, Help, LogoKind};
pub(crate) use forward_auth::{CertificatePlace, ForwardProxy};
pub(crate) use headers::{HeaderRules, is_ours};
pub(crate) use hosts::{HostName, HostPattern};
#[cfg(test)]
pub(crate) use limits::Http2Limits;
pub(crate) use limits::Limits;
pub(crate) use mail::{Mail, MailServer, MailTls, MailWay};
pub(crate) use problems::ConfigErrors;
pub(crate) use routes::Host;
pub(crate) use telemetry::Otlp;
pub(crate) use treatment::{Moved, Treatment, Way};
#[cfg(test)]
pub(crate) use upstream::CircuitBreaker;
pub(crate) use upstream::{Balance, HealthCheck, Protocol, Server, Upstream};
pub(crate) use values::{Expected, duration};

use crate::pages::Language;
use raw::RawConfig;
use routes::Routes;

/// Reads and checks the configuration in `path`; relative paths in it are relative to that file.
///
/// # Errors
///
/// The file cannot be read, or anything in it is not as expected: every problem with its line.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let bytes = std::fs::read(path).map_err(|source| ConfigErrors::Unreadable {
        file: path.to_owned(),
        source,
    })?;
    let (raw, source) = RawConfig::parse(path, bytes)?;
    raw.check(&source)
}

/// The checked configuration. Files named in it existed and could be read; what is in them is for their readers to judge.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where TLS connections are accepted.
    pub(crate) listen: SocketAddr,
    /// The port in the gateway's own URLs, where it is not the one that is listened on.
    pub(crate) public_port: Option<u16>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served: always loopback.
    pub(crate) metrics_listen: SocketAddr,
    /// The directory of the database; it may not exist yet, its parent does.
    pub(crate) data_dir: PathBuf,
    /// Whether demo material (its CA, its tokens) is accepted. If so, `listen` is loopback.
    pub(crate) demo: bool,
    /// The directory of the `.cedar` files.
    pub(crate) policies: PathBuf,
    /// The file that gets one line for each decision.
    pub(crate) decision_log: PathBuf,
    /// The gateway's own log.
    pub(crate) log: Log,
    /// The auth and admin hosts.
    pub(crate) hosts: OwnHosts,
    /// How connections are secured.
    pub(crate) tls: Tls,
    /// How much clients may take up.
    pub(crate) limits: Limits,
    /// What enrolment hands out.
    pub(crate) enrollment: Enrollment,
    /// How people sign in.
    pub(crate) sign_in: SignIn,
    /// Which machines are believed to be what they prove.
    pub(crate) attestation: Attestation,
    /// Whose certificates say that a device is managed.
    pub(crate) management: Management,
    /// How long the signed identity passed to an application is valid.
    pub(crate) assertion_lifetime: Duration,
    /// The MDM systems whose reports count.
    pub(crate) mdm_sources: Vec<String>,
    /// How mail leaves, if any does.
    pub(crate) mail: Option<Mail>,
    /// What pages speak where a browser asks for nothing that they can.
    pub(crate) language: Language,
    /// Whose the pages are.
    pub(crate) branding: Branding,
    /// Named networks.
    pub(crate) zones: Vec<Zone>,
    /// Whose word counts on where clients are.
    pub(crate) proxies: Proxies,
    /// The proxies of others that ask what is decided.
    pub(crate) forward_proxies: Vec<ForwardProxy>,
    /// Who takes traces and metrics, if anybody does.
    pub(crate) telemetry: Option<Otlp>,
    /// How long open requests may go on after a stop was asked for.
    pub(crate) shutdown_grace: Duration,
    routes: Routes,
}

impl Config {
    /// All applications, in the order of the file.
    pub(crate) fn applications(&self) -> &[Arc<Application>] {
        self.routes.applications()
    }

    /// What answers at `name`, a canonical host name (lower case, no port, no trailing dot).
    pub(crate) fn host(&self, name: &str) -> Option<Host<'_>> {
        self.routes.host(name)
    }

    /// The names of the zones that an address lies in; an IPv4 address mapped into IPv6 counts as itself.
    pub(crate) fn zones_of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let address = address.to_canonical();
        let inside = move |zone: &&Zone| zone.networks.iter().any(|network| network.contains(&address));
        self.zones.iter().filter(inside).map(|zone| zone.name.as_str())
    }
}

/// Whose word counts on where clients are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    /// Load balancers that pass TLS on after a header of the PROXY protocol.
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// Proxies that end TLS, make their own to the gateway, and write `X-Forwarded-For`.
    pub(crate) forwarded_for: Vec<IpNet>,
}

/// What the gateway logs about itself, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// The least severe level that is logged.
    pub(crate) level: LevelFilter,
    /// The shape of a line.
    pub(crate) format: LogFormat,
}

/// The shape of a line in the gateway's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The hosts that the gateway itself answers.
#[derive(Debug)]
pub(crate) struct OwnHosts {
    /// Sign-in and enrolment.
    pub(crate) auth: HostName,
    /// The admin API.
    pub(crate) admin: HostName,
    /// Where devices renew their certificates over mTLS, where there is such a host.
    pub(crate) device: Option<HostName>,
    /// Where proxies of others ask what is decided, where there is such a host.
    pub(crate) forward_auth: Option<HostName>,
}

impl OwnHosts {
    /// Each with the word it goes by.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &HostName)> {
        let device = self.device.iter().map(|name| ("device", name));
        let forward_auth = self.forward_auth.iter().map(|name| ("forward-auth", name));
        let always = [("auth", &self.auth), ("admin", &self.admin)];
        always.into_iter().chain(device).chain(forward_auth)
    }
}

/// How connections to the gateway are secured.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The oldest TLS version spoken.
    pub(crate) minimum_version: TlsVersion,
    /// The server's certificates, chosen among by the names in them.
    pub(crate) server_certificates: Vec<ServerCertificate>,
    /// The gateway's own CA, which signs device certificates.
    pub(crate) device_authority: KeyPairFiles,
    /// CAs that signed device certificates before it, which still count.
    pub(crate) retired_authorities: Vec<KeyPairFiles>,
    /// Other CAs whose client certificates may connect.
    pub(crate) client_authorities: Vec<ClientAuthority>,
    /// How long a handshake may take.
    pub(crate) handshake_timeout: Duration,
    /// How many handshakes may be under way at once.
    pub(crate) max_handshakes: usize,
    /// How many of them from one address.
    pub(crate) max_handshakes_per_source: usize,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// A certificate (chain) and its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPairFiles {
    /// The certificate, then its chain.
    pub(crate) certificate: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// A certificate of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerCertificate {
    /// The certificate and its key.
    pub(crate) pair: KeyPairFiles,
    /// An OCSP response that says that it is good, DER (RFC 6960).
    pub(crate) ocsp: Option<PathBuf>,
}

/// A CA of client certificates that is not the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientAuthority {
    /// Its certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its revocation list, PEM or DER.
    pub(crate) crl: Option<PathBuf>,
    /// What holds once that list is out of date.
    pub(crate) on_stale: OnStale,
}

/// What becomes of a CA's certificates while its revocation list is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnStale {
    /// None counts.
    Refuse,
    /// Those that it does not list count.
    Accept,
}

/// What enrolment hands out, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrollment {
    /// How long an enrolment token can be used.
    pub(crate) token_lifetime: Duration,
    /// How long a device certificate is valid.
    pub(crate) certificate_lifetime: Duration,
    /// How many certificates of one account may be alive at once.
    pub(crate) certificates_alive: usize,
    /// How long after its enrolment a certificate can be renewed.
    pub(crate) maximum_age: Duration,
}

/// How people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// Where pages look for an authenticator on 127.0.0.1.
    pub(crate) loopback_ports: Vec<u16>,
    /// How old a session can get, whatever the policies say.
    pub(crate) session_maximum_age: Duration,
    /// How long it can go unused, whatever the policies say.
    pub(crate) session_idle: Duration,
    /// Whether a PIN that only software asks for counts as a factor.
    pub(crate) count_software_verification: bool,
    /// Whose word on the hardware of security keys counts; nobody's where there is none.
    pub(crate) key_attestation: Option<KeyAttestation>,
}

/// Whose word on the hardware of security keys counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyAttestation {
    /// The CAs that vouch for models, PEM.
    pub(crate) roots: Vec<PathBuf>,
    /// The models (AAGUIDs) that count; all of the roots' where none is named.
    pub(crate) models: BTreeSet<String>,
    /// Whether others cannot be registered at all.
    pub(crate) required: bool,
}

/// Which machines are believed to be what they prove.
#[derive(Debug)]
pub(crate) struct Attestation {
    /// The CAs of endorsement keys.
    pub(crate) roots: Vec<AttestationRoot>,
    /// Machines that are not believed whoever vouches for them.
    pub(crate) denied: Vec<HardwareId>,
}

/// A CA of endorsement keys.
#[derive(Debug)]
pub(crate) struct AttestationRoot {
    /// Its certificate, PEM; more than one certificate is more than one root.
    pub(crate) certificate: PathBuf,
    /// How much its word is worth.
    pub(crate) class: RootClass,
}

/// Whose certificates say that a device is managed.
#[derive(Debug)]
pub(crate) struct Management {
    /// The gateway's own CA for those without an MDM.
    pub(crate) own_authority: Option<KeyPairFiles>,
    /// The MDM's CAs: those that issue.
    pub(crate) authorities: Vec<ClientAuthority>,
}

/// A named set of networks.
#[derive(Debug)]
pub(crate) struct Zone {
    /// What policies call it.
    pub(crate) name: String,
    /// The networks in it.
    pub(crate) networks: Vec<IpNet>,
}
