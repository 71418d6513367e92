//! What do the files say? Everything that a running gateway reads from them, at start and again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{Authority, BadAnchors, BadCrl, BadPem, ForeignCrl, LoadError, Purpose};
use device_checks::attestation::{BadRoots, Roots};
use device_checks::{Anchor, BadAnchor};
use directory::Timestamp;
use policies::{CacheLimits, Decider, LoadErrors, PolicyFile, PolicySet};

use crate::config::{self, ClientAuthority, Config, ConfigErrors, KeyPairFiles, OnStale};
use crate::device_trust::{DeviceTrust, Manager};
use crate::factors::webauthn::{Attestation, BadKeyRoots};
use crate::forward_auth::ForwardAuth;
use crate::front::{ClientAuthority as FrontAuthority, ClientTrustError, Trust, TrustError};
use crate::private_file::{self, PrivateFileError};
use crate::setup::{Setup, SetupError};

/// The configuration and what it names, but for the policies.
pub(crate) struct Loaded {
    /// The configuration, ready to use.
    pub(crate) setup: Setup,
    /// Server certificates and trust anchors.
    pub(crate) trust: Trust,
    /// The CA of the device certificates.
    pub(crate) authority: Authority,
}

/// Says why the gateway cannot run as it is told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadFailure {
    /// The configuration is not as expected.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// An application cannot be served.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Proxies of others, or what they hand on, cannot be verified.
    #[error(transparent)]
    Clients(#[from] ClientTrustError),
    /// The CA of a proxy cannot be used.
    #[error("forward_auth.proxies: `{}`", file.display())]
    ProxyAnchors {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadAnchors,
    },
    /// The CA of a proxy is the one that signs the device certificates.
    #[error(
        "forward_auth.proxies: `{}` is the CA of the device certificates, which issues to devices: expected one for proxies",
        file.display()
    )]
    ProxyAuthority {
        /// The file.
        file: PathBuf,
    },
    /// A private key cannot be used.
    #[error(transparent)]
    Key(#[from] PrivateFileError),
    /// A file cannot be read.
    #[error("cannot read `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The CA of the device certificates cannot be used.
    #[error("{key}: `{}`", file.display())]
    Authority {
        /// What the configuration calls it.
        key: &'static str,
        /// Its certificate.
        file: PathBuf,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// A trusted CA cannot be used.
    #[error("tls.client_certificate_authorities: `{}`", file.display())]
    Anchors {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadAnchors,
    },
    /// A root of attestation cannot be used.
    #[error("attestation.roots")]
    Roots(#[source] BadRoots),
    /// A root of security keys cannot be used.
    #[error("sign_in.webauthn.attestation.roots")]
    KeyRoots(#[source] BadKeyRoots),
    /// A file of certificates cannot be read.
    #[error("expected certificates in PEM in `{}`", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadPem,
    },
    /// A management CA cannot be used.
    #[error("management.authorities: `{}`", file.display())]
    Manager {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadAnchor,
    },
    /// A CA's time has not come, or is over.
    #[error("the CA in `{}` is valid from {not_before} to {not_after} only", file.display())]
    OutOfTime {
        /// The file.
        file: PathBuf,
        /// From when on.
        not_before: Timestamp,
        /// Until when.
        not_after: Timestamp,
    },
    /// A revocation list cannot be trusted.
    #[error("the revocation list `{}`", file.display())]
    Crl {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadCrl,
    },
    /// A CA of the demo stands in another configuration.
    #[error(
        "`{}` was made by the demo, and everybody can make its like: expected a CA of your own (or `demo: true`)",
        file.display()
    )]
    DemoMaterial {
        /// The file.
        file: PathBuf,
    },
    /// The policies are not fit to decide.
    #[error(transparent)]
    Policies(#[from] LoadErrors),
    /// There is no policy file.
    #[error("policies: `{}` has no .cedar file", folder.display())]
    NoPolicies {
        /// The folder.
        folder: PathBuf,
    },
}

/// Reads the configuration and everything that it names, but for the policies.
///
/// # Errors
/// If anything is not as expected: the gateway then does not start, or goes on with what it had.
pub(crate) fn load(config: &Path, now: Timestamp) -> Result<Loaded, LoadFailure> {
    let config = config::load(config)?;
    let authority = load_authority(
        "tls.device_certificate_authority",
        &config.tls.device_authority,
        &config,
        now,
    )?;
    let retired = load_retired(&config, now)?;
    let authorities = load_client_authorities(&config, now)?;
    check_server_certificates(&config)?;
    let own: Vec<_> = std::iter::once(&authority)
        .chain(retired.iter().map(AsRef::as_ref))
        .collect();
    let proxies = load_proxy_authorities(&config, &own, now)?;
    let trust = Trust::load(&config, &authorities, &proxies.concat(), now)?;
    let asking = config.forward_proxies.iter().cloned().zip(proxies);
    let forward_auth = ForwardAuth::new(asking.collect(), &authorities)?;
    Ok(Loaded {
        setup: {
            let devices = load_device_trust(&config, now)?;
            let key_attestation = load_key_attestation(&config)?;
            Setup::new(config, devices, key_attestation, retired, forward_auth)?
        },
        trust,
        authority,
    })
}

/// The CAs that signed device certificates before the present one.
fn load_retired(config: &Config, now: Timestamp) -> Result<Vec<Arc<Authority>>, LoadFailure> {
    let retired = config.tls.retired_authorities.iter().map(|files| {
        let key = "tls.retired_device_certificate_authorities";
        load_authority(key, files, config, now).map(Arc::new)
    });
    retired.collect()
}

/// Whose client certificates may connect: our own CAs' first.
fn load_client_authorities(config: &Config, now: Timestamp) -> Result<Vec<Arc<FrontAuthority>>, LoadFailure> {
    let own = std::iter::once(&config.tls.device_authority).chain(&config.tls.retired_authorities);
    let own = own.map(|files| ClientAuthority {
        certificate: files.certificate.clone(),
        crl: None,
        on_stale: OnStale::Refuse,
    });
    let mut authorities = Vec::new();
    for trusted in own.chain(config.tls.client_authorities.iter().cloned()) {
        let file = &trusted.certificate;
        let found = certs::read_anchors(&read(file)?, Purpose::Device).map_err(|source| LoadFailure::Anchors {
            file: file.clone(),
            source,
        })?;
        for anchor in found {
            check_time(file, anchor.not_before, anchor.not_after, now)?;
            check_demo(file, anchor.demo, config)?;
            let revoked = load_crl(&trusted, &anchor.der, now)?;
            authorities.push(Arc::new(FrontAuthority {
                anchor,
                revoked,
                on_stale: trusted.on_stale,
            }));
        }
    }
    Ok(authorities)
}

/// The CAs of each proxy's own certificate.
fn load_proxy_authorities(
    config: &Config,
    own: &[&Authority],
    now: Timestamp,
) -> Result<Vec<Vec<Arc<FrontAuthority>>>, LoadFailure> {
    let is_own = |der: &[u8]| own.iter().any(|own| own.certificate_der() == der);
    let mut all = Vec::new();
    for proxy in &config.forward_proxies {
        let file = &proxy.authority.certificate;
        let found = certs::read_anchors(&read(file)?, Purpose::Device).map_err(|source| LoadFailure::ProxyAnchors {
            file: file.clone(),
            source,
        })?;
        let mut anchors = Vec::new();
        for anchor in found {
            check_time(file, anchor.not_before, anchor.not_after, now)?;
            check_demo(file, anchor.demo, config)?;
            if is_own(&anchor.der) {
                return Err(LoadFailure::ProxyAuthority { file: file.clone() });
            }
            let revoked = load_crl(&proxy.authority, &anchor.der, now)?;
            anchors.push(Arc::new(FrontAuthority {
                anchor,
                revoked,
                on_stale: proxy.authority.on_stale,
            }));
        }
        all.push(anchors);
    }
    Ok(all)
}

/// Reads and validates the policies of a folder.
///
/// # Errors
/// If there are none, or any of them is not fit to decide.
pub(crate) fn load_policies(folder: &Path) -> Result<Decider, LoadFailure> {
    Ok(Decider::new(
        Arc::new(PolicySet::load(&read_policies(folder)?)?),
        CacheLimits::default(),
    ))
}

/// Reads the `.cedar` files of a folder.
///
/// # Errors
/// If there are none, or one cannot be read.
pub(crate) fn read_policies(folder: &Path) -> Result<Vec<PolicyFile>, LoadFailure> {
    let entries = std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            files.push(PolicyFile {
                name: path.display().to_string(),
                text: read(&path)?,
            });
        }
    }
    if files.is_empty() {
        Err(LoadFailure::NoPolicies {
            folder: folder.to_owned(),
        })
    } else {
        Ok(files)
    }
}

