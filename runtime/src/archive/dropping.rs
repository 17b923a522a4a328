//! The end of a month that was proved to be in an archive: out of its table, compared once more, and dropped.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::error::ArchiveError;
use super::manifest::Manifest;
use super::run::{Step, is_same};
use super::{look, moves, refuse_in_maintenance};
use crate::database::Doing;

/// Says whether the partition is gone. If it is not, it is back in its table.
pub(super) async fn drop_or_put_back(
    connection: &mut PgConnection,
    manifest: &Manifest,
    told: &(dyn Fn(Step) + Sync),
    now: DateTime<Utc>,
) -> Result<bool, ArchiveError> {
    let dropped = detach_and_drop(connection, manifest, told, now).await;
    if matches!(dropped, Ok(true)) {
        return dropped;
    }
    if let Err(left_out) = moves::put_back(connection, manifest.id).await {
        // That it is in no list matters more than why it was not dropped.
        if let Err(error) = dropped {
            tracing::warn!(id = %manifest.id, "not dropped: {error}");
        }
        return Err(left_out);
    }
    dropped
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
    // What takes long comes last: until it is dropped or back, its rows are not to be found.
    let is_same =
        look::open(&mut transaction, id, now).await?.is_empty() && is_same(&mut transaction, manifest).await?;
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
