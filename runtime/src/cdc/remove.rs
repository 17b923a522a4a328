//! `purser cdc remove`: nothing flows any more, and nothing is kept for it.

use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::CdcError;
use super::{PUBLICATION, connect_target, publication, source, subscription, subscription_name, target};
use crate::database::Doing;
use crate::migrate::Patience;

/// What was taken away; what was gone already is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The subscription on the analytics database.
    pub subscription: bool,
    /// The replication slot.
    pub slot: bool,
    /// The publication.
    pub publication: bool,
    /// Whether the analytics database could not be asked, and may have a subscription that finds nothing any more.
    pub unreached: bool,
}

/// Ends the flow. What analytics has, it keeps. Without the URLs, or without an answer from there, the slot is dropped from here, which
/// takes a role with REPLICATION.
///
/// # Errors
/// [`CdcError::SlotLeft`] and [`CdcError::SlotInUse`] when the slot is left; nothing is left behind that would be lost to a next run.
pub async fn remove(
    owner: &str,
    payments: &SecretString,
    analytics: Option<&SecretString>,
    from: Option<&SecretString>,
    patience: Patience,
) -> Result<Removed, CdcError> {
    let name = subscription_name(owner);
    let mut session = source::open(owner, payments, patience).await?;
    let mut removed = Removed::default();
    let had_slot = source::slot(&mut session, &name).await?.is_some();
    let mut there = match analytics {
        Some(url) => match connect_target(url, patience.connect).await {
            Ok(there) => Some(there),
            Err(error @ CdcError::Url(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the slot is dropped from the payments database");
                removed.unreached = true;
                None
            }
        },
        None => None,
    };
    if let Some(there) = &mut there {
        removed.subscription = unsubscribe(there, &name, from).await?;
    }
    if let Some(slot) = source::slot(&mut session, &name).await? {
        if slot.active {
            return Err(CdcError::SlotInUse(name));
        }
        drop_slot(&mut session, &name, there.as_mut(), from).await?;
    }
    removed.slot = had_slot;
    removed.publication = publication::find(&mut session).await?.is_some();
    let statement = AssertSqlSafe(format!("drop publication if exists {PUBLICATION}"));
    sqlx::raw_sql(statement).execute(&mut session).await.doing("could not drop the publication")?;
    session.close().await.doing("could not end the connection")?;
    Ok(removed)
}

/// Drops the subscription, if there is one.
async fn unsubscribe(there: &mut PgConnection, name: &str, from: Option<&SecretString>) -> Result<bool, CdcError> {
    if target::subscribed(there, name).await.map_err(CdcError::Analytics)?.is_none() {
        return Ok(false);
    }
    subscription::drop_it(there, name, from).await?;
    Ok(true)
}

/// Drops a slot that nobody uses: from here, or else by the role of analytics.
async fn drop_slot(
    session: &mut PgConnection,
    name: &str,
    there: Option<&mut PgConnection>,
    from: Option<&SecretString>,
) -> Result<(), CdcError> {
    let dropped = sqlx::query("select pg_drop_replication_slot($1)").bind(name).execute(session).await;
    match (dropped, there, from) {
        (Err(sqlx::Error::Database(error)), Some(there), Some(from)) if error.code().as_deref() == Some("42501") => {
            subscription::drop_slot(there, name, from).await
        }
        (Err(sqlx::Error::Database(error)), ..) if error.code().as_deref() == Some("42501") => {
            Err(CdcError::SlotLeft(name.to_owned()))
        }
        (dropped, ..) => Ok(dropped.map(drop).doing("could not drop the replication slot")?),
    }
}

/// Lets go of a payments database that is about to be replaced by another one: a slot belongs to the database that it was made in,
/// and would keep what nobody can take any more. `purser cdc apply` makes the subscription anew.
///
/// # Errors
/// When the analytics database does not answer.
pub(crate) async fn detach(owner: &str, analytics: &SecretString, wait: Duration) -> Result<bool, CdcError> {
    let mut there = connect_target(analytics, wait).await?;
    unsubscribe(&mut there, &subscription_name(owner), None).await
}
