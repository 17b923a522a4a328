//! The loop: claim what is due, bring it forward, keep the claims alive, and end in order.

use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::advance::advance;
use super::expire::expire;
use super::store::StoreError;
use crate::app::App;
use crate::processor::Options;
use crate::processor::settled::Settled;
use crate::processor::worker::{CLAIMS_FAILED_MAX, CLAIMS_LOST_MAX, panic_message};
use crate::providers::Client;
use crate::queue::{Claimant, First, GivenBack, Item, Lease, OPERATIONS, Parked, Wake, backoff};

/// Operations in work at the same time. They are rarer than payments, and share the connections to the database.
const CONCURRENCY: usize = 16;
/// Every so many claims look first at what other releases left lying.
const STRAYS_FIRST_EVERY: u64 = 8;
/// The database is away: look again after this.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// What every operation in work shares.
pub(super) struct Worker {
    pub(super) app: Arc<App>,
    pub(super) providers: Client,
    pub(super) settled: Settled,
    in_flight: Mutex<HashSet<Lease>>,
}

/// Brings operations forward until the process is to end, and what is in work then to an end or back to the queue.
pub(in crate::processor) async fn run(app: Arc<App>, providers: Client, settled: Settled, options: &Options) {
    let worker = Arc::new(Worker { app, providers, settled, in_flight: Mutex::default() });
    let work = async {
        let mut tasks = JoinSet::new();
        claim_until_shutdown(&worker, options, &mut tasks).await;
        drain(&worker, options, &mut tasks).await;
    };
    tokio::select! {
        () = work => {}
        () = keep_claims(&worker, options.lease) => {}
        () = expire(&worker.app) => {}
    }
}

async fn claim_until_shutdown(worker: &Arc<Worker>, options: &Options, tasks: &mut JoinSet<()>) {
    let App { pool, release, shutdown, .. } = &*worker.app;
    let mut wake = Wake::listen(&worker.app.notices, &OPERATIONS);
    let name = format!("{release}/{}", Uuid::now_v7().simple());
    let claimant = Claimant { release: release.clone(), worker: name, lease: options.lease, grace: options.grace };
    let mut claims: u64 = 0;
    while !shutdown.is_cancelled() {
        while let Some(ended) = tasks.try_join_next() {
            report_panic(ended);
        }
        let free = CONCURRENCY.saturating_sub(tasks.len());
        if free == 0 {
            tokio::select! {
                Some(ended) = tasks.join_next() => report_panic(ended),
                () = shutdown.cancelled() => {}
            }
            continue;
        }
        claims += 1;
        let first = if claims.is_multiple_of(STRAYS_FIRST_EVERY) { First::Strays } else { First::Own };
        let pause = match OPERATIONS.claim(pool, &claimant, u32::try_from(free).unwrap_or(u32::MAX), first).await {
            Ok(items) => {
                let all_taken = items.len() == free;
                for item in items {
                    tasks.spawn(bring_forward(Arc::clone(worker), item));
                }
                if all_taken { Duration::ZERO } else { options.poll }
            }
            Err(error) => {
                tracing::warn!(%error, "no operations claimed");
                OUTAGE_PAUSE
            }
        };
        if !pause.is_zero() {
            tokio::select! { () = wake.wait(pause) => {}, () = shutdown.cancelled() => {} }
        }
    }
}

/// Waits for what is in work; gives back what does not end in time. What was sent is then asked about by the next
/// worker, with the same key.
async fn drain(worker: &Worker, options: &Options, tasks: &mut JoinSet<()>) {
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            report_panic(ended);
        }
    };
    if tokio::time::timeout(options.drain, all_ended).await.is_ok() {
        return;
    }
    // Taken down before the tasks are stopped, since each of them strikes itself off.
    let leases = worker.leases();
    tasks.shutdown().await;
    tracing::warn!(operations = leases.len(), "operations are given back unfinished");
    if let Err(error) = OPERATIONS.release(&worker.app.pool, &leases).await {
        tracing::warn!(%error, "not given back; their claims run out by themselves");
    }
}

/// An operation whose task panicked is tried again when its claim runs out. Nothing is lost, but somebody must know.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an operation was not brought forward; it is tried again when its claim runs out");
    }
}

async fn bring_forward(worker: Arc<Worker>, item: Item) {
    let _in_flight = InFlight::enter(&worker, &item);
    if item.attempt > CLAIMS_LOST_MAX && item.last_error.is_none() {
        let reason = format!("claimed {} times, and never given back: its workers did not survive it", item.attempt);
        return set_aside(&worker, &item, reason).await;
    }
    let panicked =
        |panic: Box<dyn Any + Send>| Err(StoreError::Inconsistent(format!("a panic: {}", panic_message(&*panic))));
    match AssertUnwindSafe(advance(&worker, &item)).catch_unwind().await.unwrap_or_else(panicked) {
        Ok(progress) => tracing::debug!(operation = %item.subject_id, ?progress, "brought forward"),
        Err(StoreError::Lost) => {
            tracing::warn!(operation = %item.subject_id, claim = item.attempt, "lost to another worker")
        }
        Err(error) if error.is_of_the_record() && item.attempt >= CLAIMS_FAILED_MAX => {
            set_aside(&worker, &item, error.to_string()).await;
        }
        Err(error) => {
            tracing::warn!(operation = %item.subject_id, %error, "not brought forward");
            give_back(&worker, &item, &error).await;
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

/// Makes the claims of what is in work last, so that a slow provider is not asked by two workers at a time.
async fn keep_claims(worker: &Worker, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leases = worker.leases();
        if leases.is_empty() {
            continue;
        }
        if let Err(error) = OPERATIONS.extend(&worker.app.pool, &leases, lease).await {
            tracing::warn!(%error, operations = leases.len(), "claims not extended");
        }
    }
}

impl Worker {
    fn in_flight(&self) -> MutexGuard<'_, HashSet<Lease>> {
        // A set of numbers is whole even if somebody panicked beside it.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> Vec<Lease> {
        self.in_flight().iter().copied().collect()
    }
}

/// Stands for an operation in work; gone when it is not, however that came about.
struct InFlight<'a> {
    worker: &'a Worker,
    lease: Lease,
}

impl<'a> InFlight<'a> {
    fn enter(worker: &'a Worker, item: &Item) -> Self {
        worker.in_flight().insert(item.lease());
        Self { worker, lease: item.lease() }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.worker.in_flight().remove(&self.lease);
    }
}
