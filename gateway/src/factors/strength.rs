//! How much does a proof say of who somebody is? An order, by which nobody changes a factor with a weaker one.

use std::time::Duration;

use device_checks::age;
use directory::Timestamp;
use policies::{Ages, FactorMethod, FactorUse, SessionFacts};

/// What a proof is worth, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// Mail, another organisation's word, a recovery code by itself: whoever has these is let in, and changes nothing.
    Reachable,
    /// A password.
    Known,
    /// A code or a push: it can be talked out of somebody. A recovery code is one beside the password.
    OneTime,
    /// FastPass or a security key, without anybody's being verified.
    PhishingResistant,
    /// The same after a PIN or biometric, on the software's word.
    Verified,
    /// The same, enforced by the hardware that holds the key.
    VerifiedInHardware,
}

impl Strength {
    /// What one use of an authenticator is worth.
    pub(crate) fn of(used: &FactorUse) -> Self {
        match used.method {
            FactorMethod::Email | FactorMethod::Recovery | FactorMethod::Federated => Self::Reachable,
            FactorMethod::Password => Self::Known,
            FactorMethod::Totp | FactorMethod::Push => Self::OneTime,
            FactorMethod::Fastpass | FactorMethod::Webauthn if !used.phishing_resistant => Self::OneTime,
            FactorMethod::Fastpass | FactorMethod::Webauthn if used.user_verified => Self::VerifiedInHardware,
            FactorMethod::Fastpass | FactorMethod::Webauthn if used.user_verified_in_software => Self::Verified,
            FactorMethod::Fastpass | FactorMethod::Webauthn => Self::PhishingResistant,
        }
    }

    /// The strongest that was proved just now, if anything was.
    pub(crate) fn fresh(session: &SessionFacts, ages: &Ages, now: Timestamp) -> Option<Self> {
        let used = [
            (&session.knowledge, ages.knowledge),
            (&session.device, ages.device),
            (&session.webauthn, ages.webauthn),
            (&session.otp, ages.otp),
        ];
        let is_fresh = |at: Timestamp| u64::try_from(age(at, now)).is_ok_and(|age| age <= FRESH.as_secs());
        let fresh = used.into_iter().filter(|(_, at)| at.is_some_and(is_fresh));
        let fresh: Vec<&FactorUse> = fresh.filter_map(|(used, _)| used.as_ref()).collect();
        let proved = |method| fresh.iter().any(|used| used.method == method);
        let recovered = proved(FactorMethod::Recovery) && proved(FactorMethod::Password);
        let stands_in = recovered.then_some(Self::OneTime);
        fresh.iter().map(|used| Self::of(used)).chain(stands_in).max()
    }
}

/// How long a proof counts as one of just now.
pub(crate) const FRESH: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use directory::{SessionId, UserId};

    use super::*;

    #[test]
    fn proofs_are_ordered_by_what_they_say() {
        let plain = used(FactorMethod::Fastpass);
        let signed = FactorUse {
            phishing_resistant: true,
            ..plain
        };
        let in_software = FactorUse {
            user_verified_in_software: true,
            ..signed
        };
        let in_hardware = FactorUse {
            user_verified: true,
            ..signed
        };
        let order = [
            used(FactorMethod::Recovery),
            used(FactorMethod::Password),
            used(FactorMethod::Totp),
            signed,
            in_software,
            in_hardware,
        ];

        assert!(
            order
                .map(|used| Strength::of(&used))
                .is_sorted_by(|one, next| one < next)
        );
        assert_eq!(Strength::of(&used(FactorMethod::Email)), Strength::Reachable);
        assert_eq!(Strength::of(&used(FactorMethod::Push)), Strength::OneTime);
        assert_eq!(Strength::of(&plain), Strength::OneTime);
    }

    #[test]
    fn what_was_proved_a_while_ago_or_in_the_future_does_not_count() {
        let now = Timestamp::from_secs(1_795_000_000);
        let facts = session(Some(FactorMethod::Password), FactorMethod::Totp);

        for (knowledge, otp, strength) in [
            (0, 0, Some(Strength::OneTime)),
            (600, 601, Some(Strength::Known)),
            (601, 600, Some(Strength::OneTime)),
            (601, 601, None),
            (0, -3600, Some(Strength::Known)),
        ] {
            assert_eq!(Strength::fresh(&facts, &ages(now, knowledge, otp), now), strength);
        }
    }

    /// Whoever lost the app can set up another, and nobody comes to a device's strength with a sheet of paper.
    #[test]
    fn a_recovery_code_stands_in_for_a_code_beside_the_password_and_not_by_itself() {
        let now = Timestamp::from_secs(1_795_000_000);
        let by = |knowledge, otp| session(knowledge, otp);
        let password = Some(FactorMethod::Password);

        for (facts, (knowledge, otp), strength) in [
            (by(password, FactorMethod::Recovery), (0, 0), Some(Strength::OneTime)),
            (
                by(password, FactorMethod::Recovery),
                (601, 0),
                Some(Strength::Reachable),
            ),
            (by(password, FactorMethod::Recovery), (0, 601), Some(Strength::Known)),
            (by(None, FactorMethod::Recovery), (0, 0), Some(Strength::Reachable)),
            (by(password, FactorMethod::Email), (0, 0), Some(Strength::Known)),
        ] {
            assert_eq!(Strength::fresh(&facts, &ages(now, knowledge, otp), now), strength);
        }
    }

    fn session(knowledge: Option<FactorMethod>, otp: FactorMethod) -> SessionFacts {
        SessionFacts {
            id: SessionId::from_random(0),
            generation: 0,
            user: UserId::from_random(0),
            factor_count: 1,
            origin: None,
            knowledge: knowledge.map(used),
            device: None,
            webauthn: None,
            otp: Some(used(otp)),
        }
    }

    /// So many seconds ago.
    fn ages(now: Timestamp, knowledge: i64, otp: i64) -> Ages {
        Ages {
            knowledge: Some(Timestamp::from_secs(now.secs() - knowledge)),
            otp: Some(Timestamp::from_secs(now.secs() - otp)),
            ..Ages::default()
        }
    }

    fn used(method: FactorMethod) -> FactorUse {
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
}
