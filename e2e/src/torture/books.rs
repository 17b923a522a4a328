//! Compares the providers' books with ours: the ledger, the payments, their attempts and operations. Pure.

use std::collections::{BTreeMap, HashMap};

use runtime_contract::ProviderName;

use super::{
    evidence::{AttemptRow, ClearingRow, Evidence, PaymentRow},
    plan::PROVIDERS,
    provider::Charge,
};

/// With so many charges in all, a provider that has none, or whose messages nobody took, was not tested.
const ENOUGH: usize = 100;

/// All books say the same, and nobody was charged twice.
pub(super) fn money(evidence: &Evidence, payments: &HashMap<&str, &PaymentRow>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut charges: HashMap<&str, Vec<&Charge>> = HashMap::new();
    for charge in &evidence.books.charges {
        charges.entry(&charge.payment).or_default().push(charge);
        if !payments.contains_key(charge.payment.as_str()) {
            wrong.push(format!("{} charged for {}, which is not there", charge.provider, charge.payment));
        }
    }
    let mut clearing: HashMap<&str, Vec<&ClearingRow>> = HashMap::new();
    for row in &evidence.clearing {
        clearing.entry(&row.payment).or_default().push(row);
    }
    for payment in &evidence.payments {
        wrong.extend(one_charge(payment, charges.get(payment.id.as_str()).map_or(&[][..], Vec::as_slice)));
        wrong.extend(booked(payment, clearing.get(payment.id.as_str()).map_or(&[][..], Vec::as_slice)));
        wrong.extend(operations(evidence, payment));
    }
    wrong.extend(attempts(evidence));
    wrong.extend(movements(evidence));
    wrong.extend(tested(evidence));
    wrong
}

fn one_charge(payment: &PaymentRow, charged: &[&Charge]) -> Vec<String> {
    let PaymentRow { id, status, provider, amount, authorized, captured, refunded, .. } = payment;
    let mut wrong = Vec::new();
    if charged.len() > 1 {
        let ids: Vec<String> = charged.iter().map(|charge| format!("{} at {}", charge.id, charge.provider)).collect();
        wrong.push(format!("{id} was charged {} times: {}", charged.len(), ids.join(", ")));
    }
    let there = charged.first().map_or((0, 0, 0), |charge| (charge.captured, charge.refunded, charge.held));
    let taken = captured.unwrap_or(0);
    let held = if status == "AUTHORIZED" { authorized.unwrap_or(0) - taken } else { 0 };
    let here = (taken, *refunded, held);
    if there != here {
        wrong
            .push(format!("{id} ({status}): captured, refunded and held are {here:?} here, {there:?} at the provider"));
    }
    for charge in charged {
        if charge.authorized != *amount {
            wrong.push(format!("{id}: {amount} was to be charged, {} was", charge.authorized));
        }
        if *provider != Some(charge.provider) {
            let here = provider.map_or("nobody", ProviderName::as_str);
            wrong.push(format!("{id} is in the book of {}, and was charged by {here} here", charge.provider));
        }
    }
    if payment.on_its_way != 0 {
        wrong.push(format!("{id}: {} is still reserved", payment.on_its_way));
    }
    wrong
}

/// The ledger has what was taken and did not go back, at the provider that took it and at no other.
fn booked(payment: &PaymentRow, lines: &[&ClearingRow]) -> Vec<String> {
    let PaymentRow { id, provider, captured, refunded, .. } = payment;
    let mut wrong = Vec::new();
    let (own, others): (Vec<&ClearingRow>, _) = lines.iter().partition(|line| Some(line.provider) == *provider);
    let (booked, kept) = (own.iter().map(|line| line.amount).sum::<i64>(), captured.unwrap_or(0) - refunded);
    if booked != kept {
        wrong.push(format!("{id}: the ledger says {booked}, the payment {kept}"));
    }
    let other = |line: &&ClearingRow| {
        format!("{id}: the ledger has {} at {}, which did not charge", line.amount, line.provider)
    };
    wrong.extend(others.iter().map(other));
    wrong
}

