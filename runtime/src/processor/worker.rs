//! What has payments in work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, JoinSet};

use super::advance::{Progress, advance};
use super::budget::Budget;
use super::credentials::Credentials;
use super::error::StepError;
use super::in_work::InWork;
use super::load::{self, Claimed};
use super::recorder::Recorder;
use super::settled::{Ending, Settled};
use super::shift::{self, Trade};
use crate::app::App;
use crate::fraud::FraudClient;
use crate::providers::Client;
use crate::providers::health::Health;
use crate::queue::{Claimant, First, Item, PAYMENTS, Queue};
use crate::webhooks::Bell;

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
    /// A worker, and the tasks that write for it. It rings `deliveries` after commits that wrote events, and tells those who
    /// wait, in this process first if there are any `here`.
    ///
    /// # Errors
    /// When an HTTP client cannot be set up.
    pub fn start(
        app: Arc<App>,
        deliveries: Bell,
        here: Option<UnboundedSender<Ending>>,
    ) -> Result<(Self, Writing), reqwest::Error> {
        let (settled, announcing) = Settled::start(app.pool.clone(), here);
        let (recorder, lanes) = Recorder::start(app.pool.clone(), app.release.clone(), settled.clone(), deliveries);
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
    pub async fn advance(&self, claimed: Claimed) -> Result<Progress, StepError> {
        shift::advance(self, claimed).await
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
    type Progress = Progress;

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

    fn item(claimed: &Claimed) -> &Item {
        &claimed.item
    }

    async fn step(&self, Claimed { item, case, unsent }: Claimed) -> Result<Progress, StepError> {
        advance(self, &item, case?, unsent).await
    }
}
