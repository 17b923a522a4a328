//! What has operations in work.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use super::advance::{Progress, advance};
use super::expire::expire;
use crate::app::App;
use crate::processor::Options;
use crate::processor::error::StepError;
use crate::processor::in_work::InWork;
use crate::processor::settled::Settled;
use crate::processor::shift::{Trade, work};
use crate::providers::Client;
use crate::queue::{Claimant, First, Item, OPERATIONS, Queue};

/// Operations in work at the same time. They are rarer than payments, and share the connections to the database.
const CONCURRENCY: usize = 16;

/// What every operation in work shares.
pub(super) struct Worker {
    app: Arc<App>,
    providers: Client,
    settled: Settled,
    in_work: InWork,
}

/// Brings operations forward until the process is to end, and what is in work then to an end or back to the queue.
pub(in crate::processor) async fn run(app: Arc<App>, providers: Client, settled: Settled, options: &Options) {
    let worker = Arc::new(Worker { app, providers, settled, in_work: InWork::default() });
    tokio::select! {
        () = work(&worker, CONCURRENCY, options) => {}
        () = expire(&worker.app) => {}
    }
}

impl Trade for Worker {
    const QUEUE: Queue = OPERATIONS;
    type Claimed = Item;
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
    ) -> Result<Vec<Item>, sqlx::Error> {
        OPERATIONS.claim(connection, by, limit, first).await
    }

    fn item(claimed: &Item) -> &Item {
        claimed
    }

    async fn step(&self, item: Item) -> Result<Progress, StepError> {
        advance(&self.app, &self.providers, &self.settled, &item).await
    }
}
