//! `/v1/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::etag::{self, Kept};
use super::idempotent::{Begun, Write};
use super::page::{List, Page};
use super::problem::Problem;
use super::query::Params;
use crate::cache::Change;
use crate::database::Pool;
use crate::ids::{MerchantId, PaymentMethodId, UserId};
use crate::payment_methods;
use crate::users::store::{self, CreateError, Filter};
use crate::users::{NewUser, RiskLevel, Status, User, UserChange, figures};

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
        Err(error) => Err(refused(error)),
    }
}

/// Which users.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this user.
    #[param(value_type = Option<UserId>)]
    starting_after: Option<String>,
    /// Newer than this user.
    #[param(value_type = Option<UserId>)]
    ending_before: Option<String>,
    /// With this address.
    email: Option<String>,
    /// Who may, or may not, pay.
    status: Option<Status>,
    /// How much trouble they have been.
    risk_level: Option<RiskLevel>,
}

/// List users
///
/// Newest first.
#[utoipa::path(get, path = "/v1/users", operation_id = "list_users", tag = "Users", params(ListQuery),
    responses((status = 200, description = "A page of users", body = List<User>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<List<User>>, Problem> {
    let page = Page::of::<UserId>(query.limit, query.starting_after.as_deref(), query.ending_before.as_deref())?;
    let filter = Filter { email: query.email, status: query.status, risk_level: query.risk_level };
    let (merchant, filter, asked) = (merchant.id, &filter, &page);
    let users = gateway.app.reads.answer(|mut at| async move { store::list(&mut *at, merchant, filter, asked).await });
    let users = users.await?;
    Ok(Json(page.list(users, |user| user.id.to_string())))
}

/// Get a user
#[utoipa::path(get, path = "/v1/users/{id}", operation_id = "get_user", tag = "Users",
    params(("id" = UserId, Path, description = "The user"), ("If-None-Match" = Option<String>, Header, description = "The ETag of what you have")),
    responses(
        (status = 200, description = "The user", body = User, headers(("ETag"))),
        (status = 304, description = "The user is as before", headers(("ETag"))),
    ))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    etag::read::<User>(&gateway, merchant.id, &id, &headers).await
}

/// Change a user
///
/// What is absent stays as it is, and what is null becomes empty. With `If-Match`, only if nobody changed the user meanwhile.
#[utoipa::path(patch, path = "/v1/users/{id}", operation_id = "update_user", tag = "Users", request_body = UserChange,
    params(("id" = UserId, Path, description = "The user"), ("If-Match" = Option<String>, Header, description = "The ETag of what you read")),
    responses(
        (status = 200, description = "The user as it is now", body = User, headers(("ETag"))),
        (status = 412, description = "The user was changed meanwhile"),
    ))]
pub(super) async fn update(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(change): Document<UserChange>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    change.check()?;
    etag::patch::<User>(&gateway, merchant.id, &id, &headers, &change).await
}

/// A user's payments in numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct UserStatistics {
    /// How many payments there were.
    total_transaction_count: i64,
    /// How many of those at their end took money, in percent; null while none is at its end.
    #[schema(example = "98.50")]
    success_rate: Option<String>,
    /// What the user pays with unless told otherwise.
    default_payment_method_id: Option<PaymentMethodId>,
}

/// Count a user's payments
#[utoipa::path(get, path = "/v1/users/{id}/statistics", operation_id = "get_user_statistics", tag = "Users",
    params(("id" = UserId, Path, description = "The user")),
    responses((status = 200, description = "The user's payments in numbers", body = UserStatistics)))]
pub(super) async fn statistics(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
) -> Result<Json<UserStatistics>, Problem> {
    let pool = &gateway.app.pool;
    let user = store::find(pool, etag::parse::<User>(&id)?, merchant.id).await?.ok_or_else(etag::missing::<User>)?;
    let counting = gateway.app.reads.answer(|mut at| async move { figures::of(&mut *at, user.id).await });
    let figures = counting.await?;
    let default = payment_methods::store::get_default_payment_method(pool, user.id).await?;
    Ok(Json(UserStatistics {
        total_transaction_count: figures.get_total_transaction_count(),
        success_rate: figures.get_success_rate().map(|rate| rate.to_string()),
        default_payment_method_id: default.map(|method| method.id),
    }))
}

impl Kept for User {
    type Id = UserId;
    type Change = UserChange;
    const MISSING: (&'static str, &'static str) = ("user_not_found", "this merchant has no such user");

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    async fn find(pool: &Pool, id: UserId, merchant: MerchantId) -> Result<Option<Self>, sqlx::Error> {
        store::find(pool, id, merchant).await
    }

    async fn hold(connection: &mut PgConnection, id: UserId, merchant: MerchantId) -> Result<Option<Self>, Problem> {
        Ok(store::hold(connection, id, merchant).await?)
    }

    async fn change(self, connection: &mut PgConnection, change: &UserChange) -> Result<Self, Problem> {
        store::update(connection, self.id, change).await.map_err(refused)
    }

    async fn announce(gateway: &Gateway, id: UserId) {
        gateway.app.copies.forget(Change::User(id)).await;
    }
}

fn refused(error: CreateError) -> Problem {
    match error {
        CreateError::EmailTaken => {
            let detail = "this merchant has a user with this email already";
            Problem::new(StatusCode::CONFLICT, "email_taken", detail).param("email")
        }
        CreateError::Database(error) => error.into(),
    }
}
