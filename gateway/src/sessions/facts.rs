//! What do policies see of a session? One generation of it: what was proved, how often each kind, how long ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{Basis, Factor, FactorProof, Generation, Session, SessionId, Timestamp, UserId};
use policies::{Ages, FactorMethod, FactorUse, SessionFacts};

/// The session as policies see it by this generation.
pub(crate) fn facts_of(session: &Session, generation: &Generation, in_software: bool) -> SessionFacts {
    SessionFacts {
        id: session.id,
        generation: generation.number,
        ..facts_of_proofs(session.user, &generation.proofs, in_software)
    }
}

/// A session that would rest on these proofs, as policies would see it. `in_software`: whether verification that only
/// software enforces counts as a factor.
pub(crate) fn facts_of_proofs(user: UserId, proofs: &[FactorProof], in_software: bool) -> SessionFacts {
    let used = |factor: Factor| proofs.iter().find(|proof| proof.factor == factor).map(factor_use);
    SessionFacts {
        id: SessionId::from_random(0),
        generation: 0,
        user,
        factor_count: count_kinds(proofs, in_software),
        origin: proofs.iter().find_map(|proof| match proof.basis {
            Basis::Enrollment { device, .. } => Some(device),
            Basis::Authenticator { .. } | Basis::Mail { .. } => None,
        }),
        knowledge: used(Factor::Password),
        device: used(Factor::Fastpass),
        webauthn: used(Factor::Webauthn),
        otp: one_time(proofs).map(factor_use),
    }
}

/// The one-time factor that policies see: the newest of codes and pushes, or else mail, or else a recovery code.
fn one_time(proofs: &[FactorProof]) -> Option<&FactorProof> {
    let rank = |proof: &FactorProof| match proof.factor {
        Factor::Totp | Factor::Push => Some(3),
        Factor::Email => Some(2),
        Factor::Recovery => Some(1),
        Factor::Password | Factor::Fastpass | Factor::Webauthn => None,
    };
    let ranked = proofs.iter().filter_map(|proof| Some((rank(proof)?, proof.at, proof)));
    ranked
        .max_by_key(|(rank, at, _)| (*rank, *at))
        .map(|(_, _, proof)| proof)
}

/// Since when the facts of a generation hold.
pub(crate) fn ages_of(session: &Session, generation: &Generation, seen: Timestamp) -> Ages {
    Ages {
        idle: Some(seen),
        ..ages_of_proofs(&generation.proofs, session.created)
    }
}

/// Since when the facts of a session hold that began then with these proofs, and was used then.
pub(crate) fn ages_of_proofs(proofs: &[FactorProof], begun: Timestamp) -> Ages {
    let proved = |factor: Factor| proofs.iter().find(|proof| proof.factor == factor).map(|proof| proof.at);
    Ages {
        session: Some(begun),
        idle: Some(begun),
        knowledge: proved(Factor::Password),
        device: proved(Factor::Fastpass),
        webauthn: proved(Factor::Webauthn),
        otp: one_time(proofs).map(|proof| proof.at),
        ..Ages::default()
    }
}

/// The same, shared.
pub(crate) fn shared_facts(session: &Session, generation: &Generation, in_software: bool) -> Arc<SessionFacts> {
    Arc::new(facts_of(session, generation, in_software))
}

/// A kind of thing that somebody is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Knowledge,
    Possession,
}

/// How many distinct kinds were proved. A PIN that only software asked for adds nothing unless the operator says so: whoever
/// copied the software has it too.
fn count_kinds(proofs: &[FactorProof], in_software: bool) -> u8 {
    let kinds: BTreeSet<Kind> = proofs
        .iter()
        .flat_map(|proof| {
            let properties = proof.properties;
            let verified = properties.user_verified || properties.user_verified_in_software && in_software;
            match proof.factor {
                Factor::Password => vec![Kind::Knowledge],
                Factor::Fastpass | Factor::Webauthn | Factor::Push if verified => {
                    vec![Kind::Possession, Kind::Knowledge]
                }
                Factor::Fastpass
                | Factor::Webauthn
                | Factor::Push
                | Factor::Totp
                | Factor::Email
                | Factor::Recovery => vec![Kind::Possession],
            }
        })
        .collect();
    u8::try_from(kinds.len()).unwrap_or(u8::MAX)
}

