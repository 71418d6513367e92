//! Which code does an authenticator app show now? RFC 6238 with SHA-1, six digits, half a minute.

use crate::device::now;

/// The code of this moment for a secret in base32.
///
/// # Panics
/// When the secret is none.
pub fn code(secret: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &base32(secret));
    let step = u64::try_from(now() / 30).unwrap();
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0xf);
    let four: [u8; 4] = tag[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for character in text.trim().bytes() {
        let value = ALPHABET.iter().position(|known| *known == character).expect("base32");
        bits = bits << 5 | u32::try_from(value).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    octets
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_as_rfc_4648_has_it() {
        assert_eq!(base32("MZXW6YTBOI"), b"foobar");
        assert_eq!(code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").len(), 6);
    }
}
