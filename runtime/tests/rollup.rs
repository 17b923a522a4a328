//! The roll-up on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use runtime::rollup::{Rollup, roll_up};
use rust_decimal::Decimal;
use sqlx::FromRow;
use stage::Stage;
use support::RELEASE;

#[derive(Debug, PartialEq, FromRow)]
struct Row {
    time_bucket: DateTime<Utc>,
    release: String,
    n_total: i32,
    n_success: i32,
    n_failed: i32,
    n_pending: i32,
    tps: Decimal,
    avg_latency_ms: Option<Decimal>,
    p95_latency_ms: Option<i32>,
    p99_latency_ms: Option<i32>,
    success_rate: Option<Decimal>,
    total_amount: Decimal,
}

async fn rows(stage: &Stage) -> Vec<Row> {
    sqlx::query_as("select * from transaction_metrics where bucket_size = 'MINUTE' order by time_bucket, release")
        .fetch_all(stage.pool())
        .await
        .unwrap()
}

/// A payment that began at this time; ended with this status after so many milliseconds, or not yet.
async fn payment(stage: &Stage, release: &str, t_start: DateTime<Utc>, ended: Option<(&str, i32)>) {
    let id = stage.accept_for(release, "10.50", "USD").await;
    sqlx::query(
        "update transactions set t_start = $2, created_at = $2, status = coalesce($3, status), latency_ms = $4,
             t_end = $2 + $4 * interval '1 millisecond' where id = $1",
    )
    .bind(id)
    .bind(t_start)
    .bind(ended.map(|(status, _)| status))
    .bind(ended.map(|(_, latency_ms)| latency_ms))
    .execute(stage.pool())
    .await
    .unwrap();
}

fn this_minute() -> DateTime<Utc> {
    Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap()
}

#[tokio::test]
async fn a_minute_has_the_figures_of_the_design_by_release() {
    let stage = Stage::new("pm_card_visa").await;
    let minute = this_minute() - TimeDelta::minutes(3);
    for latency_ms in 1..=20 {
        payment(&stage, RELEASE, minute + TimeDelta::seconds(latency_ms.into()), Some(("SUCCESS", latency_ms * 10)))
            .await;
    }
    for _ in 0..3 {
        payment(&stage, RELEASE, minute + TimeDelta::milliseconds(59_999), Some(("FAILED", 1_000))).await;
    }
    payment(&stage, RELEASE, minute, None).await;
    payment(&stage, "0.2.0", minute, Some(("SUCCESS", 7))).await;
    // At the border: the next minute begins.
    payment(&stage, RELEASE, minute + TimeDelta::seconds(60), Some(("SUCCESS", 5))).await;

    assert_eq!(roll_up(stage.pool(), Utc::now()).await.unwrap(), Rollup::Written(3));
    let rows = rows(&stage).await;
    // 20 successes of 10, 20, … 200 ms and 3 failures of 1000 ms: (2100 + 3000) / 23 = 221.739…
    let expected = Row {
        time_bucket: minute,
        release: RELEASE.into(),
        n_total: 24,
        n_success: 20,
        n_failed: 3,
        n_pending: 1,
        tps: Decimal::new(40, 2),
        avg_latency_ms: Some(Decimal::new(22_174, 2)),
        p95_latency_ms: Some(1_000),
        p99_latency_ms: Some(1_000),
        success_rate: Some(Decimal::new(8_333, 2)),
        total_amount: Decimal::from(210),
    };
    assert_eq!(rows[0], expected);
    assert_eq!((rows[1].release.as_str(), rows[1].n_total, rows[1].p99_latency_ms), ("0.2.0", 1, Some(7)));
    assert_eq!((rows[2].time_bucket, rows[2].n_total), (minute + TimeDelta::minutes(1), 1));
}

