//! Did the gateway hand out this nonce a moment ago? Short-lived HMACs under a key that lives as long as the process.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key that nonces are made and known by. A new one at each start voids all that were handed out before.
pub struct NonceKey(Hmac<Sha256>);

/// Says why a nonce does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNonce {
    /// This process did not hand it out.
    #[error("the nonce was not handed out here")]
    Unknown,
    /// Its time is over.
    #[error("the nonce is over")]
    Over,
}

impl NonceKey {
    /// Takes 32 random octets.
    pub fn new(random: &[u8; 32]) -> Self {
        // HMAC pads keys with zeros to a block (RFC 2104, section 2).
        let mut block = [0; 64];
        block.iter_mut().zip(random).for_each(|(slot, octet)| *slot = *octet);
        Self(Hmac::new(&block.into()))
    }

    /// Makes a nonce of 128 random bits that is good until this moment.
    pub fn issue(&self, random: [u8; 16], until: Timestamp) -> String {
        let mut octets = Vec::with_capacity(LENGTH);
        octets.extend_from_slice(&until.millis().to_be_bytes());
        octets.extend_from_slice(&random);
        let tag = self.0.clone().chain_update(&octets).finalize().into_bytes();
        octets.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Until when a nonce is good; that it was not used before, the caller checks.
    ///
    /// # Errors
    ///
    /// Refuses what was not handed out by this key, or is over.
    pub fn check(&self, nonce: &str, now: Timestamp) -> Result<Timestamp, BadNonce> {
        let octets = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| BadNonce::Unknown)?;
        let (said, tag) = octets.split_at_checked(HEAD).ok_or(BadNonce::Unknown)?;
        let verified = self.0.clone().chain_update(said).verify_slice(tag);
        verified.map_err(|_| BadNonce::Unknown)?;
        let until = said.first_chunk().copied().map(i64::from_be_bytes);
        let until = until.map(Timestamp::from_millis).ok_or(BadNonce::Unknown)?;
        if now < until { Ok(until) } else { Err(BadNonce::Over) }
    }
}

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceKey([redacted])")
    }
}

/// The time and the random octets.
const HEAD: usize = 8 + 16;
const LENGTH: usize = HEAD + 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_nonce_is_good_for_its_time_and_under_its_key_alone() {
        let (key, other) = (NonceKey::new(&[1; 32]), NonceKey::new(&[2; 32]));
        let until = NOW.plus(Duration::from_secs(60));
        let nonce = key.issue([3; 16], until);

        assert_eq!(key.check(&nonce, NOW), Ok(until));
        assert_eq!(key.check(&nonce, until), Err(BadNonce::Over));
        assert_eq!(other.check(&nonce, NOW), Err(BadNonce::Unknown), "after a restart");
        assert_ne!(nonce, key.issue([4; 16], until));
        for bad in [
            "",
            "AA",
            &nonce[..nonce.len() - 2],
            &format!("{nonce}AA"),
            &format!("{nonce}="),
        ] {
            assert_eq!(key.check(bad, NOW), Err(BadNonce::Unknown), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_nonce_changed_anywhere_is_unknown(at in 0_usize..56, flip in 1_u8..) {
            let key = NonceKey::new(&[1; 32]);
            let nonce = key.issue([3; 16], NOW.plus(Duration::from_secs(60)));
            let mut octets = URL_SAFE_NO_PAD.decode(nonce).unwrap();
            octets[at] ^= flip;
            prop_assert_eq!(key.check(&URL_SAFE_NO_PAD.encode(octets), NOW), Err(BadNonce::Unknown));
        }
    }
}
