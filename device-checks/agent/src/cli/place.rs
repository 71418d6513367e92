//! Where are a device's keys to live? Where the user said, or else in the best place there is.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::{CliError, chain};
use crate::keys::{self, Choice, Configuration, Pkcs11Configuration, blocking};

/// Where keys are to live.
#[derive(Args)]
pub(super) struct Place {
    /// Where keys are to live [default: the TPM if there is one, else files]
    #[arg(long, value_name = "WHERE", requires_if("pkcs11", "pkcs11_module"))]
    pub(super) keys: Option<Choice>,
    /// How the TPM is reached [default: device:/dev/tpmrm0]
    #[arg(long, value_name = "CONF")]
    pub(super) tcti: Option<String>,
    /// The library that drives the token
    #[arg(long, value_name = "PATH", requires = "pkcs11_token")]
    pub(super) pkcs11_module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11_pin_file")]
    pkcs11_token: Option<String>,
    /// The file with the token's PIN, which stays there
    #[arg(long, value_name = "FILE")]
    pkcs11_pin_file: Option<PathBuf>,
    /// Do not prove by the TPM which machine this is
    #[arg(long)]
    pub(super) no_attestation: bool,
}

impl Place {
    /// What was asked for, or else the best there is.
    pub(super) async fn choose(&self) -> Result<Configuration, CliError> {
        let tcti = self.tcti.clone();
        let tcti = blocking(move || match tcti {
            Some(tcti) => keys::tpm_is_there(&tcti).map(|()| Some(tcti)),
            None => Ok(usual_tpm()),
        })
        .await?;
        let keys = match (self.keys, &tcti) {
            (Some(keys), _) => keys,
            (None, Some(_)) => Choice::Tpm,
            (None, None) => Choice::Software,
        };
        Ok(Configuration {
            keys,
            // Its own failure says more than that none was found.
            tcti: tcti.or_else(|| (keys == Choice::Tpm).then(|| keys::DEFAULT_TCTI.to_owned())),
            attestation: !self.no_attestation,
            pkcs11: self.token()?.filter(|_| keys == Choice::Pkcs11),
        })
    }

    fn token(&self) -> Result<Option<Pkcs11Configuration>, CliError> {
        let said = self
            .pkcs11_module
            .clone()
            .zip(self.pkcs11_token.clone())
            .zip(self.pkcs11_pin_file.clone());
        said.map(|((module, token), pin_file)| {
            Ok(Pkcs11Configuration {
                module: std::path::absolute(module).map_err(CliError::Start)?,
                token,
                pin_file: std::path::absolute(pin_file).map_err(CliError::Start)?,
            })
        })
        .transpose()
    }
}

/// The machine's own TPM, where it can be used; where it is there and cannot, that is said.
fn usual_tpm() -> Option<String> {
    match keys::tpm_is_there(keys::DEFAULT_TCTI) {
        Ok(()) => Some(keys::DEFAULT_TCTI.to_owned()),
        Err(error) => {
            if Path::new("/dev/tpmrm0").exists() {
                super::output::complain(&format!("the TPM of this machine is not used: {}\n", chain(&error)));
            }
            None
        }
    }
}
