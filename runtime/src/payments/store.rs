//! SQL of payments: how one is accepted, and how it is read.

use sqlx::PgExecutor;

use super::{Payment, row};
use crate::idempotency::{IdempotencyKey, KEPT, RequestHash};
use crate::ids::{MerchantId, PaymentId, PaymentMethodId, UserId};
use crate::money::Money;

/// A payment to be accepted. Everything in it was checked.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Its id; carries `created_at` and `t_start`.
    pub id: PaymentId,
    /// Who receives.
    pub merchant_id: MerchantId,
    /// Who pays.
    pub user_id: UserId,
    /// What is paid with.
    pub payment_method_id: PaymentMethodId,
    /// How much.
    pub amount: Money,
    /// The merchant's own words.
    pub description: Option<String>,
    /// Address of the one who pays.
    pub ip_address: Option<String>,
    /// Device of the one who pays.
    pub device_fingerprint: Option<String>,
    /// The release that accepts it.
    pub release: String,
    /// The client's key.
    pub key: IdempotencyKey,
    /// Hash of the request.
    pub hash: RequestHash,
}

/// Whether a payment was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is committed: row, key and work item.
    Accepted,
    /// Another request with the same key was faster; nothing was written.
    KeyInUse,
}

/// Accepts a payment: one statement and so one commit holds the key, the payment and its work item. When this
/// returns [`Acceptance::Accepted`], no crash can lose the payment; when it fails, the same key tells what happened.
///
/// # Errors
/// When the database does not answer. The payment may be accepted nevertheless.
pub async fn accept(executor: impl PgExecutor<'_>, new: &NewPayment) -> Result<Acceptance, sqlx::Error> {
    let created_at = new.id.created_at();
    let accepted = sqlx::query(
        "with fresh as (
             insert into idempotency_keys as known (merchant_id, key, request_hash, payment_id, payment_created_at, created_at, expires_at)
             values ($2, $3, $4, $1, $5, $5, $6)
             on conflict (merchant_id, key) do update set
                 request_hash = excluded.request_hash, payment_id = excluded.payment_id,
                 payment_created_at = excluded.payment_created_at, created_at = excluded.created_at, expires_at = excluded.expires_at,
                 response_status = null, response_headers = null, response_body = null
             where known.expires_at <= excluded.created_at
             returning payment_id
         ), payment as (
             insert into transactions (id, created_at, t_start, updated_at, merchant_id, user_id, payment_method_id, amount, currency,
                 status, description, ip_address, device_fingerprint, release)
             select payment_id, $5, $5, $5, $2, $7, $8, $9, $10, 'PENDING', $11, $12, $13, $14 from fresh
         ), work as (
             insert into work_items (payment_id, payment_created_at, merchant_id, release)
             select payment_id, $5, $2, $14 from fresh
         )
         select payment_id from fresh",
    )
    .bind(new.id)
    .bind(new.merchant_id)
    .bind(new.key.as_str())
    .bind(new.hash.as_bytes())
    .bind(created_at)
    .bind(created_at + KEPT)
    .bind(new.user_id)
    .bind(new.payment_method_id)
    .bind(new.amount.to_decimal())
    .bind(new.amount.currency().code())
    .bind(&new.description)
    .bind(&new.ip_address)
    .bind(&new.device_fingerprint)
    .bind(&new.release)
    .fetch_optional(executor)
    .await?;
    Ok(if accepted.is_some() { Acceptance::Accepted } else { Acceptance::KeyInUse })
}

const LOAD: &str = concat!(
    "select ",
    row::columns!(),
    " from transactions t left join payment_providers p on p.id = t.payment_provider_id where t.id = $1 and t.created_at = $2"
);

/// A payment, whoever's it is. For the platform's own use: what a merchant asks for goes through [`find`].
///
/// # Errors
/// When the database does not answer, or holds what is no payment.
pub async fn load(executor: impl PgExecutor<'_>, id: PaymentId) -> Result<Option<Payment>, sqlx::Error> {
    let row = sqlx::query(LOAD).bind(id).bind(id.created_at()).fetch_optional(executor).await?;
    row.as_ref().map(row::payment).transpose()
}

/// Keeps a payment as it is until the caller's transaction is over: whoever would change it waits.
///
/// # Errors
/// When the database does not answer.
pub async fn hold_still(executor: impl PgExecutor<'_>, id: PaymentId) -> Result<(), sqlx::Error> {
    sqlx::query("select from transactions where id = $1 and created_at = $2 for share")
        .bind(id)
        .bind(id.created_at())
        .execute(executor)
        .await?;
    Ok(())
}

/// A payment of this merchant; another merchant's does not exist for it.
///
/// # Errors
/// As [`load`].
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: PaymentId,
    merchant: MerchantId,
) -> Result<Option<Payment>, sqlx::Error> {
    Ok(load(executor, id).await?.filter(|payment| payment.merchant_id == merchant))
}
