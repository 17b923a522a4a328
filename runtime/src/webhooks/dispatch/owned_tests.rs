use uuid::Uuid;

use super::*;
use crate::ids::EventId;

const LIMIT: Duration = Duration::from_secs(10);

fn owned(failures: i32, failed_before_s: Option<f64>, now: Instant) -> Owned {
    let row = LeasedRow::for_tests(failures, failed_before_s);
    let target = Target::of(&row).unwrap();
    Owned::new(&row, target, now + LIMIT * 3, now)
}

fn due(id: i64, blocked: bool) -> Due {
    Due {
        id,
        endpoint_id: Uuid::nil(),
        event_id: EventId::at(Utc::now()),
        attempts: 0,
        created_at: Utc::now(),
        run_at: Utc::now(),
        payload: Some("{}".into()),
        blocked,
        head_run_at: None,
    }
}

fn fill(owned: &mut Owned, now: Instant) -> usize {
    let asked = owned.appetite(now);
    let first = i64::try_from(owned.held.len()).unwrap() + 1_000 * i64::try_from(owned.posting).unwrap();
    owned.stock((0..asked as i64).map(|n| due(first + n, false)).collect(), asked);
    std::iter::from_fn(|| owned.take(now, LIMIT)).count()
}

#[test]
fn the_window_grows_with_success_and_shrinks_with_failure() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    assert_eq!(fill(&mut owned, now), WINDOW_FIRST);
    (0..4).for_each(|_| assert!(!owned.succeeded(Utc::now())));
    assert_eq!(fill(&mut owned, now), 8);
    owned.failed("500", now, Utc::now(), 0.0);
    assert_eq!(owned.window, 4);
    (0..1000).for_each(|_| assert!(!owned.succeeded(Utc::now())));
    assert_eq!(owned.window, WINDOW_MAX);
}

#[test]
fn an_endpoint_that_fails_again_and_again_rests_and_is_then_tried_once() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    fill(&mut owned, now);
    (0..8).for_each(|_| owned.failed("refused", now, Utc::now(), 0.0));
    assert_eq!((owned.appetite(now), owned.stocked()), (0, 0), "it rests, and nothing is held for it");
    let later = now + Duration::from_secs(2);
    assert_eq!((owned.appetite(later), fill(&mut owned, later)), (1, 1), "one try");
    assert!(owned.take(later, LIMIT).is_none());
    assert!(owned.succeeded(Utc::now()), "it is back");
    assert!(owned.unread && owned.appetite(later) > 1);
}

#[test]
fn a_rest_goes_on_under_the_next_owner() {
    let now = Instant::now();
    assert_eq!(owned(20, Some(10.0), now).appetite(now), 0);
    assert_eq!(owned(20, Some(10.0), now).appetite(now + Duration::from_secs(51)), 1);
    assert_eq!(owned(20, Some(3_000.0), now).appetite(now), 1);
    assert_eq!(owned(20, None, now).appetite(now), 1);
}

#[test]
fn nothing_is_posted_that_could_outlast_the_lease() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    owned.stock(vec![due(1, false)], 16);
    assert!(owned.take(now + LIMIT * 2, LIMIT).is_none());
    assert!(owned.take(now + LIMIT, LIMIT).is_some());
}

#[test]
fn what_waits_for_an_earlier_event_is_read_again_only_after_something_was_written() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    owned.stock(vec![due(1, false), due(2, true)], 16);
    assert!(!owned.unread);
    assert_eq!(owned.take(now, LIMIT).unwrap().id, 1);
    assert!(owned.take(now, LIMIT).is_none());
    owned.succeeded(Utc::now());
    owned.written(1);
    assert!(owned.unread);
    // Only blocked ones, as many as were asked for: reading again at once would go round in circles.
    owned.stock(vec![due(2, true), due(3, true)], 2);
    assert!(!owned.unread);
}

#[test]
fn what_is_at_hand_is_not_taken_twice() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    owned.stock(vec![due(1, false)], 1);
    owned.stock(vec![due(1, false)], 1);
    assert_eq!(owned.stocked(), 1);
    assert_eq!(owned.held().collect::<Vec<_>>(), [1]);
}

#[test]
fn an_endpoint_is_idle_when_nothing_is_held_and_it_does_not_fail() {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    let mut quiet = owned(0, None, now);
    assert!(!quiet.is_idle(now, minute) && quiet.is_idle(now + minute, minute));
    quiet.stock(vec![due(1, false)], 1);
    assert!(!quiet.is_idle(now + minute, minute));
    assert!(!owned(9, None, now).is_idle(now + minute, minute));
}

#[test]
fn a_delivery_without_its_event_gives_its_place_free_and_is_no_failure_of_the_endpoint() {
    let now = Instant::now();
    let mut owned = owned(0, None, now);
    owned.stock((0..9).map(|n| due(n, false)).collect(), 9);
    for _ in 0..9 {
        assert!(owned.take(now, LIMIT).is_some());
        owned.not_posted();
    }
    assert_eq!((owned.figures().failures, owned.posting, owned.window), (0, 0, WINDOW_FIRST));
}
