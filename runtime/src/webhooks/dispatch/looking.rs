//! The dispatcher's part that knows whose endpoints are whose.

use std::collections::HashSet;
use std::time::Instant;

use uuid::Uuid;

use super::deliveries;
use super::dispatcher::Dispatcher;
use super::leases::{self, LeasedRow};
use super::owned::Owned;
use super::post::Target;
use crate::ids::MerchantId;
use crate::webhooks::bell::{self, Heard};

impl Dispatcher {
    /// Events were committed by this process.
    pub(super) async fn rung(&mut self) {
        let merchants = self.app.deliveries.take();
        let unknown = self.knowledge.rung(&merchants, Instant::now());
        self.mark(&merchants);
        if unknown.is_empty() || Instant::now() < self.times.pause {
            return;
        }
        // Failing costs nothing but the next look.
        let found = self.find_out(&unknown).await;
        if let Err(error) = found {
            tracing::debug!(%error, "not known who delivers");
        }
    }

    /// Other processes committed events, or endpoints were changed.
    pub(super) async fn heard(&mut self, words: Vec<Heard>) {
        let mut merchants = HashSet::new();
        for word in words {
            match word {
                Heard::Events(merchant) => {
                    merchants.insert(merchant);
                }
                // Renewing reads what was changed.
                Heard::Changed(endpoint) if self.owned.contains_key(&endpoint) => self.times.renew = Instant::now(),
                Heard::Changed(_) => {}
            }
        }
        self.mark(&merchants);
        merchants.retain(|merchant| !self.by_merchant.contains_key(merchant));
        if !merchants.is_empty() && Instant::now() >= self.times.pause {
            let ids: Vec<Uuid> = merchants.iter().map(|merchant| merchant.as_uuid()).collect();
            if let Err(error) = self.claim(&[], &ids).await {
                tracing::debug!(%error, "not claimed");
            }
        }
    }

    /// There may be something to read for these merchants.
    fn mark(&mut self, merchants: &HashSet<MerchantId>) {
        for id in merchants.iter().filter_map(|merchant| self.by_merchant.get(merchant)).flatten() {
            if let Some(owned) = self.owned.get_mut(id) {
                owned.unread = true;
                self.unread.insert(*id);
            }
        }
    }

    async fn find_out(&mut self, merchants: &[MerchantId]) -> Result<(), sqlx::Error> {
        let ids: Vec<Uuid> = merchants.iter().map(|merchant| merchant.as_uuid()).collect();
        self.claim(&[], &ids).await?;
        let elsewhere = leases::elsewhere(&self.app.pool, &self.name, &ids).await?;
        self.knowledge.learn(merchants, &elsewhere, Instant::now());
        Ok(())
    }

    /// Takes what is free. Measured from before the statement, so that the lease is never believed to last longer than it does.
    async fn claim(&mut self, endpoints: &[Uuid], merchants: &[Uuid]) -> Result<(), sqlx::Error> {
        let now = Instant::now();
        let rows = leases::claim(&self.app.pool, &self.name, self.options.lease, endpoints, merchants).await?;
        for row in rows {
            self.take_over(&row, now);
        }
        Ok(())
    }

    fn take_over(&mut self, row: &LeasedRow, now: Instant) {
        match Target::of(row) {
            Ok(target) => {
                let mut owned = Owned::new(row, target, now + self.options.lease, now);
                // It was this process' before, lost, and is again: what is still in flight is not posted beside itself.
                let in_flight = self.tickets.values().filter(|ticket| ticket.endpoint == row.id);
                owned.hold(in_flight.map(|ticket| ticket.delivery));
                self.by_merchant.entry(owned.merchant).or_default().push(row.id);
                self.owned.insert(row.id, owned);
                self.unread.insert(row.id);
            }
            // Left alone until its lease is over, and then looked at again: the merchant may have mended it.
            Err(error) => tracing::error!(endpoint = %row.id, %error, "events cannot be delivered"),
        }
    }