#[tokio::test]
async fn rolling_up_again_changes_nothing_but_what_ended_late() {
    let stage = Stage::new("pm_card_visa").await;
    let minute = this_minute() - TimeDelta::minutes(2);
    payment(&stage, RELEASE, minute, Some(("SUCCESS", 10))).await;
    payment(&stage, RELEASE, minute, None).await;
    roll_up(stage.pool(), Utc::now()).await.unwrap();
    let first = rows(&stage).await;
    roll_up(stage.pool(), Utc::now()).await.unwrap();
    assert_eq!(rows(&stage).await, first);
    assert_eq!((first[0].n_success, first[0].n_pending), (1, 1));

    sqlx::query("update transactions set status = 'FAILED', latency_ms = 30 where latency_ms is null")
        .execute(stage.pool())
        .await
        .unwrap();
    roll_up(stage.pool(), Utc::now()).await.unwrap();
    let second = rows(&stage).await;
    assert_eq!((second.len(), second[0].n_failed, second[0].n_pending), (1, 1, 0));
    assert_eq!(second[0].avg_latency_ms, Some(Decimal::from(20)));
}

#[tokio::test]
async fn the_running_minute_is_not_touched() {
    let stage = Stage::new("pm_card_visa").await;
    let begin = this_minute();
    payment(&stage, RELEASE, begin, Some(("SUCCESS", 10))).await;
    assert_eq!(roll_up(stage.pool(), begin + TimeDelta::seconds(30)).await.unwrap(), Rollup::Written(0));
    payment(&stage, RELEASE, begin - TimeDelta::milliseconds(1), Some(("SUCCESS", 10))).await;
    assert_eq!(roll_up(stage.pool(), begin + TimeDelta::seconds(30)).await.unwrap(), Rollup::Written(1));
}

/// As after an hour without a metrics workload.
#[tokio::test]
async fn minutes_that_were_missed_are_made_good_up_to_a_day() {
    let stage = Stage::new("pm_card_visa").await;
    let now = this_minute();
    let minutes = [1, 9, 11, 40, 41, 55, 24 * 60];
    for ago in minutes {
        payment(&stage, RELEASE, now - TimeDelta::minutes(ago), Some(("SUCCESS", 10))).await;
    }
    payment(&stage, RELEASE, now - TimeDelta::hours(26), Some(("SUCCESS", 10))).await;
    assert_eq!(roll_up(stage.pool(), now).await.unwrap(), Rollup::Written(minutes.len()));
    assert_eq!(rows(&stage).await.len(), minutes.len());
    assert_eq!(roll_up(stage.pool(), now).await.unwrap(), Rollup::Written(2), "only the last ten again");
}

#[tokio::test]
async fn a_payment_that_ends_hours_late_comes_into_its_minute() {
    let stage = Stage::new("pm_card_visa").await;
    let minute = this_minute() - TimeDelta::hours(3);
    payment(&stage, RELEASE, minute, None).await;
    payment(&stage, RELEASE, minute, Some(("SUCCESS", 10))).await;
    roll_up(stage.pool(), minute + TimeDelta::minutes(2)).await.unwrap();
    assert_eq!((rows(&stage).await[0].n_pending, rows(&stage).await[0].n_success), (1, 1));
    sqlx::query("update transactions set status = 'SUCCESS', latency_ms = 10800000 where latency_ms is null")
        .execute(stage.pool())
        .await
        .unwrap();
    roll_up(stage.pool(), this_minute()).await.unwrap();
    let row = &rows(&stage).await[0];
    assert_eq!((row.n_total, row.n_pending, row.n_success), (2, 0, 2));
    assert!((10_800_000..10_811_000).contains(&row.p99_latency_ms.unwrap()), "{row:?}");
}

#[tokio::test]
async fn a_second_replica_leaves_the_work_to_the_first() {
    let stage = Stage::new("pm_card_visa").await;
    payment(&stage, RELEASE, this_minute() - TimeDelta::minutes(1), Some(("SUCCESS", 10))).await;
    let mut first = stage.pool().begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(x'7075727365720003'::bigint)").execute(&mut *first).await.unwrap();
    assert_eq!(roll_up(stage.pool(), Utc::now()).await.unwrap(), Rollup::Elsewhere);
    assert!(rows(&stage).await.is_empty());
    first.rollback().await.unwrap();
    let both = futures::future::join_all((0..4).map(|_| roll_up(stage.pool(), Utc::now()))).await;
    assert!(both.into_iter().all(|done| done.is_ok()));
    assert_eq!(rows(&stage).await.len(), 1);
}
