use super::*;

const ORIGIN: Origin = Origin { system: 7, database: 16_384, timeline: 1 };
const LAG_MAX: Duration = Duration::from_secs(2);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The database was at 100 times the second, in each second of ten.
fn positions(begin: Instant) -> Positions {
    let mut positions = Positions::default();
    for second in 0..=10 {
        let flushed = i64::try_from(second * 100).unwrap();
        positions.add(begin + seconds(second), Position { origin: ORIGIN, flushed });
    }
    positions
}

fn seen(replayed: i64) -> Seen {
    Seen { is_in_recovery: true, origin: ORIGIN, replayed: Some(replayed) }
}

#[test]
fn a_replica_shows_everything_until_the_newest_position_that_it_has_replayed() {
    let begin = Instant::now();
    let judged = |replayed, now| positions(begin).judge(&seen(replayed), begin + seconds(now), LAG_MAX);
    assert_eq!(judged(1_000, 10), Ok(begin + seconds(10)));
    assert_eq!(judged(9_999, 10), Ok(begin + seconds(10)));
    assert_eq!(judged(899, 10), Ok(begin + seconds(8)));
    assert_eq!(judged(799, 10), Err(Unfit::Behind(Some(begin + seconds(7)))));
    assert_eq!(judged(-1, 10), Err(Unfit::Behind(None)));
    let nothing = Seen { replayed: None, ..seen(0) };
    assert_eq!(positions(begin).judge(&nothing, begin + seconds(10), LAG_MAX), Err(Unfit::Behind(None)));
}

#[test]
fn one_that_is_cut_off_is_late_although_it_has_replayed_all_that_it_received() {
    let begin = Instant::now();
    let mut positions = positions(begin);
    let cut_off = seen(1_000);
    let mut last_used = None;
    for quarter in 1..40 {
        let now = begin + seconds(10) + Duration::from_millis(quarter * 250);
        let flushed = 1_000 + i64::try_from(quarter).unwrap();
        positions.add(now, Position { origin: ORIGIN, flushed });
        if positions.judge(&cut_off, now, LAG_MAX).is_ok() {
            last_used = Some(now);
        }
    }
    assert_eq!(last_used, Some(begin + seconds(10) + LAG_MAX));
}

#[test]
fn one_that_has_nothing_to_hear_of_is_not_late() {
    let begin = Instant::now();
    let mut positions = positions(begin);
    for second in 11..500 {
        positions.add(begin + seconds(second), Position { origin: ORIGIN, flushed: 1_000 });
    }
    assert_eq!(positions.judge(&seen(1_000), begin + seconds(500), LAG_MAX), Ok(begin + seconds(499)));
    assert!(positions.marks.len() < 130, "what is too old is forgotten");
}

#[test]
fn nothing_is_read_while_the_database_does_not_say_where_it_is() {
    let begin = Instant::now();
    let judged = |now| positions(begin).judge(&seen(9_999), begin + seconds(now), LAG_MAX);
    assert_eq!(judged(12), Ok(begin + seconds(10)));
    assert_eq!(judged(13), Err(Unfit::NoPosition));
    assert_eq!(Positions::default().judge(&seen(9_999), begin, LAG_MAX), Err(Unfit::NoPosition));
}

#[test]
fn whatever_is_no_replica_of_this_very_database_is_told_apart() {
    let begin = Instant::now();
    let judged = |change: fn(&mut Seen)| {
        let mut server = seen(1_000);
        change(&mut server);
        positions(begin).judge(&server, begin + seconds(10), LAG_MAX)
    };
    assert_eq!(judged(|server| server.is_in_recovery = false), Err(Unfit::Promoted));
    assert_eq!(judged(|server| server.origin.system = 8), Err(Unfit::OtherSystem));
    assert_eq!(judged(|server| server.origin.database = 5), Err(Unfit::OtherDatabase));
    assert_eq!(judged(|server| server.origin.timeline = 2), Err(Unfit::OtherTimeline));
}

#[test]
fn after_a_failover_what_was_measured_before_counts_no_more() {
    let begin = Instant::now();
    let mut positions = positions(begin);
    // The new database lost what it had not received.
    let promoted = Origin { timeline: 2, ..ORIGIN };
    positions.add(begin + seconds(11), Position { origin: promoted, flushed: 950 });
    let now = begin + seconds(11);
    assert_eq!(positions.judge(&seen(1_000), now, LAG_MAX), Err(Unfit::OtherTimeline));
    let followed = Seen { origin: promoted, ..seen(900) };
    assert_eq!(positions.judge(&followed, now, LAG_MAX), Err(Unfit::Behind(None)));
    assert_eq!(positions.judge(&Seen { replayed: Some(950), ..followed }, now, LAG_MAX), Ok(now));
}

#[test]
fn every_reason_is_a_sentence_of_its_own() {
    let all = [
        Unfit::NotSeen,
        Unfit::Away,
        Unfit::Promoted,
        Unfit::OtherSystem,
        Unfit::OtherDatabase,
        Unfit::OtherTimeline,
        Unfit::NoPosition,
        Unfit::Behind(None),
    ];
    let sentences: std::collections::BTreeSet<_> = all.map(Unfit::sentence).into();
    assert_eq!(sentences.len(), all.len());
}
