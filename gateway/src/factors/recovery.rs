//! What does a recovery code look like? Twenty letters and digits in four groups, a hundred random bits.
//!
//! Nobody finds a hundred bits by trying, however fast they hash: so SHA-256 is kept of each, and looking one up costs nothing
//! that somebody who guesses could make the gateway spend.

use zeroize::Zeroizing;

/// A new set; the caller brings the randomness.
pub(crate) fn new_set(random: &[[u8; LENGTH]; SET]) -> Vec<Zeroizing<String>> {
    random.iter().map(|random| Zeroizing::new(write(random))).collect()
}

/// One code as people read it: `k7m2q-…`. Five bits of each octet make a character.
fn write(random: &[u8; LENGTH]) -> String {
    let letters = random
        .iter()
        .map(|octet| ALPHABET.get(usize::from(octet % 32)).copied().unwrap_or_default());
    let mut text = String::new();
    for (place, letter) in letters.enumerate() {
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(letter));
    }
    text
}

/// What somebody typed, as it was written: in any case, with or without the dashes. Nothing if it cannot be a code.
pub(crate) fn read(typed: &str) -> Option<Zeroizing<String>> {
    if typed.len() > LONGEST {
        return None;
    }
    let typed = Zeroizing::new(typed.to_ascii_lowercase());
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    let mut place = 0;
    for character in typed.chars().filter(|one| !one.is_whitespace() && *one != '-') {
        let is_ours = u8::try_from(character).is_ok_and(|octet| ALPHABET.contains(&octet));
        if !is_ours || place == LENGTH {
            return None;
        }
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(character);
        place += 1;
    }
    (place == LENGTH).then_some(text)
}

/// How many codes a user gets.
pub(crate) const SET: usize = 10;

/// How many characters a code has.
pub(crate) const LENGTH: usize = 20;

const GROUP: usize = 5;

/// With all the dashes and spaces that somebody may type.
const LONGEST: usize = 64;

/// Without what is easily taken for something else: i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_written_however_it_is_typed() {
        let code = write(&std::array::from_fn(|place| u8::try_from(place).unwrap()));
        assert_eq!(code, "01234-56789-abcde-fghjk");

        for typed in [
            "01234-56789-abcde-fghjk",
            "0123456789ABCDEFGHJK",
            " 01234 56789 abcde-fghjk ",
        ] {
            assert_eq!(read(typed).as_deref(), Some(&code), "{typed}");
        }
        for bad in [
            "",
            "01234-56789-abcde-fghj",
            "01234-56789-abcde-fghjk0",
            "01234-56789-abcde-fghju",
            "01234-56789-abcde-fghj\u{e9}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        /// Whatever is random is a code, and every bit of five counts.
        #[test]
        fn a_set_has_ten_codes_that_are_read_back(random in any::<[[u8; LENGTH]; SET]>()) {
            let set = new_set(&random);

            prop_assert_eq!(set.len(), 10);
            for code in &set {
                let known = read(code);
                prop_assert_eq!(known.as_ref(), Some(code));
            }
        }

        #[test]
        fn nothing_that_is_typed_is_a_fault(typed in any::<String>()) {
            let _ = read(&typed);
        }
    }
}
