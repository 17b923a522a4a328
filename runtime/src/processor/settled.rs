//! Telling the gateways which payments and operations are at their end.

use std::time::Duration;

use http::StatusCode;
use sqlx::PgExecutor;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::database::{Link, Pool, notify};
use crate::events::Event;
use crate::idempotency::Answer;
use crate::ids::PaymentId;

/// Channel on which ended payments and operations are announced: their uuids, separated by commas.
pub const CHANNEL: &str = "purser_settled";
/// A notification holds 8000 bytes, and an id with its comma 37.
const IDS_MAX: usize = 200;
/// Where those who wait are in this process, others are told of the same this often: somebody sent a request twice.
const OTHERS_TOLD_EVERY: Duration = Duration::from_millis(20);

/// Something that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The payment or operation.
    pub id: Uuid,
    /// The answer to whoever waits for it, byte for byte as it is read later; none when it has to be read.
    pub answer: Option<Answer>,
}

impl Ending {
    /// Of a payment, by the event of its end. When its key was answered before, that answer counts.
    #[must_use]
    pub fn of_payment(event: &Event, is_answered: bool) -> Self {
        let id = event.payment_id.unwrap_or_else(|| PaymentId::from_uuid(Uuid::nil()));
        let answer = event.payment().filter(|_| !is_answered && event.sequence == 1);
        let answer = answer.map(|body| Answer::of_payment(StatusCode::CREATED.as_u16(), id, body.into()));
        Self { id: id.as_uuid(), answer }
    }
}

impl From<Uuid> for Ending {
    fn from(id: Uuid) -> Self {
        Self { id, answer: None }
    }
}

/// Announces payments and operations. Whatever is lost here a gateway finds by looking.
#[derive(Clone)]
pub struct Settled {
    here: Option<UnboundedSender<Ending>>,
    elsewhere: UnboundedSender<Vec<Uuid>>,
}

impl Settled {
    /// The announcer, and its task, which ends when the last copy of the announcer is dropped. `here`: who waits in this
    /// process.
    pub fn start(pool: Pool, here: Option<UnboundedSender<Ending>>) -> (Self, JoinHandle<()>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut link = Link::lazy(pool);
        let pause = here.as_ref().map_or(Duration::ZERO, |_| OTHERS_TOLD_EVERY);
        let task = tokio::spawn(async move {
            let mut batches: Vec<Vec<Uuid>> = Vec::new();
            // NOTIFY takes a lock of the whole database: what ended meanwhile goes out with one of them.
            while receiver.recv_many(&mut batches, IDS_MAX).await > 0 {
                let ids: Vec<Uuid> = batches.drain(..).flatten().collect();
                for ids in ids.chunks(IDS_MAX) {
                    if let Err(error) = announce(&mut link, ids).await {
                        tracing::debug!(%error, ended = ids.len(), "not announced");
                        link.drop_connection();
                    }
                }
                tokio::time::sleep(pause).await;
            }
        });
        (Self { here, elsewhere: sender }, task)
    }

    /// Announces soon.
    pub fn announce(&self, endings: impl Iterator<Item = Ending>) {
        // Both only fail while the process ends, when nobody is left to be told by it.
        let mut ids = Vec::new();
        for ending in endings {
            ids.push(ending.id);
            if let Some(here) = &self.here {
                let _ = here.send(ending);
            }
        }
        if !ids.is_empty() {
            let _ = self.elsewhere.send(ids);
        }
    }
}

async fn announce(link: &mut Link, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    tell(link.get().await?, ids).await
}

/// Tells the gateways at once.
pub(crate) async fn tell(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    let payload = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
    notify(executor, CHANNEL, &payload).await
}
