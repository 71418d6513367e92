//! Which keys may a configuration file have? Their shape only: what the texts mean is checked afterwards.
//!
//! Scalars are kept as text, numbers too, so that the check can say of all of them at once what it expected.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "keys and values, such as `listen: 127.0.0.1:8443`")]
pub(super) struct RawConfig {
    pub(super) listen: Option<String>,
    pub(super) public_port: Option<String>,
    pub(super) metrics_listen: Option<String>,
    pub(super) data_dir: String,
    #[serde(default)]
    pub(super) demo: bool,
    pub(super) policies: String,
    pub(super) decision_log: Option<String>,
    #[serde(default)]
    pub(super) log: RawLog,
    pub(super) hosts: RawHosts,
    pub(super) tls: RawTls,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) enrollment: RawEnrollment,
    #[serde(default)]
    pub(super) sign_in: RawSignIn,
    #[serde(default)]
    pub(super) attestation: RawAttestation,
    #[serde(default)]
    pub(super) management: RawManagement,
    #[serde(default)]
    pub(super) identity: RawIdentity,
    #[serde(default)]
    pub(super) mdm: RawMdm,
    pub(super) mail: Option<RawMail>,
    #[serde(default)]
    pub(super) pages: RawPages,
    #[serde(default)]
    pub(super) branding: RawBranding,
    #[serde(default)]
    pub(super) zones: Vec<RawZone>,
    #[serde(default)]
    pub(super) proxies: RawProxies,
    #[serde(default)]
    pub(super) forward_auth: RawForwardAuth,
    #[serde(default)]
    pub(super) telemetry: RawTelemetry,
    #[serde(default)]
    pub(super) applications: Vec<RawApplication>,
    pub(super) shutdown_grace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`level` and `format`")]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`otlp`")]
