//! SQL of idempotency keys.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::{Answer, IdempotencyKey, KEPT, KeyedRequest, Known, Subject};
use crate::ids::{MerchantId, PaymentId};
use crate::operations::Kind;

/// Takes a key for a request, in the transaction that does what the request asks for. False when the key is in use:
/// then nothing of that transaction may be committed, and [`find`] tells what the key stands for. While another
/// transaction takes the same key, this waits for its end.
///
/// # Errors
/// When the database does not answer, or the other transaction takes longer than its lock timeout.
pub async fn claim(
    connection: &mut PgConnection,
    request: &KeyedRequest,
    subject: Option<Subject>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let payment = subject.map(Subject::payment_id);
    let taken = sqlx::query(
        "insert into idempotency_keys as known
             (merchant_id, key, request_hash, payment_id, payment_created_at, operation_id, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, greatest($8, now() + ($8 - $7)))
         on conflict (merchant_id, key) do update set
             request_hash = excluded.request_hash, payment_id = excluded.payment_id,
             payment_created_at = excluded.payment_created_at, operation_id = excluded.operation_id,
             created_at = excluded.created_at, expires_at = excluded.expires_at,
             response_status = null, response_headers = null, response_body = null
         where known.expires_at <= least(excluded.created_at, now())",
    )
    .bind(request.merchant_id)
    .bind(request.key.as_str())
    .bind(request.hash.as_bytes())
    .bind(payment)
    .bind(payment.map(PaymentId::created_at))
    .bind(subject.and_then(Subject::operation_id))
    .bind(now)
    .bind(now + KEPT)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// The answer in the event that ended the wait, for a key `k` that has none beside it. Limited in time, so that not every
/// month's partition is looked into; a day more on both sides, because clocks differ.
const ENDED: &str = "left join lateral (
    select e.payload #> '{data,payment}' as answer, null as kind from events e
    where k.operation_id is null and e.payment_id = k.payment_id and e.sequence = 1
        and e.created_at > k.payment_created_at - interval '1 day' and e.created_at < now() + interval '1 day'
    union all
    select case e.payload #>> '{data,operation,kind}' when 'VOID' then e.payload #> '{data,payment}' else e.payload #> '{data,operation}' end,
        e.payload #>> '{data,operation,kind}' from events e
    where e.operation_id = k.operation_id
        and e.created_at > k.payment_created_at - interval '1 day' and e.created_at < now() + interval '1 day'
    limit 1
) ended on k.response_status is null";

/// What is known of a merchant's key.
///
/// # Errors
/// When the database does not answer.
pub async fn find(
    executor: impl PgExecutor<'_>,
    request: &KeyedRequest,
    now: DateTime<Utc>,
) -> Result<Known, sqlx::Error> {
    let sql = format!(
        "select k.request_hash, k.payment_id, k.operation_id, k.response_status, k.response_headers, k.response_body,
                ended.answer::text as answer, ended.kind
         from idempotency_keys k {ENDED}
         where k.merchant_id = $1 and k.key = $2 and k.expires_at > least($3, now())"
    );
    // Only constants are put into the text.
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(request.merchant_id)
        .bind(request.key.as_str())
        .bind(now)
        .fetch_optional(executor)
        .await?;
    let Some(row) = row else { return Ok(Known::Fresh) };
    if row.try_get::<&[u8], _>("request_hash")? != request.hash.as_bytes() {
        return Ok(Known::Mismatch);
    }
    let payment_id: Option<PaymentId> = row.try_get("payment_id")?;
    let operation_id: Option<Uuid> = row.try_get("operation_id")?;
    let subject = payment_id.map(|payment_id| match operation_id {
        Some(id) => Subject::Operation { id, payment_id },
        None => Subject::Payment(payment_id),
    });
    Ok(match (answer(&row, subject)?, subject) {
        (Some(answer), _) => Known::Replay(answer),
        (None, Some(subject)) => Known::InFlight(subject),
        // What is made in one commit has its answer in that commit, so there is no such row.
        (None, None) => return Err(sqlx::Error::Decode("a key stands for nothing".into())),
    })
}

/// Whether a merchant's key stands for anything. [`find`] tells for what.
///
/// # Errors
/// When the database does not answer.
pub async fn is_known(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &IdempotencyKey,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from idempotency_keys where merchant_id = $1 and key = $2)")
        .bind(merchant)
        .bind(key.as_str())
        .fetch_one(executor)
        .await
}

