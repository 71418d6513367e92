//! What does every request and every command read? The state of one running gateway.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use certs::Authority;
use directory::{Actor, ActorKind, SessionCommand, SessionEnd, Timestamp};
use policies::Decider;

use crate::agents::{Attempts, ChallengeSigner, Challenges};
use crate::auth::CrlCache;
use crate::auth::UnderWay;
use crate::clock::Clock;
use crate::live::LiveRequests;
use crate::logs::Chain;
use crate::mail::Outbox;
use crate::nonces::Nonces;
use crate::pushes::Pushes;
use crate::request::{
    Arrived, Decision, DecisionLog, Denial, FactStore, Identified, Identities, Issuing, Permit, Record, SessionInUse,
    Verdict, View,
};
use crate::sealed::Seal;
use crate::setup::Setup;
use crate::sign_in::SignIns;
use crate::store::Directory;
use crate::telemetry::Telemetry;

/// The state of one running gateway.
pub(crate) struct World {
    /// The configuration; swapped as a whole.
    pub(crate) setup: ArcSwap<Setup>,
    /// The policies; swapped as a whole.
    pub(crate) decider: ArcSwap<Decider>,
    /// Users, devices and what belongs to them.
    pub(crate) directory: Directory,
    /// What is known of users and devices, kept per version.
    pub(crate) facts: FactStore,
    /// What applications are told.
    pub(crate) identities: Identities,
    /// Which requests are under way.
    pub(crate) live: Arc<LiveRequests>,
    /// What was decided.
    pub(crate) log: DecisionLog,
    /// What time it is.
    pub(crate) clock: Arc<Clock>,
    /// Who signs in, and who tries to.
    pub(crate) sign_ins: SignIns,
    /// Seals what browsers carry.
    pub(crate) seal: Seal,
    /// Sign-ins that are under way.
    pub(crate) under_way: UnderWay,
    /// Nonces for devices' signatures.
    pub(crate) nonces: Nonces,
    /// Signs what devices are asked and told.
    pub(crate) signer: ChallengeSigner,
    /// Challenges that wait for their answer.
    pub(crate) challenges: Challenges,
    /// Agents that are connected, and what their users were asked.
    pub(crate) pushes: Pushes,
    /// Enrolments under way.
    pub(crate) attempts: Attempts,
    /// Issues device certificates.
    pub(crate) authority: Arc<Authority>,
    /// Letters that wait to be carried.
    pub(crate) outbox: Outbox,
    /// Where requests hand over their traces, if anybody takes them.
    pub(crate) telemetry: Option<Telemetry>,
    /// The revocation list as last made.
    pub(crate) crl: CrlCache,
}

impl World {
    /// Everything a decision reads, as of now.
    pub(crate) fn view(&self) -> View {
        View {
            losses: self.directory.sessions().losses(),
            directory: self.directory.snapshot(),
            setup: self.setup.load_full(),
            decider: self.decider.load_full(),
            now: self.clock.now(),
        }
    }

    /// Whether nothing that a decision reads has changed since the view was taken, but for the time.
    pub(crate) fn is_as_in(&self, view: &View) -> bool {
        self.directory.sessions().losses() == view.losses
            && Arc::ptr_eq(&self.directory.snapshot(), &view.directory)
            && Arc::ptr_eq(&self.setup.load(), &view.setup)
            && Arc::ptr_eq(&self.decider.load(), &view.decider)
    }

    /// Sees to the sessions: those that are too old or were unused for too long end.
    pub(crate) async fn keep_sessions(&self) {
        let (now, setup) = (self.clock.now(), self.setup.load_full());
        let limits = &setup.config.sign_in;
        let sessions = self.directory.sessions();
        let system = Actor {
            kind: ActorKind::System,
            id: "sessions".to_owned(),
            display_name: "sessions".to_owned(),
            address: None,
        };
        for session in sessions.overdue(limits.session_maximum_age, limits.session_idle, now) {
            let end = SessionCommand::End {
                session,
                cause: SessionEnd::Expired,
            };
            if let Err(error) = self.directory.submit_session(end, system.clone()).await {
                tracing::warn!(error = %Chain(&error), "a session that is over could not be ended");
            }
        }
        if let Err(error) = self.directory.keep_sessions(now).await {
            tracing::warn!(error = %Chain(&error), "when sessions were used could not be written down");
        }
        let set = |gauge: metrics::Gauge, count: usize| gauge.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        set(metrics::gauge!("latchkey_sessions"), sessions.count());
        set(metrics::gauge!("latchkey_connected_agents"), self.pushes.lines.count());
    }

