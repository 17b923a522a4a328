use crds::payment_cluster::Sla;
use runtime_contract::{Counts, Times};

use super::*;

const NOW: i64 = 1_000;

fn limits(change: impl FnOnce(&mut Sla)) -> Limits {
    let mut sla = Sla { window: "30s".into(), ..Sla::default() };
    change(&mut sla);
    Limits::read(&sla).unwrap()
}

/// A second with so many payments, `failed` of them, each of so long, and a fraud check for each.
fn slice(second: i64, payments: u64, failed: u64, payment_ms: u64, fraud_ms: u64) -> Slice {
    let counts = Counts {
        succeeded: payments - failed,
        failed,
        payment_us: Times::from([(payment_ms * 1_000, payments)]),
        fraud_us: Times::from([(fraud_ms * 1_000, payments)]),
    };
    Slice { second, counts }
}

fn release(version: &str, of_second: impl Fn(i64) -> Slice) -> ReleaseFigures {
    let slices = (NOW - 29..=NOW).map(of_second).collect();
    ReleaseFigures { release: version.into(), slices, ..ReleaseFigures::default() }
}

fn figures(releases: Vec<ReleaseFigures>) -> Figures {
    Figures { until: NOW, pods: 8, silent_pods: 0, releases }
}

fn one(of_second: impl Fn(i64) -> Slice) -> Figures {
    figures(vec![release("0.2.0", of_second)])
}

fn verdict(limits: &Limits, figures: &Figures) -> Judgement {
    judge(limits, Some(figures), "0.2.0", None, true, NOW)
}

fn broken_figure(judgement: &Judgement) -> Option<&'static str> {
    match judgement {
        Judgement::Breached(breach) => Some(breach.figure),
        Judgement::Healthy | Judgement::Inconclusive(_) => None,
    }
}

#[test]
fn each_limit_is_judged_by_its_own_figure() {
    let healthy = one(|second| slice(second, 50, 0, 80, 5));
    let slow = one(|second| slice(second, 50, 0, 380, 5));
    let failing = one(|second| slice(second, 50, 4, 80, 5));
    let slow_fraud = one(|second| slice(second, 50, 0, 80, 70));
    type Change = fn(&mut Sla);
    let cases: [(&str, Change, &Figures); 6] = [
        ("averageLatency", |sla| sla.average_latency = Some("200ms".into()), &slow),
        ("p95Latency", |sla| sla.p95_latency = Some("200ms".into()), &slow),
        ("p99Latency", |sla| sla.p99_latency = Some("300ms".into()), &slow),
        ("successRate", |sla| sla.success_rate = Some("97".into()), &failing),
        ("fraudLatency", |_| {}, &slow_fraud),
        ("tpsMin", |sla| sla.tps_min = Some(80), &healthy),
    ];
    for (figure, change, figures) in cases {
        let judgement = verdict(&limits(change), figures);
        assert_eq!(broken_figure(&judgement), Some(figure), "{judgement:?}");
        if figure != "tpsMin" {
            assert_eq!(verdict(&limits(change), &healthy), Judgement::Healthy, "{figure}");
        }
    }
}

#[test]
fn a_breach_says_what_was_seen_and_what_is_allowed() {
    let limits = limits(|sla| sla.success_rate = Some("97".into()));
    let Judgement::Breached(breach) = verdict(&limits, &one(|second| slice(second, 50, 10, 80, 5))) else {
        panic!("not breached");
    };
    let words = "20.0 % of 250 payments in 5 s did not succeed (allowed by spec.sla: 3.0 %)";
    assert_eq!((breach.message.as_str(), breach.severity), (words, Severity::Gradual));
}

#[test]
fn when_half_of_the_payments_fail_it_is_an_emergency() {
    let limits = limits(|sla| sla.success_rate = Some("97".into()));
    let Judgement::Breached(breach) = verdict(&limits, &one(|second| slice(second, 50, 40, 80, 5))) else {
        panic!("not breached");
    };
    assert_eq!(breach.severity, Severity::Emergency);
}

#[test]
fn what_nobody_can_tell_is_neither_healthy_nor_breached() {
    let limits = limits(|sla| sla.min_samples = 100);
    let few = one(|second| slice(second, 1, 1, 9_000, 900));
    let old = Figures { until: NOW - 60, ..one(|second| slice(second, 50, 0, 80, 5)) };
    let deaf = Figures { pods: 2, silent_pods: 6, ..one(|second| slice(second, 50, 0, 80, 5)) };
    let cases = [
        (Some(&few), "30 payments within the last 30 s; a verdict needs 100"),
        (Some(&old), "60 s old"),
        (Some(&deaf), "6 pods tell"),
        (None, "no metrics pod answers"),
    ];
    for (figures, words) in cases {
        let judgement = judge(&limits, figures, "0.2.0", None, true, NOW);
        assert!(matches!(&judgement, Judgement::Inconclusive(why) if why.contains(words)), "{judgement:?}");
    }
}

#[test]
fn nobody_who_pays_is_no_reason_to_wait_unless_the_spec_says_so() {
    assert_eq!(verdict(&limits(|_| {}), &figures(Vec::new())), Judgement::Healthy);
    let judgement = verdict(&limits(|sla| sla.min_samples = 1), &figures(Vec::new()));
    assert!(matches!(judgement, Judgement::Inconclusive(_)), "{judgement:?}");
}

