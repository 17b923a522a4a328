//! `/v1/payment-methods`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use sqlx::postgres::PgConnection;

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
use crate::payment_methods::{NewPaymentMethod, PaymentMethodChange, PaymentMethodJson, store};
use crate::processor::test_mode;
use crate::users;

/// Store a payment method
///
/// A tokenised instrument of one of the merchant's users. The token is the provider's; it is never shown again.
#[utoipa::path(post, path = "/v1/payment-methods", operation_id = "create_payment_method", tag = "Payment methods",
    request_body = NewPaymentMethod, responses((status = 201, description = "The payment method", body = PaymentMethodJson)))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    Document(new): Document<NewPaymentMethod>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    new.check()?;
    if merchant.is_test && !new.token.starts_with(test_mode::TOKEN_PREFIX) {
        return Err((
            "token",
            "must be that of a test, such as purser_test_approved: this merchant's payments are tests",
        )
            .into());
    }
    let write = Write::new(merchant.id, &headers, "POST /v1/payment-methods", &new)?;
    let mut creation = match gateway.begin(&write).await? {
        Begun::Fresh(creation) => creation,
        Begun::Answered(response) => return Ok(response),
    };
    let now = Utc::now();
    if new.expiry()?.is_some_and(|expiry| expiry.is_over(now.date_naive())) {
        return Err(expired());
    }
    if !users::store::belongs_to(creation.connection(), new.user_id, merchant.id).await? {
        return Err(Problem::unprocessable("user_not_found", "this merchant has no such user").param("user_id"));
    }
    let id = store::create(creation.connection(), &new, now).await?;
    let created = store::show(creation.connection(), id, merchant.id).await?.ok_or_else(Problem::internal)?;
    creation.finish(&write, StatusCode::CREATED, format!("/v1/payment-methods/{id}"), &created).await
}

/// The instrument's last month is over.
pub(super) fn expired() -> Problem {
    Problem::unprocessable("payment_method_expired", "the payment method's expiry month is over").param("expiry_month")
}

/// Which payment methods.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Whose.
    user_id: UserId,
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this payment method.
    #[param(value_type = Option<PaymentMethodId>)]
    starting_after: Option<String>,
    /// Newer than this payment method.
    #[param(value_type = Option<PaymentMethodId>)]
    ending_before: Option<String>,
}

/// List a user's payment methods
///
/// Those that can be paid with, newest first.
#[utoipa::path(get, path = "/v1/payment-methods", operation_id = "list_payment_methods", tag = "Payment methods", params(ListQuery),
    responses((status = 200, description = "A page of payment methods", body = List<PaymentMethodJson>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<List<PaymentMethodJson>>, Problem> {
    let (after, before) = (query.starting_after.as_deref(), query.ending_before.as_deref());
    let page = Page::of::<PaymentMethodId>(query.limit, after, before)?;
    let found = store::list(&gateway.app.pool, query.user_id, merchant.id, &page).await?;
    Ok(Json(page.list(found, |method| method.id.to_string())))
}

/// Get a payment method
#[utoipa::path(get, path = "/v1/payment-methods/{id}", operation_id = "get_payment_method", tag = "Payment methods",
    params(("id" = PaymentMethodId, Path, description = "The payment method"), ("If-None-Match" = Option<String>, Header, description = "The ETag of what you have")),
    responses(
        (status = 200, description = "The payment method", body = PaymentMethodJson, headers(("ETag"))),
        (status = 304, description = "It is as before", headers(("ETag"))),
    ))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    etag::read::<PaymentMethodJson>(&gateway, merchant.id, &id, &headers).await
}

/// Change a payment method
///
/// What is absent stays as it is, and what is null becomes empty. With `If-Match`, only if nobody changed it meanwhile.
#[utoipa::path(patch, path = "/v1/payment-methods/{id}", operation_id = "update_payment_method", tag = "Payment methods",
    request_body = PaymentMethodChange,
    params(("id" = PaymentMethodId, Path, description = "The payment method"), ("If-Match" = Option<String>, Header, description = "The ETag of what you read")),
    responses(
        (status = 200, description = "The payment method as it is now", body = PaymentMethodJson, headers(("ETag"))),
        (status = 412, description = "It was changed meanwhile"),
    ))]
pub(super) async fn update(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(change): Document<PaymentMethodChange>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    change.check()?;
    etag::patch::<PaymentMethodJson>(&gateway, merchant.id, &id, &headers, &change).await
}

/// Detach a payment method
///
/// It cannot be paid with any more. What was paid with it stays as it is, and can still be captured and refunded.
#[utoipa::path(delete, path = "/v1/payment-methods/{id}", operation_id = "detach_payment_method", tag = "Payment methods",
    params(("id" = PaymentMethodId, Path, description = "The payment method")),
    responses((status = 204, description = "It is detached")))]
pub(super) async fn detach(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let merchant = caller.active()?;
    let id = etag::parse::<PaymentMethodJson>(&id)?;
    if !store::detach(&gateway.app.pool, id, merchant.id, Utc::now()).await? {
        return Err(etag::missing::<PaymentMethodJson>());
    }
    PaymentMethodJson::announce(&gateway, id).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Kept for PaymentMethodJson {
    type Id = PaymentMethodId;
    type Change = PaymentMethodChange;
    const MISSING: (&'static str, &'static str) =
        ("payment_method_not_found", "this merchant has no such payment method");

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    async fn find(pool: &Pool, id: PaymentMethodId, merchant: MerchantId) -> Result<Option<Self>, sqlx::Error> {
        store::show(pool, id, merchant).await
    }

    async fn hold(
        connection: &mut PgConnection,
        id: PaymentMethodId,
        merchant: MerchantId,
    ) -> Result<Option<Self>, Problem> {
        let Some(Self { user_id, .. }) = store::show(&mut *connection, id, merchant).await? else { return Ok(None) };
        store::hold_all_of(connection, user_id).await?;
        let held = store::show(connection, id, merchant).await?;
        if held.as_ref().is_some_and(|method| method.detached_at.is_some()) {
            let detail = "the payment method is detached, and stays as it is";
            return Err(Problem::new(StatusCode::CONFLICT, "payment_method_detached", detail));
        }
        Ok(held)
    }

    async fn change(self, connection: &mut PgConnection, change: &PaymentMethodChange) -> Result<Self, Problem> {
        Ok(store::update(connection, self.id, self.user_id, change).await?)
    }

    async fn announce(gateway: &Gateway, id: PaymentMethodId) {
        gateway.app.copies.forget(Change::PaymentMethod(id)).await;
    }
}
