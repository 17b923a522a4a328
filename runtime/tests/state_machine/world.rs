//! Takes the steps, on the real thing.

use std::cell::Cell;
use std::time::Duration;

use chrono::Utc;
use proptest::sample::Index;
use runtime::idempotency::{IdempotencyKey, KeyedRequest, RequestHash};
use runtime::ids::{PaymentId, uuid_at};
use runtime::operations::accept::accept;
use runtime::operations::{Acceptance, NewOperation, Request, expiry};
use runtime::payments::{CaptureMethod, Status};
use runtime::processor::error::StepError;
use runtime::queue::{OPERATIONS, PAYMENTS};
use rust_decimal::Decimal;

use crate::books::Books;
use crate::model::{Operation, Payment, Plan};
use crate::process::Process;
use crate::stage::{Provider, Stage, payer, until};
use crate::steps::{Asked, Fault, Step};
use crate::support::RELEASE;

pub(crate) struct World<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) simulator: &'a Provider,
    /// In the order in which they were accepted.
    pub(crate) payments: Vec<Payment>,
}

impl<'a> World<'a> {
    pub(crate) async fn new(stage: &'a Stage, simulator: &'a Provider) -> Self {
        // What a story that failed left behind is none of this one.
        sqlx::raw_sql("delete from work_items; delete from operation_items").execute(stage.pool()).await.unwrap();
        Self { stage, simulator, payments: Vec::new() }
    }

    pub(crate) async fn take(&mut self, step: &Step) {
        match step {
            Step::Accept { count, manual, declined } => self.accept(*count, *manual, *declined).await,
            Step::Ask { which, fitting, asked } => self.ask_all(which, *fitting, asked).await,
            Step::Work { fault, count } => {
                self.misbehave(*fault, *count).await;
                self.work().await;
            }
            Step::Die { fault, after_ms } => {
                self.misbehave(*fault, 3).await;
                self.die(Duration::from_millis(*after_ms)).await;
            }
            Step::StandStill { fault } => self.stand_still(*fault).await,
            Step::TimePasses => self.time_passes().await,
            Step::Nudge { which } => self.nudge(which).await,
            Step::HoldEnds { which, here, there } => self.hold_ends(which, *here, *there).await,
            Step::Sweep => self.sweep().await,
        }
        self.check().await;
    }

    /// Everything ends when nothing stands in the way any more.
    pub(crate) async fn end(&mut self) {
        self.simulator.behave().await;
        for round in 0.. {
            self.sweep().await;
            self.time_passes().await;
            self.work().await;
            self.check().await;
            if !self.payments.iter().any(|payment| payment.is_open() || payment.is_overdue()) {
                break;
            }
            assert!(round < 20, "it does not end: {:?}", self.payments);
        }
        self.check_ends().await;
    }

    pub(crate) async fn books(&self) -> Books {
        let ids: Vec<PaymentId> = self.payments.iter().map(|payment| payment.id).collect();
        Books::read(self.stage.pool(), &ids).await
    }

    async fn accept(&mut self, count: usize, manual: bool, declined: bool) {
        // A new one each time, so that fraud rules about haste do not matter.
        let token = if declined { "pm_card_visa_chargeDeclined" } else { "pm_card_visa" };
        let payer = payer(self.stage.pool(), self.stage.merchant, token).await;
        let capture = if manual { CaptureMethod::Manual } else { CaptureMethod::Automatic };
        let query = "update transactions set capture_method = $2, user_id = $3, payment_method_id = $4 where id = $1";
        for _ in 0..count {
            let id = self.stage.accept("10.50", "USD").await;
            let query = sqlx::query(query).bind(id).bind(capture.as_str()).bind(payer.0).bind(payer.1);
            query.execute(self.stage.pool()).await.unwrap();
            self.payments.push(Payment::new(id, manual, declined));
        }
    }

    async fn ask_all(&mut self, which: &Index, fitting: bool, asked: &[Asked]) {
        let places = 0..self.payments.len();
        let places: Vec<usize> = places.filter(|place| !fitting || self.payments[*place].fits(asked[0])).collect();
        if !places.is_empty() {
            let place = *which.get(&places);
            for asked in asked {
                self.ask(place, *asked).await;
                self.check().await;
            }
        }
    }

    async fn ask(&mut self, place: usize, asked: Asked) {
        let now = Utc::now();
        let payment = &mut self.payments[place];
        let new = new_operation(self.stage, payment.id, asked);
        let expected = payment.answer(asked);
        match (accept(self.stage.pool(), &new, now).await.unwrap(), expected) {
            (Acceptance::Canceled(_), Ok(Plan::AtOnce)) => payment.given_up = true,
            (Acceptance::Accepted(operation), Ok(Plan::Operation(planned))) => {
                let (kind, cents, is_final) = (operation.kind, operation.amount.minor(), operation.is_final);
                assert_eq!(Operation { kind, cents, is_final, done: None }, planned, "{asked:?} of {payment:?}");
                payment.operations.insert(operation.id, planned);
            }
            (Acceptance::Refused(refusal), Err(code)) => assert_eq!(refusal.code(), code, "{asked:?} of {payment:?}"),
            (got, expected) => panic!("{asked:?} of {payment:?}: {got:?}, expected was {expected:?}"),
        }
        // The same request once more is the same request, and what was refused left nothing behind.
        let again = accept(self.stage.pool(), &new, now).await.unwrap();
        let is_known = again == Acceptance::KeyInUse;
        assert_eq!(is_known, expected.is_ok(), "{asked:?} twice of {:?}: {again:?}", self.payments[place]);
        assert!(is_known || matches!(again, Acceptance::Refused(_)), "{again:?}");
    }

