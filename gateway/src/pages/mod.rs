//! What does a person see? Pages that are made here, as types: what a handler cannot fill in, no page can show.
//!
//! Every page knows its own content security policy; [`respond`] sends both. Pages show what they are given and decide
//! nothing. What they say is in [`texts`], what they look like and do in `templates/assets`.

mod account_devices;
mod account_factors;
mod account_sessions;
mod assets;
mod brand;
mod device_test;
mod email;
mod enroll;
mod home;
mod language;
mod message;
mod moment;
mod policy;
mod push;
mod recovery;
mod renew;
mod section;
mod sign_in;
mod step_up;
pub(crate) mod texts;
mod webauthn;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, StatusCode, header};

pub(crate) use account_devices::{AccountDevice, ConfirmRemoval, DevicesPage, Verified};
pub(crate) use account_factors::{AddTotp, ChangePassword, FactorsPage, KnownFactor, QrCode, SecurityKeyLine};
pub(crate) use account_sessions::{ActivityLine, ActivityPage, SessionLine, SessionsPage};
pub(crate) use assets::{Asset, asset};
pub(crate) use brand::Brand;
#[cfg(test)]
pub(crate) use brand::UNBRANDED;
pub(crate) use device_test::DeviceTest;
pub(crate) use email::{EmailCode, EmailElsewhere, EmailLink, EmailStart};
pub(crate) use enroll::{EnrollDevice, EnrollSearch, EnrollStart};
pub(crate) use home::{DeviceLine, Home, SignedOut};
pub(crate) use language::Language;
pub(crate) use message::{FORMS_KEEP_THEIR_ORIGIN, Link, Message, PageReason};
pub(crate) use moment::Moment;
pub(crate) use policy::Policy;
pub(crate) use push::{PushPage, PushWait};
pub(crate) use recovery::{MakeRecoveryCodes, RecoveryCodes, RecoveryPage};
pub(crate) use renew::RenewFrame;
use section::Section;
pub(crate) use sign_in::{Application, CodePage, DevicePage, DeviceSearch, Identify, Methods, Offer, PasswordPage};
pub(crate) use step_up::{Expired, NothingHelps, StepUp};
use texts::CommonTexts;
pub(crate) use texts::{ENGLISH, GERMAN, Texts};
pub(crate) use webauthn::{AddKey, KeyPage, KeySearch};

/// A page of the auth host.
pub(crate) trait Page: Template {
    /// What every page has.
    fn shell(&self) -> &Shell<'_>;

    /// What a browser may do with it.
    fn policy(&self) -> Policy<'_>;
}

/// What every page has.
#[derive(Clone, Copy)]
pub(crate) struct Shell<'a> {
    /// What pages say.
    pub(crate) texts: &'static Texts,
    /// On whose host it is shown.
    pub(crate) place: Place,
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// Whose the pages are.
    pub(crate) brand: &'a Brand,
    /// Whether another language can be chosen: only where asking for the page again is safe.
    pub(crate) offers_languages: bool,
}

/// On whose host a page is shown: what it may load there, and where a language is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The auth host.
    Auth,
    /// An application's.
    Application,
    /// One on which no files are, nor a choice.
    Elsewhere,
}

impl Place {
    /// Where what is ours begins on that host.
    const fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some(""),
            Self::Application => Some("/.latchkey"),
            Self::Elsewhere => None,
        }
    }
}

impl<'a> Shell<'a> {
    /// In English on the auth host, without a choice.
    pub(crate) fn new(request_id: &'a str, brand: &'a Brand) -> Self {
        Self {
            texts: &ENGLISH,
            place: Place::Auth,
            request_id,
            brand,
            offers_languages: false,
        }
    }

    /// The languages that can be chosen, but for the page's own.
    fn other_languages(&self) -> impl Iterator<Item = &'static CommonTexts> + use<> {
        let (offers, own) = (self.offers(), self.texts.common.language);
        let all = Language::ALL.into_iter().map(|language| &language.texts().common);
        all.filter(move |common| offers && common.language != own)
    }

    /// Whether it has a form in which another language is chosen.
    fn offers(&self) -> bool {
        self.offers_languages && self.place.prefix().is_some()
    }

    /// Where that form leads.
    fn choice(&self) -> String {
        format!("{}/language", self.place.prefix().unwrap_or_default())
    }

    /// The path of a file that the page loads.
    fn asset(&self, name: &str) -> String {
        self.path(assets::hashed(name)).unwrap_or_default()
    }

    /// The path of the logo, where it can be loaded.
    fn logo(&self) -> Option<String> {
        self.path(self.brand.logo()?)
    }

    /// The path of the style sheet that has the colours.
    fn style(&self) -> Option<String> {
        self.path(self.brand.style()?)
    }

    fn path(&self, file: &str) -> Option<String> {
        Some(format!("{}/assets/{file}", self.place.prefix()?))
    }

    /// What an answer says of the language it is in, and of what that depends on.
    pub(crate) fn language_fields(&self) -> [(HeaderName, &'static str); 2] {
        [
            (header::CONTENT_LANGUAGE, self.texts.common.language),
            (header::VARY, LANGUAGE_VARIES_BY),
        ]
    }
}

/// What the language of a page depends on: the browser's preference, and a choice that a cookie holds.
const LANGUAGE_VARIES_BY: &str = "Accept-Language, Cookie";

/// Says why somebody sees a page that they did not ask for, or what was not right.
#[derive(Clone, Copy)]
pub(crate) struct Notice<'a> {
    /// How much it matters.
    pub(crate) severity: Severity,
    /// What happened, in a few words.
    pub(crate) title: &'a str,
    /// What to do; empty where the title says it all.
    pub(crate) text: &'a str,
}

/// How much a notice matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Good to know.
    Info,
    /// Something worked.
    Success,
    /// Something is to be done.
    Warning,
    /// Something did not work.
    Error,
}

impl Severity {
    /// The class that the style sheet knows.
    fn class(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Whether it is said at once to those who hear pages.
    fn role(self) -> &'static str {
        match self {
            Self::Info | Self::Success => "status",
            Self::Warning | Self::Error => "alert",
        }
    }
}

/// Sends a page with its policy.
pub(crate) fn respond(status: StatusCode, page: &impl Page) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_SECURITY_POLICY, page.policy().to_string()),
                (header::CACHE_CONTROL, "no-store".to_owned()),
                (header::REFERRER_POLICY, FORMS_KEEP_THEIR_ORIGIN.to_owned()),
            ];
            (status, page.shell().language_fields(), headers, Html(html)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What a script of a page is told, for an attribute of the page.
fn script_data(data: &impl serde::Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
