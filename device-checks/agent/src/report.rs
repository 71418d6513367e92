//! How does a device answer a challenge? With what was asked for, as far as it is known, signed by one of the account's
//! keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use device_checks::jws::SignError;
use device_checks::management::Claims;
use device_checks::wire::{
    ANSWERS_PATH, AnswerTaken, Answered, AskChallenge, CHALLENGES_PATH, Challenged, SignalReport, Timestamp,
};
use device_checks::{ANSWER_TYPE, Amr, Answer, Challenge, Demand, KeyType, Outcome};

use crate::assertion::{AccountKey, AssertError, random};
use crate::challenge::{BadChallenge, VerifiedChallenge};
use crate::gateway::{Ask, AskError, Gateway};
use crate::installation::{ConnectError, Installation};
use crate::keys::{Confirmed, DeviceKey, KeyError, blocking, sign_token};
use crate::management;
use crate::signals::Collector;
use crate::state::Account;

/// What came of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// What was said.
    pub signals: SignalReport,
    /// The file of the management certificate that was shown.
    pub management: Option<PathBuf>,
    /// Whether the device counts as managed now.
    pub managed: bool,
    /// What the user did.
    pub outcome: Outcome,
}

/// Says why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The gateway cannot be worked with.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The gateway gives no answer that helps.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The challenge is not as it has to be.
    #[error("the challenge is not answered")]
    Challenge(#[from] BadChallenge),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The user could not be verified.
    #[error(transparent)]
    Assert(#[from] AssertError),
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError<KeyError>),
}

/// Asks for a challenge and answers it now; with a verified user only where one confirmed.
///
/// # Errors
///
/// The challenge is not the pinned gateway's, a key does not sign, or the gateway says no.
pub async fn report(
    installation: &Installation,
    gateway: &Gateway,
    account: &Account,
    collector: &Arc<dyn Collector>,
    confirmed: Option<&Confirmed>,
) -> Result<Reported, ReportError> {
    let ask = AskChallenge {
        enrollment: account.enrollment,
    };
    let Challenged { challenge } = gateway.ask(Ask::post(CHALLENGES_PATH, &ask)).await?;
    let now = installation.now();
    let challenge = VerifiedChallenge::check(&challenge, &installation.state.gateway, gateway.origin(), now)?;
    let asked = challenge.asked();
    let (key, outcome) = choose_key(installation, account, asked, confirmed, now).await?;
    let facts = Facts::collect(installation, account, asked, collector).await?;
    let said = Said {
        key_type: key.key_type,
        amr: key.amr,
        origin: gateway.origin().to_owned(),
        outcome,
    };
    let claims = said.about(account, asked, &facts, now);
    let answer = sign(key.key, claims).await?;
    let answered = Answered {
        attempt: asked.jti,
        answer,
    };
    let AnswerTaken { managed } = gateway.ask(Ask::post(ANSWERS_PATH, &answered)).await?;
    Ok(Reported {
        signals: facts.signals,
        management: facts.management.map(|(_, file)| file),
        managed,
        outcome,
    })
}

/// What a device says of itself where it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    signals: SignalReport,
    /// What a management certificate has to say, and its file.
    management: Option<(String, PathBuf)>,
}

/// What an answer says of the key that signs it, of its user and of who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) key_type: KeyType,
    pub(crate) amr: Vec<Amr>,
    pub(crate) origin: String,
    pub(crate) outcome: Outcome,
}

impl Facts {
    /// Everything that was asked for, as far as it is known.
    pub(crate) async fn collect(
        installation: &Installation,
        account: &Account,
        asked: &Challenge,
        collector: &Arc<dyn Collector>,
    ) -> Result<Self, KeyError> {
        let (collector, wanted) = (Arc::clone(collector), asked.signals.clone());
        let folder = installation.folder.management(&installation.state);
        Ok(Self {
            signals: blocking::<_, KeyError>(move || Ok(collector.collect(&wanted))).await?,
            management: managed(&folder, account, asked, installation.now()),
        })
    }
}

impl Said {
    /// The whole answer.
    pub(crate) fn about(self, account: &Account, asked: &Challenge, facts: &Facts, now: Timestamp) -> Answer {
        Answer {
            iss: account.enrollment,
            // Checked: it is the pinned gateway's.
            aud: asked.iss.clone(),
            sub: account.user,
            iat: now.secs(),
            exp: now.secs().saturating_add(LIFETIME),
            jti: random(),
            tx: asked.jti,
            nonce: asked.nonce.clone(),
            amr: self.amr,
            key_type: self.key_type,
            origin: self.origin,
            outcome: self.outcome,
            signals: facts.signals.clone(),
            management: facts.management.iter().map(|(token, _)| token.clone()).collect(),
        }
    }
}

/// An answer, signed.
pub(crate) async fn sign(key: Arc<dyn DeviceKey>, claims: Answer) -> Result<String, SignError<KeyError>> {
    let signed = tokio::task::spawn_blocking(move || sign_token(ANSWER_TYPE, &*key, &claims)).await;
    signed.map_err(|_| SignError::Key(KeyError::Worker))?
}

/// Whether nobody but a verified user may answer.
pub(crate) fn wants_user(asked: &Challenge) -> bool {
    asked.user_verification == Demand::Required || !asked.key_types.contains(&KeyType::ProofOfPossession)
}

/// The key to answer with. Where a user would have to be verified and cannot be, the answer says so, by possession.
async fn choose_key(
    installation: &Installation,
    account: &Account,
    asked: &Challenge,
    confirmed: Option<&Confirmed>,
    now: Timestamp,
) -> Result<(AccountKey, Outcome), ReportError> {
    let wants_user = wants_user(asked);
    let likes_user = wants_user || asked.user_verification == Demand::Preferred;
    let may_verify = likes_user && asked.key_types.contains(&KeyType::UserVerification);
    if let Some(confirmed) = confirmed.filter(|_| may_verify) {
        let key = AccountKey::verification(&installation.store, account, confirmed, now).await?;
        return Ok((key, Outcome::Approved));
    }
    let key = AccountKey::possession(&installation.store, account).await?;
    let unattended = wants_user || asked.user_mediation == Demand::Required;
    let outcome = if unattended {
        Outcome::VerificationUnavailable
    } else {
        Outcome::Approved
    };
    Ok((key, outcome))
}

/// What the newest management certificate by an accepted issuer has to say, and its file.
fn managed(folder: &Path, account: &Account, asked: &Challenge, now: Timestamp) -> Option<(String, PathBuf)> {
    let (usable, _) = management::find(folder, now);
    let certificate = management::newest(&usable, Some(&asked.management_issuers))?;
    let claims = Claims {
        aud: asked.iss.clone(),
        iat: now.secs(),
        tx: asked.jti,
        nonce: asked.nonce.clone(),
        cnf: account.possession.public.thumbprint(),
    };
    Some((certificate.attest(&claims).ok()?, certificate.file.clone()))
}

/// For how many seconds an answer is good.
const LIFETIME: i64 = 120;