/// A payment's sums are those of its operations.
fn operations(evidence: &Evidence, payment: &PaymentRow) -> Vec<String> {
    let sum = |kind: &str| -> i64 {
        let own = evidence.operations.get(&payment.id).into_iter().flatten();
        own.filter(|row| row.kind == kind && row.status == "SUCCEEDED").map(|row| row.amount).sum()
    };
    let mut wrong = Vec::new();
    if sum("REFUND") != payment.refunded {
        wrong.push(format!("{}: refunds sum to {}, the payment says {}", payment.id, sum("REFUND"), payment.refunded));
    }
    if payment.captured.unwrap_or(0) > payment.authorized.unwrap_or(payment.amount)
        || payment.refunded > payment.captured.unwrap_or(0)
    {
        wrong.push(format!("{}: more was taken or given back than there is: {payment:?}", payment.id));
    }
    wrong
}

/// Each charge is that of an approved attempt at its provider, and each approved attempt has one.
fn attempts(evidence: &Evidence) -> Vec<String> {
    let mut approved: BTreeMap<&str, &AttemptRow> = BTreeMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.state == "APPROVED") {
        approved.insert(&attempt.id, attempt);
    }
    let mut wrong = Vec::new();
    for Charge { id, provider, payment, attempt, .. } in &evidence.books.charges {
        match approved.remove(attempt.as_str()) {
            Some(found) if found.payment == *payment && found.provider == *provider => {}
            Some(AttemptRow { payment: other, provider: elsewhere, .. }) => {
                wrong.push(format!(
                    "{provider} charged {id} for {payment} by {attempt}, which is of {other} at {elsewhere}"
                ));
            }
            None => {
                wrong.push(format!("{provider} charged {id} for {payment} by {attempt}, which is no approved attempt"));
            }
        }
    }
    let without = |attempt: &&AttemptRow| {
        let AttemptRow { id, payment, provider, .. } = attempt;
        format!("attempt {id} of {payment} was approved, and {provider} has no charge of it")
    };
    wrong.extend(approved.values().map(without));
    wrong
}

/// Whatever a provider took or gave back later is an operation that succeeded, over the same amount.
fn movements(evidence: &Evidence) -> Vec<String> {
    let of_payment = |payment: &str| evidence.operations.get(payment).into_iter().flatten();
    let mut wrong = Vec::new();
    for charge in &evidence.books.charges {
        for (key, amount) in &charge.movements {
            let id = key.replace('-', "");
            let operation = of_payment(&charge.payment).find(|row| row.id.ends_with(&id));
            if !operation.is_some_and(|row| row.status == "SUCCEEDED" && row.amount == *amount) {
                let (provider, payment) = (charge.provider, &charge.payment);
                wrong.push(format!("{provider} moved {amount} of {payment} for {key}, which is {operation:?}"));
            }
        }
    }
    wrong
}

/// Both providers took payments, and their messages arrived and were about payments that are known.
fn tested(evidence: &Evidence) -> Vec<String> {
    let charges = &evidence.books.charges;
    let mut wrong = Vec::new();
    for provider in PROVIDERS {
        let resource = provider.as_str().to_lowercase();
        let messages =
            |effect: &str| evidence.messages.get(&(resource.clone(), effect.to_owned())).copied().unwrap_or(0);
        if messages("unknown") > 0 {
            wrong.push(format!("{} messages of {provider} were about payments that nobody knew", messages("unknown")));
        }
        if charges.len() < ENOUGH {
            continue;
        }
        if !charges.iter().any(|charge| charge.provider == provider) {
            wrong.push(format!("{provider} took nothing of {} charges: nothing was shown of it", charges.len()));
        }
        if messages("due") + messages("nothing") == 0 {
            wrong.push(format!("no message of {provider} was taken: nothing was shown of them"));
        }
    }
    wrong
}
