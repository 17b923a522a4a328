//! The fault plan: what goes wrong, how often, and how long everything takes, drawn from a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;

use super::fault::{Fault, Trouble};

/// The body of `POST /simulator/plan`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanOrder {
    /// The same seed draws the same numbers, request by request.
    #[serde(default)]
    seed: u64,
    /// How long a request takes; as the command line says when this says nothing.
    latency: Option<Latency>,
    /// Faults with their probabilities, of which at most one happens to a request.
    #[serde(default)]
    faults: Vec<Risk>,
    /// Declines with their probabilities.
    #[serde(default)]
    declines: Vec<DeclineRisk>,
    /// What happens to webhooks.
    #[serde(default)]
    pub(super) webhooks: WebhookPlan,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
enum Latency {
    #[serde(rename = "fixed_ms")]
    Fixed(f64),
    #[serde(rename = "uniform_ms")]
    Uniform { min: f64, max: f64 },
    /// Most answers near the median, a few far above it.
    #[serde(rename = "lognormal_ms")]
    Lognormal { median: f64, sigma: f64 },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Risk {
    fault: Fault,
    probability: f64,
    /// Where an answer is cut; drawn when absent.
    offset: Option<usize>,
    /// Actions that it happens to; all when empty.
    #[serde(default)]
    actions: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclineRisk {
    code: String,
    probability: f64,
}

/// What happens to webhooks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebhookPlan {
    /// Sent this late.
    pub(super) delay_ms: u64,
    /// And up to so much later, drawn for each copy: so they come out of order.
    pub(super) spread_ms: u64,
    /// Probability of a second copy.
    pub(super) duplicate: f64,
    /// Probability of none at all.
    pub(super) lost: f64,
}

/// An answer is cut below this many bytes when the plan does not say where.
const OFFSET_MAX: usize = 1_200;
/// Later, and a test would rather not be told at all.
const LATE_MAX_MS: u64 = 600_000;

/// The plan that is in force.
pub(super) struct Plan {
    order: PlanOrder,
    random: StdRng,
}

impl Default for Plan {
    fn default() -> Self {
        Self::new(PlanOrder::default())
    }
}

impl Plan {
    pub(super) fn new(order: PlanOrder) -> Self {
        Self { random: StdRng::seed_from_u64(order.seed), order }
    }

    /// What is wrong with an order, in words.
    pub(super) fn check(order: &PlanOrder) -> Result<(), String> {
        let WebhookPlan { delay_ms, spread_ms, duplicate, lost } = order.webhooks;
        let risks = order.faults.iter().map(|risk| risk.probability);
        let declines = order.declines.iter().map(|risk| risk.probability);
        if risks.clone().chain(declines).chain([duplicate, lost]).any(|share| !(0.0..=1.0).contains(&share)) {
            return Err("a probability lies between 0 and 1".into());
        }
        if delay_ms.saturating_add(spread_ms) > LATE_MAX_MS {
            return Err(format!("a webhook is at most {LATE_MAX_MS} ms late"));
        }
        let times = match order.latency {
            None => [0.0, 0.0],
            Some(Latency::Fixed(ms)) => [ms, ms],
            Some(Latency::Uniform { min, max }) => [min, max],
            Some(Latency::Lognormal { median, sigma }) => [median, sigma],
        };
        match times.iter().all(|ms| (0.0..=600_000.0).contains(ms)) {
            true => Ok(()),
            false => Err("a latency lies between 0 and 600000 ms".into()),
        }
    }

    /// How long the next request takes, if the plan says so.
    pub(super) fn latency(&mut self) -> Option<Duration> {
        let ms = match self.order.latency? {
            Latency::Fixed(ms) => ms,
            Latency::Uniform { min, max } => min + (max - min) * self.draw(),
            Latency::Lognormal { median, sigma } => {
                // Box and Muller's way from two even numbers to a normal one.
                let (even, turn) = (1.0 - self.draw(), self.draw());
                let normal = (-2.0 * even.ln()).sqrt() * (std::f64::consts::TAU * turn).cos();
                median * (sigma * normal).exp()
            }
        };
        Some(Duration::from_secs_f64(ms.clamp(0.0, 600_000.0) / 1_000.0))
    }

