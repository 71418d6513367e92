//! Is this the code that the person's app shows now? RFC 6238: SHA-1, six digits, thirty seconds, one step of skew.

use std::fmt;
use std::ops::RangeInclusive;

use directory::Timestamp;
use totp_rs::{Algorithm, Builder, Secret, Totp, TotpError};
use zeroize::Zeroizing;

/// The secret that we share with the person's app: 160 bits, as RFC 4226 recommends; wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TotpSecret(Secret);

/// The half minute that a code stands for, counted from the epoch. A code counts once: whoever takes it keeps its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step(pub(crate) u64);

/// Says that a code is not one that counts now: not the right one, or used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code is wrong")]
pub(crate) struct WrongCode;

/// Says that a text is not the secret of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 characters of base32")]
pub(crate) struct BadTotpSecret;

/// Says that no address for an app can be made.
#[derive(Debug, thiserror::Error)]
#[error("making the address for an authenticator app")]
pub(crate) struct BadAddress(#[source] TotpError);

impl TotpSecret {
    /// A new secret; the caller brings the randomness.
    pub(crate) const fn from_random(random: [u8; LENGTH]) -> Self {
        Self(Secret::new_stack(random))
    }

    /// Reads what [`Self::to_base32`] wrote.
    ///
    /// # Errors
    /// The text has to be the base32 of 160 bits.
    pub(crate) fn from_base32(text: &str) -> Result<Self, BadTotpSecret> {
        let secret = Secret::try_from_base32(text).map_err(|_| BadTotpSecret)?;
        match secret.as_bytes().len() == LENGTH {
            true => Ok(Self(secret)),
            false => Err(BadTotpSecret),
        }
    }

    /// The code of this moment: what an app would show.
    pub(crate) fn code(&self, now: Timestamp) -> Option<String> {
        let totp = self.builder().build().ok()?;
        Some(totp.generate(u64::try_from(now.secs()).ok()?).to_string())
    }

    /// The secret as people type it into an app, and as the store keeps it.
    pub(crate) fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_base32())
    }

    /// The address that an app reads from a QR code: `otpauth://totp/…`. Colons in the names are left out: there the label
    /// separates the two.
    ///
    /// # Errors
    /// The account needs a name.
    pub(crate) fn address(&self, issuer: &str, account: &str) -> Result<Zeroizing<String>, BadAddress> {
        let totp = self
            .builder()
            .with_issuer(Some(issuer.replace(':', "")))
            .with_account_name(account.replace(':', ""))
            .build()
            .map_err(BadAddress)?;
        totp.to_url().map(Zeroizing::new).map_err(BadAddress)
    }

    fn builder(&self) -> Builder {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_step_duration(SECONDS)
            .with_skew(0)
            .with_secret(self.0.clone())
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Says for which step a code is right: the current one, the one before or the one after. A step no later than the last one
/// used is burnt. How long it takes does not depend on the code's digits.
///
/// The caller keeps the step as the last one used, in one go with looking at it, so that of two who bring the same code one
/// is refused.
///
/// # Errors
/// The code is wrong, burnt, or not six digits.
pub(crate) fn check(
    secret: &TotpSecret,
    code: &str,
    now: Timestamp,
    last_step: Option<Step>,
) -> Result<Step, WrongCode> {
    let totp = secret.builder().build().map_err(|_| WrongCode)?;
    let is_burnt = |step: Step| last_step.is_some_and(|last| step <= last);
    // INVARIANT: every step is tried, whichever is right.
    let right = steps(now)?.fold(None, |found, step| {
        let is_right = is_right(&totp, code, step) && !is_burnt(Step(step));
        found.or(is_right.then_some(Step(step)))
    });
    right.ok_or(WrongCode)
}

fn steps(now: Timestamp) -> Result<RangeInclusive<u64>, WrongCode> {
    let step = u64::try_from(now.secs()).map_err(|_| WrongCode)? / SECONDS;
    Ok(step.saturating_sub(SKEW)..=step.saturating_add(SKEW))
}

fn is_right(totp: &Totp, code: &str, step: u64) -> bool {
    totp.check(code, step.saturating_mul(SECONDS)).is_some()
}

const LENGTH: usize = 20;
const DIGITS: u8 = 6;
const SECONDS: u64 = 30;
const SKEW: u64 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6238, appendix B, the vectors for SHA-1, whose last six digits these are.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = check(&secret(), code, Timestamp::from_secs(seconds), None);

            assert_eq!(step.map(|step| step.0), Ok(u64::try_from(seconds).unwrap() / 30));
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_one_late_and_no_further() {
        let code = "050471"; // of the step that begins at 1111111110
        for (seconds, counts) in [
            (1_111_111_079, false),
            (1_111_111_080, true),
            (1_111_111_110, true),
            (1_111_111_169, true),
            (1_111_111_170, false),
        ] {
            let answer = check(&secret(), code, Timestamp::from_secs(seconds), None);

            assert_eq!(answer.is_ok(), counts, "{seconds}");
        }
    }

    #[test]
    fn a_code_counts_once_and_so_does_every_earlier_one() {
        let now = Timestamp::from_secs(1_111_111_111);
        let step = check(&secret(), "050471", now, None).unwrap();
        let before = check(&secret(), "081804", now, None).unwrap();
        assert!(before < step);

        assert_eq!(check(&secret(), "050471", now, Some(step)), Err(WrongCode));
        assert_eq!(check(&secret(), "081804", now, Some(step)), Err(WrongCode));
        assert_eq!(check(&secret(), "050471", now, Some(before)), Ok(step));
    }

    #[test]
    fn anything_but_six_ascii_digits_is_refused() {
        let now = Timestamp::from_secs(59);
        for code in [
            "", "28708", "2870820", "+87082", " 287082", "287082 ", "287 082", "28708２", "94287082",
        ] {
            assert_eq!(check(&secret(), code, now, None), Err(WrongCode), "{code:?}");
        }
        assert!(check(&secret(), "287082", now, None).is_ok());
        assert_eq!(
            check(&secret(), "287082", Timestamp::from_secs(-59), None),
            Err(WrongCode)
        );
    }

    #[test]
    fn a_secret_reads_back_from_base32_and_no_other_length_does() {
        let text = secret().to_base32();

        assert_eq!(*text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(TotpSecret::from_base32(&text), Ok(secret()));
        for bad in [
            "",
            "GEZDGNBVGY3TQOJQ",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBV",
            "0189",
        ] {
            assert_eq!(TotpSecret::from_base32(bad), Err(BadTotpSecret), "{bad}");
        }
    }

    #[test]
    fn the_address_for_an_app_names_issuer_and_account() {
        let address = secret().address("Example: Co", "alice@example.com").unwrap();

        assert_eq!(
            *address,
            "otpauth://totp/Example%20Co:alice%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Co"
        );
        assert!(secret().address("Example", "").is_err());
    }

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", secret()), "[redacted]");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_as_a_code_is_answered(code in ".{0,12}", seconds in any::<i64>(), last in any::<u64>()) {
            let answer = check(&secret(), &code, Timestamp::from_secs(seconds), Some(Step(last)));

            if let Ok(step) = answer {
                prop_assert!(step > Step(last) && code.len() == 6);
            }
        }

        #[test]
        fn the_code_of_a_step_counts_until_its_step_is_used(random in any::<[u8; 20]>(), seconds in 0_i64..4_000_000_000) {
            let (secret, now) = (TotpSecret::from_random(random), Timestamp::from_secs(seconds));
            let totp = secret.builder().build().unwrap();
            let code = totp.generate(u64::try_from(seconds).unwrap()).to_string();

            prop_assert!(check(&secret, &code, now, None).is_ok());
            let later = Step(u64::try_from(seconds).unwrap() / 30 + 1);
            prop_assert_eq!(check(&secret, &code, now, Some(later)), Err(WrongCode));
        }
    }

    fn secret() -> TotpSecret {
        TotpSecret::from_random(*b"12345678901234567890")
    }
}
