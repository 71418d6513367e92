//! How does a device enrol? It says who its user is, proves which machine it is, makes its keys, and believes the
//! answer
//! only with the pinned gateway's receipt.

mod recovery;

use std::path::PathBuf;
use std::sync::Arc;

use device_checks::attestation::{DeviceStatement, KeyStatement};
use device_checks::jws::SignError;
use device_checks::management::Claims;
use device_checks::wire::{
    ACTIVATE_PATH, AUTHENTICATE_PATH, Activate, Activated, Authenticate, Authenticated, BEGIN_PATH, Begin, Begun,
    FINISH_PATH, Finish, INSTANCE_PROOF_FIELD, InstanceId, Platform, UserId, VERSION, VerificationKey,
    VerificationMethod, binding, hash,
};
use device_checks::{INSTANCE_PROOF_TYPE, InstanceProof, KEY_PROOF_TYPE, KeyProof};
use rcgen::CertificateSigningRequest;

use crate::assertion::random;
use crate::gateway::{Ask, AskError, Gateway};
use crate::installation::Clock;
use crate::keys::{Attestor, Confirmed, DeviceKey, KeyError, KeyStore, Role, StoredKey, Unlock, blocking, sign_token};
use crate::management;
use crate::pam::Service;
use crate::receipt::{Attempt, BadReceipt, VerifiedEnrollment};
use crate::secret::Secret;
use crate::state::{Pending, Pinned, StateError, Verification};
use crate::tls::certificate_request;

/// An installation that is about to enrol.
#[derive(Clone)]
pub struct Applicant {
    /// The gateway.
    pub gateway: Gateway,
    /// What was pinned of it.
    pub pinned: Pinned,
    /// Where the keys will live.
    pub store: Arc<dyn KeyStore>,
    /// What proves the machine, where there is something.
    pub attestor: Option<Arc<dyn Attestor>>,
    /// Which installation it is, where it enrolled before.
    pub instance: Option<InstanceId>,
    /// The installation's key.
    pub instance_key: StoredKey,
    /// What time it is.
    pub now: Clock,
}

/// What the user wants.
pub struct Wish {
    /// What the device is to be called.
    pub name: String,
    /// How they will confirm, where they will.
    pub chosen: Option<Chosen>,
    /// Where management certificates are.
    pub management: PathBuf,
    /// Whose account it has to be, where its keys take the place of others.
    pub only: Option<UserId>,
}

/// How a user wants to confirm, and what shows that it is them now.
#[derive(Clone)]
pub struct Chosen {
    /// How.
    pub method: VerificationMethod,
    /// The PIN, or that a service verified them.
    pub confirmed: Confirmed,
}

/// Keeps the keys that the gateway is asked to enrol, before it is asked.
pub type Journal<'a> = dyn Fn(Pending) -> Result<(), StateError> + Sync + 'a;

/// An enrolment that is done.
pub struct Done {
    /// What the gateway enrolled.
    pub enrollment: VerifiedEnrollment,
    /// The user's login.
    pub login: String,
    /// The possession key.
    pub possession: StoredKey,
    /// The user-verification key.
    pub verification: Option<Verification>,
    /// What the gateway made of the evidence.
    pub activated: Option<Activated>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// How far an enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Step {
    Identifying,
    Beginning,
    Activating,
    MakingKeys,
    Finishing,
}

