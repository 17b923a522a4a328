//! The queue on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use runtime::database::{Link, Notices, Pool};
use runtime::queue::{Claimant, First, GivenBack, Item, Lease, PAYMENTS, Parked, Wake};
use stage::Stage;
use support::RELEASE;

const OTHER: &str = "0.0.9";

fn claimant(grace: Duration) -> Claimant {
    Claimant { release: RELEASE.into(), worker: "worker".into(), lease: Duration::from_secs(30), grace }
}

async fn claimed(pool: &Pool, limit: u32, first: First) -> Vec<Item> {
    PAYMENTS.claim(pool, &claimant(Duration::ZERO), limit, first).await.unwrap()
}

fn later(lease: Lease, delay_ms: u64) -> GivenBack {
    GivenBack { lease, delay: Duration::from_millis(delay_ms), reason: "provider away".into() }
}

fn parked(lease: Lease) -> Parked {
    Parked { lease, reason: "look there by hand".into() }
}

async fn releases(pool: &Pool, limit: u32, first: First) -> Vec<String> {
    let mut releases: Vec<String> = claimed(pool, limit, first).await.into_iter().map(|item| item.release).collect();
    releases.sort();
    releases
}

async fn accept(stage: &Stage, release: &str, count: usize) {
    for _ in 0..count {
        stage.accept_for(release, "1.00", "USD").await;
    }
}

#[tokio::test]
async fn two_claimants_at_the_same_time_never_get_the_same_item() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 40).await;
    let claims = (0..8).map(|_| claimed(stage.pool(), 5, First::Own));
    let items: Vec<Item> = futures::future::join_all(claims).await.into_iter().flatten().collect();
    let ids: HashSet<i64> = items.iter().map(|item| item.id).collect();
    assert_eq!(items.len(), ids.len(), "an item was claimed twice");
    let rest = claimed(stage.pool(), 40, First::Own).await;
    assert_eq!(ids.len() + rest.len(), 40);
}

#[tokio::test]
async fn a_claimant_passes_by_what_another_is_just_claiming() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 10).await;
    let mut other = stage.pool().begin().await.unwrap();
    sqlx::query("select id from work_items order by run_at limit 3 for update").execute(&mut *other).await.unwrap();
    let items = tokio::time::timeout(Duration::from_secs(2), claimed(stage.pool(), 10, First::Own)).await;
    assert_eq!(items.expect("no waiting for the other").len(), 7);
    other.rollback().await.unwrap();
    assert_eq!(claimed(stage.pool(), 10, First::Own).await.len(), 3);
}

#[tokio::test]
async fn the_own_release_comes_first_and_the_rest_fills_up() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, OTHER, 3).await;
    accept(&stage, RELEASE, 3).await;
    assert_eq!(releases(stage.pool(), 2, First::Own).await, [RELEASE, RELEASE]);
    assert_eq!(releases(stage.pool(), 2, First::Own).await, [OTHER, RELEASE]);
    assert_eq!(releases(stage.pool(), 9, First::Own).await, [OTHER, OTHER]);
}

#[tokio::test]
async fn a_release_that_is_gone_is_served_although_the_own_one_is_busy() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 3).await;
    accept(&stage, OTHER, 1).await;
    assert_eq!(releases(stage.pool(), 1, First::Strays).await, [OTHER]);
    assert_eq!(releases(stage.pool(), 9, First::Strays).await, [RELEASE, RELEASE, RELEASE]);
}

