//! What do the tests start from? A directory with a store beside it that checks every write as a real one must.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{
    Actor, ActorKind, Certificate, Change, Command, Device, DeviceId, Enroll, Enrollment, EnrollmentId,
    EnrollmentTokenId, Event, Fingerprint, GroupId, KeyStore, KeyThumbprint, MdmReport, NewCertificate, NewDevice,
    NewEnrollmentToken, NewGroup, NewUser, Plan, Platform, Posture, Refusal, Revision, SecretHash, Serial, Snapshot,
    Table, Timestamp, TokenOrigin, TransactionId, UserId,
};

/// A directory and all that was ever stored of it.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) stored: BTreeMap<(Table, String), Change>,
    pub(super) log: Vec<Event>,
    pub(super) now: Timestamp,
    last_id: u128,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            snapshot: Snapshot::empty(),
            stored: BTreeMap::new(),
            log: Vec::new(),
            now: Timestamp::from_secs(1_795_000_000),
            last_id: 0,
        }
    }

    /// Random bits that never come twice.
    pub(super) fn fresh(&mut self) -> u128 {
        self.last_id += 1;
        self.last_id
    }

    /// Plans a command and, unless it is refused, stores and publishes it.
    pub(super) fn run(&mut self, command: Command) -> Result<Plan, Refusal> {
        let transaction = TransactionId::from_random(self.fresh());
        match self.snapshot.plan(&command, &admin(), transaction, self.now) {
            Ok(plan) => {
                self.commit(&plan);
                Ok(plan)
            }
            Err(refused) => {
                self.log.push(*refused.event);
                Err(refused.reason)
            }
        }
    }

    fn commit(&mut self, plan: &Plan) {
        let revision = self.snapshot.revision().next();
        for change in &plan.changes {
            let mut change = change.clone();
            let expected = self.snapshot.version_of(&change);
            let stored = self.stored.get(&change.key()).map(version);
            assert_eq!(
                stored,
                expected,
                "the store and the snapshot know different versions of {:?}",
                change.key()
            );
            change.stamp(revision);
            if version(&change) == revision {
                self.stored.insert(change.key(), change);
            } else {
                self.stored.remove(&change.key());
            }
        }
        self.snapshot = self.snapshot.with(revision, &plan.changes);
        self.log.extend(plan.events.clone());
    }

    pub(super) fn user(&mut self, login: &str) -> UserId {
        let id = UserId::from_random(self.fresh());
        self.run(Command::CreateUser(new_user(id, login))).unwrap();
        id
    }

    pub(super) fn group(&mut self, name: &str) -> GroupId {
        let id = GroupId::from_random(self.fresh());
        self.run(Command::CreateGroup(NewGroup {
            id,
            name: name.to_owned(),
            description: String::new(),
        }))
        .unwrap();
        id
    }

    pub(super) fn token(&mut self, user: UserId, device: Option<DeviceId>) -> SecretHash {
        let random = self.fresh();
        let secret = SecretHash::of(&random.to_string());
        let new = NewEnrollmentToken {
            id: EnrollmentTokenId::from_random(random),
            secret,
            user,
            device,
            origin: TokenOrigin::Admin,
            factors: Default::default(),
            proofs: Vec::new(),
            session: None,
            bound_to: None,
            ends: self.now.plus(Duration::from_secs(600)),
        };
        self.run(Command::CreateEnrollmentToken(new)).unwrap();
        secret
    }

    /// What a new device with a new key would send.
    pub(super) fn enrolment(&mut self, secret: SecretHash) -> Enroll {
        let random = self.fresh();
        let octets = random.to_be_bytes();
        Enroll {
            secret,
            device: NewDevice {
                id: DeviceId::from_random(random),
                name: format!("laptop-{random}"),
                platform: Platform::Linux,
            },
            enrollment: EnrollmentId::from_random(random),
            key: KeyThumbprint::of(&octets),
            key_store: KeyStore::Software,
            certificate: NewCertificate {
                fingerprint: Fingerprint::of(&octets),
                serial: Serial::from_octets([&[1], octets.as_slice()].concat()).unwrap(),
                issuer: issuer(),
                not_before: self.now,
                not_after: self.now.plus(Duration::from_secs(90 * 86_400)),
            },
            authenticator: None,
        }
    }

    /// Enrols a new device for the user.
    pub(super) fn device(&mut self, user: UserId) -> Enrolled {
        let secret = self.token(user, None);
        let enroll = self.enrolment(secret);
        self.enroll(enroll)
    }

    /// Enrols a known device for the user with a new key.
    pub(super) fn add_account(&mut self, device: DeviceId, user: UserId) -> Enrolled {
        let secret = self.token(user, Some(device));
        let mut enroll = self.enrolment(secret);
        enroll.device.id = device;
        self.enroll(enroll)
    }

    fn enroll(&mut self, enroll: Enroll) -> Enrolled {
        let enrolled = Enrolled {
            device: enroll.device.id,
            enrollment: enroll.enrollment,
            certificate: enroll.certificate.fingerprint,
            key: enroll.key,
        };
        self.run(Command::Enroll(Box::new(enroll))).unwrap();
        enrolled
    }

    pub(super) fn report(&self, device: DeviceId, source: &str) -> MdmReport {
        MdmReport {
            device,
            source: source.to_owned(),
            managed: true,
            posture: Posture::default(),
            certificate: None,
            at: self.now,
            ends: self.now.plus(Duration::from_secs(3600)),
            version: Revision::default(),
        }
    }

    pub(super) fn device_of(&self, enrolled: &Enrolled) -> std::sync::Arc<Device> {
        self.snapshot.device(enrolled.device).unwrap()
    }

    pub(super) fn enrollment_of(&self, enrolled: &Enrolled) -> std::sync::Arc<Enrollment> {
        self.snapshot.enrollment(enrolled.enrollment).unwrap()
    }

    pub(super) fn certificate_of(&self, enrolled: &Enrolled) -> std::sync::Arc<Certificate> {
        self.snapshot.certificate(&enrolled.certificate).unwrap()
    }

    /// What the log says from its nth event on.
    pub(super) fn event_types_since(&self, start: usize) -> Vec<&'static str> {
        self.log[start..]
            .iter()
            .map(|event| event.event_type.as_str())
            .collect()
    }
}

