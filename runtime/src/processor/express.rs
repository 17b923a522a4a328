//! The short way: the process that accepts a payment takes it to its end itself, as long as it has a place for it. The payment
//! is claimed in the commit that accepts it, so nobody has to be told of it and look for it, and whoever waits for it is at hand.
//!
//! Everything else is as in a processor, and whatever does not end here is in the queue: what there was no place for, what is
//! tried again later, and what a process that died had in work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::advance::begin;
use super::case::{Case, OpenAttempt};
use super::load::Claimed;
use super::record::{Begun, NewAttempt};
use super::run::{Options, finish, keep_warm};
use super::settled::Ending;
use super::shift::{self, Handed};
use super::worker::Worker;
use crate::app::App;
use crate::payments::NewPayment;
use crate::payments::accept::{Accepted, ClaimedAtOnce};
use crate::queue::Item;
use crate::webhooks::{Bell, bell};

/// How often it is said that the fraud workload does not come up.
const WARM_UP: Duration = Duration::from_secs(60);
/// Other processes are told of events this often.
const DISPATCHERS_TOLD_EVERY: Duration = Duration::from_millis(20);

/// Begins payments that are about to be accepted, as long as there are places.
#[derive(Clone)]
pub struct Express {
    worker: Arc<Worker>,
    places: Arc<Semaphore>,
    is_warm: Arc<AtomicBool>,
    name: Arc<str>,
    lease: Duration,
}

/// Where payments are handed in that were accepted. When it is dropped, those in work are taken to their end.
pub struct HandIn(UnboundedSender<Handed<Worker>>);

/// A payment that was begun, and its place.
pub struct Draft {
    begun: Begun,
    place: OwnedSemaphorePermit,
}

impl Express {
    /// The short way, its way in, and the task that does the work, which ends some time after the way in was dropped. It tells
    /// `ended` what came to its end. Nothing is begun before the fraud workload has answered once.
    ///
    /// # Errors
    /// When an HTTP client cannot be set up.
    pub fn start(
        app: Arc<App>,
        ended: UnboundedSender<Ending>,
    ) -> Result<(Self, HandIn, JoinHandle<()>), reqwest::Error> {
        let options = Options::default();
        let (handed, taken) = mpsc::unbounded_channel();
        let deliveries = Bell::default();
        let name = format!("{}/{}", app.release, Uuid::now_v7().simple()).into();
        let (worker, writing) = Worker::start(app.clone(), deliveries.clone(), Some(ended))?;
        let worker = Arc::new(worker);
        let (places, is_warm) = (Arc::new(Semaphore::new(options.concurrency)), Arc::<AtomicBool>::default());
        let express = Self { worker: worker.clone(), places, is_warm: is_warm.clone(), name, lease: options.lease };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = shift::take(&worker, taken, &options) => {}
                () = keep_open(&worker, &is_warm) => {}
                () = pass_on(&app, &deliveries) => {}
            }
            finish(worker, writing).await;
        });
        Ok((express, HandIn(handed), task))
    }

    /// Does for a payment what can be done before it is accepted, if there is a place for it: the fraud check and the choice of
    /// a provider. Nothing is sent, and nothing is written: that is for the commit that accepts it.
    pub async fn begin(&self, new: &NewPayment) -> Option<Draft> {
        if !self.is_open() {
            return None;
        }
        let place = self.places.clone().try_acquire_owned().ok()?;
        // What only the database knows is known when the payment is accepted.
        let mut case = case(new, &self.worker.app.release, Decimal::ZERO, String::new());
        let begun = begin(&self.worker, &mut case).await;
        // Without Redis accepted payments are counted, and those that come together do not see each other before.
        (!begun.check.degraded).then_some(Draft { begun, place })
    }

    /// A claim for what was begun.
    #[must_use]
    pub fn claim(&self) -> ClaimedAtOnce {
        ClaimedAtOnce { worker: self.name.to_string(), lease: self.lease, token: rand::random() }
    }

    /// A gateway that was not given the credential of every provider would choose among those that it has: then the processors
    /// choose.
    fn is_open(&self) -> bool {
        let App { shutdown, settings, .. } = &*self.worker.app;
        let settings = settings.current();
        let mut active = settings.providers.iter().filter(|provider| provider.active).peekable();
        self.is_warm.load(Ordering::Relaxed)
            && !shutdown.is_cancelled()
            && active.peek().is_some()
            && active.all(|provider| self.worker.credential(&provider.resource).is_ok())
    }
}

impl Draft {
    /// What is to be written.
    #[must_use]
    pub const fn begun(&self) -> &Begun {
        &self.begun
    }
}

impl HandIn {
    /// Takes a payment that was accepted, with what was begun for it, to its end.
    pub fn take(&self, new: &NewPayment, accepted: Accepted, draft: Draft, claim_token: i64, release: &str) {
        let Draft { begun, place } = draft;
        let claimed = claimed(new, accepted, begun, claim_token, release);
        // Fails only when the task is gone; then the claim runs out, and a processor takes the payment.
        let _ = self.0.send(Handed { claimed, place });
    }
}

/// A payment that was accepted just now, as it would be read.
fn claimed(new: &NewPayment, accepted: Accepted, begun: Begun, claim_token: i64, release: &str) -> Claimed {
    let item = Item {
        id: accepted.item_id,
        subject_id: new.id.as_uuid(),
        payment_id: new.id,
        payment_created_at: new.id.created_at(),
        release: release.to_owned(),
        attempt: accepted.claims,
        claim_token,
        last_error: None,
    };
    let unsent = begun.attempt.zip(accepted.provider_id).map(|(attempt, provider_id)| {
        let NewAttempt { id, t_start, provider, .. } = attempt;
        OpenAttempt { id, t_start, reference: None, provider_id, provider }
    });
    let mut case = case(new, release, accepted.fee_percentage, accepted.token);
    case.judgement = Some(begun.judgement);
    case.attempts = unsent.iter().map(|_| 1).sum();
    Claimed { item, case: Ok(case), unsent }
}

fn case(new: &NewPayment, release: &str, fee_percentage: Decimal, token: String) -> Case {
    let payment = new.payment(release);
    let purchase = Some(new.request.purchase());
    Case {
        payment,
        is_test: new.is_test,
        purchase,
        fee_percentage,
        token: token.into(),
        judgement: None,
        attempts: 0,
        open: None,
    }
}

/// Opens the way once the fraud workload answers.
async fn keep_open(worker: &Worker, is_warm: &AtomicBool) {
    while !worker.fraud.warm_up(WARM_UP).await {
        tracing::warn!("the fraud workload does not answer; payments go to the queue");
    }
    is_warm.store(true, Ordering::Relaxed);
    keep_warm(worker).await;
}

/// Tells the dispatchers of this process and of others whose events there are.
async fn pass_on(app: &App, deliveries: &Bell) {
    loop {
        deliveries.rung().await;
        let merchants = deliveries.take();
        app.deliveries.ring(merchants.iter().copied());
        bell::announce_all(&app.pool, merchants).await;
        tokio::time::sleep(DISPATCHERS_TOLD_EVERY).await;
    }
}
