//! What has payments in work: claimed ones are brought forward one by one, and whatever goes wrong with one stays its own.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use tokio::task::{JoinHandle, JoinSet};

use super::advance::{Progress, advance};
use super::budget::Budget;
use super::credentials::Credentials;
use super::error::StepError;
use super::load::{self, Claimed};
use super::recorder::Recorder;
use super::settled::Settled;
use super::shift::{InWork, Trade};
use crate::app::App;
use crate::fraud::FraudClient;
use crate::providers::Client;
use crate::providers::health::Health;
use crate::queue::{Claimant, First, GivenBack, Item, PAYMENTS, Parked, Queue, backoff};

/// So many claims in a row that nobody gave back: whoever takes this payment does not survive it.
pub(super) const CLAIMS_LOST_MAX: i32 = 50;
/// So many claims that ended with an error that does not mend itself: a person must look.
pub(super) const CLAIMS_FAILED_MAX: i32 = 10;
/// What every payment in work shares.
pub struct Worker {
    pub(super) app: Arc<App>,
    pub(super) fraud: FraudClient,
    pub(super) providers: Client,
    pub(super) recorder: Recorder,
    pub(super) settled: Settled,
    credentials: Credentials,
    budget: Mutex<Budget>,
    health: Mutex<Health>,
    in_work: InWork,
}

/// The tasks that write for a worker. Dropped, they end at once, as in a crash.
pub struct Writing {
    lanes: JoinSet<()>,
    announcing: JoinHandle<()>,
}

impl Writing {
    /// Returns when the worker was dropped, and all that it handed in is written and announced.
    pub async fn ended(mut self) {
        while self.lanes.join_next().await.is_some() {}
        if let Err(error) = self.announcing.await {
            tracing::debug!(%error, "not everything was announced");
        }
    }
}

impl Worker {
    /// A worker, and the tasks that write for it.
    ///
    /// # Errors
    /// When an HTTP client cannot be set up.
    pub fn start(app: Arc<App>) -> Result<(Self, Writing), reqwest::Error> {
        let (settled, announcing) = Settled::start(app.pool.clone());
        let (recorder, lanes) =
            Recorder::start(app.pool.clone(), app.release.clone(), settled.clone(), app.deliveries.clone());
        let worker = Self {
            fraud: FraudClient::new(&app.config.fraud)?,
            providers: Client::new()?,
            recorder,
            settled,
            credentials: Credentials::default(),
            budget: Mutex::default(),
            health: Mutex::default(),
            in_work: InWork::default(),
            app,
        };
        Ok((worker, Writing { lanes, announcing }))
    }

    /// Brings a claimed payment as far as it goes now.
    ///
    /// # Errors
    /// When a step could not be recorded, or the payment is not to be understood; a panic is such an error, so that its
    /// payment comes up for a person in the end, rather than again and again.
    pub async fn advance(&self, Claimed { item, case }: Claimed) -> Result<Progress, StepError> {
        let _in_work = self.in_work.enter(&item);
        let work = async { advance(self, &item, case?).await };
        AssertUnwindSafe(work)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(StepError::Inconsistent(format!("a panic: {}", panic_message(&*panic)))))
    }

    async fn set_aside(&self, item: &Item, reason: String) {
        tracing::error!(payment = %item.payment_id, reason, "a payment waits for a person");
        let parked = async {
            let mut connection = self.app.pool.acquire().await?;
            PAYMENTS.park(&mut connection, &[Parked { lease: item.lease(), reason }]).await
        };
        if let Err(error) = parked.await {
            tracing::debug!(payment = %item.payment_id, %error, "not set aside; the claim runs out by itself");
        }
    }

    async fn give_back(&self, item: &Item, error: &StepError) {
        let delay = backoff::delay(item.attempt.unsigned_abs(), rand::random());
        let given_back = async {
            let mut connection = self.app.pool.acquire().await?;
            PAYMENTS
                .give_back(&mut connection, &[GivenBack { lease: item.lease(), delay, reason: error.to_string() }])
                .await
        };
        if let Err(error) = given_back.await {
            tracing::debug!(payment = %item.payment_id, %error, "not given back; the claim runs out by itself");
        }
    }

    /// The credential of a provider resource, or why there is none.
    pub(super) fn credential(&self, resource: &str) -> Result<SecretString, String> {
        self.credentials.of(&self.app.secrets, resource)
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        // Each call is one sample, and each change of a circuit one value.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn budget(&self) -> MutexGuard<'_, Budget> {
        // Sums are whole even if somebody panicked beside them.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trade for Worker {
    const QUEUE: Queue = PAYMENTS;
    type Claimed = Claimed;

    fn app(&self) -> &App {
        &self.app
    }

    fn in_work(&self) -> &InWork {
        &self.in_work
    }

    async fn claim(
        connection: &mut PgConnection,
        by: &Claimant,
        limit: u32,
        first: First,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        load::claim(connection, by, limit, first).await
    }

    /// What does not work out is given back, or set aside for a person.
    async fn bring_forward(self: Arc<Self>, claimed: Claimed) {
        let item = claimed.item.clone();
        if item.attempt > CLAIMS_LOST_MAX && item.last_error.is_none() {
            let reason =
                format!("claimed {} times, and never given back: its workers did not survive it", item.attempt);
            return self.set_aside(&item, reason).await;
        }
        match self.advance(claimed).await {
            Ok(progress) => tracing::debug!(payment = %item.payment_id, ?progress, "brought forward"),
            Err(StepError::Lost) => {
                tracing::warn!(payment = %item.payment_id, claim = item.attempt, "lost to another worker");
            }
            Err(error) if error.is_of_the_record() && item.attempt >= CLAIMS_FAILED_MAX => {
                self.set_aside(&item, error.to_string()).await;
            }
            Err(error) => {
                tracing::warn!(payment = %item.payment_id, %error, "not brought forward");
                self.give_back(&item, &error).await;
            }
        }
    }
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
