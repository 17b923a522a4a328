//! Calls that are on their way to a provider when everything is brought to rest.

use std::time::Duration;

use runtime::maintenance::DrainError;

use crate::ground::Ground;
use crate::stage::until;

/// Longer than a test waits for anything it should not wait for.
const SLOW: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_call_that_is_on_its_way_is_recorded_before_anything_is_frozen() {
    let ground = Ground::new().await;
    ground.provider.slow(SLOW).await;
    let id = ground.stage.accept("10.50", "USD").await;
    until("it is sent", async || ground.stage.attempts(id).await == ["SENT"]).await;
    ground.maintenance(true).await;
    let drained = ground.drained().await;
    assert_eq!(ground.stage.stored(id).await.status, "SUCCESS");
    assert_eq!(ground.stage.attempts(id).await, ["APPROVED"]);
    assert_eq!(ground.provider.charges().await.len(), 1);
    assert_eq!((drained.work.payments, drained.work.operations), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_work_when_claims_stop_is_taken_to_its_end_and_nothing_is_begun() {
    let ground = Ground::new().await;
    ground.provider.slow(SLOW).await;
    let first = ground.stage.accept("10.50", "USD").await;
    until("it is sent", async || ground.stage.attempts(first).await == ["SENT"]).await;
    ground.maintenance(true).await;
    sqlx::query("update platform_maintenance set held_at = now()").execute(ground.pool()).await.unwrap();
    let second = ground.stage.accept("20.00", "USD").await;
    assert_eq!(ground.stage.settled(first).await.status, "SUCCESS");
    assert_eq!(ground.stage.stored(second).await.status, "PENDING");
    assert!(ground.stage.attempts(second).await.is_empty());
    // A run that was killed there is taken up by the next one.
    ground.provider.slow(Duration::ZERO).await;
    ground.drained().await;
    assert_eq!(ground.stage.stored(second).await.status, "SUCCESS", "it was due, and is done before the freeze");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_time_is_up_nothing_is_frozen_and_work_goes_on() {
    let ground = Ground::new().await;
    ground.provider.slow(SLOW).await;
    let id = ground.stage.accept("10.50", "USD").await;
    until("it is sent", async || ground.stage.attempts(id).await == ["SENT"]).await;
    ground.maintenance(true).await;
    let error = ground.drain(Duration::from_millis(300)).await.unwrap_err();
    assert!(
        matches!(&error, DrainError::Unfinished { what, .. } if what.contains("1 payments or operations are due")),
        "{error}"
    );
    let state = ground.state().await.unwrap();
    assert_eq!((state.held_at, state.frozen_at), (None, None));
    assert_eq!(ground.stage.settled(id).await.status, "SUCCESS");
    ground.drained().await;
}
