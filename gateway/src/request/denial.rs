//! Why does a request not pass? Every answer but the upstream's, with its status, its code and what to say.

use directory::SessionEnd;
use policies::{Cause, Denied};

use super::target::BadTarget;
use crate::pages::{ENGLISH, Texts};

/// Why a request does not pass. A denial is an answer, not a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The request can be read in two ways.
    Ambiguous(Ambiguity),
    /// What it is judged by changed again and again while it was judged.
    Unsettled,
    /// The name in the TLS handshake and the one in the request differ, or nobody here answers to it.
    Misdirected,
    /// The method is one that goes to no application.
    MethodRefused,
    /// A foreign page sent an unsafe request or opens a WebSocket.
    CrossSite,
    /// The body is larger than the application takes.
    BodyTooLarge,
    /// Nobody signed in and no certificate was shown.
    NotSignedIn,
    /// The session ended.
    SessionEnded(SessionEnd),
    /// The policies do not let the session go on.
    SessionOver,
    /// The device has to prove itself again; with that the policies would say yes.
    ProofTooOld(Denied),
    /// The device was deactivated.
    DeviceDeactivated,
    /// The device is suspended.
    DeviceSuspended,
    /// The certificate was revoked or is on hold.
    CertificateRevoked,
    /// No enrolled device has this certificate.
    CertificateUnknown,
    /// The certificate ended, perhaps on an open connection.
    CertificateExpired,
    /// A certificate and an assertion are of different accounts.
    CredentialsDisagree,
    /// The assertion is not a good one.
    AssertionRefused,
    /// The device that signed was deleted.
    DeviceDeleted,
    /// The account on the device has ended.
    EnrollmentEnded,
    /// The user was suspended or deactivated.
    UserInactive,
    /// The policies say no.
    Policy(Denied),
    /// The admin API's token is missing, unknown, over, or not for this network.
    TokenRefused,
}

/// In what way a request can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ambiguity {
    /// Its target.
    Target(BadTarget),
    /// Its Host: none, several, or not a host name.
    Host,
    /// Its Origin: several.
    Origin,
    /// Its assertion: several.
    Assertion,
    /// Its cookie of ours: several, or none that was made here.
    Cookie,
    /// Its method: not one of upper-case letters.
    Method,
}

impl Denial {
    /// The stable word that scripts and logs tell denials apart by.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "bad-request",
            Self::Unsettled => "unsettled",
            Self::Misdirected => "misdirected",
            Self::MethodRefused => "method-refused",
            Self::CrossSite => "cross-site",
            Self::BodyTooLarge => "body-too-large",
            Self::NotSignedIn => "not-signed-in",
            Self::SessionEnded(end) => code_of_end(*end),
            Self::SessionOver => "session-over",
            Self::ProofTooOld(_) => "proof-too-old",
            Self::DeviceDeactivated => "device-deactivated",
            Self::DeviceSuspended => "device-suspended",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CertificateUnknown => "certificate-unknown",
            Self::CertificateExpired => "certificate-expired",
            Self::CredentialsDisagree => "credentials-disagree",
            Self::AssertionRefused => "assertion-refused",
            Self::DeviceDeleted => "device-deleted",
            Self::EnrollmentEnded => "enrollment-ended",
            Self::UserInactive => "user-inactive",
            Self::Policy(denied) => match denied.cause {
                Cause::Policy => "policy-denied",
                Cause::NoPermit => "not-permitted",
                Cause::PolicyFailed => "policy-failed",
            },
            Self::TokenRefused => "token-refused",
        }
    }

    /// The HTTP status (RFC 9110, section 15).
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Ambiguous(Ambiguity::Target(BadTarget::TooLong)) => 414,
            Self::Ambiguous(_) => 400,
            Self::Unsettled => 503,
            Self::Misdirected => 421,
            Self::MethodRefused => 405,
            Self::BodyTooLarge => 413,
            Self::NotSignedIn
            | Self::SessionEnded(_)
            | Self::SessionOver
            | Self::ProofTooOld(_)
            | Self::TokenRefused
            | Self::AssertionRefused => 401,
            Self::CrossSite
            | Self::DeviceDeactivated
            | Self::DeviceSuspended
            | Self::CertificateRevoked
            | Self::CertificateUnknown
            | Self::CertificateExpired
            | Self::CredentialsDisagree
            | Self::DeviceDeleted
            | Self::EnrollmentEnded
            | Self::UserInactive
            | Self::Policy(_) => 403,
        }
    }

    /// A few words for a heading.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "This request cannot be read in one way only",
            Self::Unsettled => "Try again in a moment",
            Self::Misdirected => "Not here",
            Self::MethodRefused => "This method is not passed on",
            Self::CrossSite => "Another site sent this request",
            Self::BodyTooLarge => "Too much at once",
            Self::NotSignedIn | Self::SessionOver => "Please sign in",
            Self::SessionEnded(end) => title_of_end(&ENGLISH, *end),
            Self::ProofTooOld(_) => "Your device has to prove itself again",
            Self::DeviceDeactivated => "This device was shut out",
            Self::DeviceSuspended => "This device is suspended",
            Self::CertificateRevoked => "This device's certificate was revoked",
            Self::CertificateUnknown => "This device's certificate is not known here",
            Self::CertificateExpired => "This device's certificate has expired",
            Self::CredentialsDisagree => "Two credentials name two accounts",
            Self::AssertionRefused => "This device did not prove itself",
            Self::DeviceDeleted => "This device is not known any more",
            Self::EnrollmentEnded => "This account is no longer on this device",
            Self::UserInactive => "This account is not active",
            Self::Policy(_) => "Not allowed",
            Self::TokenRefused => "This token does not open this door",
        }
    }

    /// One or two sentences: what happened, and what helps.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Ambiguous(Ambiguity::Target(bad)) => format!("Refused: {bad}."),
            Self::Ambiguous(Ambiguity::Host) => "Exactly one Host with a host name is expected.".to_owned(),
            Self::Ambiguous(Ambiguity::Origin) => "At most one Origin is expected.".to_owned(),
            Self::Ambiguous(Ambiguity::Assertion) => "At most one Device-Assertion is expected.".to_owned(),
            Self::Ambiguous(Ambiguity::Cookie) => {
                "At most one session cookie is expected, as it was set here. It is cleared with this answer.".to_owned()
            }
            Self::Ambiguous(Ambiguity::Method) => "A method of upper-case letters is expected.".to_owned(),
            Self::Unsettled => {
                "Users, devices or rules changed again and again while this request was judged. Nothing was passed on."
                    .to_owned()
            }
            Self::Misdirected => {
                "No application of this gateway answers to this name on this connection (TLS server name and Host have \
                 to agree)."
                    .to_owned()
            }
            Self::MethodRefused => "TRACE is answered by no application here.".to_owned(),
            Self::CrossSite => "Requests that change something are taken from the application's own pages only.".to_owned(),
            Self::BodyTooLarge => "The body is larger than this application takes.".to_owned(),
            Self::NotSignedIn => {
                "Sign in with a browser, or come with the certificate or an assertion of an enrolled device.".to_owned()
            }
            Self::SessionEnded(end) => detail_of_end(&ENGLISH, *end).to_owned(),
            Self::SessionOver => "The session is too old, or was not used for too long. Sign in again.".to_owned(),
            Self::ProofTooOld(denied) => messages(denied),
            Self::DeviceDeactivated => {
                "An administrator deactivated this device. Nothing it presents counts until it is activated and enrolled \
                 again; ask your administrator."
                    .to_owned()
            }
            Self::DeviceSuspended => {
                "An administrator suspended this device. It works again as soon as the suspension is lifted.".to_owned()
            }
            Self::CertificateRevoked => "Enrol this device again to get a new certificate.".to_owned(),
            Self::CertificateUnknown => "The certificate is genuine, but no enrolled device has it. Enrol this device.".to_owned(),
            Self::CertificateExpired => "Renew the certificate, or enrol this device again.".to_owned(),
            Self::CredentialsDisagree => {
                "The certificate and the assertion are of different accounts. Show one of them, or two of one account.".to_owned()
            }
            Self::AssertionRefused => {
                "Expected an assertion by an enrolled key for this method and URL, with a nonce that was not used before. The \
                 answer carries a fresh one."
                    .to_owned()
            }
            Self::DeviceDeleted => "An administrator deleted this device. Remove the account and add it again.".to_owned(),
            Self::EnrollmentEnded => "Enrol this device again.".to_owned(),
            Self::UserInactive => "An administrator suspended or deactivated this account.".to_owned(),
            Self::Policy(denied) => messages(denied),
            Self::TokenRefused => "Send a valid token in Authorization: SSWS TOKEN (or Bearer TOKEN).".to_owned(),
        }
    }
}

