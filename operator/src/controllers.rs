//! Wiring: which watches trigger which reconcile. There is no decision in here.
//!
//! The main kinds are watched by a shared store: a trigger that comes before the store is renewed, as after a relist,
//! would be dropped by the controller. What was made is watched for [`crate::rest`], which tells whom a change concerns. A reconcile
//! reads what it decides on by itself.

use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{PaymentCluster, PaymentProvider};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::PredicateConfig;
use kube::runtime::watcher::{self, Event, ExponentialBackoff, watcher};
use kube::runtime::{WatchStreamExt, predicates};
use kube::{Api, Client, Resource, ResourceExt};
use runtime_contract::labels;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::cluster::announce::Announcement;
use crate::config::Arguments;
use crate::context::Context;
use crate::error::Error;
use crate::owned::Kind;
use crate::rest::Rest;
use crate::rest::memory::Place;
use crate::rest::print::Source;
use crate::trace::Trace;
use crate::{cluster, provider};

/// Resources that are worked on at the same time.
const CONCURRENCY: u16 = 8;
/// Triggers that come together are one.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Objects that wait for the controller before the watch waits as well.
const SHARED_BUFFER: usize = 256;
/// Objects in one answer to a list: ten lists are under way at once when the operator starts.
const PAGE: u32 = 250;
/// After a signal, how long reconciles may take to end.
const DRAIN: Duration = Duration::from_secs(6);

/// A trigger needs no more than a trace.
type Seen<K> = Trace<K>;
type Trigger<K> = BoxStream<'static, Result<Seen<K>, watcher::Error>>;
/// PaymentClusters to look at.
type Places = BoxStream<'static, ObjectRef<Seen<PaymentCluster>>>;

/// A kind that lives in namespaces and can be watched.
trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// Where to watch.
#[derive(Clone)]
struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Changes of providers, of which the memory hears first.
    fn of_providers(&self, rest: Arc<Rest>) -> Trigger<PaymentProvider> {
        let changes = watcher(self.api::<Seen<PaymentProvider>>(), watcher::Config::default())
            .backoff(backoff())
            .inspect_ok(move |event| drop(rest.hear(Source::Provider, event)))
            .touched_objects()
            .predicate_filter(predicates::resource_version, PredicateConfig::default());
        told(changes)
    }

    /// Changes of what is wanted, and deletions; not of what a status says.
    fn wishes<K: Watched>(&self) -> Trigger<K> {
        let wishes = watcher(self.api::<Seen<K>>(), watcher::Config::default())
            .backoff(backoff())
            .map_ok(|event| match event {
                // What goes has the generation that it had before. Without one it is not held back.
                Event::Delete(mut gone) => {
                    gone.meta_mut().generation = None;
                    Event::Delete(gone)
                }
                other => other,
            })
            .touched_objects()
            .predicate_filter(predicates::generation, PredicateConfig::default());
        told(wishes)
    }

    /// The PaymentClusters for which something of a kind was changed, came or went, also while nobody could watch.
    fn of<K: Watched>(&self, source: Source, rest: Arc<Rest>) -> Places {
        let label = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PURSER);
        let config = watcher::Config::default().labels(&label).page_size(PAGE);
        let events = watcher(self.api::<Seen<K>>(), config).backoff(backoff());
        let places = events.filter_map(move |event| ready(event.map_err(failed::<K>).ok())).flat_map(move |event| {
            let places = rest.hear(source, &event);
            stream::iter(places.into_iter().map(|place| ObjectRef::new(&place.name).within(&place.namespace)))
        });
        places.boxed()
    }
}

/// What a watch tells, without its failures: it waits and starts again by itself. A controller that heard of one would hold back what
/// all of its other watches tell, a while for each, and there are ten of them.
fn told<K: Watched>(watch: impl stream::Stream<Item = Result<Seen<K>, watcher::Error>> + Send + 'static) -> Trigger<K> {
    watch.filter_map(|change| ready(change.map_err(failed::<K>).ok().map(Ok))).boxed()
}

