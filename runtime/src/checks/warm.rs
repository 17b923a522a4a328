//! Puts into Redis what a release will be asked for first: those who paid last, and what they paid with.
//!
//! Fraud rules, providers and limits are in no Redis: each pod reads them from PostgreSQL before it is ready, and keeps them.

use serde::Serialize;

use super::CheckError;
use crate::cache::{Cache, Copies};
use crate::database::{DatabaseError, Doing, Pool};

/// Payments that are looked back upon for those who paid last.
const LOOKED_BACK_UPON: i64 = 50_000;

/// What was put into Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warmed {
    /// Users.
    pub users: usize,
    /// Payment methods.
    pub payment_methods: usize,
    /// Why Redis got none or not all of it; none when it did.
    pub trouble: Option<String>,
}

impl Warmed {
    /// In a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { users, payment_methods, trouble } = self;
        match trouble {
            None => format!("{users} users and {payment_methods} payment methods are in the cache"),
            Some(trouble) => {
                format!("the cache is not warm: {trouble}; the release begins slower, and right, on PostgreSQL alone")
            }
        }
    }
}

/// Puts up to `limit` users and as many payment methods into Redis. A Redis that is away is no failure: it never decides.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn run(pool: &Pool, redis: &Cache, copies: &Copies, limit: u32) -> Result<Warmed, CheckError> {
    if let Err(error) = redis.ping().await {
        return Ok(Warmed { users: 0, payment_methods: 0, trouble: Some(error.to_string()) });
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut users, mut methods) = last_used(pool).await?;
    users.truncate(limit);
    methods.truncate(limit);
    let put = async {
        let users = copies.warm_users(&users).await?;
        Ok::<_, sqlx::Error>((users, copies.warm_instruments(&methods).await?))
    };
    let (users, payment_methods) = put.await.doing("could not read what is to be cached")?;
    // Whatever Redis did not take, it may have been away for.
    let trouble = redis.ping().await.err().map(|error| error.to_string());
    Ok(Warmed { users, payment_methods, trouble })
}

type LastUsed = (Vec<uuid::Uuid>, Vec<uuid::Uuid>);

/// Those who paid last and what they paid with, the latest first.
async fn last_used(pool: &Pool) -> Result<LastUsed, DatabaseError> {
    let rows: Vec<(uuid::Uuid, uuid::Uuid)> =
        sqlx::query_as("select user_id, payment_method_id from transactions order by t_start desc limit $1")
            .bind(LOOKED_BACK_UPON)
            .fetch_all(pool)
            .await
            .doing("could not look for those who paid last")?;
    let (users, methods): LastUsed = rows.into_iter().unzip();
    Ok((once(users), once(methods)))
}

fn once(ids: Vec<uuid::Uuid>) -> Vec<uuid::Uuid> {
    let mut seen = std::collections::HashSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}
