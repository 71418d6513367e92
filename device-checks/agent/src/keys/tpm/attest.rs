//! How does a TPM prove which machine it is and which keys live in it? By its endorsement key, whose maker signed it,
//! and an
//! attestation key that the endorsement key's holder alone can activate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use device_checks::attestation::{DeviceStatement, KeyStatement, TpmDevice, TpmKey};
use device_checks::wire::{Credential, Octets};
use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ak, ek};
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::constants::response_code::Tss2ResponseCodeKind;
use tss_esapi::handles::{AuthHandle, KeyHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, SignatureSchemeAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Data, EncryptedSecret, IdObject, Private, Public, SignatureScheme, SymmetricDefinition};
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::{Context, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::connection::{Connection, failed};
use super::guarded;
use crate::keys::software::hardware;
use crate::keys::{Attestor, DeviceKey, KeyError};

/// A TPM that proves itself. Its attestation key is a new one for each enrolment.
pub struct TpmAttestor {
    tcti: String,
    key: Mutex<Option<AttestationKey>>,
}

#[derive(Clone)]
struct AttestationKey {
    public: Public,
    private: Private,
}

impl TpmAttestor {
    /// The TPM that is reached this way.
    pub fn new(tcti: &str) -> Self {
        Self {
            tcti: tcti.to_owned(),
            key: Mutex::new(None),
        }
    }

    fn key(&self) -> MutexGuard<'_, Option<AttestationKey>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self) -> Result<AttestationKey, KeyError> {
        let key = self.key().clone();
        key.ok_or_else(|| hardware("attest", "no attestation key was made before"))
    }
}

impl Attestor for TpmAttestor {
    fn begin(&self) -> Result<DeviceStatement, KeyError> {
        let mut connection = Connection::open(&self.tcti)?;
        let certificate = certificate(connection.context())?;
        let made = with_endorsement(connection.context(), |context, endorsement| {
            let (public, _, _) = context.read_public(endorsement)?;
            let key = ak::create_ak_2(
                context,
                endorsement,
                HashingAlgorithm::Sha256,
                AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
                SignatureSchemeAlgorithm::EcDsa,
                None,
                None,
            )?;
            Ok((public, key))
        });
        let (endorsement, made) = made.map_err(|error| failed("make an attestation key", error))?;
        let marshalled = |public: &Public| public.marshall().map(Octets);
        let read = |error| failed("read an attestation key", error);
        let statement = TpmDevice {
            ver: VERSION.to_owned(),
            x5c: vec![Octets(certificate)],
            ek: marshalled(&endorsement).map_err(read)?,
            ak: marshalled(&made.out_public).map_err(read)?,
        };
        *self.key() = Some(AttestationKey {
            public: made.out_public,
            private: made.out_private,
        });
        Ok(DeviceStatement::Tpm(statement))
    }

    fn activate(&self, credential: &Credential) -> Result<Octets, KeyError> {
        let key = self.begun()?;
        let mut connection = Connection::open(&self.tcti)?;
        let opened = with_endorsement(connection.context(), |context, endorsement| {
            let blob = IdObject::try_from(credential.blob.0.clone())?;
            let secret = EncryptedSecret::try_from(credential.secret.0.clone())?;
            let attesting = ak::load_ak(context, endorsement, None, key.private, key.public)?;
            context.execute_with_temporary_object(attesting.into(), |context, attesting| {
                with_endorsement_policy(context, |context, session| {
                    let sessions = (Some(AuthSession::Password), Some(session), None);
                    context.execute_with_sessions(sessions, |context| {
                        context.activate_credential(attesting.into(), endorsement, blob, secret)
                    })
                })
            })
        });
        let opened =
            opened.map_err(|error| failed("open the gateway's credential: it may be for another machine", error))?;
        Ok(Octets(opened.value().to_vec()))
    }

