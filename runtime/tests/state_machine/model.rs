//! What is known of a payment from outside: what was asked of it, and what was told of it. Everything else follows.

use std::collections::BTreeMap;

use runtime::ids::PaymentId;
use runtime::operations::Kind;
use runtime::payments::Status;
use uuid::Uuid;

use crate::books::{Sums, Told};
use crate::steps::Asked;

/// What every payment here is over.
pub(crate) const CENTS: i64 = 1_050;

#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) id: PaymentId,
    /// Its card declines.
    pub(crate) declined: bool,
    /// It is held first.
    pub(crate) manual: bool,
    /// As it was seen last.
    pub(crate) shown: Status,
    /// Whether a provider may have charged it and nobody knew, when it was seen last.
    pub(crate) attempt_open: bool,
    /// Its merchant gave it up before any provider was asked.
    pub(crate) given_up: bool,
    /// Its provider agreed.
    pub(crate) agreed: bool,
    /// The time of what is held is over by our calendar.
    pub(crate) hold_over: bool,
    /// The provider has given free what it held, unasked.
    pub(crate) let_go: bool,
    /// Accepted captures, refunds and voids.
    pub(crate) operations: BTreeMap<Uuid, Operation>,
    /// Events so far.
    pub(crate) told: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) cents: i64,
    pub(crate) is_final: bool,
    /// Whether it was done, once that is known.
    pub(crate) done: Option<bool>,
}

/// What becomes of a request that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    AtOnce,
    Operation(Operation),
}

impl Payment {
    pub(crate) const fn new(id: PaymentId, manual: bool, declined: bool) -> Self {
        Self {
            id,
            declined,
            manual,
            shown: Status::Pending,
            attempt_open: false,
            given_up: false,
            agreed: false,
            hold_over: false,
            let_go: false,
            operations: BTreeMap::new(),
            told: 0,
        }
    }

    pub(crate) fn sums(&self) -> Sums {
        if !self.agreed {
            return Sums::default();
        }
        let at_once = if self.manual { 0 } else { CENTS };
        Sums {
            authorized: Some(CENTS),
            captured: Some(at_once + self.total(Kind::Capture, Some(true))),
            capturing: self.total(Kind::Capture, None),
            refunded: self.total(Kind::Refund, Some(true)),
            refunding: self.total(Kind::Refund, None),
        }
    }

    fn total(&self, kind: Kind, done: Option<bool>) -> i64 {
        self.of(kind).filter(|operation| operation.done == done).map(|operation| operation.cents).sum()
    }

    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Operation> {
        self.operations.values().filter(move |operation| operation.kind == kind)
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.shown.is_settled() || self.operations.values().any(|operation| operation.done.is_none())
    }

    /// Whether the platform is to give up what is held.
    pub(crate) fn is_overdue(&self) -> bool {
        self.shown == Status::Authorized
            && self.hold_over
            && self.sums().capturing == 0
            && self.of(Kind::Void).all(|void| void.done.is_some())
    }

    /// Whether a request looks as if it could be done.
    pub(crate) fn fits(&self, asked: Asked) -> bool {
        match asked {
            Asked::Capture { .. } => self.shown == Status::Authorized,
            Asked::Refund { .. } => self.sums().captured.is_some_and(|captured| captured > self.sums().refunded),
            Asked::Cancel => matches!(self.shown, Status::Pending | Status::Authorized),
        }
    }

