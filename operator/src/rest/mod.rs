//! PaymentClusters at rest: how nothing has to be read where nothing has moved.
//!
//! A pass over a PaymentCluster reads all that it rests on from the API server, some fifteen requests. A thousand of them at rest
//! would keep the operator and the API server busy with finding out that there is nothing to do. So a look that finds a PaymentCluster
//! at rest notes the state that it saw as two fingerprints ([`print`]): of what is watched, which is the PaymentCluster, what was made
//! for it and its pods, by their resourceVersions; and of what is not, which is its Secrets and what its pods say. From then on
//! ([`memory`]):
//!
//! - As long as the watches have seen the very same versions, a pass costs nothing.
//! - Every now and then, what is not watched is looked at: no Secret may be listed, and a pod falls silent without an event.
//! - Whatever differs, or a provider that moved, is a reason for a whole look. So is time: a watch may be blind.
//!
//! Nothing is ever decided on what is remembered here, but that a look can be spared: each step rests on a whole look at what the
//! API server says at that moment. A watch that is late delays a look and no more, as it does without any memory, for a version that
//! it has not told yet is no version that was noted, and one that it tells later is a change.
//!
//! An operator that starts anew would have to look at all of them. Instead it is told by the one before ([`proofs`]): a state at
//! rest that was left alone for a while is written down, as a fingerprint of everything in it, of what all PaymentClusters of
//! the namespace share, and of the program. That is no memory that could be out of date: it says that in this very state, this program
//! finds nothing to do, which stays true whoever reads it and when. What is not watched is looked at within the next
//! period, as at any other time.
//!
//! Fingerprints cost a few dozen bytes an object, the objects themselves would cost thousands. They are of metadata alone, and a
//! list of it is all that a start takes.

pub mod memory;
pub mod print;
pub mod proofs;

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use runtime_contract::labels;
use tokio::sync::watch;

use crate::trace::Trace;
use memory::{Depth, Elapsed, Memory, Place, Sighting};
use print::{Print, Source};

/// A start does not wait longer for the watches' first lists: without them, everything is looked at.
const FIRST_LISTS: Duration = Duration::from_secs(10);
/// Parts of the program that its fingerprint is made of, and their size. Whatever is changed in a program moves most of the rest.
const PARTS: u64 = 256;
const PART_BYTES: usize = 4096;

/// What is known of PaymentClusters at rest.
#[derive(Debug)]
pub struct Rest {
    memory: Mutex<Memory>,
    started: Instant,
    watched_since: OnceLock<Instant>,
    is_told: watch::Sender<bool>,
    passes: watch::Sender<usize>,
}

impl Rest {
    /// Nothing is known.
    #[must_use]
    pub fn new(program: Print) -> Self {
        Self {
            memory: Mutex::new(Memory::new(program)),
            started: Instant::now(),
            watched_since: OnceLock::new(),
            is_told: watch::Sender::new(false),
            passes: watch::Sender::new(0),
        }
    }

    /// What is known.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time as [`Memory`] takes it.
    #[must_use]
    pub fn now(&self) -> Elapsed {
        self.started.elapsed()
    }

    /// The watches begin: a replica may have waited long for its turn.
    pub fn watches_begin(&self) {
        self.watched_since.get_or_init(Instant::now);
    }

    fn left(&self) -> Duration {
        FIRST_LISTS.saturating_sub(self.watched_since.get().map_or(Duration::ZERO, Instant::elapsed))
    }

    /// Waits for the first list of every watch, for a while.
    pub async fn until_told(&self) {
        let left = self.left();
        let mut is_told = self.is_told.subscribe();
        // Out of time, it goes on without.
        let _ = tokio::time::timeout(left, is_told.wait_for(|is_told| *is_told)).await;
    }

    /// How many PaymentClusters and PaymentProviders there are.
    #[must_use]
    pub fn resources(&self) -> usize {
        let memory = self.memory();
        memory.number_of(Source::Cluster) + memory.number_of(Source::Provider)
    }

    /// There was a pass over a PaymentCluster.
    pub fn passed(&self) {
        self.passes.send_modify(|passes| *passes += 1);
    }

    /// Waits until there were as many passes as there are PaymentClusters, for a while: a start has them first, and what
    /// can wait comes later.
    pub async fn until_passed(&self) {
        self.until_told().await;
        let clusters = self.memory().number_of(Source::Cluster);
        let left = self.left();
        let mut passes = self.passes.subscribe();
        let _ = tokio::time::timeout(left, passes.wait_for(|passes| *passes >= clusters)).await;
    }