/// Whom to believe about devices: roots of attestation, and the CAs of management certificates.
fn load_device_trust(config: &Config, now: Timestamp) -> Result<DeviceTrust, LoadFailure> {
    let mut roots = Vec::new();
    for root in &config.attestation.roots {
        for der in read_certificates(&root.certificate)? {
            check_demo(&root.certificate, certs::is_demo(&der), config)?;
            roots.push((der, root.class));
        }
    }
    let roots = Roots::new(roots, config.attestation.denied.iter().copied()).map_err(LoadFailure::Roots)?;
    let mut managers = Vec::new();
    for authority in &config.management.authorities {
        for der in read_certificates(&authority.certificate)? {
            check_demo(&authority.certificate, certs::is_demo(&der), config)?;
            let revoked = load_crl(authority, &der, now)?;
            managers.push(manager(&authority.certificate, &der, revoked, authority.on_stale)?);
        }
    }
    let own = config.management.own_authority.as_ref();
    let own = own
        .map(|files| load_authority("management.certificate_authority", files, config, now))
        .transpose()?;
    if let (Some(own), Some(files)) = (&own, &config.management.own_authority) {
        managers.push(manager(
            &files.certificate,
            own.certificate_der(),
            None,
            OnStale::Refuse,
        )?);
    }
    let sources = config.mdm_sources.as_slice().into();
    Ok(DeviceTrust::new(sources, roots, managers, own, config.demo))
}

