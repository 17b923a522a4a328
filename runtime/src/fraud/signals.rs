//! What the rules look at, gathered within its time.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use thiserror::Error;

use super::rules::Window;
use crate::cache::Cache;
use crate::database::Pool;
use crate::ids::{PaymentId, UserId};

/// Far above what any rule still finds in order, and a bound on what one user can make us keep.
const PAYMENTS_KEPT_MAX: u32 = 5_000;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("velocity.lua")));

/// How long a check waits for what counts its user's payments, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For Redis.
    pub redis: Duration,
    /// For PostgreSQL, once Redis did not answer.
    pub database: Duration,
}

impl Default for Limits {
    /// Redis answers in well under a millisecond; a check of 50 ms cannot wait for one that does not. Both together stay within
    /// the check's deadline.
    fn default() -> Self {
        Self { redis: Duration::from_millis(20), database: Duration::from_millis(20) }
    }
}

/// How many payments a user made, the one under check counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Velocity {
    /// Within one minute.
    pub minute: u64,
    /// Within one hour.
    pub hour: u64,
    /// Within 24 hours.
    pub day: u64,
}

impl Velocity {
    /// The count of one window.
    #[must_use]
    pub const fn in_window(&self, window: Window) -> u64 {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }
}

#[derive(Debug, Error)]
enum SignalError {
    #[error("no cache is configured")]
    Absent,
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What could be gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// None when neither Redis nor PostgreSQL answered in time.
    pub velocity: Option<Velocity>,
    /// Whether Redis did not answer. A check without it is slower and may know less, but it is no error.
    pub degraded: bool,
}

/// Counts the purchase, and says how fast its user is. Without Redis the payments themselves are counted, this one among them
/// whether it is accepted already or not.
pub async fn gather(
    (cache, pool): (&Cache, &Pool),
    limits: Limits,
    user: UserId,
    payment: PaymentId,
    purchase: &str,
) -> Signals {
    match in_time(limits.redis, from_redis(cache, user, purchase)).await {
        Ok(velocity) => Signals { velocity: Some(velocity), degraded: false },
        Err(error) => {
            tracing::debug!(%error, "velocity is counted without Redis");
            let velocity = in_time(limits.database, from_database(pool, user, payment))
                .await
                .inspect_err(|error| tracing::warn!(%error, "no velocity: neither Redis nor PostgreSQL counted it"));
            Signals { velocity: velocity.ok(), degraded: true }
        }
    }
}

async fn in_time(
    limit: Duration,
    counting: impl Future<Output = Result<Velocity, SignalError>>,
) -> Result<Velocity, SignalError> {
    tokio::time::timeout(limit, counting).await.unwrap_or(Err(SignalError::Late))
}

async fn from_redis(cache: &Cache, user: UserId, purchase: &str) -> Result<Velocity, SignalError> {
    let mut connection = cache.connection().ok_or(SignalError::Absent)?;
    let mut call = SCRIPT.key(format!("purser:velocity:{user}"));
    call.arg(purchase).arg(PAYMENTS_KEPT_MAX);
    let (minute, hour, day) = call.invoke_async(&mut connection).await?;
    Ok(Velocity { minute, hour, day })
}

async fn from_database(pool: &Pool, user: UserId, payment: PaymentId) -> Result<Velocity, SignalError> {
    let (minute, hour, day) = sqlx::query_as::<_, (i64, i64, i64)>(
        "select count(*) filter (where created_at > now() - interval '1 minute'),
                count(*) filter (where created_at > now() - interval '1 hour'),
                count(*)
         from (
             select created_at from transactions
             where user_id = $1 and id <> $3 and created_at > now() - interval '24 hours'
             order by created_at desc limit $2
         ) as recent",
    )
    .bind(user)
    .bind(i64::from(PAYMENTS_KEPT_MAX))
    .bind(payment)
    .fetch_one(pool)
    .await?;
    // A count is never negative.
    let count = |others: i64| others.unsigned_abs() + 1;
    Ok(Velocity { minute: count(minute), hour: count(hour), day: count(day) })
}
