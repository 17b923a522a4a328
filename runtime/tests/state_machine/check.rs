//! After each step: the database, the ledger, what was told and what the provider did agree with the model.

use runtime::ledger::verify::verify;
use runtime::operations::Kind;
use runtime::payments::Status;

use crate::books::{Account, Books, OperationRow, PaymentRow};
use crate::model::{Operation, Payment};
use crate::world::World;

impl World<'_> {
    pub(crate) async fn check(&mut self) {
        let (books, account) = (self.books().await, Account::read(self.simulator).await);
        assert_eq!(books.payments.len(), self.payments.len(), "no payment is lost");
        for payment in &mut self.payments {
            let row = books.payments.iter().find(|row| row.id == payment.id).unwrap();
            let operations: Vec<_> = books.operations.iter().filter(|row| row.payment_id == payment.id).collect();
            hear(payment, &books, &operations);
            compare(payment, row);
            compare_operations(payment, &operations);
            compare_ledger(payment, row);
            compare_account(payment, &account);
        }
    }

    /// When nothing is open any more, everything is at the end that follows from what was asked.
    pub(crate) async fn check_ends(&self) {
        let account = Account::read(self.simulator).await;
        for payment in &self.payments {
            let charges = account.charges(payment.id);
            let was_charged = !payment.declined && !payment.given_up;
            assert_eq!(charges.len(), usize::from(was_charged), "{payment:?}: one charge, taken or held, or none");
            assert!(payment.agreed == was_charged || payment.let_go, "{payment:?}");
            let sums = payment.sums();
            let moved = (account.total(payment.id, "captures"), account.total(payment.id, "refunds"));
            assert_eq!(moved, (sums.captured.unwrap_or(0), sums.refunded), "{payment:?}: the provider's sums");
            let is_held = payment.shown == Status::Authorized && !payment.let_go;
            assert!(charges.iter().all(|charge| (charge["state"] == "held") == is_held), "{payment:?}: {charges:?}");
        }
        let mut connection = self.stage.pool().acquire().await.unwrap();
        assert_eq!(verify(&mut connection).await.unwrap().findings, [], "the ledger, whole");
    }
}

/// What the merchant was told since, in order.
fn hear(payment: &mut Payment, books: &Books, operations: &[&OperationRow]) {
    let (id, told) = (payment.id, payment.told);
    for event in books.events.iter().filter(|event| event.payment_id == id && event.sequence > told) {
        let operation = operations.iter().find(|row| Some(row.id) == event.operation_id);
        payment.tell(event, operation.and_then(|row| row.done()));
    }
}

fn compare(payment: &mut Payment, row: &PaymentRow) {
    let status: Status = row.status.parse().unwrap();
    let is_open = status == Status::Pending;
    let shown = if is_open && row.attempts > 0 { Status::Processing } else { status };
    if is_open && payment.shown == Status::Pending {
        payment.shown = shown;
    }
    assert_eq!((shown, row.sequence), (payment.shown, payment.told), "{row:?}");
    assert_eq!(row.sums, payment.sums(), "{row:?}");
    assert_eq!(row.items, i64::from(is_open), "{row:?}: a work item exactly while it is on its way");
    assert!(row.open_attempts <= i64::from(is_open), "{row:?}: one open attempt at most, and none after the end");
    payment.attempt_open = row.open_attempts > 0;
}

fn compare_operations(payment: &Payment, rows: &[&OperationRow]) {
    assert_eq!(rows.len(), payment.operations.len(), "no operation is lost, and none made up: {rows:?} {payment:?}");
    for row in rows {
        let known = payment.operations[&row.id];
        let stored = (row.kind.as_str(), row.cents, row.is_final, row.done());
        let Operation { kind, cents, is_final, done } = known;
        assert_eq!(stored, (kind.as_str(), cents, is_final, done), "{row:?}");
        assert_eq!(row.items, i64::from(done.is_none()), "{row:?}: a work item exactly while it is on its way");
        assert_eq!(row.parked, 0, "{row:?}: nothing needs a person");
    }
}

fn compare_ledger(payment: &Payment, row: &PaymentRow) {
    let sums = payment.sums();
    let done = |kind| payment.of(kind).filter(|operation| operation.done == Some(true)).count();
    let at_once = usize::from(payment.agreed && !payment.manual);
    let journals = i64::try_from(at_once + done(Kind::Capture) + done(Kind::Refund)).unwrap();
    let expected = (journals, sums.captured.unwrap_or(0) - sums.refunded, true);
    assert_eq!((row.journals, row.clearing, row.balanced), expected, "{row:?}: a journal exactly for moved money");
}

/// What we know, the provider did; what it did and we do not know of yet is on its way.
fn compare_account(payment: &Payment, account: &Account) {
    let charges = account.charges(payment.id).len();
    assert!(charges <= 1, "{payment:?}: charged once");
    assert!(!payment.agreed || charges == 1, "{payment:?}: agreed to, and not charged");
    for (id, operation) in &payment.operations {
        let what = match operation.kind {
            Kind::Capture => "captures",
            Kind::Refund => "refunds",
            // Makes nothing of its own.
            Kind::Void => continue,
        };
        let moved = account.moved(payment.id, what, *id);
        assert!(moved.is_none_or(|cents| cents == operation.cents), "{operation:?}: {moved:?}");
        if let Some(done) = operation.done {
            assert_eq!(moved.is_some(), done, "{id} {operation:?}");
        }
    }
}