/// Whose word on the hardware of security keys counts.
fn load_key_attestation(config: &Config) -> Result<Option<Attestation>, LoadFailure> {
    let Some(configured) = &config.sign_in.key_attestation else {
        return Ok(None);
    };
    let mut roots = Vec::new();
    for file in &configured.roots {
        for der in read_certificates(file)? {
            check_demo(file, certs::is_demo(&der), config)?;
            roots.push(der);
        }
    }
    let attestation = Attestation::new(&roots, configured.models.clone(), configured.required);
    attestation.map(Some).map_err(LoadFailure::KeyRoots)
}

fn manager(file: &Path, der: &[u8], revoked: Option<ForeignCrl>, on_stale: OnStale) -> Result<Manager, LoadFailure> {
    let anchor = Anchor::parse(der).map_err(|source| LoadFailure::Manager {
        file: file.to_owned(),
        source,
    })?;
    Ok(Manager {
        anchor,
        revoked,
        on_stale,
    })
}

/// The revocation list of somebody else's CA, verified once, here. One that is out of date is taken, and then asked as the
/// configuration says: the rest of it must not wait for a newer one.
fn load_crl(authority: &ClientAuthority, issuer: &[u8], now: Timestamp) -> Result<Option<ForeignCrl>, LoadFailure> {
    let Some(crl) = &authority.crl else { return Ok(None) };
    let bytes = std::fs::read(crl).map_err(|source| unreadable(crl, source))?;
    let list = ForeignCrl::verify_late(&bytes, issuer, now).map_err(|source| LoadFailure::Crl {
        file: crl.clone(),
        source,
    })?;
    if list.next_update() <= now {
        let counts = authority.on_stale == OnStale::Accept;
        tracing::warn!(crl = %crl.display(), still_accepted = counts, "a revocation list is out of date: certificates of its CA count only where on_stale says so");
    }
    Ok(Some(list))
}

fn read_certificates(file: &Path) -> Result<Vec<Vec<u8>>, LoadFailure> {
    certs::read_certificates(&read(file)?).map_err(|source| LoadFailure::Certificates {
        file: file.to_owned(),
        source,
    })
}

fn load_authority(
    name: &'static str,
    files: &KeyPairFiles,
    config: &Config,
    now: Timestamp,
) -> Result<Authority, LoadFailure> {
    let key = private_file::read(&files.key)?;
    let authority = Authority::load(&read(&files.certificate)?, &key).map_err(|source| LoadFailure::Authority {
        key: name,
        file: files.certificate.clone(),
        source,
    })?;
    check_time(&files.certificate, authority.not_before(), authority.not_after(), now)?;
    check_demo(&files.certificate, authority.is_demo(), config)?;
    Ok(authority)
}

/// Server keys are secrets too, and the demo's server certificates are the demo's only.
fn check_server_certificates(config: &Config) -> Result<(), LoadFailure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    for files in config.tls.server_certificates.iter().map(|server| &server.pair) {
        private_file::read(&files.key)?;
        let text = read(&files.certificate)?;
        let demo = CertificateDer::pem_slice_iter(text.as_bytes())
            .flatten()
            .any(|der| certs::is_demo(&der));
        check_demo(&files.certificate, demo, config)?;
    }
    Ok(())
}

fn check_time(file: &Path, not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> Result<(), LoadFailure> {
    if now < not_before || now > not_after {
        return Err(LoadFailure::OutOfTime {
            file: file.to_owned(),
            not_before,
            not_after,
        });
    }
    Ok(())
}

fn check_demo(file: &Path, demo: bool, config: &Config) -> Result<(), LoadFailure> {
    if demo && !config.demo {
        Err(LoadFailure::DemoMaterial { file: file.to_owned() })
    } else {
        Ok(())
    }
}

fn read(file: &Path) -> Result<String, LoadFailure> {
    std::fs::read_to_string(file).map_err(|source| unreadable(file, source))
}

fn unreadable(file: &Path, source: io::Error) -> LoadFailure {
    LoadFailure::Unreadable {
        file: file.to_owned(),
        source,
    }
}
