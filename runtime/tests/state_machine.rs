//! The state machine of payments against the real database: random steps, crashes between any two of them, and after
//! each step the invariants that money rests on.
//!
//! The model is what everybody outside can know: which payments were accepted, what the provider really charged, and what
//! was seen before. Where a crash makes the next state a matter of chance, the model says what it may be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod stage;
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runtime::ids::PaymentId;
use runtime::payments::{CaptureMethod, Status};
use runtime::processor::error::StepError;
use runtime::processor::load::{self, Claimed};
use runtime::processor::{Worker, Writing};
use runtime::queue::{Claimant, First, PAYMENTS};
use rust_decimal::Decimal;
use stage::{Provider, Stage, provider};
use support::RELEASE;
use uuid::Uuid;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Payments are accepted.
    Accept { count: usize, manual: bool, declined: bool },
    /// What is due is claimed and brought forward, while the provider misbehaves so many times.
    Work { fault: Option<Fault>, count: usize },
    /// The same, and the process dies after so many milliseconds, with all that it has in memory.
    Die { fault: Option<Fault>, after_ms: u64 },
    /// A worker stands still for longer than its lease, another one takes over, and the first one goes on.
    StandStill,
    /// Delays and leases of all run out.
    TimePasses,
    /// A message of the provider makes a payment due at once.
    Nudge { which: prop::sample::Index },
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    ErrorBefore,
    ErrorAfter,
    ResetBefore,
    ResetAfter,
    TruncateAfter,
    GarbageAfter,
    TimeoutBefore,
    TimeoutAfter,
}

impl Fault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error_before_charging",
            Self::ErrorAfter => "error_after_charging",
            Self::ResetBefore => "reset_before_charging",
            Self::ResetAfter => "reset_after_charging",
            Self::TruncateAfter => "truncate_after_charging",
            Self::GarbageAfter => "garbage_after_charging",
            Self::TimeoutBefore => "timeout_before_charging",
            Self::TimeoutAfter => "timeout_after_charging",
        }
    }
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    use Fault::{
        ErrorAfter, ErrorBefore, GarbageAfter, ResetAfter, ResetBefore, TimeoutAfter, TimeoutBefore, TruncateAfter,
    };
    prop::option::of(prop::sample::select(vec![
        ErrorBefore,
        ErrorAfter,
        ResetBefore,
        ResetAfter,
        TruncateAfter,
        GarbageAfter,
        TimeoutBefore,
        TimeoutAfter,
    ]))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_usize, any::<bool>(), prop::bool::weighted(0.25))
            .prop_map(|(count, manual, declined)| Step::Accept { count, manual, declined }),
        4 => (fault(), 1..4_usize).prop_map(|(fault, count)| Step::Work { fault, count }),
        4 => (fault(), 0..25_u64).prop_map(|(fault, after_ms)| Step::Die { fault, after_ms }),
        1 => Just(Step::StandStill),
        3 => Just(Step::TimePasses),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Nudge { which }),
    ]
}

/// What is known of a payment from outside.
#[derive(Clone, Copy, Debug)]
struct Known {
    declined: bool,
    manual: bool,
    seen: Status,
}

struct World<'a> {
    stage: &'a Stage,
    simulator: &'a Provider,
    known: HashMap<PaymentId, Known>,
}

