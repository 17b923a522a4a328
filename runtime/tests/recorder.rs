//! The recorder on a real PostgreSQL: many payments in one commit, each of them alone in what goes wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::time::Duration;

use chrono::Utc;
use runtime::ids::{AttemptId, PaymentId};
use runtime::payments::{self, PaymentJson, Status};
use runtime::processor::alarm::{ALARM_AFTER_S, open_outcomes};
use runtime::processor::case::{OpenAttempt, ProviderAddress};
use runtime::processor::ending::{Approval, Ended};
use runtime::processor::error::StepError;
use runtime::processor::load::{self, Claimed};
use runtime::processor::record::{Answered, Fate, NewAttempt, Record, Sending};
use runtime::processor::recorder::Recorder;
use runtime::processor::resolve::{Finding, ResolveError, resolve};
use runtime::processor::settled::Settled;
use runtime::queue::{Claimant, First};
use serde_json::json;
use stage::{Stage, free_address, provider};
use support::RELEASE;
use tokio::task::JoinSet;

struct Desk {
    stage: Stage,
    recorder: Recorder,
    lanes: JoinSet<()>,
}

impl Desk {
    async fn new() -> Self {
        let mut stage = Stage::new("pm_card_visa").await;
        stage.providers(&[provider("stripe", free_address().await, 1)]).await;
        let (settled, _) = Settled::start(stage.pool().clone(), None);
        let (recorder, lanes) = Recorder::start(stage.pool().clone(), RELEASE.into(), settled, Default::default());
        Self { stage, recorder, lanes }
    }

    /// Accepts so many payments and claims them.
    async fn claimed(&self, count: usize) -> Vec<Claimed> {
        for _ in 0..count {
            self.stage.accept("10.50", "USD").await;
        }
        self.claim(count).await
    }

    async fn claim(&self, count: usize) -> Vec<Claimed> {
        let (lease, grace) = (Duration::from_secs(30), Duration::ZERO);
        let claimant = Claimant { release: RELEASE.into(), worker: "desk".into(), lease, grace };
        let limit = u32::try_from(count).unwrap();
        let claimed = load::claim(self.stage.pool(), &claimant, limit, First::Own).await.unwrap();
        assert_eq!(claimed.len(), count);
        claimed
    }

    /// Commits an attempt of this payment, as if it were about to be sent.
    async fn sent(&self, claimed: &Claimed) -> OpenAttempt {
        let (id, t_start) = (AttemptId::at(Utc::now()), Utc::now());
        let provider = ProviderAddress::from(&provider("stripe", free_address().await, 1));
        let route = "stripe comes first by priority".to_owned();
        let new = NewAttempt { id, number: 1, provider: provider.clone(), route, t_start };
        let provider_id = self.recorder.send(sending(claimed, new)).await.unwrap();
        OpenAttempt { id, t_start, reference: None, provider_id, provider }
    }

    fn ended(claimed: &Claimed, open: &OpenAttempt, reference: &str) -> Record {
        let approval = Approval { open, reference, authorized_until: None };
        let ended = Ended::approved(claimed.case.as_ref().unwrap(), &approval, Utc::now()).unwrap();
        let answered = Some(Answered::approved(open, reference, Utc::now()));
        Record { answered, ended: Some(Box::new(ended)), item: Fate::Complete, ..blank(claimed) }
    }

    async fn count(&self, query: &'static str) -> i64 {
        self.stage.count(query, PaymentId::at(Utc::now())).await
    }
}

fn sending(claimed: &Claimed, attempt: NewAttempt) -> Sending {
    let Record { lease, payment_id, created_at, check, .. } = blank(claimed);
    Sending { lease, payment_id, created_at, check, attempt }
}

fn blank(Claimed { item, .. }: &Claimed) -> Record {
    Record {
        lease: item.lease(),
        payment_id: item.payment_id,
        created_at: item.payment_created_at,
        check: None,
        answered: None,
        ended: None,
        item: Fate::Keep,
    }
}

