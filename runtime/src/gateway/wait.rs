//! Waiting for the end of payments and operations: told by the processor through `NOTIFY purser_settled`, not by asking
//! again and again. Whatever was told of in one moment is read in one statement, for all who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::database::{Link, Notice, Notices, Pool};
use crate::idempotency::{self, Answer, KeyedRequest, Subject};
use crate::processor::settled::Ending;

/// Channel on which processors name what came to its end: uuids, separated by commas.
pub(super) const SETTLED: &str = "purser_settled";
/// A notification that was lost costs at most about this much.
const RESCUE: Duration = Duration::from_secs(1);
/// How many are read in one statement.
const READ_MAX: usize = 256;

type Ended = Option<Arc<Answer>>;

/// Who waits for what, in this process.
#[derive(Clone)]
pub(super) struct Waiters {
    waiting: Arc<Mutex<HashMap<Uuid, Waiting>>>,
    ended: mpsc::UnboundedSender<Ending>,
    told: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Ending>>>,
}

struct Waiting {
    request: KeyedRequest,
    subject: Subject,
    since: Instant,
    count: usize,
    answer: watch::Sender<Ended>,
}

/// One who waits. What was told since it was made is not lost.
pub(super) struct Waiter {
    subject: Subject,
    answer: watch::Receiver<Ended>,
    waiters: Waiters,
}

impl Default for Waiters {
    fn default() -> Self {
        let (ended, told) = mpsc::unbounded_channel();
        Self { waiting: Arc::default(), ended, told: Arc::new(tokio::sync::Mutex::new(told)) }
    }
}

impl Waiters {
    /// Begins to wait. To be called before the subject is accepted, so that no end comes too early to be heard.
    #[must_use]
    pub(super) fn wait_for(&self, request: &KeyedRequest, subject: Subject) -> Waiter {
        let mut waiting = self.lock();
        let waiting = waiting.entry(subject.id()).or_insert_with(|| Waiting {
            request: request.clone(),
            subject,
            since: Instant::now(),
            count: 0,
            answer: watch::channel(None).0,
        });
        waiting.count += 1;
        Waiter { subject, answer: waiting.answer.subscribe(), waiters: self.clone() }
    }

    /// Where to name what came to its end in this process.
    pub(super) fn ended(&self) -> mpsc::UnboundedSender<Ending> {
        self.ended.clone()
    }

    /// Reads answers and hands them out until the process ends. While no notification comes, it looks by itself.
    pub(super) async fn serve(self, pool: Pool, notices: Notices) {
        tokio::join!(self.listen(&notices), self.read(&pool));
    }

    async fn listen(&self, notices: &Notices) {
        let mut told = notices.on(SETTLED);
        while let Some(notice) = told.recv().await {
            if let Notice::Word(word) = notice {
                self.tell(&word);
            }
        }
    }

    /// Has those looked at that are named in a notification.
    fn tell(&self, payload: &str) {
        for id in payload.split(',').filter_map(|text| Uuid::try_parse(text.trim()).ok()) {
            // The receiver lives in this struct.
            let _ = self.ended.send(id.into());
        }
    }

    async fn read(&self, pool: &Pool) {
        let mut told = self.told.lock().await;
        let mut link = Link::new(pool.clone());
        let mut rescue = tokio::time::interval(RESCUE);
        rescue.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut endings = Vec::with_capacity(READ_MAX);
        loop {
            let asked = tokio::select! {
                _ = told.recv_many(&mut endings, READ_MAX) => {
                    let unanswered = self.hand_out_known(endings.drain(..));
                    self.those(&unanswered)
                }
                _ = rescue.tick() => self.those_since(Instant::now() - RESCUE),
            };
            for some in asked.chunks(READ_MAX) {
                match answers(&mut link, some).await {
                    Ok(answers) => self.hand_out(answers),
                    Err(error) => {
                        tracing::debug!(%error, "answers not read; trying again");
                        link.drop_connection();
                    }
                }
            }
        }
    }

