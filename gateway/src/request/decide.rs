//! Does this request pass? The one place where a permit is made.

use std::sync::Arc;
use std::time::Duration;

use directory::{Device, Snapshot, Timestamp, User};
use policies::Decider;

use super::arrive::Arrived;
use super::assess::{Assessed, FactStore, Judged, assess};
use super::denial::Denial;
use super::identify::{Identified, Shown, Unidentified, identify};
use super::record::Signals;
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

    /// When it has to be judged again at the latest: when time alone could turn it, and once a minute anyway.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        let latest = now.plus(JUDGED_AGAIN);
        let ends = self.granted.as_ref().and_then(|granted| granted.policies.ends());
        ends.map_or(latest, |ends| ends.min(latest))
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
}

/// A moment's view of everything a decision reads. Taking one costs a few reference counts.
pub(crate) struct View {
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
                },
            };
        }
    };
    let judged = Judged {
        directory: &view.directory,
        setup: &view.setup,
        decider: &view.decider,
        now: view.now,
    };
    let assessed = assess(store, &judged, arrived, served, &identified);
    match view.decider.decide(&assessed.request) {
        Ok(policies) => {
            let granted = Some(Granted {
                identified,
                assessed,
                policies,
            });
            Verdict {
                outcome: Ok(Permit {
                    served: served.clone(),
                    granted,
                }),
                asked: Asker::default(),
            }
        }
        Err(denied) => Verdict {
            outcome: Err(Denial::Policy(denied)),
            asked: Asker {
                user: Some(identified.user),
                device: Some(identified.device),
                signals: Some(assessed.signals),
            },
        },
    }
}