fn failed<K: Watched>(error: watcher::Error) {
    tracing::warn!(%error, kind = %K::kind(&()), "a watch failed and starts again");
}

/// Short and bounded: the default adds up to a minute, in which nothing would be reconciled after an outage.
fn backoff() -> ExponentialBackoff {
    let builder = backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times();
    ExponentialBackoff::from(builder)
}

/// Reconciles until told to stop, and then until what is under way has ended, for a few seconds.
pub async fn run(context: Context, watches: Client, arguments: &Arguments, stop: CancellationToken) {
    let scope = Scope { client: watches, namespace: arguments.watch_namespace.clone() };
    let context = Arc::new(context);
    context.rest.watches_begin();
    let both = async {
        tokio::join!(clusters(&scope, context.clone(), stop.clone()), providers(&scope, context.clone(), stop.clone()),)
    };
    // A watch whose first list never comes would hold a graceful end back for ever.
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        _ = both => {}
        () = drained => tracing::warn!("reconciles did not end in time"),
    }
}

async fn clusters(scope: &Scope, context: Arc<Context>, stop: CancellationToken) {
    let rest = Arc::clone(&context.rest);
    let (store, triggers, drive) = shared::<PaymentCluster>(scope, move |event| {
        // The shared store tells whom it concerns.
        rest.hear(Source::Cluster, event);
        rest.hear(Source::Claim, event);
    });
    let instances = store.clone();
    let (claims, rest) = (Arc::clone(&context.claims), Arc::clone(&context.rest));
    let made = Source::Made;
    let moved: [Places; 8] = [
        scope.of::<Deployment>(made(Kind::Deployment), rest.clone()),
        scope.of::<Service>(made(Kind::Service), rest.clone()),
        scope.of::<ConfigMap>(made(Kind::ConfigMap), rest.clone()),
        scope.of::<ServiceAccount>(made(Kind::ServiceAccount), rest.clone()),
        scope.of::<PodDisruptionBudget>(made(Kind::PodDisruptionBudget), rest.clone()),
        scope.of::<HorizontalPodAutoscaler>(made(Kind::HorizontalPodAutoscaler), rest.clone()),
        scope.of::<Job>(made(Kind::Job), rest.clone()),
        scope.of::<Pod>(Source::Pod, rest.clone()),
    ];
    let controller = Controller::for_shared_stream(triggers, store)
        .with_config(config())
        .trigger_backoff(backoff())
        .reconcile_on(stream::select_all(moved))
        .watches_stream(scope.of_providers(Arc::clone(&rest)), move |provider| {
            let concerned = match (claims.selecting(&provider), provider.namespace()) {
                (Some(names), Some(namespace)) => {
                    names.iter().map(|name| ObjectRef::new(name).within(&namespace)).collect()
                }
                _ => neighbours(&instances, &provider),
            };
            stir(&rest, &concerned);
            concerned
        })
        .graceful_shutdown_on(stop.cancelled_owned());
    let reconcile = |namespace: String, name: String, context: Arc<Context>| async move {
        let outcome = cluster::reconcile(&context, &namespace, &name).await;
        context.rest.passed();
        outcome
    };
    drive_controller("PaymentCluster", controller, drive, context, reconcile).await;
}

async fn providers(scope: &Scope, context: Arc<Context>, stop: CancellationToken) {
    let (store, triggers, drive) = shared::<PaymentProvider>(scope, |_| {});
    let instances = store.clone();
    let claims = Arc::clone(&context.claims);
    let controller = Controller::for_shared_stream(triggers, store)
        .with_config(config())
        .trigger_backoff(backoff())
        .watches_stream(scope.wishes::<PaymentCluster>(), move |cluster| {
            claims.forget(&cluster.namespace().unwrap_or_default());
            neighbours(&instances, &cluster)
        })
        .graceful_shutdown_on(stop.cancelled_owned());
    let reconcile = |namespace: String, name: String, context: Arc<Context>| async move {
        provider::reconcile(&context, &namespace, &name).await
    };
    drive_controller("PaymentProvider", controller, drive, context, reconcile).await;
}

fn config() -> controller::Config {
    controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE)
}