    /// Takes note of what a watch tells. The PaymentClusters that it concerns, unless it is no news.
    pub fn hear<K>(&self, source: Source, event: &Event<Trace<K>>) -> BTreeSet<Arc<Place>>
    where
        K: Resource<DynamicType = ()>,
    {
        let now = self.now();
        let mut memory = self.memory();
        match event {
            Event::Init => {
                memory.list_begins(source);
                BTreeSet::new()
            }
            Event::InitApply(object) => {
                if let Some(sighting) = sighting(source, object) {
                    memory.listed(source, sighting);
                }
                BTreeSet::new()
            }
            Event::InitDone => {
                let changed = memory.list_ends(source, now);
                if memory.is_complete() {
                    self.is_told.send_replace(true);
                }
                changed
            }
            Event::Apply(object) => match sighting(source, object) {
                Some(sighting) => memory.changed(source, sighting, now),
                None => memory.gone(source, &object.uid().unwrap_or_default(), now).into_iter().collect(),
            },
            Event::Delete(object) => memory.gone(source, &object.uid().unwrap_or_default(), now).into_iter().collect(),
        }
    }

    /// How closely to look at a PaymentCluster that is looked at once a `period` at rest, at all of it once in `whole`.
    #[must_use]
    pub fn depth(&self, place: &Place, period: Duration, whole: Duration) -> Depth {
        // Those that a start finds at rest must not all be looked at together later on.
        let (first, half) = (period.mul_f64(rand::random()), whole.mul_f64(0.5 + 0.5 * rand::random::<f64>()));
        self.memory().depth(place, self.now(), first, half)
    }
}

/// An object as the memory takes it; nothing when it concerns no PaymentCluster.
fn sighting<K: Resource<DynamicType = ()>>(source: Source, object: &Trace<K>) -> Option<Sighting> {
    let instance = || object.labels().get(labels::INSTANCE).cloned();
    let is_owned = |instance: &String| {
        let owners = object.owner_references();
        owners.iter().any(|owner| owner.kind == "PaymentCluster" && owner.name == *instance)
    };
    let name = match source {
        Source::Cluster => object.name_any(),
        Source::Claim | Source::Provider => String::new(),
        Source::Pod => instance()?,
        Source::Made(_) => instance().filter(is_owned)?,
    };
    let place = Place { namespace: object.namespace()?, name };
    Some(Sighting { print: print::of_object(source, object.meta()), uid: object.uid()?, place })
}

/// The fingerprint of this program; nothing when it cannot be read.
#[must_use]
pub fn program() -> Option<Print> {
    let file = std::fs::File::open(std::env::current_exe().ok()?).ok()?;
    let length = file.metadata().ok()?.len();
    let mut bytes = length.to_le_bytes().to_vec();
    let mut part = [0; PART_BYTES];
    for number in 0..PARTS {
        let read = file.read_at(&mut part, length / PARTS * number).ok()?;
        bytes.extend_from_slice(&part[..read]);
    }
    Some(print::of_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, Service};
    use serde_json::json;

    use super::*;
    use crate::owned::Kind;

    fn trace<K: Resource<DynamicType = ()>>(labels: serde_json::Value, owners: serde_json::Value) -> Trace<K> {
        let metadata = json!({
            "name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": labels,
            "ownerReferences": owners,
        });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn what_merely_bears_the_labels_is_no_object_of_a_payment_cluster() {
        let labels = json!({ "app.kubernetes.io/instance": "payments" });
        let owner = |name: &str| json!([{ "apiVersion": "purser.dev/v1alpha1", "kind": "PaymentCluster", "name": name, "uid": "o" }]);
        let made = Source::Made(Kind::Service);
        let of = |owners| sighting(made, &trace::<Service>(labels.clone(), owners)).map(|seen| seen.place.name);
        assert_eq!(of(owner("payments")).as_deref(), Some("payments"));
        assert_eq!((of(owner("another")), of(json!([]))), (None, None));
        let pod = sighting(Source::Pod, &trace::<Pod>(labels.clone(), json!([])));
        assert_eq!(pod.unwrap().place, Place { namespace: "shop".into(), name: "payments".into() });
        assert!(sighting(Source::Pod, &trace::<Pod>(json!({}), json!([]))).is_none());
    }

    #[tokio::test]
    async fn a_start_waits_until_every_watch_has_told_what_there_is() {
        let rest = Rest::new(1);
        for source in Source::ALL {
            let mut waits = Box::pin(rest.until_told());
            assert!(futures::poll!(&mut waits).is_pending(), "{source:?} is missing");
            rest.hear::<Pod>(source, &Event::Init);
            rest.hear::<Pod>(source, &Event::InitDone);
        }
        rest.until_told().await;
        rest.hear::<Pod>(Source::Pod, &Event::Init);
        rest.hear::<Pod>(Source::Pod, &Event::InitDone);
        assert!(*rest.is_told.borrow(), "another list is no step back");
    }

    #[test]
    fn a_program_has_a_fingerprint() {
        assert_eq!(program(), program());
        assert!(program().is_some());
    }
}