pub(super) struct RawTelemetry {
    pub(super) otlp: Option<RawOtlp>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `otlp`, `endpoint` at least")]
pub(super) struct RawOtlp {
    pub(super) endpoint: String,
    pub(super) protocol: Option<String>,
    pub(super) headers_file: Option<String>,
    pub(super) sample_ratio: Option<String>,
    pub(super) metrics_interval: Option<String>,
    pub(super) users: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "`auth`, `admin`, and perhaps `device` and `forward_auth`"
)]
pub(super) struct RawHosts {
    pub(super) auth: String,
    pub(super) admin: String,
    pub(super) device: Option<String>,
    pub(super) forward_auth: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `tls`")]
pub(super) struct RawTls {
    pub(super) minimum_version: Option<String>,
    pub(super) server_certificates: Vec<RawServerCertificate>,
    pub(super) device_certificate_authority: RawKeyPair,
    #[serde(default)]
    pub(super) retired_device_certificate_authorities: Vec<RawKeyPair>,
    #[serde(default)]
    pub(super) client_certificate_authorities: Vec<RawClientAuthority>,
    pub(super) handshake_timeout: Option<String>,
    pub(super) max_handshakes: Option<String>,
    pub(super) max_handshakes_per_source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`certificate` and `key`, and perhaps `ocsp`")]
pub(super) struct RawServerCertificate {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) ocsp: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`certificate` and `key`")]
pub(super) struct RawKeyPair {
    pub(super) certificate: String,
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`certificate`, and perhaps `crl` and `on_stale`")]
pub(super) struct RawClientAuthority {
    pub(super) certificate: String,
    pub(super) crl: Option<String>,
    pub(super) on_stale: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `limits`")]
pub(super) struct RawLimits {
    pub(super) body_limit: Option<String>,
    pub(super) body_rate: Option<String>,
    pub(super) idle_timeout: Option<String>,
    pub(super) head_timeout: Option<String>,
    pub(super) head_limit: Option<String>,
    pub(super) send_timeout: Option<String>,
    pub(super) max_connections: Option<String>,
    pub(super) max_connections_per_source: Option<String>,
    pub(super) max_requests: Option<String>,
    pub(super) request_rate_per_source: Option<String>,
    #[serde(default)]
    pub(super) http2: RawHttp2Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "`max_streams`, `max_given_up` and `control_frame_rate`"
)]
pub(super) struct RawHttp2Limits {
    pub(super) max_streams: Option<String>,
    pub(super) max_given_up: Option<String>,
    pub(super) control_frame_rate: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `enrollment`")]
pub(super) struct RawEnrollment {
    pub(super) token_lifetime: Option<String>,
    pub(super) certificate_lifetime: Option<String>,
    pub(super) certificates_alive: Option<String>,
    pub(super) maximum_age: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `sign_in`")]
pub(super) struct RawSignIn {
    pub(super) loopback_ports: Option<Vec<String>>,
    pub(super) session_maximum_age: Option<String>,
    pub(super) session_idle: Option<String>,
    #[serde(default)]
    pub(super) count_software_verification: bool,
    #[serde(default)]
    pub(super) webauthn: RawWebauthn,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`attestation`")]
pub(super) struct RawWebauthn {
    pub(super) attestation: Option<RawKeyAttestation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`roots`, and perhaps `models` and `required`")]
pub(super) struct RawKeyAttestation {
    pub(super) roots: Vec<String>,
    #[serde(default)]
    pub(super) models: Vec<String>,
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`roots` and `denied`")]
pub(super) struct RawAttestation {
    #[serde(default)]
    pub(super) roots: Vec<RawRoot>,
    #[serde(default)]
    pub(super) denied: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`certificate` and `class`")]
pub(super) struct RawRoot {
    pub(super) certificate: String,
    pub(super) class: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`certificate_authority` and `authorities`")]
pub(super) struct RawManagement {
    pub(super) certificate_authority: Option<RawKeyPair>,
    #[serde(default)]
    pub(super) authorities: Vec<RawClientAuthority>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`assertion_lifetime`")]
pub(super) struct RawIdentity {
    pub(super) assertion_lifetime: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`sources`")]
pub(super) struct RawMdm {
    #[serde(default)]
    pub(super) sources: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `mail`, `server` or `folder` at least")]
pub(super) struct RawMail {
    pub(super) server: Option<String>,
    pub(super) port: Option<String>,
    pub(super) tls: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) from: Option<String>,
    pub(super) folder: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`language`")]
pub(super) struct RawPages {
    pub(super) language: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`name`, `logo`, `color` and `help`")]
pub(super) struct RawBranding {
    pub(super) name: Option<String>,
    pub(super) logo: Option<String>,
    pub(super) color: Option<String>,
    pub(super) help: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`proxy_protocol` and `forwarded_for`")]
pub(super) struct RawProxies {
    #[serde(default)]
    pub(super) proxy_protocol: Vec<String>,
    #[serde(default)]
    pub(super) forwarded_for: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`proxies`")]
pub(super) struct RawForwardAuth {
    #[serde(default)]
    pub(super) proxies: Vec<RawForwardProxy>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the keys of a proxy, `name`, `certificate_authority`, `certificate_from` and `applications` at least"
)]
pub(super) struct RawForwardProxy {
    pub(super) name: String,
    pub(super) certificate_authority: String,
    pub(super) crl: Option<String>,
    pub(super) on_stale: Option<String>,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) fingerprints: Vec<String>,
    pub(super) certificate_from: String,
    pub(super) applications: Vec<String>,
    pub(super) public_port: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`name` and `networks`")]
pub(super) struct RawZone {
    pub(super) name: String,
    pub(super) networks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the keys of an application, `name` and `hosts` at least"
)]
pub(super) struct RawApplication {
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
    pub(super) path_prefixes: Option<Vec<String>>,
    pub(super) client_certificate: Option<String>,
    pub(super) upstream: Option<RawUpstream>,
    pub(super) body_limit: Option<String>,
    pub(super) body_rate: Option<String>,
    pub(super) total_timeout: Option<String>,
    #[serde(default)]
    pub(super) paths: Vec<RawPath>,
    #[serde(default)]
    pub(super) public_paths: Vec<String>,
    #[serde(default)]
    pub(super) request_headers: RawHeaderRules,
    #[serde(default)]
    pub(super) response_headers: RawHeaderRules,
    pub(super) security_headers: Option<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    pub(super) sensitivity: Option<String>,
    #[serde(default)]
    pub(super) allowed_origins: Vec<String>,
    pub(super) encoded_slashes: Option<String>,
    pub(super) path_parameters: Option<String>,
    #[serde(default)]
    pub(super) case_insensitive_paths: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of a path, `path` at least")]
pub(super) struct RawPath {
    pub(super) path: String,
    pub(super) rewrite: Option<String>,
    pub(super) redirect: Option<String>,
    pub(super) redirect_status: Option<String>,
    pub(super) body_limit: Option<String>,
    pub(super) body_rate: Option<String>,
    pub(super) read_timeout: Option<String>,
    pub(super) write_timeout: Option<String>,
    pub(super) total_timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `upstream`, `url` or `urls` at least")]
pub(super) struct RawUpstream {
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) urls: Vec<String>,
    pub(super) balance: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) connect_timeout: Option<String>,
    pub(super) read_timeout: Option<String>,
    pub(super) write_timeout: Option<String>,
    pub(super) retries: Option<String>,
    pub(super) client_certificate: Option<RawKeyPair>,
    pub(super) health_check: Option<RawHealthCheck>,
    #[serde(default)]
    pub(super) circuit_breaker: RawCircuitBreaker,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of `health_check`, `path` at least")]
pub(super) struct RawHealthCheck {
    pub(super) path: String,
    pub(super) interval: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) unhealthy_after: Option<String>,
    pub(super) healthy_after: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`faults`, `open_for` and `max_requests`")]
pub(super) struct RawCircuitBreaker {
    pub(super) faults: Option<String>,
    pub(super) open_for: Option<String>,
    pub(super) max_requests: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`set` and `remove`")]
pub(super) struct RawHeaderRules {
    #[serde(default)]
    pub(super) set: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
}
