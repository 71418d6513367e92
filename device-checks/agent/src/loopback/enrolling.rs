//! How does an agent enrol through the browser? A page of the auth host has it prove that both are on the same machine, brings
//! the token, and follows what becomes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use device_checks::loopback::{
    ENROLL_PROVE_PATH, ENROLL_STATUS_PATH, ENROLL_TOKEN_PATH, ENROLLMENT_PROOF_TYPE, EnrollmentGranted,
    EnrollmentProgress, EnrollmentProved, EnrollmentRequest, EnrollmentStep, LoopbackErrorCode, PROBE_PATH, Probed,
};
use http::{Method, StatusCode};
use tokio::sync::{Notify, oneshot};

use super::reply::Reply;
use super::server::{Call, Pages};
use crate::challenge::BadChallenge;
use crate::cli::error::chain;
use crate::enrollment::{Applicant, EnrollError};
use crate::enrollment_challenge::VerifiedEnrollmentChallenge;
use crate::keys::{blocking, sign_token};
use crate::secret::Secret;

/// An installation that waits for its user to enrol in the browser.
pub struct Enrolling {
    applicant: Applicant,
    stage: Mutex<Stage>,
    seen: Notify,
}

/// What the gateway let the browser bring.
#[derive(Debug)]
pub struct Granted {
    /// The enrolment token, for this instance's key alone.
    pub token: Secret,
    /// What the device is to be called, where the user said so.
    pub name: Option<String>,
}

struct Stage {
    progress: EnrollmentProgress,
    /// Where the token goes, once.
    wanted: Option<oneshot::Sender<Granted>>,
    /// Whether a page proved to be the auth host's, for this instance.
    proved: bool,
}

/// Says why nothing is proved to a page.
#[derive(Debug, thiserror::Error)]
enum NotProved {
    #[error("expected a challenge")]
    NotOne,
    #[error(transparent)]
    Challenge(#[from] BadChallenge),
    #[error(transparent)]
    Key(#[from] EnrollError),
}

impl Enrolling {
    /// Waits for a page; the token comes by the receiver.
    pub fn new(applicant: Applicant) -> (Self, oneshot::Receiver<Granted>) {
        let (wanted, granted) = oneshot::channel();
        let stage = Stage {
            progress: EnrollmentProgress {
                step: EnrollmentStep::Waiting,
                message: None,
            },
            wanted: Some(wanted),
            proved: false,
        };
        let enrolling = Self {
            applicant,
            stage: Mutex::new(stage),
            seen: Notify::new(),
        };
        (enrolling, granted)
    }

    /// Tells the page how far it is.
    pub fn tell(&self, step: EnrollmentStep, message: Option<String>) {
        self.stage().progress = EnrollmentProgress { step, message };
    }

    /// Waits until a page has read that it is over.
    pub async fn read(&self) {
        self.seen.notified().await;
    }

    async fn prove(&self, body: &[u8]) -> Result<EnrollmentProved, NotProved> {
        let EnrollmentRequest { challenge_request } = serde_json::from_slice(body).map_err(|_| NotProved::NotOne)?;
        let key = self.applicant.instance_key.public;
        let now = (self.applicant.now)();
        let challenge =
            VerifiedEnrollmentChallenge::check(&challenge_request, &self.applicant.pinned, key.thumbprint(), now)?;
        let (store, stored) = (Arc::clone(&self.applicant.store), self.applicant.instance_key.clone());
        let proof = challenge.proof(now);
        let proof = blocking::<_, EnrollError>(move || {
            let key = store.open(&stored, None)?;
            Ok(sign_token(ENROLLMENT_PROOF_TYPE, &*key, &proof)?)
        });
        let proof = proof.await?;
        self.stage().proved = true;
        Ok(EnrollmentProved { key, proof })
    }

    fn take(&self, body: &[u8]) -> Reply {
        let Ok(EnrollmentGranted { token, name }) = serde_json::from_slice(body) else {
            return Reply::error(LoopbackErrorCode::BadChallenge, "expected an enrolment token");
        };
        let token = Secret::new(token);
        let mut stage = self.stage();
        if !stage.proved {
            return Reply::error(
                LoopbackErrorCode::BadChallenge,
                "nothing was proved to this page before",
            );
        }
        let Some(wanted) = stage.wanted.take() else {
            return Reply::error(LoopbackErrorCode::Busy, "this agent has its enrolment token already");
        };
        match wanted.send(Granted { token, name }) {
            Ok(()) => Reply::empty(StatusCode::NO_CONTENT),
            Err(_) => Reply::error(LoopbackErrorCode::Failed, "this agent does not wait any more"),
        }
    }

    fn progress(&self) -> EnrollmentProgress {
        let progress = self.stage().progress.clone();
        if matches!(progress.step, EnrollmentStep::Done | EnrollmentStep::Failed) {
            self.seen.notify_one();
        }
        progress
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages for Enrolling {
    fn issuer(&self) -> Option<String> {
        Some(self.applicant.pinned.issuer.clone())
    }

    async fn answer(&self, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, PROBE_PATH) => Reply::done(&Probed {
                version: 1,
                enrolling: true,
            }),
            (&Method::POST, ENROLL_PROVE_PATH) => match self.prove(&call.body).await {
                Ok(proved) => Reply::done(&proved),
                Err(error @ (NotProved::NotOne | NotProved::Challenge(_))) => {
                    Reply::error(LoopbackErrorCode::BadChallenge, chain(&error))
                }
                Err(error @ NotProved::Key(_)) => Reply::error(LoopbackErrorCode::Failed, chain(&error)),
            },
            (&Method::POST, ENROLL_TOKEN_PATH) => self.take(&call.body),
            (&Method::GET, ENROLL_STATUS_PATH) => Reply::done(&self.progress()),
            (_, PROBE_PATH | ENROLL_PROVE_PATH | ENROLL_TOKEN_PATH | ENROLL_STATUS_PATH) => {
                Reply::empty(StatusCode::METHOD_NOT_ALLOWED)
            }
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }

    /// Nothing is enrolled, so there is no key to tell the gateway by.
    fn warn(self: Arc<Self>, _origin: String, _body: Bytes) {}
}