fn messages(denied: &Denied) -> String {
    let messages: Vec<&str> = denied.reasons.iter().map(|reason| &*reason.message).collect();
    messages.join(" ")
}

const fn code_of_end(end: SessionEnd) -> &'static str {
    match end {
        SessionEnd::DeviceDeactivated => "device-deactivated",
        SessionEnd::DeviceSuspended => "device-suspended",
        SessionEnd::DeviceDeleted => "device-deleted",
        SessionEnd::AccountRemoved => "enrollment-ended",
        SessionEnd::UserInactive => "user-inactive",
        SessionEnd::SignedOut
        | SessionEnd::SignedOutEverywhere
        | SessionEnd::Replaced
        | SessionEnd::Admin
        | SessionEnd::FactorChanged
        | SessionEnd::Expired
        | SessionEnd::TooMany => "session-ended",
    }
}

/// A few words for a heading.
pub(crate) fn title_of_end(texts: &'static Texts, end: SessionEnd) -> &'static str {
    let texts = &texts.ends;
    match end {
        SessionEnd::DeviceDeactivated => texts.title_shut_out,
        SessionEnd::DeviceSuspended => texts.title_suspended,
        SessionEnd::DeviceDeleted => texts.title_unknown,
        SessionEnd::AccountRemoved => texts.title_removed,
        SessionEnd::UserInactive => texts.title_inactive,
        SessionEnd::SignedOut | SessionEnd::SignedOutEverywhere => texts.title_signed_out,
        SessionEnd::Replaced
        | SessionEnd::Admin
        | SessionEnd::FactorChanged
        | SessionEnd::Expired
        | SessionEnd::TooMany => texts.title_ended,
    }
}

/// What happened, and what helps.
pub(crate) fn detail_of_end(texts: &'static Texts, end: SessionEnd) -> &'static str {
    let texts = &texts.ends;
    match end {
        SessionEnd::DeviceDeactivated => texts.device_deactivated,
        SessionEnd::DeviceSuspended => texts.device_suspended,
        SessionEnd::DeviceDeleted => texts.device_deleted,
        SessionEnd::AccountRemoved => texts.account_removed,
        SessionEnd::UserInactive => texts.user_inactive,
        SessionEnd::SignedOut => texts.signed_out,
        SessionEnd::SignedOutEverywhere => texts.signed_out_everywhere,
        SessionEnd::Replaced => texts.replaced,
        SessionEnd::Admin => texts.admin,
        SessionEnd::FactorChanged => texts.factor_changed,
        SessionEnd::Expired => texts.expired,
        SessionEnd::TooMany => texts.too_many,
    }
}
