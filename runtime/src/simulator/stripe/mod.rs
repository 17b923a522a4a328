//! Stripe's side of the simulator: PaymentIntents and Refunds.

mod card;
mod intent_request;
pub(super) mod replies;
pub(super) mod requests;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;

use super::book::Dialect;
use super::provider::Provider;
use super::reply::Reply;
use super::serve::{Write, read, write};
use crate::providers::stripe::IDEMPOTENCY_KEY;

const DIALECT: Dialect = Dialect::Stripe;

pub(super) fn routes() -> Router<Arc<Provider>> {
    Router::new()
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(retrieve))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund).get(refunds))
        .route("/v1/refunds/{id}", get(retrieve_refund))
}

fn key(headers: &HeaderMap) -> Option<String> {
    headers.get(&IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn of(headers: &HeaderMap, action: &'static str, path: String, body: Bytes) -> Write {
    Write { dialect: DIALECT, action, key: key(headers), path, body }
}

async fn create(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = of(&headers, "charge", "/v1/payment_intents".into(), body);
    write(provider, &headers, request, |_, body, charging| requests::charge(body, charging)).await
}

async fn capture(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = of(&headers, "capture", format!("/v1/payment_intents/{id}/capture"), body);
    write(provider, &headers, request, move |book, body, charging| requests::capture(book, &id, body, charging)).await
}

async fn cancel(
    State(provider): State<Arc<Provider>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = of(&headers, "void", format!("/v1/payment_intents/{id}/cancel"), body);
    write(provider, &headers, request, move |book, body, charging| requests::cancel(book, &id, body, charging)).await
}

async fn refund(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = of(&headers, "refund", "/v1/refunds".into(), body);
    write(provider, &headers, request, requests::refund).await
}

async fn retrieve(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    read(&provider, &headers, DIALECT, |book, now| {
        book.find(DIALECT, &id).map_or_else(|| replies::missing(&id), |charge| Reply::ok(replies::intent(charge, now)))
    })
}

async fn retrieve_refund(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    read(&provider, &headers, DIALECT, |book, _| {
        let found = book.find(DIALECT, &id).and_then(|charge| {
            let refund = charge.refunds.iter().find(|refund| refund.id == id)?;
            Some(Reply::ok(replies::refund(charge, refund)))
        });
        found.unwrap_or_else(|| replies::missing(&id))
    })
}

async fn refunds(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    read(&provider, &headers, DIALECT, |book, _| {
        let charge = query.get("payment_intent").and_then(|id| book.find(DIALECT, id));
        let data: Vec<_> = charge
            .map(|charge| charge.refunds.iter().rev().map(|refund| replies::refund(charge, refund)).collect())
            .unwrap_or_default();
        Reply::ok(json!({"object": "list", "url": "/v1/refunds", "has_more": false, "data": data}))
    })
}

/// Searches as the adapter does: by one pair of metadata.
async fn search(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    read(&provider, &headers, DIALECT, |book, now| {
        let text = query.get("query").map(String::as_str).unwrap_or_default();
        let pair = text.strip_prefix("metadata['").and_then(|rest| rest.split_once("']:'"));
        let Some((key, value)) = pair.and_then(|(key, value)| Some((key, value.strip_suffix('\'')?))) else {
            return replies::invalid("parameter_invalid", "query", "The simulator searches by one pair of metadata.");
        };
        let data: Vec<_> =
            book.search(DIALECT, key, value).map(|charge| replies::intent(charge, now)).into_iter().collect();
        Reply::ok(
            json!({"object": "search_result", "url": "/v1/payment_intents/search", "has_more": false, "data": data}),
        )
    })
}

/// The newest hundred: Stripe pages, and nothing here needs the second page.
async fn list(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    read(&provider, &headers, DIALECT, |book, now| {
        let ours = || book.charges().iter().rev().filter(|charge| charge.dialect == DIALECT);
        let data: Vec<_> = ours().take(100).map(|charge| replies::intent(charge, now)).collect();
        let has_more = ours().nth(100).is_some();
        Reply::ok(json!({"object": "list", "url": "/v1/payment_intents", "has_more": has_more, "data": data}))
    })
}
