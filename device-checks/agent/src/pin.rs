//! Is this still the organisation that this device enrolled with? Compared with what was pinned then.

use device_checks::wire::{Organization, VERSION};

use crate::state::Pinned;

/// Says why a gateway is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPinned {
    /// It calls itself by another origin than the one that was asked.
    #[error("the gateway at {asked} says that it is {found}: ask that one, if you know it")]
    OtherIssuer {
        /// Which was asked.
        asked: String,
        /// What it says.
        found: String,
    },
    /// It is another organisation than at enrolment.
    #[error("{issuer} is another organisation than the one this device enrolled with: nothing was sent to it")]
    OtherOrganization {
        /// The auth host's origin.
        issuer: String,
    },
    /// None of its keys is known.
    #[error("{issuer} has other keys than those this device pinned when it enrolled: nothing was sent to it")]
    OtherKeys {
        /// The auth host's origin.
        issuer: String,
    },
    /// It does not speak this protocol.
    #[error("the gateway speaks version(s) {versions:?} of the protocol, this agent version {VERSION}")]
    Version {
        /// Which it speaks.
        versions: Vec<u32>,
    },
    /// It has no keys, so that nothing it says can be checked.
    #[error("the gateway names no key that signs its challenges")]
    NoKeys,
}

/// Pins a gateway at the first enrolment.
///
/// # Errors
///
/// It is not the one that was asked, or cannot be talked to.
pub fn pin(asked: &str, organization: &Organization, authority: Option<String>) -> Result<Pinned, NotPinned> {
    check_version(organization)?;
    if organization.issuer != asked {
        return Err(NotPinned::OtherIssuer {
            asked: asked.to_owned(),
            found: organization.issuer.clone(),
        });
    }
    if organization.challenge_keys.is_empty() {
        return Err(NotPinned::NoKeys);
    }
    Ok(Pinned {
        organization: organization.organization,
        issuer: organization.issuer.clone(),
        device_origin: organization.device_origin.clone(),
        challenge_keys: organization.challenge_keys.clone(),
        authority,
    })
}

/// Checks a gateway against what was pinned. Its keys may have changed as long as one of those that were pinned is
/// left.
///
/// # Errors
///
/// Says what is another.
pub fn check(pinned: &Pinned, organization: &Organization) -> Result<(), NotPinned> {
    check_version(organization)?;
    let issuer = pinned.issuer.clone();
    if organization.issuer != pinned.issuer || organization.organization != pinned.organization {
        return Err(NotPinned::OtherOrganization { issuer });
    }
    let known = |key| pinned.challenge_keys.contains(key);
    if organization.challenge_keys.iter().any(known) {
        Ok(())
    } else {
        Err(NotPinned::OtherKeys { issuer })
    }
}

fn check_version(organization: &Organization) -> Result<(), NotPinned> {
    if organization.versions.contains(&VERSION) {
        Ok(())
    } else {
        Err(NotPinned::Version {
            versions: organization.versions.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use device_checks::wire::{FastPass, OrganizationId, PublicKey};

    use super::*;

    const ISSUER: &str = "https://auth.example.com";
    const KEY: PublicKey = PublicKey { x: [1; 32], y: [2; 32] };

    /// E-22: another organisation, another origin or other keys are not the gateway that was pinned.
    #[test]
    fn only_the_organisation_that_was_pinned_is_answered() {
        let pinned = pin(ISSUER, &organization(), None).unwrap();
        let with = |change: fn(&mut Organization)| {
            let mut organization = organization();
            change(&mut organization);
            check(&pinned, &organization)
        };

        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(
            with(|organization| organization.challenge_keys.push(PublicKey { x: [3; 32], y: [4; 32] })),
            Ok(())
        );
        assert!(matches!(
            with(|organization| organization.challenge_keys = vec![PublicKey { x: [3; 32], y: [4; 32] }]),
            Err(NotPinned::OtherKeys { .. })
        ));
        assert!(matches!(
            with(|organization| organization.organization = OrganizationId::from_random(2)),
            Err(NotPinned::OtherOrganization { .. })
        ));
        assert!(matches!(
            with(|organization| organization.issuer = "https://auth.example.net".to_owned()),
            Err(NotPinned::OtherOrganization { .. })
        ));
        assert!(matches!(
            with(|organization| organization.versions = vec![2]),
            Err(NotPinned::Version { .. })
        ));
    }

    /// E-22: whoever is asked has to be who it says.
    #[test]
    fn a_gateway_that_is_another_or_has_no_keys_is_not_pinned() {
        assert!(pin(ISSUER, &organization(), None).is_ok());
        assert!(matches!(
            pin("https://auth.example.net", &organization(), None),
            Err(NotPinned::OtherIssuer { .. })
        ));
        let mut without = organization();
        without.challenge_keys.clear();
        assert_eq!(pin(ISSUER, &without, None), Err(NotPinned::NoKeys));
    }

    fn organization() -> Organization {
        Organization {
            versions: vec![VERSION],
            organization: OrganizationId::from_random(1),
            issuer: ISSUER.to_owned(),
            device_origin: None,
            challenge_keys: vec![KEY],
            attestation: Vec::new(),
            fastpass: FastPass {
                enabled: true,
                hardware_required: false,
                user_verification_required: false,
            },
            loopback_ports: Vec::new(),
        }
    }
}