impl World<'_> {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Accept { count, manual, declined } => {
                let token = if *declined { "pm_card_visa_chargeDeclined" } else { "pm_card_visa" };
                let payer = self.payer(token).await;
                for _ in 0..*count {
                    self.accept(payer, *manual, *declined).await;
                }
            }
            Step::Work { fault, count } => {
                self.misbehave(*fault, *count).await;
                self.work().await;
            }
            Step::Die { fault, after_ms } => {
                self.misbehave(*fault, 3).await;
                self.die(Duration::from_millis(*after_ms)).await;
            }
            Step::StandStill => self.stand_still().await,
            Step::TimePasses => self.time_passes().await,
            Step::Nudge { which } => {
                let ids: Vec<PaymentId> = self.known.keys().copied().collect();
                if !ids.is_empty() {
                    let id = *which.get(&ids);
                    let is_open = PAYMENTS.send_again(self.stage.pool(), id.as_uuid()).await.unwrap();
                    assert_eq!(is_open, self.status(id).await == "PENDING");
                }
            }
        }
        self.check().await;
    }

    /// One who pays, and what with: a new one each time, so that fraud rules about haste do not matter.
    async fn payer(&self, token: &str) -> (Uuid, Uuid) {
        let (user, method) = (Uuid::now_v7(), Uuid::now_v7());
        sqlx::query("insert into users (id, merchant_id, email) values ($1, $2, $1::text || '@shop.test')")
            .bind(user)
            .bind(self.stage.merchant)
            .execute(self.stage.pool())
            .await
            .unwrap();
        sqlx::query("insert into payment_methods (id, user_id, type, token) values ($1, $2, 'CREDIT_CARD', $3)")
            .bind(method)
            .bind(user)
            .bind(token)
            .execute(self.stage.pool())
            .await
            .unwrap();
        (user, method)
    }

    async fn accept(&mut self, (user, method): (Uuid, Uuid), manual: bool, declined: bool) {
        let id = self.stage.accept("10.50", "USD").await;
        let capture = if manual { CaptureMethod::Manual } else { CaptureMethod::Automatic };
        sqlx::query("update transactions set capture_method = $2, user_id = $3, payment_method_id = $4 where id = $1")
            .bind(id)
            .bind(capture.as_str())
            .bind(user)
            .bind(method)
            .execute(self.stage.pool())
            .await
            .unwrap();
        self.known.insert(id, Known { declined, manual, seen: Status::Pending });
    }

    async fn misbehave(&self, fault: Option<Fault>, count: usize) {
        if let Some(fault) = fault {
            self.simulator.fault(fault.as_str(), count).await;
        }
    }

    fn process(&self) -> (Arc<Worker>, Writing) {
        let (worker, writing) = Worker::start(self.stage.test.app.clone()).unwrap();
        (Arc::new(worker), writing)
    }

    async fn claim(&self) -> Vec<Claimed> {
        let (lease, grace) = (Duration::from_secs(30), Duration::ZERO);
        let claimant = Claimant { release: RELEASE.into(), worker: "hand".into(), lease, grace };
        load::claim(self.stage.pool(), &claimant, 100, First::Own).await.unwrap()
    }

    /// To its end, in order: what is given back stays given back.
    async fn work(&self) {
        let (worker, writing) = self.process();
        let advanced = self.claim().await.into_iter().map(|claimed| worker.advance(claimed));
        for result in futures::future::join_all(advanced).await {
            result.expect("nobody else works");
        }
        drop(worker);
        writing.ended().await;
    }

    /// Tasks and recorder alike stop where they are.
    async fn die(&self, after: Duration) {
        let (worker, writing) = self.process();
        let work = async {
            futures::future::join_all(self.claim().await.into_iter().map(|claimed| worker.advance(claimed))).await
        };
        let _ = tokio::time::timeout(after, work).await;
        drop(writing);
    }

    async fn stand_still(&self) {
        let (worker, _writing) = self.process();
        let zombies = self.claim().await;
        self.time_passes().await;
        self.work().await;
        for zombie in zombies {
            let id = zombie.item.payment_id;
            let (before, charged) = (self.status(id).await, self.charges(id).await);
            let result = worker.advance(zombie).await;
            assert!(matches!(result, Err(StepError::Lost)), "{result:?}");
            assert_eq!((self.status(id).await, self.charges(id).await), (before, charged), "a lost claim changed {id}");
        }
    }

    async fn time_passes(&self) {
        let expired = "update work_items set run_at = least(run_at, now()), leased_until = case when leased_by is null then null else now() - interval '1 second' end";
        sqlx::query(expired).execute(self.stage.pool()).await.unwrap();
    }

    async fn status(&self, id: PaymentId) -> String {
        self.stage.stored(id).await.status
    }

    async fn charges(&self, id: PaymentId) -> usize {
        let charges = self.simulator.charges().await;
        charges.iter().filter(|charge| charge["metadata"]["purser_payment_id"] == id.to_string()).count()
    }

    /// Everything ends when nothing stands in the way any more.
    async fn end(&mut self) {
        for round in 0.. {
            self.time_passes().await;
            self.work().await;
            self.check().await;
            if self.known.values().all(|known| known.seen.is_settled()) {
                break;
            }
            assert!(round < 12, "payments do not end: {:?}", self.known);
        }
        for (id, Known { declined, manual, seen }) in &self.known {
            let expected = match (declined, manual) {
                (true, _) => Status::Failed,
                (false, true) => Status::Authorized,
                (false, false) => Status::Success,
            };
            let stored = self.stage.stored(*id).await;
            assert_eq!(*seen, expected, "{id}: {:?} {:?}", stored.error_code, stored.error_message);
            assert_eq!(self.charges(*id).await, usize::from(!declined), "{id}: one charge, taken or held, or none");
        }
    }

    async fn check(&mut self) {
        let ids: Vec<Uuid> = self.known.keys().map(|id| id.as_uuid()).collect();
        let rows: Vec<Row> = sqlx::query_as(INVARIANTS).bind(&ids).fetch_all(self.stage.pool()).await.unwrap();
        assert_eq!(rows.len(), ids.len(), "no payment is lost");
        for row in rows {
            let known = self.known.get_mut(&row.id).unwrap();
            let status: Status = row.status.parse().unwrap();
            let shown = if status == Status::Pending && row.attempts > 0 { Status::Processing } else { status };
            assert!(follows(known.seen, shown), "{}: {} after {}", row.id, shown, known.seen);
            let is_open = status == Status::Pending;
            assert_eq!(row.items, i64::from(is_open), "{row:?}: a work item exactly while it is on its way");
            assert!(
                row.open_attempts <= i64::from(is_open),
                "{row:?}: one open attempt at most, and none after the end"
            );
            assert_eq!(
                (row.events, row.told),
                (i64::from(row.sequence), (row.sequence > 0).then_some(row.sequence)),
                "{row:?}: events without gaps"
            );
            assert_eq!(row.sequence, i32::from(!is_open), "{row:?}: one event, at the end");
            let taken = status == Status::Success;
            let posted = (row.journals, row.clearing, row.balance);
            let expected = if taken { (1, row.amount, Decimal::ZERO) } else { (0, Decimal::ZERO, Decimal::ZERO) };
            assert_eq!(posted, expected, "{row:?}: a journal exactly for taken money");
            assert_eq!(
                row.captured,
                (taken || status == Status::Authorized).then_some(if taken { row.amount } else { Decimal::ZERO }),
                "{row:?}"
            );
            known.seen = shown;
        }
    }
}

