//! Group commit: what tasks want written goes as values to a recorder, which writes what is there in one commit.
//!
//! Under load a batch is what came while the one before was being committed, so the disk is asked once for many payments;
//! below that, what came within a few milliseconds. What was handed in is written even when the worker ends meanwhile.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::error::{StepError, refuses_the_record};
use super::record::{Record, Sending};
use super::settled::{Ending, Settled};
use super::write;
use crate::database::{Link, Pool};
use crate::pace::Pace;
use crate::webhooks::Bell;

/// Every payment in work has at most one record here, so this is never full.
const ROOM: usize = 1024;

/// Takes attempts and records, and says when they are committed.
///
/// Attempts that are about to be sent and everything else go separate ways: while one batch waits for the disk the other is
/// being written, and each way runs the same few statements all the time.
#[derive(Clone)]
pub struct Recorder {
    sendings: mpsc::Sender<Job<Sending>>,
    records: mpsc::Sender<Job<Record>>,
}

/// What is to be written, and who waits to hear of it.
struct Job<T: Kind> {
    what: T,
    reply: oneshot::Sender<Result<T::Written, StepError>>,
}

impl Recorder {
    /// The recorder, and the tasks that write. They end when the last copy of the recorder is dropped and everything
    /// handed in is written.
    pub fn start(pool: Pool, release: String, settled: Settled, deliveries: Bell) -> (Self, JoinSet<()>) {
        let lane = |pool| Lane {
            link: Link::new(pool),
            release: release.clone(),
            settled: settled.clone(),
            deliveries: deliveries.clone(),
        };
        let (sendings, new_sendings) = mpsc::channel(ROOM);
        let (records, new_records) = mpsc::channel(ROOM);
        let mut lanes = JoinSet::new();
        lanes.spawn(lane(pool.clone()).run(new_sendings));
        lanes.spawn(lane(pool).run(new_records));
        (Self { sendings, records }, lanes)
    }

    /// Writes an attempt that is about to be sent; returns its provider's id in `payment_providers` when it is committed.
    ///
    /// # Errors
    /// When its claim is lost, or the database refuses it or does not answer.
    pub async fn send(&self, sending: Sending) -> Result<i32, StepError> {
        hand_in(&self.sendings, sending).await
    }

    /// Writes a record; returns when it is committed.
    ///
    /// # Errors
    /// When its claim is lost, or the database refuses it or does not answer.
    pub async fn write(&self, record: Record) -> Result<(), StepError> {
        hand_in(&self.records, record).await.map(drop)
    }
}

async fn hand_in<T: Kind>(lane: &mpsc::Sender<Job<T>>, what: T) -> Result<T::Written, StepError> {
    let (reply, answer) = oneshot::channel();
    lane.send(Job { what, reply }).await.map_err(|_| StepError::Ending)?;
    answer.await.map_err(|_| StepError::Ending)?
}

/// What goes one of the ways.
trait Kind: Send + Sync + Sized + 'static {
    /// What is to be known of it once it is committed.
    type Written: Send;

    /// Writes some of them in one commit.
    fn write(
        lane: &mut Lane,
        some: &[&Self],
    ) -> impl Future<Output = Result<Vec<Result<Self::Written, StepError>>, sqlx::Error>> + Send;

    /// Tells others of those that were written.
    fn announce<'a>(lane: &Lane, written: impl Iterator<Item = (&'a Self, &'a Self::Written)> + Clone);
}

impl Kind for Sending {
    type Written = i32;

    async fn write(lane: &mut Lane, some: &[&Self]) -> Result<Vec<Result<i32, StepError>>, sqlx::Error> {
        write::send(&mut lane.link, &lane.release, some).await
    }

    fn announce<'a>(_: &Lane, _: impl Iterator<Item = (&'a Self, &'a i32)> + Clone) {}
}

impl Kind for Record {
    /// Whether the payment's key was answered before.
    type Written = bool;

    async fn write(lane: &mut Lane, some: &[&Self]) -> Result<Vec<Result<bool, StepError>>, sqlx::Error> {
        write::record(&mut lane.link, &lane.release, some).await
    }

    fn announce<'a>(lane: &Lane, written: impl Iterator<Item = (&'a Self, &'a bool)> + Clone) {
        let ended = written.filter_map(|(record, answered)| Some((record.ended.as_deref()?, *answered)));
        lane.settled.announce(ended.clone().map(|(end, answered)| Ending::of_payment(&end.event, answered)));
        lane.deliveries.ring(ended.map(|(end, _)| end.event.merchant_id));
    }
}

struct Lane {
    link: Link,
    release: String,
    settled: Settled,
    deliveries: Bell,
}

impl Lane {
    async fn run<T: Kind>(mut self, mut new: mpsc::Receiver<Job<T>>) {
        let mut pace = Pace::default();
        loop {
            let jobs = pace.gather(&mut new).await;
            if jobs.is_empty() {
                return;
            }
            self.settle(jobs).await;
        }
    }

    /// Writes the jobs in as few commits as they allow: one that the database refuses fails alone.
    async fn settle<T: Kind>(&mut self, jobs: Vec<Job<T>>) {
        let mut batches = vec![jobs];
        while let Some(mut jobs) = batches.pop() {
            let some: Vec<&T> = jobs.iter().map(|job| &job.what).collect();
            match T::write(self, &some).await {
                Ok(results) => self.tell(jobs, results),
                Err(error) if jobs.len() > 1 && refuses_the_record(&error) => {
                    tracing::warn!(%error, records = jobs.len(), "a batch is written in halves, to find what is refused");
                    let other_half = jobs.split_off(jobs.len() / 2);
                    batches.extend([jobs, other_half]);
                }
                Err(error) => {
                    let error = StepError::from(error);
                    jobs.into_iter().for_each(|job| reply(job, Err(error.clone())));
                }
            }
        }
    }

    /// Told after the commit and outside of it: whoever is told must be able to read it.
    fn tell<T: Kind>(&self, jobs: Vec<Job<T>>, results: Vec<Result<T::Written, StepError>>) {
        let written = jobs.iter().zip(&results).filter_map(|(job, result)| Some((&job.what, result.as_ref().ok()?)));
        T::announce(self, written);
        for (job, result) in jobs.into_iter().zip(results) {
            reply(job, result);
        }
    }
}

fn reply<T: Kind>(job: Job<T>, result: Result<T::Written, StepError>) {
    // A task that was given up does not hear it; its successor reads it from the database.
    let _ = job.reply.send(result);
}
