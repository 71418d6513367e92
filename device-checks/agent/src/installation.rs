//! What does a command work with? The state, its key store, and the gateway once it is known to be the pinned one.

use std::sync::Arc;

use device_checks::wire::Timestamp;
use device_checks::wire::{
    ENROLLMENTS_PATH, EnrollmentStatus, GivenTotp, Organization, RENAME_SUFFIX, Rename, TOTP_SUFFIX,
};
use http::Method;

use crate::assertion::{self, AccountKey, AssertError};
use crate::gateway::{Ask, AskError, Gateway, Refusal};
use crate::keys::{KeyError, KeyStore, codes};
use crate::pin::{self, NotPinned};
use crate::private_file;
use crate::signals::{self, Collector};
use crate::state::{Account, Folder, State, StateError};

/// Asks what time it is.
pub type Clock = fn() -> Timestamp;

/// An installation that enrolled.
#[derive(Clone)]
pub struct Installation {
    /// Where its state is.
    pub folder: Folder,
    /// Its state.
    pub state: State,
    /// Its keys.
    pub store: Arc<dyn KeyStore>,
    /// What time it is.
    pub now: Clock,
}

/// Says why an installation cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The gateway gives no answer that helps.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It is not the one that was pinned.
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
    /// The request cannot be proved.
    #[error(transparent)]
    Assert(#[from] AssertError),
}

impl ConnectError {
    /// The gateway's no, where it said so.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Ask(error) | Self::Assert(AssertError::Ask(error)) => error.refusal(),
            Self::State(_) | Self::Key(_) | Self::NotPinned(_) | Self::Assert(_) => None,
        }
    }
}

impl Installation {
    /// Opens what is in a folder.
    ///
    /// # Errors
    ///
    /// Nothing is enrolled there, or it cannot be used.
    pub fn open(folder: Folder, now: Clock) -> Result<Self, ConnectError> {
        let state = folder.require()?;
        let store = state.keys.store(folder.path())?;
        Ok(Self {
            folder,
            state,
            store,
            now,
        })
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// What this machine says of itself.
    pub async fn collector(&self) -> Arc<dyn Collector> {
        signals::of_this_machine(self.state.keys.tcti.clone()).await
    }

    /// The gateway, once it is known to be the one that was pinned.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or is another one.
    pub async fn connect(&self) -> Result<Gateway, ConnectError> {
        Ok(self.meet().await?.0)
    }

    /// The same, with what it says of itself.
    ///
    /// # Errors
    ///
    /// As [`Installation::connect`].
    pub async fn meet(&self) -> Result<(Gateway, Organization), ConnectError> {
        let pinned = &self.state.gateway;
        let gateway = Gateway::new(&pinned.issuer, pinned.authority.as_deref(), None)?;
        let organization = gateway.organization().await?;
        pin::check(pinned, &organization)?;
        Ok((gateway, organization))
    }

    /// How the gateway says an enrolment stands.
    ///
    /// # Errors
    ///
    /// It does not say, or says no.
    pub async fn status(&self, gateway: &Gateway, account: &Account) -> Result<EnrollmentStatus, ConnectError> {
        let path = self.enrollment(account);
        let ask = self.proved(gateway, account, Ask::get(&path)).await?;
        Ok(gateway.ask(ask).await?)
    }

    /// Calls the device something else.
    ///
    /// # Errors
    ///
    /// The gateway says no.
    pub async fn rename(&self, gateway: &Gateway, account: &Account, name: &str) -> Result<(), ConnectError> {
        let path = format!("{ENROLLMENTS_PATH}{}{RENAME_SUFFIX}", account.enrollment);
        let rename = Rename { name: name.to_owned() };
        let ask = self.proved(gateway, account, Ask::post(&path, &rename)).await?;
        Ok(gateway.order(ask).await?)
    }

    /// Has the gateway remove an account, on the word of this key of the account.
    ///
    /// # Errors
    ///
    /// The gateway says no.
    pub async fn remove(&self, gateway: &Gateway, account: &Account, key: &AccountKey) -> Result<(), ConnectError> {
        let path = self.enrollment(account);
        let ask = Ask {
            method: Method::DELETE,
            ..Ask::get(&path)
        };
        let ask = assertion::prove(gateway, account, key, ask, self.now()).await?;
        Ok(gateway.order(ask).await?)
    }

    /// Has the gateway give this device a secret for codes of the account, on the word of this key of the account.
    ///
    /// # Errors
    ///
    /// The gateway says no.
    pub async fn ask_for_codes(
        &self,
        gateway: &Gateway,
        account: &Account,
        key: &AccountKey,
    ) -> Result<GivenTotp, ConnectError> {
        let path = format!("{ENROLLMENTS_PATH}{}{TOTP_SUFFIX}", account.enrollment);
        let ask = Ask {
            method: Method::POST,
            ..Ask::get(&path)
        };
        let ask = assertion::prove(gateway, account, key, ask, self.now()).await?;
        Ok(gateway.ask(ask).await?)
    }

    /// Destroys an account's keys and files.
    ///
    /// # Errors
    ///
    /// One of them stays.
    pub fn destroy(&self, account: &Account) -> Result<(), ConnectError> {
        let verification = account.verification.as_ref().map(|verification| &verification.key);
        for key in [Some(&account.possession), verification].into_iter().flatten() {
            self.store.delete(key)?;
        }
        codes::forget(&self.folder.keys(), account.enrollment)?;
        for file in [self.folder.certificate(account), self.folder.key(account)] {
            private_file::remove(&file).map_err(StateError::from)?;
        }
        Ok(())
    }

    async fn proved<'a>(&self, gateway: &Gateway, account: &Account, ask: Ask<'a>) -> Result<Ask<'a>, ConnectError> {
        let key = AccountKey::possession(&self.store, account).await?;
        Ok(assertion::prove(gateway, account, &key, ask, self.now()).await?)
    }

    fn enrollment(&self, account: &Account) -> String {
        format!(
            "{ENROLLMENTS_PATH}{}?device={}",
            account.enrollment, self.state.device.id
        )
    }
}
