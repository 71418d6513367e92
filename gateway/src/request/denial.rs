//! Why does a request not pass? Every answer but the upstream's, with its status, its code and what to say.

use std::borrow::Cow;

use directory::SessionEnd;
use policies::{Cause, Denied};

use super::target::BadTarget;
use crate::pages::Texts;

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
    /// Its source asks more often than it may.
    TooManyRequests,
    /// Whoever asks what is decided is no proxy of the configuration.
    ProxyUntrusted,
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
    /// Where it comes from, by the word of a proxy.
    Source,
    /// Its method: not one of upper-case letters.
    Method,
    /// What a proxy of others says of it.
    Forwarded,
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
            Self::TooManyRequests => "too-many-requests",
            Self::ProxyUntrusted => "proxy-untrusted",
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
            Self::TooManyRequests => 429,
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
            | Self::ProxyUntrusted
            | Self::Policy(_) => 403,
        }
    }

    /// A few words for a heading.
    pub(crate) const fn title(&self, texts: &Texts) -> &'static str {
        let said = &texts.denials;
        match self {
            Self::Ambiguous(_) => said.ambiguous_title,
            Self::Unsettled => said.unsettled_title,
            Self::Misdirected => said.misdirected_title,
            Self::MethodRefused => said.method_refused_title,
            Self::CrossSite => said.cross_site_title,
            Self::BodyTooLarge => said.body_too_large_title,
            Self::NotSignedIn | Self::SessionOver => said.sign_in_title,
            Self::SessionEnded(end) => title_of_end(texts, *end),
            Self::ProofTooOld(_) => said.proof_too_old_title,
            Self::DeviceDeactivated => said.device_deactivated_title,
            Self::DeviceSuspended => said.device_suspended_title,
            Self::CertificateRevoked => said.certificate_revoked_title,
            Self::CertificateUnknown => said.certificate_unknown_title,
            Self::CertificateExpired => said.certificate_expired_title,
            Self::CredentialsDisagree => said.credentials_disagree_title,
            Self::AssertionRefused => said.assertion_refused_title,
            Self::DeviceDeleted => said.device_deleted_title,
            Self::EnrollmentEnded => said.enrollment_ended_title,
            Self::UserInactive => said.user_inactive_title,
            Self::Policy(_) => said.policy_title,
            Self::TooManyRequests => texts.faults.too_many_title,
            Self::ProxyUntrusted => said.proxy_untrusted_title,
            Self::TokenRefused => said.token_refused_title,
        }
    }

    /// One or two sentences: what happened, and what helps.
    pub(crate) fn detail(&self, texts: &Texts) -> Cow<'static, str> {
        let said = &texts.denials;
        let detail = match self {
            Self::Ambiguous(ambiguity) => detail_of_ambiguity(texts, *ambiguity),
            Self::Unsettled => said.unsettled,
            Self::Misdirected => said.misdirected,
            Self::MethodRefused => said.method_refused,
            Self::CrossSite => said.cross_site,
            Self::BodyTooLarge => said.body_too_large,
            Self::NotSignedIn => said.not_signed_in,
            Self::SessionEnded(end) => detail_of_end(texts, *end),
            Self::SessionOver => said.session_over,
            Self::ProofTooOld(denied) | Self::Policy(denied) => return messages(texts, denied).into(),
            Self::DeviceDeactivated => said.device_deactivated,
            Self::DeviceSuspended => said.device_suspended,
            Self::CertificateRevoked => said.certificate_revoked,
            Self::CertificateUnknown => said.certificate_unknown,
            Self::CertificateExpired => said.certificate_expired,
            Self::CredentialsDisagree => said.credentials_disagree,
            Self::AssertionRefused => said.assertion_refused,
            Self::DeviceDeleted => said.device_deleted,
            Self::EnrollmentEnded => said.enrollment_ended,
            Self::UserInactive => said.user_inactive,
            Self::TooManyRequests => texts.faults.too_many,
            Self::ProxyUntrusted => said.proxy_untrusted,
            Self::TokenRefused => said.token_refused,
        };
        detail.into()
    }
}

/// What policies say, in one line.
pub(crate) fn messages(texts: &Texts, denied: &Denied) -> String {
    let messages = denied.reasons.iter().map(|reason| texts.reason(reason));
    messages.collect::<Vec<&str>>().join(" ")
}

const fn detail_of_ambiguity(texts: &Texts, ambiguity: Ambiguity) -> &'static str {
    let said = &texts.denials;
    match ambiguity {
        Ambiguity::Target(bad) => detail_of_target(texts, bad),
        Ambiguity::Host => said.host,
        Ambiguity::Origin => said.origin,
        Ambiguity::Assertion => said.assertion,
        Ambiguity::Cookie => said.cookie,
        Ambiguity::Source => said.source,
        Ambiguity::Method => said.method,
        Ambiguity::Forwarded => said.forwarded,
    }
}

const fn detail_of_target(texts: &Texts, bad: BadTarget) -> &'static str {
    let said = &texts.targets;
    match bad {
        BadTarget::NotOriginForm => said.not_origin_form,
        BadTarget::TooLong => said.too_long,
        BadTarget::Fragment => said.fragment,
        BadTarget::ForbiddenByte => said.forbidden_byte,
        BadTarget::MalformedPercent => said.malformed_percent,
        BadTarget::ForbiddenEncoding => said.forbidden_encoding,
        BadTarget::NeedlessEncoding => said.needless_encoding,
        BadTarget::NotUtf8 => said.not_utf8,
        BadTarget::Parameter => said.parameter,
        BadTarget::EmptySegment => said.empty_segment,
        BadTarget::DotSegment => said.dot_segment,
        BadTarget::Moved => said.moved,
    }
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
pub(crate) const fn title_of_end(texts: &Texts, end: SessionEnd) -> &'static str {
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
pub(crate) const fn detail_of_end(texts: &Texts, end: SessionEnd) -> &'static str {
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
