//! A database beside the real one, to restore a backup into.
//!
//! It is dropped at the end, however that comes about. One that a killed run left behind is dropped by the next run: it is known by
//! its name, by its owner, and by nobody being connected to it, since whoever uses one is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::BackupError;
use super::server;
use super::sums::quoted;
use crate::database::{self, DatabaseError, Doing};

const PREFIX: &str = "purser_scratch_";
/// One that is younger may be about to be connected to.
const LEFT_BEHIND_S: i64 = 60;

/// A database for a while.
pub(super) struct Scratch {
    name: String,
    /// How it is reached.
    pub(super) url: SecretString,
    /// How the database beside is reached.
    home: SecretString,
    wait: Duration,
    /// A session in the database beside, unless it was left.
    beside: Option<PgConnection>,
    /// Stays connected to it, so that nobody takes it for left behind.
    held: PgConnection,
}

impl Scratch {
    /// A new one, empty, with the encoding and the sorting of the one beside.
    pub(super) async fn make(url: &SecretString, wait: Duration, now: DateTime<Utc>) -> Result<Self, BackupError> {
        let mut beside = database::connect(url, "purser backup", wait).await?;
        sweep(&mut beside, now).await?;
        let name = format!("{PREFIX}{}_{:08x}", now.timestamp(), rand::random::<u32>());
        create(&mut beside, url, &name).await?;
        let home = url.clone();
        let url = server::with_database(&home, &name)?;
        let held = match database::connect(&url, "purser backup", wait).await {
            Ok(held) => held,
            Err(error) => {
                drop_database(&mut beside, &name).await?;
                return Err(error.into());
            }
        };
        Ok(Self { name, url, home, wait, beside: Some(beside), held })
    }

    /// The session that holds it, to look into it.
    pub(super) const fn session(&mut self) -> &mut PgConnection {
        &mut self.held
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Leaves the database beside, so that it can be renamed.
    pub(super) async fn leave(&mut self) {
        if let Some(beside) = self.beside.take() {
            // A session that is broken has left as well.
            let _ = beside.close().await;
        }
    }

    /// Lets it go, so that it can be renamed. Nobody drops it then.
    pub(super) async fn release(mut self) {
        self.leave().await;
        let _ = self.held.close().await;
    }

    /// Drops it, and whatever is connected to it.
    pub(super) async fn drop(self) -> Result<(), DatabaseError> {
        // It ends with the database at the latest.
        let _ = self.held.close().await;
        let mut beside = match self.beside {
            Some(beside) => beside,
            None => database::connect(&self.home, "purser backup", self.wait).await?,
        };
        drop_database(&mut beside, &self.name).await
    }
}

/// Makes a database like the one that the session is in.
pub(super) async fn create(beside: &mut PgConnection, url: &SecretString, name: &str) -> Result<(), BackupError> {
    let like: String = sqlx::query_scalar(
        "select format('encoding %L locale_provider %s lc_collate %L lc_ctype %L%s',
             pg_encoding_to_char(encoding), case d->>'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
             datcollate, datctype, case d->>'datlocprovider'
                 when 'i' then format(' icu_locale %L', coalesce(d->>'datlocale', d->>'daticulocale'))
                 when 'b' then format(' builtin_locale %L', d->>'datlocale') else '' end)
         from pg_database, to_jsonb(pg_database) d where datname = current_database()",
    )
    .fetch_one(&mut *beside)
    .await
    .doing("could not read how the database sorts")?;
    // Names are made here, and what is between quotes was quoted by PostgreSQL.
    let statement = format!("create database {} template template0 {like}", quoted(name));
    let created = sqlx::raw_sql(AssertSqlSafe(statement)).execute(beside).await;
    match created {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            Err(BackupError::MayNotCreate { user: server::names(url)?.0 })
        }
        created => Ok(created.map(drop).doing("could not create a database to restore into")?),
    }
}

/// Drops a database and ends the sessions in it.
pub(super) async fn drop_database(beside: &mut PgConnection, name: &str) -> Result<(), DatabaseError> {
    let statement = format!("set client_min_messages = warning; drop database if exists {}", quoted(name));
    let (set, drop) = statement.split_once("; ").unwrap_or_default();
    for statement in [set.to_owned(), format!("{drop} with (force)")] {
        // The name is made here.
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *beside)
            .await
            .doing("could not drop a scratch database")?;
    }
    Ok(())
}

async fn sweep(beside: &mut PgConnection, now: DateTime<Utc>) -> Result<(), DatabaseError> {
    let left: Vec<String> = sqlx::query_scalar(
        "select datname::text from pg_database d
         where starts_with(datname, $1) and pg_get_userbyid(datdba) = current_user
             and not exists (select from pg_stat_activity a where a.datid = d.oid)",
    )
    .bind(PREFIX)
    .fetch_all(&mut *beside)
    .await
    .doing("could not look for scratch databases")?;
    for name in left.iter().filter(|name| is_old(name, now)) {
        tracing::info!(name, "dropping a scratch database that an interrupted run left behind");
        drop_database(beside, name).await?;
    }
    Ok(())
}

fn is_old(name: &str, now: DateTime<Utc>) -> bool {
    let made = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()).and_then(|time| time.parse().ok());
    made.is_some_and(|made: i64| now.timestamp().saturating_sub(made) > LEFT_BEHIND_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_is_left_behind() {
        let now = DateTime::from_timestamp(1_795_000_100, 0).unwrap();
        assert!(is_old("purser_scratch_1795000000_0badcafe", now));
        for other in ["purser_scratch_1795000090_0badcafe", "purser_scratch_mine", "payments"] {
            assert!(!is_old(other, now), "{other}");
        }
    }
}