    /// Hands out the answers that are at hand; returns what has to be read.
    fn hand_out_known(&self, endings: impl Iterator<Item = Ending>) -> Vec<Uuid> {
        let (known, unknown): (Vec<Ending>, Vec<Ending>) = endings.partition(|ending| ending.answer.is_some());
        self.hand_out(known.into_iter().filter_map(|Ending { id, answer }| Some((id, answer?))).collect());
        unknown.into_iter().map(|ending| ending.id).collect()
    }

    fn those(&self, ids: &[Uuid]) -> Vec<(KeyedRequest, Subject)> {
        let waiting = self.lock();
        let mut asked: Vec<_> = ids.iter().filter_map(|id| waiting.get(id)).map(Waiting::asked).collect();
        // A payment may be told of more than once in one moment.
        asked.sort_unstable_by_key(|(_, subject)| subject.id());
        asked.dedup_by_key(|(_, subject)| subject.id());
        asked
    }

    fn those_since(&self, then: Instant) -> Vec<(KeyedRequest, Subject)> {
        self.lock().values().filter(|waiting| waiting.since <= then).map(Waiting::asked).collect()
    }

    fn hand_out(&self, answers: Vec<(Uuid, Answer)>) {
        let waiting = self.lock();
        for (id, answer) in answers {
            if let Some(waiting) = waiting.get(&id) {
                waiting.answer.send_replace(Some(Arc::new(answer)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answers(link: &mut Link, of: &[(KeyedRequest, Subject)]) -> Result<Vec<(Uuid, Answer)>, sqlx::Error> {
    idempotency::store::answers(link.get().await?, of).await
}

impl Waiting {
    fn asked(&self) -> (KeyedRequest, Subject) {
        (self.request.clone(), self.subject)
    }
}

impl Waiter {
    /// What is waited for.
    pub(super) const fn subject(&self) -> Subject {
        self.subject
    }

    /// Has it looked at now: it may have ended before this waiter was made.
    pub(super) fn look(&self) {
        let _ = self.waiters.ended.send(self.subject.id().into());
    }

    /// Returns when there is an answer.
    pub(super) async fn ended(&mut self) -> Arc<Answer> {
        loop {
            if let Some(answer) = self.answer.borrow_and_update().clone() {
                return answer;
            }
            if self.answer.changed().await.is_err() {
                // The sender lives as long as this waiter.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        if let Some(entry) = waiting.get_mut(&self.subject.id()) {
            entry.count -= 1;
            if entry.count == 0 {
                waiting.remove(&self.subject.id());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::idempotency::{IdempotencyKey, RequestHash};
    use crate::ids::{MerchantId, PaymentId};

    #[tokio::test]
    async fn those_who_wait_are_told_even_before_they_listen() {
        let waiters = Waiters::default();
        let id = PaymentId::at(Utc::now());
        let request = KeyedRequest {
            merchant_id: MerchantId::at(Utc::now()),
            key: IdempotencyKey::parse(b"k").unwrap(),
            hash: RequestHash::of("POST /v1/payments", &1).unwrap(),
        };
        let subject = Subject::Payment(id);
        let (mut one, mut two) = (waiters.wait_for(&request, subject), waiters.wait_for(&request, subject));
        waiters.tell(&format!("not-an-id,{},{}", Uuid::now_v7(), id.as_uuid()));
        let mut told = Vec::new();
        waiters.told.lock().await.recv_many(&mut told, 10).await;
        let ids = waiters.hand_out_known(told.into_iter());
        assert_eq!(ids.len(), 2);
        assert_eq!(waiters.those(&[ids[0], ids[1], ids[1]]), [(request, subject)], "each is read once");
        waiters.hand_out(vec![(id.as_uuid(), Answer::of_payment(201, id, b"{}".to_vec()))]);
        assert_eq!(one.ended().await, two.ended().await);
        drop(one);
        assert_eq!(waiters.lock().len(), 1);
        drop(two);
        assert!(waiters.lock().is_empty(), "nothing stays behind");
    }
}
