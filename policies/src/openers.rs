//! What could open an application, before anybody said who they are? Hypothetical people try, and nobody real is looked at.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use directory::{DeviceId, KeyStore, OsVersion, Ownership, Platform, Posture, Revision, SessionId, Timestamp, UserId};

use crate::Ages;
use crate::caching::{OpenersKey, Target};
use crate::decide::Decider;
use crate::entities::BadFacts;
use crate::facts::{
    AccessRequest, Action, AppFacts, DeviceFacts, FactorMethod, FactorUse, HeldFactor, Proof, RequestFacts,
    SessionFacts, UserFacts,
};
use crate::remedies::{OF_SESSIONS, Proves, burden, is_within, least};
use crate::schema::Kind;
use crate::set::PolicySet;
use crate::slice::{Slice, fits_action, fits_app, fits_organization};
use crate::wishes::Wishes;

impl Decider {
    /// What opens the application to some user or other, just proved, the least first: for a page to offer, before
    /// anybody is known. It depends on the policies, the application and the request alone.
    ///
    /// The users tried are in all groups that the policies wish for, of the types and with the tags they wish for; the
    /// device is registered, managed, attested, and well in every respect; the risk is 0. So what is named may still be
    /// refused to whoever comes. What asks for a certain user, an address of mail or a device whose tag has several
    /// values finds nobody here; where nobody gets in, everything there is to prove is named.
    pub fn openers(&self, app: &Arc<AppFacts>, request: &RequestFacts) -> Arc<[BTreeSet<Proves>]> {
        let action = Action::of(&request.method, false);
        let target = Target {
            app: Arc::clone(app),
            action,
        };
        let key = self
            .slices_of_openers(&target)
            .ok()
            .and_then(|slices| OpenersKey::of(target, request, &slices));
        let Some(key) = key else {
            return self.find_openers(app, action, request).into();
        };
        if let Some(known) = self.openers.get(&key) {
            return known;
        }
        let found: Arc<[_]> = self.find_openers(app, action, request).into();
        self.openers.insert(key, Arc::clone(&found));
        found
    }

    /// The policies that say what opens: those of the application, and those of sessions.
    fn slices_of_openers(&self, target: &Target) -> Result<Vec<Arc<Slice>>, BadFacts> {
        let of_sessions = OF_SESSIONS.iter().map(|action| self.organization_slice(action));
        [self.slice(target)].into_iter().chain(of_sessions).collect()
    }

    fn find_openers(&self, app: &Arc<AppFacts>, action: Action, request: &RequestFacts) -> Vec<BTreeSet<Proves>> {
        let wishes = self.policies().wishes(app, action);
        let (users, device) = (users(&wishes), Arc::new(device(&wishes)));
        let opens = |set: &BTreeSet<Proves>| {
            let mut people = users.iter().map(|user| Hypothesis {
                set,
                user,
                device: &device,
            });
            people.any(|somebody| self.opens(&somebody.asked(app, action, request)))
        };
        let everything = everything();
        let mut sufficient: Vec<BTreeSet<Proves>> = Vec::new();
        for set in &everything {
            let is_known = sufficient.iter().any(|less| is_within(less, set));
            if !is_known && opens(set) {
                sufficient.push(set.clone());
            }
        }
        match sufficient.is_empty() {
            true => everything,
            false => least(sufficient, |set| set),
        }
    }
}

impl PolicySet {
    /// What the policies wish that can matter to this action on the application, or to a session.
    fn wishes(&self, app: &AppFacts, action: Action) -> Wishes {
        let of_access = Kind::Action.named(action.as_str());
        let of_sessions = OF_SESSIONS.map(|action| Kind::Action.named(action.as_str()));
        let mut wishes = Wishes::default();
        for known in self.known().values() {
            let (scope, resource) = (known.policy.action_constraint(), known.policy.resource_constraint());
            let decides_access = fits_action(&scope, &of_access) && fits_app(&resource, app);
            let decides_sessions = of_sessions.iter().any(|action| fits_action(&scope, action));
            if decides_access || (decides_sessions && fits_organization(&resource)) {
                wishes.extend(&known.wishes);
            }
        }
        wishes
    }
}

/// Somebody who has just proved these things.
struct Hypothesis<'a> {
    set: &'a BTreeSet<Proves>,
    user: &'a Arc<UserFacts>,
    device: &'a Arc<DeviceFacts>,
}

