//! Archiving: each month that may go, one after another, step by step.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::column::{self, Column};
use super::error::ArchiveError;
use super::id::ArchiveId;
use super::look::{self, Place};
use super::manifest::{FORMAT, Manifest};
use super::store::Store;
use super::{Archives, Session, moves, plan, read, refuse_in_maintenance, write};
use crate::database::Doing;
use crate::migrate::{self, Patience};

/// What is archived, and for whom.
pub struct Run<'a> {
    /// The database.
    pub url: &'a SecretString,
    /// The PaymentCluster that it must belong to; whoever names none takes it as it is.
    pub owner: Option<&'a str>,
    /// A month stays until it has been over for so many months.
    pub keep_months: u16,
    /// How long to wait for the database, and for others who are at it.
    pub patience: Patience,
    /// Is told of every step.
    pub told: &'a (dyn Fn(ArchiveId, Step) + Send + Sync),
}

/// How far a month is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// PostgreSQL counted it and summed it up.
    Counted,
    /// It is in the store.
    Written,
    /// It was read back from there, and is what was counted.
    ReadBack,
    /// Its manifest is in the store: it is an archive.
    Described,
    /// It is out of its table.
    Detached,
    /// Nobody changed it meanwhile, and nobody can any more.
    Compared,
    /// It is dropped.
    Dropped,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// Months that are in the archive now, and not in the database.
    pub archived: Vec<Manifest>,
    /// Months that are old enough, and stay.
    pub stayed: Vec<Stayed>,
}

/// A month that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stayed {
    /// Which one.
    pub id: ArchiveId,
    /// Why.
    pub why: String,
}

impl Archives {
    /// Archives every month that may go. Others stay, and it is said why.
    ///
    /// # Errors
    /// When the database or the store does not do its part. Months that were done until then stay archived, all others are in
    /// the database.
    pub async fn run(&self, run: Run<'_>, now: DateTime<Utc>) -> Result<Archived, ArchiveError> {
        let mut session = self.session(run.url, run.owner, run.patience).await?;
        put_back_all(&mut session.connection).await?;
        refuse_in_maintenance(&mut session.connection).await?;
        let (mut archived, mut changed, mut tried) = (Vec::new(), Vec::new(), BTreeSet::new());
        // Each month is looked through once more before it is dropped.
        let (mut seen, summed_up) = look::look(&mut session.connection, run.keep_months, now).await?;
        let plan = loop {
            // Anew each time: what is said of payments goes once they are gone.
            let plan = plan::plan(&seen, summed_up, run.keep_months, now);
            let Some(id) = plan.go.iter().copied().find(|id| tried.insert(*id)) else { break plan };
            if self.stop.is_cancelled() {
                return Err(ArchiveError::Interrupted);
            }
            match self.archive(&mut session, id, &run, now).await? {
                Some(manifest) => {
                    seen.retain(|seen| seen.id != id);
                    archived.push(manifest);
                }
                None => changed.push(Stayed { id, why: "it was changed while it was archived".to_owned() }),
            }
        };
        session.connection.close().await.doing("could not end the connection")?;
        let stay = plan.stay.into_iter().map(|(id, why)| Stayed { id, why: why.to_string() });
        Ok(Archived { archived, stayed: stay.chain(changed).collect() })
    }

