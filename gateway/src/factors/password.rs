//! Is this the password? Argon2id, and the same work where there is no password to compare with.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::{self, phc};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use zeroize::Zeroizing;

/// What somebody typed as a password; it is wiped when the last copy goes.
#[derive(Clone)]
pub(crate) struct Password(Arc<Zeroizing<String>>);

/// What is kept of a password: a PHC string of Argon2id.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(phc::PasswordHash);

/// Proof that a password was right. Only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    outdated: bool,
}

/// Says why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPassword {
    /// It would be guessed too soon.
    #[error("a password has at least {SHORTEST} characters")]
    TooShort,
    /// It would take too long to read.
    #[error("a password has at most {LONGEST} characters")]
    TooLong,
}

/// Says that a text is not the hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a PHC string of argon2id with a salt and a hash")]
pub(crate) struct BadPasswordHash;

/// Says that a password could not be hashed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hashing a password")]
pub(crate) struct HashFailed(#[source] password_hash::Error);

/// Says why a password was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotVerified {
    /// It is not the one, or there is none.
    #[error("the password is wrong")]
    Wrong,
    /// Nothing can be said.
    #[error("verifying a password")]
    Failed(#[source] HashFailed),
}

impl Password {
    /// A password to sign in with: as it was typed, whatever the rules were when it was chosen.
    ///
    /// # Errors
    /// No password is that long.
    pub(crate) fn typed(text: Zeroizing<String>) -> Result<Self, BadPassword> {
        match text.len() <= LONGEST_IN_BYTES {
            true => Ok(Self(Arc::new(text))),
            false => Err(BadPassword::TooLong),
        }
    }

    /// A new password.
    ///
    /// # Errors
    /// Says which rule for new passwords it breaks.
    pub(crate) fn chosen(text: Zeroizing<String>) -> Result<Self, BadPassword> {
        match text.chars().count() {
            0..SHORTEST => Err(BadPassword::TooShort),
            SHORTEST..=LONGEST => Self::typed(text),
            _ => Err(BadPassword::TooLong),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PasswordHash {
    /// The PHC string, for the store alone.
    pub(crate) fn to_phc(&self) -> String {
        self.0.to_string()
    }

    fn is_outdated(&self) -> bool {
        let params = Params::try_from(&self.0);
        self.0.version != Some(Version::V0x13.into()) || params.as_ref() != Ok(&PARAMS)
    }
}

impl FromStr for PasswordHash {
    type Err = BadPasswordHash;

    fn from_str(text: &str) -> Result<Self, BadPasswordHash> {
        let hash = phc::PasswordHash::new(text).map_err(|_| BadPasswordHash)?;
        let params = Params::try_from(&hash).map_err(|_| BadPasswordHash)?;
        let is_whole = hash.algorithm == ARGON2ID_IDENT && hash.salt.is_some() && hash.hash.is_some();
        let is_bearable = params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES;
        match is_whole && is_bearable {
            true => Ok(Self(hash)),
            false => Err(BadPasswordHash),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Verified {
    /// Whether the hash was made with other parameters than today's: then the password is to be hashed anew.
    pub(crate) const fn is_outdated(&self) -> bool {
        self.outdated
    }
}

/// Hashes a password with today's parameters. It takes a core and [`MEMORY`] for tens of milliseconds.
///
/// # Errors
/// There may be no memory for it.
pub(crate) fn hash(password: &Password, salt: [u8; 16]) -> Result<PasswordHash, HashFailed> {
    let hash = today().hash_password_with_salt(password.0.as_bytes(), &salt);
    hash.map(PasswordHash).map_err(HashFailed)
}

/// Compares a password with the hash of the right one. Where there is none, since there is no such user or they have no
/// password, it is wrong after the same work: how long it took says nothing.
///
/// # Errors
/// Says that the password is wrong, or that it could not be hashed.
pub(crate) fn verify(hash: Option<&PasswordHash>, password: &Password) -> Result<Verified, NotVerified> {
    let Some(kept) = hash else {
        black_box(self::hash(password, [0; 16])).map_err(NotVerified::Failed)?;
        return Err(NotVerified::Wrong);
    };
    match today().verify_password(password.0.as_bytes(), &kept.0) {
        Ok(()) => Ok(Verified {
            outdated: kept.is_outdated(),
        }),
        Err(password_hash::Error::PasswordInvalid) => Err(NotVerified::Wrong),
        Err(source) => Err(NotVerified::Failed(HashFailed(source))),
    }
}

fn today() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

/// The least that OWASP's Password Storage Cheat Sheet asks of Argon2id: m = 19 MiB, t = 2, p = 1.
const PARAMS: Params = match Params::new(MEMORY, PASSES, LANES, Some(LENGTH)) {
    Ok(params) => params,
    Err(_) => Params::DEFAULT,
};

/// In KiB.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const LENGTH: usize = 32;

/// What a kept hash may ask for at most: 256 MiB.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;

/// In characters. NIST SP 800-63B-4 asks for at least 8 beside another factor, and for at least 64 to be let through.
const SHORTEST: usize = 8;
const LONGEST: usize = 256;
const LONGEST_IN_BYTES: usize = 4 * LONGEST;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_is_verified_and_another_is_not() {
        let kept = hash(&typed("correct horse"), SALT).unwrap();

        assert_eq!(
            verify(Some(&kept), &typed("correct horse")),
            Ok(Verified { outdated: false })
        );
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert_eq!(verify(Some(&kept), &typed(wrong)), Err(NotVerified::Wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_hash_is_kept_as_a_phc_string_with_todays_parameters_and_read_back() {
        let kept = hash(&typed("correct horse"), SALT).unwrap();

        let text = kept.to_phc();

        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert_eq!(text.parse::<PasswordHash>().as_ref(), Ok(&kept));
        assert_ne!(hash(&typed("correct horse"), [8; 16]).unwrap(), kept);
    }

    #[test]
    fn a_password_hashed_with_other_parameters_is_right_but_outdated() {
        for (params, version) in [
            (Params::new(1024, 1, 1, Some(32)).unwrap(), Version::V0x13),
            (Params::new(MEMORY, PASSES, LANES, Some(16)).unwrap(), Version::V0x13),
            (PARAMS, Version::V0x10),
        ] {
            let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
            let old = argon2.hash_password_with_salt(b"correct horse", &SALT).unwrap();
            let old: PasswordHash = old.to_string().parse().unwrap();

            let verified = verify(Some(&old), &typed("correct horse")).unwrap();

            assert!(verified.is_outdated());
            assert_eq!(verify(Some(&old), &typed("wrong")), Err(NotVerified::Wrong));
        }
    }

    /// X-20, as far as the work goes: it is the same without a hash, and nothing is ever right. Control: the tests above.
    #[test]
    fn without_a_password_every_password_is_wrong() {
        let of_nobody = hash(&typed("correct horse"), [0; 16]).unwrap();

        assert!(!of_nobody.is_outdated());
        assert_eq!(verify(None, &typed("correct horse")), Err(NotVerified::Wrong));
        assert_eq!(verify(None, &typed("")), Err(NotVerified::Wrong));
    }

    #[test]
    fn a_new_password_has_eight_to_256_characters() {
        for (text, expected) in [
            ("seven 7".to_owned(), Some(BadPassword::TooShort)),
            ("eight: 8".to_owned(), None),
            ("ééééééé".to_owned(), Some(BadPassword::TooShort)),
            ("éééééééé".to_owned(), None),
            ("🦀".repeat(256), None),
            ("a".repeat(257), Some(BadPassword::TooLong)),
        ] {
            assert_eq!(Password::chosen(text.clone().into()).err(), expected, "{text}");
        }
        assert!(Password::typed("short".to_owned().into()).is_ok());
        assert!(Password::typed("a".repeat(1024).into()).is_ok());
        assert_eq!(
            Password::typed("a".repeat(1025).into()).err(),
            Some(BadPassword::TooLong)
        );
    }

    #[test]
    fn what_is_no_bearable_hash_of_argon2id_is_refused() {
        let kept = hash(&typed("correct horse"), SALT).unwrap().to_phc();
        for bad in [
            String::new(),
            "correct horse".to_owned(),
            kept.replace("argon2id", "argon2i"),
            kept.replace("argon2id", "scrypt"),
            kept.replace("m=19456", "m=4194304"),
            kept.replace("t=2", "t=1000"),
            kept.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            assert_eq!(bad.parse::<PasswordHash>(), Err(BadPasswordHash), "{bad}");
        }
    }

    #[test]
    fn neither_a_password_nor_its_hash_shows_in_debug_output() {
        let password = typed("correct horse");
        assert_eq!(format!("{password:?}"), "[redacted]");
        assert_eq!(format!("{:?}", hash(&password, SALT).unwrap()), "[redacted]");
    }

    fn typed(text: &str) -> Password {
        Password::typed(text.to_owned().into()).unwrap()
    }

    const SALT: [u8; 16] = [7; 16];
}
