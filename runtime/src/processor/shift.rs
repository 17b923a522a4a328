//! The loop of a queue: claim what is due, bring it forward, keep the claims alive, and end in order. Whatever goes wrong with
//! one item stays its own.

use std::any::Any;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::PgConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::error::StepError;
use super::in_work::InWork;
use super::run::Options;
use crate::app::App;
use crate::database::{self, Link};
use crate::pace::Pace;
use crate::queue::{Claimant, First, GivenBack, Item, Parked, Queue, Wake, backoff};

/// Every so many claims look first at what other releases left lying.
const STRAYS_FIRST_EVERY: u64 = 8;
/// When every place is taken, one place alone is not worth a claim: others become free within this time.
const GATHER: Duration = Duration::from_millis(2);
/// The database is away: look again after this.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// In maintenance, too, unless somebody tells that there is work: whoever ends it does.
const HELD_PAUSE: Duration = Duration::from_secs(2);

/// So many claims in a row that nobody gave back: whoever takes this item does not survive it.
const CLAIMS_LOST_MAX: i32 = 50;
/// So many claims that ended with an error that does not mend itself: a person must look.
const CLAIMS_FAILED_MAX: i32 = 10;

/// What is done with the items of one queue.
pub(super) trait Trade: Send + Sync + 'static {
    /// The queue.
    const QUEUE: Queue;
    /// An item that was claimed, with whatever was read with it.
    type Claimed: Send + 'static;
    /// Where an item stands after a step.
    type Progress: Debug + Send;

    /// What it stands on.
    fn app(&self) -> &App;

    /// The claims that are in work.
    fn in_work(&self) -> &InWork;

    /// Claims what is due.
    fn claim(
        connection: &mut PgConnection,
        by: &Claimant,
        limit: u32,
        first: First,
    ) -> impl Future<Output = Result<Vec<Self::Claimed>, sqlx::Error>> + Send;

    /// The claim.
    fn item(claimed: &Self::Claimed) -> &Item;

    /// Takes an item as far as it goes now.
    fn step(&self, claimed: Self::Claimed) -> impl Future<Output = Result<Self::Progress, StepError>> + Send;
}

/// Works until the process is to end, and until what is in work then has ended or is back in the queue.
pub(super) async fn work<T: Trade>(trade: &Arc<T>, places: usize, options: &Options) {
    let shift = async {
        let mut tasks = JoinSet::new();
        claim_until_shutdown(trade, places, options, &mut tasks).await;
        drain(&**trade, options, &mut tasks).await;
    };
    tokio::select! {
        () = shift => {}
        () = keep_claims(&**trade, options.lease) => {}
    }
}

/// Brings forward what is handed in, claimed already, until nothing can be handed in any more, and then ends as [`work`] does.
pub(super) async fn take<T: Trade>(trade: &Arc<T>, mut handed: UnboundedReceiver<Handed<T>>, options: &Options) {
    let shift = async {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                next = handed.recv() => match next {
                    Some(Handed { claimed, place }) => {
                        let brought = bring_forward(Arc::clone(trade), claimed);
                        tasks.spawn(async move {
                            brought.await;
                            drop(place);
                        });
                    }
                    None => break,
                },
                Some(ended) = tasks.join_next() => report_panic(ended, T::QUEUE.word),
            }
        }
        drain(&**trade, options, &mut tasks).await;
    };
    tokio::select! {
        () = shift => {}
        () = keep_claims(&**trade, options.lease) => {}
    }
}

/// An item that was claimed already, and the place that it takes while it is in work.
pub(super) struct Handed<T: Trade> {
    pub(super) claimed: T::Claimed,
    pub(super) place: OwnedSemaphorePermit,
}

async fn claim_until_shutdown<T: Trade>(trade: &Arc<T>, places: usize, options: &Options, tasks: &mut JoinSet<()>) {
    let App { pool, release, shutdown, notices, .. } = trade.app();
    let mut wake = Wake::listen(notices, &T::QUEUE);
    let name = format!("{release}/{}", Uuid::now_v7().simple());
    let mut link = Link::lazy(pool.clone());
    let claimant = Claimant { release: release.clone(), worker: name, lease: options.lease, grace: options.grace };
    let (mut pace, mut claims) = (Pace::default(), 0_u64);
    while !shutdown.is_cancelled() {
        while let Some(ended) = tasks.try_join_next() {
            report_panic(ended, T::QUEUE.word);
        }
        let free = places.saturating_sub(tasks.len());
        if free == 0 {
            let one_ended = async {
                if let Some(ended) = tasks.join_next().await {
                    report_panic(ended, T::QUEUE.word);
                }
                tokio::time::sleep(GATHER).await;
            };
            tokio::select! { () = one_ended => {}, () = shutdown.cancelled() => {} }
            continue;
        }
        claims += 1;
        let first = if claims.is_multiple_of(STRAYS_FIRST_EVERY) { First::Strays } else { First::Own };
        let pause = match claim::<T>(&mut link, &claimant, free, first).await {
            Ok(items) => {
                let all_taken = items.len() == free;
                for item in items {
                    tasks.spawn(bring_forward(Arc::clone(trade), item));
                }
                if all_taken { Duration::ZERO } else { options.poll }
            }
            Err(error) if database::maintenance(&error).is_some() => {
                tracing::debug!(queue = T::QUEUE.word, "in maintenance no work is begun");
                HELD_PAUSE
            }
            Err(error) => {
                tracing::warn!(%error, queue = T::QUEUE.word, "no work claimed");
                link.drop_connection();
                OUTAGE_PAUSE
            }
        };
        let due = async {
            if !pause.is_zero() {
                wake.wait(pause).await;
            }
            pace.batch().await;
        };
        tokio::select! { () = due => {}, () = shutdown.cancelled() => {} }
    }
}

