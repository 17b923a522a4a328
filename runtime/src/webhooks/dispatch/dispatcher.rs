//! The loop: hear, look, read, post, write. One task, which owns all state; only posts run beside it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use http::HeaderMap;
use tokio::sync::mpsc::Receiver;
use tokio::task::{self, JoinSet};
use uuid::Uuid;

use super::Options;
use super::knowledge::Knowledge;
use super::outcomes::Outcomes;
use super::owned::Owned;
use crate::app::App;
use crate::database::{Link, Notice};
use crate::ids::MerchantId;
use crate::webhooks::bell::{CHANNEL, Heard, parse};
use crate::webhooks::sender::{Answer, Sender, common_headers};

/// The database is away: look again after this.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// Reads are this far apart at least, so that what is committed meanwhile is read at once. No merchant waits for an event as
/// one waits for an answer, and each read costs a payment's share of the database.
const READ_SPACING: Duration = Duration::from_millis(10);
/// Looking may take this share of the time.
const LOOKING_SHARE: u32 = 20;

pub(super) struct Dispatcher {
    pub(super) app: Arc<App>,
    pub(super) options: Options,
    pub(super) name: String,
    pub(super) sender: Sender,
    pub(super) headers: HeaderMap,
    pub(super) link: Link,
    pub(super) owned: HashMap<Uuid, Owned>,
    pub(super) by_merchant: HashMap<MerchantId, Vec<Uuid>>,
    /// Endpoints for which something may be to read.
    pub(super) unread: HashSet<Uuid>,
    pub(super) knowledge: Knowledge,
    pub(super) posts: JoinSet<Posted>,
    pub(super) tickets: HashMap<task::Id, Ticket>,
    pub(super) outcomes: Outcomes,
    pub(super) times: Times,
}

/// When to do what next.
pub(super) struct Times {
    pub(super) look: Instant,
    pub(super) renew: Instant,
    pub(super) read: Instant,
    pub(super) sweep: Instant,
    /// The database did not answer: nothing is asked of it until then.
    pub(super) pause: Instant,
}

/// Which delivery a post is for.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) endpoint: Uuid,
    pub(super) delivery: i64,
    pub(super) attempts: i32,
    pub(super) created_at: DateTime<Utc>,
}

/// What came of a post.
pub(super) struct Posted {
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

impl Dispatcher {
    pub(super) fn new(app: Arc<App>, options: Options) -> Result<Self, reqwest::Error> {
        let allow_private = app.config.webhooks.allow_private_addresses;
        let sender = Sender::new(options.look_up.clone(), allow_private, options.post_limit)?;
        let now = Instant::now();
        Ok(Self {
            sender,
            name: format!("{}/{}", app.release, Uuid::now_v7().simple()),
            headers: common_headers(&app.release),
            link: Link::lazy(app.pool.clone()),
            owned: HashMap::new(),
            by_merchant: HashMap::new(),
            unread: HashSet::new(),
            knowledge: Knowledge::default(),
            posts: JoinSet::new(),
            tickets: HashMap::new(),
            outcomes: Outcomes::default(),
            times: Times {
                look: now,
                renew: now + options.lease / 3,
                read: now,
                sweep: now + options.sweep,
                pause: now,
            },
            options,
            app,
        })
    }

    pub(super) async fn run(mut self) {
        let mut told = self.app.notices.on(CHANNEL);
        let (shutdown, bell) = (self.app.shutdown.clone(), self.app.deliveries.clone());
        while !shutdown.is_cancelled() {
            let wake = tokio::time::Instant::from_std(self.wake_at());
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = self.posts.join_next_with_id() => self.ended(ended).await,
                () = bell.rung() => self.rung().await,
                Some(notice) = told.recv() => self.heard(words(notice, &mut told)).await,
                () = tokio::time::sleep_until(wake) => {}
            }
            self.turn(Instant::now()).await;
        }
        drop(told);
        self.finish().await;
    }

    /// Whatever is to be done by now.
    async fn turn(&mut self, now: Instant) {
        while let Some(ended) = self.posts.try_join_next_with_id() {
            self.ended(ended).await;
        }
        if now >= self.times.pause
            && let Err(error) = self.turn_database(now).await
        {
            tracing::warn!(%error, "deliveries wait for the database");
            self.link.drop_connection();
            self.times.pause = Instant::now() + OUTAGE_PAUSE;
        }
        let metrics = &self.app.metrics.webhooks;
        metrics.in_flight.set(i64::try_from(self.posts.len()).unwrap_or(i64::MAX));
        metrics.endpoints.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    async fn turn_database(&mut self, now: Instant) -> Result<(), sqlx::Error> {
        if self.outcomes.due_at().is_some_and(|at| now >= at) {
            self.write().await?;
        }
        if now >= self.times.renew {
            self.renew(now).await?;
            self.times.renew = now + self.options.lease / 3;
        }
        if now >= self.times.look {
            self.look(now).await?;
            self.resume();
            let next = self.options.poll.max(now.elapsed() * LOOKING_SHARE);
            self.times.look = Instant::now() + next;
        }
        if now >= self.times.sweep {
            self.sweep().await?;
            self.times.sweep = now + self.options.sweep;
        }
        self.tell_others();
        if !self.unread.is_empty() && now >= self.times.read {
            self.read(now).await?;
            self.times.read = Instant::now() + READ_SPACING;
        }
        Ok(())
    }

    /// When to turn without being told.
    fn wake_at(&self) -> Instant {
        let mut at = self.times.look.min(self.times.renew).min(self.times.sweep);
        if let Some(due) = self.outcomes.due_at() {
            at = at.min(due);
        }
        if !self.unread.is_empty() {
            at = at.min(self.times.read);
        }
        at.max(self.times.pause)
    }

    /// What is in flight is waited for and written; the endpoints are given to others.
    async fn finish(&mut self) {
        let limit = self.options.post_limit;
        let all_ended = async {
            while let Some(ended) = self.posts.join_next_with_id().await {
                self.ended_in_order(ended);
            }
        };
        if tokio::time::timeout(limit, all_ended).await.is_err() {
            tracing::warn!("events were still being posted; they are posted again");
        }
        if let Err(error) = self.hand_over().await {
            tracing::warn!(%error, "endpoints not released; their leases run out by themselves");
        }
    }
}

/// What was said, and what else was said meanwhile. Nothing is missed while nobody listens: looking finds it.
fn words(first: Notice, told: &mut Receiver<Notice>) -> Vec<Heard> {
    let all = std::iter::once(first).chain(std::iter::from_fn(|| told.try_recv().ok()));
    let said = all.filter_map(|notice| match notice {
        Notice::Begun => None,
        Notice::Word(word) => Some(word),
    });
    said.flat_map(|word| parse(&word).collect::<Vec<_>>()).collect()
}
