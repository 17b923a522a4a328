//! A processor that is led by the hand.

use std::time::Duration;

use futures::future::join_all;
use runtime::processor::error::StepError;
use runtime::processor::load::{self, Claimed};
use runtime::processor::settled::Settled;
use runtime::processor::{Worker, Writing, advance_operation};
use runtime::providers::Client;
use runtime::queue::{Claimant, First, Item, OPERATIONS};
use runtime::webhooks::Bell;

use crate::stage::Stage;
use crate::support::RELEASE;

/// What a processor has in memory.
pub(crate) struct Process<'a> {
    stage: &'a Stage,
    worker: Worker,
    writing: Writing,
    client: Client,
    settled: Settled,
}

/// Payments and operations.
type Claims = (Vec<Claimed>, Vec<Item>);

impl<'a> Process<'a> {
    pub(crate) fn start(stage: &'a Stage) -> Self {
        let (worker, writing) = Worker::start(stage.test.app.clone(), Bell::default(), None).unwrap();
        let (settled, _) = Settled::start(stage.pool().clone(), None);
        Self { stage, worker, writing, client: Client::new().unwrap(), settled }
    }

    /// What is due.
    pub(crate) async fn claim(&self) -> Claims {
        let (lease, grace) = (Duration::from_secs(30), Duration::ZERO);
        let claimant = Claimant { release: RELEASE.into(), worker: "hand".into(), lease, grace };
        let payments = load::claim(self.stage.pool(), &claimant, 100, First::Own).await.unwrap();
        (payments, OPERATIONS.claim(self.stage.pool(), &claimant, 100, First::Own).await.unwrap())
    }

    /// All of it at the same time, as far as it goes now.
    pub(crate) async fn advance(&self, (payments, operations): Claims) -> Vec<Result<(), StepError>> {
        let Self { stage, worker, client, settled, .. } = self;
        let payments = payments.into_iter().map(|claimed| async move { worker.advance(claimed).await.map(drop) });
        let operations = operations
            .into_iter()
            .map(|item| async move { advance_operation(&stage.test.app, client, settled, &item).await.map(drop) });
        let (mut results, ended) = tokio::join!(join_all(payments), join_all(operations));
        results.extend(ended);
        results
    }

    /// What was handed in is written.
    pub(crate) async fn end(self) {
        drop(self.worker);
        self.writing.ended().await;
    }
}
