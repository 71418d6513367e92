//! What does a challenge take: nobody, a user's word, or their PIN, finger or face? By what it demands and what there is.

use device_checks::{Challenge, Demand, KeyType};

use crate::report::wants_user;

/// How a challenge is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the possession key; nobody is asked.
    Silent,
    /// By the possession key, once the user approved.
    Approval,
    /// By the user-verification key, once the user approved and was verified; never by another.
    Verified,
    /// It cannot be met here, and that is the answer.
    Unavailable,
}

/// What there is to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Means {
    /// Whether the account has a user-verification key.
    pub(crate) verification: bool,
    /// Whether there is somebody to ask.
    pub(crate) attended: bool,
}

/// Whether it matters that there is somebody to ask.
pub(crate) fn may_ask(asked: &Challenge) -> bool {
    let nobody = |demand| matches!(demand, Demand::None | Demand::Discouraged);
    let unverified = nobody(asked.user_verification) || asked.user_verification == Demand::Optional;
    wants_user(asked) || !unverified || !nobody(asked.user_mediation)
}

/// The way for this challenge.
pub(crate) fn way(asked: &Challenge, means: Means) -> Way {
    let can_verify = means.verification && means.attended && asked.key_types.contains(&KeyType::UserVerification);
    if wants_user(asked) {
        return if can_verify { Way::Verified } else { Way::Unavailable };
    }
    let likes_user = asked.user_verification == Demand::Preferred;
    match (asked.user_mediation, means.attended) {
        _ if likes_user && can_verify => Way::Verified,
        (Demand::Required, false) => Way::Unavailable,
        (Demand::Required | Demand::Preferred | Demand::Optional, true) => Way::Approval,
        (Demand::None | Demand::Discouraged, true) if likes_user => Way::Approval,
        (Demand::None | Demand::Discouraged, true)
        | (Demand::None | Demand::Discouraged | Demand::Optional | Demand::Preferred, false) => Way::Silent,
    }
}

#[cfg(test)]
mod tests {
    use device_checks::AUTHENTICATOR;
    use device_checks::wire::{AttemptId, OrganizationId};

    use super::*;

    const BOTH: Means = Means {
        verification: true,
        attended: true,
    };
    const NO_KEY: Means = Means {
        verification: false,
        attended: true,
    };
    const NOBODY: Means = Means {
        verification: true,
        attended: false,
    };

    /// P-08: where neither is asked for, nobody is.
    #[test]
    fn nobody_is_asked_where_that_is_not_demanded() {
        for verification in [Demand::None, Demand::Discouraged, Demand::Optional] {
            for means in [BOTH, NO_KEY, NOBODY] {
                assert_eq!(way(&challenge(Demand::None, verification), means), Way::Silent);
            }
            assert!(!may_ask(&challenge(Demand::None, verification)));
        }
    }

    /// P-07: what takes a verified user is never answered with less.
    #[test]
    fn a_verified_user_is_never_replaced_by_possession() {
        for mediation in [Demand::None, Demand::Optional, Demand::Required] {
            let asked = challenge(mediation, Demand::Required);
            assert_eq!(
                [BOTH, NO_KEY, NOBODY].map(|means| way(&asked, means)),
                [Way::Verified, Way::Unavailable, Way::Unavailable]
            );
        }
        let mut by_key_alone = challenge(Demand::None, Demand::None);
        by_key_alone.key_types = vec![KeyType::UserVerification];
        assert_eq!(way(&by_key_alone, BOTH), Way::Verified);
        assert_eq!(way(&by_key_alone, NO_KEY), Way::Unavailable);
    }

    #[test]
    fn a_verified_user_who_is_preferred_is_verified_where_that_can_be() {
        let asked = challenge(Demand::None, Demand::Preferred);
        assert_eq!(
            [BOTH, NO_KEY, NOBODY].map(|means| way(&asked, means)),
            [Way::Verified, Way::Approval, Way::Silent]
        );
        let mut possession_alone = asked;
        possession_alone.key_types = vec![KeyType::ProofOfPossession];
        assert_eq!(way(&possession_alone, BOTH), Way::Approval);
    }

    /// Whoever need not be asked is not even looked for.
    #[test]
    fn somebody_is_looked_for_where_it_matters() {
        assert!(may_ask(&challenge(Demand::Optional, Demand::None)));
        assert!(may_ask(&challenge(Demand::None, Demand::Preferred)));
        assert!(may_ask(&challenge(Demand::None, Demand::Required)));
    }

    #[test]
    fn an_approval_that_is_demanded_takes_somebody() {
        let ways = |mediation| [BOTH, NOBODY].map(|means| way(&challenge(mediation, Demand::None), means));
        assert_eq!(ways(Demand::Required), [Way::Approval, Way::Unavailable]);
        assert_eq!(ways(Demand::Optional), [Way::Approval, Way::Silent]);
        assert_eq!(ways(Demand::Preferred), [Way::Approval, Way::Silent]);
        assert_eq!(ways(Demand::Discouraged), [Way::Silent, Way::Silent]);
    }

    fn challenge(user_mediation: Demand, user_verification: Demand) -> Challenge {
        Challenge {
            iss: String::new(),
            aud: AUTHENTICATOR.to_owned(),
            iat: 0,
            exp: 120,
            jti: AttemptId::from_random(1),
            nonce: String::new(),
            org_id: OrganizationId::from_random(1),
            transaction_id: AttemptId::from_random(1),
            verification_uri: String::new(),
            origin: String::new(),
            signals: Vec::new(),
            management_issuers: Vec::new(),
            key_types: vec![KeyType::ProofOfPossession, KeyType::UserVerification],
            method: String::new(),
            user_mediation,
            user_verification,
            sign_in: None,
            renews: None,
            number: false,
        }
    }
}