const JOURNALS: &str = "select count(distinct journal_id) from ledger_entries where $1::uuid is not null";
const ITEMS: &str = "select count(*) from work_items where $1::uuid is not null";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_payment_is_what_is_read_of_it_byte_for_byte() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(1).await.remove(0);
    let id = claimed.item.payment_id;
    let open = desk.sent(&claimed).await;
    desk.recorder.write(Desk::ended(&claimed, &open, "pi_1")).await.unwrap();
    let payload: String = sqlx::query_scalar("select payload #>> '{data,payment}' from events where payment_id = $1")
        .bind(id)
        .fetch_one(desk.stage.pool())
        .await
        .unwrap();
    let read = payments::store::load(desk.stage.pool(), id).await.unwrap().unwrap();
    assert_eq!(payload, serde_json::to_string(&PaymentJson::of(&read)).unwrap());
    assert_eq!((read.status, read.sequence), (Status::Success, 1));
    let route: String =
        sqlx::query_scalar("select route from payment_attempts").fetch_one(desk.stage.pool()).await.unwrap();
    assert_eq!(route, "stripe comes first by priority");
    assert_eq!(
        desk.count("select coalesce(sum(amount), 0)::bigint from ledger_entries where $1::uuid is not null").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_claim_changes_nothing_and_costs_the_others_of_its_batch_nothing() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(8).await;
    let opens = futures::future::join_all(claimed.iter().map(|claimed| desk.sent(claimed))).await;
    let lost = claimed[3].item.id;
    sqlx::query("update work_items set claim_token = claim_token + 1 where id = $1")
        .bind(lost)
        .execute(desk.stage.pool())
        .await
        .unwrap();
    let writes =
        claimed.iter().zip(&opens).map(|(claimed, open)| desk.recorder.write(Desk::ended(claimed, open, "pi_1")));
    let results = futures::future::join_all(writes).await;
    for (place, result) in results.iter().enumerate() {
        assert_eq!(matches!(result, Err(StepError::Lost)), place == 3, "{place}: {result:?}");
    }
    assert_eq!(desk.stage.stored(claimed[3].item.payment_id).await.status, "PENDING");
    assert_eq!(desk.stage.attempts(claimed[3].item.payment_id).await, ["SENT"]);
    assert_eq!((desk.count(JOURNALS).await, desk.count(ITEMS).await), (7, 1));
}

