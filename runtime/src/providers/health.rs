//! How well each provider answers: its share of answers, its latency, and a circuit breaker. One per process and pure: time
//! is passed in.
//!
//! A decline is an answer: a provider is not worse for the cards of those who pay. What counts against it is a call that it
//! did not take or did not answer, and one that came too late.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use runtime_contract::ProviderSettings;
use rust_decimal::Decimal;

use super::Outcome;

/// Calls that are remembered per provider.
const SAMPLES_MAX: usize = 100;
/// How long a call is remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer calls say nothing of a share.
const SAMPLES_MIN: usize = 20;
/// So many failures in a row open the circuit, however good the share was.
const FAILURES_MAX: u32 = 5;
/// How long an open circuit waits for its first probe; doubled for each one that fails.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest wait.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Probes that must be answered before the circuit is closed.
const PROBES: u32 = 3;

/// One call, as health sees it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    answered: bool,
    latency: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { answered: u32, probe_until: Option<Instant>, pause: Duration },
}

#[derive(Debug)]
struct Track {
    samples: VecDeque<Sample>,
    circuit: Circuit,
}

impl Default for Track {
    fn default() -> Self {
        Self { samples: VecDeque::new(), circuit: Circuit::Closed { failures: 0 } }
    }
}

/// Whether a provider should get new payments now.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It answers well, or nothing is known against it.
    Healthy(Figures),
    /// It failed, and may prove itself with this payment.
    Probing,
    /// Others come first.
    Unhealthy(Trouble),
}

/// What is known of the latest calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Calls that are remembered.
    pub calls: usize,
    /// Of them those that were answered.
    pub answered: usize,
    /// The mean time of those.
    pub latency: Option<Duration>,
}

/// What stands against a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Its circuit is open.
    CircuitOpen,
    /// It answers too few calls.
    SuccessRate(Figures),
    /// It takes too long.
    Latency(Figures),
}

/// The health of every provider of a process.
#[derive(Debug, Default)]
pub struct Health(HashMap<String, Track>);

impl Health {
    /// How a provider stands.
    #[must_use]
    pub fn standing(&self, provider: &ProviderSettings, now: Instant) -> Standing {
        let Some(track) = self.0.get(&provider.resource) else {
            return Standing::Healthy(Figures::default());
        };
        match track.circuit {
            Circuit::Open { until, .. } if now < until => return Standing::Unhealthy(Trouble::CircuitOpen),
            Circuit::HalfOpen { probe_until: Some(until), .. } if now < until => {
                return Standing::Unhealthy(Trouble::CircuitOpen);
            }
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => return Standing::Probing,
            Circuit::Closed { .. } => {}
        }
        let figures = track.figures(now);
        if figures.calls < SAMPLES_MIN {
            return Standing::Healthy(figures);
        }
        let threshold: Decimal = provider.success_rate_threshold.parse().unwrap_or_default();
        if figures.success_rate() < threshold {
            return Standing::Unhealthy(Trouble::SuccessRate(figures));
        }
        let limit = Duration::from_millis(u64::from(provider.max_latency_ms));
        if figures.latency.is_some_and(|latency| latency > limit) {
            return Standing::Unhealthy(Trouble::Latency(figures));
        }
        Standing::Healthy(figures)
    }

    /// A payment goes there now. Of an open circuit whose wait is over only one at a time is let through.
    pub fn begin(&mut self, provider: &str, limit: Duration, now: Instant) {
        let Some(track) = self.0.get_mut(provider) else { return };
        match &mut track.circuit {
            Circuit::Open { until, pause } if now >= *until => {
                let pause = *pause;
                track.circuit = Circuit::HalfOpen { answered: 0, probe_until: Some(now + limit), pause };
            }
            Circuit::HalfOpen { probe_until, .. } => *probe_until = Some(now + limit),
            Circuit::Open { .. } | Circuit::Closed { .. } => {}
        }
    }

    /// What became of a call.
    pub fn record(&mut self, provider: &str, outcome: &Outcome, latency: Duration, now: Instant) {
        let answered = matches!(outcome, Outcome::Approved { .. } | Outcome::Declined { .. });
        let track = match self.0.get_mut(provider) {
            Some(track) => track,
            None => self.0.entry(provider.to_owned()).or_default(),
        };
        track.samples.push_back(Sample { at: now, answered, latency });
        if track.samples.len() > SAMPLES_MAX {
            track.samples.pop_front();
        }
        track.turn(answered, now);
    }
}

impl Track {
    fn figures(&self, now: Instant) -> Figures {
        let recent = self.samples.iter().filter(|sample| now.saturating_duration_since(sample.at) < WINDOW);
        let (mut calls, mut answered, mut total) = (0, 0, Duration::ZERO);
        for sample in recent {
            calls += 1;
            if sample.answered {
                answered += 1;
                total += sample.latency;
            }
        }
        let latency = u32::try_from(answered).ok().filter(|&count| count > 0).map(|count| total / count);
        Figures { calls, answered, latency }
    }

    fn turn(&mut self, answered: bool, now: Instant) {
        self.circuit = match (self.circuit, answered) {
            (Circuit::Closed { .. }, true) => Circuit::Closed { failures: 0 },
            (Circuit::Closed { failures }, false) if failures + 1 < FAILURES_MAX => {
                Circuit::Closed { failures: failures + 1 }
            }
            (Circuit::Closed { .. }, false) => Circuit::Open { until: now + PAUSE, pause: PAUSE },
            // An answer to a call from before: the circuit decides by its probes.
            (open @ Circuit::Open { .. }, _) => open,
            (Circuit::HalfOpen { answered, pause, .. }, true) if answered + 1 < PROBES => {
                Circuit::HalfOpen { answered: answered + 1, probe_until: None, pause }
            }
            (Circuit::HalfOpen { .. }, true) => {
                // What it was before says nothing of what it is now.
                self.samples.clear();
                Circuit::Closed { failures: 0 }
            }
            (Circuit::HalfOpen { pause, .. }, false) => {
                let pause = (pause * 2).min(PAUSE_MAX);
                Circuit::Open { until: now + pause, pause }
            }
        };
    }
}

impl Figures {
    /// Answered calls in percent.
    #[must_use]
    pub fn success_rate(&self) -> Decimal {
        if self.calls == 0 {
            return Decimal::ONE_HUNDRED;
        }
        Decimal::from(self.answered) * Decimal::ONE_HUNDRED / Decimal::from(self.calls)
    }
}

impl Standing {
    /// Whether it comes before those that are not.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        matches!(self, Self::Healthy(_) | Self::Probing)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.calls == 0 {
            return f.write_str("not asked lately");
        }
        write!(f, "{} of {} calls answered", self.answered, self.calls)?;
        match self.latency {
            Some(latency) => write!(f, " in {} ms on average", latency.as_millis()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy(figures) => write!(f, "healthy: {figures}"),
            Self::Probing => f.write_str("to prove itself after failures"),
            Self::Unhealthy(Trouble::CircuitOpen) => f.write_str("left alone for a while after failures"),
            Self::Unhealthy(Trouble::SuccessRate(figures)) => write!(f, "below its success rate: {figures}"),
            Self::Unhealthy(Trouble::Latency(figures)) => write!(f, "slower than it may be: {figures}"),
        }
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
