//! A simulated platform: what its metrics workload tells, second by second.

use std::collections::VecDeque;

use anyhow::Result;
use operator::sla::Limits;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson};
use runtime_contract::{Counts, Figures, ReleaseFigures, Slice, Times};

/// The release that is judged.
pub(super) const RELEASE: &str = "0.2.0";

/// Shares of the payments, and how long they take in milliseconds: the tail is what real platforms have.
const PAYMENTS: [(f64, u64); 6] = [(0.5, 30), (0.35, 60), (0.12, 120), (0.022, 180), (0.006, 300), (0.002, 900)];
/// The same of fraud checks, in microseconds.
const FRAUD: [(f64, u64); 4] = [(0.7, 2_000), (0.25, 6_000), (0.046, 20_000), (0.004, 60_000)];
/// Share of payments that fail when all is well: declined cards.
const FAILURES: f64 = 0.01;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Regression {
    /// Every payment takes 300 ms longer.
    Slower,
    /// Five of a hundred payments fail besides.
    MoreFailures,
    /// Three of ten fraud checks take 80 ms.
    SlowFraud,
}

impl Regression {
    pub(super) const ALL: [Self; 3] = [Self::Slower, Self::MoreFailures, Self::SlowFraud];
}

/// A platform that takes payments.
pub(super) struct Platform {
    chance: StdRng,
    /// Payments per second that come on average.
    tps: f64,
    second: i64,
    slices: VecDeque<Slice>,
    /// What was counted while nobody could be asked.
    pending: Counts,
    /// Seconds that something still lasts.
    spike_s: u32,
    deaf_s: u32,
    pub(super) regression: Option<Regression>,
}

/// The SLA that the platform keeps to when all is well.
pub(super) fn limits() -> Limits {
    Limits {
        tps_min: None,
        average_us: Some(120_000),
        p95_us: Some(200_000),
        p99_us: Some(400_000),
        failures: Some(0.03),
        fraud_us: 50_000,
        window_s: 60,
        payments_min: 30,
    }
}

impl Platform {
    pub(super) fn new(seed: u64, tps: f64) -> Self {
        Self {
            chance: StdRng::seed_from_u64(seed),
            tps,
            second: 1_000_000,
            slices: VecDeque::new(),
            pending: Counts::default(),
            spike_s: 0,
            deaf_s: 0,
            regression: None,
        }
    }

    pub(super) const fn now_s(&self) -> i64 {
        self.second
    }

    /// One second more.
    pub(super) fn live(&mut self) -> Result<()> {
        self.second += 1;
        self.trouble();
        let counts = self.count()?;
        add(&mut self.pending, counts);
        // A pod that starts anew begins to count at nothing: what it had counted since the last look is lost.
        if self.chance.random_bool(1.0 / 1_800.0) {
            self.pending = Counts::default();
        }
        if self.deaf_s == 0 {
            let counts = std::mem::take(&mut self.pending);
            self.slices.push_back(Slice { second: self.second, counts });
        }
        let oldest = self.second - 60;
        while self.slices.front().is_some_and(|slice| slice.second <= oldest) {
            self.slices.pop_front();
        }
        Ok(())
    }

    /// Every few minutes there is a spike of a second or two, or the figures are away for some seconds.
    fn trouble(&mut self) {
        self.spike_s = self.spike_s.saturating_sub(1);
        self.deaf_s = self.deaf_s.saturating_sub(1);
        if self.spike_s == 0 && self.chance.random_bool(1.0 / 240.0) {
            self.spike_s = self.chance.random_range(1..=2);
        }
        if self.deaf_s == 0 && self.chance.random_bool(1.0 / 600.0) {
            self.deaf_s = self.chance.random_range(1..=30);
        }
        // Traffic comes and goes.
        self.tps = (self.tps * self.chance.random_range(0.97..=1.031)).clamp(2.0, 400.0);
    }

    fn count(&mut self) -> Result<Counts> {
        let (slower_us, slow_fraud) = match self.regression {
            Some(Regression::Slower) => (300_000, 0.0),
            Some(Regression::SlowFraud) => (0, 0.3),
            Some(Regression::MoreFailures) | None => (0, 0.0),
        };
        let more = if self.regression == Some(Regression::MoreFailures) { 0.05 } else { 0.0 };
        // In a spike everything takes as long as the slowest otherwise.
        let spike_us = if self.spike_s > 0 { 900_000 } else { 0 };
        let mut payment_us = Times::new();
        for (share, ms) in PAYMENTS {
            let count = self.draw(self.tps * share)?;
            *payment_us.entry(ms * 1_000 + slower_us + spike_us).or_default() += count;
        }
        let mut fraud_us = Times::new();
        for (share, us) in FRAUD {
            let count = self.draw(self.tps * share * (1.0 - slow_fraud))?;
            *fraud_us.entry(if self.spike_s > 0 { us.max(60_000) } else { us }).or_default() += count;
        }
        *fraud_us.entry(80_000).or_default() += self.draw(self.tps * slow_fraud)?;
        let payments: u64 = payment_us.values().sum();
        let failed = self.draw(self.tps * (FAILURES + more))?.min(payments);
        Ok(Counts { succeeded: payments - failed, failed, payment_us, fraud_us })
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of payments within a second")]
    fn draw(&mut self, mean: f64) -> Result<u64> {
        if mean <= 0.0 {
            return Ok(0);
        }
        Ok(Poisson::new(mean)?.sample(&mut self.chance) as u64)
    }

    /// What the metrics workload tells now.
    pub(super) fn figures(&mut self) -> Figures {
        let slices = self.slices.make_contiguous().to_vec();
        let release = ReleaseFigures { release: RELEASE.into(), slices, ..ReleaseFigures::default() };
        let until = self.slices.back().map_or(0, |slice| slice.second);
        Figures { until, pods: 6, silent_pods: 0, releases: vec![release] }
    }
}

fn add(to: &mut Counts, counts: Counts) {
    to.succeeded += counts.succeeded;
    to.failed += counts.failed;
    for (times, more) in [(&mut to.payment_us, counts.payment_us), (&mut to.fraud_us, counts.fraud_us)] {
        for (us, count) in more {
            *times.entry(us).or_default() += count;
        }
    }
}
