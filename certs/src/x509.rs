//! Is this DER a certificate, may its holder sign others, and was it made by the demo?

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// Says why a DER is not a certificate that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// It is not an X.509 certificate.
    #[error("not an X.509 certificate in DER")]
    Unreadable,
    /// Something follows it.
    #[error("something follows the certificate")]
    Trailing,
    /// An extension is there twice, or is not what its identifier says.
    #[error("an extension of the certificate is malformed or repeated")]
    Extension,
}

/// Says why a certificate is not one that may sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthority {
    /// BasicConstraints do not say CA:TRUE.
    #[error("expected a CA certificate (BasicConstraints CA:TRUE)")]
    NotCa,
    /// KeyUsage lacks keyCertSign.
    #[error("expected KeyUsage keyCertSign")]
    NoCertSign,
    /// KeyUsage lacks cRLSign.
    #[error("expected KeyUsage cRLSign")]
    NoCrlSign,
}

/// Whether the demo's CA made this certificate, or it is that CA; a production configuration refuses both.
pub fn is_demo(der: &[u8]) -> bool {
    read(der).is_ok_and(|certificate| named_demo(certificate.subject()) || named_demo(certificate.issuer()))
}

/// Reads a certificate whose extensions are all readable and there once.
pub(crate) fn read(der: &[u8]) -> Result<X509Certificate<'_>, BadCertificate> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| BadCertificate::Unreadable)?;
    if !rest.is_empty() {
        return Err(BadCertificate::Trailing);
    }
    certificate.extensions_map().map_err(|_| BadCertificate::Extension)?;
    if certificate.extensions().iter().any(malformed) {
        Err(BadCertificate::Extension)
    } else {
        Ok(certificate)
    }
}

/// Checks that the holder may sign certificates (RFC 5280, sections 4.2.1.3 and 4.2.1.9).
pub(crate) fn check_certificate_signer(certificate: &X509Certificate<'_>) -> Result<(), NotAuthority> {
    if !certificate.is_ca() {
        return Err(NotAuthority::NotCa);
    }
    match key_usage(certificate) {
        Some(usage) if !usage.key_cert_sign() => Err(NotAuthority::NoCertSign),
        Some(_) | None => Ok(()),
    }
}

/// Checks that the holder may sign CRLs.
pub(crate) fn check_crl_signer(certificate: &X509Certificate<'_>) -> Result<(), NotAuthority> {
    match key_usage(certificate) {
        Some(usage) if !usage.crl_sign() => Err(NotAuthority::NoCrlSign),
        Some(_) | None => Ok(()),
    }
}

/// Whether an extension is not what its identifier says.
pub(crate) fn malformed(extension: &X509Extension<'_>) -> bool {
    matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })
}

fn key_usage<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a x509_parser::extensions::KeyUsage> {
    certificate.key_usage().ok().flatten().map(|usage| usage.value)
}

fn named_demo(name: &X509Name<'_>) -> bool {
    name.iter_organization()
        .any(|organization| organization.as_str() == Ok(DEMO_ORGANIZATION))
}

/// The organization in the subject of the demo's CA certificates.
pub(crate) const DEMO_ORGANIZATION: &str = "Latchkey demo - not for production";