    /// Looks into the table: what is due and nobody's, what is due again, and what is for nobody any more.
    pub(super) async fn look(&mut self, now: Instant) -> Result<(), sqlx::Error> {
        let waiting = leases::waiting(&self.app.pool).await?;
        let nobodys: Vec<Uuid> = waiting.iter().filter(|w| !w.enabled).map(|w| w.endpoint_id).collect();
        if !nobodys.is_empty() {
            let purged = deliveries::purge(self.link.get().await?, &nobodys).await?;
            self.app.metrics.webhooks.deliveries.with_label_values(&["dropped"]).inc_by(purged);
        }
        let mut free = Vec::new();
        for due in waiting.iter().filter(|w| w.enabled && w.due) {
            match self.owned.get_mut(&due.endpoint_id) {
                Some(owned) => {
                    owned.unread = true;
                    owned.busy_at = now;
                    self.unread.insert(due.endpoint_id);
                }
                None => free.push(due.endpoint_id),
            }
        }
        if !free.is_empty() {
            self.claim(&free, &[]).await?;
        }
        let oldest_s = deliveries::oldest_s(&self.app.pool).await?;
        self.app.metrics.webhooks.oldest_seconds.set(oldest_s);
        Ok(())
    }

    /// Makes leases last, and gives back what has nothing to do.
    pub(super) async fn renew(&mut self, now: Instant) -> Result<(), sqlx::Error> {
        let idle: Vec<Uuid> =
            self.owned.iter().filter(|(_, o)| o.is_idle(now, self.options.idle)).map(|(id, _)| *id).collect();
        let figures: Vec<_> = self.owned.values_mut().map(Owned::figures).collect();
        if figures.is_empty() {
            return Ok(());
        }
        let rows = leases::renew(&self.app.pool, &self.name, self.options.lease, &figures).await?;
        let mut lost: HashSet<Uuid> = self.owned.keys().copied().collect();
        for row in rows {
            let Some(owned) = self.owned.get_mut(&row.id) else { continue };
            if let Ok(target) = Target::of(&row) {
                owned.target = target.into();
                owned.valid_until = now + self.options.lease;
                lost.remove(&row.id);
            }
        }
        if !idle.is_empty() {
            leases::release(&self.app.pool, &self.name, &idle).await?;
        }
        for id in lost.into_iter().chain(idle) {
            self.forget(id);
        }
        Ok(())
    }

    /// What is in flight to it goes on; what is at hand stays in the table.
    pub(super) fn forget(&mut self, endpoint: Uuid) {
        self.unread.remove(&endpoint);
        let Some(owned) = self.owned.remove(&endpoint) else { return };
        if let Some(endpoints) = self.by_merchant.get_mut(&owned.merchant) {
            endpoints.retain(|id| *id != endpoint);
            if endpoints.is_empty() {
                self.by_merchant.remove(&owned.merchant);
            }
        }
    }

    /// Tells other processes of what was committed here for endpoints that they own. Not waited for.
    pub(super) fn tell_others(&mut self) {
        let merchants = self.knowledge.take_to_tell();
        if !merchants.is_empty() {
            let pool = self.app.pool.clone();
            tokio::spawn(async move { bell::announce_all(&pool, merchants).await });
        }
    }

    pub(super) async fn sweep(&mut self) -> Result<(), sqlx::Error> {
        let swept = deliveries::sweep(self.link.get().await?).await?;
        if swept > 0 {
            tracing::warn!(deliveries = swept, "given up: their endpoints did not answer for three days");
            let counted = u64::try_from(swept).unwrap_or(0);
            self.app.metrics.webhooks.deliveries.with_label_values(&["given_up"]).inc_by(counted);
        }
        Ok(())
    }

    /// Writes what came of the last posts, and gives all endpoints to others, who are told.
    pub(super) async fn hand_over(&mut self) -> Result<(), sqlx::Error> {
        self.write().await?;
        let figures: Vec<_> = self.owned.values_mut().map(Owned::figures).collect();
        leases::renew(&self.app.pool, &self.name, self.options.lease, &figures).await?;
        let endpoints: Vec<Uuid> = self.owned.keys().copied().collect();
        leases::release(&self.app.pool, &self.name, &endpoints).await?;
        let merchants: HashSet<MerchantId> = self.owned.values().map(|owned| owned.merchant).collect();
        bell::announce_all(&self.app.pool, merchants).await;
        Ok(())
    }
}
