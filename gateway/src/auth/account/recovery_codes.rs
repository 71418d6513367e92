//! How does somebody get recovery codes? A new set, shown once; those of before count no longer.

use axum::Form;
use axum::response::{IntoResponse, Response};
use directory::{AuthenticatorId, Command, SecretHash};
use http::StatusCode;
use serde::Deserialize;

use super::{identified_or_sign_in, sealed, sent_from};
use crate::api_error::ApiError;
use crate::auth::manage::{AccountPage, MayManage, manage_or_refuse, manage_or_step_up};
use crate::auth::sign_in::Visitor;
use crate::factors::recovery;
use crate::pages::{self, MakeRecoveryCodes, RecoveryCodes};

/// Offers to make a set, once that may be.
pub(super) async fn show(visitor: Visitor) -> Response {
    let identified = match identified_or_sign_in(&visitor, AccountPage::RecoveryCodes).await {
        Ok(identified) => identified,
        Err(answer) => return answer,
    };
    if let Err(answer) = manage_or_step_up(&visitor, AccountPage::RecoveryCodes) {
        return answer;
    }
    let state = sealed(&visitor, AccountPage::RecoveryCodes);
    let page = MakeRecoveryCodes {
        shell: visitor.shell(),
        state: &state,
        left: visitor.view.directory.recovery_codes_left(identified.user.id),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Make {
    state: String,
}

/// Makes a set, and shows it.
pub(super) async fn make(mut visitor: Visitor, Form(form): Form<Make>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::RecoveryCodes) {
        return answer;
    }
    let may = match manage_or_refuse(&visitor, AccountPage::RecoveryCodes) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    match set(&visitor, may).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

async fn set(visitor: &Visitor, may: MayManage) -> Result<Response, ApiError> {
    let user = may.user().id;
    let actor = may.actor(visitor).await?;
    let codes = recovery::new_set(&std::array::from_fn(|_| rand::random()));
    let command = Command::SetRecoveryCodes {
        user,
        id: AuthenticatorId::from_random(rand::random()),
        codes: codes.iter().map(|code| SecretHash::of(code)).collect(),
    };
    visitor.world.directory.submit(command, actor, Vec::new()).await?;
    let page = RecoveryCodes {
        shell: visitor.shell(),
        codes: &codes,
    };
    Ok(visitor.answer(pages::respond(StatusCode::OK, &page)))
}
