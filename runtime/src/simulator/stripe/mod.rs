//! Stripe's side of the simulator: PaymentIntents and Refunds.

mod card;
mod intent_request;
pub(super) mod replies;
pub(super) mod requests;

use std::sync::Arc;

use axum::Router;
use serde_json::json;

use super::book::{Book, Dialect};
use super::provider::Provider;
use super::reply::Reply;
use super::serve::{Look, Question, Work, does, looks};

const DIALECT: Dialect = Dialect::Stripe;

pub(super) fn routes() -> Router<Arc<Provider>> {
    let get = |look: Look| looks(DIALECT, look);
    let post = |action, work: Work| does(DIALECT, action, work);
    Router::new()
        .route(
            "/v1/payment_intents",
            post("charge", |_, _, form, charging| requests::charge(form, charging)).merge(get(list)),
        )
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(intent))
        .route("/v1/payment_intents/{id}/capture", post("capture", requests::capture))
        .route("/v1/payment_intents/{id}/cancel", post("void", requests::cancel))
        .route(
            "/v1/refunds",
            post("refund", |book, _, form, charging| requests::refund(book, form, charging)).merge(get(refunds)),
        )
        .route("/v1/refunds/{id}", get(refund))
}

fn intent(book: &Book, Question { id, now, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id);
    found.map_or_else(|| replies::missing(id), |charge| Reply::ok(replies::intent(charge, *now)))
}

fn refund(book: &Book, Question { id, .. }: &Question) -> Reply {
    let found = book.find(DIALECT, id).and_then(|charge| {
        let refund = charge.refunds.iter().find(|refund| refund.id == *id)?;
        Some(Reply::ok(replies::refund(charge, refund)))
    });
    found.unwrap_or_else(|| replies::missing(id))
}

fn refunds(book: &Book, Question { query, .. }: &Question) -> Reply {
    let charge = query.get("payment_intent").and_then(|id| book.find(DIALECT, id));
    let data: Vec<_> = charge
        .map(|charge| charge.refunds.iter().rev().map(|refund| replies::refund(charge, refund)).collect())
        .unwrap_or_default();
    Reply::ok(json!({"object": "list", "url": "/v1/refunds", "has_more": false, "data": data}))
}

/// Searches as the adapter does: by one pair of metadata.
fn search(book: &Book, Question { query, now, .. }: &Question) -> Reply {
    let text = query.get("query").map(String::as_str).unwrap_or_default();
    let pair = text.strip_prefix("metadata['").and_then(|rest| rest.split_once("']:'"));
    let Some((key, value)) = pair.and_then(|(key, value)| Some((key, value.strip_suffix('\'')?))) else {
        return replies::invalid("parameter_invalid", "query", "The simulator searches by one pair of metadata.");
    };
    let found = book.search(DIALECT, key, value);
    let data: Vec<_> = found.map(|charge| replies::intent(charge, *now)).into_iter().collect();
    Reply::ok(json!({"object": "search_result", "url": "/v1/payment_intents/search", "has_more": false, "data": data}))
}

/// The newest hundred: Stripe pages, and nothing here needs the second page.
fn list(book: &Book, Question { now, .. }: &Question) -> Reply {
    let ours = || book.charges().iter().rev().filter(|charge| charge.dialect == DIALECT);
    let data: Vec<_> = ours().take(100).map(|charge| replies::intent(charge, *now)).collect();
    let has_more = ours().nth(100).is_some();
    Reply::ok(json!({"object": "list", "url": "/v1/payment_intents", "has_more": has_more, "data": data}))
}
