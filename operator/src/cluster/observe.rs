//! Reads the world: the PaymentCluster, what it refers to, what was made for it, and what its pods say.
//!
//! Everything is read from the API server, not from a cache: a watch tells when to look, never what is there. Only who else may
//! select a provider is kept, until a watch tells that it changed ([`crate::provider::claims`]).

use crds::payment_cluster::{Gateway, GatewayTls, LabelSelector};
use crds::{PaymentCluster, PaymentProvider, SecretKey};
use futures::future::{join, try_join, try_join_all, try_join3, try_join4};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};

use super::observe_serving;
use super::observed::Observed;
use super::providers::SeenProvider;
use super::upstream;
use crate::analytics;
use crate::backup;
use crate::context::Context;
use crate::error::Error;
use crate::figures;
use crate::health;
use crate::names::Identity;
use crate::notifications::SeenNotifications;
use crate::owned::{Kind, Live};
use crate::provider::claimant::Claimant;
use crate::provider::selection;
use crate::replica;
use crate::secrets::{self, SecretState};

/// Kinds of objects that are listed at once.
const LISTS: usize = 2;

/// How much of the world is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All that a plan rests on.
    Whole,
    /// All but what was made: nothing may be planned on it ([`crate::rest`]).
    Referred,
}

/// Looks at one PaymentCluster; `None` when it is gone or going.
///
/// # Errors
/// When the API server does not answer, or the resource cannot be read.
pub async fn observe(
    context: &Context,
    namespace: &str,
    name: &str,
    extent: Extent,
) -> Result<Option<Observed>, Error> {
    let reader = context.readers.acquire().await;
    let Some(cluster) = read(context, namespace, name).await? else { return Ok(None) };
    let identity =
        Identity { namespace: namespace.to_owned(), name: name.to_owned(), uid: cluster.uid().unwrap_or_default() };
    let referred = async {
        let secrets = look_at_secrets(context, &cluster, namespace).await?;
        let providers = look_at_providers(context, &cluster, namespace).await?;
        Ok::<_, kube::Error>((secrets, providers, look_at_notifications(context, &cluster, namespace).await?))
    };
    let made = async {
        let live = match extent {
            Extent::Whole => look_at_objects(context, &identity).await?,
            Extent::Referred => Vec::new(),
        };
        Ok::<_, kube::Error>((live, look_at_pods(context, &identity).await?))
    };
    let ((secrets, providers, notifications), (live, pods)) = try_join(referred, made).await.map_err(Error::Observe)?;
    let (database_secret, cache_secret, [gateway_secrets, backup_secrets, analytics_secrets, replica_secrets]) =
        secrets;
    let serving_secrets =
        observe_serving::look(context, &cluster, &identity, extent, &live).await.map_err(Error::Observe)?;
    // Pods may take their time; others read meanwhile.
    drop(reader);
    let window_s = cluster.spec.sla.window.as_millis().unwrap_or_default() / 1_000;
    let (health, figures) =
        join(health::ask(&context.pods_http, &pods), figures::ask(&context.pods_http, &pods, window_s)).await;
    let upstream = upstream::look(context, &cluster).await.map_err(Error::Observe)?;
    let at = Timestamp::now();
    Ok(Some(Observed {
        upstream,
        cluster,
        identity,
        database_secret,
        cache_secret,
        gateway_secrets,
        backup_secrets,
        analytics_secrets,
        replica_secrets,
        serving_secrets,
        providers,
        live,
        pods,
        health,
        figures,
        notifications,
        token: context.tenure.token(),
        at,
    }))
}

async fn read(context: &Context, namespace: &str, name: &str) -> Result<Option<PaymentCluster>, Error> {
    let api: Api<DeserializeGuard<PaymentCluster>> = Api::namespaced(context.client.clone(), namespace);
    match api.get_opt(name).await.map_err(Error::Observe)? {
        None => Ok(None),
        Some(DeserializeGuard(Err(invalid))) => Err(Error::Malformed(Box::new(invalid))),
        Some(DeserializeGuard(Ok(cluster))) => {
            Ok(Some(cluster).filter(|cluster| cluster.metadata.deletion_timestamp.is_none()))
        }
    }
}

/// The field that names each, the key, and what is known of it.
type SeenSecrets = Vec<(&'static str, SecretKey, SecretState)>;

async fn look_at_secrets(
    context: &Context,
    cluster: &PaymentCluster,
    namespace: &str,
) -> Result<(SecretState, SecretState, [SeenSecrets; 4]), kube::Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let look = |named: Vec<(&'static str, SecretKey)>| {
        let looks = named.into_iter().map(|(field, key)| {
            let api = &api;
            async move { secrets::look(api, &key).await.map(|state| (field, key, state)) }
        });
        try_join_all(looks)
    };
    let of_analytics = cluster.spec.analytics.as_ref().map(analytics::secrets).unwrap_or_default();
    let of_backup = cluster.spec.backup.as_ref().map(backup::secrets).unwrap_or_default();
    let (database, cache, others) = try_join3(
        secrets::look(&api, &cluster.spec.database.url_secret_ref),
        secrets::look(&api, &cluster.spec.cache.url_secret_ref),
        try_join4(
            look(gateway_secrets(&cluster.spec.gateway)),
            look(of_backup),
            look(of_analytics),
            look(replica::secrets(&cluster.spec.database)),
        ),
    )
    .await?;
    Ok((database, cache, others.into()))
}

