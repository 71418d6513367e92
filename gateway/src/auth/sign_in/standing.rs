//! What could somebody prove with what they have? Each as the session would be with it, for the policies to judge.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{
    Basis, Device, DeviceId, Enrollment, EnrollmentState, Factor, FactorProof, Method, Properties, Timestamp, User,
};
use policies::{Ages, Proves, Remedy};

use super::prove::{push_proof, with};
use crate::factors::strength::Strength;
use crate::request::{Judged, View};
use crate::sessions::{ages_of_proofs, facts_of_proofs};
use crate::sign_in::recipient;
use crate::world::World;

/// What somebody stands on who could prove more.
pub(crate) struct Standing<'a> {
    /// Who.
    pub(crate) user: &'a User,
    /// What they proved.
    pub(crate) proofs: &'a [FactorProof],
    /// When their session began, or would.
    pub(crate) begun: Timestamp,
    /// Since when facts hold.
    pub(crate) ages: Ages,
    /// Whether verification that only software enforces counts.
    pub(crate) in_software: bool,
}

/// The sessions as they would be with what the user has and could prove now.
pub(crate) fn remedies(world: &World, view: &View, standing: &Standing<'_>) -> Vec<Remedy> {
    let at_hand = at_hand(world, view, standing);
    let mut remedies: Vec<Remedy> = at_hand.iter().map(|proofs| standing.with(view, proofs, None)).collect();
    for (device, enrollment) in usable_devices(view, standing.user).take(MOST_DEVICES) {
        let known = world.facts.device(&Judged::by(view), &device, &enrollment);
        for proves in DEVICE_WAYS {
            if proves == Proves::FastpassVerified && enrollment.verification.is_none() {
                continue;
            }
            let by = Some((proves, &*known, &*enrollment));
            remedies.push(standing.with(view, &[], by));
            if proves != Proves::Device {
                remedies.extend(at_hand.iter().map(|proofs| standing.with(view, proofs, by)));
            }
        }
    }
    remedies
}

/// Something that somebody could prove, and the proof that would be.
#[derive(Clone)]
struct Supposed {
    proves: Proves,
    proof: FactorProof,
}

/// What the user has to prove who they are with, apart from the device in use: each by itself, or beside the password.
fn at_hand(world: &World, view: &View, standing: &Standing<'_>) -> Vec<Vec<Supposed>> {
    let (directory, user, now) = (&view.directory, standing.user, view.now);
    let password = directory
        .password_of(user.id)
        .map(|_| supposed(Proves::Password, Factor::Password, now));
    let totp = directory
        .usable_totps_of(user.id)
        .next()
        .map(|_| supposed(Proves::Totp, Factor::Totp, now));
    let email = recipient(view, &user.login).map(|_| supposed(Proves::Email, Factor::Email, now));
    let has_codes = directory.recovery_codes_left(user.id) > 0;
    let recovery = has_codes.then(|| supposed(Proves::Recovery, Factor::Recovery, now));
    let others: Vec<Supposed> = totp
        .into_iter()
        .chain(supposed_keys(view, user))
        .chain(email)
        .chain(recovery)
        .chain(pushes(world, view, standing))
        .collect();
    let alone = password.iter().chain(&others).map(|one| vec![one.clone()]);
    let beside_password = password
        .iter()
        .flat_map(|password| others.iter().map(|other| vec![password.clone(), other.clone()]));
    alone.chain(beside_password).collect()
}

/// The strongest that any device of the user could prove now.
pub(crate) fn strongest_of_devices(world: &World, view: &View, user: &User) -> Option<Strength> {
    let judged = Judged::by(view);
    let proofs = usable_devices(view, user).map(|(device, enrollment)| {
        let known = world.facts.device(&judged, &device, &enrollment);
        let proof = supposed_signature(Proves::FastpassVerified, &known, &enrollment, view.now);
        let facts = facts_of_proofs(user.id, &[proof], false);
        facts.device.as_ref().map(Strength::of)
    });
    proofs.flatten().max()
}

/// What the user could approve on devices elsewhere whose agents are connected. One that signed here is not elsewhere.
fn pushes(world: &World, view: &View, standing: &Standing<'_>) -> Vec<Supposed> {
    let signed = |proof: &&FactorProof| proof.factor == Factor::Fastpass;
    let here: Vec<DeviceId> = standing
        .proofs
        .iter()
        .filter(signed)
        .filter_map(|proof| proof.basis.device())
        .collect();
    let connected = world.pushes.lines.of_user(standing.user.id);
    let elsewhere = usable_devices(view, standing.user)
        .filter(|(device, enrollment)| connected.contains(&enrollment.id) && !here.contains(&device.id))
        .take(MOST_DEVICES);
    let by = elsewhere.flat_map(|(device, enrollment)| {
        let known = world.facts.device(&Judged::by(view), &device, &enrollment);
        let verified = enrollment.verification.as_ref().map(|_| Proves::PushVerified);
        let ways: Vec<Proves> = [Proves::Push].into_iter().chain(verified).collect();
        ways.into_iter().map(move |proves| Supposed {
            proves,
            proof: push_proof(&known, &enrollment, proves == Proves::PushVerified, view.now),
        })
    });
    by.collect()
}

