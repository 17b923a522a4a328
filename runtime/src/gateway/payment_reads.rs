//! `GET /v1/payments`, `GET /v1/payments/{id}` and `GET /v1/payments/{id}/attempts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::etag::Etag;
use super::page::{List, Page, invalid};
use super::problem::Problem;
use super::query::Params;
use crate::ids::{MerchantId, PaymentId, UserId};
use crate::money::Currency;
use crate::payments::attempt::{self, AttemptJson};
use crate::payments::list::{self, Filter};
use crate::payments::{self, Payment, PaymentJson, Status};

/// Which payments.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Older than this payment.
    #[param(value_type = Option<PaymentId>)]
    starting_after: Option<String>,
    /// Newer than this payment.
    #[param(value_type = Option<PaymentId>)]
    ending_before: Option<String>,
    /// Where they stand.
    status: Option<Status>,
    /// Who pays.
    user_id: Option<UserId>,
    /// ISO 4217.
    currency: Option<Currency>,
    /// Accepted at this time or later.
    #[serde(rename = "created[gte]")]
    created_gte: Option<DateTime<Utc>>,
    /// Accepted before this time.
    #[serde(rename = "created[lt]")]
    created_lt: Option<DateTime<Utc>>,
    /// At least so much; needs `currency`.
    #[serde(rename = "amount[gte]")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,12}([.][0-9]{1,4})?$")]
    amount_gte: Option<String>,
    /// At most so much; needs `currency`.
    #[serde(rename = "amount[lte]")]
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,12}([.][0-9]{1,4})?$")]
    amount_lte: Option<String>,
}

impl ListQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        let amount = |text: &Option<String>, param: &'static str| {
            let Some(text) = text else { return Ok(None) };
            if self.currency.is_none() {
                return Err(invalid("amounts are compared within one currency: give it too", param));
            }
            let digits = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let amount = text.parse::<Decimal>().ok().filter(|_| digits);
            amount.map(Some).ok_or_else(|| invalid("an amount is a decimal such as 10.50", param))
        };
        Ok(Filter {
            status: self.status,
            user_id: self.user_id,
            currency: self.currency,
            created_gte: self.created_gte,
            created_lt: self.created_lt,
            amount_gte: amount(&self.amount_gte, "amount[gte]")?,
            amount_lte: amount(&self.amount_lte, "amount[lte]")?,
        })
    }
}

/// List payments
///
/// Newest first. Filters are taken together.
#[utoipa::path(get, path = "/v1/payments", operation_id = "list_payments", tag = "Payments", params(ListQuery),
    responses((status = 200, description = "A page of payments", body = List<PaymentJson>)))]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    use axum::response::IntoResponse;
    let page = Page::of::<PaymentId>(query.limit, query.starting_after.as_deref(), query.ending_before.as_deref())?;
    let (merchant, filter) = (merchant.id, query.filter()?);
    let (filter, asked) = (&filter, &page);
    let found = gateway.app.reads.answer(|mut at| async move { list::list(&mut *at, merchant, filter, asked).await });
    let found = found.await?;
    let list = page.list(found, |payment| payment.id.to_string());
    Ok(Json(list.each(PaymentJson::of)).into_response())
}

/// Get a payment
#[utoipa::path(get, path = "/v1/payments/{id}", operation_id = "get_payment", tag = "Payments",
    params(("id" = PaymentId, Path, description = "The payment"), ("If-None-Match" = Option<String>, Header, description = "The ETag of what you have")),
    responses(
        (status = 200, description = "The payment", body = PaymentJson, headers(("ETag"))),
        (status = 304, description = "It is as it was", headers(("ETag"))),
    ))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let payment = find(&gateway, &id, merchant.id).await?;
    Ok(Etag::of_payment(&payment).answer(&headers, Json(PaymentJson::of(&payment))))
}

/// The attempts of a payment.
#[derive(Serialize, ToSchema)]
pub(super) struct Attempts {
    /// In order.
    data: Vec<AttemptJson>,
}

/// List a payment's attempts
///
/// What was asked of which provider, why of this one, and what became of it.
#[utoipa::path(get, path = "/v1/payments/{id}/attempts", operation_id = "list_payment_attempts", tag = "Payments",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "Its attempts", body = Attempts)))]
pub(super) async fn attempts(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
    Path(id): Path<String>,
) -> Result<Json<Attempts>, Problem> {
    let payment = find(&gateway, &id, merchant.id).await?;
    Ok(Json(Attempts { data: attempt::of_payment(&gateway.app.pool, payment.id).await? }))
}

/// A payment of this merchant.
///
/// # Errors
/// When it has none with this id, or the database does not answer.
pub(super) async fn find(gateway: &Gateway, id: &str, merchant: MerchantId) -> Result<Payment, Problem> {
    let id: PaymentId =
        id.parse().map_err(|error: crate::ids::IdError| Problem::not_found("payment_not_found", error.to_string()))?;
    let found = payments::store::find(&gateway.app.pool, id, merchant).await?;
    found.ok_or_else(|| Problem::not_found("payment_not_found", "this merchant has no such payment"))
}
