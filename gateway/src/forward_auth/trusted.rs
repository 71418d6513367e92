//! Which proxy asks, and does the certificate that it hands on count? Judged by the configuration that is in force.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use device_checks::LeafCertificate;
use directory::{Fingerprint, Timestamp};
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tracing::info;

use super::certificate::ShownChain;
use crate::config::{Application, ForwardProxy};
use crate::front::{ClientAuthority, ClientTrustError, Connection, DeviceVerifier};
use crate::request::Denial;

/// The proxies that are believed, and by whom the certificates of their clients have to be issued.
pub(crate) struct ForwardAuth {
    proxies: Vec<Arc<TrustedProxy>>,
    devices: DeviceVerifier,
    /// Which configuration this is of.
    number: u64,
}

/// A proxy whose word counts on what its clients ask.
pub(crate) struct TrustedProxy {
    /// What the configuration says of it.
    pub(crate) settings: ForwardProxy,
    verifier: DeviceVerifier,
    /// When the first of its CAs, or of their lists, is over.
    anchors_until: Timestamp,
}

/// Which proxy's a connection was found to be, by which configuration, until when.
#[derive(Default)]
pub(crate) struct Standing(Mutex<Option<Found>>);

#[derive(Clone)]
struct Found {
    number: u64,
    until: Timestamp,
    proxy: Arc<TrustedProxy>,
}

/// Says why what a proxy hands on proves no device: no CA of the configuration vouches for it now, for clients.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotVouched(#[from] rustls::Error);

impl ForwardAuth {
    /// Takes proxies, each with the CAs that its own chain may end in, and the CAs of devices' certificates.
    ///
    /// # Errors
    /// If an anchor cannot be used.
    pub(crate) fn new(
        proxies: Vec<(ForwardProxy, Vec<Arc<ClientAuthority>>)>,
        devices: &[Arc<ClientAuthority>],
    ) -> Result<Self, ClientTrustError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let proxies = proxies
            .into_iter()
            .map(|(settings, anchors)| TrustedProxy::new(settings, &anchors).map(Arc::new));
        Ok(Self {
            proxies: proxies.collect::<Result<_, _>>()?,
            devices: DeviceVerifier::new(devices, true)?,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The proxy whose certificate was shown on this connection, by the configuration as it is and at this time.
    pub(crate) fn proxy_on(&self, connection: &Connection, now: Timestamp) -> Option<Arc<TrustedProxy>> {
        let mut known = connection.proxy.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known
            .as_ref()
            .filter(|found| found.number == self.number && now < found.until)
        {
            return Some(found.proxy.clone());
        }
        let (leaf, intermediates) = connection.chain.split_first()?;
        let mut proxies = self.proxies.iter();
        let Some(proxy) = proxies.find(|proxy| proxy.shows(leaf, intermediates, now)) else {
            info!(peer = %connection.peer, certificate = %Fingerprint::of(leaf), "asked with a certificate of no proxy");
            return None;
        };
        *known = Some(Found {
            number: self.number,
            until: until(connection.certificate.as_ref()?, now).min(proxy.anchors_until),
            proxy: proxy.clone(),
        });
        Some(proxy.clone())
    }

    /// The device's certificate that a client showed to its proxy: its chain, its time and its use are judged as at a
    /// handshake of the gateway's own. That the client holds the key is the proxy's word.
    ///
    /// # Errors
    /// If it does not end in a CA that devices' certificates may end in, or is not for clients, or not of this time.
    pub(crate) fn vouch(&self, shown: &ShownChain, now: Timestamp) -> Result<LeafCertificate, NotVouched> {
        self.devices
            .verify_client_cert(&shown.leaf, &shown.intermediates, unix_time(now))?;
        LeafCertificate::parse(&shown.leaf)
            .map_err(|_| NotVouched(rustls::Error::InvalidCertificate(CertificateError::BadEncoding)))
    }
}

impl NotVouched {
    /// What that is called as an answer.
    pub(crate) fn denial(&self) -> Denial {
        match self.0 {
            rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                Denial::CertificateExpired
            }
            _ => Denial::CertificateUnknown,
        }
    }
}

impl TrustedProxy {
    fn new(settings: ForwardProxy, anchors: &[Arc<ClientAuthority>]) -> Result<Self, ClientTrustError> {
        let until = anchors.iter().map(|anchor| anchor.until()).min();
        Ok(Self {
            settings,
            verifier: DeviceVerifier::new(anchors, true)?,
            anchors_until: until.unwrap_or(Timestamp::from_secs(0)),
        })
    }

    /// What the decision log calls it.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it stands before this application.
    pub(crate) fn serves(&self, application: &Application) -> bool {
        self.settings.applications.contains(&application.name)
    }

    /// Whether a certificate whose key was proved on a connection is this proxy's.
    fn shows(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let ForwardProxy {
            names, fingerprints, ..
        } = &self.settings;
        let pinned = fingerprints.is_empty() || fingerprints.contains(&Fingerprint::of(leaf));
        pinned
            && (names.is_empty() || names.iter().any(|name| is_named(leaf, name.as_str())))
            && self
                .verifier
                .verify_client_cert(leaf, intermediates, unix_time(now))
                .is_ok()
    }
}

fn is_named(leaf: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(leaf), Ok(name)) = (webpki::EndEntityCert::try_from(leaf), ServerName::try_from(name)) else {
        return false;
    };
    leaf.verify_is_valid_for_subject_name(&name).is_ok()
}

