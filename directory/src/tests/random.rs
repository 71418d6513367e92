//! Does any sequence of commands keep the directory whole, and does it do what a simple model says?

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::world::{Enrolled, World, issuer};
use crate::{
    CertificateState, Command, DeviceState, EnrollmentState, GroupId, HoldCause, RevocationReason, Snapshot, UserId,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// D-01, D-13, D-14, D-15, D-16, D-19: whatever was asked before.
    #[test]
    fn any_sequence_of_commands_does_what_the_model_says(wishes in proptest::collection::vec(wish(), 1..60)) {
        let mut scene = Scene::new();
        for wish in wishes {
            scene.follow(&wish);
            scene.check_model();
            scene.check_whole();
        }
    }
}

/// One wish about things named by small numbers, so that the same things are met again and again.
#[derive(Debug, Clone)]
enum Wish {
    User(Verb, usize),
    Device(Verb, usize),
    Enroll {
        user: usize,
        on: Option<usize>,
        old_key: Option<usize>,
    },
    Revoke(usize),
    Hold(usize),
    Release(usize),
    Report(usize),
    Withdraw(usize),
    Member {
        group: usize,
        user: usize,
        add: bool,
    },
    Subgroup {
        group: usize,
        subgroup: usize,
        add: bool,
    },
    DeleteGroup(usize),
    /// All is packed anew, and taken over when this is wished again.
    Pack,
    /// The gateway starts anew: what was stored is read again.
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Suspend,
    Unsuspend,
    Deactivate,
    Activate,
    Delete,
}

fn wish() -> impl Strategy<Value = Wish> {
    let verb = || {
        select(&[
            Verb::Suspend,
            Verb::Unsuspend,
            Verb::Deactivate,
            Verb::Activate,
            Verb::Delete,
        ])
    };
    let thing = || 0..6_usize;
    prop_oneof![
        1 => (verb(), 0..3_usize).prop_map(|(verb, user)| Wish::User(verb, user)),
        6 => (verb(), thing()).prop_map(|(verb, device)| Wish::Device(verb, device)),
        6 => (0..3_usize, proptest::option::of(thing()), proptest::option::weighted(0.1, thing()))
            .prop_map(|(user, on, old_key)| Wish::Enroll { user, on, old_key }),
        1 => thing().prop_map(Wish::Revoke),
        2 => thing().prop_map(Wish::Hold),
        2 => thing().prop_map(Wish::Release),
        2 => thing().prop_map(Wish::Report),
        1 => thing().prop_map(Wish::Withdraw),
        2 => (0..4_usize, 0..3_usize, any::<bool>()).prop_map(|(group, user, add)| Wish::Member { group, user, add }),
        2 => (0..4_usize, 0..4_usize, any::<bool>())
            .prop_map(|(group, subgroup, add)| Wish::Subgroup { group, subgroup, add }),
        1 => (0..4_usize).prop_map(Wish::DeleteGroup),
        1 => Just(Wish::Restart),
        2 => Just(Wish::Pack),
    ]
}

/// The directory and, beside it, what a reader of the behaviours would expect of it.
struct Scene {
    world: World,
    users: Vec<(UserId, Expected)>,
    groups: Vec<GroupId>,
    /// Every enrolment ever made; a device is named by its first.
    enrolled: Vec<Enrolled>,
    devices: BTreeMap<crate::DeviceId, Expected>,
    accounts: Vec<Account>,
    repacked: Option<crate::Repacked>,
}

/// The state that a user or device should be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Active,
    Suspended,
    Deactivated,
    Deleted,
}

