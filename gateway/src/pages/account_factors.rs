//! What does *Your account* show of what somebody signs in with, and how is it set up?

use std::fmt::Write;

use askama::Template;
use qrcode::types::{Color, QrError};
use zeroize::Zeroizing;

use super::{Moment, Notice, Page, Policy, Section, Shell};

/// What somebody signs in with.
#[derive(Template)]
#[template(path = "account_factors.html")]
pub(crate) struct FactorsPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the page's forms take as `state`.
    pub(crate) state: &'a str,
    /// What has just happened.
    pub(crate) notice: Option<Notice<'a>>,
    /// Until when an administrator lets them set up one factor.
    pub(crate) released: Option<Moment>,
    /// The password.
    pub(crate) password: Option<KnownFactor>,
    /// The authenticator app.
    pub(crate) totp: Option<KnownFactor>,
    /// The security keys and passkeys.
    pub(crate) keys: Vec<SecurityKeyLine<'a>>,
    /// The recovery codes.
    pub(crate) codes: Option<KnownFactor>,
    /// How many of them were not used.
    pub(crate) codes_left: usize,
    /// How many devices they have.
    pub(crate) devices: usize,
}

/// Something of which there is one.
pub(crate) struct KnownFactor {
    /// Its id.
    pub(crate) id: String,
    /// When it was set.
    pub(crate) since: Moment,
}

/// A security key or passkey.
pub(crate) struct SecurityKeyLine<'a> {
    /// Its id.
    pub(crate) id: String,
    /// What its user calls it.
    pub(crate) name: &'a str,
    /// When it was added.
    pub(crate) since: Moment,
    /// When it was used last.
    pub(crate) last_used: Option<Moment>,
}

/// Asks for another password.
#[derive(Template)]
#[template(path = "account_password.html")]
pub(crate) struct ChangePassword<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the form takes as `state`.
    pub(crate) state: &'a str,
    /// The login, for password managers.
    pub(crate) username: &'a str,
    /// Whether there is one already.
    pub(crate) has_one: bool,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
}

/// Shows a secret for an authenticator app, and asks for its first code.
#[derive(Template)]
#[template(path = "account_totp.html")]
pub(crate) struct AddTotp<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the form takes as `state`.
    pub(crate) state: &'a str,
    /// What the form takes as `offered`: the secret, sealed.
    pub(crate) offered: &'a str,
    /// Whether another app is replaced.
    pub(crate) replaces: bool,
    /// The address that an app reads.
    pub(crate) code: &'a QrCode,
    /// The secret as people type it.
    pub(crate) secret: Zeroizing<String>,
    /// The same for an app on this machine.
    pub(crate) address: &'a str,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
}

/// A QR code as a picture: dark squares on light, with the quiet zone that scanners need.
pub(crate) struct QrCode {
    size: usize,
    path: Zeroizing<String>,
}

impl QrCode {
    /// Draws a text.
    ///
    /// # Errors
    /// It is too long.
    pub(crate) fn of(text: &str) -> Result<Self, QrError> {
        let code = qrcode::QrCode::new(text)?;
        let width = code.width();
        let mut path = Zeroizing::new(String::new());
        for (index, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                let (x, y) = (index % width + QUIET, index / width + QUIET);
                // Writing to a string never fails.
                let _ = write!(path, "M{x} {y}h1v1h-1z");
            }
        }
        Ok(Self {
            size: width + 2 * QUIET,
            path,
        })
    }
}

/// How many squares are left free on each side.
const QUIET: usize = 4;

impl FactorsPage<'_> {
    const SECTION: Section = Section::Factors;
}

impl Page for FactorsPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for ChangePassword<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for AddTotp<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finders_in_three_corners() {
        let code = QrCode::of("otpauth://totp/auth.localhost:alice?secret=JBSWY3DPEHPK3PXP").unwrap();

        let last = code.size - QUIET - 1;
        for (x, y) in [(QUIET, QUIET), (last, QUIET), (QUIET, last)] {
            assert!(code.path.contains(&format!("M{x} {y}h")), "{x} {y}");
        }
        assert!(!code.path.contains("M0 ") && !code.path.contains(&format!("M{} ", code.size - 1)));
    }
}