#[tokio::test]
async fn the_work_of_another_release_is_left_alone_during_its_grace() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, OTHER, 1).await;
    let patient = claimant(Duration::from_secs(60));
    for first in [First::Own, First::Strays] {
        assert!(PAYMENTS.claim(stage.pool(), &patient, 9, first).await.unwrap().is_empty());
    }
    sqlx::query("update work_items set run_at = now() - interval '61 seconds'").execute(stage.pool()).await.unwrap();
    assert_eq!(PAYMENTS.claim(stage.pool(), &patient, 9, First::Own).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_that_ran_out_is_taken_over_and_the_first_claimant_can_do_nothing_more() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 1).await;
    let pool = stage.pool();
    let zombie = claimed(pool, 1, First::Own).await.remove(0);
    assert!(claimed(pool, 1, First::Own).await.is_empty(), "it is claimed");
    sqlx::query("update work_items set leased_until = now() - interval '1 second'").execute(pool).await.unwrap();
    let heir = claimed(pool, 1, First::Own).await.remove(0);
    assert_eq!((zombie.id, zombie.attempt, heir.attempt), (heir.id, 1, 2));

    let mut connection = pool.acquire().await.unwrap();
    let lost = zombie.lease();
    assert_eq!(PAYMENTS.hold(&mut connection, &[lost, heir.lease()]).await.unwrap(), [heir.lease()]);
    assert_eq!(PAYMENTS.complete(&mut connection, &[lost]).await.unwrap(), 0);
    assert_eq!(PAYMENTS.give_back(&mut connection, &[later(lost, 0)]).await.unwrap(), 0);
    assert_eq!(PAYMENTS.park(&mut connection, &[parked(lost)]).await.unwrap(), 0);
    assert_eq!(PAYMENTS.extend(pool, &[lost], Duration::from_secs(99)).await.unwrap(), 0);
    assert_eq!(PAYMENTS.release(pool, &[lost]).await.unwrap(), 0);

    assert_eq!(PAYMENTS.complete(&mut connection, &[heir.lease()]).await.unwrap(), 1);
    assert_eq!(PAYMENTS.depth(pool).await.unwrap().items, 0);
}

#[tokio::test]
async fn an_extended_claim_outlives_its_first_lease() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 1).await;
    let short = Claimant { lease: Duration::from_millis(500), ..claimant(Duration::ZERO) };
    let item = PAYMENTS.claim(stage.pool(), &short, 1, First::Own).await.unwrap().remove(0);
    assert_eq!(PAYMENTS.extend(stage.pool(), &[item.lease()], Duration::from_secs(30)).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(claimed(stage.pool(), 1, First::Own).await.is_empty());
    assert_eq!(PAYMENTS.release(stage.pool(), &[item.lease()]).await.unwrap(), 1);
    assert_eq!(claimed(stage.pool(), 1, First::Own).await.len(), 1);
}

#[tokio::test]
async fn an_item_given_back_for_later_is_not_due_before_and_a_parked_one_never() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 2).await;
    let items = claimed(stage.pool(), 2, First::Own).await;
    let mut connection = stage.pool().acquire().await.unwrap();
    assert_eq!(PAYMENTS.give_back(&mut connection, &[later(items[0].lease(), 800)]).await.unwrap(), 1);
    assert_eq!(PAYMENTS.park(&mut connection, &[parked(items[1].lease())]).await.unwrap(), 1);
    assert!(claimed(stage.pool(), 2, First::Own).await.is_empty());
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let due = claimed(stage.pool(), 2, First::Own).await;
    assert_eq!((due.len(), due[0].id, due[0].attempt), (1, items[0].id, 2));
    let depth = PAYMENTS.depth(stage.pool()).await.unwrap();
    assert_eq!((depth.items, depth.parked), (2, 1));
}

#[tokio::test]
async fn new_work_wakes_a_sleeping_worker_long_before_it_would_look() {
    let stage = Stage::new("pm_card_visa").await;
    let notices = Notices::hear(stage.pool().clone());
    let mut wake = Wake::listen(&notices, &PAYMENTS);
    // The first hint says that listening has begun.
    tokio::time::timeout(stage::PATIENCE, wake.wait(stage::PATIENCE)).await.unwrap();
    let begin = std::time::Instant::now();
    stage.accept("1.00", "USD").await;
    wake.wait(stage::PATIENCE).await;
    assert!(begin.elapsed() < stage::PATIENCE / 2, "woken after {:?}", begin.elapsed());
}

#[tokio::test]
async fn what_was_parked_is_sent_again_by_a_person() {
    let stage = Stage::new("pm_card_visa").await;
    let id = stage.accept("1.00", "USD").await;
    let item = claimed(stage.pool(), 1, First::Own).await.remove(0);
    let mut connection = stage.pool().acquire().await.unwrap();
    assert_eq!(PAYMENTS.park(&mut connection, &[parked(item.lease())]).await.unwrap(), 1);
    assert!(claimed(stage.pool(), 1, First::Own).await.is_empty());
    assert!(PAYMENTS.send_again(stage.pool(), id.as_uuid()).await.unwrap());
    let again = claimed(stage.pool(), 1, First::Own).await.remove(0);
    assert_eq!((again.id, again.last_error.as_deref()), (item.id, Some("look there by hand")));
    assert!(!PAYMENTS.send_again(stage.pool(), uuid::Uuid::now_v7()).await.unwrap());
}

