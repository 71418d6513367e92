//! Which certificate does the gateway show, and whose does it ask for? Per server name, swapped while running.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use directory::Timestamp;
use ipnet::IpNet;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::verifier::{ClientAuthority, ClientTrustError, DeviceVerifier};
use crate::config::{ClientCertificate, Config, Host, KeyPairFiles, ServerCertificate, TlsVersion};

/// Server certificates and client trust as of one load.
pub(crate) struct Trust {
    off: Arc<ServerConfig>,
    optional: Arc<ServerConfig>,
    required: Arc<ServerConfig>,
    /// For the host where proxies ask: their own CAs count there too, so that whoever else asks is told and written down.
    proxies: Arc<ServerConfig>,
    forward_auth: Option<String>,
    modes: HashMap<String, ClientCertificate>,
    wildcard_modes: HashMap<String, ClientCertificate>,
    /// Load balancers that say by the PROXY protocol who connects.
    balancers: Vec<IpNet>,
}

/// Says why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// A PEM file cannot be read.
    #[error("expected certificates and their private key in PEM in `{}`", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or the key is of no known kind.
    #[error("expected the private key of the certificate in `{}`", file.display())]
    KeyMismatch {
        /// The certificate's file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// No certificate covers a host.
    #[error("no certificate under `tls.server_certificates` names the host `{host}`")]
    Uncovered {
        /// The host.
        host: String,
    },
    /// There is no certificate.
    #[error("expected at least one certificate under `tls.server_certificates`")]
    NoCertificate,
    /// An OCSP response is not what is to be stapled.
    #[error("tls.server_certificates: the OCSP response `{}`", file.display())]
    Ocsp {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: OcspError,
    },
    /// Client certificates cannot be verified.
    #[error(transparent)]
    Clients(#[from] ClientTrustError),
    /// rustls refuses the settings.
    #[error("setting up TLS")]
    Settings(#[source] rustls::Error),
}

/// Says what is wrong with an OCSP response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OcspError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is not a good response for this certificate.
    #[error(transparent)]
    Unfit(certs::BadStaple),
}

impl Trust {
    /// Whether whoever connects from here says first for whom.
    pub(crate) fn is_balancer(&self, peer: IpAddr) -> bool {
        self.balancers.iter().any(|network| network.contains(&peer))
    }

    /// Reads the server certificates, and trusts client certificates of these CAs; where proxies ask, of theirs too.
    ///
    /// # Errors
    /// If a file is not as expected, or a host has no certificate.
    pub(crate) fn load(
        config: &Config,
        authorities: &[Arc<ClientAuthority>],
        proxies: &[Arc<ClientAuthority>],
        now: Timestamp,
    ) -> Result<Self, TrustError> {
        let provider = Arc::new(provider());
        let certificates = Arc::new(ServerCertificates::load(config, &provider, now)?);
        let versions: &[&SupportedProtocolVersion] = match config.tls.minimum_version {
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let build = |verifier: Option<DeviceVerifier>| -> Result<_, TrustError> {
            let builder = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)
                .map_err(TrustError::Settings)?;
            let builder = match verifier {
                Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
                None => builder.with_no_client_auth(),
            };
            Ok(Arc::new(hardened(builder.with_cert_resolver(certificates.clone()))))
        };
        let (modes, wildcard_modes) = modes(config);
        Ok(Self {
            off: build(None)?,
            optional: build(Some(DeviceVerifier::new(authorities, false)?))?,
            required: build(Some(DeviceVerifier::new(authorities, true)?))?,
            proxies: build(Some(DeviceVerifier::new(&[authorities, proxies].concat(), false)?))?,
            forward_auth: config.hosts.forward_auth.as_ref().map(ToString::to_string),
            modes,
            wildcard_modes,
            balancers: config.proxies.proxy_protocol.clone(),
        })
    }

    /// Whether proxies of others ask at the host of this name.
    pub(super) fn asks_proxies(&self, server_name: Option<&str>) -> bool {
        server_name.is_some() && server_name == self.forward_auth.as_deref()
    }

    /// The settings for a server name; without one, or for one that nobody answers to, the strictest.
    pub(crate) fn server_config(&self, server_name: Option<&str>) -> Arc<ServerConfig> {
        if self.asks_proxies(server_name) {
            return self.proxies.clone();
        }
        let mode = server_name.and_then(|name| {
            let parent = || self.wildcard_modes.get(name.split_once('.')?.1);
            self.modes.get(name).or_else(parent).copied()
        });
        match mode {
            Some(ClientCertificate::Off) => self.off.clone(),
            Some(ClientCertificate::Optional) => self.optional.clone(),
            Some(ClientCertificate::Required) | None => self.required.clone(),
        }
    }
}

/// The cryptography of connections: AES-128 with SHA-256 before AES-256 with SHA-384. Both are out of reach; processors have
/// instructions for SHA-256 and seldom for SHA-384, of which a handshake takes a good deal.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let is_later = |suite: &SupportedCipherSuite| {
        let first = [
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ];
        !first.contains(&suite.suite())
    };
    provider.cipher_suites.sort_by_key(is_later);
    provider
}

