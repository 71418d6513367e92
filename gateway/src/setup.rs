//! What does the request path need of the configuration, ready to use? Built at each load, swapped as a whole.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora::protocols::tls::CaType;
use pingora::utils::tls::WrappedX509;
use policies::AppFacts;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{Application, Config, HostPattern};
use crate::device_trust::DeviceTrust;
use crate::factors::webauthn::{Attestation, BadOrigin, Webauthn};
use crate::mail::{Post, PostError};
use crate::pages::Brand;

/// Numbers the pools of upstream connections: after a reload none is reused whose peer was verified by other CAs.
static POOLS: AtomicU64 = AtomicU64::new(1);

/// A checked configuration and what was made of it.
pub(crate) struct Setup {
    /// The configuration.
    pub(crate) config: Config,
    /// Whom the gateway believes about devices.
    pub(crate) trust: Arc<DeviceTrust>,
    /// Where devices renew certificates: `https://host` or `https://host:port`, where there is such a host.
    pub(crate) device_origin: Option<String>,
    /// Where the auth host is: `https://host` or `https://host:port`.
    pub(crate) auth_origin: String,
    /// Asks security keys and passkeys.
    pub(crate) webauthn: Arc<Webauthn>,
    /// Whose the pages are.
    pub(crate) brand: Brand,
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
            brand,
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
        let facts = AppFacts {
            name: application.name.clone(),
            sensitivity: application.sensitivity,
            groups: application.groups.iter().cloned().collect::<BTreeSet<_>>(),
            tags: application.tags.clone(),
        };
        Ok(Self {
            application,
            facts: Arc::new(facts),
            upstream_authorities,
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
