//! PaymentProvider: looks at its credential and its endpoint, and says which PaymentCluster uses it. It writes nothing
//! but the status; what a provider's spec means for payments is the PaymentCluster's reconcile.

pub mod claimant;
pub mod claims;
pub mod judge;
pub mod probe;
pub mod selection;

use crds::PaymentProvider;
use futures::future::try_join;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use crate::cluster::announce;
use crate::cluster::observe;
use crate::context::Context;
use crate::error::Error;
use crate::{secrets, status};

/// Looks at one PaymentProvider, and again when the next probe of its endpoint is due.
///
/// # Errors
/// When the API server does not answer, or the resource cannot be read.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Action, Error> {
    context.rest.until_passed().await;
    let reader = context.readers.acquire().await;
    let api: Api<DeserializeGuard<PaymentProvider>> = Api::namespaced(context.client.clone(), namespace);
    let provider = match api.get_opt(name).await.map_err(Error::Observe)? {
        None => return Ok(Action::await_change()),
        Some(DeserializeGuard(Err(invalid))) => return Err(Error::Malformed(Box::new(invalid))),
        Some(DeserializeGuard(Ok(provider))) => provider,
    };
    if provider.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let (credentials, clusters) = try_join(
        secrets::look(&secrets, &provider.spec.credentials_secret_ref),
        context.claims.of(namespace, observe::claimants(context, namespace)),
    )
    .await
    .map_err(Error::Observe)?;
    drop(reader);
    let (endpoint, next_probe) = context.prober.ask(&provider.spec.api_endpoint).await;
    let used_by = selection::owner(&provider, &clusters).map(ResourceExt::name_any);
    let after = judge::status(&provider, &credentials, &endpoint, used_by, Timestamp::now());
    let before = provider.status.clone().unwrap_or_default();
    if before != after {
        status::write(context, &provider, &after).await?;
        for announcement in announce::of_conditions(&before.conditions, &after.conditions) {
            context.publish(&announcement.event(), &provider.object_ref(&())).await;
        }
    }
    Ok(Action::requeue(next_probe))
}