impl Hypothesis<'_> {
    fn asked(&self, app: &Arc<AppFacts>, action: Action, request: &RequestFacts) -> AccessRequest {
        let has_device = self.proves(Proves::Device);
        AccessRequest {
            user: Arc::clone(self.user),
            device: has_device.then(|| Arc::clone(self.device)),
            session: Some(Arc::new(self.session())),
            app: Arc::clone(app),
            action,
            request: request.clone(),
            ages: self.ages(),
            proof: has_device.then(|| self.proof()),
            risk: 0,
            authenticator_installed: Some(has_device),
            now: NOW,
            fact_ends: None,
        }
    }

    fn proves(&self, wanted: Proves) -> bool {
        self.set.iter().any(|one| one.includes(wanted))
    }

    fn session(&self) -> SessionFacts {
        let (password, fastpass) = (self.proves(Proves::Password), self.proves(Proves::Fastpass));
        let (webauthn, otp) = (self.proves(Proves::Webauthn), self.one_time());
        let verified = VERIFIED.into_iter().any(|proves| self.proves(proves));
        let kinds = [password || verified, fastpass || webauthn || otp.is_some()].map(u8::from);
        SessionFacts {
            id: SessionId::from_random(0),
            generation: 0,
            user: self.user.id,
            factor_count: kinds.into_iter().sum(),
            origin: (fastpass || self.proves(Proves::Push)).then_some(self.device.id),
            knowledge: password.then(|| typed(FactorMethod::Password)),
            device: fastpass.then(|| self.fastpass()),
            webauthn: webauthn.then(|| self.webauthn()),
            otp,
        }
    }

    fn one_time(&self) -> Option<FactorUse> {
        let verified = self.proves(Proves::PushVerified);
        let pushed = FactorUse {
            hardware_protected: true,
            user_verified: verified,
            user_verified_in_software: verified,
            ..typed(FactorMethod::Push)
        };
        [
            (Proves::Totp, typed(FactorMethod::Totp)),
            (Proves::Push, pushed),
            (Proves::Email, typed(FactorMethod::Email)),
            (Proves::Recovery, typed(FactorMethod::Recovery)),
        ]
        .into_iter()
        .find_map(|(proves, used)| self.proves(proves).then_some(used))
    }

    fn webauthn(&self) -> FactorUse {
        let verified = self.proves(Proves::WebauthnVerified);
        FactorUse {
            phishing_resistant: true,
            hardware_protected: true,
            device_bound: true,
            user_verified: verified,
            user_verified_in_software: false,
            ..typed(FactorMethod::Webauthn)
        }
    }

    fn fastpass(&self) -> FactorUse {
        let verified = self.proves(Proves::FastpassVerified);
        FactorUse {
            method: FactorMethod::Fastpass,
            phishing_resistant: true,
            hardware_protected: true,
            device_bound: true,
            user_presence: self.proves(Proves::FastpassApproved),
            user_verified: verified,
            user_verified_in_software: verified,
        }
    }

    fn proof(&self) -> Proof {
        let verified = self.proves(Proves::FastpassVerified);
        Proof {
            device: self.device.id,
            hardware: true,
            channel_bound: true,
            user_verified: verified,
            user_verified_in_software: verified,
        }
    }

    fn ages(&self) -> Ages {
        let just_now = |proves: Proves| self.proves(proves).then_some(NOW);
        Ages {
            session: Some(NOW),
            idle: Some(NOW),
            knowledge: just_now(Proves::Password),
            device: just_now(Proves::Fastpass),
            webauthn: just_now(Proves::Webauthn),
            otp: self.one_time().map(|_| NOW),
            device_proof: just_now(Proves::Device),
            mdm: just_now(Proves::Device),
            reported: just_now(Proves::Device),
        }
    }
}

/// All that can be proved together, the least first. A code is asked for after a password; a device alone names nobody.
fn everything() -> Vec<BTreeSet<Proves>> {
    let mut sets: Vec<BTreeSet<Proves>> = Vec::new();
    for known in KNOWN {
        for device in DEVICE {
            sets.push(known.iter().chain(device).copied().collect());
        }
    }
    sets.retain(|set| set.iter().any(|one| *one != Proves::Device));
    sets.sort_by_cached_key(burden);
    sets
}