    /// For whom and by whom an assertion is made for this permit.
    pub(crate) fn issuing<'a>(setup: &'a Setup, permit: &'a Permit, now: Timestamp) -> Issuing<'a> {
        Issuing {
            issuer: &setup.auth_origin,
            application: &permit.served().application.name,
            pool: permit.served().pool,
            lifetime: setup.config.assertion_lifetime,
            now,
        }
    }

    /// Writes down what was decided on arrival.
    pub(crate) fn record(&self, arrived: &Arrived, view: &View, verdict: &Verdict) {
        count(verdict.outcome.as_ref().map(drop));
        DECISION_SECONDS.record(arrived.started.elapsed());
        self.write(arrived, view, verdict, arrived.started, false);
    }

    /// Writes down that a live request was cut, and why; `judged` is when it began to be judged again.
    pub(crate) fn record_cut(&self, arrived: &Arrived, view: &View, verdict: &Verdict, judged: Instant) {
        metrics::counter!("latchkey_cuts_total").increment(1);
        self.write(arrived, view, verdict, judged, true);
    }

    /// Writes down an answer of the gateway's own hosts.
    pub(crate) fn record_own(&self, arrived: &Arrived, view: &View, outcome: Result<(), &Denial>) {
        count(outcome);
        self.log.write(&outline(arrived, view, outcome, arrived.started));
    }

    fn write(&self, arrived: &Arrived, view: &View, verdict: &Verdict, since: Instant, cut: bool) {
        let granted = verdict.outcome.as_ref().ok().and_then(Permit::granted);
        let (user, device, signals, session) = match granted {
            Some(granted) => {
                let Identified {
                    user, device, session, ..
                } = &granted.identified;
                let device = device.as_ref().map(|in_use| &in_use.device);
                (Some(user), device, granted.assessed.signals.as_ref(), session.as_ref())
            }
            None => (
                verdict.asked.user.as_ref(),
                verdict.asked.device.as_ref(),
                verdict.asked.signals.as_ref(),
                verdict.asked.session.as_ref(),
            ),
        };
        let policies = match &verdict.outcome {
            Ok(_) => granted.map(|granted| granted.policies.policies()).unwrap_or_default(),
            Err(Denial::Policy(denied) | Denial::ProofTooOld(denied)) => &denied.policies,
            Err(_) => &[],
        };
        self.log.write(&Record {
            user: user.map(|user| user.login.as_str()),
            device: device.map(|device| device.id),
            session: session.map(|session| session.session.id),
            risk: session
                .and_then(SessionInUse::generation)
                .map(|generation| generation.risk),
            policies,
            cut,
            signals,
            ..outline(arrived, view, verdict.outcome.as_ref().map(drop), since)
        });
    }
}

/// Counts a decision on arrival by its code.
fn count(outcome: Result<(), &Denial>) {
    match outcome {
        Ok(()) => ALLOWED.increment(1),
        Err(denial) => metrics::counter!("latchkey_decisions_total", "code" => denial.code()).increment(1),
    }
}

// Looked up once: every request counts. INVARIANT: the recorder is installed before the first request can come.
static ALLOWED: LazyLock<metrics::Counter> =
    LazyLock::new(|| metrics::counter!("latchkey_decisions_total", "code" => "allowed"));
static DECISION_SECONDS: LazyLock<metrics::Histogram> =
    LazyLock::new(|| metrics::histogram!("latchkey_decision_seconds"));

/// A line of the decision log with what every request has.
fn outline<'a>(arrived: &'a Arrived, view: &'a View, outcome: Result<(), &Denial>, since: Instant) -> Record<'a> {
    let (decision, code) = match outcome {
        Ok(()) => (Decision::Allow, "allowed"),
        Err(denial) => (Decision::Deny, denial.code()),
    };
    Record {
        time: view.now,
        request_id: &arrived.id,
        user: None,
        device: None,
        session: None,
        risk: None,
        app: Some(arrived.site.name()),
        proxy: arrived.proxy.as_ref().map(|proxy| proxy.name()),
        method: arrived.method.as_str(),
        path: &arrived.path,
        action: arrived.action.as_str(),
        decision,
        code,
        policies: &[],
        cut: false,
        signals: None,
        policy_version: view.decider.policies().version().as_str(),
        revision: view.directory.revision(),
        latency_us: u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}