/// A worker that was cut off for longer than its claim lasted may hold the old claim and the new one.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_claims_of_one_item_in_a_batch_only_the_one_that_stands_counts() {
    let desk = Desk::new().await;
    let old = desk.claimed(1).await.remove(0);
    sqlx::query("update work_items set leased_until = now() - interval '1 second'")
        .execute(desk.stage.pool())
        .await
        .unwrap();
    let new = desk.claim(1).await.remove(0);
    let address = ProviderAddress::from(&provider("stripe", free_address().await, 1));
    let attempt = || NewAttempt {
        id: AttemptId::at(Utc::now()),
        number: 1,
        provider: address.clone(),
        route: "by priority".into(),
        t_start: Utc::now(),
    };
    let (of_old, of_new) = (attempt(), attempt());
    let sent = tokio::join!(
        desk.recorder.send(sending(&old, of_old.clone())),
        desk.recorder.send(sending(&new, of_new.clone()))
    );
    assert!(matches!(sent.0, Err(StepError::Lost)), "{sent:?}");
    let provider_id = sent.1.unwrap();
    let open =
        |NewAttempt { id, t_start, provider, .. }| OpenAttempt { id, t_start, reference: None, provider_id, provider };
    let (of_old, of_new) = (open(of_old), open(of_new));
    let written = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(
            desk.recorder.write(Desk::ended(&old, &of_old, "pi_1")),
            desk.recorder.write(Desk::ended(&new, &of_new, "pi_1"))
        )
    });
    let written = written.await.expect("the batch comes to its end");
    assert!(matches!(written, (Err(StepError::Lost), Ok(()))), "{written:?}");
    assert_eq!(desk.stage.attempts(new.item.payment_id).await, ["APPROVED"]);
    assert_eq!((desk.count(JOURNALS).await, desk.count(ITEMS).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_database_refuses_fails_alone() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(20).await;
    let opens = futures::future::join_all(claimed.iter().map(|claimed| desk.sent(claimed))).await;
    let too_long = "x".repeat(300);
    let reference = |place: usize| if place == 13 { too_long.as_str() } else { "pi_1" };
    let writes = claimed
        .iter()
        .zip(&opens)
        .enumerate()
        .map(|(place, (claimed, open))| desk.recorder.write(Desk::ended(claimed, open, reference(place))));
    let results = futures::future::join_all(writes).await;
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), place == 13, "{place}: {result:?}");
    }
    assert!(results[13].as_ref().unwrap_err().is_of_the_record());
    assert_eq!(desk.stage.stored(claimed[13].item.payment_id).await.status, "PENDING");
    assert_eq!((desk.count(JOURNALS).await, desk.count(ITEMS).await), (19, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_what_is_not_there_fails_alone() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(5).await;
    let opens = futures::future::join_all(claimed.iter().map(|claimed| desk.sent(claimed))).await;
    sqlx::query("update payment_attempts set state = 'DECLINED' where id = $1")
        .bind(opens[2].id)
        .execute(desk.stage.pool())
        .await
        .unwrap();
    sqlx::query("update transactions set status = 'CANCELED' where id = $1")
        .bind(claimed[4].item.payment_id)
        .execute(desk.stage.pool())
        .await
        .unwrap();
    let writes =
        claimed.iter().zip(&opens).map(|(claimed, open)| desk.recorder.write(Desk::ended(claimed, open, "pi_1")));
    let results = futures::future::join_all(writes).await;
    let wrong: Vec<usize> =
        (0..5).filter(|place| results[*place].as_ref().is_err_and(StepError::is_of_the_record)).collect();
    assert_eq!(wrong, [2, 4], "{results:?}");
    assert_eq!((desk.count(JOURNALS).await, desk.count(ITEMS).await), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_in_is_written_though_nobody_waits_for_it_any_more() {
    let Desk { stage, recorder, mut lanes } = Desk::new().await;
    let desk = Desk { stage, recorder: recorder.clone(), lanes: JoinSet::new() };
    let claimed = desk.claimed(1).await.remove(0);
    let open = desk.sent(&claimed).await;
    // Handed in, and then given up as when a task is stopped.
    let writing = recorder.write(Desk::ended(&claimed, &open, "pi_1"));
    assert!(tokio::time::timeout(Duration::ZERO, writing).await.is_err());
    drop(recorder);
    let Desk { stage, recorder, .. } = desk;
    drop(recorder);
    while lanes.join_next().await.is_some() {}
    assert_eq!(stage.stored(claimed.item.payment_id).await.status, "SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_open_attempt_is_refused_by_the_database() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(1).await.remove(0);
    desk.sent(&claimed).await;
    let provider = ProviderAddress::from(&provider("stripe", free_address().await, 1));
    let new =
        NewAttempt { id: AttemptId::at(Utc::now()), number: 2, provider, route: "again".into(), t_start: Utc::now() };
    let refused = desk.recorder.send(sending(&claimed, new)).await;
    assert!(refused.unwrap_err().is_of_the_record());
    assert_eq!(desk.stage.attempts(claimed.item.payment_id).await, ["SENT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_ends_an_attempt_as_a_processor_would() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(2).await;
    let (taken, refused) = (desk.sent(&claimed[0]).await, desk.sent(&claimed[1]).await);
    let pool = desk.stage.pool();
    let approved = Finding::Approved { reference: "pi_by_hand".into(), authorized_until: None };
    let declined = Finding::Declined { code: "not_found".into(), message: "The provider never made it.".into() };
    let who = ("ada", "seen in the provider's dashboard");
    let busy = resolve(pool, taken.id, &approved, who, RELEASE).await;
    assert!(matches!(busy, Err(ResolveError::InWork(_))), "{busy:?}");
    let keep = |claimed: &Claimed| Record { item: Fate::Park { reason: "look there".into() }, ..blank(claimed) };
    desk.recorder.write(keep(&claimed[0])).await.unwrap();
    desk.recorder.write(keep(&claimed[1])).await.unwrap();
    assert_eq!(resolve(pool, taken.id, &approved, who, RELEASE).await.unwrap().status, Status::Success);
    assert_eq!(resolve(pool, refused.id, &declined, who, RELEASE).await.unwrap().status, Status::Failed);
    let again = resolve(pool, taken.id, &approved, who, RELEASE).await;
    assert!(matches!(again, Err(ResolveError::NotOpen(_))), "{again:?}");
    assert_eq!((desk.count(JOURNALS).await, desk.count(ITEMS).await), (1, 0));
    let told = desk.stage.events(claimed[1].item.payment_id).await;
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("payment.failed")));
    let note: String = sqlx::query_scalar("select error_message from payment_attempts where id = $1")
        .bind(taken.id)
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(note, "said by ada: seen in the provider's dashboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_stays_unknown_is_measured_by_its_age() {
    let desk = Desk::new().await;
    let claimed = desk.claimed(2).await;
    let open = desk.sent(&claimed[0]).await;
    desk.sent(&claimed[1]).await;
    let pool = desk.stage.pool();
    assert_eq!(open_outcomes(pool).await.unwrap().unknown, 0, "what was just sent is not unknown yet");
    sqlx::query("update payment_attempts set t_start = now() - interval '700 seconds' where id = $1")
        .bind(open.id)
        .execute(pool)
        .await
        .unwrap();
    let measured = open_outcomes(pool).await.unwrap();
    assert!(measured.unknown == 1 && measured.oldest_s >= ALARM_AFTER_S, "{measured:?}");
    desk.recorder.write(Desk::ended(&claimed[0], &open, "pi_1")).await.unwrap();
    assert_eq!(open_outcomes(pool).await.unwrap().unknown, 0);
}