/// Users as the policies wish for them: of each type, in all groups or in those that nothing shuts out, with every factor or none.
fn users(wishes: &Wishes) -> Vec<Arc<UserFacts>> {
    let all = wishes.wanted(Kind::Group);
    let welcome = &all - &wishes.shunned(Kind::Group);
    let groups: BTreeSet<BTreeSet<String>> = [all, welcome].into();
    let types: BTreeSet<String> = wishes.user_types().iter().cloned().chain([String::new()]).collect();
    let mut users = Vec::new();
    for groups in groups.iter().rev() {
        for user_type in types.iter().rev() {
            for held in HELD {
                users.push(Arc::new(user(wishes, groups, user_type, held)));
            }
        }
    }
    users
}

fn user(wishes: &Wishes, groups: &BTreeSet<String>, user_type: &str, held: &[HeldFactor]) -> UserFacts {
    let mut tags = wishes.user_tags().clone();
    HeldFactor::tag(&mut tags, &held.iter().copied().collect());
    UserFacts {
        id: UserId::from_random(0),
        user_type: user_type.to_owned(),
        email: String::new(),
        groups: groups.clone(),
        tags,
        version: Revision::default(),
    }
}

/// The device that the policies wish for most.
fn device(wishes: &Wishes) -> DeviceFacts {
    DeviceFacts {
        id: DeviceId::from_random(0),
        registered: true,
        managed: true,
        secure_hardware: true,
        hardware_key: true,
        key_store: chosen(wishes, Kind::KeyStore, KeyStore::Tpm, KeyStore::ALL),
        platform: chosen(wishes, Kind::Platform, Platform::Linux, Platform::ALL),
        ownership: chosen(wishes, Kind::Ownership, Ownership::Corporate, Ownership::ALL),
        mdm: Some(WELL),
        reported: WELL,
        groups: wishes.wanted(Kind::DeviceGroup),
        tags: wishes.device_tags().clone(),
        assurance: wishes.wanted(Kind::Assurance),
        version: Revision::default(),
    }
}

/// The first word that is wished for and not shut out, or else the usual one, or else any that is not shut out.
fn chosen<T: Copy + Display>(wishes: &Wishes, kind: Kind, usual: T, all: &[T]) -> T {
    let (wanted, shunned) = (wishes.wanted(kind), wishes.shunned(kind));
    let is_welcome = |word: &&T| !shunned.contains(&word.to_string());
    let is_wanted = |word: &&T| wanted.contains(&word.to_string());
    let welcome: Vec<T> = [usual].iter().chain(all).filter(is_welcome).copied().collect();
    let found = welcome.iter().find(is_wanted).or_else(|| welcome.first());
    found.copied().unwrap_or(usual)
}

fn typed(method: FactorMethod) -> FactorUse {
    FactorUse {
        method,
        phishing_resistant: false,
        hardware_protected: false,
        device_bound: false,
        user_presence: true,
        user_verified: false,
        user_verified_in_software: false,
    }
}

/// What a person can know, read off or have with them, on any machine. A recovery code is for who has nothing else: it is
/// not offered.
const KNOWN: [&[Proves]; 12] = [
    &[],
    &[Proves::Webauthn],
    &[Proves::WebauthnVerified],
    &[Proves::Password],
    &[Proves::Push],
    &[Proves::PushVerified],
    &[Proves::Email],
    &[Proves::Password, Proves::Webauthn],
    &[Proves::Password, Proves::WebauthnVerified],
    &[Proves::Password, Proves::Totp],
    &[Proves::Password, Proves::Push],
    &[Proves::Password, Proves::Email],
];

/// With PIN or biometric.
const VERIFIED: [Proves; 3] = [Proves::FastpassVerified, Proves::WebauthnVerified, Proves::PushVerified];

/// What their device can prove.
const DEVICE: [&[Proves]; 5] = [
    &[],
    &[Proves::Device],
    &[Proves::Fastpass],
    &[Proves::FastpassApproved],
    &[Proves::FastpassVerified],
];

const HELD: [&[HeldFactor]; 2] = [
    &[
        HeldFactor::Password,
        HeldFactor::Totp,
        HeldFactor::Fastpass,
        HeldFactor::Webauthn,
    ],
    &[],
];

/// A device of which nothing but good is said.
const WELL: Posture = Posture {
    os: Some(OsVersion {
        major: u32::MAX,
        minor: u32::MAX,
        patch: u32::MAX,
    }),
    disk_encrypted: Some(true),
    screen_lock: Some(true),
    firewall: Some(true),
    secure_boot: Some(true),
    antivirus: Some(true),
    jailbroken: Some(false),
    secure_hardware: Some(true),
};

/// Any time will do: everything was proved just then.
const NOW: Timestamp = Timestamp::from_secs(0);
