//! How does somebody choose another password? Sessions that rest on the old one end; this one goes on with the new.

use axum::Form;
use axum::response::{IntoResponse, Response};
use directory::{AuthenticatorId, Command, Factor};
use http::{StatusCode, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{done, identified_or_sign_in, sealed, sent_from};
use crate::api_error::ApiError;
use crate::auth::manage::{AccountPage, MayManage, manage_or_refuse, manage_or_step_up};
use crate::auth::sign_in::{Visitor, carry_on};
use crate::factors::password::{BadPassword, Password};
use crate::pages::{self, ChangePassword};
use crate::sign_in::{hash_password, proof_by};

/// Asks for another password, once that may be.
pub(super) async fn show(visitor: Visitor) -> Response {
    if let Err(answer) = identified_or_sign_in(&visitor, AccountPage::Password).await {
        return answer;
    }
    match manage_or_step_up(&visitor, AccountPage::Password) {
        Ok(_) => ask(&visitor, None),
        Err(answer) => answer,
    }
}

fn ask(visitor: &Visitor, error: Option<&str>) -> Response {
    let state = sealed(visitor, AccountPage::Password);
    let user = visitor.identified().map(|identified| &identified.user);
    let has_one = user.is_some_and(|user| visitor.view.directory.password_of(user.id).is_some());
    let page = ChangePassword {
        shell: visitor.shell(),
        state: &state,
        username: user.map(|user| user.login.as_str()).unwrap_or_default(),
        has_one,
        error,
    };
    let status = error.map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    visitor.answer(pages::respond(status, &page))
}

#[derive(Deserialize)]
pub(super) struct Chosen {
    state: String,
    password: Zeroizing<String>,
    again: Zeroizing<String>,
}

/// Takes another password.
pub(super) async fn change(mut visitor: Visitor, Form(form): Form<Chosen>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Password) {
        return answer;
    }
    let may = match manage_or_refuse(&visitor, AccountPage::Password) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let texts = &visitor.shell().texts.change_password;
    if form.password != form.again {
        return ask(&visitor, Some(texts.differ));
    }
    let password = match Password::chosen(form.password) {
        Ok(password) => password,
        Err(BadPassword::TooShort) => return ask(&visitor, Some(texts.too_short)),
        Err(BadPassword::TooLong) => return ask(&visitor, Some(texts.too_long)),
    };
    match set(&visitor, may, password).await {
        Ok(answer) => answer,
        Err(ApiError::Busy) => ask(&visitor, Some(texts.busy)),
        Err(error) => error.into_response(),
    }
}

async fn set(visitor: &Visitor, may: MayManage, password: Password) -> Result<Response, ApiError> {
    let hash = hash_password(&visitor.world, password).await?;
    let user = may.user().clone();
    let actor = may.actor(visitor).await?;
    let command = Command::SetPassword {
        user: user.id,
        id: AuthenticatorId::from_random(rand::random()),
        hash,
    };
    let accepted = visitor.world.directory.submit(command, actor, Vec::new()).await?;
    let known = accepted.snapshot.password_of(user.id);
    let proof = known.map(|known| proof_by(Factor::Password, &known, visitor.world.clock.now()));
    let cookie = match proof {
        Some(proof) => carry_on(visitor, proof).await?,
        None => None,
    };
    let mut answer = done(visitor, &AccountPage::Factors.path(), "changed");
    if let Some(cookie) = cookie {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}
