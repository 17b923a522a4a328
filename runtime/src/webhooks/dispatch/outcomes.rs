//! What came of posts, gathered until it is written in few statements.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::deliveries::{self, Failed};
use crate::database::Link;

/// So many are written at once.
const BATCH: usize = 128;
/// Nothing waits for longer than this.
const GATHER: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(super) struct Outcomes {
    done: Vec<(Uuid, i64)>,
    failed: Vec<(Uuid, Failed)>,
    deferred: Vec<(i64, DateTime<Utc>)>,
    since: Option<Instant>,
}

impl Outcomes {
    pub(super) fn done(&mut self, endpoint: Uuid, id: i64, now: Instant) {
        self.done.push((endpoint, id));
        self.since.get_or_insert(now);
    }

    pub(super) fn failed(&mut self, endpoint: Uuid, failed: Failed, now: Instant) {
        self.failed.push((endpoint, failed));
        self.since.get_or_insert(now);
    }

    pub(super) fn defer(&mut self, id: i64, until: DateTime<Utc>, now: Instant) {
        self.deferred.push((id, until));
        self.since.get_or_insert(now);
    }

    /// When to write them; none when there are none.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let since = self.since?;
        let many = self.done.len() + self.failed.len() + self.deferred.len() >= BATCH;
        Some(if many { since } else { since + GATHER })
    }

    /// Writes them. Returns whose they were; on an error everything is kept for the next time, as each statement may be
    /// repeated: at worst a failed try counts twice.
    pub(super) async fn write(&mut self, link: &mut Link) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        let connection = link.get().await?;
        if !self.done.is_empty() {
            let ids: Vec<i64> = self.done.iter().map(|(_, id)| *id).collect();
            deliveries::done(&mut *connection, &ids).await?;
        }
        let mut written = std::mem::take(&mut self.done);
        if !self.deferred.is_empty() {
            deliveries::defer(&mut *connection, &self.deferred).await?;
            self.deferred.clear();
        }
        if !self.failed.is_empty() {
            let (owners, failed): (Vec<Uuid>, Vec<Failed>) = std::mem::take(&mut self.failed).into_iter().unzip();
            let ids: Vec<i64> = failed.iter().map(|failed| failed.id).collect();
            // Lost to an outage, they are due as they were, and are posted again.
            let noted = deliveries::failed(&mut *connection, &failed).await;
            written.extend(owners.into_iter().zip(ids));
            if let Err(error) = noted {
                tracing::debug!(%error, "failed deliveries are not put off");
            }
        }
        self.since = None;
        Ok(written)
    }
}
