//! `purser cdc status`: whether everything flows, and how far analytics is behind.

use secrecy::SecretString;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use super::error::CdcError;
use super::{connect_target, publication, source, subscription_name, target};
use crate::database::{self, DatabaseError, Doing};
use crate::migrate::Patience;

/// Where the flow stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether there is a publication.
    pub is_published: bool,
    /// The replication slot; none when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The subscription; none when there is none, or nobody could ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscribed>,
    /// Why the analytics database could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The replication slot on the payments database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether analytics takes from it right now.
    pub active: bool,
    /// Whether it is of this database, and not of one that was there before a restore.
    pub is_of_this_database: bool,
    /// How much analytics has not confirmed yet.
    pub lag_bytes: i64,
    /// How much the server keeps for it.
    pub retained_bytes: i64,
    /// PostgreSQL's word for whether that can go on: reserved, extended, unreserved, lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wal_status: Option<String>,
}

/// The subscription on the analytics database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether its worker runs.
    pub running: bool,
    /// Changes that could not be applied, counted since statistics were reset; the analytics server's log says why.
    pub apply_errors: i64,
    /// Copies of tables that failed, the same.
    pub copy_errors: i64,
    /// Tables that are still being copied.
    pub copying: Vec<String>,
}

impl Status {
    /// Whether everything flows.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let slot = self.slot.as_ref().is_some_and(|slot| {
            slot.active
                && slot.is_of_this_database
                && matches!(slot.wal_status.as_deref(), Some("reserved" | "extended"))
        });
        self.is_published
            && slot
            && self.problem.is_none()
            && self.subscription.as_ref().is_some_and(|found| found.enabled)
    }
}

/// Where the flow stands. Changes nothing, and waits for nobody. Without the URL only the payments database is asked.
///
/// # Errors
/// When the payments database does not answer.
pub async fn status(
    owner: &str,
    payments: &SecretString,
    analytics: Option<&SecretString>,
    patience: Patience,
) -> Result<Status, CdcError> {
    let name = subscription_name(owner);
    let mut session = database::connect(payments, "purser cdc", patience.connect).await?;
    let is_published = publication::find(&mut session).await?.is_some();
    let slot = source::slot(&mut session, &name).await?;
    let (subscription, problem) = match analytics {
        Some(url) => match subscribed(url, &name, patience).await {
            Ok(subscription) => (subscription, None),
            Err(error) => (None, Some(error.to_string())),
        },
        None => (None, None),
    };
    let slot = slot.map(|slot| Slot {
        name,
        active: slot.active,
        is_of_this_database: slot.is_here,
        lag_bytes: slot.lag_bytes,
        retained_bytes: slot.retained_bytes,
        wal_status: slot.wal_status,
    });
    Ok(Status { is_published, slot, subscription, problem })
}

async fn subscribed(url: &SecretString, name: &str, patience: Patience) -> Result<Option<Subscribed>, CdcError> {
    let mut there = connect_target(url, patience.connect).await?;
    let Some(tables) = target::subscribed(&mut there, name).await.map_err(CdcError::Analytics)? else {
        return Ok(None);
    };
    let row = health(&mut there, name).await.map_err(CdcError::Analytics)?;
    let copying = tables.into_iter().filter(|(_, state)| state != "r").map(|(table, _)| table).collect();
    let HealthRow { enabled, running, apply_errors, copy_errors } = row;
    Ok(Some(Subscribed { enabled, running, apply_errors, copy_errors, copying }))
}

#[derive(FromRow)]
struct HealthRow {
    enabled: bool,
    running: bool,
    apply_errors: i64,
    copy_errors: i64,
}

async fn health(there: &mut PgConnection, name: &str) -> Result<HealthRow, DatabaseError> {
    sqlx::query_as(
        "select s.subenabled as enabled,
             exists (select from pg_stat_subscription w where w.subid = s.oid and w.relid is null and w.pid is not null) as running,
             coalesce(t.apply_error_count, 0) as apply_errors, coalesce(t.sync_error_count, 0) as copy_errors
         from pg_subscription s left join pg_stat_subscription_stats t on t.subid = s.oid
         where s.subname = $1 and s.subdbid = (select oid from pg_database where datname = current_database())",
    )
    .bind(name)
    .fetch_one(there)
    .await
    .doing("could not ask how the subscription does")
}
