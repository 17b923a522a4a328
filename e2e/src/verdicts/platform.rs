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
/// The one that serves beside it, where there is one.
pub(super) const BEFORE: &str = "0.1.0";

/// Shares of the payments, and how long they take in milliseconds: the tail is what real platforms have.
const PAYMENTS: [(f64, u64); 6] = [(0.5, 30), (0.35, 60), (0.12, 120), (0.022, 180), (0.006, 300), (0.002, 900)];
/// The same of fraud checks, in microseconds.
const FRAUD: [(f64, u64); 4] = [(0.7, 2_000), (0.25, 6_000), (0.046, 20_000), (0.004, 60_000)];
/// Share of payments that fail when all is well: declined cards.
const FAILURES: f64 = 0.01;

/// Seconds of spikes in a row.
const SPIKES_MAX_S: u32 = 4;

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

/// A release with traffic.
struct Live {
    version: &'static str,
    /// Its part of the traffic.
    share: f64,
    slices: VecDeque<Slice>,
    /// What was counted while nobody could be asked.
    pending: Counts,
}

/// A platform that takes payments.
pub(super) struct Platform {
    chance: StdRng,
    /// Payments per second that come on average.
    tps: f64,
    second: i64,
    releases: Vec<Live>,
    /// Seconds that something still lasts.
    spike_s: u32,
    deaf_s: u32,
    /// The part of everything that a spike hits, in whatever release.
    spike_part: f64,
    /// Seconds of a spike that are over, and of those right before it.
    in_spike_s: u32,
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

impl Live {
    fn new(version: &'static str, share: f64) -> Self {
        Self { version, share, slices: VecDeque::new(), pending: Counts::default() }
    }

    /// What the metrics workload has of it, when it has been asked.
    fn tell(&mut self, second: i64) {
        let counts = std::mem::take(&mut self.pending);
        self.slices.push_back(Slice { second, counts });
    }

    fn forget(&mut self, oldest: i64) {
        while self.slices.front().is_some_and(|slice| slice.second <= oldest) {
            self.slices.pop_front();
        }
    }
}

impl Platform {
    /// One release that has all of the traffic.
    pub(super) fn new(seed: u64, tps: f64) -> Self {
        Self::of(seed, tps, vec![Live::new(RELEASE, 1.0)])
    }

    /// One that has all of the traffic, and is to be replaced.
    pub(super) fn before_canary(seed: u64, tps: f64) -> Self {
        Self::of(seed, tps, vec![Live::new(BEFORE, 1.0)])
    }

    /// A canary gets a part of the traffic beside it, from `least` to half of the payments.
    pub(super) fn shift(&mut self, least: f64) {
        let share = self.chance.random_range(least..=0.5);
        self.releases = vec![Live { share: 1.0 - share, ..self.releases.remove(0) }, Live::new(RELEASE, share)];
    }

    fn of(seed: u64, tps: f64, releases: Vec<Live>) -> Self {
        let chance = StdRng::seed_from_u64(seed);
        Self {
            chance,
            tps,
            second: 1_000_000,
            releases,
            spike_s: 0,
            deaf_s: 0,
            spike_part: 1.0,
            in_spike_s: 0,
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
        for index in 0..self.releases.len() {
            let (tps, version) = (self.tps * self.releases[index].share, self.releases[index].version);
            let counts = self.count(tps, self.regression.filter(|_| version == RELEASE))?;
            let restarts = self.chance.random_bool(1.0 / 1_800.0);
            let (second, is_deaf, release) = (self.second, self.deaf_s > 0, &mut self.releases[index]);
            add(&mut release.pending, counts);
            // A pod that starts anew begins to count at nothing: what it had counted since the last look is lost.
            if restarts {
                release.pending = Counts::default();
            }
            if !is_deaf {
                release.tell(second);
            }
            release.forget(second - 60);
        }
        Ok(())
    }

    /// Every few minutes there is a spike of a second or two, now and then two of them in a row, or the figures are away for some
    /// seconds. Five seconds in a row would be a breach.
    fn trouble(&mut self) {
        self.in_spike_s = if self.spike_s > 0 { self.in_spike_s + 1 } else { 0 };
        self.spike_s = self.spike_s.saturating_sub(1);
        self.deaf_s = self.deaf_s.saturating_sub(1);
        if self.spike_s == 0 && self.chance.random_bool(1.0 / 240.0) {
            self.spike_s = self.chance.random_range(1..=2).min(SPIKES_MAX_S.saturating_sub(self.in_spike_s));
            self.spike_part = if self.chance.random_bool(0.5) { 1.0 } else { self.chance.random_range(0.1..=1.0) };
        }
        if self.deaf_s == 0 && self.chance.random_bool(1.0 / 600.0) {
            self.deaf_s = self.chance.random_range(1..=30);
        }
        // Traffic comes and goes.
        self.tps = (self.tps * self.chance.random_range(0.97..=1.031)).clamp(2.0, 400.0);
    }

    fn count(&mut self, tps: f64, regression: Option<Regression>) -> Result<Counts> {
        let (slower_us, slow_fraud) = match regression {
            Some(Regression::Slower) => (300_000, 0.0),
            Some(Regression::SlowFraud) => (0, 0.3),
            Some(Regression::MoreFailures) | None => (0, 0.0),
        };
        let more = if regression == Some(Regression::MoreFailures) { 0.05 } else { 0.0 };
        // What a spike hits takes as long as the slowest otherwise.
        let in_spike = if self.spike_s > 0 { self.spike_part } else { 0.0 };
        let (mut payment_us, mut fraud_us) = (Times::new(), Times::new());
        for (part, spike_us, fraud_min_us) in [(1.0 - in_spike, 0, 0), (in_spike, 900_000, 60_000)] {
            for (share, ms) in PAYMENTS {
                let count = self.draw(tps * share * part)?;
                *payment_us.entry(ms * 1_000 + slower_us + spike_us).or_default() += count;
            }
            for (share, us) in FRAUD {
                let count = self.draw(tps * share * part * (1.0 - slow_fraud))?;
                *fraud_us.entry(us.max(fraud_min_us)).or_default() += count;
            }
        }
        *fraud_us.entry(80_000).or_default() += self.draw(tps * slow_fraud)?;
        let payments: u64 = payment_us.values().sum();
        let failed = self.draw(tps * (FAILURES + more))?.min(payments);
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
        let until = self.releases[0].slices.back().map_or(0, |slice| slice.second);
        let of = |live: &mut Live| ReleaseFigures {
            release: live.version.into(),
            slices: live.slices.make_contiguous().to_vec(),
            ..ReleaseFigures::default()
        };
        Figures { until, pods: 6, silent_pods: 0, releases: self.releases.iter_mut().map(of).collect() }
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
