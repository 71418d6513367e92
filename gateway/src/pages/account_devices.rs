//! What does *Your account* show of devices? What the gateway knows of each, and what its user can do with it.

use askama::Template;
use directory::VerificationMethod;

use super::{DeviceLine, Moment, Notice, Page, Policy, Section, Shell};

/// The devices of who is signed in.
#[derive(Template)]
#[template(path = "account_devices.html")]
pub(crate) struct DevicesPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the page's forms take as `state`.
    pub(crate) state: &'a str,
    /// What has just happened.
    pub(crate) notice: Option<Notice<'a>>,
    /// The devices.
    pub(crate) devices: Vec<AccountDevice<'a>>,
}

/// A device and what is known of it.
pub(crate) struct AccountDevice<'a> {
    /// The id of the account on it.
    pub(crate) id: String,
    /// What every list shows.
    pub(crate) line: DeviceLine<'a>,
    /// Whether its hardware is attested.
    pub(crate) secure_hardware: bool,
    /// Whether its key is proved to live there.
    pub(crate) hardware_key: bool,
    /// Whether its user is verified when they confirm.
    pub(crate) verified: Verified,
    /// When it was added.
    pub(crate) enrolled: Moment,
    /// What it said of itself: what, and how that is.
    pub(crate) posture: Vec<(&'static str, &'static str)>,
    /// When it said so.
    pub(crate) reported: Option<Moment>,
}

/// How somebody is verified who confirms on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// By a PIN, which the hardware enforces.
    InHardware,
    /// In this way, on the software's word.
    InSoftware(VerificationMethod),
    /// Not at all.
    Never,
}

/// Asks whether something is to go.
#[derive(Template)]
#[template(path = "account_remove.html")]
pub(crate) struct ConfirmRemoval<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the form takes as `state`.
    pub(crate) state: &'a str,
    /// What the form takes as `id`.
    pub(crate) id: &'a str,
    /// What is to go.
    pub(crate) what: &'a str,
    /// What comes of it.
    pub(crate) consequence: &'a str,
    /// Where the form is sent to.
    pub(crate) action: &'static str,
    /// Where to go instead.
    pub(crate) back: &'static str,
}

impl DevicesPage<'_> {
    const SECTION: Section = Section::Devices;
}

impl AccountDevice<'_> {
    fn verified_text(&self, texts: &super::Texts) -> &'static str {
        match self.verified {
            Verified::InHardware => texts.devices.in_hardware,
            Verified::InSoftware(VerificationMethod::Pin) => texts.devices.in_software,
            Verified::InSoftware(VerificationMethod::Fingerprint) => texts.devices.fingerprint,
            Verified::InSoftware(VerificationMethod::Face) => texts.devices.face,
            Verified::Never => texts.devices.without,
        }
    }
}

impl Page for DevicesPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for ConfirmRemoval<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
