//! What does this installation remember? Its gateway, its device and its accounts, in one file for its owner alone.

mod pending;

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use device_checks::LeafCertificate;
use device_checks::attestation::RootClass;
use device_checks::loopback::LOOPBACK_PORTS;
use device_checks::wire::{
    DeviceId, EnrollmentId, InstanceId, KeyProtection, Organization, OrganizationId, PublicKey, Timestamp, UserId,
    VerificationMethod,
};
use serde::{Deserialize, Serialize};

use crate::keys::{Configuration, StoredKey};
use crate::pam::{PamError, Service};
use crate::private_file::{self, FileError};

pub use pending::Pending;

/// Everything remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The gateway that was pinned.
    pub gateway: Pinned,
    /// Where keys live.
    pub keys: Configuration,
    /// The folder of management certificates, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<PathBuf>,
    /// Who this installation is.
    pub instance: Instance,
    /// The device, as the gateway calls it.
    pub device: Device,
    /// The accounts on it.
    pub accounts: Vec<Account>,
    /// What was asked of the gateway and not answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    /// The ports where pages look for this agent, as the gateway said last; absent where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loopback_ports: Option<Vec<u16>>,
}

/// The organisation that this installation enrolled with: nobody else is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Which organisation.
    pub organization: OrganizationId,
    /// The auth host's origin.
    pub issuer: String,
    /// Where certificates are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_origin: Option<String>,
    /// The keys that sign its challenges.
    pub challenge_keys: Vec<PublicKey>,
    /// The CA of its server certificates (PEM), where it is not one that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// This installation of the authenticator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its key.
    pub key: StoredKey,
}

/// The device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What it is called.
    pub name: String,
}

/// One user's account on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The user's login.
    pub login: String,
    /// The user.
    pub user: UserId,
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// What its files are called.
    pub files: String,
    /// The key that signs without asking.
    pub possession: StoredKey,
    /// The key that signs after the user was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Where the possession key is known to live.
    pub key_protection: KeyProtection,
    /// Of which class the evidence's root is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_class: Option<RootClass>,
    /// Whether the device counted as managed when the gateway was last heard.
    pub managed: bool,
    /// Whether assertions are taken.
    pub fastpass: bool,
}

/// A key that signs after its user was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// The key.
    pub key: StoredKey,
    /// How the user is verified.
    pub method: VerificationMethod,
    /// The PAM service that does it, where it is not a PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

/// The folder of the state.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// The right to change the state: one command at a time.
#[derive(Debug)]
pub struct Writer {
    folder: Folder,
    _lock: File,
}

/// Says why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another command is writing.
    #[error("another latchkey-agent command is changing `{}` now: try again when it is done", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// Nobody is enrolled here.
    #[error("nothing is enrolled in `{}`: `latchkey-agent enroll --gateway https://…` does that", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// The file is not as this version writes it.
    #[error("cannot understand `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file was written by a later version.
    #[error("`{}` is of version {found}, this latchkey-agent knows version {VERSION}: use a later one", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// There is no such account.
    #[error("there is no account `{login}` here: there is {}", listed(there))]
    NoAccount {
        /// The login asked for.
        login: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// There are several accounts.
    #[error("say which account with --account: there is {}", listed(there))]
    WhichAccount {
        /// Those there are.
        there: Vec<String>,
    },
}

impl Verification {
    /// The PAM service that verifies the user.
    ///
    /// # Errors
    ///
    /// There is none: it is a PIN.
    pub fn service(&self) -> Result<Service, PamError> {
        let service = self.service.clone().or_else(|| Service::usual(self.method));
        service.ok_or(PamError::NotAsked)
    }
}

impl State {
    /// What is remembered after the first enrolment.
    pub fn new(
        gateway: Pinned,
        keys: Configuration,
        management: Option<PathBuf>,
        instance: Instance,
        device: Device,
    ) -> Self {
        Self {
            version: VERSION,
            gateway,
            keys,
            management,
            instance,
            device,
            accounts: Vec::new(),
            pending: Vec::new(),
            loopback_ports: None,
        }
    }

