//! PayPal's side of the simulator: tokens, Orders v2, Payments v2 and the verification of webhooks.

pub(super) mod replies;
mod requests;
pub(super) mod signature;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::book::Dialect;
use super::provider::Provider;
use super::reply::Reply;
use super::serve::{Write, read, respond, write};

const DIALECT: Dialect = Dialect::Paypal;

pub(super) fn routes() -> Router<Arc<Provider>> {
    Router::new()
        .route("/v1/oauth2/token", post(token))
        .route("/v1/notifications/verify-webhook-signature", post(verify))
        .route("/v2/checkout/orders", post(create))
        .route("/v2/checkout/orders/{id}", get(order))
        .route("/v2/payments/authorizations/{id}", get(authorization))
        .route("/v2/payments/authorizations/{id}/capture", post(capture))
        .route("/v2/payments/authorizations/{id}/void", post(void))
        .route("/v2/payments/captures/{id}", get(show_capture))
        .route("/v2/payments/captures/{id}/refund", post(refund))
        .route("/v2/payments/refunds/{id}", get(show_refund))
}

fn of(headers: &HeaderMap, action: &'static str, path: String, body: Bytes) -> Write {
    let key = headers.get("paypal-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Write { dialect: DIALECT, action, key, path, body }
}

async fn token(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    if !provider.knows_client(&headers) {
        let body = json!({"error": "invalid_client", "error_description": "Client Authentication failed"});
        return respond(&Reply { status: StatusCode::UNAUTHORIZED, body });
    }
    if &body[..] != b"grant_type=client_credentials" {
        let body = json!({"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"});
        return respond(&Reply { status: StatusCode::BAD_REQUEST, body });
    }
    respond(&Reply::ok(json!({
        "scope": "https://uri.paypal.com/services/payments/payment/authcapture",
        "access_token": provider.token(),
        "token_type": "Bearer",
        "app_id": "APP-SIMULATOR",
        "expires_in": 32_400,
        "nonce": "simulator",
    })))
}

async fn verify(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    if !provider.knows(DIALECT, &headers) {
        return respond(&Reply::unauthorized(DIALECT));
    }
    let right =
        serde_json::from_slice::<Value>(&body).is_ok_and(|body| signature::is_right(&body, &provider.own_secret));
    respond(&Reply::ok(json!({"verification_status": if right { "SUCCESS" } else { "FAILURE" }})))
}

async fn create(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = of(&headers, "charge", "/v2/checkout/orders".into(), body);
    write(provider, &headers, request, |_, body, charging| requests::order(body, charging)).await
}

async fn capture(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = of(&headers, "capture", format!("/v2/payments/authorizations/{id}/capture"), body);
    write(provider, &headers, request, move |book, body, charging| requests::capture(book, &id, body, charging)).await
}

async fn void(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = of(&headers, "void", format!("/v2/payments/authorizations/{id}/void"), body);
    write(provider, &headers, request, move |book, _, charging| requests::void(book, &id, charging)).await
}

async fn refund(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = of(&headers, "refund", format!("/v2/payments/captures/{id}/refund"), body);
    write(provider, &headers, request, move |book, body, charging| requests::refund(book, &id, body, charging)).await
}

async fn order(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    read(&provider, &headers, DIALECT, |book, _| {
        let found = book.find(DIALECT, &id).filter(|charge| charge.id == id);
        found.map_or_else(replies::missing, |charge| Reply::ok(replies::order(charge)))
    })
}

async fn authorization(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    read(&provider, &headers, DIALECT, |book, now| {
        let found = book.find(DIALECT, &id).filter(|charge| charge.manual && charge.charge == id);
        found.map_or_else(replies::missing, |charge| Reply::ok(replies::authorization(charge, now)))
    })
}

async fn show_capture(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    read(&provider, &headers, DIALECT, |book, _| {
        let found = book.find(DIALECT, &id).and_then(|charge| {
            let capture = charge.captures.iter().find(|capture| capture.id == id)?;
            Some(Reply::ok(replies::capture(charge, capture)))
        });
        found.unwrap_or_else(replies::missing)
    })
}

async fn show_refund(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    read(&provider, &headers, DIALECT, |book, _| {
        let found = book.find(DIALECT, &id).and_then(|charge| {
            let refund = charge.refunds.iter().find(|refund| refund.id == id)?;
            Some(Reply::ok(replies::refund(charge, refund)))
        });
        found.unwrap_or_else(replies::missing)
    })
}
