//! Which identifiers are there, and how do they look from outside? One opaque type for each kind of thing.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const LENGTH: usize = 20;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Says why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {what}: `{prefix}` followed by 17 letters or digits")]
pub struct BadId {
    what: &'static str,
    prefix: &'static str,
}

/// Spells 128 random bits as 17 base-62 characters (the topmost 26 bits are dropped) behind a three-letter prefix.
fn spell(prefix: &str, random: u128) -> [u8; LENGTH] {
    let mut text = [b'0'; LENGTH];
    let mut rest = random;
    for (slot, byte) in text.iter_mut().zip(prefix.bytes()) {
        *slot = byte;
    }
    for slot in text.iter_mut().skip(prefix.len()) {
        let digit = usize::try_from(rest % 62).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        rest /= 62;
    }
    text
}

/// Spells a time in milliseconds since 1970 as 8 base-62 characters, the highest first, and 53 of the upper random bits behind it:
/// later ones sort after earlier ones, as far as the clock tells them apart.
fn spell_timed(prefix: &str, millis: i64, random: u128) -> [u8; LENGTH] {
    let mut text = spell(prefix, random);
    let mut rest = u64::try_from(millis).unwrap_or(0);
    for slot in text.iter_mut().skip(prefix.len()).take(TIME_LENGTH).rev() {
        let digit = usize::try_from(rest % 62).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        rest /= 62;
    }
    text
}

/// Enough until the year 8888.
const TIME_LENGTH: usize = 8;

/// How many octets the characters behind a prefix take as a number.
pub(crate) const PACKED: usize = 13;

/// The characters behind a prefix as a number, the highest octet first, so that it sorts as they do. What is no identifier has none.
fn pack(text: &[u8; LENGTH]) -> Option<[u8; PACKED]> {
    let mut number = 0_u128;
    for character in text.iter().skip(PREFIX) {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'A'..=b'Z' => character - b'A' + 10,
            b'a'..=b'z' => character - b'a' + 36,
            _ => return None,
        };
        number = number * 62 + u128::from(digit);
    }
    number.to_be_bytes().last_chunk().copied()
}

/// The identifier that was packed. Divides in halves, which machines do faster.
fn unpack(prefix: &str, packed: [u8; PACKED]) -> [u8; LENGTH] {
    let mut octets = [0; 16];
    for (slot, octet) in octets.iter_mut().rev().zip(packed.iter().rev()) {
        *slot = *octet;
    }
    let number = u128::from_be_bytes(octets);
    let halves = [number / HALF, number % HALF].map(|half| u64::try_from(half).unwrap_or(0));
    let mut text = [b'0'; LENGTH];
    for (slot, byte) in text.iter_mut().zip(prefix.bytes()) {
        *slot = byte;
    }
    let (upper, lower) = text.split_at_mut(LENGTH - HALF_LENGTH);
    let upper = upper.get_mut(PREFIX..).unwrap_or_default();
    for (mut rest, slots) in halves.into_iter().zip([upper, lower]) {
        for slot in slots.iter_mut().rev() {
            let digit = usize::try_from(rest % 62).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest /= 62;
        }
    }
    text
}

