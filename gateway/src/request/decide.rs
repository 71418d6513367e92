//! Does this request pass? The one place where a permit is made.

use std::sync::Arc;
use std::time::Duration;

use directory::{Device, Snapshot, Timestamp, User};
use policies::{Ages, Decider, Denied, OrganizationRequest, Reason};

use super::arrive::Arrived;
use super::assess::{Assessed, FactStore, Judged, Question, assess, installed, request_facts, risk, session};
use super::denial::Denial;
use super::identify::{Identified, ProvedBy, SessionInUse, Shown, Unidentified, identify};
use super::record::Signals;
use crate::pages::ENGLISH;
use crate::sessions::{Grip, Lasting, continues};
use crate::setup::{Served, Setup};

/// Proof that a request may go to its application. Only this file can make one.
pub(crate) struct Permit {
    served: Arc<Served>,
    granted: Option<Granted>,
}

/// For whom a request was allowed, and until when that holds.
pub(crate) struct Granted {
    /// The user and the device, as the directory had them.
    pub(crate) identified: Identified,
    /// What policies saw of the two.
    pub(crate) assessed: Assessed,
    /// Cedar's answer.
    pub(crate) policies: policies::Permit,
    /// Until when the session may go on, where time could turn that.
    session_until: Option<Timestamp>,
}

impl Permit {
    /// The application it is for.
    pub(crate) fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// For whom it is; nobody on a public path.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Notes that the session it rests on is used.
    pub(crate) fn note_use(&self, now: Timestamp) {
        let session = self
            .granted
            .as_ref()
            .and_then(|granted| granted.identified.session.as_ref());
        if let Some(session) = session {
            session.grip.see(now);
        }
    }

    /// When it has to be judged again at the latest: when time alone could turn it, and once a minute anyway.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        let latest = now.plus(JUDGED_AGAIN);
        let granted = self.granted.as_ref();
        let ends = granted.and_then(|granted| granted.policies.ends());
        let over = granted.and_then(|granted| granted.session_until);
        [ends, over].into_iter().flatten().fold(latest, Timestamp::min)
    }
}

/// What came of judging a request, and on what it rests.
pub(crate) struct Verdict {
    /// The answer.
    pub(crate) outcome: Result<Permit, Denial>,
    /// Who asked, as far as that is known although the answer is no.
    pub(crate) asked: Asker,
}

impl Verdict {
    /// A refusal that was reached without asking who it is.
    pub(crate) fn denied(denial: Denial) -> Self {
        Self {
            outcome: Err(denial),
            asked: Asker::default(),
        }
    }
}

/// All live requests are judged again at least this often.
const JUDGED_AGAIN: Duration = Duration::from_secs(60);

/// Who asked for what was denied, as far as it is known.
#[derive(Default)]
pub(crate) struct Asker {
    /// The user.
    pub(crate) user: Option<Arc<User>>,
    /// The device's record.
    pub(crate) device: Option<Arc<Device>>,
    /// What was known of the device, where Cedar was asked.
    pub(crate) signals: Option<Signals>,
    /// The session.
    pub(crate) session: Option<SessionInUse>,
}

/// A moment's view of everything a decision reads. Taking one costs a few reference counts.
pub(crate) struct View {
    /// How much had been taken from sessions.
    pub(crate) losses: u64,
    /// The directory.
    pub(crate) directory: Arc<Snapshot>,
    /// The configuration.
    pub(crate) setup: Arc<Setup>,
    /// The policies.
    pub(crate) decider: Arc<Decider>,
    /// The moment.
    pub(crate) now: Timestamp,
}

/// Judges a request to an application: public paths pass, then who and which device, then Cedar.
pub(crate) fn decide(store: &FactStore, view: &View, arrived: &Arrived, served: &Arc<Served>) -> Verdict {
    judge(store, view, arrived, served, arrived.session.clone())
}

/// Judges a request that is under way: by what its cookie stands for now, if it was replaced meanwhile.
pub(crate) fn decide_again(store: &FactStore, view: &View, arrived: &Arrived, served: &Arc<Served>) -> Verdict {
    let peer = arrived.peer;
    let session = arrived.session.as_ref().map(|grip| grip.latest(peer));
    judge(store, view, arrived, served, session)
}

