//! What is kept between challenges? The keys that ask for nobody, and a connection to the gateway, as long as the state stays as
//! it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use device_checks::wire::{EnrollmentId, Organization};
use tokio::sync::OnceCell;

use crate::assertion::AccountKey;
use crate::gateway::Gateway;
use crate::installation::{ConnectError, Installation};
use crate::keys::KeyError;
use crate::signals::Recent;
use crate::state::Account;

/// An installation, and what was opened for it.
pub(crate) struct Known {
    pub(crate) installation: Installation,
    signals: OnceCell<Arc<Recent>>,
    keys: Mutex<BTreeMap<EnrollmentId, AccountKey>>,
    gateway: tokio::sync::Mutex<Option<Gateway>>,
}

impl Known {
    pub(crate) fn new(installation: Installation) -> Self {
        Self {
            installation,
            signals: OnceCell::new(),
            keys: Mutex::default(),
            gateway: tokio::sync::Mutex::default(),
        }
    }

    /// What this machine says of itself.
    pub(crate) async fn signals(&self) -> Arc<Recent> {
        let make = || async { Arc::new(Recent::new(self.installation.collector().await)) };
        Arc::clone(self.signals.get_or_init(make).await)
    }

    /// The account of an enrolment, where it is here.
    pub(crate) fn account(&self, enrollment: EnrollmentId) -> Option<&Account> {
        let mut accounts = self.installation.state.accounts.iter();
        accounts.find(|account| account.enrollment == enrollment)
    }

    /// An account's key that signs without asking.
    pub(crate) async fn possession(&self, account: &Account) -> Result<AccountKey, KeyError> {
        let kept = self.keys().get(&account.enrollment).cloned();
        if let Some(key) = kept {
            return Ok(key);
        }
        let key = AccountKey::possession(&self.installation.store, account).await?;
        self.keys().insert(account.enrollment, key.clone());
        Ok(key)
    }

    /// The gateway, which was the pinned one when it was met; where it is met now, what it said of itself as well.
    pub(crate) async fn gateway(&self) -> Result<(Gateway, Option<Organization>), ConnectError> {
        let mut kept = self.gateway.lock().await;
        if let Some(gateway) = &*kept {
            return Ok((gateway.clone(), None));
        }
        let (gateway, organization) = self.installation.meet().await?;
        *kept = Some(gateway.clone());
        Ok((gateway, Some(organization)))
    }

    /// Meets the gateway anew the next time.
    pub(crate) async fn part(&self) {
        *self.gateway.lock().await = None;
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnrollmentId, AccountKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
