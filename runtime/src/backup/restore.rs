//! Restoring a backup into the place of the database that it is of.
//!
//! It is restored into a database beside, compared there with what was counted, and both are renamed in one transaction, so whoever
//! is killed anywhere leaves the old database or the new one, whole. The old one is kept under another name. To restore within the
//! database itself would not do: a run that dies between dropping and filling leaves neither.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgConnection;

use super::differences::differences;
use super::error::BackupError;
use super::manifest::Manifest;
use super::newer::{self, MONEY, Newer};
use super::scratch::{self, Scratch};
use super::{Backups, server, sums, swap, verify};
use crate::cdc;
use crate::database::{self, Doing};
use crate::ids::BackupId;
use crate::migrate::{self, MigrateError, Patience};

/// PostgreSQL cuts longer names, and then finds that they are the same.
const NAME_BYTES_MAX: usize = 63;

/// What is to be restored, and into which place.
#[derive(Clone, Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub id: BackupId,
    /// The PaymentCluster whose backup and database it must be.
    pub owner: &'a str,
    /// The database.
    pub url: &'a SecretString,
    /// How many payments a person said may be lost. The very number, or nothing is done.
    pub discard_newer: usize,
    /// Whether the old database is dropped in the end.
    pub drop_old: bool,
    /// How long to wait for the database, and for one who migrates it.
    pub patience: Patience,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The backup.
    pub id: BackupId,
    /// Version of the schema that is in force now.
    pub schema_version: i64,
    /// Payments that were lost, as a person wished.
    pub discarded: usize,
    /// The name of the database that was there before; none when it was dropped, or when nothing had changed since the backup.
    pub kept_as: Option<String>,
    /// Whether the old database was published to analytics, which has to subscribe to the new one: `purser cdc apply`.
    pub was_published: bool,
}

impl Backups {
    /// Puts a verified backup into the place of the database.
    ///
    /// # Errors
    /// [`BackupError::Refused`] when that would lose a payment, or the backup is not verified. After any error the old database is in
    /// its place.
    pub async fn restore(&self, restore: Restore<'_>, now: DateTime<Utc>) -> Result<Restored, BackupError> {
        let manifest = self.find_of(restore.id, restore.owner).await?;
        if manifest.verified_at.is_none() {
            return Err(BackupError::Refused(format!("backup {} is not verified: purser backup verify", manifest.id)));
        }
        let mut current = database::connect(restore.url, "purser backup", restore.patience.connect).await?;
        migrate::take_lock(&mut current, restore.patience.lock).await?;
        sums::settle(&mut current).await?;
        let status = migrate::status(&mut current).await?;
        if let Some(owner) = status.owner.filter(|owner| owner != restore.owner) {
            return Err(MigrateError::OwnedByAnother { owner }.into());
        }
        let was_published = cdc::is_published(&mut current).await?;
        let done = Restored {
            id: manifest.id,
            schema_version: manifest.schema_version,
            discarded: 0,
            kept_as: None,
            was_published: false,
        };
        if differences(&manifest.tables, &sums::count(&mut current).await?).is_empty() {
            tracing::info!(id = %manifest.id, "the database is as it was when the backup was made");
            return Ok(done);
        }
        // Nobody may be connected to a database that is renamed, and so whoever renames is connected to one of its own.
        let mut aside = Scratch::make(restore.url, restore.patience.connect, now).await?;
        aside.leave().await;
        let replaced = match Scratch::make(&aside.url, restore.patience.connect, now).await {
            Ok(beside) => {
                let name = beside.name();
                let replaced = self.replace(&restore, &manifest, current, beside, &mut aside, now);
                let replaced = self.unless_stopped(replaced).await;
                if replaced.is_err() {
                    // The failure says more than one of this would, and the next run drops it.
                    let _ = scratch::drop_database(aside.session(), &name).await;
                }
                replaced
            }
            Err(error) => Err(error),
        };
        let dropped = aside.drop().await;
        let (discarded, kept_as) = replaced?;
        dropped?;
        let kept_as = match kept_as {
            Some(old) if restore.drop_old => {
                let mut session = database::connect(restore.url, "purser backup", restore.patience.connect).await?;
                scratch::drop_database(&mut session, &old).await?;
                None
            }
            kept_as => kept_as,
        };
        Ok(Restored { discarded, kept_as, was_published, ..done })
    }

