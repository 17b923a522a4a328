//! From signals and rules to a verdict. Pure: the same input gives the same verdict.

use super::rules::Rule;
use super::signals::Velocity;
use super::wire::{Status, Triggered, Verdict};
use crate::money::Money;

/// From here on a payment is marked for a look.
pub const FLAGGED_FROM: u8 = 40;
/// From here on a payment does not go on.
pub const BLOCKED_FROM: u8 = 80;
const SCORE_MAX: u8 = 100;

const _: () = assert!(FLAGGED_FROM < BLOCKED_FROM && BLOCKED_FROM <= SCORE_MAX);

/// Adds up the points of the rules that match.
#[must_use]
pub fn assess(rules: &[Rule], money: Money, velocity: Option<&Velocity>, degraded: bool) -> Verdict {
    let triggered: Vec<Triggered> = rules.iter().filter_map(|rule| rule.evaluate(money, velocity)).collect();
    let score = triggered.iter().fold(0_u8, |score, rule| score.saturating_add(rule.points)).min(SCORE_MAX);
    Verdict { status: status(score), score, rules: triggered, degraded }
}

const fn status(score: u8) -> Status {
    if score >= BLOCKED_FROM {
        Status::Blocked
    } else if score >= FLAGGED_FROM {
        Status::Flagged
    } else {
        Status::Passed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::fraud::rules::{Test, Window};

    fn usd(amount: &str) -> Money {
        Money::parse(amount, "USD".parse().unwrap()).unwrap()
    }

    fn amount_rule(limit: &str, points: u8) -> Rule {
        let limits = HashMap::from([("USD".parse().unwrap(), usd(limit))]);
        Rule { name: format!("over-{limit}"), points, test: Test::Amount { limits } }
    }

    #[test]
    fn the_score_decides_at_its_limits() {
        for (score, expected) in [
            (0, Status::Passed),
            (39, Status::Passed),
            (40, Status::Flagged),
            (79, Status::Flagged),
            (80, Status::Blocked),
            (100, Status::Blocked),
        ] {
            assert_eq!(assess(&[amount_rule("1", score)], usd("2"), None, false).status, expected, "{score}");
        }
    }

    #[test]
    fn points_add_up_but_not_beyond_a_hundred() {
        let rules = [amount_rule("10", 40), amount_rule("20", 40), amount_rule("30", 90)];
        let verdict = assess(&rules, usd("25"), None, false);
        assert_eq!((verdict.score, verdict.status, verdict.rules.len()), (80, Status::Blocked, 2));
        assert_eq!(assess(&rules, usd("31"), None, false).score, 100);
    }

    #[test]
    fn without_velocity_only_the_other_rules_speak_and_the_verdict_says_so() {
        let velocity_rule =
            Rule { name: "fast".into(), points: 80, test: Test::Velocity { window: Window::Minute, payments_max: 1 } };
        let rules = [velocity_rule, amount_rule("10", 40)];
        let verdict = assess(&rules, usd("11"), None, true);
        assert_eq!((verdict.score, verdict.status, verdict.degraded), (40, Status::Flagged, true));
        let fast = Velocity { minute: 2, hour: 2, day: 2 };
        assert_eq!(assess(&rules, usd("11"), Some(&fast), false).status, Status::Blocked);
    }
}