    /// The ports where pages look for this agent.
    pub fn loopback_ports(&self) -> &[u16] {
        self.loopback_ports.as_deref().unwrap_or(&LOOPBACK_PORTS)
    }

    /// Remembers the ports that the gateway publishes, if they are others; says whether they are.
    pub fn learn(&mut self, organization: &Organization) -> bool {
        let published = Some(organization.loopback_ports.clone()).filter(|ports| !ports.is_empty());
        let is_new = self.loopback_ports != published;
        self.loopback_ports = published;
        is_new
    }

    /// The account with this login, or the only one.
    ///
    /// # Errors
    ///
    /// There is none, or there are several to choose from.
    pub fn account(&self, login: Option<&str>) -> Result<&Account, StateError> {
        let there = || self.accounts.iter().map(|account| account.login.clone()).collect();
        match (login, self.accounts.as_slice()) {
            (Some(login), accounts) => {
                accounts
                    .iter()
                    .find(|account| account.login == login)
                    .ok_or_else(|| StateError::NoAccount {
                        login: login.to_owned(),
                        there: there(),
                    })
            }
            (None, [only]) => Ok(only),
            (None, []) => Err(StateError::NoAccount {
                login: "…".to_owned(),
                there: Vec::new(),
            }),
            (None, _) => Err(StateError::WhichAccount { there: there() }),
        }
    }

    /// A name for the files of a new account: the login, as far as it can name a file that no other account has.
    pub fn name_files(&self, login: &str) -> String {
        let harmless = |character: char| {
            if character.is_ascii_alphanumeric() || "._@+-".contains(character) {
                character
            } else {
                '_'
            }
        };
        let name: String = login.chars().map(harmless).take(100).collect();
        let name = if name.is_empty() || name.starts_with('.') || name.starts_with('-') || name == "gateway-ca" {
            format!("_{name}")
        } else {
            name
        };
        let taken = |name: &str| self.accounts.iter().any(|account| account.files == name);
        (1..)
            .map(|count| {
                if count == 1 {
                    name.clone()
                } else {
                    format!("{name}_{count}")
                }
            })
            .find(|name| !taken(name))
            .unwrap_or(name)
    }
}

impl Folder {
    /// The state in this folder.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered; nothing before the first enrolment.
    ///
    /// # Errors
    ///
    /// It cannot be read or understood.
    pub fn load(&self) -> Result<Option<State>, StateError> {
        let file = self.path.join(FILE);
        let Some(octets) = private_file::read(&file)? else {
            return Ok(None);
        };
        let unreadable = |source| StateError::Unreadable {
            file: file.clone(),
            source,
        };
        let Version { version } = serde_json::from_slice(&octets).map_err(unreadable)?;
        if version > VERSION {
            return Err(StateError::Newer { file, found: version });
        }
        serde_json::from_slice(&octets).map(Some).map_err(unreadable)
    }

    /// What is remembered.
    ///
    /// # Errors
    ///
    /// As [`Folder::load`], or nothing is.
    pub fn require(&self) -> Result<State, StateError> {
        self.load()?.ok_or_else(|| StateError::Empty {
            folder: self.path.clone(),
        })
    }

    /// Remembers what the gateway publishes, if that is new; says whether it is.
    ///
    /// # Errors
    ///
    /// As [`Folder::write`] and [`Folder::require`].
    pub fn learn(&self, organization: &Organization) -> Result<bool, StateError> {
        // Nobody is kept from writing for nothing.
        if !self.require()?.learn(organization) {
            return Ok(false);
        }
        let writer = self.write()?;
        let mut state = self.require()?;
        let is_new = state.learn(organization);
        writer.save(&state)?;
        Ok(is_new)
    }

