//! One way for every write: done once per Idempotency-Key, and answered with the same bytes however often it is sent.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Transaction};
use tokio::time::Instant;

use super::Gateway;
use super::problem::Problem;
use super::wait::Waiter;
use super::{maintenance, operations, payment_request};
use crate::database;
use crate::idempotency::{self, Answer, KeyedRequest, Known, RequestHash, Subject};
use crate::ids::MerchantId;
use crate::payments::{self, PaymentJson};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// How long a creation waits for another one with its key, which takes milliseconds.
const CREATION_AWAITED_MS: &str = "3000";

/// One write as its client asked for it: under which key, and how long the client waits for its end.
pub(super) struct Write {
    /// By what it is recognised.
    pub(super) request: KeyedRequest,
    wait: Duration,
    until: Instant,
}

impl Write {
    /// A write of this merchant. `path` is its method and template, as in `POST /v1/payments/{id}/captures`; `meaning` is
    /// what its body means, with what stands in for the template's names.
    ///
    /// # Errors
    /// When the key is missing or none, or the wait is none.
    pub(super) fn new(
        merchant_id: MerchantId,
        headers: &HeaderMap,
        path: &str,
        meaning: &impl Serialize,
    ) -> Result<Self, Problem> {
        let key = payment_request::idempotency_key(headers)?;
        let wait = payment_request::wait(headers)?;
        let hash = RequestHash::of(path, meaning).map_err(|_| Problem::internal())?;
        Ok(Self { request: KeyedRequest { merchant_id, key, hash }, wait, until: Instant::now() + wait })
    }

