//! The loop: claim what is due, bring it forward, keep the claims alive, and end in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::load::Claimed;
use super::worker::Worker;
use super::{load, operations};
use crate::app::App;
use crate::database::Link;
use crate::queue::{Claimant, First, PAYMENTS, Wake};

/// Every so many claims look first at what other releases left lying.
const STRAYS_FIRST_EVERY: u64 = 8;
/// When every place is taken, one place alone is not worth a claim: others become free within this time.
const GATHER: Duration = Duration::from_millis(2);
/// A connection to the fraud workload that rests longer may be gone, and making one takes a part of the deadline.
const KEEP_WARM_EVERY: Duration = Duration::from_secs(20);
/// What was handed to the recorder is written within this, or its claims run out.
const RECORDER_DRAIN: Duration = Duration::from_secs(2);
/// The database is away: look again after this.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// How a processor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Payments in work at the same time.
    pub concurrency: usize,
    /// How long a claim lasts when its worker dies.
    pub lease: Duration,
    /// For how long the work of another release is left to that release.
    pub grace: Duration,
    /// How often to look for work without being told.
    pub poll: Duration,
    /// How long payments in work are waited for at the end.
    pub drain: Duration,
    /// How long the fraud workload is waited for at the start. Then its policy for missed deadlines decides.
    pub warm_up: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 256,
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            poll: Duration::from_millis(500),
            drain: Duration::from_secs(10),
            warm_up: Duration::from_secs(10),
        }
    }
}

/// Why a processor cannot start.
#[derive(Debug, Error)]
pub enum ProcessorError {
    /// No HTTP client.
    #[error("cannot set up an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// Brings payments forward until the process is to end.
///
/// # Errors
/// When the processor cannot start.
pub async fn run(app: Arc<App>) -> Result<(), ProcessorError> {
    run_with(app, Options::default()).await
}

/// The same, with other options.
///
/// # Errors
/// When the processor cannot start.
pub async fn run_with(app: Arc<App>, options: Options) -> Result<(), ProcessorError> {
    let (worker, writing) = Worker::start(app)?;
    let worker = Arc::new(worker);
    let work = async {
        let mut tasks = JoinSet::new();
        warm_up(&worker, &options).await;
        claim_until_shutdown(&worker, &options, &mut tasks).await;
        drain(&worker, &options, &mut tasks).await;
    };
    let operations = operations::run(worker.app.clone(), worker.providers.clone(), worker.settled.clone(), &options);
    tokio::select! {
        ((), ()) = futures::future::join(work, operations) => {}
        () = keep_claims(&worker, options.lease) => {}
        () = keep_warm(&worker) => {}
    }
    drop(worker);
    if tokio::time::timeout(RECORDER_DRAIN, writing.ended()).await.is_err() {
        tracing::warn!("ended before everything was recorded and announced");
    }
    Ok(())
}

/// Pods of one release start together: a payment that is claimed before the fraud workload is up would get no verdict.
async fn warm_up(worker: &Worker, options: &Options) {
    let App { shutdown, processor_warm, .. } = &*worker.app;
    tokio::select! {
        up = worker.fraud.warm_up(options.warm_up) => if !up {
            tracing::warn!("the fraud workload does not answer; payments begin without it");
        },
        () = shutdown.cancelled() => {}
    }
    processor_warm.store(true, Ordering::Relaxed);
}

async fn keep_warm(worker: &Worker) {
    loop {
        tokio::time::sleep(KEEP_WARM_EVERY).await;
        if !worker.fraud.warm().await {
            tracing::warn!("the fraud workload does not answer");
        }
    }
}

async fn claim_until_shutdown(worker: &Arc<Worker>, options: &Options, tasks: &mut JoinSet<()>) {
    let App { pool, release, shutdown, .. } = &*worker.app;
    let mut wake = Wake::listen(&worker.app.notices, &PAYMENTS);
    let name = format!("{release}/{}", Uuid::now_v7().simple());
    let mut link = Link::lazy(pool.clone());
    let claimant = Claimant { release: release.clone(), worker: name, lease: options.lease, grace: options.grace };
    let mut claims: u64 = 0;
    while !shutdown.is_cancelled() {
        while let Some(ended) = tasks.try_join_next() {
            report_panic(ended);
        }
        let free = options.concurrency.saturating_sub(tasks.len());
        if free == 0 {
            let one_ended = async {
                if let Some(ended) = tasks.join_next().await {
                    report_panic(ended);
                }
                tokio::time::sleep(GATHER).await;
            };
            tokio::select! { () = one_ended => {}, () = shutdown.cancelled() => {} }
            continue;
        }
        claims += 1;
        let first = if claims.is_multiple_of(STRAYS_FIRST_EVERY) { First::Strays } else { First::Own };
        let pause = match claim(&mut link, &claimant, free, first).await {
            Ok(payments) => {
                let all_taken = payments.len() == free;
                for claimed in payments {
                    let worker = Arc::clone(worker);
                    tasks.spawn(async move { worker.bring_forward(claimed).await });
                }
                if all_taken { Duration::ZERO } else { options.poll }
            }
            Err(error) => {
                tracing::warn!(%error, "no work claimed");
                link.drop_connection();
                OUTAGE_PAUSE
            }
        };
        if !pause.is_zero() {
            tokio::select! { () = wake.wait(pause) => {}, () = shutdown.cancelled() => {} }
        }
    }
}

async fn claim(link: &mut Link, by: &Claimant, places: usize, first: First) -> Result<Vec<Claimed>, sqlx::Error> {
    load::claim(link.get().await?, by, u32::try_from(places).unwrap_or(u32::MAX), first).await
}

/// Waits for what is in work; gives back what does not end in time. A payment that was sent to its provider is then
/// asked about by the next worker, with the same key.
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
    tracing::warn!(payments = leases.len(), "payments are given back unfinished");
    if let Err(error) = PAYMENTS.release(&worker.app.pool, &leases).await {
        tracing::warn!(%error, "not given back; their claims run out by themselves");
    }
}

/// A payment whose task panicked is tried again when its claim runs out. Nothing is lost, but somebody must know.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a payment was not brought forward; it is tried again when its claim runs out");
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
        if let Err(error) = PAYMENTS.extend(&worker.app.pool, &leases, lease).await {
            tracing::warn!(%error, payments = leases.len(), "claims not extended");
        }
    }
}
