//! `POST /v1/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use chrono::Utc;
use http::StatusCode;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::problem::Problem;
use crate::users::store::{self, CreateError};
use crate::users::{NewUser, User};

/// Make a user
///
/// One who pays. An email address is unique per merchant.
#[utoipa::path(post, path = "/v1/users", operation_id = "create_user", tag = "Users", request_body = NewUser,
    responses((status = 201, description = "The user", body = User)))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Document(new): Document<NewUser>,
) -> Result<impl IntoResponse, Problem> {
    let merchant = caller.active()?;
    new.check()?;
    match store::create(&gateway.app.pool, merchant.id, &new, Utc::now()).await {
        Ok(user) => Ok((StatusCode::CREATED, Json(user))),
        Err(CreateError::EmailTaken) => {
            let detail = "this merchant has a user with this email already";
            Err(Problem::new(StatusCode::CONFLICT, "email_taken", detail).param("email"))
        }
        Err(CreateError::Database(error)) => Err(error.into()),
    }
}