/// The answers to those of these requests whose subject came to its end, or that were answered with a 202: one
/// statement for all, each answer with the subject's id.
///
/// # Errors
/// When the database does not answer.
pub async fn answers(
    executor: impl PgExecutor<'_>,
    waiting: &[(KeyedRequest, Subject)],
) -> Result<Vec<(Uuid, Answer)>, sqlx::Error> {
    // The key may stand for something else by now; the event is there all the same.
    let sql = format!(
        "select w.place, ended.answer::text as answer, ended.kind, k.response_status, k.response_headers, k.response_body
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::uuid[])
             with ordinality as w (merchant_id, key, payment_id, payment_created_at, operation_id, place)
         cross join lateral (
             select w.payment_id, w.payment_created_at, w.operation_id, first.* from (select 1) as always
             left join lateral (
                 select response_status, response_headers, response_body from idempotency_keys i
                 where i.merchant_id = w.merchant_id and i.key = w.key and i.payment_id = w.payment_id
                     and i.operation_id is not distinct from w.operation_id
                 limit 1
             ) first on true
         ) k {ENDED}
         where ended.answer is not null or k.response_status is not null"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(waiting.iter().map(|(request, _)| request.merchant_id.as_uuid()).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(request, _)| request.key.as_str()).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(_, subject)| subject.payment_id().as_uuid()).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(_, subject)| subject.payment_id().created_at()).collect::<Vec<_>>())
        .bind(waiting.iter().map(|(_, subject)| subject.operation_id()).collect::<Vec<_>>())
        .fetch_all(executor)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or_default();
        let Some((_, subject)) = place.checked_sub(1).and_then(|place| waiting.get(place)) else { continue };
        found.extend(answer(row, Some(*subject))?.map(|answer| (subject.id(), answer)));
    }
    Ok(found)
}

/// Keeps the first answer given to a key and returns it: the one given here, or the one that came before. A key that
/// was forgotten meanwhile, or stands for something else by now, is left as it is.
///
/// # Errors
/// When the database does not answer.
pub async fn keep(
    executor: impl PgExecutor<'_>,
    request: &KeyedRequest,
    subject: Option<Subject>,
    answer_now: &Answer,
) -> Result<Answer, sqlx::Error> {
    // A row is returned either way, so that this is one statement and there is no moment between writing and reading.
    let row = sqlx::query(
        "update idempotency_keys set
             response_status = coalesce(response_status, $3),
             response_headers = coalesce(response_headers, $4),
             response_body = coalesce(response_body, $5)
         where merchant_id = $1 and key = $2 and payment_id is not distinct from $6 and operation_id is not distinct from $7
         returning response_status, response_headers, response_body",
    )
    .bind(request.merchant_id)
    .bind(request.key.as_str())
    .bind(i32::from(answer_now.status))
    .bind(serde_json::json!({ "location": answer_now.location }))
    .bind(&answer_now.body)
    .bind(subject.map(Subject::payment_id))
    .bind(subject.and_then(Subject::operation_id))
    .fetch_optional(executor)
    .await?;
    let kept = row.as_ref().map(stored).transpose()?.flatten();
    Ok(kept.unwrap_or_else(|| answer_now.clone()))
}

/// The answer beside the key, else the one in the event.
fn answer(row: &PgRow, subject: Option<Subject>) -> Result<Option<Answer>, sqlx::Error> {
    if let Some(first) = stored(row)? {
        return Ok(Some(first));
    }
    let (Some(body), Some(subject)) = (row.try_get::<Option<String>, _>("answer")?, subject) else { return Ok(None) };
    let body = body.into_bytes();
    Ok(Some(match subject {
        Subject::Payment(id) => Answer::of_payment(201, id, body),
        Subject::Operation { id, payment_id } => {
            let name: Option<&str> = row.try_get("kind")?;
            let unknown = || sqlx::Error::Decode("an operation's event does not say its kind".into());
            let kind = Kind::ALL.into_iter().find(|kind| Some(kind.as_str()) == name).ok_or_else(unknown)?;
            // A void makes nothing that could be looked at: it changes the payment.
            let status = if kind == Kind::Void { 200 } else { 201 };
            Answer::of_operation(status, kind, id, payment_id, body)
        }
    }))
}

fn stored(row: &PgRow) -> Result<Option<Answer>, sqlx::Error> {
    let Some(status) = row.try_get::<Option<i32>, _>("response_status")? else { return Ok(None) };
    let headers: serde_json::Value = row.try_get("response_headers")?;
    Ok(Some(Answer {
        status: u16::try_from(status).map_err(|error| sqlx::Error::Decode(error.into()))?,
        location: headers["location"].as_str().unwrap_or_default().to_owned(),
        body: row.try_get("response_body")?,
    }))
}

/// Forgets keys whose time is over, a limited number at once so that no long lock arises. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_expired(executor: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from idempotency_keys where (merchant_id, key) in (
             select merchant_id, key from idempotency_keys where expires_at <= least($1, now()) limit 5000 for update skip locked)",
    )
    .bind(now)
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}
