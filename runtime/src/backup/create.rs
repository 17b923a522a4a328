//! Making a backup: snapshot, dump and count at the same time, manifest.

use std::time::{Duration, Instant};

use age::Encryptor;
use chrono::{DateTime, Utc};
use object_store::buffered::BufWriter;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::compat::{FuturesAsyncWriteCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::io::InspectWriter;

use super::error::BackupError;
use super::manifest::{FORMAT, Manifest, Table};
use super::programs::{self, Program};
use super::{Backups, sums};
use crate::archive;
use crate::database::{self, Doing};
use crate::ids::BackupId;
use crate::migrate::{self, MigrateError, Patience};
use crate::storage::{StorageError, StorageKey};

/// How often a long dump says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What is backed up, and for whom.
#[derive(Clone, Debug)]
pub struct Create<'a> {
    /// The database.
    pub url: &'a SecretString,
    /// The PaymentCluster that it must belong to; whoever names none takes it as it is.
    pub owner: Option<&'a str>,
    /// How long to wait for the database, and for one who migrates it.
    pub patience: Patience,
}

/// The moment that is backed up.
struct Snapshot {
    name: String,
    owner: String,
    schema_version: i64,
    server_version: u32,
    database_bytes: u64,
}

/// What was written.
struct Written {
    dump_bytes: u64,
    stored_bytes: u64,
    sha256: String,
}

impl Backups {
    /// Makes a backup. It is not verified yet. When it fails, or is told to stop, nothing is left of it.
    ///
    /// # Errors
    /// When the database, `pg_dump` or the store does not do its part, or somebody migrates meanwhile.
    pub async fn create(&self, create: Create<'_>, now: DateTime<Utc>) -> Result<Manifest, BackupError> {
        let Create { url, owner, patience } = create;
        let mut connection = database::connect(url, "purser backup", patience.connect).await?;
        // Nobody changes the schema meanwhile, and nobody else makes a backup of this database.
        migrate::take_lock(&mut connection, patience.lock).await?;
        put_back_left_out(&mut connection, owner).await?;
        let snapshot = snapshot(&mut connection, owner).await?;
        let program = programs::find("pg_dump", snapshot.server_version / 10_000).await?;
        self.store.sweep(&snapshot.owner).await?;
        let id = BackupId::at(now);
        tracing::info!(%id, owner = snapshot.owner, database_bytes = snapshot.database_bytes, "dumping");
        let mut writer = self.store.writer(&snapshot.owner, id, snapshot.database_bytes);
        let mut ending = false;
        let dump = self.dump(url, &program, &snapshot.name, &mut writer, &mut ending);
        let count = async { sums::count(&mut connection).await.map_err(BackupError::from) };
        let done = self.unless_stopped(async { tokio::try_join!(dump, count) }).await;
        let done = match done {
            Ok((written, tables)) => self.finish(id, now, &snapshot, &program, written, tables).await,
            Err(error) => {
                if !ending {
                    // What it could not take back is no backup, and the next run clears it away.
                    let _ = writer.abort().await;
                }
                Err(error)
            }
        };
        if done.is_err() {
            // The failure says more than one of this would.
            let _ = self.store.remove(&snapshot.owner, id).await;
        }
        // Its snapshot and its lock go with it.
        connection.close().await.doing("could not end the connection")?;
        done
    }

    async fn finish(
        &self,
        id: BackupId,
        now: DateTime<Utc>,
        snapshot: &Snapshot,
        program: &Program,
        written: Written,
        tables: Vec<Table>,
    ) -> Result<Manifest, BackupError> {
        let manifest = Manifest {
            format: FORMAT,
            id,
            owner: snapshot.owner.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            schema_version: snapshot.schema_version,
            server_version: snapshot.server_version,
            program_version: program.version.clone(),
            created_at: now,
            verified_at: None,
            encrypted: self.key.is_some(),
            stored_bytes: written.stored_bytes,
            dump_bytes: written.dump_bytes,
            sha256: written.sha256,
            tables,
        };
        self.store.write(&manifest).await?;
        tracing::info!(%id, bytes = manifest.stored_bytes, tables = manifest.tables.len(), "backed up");
        Ok(manifest)
    }