/// The devices that can sign for this user now.
pub(crate) fn usable_devices(view: &View, user: &User) -> impl Iterator<Item = (Arc<Device>, Arc<Enrollment>)> {
    let directory = &view.directory;
    let is_on = directory.fastpass().enabled;
    let enrollments = directory.enrollments_of_user(user.id).filter(move |enrollment| {
        is_on && enrollment.state == EnrollmentState::Active && enrollment.methods.contains(&Method::SignedNonce)
    });
    let active = |enrollment: Arc<Enrollment>| {
        let device = directory.device(enrollment.device)?;
        (device.state == directory::DeviceState::Active).then_some((device, enrollment))
    };
    enrollments.filter_map(active)
}

impl Standing<'_> {
    fn with(
        &self,
        view: &View,
        supposed: &[Supposed],
        by: Option<(Proves, &crate::request::KnownDevice, &Enrollment)>,
    ) -> Remedy {
        let mut proofs = self.proofs.to_vec();
        let mut adds = BTreeSet::new();
        for Supposed { proves, proof } in supposed {
            proofs = with(&proofs, proof.clone());
            adds.insert(*proves);
        }
        let mut ages = ages_of_proofs(&proofs, self.begun);
        let mut device = None;
        if let Some((proves, known, enrollment)) = by {
            adds.insert(proves);
            if proves != Proves::Device {
                proofs = with(&proofs, supposed_signature(proves, known, enrollment, view.now));
                ages = ages_of_proofs(&proofs, self.begun);
            }
            device = Some(known.facts.clone());
            ages = Ages {
                device_proof: Some(view.now),
                mdm: known.mdm_at,
                reported: known.reported_at,
                ..ages
            };
        } else {
            ages = Ages {
                device_proof: self.ages.device_proof,
                mdm: self.ages.mdm,
                reported: self.ages.reported,
                ..ages
            };
        }
        Remedy {
            adds,
            session: Arc::new(facts_of_proofs(self.user.id, &proofs, self.in_software)),
            ages: Ages {
                idle: Some(view.now),
                ..ages
            },
            authenticator_installed: device.as_ref().map(|_| true),
            device,
        }
    }
}

fn supposed(proves: Proves, factor: Factor, at: Timestamp) -> Supposed {
    let proof = FactorProof {
        factor,
        at,
        basis: Basis::Authenticator {
            id: directory::AuthenticatorId::from_random(0),
            set: at,
        },
        properties: Properties {
            user_presence: true,
            ..Properties::default()
        },
    };
    Supposed { proves, proof }
}

/// What the user's security keys and passkeys could prove: that one was touched, and where it can, who touched it. Keys of
/// which policies see the same are one.
fn supposed_keys(view: &View, user: &User) -> Vec<Supposed> {
    let keys = view.directory.webauthn_of(user.id);
    let kinds: BTreeSet<_> = keys
        .map(|(_, key)| {
            (
                view.setup.webauthn.is_hardware(&key),
                !key.backup_eligible,
                key.verifies,
            )
        })
        .collect();
    let ways = kinds
        .into_iter()
        .flat_map(|(hardware_protected, device_bound, verifies)| {
            let touched = Properties {
                phishing_resistant: true,
                hardware_protected,
                device_bound,
                user_presence: true,
                ..Properties::default()
            };
            let verified = Properties {
                user_verified: true,
                ..touched
            };
            let verified = verifies.then_some((Proves::WebauthnVerified, verified));
            [(Proves::Webauthn, touched)].into_iter().chain(verified)
        });
    let made = ways.map(|(proves, properties)| {
        let Supposed { proof, .. } = supposed(proves, Factor::Webauthn, view.now);
        let proof = FactorProof { properties, ..proof };
        Supposed { proves, proof }
    });
    made.collect()
}

fn supposed_signature(
    proves: Proves,
    known: &crate::request::KnownDevice,
    enrollment: &Enrollment,
    at: Timestamp,
) -> FactorProof {
    let verification = enrollment
        .verification
        .as_ref()
        .filter(|_| proves == Proves::FastpassVerified);
    let in_hardware = verification.is_some_and(|verification| verification.hardware && known.facts.secure_hardware);
    FactorProof {
        factor: Factor::Fastpass,
        at,
        basis: Basis::Enrollment {
            id: enrollment.id,
            generation: enrollment.generation,
            device: enrollment.device,
        },
        properties: Properties {
            phishing_resistant: true,
            hardware_protected: known.facts.hardware_key && known.facts.secure_hardware,
            device_bound: known.facts.hardware_key,
            user_presence: proves != Proves::Fastpass,
            user_verified: in_hardware,
            user_verified_in_software: verification.is_some() && !in_hardware,
        },
    }
}

const DEVICE_WAYS: [Proves; 4] = [
    Proves::Device,
    Proves::Fastpass,
    Proves::FastpassApproved,
    Proves::FastpassVerified,
];

/// A few are enough to know what would do.
const MOST_DEVICES: usize = 8;
