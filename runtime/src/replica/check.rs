//! `purser replica check`: whether lists can be read from what is to be the replica.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use sqlx::postgres::PgConnection;

use super::judge::{Origin, Position, Seen};
use super::{ReplicaError, server};
use crate::database::{self, DatabaseError, Doing};
use crate::migrate::{self, MigrateError};

const APPLICATION: &str = "purser replica check";
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What lists are made of.
const TABLES: [&str; 6] = ["transactions", "payment_attempts", "payment_providers", "operations", "events", "users"];

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// For a server that does not answer.
    pub connect: Duration,
    /// For a replica that is behind.
    pub replay: Duration,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether the replica answers, and has all that the database had when this began. If not, it may be right later, and the platform
    /// finds out by itself.
    pub is_current: bool,
    /// In a sentence.
    pub message: String,
}

impl Checked {
    fn late(message: impl Into<String>) -> Self {
        Self { is_current: false, message: message.into() }
    }
}

/// Looks at the replica. One that is late or away is no error: nothing wrong is shown for it.
///
/// # Errors
/// [`ReplicaError`]: it is no replica of this database, or will never answer a list.
pub async fn check(
    owner: &str,
    database_url: &SecretString,
    read_url: &SecretString,
    waits: Waits,
) -> Result<Checked, ReplicaError> {
    database::read_url(read_url).ok_or(ReplicaError::Url)?;
    let position = position(owner, database_url, waits).await?;
    // What cannot be connected to cannot be told from what is late: a new password, too, reaches a replica by being replayed.
    let mut replica = match database::connect(read_url, APPLICATION, waits.connect).await {
        Ok(replica) => replica,
        Err(DatabaseError::Connect { message, .. }) => {
            return Ok(Checked::late(format!("the replica does not answer: {message}")));
        }
        Err(error) => return Err(error.into()),
    };
    let begin = Instant::now();
    loop {
        let seen = match server::seen(&mut replica).await {
            Ok(seen) => seen,
            Err(error) => {
                return Ok(Checked::late(format!("the replica does not answer: {}", database::explain(&error))));
            }
        };
        if has_replayed(&position, &seen)? {
            return checked(&position.origin, &seen.origin, &mut replica, begin.elapsed()).await;
        }
        if begin.elapsed() >= waits.replay {
            return Ok(Checked::late(late(&position, &seen, waits.replay)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where the database is, if it is the owner's.
async fn position(owner: &str, url: &SecretString, waits: Waits) -> Result<Position, ReplicaError> {
    let mut primary = database::connect(url, APPLICATION, waits.connect).await?;
    match migrate::owner_if_any(&mut primary).await? {
        Some(other) if other != owner => return Err(MigrateError::OwnedByAnother { owner: other }.into()),
        Some(_) => {}
        None => return Err(MigrateError::OwnedByNobody.into()),
    }
    Ok(server::position(&mut primary).await.doing("could not ask where the database is")?)
}

/// Whether a replica of the database has come as far as the database was.
fn has_replayed(position: &Position, seen: &Seen) -> Result<bool, ReplicaError> {
    let Origin { system: wanted, timeline, .. } = position.origin;
    if seen.origin.system != wanted {
        return Err(ReplicaError::OtherSystem { seen: seen.origin.system, wanted });
    }
    if !seen.is_in_recovery {
        return Err(ReplicaError::NotInRecovery);
    }
    let is_far_enough = seen.replayed.is_some_and(|replayed| replayed >= position.flushed);
    Ok(is_far_enough && seen.origin.timeline == timeline)
}

fn late(position: &Position, seen: &Seen, waited: Duration) -> String {
    let waited_s = waited.as_secs();
    if seen.origin.timeline != position.origin.timeline {
        return format!("the replica has not come along to the timeline of the database within {waited_s} s");
    }
    let bytes = position.flushed.saturating_sub(seen.replayed.unwrap_or_default());
    format!("the replica has not replayed within {waited_s} s what the database had; {bytes} bytes are left")
}

/// It has all that the database had: what is not there is not on its way.
async fn checked(
    wanted: &Origin,
    seen: &Origin,
    replica: &mut PgConnection,
    took: Duration,
) -> Result<Checked, ReplicaError> {
    if seen.database != wanted.database {
        return Err(ReplicaError::OtherDatabase);
    }
    let unreadable = server::unreadable(replica, &TABLES).await.doing("could not ask what may be read")?;
    if !unreadable.is_empty() {
        return Err(ReplicaError::MayNotRead(unreadable));
    }
    let message = format!("the replica had all that the database had after {} ms", took.as_millis());
    Ok(Checked { is_current: true, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { system: 7, database: 16_384, timeline: 1 };

    fn found(change: fn(&mut Seen)) -> Result<bool, ReplicaError> {
        let mut seen = Seen { is_in_recovery: true, origin: ORIGIN, replayed: Some(100) };
        change(&mut seen);
        has_replayed(&Position { origin: ORIGIN, flushed: 100 }, &seen)
    }

    #[test]
    fn what_is_late_is_waited_for_and_what_is_wrong_is_not() {
        assert!(found(|_| {}).unwrap());
        assert!(!found(|seen| seen.replayed = Some(99)).unwrap());
        assert!(!found(|seen| seen.replayed = None).unwrap());
        assert!(!found(|seen| seen.origin.timeline = 2).unwrap());
        assert!(matches!(found(|seen| seen.origin.system = 8), Err(ReplicaError::OtherSystem { seen: 8, wanted: 7 })));
        assert!(matches!(found(|seen| seen.is_in_recovery = false), Err(ReplicaError::NotInRecovery)));
    }
}
