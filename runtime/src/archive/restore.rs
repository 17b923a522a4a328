//! The way back: a month out of an archive into its table.

use std::fmt::Write as _;
use std::ops::DerefMut;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::postgres::PgCopyIn;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::column::{self, Column, Kind};
use super::error::ArchiveError;
use super::id::ArchiveId;
use super::manifest::Manifest;
use super::parquet_file::Row;
use super::store::Store;
use super::{Archives, look, moves, read, refuse_in_maintenance};
use crate::database::{DatabaseError, Doing};
use crate::migrate::{self, Patience};
use crate::partitions;

impl Archives {
    /// Brings a month back. The archive stays.
    ///
    /// # Errors
    /// When it is in the database, there is no archive, or that is not what its manifest says; nothing was changed then.
    pub async fn restore(
        &self,
        id: ArchiveId,
        url: &SecretString,
        owner: Option<&str>,
        patience: Patience,
        now: DateTime<Utc>,
    ) -> Result<Manifest, ArchiveError> {
        let mut session = self.session(url, owner, patience).await?;
        let connection = &mut session.connection;
        // Nobody changes the schema meanwhile.
        migrate::take_lock(connection, patience.lock).await?;
        refuse_in_maintenance(connection).await?;
        moves::put_back_all(connection).await?;
        if look::place(connection, id).await?.is_some() {
            return Err(ArchiveError::Refused(format!("{id} is in the database")));
        }
        let store = self.of(&session.owner);
        let manifest = store.find(id).await?.ok_or(ArchiveError::NotFound(id))?;
        refuse_other_columns(connection, &manifest).await?;
        tracing::info!(%id, rows = manifest.rows, "bringing back");
        self.load(connection, &store, &manifest).await?;
        constrain(connection, id).await?;
        attach(connection, id, now).await?;
        session.connection.close().await.doing("could not end the connection")?;
        Ok(manifest)
    }

    /// Loads an archive into a table of its own, which is not yet called as the partition is, so that nobody takes it for one.
    async fn load(
        &self,
        connection: &mut PgConnection,
        store: &Store<'_>,
        manifest: &Manifest,
    ) -> Result<(), ArchiveError> {
        let id = manifest.id;
        let table = loading(id);
        let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
        let make = format!(
            "drop table if exists {table}; create table {table} (like {} including defaults including constraints)",
            id.table()
        );
        execute(&mut transaction, &make).await?;
        self.copy(&mut transaction, store, manifest).await?;
        let (rows, checksum) = column::sum(&mut transaction, &manifest.columns, &table).await?;
        if (rows, &checksum) != (manifest.rows, &manifest.checksum) {
            let message = format!("{rows} rows with the sum {checksum} were loaded, which its manifest does not say");
            return Err(ArchiveError::Corrupt { id, message });
        }
        Ok(transaction.commit().await.doing("could not load a month")?)
    }

    async fn copy(
        &self,
        connection: &mut PgConnection,
        store: &Store<'_>,
        manifest: &Manifest,
    ) -> Result<(), ArchiveError> {
        let statement = format!("copy {} ({}) from stdin", loading(manifest.id), column::names(&manifest.columns));
        let copying = connection.copy_in_raw(&statement).await.doing("could not begin to load a month")?;
        let mut loader = Loader { copying, manifest };
        let read = read::read(store, manifest, &self.stop, &mut loader).await;
        match read {
            Ok(()) => {
                loader.copying.finish().await.doing("could not load a month")?;
            }
            // The failure says more than one of this would; what was loaded goes with the transaction.
            Err(_) => drop(loader.copying.abort("it is not what it should be").await),
        }
        read
    }
}

/// What a month is called while it is loaded.
fn loading(id: ArchiveId) -> String {
    format!("restoring_{id}")
}

async fn execute(connection: &mut PgConnection, statements: &str) -> Result<(), DatabaseError> {
    // Names come from ours and from the catalogue, quoted.
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(connection).await.doing("could not bring a month back")?;
    Ok(())
}

