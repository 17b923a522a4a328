//! What watches saw of each PaymentCluster, and in which state it was found at rest. It decides how closely to look. ★ Pure.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::print::{self, Print, Source};

/// A point in time, from the start of the program.
pub type Elapsed = Duration;

/// How long nothing has to move before the state at rest is worth writing down. What comes and goes faster than that is never
/// written.
pub const STILL: Duration = Duration::from_secs(20);

/// A PaymentCluster by namespace and name; with an empty name, the whole of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Place {
    /// What all PaymentClusters of its namespace share.
    fn around(&self) -> Self {
        Self { namespace: self.namespace.clone(), name: String::new() }
    }
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At all there is.
    Whole,
    /// At what is not watched.
    Referred,
    /// Not before so much time has passed.
    Later(Duration),
}

/// A PaymentCluster that was found at rest: in a state with these fingerprints there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Of what is watched.
    pub watched: Print,
    /// Of the rest.
    pub referred: Print,
}

/// An object as a watch saw it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its UID.
    pub uid: String,
    /// What it belongs to.
    pub place: Place,
    /// Its fingerprint.
    pub print: Print,
}

/// What is known. It serves to skip looks, never to decide what is done: it is lost with the process, and whoever has none looks.
#[derive(Debug, Default)]
pub struct Memory {
    /// The program: another one may find something to do where this one found nothing.
    program: Print,
    sources: HashMap<Source, Seen>,
    places: HashMap<Arc<Place>, State>,
    /// From the fingerprint of a whole state at rest to that of what it refers to, as an earlier process wrote it down.
    proofs: HashMap<Print, Print>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Seen {
    /// Whether all of its objects were listed once.
    is_complete: bool,
    objects: HashMap<u64, Mark>,
    /// Those that a list under way has brought so far.
    listed: HashMap<u64, Mark>,
}

#[derive(Clone, Debug)]
struct Mark {
    place: Arc<Place>,
    print: Print,
}

#[derive(Debug, Default)]
struct State {
    /// The sum of the fingerprints of its objects, and their number.
    watched: Print,
    objects: u32,
    changed_at: Elapsed,
    rest: Option<Rest>,
    /// When to look at what is not watched, and when at all there is.
    referred_at: Elapsed,
    whole_at: Elapsed,
    /// When something that it refers to changed last.
    stirred_at: Option<Elapsed>,
}

impl State {
    /// What is not watched was looked at from `began` on. A change since then may have come after it was read.
    fn looked(&mut self, began: Elapsed, next: Elapsed) {
        let is_stirred = self.stirred_at.is_some_and(|stirred| stirred >= began);
        self.referred_at = if is_stirred { Duration::ZERO } else { next };
    }
}

impl Memory {
    /// Nothing is known.
    #[must_use]
    pub fn new(program: Print) -> Self {
        Self { program, ..Self::default() }
    }

    /// A list of all objects begins.
    pub fn list_begins(&mut self, source: Source) {
        self.sources.entry(source).or_default().listed.clear();
    }

    /// A list has this object.
    pub fn listed(&mut self, source: Source, sighting: Sighting) {
        let (key, mark) = self.mark(sighting);
        self.sources.entry(source).or_default().listed.insert(key, mark);
    }

    /// A list is over: what it has not is gone. The places where something is other than before; none after the first list, for
    /// then everybody is looked at.
    pub fn list_ends(&mut self, source: Source, now: Elapsed) -> BTreeSet<Arc<Place>> {
        let seen = self.sources.entry(source).or_default();
        let is_first = !std::mem::replace(&mut seen.is_complete, true);
        let listed = std::mem::take(&mut seen.listed);
        let before = std::mem::replace(&mut seen.objects, listed);
        let is_same = |one: &Mark, other: Option<&Mark>| {
            other.is_some_and(|other| other.place == one.place && other.print == one.print)
        };
        let gone: Vec<_> = before.iter().filter(|(key, mark)| !is_same(mark, seen.objects.get(key))).collect();
        let come: Vec<_> = seen.objects.iter().filter(|(key, mark)| !is_same(mark, before.get(key))).collect();
        let mut changed = BTreeSet::new();
        for (_, mark) in &come {
            add(&mut self.places, mark, now);
            changed.insert(Arc::clone(&mark.place));
        }
        for (_, mark) in &gone {
            remove(&mut self.places, mark, now);
            changed.insert(Arc::clone(&mark.place));
        }
        if is_first { BTreeSet::new() } else { changed }
    }

    /// An object is new or was changed. The places that it concerns, unless it is known like that.
    pub fn changed(&mut self, source: Source, sighting: Sighting, now: Elapsed) -> BTreeSet<Arc<Place>> {
        let (key, mark) = self.mark(sighting);
        let before = self.sources.entry(source).or_default().objects.insert(key, mark.clone());
        if before.as_ref().is_some_and(|before| before.place == mark.place && before.print == mark.print) {
            return BTreeSet::new();
        }
        add(&mut self.places, &mark, now);
        let moved = before.inspect(|before| remove(&mut self.places, before, now)).map(|before| before.place);
        moved.into_iter().chain([mark.place]).collect()
    }

    /// An object is gone. The place that it concerns.
    pub fn gone(&mut self, source: Source, uid: &str, now: Elapsed) -> Option<Arc<Place>> {
        let key = self.hasher.hash_one(uid);
        let mark = self.sources.entry(source).or_default().objects.remove(&key)?;
        remove(&mut self.places, &mark, now);
        Some(mark.place)
    }