/// After a crash of the database a claim that was not yet on the disk is forgotten, and its number given out again.
#[tokio::test]
async fn a_claim_with_the_number_of_a_forgotten_one_has_another_token() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 1).await;
    let pool = stage.pool();
    let forgotten = claimed(pool, 1, First::Own).await.remove(0);
    sqlx::query("update work_items set attempt = 0, leased_until = null, leased_by = null")
        .execute(pool)
        .await
        .unwrap();
    let claim = claimed(pool, 1, First::Own).await.remove(0);
    assert_eq!((forgotten.id, forgotten.attempt), (claim.id, claim.attempt));
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(PAYMENTS.complete(&mut connection, &[forgotten.lease()]).await.unwrap(), 0);
    assert_eq!(PAYMENTS.complete(&mut connection, &[claim.lease()]).await.unwrap(), 1);
}

/// A claim may be forgotten, as it is given out again; what is written under it may not.
#[tokio::test]
async fn claims_do_not_wait_for_the_disk_and_nothing_else_is_loosened() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 1).await;
    let (mut claiming, mut writing) = (Link::lazy(stage.pool().clone()), Link::new(stage.pool().clone()));
    let connection = claiming.get().await.unwrap();
    let items = PAYMENTS.claim(&mut *connection, &claimant(Duration::ZERO), 1, First::Own).await.unwrap();
    assert_eq!(items.len(), 1);
    let durability = "show synchronous_commit";
    let of_claims: String = sqlx::query_scalar(durability).fetch_one(connection).await.unwrap();
    let of_writes: String = sqlx::query_scalar(durability).fetch_one(writing.get().await.unwrap()).await.unwrap();
    let of_the_pool: String = sqlx::query_scalar(durability).fetch_one(stage.pool()).await.unwrap();
    assert_eq!((&*of_claims, &*of_writes, &*of_the_pool), ("off", "on", "on"));
}

/// A batch that is being written holds several items; keeping claims alive meanwhile must wait in the same order.
#[tokio::test]
async fn keeping_claims_alive_waits_for_a_batch_and_never_against_it() {
    let stage = Stage::new("pm_card_visa").await;
    accept(&stage, RELEASE, 2).await;
    let pool = stage.pool();
    let mut leases: Vec<Lease> = claimed(pool, 2, First::Own).await.iter().map(Item::lease).collect();
    leases.sort_unstable();
    let mut batch = pool.begin().await.unwrap();
    assert_eq!(PAYMENTS.hold(&mut batch, &leases[..1]).await.unwrap().len(), 1);
    let backwards = [leases[1], leases[0]];
    let keeping = async { PAYMENTS.extend(pool, &backwards, Duration::from_secs(30)).await };
    let writing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let held = PAYMENTS.hold(&mut batch, &leases[1..]).await;
        batch.commit().await.unwrap();
        held
    };
    let (kept, held) = tokio::join!(keeping, writing);
    assert_eq!((kept.unwrap(), held.unwrap().len()), (2, 1));
    assert_eq!(PAYMENTS.release(pool, &backwards).await.unwrap(), 2);
}

/// As the release before this one inserts an attempt: without a route.
#[tokio::test]
async fn a_release_that_knows_no_held_payments_cannot_take_one() {
    let stage = Stage::new("pm_card_visa").await;
    let (taken, held) = (stage.accept("1.00", "USD").await, stage.accept("1.00", "USD").await);
    let pool = stage.pool();
    let manual = "update transactions set capture_method = 'MANUAL' where id = $1";
    sqlx::query(manual).bind(held).execute(pool).await.unwrap();
    sqlx::raw_sql(
        "insert into payment_providers (name, resource, api_endpoint, max_latency_ms, success_rate_threshold, priority)
                   values ('STRIPE', 'stripe', 'http://x', 1, 1, 1)",
    )
    .execute(pool)
    .await
    .unwrap();
    for (payment, route, code) in [(taken, None, None), (held, None, Some("55000")), (held, Some("stripe"), None)] {
        let inserted = sqlx::query(
            "insert into payment_attempts (id, payment_id, payment_created_at, number, payment_provider_id, state, release, t_start, route)
             select gen_random_uuid(), $1, $2, 1, id, 'SENT', '0.1.0', now(), $3 from payment_providers",
        );
        let inserted = inserted.bind(payment).bind(payment.created_at()).bind(route).execute(pool).await;
        let refusal = inserted.err().and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
        assert_eq!(refusal.as_deref(), code, "{route:?}");
    }
}
