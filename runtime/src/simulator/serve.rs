//! How a request is answered, whatever its wire format: credential, fault, key, latency, work.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::Value;

use super::book::{Book, Charge, Dialect};
use super::fault::{Fault, Trouble};
use super::ledger::{Begin, Done, Key, Ledger, fingerprint};
use super::provider::Provider;
use super::reply::Reply;
use super::stripe::requests::Charging;
use super::{admin, notify, paypal, stripe};

/// A request that charges, captures, refunds or voids.
pub(super) struct Write {
    pub(super) dialect: Dialect,
    pub(super) action: &'static str,
    pub(super) key: Option<String>,
    pub(super) path: String,
    pub(super) body: Bytes,
}

/// The routes of both formats, and those below `/simulator` for people and tests.
pub(super) fn router(provider: Arc<Provider>) -> Router {
    Router::new().merge(stripe::routes()).merge(paypal::routes()).merge(admin::routes()).with_state(provider)
}

/// Answers a question, which changes nothing.
pub(super) fn read(
    provider: &Provider,
    headers: &HeaderMap,
    dialect: Dialect,
    answer: impl FnOnce(&Book, i64) -> Reply,
) -> Response {
    if !provider.knows(dialect, headers) {
        return respond(&Reply::unauthorized(dialect));
    }
    let found = answer(provider.ledger().book(), Utc::now().timestamp());
    respond(&found)
}

/// Carries a request out, once per key, unless something is to go wrong with it.
pub(super) async fn write<W>(provider: Arc<Provider>, headers: &HeaderMap, request: Write, work: W) -> Response
where
    W: FnOnce(&Book, &[u8], &Charging) -> Result<Done, Reply> + Send + 'static,
{
    let dialect = request.dialect;
    if !provider.knows(dialect, headers) {
        return respond(&Reply::unauthorized(dialect));
    }
    let ordered = provider.faults().next();
    let trouble = ordered.or_else(|| provider.plan().trouble(request.action));
    if let Some(trouble) = trouble
        && !trouble.fault.charges()
        && !trouble.fault.is_stored()
    {
        return misbehave(trouble, dialect, None).await;
    }
    let stored_fault = trouble.map(|trouble| trouble.fault).filter(|fault| fault.is_stored());
    // On its own task: a caller that hangs up does not stop a provider that has begun.
    let charging = tokio::spawn(carry_out(provider, request, work, stored_fault));
    let answer = charging.await.unwrap_or_else(|_| respond(&Reply::internal(dialect)));
    match trouble {
        Some(trouble) => misbehave(trouble, dialect, Some(answer)).await,
        None => answer,
    }
}

async fn carry_out<W>(provider: Arc<Provider>, request: Write, work: W, stored_fault: Option<Fault>) -> Response
where
    W: FnOnce(&Book, &[u8], &Charging) -> Result<Done, Reply>,
{
    let Write { dialect, action, key, path, body } = request;
    let key = key.map(|key| Key { dialect, key, fingerprint: fingerprint(&path, &body) });
    if let Some(key) = &key {
        let begin = provider.ledger().begin(key);
        match begin {
            Begin::Fresh => {}
            Begin::Mismatch => return respond(&Reply::key_mismatch(dialect, &key.key)),
            Begin::InUse => return respond(&Reply::key_in_use(dialect, &key.key)),
            Begin::Replay(first) => {
                let mut response = respond(&first);
                response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
                return response;
            }
        }
    }
    tokio::time::sleep(provider.latency()).await;
    let decline = (action == "charge").then(|| provider.plan().decline()).flatten();
    let charging = Charging { now: Utc::now().timestamp(), key: key.as_ref().map(|key| key.key.clone()), decline };
    let (reply, changed) = {
        let mut ledger = provider.ledger();
        let done = work_on(&mut ledger, dialect, &body, &charging, key.as_ref(), work, stored_fault);
        if let Some(key) = &key {
            ledger.end(key);
        }
        done
    };
    if let Some(charge) = changed {
        notify::announce(&provider, action, &charge);
    }
    respond(&reply)
}

/// Requests that cannot be carried out are not kept for their key, so a corrected one may follow.
fn work_on<W>(
    ledger: &mut Ledger,
    dialect: Dialect,
    body: &[u8],
    charging: &Charging,
    key: Option<&Key>,
    work: W,
    stored_fault: Option<Fault>,
) -> (Reply, Option<Charge>)
where
    W: FnOnce(&Book, &[u8], &Charging) -> Result<Done, Reply>,
{
    let done = match stored_fault {
        Some(fault) if !fault.charges() => Ok(Done { charge: None, reply: Reply::internal(dialect), makes: false }),
        Some(_) => work(ledger.book(), body, charging).map(|done| Done {
            reply: Reply::internal(dialect),
            makes: false,
            ..done
        }),
        None => work(ledger.book(), body, charging),
    };
    let done = match done {
        Ok(done) => done,
        Err(refusal) => return (refusal, None),
    };
    if let Err(error) = ledger.record(&done, key) {
        tracing::error!(%error, "the ledger cannot be written, so nothing was charged");
        return (Reply::internal(dialect), None);
    }
    (done.reply, done.charge)
}

/// `answer` is what an honest provider would have said.
async fn misbehave(trouble: Trouble, dialect: Dialect, answer: Option<Response>) -> Response {
    match trouble.fault {
        Fault::ErrorBeforeCharging
        | Fault::ErrorAfterCharging
        | Fault::StoredErrorBeforeCharging
        | Fault::StoredErrorAfterCharging => respond(&Reply::internal(dialect)),
        Fault::RateLimit => respond(&Reply::rate_limited(dialect)),
        Fault::TimeoutBeforeCharging | Fault::TimeoutAfterCharging => std::future::pending().await,
        Fault::ResetBeforeCharging | Fault::ResetAfterCharging => broken(StatusCode::OK, b""),
        Fault::TruncateAfterCharging => truncated(answer, trouble.offset).await,
        Fault::GarbageAfterCharging => (StatusCode::OK, "<html><body>Welcome</body></html>").into_response(),
    }
}

async fn truncated(answer: Option<Response>, offset: Option<usize>) -> Response {
    let answer = answer.unwrap_or_default();
    let status = answer.status();
    let whole = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    // A whole answer would be none of this fault's.
    let end = offset.unwrap_or(whole.len() / 2).min(whole.len().saturating_sub(1));
    broken(status, &whole[..end])
}

/// A body that begins and then fails, upon which the server drops the connection.
fn broken(status: StatusCode, begin: &[u8]) -> Response {
    let cut = io::Error::from(io::ErrorKind::ConnectionReset);
    let parts: [io::Result<Bytes>; 2] = [Ok(Bytes::copy_from_slice(begin)), Err(cut)];
    let mut response = Response::new(Body::from_stream(futures::stream::iter(parts)));
    *response.status_mut() = status;
    response
}

pub(super) fn respond(reply: &Reply) -> Response {
    match &reply.body {
        Value::Null => reply.status.into_response(),
        body => (reply.status, Json(body)).into_response(),
    }
}
