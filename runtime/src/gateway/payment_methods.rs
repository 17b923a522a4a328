//! `POST /v1/payment-methods`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::body::Document;
use super::idempotent::{Begun, Write};
use super::problem::Problem;
use crate::ids::{PaymentMethodId, UserId};
use crate::payment_methods::{Kind, NewPaymentMethod, store};
use crate::users;

/// What is shown of a new payment method: never its token.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentMethod)]
struct Created<'a> {
    id: PaymentMethodId,
    user_id: UserId,
    r#type: Kind,
    provider: Option<&'a str>,
    last_four: Option<&'a str>,
    expiry_month: Option<i32>,
    expiry_year: Option<i32>,
    is_default: bool,
}

/// Store a payment method
///
/// A tokenised instrument of one of the merchant's users. The token is the provider's; it is never shown again.
#[utoipa::path(post, path = "/v1/payment-methods", operation_id = "create_payment_method", tag = "Payment methods",
    request_body = NewPaymentMethod, responses((status = 201, description = "The payment method", body = Created)))]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    Document(new): Document<NewPaymentMethod>,
) -> Result<Response, Problem> {
    let merchant = caller.active()?;
    new.check()?;
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
    let created = Created {
        id,
        user_id: new.user_id,
        r#type: new.kind,
        provider: new.provider.as_deref(),
        last_four: new.last_four.as_deref(),
        expiry_month: new.expiry_month,
        expiry_year: new.expiry_year,
        is_default: new.is_default,
    };
    creation.finish(&write, StatusCode::CREATED, format!("/v1/payment-methods/{id}"), &created).await
}

/// The instrument's last month is over.
pub(super) fn expired() -> Problem {
    Problem::unprocessable("payment_method_expired", "the payment method's expiry month is over").param("expiry_month")
}