/// Columns that the table has by now besides get what they get in a new row.
async fn refuse_other_columns(connection: &mut PgConnection, manifest: &Manifest) -> Result<(), ArchiveError> {
    let now = column::of(connection, &manifest.table).await?;
    let lost: Vec<String> = manifest
        .columns
        .iter()
        .filter(|column| !now.contains(column))
        .map(|column| format!("{} {}", column.name, column.type_name))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let (table, lost) = (&manifest.table, lost.join(", "));
    Err(ArchiveError::Refused(format!("the table {table} has changed since and has no column {lost} any more")))
}

/// Has the rows looked at before they are attached: attaching must not take long.
async fn constrain(connection: &mut PgConnection, id: ArchiveId) -> Result<(), ArchiveError> {
    let keys: Vec<(String, String)> = sqlx::query_as(
        "select quote_ident(conname), pg_get_constraintdef(oid) from pg_constraint where conrelid = $1::regclass and contype = 'f'",
    )
    .bind(id.table())
    .fetch_all(&mut *connection)
    .await
    .doing("could not read the foreign keys of a table")?;
    let table = loading(id);
    for (name, definition) in keys {
        let add = format!("alter table {table} add constraint {name} {definition} not valid");
        in_short(connection, id, &add).await?;
        execute(connection, &format!("alter table {table} validate constraint {name}")).await?;
    }
    Ok(())
}

async fn in_short(connection: &mut PgConnection, id: ArchiveId, statements: &str) -> Result<(), ArchiveError> {
    let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
    moves::within(&mut transaction, id, statements).await?;
    Ok(transaction.commit().await.doing("could not bring a month back")?)
}

async fn attach(connection: &mut PgConnection, id: ArchiveId, now: DateTime<Utc>) -> Result<(), ArchiveError> {
    let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
    execute(&mut transaction, &format!("alter table {} rename to {id}", loading(id))).await?;
    sqlx::query("update archived_partitions set restored_at = $2 where partition = $1")
        .bind(id.to_string())
        .bind(now)
        .execute(&mut *transaction)
        .await
        .doing("could not write down what was brought back")?;
    let name = id.to_string();
    let statements = [partitions::protect(id.table(), &name), partitions::attach(id.table(), &name, id.month())];
    let statements: Vec<String> = statements.into_iter().filter(|statement| !statement.is_empty()).collect();
    moves::within(&mut transaction, id, &statements.join("; ")).await?;
    Ok(transaction.commit().await.doing("could not bring a month back")?)
}

/// Gives PostgreSQL the rows as it takes them.
struct Loader<'a, C: DerefMut<Target = PgConnection>> {
    copying: PgCopyIn<C>,
    manifest: &'a Manifest,
}

impl<C: DerefMut<Target = PgConnection> + Send> read::Take for Loader<'_, C> {
    async fn take(&mut self, rows: &[Row]) -> Result<(), ArchiveError> {
        let mut text = String::new();
        for row in rows {
            line(&mut text, row, &self.manifest.columns).ok_or_else(|| ArchiveError::Corrupt {
                id: self.manifest.id,
                message: "a time in it is none".to_owned(),
            })?;
        }
        self.copying.send(text.into_bytes()).await.doing("could not load a month")?;
        Ok(())
    }
}

/// A row as `copy` reads it.
fn line(text: &mut String, row: &Row, columns: &[Column]) -> Option<()> {
    for (n, (value, column)) in row.iter().zip(columns).enumerate() {
        if n > 0 {
            text.push('\t');
        }
        match (value, column.kind()) {
            (None, _) => text.push_str("\\N"),
            (Some(micros), Kind::Time) => {
                let time = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
                write!(text, "{}", time.format("%Y-%m-%d %H:%M:%S%.6f+00")).ok()?;
            }
            (Some(value), _) => value.chars().for_each(|c| match c {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c => text.push(c),
            }),
        }
    }
    text.push('\n');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_would_end_it() {
        let columns = ["text", "text", "timestamp with time zone"]
            .map(|type_name| Column { name: String::new(), type_name: type_name.to_owned() });
        let row: Row = vec![Some("a\tb\\N\r\n".to_owned()), None, Some("-1".to_owned())];
        let mut text = String::new();
        line(&mut text, &row, &columns).unwrap();
        assert_eq!(text, "a\\tb\\\\N\\r\\n\t\\N\t1969-12-31 23:59:59.999999+00\n");
    }
}