    /// Takes the right to change it, until the writer goes.
    ///
    /// # Errors
    ///
    /// Another command has it, or the folder cannot be used.
    pub fn write(&self) -> Result<Writer, StateError> {
        let path = self.path.join("lock");
        let lock = self.lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Writer {
                folder: self.clone(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateError::Taken {
                folder: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(FileError::Unusable { file: path, source }.into()),
        }
    }

    /// Waits for one's turn to try a PIN, until the file goes: of many at once each sees what the one before did, so that
    /// together they make no more tries than one after the other.
    ///
    /// # Errors
    ///
    /// The folder cannot be used.
    pub fn turn_to_try_a_pin(&self) -> Result<File, StateError> {
        let path = self.path.join("pin.lock");
        let lock = self.lock_file(&path)?;
        match lock.lock() {
            Ok(()) => Ok(lock),
            Err(source) => Err(FileError::Unusable { file: path, source }.into()),
        }
    }

    fn lock_file(&self, path: &Path) -> Result<File, StateError> {
        private_file::make_folder(&self.path)?;
        let opened = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path);
        opened.map_err(|source| {
            let file = path.to_owned();
            FileError::Unusable { file, source }.into()
        })
    }

    /// The file of an account's certificate chain, in PEM.
    pub fn certificate(&self, account: &Account) -> PathBuf {
        self.path.join(format!("{}.pem", account.files))
    }

    /// The file of an account's possession key as other programs use it, where it has one.
    pub fn key(&self, account: &Account) -> PathBuf {
        self.path.join(format!("{}.key", account.files))
    }

    /// Where keys in files are, and the secrets of codes.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// The file of the gateway's CA, for other programs.
    pub fn authority(&self) -> PathBuf {
        self.path.join("gateway-ca.pem")
    }

    /// The file that lets OpenSSL use keys in a TPM.
    pub fn openssl_configuration(&self) -> PathBuf {
        self.path.join("openssl-tpm2.cnf")
    }

    /// An account's certificate.
    ///
    /// # Errors
    ///
    /// Its file cannot be read; a file that is no certificate is none.
    pub fn leaf(&self, account: &Account) -> Result<Option<LeafCertificate>, StateError> {
        let octets = private_file::read(&self.certificate(account))?;
        Ok(octets.and_then(|octets| leaf_of(&octets)))
    }

    /// Where the user's management certificates are.
    pub fn management(&self, state: &State) -> PathBuf {
        state.management.clone().unwrap_or_else(|| self.path.join("management"))
    }
}

impl Writer {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Remembers this from now on.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, state: &State) -> Result<(), StateError> {
        let file = self.folder.path.join(FILE);
        let json = serde_json::to_vec_pretty(state).map_err(|source| StateError::Unreadable {
            file: file.clone(),
            source,
        })?;
        Ok(private_file::write(&file, &json)?)
    }

    /// Forgets everything.
    ///
    /// # Errors
    ///
    /// The file stays.
    pub fn forget(&self) -> Result<(), StateError> {
        for file in [self.folder.authority(), self.folder.openssl_configuration()] {
            private_file::remove(&file)?;
        }
        Ok(private_file::remove(&self.folder.path.join(FILE))?)
    }
}

/// The first certificate of a chain in PEM.
pub fn leaf_of(chain: &[u8]) -> Option<LeafCertificate> {
    LeafCertificate::parse(pem::parse(chain).ok()?.contents()).ok()
}

/// When two thirds of a certificate's lifetime are over: time for the next one.
pub fn renew_at(leaf: &LeafCertificate) -> Timestamp {
    let lifetime = leaf.not_before.until(leaf.not_after).unwrap_or_default();
    leaf.not_before.plus(lifetime * 2 / 3)
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn listed(logins: &[String]) -> String {
    if logins.is_empty() {
        "none".to_owned()
    } else {
        logins.join(", ")
    }
}

const FILE: &str = "agent.json";
const VERSION: u32 = 1;

#[cfg(test)]
mod tests;
