//! What has operations in work: claimed ones are brought forward one by one, and whatever goes wrong with one stays its own.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use sqlx::postgres::PgConnection;

use super::advance::advance;
use super::expire::expire;
use super::store::StoreError;
use crate::app::App;
use crate::processor::Options;
use crate::processor::settled::Settled;
use crate::processor::shift::{InWork, Trade, work};
use crate::processor::worker::{CLAIMS_FAILED_MAX, CLAIMS_LOST_MAX, panic_message};
use crate::providers::Client;
use crate::queue::{Claimant, First, GivenBack, Item, OPERATIONS, Parked, Queue, backoff};

/// Operations in work at the same time. They are rarer than payments, and share the connections to the database.
const CONCURRENCY: usize = 16;

/// What every operation in work shares.
pub(super) struct Worker {
    pub(super) app: Arc<App>,
    pub(super) providers: Client,
    pub(super) settled: Settled,
    in_work: InWork,
}

/// Brings operations forward until the process is to end, and what is in work then to an end or back to the queue.
pub(in crate::processor) async fn run(app: Arc<App>, providers: Client, settled: Settled, options: &Options) {
    let worker = Arc::new(Worker { app, providers, settled, in_work: InWork::default() });
    tokio::select! {
        () = work(&worker, CONCURRENCY, options) => {}
        () = expire(&worker.app) => {}
    }
}

impl Trade for Worker {
    const QUEUE: Queue = OPERATIONS;
    type Claimed = Item;

    fn app(&self) -> &App {
        &self.app
    }

    fn in_work(&self) -> &InWork {
        &self.in_work
    }

    async fn claim(
        connection: &mut PgConnection,
        by: &Claimant,
        limit: u32,
        first: First,
    ) -> Result<Vec<Item>, sqlx::Error> {
        OPERATIONS.claim(connection, by, limit, first).await
    }

    async fn bring_forward(self: Arc<Self>, item: Item) {
        bring_forward(&self, item).await;
    }
}

async fn bring_forward(worker: &Worker, item: Item) {
    let _in_work = worker.in_work.enter(&item);
    if item.attempt > CLAIMS_LOST_MAX && item.last_error.is_none() {
        let reason = format!("claimed {} times, and never given back: its workers did not survive it", item.attempt);
        return set_aside(worker, &item, reason).await;
    }
    let panicked =
        |panic: Box<dyn Any + Send>| Err(StoreError::Inconsistent(format!("a panic: {}", panic_message(&*panic))));
    match AssertUnwindSafe(advance(worker, &item)).catch_unwind().await.unwrap_or_else(panicked) {
        Ok(progress) => tracing::debug!(operation = %item.subject_id, ?progress, "brought forward"),
        Err(StoreError::Lost) => {
            tracing::warn!(operation = %item.subject_id, claim = item.attempt, "lost to another worker")
        }
        Err(error) if error.is_of_the_record() && item.attempt >= CLAIMS_FAILED_MAX => {
            set_aside(worker, &item, error.to_string()).await;
        }
        Err(error) => {
            tracing::warn!(operation = %item.subject_id, %error, "not brought forward");
            give_back(worker, &item, &error).await;
        }
    }
}

async fn set_aside(worker: &Worker, item: &Item, reason: String) {
    tracing::error!(operation = %item.subject_id, reason, "an operation waits for a person");
    let parked = async {
        let mut connection = worker.app.pool.acquire().await?;
        OPERATIONS.park(&mut connection, &[Parked { lease: item.lease(), reason }]).await
    };
    if let Err(error) = parked.await {
        tracing::debug!(operation = %item.subject_id, %error, "not set aside; the claim runs out by itself");
    }
}

async fn give_back(worker: &Worker, item: &Item, error: &StoreError) {
    let delay = backoff::delay(item.attempt.unsigned_abs(), rand::random());
    let given_back = async {
        let mut connection = worker.app.pool.acquire().await?;
        let back = GivenBack { lease: item.lease(), delay, reason: error.to_string() };
        OPERATIONS.give_back(&mut connection, &[back]).await
    };
    if let Err(error) = given_back.await {
        tracing::debug!(operation = %item.subject_id, %error, "not given back; the claim runs out by itself");
    }
}
