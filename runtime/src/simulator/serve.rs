//! The simulator's HTTP side.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::fault::{Fault, FaultOrder, Faults};
use super::intent_request::{self, IntentRequest};
use super::ledger::{Begin, Ledger};
use super::reply::Reply;
use crate::providers::stripe::IDEMPOTENCY_KEY;

/// Everything the simulator holds.
pub(super) struct Provider {
    ledger: Mutex<Ledger>,
    faults: Mutex<Faults>,
    latency: Duration,
    secret_key: Option<SecretString>,
}

impl Provider {
    pub(super) fn new(ledger: Ledger, latency: Duration, secret_key: Option<SecretString>) -> Self {
        Self { ledger: Mutex::new(ledger), faults: Mutex::default(), latency, secret_key }
    }

    /// The ledger stays true even if a request panicked while it held the lock: each change of it is one step.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match (&self.secret_key, given) {
            (_, None) => false,
            (Some(key), Some(given)) => key.expose_secret() == given,
            (None, Some(given)) => given.starts_with("sk_") && given.len() > 3,
        }
    }
}

/// The routes of Stripe, and those below `/simulator` for people and tests.
pub(super) fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/{id}", get(read))
        .route("/simulator/charges", get(charges))
        .route("/simulator/faults", post(order_fault).delete(clear_faults))
        .route("/simulator/healthz", get(|| async { "ok" }))
        .with_state(provider)
}

async fn create(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    if !provider.knows(&headers) {
        return reply(Reply::unauthorized());
    }
    let fault = provider.faults().next();
    if let Some(fault) = fault
        && !fault.charges()
    {
        return misbehave(fault, None).await;
    }
    // On its own task: a caller that hangs up does not stop a provider that has begun.
    let charging = tokio::spawn(charge(provider, headers, body));
    let answer = charging.await.unwrap_or_else(|_| reply(Reply::internal()));
    match fault {
        Some(fault) => misbehave(fault, Some(answer)).await,
        None => answer,
    }
}

async fn charge(provider: Arc<Provider>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get(&IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let form = String::from_utf8_lossy(&body).into_owned();
    if let Some(key) = &key {
        match provider.ledger().begin(key, &form) {
            Begin::Fresh => {}
            Begin::Refused(refusal) => return reply(refusal),
            Begin::Replay(first) => {
                let mut response = reply(first);
                response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
                return response;
            }
        }
    }
    tokio::time::sleep(provider.latency).await;
    // Forms that cannot be carried out are not kept for their key, so a corrected one may follow.
    let done = match intent_request::parse(&body) {
        Ok(request) => carry_out(&provider, request, key.clone(), form).await,
        Err(refusal) => refusal,
    };
    if let Some(key) = &key {
        provider.ledger().end(key);
    }
    reply(done)
}

async fn carry_out(provider: &Arc<Provider>, request: IntentRequest, key: Option<String>, form: String) -> Reply {
    let provider = Arc::clone(provider);
    let created = Utc::now().timestamp();
    let written =
        tokio::task::spawn_blocking(move || provider.ledger().carry_out(request, key.as_deref(), &form, created)).await;
    match written {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            tracing::error!(%error, "the ledger cannot be written, so nothing was charged");
            Reply::internal()
        }
        Err(error) => {
            tracing::error!(%error, "the charge did not end");
            Reply::internal()
        }
    }
}

/// `answer` is what an honest provider would have said.
async fn misbehave(fault: Fault, answer: Option<Response>) -> Response {
    match fault {
        Fault::ErrorBeforeCharging | Fault::ErrorAfterCharging => reply(Reply::internal()),
        Fault::RateLimit => reply(Reply::rate_limited()),
        Fault::TimeoutBeforeCharging | Fault::TimeoutAfterCharging => std::future::pending().await,
        Fault::ResetBeforeCharging | Fault::ResetAfterCharging => broken(b""),
        Fault::TruncateAfterCharging => truncated(answer).await,
        Fault::GarbageAfterCharging => (StatusCode::OK, "<html><body>Welcome</body></html>").into_response(),
    }
}

async fn truncated(answer: Option<Response>) -> Response {
    let body = answer.map(Response::into_body).unwrap_or_default();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    broken(&whole[..whole.len() / 2])
}

/// A body that begins and then fails, upon which the server drops the connection.
fn broken(begin: &[u8]) -> Response {
    let cut = io::Error::from(io::ErrorKind::ConnectionReset);
    let parts: [io::Result<Bytes>; 2] = [Ok(Bytes::copy_from_slice(begin)), Err(cut)];
    Response::new(Body::from_stream(futures::stream::iter(parts)))
}

async fn read(State(provider): State<Arc<Provider>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !provider.knows(&headers) {
        return reply(Reply::unauthorized());
    }
    let found = provider.ledger().intent(&id).map_or_else(|| Reply::missing(&id), Reply::of_intent);
    reply(found)
}

/// The newest hundred: Stripe pages, and nothing here needs the second page.
async fn list(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    if !provider.knows(&headers) {
        return reply(Reply::unauthorized());
    }
    let ledger = provider.ledger();
    let data: Vec<Value> =
        ledger.intents().iter().rev().take(100).map(|intent| Reply::of_intent(intent).body).collect();
    let has_more = ledger.intents().len() > data.len();
    Json(json!({"object": "list", "url": "/v1/payment_intents", "has_more": has_more, "data": data})).into_response()
}

async fn charges(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let ledger = provider.ledger();
    let charges: Vec<Value> = ledger
        .charges()
        .map(|intent| {
            json!({
                "id": intent.latest_charge,
                "payment_intent": intent.id,
                "amount": intent.amount,
                "currency": intent.currency,
                "created": intent.created,
                "idempotency_key": intent.idempotency_key,
                "metadata": intent.metadata,
            })
        })
        .collect();
    Json(json!({"count": charges.len(), "charges": charges}))
}

async fn order_fault(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    match serde_json::from_slice::<FaultOrder>(&body) {
        Ok(order) if provider.faults().order(order) => StatusCode::NO_CONTENT.into_response(),
        Ok(_) => (StatusCode::BAD_REQUEST, "too many faults are waiting").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn clear_faults(State(provider): State<Arc<Provider>>) -> StatusCode {
    provider.faults().clear();
    StatusCode::NO_CONTENT
}

fn reply(reply: Reply) -> Response {
    (reply.status, Json(reply.body)).into_response()
}
