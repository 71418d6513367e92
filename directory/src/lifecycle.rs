//! Which state may follow which? Every transition consumes the old state, and the wrong ones refuse.

use crate::{CertificateState, DeviceState, EnrollmentState, HoldCause, RevocationReason, Timestamp, UserStatus};

/// Says that a thing cannot go from the state it is in to the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// What kind of thing.
    pub what: &'static str,
    /// The state it is in.
    pub from: &'static str,
    /// The state it cannot get into from there.
    pub to: &'static str,
}

impl DeviceState {
    /// The state's name: `active`, `suspended` or `deactivated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Deactivated { .. } => "deactivated",
        }
    }

    /// Shuts an active device out for a while.
    ///
    /// # Errors
    ///
    /// Refuses from every other state.
    pub fn suspend(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Active => Ok(Self::Suspended { at }),
            Self::Suspended { .. } | Self::Deactivated { .. } => Err(self.cannot_become("suspended")),
        }
    }

    /// Lets a suspended device back in.
    ///
    /// # Errors
    ///
    /// Refuses from every other state.
    pub fn unsuspend(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Suspended { .. } => Ok(Self::Active),
            Self::Active | Self::Deactivated { .. } => Err(self.cannot_become("unsuspended")),
        }
    }

    /// Shuts an active or suspended device out for good.
    ///
    /// # Errors
    ///
    /// Refuses when that has happened already.
    pub fn deactivate(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Active | Self::Suspended { .. } => Ok(Self::Deactivated { at }),
            Self::Deactivated { .. } => Err(self.cannot_become("deactivated")),
        }
    }

    /// Lets a deactivated device enrol anew.
    ///
    /// # Errors
    ///
    /// Refuses from every other state.
    pub fn activate(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Deactivated { .. } => Ok(Self::Active),
            Self::Active | Self::Suspended { .. } => Err(self.cannot_become("activated")),
        }
    }

    /// Lets the record of a deactivated device go.
    ///
    /// # Errors
    ///
    /// Refuses from every other state.
    pub fn delete(self) -> Result<(), IllegalTransition> {
        match self {
            Self::Deactivated { .. } => Ok(()),
            Self::Active | Self::Suspended { .. } => Err(self.cannot_become("deleted")),
        }
    }

    fn cannot_become(self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "a device",
            from: self.as_str(),
            to,
        }
    }
}

impl UserStatus {
    /// The status' name: `active`, `suspended` or `deactivated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Deactivated { .. } => "deactivated",
        }
    }

    /// Shuts an active user out until an admin lets them back in.
    ///
    /// # Errors
    ///
    /// Refuses from every other status.
    pub fn suspend(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Active => Ok(Self::Suspended { at }),
            Self::Suspended { .. } | Self::Deactivated { .. } => Err(self.cannot_become("suspended")),
        }
    }

    /// Lets a suspended user back in.
    ///
    /// # Errors
    ///
    /// Refuses from every other status.
    pub fn unsuspend(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Suspended { .. } => Ok(Self::Active),
            Self::Active | Self::Deactivated { .. } => Err(self.cannot_become("unsuspended")),
        }
    }

    /// Says that an active or suspended user is gone.
    ///
    /// # Errors
    ///
    /// Refuses when that was said already.
    pub fn deactivate(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Active | Self::Suspended { .. } => Ok(Self::Deactivated { at }),
            Self::Deactivated { .. } => Err(self.cannot_become("deactivated")),
        }
    }

    /// Takes a deactivated user back.
    ///
    /// # Errors
    ///
    /// Refuses from every other status.
    pub fn activate(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Deactivated { .. } => Ok(Self::Active),
            Self::Active | Self::Suspended { .. } => Err(self.cannot_become("activated")),
        }
    }

    /// Lets the record of a deactivated user go.
    ///
    /// # Errors
    ///
    /// Refuses from every other status.
    pub fn delete(self) -> Result<(), IllegalTransition> {
        match self {
            Self::Deactivated { .. } => Ok(()),
            Self::Active | Self::Suspended { .. } => Err(self.cannot_become("deleted")),
        }
    }

    fn cannot_become(self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "a user",
            from: self.as_str(),
            to,
        }
    }
}