/// What should be left of an enrolment.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: usize,
    ended: bool,
    held: bool,
    revoked: bool,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let users = ["alice", "bob", "carol"]
            .map(|login| (world.user(login), Expected::Active))
            .to_vec();
        let groups = ["one", "two", "three", "four"].map(|name| world.group(name)).to_vec();
        let mut scene = Self {
            world,
            users,
            groups,
            enrolled: Vec::new(),
            devices: BTreeMap::new(),
            accounts: Vec::new(),
            repacked: None,
        };
        scene.enroll(0, None, None);
        scene
    }

    /// Does what is wished, if that makes sense, and checks that it is refused exactly when it should be.
    fn follow(&mut self, wish: &Wish) {
        match *wish {
            Wish::Pack => match self.repacked.take() {
                Some(repacked) => self.world.snapshot = self.world.snapshot.on(repacked),
                None => self.repacked = Some(self.world.snapshot.pack()),
            },
            Wish::Restart => {
                let stored = self.world.stored.values().cloned();
                self.world.snapshot = Snapshot::restored(self.world.snapshot.revision(), stored);
            }
            Wish::User(verb, user) => self.follow_user(verb, user),
            Wish::Device(verb, device) => self.follow_device(verb, device),
            Wish::Enroll { user, on, old_key } => self.enroll(user, on, old_key),
            Wish::Revoke(n) => {
                let n = self.known(n);
                let account = self.accounts[n];
                let command = self.revoke(n);
                self.ask(command, !account.revoked);
                self.accounts[n] = Account {
                    revoked: true,
                    held: false,
                    ..account
                };
            }
            Wish::Hold(n) => {
                let n = self.known(n);
                let account = self.accounts[n];
                let legal = !account.revoked && !account.held;
                self.ask(Command::HoldCertificate(self.enrolled[n].certificate), legal);
                self.accounts[n].held |= legal;
            }
            Wish::Release(n) => {
                let n = self.known(n);
                let legal = self.accounts[n].held;
                self.ask(Command::ReleaseCertificate(self.enrolled[n].certificate), legal);
                self.accounts[n].held = false;
            }
            Wish::Report(n) => {
                let device = self.enrolled[self.known(n)].device;
                let legal = matches!(self.devices[&device], Expected::Active | Expected::Suspended);
                self.ask(Command::ReportDevice(self.world.report(device, "jamf")), legal);
            }
            Wish::Withdraw(n) => {
                let device = self.enrolled[self.known(n)].device;
                let legal = self.world.snapshot.report(device, "jamf").is_some();
                self.ask(
                    Command::WithdrawReport {
                        device,
                        source: "jamf".to_owned(),
                    },
                    legal,
                );
            }
            Wish::Member { group, user, add } => {
                let (group, user) = (self.groups[group], self.users[user].0);
                let legal = self.world.snapshot.group(group).is_some() && self.world.snapshot.user(user).is_some();
                self.ask(
                    if add {
                        Command::AddMember { group, user }
                    } else {
                        Command::RemoveMember { group, user }
                    },
                    legal,
                );
                let member = self.world.snapshot.members(group).any(|member| member.id == user);
                assert_eq!(member && legal, add && legal);
            }
            Wish::Subgroup { group, subgroup, add } => self.follow_subgroup(group, subgroup, add),
            Wish::DeleteGroup(group) => {
                let group = self.groups[group];
                self.ask(Command::DeleteGroup(group), self.world.snapshot.group(group).is_some());
            }
        }
    }

    fn follow_user(&mut self, verb: Verb, user: usize) {
        let (id, state) = self.users[user];
        let command = match verb {
            Verb::Suspend => Command::SuspendUser(id),
            Verb::Unsuspend => Command::UnsuspendUser(id),
            Verb::Deactivate => Command::DeactivateUser(id),
            Verb::Activate => Command::ActivateUser(id),
            Verb::Delete => Command::DeleteUser(id),
        };
        let next = state.after(verb);
        self.ask(command, next.is_some());
        self.users[user].1 = next.unwrap_or(state);
        if next == Some(Expected::Deleted) {
            self.end_accounts(|account, _| account.user == user);
        }
    }

    fn follow_device(&mut self, verb: Verb, device: usize) {
        let id = self.enrolled[self.known(device)].device;
        let command = match verb {
            Verb::Suspend => Command::SuspendDevice(id),
            Verb::Unsuspend => Command::UnsuspendDevice(id),
            Verb::Deactivate => Command::DeactivateDevice(id),
            Verb::Activate => Command::ActivateDevice(id),
            Verb::Delete => Command::DeleteDevice(id),
        };
        let state = self.devices[&id];
        let next = state.after(verb);
        self.ask(command, next.is_some());
        self.devices.insert(id, next.unwrap_or(state));
        if next == Some(Expected::Deactivated) {
            self.end_accounts(|_, enrolled| enrolled.device == id);
        }
    }

    fn follow_subgroup(&mut self, group: usize, subgroup: usize, add: bool) {
        let (group, subgroup) = (self.groups[group], self.groups[subgroup]);
        let known = self.world.snapshot.group(group).is_some() && self.world.snapshot.group(subgroup).is_some();
        let circle = group == subgroup || descendants(&self.world.snapshot, subgroup).contains(&group);
        let command = if add {
            Command::AddSubgroup { group, subgroup }
        } else {
            Command::RemoveSubgroup { group, subgroup }
        };
        self.ask(command, known && !(add && circle));
    }

    fn enroll(&mut self, user: usize, on: Option<usize>, old_key: Option<usize>) {
        let (id, status) = self.users[user];
        let device = on.map(|n| self.enrolled[self.known(n)].device);
        let state = device.map_or(Expected::Active, |device| self.devices[&device]);
        if status != Expected::Active || state != Expected::Active {
            return;
        }
        let secret = self.world.token(id, device);
        let mut enroll = self.world.enrolment(secret);
        enroll.device.id = device.unwrap_or(enroll.device.id);
        let known_key = old_key.map(|n| self.enrolled[self.known(n)]);
        let has_it = |other: &Enrolled, key| other.key == key && self.devices[&other.device] != Expected::Deleted;
        let key_is_known = known_key.is_some_and(|known| self.enrolled.iter().any(|other| has_it(other, known.key)));
        enroll.key = known_key.map_or(enroll.key, |known| known.key);
        let enrolled = Enrolled {
            device: enroll.device.id,
            enrollment: enroll.enrollment,
            certificate: enroll.certificate.fingerprint,
            key: enroll.key,
        };
        self.ask(Command::Enroll(enroll.into()), !key_is_known);
        if !key_is_known {
            self.enrolled.push(enrolled);
            self.accounts.push(Account {
                user,
                ended: false,
                held: false,
                revoked: false,
            });
            self.devices.insert(enrolled.device, Expected::Active);
        }
    }

    fn revoke(&self, n: usize) -> Command {
        Command::RevokeCertificate {
            fingerprint: self.enrolled[n].certificate,
            reason: RevocationReason::PrivilegeWithdrawn,
        }
    }

    /// Runs a command; a refused one must change nothing and log one failure.
    fn ask(&mut self, command: Command, legal: bool) {
        let (before, events) = (self.world.snapshot.clone(), self.world.log.len());
        let outcome = self.world.run(command.clone());
        assert_eq!(outcome.is_ok(), legal, "{command:?}: {outcome:?}");
        if legal {
            assert!(self.world.log[events..].iter().all(|event| event.succeeded()));
            return;
        }
        assert_eq!(self.world.snapshot, before);
        assert_eq!(self.world.log.len(), events + 1);
        assert!(!self.world.log[events].succeeded());
    }

    fn end_accounts(&mut self, concerned: impl Fn(&Account, &Enrolled) -> bool) {
        for (account, enrolled) in self.accounts.iter_mut().zip(&self.enrolled) {
            if concerned(account, enrolled) {
                *account = Account {
                    ended: true,
                    held: false,
                    revoked: true,
                    ..*account
                };
            }
        }
    }

    fn known(&self, n: usize) -> usize {
        n % self.enrolled.len()
    }

    /// The directory is in the state the model is in.
    fn check_model(&self) {
        let snapshot = &self.world.snapshot;
        for (id, expected) in &self.users {
            assert_eq!(
                snapshot.user(*id).map_or("deleted", |user| user.status.as_str()),
                expected.as_str()
            );
        }
        for (id, expected) in &self.devices {
            assert_eq!(
                snapshot.device(*id).map_or("deleted", |device| device.state.as_str()),
                expected.as_str()
            );
        }
        for (account, enrolled) in self.accounts.iter().zip(&self.enrolled) {
            let device = self.devices[&enrolled.device];
            let enrollment = snapshot
                .enrollment(enrolled.enrollment)
                .map_or("deleted", |known| known.state.as_str());
            let certificate = snapshot.certificate(&enrolled.certificate).unwrap().state;
            assert_eq!(enrollment, account.enrollment(device));
            assert_eq!(certificate.as_str(), account.certificate(device));
            let admins_hold = matches!(
                certificate,
                CertificateState::Held {
                    cause: HoldCause::Admin,
                    ..
                }
            );
            assert_eq!(admins_hold, account.held);
        }
    }

    /// The indexes are those of a directory built anew from the store, and nothing hangs in the air.
    fn check_whole(&self) {
        let snapshot = &self.world.snapshot;
        let rebuilt = Snapshot::restored(snapshot.revision(), self.world.stored.values().cloned());
        assert!(rebuilt.has_the_records_of(snapshot));
        for device in snapshot.devices() {
            let enrollments = || snapshot.enrollments_of_device(device.id);
            let certificates = || snapshot.certificates_of_device(device.id);
            if device.state != DeviceState::Active {
                assert!(enrollments().all(|enrollment| enrollment.state != EnrollmentState::Active));
                assert!(certificates().all(|certificate| certificate.state != CertificateState::Live));
            }
            if matches!(device.state, DeviceState::Deactivated { .. }) {
                assert_eq!(snapshot.users_of_device(device.id).count(), 0);
                assert_eq!(snapshot.reports_of_device(device.id).count(), 0);
            }
            assert!(enrollments().all(|enrollment| enrollment.version <= device.version));
            assert!(certificates().all(|certificate| certificate.version <= device.version));
            assert!(
                snapshot
                    .reports_of_device(device.id)
                    .all(|report| report.version <= device.version)
            );
        }
        let on_crl = snapshot
            .certificates()
            .filter(|certificate| certificate.state != CertificateState::Live)
            .count();
        assert_eq!(snapshot.revoked_certificates(&issuer()).count(), on_crl);
        for group in snapshot.groups() {
            assert!(!descendants(snapshot, group.id).contains(&group.id), "a circle");
            assert!(group.parents.iter().all(|parent| snapshot.group(*parent).is_some()));
        }
        assert!(
            snapshot
                .users()
                .all(|user| user.groups.iter().all(|group| snapshot.group(*group).is_some()))
        );
    }
}

