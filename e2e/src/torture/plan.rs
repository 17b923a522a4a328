//! What is done to the platform, and when. Pure: a seed is a plan.

use runtime_contract::{ProviderName, Role};
use serde_json::{Value, json};

use crate::chance::Chance;

/// How many gateways and processors there are: each has another to take over from it.
pub(super) const TWINS: usize = 2;

/// Who takes the payments, each with a book of its own.
pub(super) const PROVIDERS: [ProviderName; 2] = [ProviderName::Stripe, ProviderName::Paypal];

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Victim {
    /// One process of a role, by `kill -9`.
    Role(Role, usize),
    /// A provider, by `kill -9`.
    Provider(ProviderName),
    /// Redis, by `kill -9`: it comes back empty.
    Redis,
    /// PostgreSQL, without a checkpoint or a good-bye.
    Postgres,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// These at the same moment, and again started after a while.
    Kill { victims: Vec<Victim>, down_ms: u64 },
    /// A provider's next answers go wrong.
    ProviderFault { provider: ProviderName, fault: &'static str, count: u64 },
    /// New payments go to this provider first.
    Prefer(ProviderName),
}

/// Something that is done a while after what was done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) after_ms: u64,
    pub(super) act: Act,
}

/// What the simulator knows to do wrong.
const FAULTS: [&str; 9] = [
    "error_before_charging",
    "error_after_charging",
    "timeout_before_charging",
    "timeout_after_charging",
    "reset_before_charging",
    "reset_after_charging",
    "truncate_after_charging",
    "garbage_after_charging",
    "rate_limit",
];

/// What besides these goes wrong where a key keeps its error, as at Stripe: what was done is found in other ways.
const STORED: &str = "stored_error_after_charging";

/// What is killed how often: what holds payments most, what stops everybody least.
const WEIGHTS: [(Victim, u64); 10] = [
    (Victim::Role(Role::Gateway, 0), 16),
    (Victim::Role(Role::Gateway, 1), 16),
    (Victim::Role(Role::Processor, 0), 20),
    (Victim::Role(Role::Processor, 1), 20),
    (Victim::Role(Role::Fraud, 0), 6),
    (Victim::Role(Role::Metrics, 0), 4),
    (Victim::Provider(ProviderName::Stripe), 5),
    (Victim::Provider(ProviderName::Paypal), 5),
    (Victim::Redis, 5),
    (Victim::Postgres, 4),
];

/// The steps of a seed, with so many kills in all.
pub(super) fn plan(seed: u64, kills: u64) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let mut steps = Vec::new();
    let (mut left, mut preferred) = (kills, 0);
    while left > 0 {
        if chance.percent(40) {
            preferred += 1;
            let act = Act::Prefer(PROVIDERS[preferred % PROVIDERS.len()]);
            steps.push(Step { after_ms: chance.below(100), act });
        }
        if chance.percent(35) {
            steps.push(Step { after_ms: chance.below(100), act: fault(&mut chance) });
        }
        let victims = victims(&mut chance, left);
        left -= victims.len() as u64;
        let down_ms = if chance.percent(50) { 0 } else { chance.below(400) };
        steps.push(Step { after_ms: 20 + chance.below(480), act: Act::Kill { victims, down_ms } });
    }
    steps
}

fn fault(chance: &mut Chance) -> Act {
    let (provider, count) = (*chance.one_of(&PROVIDERS), 1 + chance.below(3));
    let is_stored = provider == ProviderName::Stripe && chance.percent(20);
    let fault = if is_stored { STORED } else { *chance.one_of(&FAULTS) };
    Act::ProviderFault { provider, fault, count }
}

/// What is wrong with a provider all the time, as its simulator takes it: declines, and webhooks that are late, come twice,
/// out of order or never. At Stripe a few keys keep an error although nothing was charged: for a day nobody can know
/// what became of these, so they must stay open, and go nowhere else.
pub(super) fn provider_plan(seed: u64, provider: ProviderName) -> Value {
    let place = PROVIDERS.iter().position(|other| *other == provider).unwrap_or(0);
    let mut plan = json!({
        "seed": Chance::new(!seed).fork(place as u64).next(),
        "declines": [{"code": "insufficient_funds", "probability": 0.03}],
        "webhooks": {"spread_ms": 2_000, "duplicate": 0.2, "lost": 0.05},
    });
    if provider == ProviderName::Stripe {
        plan["faults"] = json!([{"fault": "stored_error_before_charging", "probability": 0.01, "actions": ["charge"]}]);
    }
    plan
}

/// Mostly one; now and then several at the same moment.
fn victims(chance: &mut Chance, most: u64) -> Vec<Victim> {
    let count = match chance.below(10) {
        0 => 3,
        1 | 2 => 2,
        _ => 1,
    };
    let mut chosen = Vec::new();
    for _ in 0..count.min(most) {
        let victim = victim(chance);
        if !chosen.contains(&victim) {
            chosen.push(victim);
        }
    }
    chosen
}

fn victim(chance: &mut Chance) -> Victim {
    let mut at = chance.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
    for (victim, weight) in WEIGHTS {
        if at < weight {
            return victim;
        }
        at -= weight;
    }
    WEIGHTS[0].0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn kills(steps: &[Step]) -> Vec<Victim> {
        let acts = steps.iter().filter_map(|step| match &step.act {
            Act::Kill { victims, .. } => Some(victims.clone()),
            Act::ProviderFault { .. } | Act::Prefer(_) => None,
        });
        acts.flatten().collect()
    }

    #[test]
    fn a_seed_is_a_plan_and_another_seed_another() {
        assert_eq!(plan(1, 200), plan(1, 200));
        assert_ne!(plan(1, 200), plan(2, 200));
        let [stripe, paypal] = PROVIDERS.map(|provider| provider_plan(1, provider));
        assert_eq!(stripe, provider_plan(1, ProviderName::Stripe));
        assert_ne!(stripe["seed"], provider_plan(2, ProviderName::Stripe)["seed"]);
        assert_ne!(stripe["seed"], paypal["seed"]);
    }

    #[test]
    fn both_providers_come_first_and_both_go_wrong_but_only_stripe_keeps_an_error() {
        let acts: Vec<Act> = plan(42, 1000).into_iter().map(|step| step.act).collect();
        for name in PROVIDERS {
            assert!(acts.contains(&Act::Prefer(name)), "{name} is never preferred");
            let goes_wrong = |act: &&Act| matches!(act, Act::ProviderFault { provider, .. } if *provider == name);
            assert!(acts.iter().filter(goes_wrong).count() > 50, "{name} hardly ever goes wrong");
            let is_stored =
                |act: &Act| matches!(act, Act::ProviderFault { fault, .. } if *fault == STORED && goes_wrong(&act));
            assert_eq!(acts.iter().any(is_stored), name == ProviderName::Stripe);
        }
    }

    #[test]
    fn a_plan_has_as_many_kills_as_were_asked_for_and_spares_nobody() {
        let kills = kills(&plan(42, 1000));
        assert_eq!(kills.len(), 1000);
        assert_eq!(kills.iter().collect::<HashSet<_>>().len(), WEIGHTS.len());
    }
}