async fn claim<T: Trade>(
    link: &mut Link,
    by: &Claimant,
    places: usize,
    first: First,
) -> Result<Vec<T::Claimed>, sqlx::Error> {
    T::claim(link.get().await?, by, u32::try_from(places).unwrap_or(u32::MAX), first).await
}

/// Takes an item as far as it goes now. A panic is an error like another, so that its item comes up for a person in the end,
/// rather than again and again.
pub(super) async fn advance<T: Trade>(trade: &T, claimed: T::Claimed) -> Result<T::Progress, StepError> {
    let _in_work = trade.in_work().enter(T::item(&claimed).lease());
    let panicked =
        |panic: Box<dyn Any + Send>| Err(StepError::Inconsistent(format!("a panic: {}", panic_message(&*panic))));
    AssertUnwindSafe(trade.step(claimed)).catch_unwind().await.unwrap_or_else(panicked)
}

/// The same; what does not work out is given back, or set aside for a person.
async fn bring_forward<T: Trade>(trade: Arc<T>, claimed: T::Claimed) {
    let item = T::item(&claimed).clone();
    let (queue, payment, subject) = (T::QUEUE.word, item.payment_id, item.subject_id);
    if item.attempt > CLAIMS_LOST_MAX && item.last_error.is_none() {
        let reason = format!("claimed {} times, and never given back: its workers did not survive it", item.attempt);
        return set_aside(&*trade, &item, reason).await;
    }
    match advance(&*trade, claimed).await {
        Ok(progress) => tracing::debug!(queue, %payment, %subject, ?progress, "brought forward"),
        Err(StepError::Lost) => {
            tracing::warn!(queue, %payment, %subject, claim = item.attempt, "lost to another worker");
        }
        Err(error) if error.is_of_the_record() && item.attempt >= CLAIMS_FAILED_MAX => {
            set_aside(&*trade, &item, error.to_string()).await;
        }
        Err(error) => {
            tracing::warn!(queue, %payment, %subject, %error, "not brought forward");
            give_back(&*trade, &item, &error).await;
        }
    }
}

async fn set_aside<T: Trade>(trade: &T, item: &Item, reason: String) {
    let (queue, payment, subject) = (T::QUEUE.word, item.payment_id, item.subject_id);
    tracing::error!(queue, %payment, %subject, reason, "waits for a person");
    let parked = async {
        let mut connection = trade.app().pool.acquire().await?;
        T::QUEUE.park(&mut connection, &[Parked { lease: item.lease(), reason }]).await
    };
    if let Err(error) = parked.await {
        tracing::debug!(queue, %payment, %subject, %error, "not set aside; the claim runs out by itself");
    }
}

async fn give_back<T: Trade>(trade: &T, item: &Item, error: &StepError) {
    let delay = backoff::delay(item.attempt.unsigned_abs(), rand::random());
    let given_back = async {
        let mut connection = trade.app().pool.acquire().await?;
        let back = GivenBack { lease: item.lease(), delay, reason: error.to_string() };
        T::QUEUE.give_back(&mut connection, &[back]).await
    };
    if let Err(error) = given_back.await {
        let (queue, payment, subject) = (T::QUEUE.word, item.payment_id, item.subject_id);
        tracing::debug!(queue, %payment, %subject, %error, "not given back; the claim runs out by itself");
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Waits for what is in work; gives back what does not end in time. What was sent to a provider is then asked about by
/// the next worker, with the same key.
async fn drain<T: Trade>(trade: &T, options: &Options, tasks: &mut JoinSet<()>) {
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            report_panic(ended, T::QUEUE.word);
        }
    };
    if tokio::time::timeout(options.drain, all_ended).await.is_ok() {
        return;
    }
    // Taken down before the tasks are stopped, since each of them strikes itself off.
    let leases = trade.in_work().leases();
    tasks.shutdown().await;
    tracing::warn!(items = leases.len(), queue = T::QUEUE.word, "given back unfinished");
    if let Err(error) = T::QUEUE.release(&trade.app().pool, &leases).await {
        tracing::warn!(%error, queue = T::QUEUE.word, "not given back; the claims run out by themselves");
    }
}

/// An item whose task panicked is tried again when its claim runs out. Nothing is lost, but somebody must know.
fn report_panic(ended: Result<(), JoinError>, queue: &str) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, queue, "not brought forward; it is tried again when its claim runs out");
    }
}

/// Makes the claims of what is in work last, so that a slow provider is not asked by two workers at a time.
async fn keep_claims<T: Trade>(trade: &T, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / 3);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leases = trade.in_work().leases();
        if leases.is_empty() {
            continue;
        }
        if let Err(error) = T::QUEUE.extend(&trade.app().pool, &leases, lease).await {
            tracing::warn!(%error, claims = leases.len(), queue = T::QUEUE.word, "claims not extended");
        }
    }
}
