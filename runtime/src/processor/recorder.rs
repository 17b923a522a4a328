//! Group commit: what tasks want written goes as values to a recorder, which writes what is there in one transaction.
//!
//! Under load a batch is what came while the one before was being committed, so nobody waits for company, and the disk
//! is asked once for many payments. What was handed in is written even when the worker ends meanwhile.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::error::{StepError, refuses_the_record};
use super::record::Record;
use super::settled::Settled;
use super::write::{BatchError, Written, write};
use crate::database::Pool;
use crate::webhooks::Bell;

/// More would make one commit long without making it much cheaper.
const BATCH_MAX: usize = 64;
/// While one batch waits for the disk another is being written.
const LANES: usize = 2;
/// Every payment in work has at most one record here, so this is never full.
const ROOM: usize = 1024;

/// One record, and who waits to hear of it.
struct Job {
    record: Record,
    reply: oneshot::Sender<Result<Written, StepError>>,
}

/// Takes records and says when they are committed.
#[derive(Clone)]
pub struct Recorder(mpsc::Sender<Job>);

impl Recorder {
    /// The recorder, and the tasks that write. They end when the last copy of the recorder is dropped and everything
    /// handed in is written.
    pub fn start(pool: Pool, release: String, settled: Settled, deliveries: Bell) -> (Self, JoinSet<()>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        let receiver = Arc::new(Mutex::new(receiver));
        let lane = Lane { pool, release, settled, deliveries };
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(lane.clone().run(Arc::clone(&receiver)));
        }
        (Self(sender), lanes)
    }

    /// Writes a record; returns when it is committed.
    ///
    /// # Errors
    /// When its claim is lost, or the database refuses it or does not answer.
    pub async fn write(&self, record: Record) -> Result<Written, StepError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Job { record, reply }).await.map_err(|_| StepError::Ending)?;
        answer.await.map_err(|_| StepError::Ending)?
    }
}

#[derive(Clone)]
struct Lane {
    pool: Pool,
    release: String,
    settled: Settled,
    deliveries: Bell,
}

impl Lane {
    async fn run(self, receiver: Arc<Mutex<mpsc::Receiver<Job>>>) {
        loop {
            let mut jobs = Vec::with_capacity(BATCH_MAX);
            if receiver.lock().await.recv_many(&mut jobs, BATCH_MAX).await == 0 {
                return;
            }
            self.settle(jobs).await;
        }
    }

    /// Writes the jobs in as few transactions as they allow: a record that the database refuses fails alone.
    async fn settle(&self, jobs: Vec<Job>) {
        let mut batches = vec![jobs];
        while let Some(mut jobs) = batches.pop() {
            let records: Vec<&Record> = jobs.iter().map(|job| &job.record).collect();
            match write(&self.pool, &self.release, &records).await {
                Ok(results) => self.tell(jobs, results),
                Err(BatchError::Inconsistent(wrong)) => {
                    for (place, reason) in wrong.into_iter().rev() {
                        let job = jobs.remove(place);
                        reply(job, Err(StepError::Inconsistent(reason)));
                    }
                    if !jobs.is_empty() {
                        batches.push(jobs);
                    }
                }
                Err(BatchError::Database(error)) if jobs.len() > 1 && refuses_the_record(&error) => {
                    tracing::warn!(%error, records = jobs.len(), "a batch is written in halves, to find what is refused");
                    let other_half = jobs.split_off(jobs.len() / 2);
                    batches.extend([jobs, other_half]);
                }
                Err(BatchError::Database(error)) => {
                    let error = StepError::from(error);
                    jobs.into_iter().for_each(|job| reply(job, Err(error.clone())));
                }
            }
        }
    }

    fn tell(&self, jobs: Vec<Job>, results: Vec<Result<Written, StepError>>) {
        let ended = |(job, result): (&Job, &Result<Written, StepError>)| {
            (result.is_ok() && job.record.ended.is_some()).then(|| job.record.payment_id.as_uuid())
        };
        // Told after the commit and outside of it: whoever is told must be able to read it.
        self.settled.announce(jobs.iter().zip(&results).filter_map(ended).collect::<Vec<Uuid>>());
        let told = jobs.iter().zip(&results).filter(|(_, result)| result.is_ok());
        self.deliveries.ring(told.filter_map(|(job, _)| job.record.ended.as_ref()).map(|end| end.event.merchant_id));
        for (job, result) in jobs.into_iter().zip(results) {
            reply(job, result);
        }
    }
}

fn reply(job: Job, result: Result<Written, StepError>) {
    // A task that was given up does not hear it; its successor reads it from the database.
    let _ = job.reply.send(result);
}