    async fn misbehave(&self, fault: Option<Fault>, count: usize) {
        if let Some(fault) = fault {
            self.simulator.fault(fault.as_str(), count).await;
        }
    }

    async fn nudge(&self, which: &Index) {
        if self.payments.is_empty() {
            return;
        }
        let payment = which.get(&self.payments);
        let is_open = PAYMENTS.send_again(self.stage.pool(), payment.id.as_uuid()).await.unwrap();
        assert_eq!(is_open, !payment.shown.is_settled(), "{payment:?}");
        for (id, operation) in &payment.operations {
            let is_open = OPERATIONS.send_again(self.stage.pool(), *id).await.unwrap();
            assert_eq!(is_open, operation.done.is_none(), "{operation:?}");
        }
    }

    async fn hold_ends(&mut self, which: &Index, here: bool, there: bool) {
        let held = |payment: &&mut Payment| payment.manual && !payment.declined && !payment.given_up;
        let mut held: Vec<&mut Payment> = self.payments.iter_mut().filter(held).collect();
        if held.is_empty() {
            return;
        }
        let place = which.index(held.len());
        let payment = &mut held[place];
        if here && payment.shown == Status::Authorized {
            let query = "update transactions set authorized_until = now() - interval '1 second' where id = $1";
            sqlx::query(query).bind(payment.id).execute(self.stage.pool()).await.unwrap();
            payment.hold_over = true;
        }
        if there {
            payment.let_go |= self.simulator.let_go(payment.id).await;
        }
    }

    async fn sweep(&mut self) {
        expiry::sweep(self.stage.pool(), RELEASE, 1_000, Utc::now()).await.unwrap();
        let books = self.books().await;
        for payment in &mut self.payments {
            let is_new = |id| !payment.operations.contains_key(&id);
            let rows = books.operations.iter().filter(|row| row.payment_id == payment.id && is_new(row.id));
            let made: Vec<_> = rows.collect();
            assert_eq!(made.len(), usize::from(payment.is_overdue()), "{payment:?}: {made:?}");
            for row in made {
                assert_eq!(row.reason.as_deref(), Some(expiry::REASON), "{row:?}");
                // As a merchant's own cancellation would be.
                let Ok(Plan::Operation(void)) = payment.answer(Asked::Cancel) else { panic!("{payment:?}") };
                payment.operations.insert(row.id, void);
            }
        }
    }

    /// To its end, in order: what is given back stays given back.
    async fn work(&self) {
        let process = Process::start(self.stage);
        for result in process.advance(process.claim().await).await {
            result.expect("nobody else works");
        }
        process.end().await;
    }

    /// Tasks and recorder alike stop where they are.
    async fn die(&self, after: Duration) {
        let process = Process::start(self.stage);
        let _ = tokio::time::timeout(after, async { process.advance(process.claim().await).await }).await;
        drop(process);
        self.quiet().await;
    }

    /// What a dead process has sent to the database still happens. Waits until all of it has.
    async fn quiet(&self) {
        let at_work = "select count(*) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";
        let rests = Cell::new(0);
        until("the dead have come to rest", async || {
            let at_work: i64 = sqlx::query_scalar(at_work).fetch_one(self.stage.pool()).await.unwrap();
            rests.set(if at_work == 0 { rests.get() + 1 } else { 0 });
            // Once might be before the server has read what was sent.
            rests.get() > 2
        })
        .await;
    }

    async fn stand_still(&self, fault: Option<Fault>) {
        let process = Process::start(self.stage);
        let zombies = process.claim().await;
        self.time_passes().await;
        self.misbehave(fault, 1).await;
        self.work().await;
        let before = self.books().await;
        for result in process.advance(zombies).await {
            assert!(matches!(result, Err(StepError::Lost)), "{result:?}");
        }
        assert_eq!(self.books().await, before, "a lost claim changed something");
    }

    async fn time_passes(&self) {
        for table in ["work_items", "operation_items"] {
            let expired = format!(
                "update {table} set run_at = least(run_at, now()),
                     leased_until = case when leased_by is null then null else now() - interval '1 second' end"
            );
            sqlx::query(sqlx::AssertSqlSafe(expired)).execute(self.stage.pool()).await.unwrap();
        }
    }
}

fn new_operation(stage: &Stage, payment: PaymentId, asked: Asked) -> NewOperation {
    let text = |cents: Option<i64>| cents.map(|cents| Decimal::new(cents, 2).to_string());
    let request = match asked {
        Asked::Capture { cents, is_final } => Request::Capture { amount: text(cents), is_final },
        Asked::Refund { cents } => Request::Refund { amount: text(cents) },
        Asked::Cancel => Request::Cancel,
    };
    let id = uuid_at(Utc::now());
    let key = IdempotencyKey::parse(id.to_string().as_bytes()).unwrap();
    let hash = RequestHash::of("POST /test", &id).unwrap();
    let keyed = KeyedRequest { merchant_id: stage.merchant, key, hash };
    NewOperation { id, payment, request, reason: None, release: RELEASE.into(), keyed }
}