    /// Whether every source has told all it has.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        Source::ALL.iter().all(|source| self.sources.get(source).is_some_and(|seen| seen.is_complete))
    }

    /// How many objects a source has told.
    #[must_use]
    pub fn number_of(&self, source: Source) -> usize {
        self.sources.get(&source).map_or(0, |seen| seen.objects.len())
    }

    /// States at rest that an earlier process wrote down.
    pub fn believe(&mut self, proofs: HashMap<Print, Print>) {
        self.proofs = proofs;
    }

    /// How closely to look now. `first` is how soon, and `whole` how soon at all there is, after a proof that nothing has changed.
    pub fn depth(&mut self, place: &Place, now: Elapsed, first: Duration, whole: Duration) -> Depth {
        if !self.is_complete() {
            return Depth::Whole;
        }
        self.adopt(place, now, first, whole);
        let Some((state, rest)) = self.places.get(place).and_then(|state| Some((state, state.rest?))) else {
            return Depth::Whole;
        };
        if rest.watched != state.watched || now >= state.whole_at {
            return Depth::Whole;
        }
        match state.referred_at.checked_sub(now).filter(|wait| !wait.is_zero()) {
            Some(wait) => Depth::Later(wait.min(state.whole_at.saturating_sub(now))),
            None => Depth::Referred,
        }
    }

    /// Takes over what an earlier process found, where everything is still as it was then.
    fn adopt(&mut self, place: &Place, now: Elapsed, first: Duration, whole: Duration) {
        let Some(state) = self.places.get(place).filter(|state| state.rest.is_none()) else { return };
        let watched = state.watched;
        let Some(referred) = self.proofs.remove(&self.proof(place, watched)) else { return };
        if let Some(state) = self.places.get_mut(place) {
            state.rest = Some(Rest { watched, referred });
            (state.referred_at, state.whole_at) = (now + first, now + whole);
        }
    }

    /// It was looked at, from `began` on, and is at rest. Nothing is known of what no watch has seen.
    pub fn settled(
        &mut self,
        place: &Place,
        rest: Rest,
        began: Elapsed,
        now: Elapsed,
        next: Duration,
        whole: Duration,
    ) {
        if let Some(state) = self.places.get_mut(place) {
            if state.rest != Some(rest) {
                state.changed_at = now;
            }
            state.rest = Some(rest);
            state.whole_at = now + whole;
            state.looked(began, now + next);
        }
    }

    /// It was looked at and is not at rest, whatever an earlier process found.
    pub fn moves(&mut self, place: &Place) {
        let Some(watched) = self.places.get(place).map(|state| state.watched) else { return };
        self.proofs.remove(&self.proof(place, watched));
        if let Some(state) = self.places.get_mut(place) {
            state.rest = None;
        }
    }

    /// What is not watched was looked at, from `began` on, and is as it was. `false` when it is not.
    pub fn is_unchanged(
        &mut self,
        place: &Place,
        referred: Print,
        began: Elapsed,
        now: Elapsed,
        next: Duration,
    ) -> bool {
        let Some(state) = self.places.get_mut(place) else { return false };
        let is_same = state.rest.is_some_and(|rest| rest.referred == referred);
        if is_same {
            state.looked(began, now + next);
        }
        is_same
    }

    /// Something that it refers to has changed.
    pub fn stir(&mut self, place: &Place, now: Elapsed) {
        if let Some(state) = self.places.get_mut(place) {
            (state.referred_at, state.stirred_at) = (Duration::ZERO, Some(now));
        }
    }

    /// What is worth writing down: every state at rest in which nothing has moved for a while.
    #[must_use]
    pub fn proofs(&self, now: Elapsed) -> HashMap<Print, Print> {
        let is_still = |state: &State| now.saturating_sub(state.changed_at) >= STILL;
        if !self.is_complete() {
            return HashMap::new();
        }
        let at_rest = self.places.iter().filter_map(|(place, state)| {
            let rest = state.rest.filter(|rest| rest.watched == state.watched && !state.referred_at.is_zero())?;
            let around = self.places.get(&place.around()).is_none_or(is_still);
            (is_still(state) && around).then(|| (self.proof(place, rest.watched), rest.referred))
        });
        at_rest.collect()
    }

    /// Of a whole state, and of the program that found nothing to do in it.
    fn proof(&self, place: &Place, watched: Print) -> Print {
        let around = self.places.get(&place.around()).map_or(0, |state| state.watched);
        print::of(&format!("{} {watched} {around}", self.program))
    }

    fn mark(&mut self, sighting: Sighting) -> (u64, Mark) {
        let Sighting { uid, place, print } = sighting;
        let known = self.places.get_key_value(&place).map(|(place, _)| Arc::clone(place));
        let place = known.unwrap_or_else(|| {
            let place = Arc::new(place);
            self.places.insert(Arc::clone(&place), State::default());
            place
        });
        (self.hasher.hash_one(uid), Mark { place, print })
    }
}

fn add(places: &mut HashMap<Arc<Place>, State>, mark: &Mark, now: Elapsed) {
    let state = places.entry(Arc::clone(&mark.place)).or_default();
    state.watched = state.watched.wrapping_add(mark.print);
    state.objects += 1;
    state.changed_at = now;
}

fn remove(places: &mut HashMap<Arc<Place>, State>, mark: &Mark, now: Elapsed) {
    let Some(state) = places.get_mut(&mark.place) else { return };
    state.watched = state.watched.wrapping_sub(mark.print);
    state.objects -= 1;
    state.changed_at = now;
    if state.objects == 0 {
        places.remove(&mark.place);
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
