//! The short way: the process that accepts a payment takes it to its end itself, as long as it has a place for it. The payment
//! is claimed in the commit that accepts it, so nobody has to be told of it and look for it, and whoever waits for it is at hand.
//!
//! Everything else is as in a processor, and whatever does not end here is in the queue: what there was no place for, what is
//! tried again later, and what a process that died had in work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::case::Case;
use super::load::Claimed;
use super::run::{Options, finish, keep_warm};
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
const DISPATCHERS_TOLD_EVERY: Duration = Duration::from_millis(5);

/// Where payments are handed in as they are accepted. When it is dropped, those in work are taken to their end.
pub struct Express {
    worker: Arc<Worker>,
    handed: UnboundedSender<Handed<Worker>>,
    places: Arc<Semaphore>,
    is_warm: Arc<AtomicBool>,
    name: String,
    lease: Duration,
}

/// Places for the payments of one batch, and the claim that they are accepted under.
pub struct Places {
    permits: OwnedSemaphorePermit,
    /// The claim.
    pub claim: ClaimedAtOnce,
}

impl Express {
    /// The way in, and the task that does the work, which ends some time after the way in was dropped. It tells `ended` what
    /// came to its end. Nothing is taken before the fraud workload has answered once.
    ///
    /// # Errors
    /// When an HTTP client cannot be set up.
    pub fn start(app: Arc<App>, ended: UnboundedSender<Uuid>) -> Result<(Self, JoinHandle<()>), reqwest::Error> {
        let options = Options::default();
        let (handed, taken) = mpsc::unbounded_channel();
        let deliveries = Bell::default();
        let name = format!("{}/{}", app.release, Uuid::now_v7().simple());
        let (worker, writing) = Worker::start(app.clone(), deliveries.clone(), Some(ended))?;
        let worker = Arc::new(worker);
        let (places, is_warm) = (Arc::new(Semaphore::new(options.concurrency)), Arc::<AtomicBool>::default());
        let way_in =
            Self { worker: worker.clone(), handed, places, is_warm: is_warm.clone(), name, lease: options.lease };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = shift::take(&worker, taken, &options) => {}
                () = keep_open(&worker, &is_warm) => {}
                () = pass_on(&app, &deliveries) => {}
            }
            finish(worker, writing).await;
        });
        Ok((way_in, task))
    }

    /// Places for up to `wanted` payments, while payments can be taken here.
    #[must_use]
    pub fn places(&self, wanted: usize) -> Option<Places> {
        if !self.is_open() {
            return None;
        }
        let places = wanted.min(self.places.available_permits());
        let permits = self.places.clone().try_acquire_many_owned(u32::try_from(places).ok()?).ok()?;
        let (worker, token) = (self.name.clone(), rand::random());
        Some(Places { permits, claim: ClaimedAtOnce { worker, lease: self.lease, token, places } })
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

    /// Takes a payment that was accepted under the claim of these places to its end.
    pub fn take(&self, new: &NewPayment, accepted: Accepted, places: &mut Places) {
        let Some(place) = places.permits.split(1) else { return };
        let claimed = claimed(new, accepted, &self.worker.app.release, places.claim.token);
        // Fails only when the task is gone; then the claim runs out, and a processor takes the payment.
        let _ = self.handed.send(Handed { claimed, place });
    }
}

/// A payment that was accepted just now, as it would be read.
fn claimed(new: &NewPayment, accepted: Accepted, release: &str, claim_token: i64) -> Claimed {
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
    let case = Case {
        payment: new.payment(release),
        fee_percentage: accepted.fee_percentage,
        token: accepted.token.into(),
        judgement: None,
        attempts: 0,
        open: None,
    };
    Claimed { item, case: Ok(case) }
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
