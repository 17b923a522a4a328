//! What a load test has to reach, and whether it did. ★ Pure.

use std::time::Duration;

use serde::Serialize;

/// A gateway that answers fewer of the wanted payments per second than this share does not keep up.
const KEPT_UP: f64 = 0.95;

/// What a load test has to reach. What is absent does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Goals {
    /// Payments per second that are asked for.
    pub tps: u32,
    /// 95 of 100 payments take no longer.
    pub p95: Option<Duration>,
    /// 99 of 100 payments take no longer.
    pub p99: Option<Duration>,
    /// Payments that end well, in percent.
    pub success_rate: Option<f64>,
}

/// What was measured. Times count from when a payment was due, not from when it was sent: a gateway that keeps clients waiting
/// does not look better for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Payments that were due.
    pub payments: u64,
    /// Of these, those that ended well.
    pub succeeded: u64,
    /// Payments that were answered, per second.
    pub tps: f64,
    /// The time in the middle, in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100 took no longer, in milliseconds.
    pub p95_ms: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
    /// Payments that ended well, in percent.
    pub success_rate: f64,
    /// What became of the others, and of how many, the most frequent first.
    pub failures: Vec<(String, u64)>,
}

impl Goals {
    /// The figures that were missed, each in words.
    #[must_use]
    pub fn missed(&self, measured: &Measured) -> Vec<String> {
        let mut missed = Vec::new();
        let wanted = f64::from(self.tps);
        if measured.tps < wanted * KEPT_UP {
            missed.push(format!("tps {:.1} of {wanted:.0}", measured.tps));
        }
        let times = [("p95", self.p95, measured.p95_ms), ("p99", self.p99, measured.p99_ms)];
        for (name, limit, found) in times {
            let limit_ms = limit.map(|limit| limit.as_secs_f64() * 1_000.0);
            if let Some(limit_ms) = limit_ms.filter(|limit_ms| found > *limit_ms) {
                missed.push(format!("{name} {found:.1} ms, at most {limit_ms:.0} ms"));
            }
        }
        if let Some(least) = self.success_rate.filter(|least| measured.success_rate < *least) {
            missed.push(format!("success rate {:.2} %, at least {least} %", measured.success_rate));
        }
        missed
    }
}

impl Measured {
    /// In a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { payments, tps, p50_ms, p95_ms, p99_ms, max_ms, success_rate, failures, .. } = self;
        let others: Vec<_> = failures.iter().map(|(what, count)| format!("{count} × {what}")).collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        format!(
            "{payments} test payments at {tps:.1}/s: p50 {p50_ms:.1} ms, p95 {p95_ms:.1} ms, p99 {p99_ms:.1} ms, longest {max_ms:.0} ms, {success_rate:.2} % succeeded{others}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured {
            payments: 1_000,
            succeeded: 990,
            tps: 99.0,
            p50_ms: 5.0,
            p95_ms: 40.0,
            p99_ms: 90.0,
            max_ms: 200.0,
            success_rate: 99.0,
            failures: vec![("HTTP 503".into(), 10)],
        }
    }

    fn goals() -> Goals {
        let (p95, p99) = (Some(Duration::from_millis(40)), Some(Duration::from_millis(90)));
        Goals { tps: 100, p95, p99, success_rate: Some(99.0) }
    }

    #[test]
    fn a_figure_at_its_limit_is_reached() {
        assert_eq!(goals().missed(&measured()), Vec::<String>::new());
        let none = Goals { tps: 100, p95: None, p99: None, success_rate: None };
        let slow = Measured { p95_ms: 9e9, p99_ms: 9e9, success_rate: 0.0, ..measured() };
        assert!(none.missed(&slow).is_empty());
    }

    #[test]
    fn each_figure_that_is_missed_is_named() {
        let bad = Measured { tps: 94.9, p95_ms: 40.1, p99_ms: 91.0, success_rate: 98.99, ..measured() };
        let expected = [
            "tps 94.9 of 100",
            "p95 40.1 ms, at most 40 ms",
            "p99 91.0 ms, at most 90 ms",
            "success rate 98.99 %, at least 99 %",
        ];
        assert_eq!(goals().missed(&bad), expected);
        assert!(bad.words().contains("10 × HTTP 503"), "{}", bad.words());
    }
}