impl Expected {
    fn after(self, verb: Verb) -> Option<Self> {
        match (self, verb) {
            (Self::Active, Verb::Suspend) => Some(Self::Suspended),
            (Self::Suspended, Verb::Unsuspend) | (Self::Deactivated, Verb::Activate) => Some(Self::Active),
            (Self::Active | Self::Suspended, Verb::Deactivate) => Some(Self::Deactivated),
            (Self::Deactivated, Verb::Delete) => Some(Self::Deleted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }
}

impl Account {
    fn enrollment(&self, device: Expected) -> &'static str {
        match device {
            Expected::Deleted => "deleted",
            _ if self.ended => "ended",
            Expected::Suspended => "suspended",
            Expected::Active | Expected::Deactivated => "active",
        }
    }

    fn certificate(&self, device: Expected) -> &'static str {
        match device {
            _ if self.revoked => "revoked",
            Expected::Suspended => "held",
            _ if self.held => "held",
            Expected::Active | Expected::Deactivated | Expected::Deleted => "live",
        }
    }
}

/// All groups in this one, however deep, found from above and not, as the directory does it, from below.
fn descendants(snapshot: &Snapshot, group: GroupId) -> BTreeSet<GroupId> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![group];
    while let Some(group) = waiting.pop() {
        waiting.extend(
            snapshot
                .subgroups(group)
                .map(|subgroup| subgroup.id)
                .filter(|id| found.insert(*id)),
        );
    }
    found
}