/// What came of an enrolment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enrolled {
    pub(super) device: DeviceId,
    pub(super) enrollment: EnrollmentId,
    pub(super) certificate: Fingerprint,
    pub(super) key: KeyThumbprint,
}

pub(super) fn new_user(id: UserId, login: &str) -> NewUser {
    NewUser {
        id,
        login: login.to_owned(),
        email: "someone@example.com".to_owned(),
        first_name: String::new(),
        last_name: String::new(),
        user_type: "employee".to_owned(),
        tags: BTreeMap::new(),
    }
}

pub(super) fn admin() -> Actor {
    Actor {
        kind: ActorKind::ApiToken,
        id: "tok1".to_owned(),
        display_name: "operations".to_owned(),
        address: None,
    }
}

pub(super) fn issuer() -> Fingerprint {
    Fingerprint::of(b"the CA")
}

/// The version a record carries, or the first for a deletion, which carries none.
fn version(change: &Change) -> Revision {
    match change {
        Change::PutUser(user) => user.version,
        Change::PutGroup(group) => group.version,
        Change::PutDevice(device) => device.version,
        Change::PutEnrollment(enrollment) => enrollment.version,
        Change::PutCertificate(certificate) => certificate.version,
        Change::PutReport(report) => report.version,
        Change::PutEnrollmentToken(token) => token.version,
        Change::PutApiToken(token) => token.version,
        Change::PutInstance(instance) => instance.version,
        Change::PutAuthenticator(authenticator) => authenticator.version,
        Change::PutManagementCertificate(certificate) => certificate.version,
        Change::PutSettings(settings) => settings.version,
        Change::DeleteUser(_)
        | Change::DeleteGroup(_)
        | Change::DeleteDevice(_)
        | Change::DeleteEnrollment(_)
        | Change::DeleteReport { .. }
        | Change::DeleteEnrollmentToken(_)
        | Change::DeleteInstance(_)
        | Change::DeleteAuthenticator(_)
        | Change::DeleteManagementCertificate(_) => Revision::default(),
    }
}
