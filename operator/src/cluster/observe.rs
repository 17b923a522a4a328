//! Reads the world: the PaymentCluster, what it refers to, what was made for it, and what its pods say.
//!
//! Everything is read from the API server, not from a cache: a watch tells when to look, never what is there.

use crds::payment_cluster::{Gateway, GatewayTls};
use crds::{PaymentCluster, PaymentProvider, SecretKey};
use futures::future::{join, try_join, try_join_all, try_join3};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};

use super::observed::Observed;
use super::providers::SeenProvider;
use crate::backup;
use crate::context::Context;
use crate::error::Error;
use crate::figures;
use crate::health;
use crate::names::Identity;
use crate::notifications::SeenNotifications;
use crate::owned::{Kind, Live};
use crate::provider::selection;
use crate::secrets::{self, SecretState};

/// Looks at one PaymentCluster; `None` when it is gone or going.
///
/// # Errors
/// When the API server does not answer, or the resource cannot be read.
pub async fn observe(context: &Context, namespace: &str, name: &str) -> Result<Option<Observed>, Error> {
    let Some(cluster) = read(context, namespace, name).await? else { return Ok(None) };
    let identity =
        Identity { namespace: namespace.to_owned(), name: name.to_owned(), uid: cluster.uid().unwrap_or_default() };
    let secrets_and_providers =
        try_join(look_at_secrets(context, &cluster, namespace), look_at_providers(context, &cluster, namespace));
    let ((secrets, providers), (live, pods, notifications)) = try_join(
        secrets_and_providers,
        try_join3(
            look_at_objects(context, &identity),
            look_at_pods(context, &identity),
            look_at_notifications(context, &cluster, namespace),
        ),
    )
    .await
    .map_err(Error::Observe)?;
    let (database_secret, cache_secret, [gateway_secrets, backup_secrets]) = secrets;
    let window_s = cluster.spec.sla.window.as_millis().unwrap_or_default() / 1_000;
    let (health, figures) =
        join(health::ask(&context.pods_http, &pods), figures::ask(&context.pods_http, &pods, window_s)).await;
    let at = Timestamp::now();
    Ok(Some(Observed {
        cluster,
        identity,
        database_secret,
        cache_secret,
        gateway_secrets,
        backup_secrets,
        providers,
        live,
        pods,
        health,
        figures,
        notifications,
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
) -> Result<(SecretState, SecretState, [SeenSecrets; 2]), kube::Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let look = |named: Vec<(&'static str, SecretKey)>| {
        let looks = named.into_iter().map(|(field, key)| {
            let api = &api;
            async move { secrets::look(api, &key).await.map(|state| (field, key, state)) }
        });
        try_join_all(looks)
    };
    let of_backup = cluster.spec.backup.as_ref().map(backup::secrets).unwrap_or_default();
    let (database, cache, others) = try_join3(
        secrets::look(&api, &cluster.spec.database.url_secret_ref),
        secrets::look(&api, &cluster.spec.cache.url_secret_ref),
        try_join(look(gateway_secrets(&cluster.spec.gateway)), look(of_backup)),
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
    let providers: Vec<PaymentProvider> = list(context, namespace).await?;
    let clusters: Vec<PaymentCluster> = list(context, namespace).await?;
    let selector = &cluster.spec.providers.selector;
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

/// Every resource of a kind in a namespace that can be read. One that cannot does not hide the others.
pub async fn list<K>(context: &Context, namespace: &str) -> Result<Vec<K>, kube::Error>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(context.client.clone(), namespace);
    let found = api.list(&ListParams::default()).await?;
    Ok(found.items.into_iter().filter_map(|DeserializeGuard(item)| item.ok()).collect())
}

async fn look_at_objects(context: &Context, identity: &Identity) -> Result<Vec<Live>, kube::Error> {
    let selector = ListParams::default().labels(&identity.selector());
    let per_kind = try_join_all(Kind::ALL.map(|kind| {
        let (resource, selector) = (kind.api_resource(), &selector);
        async move {
            let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &identity.namespace, &resource);
            let found = api.list(selector).await?;
            // The label is anybody's to give; the owner reference is what makes an object ours.
            let own = found.items.into_iter().filter(|object| crate::owned::is_owned(object, identity));
            Ok::<_, kube::Error>(own.map(|object| Live::new(kind, object)).collect::<Vec<_>>())
        }
    }))
    .await?;
    Ok(per_kind.into_iter().flatten().collect())
}

async fn look_at_pods(context: &Context, identity: &Identity) -> Result<Vec<Pod>, kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let found = api.list(&ListParams::default().labels(&identity.selector())).await?;
    Ok(found.items)
}
