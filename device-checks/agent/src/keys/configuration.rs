//! Which key store is used, and which hardware proves this machine? As the user chose when the first account was added.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attestor, KeyError, KeyStore, SoftwareStore};

/// The kinds of key stores there are to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// A TPM 2.0.
    Tpm,
    /// A PKCS#11 token.
    Pkcs11,
    /// Files.
    Software,
}

/// Where this installation's keys live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Which kind of store.
    pub keys: Choice,
    /// How the TPM is reached, where there is one; it proves the machine even if the keys live elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcti: Option<String>,
    /// Whether the TPM is to prove the machine.
    pub attestation: bool,
    /// The token, where one is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11Configuration>,
}

/// A PKCS#11 token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Configuration {
    /// The library that drives it.
    pub module: PathBuf,
    /// Its label.
    pub token: String,
    /// The file with its user PIN; the PIN is not copied.
    pub pin_file: PathBuf,
}

impl Configuration {
    /// Opens the key store.
    ///
    /// # Errors
    ///
    /// This build or the configuration lacks it.
    pub fn store(&self, state: &Path) -> Result<Arc<dyn KeyStore>, KeyError> {
        match self.keys {
            Choice::Software => Ok(Arc::new(SoftwareStore::new(state.join(FOLDER)))),
            Choice::Tpm => tpm_store(self.tcti.as_deref().unwrap_or(DEFAULT_TCTI)),
            Choice::Pkcs11 => pkcs11_store(self.pkcs11.as_ref().ok_or(KeyError::OtherStore)?, &state.join(FOLDER)),
        }
    }

    /// What proves the machine, unless the user does not want it or there is nothing.
    pub fn attestor(&self) -> Option<Arc<dyn Attestor>> {
        let tcti = self.tcti.as_deref().filter(|_| self.attestation)?;
        tpm_attestor(tcti)
    }
}

/// Whether a TPM 2.0 answers.
pub fn tpm_is_there(tcti: &str) -> Result<(), KeyError> {
    #[cfg(feature = "tpm")]
    {
        super::tpm::answers(tcti)
    }
    #[cfg(not(feature = "tpm"))]
    {
        let _ = tcti;
        Err(KeyError::NotBuiltIn("TPM support (the cargo feature `tpm`)"))
    }
}

/// What proves the machine by its TPM; nothing where this build cannot use one.
pub fn tpm_attestor(tcti: &str) -> Option<Arc<dyn Attestor>> {
    #[cfg(feature = "tpm")]
    {
        Some(Arc::new(super::tpm::TpmAttestor::new(tcti)))
    }
    #[cfg(not(feature = "tpm"))]
    {
        let _ = tcti;
        None
    }
}

fn tpm_store(tcti: &str) -> Result<Arc<dyn KeyStore>, KeyError> {
    #[cfg(feature = "tpm")]
    {
        Ok(Arc::new(super::tpm::TpmStore::new(tcti)))
    }
    #[cfg(not(feature = "tpm"))]
    {
        let _ = tcti;
        Err(KeyError::NotBuiltIn("TPM support (the cargo feature `tpm`)"))
    }
}

fn pkcs11_store(token: &Pkcs11Configuration, folder: &Path) -> Result<Arc<dyn KeyStore>, KeyError> {
    #[cfg(feature = "pkcs11")]
    {
        Ok(Arc::new(super::Pkcs11Store::new(token.clone(), folder.to_owned())))
    }
    #[cfg(not(feature = "pkcs11"))]
    {
        let _ = (token, folder);
        Err(KeyError::NotBuiltIn("PKCS#11 support (the cargo feature `pkcs11`)"))
    }
}

/// The kernel's own resource manager: several programs share the TPM.
pub const DEFAULT_TCTI: &str = "device:/dev/tpmrm0";
/// Where files of keys are, in the state.
const FOLDER: &str = "keys";
