//! Acceptance in shared commits: requests that come at the same time wait for one commit together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::StatusCode;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::problem::Problem;
use super::work::Bell;
use crate::app::App;
use crate::database::{self, Link};
use crate::idempotency::IdempotencyKey;
use crate::ids::{MerchantId, PaymentId};
use crate::pace::Pace;
use crate::payments::accept::{Accepted, NewPayment, Offered, accept};
use crate::processor::express::{Draft, Express, HandIn};

/// Payments that may wait for a commit: about a second's worth. Further ones are refused before anything is done.
const QUEUE_MAX: usize = 2048;

/// What became of a payment that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// It is committed: row, key and work item.
    Accepted,
    /// Another request has its key; nothing was written.
    KeyInUse,
}

type Answer = Result<Acceptance, Problem>;

struct Entry {
    payment: NewPayment,
    draft: Option<Draft>,
    answer: oneshot::Sender<Answer>,
}

/// Where payments wait for their commit.
#[derive(Clone)]
pub(super) struct Intake {
    entries: mpsc::Sender<Entry>,
    waiting: Arc<Mutex<mpsc::Receiver<Entry>>>,
}

impl Default for Intake {
    fn default() -> Self {
        let (entries, waiting) = mpsc::channel(QUEUE_MAX);
        Self { entries, waiting: Arc::new(Mutex::new(waiting)) }
    }
}

impl Intake {
    /// Accepts a payment together with others. When this returns [`Acceptance::Accepted`], it is committed.
    ///
    /// # Errors
    /// When too many wait already, or the database does not answer or refuses.
    pub(super) async fn accept(&self, payment: NewPayment, draft: Option<Draft>) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.entries.try_send(Entry { payment, draft, answer }).map_err(|_| full())?;
        // The sender is dropped without a word only while the process ends.
        answered.await.unwrap_or_else(|_| Err(full()))
    }

    /// How full the queue is, from 0 to 1.
    pub(super) fn fullness(&self) -> f64 {
        let free = u32::try_from(self.entries.capacity()).unwrap_or(u32::MAX);
        1.0 - f64::from(free) / f64::from(u32::try_from(QUEUE_MAX).unwrap_or(u32::MAX))
    }

    /// Commits what is put in, until the process ends, and hands it on.
    pub(super) async fn serve(self, app: Arc<App>, bell: Bell, express: Express, hand_in: HandIn) {
        let mut waiting = self.waiting.lock().await;
        let mut desk = Desk { link: Link::new(app.pool.clone()), app, bell, express, hand_in };
        let mut pace = Pace::default();
        loop {
            let batch = pace.gather(&mut waiting).await;
            if batch.is_empty() {
                return;
            }
            desk.commit(batch).await;
        }
    }
}

/// Where batches are committed.
struct Desk {
    link: Link,
    app: Arc<App>,
    bell: Bell,
    express: Express,
    hand_in: HandIn,
}

impl Desk {
    /// Commits a batch. Where the database refuses it, its halves are tried, so that one bad payment is refused alone.
    async fn commit(&mut self, batch: Vec<Entry>) {
        let (first, later) = one_per_key(batch);
        let mut open = vec![first];
        while let Some(mut part) = open.pop() {
            match self.accept(&mut part).await {
                Ok(accepted) => part.into_iter().for_each(|entry| {
                    let was = accepted.contains(&entry.payment.id);
                    tell(entry, Ok(if was { Acceptance::Accepted } else { Acceptance::KeyInUse }));
                }),
                Err(error) if part.len() <= 1 || database::is_outage(&error) => {
                    let problem = Problem::from(error);
                    part.into_iter().for_each(|entry| tell(entry, Err(problem.clone())));
                }
                Err(_) => {
                    open.push(part.split_off(part.len() / 2));
                    open.push(part);
                }
            }
        }
        // Whatever became of the first with the same key: looking at the key tells.
        later.into_iter().for_each(|entry| tell(entry, Ok(Acceptance::KeyInUse)));
    }

    /// One commit; what it accepted is in work then, here or with the processors.
    async fn accept(&mut self, part: &mut [Entry]) -> Result<HashSet<PaymentId>, sqlx::Error> {
        let claim = self.express.claim();
        let offered: Vec<Offered<'_>> = part
            .iter()
            .map(|Entry { payment, draft, .. }| Offered { new: payment, begun: draft.as_ref().map(Draft::begun) })
            .collect();
        let mut connection = self.link.take().await?;
        let accepted = accept(&mut connection, &offered, &self.app.release, &claim).await?;
        self.link.keep(connection);
        let counted = u64::try_from(accepted.len()).unwrap_or_default();
        self.app.metrics.payments.with_label_values(&["PENDING"]).inc_by(counted);
        let mut accepted: HashMap<PaymentId, Accepted> =
            accepted.into_iter().map(|accepted| (accepted.payment_id, accepted)).collect();
        let ids = accepted.keys().copied().collect();
        for Entry { payment, draft, .. } in part {
            match (accepted.remove(&payment.id), draft.take()) {
                (Some(accepted), Some(draft)) => {
                    self.hand_in.take(payment, accepted, draft, claim.token, &self.app.release);
                }
                (Some(_), None) => self.bell.payments(),
                (None, _) => {}
            }
        }
        Ok(ids)
    }
}

/// The first payment of each key in the order of keys, and the others.
fn one_per_key(batch: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let mut seen: HashMap<MerchantId, HashSet<IdempotencyKey>> = HashMap::new();
    batch.into_iter().partition(|entry| {
        let request = &entry.payment.request;
        seen.entry(request.merchant_id).or_default().insert(request.key.clone())
    })
}

fn tell(entry: Entry, answer: Answer) {
    // Fails when the client has gone; the payment goes on without it.
    let _ = entry.answer.send(answer);
}

fn full() -> Problem {
    let detail = "more payments come than can be accepted; send the same request again, with the same Idempotency-Key";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
}