#[test]
fn a_canary_is_compared_with_the_release_before_it() {
    let limits = limits(|_| {});
    let beside = |of_second: fn(i64) -> Slice| {
        figures(vec![release("0.1.0", |second| slice(second, 50, 1, 20, 5)), release("0.2.0", of_second)])
    };
    let compared = |figures: &Figures| judge(&limits, Some(figures), "0.2.0", Some("0.1.0"), false, NOW);
    assert_eq!(compared(&beside(|second| slice(second, 10, 0, 22, 5))), Judgement::Healthy);
    for worse in [beside(|second| slice(second, 10, 0, 320, 5)), beside(|second| slice(second, 30, 4, 20, 5))] {
        assert_eq!(broken_figure(&compared(&worse)), Some("comparison"));
    }
}

#[test]
fn a_canary_that_is_slower_throughout_is_found_out_by_few_payments() {
    let limits = limits(|_| {});
    let quiet = |of_second: fn(i64) -> Slice| {
        let both = vec![release("0.1.0", |second| slice(second, 2, 0, 40, 5)), release("0.2.0", of_second)];
        judge(&limits, Some(&figures(both)), "0.2.0", Some("0.1.0"), false, NOW)
    };
    assert_eq!(broken_figure(&quiet(|second| slice(second, 1, 0, 140, 5))), Some("comparison"));
    assert_eq!(quiet(|second| slice(second, 1, 0, 70, 5)), Judgement::Healthy);
    // One of four may be as slow as it likes.
    let some = quiet(|second| slice(second, 1, 0, if second % 4 == 0 { 900 } else { 40 }, 5));
    assert_eq!(some, Judgement::Healthy);
}

#[test]
fn throughput_is_judged_by_whole_windows_with_all_of_the_traffic() {
    let limits = limits(|sla| sla.tps_min = Some(80));
    let short = figures(vec![ReleaseFigures {
        release: "0.2.0".into(),
        slices: (NOW - 9..=NOW).map(|second| slice(second, 10, 0, 80, 5)).collect(),
        ..ReleaseFigures::default()
    }]);
    assert_eq!(verdict(&limits, &short), Judgement::Healthy);
    let low = one(|second| slice(second, 10, 0, 80, 5));
    assert_eq!(judge(&limits, Some(&low), "0.2.0", None, false, NOW), Judgement::Healthy);
}

#[test]
fn a_hiccup_of_what_both_releases_stand_on_convicts_neither_and_one_of_the_canary_alone_does() {
    let limits = limits(|sla| sla.p95_latency = Some("200ms".into()));
    let hiccup = |second: i64| slice(second, 50, 0, if second > NOW - 4 { 900 } else { 20 }, 5);
    let well = |second: i64| slice(second, 50, 0, 20, 5);
    let compared = |before: ReleaseFigures, canary: &dyn Fn(i64) -> Slice| {
        let both = figures(vec![before, release("0.2.0", canary)]);
        judge(&limits, Some(&both), "0.2.0", Some("0.1.0"), false, NOW)
    };
    let two_hiccups =
        |second: i64| slice(second, 50, 0, if second > NOW - 7 && second != NOW - 3 { 900 } else { 20 }, 5);
    // It lost its count in the very hiccup.
    let silent = |second: i64| slice(second, if second > NOW - 4 { 0 } else { 50 }, 0, 20, 5);
    for undecided in [
        compared(release("0.1.0", hiccup), &hiccup),
        compared(release("0.1.0", two_hiccups), &two_hiccups),
        compared(release("0.1.0", silent), &hiccup),
    ] {
        let Judgement::Inconclusive(why) = undecided else { panic!("{undecided:?}") };
        assert!(why.contains("not certain yet that the trouble is its own: p95Latency: "), "{why}");
    }
    assert_eq!(broken_figure(&compared(release("0.1.0", well), &hiccup)), Some("p95Latency"));
    assert_eq!(compared(release("0.1.0", hiccup), &well), Judgement::Healthy, "only the other one has trouble");
    // A second of trouble is no excuse for those around it.
    let shorter = |second: i64| slice(second, 50, 0, if second == NOW - 2 { 900 } else { 20 }, 5);
    let slow = |second: i64| slice(second, 2, 0, if second > NOW - 4 { 320 } else { 20 }, 5);
    assert_eq!(broken_figure(&compared(release("0.1.0", shorter), &slow)), Some("p95Latency"));
    let another = |second: i64| slice(second, 50, 0, 20, if second > NOW - 4 { 70 } else { 5 });
    assert_eq!(broken_figure(&compared(release("0.1.0", another), &hiccup)), Some("p95Latency"), "another trouble");
}

#[test]
fn a_canary_goes_on_only_when_it_was_looked_at_for_as_long_as_a_conviction_takes() {
    let compared = |has_payments: &dyn Fn(i64) -> bool| {
        let of_canary = |second| slice(second, if has_payments(second) { 30 } else { 0 }, 0, 20, 5);
        let before = release("0.1.0", |second| slice(second, 50, 0, 20, 5));
        let both = figures(vec![before, release("0.2.0", of_canary)]);
        judge(&limits(|_| {}), Some(&both), "0.2.0", Some("0.1.0"), false, NOW)
    };
    let early = compared(&|second| second > NOW - 4);
    assert!(matches!(&early, Judgement::Inconclusive(why) if why.contains("payments in 4 seconds;")), "{early:?}");
    assert_eq!(compared(&|second| second > NOW - 5), Judgement::Healthy);
    // Who has hardly any payments is not made to wait for them.
    assert!(matches!(compared(&|second| second == NOW - 8), Judgement::Inconclusive(_)));
    assert_eq!(compared(&|second| second == NOW - 9), Judgement::Healthy);
    assert_eq!(compared(&|_| false), Judgement::Healthy);
}
