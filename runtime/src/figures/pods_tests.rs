use super::*;
use crate::figures::fixtures::{answer, counts, process};

const START: i64 = 1_790_000_000;

fn payments_of(n: u64) -> Counts {
    counts(n, 0, &[(10, n)])
}

/// What the only answer brought.
fn only(mut news: Vec<News>) -> Option<(i64, Counts)> {
    assert_eq!(news.len(), 1, "{news:?}");
    news.remove(0).counted
}

#[test]
fn what_was_counted_before_the_first_look_is_where_counting_begins() {
    let (mut pods, old) = (Pods::default(), process(START - 5_000, 1));
    assert_eq!(only(pods.hear(START, vec![answer("a", old, payments_of(900))])), None);
    assert_eq!(only(pods.hear(START + 1, vec![answer("a", old, payments_of(903))])), Some((START, payments_of(3))));
}

#[test]
fn who_started_before_the_first_look_and_was_silent_then_begins_later() {
    let (mut pods, old) = (Pods::default(), process(START - 5_000, 1));
    assert_eq!(pods.hear(START, Vec::new()), []);
    assert_eq!(only(pods.hear(START + 1, vec![answer("a", old, payments_of(900))])), None);
    assert_eq!(only(pods.hear(START + 2, vec![answer("a", old, payments_of(901))])), Some((START + 1, payments_of(1))));
}

#[test]
fn all_that_a_new_process_says_is_new() {
    let mut pods = Pods::default();
    pods.hear(START, vec![answer("a", process(START - 9, 1), payments_of(7))]);
    let news = pods.hear(START + 3, vec![answer("b", process(START + 1, 2), payments_of(5))]);
    assert_eq!(news, [News { release: "b".into(), counted: Some((START, payments_of(5))) }]);
}

#[test]
fn a_restarted_process_counts_beside_what_it_was() {
    let mut pods = Pods::default();
    let (before, after) = (process(START - 9, 1), process(START + 2, 2));
    pods.hear(START, vec![answer("a", before, payments_of(100))]);
    pods.hear(START + 1, vec![answer("a", before, payments_of(110))]);
    assert_eq!(only(pods.hear(START + 3, vec![answer("a", after, payments_of(4))])), Some((START + 1, payments_of(4))));
}

#[test]
fn a_gap_is_made_good_by_the_next_answer() {
    let (mut pods, pod) = (Pods::default(), process(START - 9, 1));
    pods.hear(START, vec![answer("a", pod, payments_of(10))]);
    (1..4).for_each(|n| assert_eq!(pods.hear(START + n, Vec::new()), []));
    assert_eq!(only(pods.hear(START + 4, vec![answer("a", pod, payments_of(50))])), Some((START, payments_of(40))));
}

#[test]
fn a_count_that_goes_back_is_where_counting_begins_anew() {
    let (mut pods, pod) = (Pods::default(), process(START - 9, 1));
    pods.hear(START, vec![answer("a", pod, payments_of(10))]);
    assert_eq!(only(pods.hear(START + 1, vec![answer("a", pod, payments_of(4))])), None);
    assert_eq!(only(pods.hear(START + 2, vec![answer("a", pod, payments_of(6))])), Some((START + 1, payments_of(2))));
}

#[test]
fn who_answers_at_two_addresses_counts_once_in_any_order() {
    let (mut pods, pod) = (Pods::default(), process(START - 9, 1));
    pods.hear(START, vec![answer("a", pod, payments_of(10))]);
    let twice = |first, second| vec![answer("a", pod, payments_of(first)), answer("a", pod, payments_of(second))];
    assert_eq!(only(pods.hear(START + 1, twice(13, 12))), Some((START, payments_of(3))));
    assert_eq!(only(pods.hear(START + 2, twice(14, 15))), Some((START + 1, payments_of(2))));
}

#[test]
fn who_was_silent_for_too_long_is_not_taken_for_a_new_one() {
    let mut pods = Pods::default();
    pods.hear(START, Vec::new());
    let pod = process(START + 1, 1);
    assert!(only(pods.hear(START + 2, vec![answer("a", pod, payments_of(10))])).is_some());
    pods.hear(START + 700, Vec::new());
    assert_eq!(only(pods.hear(START + 701, vec![answer("a", pod, payments_of(99))])), None);
    assert!(only(pods.hear(START + 702, vec![answer("a", pod, payments_of(99))])).is_some());
}

#[test]
fn an_id_that_is_none_is_left_out() {
    let stranger = PodFigures { process: "me".into(), ..PodFigures::default() };
    assert_eq!(Pods::default().hear(START, vec![stranger]), []);
}

#[test]
fn a_pod_that_is_another_one_each_second_fills_nothing() {
    let mut pods = Pods::default();
    let honest = process(START - 9, 1);
    let wide = || Counts { payment_us: (1..=5_000).map(|us| (us, 1)).collect(), ..Counts::default() };
    for n in 0..300 {
        let news = pods.hear(START + n, vec![answer("a", honest, payments_of(n.unsigned_abs()))]);
        assert_eq!(news[0].counted.is_some(), n > 0);
        pods.hear(START + n, vec![answer("x", Uuid::from_u128(n.unsigned_abs().into()), wide())]);
    }
    assert!(pods.known.values().map(Known::cells).sum::<usize>() <= CELLS_MAX);
    (0..PROCESSES_MAX as u128 + 50).for_each(|n| {
        pods.known.insert(Uuid::from_u128(n), Known { counts: None, heard: 0 });
    });
    pods.hear(START + 400, vec![answer("a", honest, payments_of(500))]);
    assert_eq!(pods.known.len(), PROCESSES_MAX);
    assert!(pods.known.contains_key(&honest));
}
