//! What does the holder of a token show? 256 random bits behind a prefix that says what they open.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::SecretHash;

/// A token's secret; it is shown once, when it is made, and only its hash is kept.
pub(crate) struct Secret(String);

impl Secret {
    /// Opens the enrolment endpoint.
    pub(crate) fn enrollment(random: [u8; 32]) -> Self {
        Self(format!("lke_{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// Opens the admin API.
    pub(crate) fn api(random: [u8; 32]) -> Self {
        Self(format!("lka_{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// How the token is found.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// The secret itself, for the one who asked for it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_what_it_opens_and_never_shows_in_debug_output() {
        let (enrollment, api) = (Secret::enrollment([1; 32]), Secret::api([1; 32]));
        assert_eq!(api.reveal(), "lka_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        assert!(enrollment.reveal().starts_with("lke_"));
        assert_ne!(enrollment.hash(), api.hash());
        assert_eq!(format!("{api:?}"), "[redacted]");
    }
}
