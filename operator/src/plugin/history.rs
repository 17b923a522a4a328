//! The releases that ended, as a table. ★ Pure.

use crds::payment_cluster::{ReleaseRecord, ReleaseResult};
use jiff::Timestamp;

use super::ages;

const HEADER: [&str; 9] = ["VERSION", "FROM", "RESULT", "ENDED", "TOOK", "PAYMENTS", "P99", "SUCCESS", "MESSAGE"];

/// One line a release, the newest first.
pub(super) fn table(history: &[ReleaseRecord], now: Timestamp) -> String {
    aligned(HEADER, history.iter().map(|record| row(record, now)))
}

/// Rows below their headings, each column as wide as it has to be.
pub(super) fn aligned<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn row(record: &ReleaseRecord, now: Timestamp) -> [String; 9] {
    let ReleaseRecord { version, from, started_at, ended_at, result, message, figures, .. } = record;
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let took = started_at.as_ref().and_then(|started| ages::between(started, ended_at));
    let figures = figures.as_ref();
    [
        version.clone(),
        or_dash(from.clone()),
        name_of(*result).to_owned(),
        or_dash(ages::since(ended_at, now).map(|age| format!("{age} ago"))),
        or_dash(took),
        or_dash(figures.map(|figures| figures.payments.to_string())),
        or_dash(figures.and_then(|figures| Some(format!("{} ms", figures.p99_ms.as_ref()?)))),
        or_dash(figures.and_then(|figures| Some(format!("{} %", figures.success_rate.as_ref()?)))),
        message.replace(char::is_control, " "),
    ]
}

const fn name_of(result: ReleaseResult) -> &'static str {
    match result {
        ReleaseResult::Succeeded => "Succeeded",
        ReleaseResult::RolledBack => "RolledBack",
        ReleaseResult::Superseded => "Superseded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::test_data;

    #[test]
    fn a_table_says_how_each_release_went() {
        let cluster = test_data::cluster(|_| {});
        let history = cluster.status.unwrap().release.unwrap().history;
        let now = "2026-11-24T13:00:00Z".parse().unwrap();
        let expected = "\
VERSION  FROM   RESULT      ENDED    TOOK  PAYMENTS  P99       SUCCESS  MESSAGE
1.3.0    1.2.0  Succeeded   60m ago  5m    1200      180.5 ms  99.1 %   it serves
1.2.9    -      RolledBack  3d ago   -     -         -         -        the p99 latency was 900 ms
";
        assert_eq!(table(&history, now), expected);
    }
}
