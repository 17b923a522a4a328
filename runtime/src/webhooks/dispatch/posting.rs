//! The dispatcher's part that reads what is due, posts it, and takes the answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError};
use uuid::Uuid;

use super::deliveries::{self, Due, Failed};
use super::dispatcher::{Dispatcher, Posted, Ticket};
use super::owned::Owned;
use crate::ids::WebhookEndpointId;
use crate::webhooks::schedule::{self, Next};
use crate::webhooks::sender::Answer;
use crate::webhooks::{bell, store};

/// Deliveries at hand, of all endpoints: what bounds the memory.
const STOCK_MAX: usize = 4096;
/// What an endpoint that answered 410 is told to have been disabled for.
const GONE: &str = "it answered an event with 410 Gone";

type Ended = Result<(Id, Posted), JoinError>;

impl Dispatcher {
    /// Reads what is due where there is place, and posts it.
    pub(super) async fn read(&mut self, now: Instant) -> Result<(), sqlx::Error> {
        let mut room = STOCK_MAX.saturating_sub(self.owned.values().map(Owned::stocked).sum());
        let mut wanted: Vec<(Uuid, usize)> = Vec::new();
        let mut held: Vec<i64> = Vec::new();
        for id in std::mem::take(&mut self.unread) {
            let Some(owned) = self.owned.get(&id) else { continue };
            let places = owned.appetite(now).min(room);
            if places > 0 {
                room -= places;
                wanted.push((id, places));
                held.extend(owned.held());
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let places: Vec<(Uuid, i32)> =
            wanted.iter().map(|(id, places)| (*id, i32::try_from(*places).unwrap_or(i32::MAX))).collect();
        let read = match deliveries::due(self.link.get().await?, &places, &held).await {
            Ok(read) => read,
            Err(error) => {
                self.unread.extend(wanted.iter().map(|(id, _)| *id));
                return Err(error);
            }
        };
        let mut by_endpoint: HashMap<Uuid, Vec<Due>> = HashMap::new();
        for due in read {
            // Until the earlier ones are due, so that those are read first.
            if let Some(until) = due.head_run_at.filter(|until| *until > due.run_at) {
                self.outcomes.defer(due.id, until, now);
            }
            by_endpoint.entry(due.endpoint_id).or_default().push(due);
        }
        for (id, asked) in wanted {
            let read = by_endpoint.remove(&id).unwrap_or_default();
            if let Some(owned) = self.owned.get_mut(&id) {
                owned.stock(read, asked);
            }
            self.post_for(id, Instant::now());
        }
        Ok(())
    }

    /// Posts what is at hand for an endpoint, as far as there is place.
    fn post_for(&mut self, endpoint: Uuid, now: Instant) {
        while self.posts.len() < self.options.posts_max {
            let Some(owned) = self.owned.get_mut(&endpoint) else { return };
            let Some(due) = owned.take(now, self.options.post_limit) else { break };
            self.post(due, now);
        }
        if self.owned.get(&endpoint).is_some_and(|owned| owned.unread && owned.appetite(now) > 0) {
            self.unread.insert(endpoint);
        }
    }

    /// Goes on where there was no place, or not enough of the lease was left, when the last post of an endpoint ended.
    pub(super) fn resume(&mut self) {
        let stocked: Vec<Uuid> = self.owned.iter().filter(|(_, o)| o.stocked() > 0).map(|(id, _)| *id).collect();
        for id in stocked {
            self.post_for(id, Instant::now());
        }
    }

    fn post(&mut self, mut due: Due, now: Instant) {
        let Some(owned) = self.owned.get_mut(&due.endpoint_id) else { return };
        let time = Utc::now();
        let ticket =
            Ticket { endpoint: due.endpoint_id, delivery: due.id, attempts: due.attempts, created_at: due.created_at };
        let Some((headers, body)) = owned.target.message(&mut due, &self.headers, time) else {
            // Its month may be out of its table for a while, and come back. The endpoint did nothing wrong.
            owned.not_posted();
            self.app.metrics.webhooks.deliveries.with_label_values(&["failed"]).inc();
            return self.put_off(ticket, "the event is not in the database at present", now, time, rand::random());
        };
        if due.attempts == 0 {
            let waited = (time - due.created_at).to_std().unwrap_or_default();
            self.app.metrics.webhooks.first_post_seconds.observe(waited.as_secs_f64());
        }
        let (sender, url) = (self.sender.clone(), owned.target.url.clone());
        let handle = self.posts.spawn(async move {
            let begin = Instant::now();
            let answer = sender.post(url, headers, body).await;
            Posted { answer, took: begin.elapsed() }
        });
        self.tickets.insert(handle.id(), ticket);
    }

    /// A post ended: its place is free for the next one.
    pub(super) async fn ended(&mut self, ended: Ended) {
        let Some((ticket, answer)) = self.ended_in_order(ended) else { return };
        if answer == Answer::Gone {
            self.disable(ticket.endpoint).await;
        }
        self.post_for(ticket.endpoint, Instant::now());
    }

    /// The same, at the end of the process, when nothing is posted any more.
    pub(super) fn ended_in_order(&mut self, ended: Ended) -> Option<(Ticket, Answer)> {
        let (id, posted) = match ended {
            Ok((id, posted)) => (id, posted),
            Err(error) => {
                tracing::error!(%error, "a post ended in a panic");
                let answer = Answer::Failed("something went wrong here".to_owned());
                (error.id(), Posted { answer, took: Duration::ZERO })
            }
        };
        let ticket = self.tickets.remove(&id)?;
        self.record(ticket, &posted);
        Some((ticket, posted.answer))
    }

    fn record(&mut self, ticket: Ticket, posted: &Posted) {
        let (now, time) = (Instant::now(), Utc::now());
        let word = match &posted.answer {
            Answer::Delivered => {
                self.outcomes.done(ticket.endpoint, ticket.delivery, now);
                let back = self.owned.get_mut(&ticket.endpoint).is_some_and(|owned| owned.succeeded(time));
                if back {
                    self.hurry(ticket.endpoint);
                }
                "delivered"
            }
            Answer::Gone => {
                self.failed(ticket, "answered with 410 Gone", now);
                "gone"
            }
            Answer::Failed(reason) => {
                tracing::debug!(endpoint = %ticket.endpoint, reason, "not delivered");
                self.failed(ticket, reason, now);
                "failed"
            }
        };
        let metrics = &self.app.metrics.webhooks;
        metrics.deliveries.with_label_values(&[word]).inc();
        metrics.post_seconds.with_label_values(&[word]).observe(posted.took.as_secs_f64());
    }

    fn failed(&mut self, ticket: Ticket, reason: &str, now: Instant) {
        let (time, chance) = (Utc::now(), rand::random());
        if let Some(owned) = self.owned.get_mut(&ticket.endpoint) {
            owned.failed(reason, now, time, chance);
        }
        self.put_off(ticket, reason, now, time, chance);
    }

    /// Tries again later, if its time is not over.
    fn put_off(&mut self, ticket: Ticket, reason: &str, now: Instant, time: DateTime<Utc>, chance: f64) {
        let tries = u32::try_from(ticket.attempts).unwrap_or(0).saturating_add(1);
        match schedule::next(tries, ticket.created_at, time, chance) {
            Next::After(wait) => {
                let wait_s = wait.as_secs_f64() * self.options.wait_factor;
                let failed = Failed { id: ticket.delivery, wait_s, reason: reason.to_owned() };
                self.outcomes.failed(ticket.endpoint, failed, now);
            }
            Next::GiveUp => self.give_up(ticket, now),
        }
    }

    fn give_up(&mut self, ticket: Ticket, now: Instant) {
        tracing::warn!(endpoint = %ticket.endpoint, tries = ticket.attempts, "an event is given up");
        self.app.metrics.webhooks.deliveries.with_label_values(&["given_up"]).inc();
        if let Some(owned) = self.owned.get_mut(&ticket.endpoint) {
            owned.gave_up();
        }
        self.outcomes.done(ticket.endpoint, ticket.delivery, now);
    }

    /// An endpoint is back: what was put off while it was away is due now. Not waited for.
    fn hurry(&self, endpoint: Uuid) {
        tracing::info!(%endpoint, "the endpoint answers again");
        let pool = self.app.pool.clone();
        tokio::spawn(async move {
            if let Err(error) = deliveries::hurry(&pool, endpoint).await {
                tracing::debug!(%error, "what was put off comes at its own time");
            }
        });
    }

    /// The endpoint wants no more events. Should this fail, the next event is answered in the same way.
    async fn disable(&mut self, endpoint: Uuid) {
        let disabled = async {
            let mut connection = self.app.pool.acquire().await?;
            store::disable(&mut connection, WebhookEndpointId::from_uuid(endpoint), GONE, Utc::now()).await
        };
        match disabled.await {
            Ok(true) => {
                tracing::warn!(%endpoint, "disabled: {GONE}");
                if let Some(merchant) = self.owned.get(&endpoint).map(|owned| owned.merchant) {
                    self.app.deliveries.ring([merchant]);
                    let pool = self.app.pool.clone();
                    tokio::spawn(async move { bell::announce(&pool, merchant).await });
                }
                self.forget(endpoint);
            }
            Ok(false) => self.forget(endpoint),
            Err(error) => tracing::warn!(%endpoint, %error, "not disabled yet"),
        }
    }

    /// Writes what came of posts.
    pub(super) async fn write(&mut self) -> Result<(), sqlx::Error> {
        for (endpoint, delivery) in self.outcomes.write(&mut self.link).await? {
            let Some(owned) = self.owned.get_mut(&endpoint) else { continue };
            owned.written(delivery);
            if owned.unread {
                self.unread.insert(endpoint);
            }
        }
        Ok(())
    }
}
