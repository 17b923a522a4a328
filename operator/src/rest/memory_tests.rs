use super::*;
use crate::owned::Kind;

const SERVICES: Source = Source::Made(Kind::Service);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn place(name: &str) -> Place {
    Place { namespace: "shop".into(), name: name.into() }
}

fn seen(uid: &str, of: &str, print: Print) -> Sighting {
    Sighting { uid: uid.into(), place: place(of), print }
}

fn at(seconds: u64) -> Elapsed {
    Duration::from_secs(seconds)
}

/// A PaymentCluster with a Service; every source has told all it has.
fn memory(program: Print) -> Memory {
    let mut memory = Memory::new(program);
    for source in Source::ALL {
        memory.list_begins(source);
        if source == Source::Cluster {
            memory.listed(source, seen("c", "a", 10));
        }
        if source == SERVICES {
            memory.listed(source, seen("s", "a", 5));
        }
        if source == Source::Provider {
            memory.listed(source, seen("p", "", 3));
        }
        assert!(memory.list_ends(source, at(0)).is_empty(), "all are looked at anyway");
    }
    memory
}

fn depth(memory: &mut Memory, seconds: u64) -> Depth {
    memory.depth(&place("a"), at(seconds), MINUTE, HOUR)
}

/// The same, found at rest after a second.
fn resting(program: Print) -> Memory {
    let mut memory = memory(program);
    assert_eq!(depth(&mut memory, 1), Depth::Whole);
    memory.settled(&place("a"), Rest { watched: 15, referred: 7 }, at(0), at(1), MINUTE, HOUR);
    memory
}

#[test]
fn what_is_at_rest_is_looked_at_when_something_moves_and_in_its_time() {
    let mut memory = resting(1);
    assert_eq!(depth(&mut memory, 2), Depth::Later(at(59)));
    assert_eq!(depth(&mut memory, 61), Depth::Referred);
    assert!(memory.is_unchanged(&place("a"), 7, at(60), at(61), MINUTE));
    assert_eq!(depth(&mut memory, 62), Depth::Later(at(59)));
    memory.stir(&place("a"), at(62));
    assert_eq!(depth(&mut memory, 62), Depth::Referred);
    assert!(!memory.is_unchanged(&place("a"), 8, at(62), at(62), MINUTE), "a Secret was rotated");
    assert_eq!(depth(&mut memory, 3_601), Depth::Whole, "a watch may be blind");
}

#[test]
fn what_changes_during_a_look_is_looked_at_right_after_it() {
    let rest = Rest { watched: 15, referred: 7 };
    let mut memory = memory(1);
    memory.stir(&place("a"), at(2));
    memory.settled(&place("a"), rest, at(1), at(3), MINUTE, HOUR);
    assert_eq!(depth(&mut memory, 3), Depth::Referred, "the look may have read it before");
    memory.stir(&place("a"), at(5));
    assert!(memory.is_unchanged(&place("a"), 7, at(4), at(6), MINUTE));
    assert_eq!(depth(&mut memory, 6), Depth::Referred);
    assert!(memory.is_unchanged(&place("a"), 7, at(7), at(8), MINUTE));
    assert_eq!(depth(&mut memory, 8), Depth::Later(MINUTE), "this one has seen it");
}

#[test]
fn a_change_a_deletion_and_a_newcomer_are_told_once_and_end_the_rest() {
    let of_a: BTreeSet<_> = [Arc::new(place("a"))].into();
    let mut memory = resting(1);
    assert_eq!(memory.changed(SERVICES, seen("s", "a", 6), at(2)), of_a);
    assert!(memory.changed(SERVICES, seen("s", "a", 6), at(2)).is_empty());
    assert_eq!(depth(&mut memory, 2), Depth::Whole);

    let mut memory = resting(1);
    assert_eq!(memory.gone(SERVICES, "s", at(2)).as_deref(), Some(&place("a")));
    assert_eq!(memory.gone(SERVICES, "s", at(2)), None);
    assert_eq!(depth(&mut memory, 2), Depth::Whole);

    let mut memory = resting(1);
    assert_eq!(memory.changed(SERVICES, seen("s2", "a", 1), at(2)), of_a);
    assert_eq!(depth(&mut memory, 2), Depth::Whole);
}

