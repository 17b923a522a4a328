//! A replica that must not be read from, and is not.

use sqlx::Connection;

use crate::ground::{ANY_LAG_MS, Ground, run, until};

/// The least that the configuration allows.
const LAG_MAX_MS: u32 = 1_000;

#[tokio::test]
async fn one_that_falls_behind_is_left_until_it_has_caught_up() {
    let ground = Ground::new(LAG_MAX_MS).await;
    ground.pause().await;
    let payment = ground.pay().await;
    until("the database answers", async || ground.lists(&payment).await).await;
    ground.becomes_unfit("further behind").await;
    // From here on it can never be fit, so a list misses nothing.
    let by_replica = ground.answered_by("replica");
    for _ in 0..3 {
        let payment = ground.pay().await;
        assert!(ground.lists(&payment).await);
    }
    assert_eq!(ground.answered_by("replica"), by_replica);
    assert!(ground.gateway.app.app.metrics.reads.lag_seconds.get() >= 1.0);
    ground.resume().await;
    ground.becomes_used().await;
}

#[tokio::test]
async fn one_that_hears_nothing_any_more_is_found_out_although_it_has_replayed_all_it_received() {
    let ground = Ground::new(LAG_MAX_MS).await;
    let mut session = ground.on_standby().await;
    run(&mut session, "alter system set primary_conninfo = ''").await;
    run(&mut session, "select pg_reload_conf()").await;
    until("it hears of nothing", async || {
        ground.pay().await;
        ground.state().is_err_and(|sentence| sentence.contains("further behind"))
    })
    .await;
    let payment = ground.pay().await;
    assert!(ground.lists(&payment).await);
}

#[tokio::test]
async fn one_that_dies_fails_no_request_and_is_used_again_when_it_is_back() {
    let mut ground = Ground::new(ANY_LAG_MS).await;
    let payment = ground.pay().await;
    until("the replica shows it", async || ground.lists(&payment).await).await;
    ground.standby.stop();
    for _ in 0..10 {
        assert!(ground.lists(&payment).await);
    }
    ground.becomes_unfit("does not answer").await;
    let payment = ground.pay().await;
    assert!(ground.lists(&payment).await);
    ground.standby.start();
    ground.becomes_used().await;
    until("the replica answers", async || {
        let before = ground.answered_by("replica");
        ground.lists(&payment).await && ground.answered_by("replica") > before
    })
    .await;
}

#[tokio::test]
async fn one_that_was_promoted_is_not_used_from_the_very_next_read_on() {
    let ground = Ground::new(ANY_LAG_MS).await;
    let mut session = ground.on_standby().await;
    run(&mut session, "select pg_promote(true, 120)").await;
    let is_promoted: bool = sqlx::query_scalar("select not pg_is_in_recovery()").fetch_one(&mut session).await.unwrap();
    assert!(is_promoted);
    let payment = ground.pay().await;
    assert!(ground.lists(&payment).await);
    ground.becomes_unfit("not in recovery").await;
    session.close().await.unwrap();
}
