//! Archiving: each month that may go, one after another, step by step.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::column::{self, Column};
use super::dropping::drop_or_put_back;
use super::error::ArchiveError;
use super::id::ArchiveId;
use super::look;
use super::manifest::{FORMAT, Manifest};
use super::store::Store;
use super::{Archives, Session, moves, plan, read, refuse_in_maintenance, write};
use crate::database::{DatabaseError, Doing};
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
        refuse_in_maintenance(&mut session.connection).await?;
        put_back(&mut session.connection, run.patience).await?;
        if let Err(error) = self.of(&session.owner).sweep().await {
            tracing::warn!("what killed runs have left in the store stays there: {error}");
        }
        let (mut archived, mut stayed, mut tried) = (Vec::new(), Vec::new(), BTreeSet::new());
        // Each month is looked through once more before it is dropped.
        let (mut seen, summed_up) = look::look(&mut session.connection, run.keep_months, now).await?;
        let plan = loop {
            // Anew each time: what is said of payments goes once they are gone.
            let plan = plan::plan(&seen, summed_up, run.keep_months, now);
            let Some(id) = plan.go.iter().copied().find(|id| tried.insert(*id)) else { break plan };
            self.go_on()?;
            match self.archive(&mut session, id, &run, now).await? {
                Ended::Archived(manifest) => {
                    seen.retain(|seen| seen.id != id);
                    archived.push(*manifest);
                }
                Ended::Stays(why) => stayed.push(Stayed { id, why }),
            }
        };
        session.connection.close().await.doing("could not end the connection")?;
        let stay = plan.stay.into_iter().map(|(id, why)| Stayed { id, why: why.to_string() });
        Ok(Archived { archived, stayed: stay.chain(stayed).collect() })
    }

    async fn archive(
        &self,
        session: &mut Session,
        id: ArchiveId,
        run: &Run<'_>,
        now: DateTime<Utc>,
    ) -> Result<Ended, ArchiveError> {
        let told = |step| (run.told)(id, step);
        let Some(manifest) = self.proved(session, id, &told, now).await? else { return Ok(Ended::Stays(changed())) };
        let connection = &mut session.connection;
        // Whoever is told to stop has little time, and what follows must not be interrupted. Nobody changes the schema from here on.
        self.go_on()?;
        migrate::take_lock(connection, run.patience.lock).await?;
        self.go_on()?;
        // Hours may have gone by.
        let open = look::open(connection, id, now).await?;
        let ended = if !open.is_empty() {
            Ended::Stays(plan::Why::Open(open).to_string())
        } else if drop_or_put_back(connection, &manifest, &told, now).await? {
            Ended::Archived(manifest.into())
        } else {
            Ended::Stays(changed())
        };
        migrate::release_lock(connection).await?;
        Ok(ended)
    }

    fn go_on(&self) -> Result<(), ArchiveError> {
        if self.stop.is_cancelled() { Err(ArchiveError::Interrupted) } else { Ok(()) }
    }

    /// An archive of the partition as it is: that of an earlier run if it is the same, or else one that is written now and read back.
    /// None if the partition was changed meanwhile. Nothing is locked and no snapshot is held for as long as that takes: what was
    /// read back must have the sum that PostgreSQL counted before, and the partition must have it again before it is dropped.
    async fn proved(
        &self,
        session: &mut Session,
        id: ArchiveId,
        told: &(dyn Fn(Step) + Sync),
        now: DateTime<Utc>,
    ) -> Result<Option<Manifest>, ArchiveError> {
        let Session { connection, owner, schema_version } = session;
        let store = self.of(owner);
        let columns = column::of(connection, &id.to_string()).await?;
        let sum = column::sum(connection, &columns, &id.to_string()).await?;
        told(Step::Counted);
        if let Some(found) = self.found(&store, id, &columns, &sum).await? {
            [Step::Written, Step::ReadBack, Step::Described].into_iter().for_each(told);
            return Ok(Some(found));
        }
        store.put_aside(id, &[]).await?;
        let manifest = self.written(connection, &store, (id, *schema_version), columns, sum, now).await?;
        told(Step::Written);
        if let Err(error) = read::verify(&store, &manifest, &self.stop).await {
            if !matches!(error, ArchiveError::Corrupt { .. }) {
                return Err(error);
            }
            // The next run writes it anew.
            store.discard(&manifest).await?;
            return if is_same(connection, &manifest).await? { Err(error) } else { Ok(None) };
        }
        told(Step::ReadBack);
        describe(&store, &manifest).await?;
        told(Step::Described);
        Ok(Some(manifest))
    }

    /// What an earlier run left in the store, if it is what PostgreSQL counts now.
    async fn found(
        &self,
        store: &Store<'_>,
        id: ArchiveId,
        columns: &[Column],
        (rows, checksum): &(u64, String),
    ) -> Result<Option<Manifest>, ArchiveError> {
        let found = match store.find(id).await {
            Ok(found) => found,
            Err(ArchiveError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        let is_same = |found: &Manifest| (&*found.columns, found.rows, &found.checksum) == (columns, *rows, checksum);
        let Some(found) = found.filter(is_same) else { return Ok(None) };
        match read::verify(store, &found, &self.stop).await {
            Ok(()) => Ok(Some(found)),
            // It says what it should, and cannot be read: by nobody, or not with the key of now.
            Err(ArchiveError::Corrupt { .. } | ArchiveError::KeyWrong(_) | ArchiveError::KeyMissing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn written(
        &self,
        connection: &mut PgConnection,
        store: &Store<'_>,
        (id, schema_version): (ArchiveId, i64),
        columns: Vec<Column>,
        (rows, checksum): (u64, String),
        now: DateTime<Utc>,
    ) -> Result<Manifest, ArchiveError> {
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

/// What became of a month.
enum Ended {
    Archived(Box<Manifest>),
    /// It stays, and why.
    Stays(String),
}

fn changed() -> String {
    "it was changed while it was archived".to_owned()
}

/// Puts back what an interrupted run took out of its table, while nobody changes the schema.
async fn put_back(connection: &mut PgConnection, patience: Patience) -> Result<(), ArchiveError> {
    if moves::left_out(connection).await?.is_empty() {
        return Ok(());
    }
    migrate::take_lock(connection, patience.lock).await?;
    moves::put_back_all(connection).await?;
    Ok(migrate::release_lock(connection).await?)
}

/// Whether the partition is what was counted.
pub(super) async fn is_same(connection: &mut PgConnection, manifest: &Manifest) -> Result<bool, DatabaseError> {
    let Manifest { id, columns, rows, checksum, .. } = manifest;
    let partition = id.to_string();
    Ok(column::of(connection, &partition).await? == *columns
        && column::sum(connection, columns, &partition).await? == (*rows, checksum.clone()))
}

/// Writes the manifest: from here on there is an archive.
async fn describe(store: &Store<'_>, manifest: &Manifest) -> Result<(), ArchiveError> {
    let id = manifest.id;
    // Another database of this name may have archived its month meanwhile.
    store.put_aside(id, &manifest.files).await?;
    store.write(manifest).await?;
    if store.find(id).await?.as_ref() == Some(manifest) {
        return Ok(());
    }
    Err(ArchiveError::Corrupt { id, message: "its manifest is not read back as it was written".to_owned() })
}
