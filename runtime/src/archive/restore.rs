//! The way back: a month out of an archive into its table.

use std::fmt::Write as _;
use std::ops::DerefMut;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::postgres::PgCopyIn;
use sqlx::{Connection, PgConnection};

use super::column::{self, Column, Kind};
use super::error::ArchiveError;
use super::id::ArchiveId;
use super::manifest::Manifest;
use super::parquet_file::Row;
use super::store::Store;
use super::{Archives, join, look, moves, read, refuse_in_maintenance};
use crate::database::Doing;
use crate::migrate::{self, Patience};

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
        refuse_other_rows(connection, &manifest, &session.owner).await?;
        refuse_other_columns(connection, &manifest).await?;
        tracing::info!(%id, rows = manifest.rows, "bringing back");
        self.load(connection, &store, &manifest).await?;
        join::prepare(connection, id).await?;
        join::attach(connection, id, now).await?;
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
        let table = join::loading(id);
        let mut transaction = connection.begin().await.doing("could not begin to bring a month back")?;
        join::make(&mut transaction, id).await?;
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
        let statement =
            format!("copy {} ({}) from stdin", join::loading(manifest.id), column::names(&manifest.columns));
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

/// What this database wrote down when it dropped the month must be what the archive has. A database that was restored from a backup
/// of before has not written it down; then it is to be its own archive at least.
async fn refuse_other_rows(
    connection: &mut PgConnection,
    manifest: &Manifest,
    owner: &str,
) -> Result<(), ArchiveError> {
    let Manifest { id, rows, checksum, .. } = manifest;
    let noted: Option<(i64, String)> =
        sqlx::query_as("select archived_rows, checksum from archived_partitions where partition = $1")
            .bind(id.to_string())
            .fetch_optional(connection)
            .await
            .doing("could not look at what was archived")?;
    let refused = match noted {
        Some((ours, sum)) if (u64::try_from(ours).ok(), &sum) != (Some(*rows), checksum) => format!(
            "the archive {id} has {rows} rows with the sum {checksum}, and this database archived {ours} with {sum}; \
             that archive may have been put aside, into the folder superseded"
        ),
        None if manifest.owner != owner => {
            format!("this database has never archived {id}, and the archive is of the database of {}", manifest.owner)
        }
        None => {
            tracing::warn!(%id, "this database has not written down that it archived this month; it is taken for its own");
            return Ok(());
        }
        Some(_) => return Ok(()),
    };
    Err(ArchiveError::Refused(refused))
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
