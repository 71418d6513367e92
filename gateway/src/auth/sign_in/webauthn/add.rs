//! How does somebody add a security key or passkey? As every factor is changed: with a proof no weaker than their strongest.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::{AttemptId, AuthenticatorId, Command, CredentialId, NewWebauthn, Refusal};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use webauthn_rs_core::proto::{CreationChallengeResponse, RegisterPublicKeyCredential};

use super::super::device::{no_store, problem, too_old};
use super::super::follow;
use super::super::state::{Goal, State};
use super::super::visitor::Visitor;
use super::ceremonies::Registering;
use crate::api_error::{ApiError, fault};
use crate::auth::manage::{AccountPage, MayManage, manage_authenticator, manage_or_step_up};
use crate::factors::webauthn::NotTaken;
use crate::logs::Chain;
use crate::pages::{self, AddKey, KeySearch};
use crate::request::messages;
use crate::store::SubmitError;
use crate::world::World;

const PAGE: AccountPage = AccountPage::SecurityKey;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/account/webauthn/add", get(show))
        .route("/account/webauthn/options", post(options))
        .route("/account/webauthn/finish", post(finish))
}

async fn show(visitor: Visitor) -> Response {
    let state = State::new(Goal::Account(PAGE), visitor.browser(), visitor.view.now);
    let Some(identified) = visitor.identified() else {
        return follow(&visitor, state).await;
    };
    if let Err(answer) = manage_or_step_up(&visitor, PAGE) {
        return answer;
    }
    let sealed = state.seal(&visitor.world.seal);
    let page = AddKey {
        shell: visitor.shell(),
        user: &identified.user.login,
        back: "/account/factors",
        done: "/account/factors?done=key-added",
        search: KeySearch {
            state: &sealed,
            options_url: "/account/webauthn/options",
            finish_url: "/account/webauthn/finish",
            quiet: false,
        },
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    state: String,
}

#[derive(Serialize)]
struct Asked {
    attempt: AttemptId,
    #[serde(flatten)]
    options: CreationChallengeResponse,
}

async fn options(mut visitor: Visitor, Json(question): Json<Question>) -> Response {
    let may = match may_add(&mut visitor, &question.state) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let user = may.user();
    let known: Vec<_> = visitor.view.directory.webauthn_of(user.id).collect();
    let known = known.iter().map(|(_, key)| key);
    let (options, state) = match visitor.view.setup.webauthn.ask_to_register(user, known) {
        Ok(asked) => asked,
        Err(error) => return fault(&error, "a security key could not be asked").into_response(),
    };
    let question = Registering { state, user: user.id };
    let ceremonies = &visitor.world.under_way.ceremonies;
    let attempt = ceremonies.keep_registration(visitor.browser(), question);
    visitor.answer(no_store(Json(Asked { attempt, options })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    state: String,
    attempt: AttemptId,
    name: String,
    credential: RegisterPublicKeyCredential,
}

/// Takes the answer to this browser's question, once.
async fn finish(mut visitor: Visitor, Json(finish): Json<Finish>) -> Response {
    let may = match may_add(&mut visitor, &finish.state) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let texts = &visitor.shell().texts.webauthn;
    let user = may.user().id;
    let ceremonies = &visitor.world.under_way.ceremonies;
    let Some(question) = ceremonies.take_registration(finish.attempt, visitor.browser(), user) else {
        let (title, text) = (texts.too_late_title, texts.too_late_text);
        return problem(StatusCode::CONFLICT, "not-answered", title, text);
    };
    let credential = CredentialId::from_octets(finish.credential.raw_id.clone());
    if credential.is_ok_and(|credential| visitor.view.directory.webauthn_by_credential(&credential).is_some()) {
        return known_already(&visitor);
    }
    let webauthn = &visitor.view.setup.webauthn;
    let key = match webauthn.register(&finish.credential, &question.state, finish.name.trim().to_owned()) {
        Ok(key) => key,
        Err(NotTaken::NotAttested) => {
            let (title, text) = (texts.not_attested_title, texts.not_attested_text);
            return problem(StatusCode::FORBIDDEN, "not-attested", title, text);
        }
        Err(error) => {
            tracing::info!(request = %visitor.arrived.id, why = %Chain(&error), "a security key was not added");
            let (title, text) = (texts.not_added_title, texts.not_added_text);
            return problem(StatusCode::FORBIDDEN, "not-taken", title, text);
        }
    };
    let new = NewWebauthn {
        id: AuthenticatorId::from_random(rand::random()),
        user,
        key,
    };
    add(&visitor, may, new).await
}

async fn add(visitor: &Visitor, may: MayManage, new: NewWebauthn) -> Response {
    let texts = &visitor.shell().texts.webauthn;
    let actor = match may.actor(visitor).await {
        Ok(actor) => actor,
        Err(error) => return error.into_response(),
    };
    let id = new.id;
    let command = Command::AddWebauthn(Box::new(new));
    match visitor.world.directory.submit(command, actor, Vec::new()).await {
        Ok(_) => visitor.answer(no_store(Json(json!({ "id": id })))),
        Err(SubmitError::Refused(refused)) => match refused.reason {
            Refusal::CredentialKnown => known_already(visitor),
            Refusal::Invalid { .. } => {
                let (title, text) = (texts.bad_name_title, texts.bad_name_text);
                problem(StatusCode::BAD_REQUEST, "bad-name", title, text)
            }
            reason => ApiError::Refused(reason).into_response(),
        },
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn known_already(visitor: &Visitor) -> Response {
    let texts = &visitor.shell().texts.webauthn;
    problem(StatusCode::CONFLICT, "known", texts.known_title, texts.known_text)
}

/// Whether whoever sends a step of this page may add a key now.
#[expect(clippy::result_large_err, reason = "an answer is an answer")]
fn may_add(visitor: &mut Visitor, sealed: &str) -> Result<MayManage, Response> {
    let state = visitor.open(sealed).ok();
    if state.is_none_or(|state| state.goal != Goal::Account(PAGE)) {
        return Err(too_old(visitor));
    }
    let texts = visitor.shell().texts;
    manage_authenticator(visitor, PAGE).map_err(|error| match error {
        ApiError::Policy(denied) => {
            let title = texts.webauthn.not_added_title;
            let text = messages(texts, &denied);
            problem(StatusCode::FORBIDDEN, "authenticator-refused", title, &text)
        }
        error => error.into_response(),
    })
}
