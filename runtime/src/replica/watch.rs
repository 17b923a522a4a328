//! Looks at the database and the replica again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::judge::{Position, Seen, Unfit};
use super::{ReadFigures, Replica, server};
use crate::database::{Link, Pool};

/// A server that takes longer does not answer.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// The shortest and the longest time between two looks.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A connection to each: a look must not wait for reads that are many.
struct Watch {
    replica: Arc<Replica>,
    to_primary: Link,
    to_replica: Link,
    figures: ReadFigures,
    /// A replica that was never seen is as late as that.
    since: Instant,
}

/// Looks until `stop`.
pub(super) async fn watch(replica: Arc<Replica>, primary: Pool, figures: ReadFigures, stop: CancellationToken) {
    let to_replica = Link::new(replica.pool.clone());
    let mut watch = Watch { replica, to_primary: Link::new(primary), to_replica, figures, since: Instant::now() };
    // A replica that lags by nothing seems as old as the last look: a part of what is allowed.
    let mut ticks = tokio::time::interval((watch.replica.lag_max / 4).clamp(EVERY.0, EVERY.1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            ticks.tick().await;
            watch.look().await;
        }
    };
    tokio::select! {
        () = looking => {}
        () = stop.cancelled() => {}
    }
}

impl Watch {
    async fn look(&mut self) {
        let asked = Instant::now();
        let (position, seen) = tokio::join!(position(&mut self.to_primary), seen(&mut self.to_replica));
        let now = Instant::now();
        let mut thought = self.replica.thought();
        if let Some(position) = position {
            thought.positions.add(asked, position);
        }
        let judged = seen.ok_or(Unfit::Away);
        let judged = judged.and_then(|seen| thought.positions.judge(&seen, now, self.replica.lag_max));
        if let Ok(until) | Err(Unfit::Behind(Some(until))) = judged {
            thought.shows_until = Some(until);
        }
        let fitness = judged.map(|_| ());
        tell(thought.fitness, fitness);
        thought.fitness = fitness;
        let lag = now.saturating_duration_since(thought.shows_until.unwrap_or(self.since));
        drop(thought);
        self.figures.lag_seconds.set(lag.as_secs_f64());
        self.figures.used.set(i64::from(fitness.is_ok()));
        // The same name may lead to another server next time, or to another database.
        if matches!(fitness, Err(unfit) if !matches!(unfit, Unfit::Behind(_) | Unfit::NoPosition)) {
            self.to_replica.drop_connection();
        }
    }
}

/// A change is told once.
fn tell(before: Result<(), Unfit>, after: Result<(), Unfit>) {
    let sentence = |fitness: Result<(), Unfit>| fitness.err().map(Unfit::sentence);
    match sentence(after) {
        after if after == sentence(before) => {}
        None => tracing::info!("lists are read from the replica"),
        Some(sentence) => tracing::warn!("lists are read from the database: {sentence}"),
    }
}

/// Where the database is; none when it does not say so in time.
async fn position(link: &mut Link) -> Option<Position> {
    let asking = async {
        let mut connection = link.take().await?;
        let position = server::position(&mut connection).await?;
        link.keep(connection);
        Ok::<_, sqlx::Error>(position)
    };
    told(tokio::time::timeout(LOOK_LIMIT, asking).await)
}

/// What the replica says; none when it says nothing in time.
async fn seen(link: &mut Link) -> Option<Seen> {
    let asking = async {
        let mut connection = link.take().await?;
        let seen = server::seen(&mut connection).await?;
        link.keep(connection);
        Ok::<_, sqlx::Error>(seen)
    };
    told(tokio::time::timeout(LOOK_LIMIT, asking).await)
}

fn told<T>(answer: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>) -> Option<T> {
    match answer {
        Ok(Ok(told)) => Some(told),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no position was told");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_replica_that_was_never_seen_is_as_late_as_the_watch_is_long() {
        let nowhere = "postgres://purser:secret@127.0.0.1:1/purser";
        let replica = Arc::new(Replica::new(nowhere.parse().unwrap(), Duration::from_secs(1)));
        let primary = database::pool(&nowhere.into(), "tests", 1).unwrap();
        let figures = Metrics::new("r").unwrap().reads;
        let since = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let to_replica = Link::new(replica.pool.clone());
        let mut watch = Watch { replica, to_primary: Link::new(primary), to_replica, figures, since };
        watch.look().await;
        assert!(watch.figures.lag_seconds.get() >= 5.0);
    }
}
