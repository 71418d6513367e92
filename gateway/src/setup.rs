//! What does the request path need of the configuration, ready to use? Built at each load, swapped as a whole.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use certs::Authority;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509};
use policies::AppFacts;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Application, Config, HostPattern, KeyPairFiles};
use crate::device_trust::DeviceTrust;
use crate::factors::webauthn::{Attestation, BadOrigin, Webauthn};
use crate::forward_auth::ForwardAuth;
use crate::mail::{Post, PostError};
use crate::pages::Brand;
use crate::private_file;
use crate::upstream::Pool;

/// Numbers the pools of upstream connections: after a reload none is reused whose peer was verified by other CAs.
static POOLS: AtomicU64 = AtomicU64::new(1);

/// A checked configuration and what was made of it.
pub(crate) struct Setup {
    /// The configuration.
    pub(crate) config: Config,
    /// Whom the gateway believes about devices.
    pub(crate) trust: Arc<DeviceTrust>,
    /// Which proxies of others are believed.
    pub(crate) forward_auth: ForwardAuth,
    /// Where devices renew certificates: `https://host` or `https://host:port`, where there is such a host.
    pub(crate) device_origin: Option<String>,
    /// Where the auth host is: `https://host` or `https://host:port`.
    pub(crate) auth_origin: String,
    /// Asks security keys and passkeys.
    pub(crate) webauthn: Arc<Webauthn>,
    /// Whose the pages are.
    pub(crate) brand: Brand,
    /// The CAs that signed device certificates before the present one.
    pub(crate) retired: Vec<Arc<Authority>>,
    /// By what mail leaves, if any does.
    pub(crate) mail: Option<Arc<Post>>,
    /// The zones of an address that lies in none.
    pub(crate) no_zones: Arc<[String]>,
    served: HashMap<String, Arc<Served>>,
}

/// An application and what serving it takes.
pub(crate) struct Served {
    /// Its configuration.
    pub(crate) application: Arc<Application>,
    /// What policies see of it.
    pub(crate) facts: Arc<AppFacts>,
    /// The CAs that its upstream's chain may end in; without them those the system trusts.
    pub(crate) upstream_authorities: Option<Arc<CaType>>,
    /// What the gateway shows its servers, where they ask for a certificate.
    pub(crate) upstream_identity: Option<Arc<CertKey>>,
    /// Its servers, and how they stand.
    pub(crate) servers: Arc<Pool>,
    /// Keeps connections to the upstream apart from those of other applications.
    pub(crate) pool: u64,
}

