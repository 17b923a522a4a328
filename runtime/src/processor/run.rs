//! The processor: everything that takes payments and operations to their end, until the process is to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;

use super::operations;
use super::shift::work;
use super::worker::{Worker, Writing};
use crate::app::App;

/// A connection to the fraud workload that rests longer may be gone, and making one takes a part of the deadline.
const KEEP_WARM_EVERY: Duration = Duration::from_secs(20);
/// What was handed to the recorder is written within this, or its claims run out.
const RECORDER_DRAIN: Duration = Duration::from_secs(2);

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
    let deliveries = app.deliveries.clone();
    let (worker, writing) = Worker::start(app, deliveries, None)?;
    let worker = Arc::new(worker);
    let payments = async {
        warm_up(&worker, &options).await;
        work(&worker, options.concurrency, &options).await;
    };
    let operations = operations::run(worker.app.clone(), worker.providers.clone(), worker.settled.clone(), &options);
    tokio::select! {
        ((), ()) = futures::future::join(payments, operations) => {}
        () = keep_warm(&worker) => {}
    }
    finish(worker, writing).await;
    Ok(())
}

/// What was handed in is written and announced before the process ends.
pub(super) async fn finish(worker: Arc<Worker>, writing: Writing) {
    drop(worker);
    if tokio::time::timeout(RECORDER_DRAIN, writing.ended()).await.is_err() {
        tracing::warn!("ended before everything was recorded and announced");
    }
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

pub(super) async fn keep_warm(worker: &Worker) {
    loop {
        tokio::time::sleep(KEEP_WARM_EVERY).await;
        if !worker.fraud.warm().await {
            tracing::warn!("the fraud workload does not answer");
        }
    }
}
