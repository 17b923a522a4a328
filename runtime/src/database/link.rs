//! A connection of one task's own.
//!
//! A server process that runs the same few statements all the time has everything that they need at hand: measured, they cost
//! a third of what they cost when each of them comes to another process of the pool.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::Pool;

/// Plans are made once: the statements of a link work on arrays, whose sizes no plan depends on, and planning them anew each
/// time costs as much as running them. Every row is found by a key, however large its table was when the plan was made: a queue
/// is empty at that time, and soon full of rows that ended.
const SETTINGS: &str =
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off;
    set enable_hashjoin = off; set enable_mergejoin = off";
/// For what may be forgotten in a crash of the database.
const LAZILY: &str = "set synchronous_commit = off";
/// A connection that rested longer may be gone, as after a restart of the server: it is asked before it is used.
const RESTED: Duration = Duration::from_secs(1);

/// A connection of one task's own, made when it is needed, and made anew after an error.
#[derive(Debug)]
pub struct Link {
    pool: Pool,
    is_lazy: bool,
    connection: Option<PgConnection>,
    used_at: Instant,
}

impl Link {
    /// A connection whose commits are as durable as the server makes them.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, is_lazy: false, connection: None, used_at: Instant::now() }
    }

    /// A connection whose commits do not wait for the disk.
    #[must_use]
    pub fn lazy(pool: Pool) -> Self {
        Self { is_lazy: true, ..Self::new(pool) }
    }

    /// The connection, for the caller to keep. It is given back with [`Link::keep`] when all went well; dropped instead, also
    /// because the caller was given up half-way, it is closed, and whatever it was in is undone.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn take(&mut self) -> Result<PgConnection, sqlx::Error> {
        let rested = self.used_at.elapsed() > RESTED;
        self.used_at = Instant::now();
        if let Some(mut connection) = self.connection.take()
            && (!rested || connection.ping().await.is_ok())
        {
            return Ok(connection);
        }
        let mut connection = self.pool.acquire().await?.detach();
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
        if self.is_lazy {
            sqlx::raw_sql(LAZILY).execute(&mut connection).await?;
        }
        Ok(connection)
    }

    /// Keeps a connection for the next time.
    pub fn keep(&mut self, connection: PgConnection) {
        self.used_at = Instant::now();
        self.connection = Some(connection);
    }

    /// The connection, for one statement. After an error it is to be dropped.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = self.take().await?;
        Ok(self.connection.insert(connection))
    }

    /// A statement failed: the next one is not sent on a connection that may be broken.
    pub fn drop_connection(&mut self) {
        self.connection = None;
    }
}