/// Says why the configuration cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// No mail can leave.
    #[error(transparent)]
    Mail(#[from] PostError),
    /// Its upstream's CA file cannot be read.
    #[error("applications: `{application}`: expected certificates in PEM in `{}`", file.display())]
    UpstreamAuthority {
        /// The application.
        application: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// What is shown to its servers cannot be.
    #[error("applications: `{application}`: expected a certificate and its private key in PEM in `{}`", file.display())]
    UpstreamIdentity {
        /// The application.
        application: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The auth host is no place for security keys.
    #[error("hosts.auth")]
    Webauthn(#[from] BadOrigin),
    /// Its upstream's CA file has no usable certificate.
    #[error("applications: `{application}`: `{}` holds no usable CA certificate", file.display())]
    NoAuthority {
        /// The application.
        application: String,
        /// The file.
        file: PathBuf,
    },
}

impl Setup {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// If the CA file of an upstream does not hold CA certificates, or no mail can leave.
    pub(crate) fn new(
        config: Config,
        trust: DeviceTrust,
        key_attestation: Option<Attestation>,
        retired: Vec<Arc<Authority>>,
        forward_auth: ForwardAuth,
    ) -> Result<Self, SetupError> {
        let mut served = HashMap::new();
        for application in config.applications() {
            let pool = POOLS.fetch_add(1, Ordering::Relaxed);
            served.insert(
                application.name.clone(),
                Arc::new(Served::new(application.clone(), pool)?),
            );
        }
        let auth_origin = origin(&config, config.hosts.auth.as_str());
        let brand = Brand::new(&config.branding);
        let webauthn = Webauthn::new(brand.name(), config.hosts.auth.as_str(), &auth_origin, key_attestation)?;
        Ok(Self {
            auth_origin,
            webauthn: Arc::new(webauthn),
            device_origin: config.hosts.device.as_ref().map(|host| origin(&config, host.as_str())),
            trust: Arc::new(trust),
            forward_auth,
            brand,
            retired,
            mail: open_mail(&config)?,
            no_zones: Arc::new([]),
            served,
            config,
        })
    }

    /// The origin of an application's first host that is no pattern.
    pub(crate) fn origin_of(&self, application: &Application) -> Option<String> {
        let name = application.hosts.iter().find_map(HostPattern::exact)?;
        Some(origin(&self.config, name))
    }

    /// A host, with the port at which browsers reach the gateway where that is not 443.
    pub(crate) fn authority_of(&self, host: &str) -> String {
        let origin = origin(&self.config, host);
        origin.strip_prefix("https://").unwrap_or(&origin).to_owned()
    }

    /// Keeps what is known of applications' servers, where they are the same as before.
    pub(crate) fn keep_servers(&mut self, before: &Self) {
        for (name, served) in &mut self.served {
            if let (Some(served), Some(before)) = (Arc::get_mut(served), before.served.get(name))
                && served.application.upstream == before.application.upstream
            {
                served.servers = before.servers.clone();
            }
        }
    }

    /// All applications, and what serving each takes.
    pub(crate) fn all_served(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.served.values()
    }

    /// What serving this application takes.
    pub(crate) fn served(&self, application: &Application) -> Option<&Arc<Served>> {
        self.served.get(&application.name)
    }
}

impl Served {
    fn new(application: Arc<Application>, pool: u64) -> Result<Self, SetupError> {
        let authority = application.upstream.tls.as_ref().and_then(|tls| tls.ca.as_deref());
        let upstream_authorities = authority
            .map(|file| read_authorities(&application.name, file))
            .transpose()?
            .map(Arc::from);
        let tls = application.upstream.tls.as_ref();
        let identity = tls.and_then(|tls| tls.client_certificate.as_ref());
        let upstream_identity = identity
            .map(|pair| read_identity(&application.name, pair))
            .transpose()?;
        let facts = AppFacts {
            name: application.name.clone(),
            sensitivity: application.sensitivity,
            groups: application.groups.iter().cloned().collect::<BTreeSet<_>>(),
            tags: application.tags.clone(),
        };
        let servers = Pool::new(&application.name, &application.upstream, Instant::now());
        Ok(Self {
            application,
            facts: Arc::new(facts),
            upstream_authorities,
            upstream_identity: upstream_identity.map(Arc::new),
            servers: Arc::new(servers),
            pool,
        })
    }
}

fn open_mail(config: &Config) -> Result<Option<Arc<Post>>, PostError> {
    let mail = config.mail.as_ref();
    let post = mail.map(|mail| Post::open(mail, config.hosts.auth.as_str()).map(Arc::new));
    post.transpose()
}

/// The origin of a host of the gateway (RFC 6454); the default port is left out.
pub(crate) fn origin(config: &Config, host: &str) -> String {
    match config.public_port.unwrap_or_else(|| config.listen.port()) {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// The certificate that the gateway shows, and its key, which is a secret.
fn read_identity(application: &str, files: &KeyPairFiles) -> Result<CertKey, SetupError> {
    let unfit = |file: &Path, source: Box<dyn std::error::Error + Send + Sync>| SetupError::UpstreamIdentity {
        application: application.to_owned(),
        file: file.to_owned(),
        source,
    };
    let (certificate, key) = (files.certificate.as_path(), files.key.as_path());
    let pem = private_file::read(key).map_err(|source| unfit(key, source.into()))?;
    let private = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|source| unfit(key, source.into()))?;
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|source| unfit(certificate, source.into()))?;
    let chain: Vec<_> = (chain.collect::<Result<_, _>>()).map_err(|source| unfit(certificate, Box::from(source)))?;
    // Tried out here: Pingora would find out at the first connection, and panics at certificates that it cannot read.
    let provider = rustls::crypto::ring::default_provider();
    let tried = rustls::sign::CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider);
    tried.map_err(|source| unfit(certificate, source.into()))?;
    for der in &chain {
        let read = pingora_x509_parser::parse_x509_certificate(der);
        read.map_err(|source| unfit(certificate, source.into()))?;
    }
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    Ok(CertKey::new(chain, private.secret_der().to_vec()))
}

fn read_authorities(application: &str, file: &Path) -> Result<Box<CaType>, SetupError> {
    let unreadable = |source| SetupError::UpstreamAuthority {
        application: application.to_owned(),
        file: file.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(unreadable)?;
    let mut roots = rustls::RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 || unusable > 0 {
        return Err(SetupError::NoAuthority {
            application: application.to_owned(),
            file: file.to_owned(),
        });
    }
    let wrapped = certificates.iter().filter_map(|certificate| {
        // Pingora reads CAs with its own version of x509-parser, and panics where that cannot.
        pingora_x509_parser::parse_x509_certificate(certificate).ok()?;
        WrappedX509::try_new(certificate.to_vec(), |der| {
            pingora_x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed)
        })
        .ok()
    });
    Ok(wrapped.collect())
}
