//! What does the admin host answer? The management API under `/api/v1`, in the shape that admins' scripts know.

mod authenticate;
mod body;
mod call;
mod certificates;
mod devices;
mod factors;
mod groups;
mod logs;
mod management;
mod page;
mod reports;
mod search;
mod secret;
mod sessions;
mod settings;
mod shape;
mod tokens;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::world::World;

pub(crate) use authenticate::{Admin, authenticate};
pub(crate) use secret::Secret;

use crate::api_error::ApiError;

/// The routes of the admin host. A request carries `Extension<Arc<Admin>>`, or is answered alike whatever it asks for.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(devices::routes())
        .merge(reports::routes())
        .merge(users::routes())
        .merge(factors::routes())
        .merge(sessions::routes())
        .merge(groups::routes())
        .merge(certificates::routes())
        .merge(tokens::routes())
        .merge(logs::routes())
        .merge(management::routes())
        .merge(settings::routes())
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|request: Request| async move { ApiError::not_found("path", request.uri().path()) })
        .layer(middleware::from_fn(admitted))
        .with_state(world)
}

/// Lets nobody learn what exists here before the token is known to count.
async fn admitted(request: Request, next: Next) -> Result<Response, ApiError> {
    match request.extensions().get::<Arc<Admin>>() {
        Some(_) => Ok(next.run(request).await),
        None => Err(ApiError::InvalidToken),
    }
}
