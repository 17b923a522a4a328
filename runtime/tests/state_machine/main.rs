//! The state machine of payments and their operations against the real database: random steps, crashes between any two of
//! them, and after each step the invariants that money rests on.
//!
//! The model is what everybody outside can know: what was accepted, what the merchant was told, and what was seen before.
//! It says of each request whether it is accepted, and of each event whether it may come next; then the database, the ledger
//! and the provider's own account must say the same as it does. Where a crash makes the next state a matter of chance, the
//! model says what it may be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod books;
mod check;
mod model;
mod process;
mod steps;
mod world;

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, PoisonError};

use proptest::test_runner::{Config, TestRunner};

use crate::stage::{Provider, Stage, provider};
use crate::steps::Step;
use crate::world::World;

#[test]
fn whatever_happens_everything_ends_once_and_everybody_agrees_on_how() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stage = Mutex::new(runtime.block_on(Stage::new("pm_card_visa")));
    let cases = std::env::var("PURSER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    // A failure prints its steps, shrunk as far as they still fail, and the seed that leads to them.
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps::steps(), |steps| {
            // A story that failed has left nothing but rows.
            let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
            runtime.block_on(tell(&mut stage, &steps));
            Ok(())
        })
        .unwrap();
    let _inside = runtime.enter();
    drop(stage);
}

/// One story, with a provider of its own.
async fn tell(stage: &mut Stage, steps: &[Step]) {
    let simulator = Provider::start().await;
    let mut stripe = provider("stripe", simulator.address, 1);
    stripe.max_latency_ms = 150;
    stage.providers(&[stripe]).await;
    let mut world = World::new(stage, &simulator).await;
    for step in steps {
        world.take(step).await;
    }
    world.end().await;
    simulator.stop().await;
}
