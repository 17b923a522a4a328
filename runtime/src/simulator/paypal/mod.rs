//! PayPal's side of the simulator: tokens, Orders v2, Payments v2 and the verification of webhooks.

pub(super) mod replies;
mod requests;
pub(super) mod signature;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing;
use serde_json::{Value, json};

use super::book::{Book, Dialect};
use super::provider::Provider;
use super::reply::Reply;
use super::serve::{Look, Question, Work, does, looks, respond};

const DIALECT: Dialect = Dialect::Paypal;

pub(super) fn routes() -> Router<Arc<Provider>> {
    let get = |look: Look| looks(DIALECT, look);
    let post = |action, work: Work| does(DIALECT, action, work);
    Router::new()
        .route("/v1/oauth2/token", routing::post(token))
        .route("/v1/notifications/verify-webhook-signature", routing::post(verify))
        .route("/v2/checkout/orders", post("charge", |_, _, body, charging| requests::order(body, charging)))
        .route("/v2/checkout/orders/{id}", get(order))
        .route("/v2/payments/authorizations/{id}", get(authorization))
        .route("/v2/payments/authorizations/{id}/capture", post("capture", requests::capture))
        .route(
            "/v2/payments/authorizations/{id}/void",
            post("void", |book, id, _, charging| requests::void(book, id, charging)),
        )
        .route("/v2/payments/captures/{id}", get(capture))
        .route("/v2/payments/captures/{id}/refund", post("refund", requests::refund))
        .route("/v2/payments/refunds/{id}", get(refund))
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

fn order(book: &Book, Question { id, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id).filter(|charge| charge.id == *id);
    found.map_or_else(replies::missing, |charge| Reply::ok(replies::order(charge)))
}

fn authorization(book: &Book, Question { id, now, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id).filter(|charge| charge.manual && charge.charge == *id);
    found.map_or_else(replies::missing, |charge| Reply::ok(replies::authorization(charge, *now)))
}

fn capture(book: &Book, Question { id, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id).and_then(|charge| {
        let capture = charge.captures.iter().find(|capture| capture.id == *id)?;
        Some(Reply::ok(replies::capture(charge, capture)))
    });
    found.unwrap_or_else(replies::missing)
}

fn refund(book: &Book, Question { id, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id).and_then(|charge| {
        let refund = charge.refunds.iter().find(|refund| refund.id == *id)?;
        Some(Reply::ok(replies::refund(charge, refund)))
    });
    found.unwrap_or_else(replies::missing)
}