impl EnrollmentState {
    /// The state's name: `active`, `suspended` or `ended`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Ended { .. } => "ended",
        }
    }

    /// Whether the enrolment links its user to its device: until it has ended.
    pub const fn is_link(self) -> bool {
        match self {
            Self::Active | Self::Suspended => true,
            Self::Ended { .. } => false,
        }
    }

    /// Follows the device into suspension; what has ended stays so.
    pub fn suspend(self) -> Self {
        match self {
            Self::Active => Self::Suspended,
            Self::Suspended | Self::Ended { .. } => self,
        }
    }

    /// Follows the device out of suspension; what has ended stays so.
    pub fn unsuspend(self) -> Self {
        match self {
            Self::Suspended => Self::Active,
            Self::Active | Self::Ended { .. } => self,
        }
    }

    /// Ends; what has ended keeps its time.
    pub fn end(self, at: Timestamp) -> Self {
        match self {
            Self::Active | Self::Suspended => Self::Ended { at },
            Self::Ended { .. } => self,
        }
    }
}

impl CertificateState {
    /// The state's name: `live`, `held` or `revoked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Held { .. } => "held",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// Holds the certificate on its own account, also while its device is suspended.
    ///
    /// # Errors
    ///
    /// Refuses when an admin holds it already, or when it is revoked.
    pub fn hold(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Live => Ok(Self::Held {
                at,
                cause: HoldCause::Admin,
            }),
            Self::Held {
                at,
                cause: HoldCause::DeviceSuspended,
            } => Ok(Self::Held {
                at,
                cause: HoldCause::Admin,
            }),
            Self::Held {
                cause: HoldCause::Admin,
                ..
            }
            | Self::Revoked { .. } => Err(self.cannot_become("held")),
        }
    }

    /// Ends an admin's hold; on a suspended device the certificate then waits for the device.
    ///
    /// # Errors
    ///
    /// Refuses when no admin holds it.
    pub fn release(self, device: DeviceState) -> Result<Self, IllegalTransition> {
        match (self, device) {
            (
                Self::Held {
                    at,
                    cause: HoldCause::Admin,
                },
                DeviceState::Suspended { .. },
            ) => Ok(Self::Held {
                at,
                cause: HoldCause::DeviceSuspended,
            }),
            (
                Self::Held {
                    cause: HoldCause::Admin,
                    ..
                },
                DeviceState::Active | DeviceState::Deactivated { .. },
            ) => Ok(Self::Live),
            (
                Self::Live
                | Self::Held {
                    cause: HoldCause::DeviceSuspended,
                    ..
                }
                | Self::Revoked { .. },
                _,
            ) => Err(self.cannot_become("released")),
        }
    }

    /// Ends the certificate for good.
    ///
    /// # Errors
    ///
    /// Refuses when that has happened already.
    pub fn revoke(self, at: Timestamp, reason: RevocationReason) -> Result<Self, IllegalTransition> {
        match self {
            Self::Live | Self::Held { .. } => Ok(Self::Revoked { at, reason }),
            Self::Revoked { .. } => Err(self.cannot_become("revoked")),
        }
    }

    /// Follows the device into suspension; an admin's hold and a revocation stay what they are.
    pub fn suspend(self, at: Timestamp) -> Self {
        match self {
            Self::Live => Self::Held {
                at,
                cause: HoldCause::DeviceSuspended,
            },
            Self::Held { .. } | Self::Revoked { .. } => self,
        }
    }

    /// Follows the device out of suspension; an admin's hold and a revocation stay what they are.
    pub fn unsuspend(self) -> Self {
        match self {
            Self::Held {
                cause: HoldCause::DeviceSuspended,
                ..
            } => Self::Live,
            Self::Live
            | Self::Held {
                cause: HoldCause::Admin,
                ..
            }
            | Self::Revoked { .. } => self,
        }
    }

    fn cannot_become(self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            what: "a certificate",
            from: self.as_str(),
            to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-01: of the fifteen pairs of state and verb, exactly six are legal.
    #[test]
    fn a_device_takes_exactly_the_legal_transitions() {
        let states = [
            DeviceState::Active,
            DeviceState::Suspended { at: EARLIER },
            DeviceState::Deactivated { at: EARLIER },
        ];

        let outcomes = states.map(|state| {
            [
                state.suspend(NOW).map(DeviceState::as_str),
                state.unsuspend().map(DeviceState::as_str),
                state.deactivate(NOW).map(DeviceState::as_str),
                state.activate().map(DeviceState::as_str),
                state.delete().map(|()| "deleted"),
            ]
            .map(Result::ok)
        });

        assert_eq!(
            outcomes,
            [
                [Some("suspended"), None, Some("deactivated"), None, None],
                [None, Some("active"), Some("deactivated"), None, None],
                [None, None, None, Some("active"), Some("deleted")],
            ]
        );
    }

    #[test]
    fn a_user_takes_exactly_the_legal_transitions() {
        let states = [
            UserStatus::Active,
            UserStatus::Suspended { at: EARLIER },
            UserStatus::Deactivated { at: EARLIER },
        ];

        let outcomes = states.map(|status| {
            [
                status.suspend(NOW).map(UserStatus::as_str),
                status.unsuspend().map(UserStatus::as_str),
                status.deactivate(NOW).map(UserStatus::as_str),
                status.activate().map(UserStatus::as_str),
                status.delete().map(|()| "deleted"),
            ]
            .map(Result::ok)
        });

        assert_eq!(
            outcomes,
            [
                [Some("suspended"), None, Some("deactivated"), None, None],
                [None, Some("active"), Some("deactivated"), None, None],
                [None, None, None, Some("active"), Some("deleted")],
            ]
        );
    }

    #[test]
    fn an_illegal_transition_says_from_where_to_where() {
        let refused = DeviceState::Active.delete().unwrap_err();
        assert_eq!(refused.to_string(), "a device that is active cannot become deleted");
    }

    /// D-15: unsuspending releases only the holds that the suspension made, and nothing ends a revocation.
    #[test]
    fn a_suspension_leaves_an_admins_hold_and_a_revocation_alone() {
        let held = CertificateState::Live.hold(EARLIER).unwrap();
        let revoked = CertificateState::Live
            .revoke(EARLIER, RevocationReason::KeyCompromise)
            .unwrap();

        assert_eq!(held.suspend(NOW).unsuspend(), held);
        assert_eq!(revoked.suspend(NOW).unsuspend(), revoked);
        assert_eq!(CertificateState::Live.suspend(NOW).unsuspend(), CertificateState::Live);
        assert!(revoked.hold(NOW).is_err());
        assert!(revoked.release(DeviceState::Active).is_err());
        assert!(revoked.revoke(NOW, RevocationReason::Unspecified).is_err());
    }

    #[test]
    fn a_hold_released_on_a_suspended_device_waits_for_the_device() {
        let suspended = DeviceState::Suspended { at: EARLIER };
        let held = CertificateState::Live.suspend(EARLIER).hold(NOW).unwrap();

        let released = held.release(suspended).unwrap();

        assert_ne!(released, CertificateState::Live);
        assert!(released.release(suspended).is_err());
        assert_eq!(released.unsuspend(), CertificateState::Live);
        assert_eq!(held.release(DeviceState::Active), Ok(CertificateState::Live));
    }

    #[test]
    fn an_ended_enrolment_stays_ended() {
        let ended = EnrollmentState::Active.end(EARLIER);
        assert_eq!(ended.suspend().unsuspend().end(NOW), ended);
        assert_eq!(EnrollmentState::Active.suspend().unsuspend(), EnrollmentState::Active);
    }

    const EARLIER: Timestamp = Timestamp::from_secs(1_000);
    const NOW: Timestamp = Timestamp::from_secs(2_000);
}