#[test]
fn the_watch_may_see_later_what_the_look_has_seen_already() {
    let mut memory = memory(1);
    // The look saw version 6 of the Service, of which the watch has told 5.
    memory.settled(&place("a"), Rest { watched: 16, referred: 7 }, at(0), at(1), MINUTE, HOUR);
    assert_eq!(depth(&mut memory, 1), Depth::Whole);
    memory.changed(SERVICES, seen("s", "a", 6), at(2));
    assert!(matches!(depth(&mut memory, 2), Depth::Later(_)));
}

#[test]
fn what_came_and_went_while_a_watch_was_blind_shows_in_the_next_list() {
    let mut memory = resting(1);
    memory.list_begins(SERVICES);
    memory.listed(SERVICES, seen("s", "a", 5));
    assert!(memory.list_ends(SERVICES, at(2)).is_empty());
    assert!(matches!(depth(&mut memory, 2), Depth::Later(_)));

    memory.list_begins(SERVICES);
    memory.listed(SERVICES, seen("t", "b", 5));
    let places: Vec<_> = memory.list_ends(SERVICES, at(3)).iter().map(|place| place.name.clone()).collect();
    assert_eq!(places, ["a", "b"]);
    assert_eq!(depth(&mut memory, 3), Depth::Whole);
}

#[test]
fn while_a_source_has_not_told_all_it_has_every_look_is_a_whole_one() {
    let mut memory = Memory::new(1);
    memory.changed(Source::Cluster, seen("c", "a", 10), at(0));
    memory.settled(&place("a"), Rest { watched: 10, referred: 7 }, at(0), at(1), MINUTE, HOUR);
    assert_eq!(depth(&mut memory, 1), Depth::Whole);
}

/// What the process before wrote down, once nothing had moved for a while.
fn proofs() -> HashMap<Print, Print> {
    let before = resting(1);
    assert!(before.proofs(at(20)).is_empty(), "it may still move");
    let proofs = before.proofs(at(21));
    assert_eq!(proofs.len(), 1);
    proofs
}

#[test]
fn the_next_process_need_not_look_where_everything_is_as_it_was() {
    let mut next = memory(1);
    next.believe(proofs());
    assert_eq!(depth(&mut next, 1), Depth::Later(MINUTE));
    assert!(
        next.is_unchanged(&place("a"), 7, at(60), at(61), MINUTE),
        "it knows what the first one saw of the Secrets"
    );
}

#[test]
fn the_next_process_looks_where_something_is_other_than_it_was() {
    let changes: [fn(&mut Memory); 4] = [
        |memory| drop(memory.changed(SERVICES, seen("s", "a", 6), at(0))),
        |memory| drop(memory.gone(SERVICES, "s", at(0))),
        |memory| drop(memory.changed(Source::Provider, seen("p", "", 4), at(0))),
        |memory| memory.moves(&place("a")),
    ];
    for change in changes {
        let mut next = memory(1);
        next.believe(proofs());
        change(&mut next);
        assert_eq!(depth(&mut next, 1), Depth::Whole);
    }
    let mut another_program = memory(2);
    another_program.believe(proofs());
    assert_eq!(depth(&mut another_program, 1), Depth::Whole);
}

#[test]
fn nothing_is_written_down_of_what_moves_or_waits_to_be_looked_at() {
    let mut moved = resting(1);
    moved.changed(SERVICES, seen("s", "a", 6), at(30));
    assert!(moved.proofs(at(100)).is_empty());
    let mut stirred = resting(1);
    stirred.stir(&place("a"), at(30));
    assert!(stirred.proofs(at(100)).is_empty());
    let mut of_the_neighbourhood = resting(1);
    of_the_neighbourhood.changed(Source::Provider, seen("q", "", 1), at(90));
    assert!(of_the_neighbourhood.proofs(at(100)).is_empty());
    assert_eq!(of_the_neighbourhood.proofs(at(110)).len(), 1);
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let mut memory = resting(1);
    memory.gone(SERVICES, "s", at(2));
    memory.gone(Source::Cluster, "c", at(2));
    assert!(!memory.places.contains_key(&place("a")));
}