/// A store of a kind, its triggers, and the stream that keeps both going, which has to be driven by itself.
type Shared<K> = (Store<Seen<K>>, BoxStream<'static, Arc<Seen<K>>>, BoxStream<'static, ()>);

/// Begins to watch a kind. `hear` is told of each event first.
fn shared<K: Watched>(scope: &Scope, hear: impl Fn(&Event<Seen<K>>) + Send + 'static) -> Shared<K> {
    let writer = reflector::store::Writer::<Seen<K>>::new_shared(SHARED_BUFFER, ());
    let store = writer.as_reader();
    let triggers = match writer.subscribe() {
        Some(triggers) => triggers.boxed(),
        None => stream::pending().boxed(),
    };
    let drive = watcher(scope.api::<Seen<K>>(), watcher::Config::default())
        .backoff(backoff())
        .inspect_ok(hear)
        .reflect_shared(writer)
        .map(|event| {
            let _ = event.map_err(failed::<K>);
        })
        .boxed();
    (store, triggers, drive)
}

/// What PaymentClusters refer to has changed.
fn stir(rest: &Rest, clusters: &[ObjectRef<Seen<PaymentCluster>>]) {
    let mut memory = rest.memory();
    let now = rest.now();
    for cluster in clusters {
        let place = Place { namespace: cluster.namespace.clone().unwrap_or_default(), name: cluster.name.clone() };
        memory.stir(&place, now);
    }
}

/// Every resource of a kind in the namespace of another.
fn neighbours<K, Other>(store: &Store<Seen<K>>, other: &Other) -> Vec<ObjectRef<Seen<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    Other: Resource,
{
    let namespace = other.namespace();
    store
        .state()
        .iter()
        .filter(|found| found.namespace() == namespace)
        .map(|found| ObjectRef::from_obj(found.as_ref()))
        .collect()
}

async fn drive_controller<K, Reconcile, Pass>(
    kind: &'static str,
    controller: Controller<Seen<K>>,
    drive: BoxStream<'static, ()>,
    context: Arc<Context>,
    reconcile: Reconcile,
) where
    K: Watched,
    Reconcile: Fn(String, String, Arc<Context>) -> Pass + Send + Sync + 'static,
    Pass: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let passes = controller.run(
        move |resource: Arc<Seen<K>>, context: Arc<Context>| {
            let namespace = resource.namespace().unwrap_or_default();
            let reconciled = reconcile(namespace, resource.name_any(), context.clone());
            measured(kind, resource, context, reconciled)
        },
        |_, error, _| Action::requeue(error.retry_after(rand::random())),
        context,
    );
    let passes = passes.for_each(async |outcome| match outcome {
        Ok(_) | Err(controller::Error::ObjectNotFound(_) | controller::Error::ReconcilerFailed(..)) => {}
        Err(error) => tracing::warn!(%error, kind, "a watch failed and starts again"),
    });
    tokio::select! {
        () = passes => {}
        () = drive.for_each(async |()| {}) => tracing::error!(kind, "the main watch ended"),
    }
}

/// One pass, counted; its error is logged here and nowhere else.
async fn measured<K>(
    kind: &'static str,
    resource: Arc<Seen<K>>,
    context: Arc<Context>,
    reconciled: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let began = Instant::now();
    let outcome = reconciled.await;
    let result = outcome.as_ref().map_or_else(Error::step, |_| "ok");
    context.metrics.reconciled(kind, result, began.elapsed());
    if outcome.is_ok() {
        context.metrics.looked_at(kind, &resource.uid().unwrap_or_default());
    }
    if let Err(error) = &outcome {
        let (namespace, name) = (resource.namespace(), resource.name_any());
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(kind, namespace, name, step = result, %error, cause, "a pass failed and is done again");
        if matches!(error, Error::Malformed(_)) {
            let told = Announcement {
                is_warning: true,
                about: "Reconcile".into(),
                reason: "Malformed".into(),
                note: error.to_string(),
            };
            context.publish(&told.event(), &resource.object_ref(&())).await;
        }
    }
    outcome
}
