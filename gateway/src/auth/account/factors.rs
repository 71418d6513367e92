//! What does somebody sign in with, beside devices? They see it all, and give up what they can do without.

use std::sync::Arc;

use axum::Form;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use directory::{Authenticator, AuthenticatorId, AuthenticatorKind, Command, Refusal};
use http::StatusCode;
use serde::Deserialize;

use super::{Arrival, done, identified_or_sign_in, nothing_there, sealed, sent_from};
use crate::api_error::ApiError;
use crate::auth::manage::{AccountPage, manage_or_refuse, manage_or_step_up};
use crate::auth::sign_in::Visitor;
use crate::pages::{self, ConfirmRemoval, FactorsPage, KnownFactor, Moment, SecurityKeyLine};
use crate::sign_in::actor_of;
use crate::store::SubmitError;

/// What somebody signs in with.
pub(super) async fn show(visitor: Visitor, Query(arrival): Query<Arrival>) -> Response {
    let identified = match identified_or_sign_in(&visitor, AccountPage::Factors).await {
        Ok(identified) => identified,
        Err(answer) => return answer,
    };
    let (directory, user) = (&visitor.view.directory, &identified.user);
    let known = |authenticator: Arc<Authenticator>| KnownFactor {
        id: authenticator.id.to_string(),
        since: Moment(authenticator.updated),
    };
    let authenticators: Vec<_> = directory.authenticators_of_user(user.id).collect();
    let state = sealed(&visitor, AccountPage::Factors);
    let page = FactorsPage {
        shell: visitor.shell(),
        state: &state,
        notice: arrival.notice(&visitor),
        released: user.released(visitor.view.now).map(|release| Moment(release.ends)),
        password: directory.password_of(user.id).map(known),
        totp: directory.totp_of(user.id).map(known),
        keys: authenticators
            .iter()
            .filter_map(|authenticator| key(authenticator))
            .collect(),
        codes: directory.recovery_codes_of(user.id).map(known),
        codes_left: directory.recovery_codes_left(user.id),
        devices: directory.devices_of_user(user.id).count(),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// A security key or passkey.
fn key(authenticator: &Authenticator) -> Option<SecurityKeyLine<'_>> {
    match &authenticator.kind {
        AuthenticatorKind::Password { .. }
        | AuthenticatorKind::Totp { .. }
        | AuthenticatorKind::RecoveryCodes { .. } => None,
        AuthenticatorKind::Webauthn(key) => Some(SecurityKeyLine {
            id: authenticator.id.to_string(),
            name: &key.name,
            since: Moment(authenticator.created),
            last_used: key.last_used.map(Moment),
        }),
    }
}

#[derive(Deserialize)]
pub(super) struct Rename {
    state: String,
    id: AuthenticatorId,
    name: String,
}

/// Calls a security key something else. That proves nothing and takes nothing but a session.
pub(super) async fn rename(mut visitor: Visitor, Form(form): Form<Rename>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Factors) {
        return answer;
    }
    let (Some(identified), Some(known)) = (visitor.identified(), own(&visitor, form.id)) else {
        return nothing_there(&visitor, AccountPage::Factors);
    };
    let command = Command::RenameWebauthn {
        authenticator: known.id,
        name: form.name.trim().to_owned(),
    };
    let actor = actor_of(&identified.user, visitor.arrived.peer);
    let back = AccountPage::Factors.path();
    match visitor.world.directory.submit(command, actor, Vec::new()).await {
        Ok(_) => done(&visitor, &back, "renamed"),
        Err(SubmitError::Refused(_)) => done(&visitor, &back, "bad-name"),
        Err(error) => ApiError::from(error).into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: AuthenticatorId,
}

/// Asks whether a factor is to go, once that may be.
pub(super) async fn ask_to_remove(visitor: Visitor, Query(Which { id }): Query<Which>) -> Response {
    let page = AccountPage::RemoveFactor(id);
    if let Err(answer) = identified_or_sign_in(&visitor, page).await {
        return answer;
    }
    let Some(known) = own(&visitor, id) else {
        return nothing_there(&visitor, AccountPage::Factors);
    };
    if let Err(answer) = manage_or_step_up(&visitor, page) {
        return answer;
    }
    let (state, id) = (sealed(&visitor, page), id.to_string());
    let texts = &visitor.shell().texts.factors;
    let page = ConfirmRemoval {
        shell: visitor.shell(),
        state: &state,
        id: &id,
        what: match &known.kind {
            AuthenticatorKind::Password { .. } => texts.password,
            AuthenticatorKind::Totp { .. } => texts.totp,
            AuthenticatorKind::Webauthn(key) => &key.name,
            AuthenticatorKind::RecoveryCodes { .. } => texts.codes,
        },
        consequence: texts.consequence,
        action: "/account/factors/remove",
        back: "/account/factors",
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Remove {
    state: String,
    id: AuthenticatorId,
}

/// Gives a factor up. Sessions that rest on it end, this one too.
pub(super) async fn remove(mut visitor: Visitor, Form(form): Form<Remove>) -> Response {
    let page = AccountPage::RemoveFactor(form.id);
    if let Err(answer) = sent_from(&mut visitor, &form.state, page) {
        return answer;
    }
    if own(&visitor, form.id).is_none() {
        return nothing_there(&visitor, AccountPage::Factors);
    }
    let may = match manage_or_refuse(&visitor, page) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let actor = match may.actor(&visitor).await {
        Ok(actor) => actor,
        Err(error) => return error.into_response(),
    };
    let command = Command::GiveUpAuthenticator(form.id);
    let back = AccountPage::Factors.path();
    match visitor.world.directory.submit(command, actor, Vec::new()).await {
        Ok(_) => done(&visitor, &back, "removed"),
        Err(SubmitError::Refused(refused)) if refused.reason == Refusal::LastFactor => done(&visitor, &back, "last"),
        Err(SubmitError::Refused(_)) => nothing_there(&visitor, AccountPage::Factors),
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// An authenticator of whoever is signed in.
fn own(visitor: &Visitor, id: AuthenticatorId) -> Option<Arc<Authenticator>> {
    let user = visitor.identified()?.user.id;
    visitor
        .view
        .directory
        .authenticator(id)
        .filter(|known| known.user == user)
}
