//! How is the TPM talked to? One connection at a time, with three slots for keys: whatever is loaded is flushed.

use std::str::FromStr;

use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::response_code::Tss2ResponseCodeKind;
use tss_esapi::constants::{PropertyTag, SessionType};
use tss_esapi::handles::{KeyHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    EccPoint, EccScheme, KeyDerivationFunctionScheme, Private, Public, PublicBuilder, PublicEccParametersBuilder,
    SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::{Context, Error, TctiNameConf};

use super::auth;
use crate::keys::KeyError;

/// A connection to a TPM; it ends with the value.
pub(super) struct Connection {
    context: Context,
}

impl Connection {
    /// Connects.
    pub(super) fn open(tcti: &str) -> Result<Self, KeyError> {
        let name = TctiNameConf::from_str(tcti).map_err(|error| failed("understand the TPM's address", error))?;
        let context = Context::new(name).map_err(|error| failed("reach the TPM", error))?;
        Ok(Self { context })
    }

    /// For what is asked of the TPM directly.
    pub(super) fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    /// A number that the TPM says of itself.
    pub(super) fn property(&mut self, property: PropertyTag) -> Result<Option<u32>, KeyError> {
        self.context
            .get_tpm_property(property)
            .map_err(|error| failed("ask the TPM about itself", error))
    }

    /// Makes a key under the storage root key.
    pub(super) fn create(&mut self, template: Public, authorization: &[u8]) -> Result<(Public, Private), KeyError> {
        let created = with_root(&mut self.context, |context, root| {
            with_session(context, root, |context, session| {
                let authorization = auth(authorization)?;
                context.execute_with_session(Some(session), |context| {
                    context.create(root, template, Some(authorization), None, None, None)
                })
            })
        });
        let created = created.map_err(|error| failed("make a key in the TPM", error))?;
        Ok((created.out_public, created.out_private))
    }

    /// Gives a key another authorisation value.
    pub(super) fn change(
        &mut self,
        public: &Public,
        private: &Private,
        old: &[u8],
        new: &[u8],
    ) -> Result<Private, KeyError> {
        let changed = with_root(&mut self.context, |context, root| {
            with_session(context, root, |context, session| {
                let key = load(context, root, public, private, old)?;
                context.execute_with_temporary_object(key.into(), |context, key| {
                    let new = auth(new)?;
                    context.execute_with_session(Some(session), |context| {
                        context.object_change_auth(key, root.into(), new)
                    })
                })
            })
        });
        changed.map_err(|error| failed("change a key's PIN in the TPM", error))
    }

    /// Loads a key and does something with it, in a session that shows its authorisation value without saying it.
    pub(super) fn with_key<T>(
        &mut self,
        public: &Public,
        private: &Private,
        authorization: &[u8],
        doing: &'static str,
        work: impl FnOnce(&mut Context, KeyHandle) -> tss_esapi::Result<T>,
    ) -> Result<T, KeyError> {
        let done = self.with_loaded(public, private, authorization, |context, key, session| {
            context.execute_with_session(Some(session), |context| work(context, key))
        });
        done.map_err(|error| failed(doing, error))
    }

    /// Loads a key, and a session for it; the storage root key is gone again by then.
    pub(super) fn with_loaded<T>(
        &mut self,
        public: &Public,
        private: &Private,
        authorization: &[u8],
        work: impl FnOnce(&mut Context, KeyHandle, AuthSession) -> tss_esapi::Result<T>,
    ) -> tss_esapi::Result<T> {
        let (key, session) = with_root(&mut self.context, |context, root| {
            let key = load(context, root, public, private, authorization)?;
            match start_session(context, root) {
                Ok(session) => Ok((key, session)),
                Err(error) => {
                    context.flush_context(key.into())?;
                    Err(error)
                }
            }
        })?;
        self.context.execute_with_temporary_object(key.into(), |context, key| {
            context.execute_with_temporary_object(SessionHandle::from(session).into(), |context, _| {
                work(context, key.into(), session)
            })
        })
    }
}

/// Says why the TPM did not do something; that a PIN was wrong is told apart.
pub(super) fn failed(doing: &'static str, error: Error) -> KeyError {
    let kind = match error {
        Error::Tss2Error(code) => code.kind(),
        Error::WrapperError(_) => None,
    };
    match kind {
        Some(Tss2ResponseCodeKind::AuthFail) => KeyError::WrongPin { tries_left: None },
        Some(Tss2ResponseCodeKind::Lockout) => KeyError::LockedOut {
            recovery: std::time::Duration::ZERO,
        },
        _ => KeyError::Hardware {
            doing,
            source: error.into(),
        },
    }
}

/// Makes the storage root key, which is the same each time, and does something under it.
fn with_root<T>(
    context: &mut Context,
    work: impl FnOnce(&mut Context, KeyHandle) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let template = root_template()?;
    let root = context.execute_with_session(Some(AuthSession::Password), |context| {
        context.create_primary(Hierarchy::Owner, template, None, None, None, None)
    })?;
    context.execute_with_temporary_object(root.key_handle.into(), |context, root| work(context, root.into()))
}

fn load(
    context: &mut Context,
    root: KeyHandle,
    public: &Public,
    private: &Private,
    authorization: &[u8],
) -> tss_esapi::Result<KeyHandle> {
    let (public, private) = (public.clone(), private.clone());
    let key = context.execute_with_session(Some(AuthSession::Password), |context| {
        context.load(root, private, public)
    })?;
    context.tr_set_auth(key.into(), auth(authorization)?)?;
    Ok(key)
}

fn with_session<T>(
    context: &mut Context,
    root: KeyHandle,
    work: impl FnOnce(&mut Context, AuthSession) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let session = start_session(context, root)?;
    context.execute_with_temporary_object(SessionHandle::from(session).into(), |context, _| work(context, session))
}

/// A session whose secret only this TPM can read, so that whoever listens on its wires learns no PIN, nor can guess
/// one.
fn start_session(context: &mut Context, root: KeyHandle) -> tss_esapi::Result<AuthSession> {
    let session = context.start_auth_session(
        Some(root),
        None,
        None,
        SessionType::Hmac,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    )?;
    let session = session.ok_or(Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm))?;
    let (attributes, mask) = SessionAttributesBuilder::new().with_decrypt(true).build();
    context.tr_sess_set_attributes(session, attributes, mask)?;
    Ok(session)
}

/// TCG's default template for an ECC storage root key, as OpenSSL's TPM provider and others make it.
fn root_template() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::AES_128_CFB)
        .with_ecc_scheme(EccScheme::Null)
        .with_curve(EccCurve::NistP256)
        .with_is_signing_key(false)
        .with_is_decryption_key(true)
        .with_restricted(true)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}