    async fn archive(
        &self,
        session: &mut Session,
        id: ArchiveId,
        run: &Run<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Manifest>, ArchiveError> {
        let Session { connection, owner, schema_version } = session;
        let store = self.of(owner);
        let told = |step| (run.told)(id, step);
        let columns = column::of(connection, &id.to_string()).await?;
        sqlx::raw_sql("begin isolation level repeatable read read only")
            .execute(&mut *connection)
            .await
            .doing("could not begin to read a partition")?;
        let sum = column::sum(connection, &columns, &id.to_string()).await?;
        told(Step::Counted);
        let manifest = self.written(connection, &store, (id, *schema_version), columns, sum, now).await?;
        sqlx::raw_sql("commit").execute(&mut *connection).await.doing("could not end reading a partition")?;
        told(Step::Written);
        if let Err(error) = read::verify(&store, &manifest, &self.stop).await {
            if matches!(error, ArchiveError::Corrupt { .. }) {
                // The next run writes it anew.
                store.clear(id).await?;
            }
            return Err(error);
        }
        told(Step::ReadBack);
        store.write(&manifest).await?;
        if store.find(id).await?.as_ref() != Some(&manifest) {
            return Err(ArchiveError::Corrupt {
                id,
                message: "its manifest is not read back as it was written".to_owned(),
            });
        }
        told(Step::Described);
        // Nobody changes the schema from here on.
        migrate::take_lock(connection, run.patience.lock).await?;
        let dropped = detach_and_drop(connection, &manifest, &told, now).await;
        if !matches!(dropped, Ok(true)) {
            // The next run tries again if this does not succeed.
            if let Err(error) = moves::put_back(connection, id).await {
                tracing::warn!(%id, "could not put a partition back: {error}");
            }
        }
        migrate::release_lock(connection).await?;
        Ok(dropped?.then_some(manifest))
    }

    /// What stands in the store for a partition: of an earlier run if that is the same, or else written now.
    async fn written(
        &self,
        connection: &mut PgConnection,
        store: &Store<'_>,
        (id, schema_version): (ArchiveId, i64),
        columns: Vec<Column>,
        (rows, checksum): (u64, String),
        now: DateTime<Utc>,
    ) -> Result<Manifest, ArchiveError> {
        match store.find(id).await {
            Ok(Some(found)) if (&found.columns, found.rows, &found.checksum) == (&columns, rows, &checksum) => {
                match read::verify(store, &found, &self.stop).await {
                    Ok(()) => return Ok(found),
                    // It says what it should, and cannot be read: by nobody, or not with the key of now.
                    Err(ArchiveError::Corrupt { .. } | ArchiveError::KeyWrong(_) | ArchiveError::KeyMissing(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(_) | Err(ArchiveError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        store.clear(id).await?;
        tracing::info!(%id, rows, "archiving");
        let files = write::write(connection, store, id, &columns, &self.stop).await?;
        let (from, to) = id.range();
        Ok(Manifest {
            format: FORMAT,
            id,
            owner: store.owner.to_owned(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            schema_version,
            table: id.table().to_owned(),
            from,
            to,
            created_at: now,
            encrypted: self.key.is_some(),
            rows,
            checksum,
            columns,
            files,
        })
    }
}

/// Puts back what a run that was killed took out of its table.
pub(super) async fn put_back_all(connection: &mut PgConnection) -> Result<(), ArchiveError> {
    for (id, place) in look::partitions(connection).await? {
        if place != Place::Attached {
            tracing::info!(%id, "putting back what an interrupted run took out");
            moves::put_back(connection, id).await?;
        }
    }
    Ok(())
}

/// Says whether the partition is gone. If it is not what was archived, it is detached and whole.
async fn detach_and_drop(
    connection: &mut PgConnection,
    manifest: &Manifest,
    told: &(dyn Fn(Step) + Sync),
    now: DateTime<Utc>,
) -> Result<bool, ArchiveError> {
    let id = manifest.id;
    moves::detach(connection, id).await?;
    told(Step::Detached);
    let mut transaction = connection.begin().await.doing("could not begin to drop a partition")?;
    // Changes nothing and locks the table. `lock table` would need rights that nobody has on the ledger.
    moves::within(&mut transaction, id, &format!("alter table {id} set logged")).await?;
    let is_same = column::of(&mut transaction, &id.to_string()).await? == manifest.columns
        && column::sum(&mut transaction, &manifest.columns, &id.to_string()).await?
            == (manifest.rows, manifest.checksum.clone())
        && look::open(&mut transaction, id, now).await?.is_empty();
    refuse_in_maintenance(&mut transaction).await?;
    if !is_same {
        transaction.rollback().await.doing("could not let a partition go")?;
        return Ok(false);
    }
    told(Step::Compared);
    record(&mut transaction, manifest, now).await?;
    moves::within(&mut transaction, id, &format!("drop table {id}")).await?;
    transaction.commit().await.doing("could not drop a partition")?;
    told(Step::Dropped);
    tracing::info!(%id, rows = manifest.rows, bytes = manifest.bytes(), "archived");
    Ok(true)
}

async fn record(connection: &mut PgConnection, manifest: &Manifest, now: DateTime<Utc>) -> Result<(), ArchiveError> {
    sqlx::query(
        "insert into archived_partitions
             (partition, table_name, month_start, month_end, archived_rows, checksum, totals, archived_at)
         values ($1, $2, $3, $4, $5, $6, case when $2 = 'ledger_entries' then ledger_totals_mark($3, $4) end, $7)
         on conflict (partition) do update set archived_rows = excluded.archived_rows, checksum = excluded.checksum,
             totals = excluded.totals, archived_at = excluded.archived_at, restored_at = null",
    )
    .bind(manifest.id.to_string())
    .bind(&manifest.table)
    .bind(manifest.from)
    .bind(manifest.to)
    .bind(i64::try_from(manifest.rows).unwrap_or(i64::MAX))
    .bind(&manifest.checksum)
    .bind(now)
    .execute(connection)
    .await
    .doing("could not write down what was archived")?;
    Ok(())
}
