//! Compares what everybody knows. Pure: evidence in, what is wrong out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    books::money,
    evidence::{Evidence, PaymentRow},
    receiver::Received,
    record::{Asked, Record},
};

/// Every sentence is something that must not be.
pub(super) fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let (waiting, undone): (Vec<_>, _) =
        evidence.leftovers.iter().partition(|left| left.must_wait(&evidence.books.silent));
    let waiting: HashSet<&str> = waiting.iter().filter_map(|left| left.payment.as_deref()).collect();
    wrong.extend(undone.iter().map(|left| left.what.clone()));
    wrong.extend(evidence.unbalanced.iter().map(|what| format!("the ledger does not balance: {what}")));
    let payments: HashMap<&str, &PaymentRow> = evidence.payments.iter().map(|row| (row.id.as_str(), row)).collect();
    wrong.extend(promises(evidence, &payments, &waiting));
    wrong.extend(keys(evidence));
    wrong.extend(money(evidence, &payments));
    wrong.extend(events(evidence, &waiting));
    wrong.extend(deliveries(&evidence.received, &evidence.events.iter().map(|event| event.id.as_str()).collect()));
    wrong
}

/// What was acknowledged is there and came to its end, unless nobody can know that yet.
fn promises(evidence: &Evidence, payments: &HashMap<&str, &PaymentRow>, waiting: &HashSet<&str>) -> Vec<String> {
    let operations: HashMap<&str, &str> =
        evidence.operations.values().flatten().map(|row| (row.id.as_str(), row.status.as_str())).collect();
    let mut wrong = Vec::new();
    for record in &evidence.records {
        if !record.acknowledged() {
            wrong.extend(refusal(record));
            continue;
        }
        let id = record.text("id").unwrap_or("nothing");
        let status = match record.asked {
            Asked::Payment | Asked::Cancel => {
                payments.get(id).map(|row| row.status.as_str()).or(operations.get(id).copied())
            }
            Asked::Capture | Asked::Refund => operations.get(id).copied(),
        };
        match status {
            None => {
                wrong.push(format!("key {}: {id} was acknowledged ({}) and is not there", record.key, record.status))
            }
            Some("PENDING" | "PROCESSING") if !waiting.contains(id) => {
                wrong.push(format!("key {}: {id} was acknowledged and has no end", record.key))
            }
            Some(_) => {}
        }
    }
    wrong
}

/// A payment of these merchants is always in order; captures and the like may come too late or ask for too much.
fn refusal(record: &Record) -> Option<String> {
    let expected = record.asked != Asked::Payment && matches!(record.status, 409 | 422);
    (!expected)
        .then(|| format!("key {}: {} was refused ({}): {}", record.key, record.request, record.status, record.answer))
}

/// One key, one payment or operation; and the one that the merchant was told of.
fn keys(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut made_by: HashMap<&str, &str> = HashMap::new();
    let mut named: HashMap<&str, (Option<&str>, Option<&str>)> = HashMap::new();
    for row in &evidence.keys {
        named.insert(&row.key, (row.payment.as_deref(), row.operation.as_deref()));
        if let (Some(payment), None) = (&row.payment, &row.operation)
            && !row.key.ends_with("-v")
            && let Some(other) = made_by.insert(payment, &row.key)
        {
            wrong.push(format!("keys {other} and {} both made {payment}", row.key));
        }
    }
    for payment in &evidence.payments {
        if !made_by.contains_key(payment.id.as_str()) {
            wrong.push(format!("{} belongs to no key", payment.id));
        }
    }
    for record in evidence.records.iter().filter(|record| record.acknowledged()) {
        let told = record.text("id").unwrap_or_default();
        let kept = match (record.asked, named.get(record.key.as_str())) {
            (Asked::Payment, Some((Some(payment), _))) => *payment == told,
            (_, Some((_, Some(operation)))) => told.ends_with(operation) || record.asked == Asked::Cancel,
            (_, found) => found.is_some() && record.asked == Asked::Cancel,
        };
        if !kept {
            wrong.push(format!(
                "key {} was answered with {told}, and stands for {:?}",
                record.key,
                named.get(record.key.as_str())
            ));
        }
    }
    wrong
}

/// A payment's events are 1, 2, 3 … to its own count, and each payment that ended has one; one that waits has none.
fn events(evidence: &Evidence, waiting: &HashSet<&str>) -> Vec<String> {
    let mut sequences: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for event in &evidence.events {
        sequences.entry(&event.payment).or_default().push(event.sequence);
    }
    let mut wrong = Vec::new();
    for payment in &evidence.payments {
        let found = sequences.get(payment.id.as_str()).cloned().unwrap_or_default();
        let expected: Vec<i64> = (1..=payment.sequence).collect();
        if found != expected || expected.is_empty() != waiting.contains(payment.id.as_str()) {
            wrong.push(format!("{} ({}): events {found:?} instead of {expected:?}", payment.id, payment.status));
        }
    }
    wrong
}

/// Every event was received, none was invented, and those of a payment came in order: the next one only after the one
/// before was taken.
fn deliveries(received: &[Received], stored: &HashSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken: HashSet<&str> = HashSet::new();
    let mut upto: HashMap<&str, i64> = HashMap::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for event in received {
        let first = seen.insert(&event.event);
        if first && !stored.contains(event.event.as_str()) {
            wrong.push(format!("{} was received, and is not there", event.event));
        }
        if let Some(payment) = &event.payment {
            let before = upto.get(payment.as_str()).copied().unwrap_or(0);
            if event.sequence > before + 1 {
                wrong.push(format!("{payment}: event {} was sent before {} was taken", event.sequence, before + 1));
            }
            if event.taken {
                upto.insert(payment, before.max(event.sequence));
            }
        }
        if event.taken {
            taken.insert(&event.event);
        }
    }
    wrong.extend(
        stored.iter().filter(|event| !taken.contains(*event)).map(|event| format!("{event} was never received")),
    );
    wrong
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
