//! Dying anywhere loses nothing.

use std::sync::Arc;

use runtime::archive::Step;

use crate::ground::{Ground, TABLES};

const STEPS: [Step; 7] =
    [Step::Counted, Step::Written, Step::ReadBack, Step::Described, Step::Detached, Step::Compared, Step::Dropped];

/// A run that dies at a step of a table, as a killed process does: its connection is cut, and it says nothing more.
async fn dies_at(ground: &Arc<Ground>, table: &str, at: Step) {
    let (ground, id) = (ground.clone(), ground.id(table));
    let run = tokio::spawn(async move {
        let told = move |of, step| assert!(of != id || step != at, "killed by this test");
        ground.run_at(&ground.archives(), ground.later(), &told).await
    });
    assert!(run.await.unwrap_err().is_panic(), "{at:?} of {table} was not reached");
}

#[tokio::test]
async fn a_run_that_dies_at_any_step_leaves_each_row_in_the_database_or_in_an_archive() {
    for (table, at) in STEPS.into_iter().enumerate().map(|(n, step)| (TABLES[n % TABLES.len()], step)) {
        let ground = Arc::new(Ground::new().await);
        let before = ground.contents().await;
        let balance = ground.shop.get("/v1/balance").await.json();
        dies_at(&ground, table, at).await;
        let archived = ground.run().await.unwrap();
        assert_eq!(archived.stayed, [], "after {at:?} of {table}");
        assert_eq!(ground.shop.get("/v1/balance").await.json(), balance);
        for table in TABLES {
            assert!(!ground.is_attached(ground.id(table)).await);
            ground.restore(ground.id(table)).await.unwrap();
        }
        assert_eq!(ground.contents().await, before, "after {at:?} of {table}");
        assert!(ground.ledger().await.sound);
    }
}

#[tokio::test]
async fn a_restore_finds_its_way_after_a_crash_between_detaching_and_dropping() {
    let ground = Arc::new(Ground::new().await);
    let before = ground.contents().await;
    dies_at(&ground, "transactions", Step::Detached).await;
    assert_eq!(ground.contents().await["transactions"].0, 0, "it is out of its table");
    let refused = ground.restore(ground.id("transactions")).await.unwrap_err();
    assert!(refused.to_string().contains("is in the database"), "{refused}");
    assert_eq!(ground.contents().await, before, "and was put back");
}