    /// What goes wrong with the next request of this action.
    pub(super) fn trouble(&mut self, action: &str) -> Option<Trouble> {
        if self.order.faults.is_empty() {
            return None;
        }
        let mut drawn = self.draw();
        let cut: usize = self.random.random_range(0..OFFSET_MAX);
        let concerned = |risk: &&Risk| risk.actions.is_empty() || risk.actions.iter().any(|name| name == action);
        self.order.faults.iter().filter(concerned).find_map(|risk| {
            drawn -= risk.probability;
            (drawn < 0.0).then(|| Trouble { fault: risk.fault, offset: Some(risk.offset.unwrap_or(cut)) })
        })
    }

    /// The decline code of the next charge, if it is to be declined.
    pub(super) fn decline(&mut self) -> Option<String> {
        if self.order.declines.is_empty() {
            return None;
        }
        let mut drawn = self.draw();
        self.order.declines.iter().find_map(|risk| {
            drawn -= risk.probability;
            (drawn < 0.0).then(|| risk.code.clone())
        })
    }

    /// How late each copy of the next webhook is sent.
    pub(super) fn webhook(&mut self) -> Vec<Duration> {
        let WebhookPlan { delay_ms, spread_ms, duplicate, lost } = self.order.webhooks;
        let copies = match self.draw() {
            drawn if drawn < lost => 0,
            drawn if drawn < lost + duplicate => 2,
            _ => 1,
        };
        let late = |_| Duration::from_millis(delay_ms + self.random.random_range(0..=spread_ms));
        (0..copies).map(late).collect()
    }

    fn draw(&mut self) -> f64 {
        self.random.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(order: &str) -> Plan {
        let order = serde_json::from_str(order).unwrap();
        Plan::check(&order).unwrap();
        Plan::new(order)
    }

    #[test]
    fn the_same_seed_draws_the_same_troubles_in_the_asked_shares() {
        let order = r#"{"seed": 7, "latency": {"lognormal_ms": {"median": 2, "sigma": 0.5}},
            "faults": [{"fault": "rate_limit", "probability": 0.25, "actions": ["charge"]}, {"fault": "error_before_charging", "probability": 0.25}]}"#;
        let (mut one, mut two) = (plan(order), plan(order));
        let drawn: Vec<_> = (0..1_000).map(|_| one.trouble("charge")).collect();
        assert_eq!(drawn, (0..1_000).map(|_| two.trouble("charge")).collect::<Vec<_>>());
        assert_eq!(one.latency(), two.latency());
        let limited = drawn.iter().flatten().filter(|trouble| trouble.fault == Fault::RateLimit).count();
        assert!((200..300).contains(&limited), "{limited}");
        assert!((0..1_000).all(|_| one.trouble("refund").is_none_or(|trouble| trouble.fault != Fault::RateLimit)));
    }

    #[test]
    fn webhooks_are_lost_doubled_and_late_by_different_times() {
        let mut plan = plan(r#"{"webhooks": {"delay_ms": 10, "spread_ms": 90, "duplicate": 0.25, "lost": 0.25}}"#);
        let sent: Vec<_> = (0..1_000).map(|_| plan.webhook()).collect();
        let of_copies = |copies| sent.iter().filter(|sent| sent.len() == copies).count();
        assert!((200..300).contains(&of_copies(0)) && (200..300).contains(&of_copies(2)), "{}", of_copies(2));
        let late = || sent.iter().flatten();
        let (least, most) = (Duration::from_millis(10), Duration::from_millis(100));
        assert!(late().all(|late| (least..=most).contains(late)));
        assert!(!late().is_sorted(), "they come out of order");
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused_with_its_reason() {
        for order in [
            r#"{"faults": [{"fault": "rate_limit", "probability": 1.5}]}"#,
            r#"{"latency": {"fixed_ms": -1}}"#,
            r#"{"webhooks": {"delay_ms": 1, "spread_ms": 600000}}"#,
        ] {
            assert!(Plan::check(&serde_json::from_str(order).unwrap()).is_err(), "{order}");
        }
        assert!(serde_json::from_str::<PlanOrder>(r#"{"fault": []}"#).is_err());
    }
}
