//! Looks again whenever something changes, by watches.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use crds::PaymentCluster;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::connection::{Connection, selector};
use super::decision::Effect;
use super::failure::{CLUSTERS, Failure};
use super::output::Output;
use super::subject::Look;
use super::view;

/// Changes that come together are shown together.
const PAUSE: Duration = Duration::from_millis(200);
/// So many pauses make a second, after which ages have changed.
const PAUSES_A_SECOND: u32 = 5;

/// What came by a watch.
enum Change {
    Cluster(Box<watcher::Event<PaymentCluster>>),
    Pod(watcher::Event<Pod>),
    Deployment(watcher::Event<Deployment>),
    /// A watch of the PaymentCluster failed, and is begun anew.
    Failed(watcher::Error),
    /// A watch of something beside it did.
    Unseen,
}

/// Shows it as it changes; until the release has ended, if wanted.
pub(super) async fn show(at: &Connection, output: Output, look: Look, until_done: bool) -> Result<ExitCode, Failure> {
    let mut told = String::new();
    if output.is_terminal {
        output.clear()?;
    }
    let on_change = |look: &Look| {
        if output.is_terminal {
            output.redraw(&view::tree(look, Timestamp::now()).render(output.screen()))?;
        } else {
            let summary = view::summary(look);
            if summary != told {
                output.line(&format!("{:.0} {summary}", Timestamp::now()))?;
                told = summary;
            }
        }
        Ok(match look.subject().ended().filter(|_| until_done) {
            Some(true) => ControlFlow::Break(ExitCode::SUCCESS),
            Some(false) => ControlFlow::Break(ExitCode::FAILURE),
            None => ControlFlow::Continue(()),
        })
    };
    each_change(at, look, on_change).await
}

/// Waits until a decision has taken effect.
pub(super) async fn until(at: &Connection, name: &str, effect: &Effect, limit: Duration) -> Result<(), Failure> {
    let mut seen = String::new();
    let look = at.look(at.cluster(name).await?).await;
    let waited = each_change(at, look, |look: &Look| {
        seen = view::summary(look);
        Ok(if effect.has_come(look.subject()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    match tokio::time::timeout(limit, waited).await {
        Ok(done) => done,
        Err(_) => {
            Err(Failure::Refused(format!("it is decided, but the operator has not done it within {limit:?}: {seen}")))
        }
    }
}

/// Calls back at once, after each change, and each second.
async fn each_change<T>(
    at: &Connection,
    look: Look,
    mut on_change: impl FnMut(&Look) -> Result<ControlFlow<T>, Failure>,
) -> Result<T, Failure> {
    let name = look.cluster.name_any();
    let mut changes = changes(at, &name);
    let mut world = World::new(look);
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut is_new, mut pauses) = (true, 0_u32);
    loop {
        tokio::select! {
            Some(change) = changes.next() => {
                if let Change::Failed(error) = change {
                    world.look.stale = Some(stale(at, &name, error)?);
                } else {
                    world.apply(change);
                }
                is_new = true;
            }
            _ = pause.tick() => {
                pauses += 1;
                if world.is_gone() {
                    return Err(Failure::Refused(format!("PaymentCluster \"{name}\" was deleted")));
                }
                if is_new || pauses.is_multiple_of(PAUSES_A_SECOND) {
                    is_new = false;
                    if let ControlFlow::Break(end) = on_change(&world.look)? {
                        return Ok(end);
                    }
                }
            }
        }
    }
}

/// A right that is missing does not come by waiting; an API server that is away does, and meanwhile it is said so.
fn stale(at: &Connection, name: &str, error: watcher::Error) -> Result<String, Failure> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            let is_final = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
            let failure = at.failed("watch", CLUSTERS, Some(name), error);
            if is_final { Err(failure) } else { Ok(failure.to_string()) }
        }
        other => Ok(other.to_string()),
    }
}

fn changes(at: &Connection, name: &str) -> impl Stream<Item = Change> + Unpin + use<> {
    let of_it = watcher::Config::default().labels(&selector(name));
    let itself = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let clusters =
        watch(at, itself).map(|event| event.map_or_else(Change::Failed, |event| Change::Cluster(Box::new(event))));
    let pods = watch(at, of_it.clone()).map(|event| event.map_or(Change::Unseen, Change::Pod));
    let deployments = watch(at, of_it).map(|event| event.map_or(Change::Unseen, Change::Deployment));
    futures::stream::select_all([clusters.boxed(), pods.boxed(), deployments.boxed()])
}

fn watch<K>(at: &Connection, config: watcher::Config) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + use<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    watcher(Api::<K>::namespaced(at.watches.clone(), &at.namespace), config).default_backoff()
}

/// What is known, kept as it changes.
struct World {
    look: Look,
    clusters: Known<PaymentCluster>,
    pods: Known<Pod>,
    deployments: Known<Deployment>,
}

impl World {
    fn new(look: Look) -> Self {
        Self {
            clusters: Known::new(vec![look.cluster.clone()]),
            pods: Known::new(look.pods.clone()),
            deployments: Known::new(look.deployments.clone()),
            look,
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Cluster(event) => {
                // Where the watch begins anew, the list is still to come.
                self.look.stale.take_if(|_| !matches!(*event, watcher::Event::Init));
                self.clusters.apply(*event);
            }
            Change::Pod(event) => self.pods.apply(event),
            Change::Deployment(event) => self.deployments.apply(event),
            Change::Failed(_) | Change::Unseen => return,
        }
        if let Some(cluster) = self.clusters.all.values().next() {
            self.look.cluster = cluster.clone();
        }
        self.look.pods = self.pods.all.values().cloned().collect();
        self.look.deployments = self.deployments.all.values().cloned().collect();
    }

    fn is_gone(&self) -> bool {
        self.clusters.all.is_empty()
    }
}

/// Objects of a kind, by name. A watch that begins anew replaces them when it has listed all.
struct Known<K> {
    all: BTreeMap<String, K>,
    listed: BTreeMap<String, K>,
}

impl<K: ResourceExt> Known<K> {
    fn new(objects: Vec<K>) -> Self {
        Self { all: objects.into_iter().map(|object| (object.name_any(), object)).collect(), listed: BTreeMap::new() }
    }

    fn apply(&mut self, event: watcher::Event<K>) {
        match event {
            watcher::Event::Apply(object) => drop(self.all.insert(object.name_any(), object)),
            watcher::Event::Delete(object) => drop(self.all.remove(&object.name_any())),
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => drop(self.listed.insert(object.name_any(), object)),
            watcher::Event::InitDone => self.all = std::mem::take(&mut self.listed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        serde_json::from_value(serde_json::json!({ "metadata": { "name": name } })).unwrap()
    }

    #[test]
    fn a_watch_that_begins_anew_forgets_what_went_meanwhile() {
        let mut known = Known::new(vec![pod("a"), pod("b")]);
        for event in [watcher::Event::Init, watcher::Event::InitApply(pod("b")), watcher::Event::InitApply(pod("c"))] {
            known.apply(event);
            assert_eq!(known.all.keys().collect::<Vec<_>>(), ["a", "b"], "half a list is no list");
        }
        known.apply(watcher::Event::InitDone);
        known.apply(watcher::Event::Delete(pod("b")));
        known.apply(watcher::Event::Apply(pod("d")));
        assert_eq!(known.all.keys().collect::<Vec<_>>(), ["c", "d"]);
    }
}
