//! What is done to the platform, and when. Pure: a seed is a plan.

use runtime_contract::Role;

use crate::chance::Chance;

/// How many gateways and processors there are: each has another to take over from it.
pub(super) const TWINS: usize = 2;

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Victim {
    /// One process of a role, by `kill -9`.
    Role(Role, usize),
    /// The provider, by `kill -9`.
    Simulator,
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
    /// The provider's next answers go wrong.
    ProviderFault { fault: &'static str, count: u64 },
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

/// What is killed how often: what holds payments most, what stops everybody least.
const WEIGHTS: [(Victim, u64); 9] = [
    (Victim::Role(Role::Gateway, 0), 16),
    (Victim::Role(Role::Gateway, 1), 16),
    (Victim::Role(Role::Processor, 0), 20),
    (Victim::Role(Role::Processor, 1), 20),
    (Victim::Role(Role::Fraud, 0), 6),
    (Victim::Role(Role::Metrics, 0), 4),
    (Victim::Simulator, 9),
    (Victim::Redis, 5),
    (Victim::Postgres, 4),
];

/// The steps of a seed, with so many kills in all.
pub(super) fn plan(seed: u64, kills: u64) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let mut steps = Vec::new();
    let mut left = kills;
    while left > 0 {
        if chance.percent(30) {
            let fault = *chance.one_of(&FAULTS);
            let count = 1 + chance.below(3);
            steps.push(Step { after_ms: chance.below(100), act: Act::ProviderFault { fault, count } });
        }
        let victims = victims(&mut chance, left);
        left -= victims.len() as u64;
        let down_ms = if chance.percent(50) { 0 } else { chance.below(400) };
        steps.push(Step { after_ms: 20 + chance.below(480), act: Act::Kill { victims, down_ms } });
    }
    steps
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
            Act::ProviderFault { .. } => None,
        });
        acts.flatten().collect()
    }

    #[test]
    fn a_seed_is_a_plan_and_another_seed_another() {
        assert_eq!(plan(1, 200), plan(1, 200));
        assert_ne!(plan(1, 200), plan(2, 200));
    }

    #[test]
    fn a_plan_has_as_many_kills_as_were_asked_for_and_spares_nobody() {
        let kills = kills(&plan(42, 1000));
        assert_eq!(kills.len(), 1000);
        assert_eq!(kills.iter().collect::<HashSet<_>>().len(), WEIGHTS.len());
    }
}
