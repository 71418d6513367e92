//! Does a management service know this machine? Its certificates are in a folder; the newest usable one signs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use device_checks::management::{Claims, TYPE};
use device_checks::wire::Timestamp;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// A management certificate, and the key it is for.
pub struct ManagementCertificate {
    der: Vec<u8>,
    key: Key,
    /// SHA-256 (hexadecimal) of its issuer's name in DER.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The file it is in.
    pub file: PathBuf,
}

/// Says why a pair of files is no management certificate.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("cannot read it or its key")]
    Unreadable(#[source] std::io::Error),
    /// Everybody can read the key.
    #[error("its key is open to everybody: `chmod o= {}`", .0.display())]
    TooOpen(PathBuf),
    /// The certificate is none.
    #[error("expected a certificate in PEM")]
    Certificate,
    /// The key is none that signs as wanted.
    #[error("expected the certificate's own key in PEM, P-256 or RSA")]
    Key,
    /// It is not valid now.
    #[error("it is over, or not valid yet")]
    Time,
}

/// Says that an attestation could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the management certificate's key does not sign")]
pub struct NotSigned;

enum Key {
    P256(SigningKey),
    Rsa(Box<RsaKeyPair>),
}

/// The certificates in a folder that can be used now, and why the others cannot; a folder that is not there has none.
pub fn find(folder: &Path, now: Timestamp) -> (Vec<ManagementCertificate>, Vec<(PathBuf, Unusable)>) {
    let (mut usable, mut unusable) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let certificates = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pem"));
    for file in certificates {
        match read(&file, now) {
            Ok(certificate) => usable.push(certificate),
            Err(why) => unusable.push((file, why)),
        }
    }
    (usable, unusable)
}

/// The newest of them by one of these issuers; by any where none is named.
pub fn newest<'a>(
    certificates: &'a [ManagementCertificate],
    issuers: Option<&[String]>,
) -> Option<&'a ManagementCertificate> {
    let accepted =
        |certificate: &&ManagementCertificate| issuers.is_none_or(|issuers| issuers.contains(&certificate.issuer));
    certificates
        .iter()
        .filter(accepted)
        .max_by_key(|certificate| (certificate.not_before, certificate.not_after))
}