fn judge(
    store: &FactStore,
    view: &View,
    arrived: &Arrived,
    served: &Arc<Served>,
    session: Option<Arc<Grip>>,
) -> Verdict {
    if served.application.is_public(&arrived.matched_path) {
        let permit = Permit {
            served: served.clone(),
            granted: None,
        };
        return Verdict {
            outcome: Ok(permit),
            asked: Asker::default(),
        };
    }
    let shown = Shown {
        certificate: arrived.connection.certificate.as_ref(),
        assertion: arrived.presented.as_ref(),
        session: session.as_ref(),
    };
    let identified = match identify(shown, &view.directory, view.now) {
        Ok(identified) => identified,
        Err(unidentified) => {
            let Unidentified {
                denial, device, user, ..
            } = *unidentified;
            return Verdict {
                outcome: Err(denial),
                asked: Asker {
                    user,
                    device,
                    signals: None,
                    session: None,
                },
            };
        }
    };
    let judged = Judged::by(view);
    let question = Question::of(&view.setup, arrived);
    let assessed = assess(store, &judged, question, served, &identified);
    let until = match may_continue(store, view, arrived, &identified, &assessed) {
        Ok(until) => until,
        Err(denial) => return refused(denial, identified, assessed),
    };
    match view.decider.decide(&assessed.request) {
        Ok(policies) => {
            let granted = Some(Granted {
                identified,
                assessed,
                policies,
                session_until: until,
            });
            Verdict {
                outcome: Ok(Permit {
                    served: served.clone(),
                    granted,
                }),
                asked: Asker::default(),
            }
        }
        Err(denied) => {
            let denial = denial(view, &identified, &assessed, denied);
            refused(denial, identified, assessed)
        }
    }
}

/// Whether the session, where one names the user, may go on; until when, where time could turn that.
fn may_continue(
    store: &FactStore,
    view: &View,
    arrived: &Arrived,
    identified: &Identified,
    assessed: &Assessed,
) -> Result<Option<Timestamp>, Denial> {
    let Some(session) = &identified.session else {
        return Ok(None);
    };
    let asked = || organization_request(store, view, arrived, identified);
    let standing = Lasting {
        user: assessed.user.version,
        limits: &view.setup.config.sign_in,
        now: view.now,
    };
    let until = continues(&session.grip, &view.decider, asked, &standing);
    until.map(Some).map_err(|_| Denial::SessionOver)
}

/// What the policies are asked about a session: all that is known of whom it names.
pub(crate) fn organization_request(
    store: &FactStore,
    view: &View,
    arrived: &Arrived,
    identified: &Identified,
) -> OrganizationRequest {
    let judged = Judged::by(view);
    let in_use = identified.device.as_ref();
    let device = in_use.map(|in_use| store.device(&judged, &in_use.device, &in_use.enrollment));
    let (session, ages) = session(&view.setup, identified);
    OrganizationRequest {
        user: store.user(&view.directory, &identified.user),
        device: device.as_ref().map(|known| known.facts.clone()),
        session,
        request: request_facts(&view.setup, arrived),
        ages: Ages {
            device_proof: in_use.map(|in_use| in_use.proved_at(view.now)),
            mdm: device.as_ref().and_then(|known| known.mdm_at),
            reported: device.as_ref().and_then(|known| known.reported_at),
            ..ages
        },
        proof: None,
        risk: risk(identified),
        authenticator_installed: installed(identified),
        now: view.now,
    }
}

/// What a refusal by the policies is called: a device that only has to prove itself again is told so; where a device that
/// was shown counts for nothing, that is a reason too.
fn denial(view: &View, identified: &Identified, assessed: &Assessed, denied: Denied) -> Denial {
    let proved_in_session = identified
        .device
        .as_ref()
        .is_some_and(|in_use| matches!(in_use.by, ProvedBy::Session { .. }));
    if proved_in_session {
        let mut fresh = assessed.request.clone();
        fresh.ages.device_proof = Some(view.now);
        if view.decider.decide(&fresh).is_ok() {
            return Denial::ProofTooOld(denied);
        }
    }
    match &identified.dropped {
        None => Denial::Policy(denied),
        Some(cause) => {
            let cause = Reason {
                policy: None,
                message: cause.detail(&ENGLISH).into(),
                translations: Arc::default(),
                advice: None,
            };
            let reasons = [cause].into_iter().chain(denied.reasons.iter().cloned()).collect();
            Denial::Policy(Denied { reasons, ..denied })
        }
    }
}

fn refused(denial: Denial, identified: Identified, assessed: Assessed) -> Verdict {
    Verdict {
        outcome: Err(denial),
        asked: Asker {
            user: Some(identified.user),
            device: identified.device.map(|in_use| in_use.device),
            signals: assessed.signals,
            session: identified.session,
        },
    }
}