    /// How many payments were lost, and under which name the old database is kept.
    async fn replace(
        &self,
        restore: &Restore<'_>,
        manifest: &Manifest,
        mut current: PgConnection,
        mut beside: Scratch,
        aside: &mut Scratch,
        now: DateTime<Utc>,
    ) -> Result<(usize, Option<String>), BackupError> {
        let discarded = self.prepare(restore, manifest, &mut current, &mut beside).await?;
        let (_, name) = server::names(restore.url)?;
        let (new, old) = (beside.name(), old_name(&name, now));
        beside.release().await;
        self.detach(restore).await;
        swap::swap(current, &new, &name, &old, aside, restore.patience.connect).await?;
        Ok((discarded, Some(old)))
    }

    /// A replication slot stays with the database that it was made in, and whoever takes from it would be in the way of the new
    /// name. Where analytics does not answer, nobody takes either; the slot goes when it is subscribed anew.
    async fn detach(&self, restore: &Restore<'_>) {
        let Some(analytics) = &self.analytics else { return };
        match cdc::detach(restore.owner, analytics, restore.patience.connect).await {
            Ok(true) => tracing::info!("analytics is no longer subscribed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "analytics was not told of the restore"),
        }
    }

    /// Fills the database beside, and makes sure that nothing is lost. From then on nobody can write into the current one.
    async fn prepare(
        &self,
        restore: &Restore<'_>,
        manifest: &Manifest,
        current: &mut PgConnection,
        beside: &mut Scratch,
    ) -> Result<usize, BackupError> {
        let url = beside.url.clone();
        self.fill(manifest, &url, beside.session(), true).await?;
        verify::compare(manifest, beside.session()).await?;
        refuse_writes(current).await?;
        let lost = match newer::newer(current, beside.session()).await? {
            Newer::Payments(payments) => payments.len(),
            Newer::Unknown(table) => {
                let why = format!("the database has no table {table} any more, so nobody can say what would be lost");
                return Err(BackupError::Refused(why));
            }
        };
        if lost != restore.discard_newer {
            return Err(BackupError::Refused(format!(
                "{lost} payments were made or changed since backup {} and would be lost; whoever wants that says \
                 --discard-newer {lost}",
                manifest.id
            )));
        }
        Ok(lost)
    }
}

/// Until the transaction ends. What is being written now is waited for, and then compared. The ledger alone may be locked by nobody,
/// for nobody may change it; but a line of it comes with a change of another table, in one commit.
async fn refuse_writes(current: &mut PgConnection) -> Result<(), BackupError> {
    sqlx::raw_sql("begin").execute(&mut *current).await.doing("could not begin to refuse writes")?;
    let names: Vec<&str> = MONEY.iter().map(|(name, _)| *name).collect();
    let statement: Option<String> = sqlx::query_scalar(
        "select 'lock table ' || string_agg(oid::regclass::text, ', ') || ' in share mode' from pg_class
         where relnamespace = 'public'::regnamespace and relname = any($1) and relkind in ('r', 'p')
             and has_table_privilege(oid, 'update')",
    )
    .bind(names)
    .fetch_one(&mut *current)
    .await
    .doing("could not look for the tables of payments")?;
    if let Some(statement) = statement {
        // Names come from the catalogue, quoted.
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(current).await.doing("could not refuse writes")?;
    }
    Ok(())
}

/// `payments_before_20261124193000`.
fn old_name(name: &str, now: DateTime<Utc>) -> String {
    let ending = now.format("_before_%Y%m%d%H%M%S").to_string();
    let room = NAME_BYTES_MAX.saturating_sub(ending.len()).min(name.len());
    let end = (0..=room).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{ending}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_database_has_a_name_that_postgresql_takes() {
        let now = "2026-11-24T19:30:00Z".parse().unwrap();
        assert_eq!(old_name("payments", now), "payments_before_20261124193000");
        let long = old_name(&"ä".repeat(40), now);
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("ä_before_20261124193000"), "{long}");
    }
}
