//! What people and tests ask of the simulator itself, below `/simulator`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::book::{Charge, State as Standing};
use super::fault::FaultOrder;
use super::notify::Target;
use super::plan::{Plan, PlanOrder};
use super::provider::Provider;

pub(super) fn routes() -> Router<Arc<Provider>> {
    Router::new()
        .route("/simulator/charges", get(charges))
        .route("/simulator/charges/{id}/expire", post(expire))
        .route("/simulator/ledger", get(ledger))
        .route("/simulator/errors", get(errors))
        .route("/simulator/faults", post(order_fault).delete(clear_faults))
        .route("/simulator/plan", post(order_plan).delete(clear_plan))
        .route("/simulator/webhooks", post(order_webhooks))
        .route("/simulator/healthz", get(|| async { "ok" }))
}

/// Every charge that the provider agreed to, in short.
async fn charges(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let ledger = provider.ledger();
    let charges: Vec<Value> =
        ledger.book().charges().iter().filter(|charge| charge.is_approved()).map(summary).collect();
    Json(json!({"count": charges.len(), "charges": charges}))
}

fn summary(charge: &Charge) -> Value {
    json!({
        "id": charge.charge,
        "payment_intent": charge.id,
        "provider": charge.dialect,
        "state": charge.state,
        "amount": charge.amount,
        "amount_captured": charge.captured(),
        "amount_refunded": charge.refunded(),
        "currency": charge.currency.to_ascii_lowercase(),
        "created": charge.created,
        "idempotency_key": charge.idempotency_key,
        "metadata": charge.metadata,
    })
}

/// Everything that was done, in full: every charge with its captures and refunds, the declined ones too.
async fn ledger(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let ledger = provider.ledger();
    Json(json!({ "charges": ledger.book().charges() }))
}

/// Every idempotency key that answers with an error of the provider, whether or not it did what it was asked for.
async fn errors(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let ledger = provider.ledger();
    let error = |(dialect, key, status)| json!({"provider": dialect, "idempotency_key": key, "status": status});
    let errors: Vec<Value> = ledger.errors().into_iter().map(error).collect();
    Json(json!({ "errors": errors }))
}

/// Lets a held amount end now, as days would.
async fn expire(State(provider): State<Arc<Provider>>, Path(id): Path<String>) -> Response {
    let mut ledger = provider.ledger();
    let held = ledger.book().charges().iter().find(|charge| charge.id == id || charge.charge == id).cloned();
    match held {
        Some(mut charge) if charge.state == Standing::Held => {
            charge.release();
            match ledger.amend(charge) {
                Ok(()) => StatusCode::NO_CONTENT.into_response(),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
            }
        }
        Some(_) => (StatusCode::CONFLICT, "nothing is held").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn order_fault(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    ordered(&body, |order: FaultOrder| match provider.faults().order(order) {
        true => Ok(()),
        false => Err("too many faults are waiting".into()),
    })
}

async fn clear_faults(State(provider): State<Arc<Provider>>) -> StatusCode {
    provider.faults().clear();
    StatusCode::NO_CONTENT
}

async fn order_plan(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    ordered(&body, |order: PlanOrder| {
        Plan::check(&order)?;
        *provider.plan() = Plan::new(order);
        Ok(())
    })
}

async fn clear_plan(State(provider): State<Arc<Provider>>) -> StatusCode {
    *provider.plan() = Plan::default();
    StatusCode::NO_CONTENT
}

async fn order_webhooks(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    ordered(&body, |target: Target| {
        provider.notifier.send_to(target);
        Ok(())
    })
}

fn ordered<T: DeserializeOwned>(body: &[u8], carry_out: impl FnOnce(T) -> Result<(), String>) -> Response {
    match serde_json::from_slice(body).map_err(|error| error.to_string()).and_then(carry_out) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}