/// No resumption (rustls resumes without asking the verifier again) and no 0-RTT.
fn hardened(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Which hosts ask for a client certificate, exact names and the parents of wildcards. The auth and admin hosts do
/// not; the device host does, and says why it refuses.
fn modes(config: &Config) -> (HashMap<String, ClientCertificate>, HashMap<String, ClientCertificate>) {
    use crate::config::HostPattern;
    let mut exact = HashMap::new();
    let mut wildcard = HashMap::new();
    for application in config.applications() {
        for host in &application.hosts {
            match host {
                HostPattern::Exact(name) => exact.insert(name.to_string(), application.client_certificate),
                HostPattern::Wildcard(parent) => wildcard.insert(parent.to_string(), application.client_certificate),
            };
        }
    }
    for (_, own) in config.hosts.all() {
        let mode = match config.host(own.as_str()) {
            Some(Host::Auth | Host::Admin) => ClientCertificate::Off,
            Some(Host::Device) => ClientCertificate::Optional,
            // It has settings of its own.
            Some(Host::ForwardAuth | Host::Applications(_)) | None => continue,
        };
        exact.insert(own.to_string(), mode);
    }
    (exact, wildcard)
}

/// The server certificates, and which of them the configured hosts get; found once, not at each handshake.
#[derive(Debug)]
struct ServerCertificates {
    certificates: Vec<(CertificateDer<'static>, Arc<Stapled>)>,
    by_host: HashMap<String, Arc<Stapled>>,
}

impl ServerCertificates {
    fn load(config: &Config, provider: &CryptoProvider, now: Timestamp) -> Result<Self, TrustError> {
        let files = &config.tls.server_certificates;
        let certificates = files
            .iter()
            .map(|files| load_certificate(files, provider, now))
            .collect::<Result<Vec<_>, _>>()?;
        let mut loaded = Self {
            certificates,
            by_host: HashMap::new(),
        };
        loaded.certificates.first().ok_or(TrustError::NoCertificate)?;
        loaded.assign(config)?;
        Ok(loaded)
    }

    /// Finds each configured host its certificate; one without is an error.
    fn assign(&mut self, config: &Config) -> Result<(), TrustError> {
        use crate::config::HostPattern;
        let own = config.hosts.all().map(|(_, name)| name.to_string());
        let hosts = config
            .applications()
            .iter()
            .flat_map(|application| &application.hosts)
            .map(|host| match host {
                HostPattern::Exact(name) => name.to_string(),
                // Any one label stands for all of them.
                HostPattern::Wildcard(parent) => format!("any.{parent}"),
            });
        for host in hosts.chain(own) {
            let certificate = self.covering(&host).cloned();
            let certificate = certificate.ok_or_else(|| TrustError::Uncovered { host: host.clone() })?;
            self.by_host.insert(host, certificate);
        }
        Ok(())
    }

    fn covering(&self, host: &str) -> Option<&Arc<Stapled>> {
        let name = ServerName::try_from(host).ok()?;
        let covers = |leaf: &CertificateDer<'_>| {
            webpki::EndEntityCert::try_from(leaf).is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        self.certificates
            .iter()
            .find(|(leaf, _)| covers(leaf))
            .map(|(_, key)| key)
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let covering = hello
            .server_name()
            .and_then(|name| self.by_host.get(name).or_else(|| self.covering(name)));
        let shown = covering.or_else(|| self.certificates.first().map(|(_, key)| key))?;
        Some(shown.now())
    }
}

/// A server certificate with its key, and what of it is shown when.
#[derive(Debug)]
struct Stapled {
    plain: Arc<CertifiedKey>,
    /// The same with an OCSP response, and until when that is current.
    stapled: Option<(Arc<CertifiedKey>, SystemTime)>,
}

impl Stapled {
    fn now(&self) -> Arc<CertifiedKey> {
        match &self.stapled {
            Some((stapled, until)) if SystemTime::now() < *until => stapled.clone(),
            _ => self.plain.clone(),
        }
    }
}

fn load_certificate(
    files: &ServerCertificate,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<(CertificateDer<'static>, Arc<Stapled>), TrustError> {
    let (leaf, plain) = load_pair(&files.pair, provider)?;
    let mut stapled = None;
    if let Some(file) = &files.ocsp {
        let unfit = |source: OcspError| TrustError::Ocsp {
            file: file.clone(),
            source,
        };
        let der = std::fs::read(file).map_err(|error| unfit(OcspError::Unreadable(error)))?;
        match certs::Staple::read(&der, &leaf, now) {
            Ok(staple) => {
                let mut shown = CertifiedKey::clone(&plain);
                let until = SystemTime::UNIX_EPOCH
                    + Duration::from_secs(u64::try_from(staple.next_update().secs()).unwrap_or_default());
                shown.ocsp = Some(der);
                stapled = Some((Arc::new(shown), until));
            }
            // What hangs on it is a courtesy; the gateway must not wait for a newer one.
            Err(error @ certs::BadStaple::Stale { .. }) => {
                tracing::warn!(file = %file.display(), %error, "nothing is stapled");
            }
            Err(error) => return Err(unfit(OcspError::Unfit(error))),
        }
    }
    Ok((leaf, Arc::new(Stapled { plain, stapled })))
}

fn load_pair(
    files: &KeyPairFiles,
    provider: &CryptoProvider,
) -> Result<(CertificateDer<'static>, Arc<CertifiedKey>), TrustError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source| TrustError::Pem { file, source }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key))?;
    let leaf = chain.first().cloned().ok_or(TrustError::NoCertificate)?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|source| TrustError::KeyMismatch {
        file: files.certificate.clone(),
        source,
    })?;
    Ok((leaf, Arc::new(pair)))
}
