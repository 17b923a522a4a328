use runtime_contract::ProviderName;

use super::*;
use crate::providers::About;

const LIMIT: Duration = Duration::from_secs(2);

fn provider() -> ProviderSettings {
    ProviderSettings {
        resource: "stripe".into(),
        name: ProviderName::Stripe,
        api_endpoint: "https://provider.test".into(),
        priority: 1,
        active: true,
        max_latency_ms: 2_000,
        success_rate_threshold: "95.0".into(),
    }
}

fn approved() -> Outcome {
    Outcome::Approved { reference: "pi".into(), authorized_until: None }
}

fn unknown() -> Outcome {
    Outcome::Unknown { reason: "r".into(), reference: None }
}

fn recorded(health: &mut Health, outcome: &Outcome, times: usize, now: Instant) {
    for _ in 0..times {
        health.record("stripe", outcome, Duration::from_millis(100), now);
    }
}

#[test]
fn a_provider_that_nobody_asked_is_healthy_and_declines_count_as_answers() {
    let (mut health, now) = (Health::default(), Instant::now());
    assert_eq!(health.standing(&provider(), now), Standing::Healthy(Figures::default()));
    let declined = Outcome::Declined { code: "c".into(), message: "m".into(), about: About::Charge };
    recorded(&mut health, &declined, 50, now);
    let figures = Figures { calls: 50, answered: 50, latency: Some(Duration::from_millis(100)) };
    assert_eq!(health.standing(&provider(), now), Standing::Healthy(figures));
    assert_eq!(figures.to_string(), "50 of 50 calls answered in 100 ms on average");
}

#[test]
fn below_its_success_rate_it_is_unhealthy_until_the_failures_are_old() {
    let (mut health, now) = (Health::default(), Instant::now());
    for _ in 0..10 {
        recorded(&mut health, &approved(), 9, now);
        recorded(&mut health, &unknown(), 1, now);
    }
    assert!(
        matches!(health.standing(&provider(), now), Standing::Unhealthy(Trouble::SuccessRate(f)) if f.answered == 90)
    );
    assert!(health.standing(&provider(), now + WINDOW).is_available());
}

#[test]
fn slower_than_it_may_be_it_is_unhealthy() {
    let (mut health, now) = (Health::default(), Instant::now());
    for _ in 0..SAMPLES_MIN {
        health.record("stripe", &approved(), Duration::from_millis(2_001), now);
    }
    assert!(matches!(health.standing(&provider(), now), Standing::Unhealthy(Trouble::Latency(_))));
}

#[test]
fn failures_in_a_row_open_the_circuit_and_probes_one_at_a_time_close_it() {
    let (mut health, now) = (Health::default(), Instant::now());
    recorded(&mut health, &unknown(), 4, now);
    assert!(health.standing(&provider(), now).is_available());
    recorded(&mut health, &unknown(), 1, now);
    assert_eq!(health.standing(&provider(), now), Standing::Unhealthy(Trouble::CircuitOpen));

    let later = now + PAUSE;
    for _ in 0..PROBES {
        assert_eq!(health.standing(&provider(), later), Standing::Probing);
        health.begin("stripe", LIMIT, later);
        assert_eq!(health.standing(&provider(), later), Standing::Unhealthy(Trouble::CircuitOpen), "one at a time");
        recorded(&mut health, &approved(), 1, later);
    }
    assert_eq!(health.standing(&provider(), later), Standing::Healthy(Figures::default()));
}

#[test]
fn a_probe_that_fails_doubles_the_wait_and_one_that_never_ends_is_followed_by_another() {
    let (mut health, now) = (Health::default(), Instant::now());
    recorded(&mut health, &unknown(), 5, now);
    let later = now + PAUSE;
    health.begin("stripe", LIMIT, later);
    recorded(&mut health, &unknown(), 1, later);
    assert_eq!(health.standing(&provider(), later + PAUSE), Standing::Unhealthy(Trouble::CircuitOpen));
    let again = later + 2 * PAUSE;
    assert_eq!(health.standing(&provider(), again), Standing::Probing);
    health.begin("stripe", LIMIT, again);
    assert_eq!(health.standing(&provider(), again + LIMIT), Standing::Probing);
}
