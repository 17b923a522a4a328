//! A database copied into another one, from one program into the other, without a file between them.

use secrecy::SecretString;
use sqlx::PgConnection;

use super::error::BackupError;
use super::{ScratchServer, programs, server};
use crate::database::Doing;

/// Copies a database, which is only read, into an empty one. `session` is one in that.
pub(super) async fn copy(
    from: &SecretString,
    to: &SecretString,
    session: &mut PgConnection,
    scratch: &ScratchServer,
) -> Result<(), BackupError> {
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
        .fetch_one(session)
        .await
        .doing("could not ask for the server's version")?;
    let needed = u32::try_from(version).unwrap_or(0) / 10_000;
    let dump = programs::find("pg_dump", needed).await?;
    let restore = programs::find("pg_restore", needed).await?;
    let mut dumping =
        dump.start(from, &["--format=custom", "--compress=0", programs::LOCK_WAIT, programs::NOT_OURS])?;
    let (_, database) = server::names(to)?;
    let mut restoring =
        restore.start(to, &programs::restore_arguments(&format!("--dbname={database}"), scratch.is_home))?;
    let (output, dump_said) = (dumping.stdout.take(), programs::listen(dumping.stderr.take()));
    let (input, restore_said) = (restoring.stdin.take(), programs::listen(restoring.stderr.take()));
    let feed = async {
        if let (Some(mut output), Some(mut input)) = (output, input) {
            // The one of the two that is to blame says why.
            let _ = tokio::io::copy(&mut output, &mut input).await;
        }
    };
    let ((), dump_said, restore_said) = tokio::join!(feed, dump_said, restore_said);
    dump.ended(&mut dumping, &dump_said).await?;
    restore.ended(&mut restoring, &restore_said).await
}