    /// The answer as a response.
    pub(super) fn respond(&self, answer: &Answer, replayed: bool) -> Response {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        let mut response = (status, answer.body.clone()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(location) = HeaderValue::try_from(answer.location.as_str()) {
            headers.insert(header::LOCATION, location);
        }
        if let Ok(applied) = HeaderValue::try_from(format!("wait={}", self.wait.as_secs())) {
            headers.insert(HeaderName::from_static("preference-applied"), applied);
        }
        if replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// What a write that is done in one commit meets.
pub(super) enum Begun {
    /// Its key was free and is taken: it is to be done, and [`Creation::finish`]ed.
    Fresh(Creation),
    /// It was done before; this is its answer.
    Answered(Response),
}

/// A write that is done in one commit, together with its key and its answer. Dropped unfinished, nothing happened,
/// and the key is free.
pub(super) struct Creation {
    transaction: Transaction<'static, Postgres>,
}

impl Creation {
    /// Where it is to be done.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Keeps the answer, and makes everything true.
    ///
    /// # Errors
    /// When the database does not answer; it may be true nevertheless, and the same key tells.
    pub(super) async fn finish(
        mut self,
        write: &Write,
        status: StatusCode,
        location: String,
        document: &(impl Serialize + Sync),
    ) -> Result<Response, Problem> {
        let body = serde_json::to_vec(document).map_err(|_| Problem::internal())?;
        let answer = Answer { status: status.as_u16(), location, body };
        idempotency::store::keep(&mut *self.transaction, &write.request, None, &answer).await?;
        self.transaction.commit().await?;
        Ok(write.respond(&answer, false))
    }
}

impl Gateway {
    /// Begins a write that is done in one commit. While another request does the same, this waits for it.
    ///
    /// # Errors
    /// When the key was used for something else, or is in use for too long, or the database does not answer.
    pub(super) async fn begin(&self, write: &Write) -> Result<Begun, Problem> {
        let mut transaction = database::begin(&self.app.pool).await?;
        sqlx::query("select set_config('lock_timeout', $1, true)")
            .bind(CREATION_AWAITED_MS)
            .execute(&mut *transaction)
            .await?;
        match idempotency::store::claim(&mut transaction, &write.request, None, Utc::now()).await {
            Ok(true) => return Ok(Begun::Fresh(Creation { transaction })),
            Ok(false) => {}
            Err(error) if is_lock_timeout(&error) => return Err(in_use()),
            Err(error) => {
                // Before another connection is asked for.
                drop(transaction);
                return self.known_or(write, error.into()).await.map(Begun::Answered);
            }
        }
        transaction.rollback().await?;
        self.answer_again(write).await.map(Begun::Answered)
    }

    /// The answer to a write whose key is in use: the one that was given, or the one that is being waited for.
    ///
    /// # Errors
    /// When the key was used for something else, or the database does not answer.
    pub(super) async fn answer_again(&self, write: &Write) -> Result<Response, Problem> {
        self.known(write).await?.ok_or_else(in_use)
    }

    /// The same where the key may be free: then there is none.
    pub(super) async fn known(&self, write: &Write) -> Result<Option<Response>, Problem> {
        match idempotency::store::find(&self.app.pool, &write.request, Utc::now()).await? {
            Known::Replay(answer) => Ok(Some(write.respond(&answer, true))),
            Known::InFlight(subject) => {
                let waiter = self.waiters.wait_for(&write.request, subject);
                // It may have ended between the two.
                waiter.look();
                Ok(Some(write.respond(&self.end(write, waiter).await?, true)))
            }
            Known::Mismatch => Err(mismatch()),
            Known::Fresh => Ok(None),
        }
    }

    /// What is not accepted in maintenance is answered nevertheless if it was accepted before: that is a read.
    ///
    /// # Errors
    /// The problem, for whatever was not accepted before.
    pub(super) async fn known_or(&self, write: &Write, problem: Problem) -> Result<Response, Problem> {
        if problem.code() != maintenance::CODE {
            return Err(problem);
        }
        self.known(write).await?.ok_or(problem)
    }

    /// Waits for the end of what was accepted, and answers the one whose request it was.
    ///
    /// # Errors
    /// When the database does not answer; the same key tells later.
    pub(super) async fn answer(&self, write: &Write, waiter: Waiter) -> Result<Response, Problem> {
        Ok(write.respond(&self.end(write, waiter).await?, false))
    }

    async fn end(&self, write: &Write, mut waiter: Waiter) -> Result<Answer, Problem> {
        tokio::select! {
            answer = waiter.ended() => return Ok(answer.as_ref().clone()),
            () = self.app.shutdown.cancelled() => {}
            () = tokio::time::sleep_until(write.until) => {}
        }
        self.late(&write.request, waiter.subject()).await
    }

    /// Time is up: a 202, kept before it is given, unless the end or another 202 came first.
    async fn late(&self, request: &KeyedRequest, subject: Subject) -> Result<Answer, Problem> {
        let mut transaction = database::begin(&self.app.pool).await?;
        if let Some(so_far) = on_its_way(&mut transaction, subject).await? {
            let answer = idempotency::store::keep(&mut *transaction, request, Some(subject), &so_far).await?;
            transaction.commit().await?;
            return Ok(answer);
        }
        transaction.rollback().await?;
        let asked = [(request.clone(), subject)];
        let ended = idempotency::store::answers(&self.app.pool, &asked).await?.pop();
        match ended {
            Some((_, answer)) => Ok(answer),
            None => self.end_without_event(request, subject).await,
        }
    }

    /// A processor of the release before this one wrote no events: what it ended is answered as it stands.
    async fn end_without_event(&self, request: &KeyedRequest, subject: Subject) -> Result<Answer, Problem> {
        let Subject::Payment(id) = subject else { return Err(Problem::internal()) };
        let payment = payments::store::load(&self.app.pool, id).await?.ok_or_else(Problem::internal)?;
        let body = serde_json::to_vec(&PaymentJson::of(&payment)).map_err(|_| Problem::internal())?;
        let answer = Answer::of_payment(StatusCode::CREATED.as_u16(), id, body);
        Ok(idempotency::store::keep(&self.app.pool, request, Some(subject), &answer).await?)
    }
}

/// What to say of something that is not at its end, which it cannot reach before this transaction is over. None when
/// it did before.
async fn on_its_way(connection: &mut PgConnection, subject: Subject) -> Result<Option<Answer>, Problem> {
    let accepted = StatusCode::ACCEPTED.as_u16();
    match subject {
        Subject::Payment(id) => {
            payments::store::hold_still_for_answer(&mut *connection, id).await?;
            let payment = payments::store::load(connection, id).await?.ok_or_else(Problem::internal)?;
            if payment.status.is_settled() {
                return Ok(None);
            }
            let body = serde_json::to_vec(&PaymentJson::of(&payment)).map_err(|_| Problem::internal())?;
            Ok(Some(Answer::of_payment(accepted, id, body)))
        }
        Subject::Operation { id, .. } => operations::on_its_way(connection, id).await,
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}

fn mismatch() -> Problem {
    let detail = "this Idempotency-Key came with another request before; another request needs another key";
    Problem::unprocessable("idempotency_key_reused", detail).param("Idempotency-Key")
}

fn in_use() -> Problem {
    let detail = "a request with this Idempotency-Key is in work; send the same request again";
    Problem::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail)
        .param("Idempotency-Key")
        .retry_after(1)
        .retryable()
}
