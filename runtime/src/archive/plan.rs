//! Which months go, and why the others stay. ★ Pure: no database, no clock.

use std::fmt;

use chrono::{DateTime, Months, TimeDelta, Utc};

use super::id::ArchiveId;
use crate::partitions::{LEDGER, PAYMENTS};

/// Who brings a month back wants to look at it.
const RESTORED_STAYS: TimeDelta = TimeDelta::days(30);

/// A partition, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which one.
    pub id: ArchiveId,
    /// What in it is not at its end, as in `3 payments that are not at their end`. Not looked for where the month is young.
    pub open: Vec<String>,
    /// When it was brought back, if it was.
    pub restored_at: Option<DateTime<Utc>>,
}

/// Why a month stays that is old enough to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Something in it is not at its end.
    Open(Vec<String>),
    /// What it says is about payments that are still there: those of this month, or of a later one up to its own.
    Payments(ArchiveId),
    /// The hours of it are not all summed up, and balances are made of these sums.
    NotSummedUp,
    /// It was brought back, and stays until then.
    Restored(DateTime<Utc>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(what) => f.write_str(&what.join(", ")),
            Self::Payments(month) => write!(f, "the payments of {} are still there", month.month_in_words()),
            Self::NotSummedUp => f.write_str("its hours are not summed up yet, which the metrics workload does"),
            Self::Restored(until) => write!(f, "it was brought back, and stays until {}", until.format("%Y-%m-%d")),
        }
    }
}

/// What becomes of the months that are old enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// These go, the oldest first, payments before what is said of them.
    pub go: Vec<ArchiveId>,
    /// These stay.
    pub stay: Vec<(ArchiveId, Why)>,
}

/// Before this moment a month must be over.
#[must_use]
pub fn limit(keep_months: u16, now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_months(Months::new(u32::from(keep_months))).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Whether a month is old enough.
#[must_use]
pub fn is_old(id: ArchiveId, limit: DateTime<Utc>) -> bool {
    id.range().1 <= limit
}

/// What becomes of the partitions that there are. The ledger is summed up to the moment given.
#[must_use]
pub fn plan(seen: &[Seen], summed_up: DateTime<Utc>, keep_months: u16, now: DateTime<Utc>) -> Plan {
    let limit = limit(keep_months, now);
    let mut old: Vec<&Seen> = seen.iter().filter(|seen| is_old(seen.id, limit)).collect();
    old.sort_by_key(|seen| (seen.id.table() != PAYMENTS, seen.id));
    let mut plan = Plan::default();
    for one in old {
        match why(one, seen, summed_up, now) {
            None => plan.go.push(one.id),
            Some(why) => plan.stay.push((one.id, why)),
        }
    }
    plan
}

fn why(one: &Seen, all: &[Seen], summed_up: DateTime<Utc>, now: DateTime<Utc>) -> Option<Why> {
    if let Some(until) = one.restored_at.map(|at| at + RESTORED_STAYS).filter(|until| *until > now) {
        return Some(Why::Restored(until));
    }
    let open = || (!one.open.is_empty()).then(|| Why::Open(one.open.clone()));
    if one.id.table() == PAYMENTS {
        return open();
    }
    // A payment's journals, checks and events are of its own month or a later one, so each payment keeps what is said of it.
    let payments = all.iter().map(|seen| seen.id).filter(|id| id.table() == PAYMENTS && id.month() <= one.id.month());
    if let Some(oldest) = payments.min() {
        return Some(Why::Payments(oldest));
    }
    if one.id.table() == LEDGER && summed_up < one.id.range().1 {
        return Some(Why::NotSummedUp);
    }
    open()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn seen(name: &str) -> Seen {
        Seen { id: name.parse().unwrap(), open: Vec::new(), restored_at: None }
    }

    fn names(plan: &Plan) -> (Vec<String>, Vec<String>) {
        let go = plan.go.iter().map(ToString::to_string).collect();
        (go, plan.stay.iter().map(|(id, why)| format!("{id}: {why}")).collect())
    }

    const NOW: &str = "2026-11-28T12:00:00Z";

    #[test]
    fn a_month_goes_once_the_whole_of_it_is_old_enough() {
        let months = [seen("transactions_p20250901"), seen("transactions_p20251001"), seen("transactions_p20251101")];
        let go = |keep, now| names(&plan(&months, at(NOW), keep, at(now))).0;
        assert_eq!(go(13, NOW), ["transactions_p20250901"]);
        assert_eq!(go(12, NOW), ["transactions_p20250901", "transactions_p20251001"]);
        // To the second.
        assert_eq!(go(12, "2026-11-30T23:59:59Z"), ["transactions_p20250901", "transactions_p20251001"]);
        assert_eq!(go(12, "2026-12-01T00:00:00Z").len(), 3);
        assert_eq!(go(100, NOW), [""; 0]);
    }

    #[test]
    fn payments_go_first_and_what_is_said_of_them_waits() {
        let months = [
            seen("events_p20250901"),
            seen("ledger_entries_p20250901"),
            seen("transactions_p20250901"),
            seen("fraud_checks_p20250801"),
        ];
        let (go, stay) = names(&plan(&months, at(NOW), 13, at(NOW)));
        assert_eq!(go, ["transactions_p20250901", "fraud_checks_p20250801"]);
        assert_eq!(
            stay,
            [
                "events_p20250901: the payments of 2025-09 are still there",
                "ledger_entries_p20250901: the payments of 2025-09 are still there"
            ]
        );
    }

    #[test]
    fn an_open_payment_keeps_its_month_and_all_that_is_said_of_it_later() {
        let mut open = seen("transactions_p20250801");
        open.open = vec!["1 payment that is not at its end".to_owned()];
        let months = [open, seen("transactions_p20250901"), seen("events_p20250901")];
        let (go, stay) = names(&plan(&months, at(NOW), 13, at(NOW)));
        assert_eq!(go, ["transactions_p20250901"]);
        assert_eq!(
            stay,
            [
                "transactions_p20250801: 1 payment that is not at its end",
                "events_p20250901: the payments of 2025-08 are still there"
            ]
        );
    }

    #[test]
    fn the_ledger_stays_until_its_hours_are_summed_up() {
        let months = [seen("ledger_entries_p20250901")];
        assert_eq!(plan(&months, at("2025-09-30T23:00:00Z"), 13, at(NOW)).stay[0].1, Why::NotSummedUp);
        assert_eq!(plan(&months, at("2025-10-01T00:00:00Z"), 13, at(NOW)).go, [months[0].id]);
    }

    #[test]
    fn what_was_brought_back_stays_for_a_month() {
        let mut back = seen("transactions_p20250901");
        back.restored_at = Some(at("2026-11-01T00:00:00Z"));
        let months = [back];
        assert!(matches!(plan(&months, at(NOW), 13, at(NOW)).stay[0].1, Why::Restored(_)));
        assert_eq!(plan(&months, at(NOW), 13, at("2026-12-01T00:00:00Z")).go, [months[0].id]);
    }
}