    fn certify(&self, key: &dyn DeviceKey, qualifying: &[u8; 32]) -> Result<KeyStatement, KeyError> {
        let Some(certifiable) = key.certifiable() else {
            return Ok(KeyStatement::None);
        };
        let attesting = self.begun()?;
        let read = |error| failed("read a key", error);
        let public = Public::unmarshall(&certifiable.public.0).map_err(read)?;
        let private = Private::try_from(certifiable.private.0.clone()).map_err(read)?;
        let mut connection = Connection::open(&self.tcti)?;
        let takes_pin = !certifiable.authorization.is_empty();
        let (certified, signature) = guarded(&mut connection, takes_pin, |connection| {
            let certified =
                connection.with_loaded(&public, &private, certifiable.authorization, |context, key, session| {
                    let attesting = load_attesting(context, attesting)?;
                    context.execute_with_temporary_object(attesting.into(), |context, attesting| {
                        let qualifying = Data::try_from(qualifying.as_slice())?;
                        let sessions = (Some(session), Some(AuthSession::Password), None);
                        context.execute_with_sessions(sessions, |context| {
                            context.certify(key.into(), attesting.into(), qualifying, SignatureScheme::Null)
                        })
                    })
                });
            certified.map_err(|error| failed("certify a key", error))
        })?;
        Ok(KeyStatement::Tpm(TpmKey {
            ver: VERSION.to_owned(),
            pub_area: certifiable.public.clone(),
            cert_info: Octets(certified.marshall().map_err(read)?),
            sig: Octets(signature.marshall().map_err(read)?),
        }))
    }
}

/// The endorsement key's certificate, as its maker put it into the TPM, without what pads it.
fn certificate(context: &mut Context) -> Result<Vec<u8>, KeyError> {
    let stored = ek::retrieve_ek_pubcert(context, ENDORSEMENT).map_err(|error| match error {
        Error::Tss2Error(code) if code.kind() == Some(Tss2ResponseCodeKind::Handle) => KeyError::NoCertificate,
        error => failed("read the endorsement key's certificate", error),
    })?;
    let (padding, _) = X509Certificate::from_der(&stored).map_err(|_| KeyError::NoCertificate)?;
    let length = stored.len().saturating_sub(padding.len());
    Ok(stored.into_iter().take(length).collect())
}

/// Makes the endorsement key, which is the same each time, and does something with it.
fn with_endorsement<T>(
    context: &mut Context,
    work: impl FnOnce(&mut Context, KeyHandle) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let endorsement = ek::create_ek_object_2(context, ENDORSEMENT, None)?;
    context.execute_with_temporary_object(endorsement.into(), |context, endorsement| {
        work(context, endorsement.into())
    })
}

/// Loads the attestation key; the endorsement key takes a slot only meanwhile.
fn load_attesting(context: &mut Context, key: AttestationKey) -> tss_esapi::Result<KeyHandle> {
    with_endorsement(context, |context, endorsement| {
        ak::load_ak(context, endorsement, None, key.private, key.public)
    })
}

/// A session that the endorsement key obeys: its policy asks for the endorsement hierarchy's authorisation
/// (TCG EK Credential Profile, section B.3).
fn with_endorsement_policy<T>(
    context: &mut Context,
    work: impl FnOnce(&mut Context, AuthSession) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let session = context.start_auth_session(
        None,
        None,
        None,
        SessionType::Policy,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    )?;
    let session = session.ok_or(Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm))?;
    context.execute_with_temporary_object(SessionHandle::from(session).into(), |context, _| {
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(true)
            .with_encrypt(true)
            .build();
        context.tr_sess_set_attributes(session, attributes, mask)?;
        let policy = PolicySession::try_from(session)?;
        context.execute_with_session(Some(AuthSession::Password), |context| {
            let none = Default::default;
            context.policy_secret(
                policy,
                AuthHandle::Endorsement,
                none(),
                Default::default(),
                Default::default(),
                None,
            )
        })?;
        work(context, session)
    })
}

const VERSION: &str = "2.0";
/// TCG's default template for RSA with 2048 bits, for which most TPMs have a certificate.
const ENDORSEMENT: AsymmetricAlgorithmSelection = AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048);