impl ManagementCertificate {
    /// Signs what binds this certificate to an attempt and a key.
    ///
    /// # Errors
    ///
    /// Its key does not sign.
    pub fn attest(&self, claims: &Claims) -> Result<String, NotSigned> {
        let header = Header {
            alg: match self.key {
                Key::P256(_) => "ES256",
                Key::Rsa(_) => "RS256",
            },
            typ: TYPE,
            x5c: [STANDARD.encode(&self.der)],
        };
        let part = |json: Result<Vec<u8>, serde_json::Error>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
        let header = part(serde_json::to_vec(&header)).map_err(|_| NotSigned)?;
        let claims = part(serde_json::to_vec(claims)).map_err(|_| NotSigned)?;
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Key {
    fn read(pem: &[u8]) -> Option<Self> {
        let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
        if let Ok(key) = RsaKeyPair::from_der(key.secret_der()) {
            return Some(Self::Rsa(Box::new(key)));
        }
        match &key {
            PrivateKeyDer::Pkcs8(der) => SigningKey::from_pkcs8_der(der.secret_pkcs8_der())
                .map(Self::P256)
                .ok()
                .or_else(|| {
                    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
                        .ok()
                        .map(Box::new)
                        .map(Self::Rsa)
                }),
            PrivateKeyDer::Sec1(der) => p256::SecretKey::from_sec1_der(der.secret_sec1_der())
                .ok()
                .map(|key| Self::P256(key.into())),
            _ => None,
        }
    }

    /// Whether a certificate's SubjectPublicKeyInfo holds its public half.
    fn fits(&self, certificate: &X509Certificate<'_>) -> bool {
        let shown = &certificate.public_key().subject_public_key.data;
        match self {
            Self::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes() == shown.as_ref(),
            Self::Rsa(key) => key.public().as_ref() == shown.as_ref(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigned> {
        match self {
            Self::P256(key) => {
                let signature: Result<Signature, _> = key.sign_prehash(&Sha256::digest(message));
                signature
                    .map(|signature| signature.to_bytes().to_vec())
                    .map_err(|_| NotSigned)
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| NotSigned)?;
                Ok(signature)
            }
        }
    }
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    x5c: [String; 1],
}

fn read(file: &Path, now: Timestamp) -> Result<ManagementCertificate, Unusable> {
    let key_file = file.with_extension("key");
    let mode = fs::metadata(&key_file)
        .map_err(Unusable::Unreadable)?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(Unusable::TooOpen(key_file));
    }
    let der = pem::parse(fs::read(file).map_err(Unusable::Unreadable)?).map_err(|_| Unusable::Certificate)?;
    let der = der.into_contents();
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| Unusable::Certificate)?;
    let pem = zeroize::Zeroizing::new(fs::read(&key_file).map_err(Unusable::Unreadable)?);
    let key = Key::read(&pem)
        .filter(|key| key.fits(&certificate))
        .ok_or(Unusable::Key)?;
    let validity = certificate.validity();
    let [not_before, not_after] =
        [validity.not_before, validity.not_after].map(|time| Timestamp::from_secs(time.timestamp()));
    if now < not_before || now > not_after {
        return Err(Unusable::Time);
    }
    let issuer = Sha256::digest(certificate.issuer().as_raw());
    Ok(ManagementCertificate {
        issuer: issuer.iter().map(|octet| format!("{octet:02x}")).collect(),
        der,
        key,
        not_before,
        not_after,
        file: file.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use device_checks::wire::{AttemptId, PublicKey};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn the_newest_usable_certificate_by_an_accepted_issuer_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (corp, other) = (issuer("corp"), issuer("other"));
        put(folder.path(), "old", &corp, 2025, 2027);
        put(folder.path(), "new", &corp, 2026, 2027);
        put(folder.path(), "over", &corp, 2026, 2026);
        put(folder.path(), "foreign", &other, 2026, 2028);

        let (usable, unusable) = find(folder.path(), NOW);

        assert_eq!(usable.len(), 3);
        assert!(matches!(unusable.as_slice(), [(file, Unusable::Time)] if file.ends_with("over.pem")));
        let of = |name: &str| {
            usable
                .iter()
                .find(|one| one.file.ends_with(name))
                .unwrap()
                .issuer
                .clone()
        };
        let chosen =
            |issuers: &[String]| newest(&usable, Some(issuers)).map(|one| one.file.file_name().unwrap().to_owned());
        assert_eq!(chosen(&[of("old.pem")]).unwrap(), "new.pem");
        assert_eq!(chosen(&[of("foreign.pem")]).unwrap(), "foreign.pem");
        assert_eq!(chosen(&["00".repeat(32)]), None);
        assert_eq!(chosen(&[]), None);
        assert!(newest(&usable, None).is_some());
        assert!(find(&folder.path().join("none"), NOW).0.is_empty());
    }

    #[test]
    fn a_key_that_is_not_the_certificates_or_is_open_to_everybody_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let corp = issuer("corp");
        put(folder.path(), "a", &corp, 2026, 2027);
        put(folder.path(), "b", &corp, 2026, 2027);
        fs::copy(folder.path().join("b.key"), folder.path().join("a.key")).unwrap();
        let (usable, unusable) = find(folder.path(), NOW);
        assert_eq!((usable.len(), unusable.len()), (1, 1));
        assert!(matches!(unusable[0].1, Unusable::Key));

        fs::set_permissions(folder.path().join("b.key"), fs::Permissions::from_mode(0o644)).unwrap();
        let (usable, unusable) = find(folder.path(), NOW);
        assert!(usable.is_empty());
        assert!(unusable.iter().any(|(_, why)| matches!(why, Unusable::TooOpen(_))));
    }

    #[test]
    fn an_attestation_shows_the_certificate_and_is_signed_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a", &issuer("corp"), 2026, 2027);
        let (usable, _) = find(folder.path(), NOW);

        let token = usable[0].attest(&claims()).unwrap();

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().0).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["alg"], "ES256");
        assert_eq!(header["typ"], TYPE);
        let der = STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let point = certificate.public_key().subject_public_key.data.to_vec();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        assert!(key.verify(b"else", &signature).is_err());
    }

    #[test]
    fn an_rsa_certificate_attests_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("r.key");
        let made = std::process::Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=r", "-days", "3650", "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(folder.path().join("r.pem"))
            .output()
            .unwrap();
        assert!(made.status.success());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let certificate = fs::read(folder.path().join("r.pem")).unwrap();
        let begins = crate::state::leaf_of(&certificate).unwrap().not_before;
        let (usable, unusable) = find(folder.path(), begins);
        assert!(unusable.is_empty(), "{:?}", unusable[0].1);

        let token = usable[0].attest(&claims()).unwrap();

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, certificate) = X509Certificate::from_der(&usable[0].der).unwrap();
        let public = certificate.public_key().subject_public_key.data.to_vec();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
        assert!(
            key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
                .is_ok()
        );
    }

    fn claims() -> Claims {
        Claims {
            aud: "https://auth.example.com".to_owned(),
            iat: NOW.secs(),
            tx: AttemptId::from_random(1),
            nonce: "n".repeat(43),
            cnf: PublicKey { x: [1; 32], y: [2; 32] }.thumbprint(),
        }
    }

    fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    }

    fn put(folder: &Path, name: &str, issuer: &CertifiedIssuer<'static, KeyPair>, from: i32, to: i32) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 6, 1);
        let certificate = parameters.signed_by(&key, issuer).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        let file = folder.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