/// Whether a payment may be seen as `next` after it was seen as `before`, perhaps with statuses in between.
fn follows(before: Status, next: Status) -> bool {
    before == next || before.can_become(next) || before.successors().iter().any(|between| between.can_become(next))
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: PaymentId,
    status: String,
    sequence: i32,
    amount: Decimal,
    captured: Option<Decimal>,
    attempts: i64,
    open_attempts: i64,
    items: i64,
    events: i64,
    told: Option<i32>,
    journals: i64,
    clearing: Decimal,
    balance: Decimal,
}

const INVARIANTS: &str = "
select t.id, t.status, t.sequence, t.amount, t.amount_captured as captured,
    (select count(*) from payment_attempts a where a.payment_id = t.id) as attempts,
    (select count(*) from payment_attempts a where a.payment_id = t.id and a.state in ('SENT', 'UNKNOWN')) as open_attempts,
    (select count(*) from work_items w where w.payment_id = t.id) as items,
    (select count(*) from events e where e.payment_id = t.id) as events,
    (select max(sequence) from events e where e.payment_id = t.id) as told,
    (select count(distinct journal_id) from ledger_entries l where l.payment_id = t.id) as journals,
    (select coalesce(sum(amount), 0) from ledger_entries l where l.payment_id = t.id and account = 'PROVIDER_CLEARING') as clearing,
    (select coalesce(sum(amount), 0) from ledger_entries l where l.payment_id = t.id) as balance
from transactions t where t.id = any ($1)";

#[test]
fn whatever_happens_every_payment_ends_once_and_everybody_agrees_on_how() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (stage, simulator) = runtime.block_on(async {
        let simulator = Provider::start().await;
        let mut stage = Stage::new("pm_card_visa").await;
        let mut stripe = provider("stripe", simulator.address, 1);
        stripe.max_latency_ms = 150;
        stage.providers(&[stripe]).await;
        (stage, simulator)
    });
    let cases = std::env::var("PURSER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    // A failure prints its steps, shrunk as far as they still fail, and the seed that leads to them.
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 4..24), |steps| {
            let mut world = World { stage: &stage, simulator: &simulator, known: HashMap::new() };
            runtime.block_on(async {
                for step in &steps {
                    world.take(step).await;
                }
                world.end().await;
            });
            Ok(())
        })
        .unwrap();
    let _inside = runtime.enter();
    drop(stage);
}
