//! How does somebody set up an authenticator app? They scan a secret, and show by a code that the app has it.

use axum::Form;
use axum::response::{IntoResponse, Response};
use directory::{AuthenticatorId, Command, Factor, Protected, SecretHash, UserId};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{done, identified_or_sign_in, sealed, sent_from};
use crate::api_error::{ApiError, fault};
use crate::auth::manage::{AccountPage, MayManage, manage_or_refuse, manage_or_step_up};
use crate::auth::sign_in::{Visitor, carry_on};
use crate::factors::totp::{self, Step, TotpSecret};
use crate::pages::{self, AddTotp, QrCode};
use crate::sealed::Purpose;
use crate::sign_in::proof_by;

/// A secret on its way to an app, until a code shows that it arrived.
#[derive(Serialize, Deserialize)]
struct Offered {
    user: UserId,
    browser: SecretHash,
    secret: Protected,
}

/// Shows a new secret, once that may be.
pub(super) async fn show(visitor: Visitor) -> Response {
    if let Err(answer) = identified_or_sign_in(&visitor, AccountPage::Totp).await {
        return answer;
    }
    if let Err(answer) = manage_or_step_up(&visitor, AccountPage::Totp) {
        return answer;
    }
    offer(&visitor, &TotpSecret::from_random(rand::random()), None)
}

fn offer(visitor: &Visitor, secret: &TotpSecret, error: Option<&str>) -> Response {
    match page_of(visitor, secret, error) {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

fn page_of(visitor: &Visitor, secret: &TotpSecret, error: Option<&str>) -> Result<Response, ApiError> {
    let user = &visitor.identified().ok_or(ApiError::NotAuthenticated)?.user;
    let text = secret.to_base32();
    let offered = Offered {
        user: user.id,
        browser: visitor.browser(),
        secret: Protected::new(text.to_string()),
    };
    let offered = visitor.world.seal.seal(Purpose::Totp, &offered);
    let offered = offered.map_err(|error| fault(&error, "a secret could not be sealed"))?;
    let issuer = visitor.view.setup.config.hosts.auth.to_string();
    let address = secret.address(&issuer, &user.login);
    let address = address.map_err(|error| fault(&error, "an otpauth address could not be made"))?;
    let code = QrCode::of(&address).map_err(|error| fault(&error, "a QR code could not be made"))?;
    let state = sealed(visitor, AccountPage::Totp);
    let page = AddTotp {
        shell: visitor.shell(),
        state: &state,
        offered: &offered,
        replaces: visitor.view.directory.totp_of(user.id).is_some(),
        code: &code,
        secret: groups(&text),
        address: &address,
        error,
    };
    let status = error.map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    Ok(visitor.answer(pages::respond(status, &page)))
}

#[derive(Deserialize)]
pub(super) struct Shown {
    state: String,
    offered: Zeroizing<String>,
    code: Zeroizing<String>,
}

/// Takes the app into use whose code this is.
pub(super) async fn add(mut visitor: Visitor, Form(form): Form<Shown>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Totp) {
        return answer;
    }
    let may = match manage_or_refuse(&visitor, AccountPage::Totp) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let Some(secret) = offered(&visitor, &form.offered) else {
        return visitor.expired(&AccountPage::Totp.path());
    };
    let code: Zeroizing<String> = Zeroizing::new(form.code.chars().filter(char::is_ascii_digit).collect());
    let Ok(step) = totp::check(&secret, &code, visitor.view.now, None) else {
        let wrong = visitor.shell().texts.add_totp.wrong;
        return offer(&visitor, &secret, Some(wrong));
    };
    match set(&visitor, may, &secret, step).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

/// What was offered to this user in this browser.
fn offered(visitor: &Visitor, sealed: &str) -> Option<TotpSecret> {
    let offered: Offered = visitor.world.seal.open(Purpose::Totp, sealed).ok()?;
    let user = visitor.identified()?.user.id;
    let is_theirs = offered.user == user && offered.browser == visitor.browser();
    let secret = TotpSecret::from_base32(offered.secret.reveal()).ok();
    secret.filter(|_| is_theirs)
}

/// Keeps the secret, and burns the code that showed it.
async fn set(visitor: &Visitor, may: MayManage, secret: &TotpSecret, step: Step) -> Result<Response, ApiError> {
    let user = may.user().clone();
    let actor = may.actor(visitor).await?;
    let command = Command::SetTotp {
        user: user.id,
        id: AuthenticatorId::from_random(rand::random()),
        secret: Protected::new(secret.to_base32().to_string()),
    };
    let directory = &visitor.world.directory;
    let accepted = directory.submit(command, actor.clone(), Vec::new()).await?;
    let mut answer = done(visitor, &AccountPage::Factors.path(), "added");
    if let Some(known) = accepted.snapshot.totp_of(user.id) {
        let burn = Command::UseTotp {
            authenticator: known.id,
            step: step.0,
        };
        directory.submit(burn, actor, Vec::new()).await?;
        let proof = proof_by(Factor::Totp, &known, visitor.world.clock.now());
        if let Some(cookie) = carry_on(visitor, proof).await? {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(answer)
}

/// As people type it: in groups of four.
fn groups(secret: &str) -> Zeroizing<String> {
    let letters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Zeroizing::new(groups.join(" "))
}
