//! Which month of which table.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::partitions;

/// A month of a table: the name of the partition, and of its archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct ArchiveId {
    month: NaiveDate,
    table: &'static str,
}

impl ArchiveId {
    /// The table.
    #[must_use]
    pub const fn table(self) -> &'static str {
        self.table
    }

    /// The first day of the month.
    #[must_use]
    pub const fn month(self) -> NaiveDate {
        self.month
    }

    /// The first moment of the month, and of the one after.
    #[must_use]
    pub fn range(self) -> (DateTime<Utc>, DateTime<Utc>) {
        let midnight = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
        (midnight(self.month), midnight(partitions::following(self.month)))
    }

    /// `2025-09`.
    #[must_use]
    pub fn month_in_words(self) -> String {
        self.month.format("%Y-%m").to_string()
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&partitions::name(self.table, self.month))
    }
}

impl FromStr for ArchiveId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} names no month of a table, such as transactions_p20250901");
        let (table, month) = text.rsplit_once("_p").ok_or_else(wrong)?;
        let table = partitions::TABLES.into_iter().find(|known| *known == table).ok_or_else(wrong)?;
        let month = NaiveDate::parse_from_str(month, "%Y%m%d").ok().filter(|day| day.day() == 1).ok_or_else(wrong)?;
        let id = Self { month, table };
        // Names are compared with those in the catalogue, so there is one way to write each.
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

impl<'de> Deserialize<'de> for ArchiveId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl From<ArchiveId> for String {
    fn from(id: ArchiveId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_partition_of_a_month_and_nothing_else() {
        let id: ArchiveId = "ledger_entries_p20261201".parse().unwrap();
        assert_eq!((id.table(), id.to_string().as_str()), ("ledger_entries", "ledger_entries_p20261201"));
        assert_eq!(id.range().1.to_string(), "2027-01-01 00:00:00 UTC");
        for wrong in ["merchants_p20261201", "events_p20261202", "events_p2026121", "events", "../events_p20261201"] {
            assert!(wrong.parse::<ArchiveId>().is_err(), "{wrong}");
        }
    }
}
