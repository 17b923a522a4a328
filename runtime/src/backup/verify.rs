//! Verifying a backup: restored into a database of its own, where every table must hold what was counted.

use std::time::Duration;

use age::{DecryptError, Decryptor};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::io::{InspectReader, StreamReader};

use super::differences::differences;
use super::error::BackupError;
use super::manifest::Manifest;
use super::programs::{self, Program};
use super::scratch::Scratch;
use super::{Backups, sums};
use crate::database::Doing;
use crate::ids::BackupId;
use crate::storage::StorageError;

/// Where a backup is restored to be looked at.
#[derive(Clone, Debug)]
pub struct ScratchServer {
    /// A database of the server; the scratch database is made beside it.
    pub url: SecretString,
    /// Whether it is the server that the backup is of, so that the same users are there.
    pub is_home: bool,
    /// How long to wait for it.
    pub wait: Duration,
}

/// A failure, and whether the store or the bytes are to blame rather than the program.
enum Fed {
    All,
    Unread(std::io::Error),
    KeyWrong,
    KeyMissing,
    Undecrypted(String),
    Refused,
}

impl Backups {
    /// Restores a backup into a database of its own, compares every table, and writes down that it is verified. One that was
    /// verified before and is corrupt now is verified no more.
    ///
    /// # Errors
    /// When it is not what its manifest says, or a server, `pg_restore` or the store does not do its part.
    pub async fn verify(
        &self,
        id: BackupId,
        server: &ScratchServer,
        now: DateTime<Utc>,
    ) -> Result<Manifest, BackupError> {
        let manifest = self.find(id).await?;
        let mut scratch = Scratch::make(&server.url, server.wait, now).await?;
        let checked = self.unless_stopped(self.check(&manifest, &mut scratch, server.is_home)).await;
        let dropped = scratch.drop().await;
        let verified_at = match &checked {
            Ok(()) => Some(now),
            Err(BackupError::Corrupt { .. } | BackupError::Differs { .. }) => None,
            Err(_) => manifest.verified_at,
        };
        let manifest = Manifest { verified_at, ..manifest };
        if checked.is_ok() || verified_at.is_none() {
            self.store.write(&manifest).await?;
        }
        checked?;
        dropped?;
        tracing::info!(%id, "verified");
        Ok(manifest)
    }

    async fn check(&self, manifest: &Manifest, scratch: &mut Scratch, is_home: bool) -> Result<(), BackupError> {
        let url = scratch.url.clone();
        self.fill(manifest, &url, scratch.session(), is_home).await?;
        compare(manifest, scratch.session()).await
    }

    /// Restores a backup into an empty database. `session` is one in it.
    pub(super) async fn fill(
        &self,
        manifest: &Manifest,
        url: &SecretString,
        session: &mut PgConnection,
        with_privileges: bool,
    ) -> Result<(), BackupError> {
        let server: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
            .fetch_one(session)
            .await
            .doing("could not ask for the server's version")?;
        let dumped_by = manifest.program_version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let needed = u32::try_from(server).unwrap_or(0) / 10_000;
        let program = programs::find("pg_restore", needed.max(dumped_by.parse().unwrap_or(0))).await?;
        let id = manifest.id;
        let corrupt = |message: String| BackupError::Corrupt { id, message };
        let (size, stream) = self.store.dump(manifest).await?;
        if size != manifest.stored_bytes {
            return Err(corrupt(format!("its dump has {size} bytes, not {}", manifest.stored_bytes)));
        }
        tracing::info!(%id, bytes = size, "restoring into a scratch database");
        let mut sha256 = Sha256::new();
        let mut reader = InspectReader::new(StreamReader::new(stream.boxed()), |bytes: &[u8]| sha256.update(bytes));
        let (fed, restored) = self.feed(manifest, &program, url, with_privileges, &mut reader).await?;
        // What comes behind a failure is read as well: the checksum says whether the bytes are to blame.
        let rest = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
        drop(reader);
        let unread =
            |error: &std::io::Error| StorageError::Refused { doing: "read a dump", message: error.to_string() };
        if let (Fed::Unread(error), _) | (_, Err(error)) = (&fed, &rest) {
            return Err(unread(error).into());
        }
        if hex::encode(sha256.finalize()) != manifest.sha256 {
            return Err(corrupt("its dump has another SHA-256 than its manifest".to_owned()));
        }
        match fed {
            Fed::KeyMissing => Err(BackupError::KeyMissing(id)),
            Fed::KeyWrong => Err(BackupError::KeyWrong(id)),
            Fed::Undecrypted(message) => Err(corrupt(message)),
            Fed::All | Fed::Refused | Fed::Unread(_) => restored,
        }
    }

    /// Gives `pg_restore` what it restores. Inside is how far that went, and how it ended.
    async fn feed(
        &self,
        manifest: &Manifest,
        program: &Program,
        url: &SecretString,
        with_privileges: bool,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Result<(Fed, Result<(), BackupError>), BackupError> {
        let mut plain: Box<dyn AsyncRead + Unpin + '_> = if manifest.encrypted {
            let Some(key) = &self.key else { return Ok((Fed::KeyMissing, Ok(()))) };
            match Decryptor::new_async(reader.compat()).await.and_then(|sealed| key.decrypt(sealed)) {
                Ok(plain) => Box::new(plain.compat()),
                Err(error) => return Ok((undecrypted(error), Ok(()))),
            }
        } else {
            Box::new(reader)
        };
        let (_, database) = super::server::names(url)?;
        let into = format!("--dbname={database}");
        let arguments = programs::restore_arguments(&into, with_privileges);
        let mut child = program.start(url, &arguments)?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let mut stdin = stdin.ok_or_else(|| program.failed("it has no input"))?;
        let feed = async {
            let fed = pump(&mut plain, &mut stdin).await;
            // It takes the end of its input for the end of the dump.
            drop(stdin);
            fed
        };
        let (fed, said) = tokio::join!(feed, programs::listen(stderr));
        let restored = program.ended(&mut child, &said).await;
        Ok((fed, restored))
    }
}

fn undecrypted(error: DecryptError) -> Fed {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            Fed::KeyWrong
        }
        DecryptError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Fed::Unread(error),
        error => Fed::Undecrypted(error.to_string()),
    }
}

async fn pump(from: &mut (impl AsyncRead + Unpin + ?Sized), to: &mut tokio::process::ChildStdin) -> Fed {
    use tokio::io::AsyncReadExt;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => return Fed::All,
            // The program knows why, and says so.
            Ok(read) if to.write_all(&buffer[..read]).await.is_err() => return Fed::Refused,
            Ok(_) => {}
            // Bytes that are not what was encrypted.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Fed::Undecrypted(error.to_string());
            }
            Err(error) => return Fed::Unread(error),
        }
    }
}

/// Compares every table with what was counted.
pub(super) async fn compare(manifest: &Manifest, session: &mut PgConnection) -> Result<(), BackupError> {
    sums::settle(session).await?;
    tracing::info!(id = %manifest.id, tables = manifest.tables.len(), "comparing");
    let there = sums::count(session).await?;
    let differences = differences(&manifest.tables, &there);
    if differences.is_empty() { Ok(()) } else { Err(BackupError::Differs { id: manifest.id, differences }) }
}
