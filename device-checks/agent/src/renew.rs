//! How does a certificate go on? Over mTLS with the one that is to be renewed, for the same key.

use std::sync::Arc;

use device_checks::LeafCertificate;
use device_checks::wire::{RENEW_PATH, Renew, Renewed};

use crate::assertion::AccountKey;
use crate::gateway::{Ask, AskError, Gateway};
use crate::installation::Installation;
use crate::keys::{DeviceKey, KeyError, blocking};
use crate::private_file;
use crate::state::{self, Account, StateError};
use crate::tls::{self, Identity};

/// Says why a certificate was not renewed; the old one stays.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The gateway has no host for it.
    #[error("the gateway had no device host when this device enrolled: certificates cannot be renewed, enrol again")]
    NoDeviceHost,
    /// There is no certificate to show.
    #[error("the certificate of `{0}` is gone: remove the account here, then add it again")]
    NoCertificate(String),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The gateway gives no answer that helps.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What came back is not for this key, or not for now.
    #[error("the new certificate is not for this key, or not for now: it was not kept")]
    Unfit,
}

/// The device host, as it answers whoever shows this account's certificate.
///
/// # Errors
///
/// There is no such host or certificate, or the key does not open.
pub async fn device_host(
    installation: &Installation,
    account: &Account,
) -> Result<(Gateway, Arc<dyn DeviceKey>), RenewError> {
    let pinned = &installation.state.gateway;
    let origin = pinned.device_origin.as_deref().ok_or(RenewError::NoDeviceHost)?;
    let file = installation.folder.certificate(account);
    let chain = private_file::read(&file).map_err(StateError::from)?;
    let chain = chain.ok_or_else(|| RenewError::NoCertificate(account.login.clone()))?;
    let AccountKey { key, .. } = AccountKey::possession(&installation.store, account).await?;
    let identity = Identity {
        chain: chain.to_vec(),
        key: Arc::clone(&key),
    };
    let host = Gateway::new(origin, pinned.authority.as_deref(), Some(identity))?;
    Ok((host, key))
}

/// Renews an account's certificate.
///
/// # Errors
///
/// The gateway says no, or what it sends does not fit.
pub async fn renew(installation: &Installation, account: &Account) -> Result<LeafCertificate, RenewError> {
    let (host, key) = device_host(installation, account).await?;
    let public = key.public();
    let request = blocking(move || {
        let request = tls::certificate_request(&*key)?;
        request.pem().map_err(|source| KeyError::Hardware {
            doing: "write a certificate request",
            source: source.into(),
        })
    });
    let body = Renew {
        certificate_request: request.await?,
    };
    let Renewed { certificate } = host.ask(Ask::post(RENEW_PATH, &body)).await?;
    let leaf = state::leaf_of(certificate.as_bytes()).ok_or(RenewError::Unfit)?;
    if !tls::is_for(&leaf, &public) || leaf.not_after <= installation.now() {
        return Err(RenewError::Unfit);
    }
    let file = installation.folder.certificate(account);
    private_file::write(&file, certificate.as_bytes()).map_err(StateError::from)?;
    Ok(leaf)
}
