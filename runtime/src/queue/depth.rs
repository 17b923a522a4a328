//! How much waits in a queue.

use super::Queue;
use crate::database::Pool;

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Depth {
    /// What is not at its end, parked items among them.
    pub items: i64,
    /// Age in seconds of the oldest one that is due; 0 when none is.
    pub oldest_s: i64,
    /// Seconds since the oldest of all was accepted; 0 when there is none. Grows also while it is tried again and
    /// again, when it is hardly ever due.
    pub oldest_payment_s: i64,
    /// Those that wait for a person.
    pub parked: i64,
}

impl Queue {
    /// Counts what waits.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn depth(&self, pool: &Pool) -> Result<Depth, sqlx::Error> {
        sqlx::query_as(self.depth).fetch_one(pool).await
    }
}
