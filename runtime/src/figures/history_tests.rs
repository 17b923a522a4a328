use super::*;
use crate::figures::fixtures::counts;

const START: i64 = 1_790_000_000;

fn news(release: &str, since: i64, n: u64) -> News {
    News { release: release.into(), counted: Some((since, counts(n, 0, &[(10_000, n)]))) }
}

fn begin(release: &str) -> News {
    News { release: release.into(), counted: None }
}

fn of(history: &History, window_s: u32) -> Vec<ReleaseFigures> {
    history.releases(window_s, &Scale::new().unwrap())
}

/// Names, payments, payments per second and number of slices.
fn short(figures: &[ReleaseFigures]) -> Vec<(&str, u64, f64, usize)> {
    figures.iter().map(|of| (of.release.as_str(), of.summary.payments, of.summary.tps, of.slices.len())).collect()
}

#[test]
fn two_releases_have_each_their_own() {
    let mut history = History::default();
    history.keep(START, vec![begin("a"), begin("b")]);
    for n in 1..=10 {
        let (second, since) = (START + n, START + n - 1);
        history.keep(second, vec![news("a", since, 6), news("b", since, 1), news("a", since, 4)]);
    }
    assert_eq!(short(&of(&history, 600)), [("a", 100, 10.0, 10), ("b", 10, 1.0, 10)]);
    assert_eq!(short(&of(&history, 3)), [("a", 30, 10.0, 3), ("b", 3, 1.0, 3)]);
    assert_eq!(history.until(), Some(START + 10));
    let slices = &of(&history, 3)[0].slices;
    assert_eq!(slices.iter().map(|slice| slice.second - START).collect::<Vec<_>>(), [8, 9, 10]);
}

#[test]
fn where_counting_begins_there_is_no_slice_yet() {
    let mut history = History::default();
    history.keep(START, vec![begin("a")]);
    assert_eq!((short(&of(&history, 60)), history.until()), (vec![("a", 0, 0.0, 0)], None));
    history.keep(START + 1, vec![news("a", START, 0)]);
    assert_eq!(short(&of(&history, 60)), [("a", 0, 0.0, 1)], "a second without payments is a second");
}

#[test]
fn an_empty_history_has_no_releases() {
    assert_eq!((of(&History::default(), 600), History::default().until()), (Vec::new(), None));
}

#[test]
fn the_time_of_a_gap_counts_with_what_came_after_it() {
    let mut history = History::default();
    history.keep(START, vec![begin("a")]);
    history.keep(START + 1, vec![news("a", START, 10)]);
    (2..5).for_each(|n| history.keep(START + n, Vec::new()));
    history.keep(START + 5, vec![news("a", START + 1, 40)]);
    assert_eq!(short(&of(&history, 60)), [("a", 50, 10.0, 2)]);
}

#[test]
fn a_pod_that_lags_does_not_make_the_others_seconds_count_twice() {
    let mut history = History::default();
    history.keep(START, vec![begin("a"), begin("a")]);
    (1..4).for_each(|n| history.keep(START + n, vec![news("a", START + n - 1, 5)]));
    history.keep(START + 4, vec![news("a", START + 3, 5), news("a", START, 20)]);
    assert_eq!(short(&of(&history, 60)), [("a", 40, 10.0, 4)]);
}

#[test]
fn when_all_are_silent_the_window_moves_on_and_the_newest_slice_does_not() {
    let mut history = History::default();
    history.keep(START, vec![news("a", START - 1, 5)]);
    (1..10).for_each(|n| history.keep(START + n, Vec::new()));
    assert_eq!((of(&history, 5), history.until()), (Vec::new(), Some(START)));
    assert_eq!(short(&of(&history, 60)), [("a", 5, 5.0, 1)]);
}

#[test]
fn what_is_older_than_the_longest_window_goes_and_so_do_its_releases() {
    let mut history = History::default();
    history.keep(START, vec![news("old", START - 1, 5)]);
    for n in 1..=700 {
        history.keep(START + n, vec![news("a", START + n - 1, 1)]);
    }
    assert_eq!(short(&of(&history, 600)), [("a", 600, 1.0, 600)]);
    assert_eq!((history.releases.len(), history.cells), (1, 600));
}

#[test]
fn no_second_comes_twice_whatever_the_clock_does() {
    let mut history = History::default();
    history.keep(START, Vec::new());
    assert_eq!([START - 3600, START, START + 1, START + 7].map(|now| history.second_of(now) - START), [1, 1, 1, 7]);
}

#[test]
fn releases_that_are_made_up_push_each_other_out() {
    let mut history = History::default();
    for n in 0..100 {
        history.keep(START + n, vec![news("a", START + n - 1, 1), news(&format!("x{n}"), START + n - 1, 1)]);
    }
    assert_eq!(history.releases.len(), RELEASES_MAX);
    assert_eq!(history.releases["a"].slices.len(), 100);
}

#[test]
fn whoever_fills_the_room_makes_room() {
    let mut history = History::default();
    let wide = Counts { payment_us: (1..=6_000).map(|us| (us, 1)).collect(), ..Counts::default() };
    for n in 0..300 {
        let loud = News { release: "loud".into(), counted: Some((START + n - 1, wide.clone())) };
        history.keep(START + n, vec![news("a", START + n - 1, 1), loud]);
    }
    assert_eq!(history.releases["a"].slices.len(), 300);
    let room: usize = history.releases.values().map(Track::cells).sum();
    assert!(room == history.cells && room <= CELLS_MAX, "{room} {}", history.cells);
    assert!(history.releases["loud"].slices.len() > 100);
}
