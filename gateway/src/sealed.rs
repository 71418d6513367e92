//! How does the gateway keep what a browser carries for it? Sealed, so that nobody else reads or makes it, and by a key of
//! this process alone: a restart voids it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Seals and opens.
pub(crate) struct Seal {
    key: LessSafeKey,
}

/// Says that something is not sealed by this process, or for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this was not sealed here, or is over")]
pub(crate) struct BadSeal;

/// What something is sealed for: it opens for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// From an application's host to the auth host.
    Transaction,
    /// From one step of a sign-in to the next.
    SignIn,
    /// A secret for an authenticator app, until the app shows that it has it.
    Totp,
}

impl Seal {
    /// Takes a key.
    ///
    /// # Panics
    /// Never: the key has the length that the cipher wants.
    pub(crate) fn new(random: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "INVARIANT: ChaCha20-Poly1305 takes keys of 32 octets")]
        let key = UnboundKey::new(&CHACHA20_POLY1305, random).expect("32 octets");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// Seals a value.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub(crate) fn seal(&self, purpose: Purpose, value: &impl Serialize) -> Result<String, serde_json::Error> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = serde_json::to_vec(value)?;
        let aad = Aad::from(purpose.name());
        // It fails only for messages of 256 GiB.
        let _ = self
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed);
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed for this.
    ///
    /// # Errors
    /// If it was not, or not by this process.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &str) -> Result<T, BadSeal> {
        if sealed.len() > LONGEST {
            return Err(BadSeal);
        }
        let mut octets = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| BadSeal)?;
        let (nonce, sealed) = octets.split_at_mut_checked(NONCE_LEN).ok_or(BadSeal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| BadSeal)?;
        let opened = self.key.open_in_place(nonce, Aad::from(purpose.name()), sealed);
        serde_json::from_slice(opened.map_err(|_| BadSeal)?).map_err(|_| BadSeal)
    }
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Transaction => b"transaction",
            Self::SignIn => b"sign-in",
            Self::Totp => b"totp",
        }
    }
}

/// What a browser carries is far shorter.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_here_for_its_purpose_and_nowhere_else() {
        let seal = Seal::new(&[1; 32]);
        let sealed = seal.seal(Purpose::Transaction, &"secret").unwrap();
        let open = |seal: &Seal, purpose, text: &str| seal.open::<String>(purpose, text);

        assert_eq!(open(&seal, Purpose::Transaction, &sealed), Ok("secret".to_owned()));
        assert!(!sealed.contains("secret"));
        assert_eq!(open(&seal, Purpose::SignIn, &sealed), Err(BadSeal));
        assert_eq!(open(&Seal::new(&[2; 32]), Purpose::Transaction, &sealed), Err(BadSeal));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(open(&seal, Purpose::Transaction, &changed), Err(BadSeal), "{at}");
        }
        for bad in ["", "A", "====", &"A".repeat(LONGEST + 1)] {
            assert_eq!(open(&seal, Purpose::Transaction, bad), Err(BadSeal));
        }
    }
}