/// Says why a device is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The gateway gives no answer that helps.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A key cannot be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError<KeyError>),
    /// The answer is not the pinned gateway's to this device.
    #[error("the gateway's answer is not believed, and nothing of it was kept")]
    Receipt(#[from] BadReceipt),
    /// Somebody else signed in than whose account it is.
    #[error("`{0}` signed in, whose account this is not: nothing was changed")]
    OtherUser(String),
    /// The new keys cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

impl EnrollError {
    /// Whether the gateway may have enrolled the keys nevertheless: its answer did not come, or was none.
    pub fn leaves_open(&self) -> bool {
        match self {
            Self::Ask(AskError::Refused(refusal)) => refusal.status >= 500,
            Self::Ask(AskError::Unreachable { .. } | AskError::NotTheProtocol { .. }) | Self::Receipt(_) => true,
            Self::Ask(AskError::Url(_) | AskError::Tls(_) | AskError::Setup(_) | AskError::Untrusted { .. })
            | Self::Key(_)
            | Self::Sign(_)
            | Self::OtherUser(_)
            | Self::State(_) => false,
        }
    }
}

/// The keys of a new account.
struct Made {
    possession: StoredKey,
    verification: Option<Verification>,
}

impl Applicant {
    /// Says who the user is; a token comes back, or what else is needed.
    ///
    /// # Errors
    ///
    /// The gateway says no.
    pub async fn authenticate(
        &self,
        username: &str,
        password: &Secret,
        totp: Option<&str>,
    ) -> Result<Authenticated, EnrollError> {
        let body = Authenticate {
            username: username.to_owned(),
            password: password.expose().to_owned(),
            totp: totp.map(str::to_owned),
            instance_key: self.instance_key.public,
        };
        let ask = self.proved(Ask::post(AUTHENTICATE_PATH, &body), None).await?;
        Ok(self.gateway.ask(ask).await?)
    }

    /// Enrols with a token; keys that were made for nothing are destroyed, unless there is a journal of them and the answer did not
    /// come.
    ///
    /// # Errors
    ///
    /// The gateway says no, a key cannot be made, or the answer is not believed.
    pub async fn enroll(
        &self,
        token: &Secret,
        wish: &Wish,
        journal: Option<&Journal<'_>>,
        watch: &(dyn Fn(Step) + Sync),
    ) -> Result<Done, EnrollError> {
        let mut notes = Vec::new();
        watch(Step::Identifying);
        let statement = self.identify(&mut notes).await?;
        watch(Step::Beginning);
        let begin = Begin {
            version: VERSION,
            name: wish.name.clone(),
            platform: platform(),
            instance_key: self.instance_key.public,
            instance: self.instance,
            key_store: self.store.kind(),
            statement,
        };
        let begun = self.begin(begin, token, &mut notes).await?;
        if wish.only.is_some_and(|user| user != begun.user) {
            return Err(EnrollError::OtherUser(begun.login));
        }
        let activated = match &begun.credential {
            Some(credential) => {
                watch(Step::Activating);
                let attestor = self.attestor.clone().ok_or(KeyError::OtherStore)?;
                let credential = credential.clone();
                let secret = blocking(move || attestor.activate(&credential)).await?;
                let activate = Activate {
                    attempt: begun.attempt,
                    secret,
                };
                Some(self.send(Ask::post(ACTIVATE_PATH, &activate), token).await?)
            }
            None => None,
        };
        watch(Step::MakingKeys);
        let made = self.make_keys(wish, &begun).await?;
        if let Some(journal) = journal
            && let Err(error) = journal(self.pending(&begun, &made))
        {
            self.destroy(made).await;
            return Err(error.into());
        }
        let finished = self.finish(token, wish, &begun, &made, watch, &mut notes).await;
        match finished {
            Ok(enrollment) => Ok(Done {
                enrollment,
                login: begun.login,
                possession: made.possession,
                verification: made.verification,
                activated,
                notes,
            }),
            Err(error) => {
                if journal.is_none() || !error.leaves_open() {
                    self.destroy(made).await;
                }
                Err(error)
            }
        }
    }

    /// Begins; where nobody that the gateway believes vouches for this machine, as one that proves nothing.
    async fn begin(&self, begin: Begin, token: &Secret, notes: &mut Vec<String>) -> Result<Begun, EnrollError> {
        let refusal = match self.send(Ask::post(BEGIN_PATH, &begin), token).await {
            Err(EnrollError::Ask(AskError::Refused(refusal))) => refusal,
            answered => return answered,
        };
        let about_evidence = refusal.causes.iter().any(|cause| cause.starts_with("statement"));
        if begin.statement == DeviceStatement::None || !about_evidence {
            return Err(AskError::Refused(refusal).into());
        }
        notes.push(format!(
            "which machine this is was not proved, and its keys count as software ({})",
            refusal.causes.join("; ")
        ));
        let begin = Begin {
            statement: DeviceStatement::None,
            ..begin
        };
        self.send(Ask::post(BEGIN_PATH, &begin), token).await
    }

    /// What says which machine this is; one that cannot say it enrols without.
    async fn identify(&self, notes: &mut Vec<String>) -> Result<DeviceStatement, KeyError> {
        let Some(attestor) = self.attestor.clone() else {
            return Ok(DeviceStatement::None);
        };
        match blocking(move || attestor.begin()).await {
            Err(error @ KeyError::NoCertificate) => {
                notes.push(error.to_string());
                Ok(DeviceStatement::None)
            }
            statement => statement,
        }
    }

    async fn make_keys(&self, wish: &Wish, begun: &Begun) -> Result<Made, KeyError> {
        let store = Arc::clone(&self.store);
        let chosen = wish.chosen.clone().filter(|_| begun.fastpass.enabled);
        blocking(move || {
            let possession = store.create(Role::Possession, None)?;
            let verification = chosen.map(|chosen| {
                let key = store.create(Role::Verification, Some(chosen.confirmed.verify()))?;
                Ok::<_, KeyError>(Verification {
                    key,
                    method: chosen.method,
                    service: chosen.service(),
                })
            });
            match verification.transpose() {
                Ok(verification) => Ok(Made {
                    possession,
                    verification,
                }),
                Err(error) => {
                    let _ = store.delete(&possession);
                    Err(error)
                }
            }
        })
        .await
    }

    async fn finish(
        &self,
        token: &Secret,
        wish: &Wish,
        begun: &Begun,
        made: &Made,
        watch: &(dyn Fn(Step) + Sync),
        notes: &mut Vec<String>,
    ) -> Result<VerifiedEnrollment, EnrollError> {
        let finish = self.evidence(wish, begun, made).await?;
        let finish = Finish {
            management: self.managed(wish, begun, made, notes),
            ..finish
        };
        watch(Step::Finishing);
        let enrolled = self.send(Ask::post(FINISH_PATH, &finish), token).await?;
        let attempt = Attempt {
            id: begun.attempt,
            nonce: &begun.nonce,
            user: begun.user,
            instance_key: &self.instance_key.public,
            possession: &made.possession.public,
        };
        Ok(VerifiedEnrollment::check(
            enrolled,
            &self.pinned,
            attempt,
            (self.now)(),
        )?)
    }

    /// Everything the keys themselves have to say. It takes one worker, for a TPM does one thing at a time.
    async fn evidence(&self, wish: &Wish, begun: &Begun, made: &Made) -> Result<Finish, EnrollError> {
        let store = Arc::clone(&self.store);
        let attestor = self.attestor.clone().filter(|_| begun.credential.is_some());
        let (issuer, begun) = (self.pinned.issuer.clone(), begun.clone());
        let (possession, verification) = (made.possession.clone(), made.verification.clone());
        let (chosen, now) = (wish.chosen.clone(), (self.now)());
        blocking(move || {
            let key = store.open(&possession, None)?;
            let (request, certificate_request) = request_by(&*key)?;
            let bound = binding(&issuer, &begun.nonce, begun.user, request.der());
            let certify = |key: &dyn DeviceKey| match &attestor {
                Some(attestor) => attestor.certify(key, &bound),
                None => Ok(KeyStatement::None),
            };
            let verification = match verification.as_ref().zip(chosen.as_ref()) {
                Some((made, chosen)) => {
                    let by = chosen.confirmed.verify();
                    let key = store.open(&made.key, Some(Unlock { by, now }))?;
                    let proof = KeyProof {
                        aud: issuer.clone(),
                        tx: begun.attempt,
                        nonce: begun.nonce.clone(),
                    };
                    Some(VerificationKey {
                        key: made.key.public,
                        method: made.method,
                        statement: certify(&*key)?,
                        proof: sign_token(KEY_PROOF_TYPE, &*key, &proof)?,
                    })
                }
                None => None,
            };
            Ok::<_, EnrollError>(Finish {
                attempt: begun.attempt,
                certificate_request,
                possession: certify(&*key)?,
                verification,
                management: None,
            })
        })
        .await
    }

    /// The word of the newest management certificate, where there is one.
    fn managed(&self, wish: &Wish, begun: &Begun, made: &Made, notes: &mut Vec<String>) -> Option<String> {
        let now = (self.now)();
        let (usable, unusable) = management::find(&wish.management, now);
        notes.extend(unusable.iter().map(|(file, why)| format!("{}: {why}", file.display())));
        let certificate = management::newest(&usable, None)?;
        let claims = Claims {
            aud: self.pinned.issuer.clone(),
            iat: now.secs(),
            tx: begun.attempt,
            nonce: begun.nonce.clone(),
            cnf: made.possession.public.thumbprint(),
        };
        let attested = certificate.attest(&claims);
        attested
            .map_err(|why| notes.push(format!("{}: {why}", certificate.file.display())))
            .ok()
    }

    async fn destroy(&self, made: Made) {
        let store = Arc::clone(&self.store);
        let destroyed = blocking(move || {
            let verification = made.verification.as_ref().map(|verification| &verification.key);
            for key in [Some(&made.possession), verification].into_iter().flatten() {
                store.delete(key)?;
            }
            Ok::<_, KeyError>(())
        });
        if let Err(error) = destroyed.await {
            tracing::warn!(%error, "a key that was made for nothing could not be destroyed");
        }
    }

    async fn send<T: serde::de::DeserializeOwned>(&self, ask: Ask<'_>, token: &Secret) -> Result<T, EnrollError> {
        let ask = self.proved(ask, Some(token)).await?;
        Ok(self.gateway.ask(ask).await?)
    }

    /// The same request with a proof by the instance's key, over its body and the token.
    async fn proved<'a>(&self, ask: Ask<'a>, token: Option<&Secret>) -> Result<Ask<'a>, EnrollError> {
        let claims = InstanceProof {
            aud: self.pinned.issuer.clone(),
            iat: (self.now)().secs(),
            jti: random(),
            htm: ask.method.to_string(),
            htu: format!("{}{}", self.gateway.origin(), ask.path),
            body: hash(&ask.body),
            ath: token.map(|token| hash(token.expose().as_bytes())),
        };
        let (store, stored) = (Arc::clone(&self.store), self.instance_key.clone());
        let proof = blocking(move || {
            let key = store.open(&stored, None)?;
            Ok::<_, EnrollError>(sign_token(INSTANCE_PROOF_TYPE, &*key, &claims)?)
        });
        let ask = ask.with(INSTANCE_PROOF_FIELD, proof.await?);
        Ok(match token {
            Some(token) => ask.with("authorization", format!("Bearer {}", token.expose())),
            None => ask,
        })
    }
}

impl Chosen {
    /// The PAM service that verified the user, where one did.
    fn service(&self) -> Option<Service> {
        match &self.confirmed {
            Confirmed::Pin(_) => None,
            Confirmed::Checked(verified) => Some(verified.service().clone()),
        }
    }
}

/// A certificate request by a key, and the same in PEM.
fn request_by(key: &dyn DeviceKey) -> Result<(CertificateSigningRequest, String), EnrollError> {
    let request = certificate_request(key)?;
    let pem = request.pem().map_err(|source| KeyError::Hardware {
        doing: "write a certificate request",
        source: source.into(),
    })?;
    Ok((request, pem))
}

/// The system that this was built for.
fn platform() -> Platform {
    if cfg!(target_os = "macos") {
        Platform::Macos
    } else if cfg!(target_os = "windows") {
        Platform::Windows
    } else {
        Platform::Linux
    }
}