/// What a gateway pod cannot start without, with the field that asks for it.
fn gateway_secrets(gateway: &Gateway) -> Vec<(&'static str, SecretKey)> {
    let certificate = gateway.tls.iter().flat_map(|tls| {
        [GatewayTls::CERTIFICATE, GatewayTls::KEY].map(|key| {
            ("spec.gateway.tls.secretName", SecretKey { name: tls.secret_name.clone(), key: key.to_owned() })
        })
    });
    let token = gateway.admin_token_secret_ref.iter().map(|key| ("spec.gateway.adminTokenSecretRef", key.clone()));
    certificate.chain(token).collect()
}

async fn look_at_notifications(
    context: &Context,
    cluster: &PaymentCluster,
    namespace: &str,
) -> Result<SeenNotifications, kube::Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let named =
        cluster.spec.notifications.iter().filter_map(|notification| Some((notification, notification.secret()?)));
    let secrets = named.map(|(notification, key)| {
        let api = &api;
        async move { secrets::look(api, key).await.map(|state| (notification.name.clone(), state)) }
    });
    let ended = context.courier.ended(&cluster.uid().unwrap_or_default());
    Ok(SeenNotifications { secrets: try_join_all(secrets).await?.into_iter().collect(), ended })
}

async fn look_at_providers(
    context: &Context,
    cluster: &PaymentCluster,
    namespace: &str,
) -> Result<Vec<SeenProvider>, kube::Error> {
    let selector = &cluster.spec.providers.selector;
    let (providers, clusters) = try_join(
        list::<PaymentProvider>(context, namespace, &narrowed(selector)),
        context.claims.of(namespace, claimants(context, namespace)),
    )
    .await?;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    try_join_all(providers.into_iter().filter(|provider| selector.matches(provider.labels())).map(|provider| {
        let owner = selection::owner(&provider, &clusters);
        let taken_by = owner.filter(|owner| owner.uid() != cluster.uid()).map(ResourceExt::name_any);
        let api = &api;
        async move {
            let credentials = secrets::look(api, &provider.spec.credentials_secret_ref).await?;
            Ok(SeenProvider { provider, taken_by, credentials })
        }
    }))
    .await
}

/// Only what is selected, so that a namespace full of providers is not read by each of its PaymentClusters. A selector that the API
/// server would not understand selects nothing; it is no reason for an error.
fn narrowed(selector: &LabelSelector) -> ListParams {
    let is_plain = |text: &str| {
        let is_end = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        let is_inner = |inner: char| inner.is_ascii_alphanumeric() || matches!(inner, '-' | '_' | '.');
        text.len() <= 63 && is_end(text.chars().next()) && is_end(text.chars().last()) && text.chars().all(is_inner)
    };
    let is_prefix = |text: &str| {
        is_plain(text) && !text.contains('_') && text.split('.').all(is_plain) && text == text.to_lowercase()
    };
    let is_key = |key: &str| match key.split_once('/') {
        Some((prefix, name)) => is_prefix(prefix) && is_plain(name),
        None => is_plain(key),
    };
    if !selector.match_labels.iter().all(|(key, value)| is_key(key) && is_plain(value)) {
        return ListParams::default();
    }
    let all: Vec<_> = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    ListParams::default().labels(&all.join(","))
}

/// Everybody in a namespace who may select providers.
///
/// # Errors
/// When the API server does not answer.
pub async fn claimants(context: &Context, namespace: &str) -> Result<Vec<Claimant>, kube::Error> {
    let api: Api<Claimant> = Api::namespaced(context.client.clone(), namespace);
    Ok(api.list(&ListParams::default()).await?.items)
}

/// Resources of a kind in a namespace, as far as they can be read. One that cannot does not hide the others.
async fn list<K>(context: &Context, namespace: &str, which: &ListParams) -> Result<Vec<K>, kube::Error>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(context.client.clone(), namespace);
    let found = api.list(which).await?;
    Ok(found.items.into_iter().filter_map(|DeserializeGuard(item)| item.ok()).collect())
}

async fn look_at_objects(context: &Context, identity: &Identity) -> Result<Vec<Live>, kube::Error> {
    let selector = ListParams::default().labels(&identity.selector());
    let per_kind = stream::iter(Kind::ALL).map(|kind| {
        let (resource, selector) = (kind.api_resource(), &selector);
        async move {
            let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &identity.namespace, &resource);
            let found = api.list(selector).await?;
            // The label is anybody's to give; the owner reference is what makes an object ours.
            let own = found.items.into_iter().filter(|object| crate::owned::is_owned(object, identity));
            Ok::<_, kube::Error>(own.map(|object| Live::new(kind, object)).collect::<Vec<_>>())
        }
    });
    let per_kind: Vec<_> = per_kind.buffered(LISTS).try_collect().await?;
    Ok(per_kind.into_iter().flatten().collect())
}

async fn look_at_pods(context: &Context, identity: &Identity) -> Result<Vec<Pod>, kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let found = api.list(&ListParams::default().labels(&identity.selector())).await?;
    Ok(found.items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(key: &str, value: &str) -> Option<String> {
        narrowed(&LabelSelector { match_labels: [(key.to_owned(), value.to_owned())].into() }).label_selector
    }

    #[test]
    fn only_what_the_api_server_understands_is_asked_of_it() {
        assert_eq!(query("purser.dev/cluster", "payments").as_deref(), Some("purser.dev/cluster=payments"));
        let strange = [
            ("a b", "c"),
            ("a/b/c", "d"),
            ("a..b/c", "d"),
            ("A.b/c", "d"),
            ("a", "b c"),
            ("a", ""),
            ("a", "-b"),
            ("", "b"),
        ];
        for (key, value) in strange {
            assert_eq!(query(key, value), None, "{key}={value}");
        }
    }
}