/// Until when what was verified is taken as that: chains have intermediates whose time ends too.
fn until(leaf: &LeafCertificate, now: Timestamp) -> Timestamp {
    now.plus(VERIFIED_AGAIN).min(leaf.not_after)
}

fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.secs()).unwrap_or_default()))
}

/// Chains are verified anew this often.
const VERIFIED_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use certs::{Authority, Material, Purpose, Terms};
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};

    use super::*;
    use crate::config::{CertificatePlace, OnStale};

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    struct Ca {
        authority: Arc<ClientAuthority>,
        der: Vec<u8>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn ca(name: &str) -> Ca {
        let terms = Terms {
            now: NOW,
            lifetime: Duration::from_secs(86_400 * 30),
            random: [7; 16],
        };
        let made = Authority::create(name, Purpose::Device, Material::Production, &terms).unwrap();
        let der = certs::read_certificates(&made.certificate_pem).unwrap().remove(0);
        let issuer = Issuer::from_ca_cert_pem(&made.certificate_pem, KeyPair::from_pem(&made.key_pem).unwrap());
        let anchor = certs::read_anchors(&made.certificate_pem, Purpose::Device)
            .unwrap()
            .remove(0);
        Ca {
            authority: Arc::new(ClientAuthority::without_list(anchor)),
            der,
            issuer: issuer.unwrap(),
        }
    }

    fn client(ca: &Ca, name: &str, seconds: i64) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let at = |moment: Timestamp| time::OffsetDateTime::from_unix_timestamp(moment.secs()).unwrap();
        params.not_before = at(NOW);
        params.not_after = at(Timestamp::from_secs(NOW.secs() + seconds));
        let signed = params.signed_by(&KeyPair::generate().unwrap(), &ca.issuer).unwrap();
        signed.der().clone()
    }

    fn settings(names: &[&str], fingerprints: &[Fingerprint]) -> ForwardProxy {
        let names = names.iter().map(|name| crate::config::HostName::parse(name).unwrap());
        ForwardProxy {
            name: "edge".to_owned(),
            authority: crate::config::ClientAuthority {
                certificate: PathBuf::new(),
                crl: None,
                on_stale: OnStale::Refuse,
            },
            names: names.collect(),
            fingerprints: fingerprints.to_vec(),
            certificate_from: CertificatePlace::Nowhere,
            applications: vec!["wiki".to_owned()],
            public_port: 443,
        }
    }

    fn shows(settings: ForwardProxy, ca: &Ca, leaf: &CertificateDer<'_>, now: Timestamp) -> bool {
        let proxy = TrustedProxy::new(settings, std::slice::from_ref(&ca.authority)).unwrap();
        proxy.shows(leaf, &[], now)
    }

    #[test]
    fn a_proxy_is_a_certificate_of_its_ca_with_what_the_configuration_names() {
        let (own, other) = (ca("proxies"), ca("others"));
        let leaf = client(&own, "edge.example.com", 86_400);
        let fingerprint = Fingerprint::of(&leaf);
        let named = || settings(&["edge.example.com"], &[]);
        let later = NOW.plus(Duration::from_secs(86_401));

        assert!(shows(named(), &own, &leaf, NOW));
        assert!(shows(settings(&[], &[fingerprint]), &own, &leaf, NOW));
        assert!(shows(settings(&["edge.example.com"], &[fingerprint]), &own, &leaf, NOW));
        assert!(!shows(named(), &other, &leaf, NOW), "of another CA");
        assert!(
            !shows(settings(&[], &[fingerprint]), &other, &leaf, NOW),
            "pinned, and of another CA"
        );
        assert!(
            !shows(named(), &own, &client(&own, "other.example.com", 86_400), NOW),
            "another name"
        );
        assert!(!shows(
            settings(&["edge.example.com"], &[Fingerprint::of(b"")]),
            &own,
            &leaf,
            NOW
        ));
        assert!(!shows(named(), &own, &leaf, later), "over");
    }

    #[test]
    fn what_a_proxy_hands_on_is_verified_as_at_a_handshake() {
        let (devices, others) = (ca("devices"), ca("others"));
        let forward_auth = ForwardAuth::new(Vec::new(), std::slice::from_ref(&devices.authority)).unwrap();
        let shown = |leaf: CertificateDer<'static>| ShownChain::of(vec![leaf]).unwrap();
        let good = shown(client(&devices, "a.example.com", 100));

        let leaf = forward_auth.vouch(&good, NOW).unwrap();
        assert_eq!(leaf.fingerprint, Fingerprint::of(&good.leaf));
        assert!(forward_auth.vouch(&good, NOW.plus(Duration::from_secs(99))).is_ok());
        assert!(
            forward_auth.vouch(&good, NOW.plus(Duration::from_secs(101))).is_err(),
            "over, although it was verified"
        );
        assert!(
            forward_auth
                .vouch(&shown(client(&others, "a.example.com", 100)), NOW)
                .is_err()
        );
        assert!(
            forward_auth.vouch(&shown(devices.der.clone().into()), NOW).is_err(),
            "a CA is no client"
        );
        assert!(forward_auth.vouch(&shown(vec![0x30, 0].into()), NOW).is_err());
    }
}
