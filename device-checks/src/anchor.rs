//! Which CA is trusted to say something of devices? Its certificate, checked to be one that may sign others.

use std::time::Duration;

use directory::{Fingerprint, Timestamp};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

/// A CA that is trusted, by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    fingerprint: Fingerprint,
    not_before: Timestamp,
    not_after: Timestamp,
    subject: Vec<u8>,
    trust: TrustAnchor<'static>,
}

/// Says why a certificate cannot be an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchor {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is no CA's.
    #[error("expected a CA certificate (BasicConstraints CA:TRUE)")]
    NotCa,
    /// It may not sign certificates.
    #[error("expected KeyUsage keyCertSign")]
    NoCertSign,
    /// Chain verification cannot use it.
    #[error("chains cannot be verified with it: its key, name or name constraints have an unknown form")]
    Unusable,
}

/// Says why octets are no certificate that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// They are no certificate, or more than one.
    #[error("expected exactly one X.509 certificate in DER")]
    Shape,
    /// An extension is there twice, or is not what its identifier says.
    #[error("an extension of the certificate is malformed or repeated")]
    Extension,
}

impl Anchor {
    /// Takes the certificate of a CA, in DER.
    ///
    /// # Errors
    ///
    /// Refuses a certificate that is no CA's, or that may not sign others.
    pub fn parse(der: &[u8]) -> Result<Self, BadAnchor> {
        let certificate = read(der)?;
        if !certificate.is_ca() {
            return Err(BadAnchor::NotCa);
        }
        let usage = certificate.key_usage().map_err(|_| Unreadable::Extension)?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(BadAnchor::NoCertSign);
        }
        let trusted = CertificateDer::from(der);
        let trust = webpki::anchor_from_trusted_cert(&trusted).map_err(|_| BadAnchor::Unusable)?;
        let (not_before, not_after) = validity(&certificate);
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            not_before,
            not_after,
            subject: certificate.subject().as_raw().to_vec(),
            trust: trust.to_owned(),
        })
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// From when on it counts.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when it counts, this second included.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its subject name in DER: what the certificates that it issued call their issuer.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Whether it counts at this moment. Chain verification does not look at an anchor's dates.
    pub fn is_current(&self, now: Timestamp) -> bool {
        (self.not_before.secs()..=self.not_after.secs()).contains(&now.secs())
    }

    pub(crate) fn trust(&self) -> &TrustAnchor<'static> {
        &self.trust
    }
}

/// Reads a certificate whose extensions are all readable and there once.
pub(crate) fn read(der: &[u8]) -> Result<X509Certificate<'_>, Unreadable> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable::Shape)?;
    if !rest.is_empty() {
        return Err(Unreadable::Shape);
    }
    certificate.extensions_map().map_err(|_| Unreadable::Extension)?;
    let mut extensions = certificate.extensions().iter();
    if extensions.any(|extension| matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })) {
        Err(Unreadable::Extension)
    } else {
        Ok(certificate)
    }
}

/// From when and until when a certificate says it is valid.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let validity = certificate.validity();
    (
        Timestamp::from_secs(validity.not_before.timestamp()),
        Timestamp::from_secs(validity.not_after.timestamp()),
    )
}

/// The moment for chain verification; the epoch for what was before it, when no certificate was valid.
pub(crate) fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.secs()).unwrap_or(0)))
}