/// How long prefixes are.
const PREFIX: usize = 3;
const HALF_LENGTH: usize = 10;
/// As many numbers as so many characters spell.
const HALF: u128 = 62_u128.pow(10);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// Sorts before every identifier, where a range begins; is none itself.
            pub const FIRST: Self = Self([0; LENGTH]);
            /// Sorts after every identifier, where a range ends; is none itself.
            pub const LAST: Self = Self([0xff; LENGTH]);

            /// Makes an identifier from random bits; the caller brings the randomness.
            pub fn from_random(random: u128) -> Self {
                Self(spell($prefix, random))
            }

            /// Makes an identifier that sorts by the time at which it was made, for records that come in great numbers:
            /// those of one time lie together in a database.
            pub fn timed(at: crate::Timestamp, random: u128) -> Self {
                Self(spell_timed($prefix, at.millis(), random))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl BorshSerialize for $name {
            fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
                let packed = pack(&self.0).ok_or(io::ErrorKind::InvalidInput)?;
                writer.write_all(&packed)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
                let mut packed = [0; PACKED];
                reader.read_exact(&mut packed)?;
                Ok(Self(unpack($prefix, packed)))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { what: $what, prefix: $prefix };
                let bytes: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| bad.clone())?;
                if text.starts_with($prefix) && bytes.iter().all(u8::is_ascii_alphanumeric) {
                    Ok(Self(bytes))
                } else {
                    Err(bad)
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(/// A person who signs in.
    UserId, "usr", "a user id");
id!(/// A set of users, or of groups.
    GroupId, "grp", "a group id");
id!(/// A device, for as long as its record lives.
    DeviceId, "dev", "a device id");
id!(/// One user's account on one device.
    EnrollmentId, "enr", "an enrolment id");
id!(/// A single-use token with which a device enrols.
    EnrollmentTokenId, "ent", "an enrolment token id");
id!(/// A token of the admin API.
    ApiTokenId, "tok", "an API token id");
id!(/// A sign-in and what came of it.
    SessionId, "ses", "a session id");
id!(/// One installation of an authenticator on a device: it holds the keys of the accounts added to it.
    InstanceId, "ins", "an authenticator instance id");
id!(/// Something a user proves who they are with: a password, a TOTP secret.
    AuthenticatorId, "aut", "an authenticator id");
id!(/// The organisation that a gateway serves; devices pin it.
    OrganizationId, "org", "an organisation id");
id!(/// One try of a device to enrol or to answer a challenge, until it is done or given up.
    AttemptId, "att", "an attempt id");
id!(/// One command and everything it changed.
    TransactionId, "trn", "a transaction id");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_wrote() {
        let id = DeviceId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string().parse::<DeviceId>(), Ok(id));
        assert!(id.to_string().starts_with("dev"));
    }

    #[test]
    fn an_id_that_carries_its_time_sorts_by_it_and_reads_back() {
        let at = |millis: i64, random: u128| TransactionId::timed(crate::Timestamp::from_millis(millis), random);
        let early = at(1_795_000_000_000, u128::MAX);
        let late = at(1_795_000_000_001, 0);

        assert!(early < late);
        assert_ne!(late, at(1_795_000_000_001, u128::MAX));
        assert_eq!(late.to_string().parse::<TransactionId>(), Ok(late));
        assert!(at(-1, 7) < early && late < at(i64::MAX / 100_000, 0));
    }

    #[test]
    fn a_packed_id_reads_back_and_sorts_as_before() {
        let highest: DeviceId = "devzzzzzzzzzzzzzzzzz".parse().unwrap();
        let mut ids: Vec<_> = (0..100_u128)
            .map(|n| DeviceId::from_random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
            .chain(
                ["dev00000000000000000", "dev0000000zzzzzzzzzz", "dev00000010000000000"].map(|id| id.parse().unwrap()),
            )
            .chain([highest])
            .collect();
        ids.sort();
        let packed: Vec<Vec<u8>> = ids.iter().map(|id| borsh::to_vec(id).unwrap()).collect();

        assert!(packed.is_sorted());
        for (id, packed) in ids.iter().zip(&packed) {
            assert_eq!(packed.len(), PACKED);
            assert_eq!(borsh::from_slice::<DeviceId>(packed).unwrap(), *id);
        }
        for none in [DeviceId::FIRST, DeviceId::LAST] {
            assert!(borsh::to_vec(&none).is_err(), "{none:?} is none");
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let user = UserId::from_random(7).to_string();
        assert!(user.parse::<UserId>().is_ok());
        assert!(user.parse::<DeviceId>().is_err());
        assert!("dev-with-a-dash-12345".parse::<DeviceId>().is_err());
    }
}
