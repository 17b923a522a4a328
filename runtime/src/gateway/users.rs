//! `POST /v1/users`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use http::{HeaderMap, StatusCode};

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::idempotent::{Begun, Write};
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
    headers: HeaderMap,
    Document(new): Document<NewUser>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    new.check()?;
    let write = Write::new(merchant.id, &headers, "POST /v1/users", &new)?;
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    match store::create(creation.connection(), merchant.id, &new, Utc::now()).await {
        Ok(user) => creation.finish(&write, StatusCode::CREATED, format!("/v1/users/{}", user.id), &user).await,
        Err(CreateError::EmailTaken) => {
            let detail = "this merchant has a user with this email already";
            Err(Problem::new(StatusCode::CONFLICT, "email_taken", detail).param("email"))
        }
        Err(CreateError::Database(error)) => Err(error.into()),
    }
}