    /// Dumps what the snapshot shows into the store. `ending` says whether the store was told that this is all.
    async fn dump(
        &self,
        url: &SecretString,
        program: &Program,
        snapshot: &str,
        writer: &mut BufWriter,
        ending: &mut bool,
    ) -> Result<Written, BackupError> {
        let snapshot = format!("--snapshot={snapshot}");
        let arguments = ["--format=custom", &snapshot, "--no-subscriptions", programs::LOCK_WAIT, programs::NOT_OURS];
        let mut child = program.start(url, &arguments)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut stdout = stdout.ok_or_else(|| program.failed("it has no output"))?;
        let mut sha256 = Sha256::new();
        let mut stored_bytes = 0_u64;
        let mut counted = InspectWriter::new(&mut *writer, |bytes: &[u8]| {
            sha256.update(bytes);
            stored_bytes += bytes.len() as u64;
        });
        let encryptor = self.key.as_ref().map(StorageKey::encryptor).transpose()?;
        let mut sink = sealed(encryptor, &mut counted).await.map_err(|error| unwritten(&error))?;
        let (pumped, said) = tokio::join!(pump(&mut stdout, &mut sink), programs::listen(stderr));
        // A program whose output nobody takes complains of that; the one who did not take it knows why.
        let dump_bytes = pumped?;
        program.ended(&mut child, &said).await?;
        *ending = true;
        sink.shutdown().await.map_err(|error| unwritten(&error))?;
        drop(sink);
        Ok(Written { dump_bytes, stored_bytes, sha256: hex::encode(sha256.finalize()) })
    }
}

fn unwritten(error: &std::io::Error) -> BackupError {
    StorageError::Refused { doing: "write a dump", message: error.to_string() }.into()
}

/// A writer whose bytes are encrypted first, if they are to be.
async fn sealed<'a>(
    encryptor: Option<Encryptor>,
    output: &'a mut (impl AsyncWrite + Unpin + Send),
) -> std::io::Result<Box<dyn AsyncWrite + Unpin + Send + 'a>> {
    Ok(match encryptor {
        Some(encryptor) => Box::new(encryptor.wrap_async_output(output.compat_write()).await?.compat_write()),
        None => Box::new(output),
    })
}

async fn pump(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> Result<u64, BackupError> {
    let mut buffer = vec![0; 64 << 10];
    let (mut bytes, mut told) = (0_u64, Instant::now());
    loop {
        let read = from.read(&mut buffer).await.map_err(|error| unwritten(&error))?;
        if read == 0 {
            return Ok(bytes);
        }
        to.write_all(&buffer[..read]).await.map_err(|error| unwritten(&error))?;
        bytes += read as u64;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            tracing::info!(bytes, "dumping");
        }
    }
}

/// What archiving took out of its table and did not put back would count as lost to whoever compares this backup with the database.
/// It is in the backup all the same, so that nothing here is a reason to make none.
async fn put_back_left_out(connection: &mut PgConnection, owner: Option<&str>) -> Result<(), BackupError> {
    let theirs = migrate::owner_if_any(connection).await?;
    // Another's database is refused below, and left alone.
    if owner.is_none_or(|owner| theirs.as_deref() == Some(owner))
        && let Err(error) = archive::put_back_left_out(connection).await
    {
        tracing::warn!("backed up as it is: {error}");
    }
    Ok(())
}

/// Begins a transaction that sees the database as it is now, and that others can look through.
async fn snapshot(connection: &mut PgConnection, owner: Option<&str>) -> Result<Snapshot, BackupError> {
    sums::settle(connection).await?;
    sqlx::raw_sql("begin isolation level repeatable read read only")
        .execute(&mut *connection)
        .await
        .doing("could not begin to look at the database")?;
    let status = migrate::status(connection).await?;
    let theirs = status.owner.unwrap_or_default();
    match owner {
        Some(owner) if owner != theirs => return Err(MigrateError::OwnedByAnother { owner: theirs }.into()),
        None if theirs.is_empty() => return Err(MigrateError::OwnedByNobody.into()),
        _ => {}
    }
    let (name, server_version, bytes): (String, i32, i64) = sqlx::query_as(
        "select pg_export_snapshot(), current_setting('server_version_num')::int, pg_database_size(current_database())",
    )
    .fetch_one(connection)
    .await
    .doing("could not take a snapshot")?;
    Ok(Snapshot {
        name,
        owner: theirs,
        schema_version: status.database_version,
        server_version: u32::try_from(server_version).unwrap_or(0),
        database_bytes: u64::try_from(bytes).unwrap_or(0),
    })
}
