//! Waiting for a payment's end: told by the processor through `NOTIFY purser_settled`, not by asking again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::database::Pool;
use crate::ids::PaymentId;

/// Channel on which processors name the payments that came to their end: their uuids, separated by commas.
pub(super) const SETTLED: &str = "purser_settled";
/// How long the listening connection stays away after it broke.
const RECONNECT: Duration = Duration::from_millis(500);

type Waiting = HashMap<PaymentId, (usize, watch::Sender<()>)>;

/// Who waits for which payment, in this process.
#[derive(Clone, Default)]
pub(super) struct Waiters {
    waiting: Arc<Mutex<Waiting>>,
}

/// One who waits for one payment. What was told since it was made is not lost.
pub(super) struct Waiter {
    id: PaymentId,
    told: watch::Receiver<()>,
    waiters: Waiters,
}

impl Waiters {
    /// Begins to wait. To be called before the payment is accepted, so that no end comes too early to be heard.
    #[must_use]
    pub(super) fn wait_for(&self, id: PaymentId) -> Waiter {
        let mut waiting = self.lock();
        let (count, sender) = waiting.entry(id).or_insert_with(|| (0, watch::channel(()).0));
        *count += 1;
        Waiter { id, told: sender.subscribe(), waiters: self.clone() }
    }

    /// Tells those who wait for the payments named in a notification.
    fn tell(&self, payload: &str) {
        let waiting = self.lock();
        for id in payload.split(',').filter_map(|text| Uuid::try_parse(text.trim()).ok()) {
            if let Some((_, sender)) = waiting.get(&PaymentId::from_uuid(id)) {
                sender.send_replace(());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until the process ends. While the connection is away, waiters look for themselves.
    pub(super) async fn listen(self, pool: Pool) {
        loop {
            if let Err(error) = self.listen_once(&pool).await {
                tracing::debug!(%error, "not listening for settled payments; trying again");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn listen_once(&self, pool: &Pool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(SETTLED).await?;
        while let Some(notification) = listener.try_recv().await? {
            self.tell(notification.payload());
        }
        Ok(())
    }
}

impl Waiter {
    /// Returns when the payment is said to be at its end.
    pub(super) async fn told(&mut self) {
        // The sender lives as long as this waiter.
        let _ = self.told.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        if let Some((count, _)) = waiting.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_told_even_before_they_listen() {
        let waiters = Waiters::default();
        let id = PaymentId::at(Utc::now());
        let (mut one, mut two) = (waiters.wait_for(id), waiters.wait_for(id));
        waiters.tell(&format!("not-an-id,{},{}", Uuid::now_v7(), id.as_uuid()));
        one.told().await;
        two.told().await;
        drop(one);
        assert_eq!(waiters.lock().len(), 1);
        drop(two);
        assert!(waiters.lock().is_empty(), "nothing stays behind");
    }
}
