//! A connection of the dispatcher's own, whose commits do not wait for the disk: what a crash of the database forgets is
//! only posted again.

use sqlx::postgres::PgConnection;

use crate::database::Pool;

pub(super) struct Link {
    pool: Pool,
    connection: Option<PgConnection>,
}

impl Link {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, connection: None }
    }

    /// The connection, made when it is needed.
    pub(super) async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.pool.acquire().await?.detach();
                sqlx::query("set synchronous_commit = off").execute(&mut connection).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// A statement failed: the next one is not sent on a connection that may be broken.
    pub(super) fn drop_connection(&mut self) {
        self.connection = None;
    }
}
