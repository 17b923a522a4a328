//! How a request is answered, whatever its wire format: credential, fault, key, latency, work. A format says for each of its
//! paths what is looked up or done there, and nothing else.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Query, RawPathParams, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::Value;

use super::book::{Book, Charge, Dialect};
use super::fault::{Fault, Trouble};
use super::ledger::{Begin, Done, Key, Ledger, fingerprint};
use super::provider::Provider;
use super::reply::Reply;
use super::{admin, notify, paypal, stripe};
use crate::providers::stripe as stripe_adapter;

/// How late a timer is when little happens: it goes by whole milliseconds, and ends after the one that follows its time.
const TIMER_LATENESS: Duration = Duration::from_millis(1);

/// A question, which changes nothing.
pub(super) struct Question {
    /// What the path names, if it names something.
    pub(super) id: String,
    pub(super) query: HashMap<String, String>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// What an action depends on besides its request.
#[derive(Clone, Debug)]
pub(super) struct Charging {
    /// Seconds since 1970.
    pub(super) now: i64,
    /// The caller's key.
    pub(super) key: Option<String>,
    /// The decline code that a fault plan wants.
    pub(super) decline: Option<String>,
}

/// Finds the answer to a question in the book.
pub(super) type Look = fn(&Book, &Question) -> Reply;
/// Charges, captures, refunds or voids what the path names, as the body says.
pub(super) type Work = fn(&Book, &str, &[u8], &Charging) -> Result<Done, Reply>;

/// A request that charges, captures, refunds or voids.
struct Write {
    dialect: Dialect,
    action: &'static str,
    work: Work,
    key: Option<Key>,
    id: String,
    body: Bytes,
}

/// The routes of both formats, and those below `/simulator` for people and tests.
pub(super) fn router(provider: Arc<Provider>) -> Router {
    Router::new().merge(stripe::routes()).merge(paypal::routes()).merge(admin::routes()).with_state(provider)
}

/// A path that is looked at.
pub(super) fn looks(dialect: Dialect, look: Look) -> MethodRouter<Arc<Provider>> {
    let answer = async move |State(provider): State<Arc<Provider>>,
                             names: RawPathParams,
                             Query(query): Query<HashMap<String, String>>,
                             headers: HeaderMap| {
        if !provider.knows(dialect, &headers) {
            return respond(&Reply::unauthorized(dialect));
        }
        let question = Question { id: named(&names), query, now: Utc::now().timestamp() };
        let found = look(provider.ledger().book(), &question);
        respond(&found)
    };
    get(answer)
}

/// A path on which something is done, once per key.
pub(super) fn does(dialect: Dialect, action: &'static str, work: Work) -> MethodRouter<Arc<Provider>> {
    let answer = async move |State(provider): State<Arc<Provider>>,
                             names: RawPathParams,
                             uri: Uri,
                             headers: HeaderMap,
                             body: Bytes| {
        if !provider.knows(dialect, &headers) {
            return respond(&Reply::unauthorized(dialect));
        }
        let key = headers.get(key_header(dialect)).and_then(|value| value.to_str().ok());
        let fingerprint = fingerprint(uri.path(), &body);
        let key = key.map(|key| Key { dialect, key: key.to_owned(), fingerprint });
        write(provider, Write { dialect, action, work, key, id: named(&names), body }).await
    };
    post(answer)
}

fn named(names: &RawPathParams) -> String {
    names.iter().next().map_or_else(String::new, |(_, value)| value.to_owned())
}

const fn key_header(dialect: Dialect) -> HeaderName {
    match dialect {
        Dialect::Stripe => stripe_adapter::IDEMPOTENCY_KEY,
        Dialect::Paypal => HeaderName::from_static("paypal-request-id"),
    }
}

/// Carries a request out, unless something is to go wrong with it.
async fn write(provider: Arc<Provider>, request: Write) -> Response {
    let dialect = request.dialect;
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
    let charging = tokio::spawn(carry_out(provider, request, stored_fault));
    let answer = charging.await.unwrap_or_else(|_| respond(&Reply::internal(dialect)));
    match trouble {
        Some(trouble) => misbehave(trouble, dialect, Some(answer)).await,
        None => answer,
    }
}

async fn carry_out(provider: Arc<Provider>, request: Write, stored_fault: Option<Fault>) -> Response {
    let Write { dialect, action, key, .. } = &request;
    let (dialect, action) = (*dialect, *action);
    if let Some(key) = key {
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
    let end = Instant::now() + provider.latency();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        tokio::time::sleep(left.saturating_sub(TIMER_LATENESS)).await;
    }
    let decline = (action == "charge").then(|| provider.plan().decline()).flatten();
    let charging = Charging { now: Utc::now().timestamp(), key: key.as_ref().map(|key| key.key.clone()), decline };
    let (reply, changed) = {
        let mut ledger = provider.ledger();
        let done = work_on(&mut ledger, &request, &charging, stored_fault);
        if let Some(key) = key {
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
fn work_on(
    ledger: &mut Ledger,
    request: &Write,
    charging: &Charging,
    stored_fault: Option<Fault>,
) -> (Reply, Option<Charge>) {
    let Write { dialect, work, key, id, body, .. } = request;
    let failed = || Reply::internal(*dialect);
    let done = match stored_fault {
        Some(fault) if !fault.charges() => Ok(Done { charge: None, reply: failed(), makes: false }),
        Some(_) => work(ledger.book(), id, body, charging).map(|done| Done { reply: failed(), makes: false, ..done }),
        None => work(ledger.book(), id, body, charging),
    };
    let done = match done {
        Ok(done) => done,
        Err(refusal) => return (refusal, None),
    };
    if let Err(error) = ledger.record(&done, key.as_ref()) {
        tracing::error!(%error, "the ledger cannot be written, so nothing was charged");
        return (failed(), None);
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