fn factor_use(proof: &FactorProof) -> FactorUse {
    let properties = proof.properties;
    FactorUse {
        method: match proof.factor {
            Factor::Password => FactorMethod::Password,
            Factor::Totp => FactorMethod::Totp,
            Factor::Fastpass => FactorMethod::Fastpass,
            Factor::Webauthn => FactorMethod::Webauthn,
            Factor::Push => FactorMethod::Push,
            Factor::Email => FactorMethod::Email,
            Factor::Recovery => FactorMethod::Recovery,
        },
        phishing_resistant: properties.phishing_resistant,
        hardware_protected: properties.hardware_protected,
        device_bound: properties.device_bound,
        user_presence: properties.user_presence,
        user_verified: properties.user_verified,
        user_verified_in_software: properties.user_verified_in_software,
    }
}

#[cfg(test)]
mod tests {
    use directory::{AuthenticatorId, DeviceId, EnrollmentId, Properties};

    use super::*;

    /// P-23: verification that hardware enforces makes two factors of one use; in software only one, unless the operator
    /// says otherwise; a password and a code are two, a password twice is one.
    #[test]
    fn factors_are_counted_by_kind() {
        let hardware = Properties {
            user_verified: true,
            ..Properties::default()
        };
        let software = Properties {
            user_verified_in_software: true,
            ..Properties::default()
        };
        let none = Properties::default();
        for (proofs, strict, lenient) in [
            (vec![proof(Factor::Password, none)], 1, 1),
            (vec![proof(Factor::Totp, none)], 1, 1),
            (vec![proof(Factor::Password, none), proof(Factor::Totp, none)], 2, 2),
            (vec![proof(Factor::Fastpass, none)], 1, 1),
            (vec![proof(Factor::Fastpass, none), proof(Factor::Totp, none)], 1, 1),
            (vec![proof(Factor::Fastpass, none), proof(Factor::Password, none)], 2, 2),
            (vec![proof(Factor::Fastpass, software)], 1, 2),
            (vec![proof(Factor::Webauthn, none)], 1, 1),
            (vec![proof(Factor::Webauthn, hardware)], 2, 2),
            (vec![proof(Factor::Push, none), proof(Factor::Email, none)], 1, 1),
            (vec![proof(Factor::Push, software)], 1, 2),
            (vec![proof(Factor::Password, none), proof(Factor::Email, none)], 2, 2),
            (vec![proof(Factor::Recovery, none)], 1, 1),
            (vec![proof(Factor::Fastpass, hardware)], 2, 2),
            (
                vec![proof(Factor::Fastpass, hardware), proof(Factor::Password, none)],
                2,
                2,
            ),
        ] {
            assert_eq!(count_kinds(&proofs, false), strict, "{proofs:?}");
            assert_eq!(count_kinds(&proofs, true), lenient, "{proofs:?}");
        }
    }

    /// What is worth more is not hidden by what was proved after it; of codes and pushes the newest counts.
    #[test]
    fn one_one_time_factor_is_seen() {
        let at = |factor: Factor, seconds: i64| FactorProof {
            at: Timestamp::from_secs(seconds),
            ..proof(factor, Properties::default())
        };
        for (proofs, seen) in [
            (
                vec![at(Factor::Totp, 1), at(Factor::Email, 2)],
                Some(FactorMethod::Totp),
            ),
            (vec![at(Factor::Totp, 1), at(Factor::Push, 2)], Some(FactorMethod::Push)),
            (vec![at(Factor::Totp, 3), at(Factor::Push, 2)], Some(FactorMethod::Totp)),
            (
                vec![at(Factor::Recovery, 3), at(Factor::Email, 2)],
                Some(FactorMethod::Email),
            ),
            (vec![at(Factor::Recovery, 3)], Some(FactorMethod::Recovery)),
            (vec![at(Factor::Password, 3), at(Factor::Webauthn, 3)], None),
        ] {
            let facts = facts_of_proofs(UserId::from_random(1), &proofs, false);
            assert_eq!(facts.otp.map(|otp| otp.method), seen, "{proofs:?}");
            assert_eq!(
                ages_of_proofs(&proofs, Timestamp::from_secs(0)).otp.is_some(),
                seen.is_some()
            );
        }
    }

    fn proof(factor: Factor, properties: Properties) -> FactorProof {
        let basis = match factor {
            Factor::Fastpass | Factor::Push => Basis::Enrollment {
                id: EnrollmentId::from_random(1),
                generation: 0,
                device: DeviceId::from_random(1),
            },
            _ => Basis::Authenticator {
                id: AuthenticatorId::from_random(1),
                set: Timestamp::from_secs(1),
            },
        };
        FactorProof {
            factor,
            at: Timestamp::from_secs(1),
            basis,
            properties,
        }
    }
}