    /// What becomes of a request, or the code with which it is refused.
    pub(crate) fn answer(&self, asked: Asked) -> Result<Plan, &'static str> {
        match asked {
            Asked::Capture { cents, is_final } => self.capture(cents, is_final),
            Asked::Refund { cents } => self.refund(cents),
            Asked::Cancel => self.cancel(),
        }
    }

    fn capture(&self, cents: Option<i64>, is_final: bool) -> Result<Plan, &'static str> {
        let Sums { captured, capturing, .. } = self.sums();
        let held = CENTS - captured.unwrap_or(0);
        let free = held - capturing;
        let last_on_its_way = self.of(Kind::Capture).any(|capture| capture.is_final && capture.done.is_none());
        let void_on_its_way = self.of(Kind::Void).any(|void| void.done.is_none());
        let cents_or_all = cents.unwrap_or(free);
        match self.shown {
            Status::Pending | Status::Processing => Err("payment_processing"),
            Status::Authorized if self.hold_over => Err("authorization_expired"),
            Status::Authorized if cents > Some(held) => Err("amount_exceeds_authorized"),
            Status::Authorized if void_on_its_way => Err("cancel_in_progress"),
            Status::Authorized
                if cents_or_all > free || free == 0 || last_on_its_way || (is_final && capturing > 0) =>
            {
                Err("capture_in_progress")
            }
            Status::Authorized => Ok(Plan::operation(Kind::Capture, cents_or_all, is_final || cents_or_all == held)),
            _ => Err("payment_not_capturable"),
        }
    }

    fn refund(&self, cents: Option<i64>) -> Result<Plan, &'static str> {
        let Sums { captured, refunded, refunding, .. } = self.sums();
        let kept = captured.unwrap_or(0) - refunded;
        let free = kept - refunding;
        if !self.shown.is_settled() {
            return Err("payment_processing");
        }
        match cents {
            _ if captured.is_none_or(|captured| captured == 0) => Err("payment_not_refundable"),
            None if kept == 0 => Err("payment_not_refundable"),
            Some(cents) if cents > kept => Err("amount_exceeds_captured"),
            Some(cents) if cents > free => Err("refund_in_progress"),
            None if free == 0 => Err("refund_in_progress"),
            cents => Ok(Plan::operation(Kind::Refund, cents.unwrap_or(free), false)),
        }
    }

    fn cancel(&self) -> Result<Plan, &'static str> {
        let Sums { captured, capturing, .. } = self.sums();
        match self.shown {
            Status::Pending | Status::Processing if self.attempt_open => Err("payment_processing"),
            Status::Pending | Status::Processing => Ok(Plan::AtOnce),
            Status::Authorized if self.of(Kind::Void).any(|void| void.done.is_none()) => Err("cancel_in_progress"),
            Status::Authorized if capturing > 0 => Err("capture_in_progress"),
            Status::Authorized => Ok(Plan::operation(Kind::Void, CENTS - captured.unwrap_or(0), false)),
            _ => Err("payment_not_cancelable"),
        }
    }

    /// The next event, and of an operation whether it was done: it must be one that can follow.
    pub(crate) fn tell(&mut self, event: &Told, done: Option<bool>) {
        self.told += 1;
        assert_eq!(event.sequence, self.told, "events without gaps: {event:?}");
        let expected = match event.operation_id {
            None => self.first_event(&event.kind),
            Some(id) => self.event_of(id, done),
        };
        assert_eq!(event.kind, expected, "{event:?} of {self:?}");
    }

    fn first_event(&mut self, kind: &str) -> &'static str {
        assert_eq!(self.told, 1, "a payment comes to its own end once");
        // Its provider may say what it did first, or how things are now.
        let is_gone = self.let_go && kind == "payment.failed";
        let (event, status) = match (self.given_up, self.declined || is_gone, self.manual) {
            (true, ..) => ("payment.canceled", Status::Canceled),
            (_, true, _) => ("payment.failed", Status::Failed),
            (_, _, true) => ("payment.authorized", Status::Authorized),
            _ => ("payment.succeeded", Status::Success),
        };
        self.agreed = matches!(status, Status::Authorized | Status::Success);
        let before = self.shown;
        let between = before.successors().iter().any(|between| between.can_become(status));
        assert!(between || before.can_become(status), "{}: {status} after {before}", self.id);
        self.shown = status;
        event
    }

    fn event_of(&mut self, id: Uuid, done: Option<bool>) -> &'static str {
        let (let_go, operation) = (self.let_go, self.operations.get_mut(&id).expect("of an accepted operation"));
        assert_eq!(operation.done, None, "an operation ends once");
        operation.done = done;
        let kind = operation.kind;
        match done {
            None => panic!("told of {operation:?}, which is on its way"),
            // Nothing else can fail: what was accepted was there, and is still reserved.
            Some(false) if kind == Kind::Capture && let_go => return "capture.failed",
            Some(false) => panic!("{operation:?} failed"),
            Some(true) => {}
        }
        let (before, status) = (self.shown, self.standing());
        assert!(before == status || before.can_become(status), "{}: {status} after {before}", self.id);
        self.shown = status;
        match (kind, status) {
            (Kind::Capture | Kind::Void, Status::Success) => "payment.succeeded",
            (Kind::Capture, _) => "payment.captured",
            (_, Status::Refunded) => "payment.refunded",
            (Kind::Refund, _) | (Kind::Void, Status::PartiallyRefunded) => "payment.partially_refunded",
            (Kind::Void, _) => "payment.canceled",
        }
    }

    /// Where a payment stands that its provider agreed to.
    fn standing(&self) -> Status {
        let Sums { captured, refunded, .. } = self.sums();
        let gave_free = |operation: &Operation| operation.is_final || operation.kind == Kind::Void;
        let is_free = self.operations.values().any(|operation| operation.done == Some(true) && gave_free(operation));
        match captured.unwrap_or(0) {
            captured if captured < CENTS && !is_free => Status::Authorized,
            0 => Status::Canceled,
            _ if refunded == 0 => Status::Success,
            captured if refunded < captured => Status::PartiallyRefunded,
            _ => Status::Refunded,
        }
    }
}

impl Plan {
    const fn operation(kind: Kind, cents: i64, is_final: bool) -> Self {
        Self::Operation(Operation { kind, cents, is_final, done: None })
    }
}
